"""`voldesk check`: what is wrong with a configuration or a recording, before anything trades on it."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from voldesk.adapters.feeds.detect import check, detect
from voldesk.app.config import RunConfig, dump_config, load_config
from voldesk.app.sources import open_market
from voldesk.core.errors import InputError
from voldesk.market.quality import QualityReport


def check_parts(config: RunConfig) -> None:
    """What only a run would meet: the synthetic market's own rules, and paths. Raises in one line."""
    if config.market.source == "synthetic":
        open_market(config, None)
    elif config.market.path:
        detect(Path(config.market.path))
    if config.forecast.seed_prices and not Path(config.forecast.seed_prices).exists():
        raise InputError(f"forecast.seed_prices={config.forecast.seed_prices!r} does not exist; check the path.")


def run_check_config(path: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print the resolved configuration; anything wrong ends in one line."""
    config = load_config(path, overrides)
    check_parts(config)
    if as_json:
        print(json.dumps({"ok": True, "config": config.model_dump(mode="json")}))
        return
    print(dump_config(config), end="")
    print(f"{path}: good; every default is filled in above", file=sys.stderr)


def run_check_data(path: Path, as_json: bool) -> None:
    """Print the quality of a recording. Exit code 1 when parts of it cannot be read or used."""
    from rich.console import Console

    with Console(stderr=True).status("reading", spinner="dots"):
        found = check(path)
    if as_json:
        print(json.dumps(_plain(asdict(found))))
    else:
        _show(found)
    if found.damage:
        sys.exit(1)


def _plain(value: Any) -> Any:
    """Arrays as lists, NaN as null: JSON has neither."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(part) for part in (value.tolist() if isinstance(value, np.ndarray) else value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _show(found: QualityReport) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    overall = found.overall
    table.add_row("format", found.format)
    table.add_row("holds", f"{found.quotes:,} rows, {found.instruments:,} instruments, {found.snapshots:,} snapshots")
    table.add_row("score", f"{overall.total:.1f} of 100")
    for name in ("completeness", "accuracy", "timeliness", "consistency"):
        share = getattr(overall, name)
        table.add_row(f"  {name}", "nothing to judge by" if math.isnan(share) else f"{100 * share:.1f} %")
    for label, counts in (("quarantined", found.quarantined), ("repaired", found.repaired)):
        words = ", ".join(f"{reason} {count:,}" for reason, count in (counts or {}).items())
        table.add_row(label, words or "nothing")
    for label, lines in (
        ("damage", found.damage),
        ("issues", overall.issues),
        ("weakest", [f"{symbol} {score:.0%}" for symbol, score in found.weakest]),
        ("advice", found.recommendations),
        ("lacks", found.notes),
        ("files", found.files),
    ):
        for number, line in enumerate(lines):
            table.add_row(label if number == 0 else "", Text(line))  # not markup: lines hold brackets
    Console().print(table)

"""One run from configuration to run folder: backtests here, paper desks in app/paper.py."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from voldesk.app.config import RunConfig, dump_config
from voldesk.app.report import write_report
from voldesk.app.run_folder import RunTables, read_tables
from voldesk.app.run_notes import write_notes
from voldesk.app.sources import MarketSource
from voldesk.app.summary import build_summary
from voldesk.app.wiring import Wired, open_journal, wire
from voldesk.core.errors import InputError
from voldesk.core.units import NEVER_NS
from voldesk.engine.journal import RecordKind, decisions_sha256


@dataclass(frozen=True, slots=True)
class Finished:
    """What a run leaves besides its folder."""

    folder: Path
    summary: dict[str, Any]
    tables: RunTables
    wired: Wired


def new_folder(out: Path | None, name: str) -> Path:
    """The run folder, made. Raises InputError when it exists and holds something."""
    if out is None:
        stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S")
        out = Path("runs") / f"{stamp}-{name}"
        number = 2
        while out.exists():
            out = Path("runs") / f"{stamp}-{name}-{number}"
            number += 1
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out} exists and is not empty; name a new folder.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out} cannot be made ({error.strerror}); name a folder that can.") from None
    return out


def backtest(
    config: RunConfig,
    source: MarketSource,
    folder: Path,
    data: Path | None,
    report: bool = True,
    on_progress: Callable[[int], None] | None = None,
    until_ns: int = NEVER_NS,
    seed_prices: Path | None = None,
    settings: Path | None = None,
) -> Finished:
    """Run to the end of the data, close the journal, write the folder. `wall_s` counts the run alone, not reports."""
    (folder / "config.yaml").write_text(dump_config(config), encoding="utf-8")
    write_notes(folder, data, seed_prices, settings)
    inline = source.kind == "synthetic"
    journal = open_journal(folder / "journal", config, source, "backtest")
    journal.append(RecordKind.SOURCE, msgspec.msgpack.encode(source.provenance))
    wired = wire(config, source, journal, journal_rows=inline)
    start = time.perf_counter()
    wired.engine.run(until_ns, on_progress)
    wall_s = time.perf_counter() - start
    wired.engine.desk.finish(wired.engine.now_ns)
    journal.append(RecordKind.END, b"")
    journal.close()
    return finish(wired, folder, wall_s, report)


def finish(wired: Wired, folder: Path, wall_s: float, report: bool) -> Finished:
    """Tables, summary and report of a closed run."""
    source = wired.source
    tables = read_tables(folder)
    tables.write(folder)
    inbox = wired.engine.inbox
    # A recording cut short by --for, and the synthetic market, count the rows the desk has had.
    whole = inbox.exhausted and inbox.delivered == inbox.rows
    quotes = source.quotes if whole and source.quotes else inbox.delivered
    summary = build_summary(
        config=wired.config,
        parts=wired.parts,
        tables=tables,
        facts={
            "snapshots": source.snapshots if whole and source.snapshots else len(set(tables.marks.ts_ns.tolist())),
            "quotes": quotes,
            "quarantined": source.quarantined,
            "repaired": source.repaired,
            "lacks": source.lacks,
            "wall_s": round(wall_s, 3),
            "quotes_per_s": round(quotes / wall_s) if wall_s > 0 else 0,
            "journal_sha256": decisions_sha256(folder / "journal"),
            "run_id": wired.run_id,
        },
    )
    (folder / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
    if report:
        write_report(folder, summary, tables, wired.parts.explainers)
    return Finished(folder, summary, tables, wired)

"""`voldesk record` and `voldesk import`: markets into recordings that replay. See docs/recordings.md."""

from __future__ import annotations

import difflib
import json
import signal
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from voldesk.adapters.feeds.daily_prices import write_daily
from voldesk.adapters.recording.blocks_file import BlockWriter
from voldesk.adapters.recording.vendor import VendorMapping, import_vendor
from voldesk.app.config import load_config, read_yaml
from voldesk.app.run import new_folder
from voldesk.app.sources import NO_SEED, MarketSource, open_market
from voldesk.core.blocks import Block, IntColumn, RowFlag
from voldesk.core.durations import parse_duration
from voldesk.core.errors import InputError, MarketDataError, mistyped

SEED_FOLDER: Final = "daily_prices"
_SHOWN: Final = 10


class _Tally:
    """What has been written so far."""

    def __init__(self) -> None:
        self.rows = 0
        self.snapshots = 0
        self.first_ns = 0
        self.last_ns = 0

    def add(self, block: Block) -> None:
        ts = block.ints[IntColumn.TS_EVENT_NS]
        self.first_ns = self.first_ns or int(ts[0])
        self.last_ns = int(ts[-1])
        self.rows += len(block)
        self.snapshots += int(((block.ints[IntColumn.FLAGS] & int(RowFlag.SNAPSHOT)) != 0).sum())


def _for_ns(text: str) -> int:
    try:
        span = parse_duration(text)
    except InputError as error:
        raise InputError(f"--for: {error}") from None
    if span == 0:
        raise InputError(f"--for {text}: nothing would be recorded; expected a duration above 0, such as 3d.")
    return span


def _before(block: Block, stop_ns: int) -> Block:
    """The rows before an instant. Rows of one group share their time, so that no group is cut."""
    rows = int(np.searchsorted(block.ints[IntColumn.TS_EVENT_NS], stop_ns, side="left"))
    return block if rows == len(block) else block.cut(0, rows)


def run_record(
    config_path: Path,
    out: Path,
    for_text: str,
    data: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write a market's first `--for` into a folder, with the daily prices that seed a forecast. Ctrl-C keeps what is
    written."""
    config = load_config(config_path, overrides)
    span = _for_ns(for_text)
    source = open_market(config, data)
    folder = new_folder(out, config.name)
    tally = _write(folder, source, span, as_json)
    days = 0
    if source.seed_days is not None and source.seed_days.ts_ns.size:
        write_daily(folder / SEED_FOLDER, source.seed_days)
        days = int(source.seed_days.ts_ns.size)
    made = {
        "folder": str(folder),
        "rows": tally.rows,
        "snapshots": tally.snapshots,
        "instruments": len(source.table),
        "first": _instant(tally.first_ns),
        "last": _instant(tally.last_ns),
        "seed_days": days,
        "bytes": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
    }
    if as_json:
        print(json.dumps(made))
        return
    print(
        f"{made['rows']:,} rows of {made['instruments']} instruments, {made['first']} to {made['last']},"
        f" {made['snapshots']} snapshots, {int(str(made['bytes'])) / 1e6:.1f} MB in {folder}"
    )
    print(f"replay it: voldesk backtest {config_path} --data {folder}")


def _write(folder: Path, source: MarketSource, span: int, as_json: bool) -> _Tally:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    tally = _Tally()
    feed = source.feeds[0]
    stop_ns = source.start_ns + span
    notes = tuple(note for note in source.lacks if note != NO_SEED)
    stopping: list[int] = []
    previous = {s: signal.signal(s, lambda number, _: stopping.append(number)) for s in (signal.SIGINT, signal.SIGTERM)}
    columns = (TextColumn("{task.description}"), BarColumn(32), TextColumn("{task.percentage:>3.0f} %"))
    console = Console(stderr=True)
    quiet = as_json or not console.is_terminal
    bars = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, disable=quiet)
    try:
        with bars as progress, BlockWriter(folder, source.table, feed.source, notes=notes) as writer:
            task = progress.add_task("recording", total=min(stop_ns, source.end_ns + 1) - source.start_ns)
            while not stopping:
                block = feed.next_block()
                kept = _before(block, stop_ns) if block is not None else None
                if kept is None or block is None or len(kept) == 0:
                    break
                writer.write(kept)
                tally.add(kept)
                progress.update(task, completed=tally.last_ns - source.start_ns)
                if len(kept) < len(block):
                    break
            progress.update(task, description="recorded")
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return tally


def _instant(ts_ns: int) -> str:
    return f"{np.datetime64(ts_ns, 'ns').astype('datetime64[s]')}Z"


def read_mapping(path: Path) -> VendorMapping:
    """A vendor mapping from YAML: the fields of `VendorMapping`, `snapshot_gap` written as a duration."""
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise InputError(f"{path.name}: expected a mapping with columns, got {type(raw).__name__}.")
    known = [name.removesuffix("_ns") for name in VendorMapping.__struct_fields__]
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)
            raise InputError(f"{path.name}: unknown key '{key}'; nearest known key is '{near[0]}'.")
        values[key] = value
    if "columns" not in values:
        raise InputError(f"{path.name}: 'columns' is missing; name the column of symbol, ts_event and the prices.")
    if "snapshot_gap" in values:
        try:
            values["snapshot_gap_ns"] = parse_duration(values.pop("snapshot_gap"))
        except InputError as error:
            raise InputError(f"{path.name}: snapshot_gap: {error}") from None
    try:
        return msgspec.convert(values, VendorMapping)
    except msgspec.ValidationError as error:
        raise InputError(f"{path.name}: {mistyped(str(error), values)}; see docs/recordings.md.") from None


def run_import(source: Path, mapping: Path, out: Path, as_json: bool) -> None:
    """Clean a vendor's file and write it as a recording; say what was quarantined and refused."""
    columns = read_mapping(mapping)
    folder = new_folder(out, source.stem)
    recording = import_vendor(source, columns, folder)
    if recording.usable == 0:
        raise MarketDataError(
            f"{source.name}: none of its {recording.quotes} rows can be used ({_counts(recording.quarantined)}); check the mapping."
        )
    made = {
        "folder": str(folder),
        "rows": len(recording.feed),
        "instruments": len(recording.table),
        "snapshots": recording.snapshots,
        "quarantined": recording.quarantined,
        "repaired": recording.repaired,
        "unknown": list(recording.unknown),
        "lacks": list(recording.lacks),
    }
    if as_json:
        print(json.dumps(made))
        return
    print(f"{len(recording.feed):,} rows of {len(recording.table)} instruments in {folder}")
    if recording.quarantined:
        print(f"quarantined: {_counts(recording.quarantined)}")
        for line in recording.quarantine_list(_SHOWN):
            print(f"  {line}")
    for line in (*recording.unknown[:_SHOWN], *recording.lacks):
        print(f"  {line}")


def _counts(reasons: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in reasons.items()) or "no rows"

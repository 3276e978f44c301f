"""Paper desks: paced by the clock, snapshotted, and restored after any death.

A snapshot opens a new journal segment (HEADER, STATE). A restart takes the last whole snapshot, re-runs what the dead
process did after it, which must come out byte-equal to the rest of the journal, and goes on from there.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import msgspec

from voldesk.app.config import RunConfig, dump_config, parse_config
from voldesk.app.run_notes import read_notes, write_notes
from voldesk.app.sources import MarketSource, open_market
from voldesk.app.wiring import Wired, header, wire
from voldesk.core.errors import InputError, JournalError
from voldesk.core.units import NEVER_NS, NS_PER_MINUTE, NS_PER_SECOND
from voldesk.engine.journal import (
    JournalWriter,
    Record,
    RecordKind,
    decode_state,
    encode_state,
    read_segment,
    segments,
)
from voldesk.engine.recorded import operators_in

_CHUNK_NS: Final = 10 * NS_PER_MINUTE


@dataclass(slots=True)
class PaperDesk:
    """A desk with its journal open. Keep `lock` alive: it keeps a second process off the same run."""

    folder: Path
    config: RunConfig
    source: MarketSource
    wired: Wired
    journal: JournalWriter
    lock: IO[str]

    def snapshot(self) -> None:
        """Start a new segment with everything a restart needs."""
        state = encode_state(self.wired.engine.state())
        self.journal.open_segment()
        self.journal.append(RecordKind.HEADER, header(self.config, self.source, "paper"))
        self.journal.append(RecordKind.STATE, state)
        self.journal.flush()

    def close(self) -> None:
        """End in good order."""
        self.journal.append(RecordKind.END, b"")
        self.journal.close()
        self.lock.close()


def _lock(folder: Path) -> IO[str]:
    handle = (folder / "desk.lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        raise InputError(f"{folder}: a desk is running on this folder; stop it first, or use another --out.") from None
    return handle


def open_paper(
    config: RunConfig,
    source: MarketSource,
    folder: Path,
    data: Path | None,
    seed_prices: Path | None = None,
    settings: Path | None = None,
) -> PaperDesk:
    """A new paper desk, nothing run yet. `settings`: the configuration file, where strategies may lie beside."""
    lock = _lock(folder)
    (folder / "config.yaml").write_text(dump_config(config), encoding="utf-8")
    write_notes(folder, data, seed_prices, settings)
    journal = JournalWriter(folder / "journal", sync=config.engine.sync_journal)
    journal.open_segment()
    journal.append(RecordKind.HEADER, header(config, source, "paper"))
    journal.flush()
    return PaperDesk(folder, config, source, wire(config, source, journal, journal_rows=True), journal, lock)


def _last_start(folder: Path) -> tuple[Path, list[Record], int]:
    """The newest segment from which a desk can start, its records, and the bytes that they cover.

    A segment that died before its snapshot was whole holds nothing yet and is removed.
    """
    paths = segments(folder)
    for number in range(len(paths) - 1, -1, -1):
        records, covered = read_segment(paths[number])
        whole = bool(records) and (number == 0 or (len(records) > 1 and records[1].kind is RecordKind.STATE))
        if whole:
            return paths[number], records, covered
        if number == 0 or number < len(paths) - 1:
            raise JournalError(f"{paths[number].name}: no whole header and snapshot; restore the file from a copy.")
        paths[number].unlink()
    raise JournalError(f"{folder.name}: no segment to start from.")


def resume_paper(folder: Path) -> PaperDesk:
    """The desk of a run folder as it was when its process died, re-run up to its last whole record."""
    if not (folder / "journal").is_dir():
        raise InputError(f"{folder}: no journal folder here; expected the run folder of a paper desk.")
    lock = _lock(folder)
    path, records, covered = _last_start(folder / "journal")
    if records[-1].kind is RecordKind.END:
        raise InputError(f"{folder}: this run was closed in good order; start a new one.")
    head = msgspec.msgpack.decode(records[0].payload)
    if head["mode"] != "paper":
        raise InputError(f"{folder}: a {head['mode']}, not a paper desk; run it again instead.")
    config = parse_config(str(head["config"]), "journal header", environment={})
    notes = read_notes(folder)
    source = open_market(config, notes.data_path, notes.seed_path)
    if source.provenance != head["sources"]:
        raise InputError(f"{notes.data}: not the recording of this run any more (hashes differ); restore the file.")
    journal = JournalWriter(folder / "journal", sync=config.engine.sync_journal)
    has_state = len(records) > 1 and records[1].kind is RecordKind.STATE
    tail = records[2:] if has_state else records[1:]
    journal.resume(path, covered, tail)
    wired = wire(config, source, journal, journal_rows=True)
    if has_state:
        wired.engine.restore(decode_state(records[1].payload))
    for at_ns, command in operators_in(tail):
        wired.engine.operate(command, at_ns)
    desk = PaperDesk(folder, config, source, wired, journal, lock)
    engine = wired.engine
    while journal.catching_up:
        before = engine.now_ns
        more = engine.run((before or source.start_ns) + NS_PER_SECOND)
        if not more and journal.catching_up:
            raise JournalError(f"{folder}: the re-run ended before the journal did; the data have changed.")
    return desk


def live(
    desk: PaperDesk,
    speed: float,
    stop_ns: int,
    should_stop: Callable[[], bool],
    on_tick: Callable[[Wired], None],
    tick_s: float = 0.25,
) -> None:
    """Run until told to stop, `stop_ns`, or the end of the feed. speed: feed seconds per second, 0: unpaced."""
    engine, source = desk.wired.engine, desk.source
    snapshot_every_s = desk.config.engine.snapshot_every / NS_PER_SECOND
    feed_start = max(engine.now_ns, source.start_ns)
    wall_start = last_snapshot = time.monotonic()
    more = True
    while more and not should_stop():
        now = time.monotonic()
        if speed > 0.0:
            target = feed_start + int((now - wall_start) * speed * NS_PER_SECOND)
        else:
            target = max(engine.now_ns, feed_start) + _CHUNK_NS
        target = min(target, stop_ns)
        more = engine.run(target)
        on_tick(desk.wired)
        if target >= stop_ns:
            break
        if time.monotonic() - last_snapshot >= snapshot_every_s or desk.journal.full:
            desk.snapshot()
            last_snapshot = time.monotonic()
        if speed > 0.0:
            time.sleep(max(0.0, tick_s - (time.monotonic() - now)))


def stop_time(start_ns: int, for_ns: int) -> int:
    """When to stop, counted from the feed's first row (a restart does not add to it); never for 0."""
    return start_ns + for_ns if for_ns else NEVER_NS

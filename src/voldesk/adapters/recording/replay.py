"""Recording what a feed delivers, and replaying it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voldesk.adapters.feeds.recording import ROWS_PER_BLOCK, Recording, Replay, RowSet, assemble, cut_length
from voldesk.adapters.recording.blocks_file import FORMAT, BlockReader, BlockWriter
from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.blocks import Block, IntColumn, RowFlag
from voldesk.core.errors import MarketDataError
from voldesk.core.ports import Feed, State
from voldesk.instruments.spec import Instrument
from voldesk.instruments.table import InstrumentTable


class Recorder:
    """A feed that writes down everything it passes on. Close the writer when done."""

    def __init__(self, feed: Feed, writer: BlockWriter) -> None:
        self._feed = feed
        self._writer = writer

    @property
    def source(self) -> int:
        return self._feed.source

    def next_block(self) -> Block | None:
        block = self._feed.next_block()
        if block is not None:
            self._writer.write(block)
        return block

    def state(self) -> State:
        return self._feed.state()

    def restore(self, state: State) -> None:
        self._feed.restore(state)


class RecordedFeed:
    """Replays a recording of ours segment by segment, so that it need not fit into memory.

    Ids are those of the recording's own table (`BlockReader.table`), or of `table` when given: then instruments are
    added to it and ids translated. `recut_seed` cuts blocks at random places.
    """

    def __init__(
        self,
        folder: Path,
        table: InstrumentTable | None = None,
        source: int | None = None,
        rows_per_block: int = ROWS_PER_BLOCK,
        recut_seed: int | None = None,
    ) -> None:
        self.reader = BlockReader(folder)
        self.table = self.reader.table() if table is None else table
        self._ids = np.array([self.table.add(i) for i in self.reader.header.instruments], np.int64)
        self._source = self.reader.header.source if source is None else source
        self.rows_per_block = rows_per_block
        self.recut_seed = recut_seed
        left = self.reader.open_segment()
        tail = sum(b.num_rows for b in left[1]) if left is not None else 0
        self._starts = np.concatenate([[0], np.cumsum([rows for _, rows in self.reader.segments])]).astype(np.int64)
        self._rows = int(self._starts[-1]) + tail
        self._loaded = -1
        self._part: tuple[IntArray, FloatArray] | None = None
        self._row = 0

    @property
    def source(self) -> int:
        return self._source

    def __len__(self) -> int:
        return self._rows

    def _load(self, segment: int) -> tuple[IntArray, FloatArray]:
        if self._part is None or segment != self._loaded:
            if segment < len(self.reader.segments):
                ints, floats = self.reader.read_segment(segment)
            else:
                *_, (ints, floats) = self.reader.parts()
            ints[IntColumn.INSTRUMENT] = self._ids[ints[IntColumn.INSTRUMENT]]
            self._part, self._loaded = (ints, floats), segment
        return self._part

    def next_block(self) -> Block | None:
        if self._row >= self._rows:
            return None
        segment = int(np.searchsorted(self._starts, self._row, side="right")) - 1
        ints, floats = self._load(segment)
        start = self._row - int(self._starts[segment])
        stop = min(start + cut_length(self.recut_seed, self._row, self.rows_per_block), ints.shape[1])
        self._row += stop - start
        return Block(self._source, ints, floats).cut(start, stop)

    def state(self) -> State:
        return {"row": self._row}

    def restore(self, state: State) -> None:
        row = int(state["row"])
        if not 0 <= row <= self._rows:
            raise MarketDataError(f"row={row} lies outside the recording of {self._rows} rows; is it the same one?")
        self._row = row


def write_recording(
    folder: Path, feed: Feed, table: InstrumentTable, notes: tuple[str, ...] = (), most_rows: int | None = None
) -> int:
    """Drain a feed into a recording; returns the rows written, at least `most_rows` if the feed has them."""
    rows = 0
    with BlockWriter(folder, table, feed.source, notes=notes) as writer:
        recorder = Recorder(feed, writer)
        while most_rows is None or rows < most_rows:
            block = recorder.next_block()
            if block is None:
                break
            rows += len(block)
    return rows


def _refuse_altered(path: Path, ints: IntArray, instruments: int) -> None:
    """Rows that break what every Block promises: the files were altered, or mixed from two recordings."""
    number, event, recv = ints[IntColumn.INSTRUMENT], ints[IntColumn.TS_EVENT_NS], ints[IntColumn.TS_RECV_NS]
    for bad, what in (
        ((number < 0) | (number >= instruments), f"names none of the {instruments} instruments listed"),
        (recv < event, "was received before it happened"),
        ((np.diff(event, prepend=event[:1]) < 0) | (np.diff(recv, prepend=recv[:1]) < 0), "goes back in time"),
    ):
        if bad.any():
            raise MarketDataError(
                f"{path.name} row {int(np.argmax(bad))} {what}; the files were altered or mixed. Restore them from a copy."
            )


def open_blocks(path: Path, table: InstrumentTable | None = None, replay: Replay | None = None) -> Recording:
    """Open a recording of ours in memory. Raises MarketDataError for a hole, unless `allow_damaged`, and for rows
    that no recorder writes. The torn end that a killed recorder leaves is no hole: it is named in `damage`.

    Rows come back as the feed delivered them, under the same ids when no `table` is given, and are not cleaned again.
    A group whose end was not written (the recorder was killed) is left out, since nobody may see half a chain.
    """
    reader = BlockReader(path)
    ints, floats = reader.read()
    if reader.has_hole and not (replay and replay.allow_damaged):
        raise MarketDataError(
            f"{reader.damage[0]}. Restore it, or replay the {ints.shape[1]} whole rows before it:"
            " --set market.allow_damaged=true."
        )
    _refuse_altered(path, ints, len(reader.header.instruments))
    whole = np.flatnonzero(ints[IntColumn.FLAGS] & int(RowFlag.GROUP_END))
    rows_whole = int(whole[-1]) + 1 if whole.size else 0
    if rows_whole == 0:
        raise MarketDataError(f"{path.name} holds no rows; expected recorded quotes.")
    damage = list(reader.damage)
    if rows_whole < ints.shape[1]:
        damage.append(f"the last group is incomplete: its {ints.shape[1] - rows_whole} rows are left out")
        ints, floats = ints[:, :rows_whole], np.ascontiguousarray(floats[:, :rows_whole])
    known = {i.symbol: i for i in reader.header.instruments}
    rows = RowSet(
        ts_event_ns=ints[IntColumn.TS_EVENT_NS],
        ts_recv_ns=ints[IntColumn.TS_RECV_NS],
        codes=ints[IntColumn.INSTRUMENT],
        symbols=list(known),
        flags=ints[IntColumn.FLAGS],
        group=ints[IntColumn.GROUP],
        floats=floats,
        origin=np.arange(ints.shape[1]),
        given_nan=np.zeros(ints.shape[1], np.bool_),
    )

    def terms(symbol: str) -> Instrument:
        return known[symbol]

    return assemble(
        FORMAT,
        rows,
        reader.files(),
        tuple(reader.header.notes),
        terms,
        reader.table() if table is None else table,
        replay,
        whole_snapshots=False,
        damage=tuple(damage),
        trusted=True,
    )

"""Our own recording format: whatever a feed delivers, row by row, replayed exactly (SPEC A8).

    recording.json    format, version, source rank and the instruments' exact terms, in order of their ids
    000000.parquet    finished segments: the 5 int64 and 9 float64 columns of `core.blocks`, zstd
    000001.arrows     the segment being written, an Arrow IPC stream flushed after every block

A writer that is killed leaves an open segment: its whole batches are read, the broken one is named by byte offset,
and a new writer goes on after them. Instruments are written before the first row that needs them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from voldesk.adapters.feeds.recording import SourceFile, source_file
from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.blocks import INT_WIDTH, TICKER_WIDTH, Block, FloatColumn, IntColumn, RowFlag
from voldesk.core.errors import MarketDataError
from voldesk.instruments.spec import Instrument
from voldesk.instruments.table import InstrumentTable

FORMAT: Final = "voldesk-blocks"
VERSION: Final = 1
HEADER: Final = "recording.json"
ROWS_PER_SEGMENT: Final = 1 << 18
DRAFT_BYTES: Final = 1 << 25
"""A segment also ends when its draft grows to this: single-row blocks cost about a kilobyte each there."""
_BATCHES_PER_MERGE: Final = 1 << 10
_INTS: Final = tuple(column.name.lower() for column in IntColumn)
_FLOATS: Final = tuple(column.name.lower() for column in FloatColumn)
_SCHEMA: Final = pa.schema([(n, pa.int64()) for n in _INTS] + [(n, pa.float64()) for n in _FLOATS])


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What the rows mean: the content of recording.json."""

    format: str
    version: int
    source: int
    instruments: list[Instrument]
    notes: list[str] = []


def read_header(folder: Path) -> Header:
    """Raises MarketDataError when the folder is no recording of ours, or of a version not known here."""
    path = folder / HEADER
    if not path.is_file():
        raise MarketDataError(f"{folder} lacks {HEADER}; expected a recording made by `voldesk record`.")
    try:
        header = msgspec.json.decode(path.read_bytes(), type=Header)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise MarketDataError(f"{HEADER} is damaged ({error}); expected what `voldesk record` wrote.") from None
    if header.format != FORMAT or header.version != VERSION:
        raise MarketDataError(
            f"{HEADER} says {header.format} version {header.version}; expected {FORMAT} version {VERSION}."
        )
    return header


def _batch(block: Block) -> pa.RecordBatch:
    """Quote-only blocks get empty valuation columns; their flags say that these carry nothing."""
    floats = list(block.floats) + [np.full(len(block), np.nan)] * (TICKER_WIDTH - block.floats.shape[0])
    arrays = [pa.array(line) for line in (*block.ints, *floats)]
    return pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)


def _columns(table: pa.Table | pa.RecordBatch) -> tuple[IntArray, FloatArray]:
    ints = np.vstack([np.asarray(table.column(n).to_numpy(), np.int64) for n in _INTS])
    floats = np.vstack([np.asarray(table.column(n).to_numpy(), np.float64) for n in _FLOATS])
    return ints, floats


def _whole_groups(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """The batches up to the last end of a group: what a killed writer had begun is not continued by another."""
    name = IntColumn.FLAGS.name.lower()
    for number in range(len(batches) - 1, -1, -1):
        flags = np.asarray(batches[number].column(name).to_numpy(), np.int64)
        ends = np.flatnonzero(flags & int(RowFlag.GROUP_END))
        if ends.size:
            return [*batches[:number], batches[number].slice(0, int(ends[-1]) + 1)]
    return []


def _stem(number: int) -> str:
    return f"{number:06d}"


def _replace(path: Path, content: bytes) -> None:
    """Write beside and rename: a reader sees the old file or the new one, never half of one."""
    beside = path.with_suffix(path.suffix + ".new")
    with beside.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)


class BlockWriter:
    """Appends blocks to a recording, new or existing. Use as a context manager, or call `close`.

    The table may grow while writing; ids in blocks are those of the table. Raises MarketDataError when the folder
    holds a recording of other instruments, or something else.
    """

    def __init__(
        self,
        folder: Path,
        table: InstrumentTable,
        source: int = 0,
        rows_per_segment: int = ROWS_PER_SEGMENT,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.folder = folder
        self.table = table
        self._source = source
        self._rows_per_segment = rows_per_segment
        self._notes = list(notes)
        self._listed = -1
        self._number = 0
        self._batches: list[pa.RecordBatch] = []
        self._rows = 0
        self._small = 0  # trailing batches not merged yet
        self._sink: Any = None
        self._stream: Any = None
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / HEADER).exists():
            self._continue()
        elif any(folder.iterdir()):
            raise MarketDataError(f"{folder} is not empty and no recording of ours; choose another folder.")
        self._list_instruments()

    def _continue(self) -> None:
        header = read_header(self.folder)
        self._source, self._notes = header.source, header.notes
        known = list(self.table.instruments())
        if known[: len(header.instruments)] != header.instruments[: len(known)]:
            raise MarketDataError(
                f"{self.folder} holds other instruments; expected the same table. Choose another folder."
            )
        for instrument in header.instruments:
            self.table.add(instrument)
        reader = BlockReader(self.folder)
        if reader.damage:
            raise MarketDataError(f"{reader.damage[0]}; a recording with a hole cannot go on. Choose another folder.")
        open_rows = reader.open_segment()
        self._number = len(reader.segments)
        if open_rows is not None:
            path, batches = open_rows
            self._batches = _whole_groups(batches)
            self._rows = sum(b.num_rows for b in self._batches)
            if self._rows:
                self._write_segment()
            path.unlink()

    def _list_instruments(self) -> None:
        if len(self.table) == self._listed:
            return
        header = Header(
            format=FORMAT,
            version=VERSION,
            source=self._source,
            instruments=list(self.table.instruments()),
            notes=self._notes,
        )
        _replace(self.folder / HEADER, msgspec.json.format(msgspec.json.encode(header), indent=1))
        self._listed = len(self.table)

    def write(self, block: Block) -> None:
        """Append one block; on return it is handed to the operating system (survives a kill of this process)."""
        if len(block) == 0:
            return
        self._list_instruments()
        if self._stream is None:
            self._sink = (self.folder / f"{_stem(self._number)}.arrows").open("wb")
            self._stream = pa.ipc.new_stream(self._sink, _SCHEMA)
        batch = _batch(block)
        self._stream.write_batch(batch)
        self._sink.flush()
        self._batches.append(batch)
        self._rows += batch.num_rows
        self._small += 1
        if self._small >= _BATCHES_PER_MERGE:
            # A batch costs kilobytes however few its rows; merged, a million live messages fit.
            merged = pa.Table.from_batches(self._batches[-self._small :], _SCHEMA).combine_chunks().to_batches()
            self._batches[-self._small :] = merged
            self._small = 0
        # Segments end where groups end, so that a group broken off by a kill lies in the open segment alone.
        full = self._rows >= self._rows_per_segment or self._sink.tell() >= DRAFT_BYTES
        if full and block.ints[IntColumn.FLAGS, -1] & int(RowFlag.GROUP_END):
            self._finish_segment()

    def _finish_segment(self) -> None:
        self._stream.close()
        self._sink.close()
        self._stream = self._sink = None
        open_path = self.folder / f"{_stem(self._number)}.arrows"
        self._write_segment()
        open_path.unlink()

    def _write_segment(self) -> None:
        buffer = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_batches(self._batches, _SCHEMA), buffer, compression="zstd")
        _replace(self.folder / f"{_stem(self._number)}.parquet", buffer.getvalue().to_pybytes())
        self._number += 1
        self._batches, self._rows, self._small = [], 0, 0

    def close(self) -> None:
        """Finish the open segment and the list of instruments."""
        if self._stream is not None:
            self._finish_segment()
        self._list_instruments()

    def __enter__(self) -> BlockWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BlockReader:
    """Reads a recording of ours as far as it is whole. `damage` names what is lost, by file and byte offset;
    `has_hole` says that finished rows are, and not just the torn end that a killed writer leaves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.header = read_header(folder)
        self.damage: list[str] = []
        self.has_hole = False
        self.segments: list[tuple[Path, int]] = []
        self._find_segments()

    @property
    def rows(self) -> int:
        """Rows in finished segments."""
        return sum(rows for _, rows in self.segments)

    def table(self) -> InstrumentTable:
        return InstrumentTable(self.header.instruments)

    def _find_segments(self) -> None:
        """Finished segments in order; after one that is missing or broken the rest is named, not read, since rows
        beyond a hole would look like a market that stood still."""
        files = sorted(self.folder.glob("[0-9]*.parquet"))
        for number, path in enumerate(files):
            try:
                metadata = pq.read_metadata(path)
            except (pa.ArrowException, OSError):
                self.has_hole = True
                self.damage.append(
                    f"{path.name} is truncated or damaged: its {path.stat().st_size} bytes cannot be read"
                    + (f", nor are the {len(files) - number - 1} segments after it" if number + 1 < len(files) else "")
                )
                return
            if path.stem != _stem(number):
                self.has_hole = True
                self.damage.append(
                    f"{_stem(number)}.parquet is missing; the {len(files) - number} segments after it are left out"
                )
                return
            if set(_INTS + _FLOATS) - set(metadata.schema.to_arrow_schema().names):
                raise MarketDataError(
                    f"{path.name} lacks columns of a recording; expected {', '.join(_INTS + _FLOATS)}."
                )
            self.segments.append((path, metadata.num_rows))

    def open_segment(self) -> tuple[Path, list[pa.RecordBatch]] | None:
        """The unfinished segment's whole batches, or None without one."""
        path = self.folder / f"{_stem(len(self.segments))}.arrows"
        leftover = self.folder / f"{_stem(len(self.segments) - 1)}.arrows"
        if not path.exists():
            # Killed between writing the finished segment and removing the open one: same rows, already counted.
            return (leftover, []) if leftover.exists() else None
        content = path.read_bytes()
        stream = pa.BufferReader(content)
        batches: list[pa.RecordBatch] = []
        whole = 0
        try:
            reader = pa.ipc.open_stream(stream)
            whole = stream.tell()
            while True:
                batches.append(reader.read_next_batch())
                whole = stream.tell()
        except StopIteration:
            pass
        except (pa.ArrowException, OSError):
            rows = sum(b.num_rows for b in batches)
            torn = f"{path.name} is cut off: {rows} rows read, the rest from byte {whole} of {len(content)} is lost"
            if torn not in self.damage:
                self.damage.append(torn)
        return path, batches

    def read_segment(self, number: int) -> tuple[IntArray, FloatArray]:
        """Columns (5, n) and (9, n) of one finished segment."""
        return _columns(pq.read_table(self.segments[number][0], columns=[*_INTS, *_FLOATS]))

    def parts(self) -> Iterator[tuple[IntArray, FloatArray]]:
        """All rows that are whole, segment by segment, the unfinished one last."""
        for number in range(len(self.segments)):
            yield self.read_segment(number)
        left = self.open_segment()
        if left is not None and left[1]:
            yield _columns(pa.Table.from_batches(left[1], _SCHEMA))

    def read(self) -> tuple[IntArray, FloatArray]:
        """Everything at once."""
        parts = list(self.parts())
        if not parts:
            return np.zeros((INT_WIDTH, 0), np.int64), np.zeros((TICKER_WIDTH, 0))
        return np.hstack([ints for ints, _ in parts]), np.hstack([floats for _, floats in parts])

    def files(self) -> tuple[SourceFile, ...]:
        """Content hash and rows of each segment, the unfinished one last."""
        left = self.open_segment()
        tail = [(left[0], sum(b.num_rows for b in left[1]))] if left is not None and left[1] else []
        return tuple(source_file(path, rows) for path, rows in (*self.segments, *tail))

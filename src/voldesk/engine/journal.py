"""The journal: what came in, what was decided, what was seen, in order, each record checksummed.

A run's journal is a folder of segments `000001.vdj`, … A segment is a sequence of records

    length u32 | kind u8 | crc32 u32 over kind+payload | payload (msgpack)

and starts with HEADER; every later segment continues with a STATE record, the snapshot from which a desk goes on
without reading the earlier ones. Kinds:

    HEADER    environment, format, run id, resolved configuration     DECISION  intents, verdicts, commands
    STATE     snapshot of every stateful part                         FACT      what readers want: marks, spreads
    ROWS      market rows, inline (paper, live)                       INPUT     reports, results, operator actions
    SOURCE    market rows by reference: file hash and row range       END       the run closed in good order

`journal_sha256` is over the payloads of DECISION records alone: no paths, wall times, versions or cuts.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO, Final, Protocol

import msgspec
import numpy as np

from voldesk.core.blocks import Block
from voldesk.core.errors import JournalError

FORMAT: Final = 1
_FRAME: Final = Struct("<IBI")
_ARRAY_CODE: Final = 1


class RecordKind(IntEnum):
    HEADER = 1
    STATE = 2
    ROWS = 3
    SOURCE = 4
    INPUT = 5
    DECISION = 6
    FACT = 7
    END = 8


@dataclass(frozen=True, slots=True)
class Record:
    kind: RecordKind
    payload: bytes
    segment: str
    offset: int
    number: int


def _pack_array(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        body = msgspec.msgpack.encode([value.dtype.str, list(value.shape), np.ascontiguousarray(value).tobytes()])
        return msgspec.msgpack.Ext(_ARRAY_CODE, body)
    if isinstance(value, np.generic):
        return value.item()
    raise JournalError(f"state holds a {type(value).__name__}; expected plain numbers, text, lists, dicts, arrays.")


def _unpack_array(code: int, data: memoryview) -> Any:
    if code != _ARRAY_CODE:
        raise JournalError(f"extension code={code} in the journal; expected {_ARRAY_CODE}.")
    dtype, shape, body = msgspec.msgpack.decode(bytes(data))
    return np.frombuffer(body, dtype=np.dtype(dtype)).reshape(shape).copy()


_state_encoder = msgspec.msgpack.Encoder(enc_hook=_pack_array)
_state_decoder = msgspec.msgpack.Decoder(ext_hook=_unpack_array)


def encode_state(state: Any) -> bytes:
    """Plain data and numpy arrays to bytes; integers beyond 64 bits must be given as text."""
    return _state_encoder.encode(state)


def decode_state(payload: bytes) -> Any:
    return _state_decoder.decode(payload)


def encode_block(block: Block) -> bytes:
    return _state_encoder.encode([block.source, block.ints, block.floats])


def decode_block(payload: bytes) -> Block:
    source, ints, floats = _state_decoder.decode(payload)
    return Block(source, ints, floats)


def read_segment(path: Path, first_number: int = 0) -> tuple[list[Record], int]:
    """Whole records of one segment, and how many bytes of it they cover.

    Raises JournalError, naming record and byte, when a checksum is wrong. A torn last record is not an error: the
    second value says where it begins.
    """
    data = path.read_bytes()
    records: list[Record] = []
    at = 0
    while at + _FRAME.size <= len(data):
        length, kind, checksum = _FRAME.unpack_from(data, at)
        end = at + _FRAME.size + length
        if end > len(data):
            # A flipped bit in a length looks like a torn tail; a real tear is the last thing in the last segment.
            break
        payload = data[at + _FRAME.size : end]
        number = first_number + len(records)
        if zlib.crc32(payload, kind) != checksum or kind not in RecordKind._value2member_map_:
            raise JournalError(
                f"journal record {number} ({path.name}, byte {at}): checksum does not match; the file was altered or"
                " damaged. Restore it from a copy, or keep what stands before this byte."
            )
        records.append(Record(RecordKind(kind), payload, path.name, at, number))
        at = end
    return records, at


def segments(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.vdj"))
    if not found:
        raise JournalError(f"{folder.name}: no journal segments (*.vdj) here; expected a run's journal folder.")
    for number, path in enumerate(found, 1):
        if path.stem != f"{number:06d}":
            raise JournalError(f"{number:06d}.vdj is missing from the journal; restore it from a copy.")
    return found


def read_journal(folder: Path, complete: bool = False) -> Iterator[Record]:
    """Every record of a journal, in order. Raises JournalError for damage.

    A torn end of the last segment is what a killed desk leaves and is passed over; with `complete` the journal must
    close with END, as that of a finished run does, so that no byte can be changed unseen.
    """
    number = 0
    last: Record | None = None
    paths = segments(folder)
    for index, path in enumerate(paths):
        records, covered = read_segment(path, number)
        number += len(records)
        if covered < path.stat().st_size and (complete or index < len(paths) - 1):
            raise JournalError(
                f"journal record {number} ({path.name}, byte {covered}): cut short or its length altered; expected whole"
                " records up to the journal's end. Restore the file from a copy."
            )
        last = records[-1] if records else last
        yield from records
    if complete and (last is None or last.kind is not RecordKind.END):
        raise JournalError(
            f"journal record {number}: END is missing; the run did not close. Go on with a paper desk"
            " (voldesk paper --resume), run a backtest again."
        )


def decisions_sha256(folder: Path) -> str:
    """The hash that two equal runs share."""
    digest = hashlib.sha256()
    for record in read_journal(folder):
        if record.kind is RecordKind.DECISION:
            digest.update(record.payload)
    return digest.hexdigest()


class Journal(Protocol):
    """Where the engine writes; `JournalWriter` in a run, a check in a replay."""

    def append(self, kind: RecordKind, payload: bytes) -> None: ...

    def flush(self) -> None: ...


class JournalWriter:
    """Appends records. `flush` hands them to the operating system; `sync=True` also waits for the disk.

    When a desk resumes, `expect` holds the records that the dead process had already written after its last
    snapshot: the re-run must produce the same ones, byte for byte, before anything new is written.
    """

    def __init__(self, folder: Path, sync: bool = False, segment_bytes: int = 64 << 20) -> None:
        self._folder = folder
        self._sync = sync
        self._segment_bytes = segment_bytes
        self._buffer = bytearray()
        self._file: BinaryIO | None = None
        self._number = 0
        self._written = 0
        self._expect: list[Record] = []
        self._expect_at = 0
        self.records = 0
        self.digest = hashlib.sha256()

    def open_segment(self) -> None:
        """Begin the next segment file; the caller writes HEADER and STATE first."""
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        existing = sorted(self._folder.glob("*.vdj"))
        self._number = int(existing[-1].stem) + 1 if existing else 1
        self._file = (self._folder / f"{self._number:06d}.vdj").open("xb", buffering=0)
        self._written = 0

    def resume(self, path: Path, keep_bytes: int, expect: list[Record]) -> None:
        """Go on in an existing segment after its last whole record; `expect` must be re-produced first."""
        self._number = int(path.stem)
        self._file = path.open("r+b", buffering=0)
        self._file.truncate(keep_bytes)
        self._file.seek(keep_bytes)
        self._written = keep_bytes
        self._expect = expect
        self._expect_at = 0

    @property
    def catching_up(self) -> bool:
        """True while the re-run has not yet reached the end of what the dead process wrote."""
        return self._expect_at < len(self._expect)

    @property
    def full(self) -> bool:
        return self._written + len(self._buffer) >= self._segment_bytes

    def append(self, kind: RecordKind, payload: bytes) -> None:
        self.records += 1
        if kind is RecordKind.DECISION:
            self.digest.update(payload)
        if self._expect_at < len(self._expect):
            self._match(kind, payload)
            return
        self._buffer += _FRAME.pack(len(payload), kind, zlib.crc32(payload, kind))
        self._buffer += payload
        if len(self._buffer) >= 1 << 20:
            self.flush()

    def _match(self, kind: RecordKind, payload: bytes) -> None:
        known = self._expect[self._expect_at]
        if known.kind is not kind or known.payload != payload:
            raise JournalError(
                f"journal record {known.number} ({known.segment}, byte {known.offset}) is {known.kind.name}, the re-run"
                f" gives another {kind.name}; the inputs, the configuration or the program changed since."
            )
        self._expect_at += 1

    def flush(self) -> None:
        if not self._buffer or self._file is None:
            return
        view = memoryview(self._buffer)
        while view:
            done = self._file.write(view)
            self._written += done or 0
            view = view[done:]
        view.release()
        self._buffer = bytearray()
        if self._sync:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        if self._file is not None:
            self.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

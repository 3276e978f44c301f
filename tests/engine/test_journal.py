"""The journal keeps what it was given, notices one changed byte, and recovers to its last whole record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voldesk.core.errors import JournalError
from voldesk.engine.journal import (
    JournalWriter,
    RecordKind,
    decisions_sha256,
    decode_state,
    encode_state,
    read_journal,
    read_segment,
)

PAYLOADS = [
    (RecordKind.HEADER, b"head"),
    (RecordKind.INPUT, b"in"),
    (RecordKind.DECISION, b"buy"),
    (RecordKind.END, b""),
]


def _write(folder: Path) -> Path:
    writer = JournalWriter(folder)
    writer.open_segment()
    for kind, payload in PAYLOADS:
        writer.append(kind, payload)
    writer.close()
    return folder / "000001.vdj"


def test_records_come_back_as_they_went_in(tmp_path: Path) -> None:
    _write(tmp_path)
    assert [(record.kind, record.payload) for record in read_journal(tmp_path)] == PAYLOADS


def test_every_single_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = _write(tmp_path)
    good = path.read_bytes()
    for position in range(len(good)):
        damaged = bytearray(good)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(JournalError, match=r"journal record \d+"):
            list(read_journal(tmp_path, complete=True))


def test_a_torn_tail_leaves_every_whole_record(tmp_path: Path) -> None:
    path = _write(tmp_path)
    good = path.read_bytes()
    whole, _ = read_segment(path)
    for length in range(len(good)):
        path.write_bytes(good[:length])
        records, covered = read_segment(path)
        assert records == whole[: len(records)]
        assert covered <= length
        assert len(records) == len(whole) or covered + 9 + len(whole[len(records)].payload) > length


def test_the_hash_is_over_decisions_alone(tmp_path: Path) -> None:
    _write(tmp_path / "a")
    writer = JournalWriter(tmp_path / "b")
    writer.open_segment()
    writer.append(RecordKind.FACT, b"other")
    writer.append(RecordKind.DECISION, b"buy")
    writer.open_segment()
    writer.close()
    assert decisions_sha256(tmp_path / "a") == decisions_sha256(tmp_path / "b")


def test_a_resumed_writer_demands_the_same_records_first(tmp_path: Path) -> None:
    path = _write(tmp_path)
    records, covered = read_segment(path)
    writer = JournalWriter(tmp_path)
    writer.resume(path, covered, records[1:])
    writer.append(RecordKind.INPUT, b"in")
    assert writer.catching_up
    with pytest.raises(JournalError, match=r"record 2 .* re-run gives another"):
        writer.append(RecordKind.DECISION, b"sell")


def test_a_resumed_writer_goes_on_after_the_last_whole_record(tmp_path: Path) -> None:
    path = _write(tmp_path)
    path.write_bytes(path.read_bytes()[:-4])
    records, covered = read_segment(path)
    writer = JournalWriter(tmp_path)
    writer.resume(path, covered, records[1:])
    for kind, payload in [*PAYLOADS[1:3], (RecordKind.DECISION, b"more")]:
        writer.append(kind, payload)
    writer.close()
    assert [record.payload for record in read_journal(tmp_path)] == [b"head", b"in", b"buy", b"more"]


def test_state_with_arrays_survives_the_trip() -> None:
    state = {"a": np.arange(6, dtype=np.int64).reshape(2, 3), "b": [1, 2.5, "x", None], "c": {"n": np.array([np.nan])}}
    back = decode_state(encode_state(state))
    np.testing.assert_array_equal(back["a"], state["a"])
    np.testing.assert_array_equal(back["c"]["n"], state["c"]["n"])
    assert back["b"] == state["b"]
    back["a"][0, 0] = 9  # restored arrays must be writable


def test_an_object_in_a_state_is_refused() -> None:
    with pytest.raises(JournalError, match="expected plain numbers"):
        encode_state({"x": object()})

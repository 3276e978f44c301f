"""What is recorded comes back byte for byte, also after a kill in the middle of a write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voldesk.adapters.feeds.deribit_chain import open_chain
from voldesk.adapters.feeds.recording import ColumnFeed, Replay
from voldesk.adapters.recording.blocks_file import BlockReader, BlockWriter
from voldesk.adapters.recording.replay import RecordedFeed, Recorder, open_blocks, write_recording
from voldesk.core.blocks import Block, RowFlag
from voldesk.core.errors import MarketDataError
from voldesk.instruments.deribit import parse
from voldesk.instruments.table import InstrumentTable


def drain(feed: Any) -> tuple[np.ndarray, np.ndarray]:
    blocks = list(iter(feed.next_block, None))
    return np.hstack([b.ints for b in blocks]), np.hstack([b.floats for b in blocks])


def stream(rows: int = 1_000) -> tuple[InstrumentTable, np.ndarray, np.ndarray]:
    """Random quotes in groups of five, some sides missing, some very large and very small."""
    generator = np.random.Generator(np.random.Philox(5))
    table = InstrumentTable(parse(s) for s in ("BTC-27MAR26-70000-C", "ETH-PERPETUAL", "BTC_USDC-27MAR26-70000-P"))
    ints = np.zeros((5, rows), np.int64)
    ints[0] = np.repeat(np.cumsum(generator.integers(0, 10**12, rows // 5)), 5) + 1_770_000_000_000_000_000
    ints[1] = ints[0] + 17
    ints[2] = generator.integers(0, 3, rows)
    ints[3] = int(RowFlag.QUOTE | RowFlag.MARK)
    ints[3, 4::5] |= int(RowFlag.GROUP_END | RowFlag.SNAPSHOT)
    ints[4] = np.repeat(np.arange(rows // 5), 5)
    floats = np.exp(30.0 * generator.standard_normal((9, rows)))
    floats[generator.random((9, rows)) < 0.1] = np.nan
    return table, ints, floats


def test_a_recorder_passes_everything_on_and_the_replay_is_equal(tmp_path: Path) -> None:
    table, ints, floats = stream()
    with BlockWriter(tmp_path / "r", table, source=3, rows_per_segment=300) as writer:
        passed = drain(Recorder(ColumnFeed(3, ints, floats, rows_per_block=70), writer))
    np.testing.assert_array_equal(passed[0], ints)
    feed = RecordedFeed(tmp_path / "r", rows_per_block=64)
    assert feed.source == 3
    assert [rows for _, rows in feed.reader.segments] == [350, 350, 300]
    assert feed.table.instruments() == table.instruments()
    got = drain(feed)
    np.testing.assert_array_equal(got[0], ints)
    np.testing.assert_array_equal(got[1], floats)
    recording = open_blocks(tmp_path / "r")
    assert recording.snapshots == 200
    np.testing.assert_array_equal(recording.feed.floats, floats)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_recut_replay_restored_in_the_middle_goes_on_with_the_same_cuts(tmp_path: Path, seed: int) -> None:
    table, ints, floats = stream()
    write_recording(tmp_path / "r", ColumnFeed(0, ints, floats), table)
    feed = RecordedFeed(tmp_path / "r", recut_seed=seed, rows_per_block=200)
    blocks = []
    for _ in range(5):
        block = feed.next_block()
        assert block is not None
        blocks.append(block)
    other = RecordedFeed(tmp_path / "r", recut_seed=seed, rows_per_block=200)
    other.restore(feed.state())
    rest, again = list(iter(feed.next_block, None)), list(iter(other.next_block, None))
    assert [len(b) for b in rest] == [len(b) for b in again]
    assert len({len(b) for b in blocks + rest}) > 2
    np.testing.assert_array_equal(np.hstack([b.ints for b in blocks + again]), ints)


def test_live_messages_of_one_row_each_are_recorded_alike(tmp_path: Path) -> None:
    table, ints, floats = stream(2_500)
    write_recording(tmp_path / "r", ColumnFeed(0, ints, floats, rows_per_block=1), table)
    np.testing.assert_array_equal(BlockReader(tmp_path / "r").read()[1], floats)


def test_quote_only_blocks_are_kept_and_instruments_may_be_listed_while_recording(tmp_path: Path) -> None:
    table, ints, floats = stream(10)
    with BlockWriter(tmp_path / "r", table) as writer:
        writer.write(Block(0, ints, np.ascontiguousarray(floats[:4])))
        new = table.add(parse("BTC-PERPETUAL"))
        later = ints.copy()
        later[2] = new
        writer.write(Block(0, later, floats))
        assert len(BlockReader(tmp_path / "r").table()) == 4
    got = BlockReader(tmp_path / "r").read()
    np.testing.assert_array_equal(got[1][:4, :10], floats[:4])
    assert np.isnan(got[1][4:, :10]).all()


@pytest.mark.parametrize("lost", [1, 100, 3_000, 20_000])
def test_after_a_kill_whole_blocks_are_read_the_rest_is_named_and_recording_goes_on(tmp_path: Path, lost: int) -> None:
    table, ints, floats = stream()
    folder = tmp_path / "r"
    writer = BlockWriter(folder, table, rows_per_segment=600)
    for start in range(0, 1_000, 50):
        writer.write(Block(0, ints, floats).cut(start, start + 50))
    # Killed: the writer is never closed, and the last bytes did not reach the disk.
    open_file = folder / "000001.arrows"
    size = open_file.stat().st_size
    open_file.write_bytes(open_file.read_bytes()[: size - lost])
    reader = BlockReader(folder)
    kept = reader.read()[0].shape[1]
    assert kept % 50 == 0
    assert 600 <= kept < 1_000
    assert reader.damage[0].startswith(f"000001.arrows is cut off: {kept - 600} rows read, the rest from byte ")
    assert reader.damage[0].endswith(f"of {size - lost} is lost")
    np.testing.assert_array_equal(reader.read()[1], floats[:, :kept])
    with BlockWriter(folder, table) as again:
        again.write(Block(0, ints, floats).cut(kept, 1_000))
    healed = BlockReader(folder)
    np.testing.assert_array_equal(healed.read()[0], ints)
    assert healed.damage == []


def test_a_writer_that_goes_on_after_a_kill_drops_the_group_that_was_begun(tmp_path: Path) -> None:
    table, ints, floats = stream(20)
    killed = BlockWriter(tmp_path / "r", table)
    for start in range(0, 14, 7):
        killed.write(Block(0, ints, floats).cut(start, start + 7))
    with BlockWriter(tmp_path / "r", table) as again:
        again.write(Block(0, ints, floats).cut(15, 20))
    kept = np.r_[0:10, 15:20]
    np.testing.assert_array_equal(BlockReader(tmp_path / "r").read()[0], ints[:, kept])


def test_a_kill_between_finishing_a_segment_and_removing_its_draft_doubles_nothing(tmp_path: Path) -> None:
    table, ints, floats = stream(20)
    folder = tmp_path / "r"
    killed = BlockWriter(folder, table)
    killed.write(Block(0, ints, floats))
    draft = (folder / "000000.arrows").read_bytes()
    killed.close()
    (folder / "000000.arrows").write_bytes(draft)
    np.testing.assert_array_equal(BlockReader(folder).read()[0], ints)
    assert len(RecordedFeed(folder)) == 20
    BlockWriter(folder, table).close()
    assert not (folder / "000000.arrows").exists()
    np.testing.assert_array_equal(BlockReader(folder).read()[0], ints)


def test_a_group_without_its_end_is_not_shown(tmp_path: Path) -> None:
    table, ints, floats = stream(10)
    with BlockWriter(tmp_path / "r", table) as writer:
        writer.write(Block(0, ints, floats).cut(0, 8))
    recording = open_blocks(tmp_path / "r")
    assert len(recording.feed) == 5
    assert recording.damage == ("the last group is incomplete: its 3 rows are left out",)


def test_a_truncated_segment_is_refused_or_named_with_all_that_follows(tmp_path: Path) -> None:
    table, ints, floats = stream()
    folder = tmp_path / "r"
    with BlockWriter(folder, table, rows_per_segment=200) as writer:
        for start in range(0, 1_000, 100):
            writer.write(Block(0, ints, floats).cut(start, start + 100))
    broken = folder / "000002.parquet"
    broken.write_bytes(broken.read_bytes()[:500])
    with pytest.raises(
        MarketDataError, match=r"000002\.parquet is truncated or damaged: its 500 bytes .* nor are the 2"
    ):
        open_blocks(folder)
    assert len(open_blocks(folder, replay=Replay(allow_damaged=True)).feed) == 400
    with pytest.raises(MarketDataError, match="a recording with a hole cannot go on"):
        BlockWriter(folder, table)
    broken.unlink()
    assert "000002.parquet is missing" in BlockReader(folder).damage[0]


def test_a_folder_of_something_else_and_other_instruments_are_refused(tmp_path: Path) -> None:
    table, ints, floats = stream(10)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(MarketDataError, match="is not empty"):
        BlockWriter(tmp_path, table)
    write_recording(tmp_path / "r", ColumnFeed(0, ints, floats), table)
    with pytest.raises(MarketDataError, match="holds other instruments"):
        BlockWriter(tmp_path / "r", InstrumentTable([parse("BTC-PERPETUAL")]))
    (tmp_path / "r" / "recording.json").write_text(
        '{"format": "voldesk-blocks", "version": 9, "source": 0, "instruments": []}'
    )
    with pytest.raises(MarketDataError, match="version 9; expected voldesk-blocks version 1"):
        BlockReader(tmp_path / "r")
    (tmp_path / "r" / "recording.json").write_text("{")
    with pytest.raises(MarketDataError, match=r"recording\.json is damaged"):
        BlockReader(tmp_path / "r")


def test_a_recorded_chain_replays_under_the_same_ids(write_chain: Any, tmp_path: Path) -> None:
    recording = open_chain(write_chain())
    write_recording(tmp_path / "r", recording.feed, recording.table, recording.lacks)
    again = open_blocks(tmp_path / "r")
    np.testing.assert_array_equal(again.feed.ints, recording.feed.ints)
    np.testing.assert_array_equal(again.feed.floats, recording.feed.floats)
    assert again.describe() == recording.describe()
    assert again.snapshots == recording.snapshots

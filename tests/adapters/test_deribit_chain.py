"""The recorded chains become snapshots of rows, with an honest account of what they lack."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from voldesk.adapters.feeds.deribit_chain import ChainAssumptions, open_chain
from voldesk.adapters.feeds.recording import IndexHistory, Replay
from voldesk.core.blocks import Block, FloatColumn, IntColumn, RowFlag
from voldesk.core.errors import InputError, MarketDataError
from voldesk.core.units import NS_PER_HOUR, NS_PER_SECOND
from voldesk.instruments.spec import Kind
from voldesk.instruments.table import InstrumentTable

START = 1_770_000_000 * NS_PER_SECOND


def drain(feed: Any) -> list[Block]:
    return list(iter(feed.next_block, None))


def joined(blocks: list[Block]) -> tuple[np.ndarray, np.ndarray]:
    return np.hstack([b.ints for b in blocks]), np.hstack([b.floats for b in blocks])


@pytest.mark.data
def test_the_six_months_hold_the_snapshots_and_quotes_that_are_promised(recorded: Any) -> None:
    recording = open_chain(recorded("deribit_chain_6h"))
    assert (recording.snapshots, recording.quotes) == (722, 625_450)
    assert len(recording.feed) == 625_450 + 722
    assert recording.quarantined == {}
    assert recording.unknown == ()
    assert sum(f.rows for f in recording.files) == 625_450
    ints, floats = recording.feed.ints, recording.feed.floats
    assert (np.diff(ints[IntColumn.TS_EVENT_NS]) >= 0).all()
    ends = (ints[IntColumn.FLAGS] & int(RowFlag.GROUP_END)) != 0
    assert np.array_equal(ends, np.diff(ints[IntColumn.GROUP], append=-1) != 0)
    perpetual = ints[IntColumn.INSTRUMENT] == recording.table.id_of("BTC-PERPETUAL")
    assert perpetual.sum() == 722
    assert np.array_equal(perpetual, ends)
    no_bid = np.isnan(floats[FloatColumn.BID, ~perpetual])
    assert no_bid.sum() == 43_576
    assert np.isnan(floats[FloatColumn.ASK, ~perpetual]).sum() == 9_232
    assert np.array_equal(no_bid, np.isnan(floats[FloatColumn.BID_SIZE, ~perpetual]))
    options = recording.table.kind == int(Kind.OPTION)
    assert options.sum() == 10_414


@pytest.mark.data
def test_the_index_agrees_with_the_published_medians_and_delivery_gaps_are_as_stated(recorded: Any) -> None:
    import pyarrow.parquet as pq

    recording = open_chain(recorded("deribit_chain_6h_eth"))
    history = recording.index["ETH"]
    published = pq.read_table(recorded("daily_prices") / "crypto_index_6h.parquet").to_pylist()
    medians = {int(row["ts"].timestamp() * 1000): row["index_price"] for row in published if row["symbol"] == "ETH"}
    ours = dict(zip((history.ts_ns // 1_000_000).tolist(), history.price.tolist(), strict=True))
    common = sorted(set(ours) & set(medians))
    assert len(common) == 178
    assert max(abs(ours[t] - medians[t]) for t in common) < 0.011
    btc = open_chain(recorded("deribit_chain_6h")).index["BTC"]
    eight = (
        np.arange(btc.ts_ns[0] // (24 * NS_PER_HOUR) + 1, btc.ts_ns[-1] // (24 * NS_PER_HOUR)) * 24 + 8
    ) * NS_PER_HOUR
    estimates = [btc.delivery_price(int(t)) for t in eight]
    assert 1.0 < np.median([e.gap_ns for e in estimates]) / NS_PER_HOUR < 2.0
    assert 250.0 < np.median([e.error for e in estimates]) < 550.0


def test_a_snapshot_is_one_group_and_the_perpetual_quotes_the_stated_spread(write_chain: Any) -> None:
    recording = open_chain(write_chain(), ChainAssumptions(assumed_size=3.0, perp_spread=0.001, feed_delay_ns=7))
    ints, floats = joined(drain(recording.feed))
    assert ints[IntColumn.GROUP].tolist() == [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4
    closing = int(RowFlag.GROUP_END | RowFlag.SNAPSHOT)
    assert ((ints[IntColumn.FLAGS] & closing) == closing).tolist() == [False, False, False, True] * 4
    assert (ints[IntColumn.TS_RECV_NS] - ints[IntColumn.TS_EVENT_NS] == 7).all()
    assert floats[FloatColumn.BID, 3::4].tolist() == [74_962.5, 75_062.0, 75_162.0, 75_262.0]
    assert floats[FloatColumn.ASK, 3::4].tolist() == [75_037.5, 75_138.0, 75_238.0, 75_338.0]
    assert floats[FloatColumn.MARK, 3::4].tolist() == [75_000.0, 75_100.0, 75_200.0, 75_300.0]
    assert np.isnan(floats[FloatColumn.BID_SIZE, 2])
    assert floats[FloatColumn.ASK_SIZE, :3].tolist() == [3.0] * 3
    words = "\n".join(recording.describe())
    for part in ("no sizes: 3 contracts", "10 bp wide", "no delivery price", "no funding", "median 6.0 h"):
        assert part in words


def test_listed_futures_are_quoted_around_the_forward_that_names_them(write_chain: Any) -> None:
    recording = open_chain(write_chain(), ChainAssumptions(perpetual=False, listed_futures=True))
    future = recording.table.id_of("BTC-27MAR26")
    ints, floats = joined(drain(recording.feed))
    marks = floats[FloatColumn.MARK, ints[IntColumn.INSTRUMENT] == future]
    assert marks.tolist() == [75_100.0, 75_200.0, 75_300.0, 75_400.0]
    assert "BTC-PERPETUAL" not in recording.table


def test_a_feed_goes_on_where_it_was_and_seeks_to_whole_snapshots(write_chain: Any) -> None:
    path = write_chain()
    replay = Replay(rows_per_block=3)
    whole = joined(drain(open_chain(path, replay=replay).feed))
    first = open_chain(path, replay=replay).feed
    before = [first.next_block(), first.next_block()]
    again = open_chain(path, replay=replay).feed
    again.restore(first.state())
    got = joined([b for b in before if b is not None] + drain(again))
    np.testing.assert_array_equal(got[0], whole[0])
    np.testing.assert_array_equal(got[1], whole[1])
    again.seek(START + 7 * NS_PER_HOUR)
    assert joined(drain(again))[0][IntColumn.GROUP, 0] == 3
    with pytest.raises(MarketDataError, match="row=99 lies outside"):
        again.restore({"row": 99})


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_cut_at_random_places_the_rows_stay_the_same(write_chain: Any, seed: int) -> None:
    path = write_chain(snapshots=50)
    whole = joined(drain(open_chain(path).feed))
    blocks = drain(open_chain(path, replay=Replay(recut_seed=seed, rows_per_block=64)).feed)
    assert len({len(b) for b in blocks}) > 3
    np.testing.assert_array_equal(joined(blocks)[0], whole[0])
    np.testing.assert_array_equal(joined(blocks)[1], whole[1])


def test_files_of_a_folder_are_joined_in_time_and_named_by_content(write_chain: Any) -> None:
    late = pa.array([START // 1_000_000 + 10**8] * 3, pa.timestamp("ms", "UTC"))
    write_chain("set/a.parquet", snapshots=1, ts=late)
    folder = write_chain("set/b.parquet", snapshots=2).parent
    recording = open_chain(folder, replay=Replay(stop_ns=START + 3 * NS_PER_HOUR))
    assert (recording.snapshots, recording.quotes) == (1, 3)
    used = recording.provenance()
    assert [(u["file"], u["first_row"], u["rows"]) for u in used] == [("b.parquet", 0, 3)]
    assert len(str(used[0]["sha256"])) == 64
    everything = open_chain(folder)
    assert everything.snapshots == 3
    assert everything.cleaned.counts() == {}


def test_two_recordings_share_one_table(write_chain: Any) -> None:
    table = InstrumentTable()
    open_chain(write_chain(), table=table)
    size = len(table)
    second = open_chain(write_chain("again.parquet"), table=table, replay=Replay(source=4))
    assert len(table) == size
    assert second.feed.source == 4


def test_bad_rows_are_quarantined_counted_and_listed(write_chain: Any) -> None:
    names = ["BTC-27MAR26-70000-C", "BTC-27MAR26-70000-P", "NOT-A-SYMBOL"]
    path = write_chain(
        snapshots=1,
        instrument_name=pa.array(names),
        bid_price=pa.array([0.2, float("nan"), None], pa.float64()),
    )
    recording = open_chain(path)
    assert recording.quarantined == {"unknown_instrument": 1, "not_finite": 1, "crossed": 1}
    assert len(recording.unknown) == 1
    assert "NOT-A-SYMBOL" in recording.unknown[0]
    assert recording.quarantine_list()[0] == "row 0 at 2026-02-02T02:40:00.000000000: BTC-27MAR26-70000-C crossed"
    block = recording.feed.next_block()
    assert block is not None
    assert np.isnan(block.floats[[FloatColumn.BID, FloatColumn.ASK], :2]).all()


def test_delivery_is_interpolated_with_a_bridge_error_and_never_beyond_the_recording() -> None:
    history = IndexHistory("BTC", np.array([0, 4, 10]) * NS_PER_HOUR, np.array([100.0, 104.0, 98.0]))
    estimate = history.delivery_price(3 * NS_PER_HOUR)
    assert estimate.price == 103.0
    assert estimate.gap_ns == NS_PER_HOUR
    assert estimate.error == pytest.approx(103.0 * history.realised_vol() * np.sqrt(0.75 / 8760), rel=1e-12)
    assert history.delivery_price(4 * NS_PER_HOUR).error == 0.0
    outside = history.delivery_price(12 * NS_PER_HOUR)
    assert np.isnan(outside.price)
    assert outside.gap_ns == 2 * NS_PER_HOUR


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"assumed_size": 0.0}, "assumed_size=0"),
        ({"perp_spread": 2.0}, "perp_spread=2.0; expected a share"),
        ({"feed_delay_ns": -1}, "feed_delay_ns=-1"),
    ],
)
def test_impossible_assumptions_are_refused(kwargs: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        ChainAssumptions(**kwargs)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"mark_iv": pa.array([50.0, 52.0, 45.0])}, "iv=50 looks like percent; expected decimals near 0.5"),
        ({"mark_price": None}, "chain.parquet lacks column mark_price"),
        ({"bid_price": pa.array(["a", "b", "c"])}, "column bid_price is string; expected numbers"),
        ({"ts": pa.array([1, 2, 3])}, "column ts is int64; expected timestamps"),
        ({"ts": pa.array([1, 2, 3], pa.timestamp("ms"))}, "column ts has no time zone"),
        ({"ts": pa.array([1, None, 3], pa.timestamp("ms", "UTC"))}, "column ts has 1 nulls"),
        ({"instrument_name": pa.array([1, 2, 3])}, "column instrument_name is int64; expected text"),
        ({"currency": pa.array(["BTC", None, "BTC"])}, "column currency has 1 nulls"),
    ],
)
def test_broken_columns_are_refused_in_one_line(write_chain: Any, changes: dict[str, Any], text: str) -> None:
    path = write_chain(snapshots=1, **changes)
    with pytest.raises(MarketDataError) as caught:
        open_chain(path)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_period_without_rows_says_what_the_recording_covers(write_chain: Any) -> None:
    with pytest.raises(MarketDataError, match="runs from 2026-02-02T02:40:00 to 2026-02-02T20:40:00"):
        open_chain(write_chain(), replay=Replay(start_ns=START + 100 * NS_PER_HOUR))

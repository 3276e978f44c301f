"""Full tickers, the end-of-day file, raw messages and daily prices: units, sizes and counts as the files hold them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from voldesk.adapters.feeds.daily_prices import read_daily
from voldesk.adapters.feeds.deribit_eod import open_eod
from voldesk.adapters.feeds.deribit_raw import MessageReader, OrderBook, open_raw, read_instruments
from voldesk.adapters.feeds.deribit_ticker import open_ticker
from voldesk.core.blocks import FloatColumn, IntColumn, RowFlag
from voldesk.core.errors import MarketDataError
from voldesk.core.units import NS_PER_DAY, NS_PER_MS
from voldesk.instruments.deribit import parse


def last_row(recording: Any, symbol: str) -> np.ndarray:
    feed = recording.feed
    return feed.floats[:, feed.ints[IntColumn.INSTRUMENT] == recording.table.id_of(symbol)][:, -1]


@pytest.mark.data
def test_full_tickers_give_decimals_and_contracts(recorded: Any) -> None:
    folder = recorded("deribit_ticker_full")
    recording = open_ticker(folder)
    assert (recording.snapshots, recording.quotes) == (10, 6_710)
    assert recording.quarantined == {}
    source = pq.read_table(folder / "btc_options_2026-01-14_2026-01-23.parquet").to_pylist()
    final = {row["instrument_name"]: row for row in source}
    worst = 0.0
    for name, row in final.items():
        got = last_row(recording, name)
        want = [row["best_bid_amount"], row["mark_iv"] / 100.0, row["underlying_price"], row["open_interest"]]
        columns = [FloatColumn.BID_SIZE, FloatColumn.MARK_IV, FloatColumn.FORWARD, FloatColumn.OPEN_INTEREST]
        for value, column in zip(want, columns, strict=True):
            if not (column == FloatColumn.BID_SIZE and not row["best_bid_price"]):
                worst = max(worst, abs(got[column] - value))
    assert worst < 1e-12
    futures = pq.read_table(folder / "btc_futures_2026-01-14_2026-01-23.parquet").to_pylist()
    perpetual = [row for row in futures if row["instrument_name"] == "BTC-PERPETUAL"][-1]
    assert last_row(recording, "BTC-PERPETUAL")[FloatColumn.BID_SIZE] == perpetual["best_bid_amount"] / 10


@pytest.mark.data
def test_full_tickers_row_by_row_keep_each_instrument_s_own_time(recorded: Any) -> None:
    recording = open_ticker(recorded("deribit_ticker_full"), per_row=True, feed_delay_ns=5 * NS_PER_MS)
    ints = recording.feed.ints
    assert recording.snapshots == 0
    assert np.unique(ints[IntColumn.GROUP]).size == ints.shape[1] == 6_710
    assert (ints[IntColumn.TS_RECV_NS] - ints[IntColumn.TS_EVENT_NS] == 5 * NS_PER_MS).all()
    assert np.unique(ints[IntColumn.TS_EVENT_NS]).size > 1_000


@pytest.mark.data
def test_the_rebuilt_end_of_day_mark_lies_within_the_quotes(recorded: Any) -> None:
    recording = open_eod(recorded("deribit_eod_2021"))
    assert (recording.snapshots, recording.quotes) == (30, 12_134)
    floats = recording.feed.floats
    bid, ask, mark = floats[FloatColumn.BID], floats[FloatColumn.ASK], floats[FloatColumn.MARK]
    two_sided = ~np.isnan(bid + ask)
    assert ((mark >= bid) & (mark <= ask))[two_sided].mean() > 0.99
    assert not np.isnan(floats[FloatColumn.INDEX]).any()
    assert (np.isnan(floats[FloatColumn.BID])).mean() == pytest.approx(0.218, abs=0.0005)
    assert "no mark price" in recording.describe()[0]


@pytest.mark.data
def test_a_websocket_recording_gives_every_message_a_row_and_books_agree_with_tickers(recorded: Any) -> None:
    folder = recorded("deribit_raw_api")
    exact = read_instruments(folder / "http_get_instruments_2021-07-22.jsonl.gz")
    recording = open_raw(folder / "ws_stream_2021-07-22.jsonl.gz", instruments=exact)
    assert recording.quotes == 46 + 89
    assert recording.quarantined == {}
    assert recording.damage == ()
    ints, floats = recording.feed.ints, recording.feed.floats
    is_ticker = (ints[IntColumn.FLAGS] & int(RowFlag.MARK)) != 0
    assert is_ticker.sum() == 89
    assert np.nanmax(floats[FloatColumn.MARK_IV]) < 2.0
    # The last book and the last ticker of an instrument tell the same best quotes.
    compared = 0
    for number in range(len(recording.table)):
        of_it = ints[IntColumn.INSTRUMENT] == number
        book, ticker = floats[:4, of_it & ~is_ticker], floats[:4, of_it & is_ticker]
        if book.shape[1] and ticker.shape[1]:
            np.testing.assert_array_equal(book[:, -1], ticker[:, -1])
            compared += 1
    assert compared == 10


@pytest.mark.data
def test_rest_summaries_and_tickers_open_too(recorded: Any) -> None:
    folder = recorded("deribit_raw_api")
    options = open_raw(folder / "2026-05_deribit_book_summary_btc_option.json.gz", assumed_size=2.0)
    assert options.snapshots == 1
    assert last_row(options, "BTC-23MAY26-70000-C")[:6].tolist() == [0.0855, 2.0, 0.091, 2.0, 0.08786804, 0.561]
    ticker = open_raw(folder / "2026-05_deribit_ticker_btc_perpetual.json.gz")
    assert last_row(ticker, "BTC-PERPETUAL")[:4].tolist() == [76_753.5, 38_576.0, 76_754.0, 2_354.0]


@pytest.mark.data
def test_daily_prices_are_in_order_and_know_only_finished_days(recorded: Any) -> None:
    prices = read_daily(recorded("daily_prices"))
    btc = prices["BTC-USD"]
    assert (np.diff(btc.ts_ns) == NS_PER_DAY).mean() > 0.99
    assert (btc.high >= btc.low).all()
    known = btc.before(int(btc.ts_ns[100]) + NS_PER_DAY - 1)
    assert known.ts_ns.size == 100
    assert np.isnan(prices["DVOL-BTC"].high).all()


@pytest.mark.data
def test_a_truncated_recording_gives_what_was_whole_and_names_where_it_broke(recorded: Any, tmp_path: Path) -> None:
    whole = recorded("deribit_raw_api") / "ws_stream_2021-07-22.jsonl.gz"
    cut = tmp_path / whole.name
    cut.write_bytes(whole.read_bytes()[:-2_000])
    recording = open_raw(cut)
    assert 20 < recording.quotes < 135
    assert f"truncated at byte {whole.stat().st_size - 2_000}" in recording.damage[0]


def message(recv: float, channel: str, data: Any) -> dict[str, Any]:
    return {
        "recv_ts": recv,
        "dir": "in",
        "msg": {"method": "subscription", "params": {"channel": channel, "data": data}},
    }


def write_messages(path: Path, *messages: dict[str, Any] | str) -> Path:
    lines = [m if isinstance(m, str) else json.dumps(m) for m in messages]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


QUOTE = {
    "timestamp": 1_770_000_000_000,
    "instrument_name": "BTC-PERPETUAL",
    "best_bid_price": 75_000.0,
    "best_bid_amount": 100.0,
    "best_ask_price": 0.0,
    "best_ask_amount": 0.0,
}


def test_quotes_trades_and_broken_lines_of_a_raw_recording(tmp_path: Path) -> None:
    trade = {"timestamp": 1_770_000_001_000, "instrument_name": "BTC-PERPETUAL", "price": 75_001.0, "amount": 30.0}
    path = write_messages(
        tmp_path / "raw.jsonl.gz",
        message(1_770_000_000.1, "quote.BTC-PERPETUAL", QUOTE),
        '{"recv_ts": 1770000000.2, "dir": "in", "ms',
        message(1_770_000_001.1, "trades.BTC-PERPETUAL.raw", [trade | {"direction": "sell"}]),
        message(1_770_000_001.2, "ticker.BTC-FS-19MAY26_PERP.raw", QUOTE | {"instrument_name": "BTC-FS-19MAY26_PERP"}),
    )
    recording = open_raw(path)
    floats = recording.feed.floats
    assert floats[:2, 0].tolist() == [75_000.0, 10.0]
    assert np.isnan(floats[2:4, 0]).all()
    assert floats[:2, 1].tolist() == [75_001.0, -3.0]
    assert len(recording.damage) == 2
    assert "no whole JSON object at unpacked byte" in recording.damage[0]
    assert "BTC-FS-19MAY26_PERP" in recording.damage[1]


def test_a_book_that_missed_a_change_shows_nothing_until_the_next_snapshot() -> None:
    book = OrderBook()
    snapshot = {"type": "snapshot", "change_id": 1, "bids": [["new", 10.0, 1.0]], "asks": [["new", 11.0, 2.0]]}
    assert book.apply(snapshot) == [10.0, 1.0, 11.0, 2.0]
    change = {"type": "change", "prev_change_id": 1, "change_id": 2, "bids": [["delete", 10.0, 0.0], ["new", 9.0, 3.0]]}
    assert book.apply(change) == [9.0, 3.0, 11.0, 2.0]
    gap = {"type": "change", "prev_change_id": 5, "change_id": 6, "asks": [["change", 11.0, 9.0]]}
    assert np.isnan(book.apply(gap)).all()
    assert np.isnan(book.apply({"type": "change", "prev_change_id": 6, "change_id": 7})).all()
    assert book.apply(snapshot) == [10.0, 1.0, 11.0, 2.0]


def test_a_ticker_of_an_inverse_perpetual_counts_in_contracts_of_ten_dollars() -> None:
    data = QUOTE | {"mark_price": 75_000.5, "index_price": 74_990.0, "open_interest": 1_000.0}
    ((_, symbol, flags, values),) = MessageReader(parse).rows({"channel": "ticker.BTC-PERPETUAL.raw", "data": data})
    assert symbol == "BTC-PERPETUAL"
    assert flags == int(RowFlag.QUOTE | RowFlag.MARK)
    assert values[0:2] == [75_000.0, 10.0]
    assert values[8] == 100.0
    assert values[6] == 75_000.5


def test_a_raw_file_without_market_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MarketDataError, match="holds no market rows"):
        open_raw(write_messages(tmp_path / "raw.jsonl.gz", {"dir": "connect", "recv_ts": 1.0, "msg": "wss"}))
    plain = tmp_path / "x.json.gz"
    plain.write_text("{}")
    with pytest.raises(MarketDataError, match="no gzip file"):
        open_raw(plain)


def test_daily_prices_with_text_dates_are_refused_and_repeated_days_left_out(tmp_path: Path) -> None:
    path = tmp_path / "daily.parquet"
    price = pa.array([1.0, 2.0, 3.0])
    columns = {"symbol": pa.array(["X"] * 3), "open": price, "high": price, "low": price, "close": price}
    pq.write_table(pa.table(columns | {"date": pa.array(["a", "b", "c"])}), path)
    with pytest.raises(MarketDataError, match="column date is string"):
        read_daily(path)
    pq.write_table(pa.table(columns | {"date": pa.array([5, 4, 5], pa.date32())}), path)
    assert read_daily(path)["X"].close.tolist() == [2.0, 1.0]

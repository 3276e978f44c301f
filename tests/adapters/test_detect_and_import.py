"""Whatever a path names is recognised or refused in one line; vendor files become recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from voldesk.adapters.feeds.detect import KNOWN_FORMATS, check, detect, open_recording
from voldesk.adapters.feeds.recording import Replay
from voldesk.adapters.recording.vendor import VendorMapping, import_vendor, read_vendor
from voldesk.core.blocks import FloatColumn, IntColumn
from voldesk.core.errors import InputError, MarketDataError


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("deribit_chain_6h", "deribit_chain"),
        ("deribit_chain_6h_eth/eth_2026-01-15_2026-02-28.parquet", "deribit_chain"),
        ("deribit_ticker_full", "deribit_ticker"),
        ("deribit_eod_2021", "deribit_eod"),
        ("deribit_raw_api/ws_stream_2021-07-22.jsonl.gz", "deribit_raw"),
    ],
)
def test_each_recorded_set_is_recognised(recorded: Any, name: str, known: str) -> None:
    assert detect(recorded(name)) == known


@pytest.mark.data
@pytest.mark.parametrize("name", ["sentiment", "us_chains_daily", "deribit_iv_hourly", "README.md"])
def test_other_sets_are_refused_with_the_list_of_known_formats(recorded: Any, name: str) -> None:
    with pytest.raises(MarketDataError) as caught:
        open_recording(recorded(name))
    assert all(known in str(caught.value) for known in KNOWN_FORMATS)
    assert "\n" not in str(caught.value)


@pytest.mark.data
def test_the_check_of_a_recorded_set_gives_scores_and_words(recorded: Any) -> None:
    made = check(recorded("deribit_chain_6h_eth"))
    assert made.format == "deribit_chain"
    assert (made.snapshots, made.quotes) == (178, 137_286)
    assert 90.0 < made.overall.total < 100.0
    assert made.overall.completeness == pytest.approx(0.945, abs=0.001)
    assert any("no bid in 8.3 %" in issue for issue in made.overall.issues)
    assert made.damage == ()


def broken(kind: str, folder: Path, write_chain: Any) -> Path:
    good = write_chain("set/a.parquet")
    path = good.parent / "b.parquet"
    match kind:
        case "truncated":
            path.write_bytes(good.read_bytes()[:700])
        case "empty file":
            path.write_bytes(b"")
        case "not parquet":
            path.write_text("hello, world")
        case "other columns":
            pq.write_table(pa.table({"a": [1]}), path)
        case "missing":
            path = folder / "nothing here"
        case "empty folder":
            path = folder / "void"
            path.mkdir()
        case "no rows":
            pq.write_table(pq.read_table(good).slice(0, 0), path)
        case "other suffix":
            path = folder / "quotes.xlsx"
            path.write_bytes(b"PK")
    return path


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("truncated", "b.parquet is truncated: its footer is missing at byte 700"),
        ("empty file", "b.parquet is empty (0 bytes)"),
        ("not parquet", "b.parquet is no Parquet file"),
        ("other columns", "b.parquet has columns a; known formats: "),
        ("missing", "does not exist"),
        ("empty folder", "holds no .parquet file"),
        ("no rows", "holds no rows"),
        ("other suffix", "quotes.xlsx is of no known format; known formats: "),
    ],
)
def test_what_cannot_be_opened_is_refused_in_one_line(kind: str, text: str, tmp_path: Path, write_chain: Any) -> None:
    with pytest.raises(MarketDataError) as caught:
        open_recording(broken(kind, tmp_path, write_chain))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_file_stops_a_replay_unless_allowed_and_the_check_names_it(tmp_path: Path, write_chain: Any) -> None:
    folder = broken("truncated", tmp_path, write_chain).parent
    with pytest.raises(MarketDataError, match=r"b\.parquet is truncated"):
        open_recording(folder)
    recording = open_recording(folder, replay=Replay(allow_damaged=True))
    assert recording.quotes == 12
    assert len(recording.damage) == 1
    assert check(folder).damage[0].startswith("b.parquet is truncated")


CSV = """when,ticker,b,bs,a,as_,vol
2026-02-02 09:30:00,BTC-27MAR26-70000-C,0.10,5,0.11,6,50
2026-02-02 09:30:00,BTC-27MAR26-70000-P,,,0.04,6,51
2026-02-02 09:31:00,BTC-27MAR26-70000-C,0.12,5,0.11,6,50
2026-02-02 09:31:00,WHAT,0.12,5,0.13,6,50
"""
COLUMNS = {"symbol": "ticker", "ts_event": "when", "bid": "b", "bid_size": "bs", "ask": "a", "ask_size": "as_"}


def test_a_csv_is_cleaned_and_becomes_a_recording_that_replays(tmp_path: Path) -> None:
    path = tmp_path / "quotes.csv"
    path.write_text(CSV)
    mapping = VendorMapping(
        columns=COLUMNS | {"mark_iv": "vol"}, iv_percent=True, time_zone="America/New_York", snapshot_gap_ns=0
    )
    recording = import_vendor(path, mapping, tmp_path / "out")
    assert recording.quarantined == {"unknown_instrument": 1, "crossed": 1}
    again = open_recording(tmp_path / "out")
    assert again.format == "voldesk-blocks"
    assert again.snapshots == 2
    np.testing.assert_array_equal(again.feed.floats, recording.feed.floats)
    assert again.feed.floats[FloatColumn.MARK_IV].tolist() == [0.5, 0.51, 0.5]
    # 09:30 in New York is 14:30 UTC in winter.
    first = np.datetime64("2026-02-02T14:30:00", "ns").astype(np.int64)
    assert again.feed.ints[IntColumn.TS_EVENT_NS, 0] == first
    assert check(tmp_path / "out").quotes == 3


def test_trades_with_whole_number_times_are_imported_in_order(tmp_path: Path) -> None:
    path = tmp_path / "trades.parquet"
    times, symbols = [1_770_000_000_500, 1_770_000_000_100], ["BTC-PERPETUAL"] * 2
    pq.write_table(pa.table({"t": times, "s": symbols, "p": [75_001.0, 75_000.0], "q": [2.0, -3.0]}), path)
    columns = {"symbol": "s", "ts_event": "t", "trade_price": "p", "trade_size": "q"}
    recording = read_vendor(path, VendorMapping(columns=columns))
    assert recording.feed.floats[FloatColumn.BID].tolist() == [75_000.0, 75_001.0]
    assert recording.feed.floats[FloatColumn.BID_SIZE].tolist() == [-3.0, 2.0]
    with pytest.raises(MarketDataError, match="column t in s gives dates outside 1980 to 2100"):
        read_vendor(path, VendorMapping(columns=columns, ts_unit="s"))


@pytest.mark.parametrize(
    ("kwargs", "text"),
    [
        ({"columns": {"symbol": "s"}}, "mapping lacks ts_event"),
        ({"columns": COLUMNS | {"bidd": "x"}}, "mapping field bidd is unknown"),
        ({"columns": {"symbol": "s", "ts_event": "t"}}, "neither bid/ask nor trade_price"),
        ({"columns": COLUMNS | {"trade_price": "p", "trade_size": "q"}}, "has quotes and trades"),
        ({"columns": {"symbol": "s", "ts_event": "t", "trade_price": "p"}}, "lacks trade_price or trade_size"),
        ({"columns": COLUMNS, "symbology": "nyse"}, "symbology=nyse; expected one of"),
        ({"columns": COLUMNS, "ts_unit": "minutes"}, "ts_unit=minutes; expected one of"),
    ],
)
def test_a_mapping_that_cannot_work_is_refused(kwargs: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        VendorMapping(**kwargs)


@pytest.mark.parametrize(
    ("content", "mapping", "text"),
    [
        (CSV, {"columns": COLUMNS | {"ask": "ask_px"}}, "lacks column ask_px; found when, ticker"),
        (CSV, {"columns": COLUMNS | {"mark_iv": "vol"}}, "looks like percent"),
        (CSV, {"columns": COLUMNS, "time_zone": "Mars/Olympus"}, "column when in Mars/Olympus"),
        (CSV, {"columns": COLUMNS | {"bid": "ticker"}}, "column ticker is string; expected numbers"),
        (CSV, {"columns": COLUMNS | {"ts_event": "ticker"}}, "column ticker is string; expected times"),
        ("a,b\n1,2,3\n", {"columns": COLUMNS}, "is no readable CSV"),
        (CSV.splitlines()[0] + "\n", {"columns": COLUMNS}, "holds no rows"),
    ],
)
def test_a_vendor_file_that_does_not_fit_is_refused_in_one_line(
    tmp_path: Path, content: str, mapping: dict[str, Any], text: str
) -> None:
    path = tmp_path / "quotes.csv"
    path.write_text(content)
    with pytest.raises(MarketDataError) as caught:
        read_vendor(path, VendorMapping(**mapping))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)

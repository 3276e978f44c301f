"""`voldesk record` and `voldesk import`: what is written replays, and decides what the market itself would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voldesk.adapters.feeds.daily_prices import read_daily, write_daily
from voldesk.app.commands.record import read_mapping, run_import, run_record
from voldesk.app.config import load_config
from voldesk.app.sources import NO_SEED, open_market
from voldesk.app.wiring import open_journal, wire
from voldesk.core.blocks import IntColumn, RowFlag
from voldesk.core.units import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from voldesk.engine.journal import decisions_sha256

DEMO = Path(__file__).resolve().parents[2] / "config" / "demo.yaml"
SHORT = ("synthetic.duration=1h",)


def _record(out: Path, capsys: pytest.CaptureFixture[str], span: str, data: Path | None = None) -> Any:
    run_record(DEMO, out, span, data, SHORT, True)
    return json.loads(capsys.readouterr().out)


def _decide(folder: Path, data: Path | None) -> tuple[str, int]:
    config = load_config(DEMO, SHORT)
    source = open_market(config, data)
    journal = open_journal(folder / "journal", config, source, "backtest")
    wired = wire(config, source, journal, journal_rows=False)
    wired.engine.run()
    journal.close()
    return decisions_sha256(folder / "journal"), len(wired.parts.orders)


def test_a_backtest_of_a_recording_decides_byte_for_byte_as_one_of_the_market(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_record(DEMO, tmp_path / "rec", "4h", None, SHORT, True)
    made = json.loads(capsys.readouterr().out)
    assert made["rows"] > 10_000
    assert made["seed_days"] == 400
    recorded, orders = _decide(tmp_path / "recorded", tmp_path / "rec")
    assert orders >= 2  # a straddle at least
    assert (recorded, orders) == _decide(tmp_path / "market", None)


def test_the_seed_of_the_forecast_travels_in_the_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _record(tmp_path / "rec", capsys, "2m")
    config = load_config(DEMO, SHORT)
    market, recorded = open_market(config, None), open_market(config, tmp_path / "rec")
    assert market.seed_prices is not None
    assert recorded.seed_prices is not None
    for name in ("ts_ns", "close", "variance"):
        np.testing.assert_array_equal(getattr(recorded.seed_prices, name), getattr(market.seed_prices, name))
    assert NO_SEED not in recorded.lacks
    assert recorded.lacks == market.lacks


def test_daily_prices_come_back_as_they_were_written(tmp_path: Path) -> None:
    config = load_config(DEMO, SHORT)
    days = open_market(config, None).seed_days
    assert days is not None
    write_daily(tmp_path / "daily_prices", days)
    again = read_daily(tmp_path / "daily_prices")["BTC-USD"]
    for name in ("ts_ns", "open", "high", "low", "close"):
        np.testing.assert_array_equal(getattr(again, name), getattr(days, name))


def test_only_the_time_asked_for_is_recorded_and_no_group_is_cut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _record(tmp_path / "rec", capsys, "95s")
    source = open_market(load_config(DEMO, SHORT), tmp_path / "rec")
    block = source.feeds[0].next_block()
    assert block is not None
    ts = block.ints[IntColumn.TS_EVENT_NS]
    assert 94 * NS_PER_SECOND <= int(ts[-1] - ts[0]) < 95 * NS_PER_SECOND
    assert block.ints[IntColumn.FLAGS, -1] & int(RowFlag.GROUP_END)
    # What the market delivers after that is not there, what it delivers before is, row for row.
    market = open_market(load_config(DEMO, SHORT), None).feeds[0]
    first = [market.next_block(), market.next_block()]
    ints = np.hstack([part.ints for part in first if part is not None])
    np.testing.assert_array_equal(block.ints, ints[:, : len(block)])
    assert ints[IntColumn.TS_EVENT_NS, len(block)] >= ts[0] + 95 * NS_PER_SECOND


def test_a_recording_of_a_recording_holds_the_same_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = _record(tmp_path / "one", capsys, "3m")
    second = _record(tmp_path / "two", capsys, "1h", tmp_path / "one")
    assert (second["rows"], second["first"], second["last"]) == (first["rows"], first["first"], first["last"])
    assert second["seed_days"] == first["seed_days"]
    config = load_config(DEMO, SHORT)
    blocks = [open_market(config, tmp_path / name).feeds[0].next_block() for name in ("one", "two")]
    assert blocks[0] is not None
    assert blocks[1] is not None
    np.testing.assert_array_equal(blocks[0].ints, blocks[1].ints)
    np.testing.assert_array_equal(blocks[0].floats, blocks[1].floats)


def test_a_finely_recorded_expiry_is_left_to_the_exchanges_average(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    friday = ("synthetic.start=2026-01-09T07:45:00Z", "synthetic.duration=30m")
    run_record(DEMO, tmp_path / "rec", "1h", None, friday, True)
    source = open_market(load_config(DEMO, friday), tmp_path / "rec")
    expiry = source.start_ns + 15 * NS_PER_MINUTE
    assert expiry in source.table.expiry_ns
    assert source.delivery_prices["BTC"] == {}
    assert source.end_ns - source.start_ns < NS_PER_HOUR


def test_people_are_told_how_much_was_written_and_how_to_replay_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_record(DEMO, tmp_path / "rec", "1m", None, SHORT, False)
    said = capsys.readouterr().out
    assert "2026-01-05T00:00:00Z to 2026-01-05T00:00:59Z" in said
    assert f"--data {tmp_path / 'rec'}" in said


def test_a_vendor_file_becomes_a_recording_and_its_faults_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "q.csv").write_text(
        "t,s,b,a,v\n"
        "2026-02-02 09:30:00,BTC-27MAR26-70000-C,0.10,0.11,50\n"
        "2026-02-02 09:30:00.5,BTC-27MAR26-70000-P,0.05,0.04,51\n"
        "2026-02-02 09:30:00.7,WHAT,0.05,0.06,51\n"
    )
    (tmp_path / "m.yaml").write_text(
        "columns: {symbol: s, ts_event: t, bid: b, ask: a, mark_iv: v}\n"
        "iv_percent: true\nsnapshot_gap: 1s\nassumed_size: 5\n"
    )
    mapping = read_mapping(tmp_path / "m.yaml")
    assert mapping.snapshot_gap_ns == NS_PER_SECOND
    run_import(tmp_path / "q.csv", tmp_path / "m.yaml", tmp_path / "rec", True)
    made = json.loads(capsys.readouterr().out)
    assert made["quarantined"] == {"crossed": 1, "unknown_instrument": 1}
    assert made["snapshots"] == 1
    assert made["unknown"][0].startswith("instrument=WHAT")
    run_import(tmp_path / "q.csv", tmp_path / "m.yaml", tmp_path / "again", False)
    said = capsys.readouterr().out
    assert "row 1 at 2026-02-02T09:30:00" in said
    assert "crossed" in said

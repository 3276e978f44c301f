"""A journal comes back as exact tables: also one that is torn, still open, or holds a fill twice."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from voldesk.app.run_folder import newest_run, read_tables, write_tables
from voldesk.core.errors import InputError, JournalError
from voldesk.core.orders import Purpose
from voldesk.core.reports import PositionTaken
from voldesk.engine.journal import RecordKind, decisions_sha256, read_segment
from voldesk.pricing import black

T0 = 1_767_225_600_000_000_000
HOUR = 3_600_000_000_000
YEAR = 365 * 24 * HOUR
CALL, PUT, PERPETUAL = range(3)


def test_a_fill_carries_its_order_its_intent_and_exact_money(by_hand: Path) -> None:
    fill = read_tables(by_hand).fills[0]
    assert (fill.book, fill.strategy, fill.purpose) == ("gamma", "pq_trader", "open")
    assert (fill.symbol, fill.lots, fill.contracts, fill.price) == ("BTC-9JAN26-90000-C", 10, "1", "0.024")
    assert (fill.value_units, fill.fee_units, fill.fee) == (2_400_000, 30_000, "0.00030000")
    assert (fill.intent_id, fill.order_id, fill.trade_id, fill.liquidity) == (1, 1, 1, "taker")
    assert fill.reason.startswith("open_long")
    assert fill.price_usd == pytest.approx(0.024 * 90_000, rel=1e-15)


def test_an_inverse_hedge_is_worth_minus_its_dollars_over_the_price(by_hand: Path) -> None:
    sold, bought = (fill for fill in read_tables(by_hand).fills if not fill.is_option)
    assert (sold.lots, sold.value_units, bought.value_units) == (-900, 10_000_000, -9_000_000)
    assert math.isnan(sold.iv)
    assert math.isnan(sold.vega_volpt_usd)


def test_the_vol_of_an_option_fill_reprices_it(by_hand: Path) -> None:
    for fill in (f for f in read_tables(by_hand).fills if f.is_option):
        tau = (T0 + 8 * 24 * HOUR + 8 * HOUR - fill.ts_ns) / YEAR
        price = float(black.price(fill.forward, 90_000.0, tau, fill.iv, 1.0, fill.symbol.endswith("C")))
        assert price / fill.forward == pytest.approx(float(fill.price), rel=1e-12)
    first = read_tables(by_hand).fills[0]
    assert first.fitted_iv == pytest.approx(0.40, rel=1e-12)
    # An at-the-money option's vega is F sqrt(tau / 2 pi) exp(-s^2 / 8), for one BTC, per vol point.
    tau = (8 * 24 * HOUR + 8 * HOUR - 2) / YEAR
    vega = 900.0 * math.sqrt(tau / (2 * math.pi)) * math.exp(-(first.iv**2) * tau / 8)
    assert first.vega_volpt_usd == pytest.approx(vega, rel=1e-12)


def test_a_fill_heard_twice_is_one_fill(tmp_path: Path, written: Callable[..., Any]) -> None:
    run = written(tmp_path)
    report = run.trade(1, Purpose.HEDGE, {PERPETUAL: (5, 180_000, 10)})[0]
    run.hear(2, report)
    tables = read_tables(run.end())
    assert len(tables.fills) == 1
    assert tables.positions == {("gamma", PERPETUAL): 5}
    assert tables.orders[1].filled_lots == 5


def test_a_refused_check_is_a_veto_with_its_numbers_and_a_warning_or_waived_one_is_not(by_hand: Path) -> None:
    tables = read_tables(by_hand)
    assert tables.veto_counts() == {"DELTA": 1}
    veto = tables.vetoes[0]
    assert (veto.limit, veto.current, veto.projected, veto.unit) == (10.0, 2.0, 12.0, "underlying")
    assert (veto.scope, veto.legs) == ("underlying:BTC", "+50 BTC-9JAN26-90000-C")
    assert tables.exemptions == {"reduce_only": 1}
    assert tables.warnings == {"PAUSED": 1}


def test_settlement_and_funding_are_the_ledgers_to_the_unit(by_hand: Path) -> None:
    tables = read_tables(by_hand)
    (settled,) = tables.settlements
    # (100,000 - 90,000) / 100,000 BTC, bought for 0.1040; delivery fee 0.015 % of 1 BTC.
    assert (settled.lots, settled.payoff_units, settled.gain_units, settled.fee_units) == (
        10,
        10_000_000,
        -400_000,
        15_000,
    )
    (funded,) = tables.funding
    assert (funded.units, funded.position_units, funded.rate) == (1_000, -10_000_000, "0.0001")
    assert tables.positions == {}


def test_a_liquidation_is_shared_by_the_books_that_held_it(tmp_path: Path, written: Callable[..., Any]) -> None:
    books = "books:\n- {name: gamma}\n- {name: other}\n"
    run = written(tmp_path, books)
    run.trade(1, Purpose.HEDGE, {PERPETUAL: (20, 180_000, 10)})
    run.trade(2, Purpose.HEDGE, {PERPETUAL: (10, 180_000, 10)}, book="other")
    run.hear(3, PositionTaken(T0 + 3, T0 + 3, 99, PERPETUAL, -15, 180_000, 7, "BTC"))
    tables = read_tables(run.end())
    taken = [(f.book, f.lots, f.fee_units, f.purpose) for f in tables.fills[2:]]
    assert taken == [("gamma", -10, 5, "liquidation"), ("other", -5, 2, "liquidation")]
    assert tables.positions == {("gamma", PERPETUAL): 10, ("other", PERPETUAL): 5}


def test_orders_end_as_the_venue_said(by_hand: Path) -> None:
    orders = read_tables(by_hand).orders
    assert [row.state for row in orders.values()] == ["filled"] * 7
    assert orders[3].price == "90000"


def test_every_torn_end_leaves_what_stands_before_it(by_hand: Path) -> None:
    path = by_hand / "journal" / "000001.vdj"
    good = path.read_bytes()
    records, _ = read_segment(path)
    last_mark = records[-2]
    assert last_mark.kind is RecordKind.FACT
    whole = read_tables(by_hand)
    assert whole.is_closed
    for length in range(last_mark.offset, last_mark.offset + 9 + len(last_mark.payload)):
        path.write_bytes(good[:length])
        torn = read_tables(by_hand)
        assert not torn.is_closed
        assert len(torn.marks.all) == len(whole.marks.all) - 1
        assert str(torn.fills) == str(whole.fills)
        assert torn.decisions_sha256 == whole.decisions_sha256


def test_a_run_still_being_written_reads_up_to_the_last_flush(tmp_path: Path, written: Callable[..., Any]) -> None:
    run = written(tmp_path)
    run.mark(0)
    run.journal.flush()
    run.mark(1)
    tables = read_tables(tmp_path)
    assert [mark.ts_ns for mark in tables.marks.all] == [T0]
    assert not tables.is_closed
    run.journal.close()


def test_the_hash_is_the_journals(by_hand: Path) -> None:
    assert read_tables(by_hand).decisions_sha256 == decisions_sha256(by_hand / "journal")


def test_a_changed_byte_is_refused(by_hand: Path) -> None:
    path = by_hand / "journal" / "000001.vdj"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(JournalError, match="journal record"):
        read_tables(by_hand)


def test_what_is_no_run_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such run folder"):
        read_tables(tmp_path / "nowhere")
    with pytest.raises(JournalError, match="no journal segments"):
        read_tables(tmp_path)
    with pytest.raises(InputError, match="no runs here"):
        newest_run(tmp_path / "runs")


def test_the_newest_run_is_the_one_written_last(tmp_path: Path, written: Callable[..., Any]) -> None:
    for place, name in enumerate(("b", "a", "c")):
        folder = written(tmp_path / name).end()
        stamp = 1_700_000_000 + (5 if name == "a" else place)
        os.utime(folder / "journal" / "000001.vdj", (stamp, stamp))
    assert newest_run(tmp_path).name == "a"


def test_the_parquet_files_hold_the_money_exactly_as_integers_and_as_text(by_hand: Path) -> None:
    paths = write_tables(by_hand)
    assert [path.name for path in paths] == ["fills.parquet", "equity.parquet"]
    tables = read_tables(by_hand)
    fills = pq.read_table(paths[0]).to_pylist()
    assert [row["fee_units"] for row in fills] == [fill.fee_units for fill in tables.fills]
    assert [row["side"] for row in fills] == ["buy", "buy", "sell", "sell", "sell", "buy", "buy"]
    equity = pq.read_table(paths[1]).to_pylist()
    assert equity[-1]["equity"] == "10.04426000"
    assert equity[-1]["equity_units"] == 1_004_426_000
    assert equity[-1]["settlement_units"] == -400_000
    for row in equity:
        parts = sum(value for name, value in row.items() if name.endswith("_units") and name != "equity_units")
        assert row["equity_units"] == 1_000_000_000 + parts


def test_an_empty_run_still_gives_its_files(tmp_path: Path, written: Callable[..., Any]) -> None:
    folder = written(tmp_path).end()
    for path in write_tables(folder):
        assert pq.read_table(path).num_rows == 0

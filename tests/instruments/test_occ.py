"""OCC symbols, hours across daylight saving, and index options; grids checked on recorded quotes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.instruments.occ import equity, is_am_settled, padded_symbol_of, parse, symbol_of
from voldesk.instruments.spec import Delivery, Exercise, Kind


def utc(ts_ns: int) -> datetime:
    return datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC)


def test_a_stock_option_is_american_over_a_hundred_shares() -> None:
    option = parse("MSTR260619C00400000")
    assert (option.strike, option.is_call, option.underlying) == (400, True, "MSTR")
    assert (option.multiplier, option.lot, option.settle_currency) == (100, 1, "USD")
    assert option.exercise is Exercise.AMERICAN
    assert option.delivery is Delivery.PHYSICAL
    assert parse("SPY260722P00565500").strike == Decimal("565.5")


def test_expiry_is_the_new_york_close_in_winter_summer_and_on_early_closes() -> None:
    assert utc(parse("SPY260116C00600000").expiry_ns) == datetime(2026, 1, 16, 21, tzinfo=UTC)
    assert utc(parse("SPY260619C00600000").expiry_ns) == datetime(2026, 6, 19, 20, tzinfo=UTC)
    assert utc(parse("SPY251128C00600000").expiry_ns) == datetime(2025, 11, 28, 18, tzinfo=UTC)


def test_the_padded_form_means_the_same_contract() -> None:
    compact, padded = parse("MSTR260619C00400000"), parse("MSTR  260619C00400000")
    assert compact == padded
    assert padded_symbol_of(compact) == "MSTR  260619C00400000"
    with pytest.raises(InputError, match="21"):
        parse("MSTR 260619C00400000")


def test_spx_is_european_cash_in_the_morning_and_spxw_at_the_close() -> None:
    morning, close = parse("SPX260821C06000000"), parse("SPXW260821C06000000")
    for option in (morning, close):
        assert (option.underlying, option.exercise, option.delivery) == ("SPX", Exercise.EUROPEAN, Delivery.CASH)
        assert option.multiplier == 100
    assert is_am_settled(morning)
    assert not is_am_settled(close)
    assert utc(morning.expiry_ns) == datetime(2026, 8, 21, 13, 30, tzinfo=UTC)
    assert utc(close.expiry_ns) == datetime(2026, 8, 21, 20, tzinfo=UTC)


def test_a_share_is_an_instrument_and_an_index_is_not() -> None:
    share = parse("MSTR")
    assert share == equity("MSTR")
    assert (share.kind, share.multiplier, share.underlying) == (Kind.EQUITY, 1, "MSTR")
    assert symbol_of(share) == "MSTR"
    with pytest.raises(InputError, match="index"):
        parse("SPX")


@given(
    root=st.sampled_from(["MSTR", "QQQ", "A", "SPX", "SPXW", "XSP", "NDX", "NDXP", "RUT", "RUTW", "VIX", "VIXW"]),
    day=st.dates(date(2010, 1, 1), date(2069, 12, 31)),
    right=st.sampled_from("CP"),
    strike=st.integers(1, 99_999_999),
)
def test_every_symbol_round_trips(root: str, day: date, right: str, strike: int) -> None:
    symbol = f"{root}{day:%y%m%d}{right}{strike:08d}"
    assert symbol_of(parse(symbol)) == symbol


@pytest.mark.parametrize("symbol", ["", "mstr", "MSTR1260619C00400000", "MSTR260230C00400000", "MSTR260619C00000000"])
def test_malformed_symbols_are_refused(symbol: str) -> None:
    with pytest.raises(InputError, match="instrument="):
        parse(symbol)


@pytest.mark.data
@pytest.mark.parametrize("name", ["spx_cboe_2026-07-22_07-29_08-05", "spy_cboe_2026-07-22_2026-08-06"])
def test_recorded_contracts_parse_and_their_quotes_lie_on_the_grid(recorded: Callable[[str], Path], name: str) -> None:
    table = pq.read_table(
        recorded(f"us_chains_quotes/{name}.parquet"), columns=["contract", "underlying", "expiry", "strike", "bid"]
    )
    first = table.filter(pc.equal(table["expiry"], pc.min(table["expiry"])))
    rows = (*first.to_pylist()[:4000], *table.slice(0, 40_000).to_pylist()[::10])
    for row in rows:
        option = parse(row["contract"])
        assert (option.underlying, float(option.strike)) == (row["underlying"], row["strike"])
        assert option.ticks.is_valid(option.ticks.nearest(row["bid"]))
        assert abs(float(option.ticks.price(option.ticks.nearest(row["bid"]))) - row["bid"]) < 1e-9

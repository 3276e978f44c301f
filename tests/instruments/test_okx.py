"""OKX symbols and terms; the tick grid is checked on every recorded quote."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.instruments.okx import parse, symbol_of
from voldesk.instruments.spec import Kind, Settlement


def test_an_option_is_a_hundredth_of_a_bitcoin_settled_in_coin() -> None:
    option = parse("BTC-USD-260327-70000-C")
    assert (option.multiplier, option.lot) == (Decimal("0.01"), 1)
    assert (option.underlying, option.quote_currency, option.settle_currency) == ("BTC", "BTC", "BTC")
    assert option.settlement is Settlement.INVERSE
    assert option.expiry_ns == 1_774_598_400_000_000_000  # 2026-03-27 08:00 UTC
    assert parse("ETH-USD-260327-2500-P").multiplier == Decimal("0.1")


def test_swaps_and_futures_are_inverse_in_usd_and_linear_in_usdt() -> None:
    inverse, linear = parse("BTC-USD-SWAP"), parse("BTC-USDT-SWAP")
    assert (inverse.multiplier, inverse.settle_currency, inverse.is_reciprocal) == (100, "BTC", True)
    assert (linear.multiplier, linear.settle_currency, linear.is_reciprocal) == (Decimal("0.01"), "USDT", False)
    assert parse("BTC-USD-260327").kind is Kind.FUTURE
    assert parse("BTC-USDT").kind is Kind.SPOT


@given(
    coin=st.sampled_from(["BTC", "ETH"]),
    days=st.integers(0, 365 * 9),
    strike=st.integers(1, 500_000),
    right=st.sampled_from("CP"),
)
def test_every_option_symbol_round_trips(coin: str, days: int, strike: int, right: str) -> None:
    symbol = f"{coin}-USD-{date(2021, 1, 1) + timedelta(days):%y%m%d}-{strike}-{right}"
    assert symbol_of(parse(symbol)) == symbol


@pytest.mark.parametrize("symbol", ["BTC-USD-SWAP", "ETH-USDT-SWAP", "BTC-USD-260327", "ETH-USDT-260327", "BTC-USDC"])
def test_other_symbols_round_trip(symbol: str) -> None:
    assert symbol_of(parse(symbol)) == symbol


@pytest.mark.parametrize(
    "symbol",
    ["BTC", "BTC-USD", "BTC-USDT-260327-70000-C", "BTC-USD-261301-1-C", "XRP-USD-260327-1-C", "BTC-USD-260327-070-C"],
)
def test_what_okx_does_not_list_is_refused(symbol: str) -> None:
    with pytest.raises(InputError, match=symbol):
        parse(symbol)


@pytest.mark.data
def test_every_recorded_quote_lies_on_the_tick_grid(recorded: Callable[[str], Path]) -> None:
    columns = ["instrument", "expiry_date", "strike", "option_type", "bid_price", "ask_price"]
    table = pq.read_table(recorded("crypto_options_daily/okx_2026-07-04_2026-07-24.parquet"), columns=columns)
    quotes = 0
    for row in table.to_pylist():
        option = parse(row["instrument"])
        assert (float(option.strike), option.is_call) == (row["strike"], row["option_type"] == "C")
        assert f"{row['expiry_date']:%y%m%d}" in row["instrument"]
        for price in (row["bid_price"], row["ask_price"]):
            if price is not None:
                quotes += 1
                assert option.ticks.is_valid(option.ticks.nearest(price))
                assert abs(float(option.ticks.price(option.ticks.nearest(price))) - price) < 1e-12
    assert quotes > 50_000

"""Fee schedules against the venues' published worked examples, and properties over all schedules."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.core.money import to_units
from voldesk.core.reports import Liquidity
from voldesk.instruments import ccxt_symbols, cffex, deribit, occ, okx
from voldesk.instruments.calendars import instant_ns
from voldesk.instruments.fees import (
    SCHEDULES,
    FeeBasis,
    delivery_fee,
    delivery_rate,
    exact_trade_fee,
    schedule_of,
    trade_fee,
)
from voldesk.instruments.settlement import payoff

NOW = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 1_000_000_000
MAKER, TAKER = Liquidity.MAKER, Liquidity.TAKER
INSTRUMENTS = [
    deribit.parse("BTC-27MAR26-70000-C"),
    deribit.parse("ETH-24MAR26-2500-P"),
    deribit.parse("BTC_USDC-27MAR26-70000-C"),
    deribit.parse("XRP_USDC-26JUN26-0d55-P"),
    deribit.parse("BTC-PERPETUAL"),
    deribit.parse("BTC-20MAR26"),
    okx.parse("BTC-USD-260327-70000-C"),
    okx.parse("ETH-USD-260324-2500-P"),
    okx.parse("BTC-USDT-SWAP"),
    occ.parse("MSTR260619C00400000"),
    occ.parse("SPX260821P06000000"),
    occ.parse("MSTR"),
    cffex.parse("IO2601-C-4000"),
    cffex.parse("IF2601"),
    ccxt_symbols.instrument_of("BTC/USDT:USDT", "bybit"),
]
OPTIONS = [i for i in INSTRUMENTS if i.is_option]


def test_deribit_futures_fees_equal_the_worked_examples_of_its_fee_page() -> None:
    # support.deribit.com/hc/en-us/articles/25944746248989-Fees: 10,000 USD at 100,000 and 50,000 USD at 100,000.
    weekly, perpetual = deribit.parse("BTC-20MAR26"), deribit.parse("BTC-PERPETUAL")
    weekly_ticks, perpetual_ticks = 100_000 * 2 // 5, 100_000 * 2
    assert trade_fee(weekly, 1_000, weekly_ticks, TAKER, Fraction(1), NOW) == 5_000  # 0.00005 BTC
    assert trade_fee(weekly, -1_000, weekly_ticks, MAKER, Fraction(1), NOW) == -1_000  # rebate of 0.00001 BTC
    assert trade_fee(perpetual, 5_000, perpetual_ticks, TAKER, Fraction(1), NOW) == 25_000  # 0.00025 BTC
    assert trade_fee(perpetual, 5_000, perpetual_ticks, MAKER, Fraction(1), NOW) == 0


def test_the_cheapest_deribit_option_pays_an_eighth_of_a_tick() -> None:
    # Same page: an option traded at 0.0001 BTC pays 0.0000125 BTC instead of 0.0003 BTC.
    option = deribit.parse("BTC-27MAR26-70000-C")
    assert trade_fee(option, 10, 1, TAKER, Fraction(60_000), NOW) == 1_250


def test_okx_fees_equal_the_worked_example_of_its_fee_rules() -> None:
    # OKX, Trading Fee Rules FAQ: 100 calls at 0.05, taker 0.0003 BTC, maker 0.0002 BTC.
    option = okx.parse("BTC-USD-260327-70000-C")
    assert trade_fee(option, 100, 500, TAKER, Fraction(60_000), NOW) == 30_000
    assert trade_fee(option, 100, 500, MAKER, Fraction(60_000), NOW) == 20_000


def test_okx_lowered_its_cap_to_seven_percent_on_the_fifteenth_of_may_2025_at_seven_utc() -> None:
    option = okx.parse("BTC-USD-260327-70000-C")
    change = instant_ns(date(2025, 5, 15), time(7))
    # 100 contracts at 0.0005: premium 0.0005 BTC, uncapped fee 0.0003 BTC.
    assert trade_fee(option, 100, 5, TAKER, Fraction(60_000), change - 1) == 6_250
    assert trade_fee(option, 100, 5, TAKER, Fraction(60_000), change) == 3_500


def test_a_linear_option_pays_on_the_index_in_its_settle_currency() -> None:
    option = deribit.parse("BTC_USDC-27MAR26-70000-C")
    # 0.1 BTC at index 60,000: 0.0003 x 6,000 = 1.80 USDC, below an eighth of a premium of 100.
    assert trade_fee(option, 10, 200, TAKER, Fraction(60_000), NOW) == 18_000


def test_per_contract_fees_count_contracts() -> None:
    assert trade_fee(occ.parse("MSTR260619C00400000"), -3, 1_250, TAKER, Fraction(400), NOW) == 19_500  # 1.95 USD
    assert trade_fee(cffex.parse("IO2601-C-4000"), 2, 500, MAKER, Fraction(4_000), NOW) == 300_000  # 30 CNY
    # 0.23 per ten thousand of 4,000 points x 300 CNY.
    assert trade_fee(cffex.parse("IF2601"), 1, 20_000, TAKER, Fraction(4_000), NOW) == 276_000


def test_delivery_fees_are_capped_and_dailies_pay_none() -> None:
    weekly, daily = deribit.parse("BTC-27MAR26-50000-C"), deribit.parse("BTC-26MAR26-50000-C")
    assert delivery_fee(weekly, 10, Fraction(60_000)) == 15_000  # 0.015 % of one coin
    assert delivery_fee(weekly, 10, Fraction(50_010)) == to_units(Fraction(10, 50_010) / 8, "BTC")
    assert delivery_fee(weekly, 10, Fraction(49_999)) == 0
    assert delivery_fee(daily, 10, Fraction(60_000)) == 0
    assert delivery_rate(weekly) == Fraction(15, 100_000)


def test_futures_pay_their_delivery_fee_on_the_value_at_delivery() -> None:
    # 10,000 USD at 50,000 is 0.2 BTC; 0.025 % of it.
    assert delivery_fee(deribit.parse("BTC-27MAR26"), -1_000, Fraction(50_000)) == 5_000
    assert delivery_fee(cffex.parse("IO2601-C-4000"), 2, Fraction(4_100)) == 40_000  # 2 CNY a lot, only if exercised
    assert delivery_fee(cffex.parse("IO2601-C-4000"), 2, Fraction(3_900)) == 0


@given(
    instrument=st.sampled_from(OPTIONS),
    lots=st.integers(-10_000, 10_000).filter(bool),
    price_ticks=st.integers(0, 20_000),
    liquidity=st.sampled_from([MAKER, TAKER]),
    index=st.integers(1, 200_000),
)
def test_a_trade_fee_is_never_above_its_cap_and_never_a_rebate_on_options(
    instrument: deribit.Instrument, lots: int, price_ticks: int, liquidity: Liquidity, index: int
) -> None:
    fee = exact_trade_fee(instrument, lots, price_ticks, liquidity, Fraction(index), NOW)
    cap = schedule_of(instrument).at(NOW).premium_cap
    assert fee >= 0
    if cap is not None:
        assert fee <= cap * abs(instrument.value_at_ticks(lots, price_ticks))


@given(
    instrument=st.sampled_from(OPTIONS),
    lots=st.integers(-10_000, 10_000).filter(bool),
    delivery_price=st.fractions(1, 200_000, max_denominator=100),
)
def test_a_delivery_fee_is_never_above_its_share_of_the_payoff(
    instrument: deribit.Instrument, lots: int, delivery_price: Fraction
) -> None:
    fee = delivery_fee(instrument, lots, delivery_price)
    cap = schedule_of(instrument).at(instrument.expiry_ns).delivery_cap
    assert fee >= 0
    if cap is not None:
        limit = cap * abs(payoff(instrument, lots, delivery_price))
        assert fee <= to_units(limit, instrument.settle_currency)


@given(
    instrument=st.sampled_from(INSTRUMENTS),
    lots=st.integers(1, 10_000),
    price_ticks=st.integers(1, 20_000),
    liquidity=st.sampled_from([MAKER, TAKER]),
)
def test_buying_and_selling_cost_the_same_and_the_fee_is_within_half_a_unit_of_exact(
    instrument: deribit.Instrument, lots: int, price_ticks: int, liquidity: Liquidity
) -> None:
    bought = trade_fee(instrument, lots, price_ticks, liquidity, Fraction(100), NOW)
    assert bought == trade_fee(instrument, -lots, price_ticks, liquidity, Fraction(100), NOW)
    exact = exact_trade_fee(instrument, lots, price_ticks, liquidity, Fraction(100), NOW)
    unit = Fraction(1, 10**8 if instrument.settle_currency in ("BTC", "ETH") else 10**4)
    assert abs(bought * unit - exact) <= unit / 2


def test_every_instrument_finds_its_schedule_and_an_unknown_one_is_named() -> None:
    for instrument in INSTRUMENTS:
        assert schedule_of(instrument).name == instrument.fee_schedule
    stray = msgspec.structs.replace(INSTRUMENTS[0], fee_schedule="deribit.vip9")
    with pytest.raises(InputError, match=r"deribit\.vip9"):
        trade_fee(stray, 1, 1, TAKER, Fraction(1), NOW)


def test_every_schedule_names_its_source_and_rises_in_time() -> None:
    for name, schedule in SCHEDULES.items():
        assert schedule.name == name
        assert schedule.source
        starts = [period.from_ns for period in schedule.periods]
        assert starts == sorted(set(starts))
        assert all(period.premium_cap is None or period.basis is FeeBasis.UNDERLYING for period in schedule.periods)


def test_a_schedule_of_ones_own_replaces_the_built_in_one() -> None:
    option = deribit.parse("BTC-27MAR26-70000-C")
    period = msgspec.structs.replace(SCHEDULES["deribit.option"].periods[0], taker=Fraction(2, 10_000))
    discounted = {"deribit.option": msgspec.structs.replace(SCHEDULES["deribit.option"], periods=(period,))}
    assert trade_fee(option, 10, 100, TAKER, Fraction(60_000), NOW, discounted) == 20_000

"""Payoffs, delivery averages, and interpolation with its error."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from voldesk.instruments import cffex, deribit, occ, okx
from voldesk.instruments.calendars import instant_ns
from voldesk.instruments.settlement import (
    averaging_window_ns,
    bridge_deviation,
    delivery_price_from_samples,
    exact_price,
    exercise,
    interpolated_delivery_price,
    payoff,
)
from voldesk.instruments.spec import Settlement

EXPIRY = instant_ns(date(2026, 3, 27), time(8))
prices = st.fractions(Fraction(1, 100), 500_000, max_denominator=100)


@given(strike=st.integers(1, 300_000), settle=prices, lots=st.integers(-1_000, 1_000))
def test_inverse_call_minus_put_is_one_minus_strike_over_price(strike: int, settle: Fraction, lots: int) -> None:
    call, put = (deribit.parse(f"BTC-27MAR26-{strike}-{right}") for right in "CP")
    difference = payoff(call, lots, settle) - payoff(put, lots, settle)
    assert difference == call.contracts(lots) * (settle - strike) / settle


@given(strike=st.integers(1, 300_000), settle=prices, lots=st.integers(-1_000, 1_000))
def test_linear_call_minus_put_is_price_minus_strike(strike: int, settle: Fraction, lots: int) -> None:
    call, put = (deribit.parse(f"SOL_USDC-27MAR26-{strike}-{right}") for right in "CP")
    assert payoff(call, lots, settle) - payoff(put, lots, settle) == call.contracts(lots) * 10 * (settle - strike)


@given(strike=st.integers(1, 300_000), settle=prices)
def test_a_long_inverse_call_pays_between_nothing_and_one_coin(strike: int, settle: Fraction) -> None:
    assert 0 <= payoff(deribit.parse(f"BTC-27MAR26-{strike}-C"), 10, settle) < 1


def test_a_quanto_option_pays_at_its_fixed_rate() -> None:
    linear = deribit.parse("BTC_USDC-27MAR26-70000-C")
    quanto = msgspec.structs.replace(
        linear, settlement=Settlement.QUANTO, settle_currency="BTC", quanto_rate=Decimal("0.00001")
    )
    assert payoff(quanto, 100, Fraction(71_000)) == Fraction(1_000, 100_000)


def test_a_future_converges_to_its_value_at_delivery() -> None:
    inverse, index = deribit.parse("BTC-27MAR26"), cffex.parse("IF2601")
    assert payoff(inverse, 500, Fraction(50_000)) == -Fraction(5_000, 50_000)
    assert payoff(index, -2, Fraction(4_000)) == -2 * 300 * 4_000


def test_what_never_expires_and_impossible_delivery_prices_are_refused() -> None:
    with pytest.raises(InputError, match="never expires"):
        payoff(deribit.parse("BTC-PERPETUAL"), 1, Fraction(1))
    with pytest.raises(InputError, match="delivery_price=0"):
        payoff(deribit.parse("BTC-27MAR26-70000-P"), 1, Fraction(0))
    assert payoff(occ.parse("MSTR260619P00400000"), 1, Fraction(0)) == 40_000


def test_exercise_swaps_shares_for_the_strike_on_both_sides() -> None:
    call, put = occ.parse("MSTR260619C00400000"), occ.parse("MSTR260619P00400000")
    assert exercise(call, 2) == (200, -80_000)
    assert exercise(put, 2) == (-200, 80_000)
    assert exercise(call, -1) == (-100, 40_000)  # assigned
    for option, lots in ((call, 3), (put, -3)):
        units, cash = exercise(option, lots)
        assert units * 450 + cash == (3 * 100 * 50)


def test_averaging_windows_follow_the_venues_notices() -> None:
    assert averaging_window_ns("deribit", EXPIRY) == 30 * NS_PER_MINUTE
    assert averaging_window_ns("cffex", EXPIRY) == 2 * NS_PER_HOUR
    assert averaging_window_ns("us", EXPIRY) == 0
    # OKX notice of 2026-03-06: one hour before, thirty minutes from 2026-03-18 on.
    before, after = okx.parse("BTC-USD-260317-70000-C"), okx.parse("BTC-USD-260318-70000-C")
    assert averaging_window_ns("okx", before.expiry_ns) == NS_PER_HOUR
    assert averaging_window_ns("okx", after.expiry_ns) == 30 * NS_PER_MINUTE


def test_the_average_weighs_each_price_by_how_long_it_stood() -> None:
    window = 30 * NS_PER_MINUTE
    times = np.array([EXPIRY - 40 * NS_PER_MINUTE, EXPIRY - 20 * NS_PER_MINUTE, EXPIRY - 5 * NS_PER_MINUTE])
    price, covered = delivery_price_from_samples(times, np.array([100.0, 200.0, 400.0]), EXPIRY, window)
    assert covered == window
    assert price == pytest.approx((10 * 100 + 15 * 200 + 5 * 400) / 30, rel=1e-15)


def test_samples_after_expiry_or_long_past_do_not_count_and_holes_are_told() -> None:
    window = 30 * NS_PER_MINUTE
    times = EXPIRY + np.array([-50, -40, -15, -5, 1]) * NS_PER_MINUTE
    values = np.array([1.0, math.nan, 300.0, math.nan, 9.0])
    price, covered = delivery_price_from_samples(times, values, EXPIRY, window)
    assert (price, covered) == (300.0, 10 * NS_PER_MINUTE)
    late = np.array([EXPIRY + 1])
    price, covered = delivery_price_from_samples(late, np.array([5.0]), EXPIRY, window)
    assert math.isnan(price)
    assert covered == 0


@given(st.lists(st.tuples(st.integers(1, 10**12), st.floats(1, 1e6)), min_size=1, max_size=40), st.integers(0, 10**13))
def test_an_average_lies_between_the_extremes_and_covers_at_most_the_window(
    steps: list[tuple[int, float]], lead: int
) -> None:
    times = EXPIRY - lead + np.cumsum([step for step, _ in steps])
    values = np.array([value for _, value in steps])
    window = 30 * NS_PER_MINUTE
    price, covered = delivery_price_from_samples(times, values, EXPIRY, window)
    assert 0 <= covered <= window
    if covered:
        assert values.min() * (1 - 1e-14) <= price <= values.max() * (1 + 1e-14)
        reference = sum(
            Fraction(float(values[i]))
            * max(0, min(EXPIRY, int(times[i + 1]) if i + 1 < len(times) else EXPIRY) - max(EXPIRY - window, int(t)))
            for i, t in enumerate(times)
            if t < EXPIRY
        )
        assert price == pytest.approx(float(reference / covered), rel=1e-13)
    else:
        assert math.isnan(price)


def test_interpolation_is_linear_in_time_and_reports_the_nearest_sample() -> None:
    times = np.array([EXPIRY - 3 * NS_PER_HOUR, EXPIRY + NS_PER_HOUR])
    assert interpolated_delivery_price(times, np.array([100.0, 200.0]), EXPIRY) == (175.0, NS_PER_HOUR)
    assert interpolated_delivery_price(np.array([EXPIRY]), np.array([7.0]), EXPIRY) == (7.0, 0)


def test_expiry_outside_the_samples_has_no_price() -> None:
    price, gap = interpolated_delivery_price(np.array([EXPIRY - 5]), np.array([7.0]), EXPIRY)
    assert math.isnan(price)
    assert gap == 5
    price, gap = interpolated_delivery_price(np.array([EXPIRY - 5]), np.array([math.nan]), EXPIRY)
    assert math.isnan(price)
    assert gap == -1


def test_the_bridge_is_widest_in_the_middle_and_pinned_at_the_samples() -> None:
    times = np.array([0, 2 * NS_PER_DAY])
    # One day on either side: variance of half a day.
    assert bridge_deviation(times, NS_PER_DAY, 100.0, 0.5) == pytest.approx(100 * 0.5 * math.sqrt(0.5 / 365), rel=1e-14)
    assert bridge_deviation(times, 2 * NS_PER_DAY, 100.0, 0.5) == 0.0
    assert math.isnan(bridge_deviation(times, 3 * NS_PER_DAY, 100.0, 0.5))


def test_unsorted_or_uneven_samples_are_refused() -> None:
    with pytest.raises(InputError, match="rising"):
        interpolated_delivery_price(np.array([2, 1]), np.array([1.0, 1.0]), 1)
    with pytest.raises(InputError, match="shapes"):
        delivery_price_from_samples(np.array([1, 2]), np.array([1.0]), 1, 1)


def test_a_measured_price_becomes_an_exact_decimal() -> None:
    assert exact_price(0.125) == Fraction(12, 100)  # a tie goes to even
    assert exact_price(60_123.456) == Fraction("60123.46")
    with pytest.raises(InputError, match="finite"):
        exact_price(math.nan)


@pytest.mark.data
def test_the_six_months_recording_interpolates_with_the_error_that_the_report_states(
    recorded: Callable[[str], Path],
) -> None:
    table = pq.read_table(recorded("daily_prices/crypto_index_6h.parquet"))
    table = table.filter(pc.equal(table["symbol"], "BTC"))
    value_column = next(name for name in table.column_names if name not in ("symbol", "ts"))
    times = pc.cast(table["ts"], pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy()
    values = table[value_column].to_numpy()
    keep = times < instant_ns(date(2026, 7, 1), time(0))
    times, values = times[keep].astype(np.int64), values[keep]
    days = [date.fromordinal(n) for n in range(date(2026, 1, 1).toordinal(), date(2026, 6, 29).toordinal())]
    gaps, errors = [], []
    for day in days:
        expiry = instant_ns(day, time(8))
        price, gap = interpolated_delivery_price(times, values, expiry)
        assert math.isfinite(price)
        gaps.append(gap)
        errors.append(bridge_deviation(times, expiry, price, 0.45))
    assert np.median(gaps) / NS_PER_HOUR == pytest.approx(1.5, abs=0.3)
    assert 250 < np.median(errors) < 500  # about 440 USD per BTC by the rougher reckoning
    assert max(gaps) < 7 * NS_PER_HOUR
    assert min(np.diff(times)) > NS_PER_SECOND

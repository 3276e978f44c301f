"""Curves: quotes come back, rates and forwards agree with each other, extrapolation as stated, nothing negative."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.errors import CalibrationError, InputError
from voldesk.pricing import curves
from voldesk.pricing.curves import DiscountCurve, ForwardCurve, Interpolation
from voldesk.pricing.dividends import DividendSchedule

TAU = np.array([0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0])
RATE = np.array([0.03, 0.032, 0.035, 0.04, 0.038, 0.041, 0.043])
CASH = DividendSchedule.of([0.2, 0.45, 0.7, 0.95], [0.8, 0.8, 0.9, 0.9])

nodes = st.lists(st.floats(0.02, 1.5), min_size=1, max_size=8).map(np.cumsum)


@settings(max_examples=80, deadline=None)
@given(nodes, st.data(), st.sampled_from(Interpolation))
def test_nodes_come_back_and_the_forward_rate_integrates_to_the_discount(
    tau: np.ndarray, data: st.DataObject, how: Interpolation
) -> None:
    rate = np.array(data.draw(st.lists(st.floats(-0.02, 0.15), min_size=tau.size, max_size=tau.size)))
    curve = DiscountCurve.from_zero_rates(tau, rate, how)
    assert np.max(np.abs(curve.discount(tau) / np.exp(-rate * tau) - 1.0)) < 1e-13
    assert np.max(np.abs(curve.zero_rate(tau) - rate)) < 1e-12 / tau[0]
    # Midpoint sums of the forward rate between close times reproduce -d log D, kinks included.
    grid = np.linspace(0.0, 1.3 * tau[-1], 40_001)
    total = np.concatenate([[0.0], np.cumsum(curve.forward_rate(0.5 * (grid[1:] + grid[:-1])) * np.diff(grid))])
    wildest = np.max(np.abs(curve.forward_rate(grid)))
    assert np.max(np.abs(total + np.log(curve.discount(grid)))) < 4.0 * tau.size * wildest * grid[1] + 1e-9


def test_log_linear_is_flat_forward_and_monotone_convex_is_continuous() -> None:
    flat = DiscountCurve.from_zero_rates(TAU, RATE)
    inside = np.linspace(1.0, 1.999, 50)
    assert np.ptp(flat.forward_rate(inside)) < 1e-14
    assert float(flat.forward_rate(1.5)) == pytest.approx((0.038 * 2.0 - 0.04 * 1.0) / 1.0, rel=1e-13)
    smooth = DiscountCurve.from_zero_rates(TAU, RATE, Interpolation.MONOTONE_CONVEX)
    for node in TAU[:-1]:
        below, above = smooth.forward_rate([node - 1e-9, node + 1e-9])
        assert abs(above - below) < 1e-6
    assert np.max(np.abs(np.diff(flat.forward_rate([0.9999, 1.0001])))) > 1e-3  # the other one jumps


def test_monotone_convex_meets_hagan_and_wests_conditions_in_all_sectors() -> None:
    # g(0) = g0, g(1) = g1, integral over the segment 0 (their eqs. 24-26), for every sector and its borders.
    for g0 in np.linspace(-0.03, 0.03, 13):
        for g1 in np.linspace(-0.07, 0.07, 29):
            if g0 * g1 == 0.0:
                continue  # one end at the mean: the limit jumps at that end
            a, b = np.full(3, g0), np.full(3, g1)
            value, total = curves._convex(np.array([0.0, 1.0, 1.0]), a, b)
            assert abs(value[0] - g0) < 1e-15
            assert abs(value[1] - g1) < 1e-15
            assert abs(total[1]) < 1e-16
            x = np.linspace(0.0, 1.0, 2001)
            inside, summed = curves._convex(x, np.full(x.size, g0), np.full(x.size, g1))
            trapezoid = np.concatenate([[0.0], np.cumsum(0.5 * (inside[1:] + inside[:-1]) * np.diff(x))])
            assert np.max(np.abs(trapezoid - summed)) < 1e-6


def test_monotone_convex_is_monotone_where_the_forwards_are() -> None:
    # Hagan & West, sec. 4.3: discrete forwards that rise give interpolated forwards that rise.
    forward = np.array([0.02, 0.025, 0.033, 0.04, 0.046])
    tau = np.arange(1.0, 6.0)
    curve = DiscountCurve(tau, np.exp(-np.cumsum(forward)), Interpolation.MONOTONE_CONVEX)
    assert np.all(np.diff(curve.forward_rate(np.linspace(0.0, 6.0, 3001))) > -1e-13)


@pytest.mark.parametrize("how", Interpolation)
def test_beyond_the_nodes_the_forward_rate_stays(how: Interpolation) -> None:
    curve = DiscountCurve.from_zero_rates(TAU, RATE, how)
    last = float(curve.forward_rate(10.0))
    assert np.max(np.abs(curve.forward_rate([10.5, 20.0, 50.0]) - last)) < 1e-14
    assert float(curve.discount(25.0)) == pytest.approx(float(curve.discount(10.0)) * math.exp(-15.0 * last), rel=1e-12)
    assert float(curve.discount(0.0)) == 1.0
    assert float(curve.zero_rate(0.0)) == pytest.approx(float(curve.zero_rate(1e-9)), abs=1e-6)
    assert np.isnan(curve.discount(-0.1))
    assert np.isnan(curve.forward_rate(-0.1))
    assert np.isnan(curve.discount(np.nan))
    assert curve.discount(np.ones((2, 3))).shape == (2, 3)


@pytest.mark.parametrize("how", Interpolation)
def test_deposits_and_par_quotes_are_met(how: Interpolation) -> None:
    cash = (np.array([0.08, 0.25, 0.5]), np.array([0.05, 0.051, 0.049]))
    par = (np.array([1.25, 2.0, 5.0, 10.0, 30.0]), np.array([0.045, 0.04, 0.041, 0.043, 0.044]))
    curve = DiscountCurve.from_quotes(cash, par, 2, how)
    assert np.max(np.abs(curve.discount(cash[0]) * (1.0 + cash[0] * cash[1]) - 1.0)) < 1e-13
    for end, rate in zip(*par, strict=True):
        dates = end - np.arange(math.ceil(end * 2 - 1e-9))[::-1] / 2
        value = float(rate * np.diff(dates, prepend=0.0) @ curve.discount(dates) + curve.discount(end))
        assert abs(value - 1.0) < 1e-13
    alone = DiscountCurve.from_quotes(cash, interpolation=how)
    assert np.max(np.abs(alone.discount(cash[0]) * (1.0 + cash[0] * cash[1]) - 1.0)) < 1e-14


def test_unusable_curves_are_refused() -> None:
    with pytest.raises(InputError, match="Sort the nodes"):
        DiscountCurve(np.array([1.0, 0.5]), np.array([0.9, 0.95]))
    with pytest.raises(InputError, match="Drop expiries without one"):
        DiscountCurve(np.array([0.5, 1.0]), np.array([0.9, np.nan]))
    with pytest.raises(InputError, match="one rate per maturity"):
        DiscountCurve.from_quotes(deposits=([0.5, 1.0], [0.03]))
    with pytest.raises(CalibrationError, match="Check units"):
        DiscountCurve.from_quotes(par=([1.0, 10.0], [0.04, 40.0]))


def test_forwards_from_rates_are_hulls() -> None:
    curve = ForwardCurve.from_rates(
        50.0, DiscountCurve.flat(0.08), dividends=DividendSchedule.of([0.25, 0.5, 0.75], [0.75] * 3)
    )
    # Hull (2018), example 5.2: 10-month forward on a stock at 50, 8 %, dividends of 0.75 after 3, 6 and 9 months: 51.14.
    assert abs(float(curve.forward(10.0 / 12.0)) - 51.14) < 0.005
    plain = ForwardCurve.from_rates(100.0, DiscountCurve.from_zero_rates(TAU, RATE), borrow=0.01, dividend_yield=0.02)
    assert np.max(np.abs(plain.forward(TAU) - 100.0 * np.exp((RATE - 0.03) * TAU))) < 1e-10
    assert np.max(np.abs(plain.implied_borrow(TAU, dividend_yield=0.02) - 0.01)) < 1e-13


def test_the_forward_drops_by_the_dividend_at_its_ex_time() -> None:
    curve = ForwardCurve.from_rates(100.0, DiscountCurve.flat(0.05), dividends=CASH)
    for time, amount in zip(CASH.times, CASH.amounts, strict=True):
        before, at = curve.forward([time - 1e-12, time])
        assert abs(before - at - amount) < 1e-9
    assert float(curve.forward(0.0)) == 100.0
    assert np.isnan(curve.forward(-1.0))


@settings(max_examples=60, deadline=None)
@given(nodes, st.data(), st.booleans())
def test_implied_forwards_come_back(tau: np.ndarray, data: st.DataObject, cash: bool) -> None:
    carry = np.array(data.draw(st.lists(st.floats(-0.3, 0.3), min_size=tau.size, max_size=tau.size)))
    dividends = CASH if cash else DividendSchedule((), ())
    rates = DiscountCurve.from_zero_rates(TAU, RATE)
    forward = 100.0 * np.exp(carry * np.sqrt(tau) * 0.5) - 2.0
    curve = ForwardCurve.from_forwards(100.0, tau, forward, rates, dividends)
    assert np.max(np.abs(curve.forward(tau) / forward - 1.0)) < 1e-12
    assert np.all(curve.forward(np.linspace(0.0, 2.0 * tau[-1], 200)) > 0.0)
    # The same underlying from its own implied yields.
    again = ForwardCurve(100.0, rates, curve.income, dividends)
    assert np.max(np.abs(again.forward(tau) - forward)) < 1e-9


def test_between_expiries_the_implied_yield_is_constant() -> None:
    curve = ForwardCurve.from_forwards(100.0, [0.5, 1.0], [102.0, 103.0], DiscountCurve.flat(0.06))
    # log F is linear between nodes where the rate is: so is it beyond, at the last carry.
    assert float(curve.forward(0.75)) == pytest.approx(math.sqrt(102.0 * 103.0), rel=1e-13)
    assert float(curve.forward(1.5)) == pytest.approx(103.0 * 103.0 / 102.0, rel=1e-13)
    assert float(curve.forward(0.25)) == pytest.approx(math.sqrt(100.0 * 102.0), rel=1e-13)
    assert float(curve.implied_borrow(0.5)) == pytest.approx(0.06 - 2.0 * math.log(1.02), rel=1e-12)


def test_dividends_beyond_the_spot_and_forwards_that_are_no_prices_are_refused() -> None:
    rich = DividendSchedule.of([0.5, 1.0, 1.5], [40.0, 40.0, 40.0])
    with pytest.raises(InputError, match=r"up to ex time 1\.5 years are worth more than the spot"):
        ForwardCurve.from_rates(100.0, DiscountCurve.flat(0.02), dividends=rich)
    with pytest.raises(InputError, match="positive prices"):
        ForwardCurve.from_forwards(100.0, [0.5], [-3.0])
    with pytest.raises(InputError, match="spot=0"):
        ForwardCurve.from_rates(0.0, DiscountCurve.flat(0.02))

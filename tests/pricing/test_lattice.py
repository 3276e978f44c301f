"""Leisen-Reimer trees: against closed form, published American values, their own limits and Hypothesis."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.pricing import lattice
from voldesk.pricing.early_exercise import lattice_kernels


def closed_form(spot, strike, tau, rate, dividend_yield, sigma, call):
    """Black-Scholes-Merton, written out once more so that the check shares no code with the package."""
    total = sigma * np.sqrt(tau)
    d1 = (np.log(spot / strike) + (rate - dividend_yield) * tau) / total + 0.5 * total
    side = np.where(call, 1.0, -1.0)
    owned, owed = spot * np.exp(-dividend_yield * tau), strike * np.exp(-rate * tau)
    return side * (owned * ndtr(side * d1) - owed * ndtr(side * (d1 - total)))


def random_options(seed: int, count: int):
    rng = np.random.default_rng(seed)
    tau, sigma = rng.uniform(0.02, 2.0, count), rng.uniform(0.08, 0.7, count)
    strike = 100.0 * np.exp(rng.uniform(-2.0, 2.0, count) * sigma * np.sqrt(tau))
    return strike, tau, rng.uniform(-0.03, 0.12, count), rng.uniform(-0.03, 0.12, count), sigma, rng.random(count) < 0.5


def test_european_price_is_closed_form_and_converges_with_the_third_power_of_steps() -> None:
    strike, tau, rate, dividend_yield, sigma, call = random_options(1, 200)
    exact = closed_form(100.0, strike, tau, rate, dividend_yield, sigma, call)
    worst = [
        np.max(
            np.abs(
                lattice.price(100.0, strike, tau, rate, dividend_yield, sigma, call, american=False, steps=n) - exact
            )
        )
        for n in (101, 201, 401)
    ]
    assert worst[-1] < 2e-7  # measured 6e-8 of a spot of 100
    assert math.log2(worst[0] / worst[1]) > 2.5
    assert math.log2(worst[1] / worst[2]) > 2.5


# Andersen, Lake & Offengenden (2016), "High-performance American option pricing", table 2: the premium of the one-year
# put, K = S = 100, r = q = 5 %, sigma = 25 %, over its European value.
def test_american_put_has_the_premium_of_andersen_lake_offengenden() -> None:
    european = float(closed_form(100.0, 100.0, 1.0, 0.05, 0.05, 0.25, False))
    found = float(lattice.price(100.0, 100.0, 1.0, 0.05, 0.05, 0.25, False, steps=2001))
    assert found - european == pytest.approx(0.106952702747, abs=5e-6)


@pytest.mark.parametrize(
    ("spot", "sigma", "tau", "value"),
    [
        # Longstaff & Schwartz (2001), table 1, column "finite difference American": K = 40, r = 6 %. Printed to 1e-3,
        # with at most 50 exercise dates a year, hence a little low.
        (36.0, 0.20, 1.0, 4.478),
        (36.0, 0.20, 2.0, 4.840),
        (36.0, 0.40, 1.0, 7.101),
        (36.0, 0.40, 2.0, 8.508),
        (40.0, 0.20, 1.0, 2.314),
        (40.0, 0.40, 2.0, 6.920),
        (44.0, 0.20, 1.0, 1.110),
        (44.0, 0.40, 2.0, 5.647),
    ],
)
def test_american_puts_of_longstaff_and_schwartz(spot: float, sigma: float, tau: float, value: float) -> None:
    found = float(lattice.price(spot, 40.0, tau, 0.06, 0.0, sigma, False))
    assert value - 2e-3 < found < value + 0.016


def test_greeks_agree_with_closed_form_where_there_is_no_early_exercise() -> None:
    strike, tau, rate, dividend_yield, sigma, call = random_options(2, 30)
    found = lattice.greeks(100.0, strike, tau, rate, dividend_yield, sigma, call, american=False, steps=1001)

    def at(spot=100.0, tau=tau, rate=rate, sigma=sigma):
        return closed_form(spot, strike, tau, rate, dividend_yield, sigma, call)

    h = 1e-3
    assert np.max(np.abs(found.delta - (at(100.0 + h) - at(100.0 - h)) / (2 * h))) < 1e-6
    h = 0.05
    gamma = (-at(100.0 + 2 * h) + 16 * at(100.0 + h) - 30 * at() + 16 * at(100.0 - h) - at(100.0 - 2 * h)) / (
        12 * h * h
    )
    assert np.max(np.abs(found.gamma - gamma) / np.max(gamma)) < 1e-5
    h = 1e-5
    assert np.max(np.abs(found.vega - (at(sigma=sigma + h) - at(sigma=sigma - h)) / (2 * h))) < 2e-3
    assert np.max(np.abs(found.theta - (at(tau=tau - h) - at(tau=tau + h)) / (2 * h))) < 2e-3
    assert np.max(np.abs(found.rho - (at(rate=rate + h) - at(rate=rate - h)) / (2 * h))) < 2e-3


@settings(max_examples=60, deadline=None)
@given(
    spot=st.floats(20.0, 500.0),
    strike=st.floats(20.0, 500.0),
    tau=st.floats(0.0, 3.0),
    rate=st.floats(-0.1, 0.2),
    dividend_yield=st.floats(-0.1, 0.2),
    sigma=st.floats(0.0, 1.5),
)
def test_put_call_symmetry_and_bounds(spot, strike, tau, rate, dividend_yield, sigma) -> None:
    """McDonald & Schroder (1998): the call is the put with spot and strike, rate and yield exchanged."""
    call = float(lattice.price(spot, strike, tau, rate, dividend_yield, sigma, True, steps=101))
    put = float(lattice.price(strike, spot, tau, dividend_yield, rate, sigma, False, steps=101))
    assert call == pytest.approx(put, rel=1e-9, abs=1e-9)
    assert call >= max(spot - strike, 0.0)
    european = float(lattice.price(spot, strike, tau, rate, dividend_yield, sigma, True, american=False, steps=101))
    assert call >= european - 2e-4 * max(spot, strike)


def test_without_time_or_volatility_the_value_is_certain() -> None:
    assert float(lattice.price(100.0, 90.0, 0.0, 0.05, 0.0, 0.2, True)) == 10.0
    assert float(lattice.price(100.0, 100.0, 1.0, 0.05, 0.0, 0.0, True)) == pytest.approx(100.0 * -math.expm1(-0.05))
    # Exercise where q S e^-qt = r K e^-rt: t = log(rK / qS) / (r - q).
    t = math.log(0.06 * 100.0 / (0.05 * 118.0)) / (0.06 - 0.05)
    assert 0.0 < t < 2.0
    best = 118.0 * math.exp(-0.05 * t) - 100.0 * math.exp(-0.06 * t)
    assert float(lattice.price(118.0, 100.0, 2.0, 0.06, 0.05, 0.0, True)) == pytest.approx(best, rel=1e-14)
    low = float(lattice.price(118.0, 100.0, 2.0, 0.06, 0.05, 1e-4, True))
    assert low == pytest.approx(best, abs=1e-5)
    g = lattice.greeks(100.0, 90.0, 1.0, 0.05, 0.02, 0.0, True)
    assert float(g.delta) == pytest.approx(math.exp(-0.02))
    assert float(g.rho) == pytest.approx(90.0 * math.exp(-0.05))
    assert float(g.theta) == pytest.approx(2.0 * math.exp(-0.02) - 4.5 * math.exp(-0.05))


def test_bad_rows_are_nan_and_leave_the_others_alone() -> None:
    spot = np.array([100.0, math.nan, -1.0, 100.0, 100.0, 100.0, math.inf])
    tau = np.array([1.0, 1.0, 1.0, -1.0, 1.0, 1.0, 1.0])
    sigma = np.array([0.2, 0.2, 0.2, 0.2, -0.2, 60.0, 0.2])
    found = lattice.price(spot, 100.0, tau, 0.05, 0.0, sigma, False, steps=501)
    assert np.isfinite(found[0])
    assert np.all(np.isnan(found[1:]))
    assert np.all(np.isnan(lattice.greeks(spot, 100.0, tau, 0.05, 0.0, sigma, False, steps=501).vega[1:]))
    with pytest.raises(InputError, match="such as 501"):
        lattice.price(100.0, 100.0, 1.0, 0.05, 0.0, 0.2, True, steps=500)


def test_deep_in_the_money_put_is_exercised_at_once() -> None:
    g = lattice.greeks(50.0, 100.0, 1.0, 0.05, 0.0, 0.2, False)
    assert [float(value) for value in g] == [50.0, -1.0, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("steps", [7, 101, 501, 1001])
def test_rounding_does_not_hide_that_exercise_is_due(steps: int) -> None:
    option = (120.20793103571627, 100.0, 1.9350340144744917, -0.035337589099688926, 0.04828771810365318)
    g = lattice.greeks(*option, 0.05726224825225073, True, steps=steps)
    assert [float(value) for value in g] == [option[0] - 100.0, 1.0, 0.0, 0.0, 0.0, 0.0]


def test_compiled_tree_is_its_plain_twin(monkeypatch) -> None:
    option = (100.0, 105.0, 0.7, 0.04, 0.02, 0.3, -1.0)
    scratch = np.empty(60), np.empty(60)
    for american in (True, False):
        compiled = lattice_kernels.tree(51, option, american, *scratch)
        with monkeypatch.context() as patch:
            for name in ("roll_back", "roll_back_european", "up_probability", "certain_value"):
                patch.setattr(lattice_kernels, name, plain(getattr(lattice_kernels, name)))
            twin = plain(lattice_kernels.tree)(51, option, american, *scratch)
        assert compiled == pytest.approx(twin, rel=1e-12)

"""Heston prices: the COS paper's case, an independent 30-digit integral, limits, parity, no arbitrage."""

from __future__ import annotations

import math
import warnings

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError
from voldesk.pricing import black, heston
from voldesk.pricing.heston import HestonParams

COS_PAPER = HestonParams(v0=0.0175, kappa=1.5768, theta=0.0398, xi=0.5751, rho=-0.5711)

params = st.builds(
    HestonParams,
    v0=st.floats(0.005, 1.0),
    kappa=st.floats(0.2, 20.0),
    theta=st.floats(0.01, 0.8),
    xi=st.floats(0.05, 3.0),
    rho=st.floats(-0.95, 0.6),
)


def _reference(p: HestonParams, forward: float, strike: float, tau: float) -> float:
    """Undiscounted call by mpmath quadrature of Lewis' integral with Heston's formula as printed by Gatheral."""
    with mpmath.workdps(30):
        x = mpmath.log(mpmath.mpf(forward) / strike)
        i = mpmath.mpc(0, 1)

        def phi(u: mpmath.mpc) -> mpmath.mpc:
            beta = p.kappa - p.rho * p.xi * i * u
            d = mpmath.sqrt(beta**2 + mpmath.mpf(p.xi) ** 2 * (u * u + i * u))
            g, e = (beta - d) / (beta + d), mpmath.e ** (-d * tau)
            level = p.kappa * p.theta / mpmath.mpf(p.xi) ** 2
            level *= (beta - d) * tau - 2 * mpmath.log((1 - g * e) / (1 - g))
            slope = (beta - d) / mpmath.mpf(p.xi) ** 2 * (1 - e) / (1 - g * e)
            return mpmath.e ** (level + p.v0 * slope)

        def integrand(u: mpmath.mpf) -> mpmath.mpf:
            return (mpmath.e ** (i * u * x) * phi(u - i / 2)).real / (u * u + mpmath.mpf(1) / 4)

        integral = mpmath.quad(integrand, [0, 1, 2, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560])
        return float(forward - mpmath.sqrt(mpmath.mpf(forward) * strike) / mpmath.pi * integral)


@pytest.mark.parametrize(
    ("tau", "value"),
    [
        # Fang & Oosterlee (2008), tables 4 and 5, S = K = 100; digits by 30-digit quadrature, since the paper's
        # printed T = 1 value 5.785155450 is 1.6e-8 too high (T = 10: 22.318945791474590, 3e-10 too high).
        (1.0, 5.785155434376190),
        (10.0, 22.31894579115448918),
    ],
)
def test_the_cos_papers_cases_are_met_to_1e_12(tau: float, value: float) -> None:
    assert abs(float(heston.price(COS_PAPER, 100.0, 100.0, tau, 1.0, True)) - value) < 1e-12


@pytest.mark.parametrize(
    ("p", "strike", "tau"),
    [
        (COS_PAPER, 60.0, 0.25),
        (COS_PAPER, 160.0, 3.0),
        (HestonParams(0.2, 8.0, 0.2, 1.3, -0.3), 85.0, 7.0 / 365.0),
        (HestonParams(0.04, 0.5, 0.04, 1.0, -0.9), 140.0, 10.0),
        (HestonParams(0.09, 1.0, 0.09, 1.0, -0.3), 100.0, 5.0),
    ],
)
def test_prices_equal_a_thirty_digit_integral(p: HestonParams, strike: float, tau: float) -> None:
    assert abs(float(heston.price(p, 100.0, strike, tau, 1.0, True)) - _reference(p, 100.0, strike, tau)) < 2e-12


@settings(max_examples=60, deadline=None)
@given(params, st.floats(1e-4, 5.0), st.floats(0.8, 1.0))
def test_chain_is_free_of_arbitrage_and_obeys_parity(p: HestonParams, tau: float, discount: float) -> None:
    forward = 90_000.0
    strikes = forward * np.exp(np.linspace(-1.5, 1.5, 41))
    call = heston.price(p, forward, strikes, tau, discount, True)
    put = heston.price(p, forward, strikes, tau, discount, False)
    noise = 1e-12 * forward
    assert np.all(np.isfinite(call))
    assert np.max(np.abs(call - put - discount * (forward - strikes))) < noise
    assert np.all(call >= discount * np.maximum(forward - strikes, 0.0))
    assert np.all(call <= discount * forward + noise)
    slope = np.diff(call) / np.diff(strikes)
    assert np.all(slope <= noise)
    assert np.all(slope >= -discount - noise)
    assert np.all(np.diff(slope) >= -1e-11)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.02, 1.0), st.floats(0.01, 3.0), st.floats(-0.5, 0.5))
def test_without_vol_of_vol_heston_is_black(v0: float, tau: float, k: float) -> None:
    expected = float(black.price(100.0, 100.0 * math.exp(k), tau, math.sqrt(v0), 0.97, True))
    for xi in (0.0, 1e-7, 1e-5):
        p = HestonParams(v0, 2.0, v0, xi, -0.5)
        tolerance = 1e-12 if xi == 0.0 else 100.0 * xi
        assert abs(float(heston.price(p, 100.0, 100.0 * math.exp(k), tau, 0.97, True)) - expected) < tolerance


def test_price_moves_smoothly_through_tiny_vol_of_vol() -> None:
    xi = np.geomspace(1e-9, 1e-2, 40)
    values = [float(heston.price(HestonParams(0.2, 5.0, 0.1, x, -0.5), 100.0, 110.0, 0.3, 1.0, True)) for x in xi]
    # To first order the price is linear in xi: no noise from dividing by xi squared.
    line = values[0] + (values[-1] - values[0]) / (xi[-1] - xi[0]) * (xi - xi[0])
    assert np.max(np.abs(np.array(values) - line)) < 1e-4
    assert np.max(np.abs(np.array(values[:15]) - line[:15])) < 1e-6


def test_expiry_pays_the_discounted_payoff_and_nonsense_is_nan() -> None:
    got = heston.price(
        COS_PAPER, [100.0, 100.0, 100.0, -1.0, 100.0, np.nan], 90.0, [0.0, 0.0, -1.0, 1.0, np.inf, 1.0], 0.9, True
    )
    assert got[0] == pytest.approx(9.0)
    assert np.isnan(got[2:]).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(heston.greeks(COS_PAPER, 100.0, 90.0, [1.0, 0.0, 1.0], [0.0, -1.0, np.nan], True)).all()


def test_arguments_broadcast_and_order_of_expiries_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    tau = rng.choice([0.02, 0.1, 0.5], (4, 30))
    strike = rng.uniform(60.0, 150.0, 30)
    is_call = rng.random((4, 1)) < 0.5
    together = heston.price(COS_PAPER, 100.0, strike, tau, 0.99, is_call)
    assert together.shape == (4, 30)
    for i, j in np.ndindex(4, 30):
        alone = float(heston.price(COS_PAPER, 100.0, strike[j], tau[i, j], 0.99, is_call[i, 0]))
        assert abs(together[i, j] - alone) < 2e-13 * 100.0


@pytest.mark.parametrize("bad", [{"v0": 0.0}, {"kappa": -1.0}, {"theta": math.nan}, {"xi": -0.1}, {"rho": 1.5}])
def test_impossible_parameters_are_refused_by_name(bad: dict[str, float]) -> None:
    good = {"v0": 0.04, "kappa": 1.0, "theta": 0.04, "xi": 0.5, "rho": 0.0}
    with pytest.raises(InputError, match=next(iter(bad))):
        HestonParams(**(good | bad))


def test_greeks_are_the_slopes_of_the_price() -> None:
    rng = np.random.default_rng(8)
    strike, tau = rng.uniform(70.0, 140.0, 60), rng.choice([0.05, 0.3, 1.5], 60)
    is_call, discount = rng.random(60) < 0.5, np.exp(-0.04 * tau)

    def value(forward: float = 100.0, later: float = 0.0, dv: float = 0.0) -> FloatArray:
        p = HestonParams(0.04 + dv, 1.5, 0.05, 0.6, -0.5)
        return heston.price(p, forward, strike, tau + later, np.exp(-0.04 * (tau + later)), is_call)

    def slope(low: FloatArray, high: FloatArray, lower: FloatArray, higher: FloatArray, h: float) -> FloatArray:
        return (8.0 * (high - low) - (higher - lower)) / (12.0 * h)

    g = heston.greeks(HestonParams(0.04, 1.5, 0.05, 0.6, -0.5), 100.0, strike, tau, discount, is_call)
    h = 0.05
    f = [value(100.0 + k * h) for k in (-2, -1, 0, 1, 2)]
    assert np.max(np.abs(g.price - f[2])) < 1e-12
    assert np.max(np.abs(g.delta - slope(f[1], f[3], f[0], f[4], h))) < 1e-8
    assert np.max(np.abs(g.gamma - (16.0 * (f[1] + f[3]) - f[0] - f[4] - 30.0 * f[2]) / (12.0 * h * h))) < 1e-7
    h = 1e-3
    f = [value(later=k * h) for k in (-2, -1, 0, 1, 2)]
    assert np.max(np.abs(g.theta + slope(f[1], f[3], f[0], f[4], h))) < 2e-4 * np.max(np.abs(g.theta))
    h = 1e-4
    f = [value(dv=k * h) for k in (-2, -1, 0, 1, 2)]
    assert np.max(np.abs(g.vega - slope(f[1], f[3], f[0], f[4], h))) < 1e-6


def test_greeks_of_call_and_put_obey_parity_and_expiry_is_a_step() -> None:
    strikes = np.array([80.0, 100.0, 125.0])
    call = heston.greeks(COS_PAPER, 100.0, strikes, 0.4, 0.9, True)
    put = heston.greeks(COS_PAPER, 100.0, strikes, 0.4, 0.9, False)
    assert np.max(np.abs(call.delta - put.delta - 0.9)) < 1e-14
    assert np.max(np.abs(call.gamma - put.gamma)) < 1e-15
    assert np.max(np.abs(call.vega - put.vega)) < 1e-12
    end = heston.greeks(COS_PAPER, 100.0, strikes, 0.0, 0.9, False)
    assert end.delta.tolist() == [0.0, -0.45, -0.9]
    assert end.gamma.tolist() == [0.0, math.inf, 0.0]
    assert end.vega.tolist() == [0.0, 0.0, 0.0]


def test_gradient_is_the_slope_of_the_price_and_call_and_put_share_it() -> None:
    strikes, tau = np.linspace(60.0, 160.0, 11), np.array([[0.02], [0.3], [2.0]])
    value, slopes = heston.gradient(COS_PAPER, 100.0, strikes, tau, 0.98, True)
    other, same = heston.gradient(COS_PAPER, 100.0, strikes, tau, 0.98, False)
    assert slopes.shape == (5, 3, 11)
    assert np.array_equal(slopes, same)
    assert np.max(np.abs(value - other - 0.98 * (100.0 - strikes))) < 1e-12
    assert np.max(np.abs(value - heston.price(COS_PAPER, 100.0, strikes, tau, 0.98, True))) < 1e-12
    h = 1e-4
    up = heston.price(HestonParams(0.0175, 1.5768, 0.0398, 0.5751, -0.5711 + h), 100.0, strikes, tau, 0.98, True)
    down = heston.price(HestonParams(0.0175, 1.5768, 0.0398, 0.5751, -0.5711 - h), 100.0, strikes, tau, 0.98, True)
    assert np.max(np.abs((up - down) / (2.0 * h) - slopes[4])) < 1e-6

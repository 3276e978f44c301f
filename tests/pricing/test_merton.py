"""Merton prices: the series against 30-digit sums and the integral, wings, limits, gradient, refusals."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.pricing import black, merton
from voldesk.pricing.broadcast import columns
from voldesk.pricing.merton import MertonParams
from voldesk.pricing.transform import fourier

CASES = [
    MertonParams(0.2, 1.0, -0.1, 0.15),
    MertonParams(0.5, 100.0, -0.01, 0.05),
    MertonParams(0.05, 0.1, -0.5, 0.3),
    MertonParams(0.3, 3.0, 0.2, 0.0),
    MertonParams(0.1, 0.5, -0.9, 0.45),  # Merton's own kind: rare and large
]


def _out_of_the_money(p: MertonParams, strike: float, tau: float) -> mpmath.mpf:
    """Merton (1976), eq. 16, term by term in 40 digits, forward 100."""
    with mpmath.workdps(40):
        centre = mpmath.mpf(p.jump_mean) + mpmath.mpf(p.jump_std) ** 2 / 2
        expected = mpmath.mpf(p.jump_intensity) * tau
        total = mpmath.mpf(0)
        for n in range(int(expected + 12 * mpmath.sqrt(expected) + 60)):
            forward = 100 * mpmath.e ** (n * centre - expected * mpmath.expm1(centre))
            s = mpmath.sqrt(mpmath.mpf(p.sigma) ** 2 * tau + n * mpmath.mpf(p.jump_std) ** 2)
            d1 = mpmath.log(forward / strike) / s + s / 2
            if strike > 100.0:
                value = forward * mpmath.ncdf(d1) - strike * mpmath.ncdf(d1 - s)
            else:
                value = strike * mpmath.ncdf(s - d1) - forward * mpmath.ncdf(-d1)
            total += mpmath.e ** (-expected) * expected**n / mpmath.factorial(n) * value
        return total


@pytest.mark.parametrize("p", CASES)
def test_the_series_is_exact_relative_to_the_option_out_of_the_money(p: MertonParams) -> None:
    for tau in (0.02, 0.5, 2.0):
        for strike in (40.0, 75.0, 99.0, 101.0, 130.0, 250.0):
            exact = _out_of_the_money(p, strike, tau)
            got = float(merton.price(p, 100.0, strike, tau, 1.0, strike > 100.0))
            assert abs(got - exact) < 2e-13 * exact, (strike, tau)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0.05, 1.0), st.floats(0.0, 60.0), st.floats(-0.3, 0.2), st.floats(0.0, 0.3), st.floats(0.01, 2.0),
)  # fmt: skip
def test_series_and_integral_agree(sigma: float, intensity: float, mean: float, std: float, tau: float) -> None:
    p = MertonParams(sigma, intensity, mean, std)
    strikes = np.exp(np.linspace(-0.7, 0.7, 15))
    series = merton.price(p, 1.0, strikes, tau, 1.0, True)
    integral = fourier.price(p.row(), 1.0, strikes, tau, 1.0, True)
    assert np.max(np.abs(series - integral)) < 1e-12


def test_no_jumps_is_black_and_expiry_is_the_payoff() -> None:
    strikes = np.linspace(50.0, 180.0, 14)
    got = merton.price(MertonParams(0.3, 0.0, -0.1, 0.2), 100.0, strikes, 0.4, 0.9, False)
    assert np.max(np.abs(got - black.price(100.0, strikes, 0.4, 0.3, 0.9, False))) < 1e-13
    got = merton.price(CASES[0], 100.0, [80.0, 120.0, -1.0, np.nan], 0.0, 0.9, True)
    assert got[0] == pytest.approx(18.0)
    assert got[1] == 0.0
    assert np.isnan(got[2:]).all()


def test_gradient_is_the_slope_of_the_series() -> None:
    strikes, tau = np.linspace(60.0, 160.0, 11), np.array([[0.05], [0.5], [2.0]])
    base = {"sigma": 0.2, "jump_intensity": 1.0, "jump_mean": -0.1, "jump_std": 0.15}
    value, slopes = merton.gradient(MertonParams(**base), 100.0, strikes, tau, 0.97, True)
    assert np.max(np.abs(value - merton.price(MertonParams(**base), 100.0, strikes, tau, 0.97, True))) == 0.0
    for row, name in enumerate(base):
        h = 1e-3 * max(abs(base[name]), 0.1)

        def bumped(k: int, name: str = name, h: float = h) -> np.ndarray:
            return merton.price(MertonParams(**(base | {name: base[name] + k * h})), 100.0, strikes, tau, 0.97, True)

        slope = (672.0 * (bumped(1) - bumped(-1)) - 168.0 * (bumped(2) - bumped(-2))) / (840.0 * h)
        slope += (32.0 * (bumped(3) - bumped(-3)) - 3.0 * (bumped(4) - bumped(-4))) / (840.0 * h)
        assert np.max(np.abs(slopes[row] - slope)) < 1e-10 * np.max(np.abs(slope)), name


def test_compiled_and_plain_series_agree() -> None:
    _, inputs, steps = columns(100.0, [70.0, 100.0, 140.0], [0.1, 0.5, 0.5], 0.9, is_call=[True, False, True])
    fast, slow = np.empty(3), np.empty(3)
    merton.series_kernel(0.2, 1.0, -0.1, 0.15, steps, fast, *inputs)
    plain(merton.series_kernel)(0.2, 1.0, -0.1, 0.15, steps, slow, *inputs)
    assert np.max(np.abs(fast - slow)) < 1e-14


@pytest.mark.parametrize(
    ("name", "value"), [("sigma", 0.0), ("jump_intensity", -1.0), ("jump_std", -0.1), ("jump_mean", math.inf)]
)
def test_impossible_parameters_are_refused_by_name(name: str, value: float) -> None:
    good = {"sigma": 0.2, "jump_intensity": 1.0, "jump_mean": 0.0, "jump_std": 0.1}
    with pytest.raises(InputError, match=name):
        MertonParams(**(good | {name: value}))

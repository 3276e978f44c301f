"""Merton's jumps on the grid: against Merton's own series, with and without early exercise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.pricing import finite_difference
from voldesk.pricing.grids import jump_pde
from voldesk.pricing.grids.jump_pde import LogJumps


def merton_series(spot, strike, tau, rate, dividend_yield, sigma, call, jumps: LogJumps) -> float:
    """Merton (1976), eq. 16: Black-Scholes-Merton values weighted by Poisson's law of the number of jumps."""
    growth = 1.0 + jumps.mean_return()
    expected = jumps.intensity * growth * tau
    side = 1.0 if call else -1.0
    total = 0.0
    for n in range(80):
        drift = rate - jumps.intensity * jumps.mean_return() + n * math.log(growth) / tau
        deviation = math.sqrt(sigma**2 * tau + n * jumps.deviation**2)
        d1 = (math.log(spot / strike) + (drift - dividend_yield) * tau) / deviation + 0.5 * deviation
        owned, owed = spot * math.exp(-dividend_yield * tau), strike * math.exp(-drift * tau)
        value = side * (owned * ndtr(side * d1) - owed * ndtr(side * (d1 - deviation)))
        total += math.exp(-expected + n * math.log(expected) - math.lgamma(n + 1.0)) * value
    return total


@pytest.mark.parametrize(
    "jumps",
    [
        LogJumps(0.1, -0.9, 0.45),  # d'Halluin, Forsyth & Vetzal (2005), table 1: rare crashes
        LogJumps(3.0, 0.02, 0.08),
        LogJumps(0.5, -0.2, 0.25),
        LogJumps(1.0, -0.1, 0.0),
    ],
    ids=["crash", "frequent", "middling", "one size"],
)
def test_european_values_are_mertons_series(jumps: LogJumps) -> None:
    strikes = np.array([70.0, 90.0, 100.0, 115.0, 150.0])
    for call in (True, False):
        found = finite_difference.price(
            100.0, strikes, 0.75, 0.05, 0.15, call, dividend_yield=0.02, jumps=jumps, american=False
        )
        exact = [merton_series(100.0, k, 0.75, 0.05, 0.02, 0.15, call, jumps) for k in strikes]
        assert np.max(np.abs(found - exact)) < 1e-3  # one size of jump: the kink at the strike jumps along


def test_dhalluin_forsyth_vetzal_values() -> None:
    """Their table 1 (sigma = 0.15, r = 0.05, T = 0.25, K = 100, intensity 0.1, mean -0.9, deviation 0.45): European
    put 3.149026 and call 4.391246 at S = 100, American put 3.241251."""
    jumps = LogJumps(0.1, -0.9, 0.45)
    size = {"jumps": jumps, "steps": 100, "nodes": 401}
    values = [
        float(finite_difference.price(100.0, 100.0, 0.25, 0.05, 0.15, call, american=american, **size))
        for call, american in ((False, False), (True, False), (False, True))
    ]
    assert values == pytest.approx([3.149026, 4.391246, 3.241251], abs=5e-5)


def test_theta_delta_and_gamma_satisfy_the_equation_with_jumps() -> None:
    jumps = LogJumps(0.5, -0.2, 0.25)
    g = finite_difference.greeks(100.0, 105.0, 0.5, 0.03, 0.2, True, jumps=jumps, american=False, nodes=301)
    h = 1e-3
    exact = [merton_series(100.0 + d, 105.0, 0.5, 0.03, 0.0, 0.2, True, jumps) for d in (-h, h)]
    assert float(g.delta) == pytest.approx((exact[1] - exact[0]) / (2 * h), abs=1e-5)
    exact = [merton_series(100.0, 105.0, 0.5 + d, 0.03, 0.0, 0.2, True, jumps) for d in (-1e-4, 1e-4)]
    assert float(g.theta) == pytest.approx((exact[0] - exact[1]) / 2e-4, abs=1e-3)


@pytest.mark.parametrize("twin", [False, True], ids=["compiled", "plain"])
def test_the_integral_is_exact_for_straight_lines_and_calls(twin: bool) -> None:
    matrix, out = np.zeros((9, 9)), np.empty(9)
    spots = np.array([0.0, 20.0, 50.0, 80.0, 100.0, 110.0, 130.0, 200.0, 400.0])
    fill, expect = jump_pde.jump_matrix, jump_pde.expected_after_jump
    if twin:
        fill, expect = plain(fill), plain(expect)
    fill(spots, -0.1, 0.3, matrix)
    growth = math.exp(-0.1 + 0.045)
    expect(spots, 3.0 - 2.0 * spots, growth, matrix, out)
    assert np.max(np.abs(out - (3.0 - 2.0 * growth * spots))) < 1e-11
    expect(spots, np.maximum(spots - 100.0, 0.0), growth, matrix, out)
    assert np.max(np.abs(out - matrix[4])) < 1e-11
    d1 = math.log(110.0 * growth / 100.0) / 0.3 + 0.15
    assert out[5] == pytest.approx(110.0 * growth * ndtr(d1) - 100.0 * ndtr(d1 - 0.3), rel=1e-12)


def test_jumps_that_make_no_sense_are_refused() -> None:
    for bad in ((-1.0, 0.0, 0.1), (1.0, math.nan, 0.1), (1.0, 0.0, -0.1)):
        with pytest.raises(InputError):
            LogJumps(*bad)
    with pytest.raises(InputError, match="nodes=2001"):
        finite_difference.price(100.0, 100.0, 1.0, 0.0, 0.2, True, jumps=LogJumps(1.0, 0.0, 0.1), nodes=2001)

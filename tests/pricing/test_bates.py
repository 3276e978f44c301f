"""Bates prices: no jumps is Heston, no vol of vol is Merton's series, parity, speed of decay near expiry."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.pricing import bates, black, fourier, heston
from voldesk.pricing.bates import BatesParams
from voldesk.pricing.heston import HestonParams


def _merton(variance: float, lam: float, mean: float, std: float, forward: float, strike: float, tau: float) -> float:
    """Merton (1976), eq. 16: a Poisson mixture of Black values."""
    growth = math.expm1(mean + 0.5 * std * std)
    total, weight = 0.0, math.exp(-lam * tau)
    for n in range(120):
        shifted = forward * math.exp(-lam * growth * tau + n * (mean + 0.5 * std * std))
        sigma = math.sqrt(variance + n * std * std / tau)
        total += weight * float(black.price(shifted, strike, tau, sigma, 1.0, True))
        weight *= lam * tau / (n + 1)
    return total


@settings(max_examples=25, deadline=None)
@given(st.floats(0.02, 0.6), st.floats(0.0, 20.0), st.floats(-0.2, 0.1), st.floats(0.0, 0.2), st.floats(0.01, 1.0))
def test_without_vol_of_vol_bates_is_mertons_series(v: float, lam: float, mean: float, std: float, tau: float) -> None:
    p = BatesParams(v, 1.0, v, 0.0, 0.0, lam, mean, std)
    for strike in (60.0, 100.0, 130.0):
        got = float(bates.price(p, 100.0, strike, tau, 1.0, True))
        assert abs(got - _merton(v, lam, mean, std, 100.0, strike, tau)) < 1e-10


def test_without_jumps_bates_is_heston() -> None:
    h = HestonParams(0.2, 8.0, 0.2, 1.3, -0.3)
    b = BatesParams(0.2, 8.0, 0.2, 1.3, -0.3, 0.0, -0.1, 0.2)
    strikes = np.linspace(50.0, 170.0, 25)
    for tau in (0.003, 0.1, 1.0):
        for is_call in (True, False):
            same = bates.price(b, 100.0, strikes, tau, 0.95, is_call) == heston.price(
                h, 100.0, strikes, tau, 0.95, is_call
            )
            assert same.all()


@settings(max_examples=40, deadline=None)
@given(st.floats(1e-5, 2.0), st.floats(0.0, 150.0), st.floats(-0.1, 0.05), st.floats(0.0, 0.1))
def test_chain_is_free_of_arbitrage_and_obeys_parity(tau: float, lam: float, mean: float, std: float) -> None:
    p = BatesParams(0.2, 10.0, 0.15, 1.5, -0.3, lam, mean, std)
    forward = 90_000.0
    strikes = forward * np.exp(np.linspace(-0.7, 0.7, 31))
    call = bates.price(p, forward, strikes, tau, 1.0, True)
    put = bates.price(p, forward, strikes, tau, 1.0, False)
    assert np.max(np.abs(call - put - (forward - strikes))) < 1e-12 * forward
    slope = np.diff(call) / np.diff(strikes)
    assert np.all((slope <= 1e-11) & (slope >= -1.0 - 1e-11))
    assert np.all(np.diff(slope) >= -1e-11)


@pytest.mark.parametrize(("name", "value"), [("jump_intensity", -1.0), ("jump_std", -0.1), ("jump_mean", math.inf)])
def test_impossible_jumps_are_refused_by_name(name: str, value: float) -> None:
    good = {"jump_intensity": 1.0, "jump_mean": 0.0, "jump_std": 0.1}
    with pytest.raises(InputError, match=name):
        BatesParams(0.04, 1.0, 0.04, 0.5, 0.0, **(good | {name: value}))


def test_compiled_and_plain_kernels_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    p = BatesParams(0.2, 8.0, 0.2, 1.3, -0.3, 15.0, -0.005, 0.025)
    starts, tau = np.array([0, 3, 5]), np.array([0.01, 0.4])
    x = np.array([-0.1, 0.0, 0.15, -0.5, 0.7])
    fast, slow, sigma, sigma_slow = np.empty(5), np.empty(5), np.empty(2), np.empty(2)
    models = np.tile(p.row(), (2, 1))
    fourier.corrections(starts, tau, models, x, 1e-13, fast, sigma)
    for name in ("log_characteristic", "moment_exists", "_tail", "mean_variance", "_weights"):
        monkeypatch.setattr(fourier, name, plain(getattr(fourier, name)))
    plain(fourier.corrections)(starts, tau, models, x, 1e-13, slow, sigma_slow)
    assert np.max(np.abs(fast - slow)) < 1e-14
    assert np.max(np.abs(sigma - sigma_slow)) < 1e-15


def test_a_looser_tolerance_keeps_what_it_promises() -> None:
    p = BatesParams(0.2, 8.0, 0.2, 1.3, -0.3, 15.0, -0.005, 0.025)
    tau = np.array([1e-4, 0.003, 0.02, 0.25, 1.0])
    starts, x = np.arange(0, 105, 21), np.tile(np.linspace(-0.8, 0.8, 21), 5)
    starts = np.append(starts, 105)
    exact, loose, sigma = np.empty(105), np.empty(105), np.empty(5)
    models = np.tile(p.row(), (5, 1))
    fourier.corrections(starts, tau, models, x, fourier.TIGHT, exact, sigma)
    for tolerance in (1e-12, 1e-10, 1e-8):
        fourier.corrections(starts, tau, models, x, tolerance, loose, sigma)
        assert np.max(np.abs(loose - exact)) < 5.0 * tolerance


def test_a_variance_that_never_decays_in_reach_is_nan_not_a_guess() -> None:
    # Pure jumps, almost: the integrand falls like 1/u^2 and would need millions of nodes.
    p = BatesParams(1e-12, 1.0, 1e-12, 0.0, 0.0, 5.0, -0.1, 0.1)
    assert np.isnan(float(bates.price(p, 100.0, 95.0, 0.1, 1.0, True)))

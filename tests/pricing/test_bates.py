"""Bates prices: no jumps is Heston, no vol of vol is Merton's series, parity, speed of decay near expiry."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.pricing import bates, heston, merton
from voldesk.pricing.bates import BatesParams
from voldesk.pricing.heston import HestonParams
from voldesk.pricing.merton import MertonParams


@settings(max_examples=25, deadline=None)
@given(st.floats(0.02, 0.6), st.floats(0.0, 20.0), st.floats(-0.2, 0.1), st.floats(0.0, 0.2), st.floats(0.01, 1.0))
def test_without_vol_of_vol_bates_is_mertons_series(v: float, lam: float, mean: float, std: float, tau: float) -> None:
    p, m = BatesParams(v, 1.0, v, 0.0, 0.0, lam, mean, std), MertonParams(math.sqrt(v), lam, mean, std)
    for strike in (60.0, 100.0, 130.0):
        got = float(bates.price(p, 100.0, strike, tau, 1.0, True))
        assert abs(got - float(merton.price(m, 100.0, strike, tau, 1.0, True))) < 1e-11


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


def test_next_to_no_diffusion_is_right_or_nan_never_a_guess() -> None:
    # Pure jumps, almost: the integrand falls like 1/u^2, and near the strike of "no jump" no contour bends it enough.
    p, m = BatesParams(1e-12, 1.0, 1e-12, 0.0, 0.0, 5.0, -0.1, 0.1), MertonParams(1e-6, 5.0, -0.1, 0.1)
    strikes = 100.0 * np.exp(np.linspace(-0.4, 0.4, 17))
    got = bates.price(p, 100.0, strikes, 0.1, 1.0, True)
    series = merton.price(m, 100.0, strikes, 0.1, 1.0, True)
    assert np.all(np.isnan(got) | (np.abs(got - series) < 1e-10))
    assert np.isfinite(got).sum() >= 8

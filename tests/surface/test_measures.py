from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.core.events import SliceFit
from voldesk.core.units import NS_PER_DAY
from voldesk.pricing import black
from voldesk.surface import measures
from voldesk.surface.essvi import EssviSlice, EssviSurface
from voldesk.surface.fitted import Surface
from voldesk.surface.grid import sample
from voldesk.surface.reading import VolSurface
from voldesk.surface.svi import SviRaw


def surface() -> Surface:
    slices = {30: SviRaw(0.004, 0.06, -0.3, 0.01, 0.15), 90: SviRaw(0.015, 0.10, -0.3, 0.02, 0.30)}
    fits = (
        SliceFit(d * NS_PER_DAY, 100.0, 1.0, p.a, p.b, p.rho, p.m, p.sigma, 20, 1.0, 0.0, "ok")
        for d, p in slices.items()
    )
    return Surface("X", 0, tuple(fits))


def test_the_forward_volatilities_add_up_to_the_term_structure() -> None:
    term = measures.term_structure(surface())
    steps = np.diff(term.tau, prepend=0.0)
    np.testing.assert_allclose(np.cumsum(term.forward_vol**2 * steps), term.atm_iv**2 * term.tau, rtol=1e-13)


@pytest.mark.parametrize("delta", [0.05, 0.25, 0.4])
def test_the_strikes_of_the_wings_have_the_delta_asked_for(delta: float) -> None:
    smile = surface()
    found = measures.wings(smile, delta)
    for j, tau in enumerate(smile.tau):
        for k, is_call, sign in ((found.k_call[j], True, 1.0), (found.k_put[j], False, -1.0)):
            strike = 100.0 * math.exp(k) * float(smile.forward(tau)) / 100.0
            vol = float(smile.implied_vol(strike, tau))
            assert float(black.greeks(100.0, strike, tau, vol, 1.0, is_call).delta) == pytest.approx(
                sign * delta, abs=1e-12
            )
    call = smile.implied_vol(100.0 * np.exp(found.k_call), smile.tau)
    put = smile.implied_vol(100.0 * np.exp(found.k_put), smile.tau)
    np.testing.assert_allclose(found.risk_reversal, call - put, atol=1e-14)
    np.testing.assert_allclose(found.butterfly, 0.5 * (call + put) - smile.atm_iv(smile.tau), atol=1e-14)


def test_a_flat_slice_has_no_risk_reversal_and_no_butterfly() -> None:
    flat = Surface("X", 0, (SliceFit(30 * NS_PER_DAY, 100.0, 1.0, 0.02, 0.0, 0.0, 0.0, 0.1, 9, 1.0, 0.0, "ok"),))
    found = measures.wings(flat)
    assert abs(found.risk_reversal[0]) < 1e-15
    assert abs(found.butterfly[0]) < 1e-15
    with pytest.raises(InputError, match="delta"):
        measures.wings(flat, 25.0)


@settings(max_examples=60, deadline=None)
@given(level=st.floats(0.1, 1.5), skew=st.floats(-2.0, 2.0), curvature=st.floats(-1.0, 5.0), reach=st.floats(0.01, 1.0))
def test_a_quadratic_smile_gives_its_factors_back(level: float, skew: float, curvature: float, reach: float) -> None:
    k = np.tile(np.linspace(-reach, reach, 9), 2)
    expiry = np.repeat([5, 3], 9).astype(np.int64)
    iv = level + skew * k + curvature * k * k
    iv[:9] += 0.1
    found = measures.smile_factors(expiry, k, iv, np.linspace(1.0, 2.0, 18))
    assert found.expiry_ns.tolist() == [3, 5]
    np.testing.assert_allclose(found.level, [level, level + 0.1], atol=1e-11)
    np.testing.assert_allclose(found.skew * reach, skew * reach, atol=1e-11)
    np.testing.assert_allclose(found.curvature * reach**2, curvature * reach**2, atol=1e-11)
    assert found.rmse.max() < 1e-12


def test_rows_that_cannot_count_do_not_and_few_strikes_give_nan() -> None:
    k = np.array([-0.1, 0.0, 0.1, 0.2, 0.0, 0.1])
    iv = np.array([0.5, 0.4, 0.45, np.nan, 0.3, 0.3])
    found = measures.smile_factors(np.array([1, 1, 1, 1, 2, 2]), k, iv, np.ones(6))
    assert found.quotes.tolist() == [3, 2]
    assert found.level[0] == pytest.approx(0.4)
    assert math.isnan(found.level[1])


def surfaces() -> list[VolSurface]:
    tau = surface().tau
    table = sample(surface(), np.linspace(-1.5, 1.5, 61))
    pieces = tuple(
        EssviSlice(int(d * NS_PER_DAY), 100.0, 1.0, 0.25 * d / 365.0, -0.4, 0.4 * math.sqrt(d / 365.0))
        for d in (30, 90)
    )
    assert tau.size == 2
    return [surface(), EssviSurface("X", 0, pieces), table]


@pytest.mark.parametrize("form", [0, 1, 2], ids=["svi", "essvi", "grid"])
@pytest.mark.parametrize("delta", [0.01, 0.25, 0.49])
def test_deltas_are_found_on_every_form_and_between_expiries(form: int, delta: float) -> None:
    smile = surfaces()[form]
    tau = np.array([0.02, 30 / 365, 0.15, 0.6])
    for is_call in (True, False):
        k = measures.delta_moneyness(smile, tau, delta, is_call)
        vol = np.sqrt(smile.total_variance(k, tau) / tau)
        found = black.greeks(100.0, 100.0 * np.exp(k), tau, vol, 1.0, is_call).delta
        np.testing.assert_allclose(np.abs(found), delta, rtol=1e-11)
    assert math.isnan(float(measures.delta_moneyness(smile, -1.0, 0.25, True)))


@pytest.mark.parametrize("delta", [0.0, 1.0, 1.5, -0.25, 25.0, math.nan])
def test_a_size_that_no_delta_has_is_refused(delta: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        measures.delta_moneyness(surface(), 0.1, [0.25, delta], True)


def test_skew_range_and_convexity_are_those_of_the_smile() -> None:
    smile = surface()
    found = measures.smile_shape(smile, 0.9, 1.1)
    for j, tau in enumerate(smile.tau):
        forward = float(smile.forward(tau))
        low, mid, high = smile.implied_vol(forward * np.array([0.9, 1.0, 1.1]), tau)
        assert found.skew[j] == pytest.approx(low - high, abs=1e-14)
        assert found.convexity[j] == pytest.approx(0.5 * (low + high) - mid, abs=1e-14)
        dense = smile.implied_vol(forward * np.linspace(0.9, 1.1, 20_001), tau)
        assert found.smile_range[j] == pytest.approx(dense.max() - dense.min(), abs=1e-6)
    with pytest.raises(InputError, match="moneyness"):
        measures.smile_shape(smile, 90.0, 110.0)


def test_curves_to_draw_are_plain_arrays_of_the_surface() -> None:
    smile = surface()
    curve = measures.smile_curve(smile, 30 * NS_PER_DAY)
    np.testing.assert_allclose(curve.implied_vol, smile.implied_vol(curve.strike, 30 * NS_PER_DAY), rtol=1e-12)
    assert curve.k.shape == curve.strike.shape == (101,)
    term = measures.term_curve(smile)
    np.testing.assert_allclose(term.implied_vol, smile.atm_iv(term.tau), rtol=1e-13)
    assert term.tau[-1] == smile.tau[-1]
    given = measures.term_curve(smile, [0.1, 0.2], k=-0.1)
    np.testing.assert_allclose(given.implied_vol, np.sqrt(smile.total_variance(-0.1, [0.1, 0.2]) / [0.1, 0.2]))
    assert np.isnan(measures.term_curve(Surface("X", 0, ())).implied_vol).all()

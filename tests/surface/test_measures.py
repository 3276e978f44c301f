from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.core.events import SliceFit
from voldesk.core.units import NS_PER_DAY
from voldesk.pricing import black
from voldesk.surface import measures
from voldesk.surface.fitted import Surface
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


def test_compiled_and_plain_delta_search_agree() -> None:
    row = SviRaw(0.004, 0.06, -0.3, 0.01, 0.15).row()
    for delta, is_call in ((0.25, True), (0.25, False), (0.001, True)):
        fast = measures.delta_moneyness(row, delta, is_call)
        assert fast == pytest.approx(plain(measures.delta_moneyness)(row, delta, is_call), rel=1e-12)

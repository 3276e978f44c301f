from __future__ import annotations

import math

import numpy as np
import pytest

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.core.events import SliceFit
from voldesk.core.units import NS_PER_DAY, NS_PER_YEAR
from voldesk.surface import fitted
from voldesk.surface.fitted import Surface
from voldesk.surface.svi import SviRaw, total_variance

EARLY, LATE = SviRaw(0.004, 0.06, -0.3, 0.01, 0.15), SviRaw(0.015, 0.10, -0.3, 0.02, 0.30)


def piece(days: float, p: SviRaw, forward: float = 100.0, status: str = "ok") -> SliceFit:
    return SliceFit(int(days * NS_PER_DAY), forward, 1.0, p.a, p.b, p.rho, p.m, p.sigma, 20, 1.0, 0.0, status)


SURFACE = Surface("BTC", 0, (piece(30, EARLY, 100.0), piece(90, LATE, 103.0)))


def test_at_an_expiry_the_slice_itself_answers() -> None:
    k = np.linspace(-1.0, 1.0, 9)
    tau = 30 * NS_PER_DAY / NS_PER_YEAR
    vols = SURFACE.implied_vol(100.0 * np.exp(k), 30 * NS_PER_DAY)
    np.testing.assert_allclose(vols, np.sqrt(total_variance(k, EARLY) / tau), rtol=1e-12)
    np.testing.assert_allclose(SURFACE.smile(30 * NS_PER_DAY).implied_vol(k), vols, rtol=1e-12)


def test_between_expiries_total_variance_is_linear_at_fixed_moneyness() -> None:
    tau = np.array([30, 60, 90]) * NS_PER_DAY / NS_PER_YEAR
    w = SURFACE.total_variance(0.2, tau)
    assert w[1] == pytest.approx(0.5 * (w[0] + w[2]), rel=1e-14)
    assert float(SURFACE.forward(tau[1])) == pytest.approx(math.sqrt(100.0 * 103.0))


def test_outside_the_expiries_the_volatility_at_the_money_is_flat() -> None:
    days = NS_PER_DAY / NS_PER_YEAR
    first, before, at_once = SURFACE.atm_iv(np.array([30.0, 1.0, 0.0]) * days)
    assert before == pytest.approx(first, rel=1e-12)
    assert at_once == pytest.approx(first, rel=1e-12)
    last, after = SURFACE.atm_iv(np.array([90.0, 400.0]) * days)
    assert after == pytest.approx(last, rel=1e-12)


def test_total_variance_never_falls_with_maturity() -> None:
    tau = np.linspace(1e-3, 1.0, 200)
    for k in (-1.5, -0.2, 0.0, 0.5, 1.5):
        assert np.diff(SURFACE.total_variance(k, tau)).min() >= 0.0


def test_an_integer_is_an_expiry_and_a_float_is_years() -> None:
    expiry = 45 * NS_PER_DAY
    assert float(SURFACE.implied_vol(95.0, expiry)) == float(SURFACE.implied_vol(95.0, expiry / NS_PER_YEAR))
    assert math.isnan(float(SURFACE.implied_vol(95.0, -1)))


def test_slices_that_are_not_ok_take_no_part() -> None:
    odd = SviRaw(0.5, 0.1, 0.0, 0.0, 0.1)
    mixed = Surface("BTC", 0, (piece(30, EARLY), piece(60, odd, status="calendar"), piece(90, LATE, 103.0)))
    tau = 60 * NS_PER_DAY / NS_PER_YEAR
    assert float(mixed.atm_iv(tau)) == float(SURFACE.atm_iv(tau))
    with pytest.raises(InputError, match="status calendar"):
        mixed.smile(60 * NS_PER_DAY)
    with pytest.raises(InputError, match="not on the surface"):
        mixed.smile(61 * NS_PER_DAY)
    with pytest.raises(InputError, match="out of order"):
        Surface("BTC", 0, (piece(90, LATE), piece(30, EARLY)))


def test_the_event_carries_the_whole_surface() -> None:
    again = Surface.from_event(SURFACE.to_event())
    assert again.slices == SURFACE.slices
    assert float(again.implied_vol(90.0, 0.1)) == float(SURFACE.implied_vol(90.0, 0.1))


def test_arbitrage_is_reported_with_place_and_size() -> None:
    assert SURFACE.check_arbitrage().free
    vogt = SviRaw(-0.0410, 0.1331, 0.3060, 0.3586, 0.4153)
    report = Surface("X", 0, (piece(30, LATE), piece(90, EARLY), piece(365, vogt))).check_arbitrage()
    assert not report.free
    assert report.least_g[2][0] == pytest.approx(-0.0329, abs=5e-4)
    assert report.least_gap[0][0] < 0.0
    assert [line.split(":")[0] for line in report.violations] == ["butterfly", "calendar", "calendar"]


def test_compiled_and_plain_interpolation_agree() -> None:
    k, tau = np.array([0.0, 0.1, -0.2, 0.3, 0.0]), np.array([0.01, 0.1, 0.2, SURFACE.tau[-1], -1.0])
    fast, slow = np.empty(5), np.empty(5)
    fitted._interpolate(k, tau, SURFACE.tau, SURFACE._params, fast)
    plain(fitted._interpolate)(k, tau, SURFACE.tau, SURFACE._params, slow)
    np.testing.assert_allclose(fast, slow, rtol=1e-14)
    assert math.isnan(fast[4])

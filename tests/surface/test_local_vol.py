from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_banded

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.core.events import SliceFit
from voldesk.core.units import NS_PER_DAY, NS_PER_YEAR
from voldesk.pricing import black, finite_difference
from voldesk.pricing.implied_vol import implied_vol
from voldesk.surface import local_vol
from voldesk.surface.essvi import EssviSlice, EssviSurface
from voldesk.surface.fitted import Surface
from voldesk.surface.grid import GridSurface, sample
from voldesk.surface.local_vol import LocalVolStatus, dupire, local_vol_grid
from voldesk.surface.reading import VolSurface
from voldesk.surface.sabr import SabrFit, SabrParams, SabrSlice, SabrSurface
from voldesk.surface.svi import SviRaw


def svi(slices: dict[int, SviRaw], forward: float = 100.0) -> Surface:
    return Surface(
        "X",
        0,
        tuple(
            SliceFit(d * NS_PER_DAY, forward, 1.0, p.a, p.b, p.rho, p.m, p.sigma, 20, 1.0, 0.0, "ok")
            for d, p in slices.items()
        ),
    )


SVI = svi({30: SviRaw(0.004, 0.06, -0.3, 0.01, 0.15), 90: SviRaw(0.015, 0.10, -0.3, 0.02, 0.30)})


def essvi() -> EssviSurface:
    days = np.array([30, 60, 120, 240, 365])
    tau = days / 365.0
    theta = 0.2 * tau * (1.0 + 0.1 * np.sqrt(tau))
    psi = 0.8 * np.sqrt(theta) / (1.0 + 0.2 * np.sqrt(tau))
    rows = zip(days.tolist(), theta.tolist(), (-0.3 - 0.1 * tau).tolist(), psi.tolist(), strict=True)
    return EssviSurface("X", 0, tuple(EssviSlice(d * NS_PER_DAY, 100.0, 1.0, t, r, p) for d, t, r, p in rows))


def flat_surfaces(vol: float) -> list[VolSurface]:
    days = (20, 200)
    expiry = [d * NS_PER_DAY for d in days]
    whole = SabrFit(SabrParams(vol, 1.0, 0.0, 0.0), 9, 1.0, 0.0, 1.0, 1e4, "ok")
    return [
        svi({d: SviRaw(vol * vol * d / 365.0, 0.0, 0.0, 0.0, 0.1) for d in days}),
        EssviSurface("X", 0, tuple(EssviSlice(e, 100.0, 1.0, vol * vol * e / NS_PER_YEAR, 0.0, 1e-9) for e in expiry)),
        SabrSurface("X", 0, tuple(SabrSlice(e, 100.0, 1.0, whole) for e in expiry)),
        GridSurface("X", 0, expiry, [100.0, 100.0], [-0.5, 0.1, 0.4], np.full((2, 3), vol)),
    ]


@settings(max_examples=30, deadline=None)
@given(vol=st.floats(0.05, 1.5), tau=st.floats(0.0, 1.5), strike=st.floats(40.0, 250.0))
def test_a_constant_volatility_is_its_own_local_volatility_in_every_form(vol: float, tau: float, strike: float) -> None:
    for surface in flat_surfaces(vol):
        found = surface.local_vol(strike, tau)
        assert float(found.local_vol) == pytest.approx(vol, rel=1e-8), type(surface).__name__
        assert found.status == LocalVolStatus.OK


@pytest.mark.parametrize("surface", [SVI, essvi()], ids=["svi", "essvi"])
def test_it_is_dupires_ratio_of_price_derivatives(surface: VolSurface) -> None:
    """2 C_T / (K^2 C_KK) of undiscounted calls on a constant forward (Dupire 1994), by differences of prices."""
    for tau in (0.05, 0.1, 0.2):
        for strike in (80.0, 95.0, 100.0, 118.0):
            h, dt = 0.02 * np.sqrt(tau) * strike * 0.05, 1e-4 * tau

            def call(k: FloatArray, t: float) -> FloatArray:
                return black.price(100.0, k, t, surface.implied_vol(k, t), 1.0, True)

            low, here, high = call(np.array([strike - h, strike, strike + h]), tau)
            later, earlier = (call(np.array([strike]), tau + side)[0] for side in (dt, -dt))
            want = np.sqrt(2.0 * (later - earlier) / (2.0 * dt) / (strike**2 * (high - 2.0 * here + low) / h**2))
            assert float(surface.local_vol(strike, tau).local_vol) == pytest.approx(want, rel=2e-4)


def forward_vols(surface: VolSurface, times: FloatArray, k: FloatArray, checks: dict[int, FloatArray]) -> float:
    """Worst error of the implied volatilities that come back from local volatility alone: calls of all strikes stepped
    forward, c_T = s^2 / 2 (c_kk - c_k) in k = log(strike / forward) (Dupire's equation), Crank-Nicolson between `times`,
    from exact prices at times[0]. `checks`: step index to the k at which vols are compared."""
    h = k[1] - k[0]
    calls = black.price(1.0, np.exp(k), times[0], np.sqrt(surface.total_variance(k, times[0]) / times[0]), 1.0, True)
    worst = 0.0
    for i in range(1, times.size):
        dt, middle = times[i] - times[i - 1], 0.5 * (times[i] + times[i - 1])
        found = surface.local_vol(surface.forward(middle) * np.exp(k), np.full(k.size, middle))
        assert not found.status.any()
        half = 0.5 * found.local_vol**2
        up, mid, down = half * (1.0 / h**2 - 0.5 / h), -2.0 * half / h**2, half * (1.0 / h**2 + 0.5 / h)
        change = np.zeros(k.size)
        change[1:-1] = up[1:-1] * calls[2:] + mid[1:-1] * calls[1:-1] + down[1:-1] * calls[:-2]
        band = np.zeros((3, k.size))
        band[1] = 1.0
        band[0, 2:], band[1, 1:-1], band[2, :-2] = (
            -0.5 * dt * up[1:-1],
            1.0 - 0.5 * dt * mid[1:-1],
            -0.5 * dt * down[1:-1],
        )
        calls = solve_banded((1, 1), band, calls + 0.5 * dt * change)
        if i in checks:
            points = checks[i]
            value = np.interp(points, k, calls)
            got, status = implied_vol(value, 1.0, np.exp(points), times[i], 1.0, True)
            assert not status.any()
            worst = max(
                worst, float(np.max(np.abs(got - np.sqrt(surface.total_variance(points, times[i]) / times[i]))))
            )
    return worst


@pytest.mark.parametrize(
    ("form", "bound"),
    [("svi", 8e-5), ("essvi", 8e-5), ("grid", 7e-4)],
)
def test_european_prices_under_the_local_volatility_give_the_surface_back(form: str, bound: float) -> None:
    """Implied vols of strikes within 2.5 deviations, at every expiry. Worst errors seen: SVI and eSSVI 6e-5 vol, which is the
    solver's (a quarter of it at half the spacing); a table of 81 columns 6e-4, which is the table's."""
    smooth = essvi()
    surface = {"svi": SVI, "essvi": smooth, "grid": sample(smooth, np.linspace(-2.0, 2.0, 81))}[form]
    k = np.linspace(-3.5, 3.5, 1601)
    expiries = surface.tau
    begin = 0.5 * expiries[0]
    nodes = np.concatenate([[begin], expiries])
    times = np.concatenate([np.linspace(a, b, 61)[:-1] for a, b in pairwise(nodes)])
    times = np.append(times, expiries[-1])
    checks = {}
    for i in range(expiries.size):
        width = 2.5 * float(surface.atm_iv(expiries[i])) * np.sqrt(expiries[i])
        checks[60 * (i + 1)] = k[np.abs(k) <= min(width, 1.2)][::20]
    worst = forward_vols(surface, times, k, checks)
    print(f"\n{form}: worst implied vol error {worst:.2e}")
    assert worst < bound


@pytest.mark.parametrize(("surface", "bound"), [(SVI, 7e-4), (essvi(), 4e-4)], ids=["svi", "essvi"])
def test_the_finite_difference_solver_gives_the_smile_back_from_the_grid(surface: VolSurface, bound: float) -> None:
    """Backward, from one pricer's grid, strikes within two deviations at the last expiry. Worst errors seen: 4.7e-4 and
    2.3e-4 vol. Local volatility jumps at expiries, so each is on the grid twice."""
    last = float(surface.tau[-1])
    times = np.unique(np.concatenate([np.linspace(0.0, 1.0, 41) ** 2 * last, surface.tau, surface.tau[:-1] + 1e-9]))
    grid = local_vol_grid(surface, times, 100.0 * np.exp(np.linspace(-2.5, 2.5, 301)))
    strike = 100.0 * np.exp(np.linspace(-2.0, 2.0, 9) * float(surface.atm_iv(last)) * np.sqrt(last))
    is_call = strike > 100.0
    value = finite_difference.price(
        100.0, strike, last, 0.0, None, is_call, american=False, local_vol=grid, steps=200, nodes=401
    )
    got, status = implied_vol(value, 100.0, strike, last, 1.0, is_call)
    assert not status.any()
    worst = float(np.max(np.abs(got - surface.implied_vol(strike, last))))
    print(f"\nworst implied vol error {worst:.2e}")
    assert worst < bound


def test_where_there_is_arbitrage_there_is_no_local_volatility_but_a_reason() -> None:
    vogt = svi({365: SviRaw(-0.0410, 0.1331, 0.3060, 0.3586, 0.4153)})  # Gatheral & Jacquier (2014), ex. 3.1
    dip = vogt.local_vol(100.0 * np.exp([0.0, 0.8]), 1.0)
    assert dip.status.tolist() == [LocalVolStatus.OK, LocalVolStatus.BUTTERFLY]
    assert np.isnan(dip.local_vol[1])
    falling = svi({30: SviRaw(0.05, 0.06, -0.3, 0.01, 0.15), 90: SviRaw(0.015, 0.06, -0.3, 0.02, 0.30)})
    assert falling.local_vol(100.0, 0.15).status == LocalVolStatus.CALENDAR
    assert SVI.local_vol(100.0, -0.1).status == LocalVolStatus.NO_VARIANCE
    assert SVI.local_vol(np.nan, 0.1).status == LocalVolStatus.NO_VARIANCE
    assert svi({}).local_vol(100.0, 0.1).status == LocalVolStatus.NO_VARIANCE
    with pytest.raises(InputError, match=r"butterfly.*time=0.5"):
        local_vol_grid(vogt, [0.5, 1.0], [50.0, 100.0, 222.0])


def test_a_grid_holds_the_local_volatilities_of_its_points() -> None:
    times, spots = np.array([0.0, 0.1, 0.3]), np.array([80.0, 100.0, 125.0])
    grid = local_vol_grid(SVI, times, spots)
    for i, t in enumerate(times):
        for j, s in enumerate(spots):
            assert grid.sigma[i, j] == float(SVI.local_vol(s, t).local_vol)
    np.testing.assert_array_equal(grid.log_spots, np.log(spots))


def test_an_expiry_and_its_tau_are_one_argument() -> None:
    expiry = 45 * NS_PER_DAY
    assert float(SVI.local_vol(95.0, expiry).local_vol) == float(SVI.local_vol(95.0, expiry / NS_PER_YEAR).local_vol)


def test_compiled_and_plain_agree() -> None:
    k = np.array([0.0, 0.2, -0.3, 0.8])
    shape = np.array([[0.04, 0.05, 0.0, 0.06], [0.1, 1.9, 0.1, 0.1], [0.2, -2.0, 0.2, 0.3], [0.3, 0.3, 0.3, -0.1]])
    fast, slow, a, b = np.empty(4), np.empty(4), np.empty(4, np.int8), np.empty(4, np.int8)
    local_vol._dupire(k, shape, fast, a)
    plain(local_vol._dupire)(k, shape, slow, b)
    np.testing.assert_allclose(fast, slow, rtol=1e-14)
    assert a.tolist() == b.tolist() == [0, 2, 1, 3]
    assert dupire(0.0, 0.04, 0.1, 0.2, 0.3).local_vol == fast[0]

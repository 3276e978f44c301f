from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_DAY
from voldesk.pricing import black
from voldesk.surface import sabr, sabr_kernels
from voldesk.surface.sabr import SabrFit, SabrParams, SabrSlice, SabrSurface
from voldesk.surface.warm import example_quotes


def reference(forward: float, strike: float, tau: float, p: SabrParams) -> float:
    """Obloj (2008), eq. 4-5, as printed, in 130 digits; limits by nudging what divides by zero."""
    with mpmath.workdps(130):
        f, big_k, t = mpmath.mpf(forward), mpmath.mpf(strike), mpmath.mpf(tau)
        a, b, rho, nu = (mpmath.mpf(v) for v in (p.alpha, p.beta, p.rho, p.nu))
        if f == big_k:
            big_k *= 1 + mpmath.mpf(10) ** -25
        if b == 1:
            b -= mpmath.mpf(10) ** -22
        nu = max(nu, mpmath.mpf(10) ** -22)
        x = mpmath.log(f / big_k)
        z = nu * (f ** (1 - b) - big_k ** (1 - b)) / (a * (1 - b))
        inner = (mpmath.sqrt(1 - 2 * rho * z + z * z) + z - rho) / (1 - rho)
        leading = nu * x / mpmath.log(inner)
        square = (1 - b) ** 2 / 24 * a**2 / (f * big_k) ** (1 - b)
        cross = rho * nu * a * b / (4 * (f * big_k) ** ((1 - b) / 2))
        return float(leading * (1 + (square + cross + (2 - 3 * rho**2) / 24 * nu**2) * t))


@settings(max_examples=300, deadline=None)
@given(
    alpha=st.floats(0.05, 1.5),
    beta=st.sampled_from([0.0, 0.3, 0.5, 0.9, 0.999, 1.0]),
    rho=st.floats(-0.97, 0.97),
    nu=st.floats(0.0, 4.0),
    k=st.one_of(st.floats(-2.0, 2.0), st.sampled_from([0.0, 1e-12, -1e-8, 1e-4, -1e-3])),
    tau=st.floats(0.0, 2.0),
)
def test_the_formula_is_right_to_thirteen_digits_at_the_money_and_far_from_it(
    alpha: float, beta: float, rho: float, nu: float, k: float, tau: float
) -> None:
    params = SabrParams(alpha * 100.0 ** (1.0 - beta), beta, rho, nu)
    strike = 100.0 * math.exp(k)
    want = reference(100.0, strike, tau, params)
    got = float(sabr.implied_vol(100.0, strike, tau, params))
    if want <= 1e-3:
        return  # the expansion has run out: cancellation, and NaN below zero
    # log(strike / 100) is k to one rounding only: allow for it near the money.
    assert got == pytest.approx(want, rel=3e-13 * (1.0 + 1.0 / want))


# QuantLib 1.44, sabrVolatility, beta = 1 (where Hagan's and Obloj's leading orders agree); alpha, rho, nu.
@pytest.mark.parametrize(
    ("strike", "tau", "alpha", "rho", "nu", "vol"),
    [
        (80.0, 1.0, 0.3, -0.4, 0.8, 0.35097397194633256),
        (110.0, 1.0, 0.3, -0.4, 0.8, 0.2922775682867877),
        (100.0, 2.0, 0.25, 0.2, 0.5, 0.2629166666666667),
        (150.0, 0.25, 0.6, -0.1, 2.0, 0.755891974814144),
        (60.0, 0.1, 0.8, -0.6, 3.0, 1.3078126636265386),
    ],
)
def test_lognormal_sabr_agrees_with_quantlib(
    strike: float, tau: float, alpha: float, rho: float, nu: float, vol: float
) -> None:
    assert float(sabr.implied_vol(100.0, strike, tau, SabrParams(alpha, 1.0, rho, nu))) == pytest.approx(vol, rel=1e-13)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_the_gradient_is_the_derivative(beta: float) -> None:
    strike = np.array([30.0, 70.0, 95.0, 99.99, 100.0, 100.01, 110.0, 180.0, 400.0])
    scale = 100.0 ** (1.0 - beta)
    for alpha, rho, nu in ((0.3, -0.4, 0.8), (0.8, 0.6, 2.0), (0.2, 0.0, 1e-4)):
        found = sabr.gradient(100.0, strike, 0.5, SabrParams(alpha * scale, beta, rho, nu))
        for i, got in enumerate(found[1:]):
            h = (1e-5 * scale * alpha, 1e-5, 1e-5 * nu)[i]
            ends = []
            for side in (h, -h):
                moved = [alpha * scale, rho, nu]
                moved[i] += side
                ends.append(sabr.implied_vol(100.0, strike, 0.5, SabrParams(moved[0], beta, moved[1], moved[2])))
            np.testing.assert_allclose(
                (ends[0] - ends[1]) / (2.0 * h), got, rtol=2e-7, atol=2e-7 / (scale if i == 0 else 1)
            )


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_slope_and_curvature_in_log_moneyness_are_derivatives_also_where_series_take_over(beta: float) -> None:
    p = np.array([0.4, beta, -0.5, 1.2])
    with mpmath.workdps(130):
        for k in (-2.0, -0.51, -0.49, -0.02, -0.0166, -1e-6, 0.0, 1e-5, 0.0166, 0.017, 0.3, 1.5):
            params = SabrParams(0.4, beta, -0.5, 1.2)

            def vol(x: mpmath.mpf, params: SabrParams = params) -> mpmath.mpf:
                b = mpmath.mpf(params.beta) - (mpmath.mpf(10) ** -24 if params.beta == 1.0 else 0)
                x = x + mpmath.mpf(10) ** -30
                a, rho, nu = (mpmath.mpf(v) for v in (params.alpha, params.rho, params.nu))
                big_k = mpmath.exp(x)
                z = nu * (1 - big_k ** (1 - b)) / (a * (1 - b))
                lead = -nu * x / mpmath.log((mpmath.sqrt(1 - 2 * rho * z + z * z) + z - rho) / (1 - rho))
                square = (1 - b) ** 2 / 24 * a**2 / big_k ** (1 - b)
                cross = rho * nu * a * b / 4 / big_k ** ((1 - b) / 2)
                return lead * (1 + (square + cross + (2 - 3 * rho**2) / 24 * nu**2) / 2)

            h = mpmath.mpf(10) ** -8
            low, here, high = (vol(mpmath.mpf(k) + s) for s in (-h, 0, h))
            got = sabr_kernels.vol_shape(k, 0.5, p)
            want = (here, (high - low) / (2 * h), (high - 2 * here + low) / h**2)
            for g, w, tolerance in zip(got, want, (1e-14, 1e-12, 2e-10), strict=True):
                assert g == pytest.approx(float(w), rel=tolerance, abs=tolerance)


def test_quotes_off_the_formula_give_its_numbers_back() -> None:
    k = np.linspace(-0.5, 0.5, 15)
    for beta, tau, want in (
        (1.0, 0.1, SabrParams(0.5, 1.0, -0.3, 2.0)),
        (0.5, 1.0, SabrParams(3.0, 0.5, -0.6, 0.7)),
        (0.0, 0.25, SabrParams(40.0, 0.0, 0.3, 1.0)),
    ):
        strike = 100.0 * np.exp(k)
        vol = sabr.implied_vol(100.0, strike, tau, want)
        found = sabr.fit_slice(100.0, strike, tau, vol - 0.002, vol + 0.002, beta)
        assert found.status == "ok"
        assert found.params is not None
        for name in ("alpha", "rho", "nu"):
            assert getattr(found.params, name) == pytest.approx(getattr(want, name), rel=1e-6), name
        assert found.inside_share == 1.0
        assert found.quotes == 15


@pytest.mark.parametrize("seed", range(6))
def test_no_start_finds_a_better_fit(seed: int) -> None:
    noise = np.sin(7.0 * seed + np.arange(15.0) * (1.3 + seed))
    k = np.linspace(-0.6, 0.5, 15)
    vol = 0.5 - 0.15 * k + 0.5 * k * k + 0.01 * noise
    points = np.column_stack([k, vol - 0.004, vol + 0.004 + 0.01 * np.abs(k)])
    p = np.empty(4)
    sabr_kernels.start(points, 0.3, 1.0, 5e-4, p)
    loss, steps, settled = sabr_kernels.refine(p, points, 0.3, 5e-4, 2.0, 100)
    assert settled
    assert steps < 25

    def residuals(x: np.ndarray) -> np.ndarray:
        at = np.array([math.exp(x[0]), 1.0, math.tanh(x[1]), math.exp(x[2])])
        model = [sabr_kernels.vol_and_gradient(v, 0.3, at, np.empty(3)) for v in k]
        e = (np.array(model) - 0.5 * (points[:, 1] + points[:, 2])) / (0.5 * (points[:, 2] - points[:, 1]))
        return np.sqrt(2.0 * 4.0 * (np.sqrt(1.0 + (e / 2.0) ** 2) - 1.0))

    for nu in (0.3, 1.0, 3.0):
        for rho in (-0.6, 0.0, 0.6):
            peer = least_squares(residuals, [math.log(0.5), math.atanh(rho), math.log(nu)])
            assert loss <= peer.cost * (1.0 + 1e-6) + 1e-9


def test_where_the_density_turns_negative_is_said_and_is_right() -> None:
    params = SabrParams(0.4, 1.0, -0.6, 2.5)
    low, high = sabr.density_range(100.0, 1.0, params)
    assert 0.0 < low < 100.0 < high
    for edge, inside in ((low, 1.02), (high, 0.98)):
        for factor, sign in ((inside, 1.0), (1.0 / inside, -1.0)):
            # Second difference of undiscounted calls in strike: the density itself.
            strike = edge * factor * np.array([1.0 - 1e-4, 1.0, 1.0 + 1e-4])
            calls = black.price(100.0, strike, 1.0, sabr.implied_vol(100.0, strike, 1.0, params), 1.0, True)
            density = (calls[0] - 2.0 * calls[1] + calls[2]) / (1e-4 * edge * factor) ** 2
            wings = sabr_kernels.variance_shape(math.log(edge * factor / 100.0), 1.0, params.row(100.0))
            if sign > 0.0:
                assert density > -1e-9
            else:  # beyond the edge: no density, or too steep for a straight wing
                k = math.log(edge * factor / 100.0)
                bracket = 1.0 - 0.5 * k * wings[1] / wings[0]
                line = bracket**2 - 0.25 * wings[1] ** 2 * (1.0 / wings[0] + 0.25)
                assert density < 0.0 or line < 0.0 or abs(wings[1]) >= 2.0 - 1e-9
    assert sabr.density_range(100.0, 1.0, SabrParams(0.2, 1.0, 0.0, 0.0)) == (
        pytest.approx(100.0 * math.exp(-5.0)),
        pytest.approx(100.0 * math.exp(5.0)),
    )


def two_smiles() -> SabrSurface:
    def piece(days: int, params: SabrParams) -> SabrSlice:
        return SabrSlice(days * NS_PER_DAY, 100.0, 1.0, SabrFit(params, 9, 1.0, 0.0, 1.0, 1e4, "ok"))

    return SabrSurface(
        "X", 0, (piece(30, SabrParams(0.5, 1.0, -0.3, 2.0)), piece(120, SabrParams(0.52, 1.0, -0.35, 1.3)))
    )


def test_a_surface_follows_its_smiles_and_goes_on_straight_within_lees_bound() -> None:
    surface = two_smiles()
    tau = float(surface.tau[0])
    strike = np.array([70.0, 100.0, 130.0])
    want = sabr.implied_vol(100.0, strike, tau, SabrParams(0.5, 1.0, -0.3, 2.0))
    np.testing.assert_allclose(surface.implied_vol(strike, 30 * NS_PER_DAY), want, rtol=1e-13)
    k = np.linspace(-12.0, 12.0, 4001)
    for t in (0.5 * tau, tau, 2.0 * tau):
        w = surface.total_variance(k, t)
        slope = np.diff(w) / np.diff(k)
        assert np.abs(slope).max() <= 2.0
        assert np.all(w > 0.0)
        np.testing.assert_allclose(np.diff(slope[:100]), 0.0, atol=1e-12)
    assert surface.check_arbitrage().free


def test_a_chain_gives_a_smile_per_expiry() -> None:
    found = sabr.fit(example_quotes(), 0, "X")
    assert [s.fit.status for s in found.slices] == ["ok", "ok"]
    assert min(s.fit.inside_share for s in found.slices) > 0.9
    assert float(found.implied_vol(100.0, 30 * NS_PER_DAY)) == pytest.approx(0.5, abs=5e-3)


def test_bad_input_is_said_in_one_line() -> None:
    for bad in ((-0.1, 1.0, 0.0, 1.0), (0.1, 1.5, 0.0, 1.0), (0.1, 1.0, 1.0, 1.0), (0.1, 1.0, 0.0, -1.0)):
        with pytest.raises(InputError, match="expected"):
            SabrParams(*bad)
    with pytest.raises(InputError, match="rows"):
        sabr.fit_slice(100.0, [90.0, 100.0], 0.5, [0.2], [0.3])
    with pytest.raises(InputError, match="beta"):
        sabr.fit_slice(100.0, [90.0], 0.5, [0.2], [0.3], beta=2.0)
    few = sabr.fit_slice(100.0, [90.0, 100.0, 110.0], 0.5, [0.2, 0.2, np.nan], [0.3, 0.3, 0.3])
    assert few.status == "few_quotes"
    assert few.params is None
    nothing = sabr.implied_vol(100.0, [-1.0, 0.0, np.nan], 0.5, SabrParams(0.3, 1.0, 0.0, 1.0))
    assert np.isnan(nothing).all()


def test_compiled_and_plain_agree() -> None:
    p = np.array([0.4, 0.6, -0.5, 1.2])
    for k in (-1.5, -0.01, 0.0, 0.4):
        fast_by, slow_by = np.empty(3), np.empty(3)
        fast = sabr_kernels.vol_and_gradient(k, 0.4, p, fast_by)
        assert fast == pytest.approx(plain(sabr_kernels.vol_and_gradient)(k, 0.4, p, slow_by), rel=1e-14)
        np.testing.assert_allclose(fast_by, slow_by, rtol=1e-12)
        np.testing.assert_allclose(
            sabr_kernels.vol_shape(k, 0.4, p), plain(sabr_kernels.vol_shape)(k, 0.4, p), rtol=1e-12
        )
    k = np.linspace(-0.5, 0.5, 9)
    vol = 0.5 + 0.1 * k * k - 0.1 * k
    points = np.column_stack([k, vol - 0.01, vol + 0.01])
    ends = []
    for start, refine in (
        (sabr_kernels.start, sabr_kernels.refine),
        (plain(sabr_kernels.start), plain(sabr_kernels.refine)),
    ):
        at = np.empty(4)
        start(points, 0.4, 1.0, 5e-4, at)
        refine(at, points, 0.4, 5e-4, 2.0, 50)
        ends.append(at)
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-8)
    surface = two_smiles()
    t = np.full(5, float(surface.tau[1])) * np.array([0.1, 0.5, 1.0, 2.0, -1.0])
    moneyness = np.array([-8.0, -0.1, 0.0, 0.3, 9.0])
    fast_rows, slow_rows = np.empty((4, 5)), np.empty((4, 5))
    sabr_kernels.surface_shapes(moneyness, t, surface.tau, surface._rows, fast_rows)
    plain(sabr_kernels.surface_shapes)(moneyness, t, surface.tau, surface._rows, slow_rows)
    np.testing.assert_allclose(fast_rows, slow_rows, rtol=1e-12)
    slow = plain(sabr_kernels.sound_range)(0.4, ends[0], 5.0)
    np.testing.assert_allclose(sabr_kernels.sound_range(0.4, ends[0], 5.0), slow, rtol=1e-9)

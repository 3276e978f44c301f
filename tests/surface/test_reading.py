"""What holds for every form of surface: policy between and beyond expiries and strikes, and one way of asking."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.core.events import SliceFit
from voldesk.core.units import NS_PER_DAY, NS_PER_YEAR
from voldesk.surface import essvi, sabr
from voldesk.surface.essvi import EssviSlice, EssviSurface
from voldesk.surface.fit import fit_surface
from voldesk.surface.fitted import Surface
from voldesk.surface.grid import sample
from voldesk.surface.reading import VolSurface
from voldesk.surface.sabr import SabrFit, SabrParams, SabrSlice, SabrSurface
from voldesk.surface.warm import example_quotes

DAYS = (20, 75, 240)
FORWARDS = (100.0, 101.0, 104.0)
LINEAR = ("svi", "sabr", "grid")  # in total variance at fixed k; eSSVI is linear in its parameters


def made(form: str, level: float, skew: float, bend: float) -> VolSurface:
    """Surfaces without arbitrage by construction: eSSVI slices of the domain, read as they are, as raw SVI, or as a table;
    SABR smiles that flatten with maturity."""
    tau = np.array(DAYS) / 365.0
    theta = level * level * tau
    psi = bend * np.sqrt(theta)
    pieces = [
        EssviSlice(d * NS_PER_DAY, f, 1.0, t, skew, p)
        for d, f, t, p in zip(DAYS, FORWARDS, theta.tolist(), psi.tolist(), strict=True)
    ]
    if form == "svi":
        raws = [piece.raw() for piece in pieces]
        fits = tuple(
            SliceFit(piece.expiry_ns, piece.forward, 1.0, r.a, r.b, r.rho, r.m, r.sigma, 9, 1.0, 0.0, "ok")
            for piece, r in zip(pieces, raws, strict=True)
        )
        return Surface("X", 0, fits)
    if form == "sabr":
        smiles = tuple(
            SabrSlice(
                d * NS_PER_DAY,
                f,
                1.0,
                SabrFit(SabrParams(level, 1.0, skew, bend / math.sqrt(t)), 9, 1.0, 0.0, 1.0, 1e4, "ok"),
            )
            for d, f, t in zip(DAYS, FORWARDS, tau.tolist(), strict=True)
        )
        return SabrSurface("X", 0, smiles)
    surface = EssviSurface("X", 0, tuple(pieces))
    return surface if form == "essvi" else sample(surface, np.linspace(-1.0, 1.0, 41))


SHAPES = {"level": st.floats(0.1, 1.0), "skew": st.floats(-0.8, 0.8), "bend": st.floats(0.05, 0.9)}


@pytest.mark.parametrize("form", ["svi", "essvi", "grid"])
@settings(max_examples=60, deadline=None)
@given(k=st.floats(-6.0, 6.0), early=st.floats(1e-4, 2.0), step=st.floats(1e-6, 1.0), **SHAPES)
def test_total_variance_rises_with_maturity_at_fixed_moneyness(
    form: str, k: float, early: float, step: float, level: float, skew: float, bend: float
) -> None:
    surface = made(form, level, skew, bend)
    assert surface.check_arbitrage().free
    w = surface.total_variance(k, [early, early * (1.0 + step)])
    assert w[1] >= w[0] * (1.0 - 1e-13) > 0.0


@settings(max_examples=60, deadline=None)
@given(k=st.floats(-6.0, 6.0), early=st.floats(1e-4, 2.0), step=st.floats(1e-6, 1.0), **SHAPES)
def test_sabr_smiles_that_cross_are_said_to_and_those_that_do_not_never_fall(
    k: float, early: float, step: float, level: float, skew: float, bend: float
) -> None:
    surface = made("sabr", level, skew, bend)
    report = surface.check_arbitrage(6.0)
    for (gap, at), first, second in zip(report.least_gap, surface.tau[:-1], surface.tau[1:], strict=True):
        ends = surface.total_variance(at, [first, second])
        assert ends[1] - ends[0] == pytest.approx(gap, abs=1e-15)
    if min(gap for gap, _ in report.least_gap) >= 0.0:
        w = surface.total_variance(k, [early, early * (1.0 + step)])
        assert w[1] >= w[0] * (1.0 - 1e-9) > 0.0
    else:
        assert any(line.startswith("calendar") for line in report.violations)


@pytest.mark.parametrize("form", ["svi", "essvi", "sabr", "grid"])
@settings(max_examples=40, deadline=None)
@given(tau=st.floats(1e-3, 240 / 365), **SHAPES)
def test_wings_stay_within_lees_bound(form: str, tau: float, level: float, skew: float, bend: float) -> None:
    surface = made(form, level, skew, bend)
    for side in (-1.0, 1.0):
        w = surface.total_variance(side * np.array([20.0, 40.0]), tau)
        assert np.all(w > 0.0)
        assert -1e-12 <= (w[1] - w[0]) / 20.0 <= 2.0


@pytest.mark.parametrize("form", LINEAR)
def test_between_expiries_total_variance_is_linear_along_forward_moneyness(form: str) -> None:
    surface = made(form, 0.5, -0.3, 0.6)
    near, far = surface.tau[:2]
    k = np.array([-0.4, 0.0, 0.3])
    for share in (0.25, 0.5, 0.9):
        tau = near + share * (far - near)
        forward = 100.0 ** (1.0 - share) * 101.0**share
        assert float(surface.forward(tau)) == pytest.approx(forward, rel=1e-14)
        want = (1.0 - share) * surface.total_variance(k, near) + share * surface.total_variance(k, far)
        np.testing.assert_allclose(surface.implied_vol(forward * np.exp(k), tau), np.sqrt(want / tau), rtol=1e-12)


@pytest.mark.parametrize("form", ["svi", "essvi", "sabr", "grid"])
def test_before_the_first_expiry_volatility_at_fixed_moneyness_is_flat(form: str) -> None:
    surface = made(form, 0.5, -0.3, 0.6)
    k = np.array([-0.3, 0.0, 0.2])
    near = surface.tau[0]
    first = np.sqrt(surface.total_variance(k, near) / near)
    for tau in (0.0, 1e-6, 0.5 * near):
        np.testing.assert_allclose(surface.implied_vol(100.0 * np.exp(k), tau), first, rtol=1e-9)


@pytest.mark.parametrize("form", LINEAR)
def test_beyond_the_last_expiry_every_strike_gains_the_moneys_variance(form: str) -> None:
    surface = made(form, 0.5, -0.3, 0.6)
    k = np.array([-0.9, -0.3, 0.0, 0.2, 1.4])
    far = float(surface.tau[-1])
    last = surface.total_variance(k, far)
    for times in (1.3, 4.0, 10.0):
        gained = surface.total_variance(k, times * far) - last
        np.testing.assert_allclose(gained, (times - 1.0) * last[2], rtol=1e-12)
        assert float(surface.atm_iv(times * far)) == pytest.approx(float(surface.atm_iv(far)), rel=1e-12)


def _least_density(surface: VolSurface, tau: float) -> float:
    """Smallest Durrleman g over |k| <= 4, off the kinks that a table has at its columns."""
    k = np.linspace(-4.0, 4.0, 1601) + 1e-4
    shape = surface.variance_shape(k, tau)
    bracket = 1.0 - 0.5 * k * shape.by_k / shape.w
    return float(np.min(bracket**2 - 0.25 * shape.by_k**2 * (1.0 / shape.w + 0.25) + 0.5 * shape.by_kk))


@pytest.mark.parametrize("form", ["svi", "essvi", "sabr"])
@pytest.mark.parametrize("quoted", [True, False])
def test_no_butterfly_appears_beyond_the_last_expiry(form: str, quoted: bool) -> None:
    """Total variance proportional to tau failed here from half as long again on (SVI: g of -0.04, -2.2 at ten times)."""
    fits = {"svi": fit_surface, "essvi": essvi.fit, "sabr": sabr.fit}
    surface = fits[form](example_quotes(), 0, "X") if quoted else made(form, 0.5, -0.3, 0.6)
    far = float(surface.tau[-1])
    own = _least_density(surface, far)
    assert own > 0.0
    for times in (1.5, 2.0, 4.0, 10.0):
        assert _least_density(surface, times * far) > 0.0
        if not surface.EXTENDS_ITSELF:
            assert _least_density(surface, times * far) >= own - 1e-12


@pytest.mark.parametrize("form", ["svi", "essvi", "sabr", "grid"])
def test_derivatives_are_those_of_total_variance_in_every_form(form: str) -> None:
    surface = made(form, 0.5, -0.3, 0.6)
    h = 1e-4
    # Off the columns of the table, whose slope is that of a three-point parabola: an order coarser.
    k = np.array([-0.321, 0.012, 0.237])
    for tau in (0.02, 0.1, 0.3, 0.8):
        shape = surface.variance_shape(k, tau)
        low, high = surface.total_variance(k - h, tau), surface.total_variance(k + h, tau)
        coarse = form == "grid"
        np.testing.assert_allclose((high - low) / (2.0 * h), shape.by_k, atol=2e-2 if coarse else 1e-7)
        if not coarse:
            second = (high - 2.0 * surface.total_variance(k, tau) + low) / h**2
            np.testing.assert_allclose(second, shape.by_kk, atol=1e-5)
        later, earlier = surface.total_variance(k, tau + 1e-6), surface.total_variance(k, tau - 1e-6)
        np.testing.assert_allclose((later - earlier) / 2e-6, shape.by_tau, rtol=1e-6)


def test_scalars_and_shapes_broadcast_and_an_integer_is_an_expiry() -> None:
    for form in ("svi", "essvi", "sabr", "grid"):
        surface = made(form, 0.5, -0.3, 0.6)
        assert surface.implied_vol(100.0, 0.1).shape == ()
        assert surface.implied_vol(np.full((3, 1), 90.0), np.array([0.1, 0.2])).shape == (3, 2)
        assert surface.local_vol(np.full((3, 1), 90.0), np.array([0.1, 0.2])).status.shape == (3, 2)
        expiry = 30 * NS_PER_DAY
        assert float(surface.implied_vol(95.0, expiry)) == float(surface.implied_vol(95.0, expiry / NS_PER_YEAR))
        assert math.isnan(float(surface.implied_vol(95.0, -1.0)))
        assert math.isnan(float(surface.implied_vol(math.nan, 0.1)))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.isnan(surface.implied_vol([0.0, -90.0, math.inf], 0.1)).all()
            assert np.isnan(surface.local_vol([0.0, -90.0], 0.1).local_vol).all()
            assert np.isnan(surface.atm_iv([-1.0, math.nan])).all()
        assert surface.expiry_ns.tolist() == [d * NS_PER_DAY for d in DAYS]


def test_forwards_must_be_positive() -> None:
    with pytest.raises(InputError, match="forward"):
        EssviSurface("X", 0, (EssviSlice(NS_PER_DAY, -1.0, 1.0, 0.1, 0.0, 0.1),))


def test_three_fits_of_one_chain_tell_one_story() -> None:
    quotes = example_quotes()
    fits = [fit_surface(quotes, 0, "X"), essvi.fit(quotes, 0, "X"), sabr.fit(quotes, 0, "X")]
    strike, tau = np.array([85.0, 100.0, 115.0])[:, None], np.array([30, 60, 90]) / 365
    vols = [surface.implied_vol(strike, tau) for surface in fits]
    assert np.ptp(vols, axis=0).max() < 0.015

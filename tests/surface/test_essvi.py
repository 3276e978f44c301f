from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, minimize

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.core.rng import random_stream
from voldesk.core.units import NS_PER_DAY, NS_PER_YEAR
from voldesk.pricing import black
from voldesk.surface import essvi, essvi_kernels, svi_kernels
from voldesk.surface import essvi_fit_kernels as fit_kernels
from voldesk.surface.essvi import EssviSlice, EssviSurface
from voldesk.surface.fit import ChainQuotes

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
DAYS = np.array([2, 7, 14, 21, 30, 45, 60, 90, 120, 180, 270, 365])


def surface_of(log_steps: list[tuple[float, float, float, float]], share: float) -> EssviSurface:
    """Any member of the domain: steps of tau, log right, log left, -log phi, from a first slice on; `share` of the way to
    the butterfly condition for the first phi."""
    tau, right, left, phi = 0.0, 0.0, 0.0, 0.0
    slices = []
    for i, (days, up, down, fall) in enumerate(log_steps):
        tau += days
        if i == 0:
            right, left = math.exp(up - 4.0), math.exp(down - 4.0)
            phi = share * 3.99999 / max(right, left)
        right, left = min(right * math.exp(0.2 * up), 3.99), min(left * math.exp(0.2 * down), 3.99)
        phi = min(phi * math.exp(-0.2 * fall), 3.99999 / max(right, left))
        psi = 0.5 * (right + left)
        slices.append(
            EssviSlice(int(tau * NS_PER_DAY), 100.0 + i, 1.0, psi / phi, (right - left) / (right + left), psi)
        )
    return EssviSurface("X", 0, tuple(slices))


SURFACES = st.builds(
    surface_of,
    st.lists(st.tuples(st.floats(0.5, 200.0), *(st.floats(0.0, 3.0),) * 3), min_size=1, max_size=6),
    st.floats(1e-3, 1.0),
)


def example() -> EssviSurface:
    tau = DAYS / 365.0
    theta = 0.25 * tau * (1.0 + 0.1 * np.sqrt(tau))
    psi = 0.9 * np.sqrt(theta) / (1.0 + 0.3 * np.sqrt(tau))
    rows = zip(DAYS.tolist(), theta.tolist(), (-0.35 - 0.1 * tau).tolist(), psi.tolist(), strict=True)
    return EssviSurface("BTC", 0, tuple(EssviSlice(d * NS_PER_DAY, 100.0, 1.0, t, r, p) for d, t, r, p in rows))


def chain(surface: EssviSurface, half: float, noise: float = 0.0, seed: int = 1) -> ChainQuotes:
    expiry = np.repeat(surface.expiry_ns, 20)
    tau = expiry / NS_PER_YEAR
    k = np.tile(np.linspace(-2.2, 2.2, 20), surface.tau.size) * 0.5 * np.sqrt(tau)
    forward = surface.forward(tau)
    strike = forward * np.exp(k)
    vol = surface.implied_vol(strike, tau) + noise * random_stream(seed, "essvi").standard_normal(k.size)
    is_call = k > 0.0
    bid, ask = (black.price(forward, strike, tau, vol + side, 1.0, is_call) for side in (-half, half))
    return ChainQuotes(expiry, tau, strike, is_call, bid, ask, 0.5 * (bid + ask), forward)


def points_of(seed: int, noise: float) -> tuple[FloatArray, IntArray, FloatArray]:
    surface = example()
    stream = random_stream(seed, "points")
    k = np.linspace(-2.2, 2.2, 20)[None, :] * np.sqrt(surface.tau)[:, None] * 0.5
    vol = np.sqrt(surface.total_variance(k, surface.tau[:, None]) / surface.tau[:, None])
    vol = vol + noise * stream.standard_normal(k.shape)
    half = 0.004 + 0.01 * np.linspace(-1.1, 1.1, 20)[None, :] ** 2 + np.zeros_like(k)
    points = np.stack([k, vol - half, vol + half], axis=-1).reshape(-1, 3)
    return points, np.arange(0, points.shape[0] + 1, 20), surface.tau


def raw_row(at: FloatArray) -> FloatArray:
    return essvi._raw_row(float(at[0]), float(at[1]), float(at[2]))


def test_a_chain_priced_off_an_essvi_surface_gives_it_back() -> None:
    truth = example()
    found = essvi.fit(chain(truth, 1e-3), 0, "BTC")
    assert [s.status for s in found.slices] == ["ok"] * 12
    for name in ("theta", "rho", "psi"):
        got, want = (np.array([getattr(s, name) for s in v.slices]) for v in (found, truth))
        assert np.max(np.abs(got / want - 1.0)) < 1e-6, name
    assert min(s.inside_share for s in found.slices) == 1.0
    assert found.check_arbitrage().free


@pytest.mark.parametrize(("seed", "noise"), [(1, 0.003), (2, 0.02), (3, 0.06)])
def test_no_point_of_the_domain_fits_better(seed: int, noise: float) -> None:
    points, offsets, tau = points_of(seed, noise)
    n = 3 * tau.size
    x = np.empty(n)
    fit_kernels.start(points, offsets, tau, 5e-4, x)
    start = x.copy()
    loss, steps, settled = fit_kernels.solve(points, offsets, tau, 5e-4, 2.0, 200, x)
    assert settled
    assert steps < 60
    index, sign, offset = fit_kernels.walls(tau.size)
    rows = np.zeros((offset.size, n))
    for r in range(offset.size):
        rows[r, index[r, 0]] = sign[r, 0]
        if index[r, 1] >= 0:
            rows[r, index[r, 1]] = sign[r, 1]
    assert (rows @ x + offset).min() > 0.0

    def value(at: FloatArray) -> tuple[float, FloatArray]:
        band, force = np.zeros((n, 4)), np.zeros(n)
        return fit_kernels.quote_terms(at, points, offsets, tau, 5e-4, 2.0, band, force), force

    # Every slice moves at once; the reference is a general solver on the same domain, from the start and from our end.
    for begin in (start, x):
        peer = minimize(
            value,
            begin,
            jac=True,
            method="SLSQP",
            constraints=LinearConstraint(rows, -offset),
            options={"maxiter": 300},
        )
        assert loss <= peer.fun + 1e-4 * (1.0 + peer.fun)


def test_the_gradient_of_the_loss_is_its_derivative() -> None:
    points, offsets, tau = points_of(5, 0.02)
    points[::7, 1] = 0.0  # asks without a bid
    points[::14, 2] -= 0.05
    x = np.empty(3 * tau.size)
    fit_kernels.start(points, offsets, tau, 5e-4, x)
    band, force, none = np.zeros((x.size, 4)), np.zeros(x.size), np.zeros((x.size, 4))
    fit_kernels.quote_terms(x, points, offsets, tau, 5e-4, 2.0, band, force)
    for i in range(x.size):
        ends = []
        for side in (1e-6, -1e-6):
            at = x.copy()
            at[i] += side
            ends.append(fit_kernels.quote_terms(at, points, offsets, tau, 5e-4, 2.0, none, np.zeros(x.size)))
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(force[i], rel=1e-5, abs=1e-5 * np.abs(force).max())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), noise=st.floats(0.0, 0.2))
def test_whatever_the_quotes_the_surface_has_no_arbitrage(seed: int, noise: float) -> None:
    points, offsets, tau = points_of(seed, noise)
    points[:, 1:] = np.maximum(points[:, 1:], 0.02)
    slices, status, reports = np.empty((12, 3)), np.empty(12, np.int64), np.empty((12, 3))
    fit_kernels.fit_surface(points, offsets, tau, 5e-4, 2.0, 200, slices, status, reports)
    raw = [raw_row(at) for at in slices]
    assert all(svi_kernels.is_butterfly_free(p) for p in raw)
    assert all(svi_kernels.is_calendar_free(raw[i], raw[i + 1]) for i in range(11))


@settings(max_examples=150, deadline=None)
@given(surface=SURFACES, share=st.floats(0.0, 1.0), step=st.floats(1e-6, 1.0))
def test_every_maturity_of_the_domain_is_free_by_the_proofs_for_raw_svi(
    surface: EssviSurface, share: float, step: float
) -> None:
    """Before, between and far beyond the expiries; the proofs for SVI know nothing of the conditions here."""
    assert surface.check_arbitrage().free
    early = share * 2.0 * surface.tau[-1] + 1e-6
    late = early * (1.0 + step)
    at = np.empty((2, 6))
    for row, t in zip(at, (early, late), strict=True):
        essvi_kernels.place(t, surface.tau, surface._rows, row)
    # A hair inside: the domain is closed, and at its border rounding decides what the proof sees.
    first, second = (raw_row(row) for row in at)
    for p in (first, second):
        p[svi_kernels.B] *= 1.0 - 1e-7
        assert svi_kernels.is_butterfly_free(p)
    k = np.linspace(-8.0, 8.0, 401)
    w_early, w_late = surface.total_variance(k, early), surface.total_variance(k, late)
    assert np.min(w_late - w_early * (1.0 - 1e-13)) >= 0.0


@settings(max_examples=60, deadline=None)
@given(surface=SURFACES, k=st.floats(-3.0, 3.0), share=st.floats(0.0, 2.0))
def test_the_derivatives_of_total_variance_are_right(surface: EssviSurface, k: float, share: float) -> None:
    tau = share * float(surface.tau[-1]) + 1e-4
    if np.min(np.abs(surface.tau - tau)) < 1e-4 * tau:
        return
    shape = surface.variance_shape(k, tau)
    assert float(shape.w) == pytest.approx(float(surface.total_variance(k, tau)), rel=1e-14)
    # Steps in units of the smile's own width, so that the smile is smooth over one.
    at = np.empty(6)
    essvi_kernels.place(tau, surface.tau, surface._rows, at)
    h = 1e-3 * float(at[0] / at[1]) * math.sqrt(1.0 - (at[2] / at[1]) ** 2)
    ends = [surface.variance_shape(k + side, tau) for side in (-h, h)]
    scale = float(at[1])
    assert float(ends[1].w - ends[0].w) / (2.0 * h) == pytest.approx(float(shape.by_k), abs=1e-6 * scale + 1e-12 / h)
    bend = float(ends[1].by_k - ends[0].by_k) / (2.0 * h)
    assert bend == pytest.approx(float(shape.by_kk), abs=1e-5 * (abs(float(shape.by_kk)) + scale * 1e-3 / h))
    later, earlier = (surface.total_variance(k, tau * (1.0 + side)) for side in (1e-6, -1e-6))
    slope = float(later - earlier) / (2e-6 * tau)
    essvi_kernels.place(tau * 1.000001, surface.tau, surface._rows, at)
    kinked = tau > surface.tau[-1]  # where the wings stop growing the slope jumps
    assert slope == pytest.approx(float(shape.by_tau), rel=2e-4 if not kinked else 2.0, abs=1e-9)


def test_a_violation_is_named_with_its_place() -> None:
    slices = (
        EssviSlice(30 * NS_PER_DAY, 100.0, 1.0, 0.02, -0.3, 0.15),
        EssviSlice(60 * NS_PER_DAY, 100.0, 1.0, 0.03, 0.6, 0.16),
        EssviSlice(90 * NS_PER_DAY, 100.0, 1.0, 0.05, 0.6, 0.60),
    )
    report = EssviSurface("X", 0, slices).check_arbitrage()
    assert [line.split(":")[0] for line in report.violations] == ["butterfly", "calendar", "calendar"]
    assert not report.free
    with pytest.raises(InputError, match="theta"):
        EssviSlice(1, 100.0, 1.0, -0.1, 0.0, 0.1)
    with pytest.raises(InputError, match="linear_from"):
        essvi.EssviOptions(linear_from=0.0)
    with pytest.raises(InputError, match="out of order"):
        EssviSurface("X", 0, slices[::-1])


def test_an_expiry_with_few_quotes_says_so_and_takes_no_part() -> None:
    quotes = chain(example(), 2e-3)
    bid = quotes.bid.copy()
    bid[:18] = np.nan  # two two-sided quotes left in the first expiry
    found = essvi.fit(quotes._replace(bid=bid), 0, "BTC")
    assert [s.status for s in found.slices] == ["few_quotes"] + ["ok"] * 11
    assert math.isnan(found.slices[0].theta)
    assert found.tau.size == 11
    none = essvi.fit(quotes._replace(bid=np.full(bid.shape, np.nan)), 0, "BTC")
    assert np.isnan(none.implied_vol(100.0, 0.1))
    assert none.local_vol(100.0, 0.1).status == 1


def test_a_raw_slice_says_the_same() -> None:
    piece = example().slices[4]
    k = np.linspace(-1.0, 1.0, 11)
    w = example().total_variance(k, example().tau[4])
    np.testing.assert_allclose([svi_kernels.total_variance(x, piece.raw().row()) for x in k], w, rtol=1e-13)


def test_compiled_and_plain_agree() -> None:
    points, offsets, tau = points_of(4, 0.02)
    points, offsets, tau = points[:60].copy(), offsets[:4].copy(), tau[:3].copy()
    results = []
    for kernel in (fit_kernels.fit_surface, plain(fit_kernels.fit_surface)):
        slices, status, reports = np.empty((3, 3)), np.empty(3, np.int64), np.empty((3, 3))
        kernel(points, offsets, tau, 5e-4, 2.0, 200, slices, status, reports)
        results.append((slices, status, reports))
    for fast, slow in zip(*results, strict=True):
        np.testing.assert_allclose(fast, slow, rtol=1e-9)
    k, t = np.array([0.0, 0.3, -0.4, 0.1, 0.2]), np.array([0.001, 0.01, 0.02, 4.0, -1.0])
    for kernel, width in ((essvi_kernels.variances, 1), (essvi_kernels.shapes, 4)):
        fast, slow = np.empty((width, 5)), np.empty((width, 5))
        kernel(k, t, tau, results[0][0], fast[0] if width == 1 else fast)
        plain(kernel)(k, t, tau, results[0][0], slow[0] if width == 1 else slow)
        np.testing.assert_allclose(fast, slow, rtol=1e-13)
        assert np.isnan(fast[:, 4]).all()


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "underlying", "least_inside"),
    [
        ("deribit_chain_6h/btc_2026-02.parquet", "BTC", 0.40),
        ("deribit_chain_6h/btc_2026-05.parquet", "BTC", 0.60),
        ("deribit_chain_6h_eth", "ETH", 0.78),
    ],
)
def test_recorded_chains_give_surfaces_without_arbitrage(name: str, underlying: str, least_inside: float) -> None:
    """Every second snapshot; three numbers a slice are not expected inside every band, the share is held as measured."""
    parquet = pytest.importorskip("pyarrow.parquet")
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not on this machine")
    table = parquet.read_table(path)
    ts, expiry = (table[c].cast("int64").to_numpy() * 1_000_000 for c in ("ts", "expiry"))
    strike, bid, ask, mark, forward = (
        table[c].to_numpy() for c in ("strike", "bid_price", "ask_price", "mark_price", "underlying_price")
    )
    is_call = np.array(table["option_type"].to_pylist()) == "C"
    inside, quotes, slices = 0.0, 0, 0
    for asof in np.unique(ts)[::2].tolist():
        rows = (ts == asof) & (expiry > asof)
        tau = (expiry[rows] - asof) / NS_PER_YEAR
        columns = (expiry, tau, strike, is_call, bid, ask, mark, forward)
        found = essvi.fit(ChainQuotes(*(c if c is tau else c[rows] for c in columns), True), asof, underlying)
        assert {s.status for s in found.slices} <= {"ok", "few_quotes"}
        report = found.check_arbitrage()
        assert report.free, report.violations
        assert min(g for g, _ in report.least_g) > 0.0
        assert min(gap for gap, _ in report.least_gap) > 0.0
        inside += sum(s.quotes * s.inside_share for s in found.usable)
        quotes += sum(s.quotes for s in found.usable)
        slices += len(found.usable)
    print(f"\n{name}: eSSVI {inside / quotes:.4f} of {quotes} inside bid-ask, {slices} slices")
    assert inside / quotes > least_inside

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voldesk.adapters.feeds.chains import read_chain
from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.core.events import SurfaceFitted
from voldesk.core.units import NS_PER_DAY, NS_PER_YEAR
from voldesk.pricing import black
from voldesk.surface import chain as chain_module
from voldesk.surface import chain_kernels, fit_kernels, joint_kernels, slice_kernels, svi_kernels
from voldesk.surface import fit as fit_module
from voldesk.surface.fit import ChainQuotes, FitOptions, Surface, fit_surface
from voldesk.surface.svi import SviRaw, total_variance
from voldesk.surface.vol_index import variance_swap_vol, vol_index

DATA = Path(__file__).resolve().parents[2] / "../shared/data"


def chain(slices: dict[int, SviRaw], half_spread: float = 0.005, coin: bool = False, forward: float = 50_000.0):
    """Quotes around given slices, in vol +- half_spread, 21 strikes an expiry."""
    k = np.linspace(-0.5, 0.5, 21)
    expiry = np.repeat([days * NS_PER_DAY for days in slices], 2 * k.size)
    tau = expiry / NS_PER_YEAR
    strike = np.tile(forward * np.exp(k), 2 * len(slices))
    is_call = np.tile(np.repeat([True, False], k.size), len(slices))
    sigma = np.concatenate(
        [np.tile(np.sqrt(total_variance(k, p) / (days * NS_PER_DAY / NS_PER_YEAR)), 2) for days, p in slices.items()]
    )
    unit = forward if coin else 1.0
    bid = black.price(forward, strike, tau, sigma - half_spread, 1.0, is_call) / unit
    ask = black.price(forward, strike, tau, sigma + half_spread, 1.0, is_call) / unit
    return ChainQuotes(expiry, tau, strike, is_call, bid, ask, 0.5 * (bid + ask), np.full(tau.shape, forward), coin)


SLICES = {
    14: SviRaw(0.002, 0.05, -0.2, 0.01, 0.12),
    90: SviRaw(0.015, 0.10, -0.3, 0.02, 0.30),
}


@pytest.mark.parametrize("coin", [False, True])
def test_quotes_made_from_slices_give_the_slices_back(coin: bool) -> None:
    surface = fit_surface(chain(SLICES, coin=coin), 0, "BTC")
    k = np.linspace(-0.5, 0.5, 101)
    for fit, (days, made) in zip(surface.slices, SLICES.items(), strict=True):
        assert fit.status == "ok"
        assert fit.inside_share == 1.0
        assert fit.worst_miss == 0.0
        assert fit.mean_miss == 0.0
        assert fit.quotes == 21
        assert fit.forward == 50_000.0
        tau = days * NS_PER_DAY / NS_PER_YEAR
        found = np.sqrt(surface.total_variance(k, tau) / tau)
        assert np.max(np.abs(found - np.sqrt(total_variance(k, made) / tau))) < 5e-4


def test_the_order_of_the_rows_does_not_matter() -> None:
    quotes = chain(SLICES)
    order = np.random.default_rng(3).permutation(quotes.strike.size)
    shuffled = ChainQuotes(*(c[order] if isinstance(c, np.ndarray) else c for c in quotes))
    first, second = fit_surface(quotes, 0, "BTC").to_event(), fit_surface(shuffled, 0, "BTC").to_event()
    assert msgspec.msgpack.encode(first) == msgspec.msgpack.encode(second)


def test_one_stale_quote_does_not_bend_the_slice() -> None:
    quotes = chain(SLICES)
    struck = np.flatnonzero(quotes.strike == quotes.strike[12])[0]
    for column in (quotes.bid, quotes.ask):
        column[struck] *= 1.4
    surface = fit_surface(quotes, 0, "BTC")
    assert surface.slices[0].inside_share == pytest.approx(20 / 21)
    assert surface.slices[0].worst_miss > 0.01
    # One of 21 quotes is missed, by its distance in half-spreads (0.005).
    assert surface.slices[0].mean_miss == pytest.approx(surface.slices[0].worst_miss / 0.005 / 21, rel=0.2)
    tau = 14 * NS_PER_DAY / NS_PER_YEAR
    k = np.linspace(-0.4, 0.4, 41)
    miss = np.sqrt(surface.total_variance(k, tau) / tau) - np.sqrt(total_variance(k, SLICES[14]) / tau)
    assert np.max(np.abs(miss)) < 0.005


def test_an_ask_alone_holds_the_slice_below_it_and_is_not_counted() -> None:
    quotes = chain(SLICES)
    quotes.bid[:3] = np.nan  # in-the-money calls: not used at all
    quotes.bid[18:21] = np.nan
    fit = fit_surface(quotes, 0, "BTC").slices[0]
    assert fit.quotes == 18
    assert fit.status == "ok"


def test_too_few_quotes_give_nan_and_a_status() -> None:
    quotes = chain(SLICES)
    first = quotes.expiry_ns == quotes.expiry_ns[0]
    rows = np.flatnonzero(first)
    quotes.bid[rows[4:]] = np.nan
    surface = fit_surface(quotes, 0, "BTC")
    assert [s.status for s in surface.slices] == ["few_quotes", "ok"]
    assert np.isnan(surface.slices[0].a)
    assert len(surface.usable) == 1
    with pytest.raises(InputError, match="few_quotes"):
        surface.smile(int(quotes.expiry_ns[0]))


def test_no_quotes_give_an_empty_surface() -> None:
    quotes = ChainQuotes(*(c[:0] if isinstance(c, np.ndarray) else c for c in chain(SLICES)))
    surface = fit_surface(quotes, 0, "BTC")
    assert surface.slices == ()
    assert np.isnan(surface.atm_iv(0.1))
    assert surface.check_arbitrage().free


def test_expired_crossed_and_unusable_rows_are_left_out() -> None:
    quotes = chain(SLICES)
    quotes.forward[0] = np.nan
    quotes.bid[30] = quotes.ask[30] * 1.1
    assert fit_surface(quotes, 0, "BTC").slices[0].status == "ok"
    late = 20 * NS_PER_DAY
    aged = quotes._replace(tau=(quotes.expiry_ns - late) / NS_PER_YEAR)
    assert [s.expiry_ns for s in fit_surface(aged, late, "BTC").slices] == [90 * NS_PER_DAY]


def test_columns_that_disagree_are_refused() -> None:
    quotes = chain(SLICES)
    with pytest.raises(InputError, match="tau"):
        fit_surface(quotes, NS_PER_DAY, "BTC")
    with pytest.raises(InputError, match="shape"):
        fit_surface(quotes._replace(bid=quotes.bid[1:]), 0, "BTC")
    with pytest.raises(InputError, match="max_steps"):
        FitOptions(max_steps=0)


def test_a_butterfly_in_the_quotes_is_named_without_repair_and_gone_with_it() -> None:
    vogt = {365: SviRaw(-0.0410, 0.1331, 0.3060, 0.3586, 0.4153)}
    quotes = chain(vogt, half_spread=0.002)
    loose = fit_surface(quotes._replace(strike=quotes.strike), 0, "X", FitOptions(repair=False))
    assert loose.slices[0].status == "butterfly"
    repaired = fit_surface(quotes, 0, "X")
    assert repaired.slices[0].status == "ok"
    assert repaired.check_arbitrage().free
    # Gatheral & Jacquier (2014), sec. 5.1: the nearest clean slice is close to Vogt's.
    assert repaired.slices[0].inside_share > 0.9


def test_crossing_expiries_are_named_without_repair_and_parted_with_it() -> None:
    crossing = {30: SviRaw(0.02, 0.1, -0.3, 0.0, 0.2), 60: SviRaw(0.018, 0.1, -0.3, 0.0, 0.2)}
    quotes = chain(crossing, half_spread=0.02)
    loose = fit_surface(quotes, 0, "X", FitOptions(repair=False))
    assert [s.status for s in loose.slices] == ["calendar", "ok"]
    parted = fit_surface(quotes, 0, "X")
    assert [s.status for s in parted.slices] == ["ok", "ok"]
    assert parted.check_arbitrage().free
    assert min(s.inside_share for s in parted.slices) > 0.8


def test_compiled_and_plain_kernels_agree() -> None:
    quotes = chain({30: SviRaw(0.02, 0.1, -0.3, 0.0, 0.2), 60: SviRaw(0.018, 0.1, -0.3, 0.0, 0.2)}, 0.02)
    options = FitOptions().row()
    bands = fit_module.quote_bands(quotes, 0, options)
    # The last quotes of the second slice are far off and narrow, so that its bands are widened.
    last = bands.points[-6:]
    last[:, slice_kernels.HIGH] *= 2.0
    last[:, slice_kernels.MID] *= 4.0
    results = []
    for get in (lambda kernel: kernel, plain):
        q, p, boxes = np.empty((2, 5)), np.empty((2, 5)), np.empty((2, 2, 5))
        status, reports = np.empty(2, np.int64), np.empty((2, chain_kernels.REPORT_WIDTH))
        points = bands.points.copy()
        get(chain_kernels.fit_free)(points, bands.offsets, bands.tau, options, q, p, boxes, status)
        assert status.tolist() == [0, 0]
        missed = [get(chain_kernels.missed_share)(p[1], points[bands.offsets[1] :], least) for least in (0.0, 0.1)]
        get(chain_kernels.report)(p, points, bands.offsets, bands.tau, reports)
        assert not get(chain_kernels.is_free)(p)
        results.append((q, p, boxes, reports, points, np.array(missed)))
    # Fused products differ in the last bit; where descent stops multiplies that.
    for fast, slow in zip(*results, strict=True):
        np.testing.assert_allclose(fast, slow, rtol=1e-4)
    assert np.any(results[0][4] != bands.points)
    rows = bands.points[: bands.offsets[1]]
    box = results[0][2][0]
    fast, slow = np.empty(5), np.empty(5)
    assert fit_kernels.start(rows, bands.tau[0], box, fast)
    assert plain(fit_kernels.start)(rows, bands.tau[0], box, slow)
    np.testing.assert_allclose(fast, slow, rtol=1e-9)
    arguments = (rows, bands.tau[0], box, options)
    assert fit_kernels.refine(fast, *arguments) == pytest.approx(plain(fit_kernels.refine)(slow, *arguments), rel=1e-6)
    np.testing.assert_allclose(fast, slow, rtol=1e-6)
    gathered = []
    for kernel in (fit_kernels.gather, plain(fit_kernels.gather)):
        points, offsets, centre = np.zeros((4, 6)), np.zeros(2, np.int64), np.empty(1)
        kernel(
            np.array([102.0, 98.0, 100.0, 101.0]),
            np.array([-0.1, -0.05, 0.05, 0.1]),
            np.array([True, True, False, True]),
            np.array([0.4, 0.0, 0.4, 0.4]),
            np.array([0.5, 0.5, 0.5, 0.5]),
            np.full(4, 0.25),
            np.array([0, 4]),
            options,
            points,
            offsets,
            centre,
        )
        gathered.append((points.tolist(), offsets.tolist(), centre.tolist()))
    assert gathered[0] == gathered[1]
    assert gathered[0][1:] == ([0, 3], [100.5])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_the_median_is_the_median(values: list[float]) -> None:
    assert fit_kernels._median(np.array(values)) == pytest.approx(float(np.median(values)), rel=1e-15, abs=1e-300)


def test_slices_that_cross_a_little_are_mixed_with_flat_and_others_are_named() -> None:
    late = np.array([0.02, 0.1, -0.3, 0.0, 0.2])
    touching, above = late + np.array([1e-5, 0.0, 0.0, 0.0, 0.0]), late + np.array([0.01, 0.0, 0.0, 0.0, 0.0])
    p = np.array([touching, late])
    assert not chain_kernels.is_free(p)
    assert chain_module.separate(p, 0.02).tolist() == [False, False]
    assert chain_kernels.is_free(p)
    np.testing.assert_allclose(p[0], touching, atol=1e-3)
    p = np.array([0.5 * late, above, late])
    p[0, 2:] = late[2:]
    assert chain_module.separate(p, 0.02).tolist() == [False, True, False]
    np.testing.assert_array_equal(p[1], above)
    assert chain_module.separate(p, 1.0).tolist() == [False, False, False]
    assert chain_kernels.is_free(p)


def test_dips_between_the_points_become_points() -> None:
    """Axel Vogt's slice with negative density (Gatheral & Jacquier 2014, example 3.1), under one that is above it near
    the forward, and one above that far out only."""
    vogt = np.array([-0.0410, 0.1331, 0.3060, 0.3586, 0.4153])
    above, beyond = vogt + np.array([0.01, 0.0, 0.0, 0.0, 0.1]), vogt + np.array([0.05, -0.03, 0.0, 0.0, 0.3])
    own, pairs = np.full((3, 20), np.nan), np.full((2, 20), np.nan)
    slices = np.array([above, vogt, beyond])
    chain_module.note_dips(slices, 3, own, pairs)
    at = 20 - joint_kernels.DIPS + 3
    assert svi_kernels.durrleman(own[1, at], vogt) < -0.005
    early, late = (chain_module.raw_variance(slices[i : i + 2], pairs[i, at : at + 1])[:, 0] for i in (0, 1))
    assert early[1] < early[0]
    assert late[1] < late[0]
    assert abs(pairs[0, at]) <= 0.5 < abs(pairs[1, at])
    assert np.isnan(own[0]).all()
    assert np.isfinite(own[1]).sum() == 1


BAD_AMONG_GOOD = {
    7: SviRaw(0.0010, 0.04, -0.3, 0.0, 0.08),
    14: SviRaw(0.0022, 0.05, -0.3, 0.0, 0.11),
    30: SviRaw(0.0060, 0.07, -0.3, 0.0, 0.16),
    60: SviRaw(0.0130, 0.09, -0.3, 0.0, 0.22),
    120: SviRaw(0.0280, 0.12, -0.3, 0.0, 0.30),
}


@pytest.mark.parametrize("bad", [7, 30, 120])
@pytest.mark.parametrize("factor", [0.4, 2.5])
def test_one_bad_expiry_is_named_and_leaves_its_neighbours_alone(bad: int, factor: float) -> None:
    """All its quotes belong to another total variance, as with a stale snapshot or a wrong forward."""
    quotes = chain(BAD_AMONG_GOOD, half_spread=0.002)
    alone = fit_surface(quotes, 0, "X")
    good = BAD_AMONG_GOOD[bad]
    wrong = BAD_AMONG_GOOD | {bad: SviRaw(factor * good.a, factor * good.b, good.rho, good.m, good.sigma)}
    surface = fit_surface(chain(wrong, half_spread=0.002), 0, "X")
    assert surface.check_arbitrage().free
    crosses = (bad != 120 or factor < 1.0) and (bad != 7 or factor > 1.0)
    statuses = {round(s.expiry_ns / NS_PER_DAY): s.status for s in surface.slices}
    assert statuses == {days: "calendar" if crosses and days == bad else "ok" for days in BAD_AMONG_GOOD}
    k = np.linspace(-0.4, 0.4, 41)
    for days in set(BAD_AMONG_GOOD) - {bad}:
        tau = days * NS_PER_DAY / NS_PER_YEAR
        moved = np.sqrt(surface.total_variance(k, tau) / tau) - np.sqrt(alone.total_variance(k, tau) / tau)
        assert np.max(np.abs(moved)) < 0.002, days


def test_penny_wide_quotes_that_no_slice_meets_are_followed_evenly() -> None:
    """A smile as of the index, no SVI, and bands of 0.05 vol points: no wing is given up for the other."""
    k = np.linspace(-0.3, 0.12, 85)
    tau = 21 * NS_PER_DAY / NS_PER_YEAR
    sigma = 0.12 + 0.9 * (np.hypot(k - 0.05, 0.03) - 0.03) - 0.2 * (k - 0.05)
    strike = 7_000.0 * np.exp(k)
    expiry, years, forward = np.full(k.size, 21 * NS_PER_DAY), np.full(k.size, tau), np.full(k.size, 7_000.0)
    is_call = k >= 0.0
    bid, ask = (black.price(forward, strike, years, sigma + h, 1.0, is_call) for h in (-0.00025, 0.00025))
    surface = fit_surface(ChainQuotes(expiry, years, strike, is_call, bid, ask, bid, forward), 0, "X")
    assert surface.slices[0].status == "ok"
    assert surface.check_arbitrage().free
    miss = np.abs(surface.implied_vol(strike, years) - sigma)
    near = np.abs(k) <= 0.17 * np.sqrt(tau)
    assert np.max(miss[near]) < 0.009
    assert np.max(miss) < 0.015


def recorded(path: Path, every: int):
    """Snapshots of a recorded chain file, as (asof_ns, quotes)."""
    table = pq.read_table(path)
    ts = table["ts"].cast("int64").to_numpy() * 1_000_000
    expiry = table["expiry"].cast("int64").to_numpy() * 1_000_000
    number = {
        name: table[name].to_numpy() for name in ("strike", "bid_price", "ask_price", "mark_price", "underlying_price")
    }
    is_call = table["option_type"].to_numpy() == "C"
    for asof in np.unique(ts)[::every].tolist():
        rows = np.flatnonzero(ts == asof)
        yield (
            asof,
            ChainQuotes(
                expiry[rows],
                (expiry[rows] - asof) / NS_PER_YEAR,
                number["strike"][rows],
                is_call[rows],
                number["bid_price"][rows],
                number["ask_price"][rows],
                number["mark_price"][rows],
                number["underlying_price"][rows],
                True,
            ),
        )


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "every", "otm_share", "share", "worst_share"),
    [
        ("deribit_chain_6h/btc_2026-02.parquet", 9, 0.94, 0.96, 0.80),
        ("deribit_chain_6h/btc_2026-04.parquet", 9, 0.92, 0.96, 0.80),
        ("deribit_chain_6h_eth/eth_2026-01-15_2026-02-28.parquet", 18, 0.98, 0.99, 0.90),
    ],
)
def test_recorded_chains_lie_inside_bid_ask_without_any_arbitrage(
    file: str, every: int, otm_share: float, share: float, worst_share: float
) -> None:
    """Every two-sided quote counts, also of expiries without a slice; April 2026 is the month that SVI fits worst."""
    path = DATA / file
    if not path.exists():
        pytest.skip(f"{file} is not beside the checkout")
    counts = np.zeros((2, 2))  # out of the money, all: inside, quotes
    statuses: dict[str, int] = {}
    for asof, quotes in recorded(path, every):
        surface = fit_surface(quotes, asof, "BTC")
        report = surface.check_arbitrage()
        assert report.free, report.violations
        assert min(g for g, _ in report.least_g) > 0.0
        assert min(gap for gap, _ in report.least_gap) >= 0.0
        for fit in surface.slices:
            statuses[fit.status] = statuses.get(fit.status, 0) + 1
        live = (quotes.bid > 0.0) & (quotes.ask > quotes.bid)
        forward, strike, tau, is_call = (c[live] for c in (quotes.forward, quotes.strike, quotes.tau, quotes.is_call))
        sigma = np.sqrt(surface.total_variance(np.log(strike / forward), tau) / tau)
        price = black.price(forward, strike, tau, sigma, 1.0, is_call) / forward
        inside = (price >= quotes.bid[live] - 1e-12) & (price <= quotes.ask[live] + 1e-12)
        otm = is_call == (strike >= forward)
        assert inside[otm].mean() >= worst_share, asof
        counts += [[inside[otm].sum(), otm.sum()], [inside.sum(), inside.size]]
    assert counts[0, 0] / counts[0, 1] >= otm_share
    assert counts[1, 0] / counts[1, 1] >= share
    assert statuses.get("not_converged", 0) <= 0.01 * sum(statuses.values())


@pytest.mark.data
def test_the_surface_of_a_recorded_chain_survives_the_journal() -> None:
    path = DATA / "deribit_chain_6h/btc_2026-02.parquet"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside the checkout")
    asof, quotes = next(iter(recorded(path, 100)))
    surface = fit_surface(quotes, asof, "BTC")
    again = Surface.from_event(msgspec.msgpack.decode(msgspec.msgpack.encode(surface.to_event()), type=SurfaceFitted))
    np.testing.assert_array_equal(again.implied_vol(70_000.0, surface.tau), surface.implied_vol(70_000.0, surface.tau))


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "day", "rate", "share"),
    [
        ("spx_cboe_2026-07-22_07-29_08-05.parquet", "2026-07-22T20:00", None, 0.33),
        ("spx_cboe_2026-07-22_07-29_08-05.parquet", "2026-07-29T20:00", None, 0.33),
        ("spx_cboe_2026-07-22_07-29_08-05.parquet", "2026-08-05T20:00", None, 0.7),
        ("spy_cboe_2026-07-22_2026-08-06.parquet", "2026-07-30T20:00", 0.037, 0.15),
    ],
)
def test_recorded_us_chains_have_no_broken_slice(file: str, day: str, rate: float | None, share: float) -> None:
    """Daily expiries, penny-wide quotes, morning and evening settlements of one day: the share inside is low, but no slice
    is lost, misses near the forward are a few tenths of a vol point, and a variance swap is that of the quotes."""
    path = DATA / "us_chains_quotes" / file
    if not path.exists():
        pytest.skip(f"{file} is not beside the checkout")
    snapshot = read_chain(path, at=day)
    quotes = snapshot.quotes(rate)
    surface = fit_surface(quotes, snapshot.asof_ns, snapshot.underlying)
    assert surface.check_arbitrage().free
    assert {s.status for s in surface.slices} == {"ok"}
    counts = np.array([s.quotes for s in surface.slices])
    inside = np.array([s.inside_share for s in surface.slices])
    assert np.sum(inside * counts) / counts.sum() >= share
    bands = fit_module.quote_bands(quotes, snapshot.asof_ns, FitOptions().row())
    for i, tau in enumerate(bands.tau.tolist()):
        rows = bands.points[bands.offsets[i] : bands.offsets[i + 1]]
        k, low, high = rows[rows[:, slice_kernels.PULL] > 0.0, :3].T
        vol = np.sqrt(surface.total_variance(k, tau) / tau)
        miss = np.maximum(np.maximum(low - vol, vol - high), 0.0)
        deviations = np.abs(k) / (vol * np.sqrt(tau))
        assert miss[deviations < 1.0].mean() < 0.006, tau
        assert miss[deviations < 2.3].max() < 0.035, tau
    swap, strip = variance_swap_vol(surface, 30.0 / 365.0), vol_index(quotes, snapshot.asof_ns).volatility
    # The strip ends at three quarters of spot; the surface's wing goes on.
    assert strip - 0.003 < float(swap) < strip + 0.0045

from __future__ import annotations

import datetime as dt
import math
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from scipy.integrate import quad

from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_DAY, NS_PER_YEAR
from voldesk.pricing import black
from voldesk.surface import essvi, vol_index
from voldesk.surface.essvi import EssviSlice, EssviSurface
from voldesk.surface.fit import ChainQuotes
from voldesk.surface.fitted import Surface
from voldesk.surface.grid import sample
from voldesk.surface.reading import VolSurface

DATA = Path(__file__).resolve().parents[2] / "../shared/data"


def surface() -> EssviSurface:
    days = (16, 44, 120)
    pieces = (EssviSlice(d * NS_PER_DAY, 100.0, 1.0, 0.25 * d / 365.0, -0.4, 0.4 * math.sqrt(d / 365.0)) for d in days)
    return EssviSurface("X", 0, tuple(pieces))


def chain(source: VolSurface, reach: float, count: int, coin: bool = False) -> ChainQuotes:
    expiry = np.repeat(source.expiry_ns, 2 * count)
    tau = expiry / NS_PER_YEAR
    strike = np.tile(100.0 * np.exp(np.linspace(-reach, reach, count)), 2 * source.tau.size)
    is_call = np.tile(np.repeat([True, False], count), source.tau.size)
    price = black.price(100.0, strike, tau, source.implied_vol(strike, tau), 1.0, is_call) / (100.0 if coin else 1.0)
    forward = np.full(tau.size, 100.0)
    return ChainQuotes(expiry, tau, strike, is_call, 0.99 * price, 1.01 * price, price, forward, coin)


def test_the_white_papers_sample_calculation() -> None:
    """Cboe VIX white paper (2019), step by step on a made-up strip: forward, K0 and contributions by hand."""
    strike = np.array([90.0, 95.0, 100.0, 105.0, 110.0])
    call_bid = np.array([np.nan, 6.4, 2.9, 0.9, 0.2])
    put_bid = np.array([0.1, 0.6, 2.0, 5.0, np.nan])
    columns = (
        np.tile(strike, 2),
        np.repeat([True, False], 5),
        np.append(call_bid, put_bid),
        np.append(call_bid, put_bid) + 0.2,
    )
    tau, discount = 0.1, 0.99
    found = vol_index.strip_variance(*columns, tau, discount)
    forward = 100.0 + (3.0 - 2.1) / discount
    assert found.forward == pytest.approx(forward)
    assert found.strike_0 == 100.0
    assert found.quotes == 5
    strip = {90.0: 0.2, 95.0: 0.7, 100.0: 0.5 * (3.0 + 2.1), 105.0: 1.0, 110.0: 0.3}
    total = sum(5.0 / k**2 * price for k, price in strip.items())
    want = (2.0 * total / discount - (forward / 100.0 - 1.0) ** 2) / tau
    assert found.variance == pytest.approx(want, rel=1e-13)


def test_a_strip_ends_at_two_strikes_in_a_row_without_a_bid() -> None:
    strike = np.arange(80.0, 121.0, 5.0)
    put = np.array([0.3, np.nan, np.nan, 0.6, np.nan, 5.0, 8.0, 12.0, 16.0])
    call = np.array([21.0, 16.0, 11.0, 8.0, 5.0, 2.0, 1.0, 0.5, 0.2])
    columns = (np.tile(strike, 2), np.repeat([True, False], 9), np.append(call, put), np.append(call, put) + 0.1)
    found = vol_index.strip_variance(*columns, 0.1, forward=102.0)
    assert found.strike_0 == 100.0
    assert found.quotes == 6  # 95 of the puts (80 lies beyond the gap), 100, four calls
    none = vol_index.strip_variance(*columns[:2], np.full(18, np.nan), columns[3], 0.1)
    assert none.status == "no_forward"
    assert vol_index.strip_variance(*columns, 0.1, forward=70.0).status == "few_quotes"


@pytest.mark.parametrize("coin", [False, True])
def test_an_index_off_dense_wide_quotes_is_the_variance_swap_of_the_surface(coin: bool) -> None:
    source = surface()
    found = vol_index.vol_index(chain(source, 2.5, 1601, coin), 0)
    assert found.status == "ok"
    assert found.expiry_ns.tolist() == source.expiry_ns[:2].tolist()
    ends = vol_index.variance_swap_vol(source, found.tau)
    for strip, swap in zip(found.strips, ends, strict=True):
        assert math.sqrt(strip.variance) == pytest.approx(swap, rel=2e-4)
    total = np.interp(30 / 365, found.tau, ends**2 * found.tau)
    assert found.volatility == pytest.approx(math.sqrt(total * 365 / 30), rel=2e-4)
    # Between expiries the index is linear in total variance, an eSSVI surface in its parameters: near, not equal.
    assert float(vol_index.variance_swap_vol(source, 30 / 365)) == pytest.approx(found.volatility, rel=1e-2)


def test_a_horizon_outside_the_expiries_has_no_index() -> None:
    quotes = chain(surface(), 1.0, 41)
    outside = vol_index.vol_index(quotes, 0, 10.0)
    assert outside.status == "no_bracket"
    assert math.isnan(outside.volatility)
    exact = vol_index.vol_index(quotes, 0, 44.0)
    assert exact.volatility == pytest.approx(math.sqrt(exact.strips[0].variance), rel=1e-12)
    with pytest.raises(InputError, match="horizon_days"):
        vol_index.vol_index(quotes, 0, -1.0)
    with pytest.raises(InputError, match="twice"):
        vol_index.strip_variance([90.0, 90.0], [True, True], [1.0, 1.0], [1.1, 1.1], 0.1)


@pytest.mark.parametrize("tau", [0.01, 30 / 365, 0.2, 0.8])
def test_the_integral_over_strikes_is_right(tau: float) -> None:
    source = surface()

    def weighted(k: float) -> float:
        vol = math.sqrt(float(source.total_variance(k, tau)))
        return math.exp(-k) * float(black.price(1.0, math.exp(k), 1.0, vol, 1.0, k > 0.0))

    width = math.sqrt(float(source.total_variance(0.0, tau)))
    edges = np.array([-400.0, -40.0, -8.0, -3.0, 0.0, 3.0, 8.0, 40.0]) * width
    want = 2.0 * sum(quad(weighted, a, b, epsabs=1e-15, epsrel=1e-12)[0] for a, b in pairwise(edges))
    assert float(vol_index.variance_swap_vol(source, tau)) ** 2 * tau == pytest.approx(want, rel=1e-9)


def test_flat_and_missing_surfaces() -> None:
    expiry = 30 * NS_PER_DAY
    flat = EssviSurface("X", 0, (EssviSlice(expiry, 100.0, 1.0, 0.36 * expiry / NS_PER_YEAR, 0.0, 1e-9),))
    np.testing.assert_allclose(vol_index.variance_swap_vol(flat, [0.01, 0.1, 2.0]), 0.6, rtol=1e-8)
    assert np.isnan(vol_index.variance_swap_vol(flat, [-1.0, 0.0])).all()
    assert np.isnan(vol_index.variance_swap_vol(Surface("X", 0, ()), 0.1))
    table = sample(surface(), np.linspace(-2.0, 2.0, 161))
    tau = 44 / 365
    swap = float(vol_index.variance_swap_vol(surface(), tau))
    assert float(vol_index.variance_swap_vol(table, tau)) == pytest.approx(swap, rel=1e-3)


def test_a_strip_cut_at_a_delta_is_the_swap_between_those_deltas() -> None:
    source = surface()
    quotes = chain(source, 2.0, 1601)
    whole, cut = (vol_index.vol_index(quotes, 0, 30.0, least) for least in (0.0, 0.05))
    assert cut.strips[0].quotes < whole.strips[0].quotes
    for tau, strip in zip(cut.tau, cut.strips, strict=True):
        swap = float(vol_index.variance_swap_vol(source, tau, 0.05))
        assert math.sqrt(strip.variance) == pytest.approx(swap, rel=1e-3)
        assert swap < float(vol_index.variance_swap_vol(source, tau)) - 0.005
    with pytest.raises(InputError, match="least_delta"):
        vol_index.variance_swap_vol(source, 0.1, 5.0)


def closes(symbol: str) -> dict[dt.date, float]:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = DATA / "daily_prices/daily_prices.parquet"
    if not path.exists():
        pytest.skip("daily_prices is not on this machine")
    rows: dict[str, list[Any]] = parquet.read_table(path, filters=[("symbol", "=", symbol)]).to_pydict()
    return dict(zip(rows["date"], rows["close"], strict=True))


@pytest.mark.data
def test_dvol_closes_are_met_by_the_chains_last_snapshot_of_the_day() -> None:
    """BTC chains recorded after 20:00 UTC against the day's published close, 108 days, hours apart at worst.

    Seen, in vol points: strip from 5 % delta, median -0.03, median size 0.22, 95th percentile 1.3, worst 6.9 on a day
    that fell on; the same integral on the eSSVI surface 0.5; the whole strip reads 2.4 too high in the median.
    """
    parquet = pytest.importorskip("pyarrow.parquet")
    dvol = closes("DVOL-BTC")
    folder = DATA / "deribit_chain_6h"
    if not folder.exists():
        pytest.skip("deribit_chain_6h is not on this machine")
    misses, whole, smooth = [], [], []
    for path in sorted(folder.glob("*.parquet")):
        table = parquet.read_table(path)
        ts, expiry = (table[c].cast("int64").to_numpy() * 1_000_000 for c in ("ts", "expiry"))
        columns = [table[c].to_numpy() for c in ("strike", "bid_price", "ask_price", "mark_price", "underlying_price")]
        is_call = np.array(table["option_type"].to_pylist()) == "C"
        for asof in np.unique(ts).tolist():
            moment = dt.datetime.fromtimestamp(asof / 1e9, dt.UTC)
            if moment.hour < 20 or moment.date() not in dvol:
                continue
            rows = (ts == asof) & (expiry > asof)
            strike, bid, ask, mark, forward = (c[rows] for c in columns)
            tau = (expiry[rows] - asof) / NS_PER_YEAR
            quotes = ChainQuotes(expiry[rows], tau, strike, is_call[rows], bid, ask, mark, forward, True)
            close = dvol[moment.date()]
            misses.append(100.0 * vol_index.vol_index(quotes, asof, 30.0, 0.05).volatility - close)
            whole.append(100.0 * vol_index.vol_index(quotes, asof).volatility - close)
            fitted = essvi.fit(quotes, asof, "BTC")
            smooth.append(100.0 * float(vol_index.variance_swap_vol(fitted, 30 / 365, 0.05)) - close)
    size = np.abs(misses)
    print(
        f"\nDVOL, {size.size} days: strip from 5 % delta {np.median(misses):.2f} points in the median, size median"
        f" {np.median(size):.2f}, 95 % {np.percentile(size, 95):.2f}, worst {size.max():.2f}; whole strip"
        f" {np.median(whole):.2f}; eSSVI {np.median(smooth):.2f}, size {np.median(np.abs(smooth)):.2f}"
    )
    assert size.size > 90
    assert abs(np.median(misses)) < 0.15
    assert np.median(size) < 0.35
    assert np.percentile(size, 90) < 1.3
    assert np.median(np.abs(smooth)) < 0.8
    assert 1.0 < np.median(whole) < 4.0


@pytest.mark.data
def test_vix_is_met_from_below_by_an_spx_chain_cut_at_three_quarters_of_spot() -> None:
    """The one recorded day with a published ^VIX, 2026-07-22. The record has no strikes under 0.75 or over 1.2 of spot, so
    its strip must read lower than VIX (16.64), by what those puts are worth: 16.01 seen, 0.63 below."""
    parquet = pytest.importorskip("pyarrow.parquet")
    path = DATA / "us_chains_quotes/spx_cboe_2026-07-22_07-29_08-05.parquet"
    if not path.exists():
        pytest.skip("us_chains_quotes is not on this machine")
    day = dt.date(2026, 7, 22)
    rows = parquet.read_table(path, filters=[("trade_date", "=", day)]).to_pylist()
    new_york = ZoneInfo("America/New_York")

    def instant(date: dt.date, hour: int, minute: int) -> int:
        return int(dt.datetime(date.year, date.month, date.day, hour, minute, tzinfo=new_york).timestamp()) * 10**9

    asof = instant(day, 16, 15)
    kept = []
    for row in rows:
        # Fridays only: the third of a month settles in the morning (SPX), the others in the afternoon (SPXW).
        third = 15 <= row["expiry"].day <= 21
        monthly = not row["contract"].startswith("SPXW")
        if row["expiry"].weekday() == 4 and monthly == third:
            kept.append((instant(row["expiry"], 9, 30) if third else instant(row["expiry"], 16, 0), row))
    expiry = np.array([when for when, _ in kept])
    strike, bid, ask = (np.array([row[c] for _, row in kept], float) for c in ("strike", "bid", "ask"))
    tau = (expiry - asof) / NS_PER_YEAR
    none = np.full(tau.size, np.nan)
    is_call = np.array([row["option_type"] == "C" for _, row in kept])
    quotes = ChainQuotes(expiry, tau, strike, is_call, bid, ask, none, none, False, np.exp(-0.037 * tau))
    found = vol_index.vol_index(quotes, asof)
    vix = closes("^VIX")[day]
    print(f"\nVIX {vix:.2f}: strip {100.0 * found.volatility:.2f} from {[s.quotes for s in found.strips]} strikes")
    assert found.status == "ok"
    np.testing.assert_allclose(found.tau * 365.0, [29.7, 37.0], atol=0.1)
    assert 0.0 < vix - 100.0 * found.volatility < 0.9

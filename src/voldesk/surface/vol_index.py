"""Volatility indices as VIX and DVOL are made, off quotes or off a surface: the fair strike of a variance swap.

Sources: Cboe (2019), "VIX white paper": forward from parity, strip of out-of-the-money mids, K0 term, interpolation to 30
days. DVOL is the same on coin options with the venue's forwards; strips cut at 5 % delta meet its published closes (a
finding, see tests/surface/test_vol_index.py), whole strips read about two points above. From a surface: Demeterfi,
Derman, Kamal & Zou (1999), "More than you ever wanted to know about volatility swaps", eq. 26, over all strikes, wings
included: what a strip misses beyond its last quote, a surface extrapolates.
Volatilities are decimals per year; index points (VIX 16.6) are `vol_points` of `core.units`.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.errors import InputError
from voldesk.core.units import DAYS_PER_YEAR
from voldesk.pricing import black
from voldesk.pricing.broadcast import call_flags
from voldesk.pricing.implied_vol import implied_vol
from voldesk.surface.fit import ChainQuotes
from voldesk.surface.measures import delta_moneyness
from voldesk.surface.reading import VolSurface

_FARTHEST: Final = 60.0  # |k| where the integral over strikes stops
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(256)


class StripVariance(NamedTuple):
    """One expiry. variance: fair, annualised; forward and strike_0 (the K0 of the paper) in currency; quotes: strikes in the
    strip. status: "ok", "no_forward" (no strike with both mids), "few_quotes" (under three strikes in the strip, or none
    on one side of it); variance is NaN unless ok."""

    variance: float
    forward: float
    strike_0: float
    quotes: int
    status: str


class VolIndex(NamedTuple):
    """volatility: of the horizon, decimal, NaN unless `status` is "ok"; "no_bracket": the horizon does not lie between two
    expiries with a variance. near and next of expiry_ns, and what each strip gave."""

    volatility: float
    expiry_ns: IntArray
    tau: FloatArray
    strips: tuple[StripVariance, ...]
    status: str


def strip_variance(
    strike: ArrayLike,
    is_call: ArrayLike,
    bid: ArrayLike,
    ask: ArrayLike,
    tau: float,
    discount: float = 1.0,
    forward: float | None = None,
    least_delta: float = 0.0,
) -> StripVariance:
    """Fair variance of one expiry off its quotes, shape (n,) each, in currency, any order; NaN or 0 where no bid stands.

    forward: None takes parity at the strike whose call and put are nearest in price, as the white paper does. The strip
    goes outwards from strike_0, the strike at or next below the forward, over quotes with a bid, and ends at two strikes
    in a row without one. least_delta: quotes whose forward delta is smaller in size are left out, 0.05 for DVOL.
    Raises InputError for columns of different length, a tau that is not positive, or a strike
    quoted twice on one side.
    """
    strikes, low, high = (np.asarray(v, np.float64).reshape(-1) for v in (strike, bid, ask))
    calls = call_flags(is_call).reshape(-1)
    if not strikes.shape == low.shape == high.shape == calls.shape:
        raise InputError(
            f"columns have {strikes.size}, {calls.size}, {low.size}, {high.size} rows; expected one length."
        )
    if not tau > 0.0:
        raise InputError(f"tau={tau}; expected a positive number of years.")
    nodes = np.unique(strikes)
    call, put = _side(nodes, strikes, low, high, calls), _side(nodes, strikes, low, high, ~calls)
    if forward is None:
        gap = np.abs(call - put)
        if not np.any(np.isfinite(gap)):
            return StripVariance(math.nan, math.nan, math.nan, 0, "no_forward")
        at = int(np.nanargmin(gap))
        forward = float(nodes[at] + (call[at] - put[at]) / discount)
    below = np.flatnonzero((nodes <= forward) & (np.isfinite(call) | np.isfinite(put)))
    if below.size == 0:
        return StripVariance(math.nan, forward, math.nan, 0, "few_quotes")
    zero = int(below[-1])
    if least_delta > 0.0:
        _drop_small_deltas(put, call, nodes, zero, tau, discount, forward, least_delta)
    puts = _outward(put, range(zero - 1, -1, -1))[::-1]
    calls_kept = _outward(call, range(zero + 1, nodes.size))
    centre = np.nanmean([call[zero], put[zero]])
    chosen = np.array([*puts, zero, *calls_kept], np.int64)
    if min(len(puts), len(calls_kept)) < 1:
        return StripVariance(math.nan, forward, float(nodes[zero]), chosen.size, "few_quotes")
    price = np.concatenate([put[puts], [centre], call[calls_kept]])
    points = nodes[chosen]
    width = np.empty(points.size)
    width[1:-1] = 0.5 * (points[2:] - points[:-2])
    width[0], width[-1] = points[1] - points[0], points[-1] - points[-2]
    total = 2.0 * float(np.sum(width / points**2 * price)) / discount - (forward / nodes[zero] - 1.0) ** 2
    return StripVariance(total / tau, forward, float(nodes[zero]), chosen.size, "ok")


def vol_index(quotes: ChainQuotes, asof_ns: int, horizon_days: float = 30.0, least_delta: float = 0.0) -> VolIndex:
    """Index off the raw quotes of a chain: the two expiries around the horizon, total variance linear in time between.

    Forwards are the median of each expiry's rows; where those are NaN, parity gives them. Coin quotes are multiplied by
    their row's forward. Expiries without a strip are passed over. least_delta: 0 as VIX, 0.05 as DVOL.
    """
    horizon = horizon_days / DAYS_PER_YEAR
    if not horizon > 0.0:
        raise InputError(f"horizon_days={horizon_days}; expected a positive number, 30 for VIX and DVOL.")
    discount = np.broadcast_to(np.asarray(quotes.discount, np.float64), quotes.strike.shape)
    found: list[tuple[int, float, StripVariance]] = []
    for expiry in np.unique(quotes.expiry_ns[quotes.expiry_ns > asof_ns]).tolist():
        rows = np.flatnonzero(quotes.expiry_ns == expiry)
        known = quotes.forward[rows][np.isfinite(quotes.forward[rows])]
        unit = quotes.forward[rows] if quotes.coin else 1.0
        strip = strip_variance(
            quotes.strike[rows],
            quotes.is_call[rows],
            quotes.bid[rows] * unit,
            quotes.ask[rows] * unit,
            float(quotes.tau[rows[0]]),
            float(discount[rows[0]]),
            float(np.median(known)) if known.size else None,
            least_delta,
        )
        found.append((expiry, float(quotes.tau[rows[0]]), strip))
    usable = [row for row in found if row[2].status == "ok"]
    near = [row for row in usable if row[1] <= horizon][-1:]
    after = [row for row in usable if row[1] >= horizon][:1]
    pair = near if near and near == after else near + after
    expiries = np.array([row[0] for row in pair], np.int64)
    tau = np.array([row[1] for row in pair])
    strips = tuple(row[2] for row in pair)
    if not (near and after):
        return VolIndex(math.nan, expiries, tau, strips, "no_bracket")
    total = np.interp(horizon, tau, tau * np.array([s.variance for s in strips]))
    return VolIndex(math.sqrt(total / horizon), expiries, tau, strips, "ok")


def variance_swap_vol(surface: VolSurface, tau: ArrayLike, least_delta: float = 0.0) -> FloatArray:
    """Fair volatility strike of a variance swap on a surface, decimal, shape of tau (years, > 0; NaN elsewhere).

    Out-of-the-money prices over strike squared, integrated by Gauss-Legendre in asinh k over |k| <= 60, or over strikes
    whose delta has at least the given size (0.05 for DVOL).

    >>> from voldesk.surface.essvi import EssviSlice, EssviSurface
    >>> flat = EssviSurface("X", 0, (EssviSlice(30 * 86_400 * 10**9, 100.0, 1.0, 0.02, 0.0, 1e-9),))
    >>> round(float(variance_swap_vol(flat, 30 / 365)) ** 2 * 30 / 365, 9)
    0.02
    """
    if not 0.0 <= least_delta < 0.5:
        raise InputError(f"least_delta={least_delta}; expected 0 for all strikes, or a size under 0.5 such as 0.05.")
    years = np.asarray(tau, np.float64)
    flat = np.where(years > 0.0, years, np.nan).reshape(-1)
    far = np.full((2, flat.size), _FARTHEST)
    if least_delta > 0.0:
        far = np.abs(delta_moneyness(surface, flat[None, :], least_delta, np.array([[False], [True]])))
    total = [_swap_variance(surface, t, put, call) for t, put, call in zip(flat.tolist(), *far.tolist(), strict=True)]
    vol: FloatArray = np.sqrt(np.array(total) / flat).reshape(years.shape)
    return vol


def _swap_variance(surface: VolSurface, tau: float, farthest_put: float, farthest_call: float) -> float:
    centre = math.sqrt(float(surface.total_variance(0.0, tau)))
    if not (centre > 0.0 and math.isfinite(farthest_put + farthest_call)):
        return math.nan
    total = 0.0
    for sign, far in ((-1.0, farthest_put), (1.0, farthest_call)):
        reach = math.asinh(far / centre)
        x = 0.5 * reach * (_NODES + 1.0)
        k = sign * centre * np.sinh(x)
        width = 0.5 * reach * _WEIGHTS * centre * np.cosh(x)
        price = black.price(1.0, np.exp(k), 1.0, np.sqrt(surface.total_variance(k, tau)), 1.0, sign > 0.0)
        total += 2.0 * float(np.sum(width * np.exp(-k) * price))
    return total


def _drop_small_deltas(
    put: FloatArray,
    call: FloatArray,
    nodes: FloatArray,
    zero: int,
    tau: float,
    discount: float,
    forward: float,
    least: float,
) -> None:
    """Mids of out-of-the-money quotes with a delta under `least` become NaN, in place."""
    for mid, rows, is_call in ((put, slice(0, zero), False), (call, slice(zero + 1, nodes.size), True)):
        vol, _ = implied_vol(mid[rows], forward, nodes[rows], tau, discount, is_call)
        delta = np.abs(black.greeks(forward, nodes[rows], tau, vol, 1.0, is_call).delta)
        mid[rows] = np.where(delta >= least, mid[rows], np.nan)


def _side(nodes: FloatArray, strike: FloatArray, bid: FloatArray, ask: FloatArray, wanted: BoolArray) -> FloatArray:
    """Mid at every node for one side; NaN where there is no bid, no ask, or they cross."""
    rows = np.flatnonzero(wanted)
    if np.unique(strike[rows]).size != rows.size:
        raise InputError("a strike is quoted twice on one side; keep one contract per strike (one settlement style).")
    mid = np.full(nodes.size, np.nan)
    good = rows[(bid[rows] > 0.0) & (ask[rows] >= bid[rows])]
    mid[np.searchsorted(nodes, strike[good])] = 0.5 * (bid[good] + ask[good])
    return mid


def _outward(mid: FloatArray, order: range) -> list[int]:
    """Nodes with a price, in that order, up to two in a row without."""
    kept: list[int] = []
    missing = 0
    for at in order:
        if np.isfinite(mid[at]):
            kept.append(at)
            missing = 0
        else:
            missing += 1
            if missing == 2:
                break
    return kept

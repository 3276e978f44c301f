"""Finding the at-the-money straddle to trade, and its implied volatility on the fitted surface.

Implied volatility is the surface's at the forward (log-moneyness 0) of the expiry: raw SVI, Gatheral & Jacquier (2014),
sec. 3.1. The strike is the listed one nearest to the forward whose call and put can both be traded now.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from voldesk.core.arrays import BoolArray
from voldesk.core.events import SliceFit, SurfaceFitted
from voldesk.core.units import NS_PER_DAY, tau_years
from voldesk.market.view import Chain

USABLE_FITS = ("ok", "butterfly", "calendar")
"""Fits whose level at the forward is sound: an arbitrage lies in a wing or between expiries, not there."""


class Straddle(NamedTuple):
    """Ids of a call and a put of one strike and expiry, with the forward (USD) that they were chosen by."""

    call: int
    put: int
    strike: float
    expiry_ns: int
    forward: float


def slice_vol(fit: SliceFit, asof_ns: int, log_moneyness: float = 0.0) -> float:
    """Implied volatility (decimal per year) of one fitted expiry at k = log(K/F); NaN past expiry or w < 0."""
    tau = tau_years(asof_ns, fit.expiry_ns)
    x = log_moneyness - fit.m
    variance = fit.a + fit.b * (fit.rho * x + math.sqrt(x * x + fit.sigma * fit.sigma))
    return math.sqrt(variance / tau) if tau > 0.0 and variance >= 0.0 else math.nan


def find_slice(surface: SurfaceFitted, expiry_ns: int) -> SliceFit | None:
    """The slice of an expiry, None where it is missing or its fit is unusable."""
    for fit in surface.slices:
        if fit.expiry_ns == expiry_ns:
            return fit if fit.status in USABLE_FITS else None
    return None


def tradable(chain: Chain) -> BoolArray:
    """True where a quote stands on both sides, is not crossed and not stale. Shape (n,)."""
    return np.asarray((chain.bid > 0.0) & (chain.ask >= chain.bid) & ~chain.stale, np.bool_)


def choose_straddle(
    chain: Chain,
    surface: SurfaceFitted,
    now_ns: int,
    *,
    tenor_days: float,
    min_tenor_days: float,
    max_tenor_days: float,
    max_log_moneyness: float,
) -> tuple[Straddle | None, str]:
    """The straddle of the expiry nearest to `tenor_days` that can be traded, and why there is none.

    Expiries are tried in order of distance from the tenor (the earlier first in a tie), inside min and max; strikes in
    order of distance from the forward, up to `max_log_moneyness` away.
    """
    ok = tradable(chain)
    days = (chain.expiry_ns - now_ns) / NS_PER_DAY
    expiries = np.unique(chain.expiry_ns[(days >= min_tenor_days) & (days <= max_tenor_days)])
    if not expiries.size:
        return None, f"no expiry between {min_tenor_days:g} and {max_tenor_days:g} days"
    why = ""
    for expiry in sorted(expiries.tolist(), key=lambda e: (abs((e - now_ns) / NS_PER_DAY - tenor_days), e)):
        fit = find_slice(surface, expiry)
        if fit is None:
            why = why or "no surface at the expiry"
            continue
        rows = np.flatnonzero((chain.expiry_ns == expiry) & ok)
        calls = {float(chain.strike[i]): int(chain.ids[i]) for i in rows if chain.is_call[i]}
        puts = {float(chain.strike[i]): int(chain.ids[i]) for i in rows if not chain.is_call[i]}
        both = [strike for strike in calls if strike in puts]
        near = min(both, key=lambda strike: (abs(math.log(strike / fit.forward)), strike), default=math.nan)
        if abs(math.log(near / fit.forward)) <= max_log_moneyness:
            return Straddle(calls[near], puts[near], near, expiry, fit.forward), ""
        why = why or "no two-sided fresh straddle near the forward"
    return None, why

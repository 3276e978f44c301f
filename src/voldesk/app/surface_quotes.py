"""Quotes beside their surface: bid and ask volatility of each out-of-the-money quote, and whether the fit is inside."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.pricing.implied_vol import implied_vol
from voldesk.surface.fit import ChainQuotes
from voldesk.surface.fitted import Surface


class QuotedVols(NamedTuple):
    """Out-of-the-money quotes, shape (n,). vols decimal, NaN where a side has none; k = log(strike / forward);
    miss: how far the fit lies beyond the nearer side, in half-spreads, 0 inside."""

    expiry_ns: IntArray
    strike: FloatArray
    k: FloatArray
    bid_vol: FloatArray
    ask_vol: FloatArray
    fit_vol: FloatArray
    two_sided: BoolArray
    inside: BoolArray
    miss: FloatArray


class ExpiryQuality(NamedTuple):
    """Of one expiry: two-sided quotes, share of them with the fit inside bid-ask, misses in half-spreads."""

    expiry_ns: int
    quotes: int
    inside_share: float
    mean_miss: float
    worst_miss: float


def quoted_vols(quotes: ChainQuotes, surface: Surface) -> QuotedVols:
    """Volatilities of the out-of-the-money quotes that have a forward and time left."""
    otm = (quotes.tau > 0.0) & (quotes.forward > 0.0) & (quotes.is_call == (quotes.strike >= quotes.forward))
    rows = np.flatnonzero(otm)
    rows = rows[np.lexsort((quotes.strike[rows], quotes.expiry_ns[rows]))]
    forward, strike, tau = quotes.forward[rows], quotes.strike[rows], quotes.tau[rows]
    discount = np.broadcast_to(np.asarray(quotes.discount, np.float64), quotes.strike.shape)[rows]
    unit = forward if quotes.coin else 1.0
    sides = [
        implied_vol(premium[rows] * unit, forward, strike, tau, discount, quotes.is_call[rows])[0]
        for premium in (quotes.bid, quotes.ask)
    ]
    k = np.log(strike / forward)
    fit = np.sqrt(surface.total_variance(k, tau) / tau)
    two_sided = (sides[0] > 0.0) & (sides[1] >= sides[0])
    inside = two_sided & (fit >= sides[0]) & (fit <= sides[1])
    half = np.maximum(0.5 * (sides[1] - sides[0]), 1e-9)
    beyond = np.maximum(np.maximum(sides[0] - fit, fit - sides[1]), 0.0) / half
    return QuotedVols(
        quotes.expiry_ns[rows], strike, k, sides[0], sides[1], fit, two_sided, inside,
        np.where(two_sided, beyond, np.nan),
    )  # fmt: skip


def quality(quoted: QuotedVols) -> list[ExpiryQuality]:
    """Per expiry, rising; shares are NaN where nothing is two-sided."""
    found = []
    for expiry in np.unique(quoted.expiry_ns).tolist():
        rows = quoted.two_sided & (quoted.expiry_ns == expiry)
        count = int(np.sum(rows))
        share, mean, worst = (
            (float(np.mean(quoted.inside[rows])), float(np.mean(quoted.miss[rows])), float(np.max(quoted.miss[rows])))
            if count
            else (np.nan, np.nan, np.nan)
        )
        found.append(ExpiryQuality(int(expiry), count, share, mean, worst))
    return found

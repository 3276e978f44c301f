"""Where volatility stands against its own past: the volatility cone, IV percentile and IV rank.

Source: Burghardt & Lane (1990), "How to tell if options are cheap", for the cone; Hodges & Tompkins (2002), "Volatility
cones and their sampling properties", Journal of Derivatives 10, for its bias. Windows that overlap repeat each other, so
the variance of their volatilities about the mean comes out too small, by the factor 1 - h/n + (h^2 - 1) / (3 n^2) for n
windows of h returns. The cone is widened by the root of its inverse about its centre, in log variance, where no quantile
can turn negative.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.errors import InputError


class VolCone(NamedTuple):
    """Realised volatility (decimal per year) by window.

    window: returns per window, (n,). quantile: levels asked for, (m,). realised_vol: (n, m). latest: of the last window,
    (n,). windows: how many overlapping windows there were, (n,). implied_percentile: share of them below the implied
    volatility given, after the widening, (n,); NaN where none was given. A window of which there are fewer than it is long,
    under two full lengths of data, has NaN quantiles.
    """

    window: IntArray
    quantile: FloatArray
    realised_vol: FloatArray
    latest: FloatArray
    windows: IntArray
    implied_percentile: FloatArray


def overlap_factor(window: int, windows: int) -> float:
    """What the variance of `windows` overlapping windows about their mean is multiplied by to be unbiased.

    For at least as many windows as returns in one; single returns give the familiar n / (n - 1).

    >>> round(overlap_factor(21, 232), 4)
    1.0962
    """
    h, n = float(window), float(windows)
    return 1.0 / (1.0 - h / n + (h * h - 1.0) / (3.0 * n * n))


def volatility_cone(
    log_returns: ArrayLike,
    windows: ArrayLike,
    periods_per_year: float,
    quantiles: ArrayLike = (0.0, 0.25, 0.5, 0.75, 1.0),
    implied_vol: ArrayLike | None = None,
) -> VolCone:
    """Quantiles of realised volatility over rolling windows, and where today's implied volatility lies among them.

    log_returns: oldest first, (t,), evenly spaced, none missing. windows: lengths in returns, (n,). periods_per_year: 365
    for daily crypto, 252 for daily stocks. implied_vol: of the matching maturity, one per window or one for all.
    Realised variance is the mean square of returns (no mean is taken off) times periods_per_year.
    Raises InputError for windows under 2, quantiles outside 0 to 1, or returns with gaps.

    >>> cone = volatility_cone(np.tile([0.01, -0.01], 50), [10, 20], 365.0)
    >>> [round(v, 4) for v in cone.realised_vol[:, 2].tolist()]
    [0.191, 0.191]
    """
    returns = np.asarray(log_returns, np.float64).reshape(-1)
    lengths, levels = np.asarray(windows, np.int64).reshape(-1), np.asarray(quantiles, np.float64).reshape(-1)
    if not np.all(np.isfinite(returns)):
        raise InputError(
            f"{np.count_nonzero(~np.isfinite(returns))} of {returns.size} log_returns are missing; fill or cut."
        )
    if lengths.size == 0 or lengths.min() < 2:
        raise InputError(f"windows={lengths.tolist()}; expected lengths of two returns or more.")
    if not np.all((levels >= 0.0) & (levels <= 1.0)):
        raise InputError(f"quantiles={levels.tolist()}; expected shares between 0 and 1.")
    if not periods_per_year > 0.0:
        raise InputError(f"periods_per_year={periods_per_year}; expected a positive number such as 365 or 252.")
    implied = np.broadcast_to(np.nan if implied_vol is None else np.asarray(implied_vol, np.float64), lengths.shape)
    out = np.full((lengths.size, levels.size), np.nan)
    latest, percentile = np.full(lengths.size, np.nan), np.full(lengths.size, np.nan)
    counts = np.maximum(returns.size - lengths + 1, 0)
    # Sums over windows straight from the squares: differences of running sums would leave rounding behind quiet spells.
    for i, (length, count) in enumerate(zip(lengths.tolist(), counts.tolist(), strict=True)):
        if count < 1:
            continue
        rows = np.lib.stride_tricks.sliding_window_view(returns * returns, length)
        variance = rows.mean(axis=1) * periods_per_year
        latest[i] = math.sqrt(variance[-1])
        if count < length or not np.all(variance > 0.0):
            continue
        log_variance = np.log(variance)
        centre = float(log_variance.mean())
        wide = centre + math.sqrt(overlap_factor(length, count)) * (log_variance - centre)
        out[i] = np.exp(0.5 * np.quantile(wide, levels))
        if np.isfinite(implied[i]):
            percentile[i] = np.mean(np.exp(0.5 * wide) < implied[i])
    return VolCone(lengths, levels, out, latest, counts, percentile)


def iv_percentile(history: ArrayLike, today: float) -> float:
    """Share of past implied volatilities below today's, 0 to 1. NaN entries do not count.

    Raises InputError where none is left.

    >>> iv_percentile([0.4, 0.5, 0.6, 0.7], 0.65)
    0.75
    """
    return float(np.mean(_known(history) < today)) if math.isfinite(today) else math.nan


def iv_rank(history: ArrayLike, today: float) -> float:
    """Where today's implied volatility lies between the lowest and the highest of the past and today, 0 to 1.

    NaN where all are equal. Raises InputError where no entry is a number.

    >>> round(iv_rank([0.4, 0.5, 0.6, 0.8], 0.5), 12)
    0.25
    """
    known = _known(history)
    low, high = min(float(known.min()), today), max(float(known.max()), today)
    return (today - low) / (high - low) if high > low else math.nan


def _known(history: ArrayLike) -> FloatArray:
    values = np.asarray(history, np.float64).reshape(-1)
    known = values[np.isfinite(values)]
    if known.size == 0:
        raise InputError(f"history of {values.size} implied volatilities has no number in it; expected at least one.")
    return known

"""Diebold-Mariano test of equal accuracy of two forecasts, with overlapping horizons allowed for.

Sources: Diebold & Mariano (1995), JBES 13, eq. 2-4; long-run variance with Bartlett weights as Newey & West (1987),
so that it is never negative; small-sample factor and t distribution of Harvey, Leybourne & Newbold (1997), eq. 9.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import stdtr

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError


class DieboldMariano(NamedTuple):
    """`statistic` < 0 says that the first forecast has the lower loss; `p_value` is two-sided.

    `status`: "ok", "too_short" (fewer than four horizons of losses) or "no_difference" (losses equal throughout);
    statistic and p-value are NaN unless "ok".
    """

    statistic: float
    p_value: float
    mean_difference: float
    observations: int
    status: str


def long_run_variance(values: FloatArray, lags: int) -> float:
    """Newey-West variance of sqrt(n) x mean: autocovariances up to `lags` with weights 1 - k / (lags + 1)."""
    centred = np.asarray(values, np.float64) - np.mean(values)
    n = centred.size
    total = float(centred @ centred) / n
    for lag in range(1, min(lags, n - 1) + 1):
        total += 2.0 * (1.0 - lag / (lags + 1.0)) * float(centred[lag:] @ centred[:-lag]) / n
    return total


def diebold_mariano(loss_a: FloatArray, loss_b: FloatArray, horizon: int, lags: int | None = None) -> DieboldMariano:
    """Test that two loss series have the same mean.

    loss_a, loss_b: shape (n,), aligned in time; pairs with a NaN are left out. horizon: steps ahead of each forecast,
    so that neighbouring losses overlap by horizon - 1. lags: of the HAC estimate, 2 x (horizon - 1) unless given:
    Bartlett weights at horizon - 1 alone would understate the overlap. Raises InputError on unequal shapes.
    """
    a, b = np.asarray(loss_a, np.float64), np.asarray(loss_b, np.float64)
    if a.shape != b.shape or a.ndim != 1 or horizon < 1:
        raise InputError(f"losses of shapes {a.shape}, {b.shape}, horizon {horizon}; expected two equal vectors, >= 1.")
    difference = a - b
    difference = difference[np.isfinite(difference)]
    n = difference.size
    if n < max(4 * horizon, 10):
        return DieboldMariano(np.nan, np.nan, np.nan, n, "too_short")
    mean = float(difference.mean())
    variance = long_run_variance(difference, 2 * (horizon - 1) if lags is None else lags)
    if variance <= 0.0:
        return DieboldMariano(np.nan, np.nan, mean, n, "no_difference")
    correction = np.sqrt((n + 1.0 - 2.0 * horizon + horizon * (horizon - 1.0) / n) / n)
    statistic = float(mean / np.sqrt(variance / n) * correction)
    p_value = float(2.0 * stdtr(n - 1, -abs(statistic)))
    return DieboldMariano(statistic, p_value, mean, n, "ok")

"""How an equity curve did: drawdown and Sharpe ratio.

Source: Sharpe (1994), "The Sharpe ratio", J. Portfolio Management 21, with the benchmark's return left to the caller.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError


class Drawdown(NamedTuple):
    """The deepest fall from an earlier peak. `amount` in the curve's unit and `share` of the peak, both >= 0.

    `peak` and `trough` are indices into the curve; -1 where it never fell. `share` is NaN where the peak is not
    positive: a share of nothing has no meaning.
    """

    amount: float
    share: float
    peak: int
    trough: int


def drawdowns(equity: FloatArray) -> FloatArray:
    """Distance below the running peak at each point, >= 0, same shape and unit as `equity` (n,)."""
    curve = np.asarray(equity, np.float64)
    return np.asarray(np.maximum.accumulate(curve) - curve, np.float64) if curve.size else curve.copy()


def max_drawdown(equity: FloatArray) -> Drawdown:
    """The largest fall in currency. Raises InputError when a value is not finite: a gap is not a drawdown of zero.

    >>> max_drawdown(np.array([10.0, 12.0, 9.0, 11.0])).share
    0.25
    """
    curve = np.asarray(equity, np.float64)
    if not np.all(np.isfinite(curve)):
        raise InputError("equity curve holds values that are not finite; mark every point or leave it out.")
    fall = drawdowns(curve)
    if not fall.size or np.max(fall) <= 0.0:
        return Drawdown(0.0, 0.0, -1, -1)
    trough = int(np.argmax(fall))
    peak = int(np.argmax(curve[: trough + 1]))
    top = float(curve[peak])
    return Drawdown(float(fall[trough]), float(fall[trough] / top) if top > 0.0 else np.nan, peak, trough)


def sharpe(returns: FloatArray, periods_per_year: float) -> float:
    """Mean over standard deviation (n - 1) of excess returns per period, times sqrt(periods_per_year).

    365 for daily marks of a market that never closes, 252 for an exchange's. NaN for fewer than two or constant
    returns.
    """
    series = np.asarray(returns, np.float64)
    if series.size < 2:
        return float("nan")
    deviation = float(series.std(ddof=1))
    # A constant series has a deviation of rounding size, not exactly zero.
    if not deviation > 1e-15 * float(np.abs(series).max()):
        return float("nan")
    return float(series.mean() / deviation * np.sqrt(periods_per_year))

"""Block bootstrap intervals for dependent series: mean, sum or Sharpe ratio of daily P&L, for example.

Sources: stationary bootstrap, Politis & Romano (1994), JASA 89, sec. 2 (geometric block lengths, circular);
moving blocks, Künsch (1989), Annals of Statistics 17. Intervals are percentile intervals (Efron 1979).
The generator is passed in (`core.rng.random_stream`), so that the same run gives the same interval.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.core.errors import InputError


class Statistic(IntEnum):
    MEAN = 0
    SUM = 1
    SHARPE = 2


class Blocks(IntEnum):
    STATIONARY = 0
    MOVING = 1


class Interval(NamedTuple):
    """`low`..`high` holds the statistic with probability `level`. `status`: "ok", "too_short", "not_finite"
    or "no_variation" (a Sharpe ratio of a constant); the bounds are NaN unless "ok"."""

    estimate: float
    low: float
    high: float
    level: float
    block_length: float
    replications: int
    status: str


_STATIONARY, _MOVING = int(Blocks.STATIONARY), int(Blocks.MOVING)


@compiled
def resampled_moments(values: FloatArray, starts: IntArray, renew: BoolArray, moments: FloatArray) -> None:
    """Mean and unbiased variance of each resample, written to `moments` (r, 2).

    starts, renew: (r, n). Where renew is true a new block begins at starts; elsewhere the next value follows,
    wrapping round the end.
    """
    replications, n = starts.shape
    for r in range(replications):
        position = 0
        mean = 0.0
        squares = 0.0
        for i in range(n):
            position = starts[r, i] if renew[r, i] or i == 0 else position + 1
            if position >= n:
                position -= n
            # Welford's update: no cancellation for a small mean against a large variance, or the reverse.
            value = values[position]
            step = value - mean
            mean += step / (i + 1)
            squares += step * (value - mean)
        moments[r, 0] = mean
        moments[r, 1] = squares / (n - 1)


def _statistic(mean: FloatArray, variance: FloatArray, n: int, statistic: Statistic, periods: float) -> FloatArray:
    if statistic is Statistic.MEAN:
        return mean
    if statistic is Statistic.SUM:
        return mean * n
    deviation = np.sqrt(variance)
    ratio = np.full(mean.shape, np.nan)
    np.divide(mean, deviation, out=ratio, where=deviation > 0.0)
    return np.asarray(ratio * np.sqrt(periods), np.float64)


def _draw(
    generator: np.random.Generator, rows: int, n: int, blocks: Blocks, block_length: float
) -> tuple[IntArray, BoolArray]:
    if blocks is Blocks.STATIONARY:
        starts = generator.integers(0, n, (rows, n))
        return starts, generator.random((rows, n)) < 1.0 / block_length
    length = int(block_length)
    # Künsch's blocks do not wrap: a block starts at most length before the end.
    starts = generator.integers(0, n - length + 1, (rows, n))
    renew = np.zeros((rows, n), np.bool_)
    renew[:, ::length] = True
    return starts, renew


def block_bootstrap(
    values: FloatArray,
    statistic: Statistic,
    generator: np.random.Generator,
    *,
    blocks: Blocks = Blocks.STATIONARY,
    block_length: float | None = None,
    replications: int = 2000,
    level: float = 0.95,
    periods_per_year: float = 365.0,
) -> Interval:
    """Percentile interval of a statistic of a dependent series.

    values: (n,), one per period. block_length: in periods, the mean length for stationary blocks; n**(1/3) rounded
    up unless given. periods_per_year annualises the Sharpe ratio only. Raises InputError on a bad level or length.
    """
    series = np.ascontiguousarray(values, np.float64)
    n = series.size
    length = float(np.ceil(max(n, 1) ** (1.0 / 3.0))) if block_length is None else float(block_length)
    if not 0.0 < level < 1.0 or replications < 1:
        raise InputError(f"level={level}, replications={replications}; expected 0 < level < 1 and at least one.")
    if length < 1.0 or (block_length is not None and length > max(n, 1)):
        raise InputError(f"block_length={length} for {n} values; expected 1 to {n}.")

    def empty(status: str, estimate: float = np.nan) -> Interval:
        return Interval(estimate, np.nan, np.nan, level, length, 0, status)

    if n < 5:
        return empty("too_short")
    if not np.all(np.isfinite(series)):
        return empty("not_finite")
    plain_mean, plain_variance = np.array([series.mean()]), np.array([series.var(ddof=1)])
    estimate = float(_statistic(plain_mean, plain_variance, n, statistic, periods_per_year)[0])
    if not np.isfinite(estimate):
        return empty("no_variation")
    moments = np.empty((replications, 2))
    rows = max(1, min(replications, 2_000_000 // n))
    for first in range(0, replications, rows):
        part = moments[first : first + rows]
        starts, renew = _draw(generator, len(part), n, blocks, length)
        resampled_moments(series, starts, renew, part)
    drawn = _statistic(moments[:, 0], moments[:, 1], n, statistic, periods_per_year)
    drawn = drawn[np.isfinite(drawn)]
    if drawn.size < replications // 2:
        return empty("no_variation", estimate)
    low, high = np.quantile(drawn, [0.5 - level / 2.0, 0.5 + level / 2.0])
    return Interval(estimate, float(low), float(high), level, length, int(drawn.size), "ok")

"""Realised variance: from price samples at any times, and from daily open, high, low, close.

Sources: realised variance, Andersen, Bollerslev, Diebold & Labys (2003); ranges: Parkinson (1980), Garman & Klass (1980,
eq. 20), Rogers & Satchell (1991), Yang & Zhang (2000, eq. 10). Variances are per day; `annualised` makes them a
volatility, with 365 days for a market that never closes and 252 for an exchange.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_DAY


class DailyHistory(NamedTuple):
    """What a model sees: log returns and variances of whole days, oldest first, shape (n,) each. NaN: not known."""

    returns: FloatArray
    variance: FloatArray


class DailyVariance(NamedTuple):
    """Variance of each whole UTC day, with the day's first instant. Shapes (n,)."""

    day_start_ns: IntArray
    variance: FloatArray


def annualised(daily_variance: FloatArray, days_per_year: float) -> FloatArray:
    """Volatility per year (decimal) from variance per day."""
    return np.asarray(np.sqrt(np.asarray(daily_variance, np.float64) * days_per_year), np.float64)


def quadratic_variation(ts_ns: IntArray, price: FloatArray) -> FloatArray:
    """Cumulative sum of squared log returns at each sample, 0 at the first. Shapes (n,).

    Raises InputError unless times rise strictly and prices are positive and finite.
    """
    times, prices = np.asarray(ts_ns, np.int64), np.asarray(price, np.float64)
    if times.shape != prices.shape or np.any(np.diff(times) <= 0):
        raise InputError("price samples must rise strictly in time, one price each; sort them and drop repeats.")
    if not np.all(np.isfinite(prices) & (prices > 0.0)):
        raise InputError("price samples hold a value that is not a positive number; drop it before measuring.")
    return np.concatenate([np.zeros(min(1, prices.size)), np.cumsum(np.diff(np.log(prices)) ** 2)])


def variance_between(ts_ns: IntArray, cumulative: FloatArray, edges_ns: IntArray) -> FloatArray:
    """Variance inside each interval of `edges_ns` (m,): shape (m - 1,), NaN where it reaches outside the samples.

    A return that spans an edge is shared out in proportion to time, so that uneven samples neither lose variance
    nor count it twice. An interval's figure never depends on samples after the first one at or past its end.
    """
    if len(ts_ns) == 0:
        return np.full(max(len(edges_ns) - 1, 0), np.nan)
    # Offsets from the first sample keep nanoseconds exact enough in float64 (years are 2**58 ns).
    at = np.interp(
        (edges_ns - ts_ns[0]).astype(np.float64),
        (ts_ns - ts_ns[0]).astype(np.float64),
        cumulative,
        left=np.nan,
        right=np.nan,
    )
    return np.diff(at)


def daily_variance(ts_ns: IntArray, price: FloatArray) -> DailyVariance:
    """Variance of every UTC day that the samples cover from midnight to midnight."""
    cumulative = quadratic_variation(ts_ns, price)
    if len(ts_ns) < 2:
        return DailyVariance(np.empty(0, np.int64), np.empty(0))
    first = -(-int(ts_ns[0]) // NS_PER_DAY)
    last = int(ts_ns[-1]) // NS_PER_DAY
    edges = np.arange(first, last + 1, dtype=np.int64) * NS_PER_DAY
    return DailyVariance(edges[:-1], variance_between(ts_ns, cumulative, edges))


def realised_vol(ts_ns: IntArray, price: FloatArray, days_per_year: float) -> float:
    """Volatility per year over the whole span of the samples; NaN for fewer than two."""
    if len(ts_ns) < 2:
        return float("nan")
    days = (int(ts_ns[-1]) - int(ts_ns[0])) / NS_PER_DAY
    return float(np.sqrt(quadratic_variation(ts_ns, price)[-1] / days * days_per_year))


def _logs(
    open_: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Log high, low and close against the open, and which bars hold together; others are NaN."""
    o, h, low_, c = (np.asarray(x, np.float64) for x in (open_, high, low, close))
    sound = (low_ > 0.0) & (low_ <= np.minimum(o, c)) & (h >= np.maximum(o, c))
    log_open = np.log(np.where(sound, o, np.nan))
    return (
        np.log(np.where(sound, h, np.nan)) - log_open,
        np.log(np.where(sound, low_, np.nan)) - log_open,
        np.log(np.where(sound, c, np.nan)) - log_open,
        log_open,
    )


def parkinson(open_: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray) -> FloatArray:
    """Daily variance from the range, ln(H/L)**2 / (4 ln 2). Open to close only; NaN for a bar whose high or low
    does not bound open and close. Shapes (n,), as for the other estimators."""
    u, d, _, _ = _logs(open_, high, low, close)
    return np.asarray((u - d) ** 2 / (4.0 * np.log(2.0)), np.float64)


def garman_klass(open_: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray) -> FloatArray:
    """Daily variance 0.511 (u-d)**2 - 0.019 (c (u+d) - 2ud) - 0.383 c**2 (eq. 20, zero drift), open to close.

    About 7.4 times as precise as the squared return for a market that trades through the day.
    """
    u, d, c, _ = _logs(open_, high, low, close)
    return np.asarray(0.511 * (u - d) ** 2 - 0.019 * (c * (u + d) - 2.0 * u * d) - 0.383 * c**2, np.float64)


def rogers_satchell(open_: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray) -> FloatArray:
    """Daily variance u (u - c) + d (d - c): right whatever the drift, open to close."""
    u, d, c, _ = _logs(open_, high, low, close)
    return np.asarray(u * (u - c) + d * (d - c), np.float64)


def yang_zhang(open_: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray, window: int) -> FloatArray:
    """Daily variance over the last `window` days, overnight jumps included: V_open + k V_close + (1 - k) V_RS,
    k = 0.34 / (1.34 + (n + 1) / (n - 1)). Shape (n,), NaN for the first `window` days.

    Raises InputError for a window under two days.
    """
    if window < 2:
        raise InputError(f"window={window} days; expected at least 2 for a variance.")
    _, _, c, log_open = _logs(open_, high, low, close)
    overnight = np.concatenate([[np.nan], log_open[1:] - (log_open + c)[:-1]])
    rs = rogers_satchell(open_, high, low, close)
    result = np.full(c.size, np.nan)
    if c.size <= window:
        return result
    k = 0.34 / (1.34 + (window + 1.0) / (window - 1.0))
    panes = np.lib.stride_tricks.sliding_window_view
    variance = (
        panes(overnight, window).var(axis=1, ddof=1)
        + k * panes(c, window).var(axis=1, ddof=1)
        + (1.0 - k) * panes(rs, window).mean(axis=1)
    )
    # The first pane lacks an overnight return; var() of a NaN is NaN, which is right for any later gap too.
    result[window - 1 :] = variance
    return result

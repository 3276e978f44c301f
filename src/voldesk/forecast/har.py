"""HAR-RV in logarithms: variance ahead from yesterday's, last week's and last month's variance.

Source: Corsi (2009), "A simple approximate long-memory model of realized volatility", J. Financial Econometrics 7, eq. 9;
log form with direct multi-day targets as Andersen, Bollerslev & Diebold (2007), REStat 89, eq. 14.
Back from logs with the smearing factor mean(exp(residual)) of Duan (1983), JASA 78: the expected value, without
assuming that residuals are normal (squared returns are far from it).

The path ahead is cut into buckets of days (1, 2-7, 8-14, ...); each has a regression of its own on the log of its mean
variance. So every day's forecast is positive, any tenor can be put together, and no error compounds as it would
in a day-by-day iteration. A market that never closes has weeks of 7 and months of 30 days; pass (1, 5, 22) for shares.
Valid after about 200 days; shorter histories give a status.
"""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError

LAGS = (1, 7, 30)
BUCKETS = (1, 7, 14, 30, 60)
WINDOW_DAYS = 1460
MIN_ROWS = 100


class HarParams(msgspec.Struct, frozen=True):
    """Fitted coefficients. `coefficients`: per bucket, intercept then one per lag; `smearing`: per bucket.

    `buckets`: last day ahead of each. `floor`: daily variance under which logs are not taken (days without a trade).
    `status`: "ok", or why there are none (coefficients are then empty).
    """

    lags: tuple[int, ...]
    buckets: tuple[int, ...]
    coefficients: tuple[tuple[float, ...], ...]
    smearing: tuple[float, ...]
    floor: float
    rows: int
    days_per_year: float
    status: str


def _trailing_mean(values: FloatArray, days: int) -> FloatArray:
    """Mean of the last `days` values at each index; NaN until there are that many."""
    result = np.full(values.size, np.nan)
    if values.size >= days:
        result[days - 1 :] = np.lib.stride_tricks.sliding_window_view(values, days).mean(axis=1)
    return result


def _regressors(variance: FloatArray, lags: tuple[int, ...], floor: float) -> FloatArray:
    columns = [np.ones(variance.size)]
    columns += [np.log(np.maximum(_trailing_mean(variance, lag), floor)) for lag in lags]
    return np.column_stack(columns)


def _check(lags: tuple[int, ...], buckets: tuple[int, ...]) -> None:
    for name, steps in (("lags", lags), ("buckets", buckets)):
        if not steps or steps[0] < 1 or any(b <= a for a, b in pairwise(steps)):
            raise InputError(f"{name}={steps}; expected rising whole days from 1 on, such as (1, 7, 30).")


def fit(
    daily_variance: FloatArray,
    *,
    lags: tuple[int, ...] = LAGS,
    buckets: tuple[int, ...] = BUCKETS,
    window_days: int = WINDOW_DAYS,
    days_per_year: float = 365.0,
) -> HarParams:
    """Least squares of each bucket on the history, oldest day first.

    daily_variance: (n,), per day; rows that touch a NaN are left out. window_days: only so much of the recent past is
    used, because crypto volatility fell for a decade. Raises InputError on lags or buckets that do not rise.
    """
    _check(lags, buckets)
    variance = np.asarray(daily_variance, np.float64)[-(window_days + lags[-1]) :]
    empty = HarParams(lags, buckets, (), (), float("nan"), 0, days_per_year, "")
    positive = variance[variance > 0.0]
    need = lags[-1] + buckets[-1] + MIN_ROWS
    if positive.size < need:
        return msgspec.structs.replace(empty, status=f"short_history: {positive.size} days, {need} needed")
    floor = 1e-3 * float(np.median(positive))
    inputs = _regressors(variance, lags, floor)
    coefficients, smearing, fewest = [], [], variance.size
    start = 0
    for stop in buckets:
        ahead = _trailing_mean(variance, stop - start)
        target = np.full(variance.size, np.nan)
        target[:-stop] = np.log(np.maximum(ahead[stop:], floor))
        usable = np.isfinite(target) & np.all(np.isfinite(inputs), axis=1)
        fewest = min(fewest, int(usable.sum()))
        if fewest < MIN_ROWS:
            return msgspec.structs.replace(empty, status=f"short_history: {fewest} rows, {MIN_ROWS} needed")
        x, y = inputs[usable], target[usable]
        beta, _, rank, _ = np.linalg.lstsq(x, y, rcond=None)
        if rank < x.shape[1]:
            return msgspec.structs.replace(empty, status="degenerate: the history does not vary")
        coefficients.append(tuple(float(b) for b in beta))
        smearing.append(float(np.mean(np.exp(y - x @ beta))))
        start = stop
    return HarParams(lags, buckets, tuple(coefficients), tuple(smearing), floor, fewest, days_per_year, "ok")


def forecast(params: HarParams, daily_variance_history: FloatArray, days_ahead: int) -> FloatArray:
    """Volatility of each of the next `days_ahead` days: decimals per year, shape (days_ahead,).

    NaN past the last bucket, where the params have no "ok", and where the last month holds a NaN.
    """
    result = np.full(days_ahead, np.nan)
    longest = params.lags[-1]
    recent = np.asarray(daily_variance_history, np.float64)[-longest:]
    if params.status != "ok" or recent.size < longest:
        return result
    inputs = np.array([1.0, *(np.log(max(float(recent[-lag:].mean()), params.floor)) for lag in params.lags)])
    if not np.all(np.isfinite(recent)):
        return result
    start = 0
    for stop, beta, smear in zip(params.buckets, params.coefficients, params.smearing, strict=True):
        variance = float(np.exp(inputs @ np.array(beta))) * smear
        result[start : min(stop, days_ahead)] = np.sqrt(variance * params.days_per_year)
        start = stop
    return result

"""The models by name, under one pair of functions: fit a history, forecast a path of daily volatilities."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError
from voldesk.forecast import garch, har, naive
from voldesk.forecast.realised import DailyHistory


class Model(StrEnum):
    HAR = "har"
    GARCH = "garch"
    GJR = "gjr"
    NAIVE = "naive"  # the last 30 days
    EWMA = "ewma"


Params = har.HarParams | garch.GarchParams | None
"""Fitted parameters; None for the models that have none."""

NAIVE_DAYS = 30


def model_named(name: str) -> Model:
    """Raises InputError naming the known models."""
    try:
        return Model(name)
    except ValueError:
        raise InputError(f"forecast model={name!r}; expected one of {', '.join(Model)}.") from None


def fit(model: Model, history: DailyHistory, days_per_year: float) -> Params:
    """Parameters from the history alone."""
    if model is Model.HAR:
        return har.fit(history.variance, days_per_year=days_per_year)
    if model in (Model.GARCH, Model.GJR):
        return garch.fit(history.returns, asymmetric=model is Model.GJR, days_per_year=days_per_year)
    return None


def daily_sigma(
    model: Model, params: Params, history: DailyHistory, days_ahead: int, days_per_year: float
) -> tuple[FloatArray, str]:
    """(path of decimals per year, status). The path is NaN where the status is not "ok"."""
    if isinstance(params, har.HarParams):
        path, status = har.forecast(params, history.variance, days_ahead), params.status
    elif isinstance(params, garch.GarchParams):
        path, status = garch.forecast(params, history.returns, days_ahead), params.status
    elif model is Model.EWMA:
        path, status = naive.ewma(history.variance, days_ahead, days_per_year=days_per_year), "ok"
    else:
        path, status = naive.last_days(history.variance, NAIVE_DAYS, days_ahead, days_per_year), "ok"
    if status == "ok" and not np.isfinite(path[:1]).all():
        status = f"short_history: {history.variance.size} days, or a gap in the last {NAIVE_DAYS}"
    return path, status

"""Walk-forward scores: refit on the past, forecast the next days, compare with what came, move on.

Every forecast uses data up to its own day only. Losses: `stats.loss`; Diebold-Mariano against a named benchmark with
the overlap of horizons allowed for. Nothing is tuned here: a model is what its defaults are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError
from voldesk.forecast import models
from voldesk.forecast.matched import matched_sigma
from voldesk.forecast.models import Model, Params
from voldesk.forecast.realised import DailyHistory
from voldesk.stats.dm import DieboldMariano, diebold_mariano
from voldesk.stats.loss import qlike, squared_error


class ModelScore(NamedTuple):
    """Out-of-sample means. `bias`: mean forecast volatility over root mean realised variance, minus one.

    `against`: Diebold-Mariano on QLIKE versus the benchmark (negative statistic: better); None for itself.
    """

    model: Model
    forecasts: int
    missing: int
    qlike: float
    mse: float
    bias: float
    against: DieboldMariano | None


def walk_forward(
    history: DailyHistory,
    model: Model,
    *,
    horizon_days: int,
    first: int,
    refit_every: int = 30,
    days_per_year: float = 365.0,
) -> FloatArray:
    """Forecast annual variance of the mean of the next `horizon_days`, made at the end of each day.

    Shape (n,): index t uses days 0..t. NaN before `first`, in the last `horizon_days`, and where the model has none.
    """
    n = history.variance.size
    result = np.full(n, np.nan)
    params: Params = None
    for step, t in enumerate(range(first, n - horizon_days)):
        past = DailyHistory(history.returns[: t + 1], history.variance[: t + 1])
        if step % refit_every == 0:
            params = models.fit(model, past, days_per_year)
        path, status = models.daily_sigma(model, params, past, horizon_days, days_per_year)
        if status == "ok":
            result[t] = matched_sigma(path, horizon_days) ** 2
    return result


def realised_ahead(variance: FloatArray, horizon_days: int, days_per_year: float = 365.0) -> FloatArray:
    """Annual variance realised over the `horizon_days` after each day: shape (n,), NaN at the end."""
    n = variance.size
    result = np.full(n, np.nan)
    if n > horizon_days:
        panes = np.lib.stride_tricks.sliding_window_view(variance[1:], horizon_days)
        result[: n - horizon_days] = panes.mean(axis=1) * days_per_year
    return result


def score(
    history: DailyHistory,
    realised: FloatArray,
    contenders: Sequence[Model],
    benchmark: Model,
    *,
    horizon_days: int,
    first: int,
    refit_every: int = 30,
    days_per_year: float = 365.0,
) -> tuple[ModelScore, ...]:
    """Score models on the same days: those for which every one of them has a forecast.

    realised: annual variance ahead of each day (n,), from `realised_ahead` of whichever proxy is to judge.
    Raises InputError when the benchmark is not among the contenders.
    """
    if benchmark not in contenders:
        raise InputError(f"benchmark={benchmark} is not among {', '.join(contenders)}; add it.")
    made = {
        m: walk_forward(
            history,
            m,
            horizon_days=horizon_days,
            first=first,
            refit_every=refit_every,
            days_per_year=days_per_year,
        )
        for m in contenders
    }
    judged = np.isfinite(realised) & (realised > 0.0)
    judged[:first] = False
    common = judged & np.all([np.isfinite(f) for f in made.values()], axis=0)
    losses = {m: qlike(realised[common], f[common]) for m, f in made.items()}
    scores = []
    for m, f in made.items():
        actual, expected = realised[common], f[common]
        scores.append(
            ModelScore(
                model=m,
                forecasts=int(common.sum()),
                missing=int((judged & ~np.isfinite(f)).sum()),
                qlike=float(losses[m].mean()) if common.any() else float("nan"),
                mse=float(squared_error(actual, expected).mean()) if common.any() else float("nan"),
                bias=float(np.sqrt(expected.mean() / actual.mean()) - 1.0) if common.any() else float("nan"),
                against=None if m is benchmark else diebold_mariano(losses[m], losses[benchmark], horizon_days),
            )
        )
    return tuple(scores)

from pathlib import Path

import numpy as np
import pytest

from voldesk.core.errors import InputError
from voldesk.core.rng import random_stream
from voldesk.forecast.models import Model
from voldesk.forecast.realised import DailyHistory, garman_klass
from voldesk.forecast.score import realised_ahead, score, walk_forward

DATA = Path(__file__).resolve().parents[2] / "../shared/data/daily_prices/daily_prices.parquet"


def _history(days: int, seed: int = 1) -> DailyHistory:
    rng = random_stream(seed, "score")
    x, sigma = 0.0, np.empty(days)
    for t in range(days):
        x = 0.97 * x + 0.15 * rng.normal()
        sigma[t] = 0.03 * np.exp(x / 2.0)
    return DailyHistory(sigma * rng.normal(size=days), sigma**2 * rng.chisquare(8, days) / 8.0)


def test_realised_ahead_looks_ahead_and_not_back() -> None:
    variance = np.arange(1.0, 8.0)
    ahead = realised_ahead(variance, 3, 1.0)
    assert ahead[:4].tolist() == [3.0, 4.0, 5.0, 6.0]
    assert np.isnan(ahead[4:]).all()


@pytest.mark.parametrize("model", [Model.HAR, Model.NAIVE, Model.EWMA, Model.GARCH])
def test_later_days_change_no_earlier_forecast(model: Model) -> None:
    history = _history(640)
    whole = walk_forward(history, model, horizon_days=7, first=560, refit_every=40)
    short = DailyHistory(history.returns[:600], history.variance[:600])
    cut = walk_forward(short, model, horizon_days=7, first=560, refit_every=40)
    assert np.isfinite(cut[560:593]).all()
    assert np.array_equal(cut[:593], whole[:593], equal_nan=True)


def test_har_beats_the_naive_forecast_where_volatility_clusters() -> None:
    history = _history(2600)
    found = score(
        history, realised_ahead(history.variance, 7), (Model.NAIVE, Model.HAR), Model.NAIVE, horizon_days=7, first=700
    )
    naive, har = found
    assert naive.against is None
    assert har.against is not None
    assert har.qlike < naive.qlike
    assert har.against.statistic < -2.0
    assert har.forecasts == naive.forecasts > 1800


def test_the_benchmark_has_to_be_scored_too() -> None:
    history = _history(300)
    with pytest.raises(InputError, match="benchmark=naive"):
        score(history, history.variance, (Model.HAR,), Model.NAIVE, horizon_days=7, first=250)


@pytest.mark.data
def test_on_bitcoin_the_har_forecast_of_two_weeks_beats_the_last_thirty_days() -> None:
    if not DATA.exists():
        pytest.skip("daily_prices is not beside the checkout")
    import pyarrow.parquet as pq

    rows = pq.read_table(DATA, filters=[("symbol", "==", "BTC-USD")]).sort_by("date")
    o, h, low, c = (rows[name].to_numpy() for name in ("open", "high", "low", "close"))
    returns = np.diff(np.log(c))
    history = DailyHistory(returns, garman_klass(o, h, low, c)[1:])
    # Judged by squared returns, which no model's input is: an unbiased proxy that favours none (Patton 2011).
    judge = realised_ahead(returns**2, 14)
    naive, ewma, har = score(
        history, judge, (Model.NAIVE, Model.EWMA, Model.HAR), Model.NAIVE, horizon_days=14, first=1552
    )
    assert har.forecasts > 2600
    assert har.missing == 0
    assert har.against is not None
    assert har.qlike < min(naive.qlike, ewma.qlike)
    assert har.against.p_value < 0.05
    assert abs(har.bias) < 0.10

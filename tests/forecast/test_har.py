import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.core.rng import random_stream
from voldesk.forecast import har


def _persistent(days: int, noise: float, seed: int = 1) -> np.ndarray:
    """Daily variance whose log is an AR(1) about log(0.03**2), with chi-square noise of the realised kind."""
    rng = random_stream(seed, "har")
    level = np.empty(days)
    x = 0.0
    for t in range(days):
        x = 0.97 * x + 0.12 * rng.normal()
        level[t] = x
    return 0.0009 * np.exp(level) * (rng.chisquare(noise, days) / noise if noise else 1.0)


def test_an_exact_log_linear_process_is_recovered() -> None:
    rng = random_stream(2, "har")
    variance = np.full(6000, 1e-3) * np.exp(rng.normal(0.0, 0.1, 6000))
    beta = (-1.0, 0.4, 0.3, 0.15)
    for t in range(30, 6000):
        x = [np.log(variance[t - lag : t].mean()) for lag in (1, 7, 30)]
        variance[t] = np.exp(beta[0] + np.dot(beta[1:], x) + rng.normal(0.0, 0.3))
    params = har.fit(variance, buckets=(1,), window_days=6000)
    assert params.status == "ok"
    assert params.coefficients[0][1:] == pytest.approx(beta[1:], abs=0.06)
    # Residuals are normal here, so Duan's factor is exp(s**2 / 2).
    assert params.smearing[0] == pytest.approx(np.exp(0.3**2 / 2.0), rel=0.01)


def test_forecasts_are_unbiased_in_variance_also_for_noisy_squared_returns() -> None:
    variance = _persistent(12_000, noise=1.0)
    params = har.fit(variance[:8000], window_days=8000)
    expected, actual = [], []
    for t in range(8000, 11_900, 5):
        path = har.forecast(params, variance[:t], 14) ** 2 / 365.0
        expected.append(path.mean())
        actual.append(variance[t : t + 14].mean())
    assert np.mean(expected) / np.mean(actual) == pytest.approx(1.0, abs=0.06)


def test_the_path_tends_from_today_to_the_mean() -> None:
    variance = _persistent(3000, noise=20.0)
    params = har.fit(variance, window_days=3000)
    calm, wild = variance.copy(), variance.copy()
    calm[-30:], wild[-30:] = 0.0002, 0.005
    low, high = har.forecast(params, calm, 60), har.forecast(params, wild, 60)
    assert low[0] < low[-1] < high[-1] < high[0]
    assert np.all(np.isfinite(low))


@settings(max_examples=25, deadline=None)
@given(st.integers(250, 500), st.integers(0, 200))
def test_days_that_come_later_change_no_earlier_forecast(cut: int, more: int) -> None:
    variance = _persistent(800, noise=4.0)
    alone = har.forecast(har.fit(variance[:cut]), variance[:cut], 60)
    seen = variance[: cut + more][:cut]
    assert np.array_equal(har.forecast(har.fit(seen), seen, 60), alone)


def test_a_forecast_uses_only_the_longest_lag_of_the_history() -> None:
    variance = _persistent(800, noise=4.0)
    params = har.fit(variance)
    assert np.array_equal(har.forecast(params, variance, 20), har.forecast(params, variance[-30:], 20))


def test_too_short_a_history_says_how_short() -> None:
    params = har.fit(_persistent(120, noise=4.0))
    assert params.status == "short_history: 120 days, 190 needed"
    assert np.isnan(har.forecast(params, _persistent(120, noise=4.0), 5)).all()


def test_gaps_and_days_without_trade_do_not_poison_the_fit() -> None:
    variance = _persistent(1000, noise=4.0)
    variance[400] = np.nan
    variance[500:503] = 0.0
    params = har.fit(variance)
    assert params.status == "ok"
    assert np.all(np.isfinite(har.forecast(params, variance, 60)))
    variance[-3] = np.nan
    assert np.isnan(har.forecast(params, variance, 60)).all()


def test_a_history_that_never_varies_is_no_fit() -> None:
    assert har.fit(np.full(500, 1e-3)).status.startswith("degenerate")


def test_nothing_is_forecast_past_the_last_bucket() -> None:
    path = har.forecast(har.fit(_persistent(800, noise=4.0), buckets=(1, 5, 10)), _persistent(800, noise=4.0), 12)
    assert np.isfinite(path[:10]).all()
    assert np.isnan(path[10:]).all()


def test_lags_that_do_not_rise_are_refused() -> None:
    with pytest.raises(InputError, match="rising whole days"):
        har.fit(np.ones(500), lags=(7, 1))

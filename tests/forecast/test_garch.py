import numpy as np
import pytest

from voldesk.core.compiled import plain
from voldesk.core.rng import random_stream
from voldesk.forecast import garch


def _simulated(days: int, omega: float, alpha: float, gamma: float, beta: float, seed: int = 1) -> np.ndarray:
    shocks = random_stream(seed, "garch").normal(size=days)
    returns = np.empty(days)
    variance = omega / (1.0 - alpha - gamma / 2.0 - beta)
    for t in range(days):
        returns[t] = np.sqrt(variance) * shocks[t]
        news = alpha + gamma * (returns[t] < 0.0)
        variance = omega + news * returns[t] ** 2 + beta * variance
    return returns


def test_parameters_of_a_simulated_path_are_found_again() -> None:
    returns = _simulated(6000, 2e-5, 0.08, 0.0, 0.88)
    params = garch.fit(returns, window_days=6000)
    assert params.status == "ok"
    assert params.alpha == pytest.approx(0.08, abs=0.025)
    assert params.persistence == pytest.approx(0.96, abs=0.02)
    assert params.long_run_variance == pytest.approx(5e-4, rel=0.25)


def test_the_asymmetric_form_finds_that_falls_count_more() -> None:
    params = garch.fit(_simulated(6000, 2e-5, 0.03, 0.10, 0.88), asymmetric=True, window_days=6000)
    assert params.gamma == pytest.approx(0.10, abs=0.04)


def test_the_filter_and_path_agree_with_the_library_that_fitted_them() -> None:
    from arch.univariate import GARCH, Normal, ZeroMean

    returns = _simulated(2000, 2e-5, 0.05, 0.06, 0.88)
    params = garch.fit(returns, asymmetric=True, window_days=2000)
    model = ZeroMean(returns * 100.0, volatility=GARCH(1, 1, 1), distribution=Normal(), rescale=False)
    fitted = model.fit(disp="off", show_warning=False)
    expected = fitted.forecast(horizon=20, reindex=False).variance.to_numpy()[0] / 1e4
    ours = garch.forecast(params, returns, 20) ** 2 / 365.0
    assert np.max(np.abs(ours / expected - 1.0)) < 1e-9


def test_the_recursion_equals_its_plain_twin() -> None:
    returns = _simulated(300, 2e-5, 0.05, 0.06, 0.88)
    arguments = (returns, 2e-5, 0.05, 0.06, 0.88, 5e-4)
    assert garch.next_variance(*arguments) == pytest.approx(plain(garch.next_variance)(*arguments), rel=1e-13)


def test_the_same_returns_give_the_same_parameters() -> None:
    returns = _simulated(600, 2e-5, 0.05, 0.0, 0.88)
    assert garch.fit(returns) == garch.fit(returns.copy())


def test_too_short_a_history_says_how_short() -> None:
    params = garch.fit(np.full(100, 0.01))
    assert params.status == "short_history: 100 days, 250 needed"
    assert np.isnan(garch.forecast(params, np.full(100, 0.01), 5)).all()


def test_a_variance_that_would_explode_is_refused() -> None:
    # Volatility that grows for ever: no stationary GARCH describes it.
    growing = np.exp(np.linspace(-8.0, -1.0, 800)) * random_stream(3, "garch").normal(size=800)
    params = garch.fit(growing)
    assert params.status != "ok"
    assert np.isnan(garch.forecast(params, growing, 5)).all()

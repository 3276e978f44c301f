import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.core.rng import random_stream
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR
from voldesk.forecast.realised import (
    annualised,
    daily_variance,
    garman_klass,
    parkinson,
    quadratic_variation,
    realised_vol,
    rogers_satchell,
    variance_between,
    yang_zhang,
)

Bars = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _bars(days: int, daily_sigma: float, drift: float = 0.0, gap: float = 0.0, steps: int = 2000) -> Bars:
    """Daily bars of a finely sampled Brownian motion, with an overnight jump of deviation `gap`."""
    rng = random_stream(11, "bars", days, steps)
    moves = rng.normal(drift / steps, daily_sigma / np.sqrt(steps), (days, steps))
    path = np.cumsum(moves, axis=1)
    jump = rng.normal(0.0, gap, days) if gap else np.zeros(days)
    start = np.concatenate([[0.0], np.cumsum(path[:, -1] + jump)[:-1]]) + jump
    high, low = np.maximum(path.max(axis=1), 0.0), np.minimum(path.min(axis=1), 0.0)
    return np.exp(start), np.exp(start + high), np.exp(start + low), np.exp(start + path[:, -1])


@pytest.mark.parametrize("estimator", [parkinson, garman_klass, rogers_satchell])
def test_range_estimators_find_the_variance_of_a_brownian_motion(estimator) -> None:  # type: ignore[no-untyped-def]
    found = estimator(*_bars(3000, 0.03)).mean()
    # Sampling 2000 times a day hides the last bit of the range: a few per cent low (Garman & Klass, table 1).
    assert np.sqrt(found) == pytest.approx(0.03, rel=0.04)


def test_garman_klass_is_several_times_as_precise_as_squared_returns() -> None:
    bars = _bars(3000, 0.03)
    squared = np.log(bars[3] / bars[0]) ** 2
    assert squared.var() / garman_klass(*bars).var() > 6.0


def test_only_rogers_satchell_and_yang_zhang_ignore_a_strong_drift() -> None:
    bars = _bars(3000, 0.02, drift=0.04)
    assert np.sqrt(rogers_satchell(*bars).mean()) == pytest.approx(0.02, rel=0.05)
    assert np.sqrt(parkinson(*bars).mean()) > 0.025
    assert np.sqrt(np.nanmean(yang_zhang(*bars, window=20))) == pytest.approx(0.02, rel=0.06)


def test_yang_zhang_counts_the_overnight_jump() -> None:
    found = np.nanmean(yang_zhang(*_bars(3000, 0.02, gap=0.015), window=30))
    assert np.sqrt(found) == pytest.approx(np.hypot(0.02, 0.015), rel=0.05)


def test_yang_zhang_matches_the_formula_written_out() -> None:
    o, h, low, c = _bars(12, 0.02, gap=0.01, steps=50)
    n, t = 10, 11
    overnight = np.log(o[1:] / c[:-1])[t - n : t]
    body = np.log(c / o)[t - n + 1 : t + 1]
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    expected = np.var(overnight, ddof=1) + k * np.var(body, ddof=1)
    expected += (1 - k) * rogers_satchell(o, h, low, c)[t - n + 1 : t + 1].mean()
    assert yang_zhang(o, h, low, c, n)[t] == pytest.approx(expected, rel=1e-12)
    assert np.isnan(yang_zhang(o, h, low, c, n)[:n]).all()


def test_a_bar_that_does_not_hold_together_is_missing_not_guessed() -> None:
    o, h, low, c = np.array([10.0, 10.0]), np.array([11.0, 9.5]), np.array([9.0, 9.0]), np.array([10.5, 9.2])
    for estimator in (parkinson, garman_klass, rogers_satchell):
        first, second = estimator(o, h, low, c)
        assert first > 0.0
        assert np.isnan(second)


@settings(max_examples=60)
@given(
    st.lists(st.integers(1, 40 * NS_PER_HOUR), min_size=2, max_size=40),
    st.integers(0, 3 * NS_PER_DAY),
    st.integers(0, 2**32),
)
def test_uneven_samples_lose_no_variance_whatever_the_edges(gaps: list[int], offset: int, seed: int) -> None:
    rng = random_stream(seed, "uneven")
    ts = offset + np.cumsum(np.array(gaps, np.int64))
    price = np.exp(rng.normal(0.0, 0.1, len(gaps)))
    total = quadratic_variation(ts, price)
    middle = sorted(int(rng.integers(ts[0], ts[-1] + 1)) for _ in range(5))
    edges = np.unique(np.array([ts[0], *middle, ts[-1]], np.int64))
    parts = variance_between(ts, total, edges)
    assert np.all(parts >= 0.0)
    assert parts.sum() == pytest.approx(total[-1], rel=1e-9, abs=1e-15)


def test_days_are_whole_utc_days_inside_the_samples() -> None:
    ts = np.arange(0, 4 * NS_PER_DAY, 6 * NS_PER_HOUR, dtype=np.int64) + NS_PER_HOUR
    price = np.where(np.arange(ts.size) % 2, 1.01, 1.0)
    days = daily_variance(ts, price)
    # The first day begins before the first sample and the last has not ended at the last one.
    assert days.day_start_ns.tolist() == [NS_PER_DAY, 2 * NS_PER_DAY]
    assert days.variance == pytest.approx(np.full(2, 4 * np.log(1.01) ** 2), rel=1e-12)
    # Sampled evenly, the annual figure is the same by either way.
    assert annualised(days.variance, 365.0)[0] == pytest.approx(realised_vol(ts, price, 365.0), rel=1e-12)


def test_a_day_once_complete_never_changes() -> None:
    rng = random_stream(5, "days")
    ts = np.cumsum(rng.integers(NS_PER_HOUR, 12 * NS_PER_HOUR, 100))
    price = np.exp(np.cumsum(rng.normal(0.0, 0.02, 100)))
    full = daily_variance(ts, price).variance
    for cut in range(2, 100):
        part = daily_variance(ts[:cut], price[:cut]).variance
        assert np.array_equal(part, full[: part.size])


def test_shares_and_coins_are_annualised_by_their_own_days() -> None:
    assert annualised(np.array([0.0004]), 252.0)[0] == pytest.approx(0.02 * np.sqrt(252.0), rel=1e-15)
    assert annualised(np.array([0.0004]), 365.0)[0] == pytest.approx(0.02 * np.sqrt(365.0), rel=1e-15)


def test_bad_samples_are_refused() -> None:
    with pytest.raises(InputError, match="rise strictly"):
        quadratic_variation(np.array([2, 1]), np.array([1.0, 1.0]))
    with pytest.raises(InputError, match="not a positive number"):
        quadratic_variation(np.array([1, 2]), np.array([1.0, 0.0]))
    assert np.isnan(realised_vol(np.array([1]), np.array([5.0]), 365.0))

import numpy as np
import pytest

from voldesk.forecast.naive import ewma, last_days


def test_the_last_days_are_averaged_in_variance() -> None:
    variance = np.array([9.0, 1.0, 2.0, 3.0]) * 1e-4
    assert last_days(variance, 3, 2, 365.0) == pytest.approx(np.full(2, np.sqrt(2e-4 * 365.0)), rel=1e-14)
    assert np.isnan(last_days(variance, 5, 2)).all()


def test_the_exponential_average_has_normalised_weights() -> None:
    assert ewma(np.full(50, 4e-4), 3) == pytest.approx(np.full(3, np.sqrt(4e-4 * 365.0)), rel=1e-14)
    step = np.concatenate([np.full(1000, 1e-4), np.full(10, 4e-4)])
    expected = 1e-4 * 0.94**10 + 4e-4 * (1.0 - 0.94**10)
    assert ewma(step, 1)[0] == pytest.approx(np.sqrt(expected * 365.0), rel=1e-9)


def test_the_exponential_average_wants_enough_days_and_no_recent_gap() -> None:
    assert np.isnan(ewma(np.full(20, 1e-4), 1)).all()
    gap = np.full(600, 1e-4)
    gap[5] = np.nan
    assert np.isfinite(ewma(gap, 1)).all()
    gap[-5] = np.nan
    assert np.isnan(ewma(gap, 1)).all()

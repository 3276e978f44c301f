import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voldesk.stats.loss import qlike, squared_error

VARIANCE = st.floats(1e-8, 1e3)


@given(VARIANCE, VARIANCE)
def test_qlike_is_zero_only_for_the_right_forecast(realised: float, forecast: float) -> None:
    loss = float(qlike(np.array([realised]), np.array([forecast]))[0])
    ratio = realised / forecast
    assert loss >= -1e-15
    if abs(ratio - 1.0) > 1e-6:
        assert loss > 0.0


def test_qlike_of_half_the_variance_costs_more_than_of_twice() -> None:
    low, high = qlike(np.array([1.0, 1.0]), np.array([0.5, 2.0]))
    assert low == pytest.approx(2.0 - np.log(2.0) - 1.0, abs=1e-15)
    assert high == pytest.approx(0.5 + np.log(2.0) - 1.0, abs=1e-15)
    assert low > high


def test_losses_without_a_positive_variance_are_missing() -> None:
    assert np.isnan(qlike(np.array([0.0, 1.0, np.nan, 1.0]), np.array([1.0, 0.0, 1.0, np.nan]))).all()
    assert squared_error(np.array([0.04]), np.array([0.09]))[0] == pytest.approx(0.0025, abs=1e-18)

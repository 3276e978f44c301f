import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voldesk.forecast.matched import matched_sigma

PATH = st.lists(st.floats(0.05, 3.0), min_size=1, max_size=40)


@given(PATH, st.floats(0.01, 1.0))
def test_variance_adds_up_over_the_horizon(path: list[float], share: float) -> None:
    horizon = share * len(path)
    # Against an integral of the step function, day by day.
    weights = np.clip(horizon - np.arange(len(path)), 0.0, 1.0)
    expected = np.sqrt(weights @ np.array(path) ** 2 / horizon)
    assert matched_sigma(path, horizon) == pytest.approx(expected, rel=1e-9)


def test_a_flat_path_is_the_same_at_every_tenor() -> None:
    assert matched_sigma([0.4] * 20, 13.7) == pytest.approx(0.4, rel=1e-14)


def test_a_forecast_is_never_stretched() -> None:
    assert np.isnan(matched_sigma([0.4] * 10, 10.01))
    assert np.isnan(matched_sigma([0.4] * 10, 0.0))
    assert np.isnan(matched_sigma([0.4, np.nan], 1.5))
    assert matched_sigma([0.4, np.nan], 1.0) == pytest.approx(0.4)
    assert np.isnan(matched_sigma((), 1.0))

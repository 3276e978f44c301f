import numpy as np
import pytest
from scipy import stats

from voldesk.core.errors import InputError
from voldesk.core.rng import random_stream
from voldesk.stats.dm import diebold_mariano, long_run_variance


def test_one_step_ahead_it_is_the_paired_t_test() -> None:
    rng = random_stream(1, "dm")
    a, b = rng.normal(1.0, 1.0, 200), rng.normal(1.1, 1.0, 200)
    result = diebold_mariano(a, b, horizon=1)
    expected = stats.ttest_rel(a, b)
    # Harvey, Leybourne & Newbold (1997): for h = 1 the correction is sqrt((n - 1) / n), which turns the 1/n
    # variance into the t test's.
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-12)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-10)


def test_the_long_run_variance_of_a_moving_average_is_found() -> None:
    rng = random_stream(2, "dm")
    noise = rng.normal(size=400_009)
    averaged = np.convolve(noise, np.ones(10), "valid")
    # Its standard error is sqrt(4/3 lags / n) = 2.6 % (Newey & West 1994); Bartlett weights take 5 % off the tail.
    assert long_run_variance(averaged, 200) == pytest.approx(100.0, rel=0.10)
    assert averaged.var() == pytest.approx(10.0, rel=0.05)


def test_bartlett_weights_match_a_hand_calculation() -> None:
    values = np.array([1.0, -1.0, 2.0, -2.0])
    gamma0, gamma1 = 10.0 / 4.0, (-1.0 - 2.0 - 4.0) / 4.0
    assert long_run_variance(values, 1) == pytest.approx(gamma0 + 2.0 * 0.5 * gamma1, abs=1e-15)


def test_equal_forecasts_are_rejected_about_as_often_as_the_level_says() -> None:
    rng = random_stream(3, "dm")
    overlap = np.ones(5)
    refused = 0
    for _ in range(400):
        a = np.convolve(rng.normal(size=504), overlap, "valid")
        b = np.convolve(rng.normal(size=504), overlap, "valid")
        refused += diebold_mariano(a, b, horizon=5).p_value < 0.05
    assert 0.02 <= refused / 400 <= 0.11


def test_swapping_the_forecasts_turns_the_sign() -> None:
    rng = random_stream(4, "dm")
    a, b = rng.exponential(size=100), rng.exponential(size=100)
    assert diebold_mariano(a, b, 3).statistic == -diebold_mariano(b, a, 3).statistic


def test_what_cannot_be_tested_says_so() -> None:
    assert diebold_mariano(np.ones(5), np.zeros(5), 1).status == "too_short"
    assert diebold_mariano(np.ones(50), np.ones(50), 1).status == "no_difference"
    with pytest.raises(InputError, match="equal vectors"):
        diebold_mariano(np.ones(5), np.ones(6), 1)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.stats.performance import drawdowns, max_drawdown, sharpe

CURVE = st.lists(st.floats(0.1, 1e6), min_size=1, max_size=40)


@given(CURVE)
def test_the_drawdown_is_the_worst_of_all_pairs(curve: list[float]) -> None:
    equity = np.array(curve)
    worst = max((equity[i] - equity[j] for i in range(len(curve)) for j in range(i, len(curve))), default=0.0)
    found = max_drawdown(equity)
    assert found.amount == worst
    assert np.all(drawdowns(equity) >= 0.0)
    if worst > 0.0:
        assert equity[found.peak] - equity[found.trough] == worst
        assert found.peak < found.trough


def test_a_curve_that_only_rises_has_none() -> None:
    assert max_drawdown(np.array([1.0, 2.0, 2.0, 3.0])) == (0.0, 0.0, -1, -1)
    assert max_drawdown(np.empty(0)).amount == 0.0


def test_a_share_of_an_empty_account_is_not_a_number() -> None:
    found = max_drawdown(np.array([0.0, -5.0]))
    assert found.amount == 5.0
    assert np.isnan(found.share)


def test_a_gap_in_the_curve_is_refused() -> None:
    with pytest.raises(InputError, match="not finite"):
        max_drawdown(np.array([1.0, np.nan]))


def test_sharpe_scales_with_the_square_root_of_time_and_not_with_leverage() -> None:
    returns = np.array([0.01, -0.005, 0.02, 0.0])
    by_hand = returns.mean() / returns.std(ddof=1)
    assert sharpe(returns, 365.0) == pytest.approx(by_hand * np.sqrt(365.0), rel=1e-14)
    assert sharpe(3.0 * returns, 252.0) == pytest.approx(by_hand * np.sqrt(252.0), rel=1e-12)


def test_sharpe_of_nothing_or_of_a_constant_is_not_a_number() -> None:
    assert np.isnan(sharpe(np.array([0.01]), 365.0))
    assert np.isnan(sharpe(np.full(100, 0.1), 365.0))

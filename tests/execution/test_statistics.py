"""Slippage against the mid at arrival, by hand."""

from __future__ import annotations

import math

import pytest

from voldesk.execution.statistics import ExecutionStatistics


def test_buying_above_and_selling_below_the_arrival_mid_both_cost(market: object) -> None:
    table = market.table  # type: ignore[attr-defined]
    statistics = ExecutionStatistics()
    statistics.filled("b", table[0], 10, 205, 200.0)  # 10 lots of 0.1 BTC, 5 ticks of 0.0001: 0.0005 BTC
    statistics.filled("b", table[0], -10, 198, 200.0)
    totals = statistics.totals["b", "BTC"]
    assert totals.slippage_tick_lots == 70.0
    assert totals.slippage_cost == pytest.approx(0.0007, rel=1e-12)
    assert totals.worst_slippage_ticks == 5.0
    assert totals.mean_slippage_ticks == 3.5


def test_an_inverse_future_costs_its_dollars_times_the_relative_move(market: object) -> None:
    statistics = ExecutionStatistics()
    # 100 contracts of 10 USD bought 1 USD above 100,000 (ticks of 0.5): 1,000 x 1e-5 = 0.01 USD.
    statistics.filled("b", market.table[1], 100, 200_002, 200_000.0)  # type: ignore[attr-defined]
    assert statistics.totals["b", "USD"].slippage_cost == pytest.approx(0.01, rel=1e-12)


def test_rates_are_nan_before_anything_happened_and_an_unknown_mid_counts_no_slippage(market: object) -> None:
    statistics = ExecutionStatistics()
    totals = statistics.of("b", market.table[0])  # type: ignore[attr-defined]
    assert math.isnan(totals.fill_rate)
    assert math.isnan(totals.mean_slippage_ticks)
    statistics.filled("b", market.table[0], 3, 205, math.nan)  # type: ignore[attr-defined]
    assert (totals.fills, totals.filled_lots, totals.slippage_tick_lots) == (1, 3, 0.0)
    copy = ExecutionStatistics()
    copy.restore(statistics.state())
    assert copy.totals == statistics.totals

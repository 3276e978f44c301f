"""Scenario losses: one lot of each adds up to the book, and the worst choice of working orders is found."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.compiled import plain
from voldesk.portfolio.scenario import ScenarioGrid, revalue
from voldesk.risk import scenario_loss as module
from voldesk.risk.lots import price_lots
from voldesk.risk.scenario_loss import Shocks, lot_scenarios

_columns = st.lists(st.floats(-1e3, 1e3) | st.just(math.nan), min_size=4, max_size=4)
_row = st.tuples(st.integers(-50, 50), st.integers(-50, 50), st.integers(0, 50), st.integers(-50, 0))
_lots = st.lists(_row, min_size=4, max_size=4)


@settings(max_examples=100, deadline=None)
@given(st.lists(_columns, min_size=3, max_size=3), _lots)
def test_the_scenario_loss_is_the_worst_over_scenarios_and_working_orders(
    table: list[list[float]], rows: list[tuple[int, int, int, int]]
) -> None:
    scenarios, lots = np.array(table), np.array(rows, np.int64)
    found = module.scenario_loss(scenarios, lots)
    twin = plain(module._worst)(scenarios, lots)
    np.testing.assert_array_equal([-found.current, -found.projected], [0.0 + twin[0], 0.0 + twin[1]])
    if not np.isfinite(scenarios).all():
        if (lots != 0).any(axis=1)[~np.isfinite(scenarios).all(axis=0)].any():
            assert math.isnan(found.projected)
        return
    worst = 0.0
    for choice in itertools.product((0, 1), repeat=8):
        filled = lots[:, 0] + lots[:, 1] + np.array(choice[:4]) * lots[:, 2] + np.array(choice[4:]) * lots[:, 3]
        worst = min(worst, float((scenarios @ filled).min()))
    assert found.projected == pytest.approx(-worst, abs=1e-9 * (1.0 + abs(worst)))


def test_one_lot_of_each_over_the_scenarios_adds_up_to_the_books_own_revaluation(world: Any) -> None:
    grid = ScenarioGrid((-0.3, 0.0, 0.2), (-0.1, 0.2), (0.0, 3.0))
    for numeraire in ("BTC", "USD"):
        desk = world()
        ids, lots = np.arange(4, dtype=np.int64), np.array([7, -3, 1200, -11], np.int64)
        each = lot_scenarios(desk.valuer, price_lots(desk.valuer, ids, numeraire), Shocks.of(grid))
        whole = revalue(desk.valuer, ids, lots, grid)
        expected = whole.pnl[0] if numeraire == "BTC" else whole.pnl_usd
        assert each @ lots == pytest.approx(expected.ravel(), rel=1e-9, abs=1e-9)


def test_the_kernel_agrees_with_its_plain_twin(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, shocks = world(), Shocks.of(ScenarioGrid((-0.2, 0.1), (0.0, 0.1), (0.0, 20.0)))
    priced = price_lots(desk.valuer, np.arange(4, dtype=np.int64), "USD")
    fast = lot_scenarios(desk.valuer, priced, shocks)
    monkeypatch.setattr(module, "_lot_scenarios", plain(module._lot_scenarios))
    np.testing.assert_allclose(fast, lot_scenarios(desk.valuer, priced, shocks), rtol=1e-13)
    assert fast.shape == (8, 4)

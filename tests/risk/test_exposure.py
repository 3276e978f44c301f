"""Exposures: worst cases over working orders against brute force, units by hand, kernels against their plain twins."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.compiled import plain
from voldesk.core.orders import Leg
from voldesk.portfolio.scenario import ScenarioGrid, revalue
from voldesk.risk import exposure
from voldesk.risk.exposure import (
    BASE,
    DOWN,
    STEP,
    UP,
    Betas,
    Shocks,
    bands,
    greek_columns,
    lot_scenarios,
    price_lots,
    unit_rules,
)
from voldesk.risk.limits import Code

CALL, PUT, PERP, WING = 0, 1, 2, 3

_columns = st.lists(st.floats(-1e3, 1e3) | st.just(math.nan), min_size=4, max_size=4)
_row = st.tuples(st.integers(-50, 50), st.integers(-50, 50), st.integers(0, 50), st.integers(-50, 0))
_lots = st.lists(_row, min_size=4, max_size=4)


def test_held_legs_and_working_lots_of_one_instrument_become_one_row() -> None:
    held = np.array([[2, 5], [7, -3]], np.int64)
    sim = exposure.simulate(held, [Leg(7, 1), Leg(4, 9), Leg(7, 1)], {2: (6, -1), 9: (0, -8)})
    assert sim.ids.tolist() == [2, 4, 7, 9]
    assert sim.lots.tolist() == [[5, 0, 6, -1], [0, 9, 0, 0], [-3, 2, 0, 0], [0, 0, 0, -8]]


@settings(max_examples=200, deadline=None)
@given(_columns, _lots)
def test_the_band_reaches_exactly_as_far_as_the_worst_choice_of_working_orders(
    column: list[float], rows: list[tuple[int, int, int, int]]
) -> None:
    columns, lots = np.array([column]), np.array(rows, np.int64)
    group = np.array([0, 0, 1, 1], np.int64)
    out = np.empty((1, 1 + 2 + 4, 4))
    bands(columns, lots, group, 2, out)
    twin = np.empty_like(out)
    plain(bands)(columns, lots, group, 2, twin)
    np.testing.assert_array_equal(out, twin)
    totals = []
    for choice in itertools.product((0, 1), repeat=8):
        filled = lots[:, 0] + np.array(choice[:4]) * lots[:, 2] + np.array(choice[4:]) * lots[:, 3]
        totals.append(sum(n * c for n, c in zip(filled.tolist(), column, strict=True) if n))
    base, up, down = out[0, 0, BASE], out[0, 0, UP], out[0, 0, DOWN]
    known = all(math.isfinite(c) or not any(row) for c, row in zip(column, rows, strict=True))
    if known:
        scale = 1e-9 * (1.0 + np.abs(np.nan_to_num(columns)).sum() * 150)
        assert base + up == pytest.approx(max(totals), abs=scale)
        assert base + down == pytest.approx(min(totals), abs=scale)
    else:
        assert math.isnan(base + up + down + out[0, 0, STEP])


@settings(max_examples=100, deadline=None)
@given(st.lists(_columns, min_size=3, max_size=3), _lots)
def test_the_scenario_loss_is_the_worst_over_scenarios_and_working_orders(
    table: list[list[float]], rows: list[tuple[int, int, int, int]]
) -> None:
    scenarios, lots = np.array(table), np.array(rows, np.int64)
    found = exposure.scenario_loss(scenarios, lots)
    twin = plain(exposure._worst)(scenarios, lots)
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


@pytest.fixture
def priced(world: Any) -> tuple[Any, Any]:
    desk = world()
    return desk, price_lots(desk.valuer, np.arange(4, dtype=np.int64), "BTC")


def test_greeks_come_in_the_units_of_their_limits(priced: tuple[Any, Any]) -> None:
    desk, lots = priced
    spot = 100_000.0

    def column(code: Code, unit: str, betas: Betas | None = None) -> np.ndarray[Any, Any]:
        return greek_columns(lots, unit_rules([(code, unit)]), desk.view, betas or Betas())[0]

    delta = lots.risk.net_delta
    gamma = lots.risk.net_gamma_per_1pct
    # 0.1 BTC of an at-the-money call: Black delta 0.5195 less the premium of 0.0391, and the perpetual's 10 USD.
    assert delta[CALL] == pytest.approx(0.1 * (0.51953 - 0.03906), rel=1e-4)
    assert delta[PERP] == pytest.approx(10.0 / spot, rel=1e-12)
    assert column(Code.DELTA, "underlying") == pytest.approx(delta, rel=1e-12)
    assert column(Code.DELTA, "contracts") == pytest.approx(delta / [1.0, 1.0, 10.0, 1.0], rel=1e-12)
    assert column(Code.DELTA, "usd") == pytest.approx(delta * spot, rel=1e-12)
    assert column(Code.DELTA, "numeraire") == pytest.approx(delta, rel=1e-12)
    assert column(Code.GAMMA, "underlying_per_1pct") == pytest.approx(gamma, rel=1e-12)
    assert column(Code.GAMMA, "underlying_per_1") == pytest.approx(gamma / 1000.0, rel=1e-12)
    assert column(Code.GAMMA, "usd_per_1pct") == pytest.approx(gamma * spot, rel=1e-12)
    assert column(Code.VEGA, "usd_per_volpt") == pytest.approx(column(Code.VEGA, "numeraire_per_volpt") * spot)
    assert column(Code.THETA, "usd_per_day") == pytest.approx(column(Code.THETA, "numeraire_per_day") * spot)
    # Twice as volatile as the benchmark: delta counts double, gamma four times.
    double = Betas("BTC", {})._replace(benchmark="BTC")
    assert column(Code.DELTA, "beta", double) == pytest.approx(delta, rel=1e-12)
    assert np.isnan(column(Code.DELTA, "beta", Betas("SPY", {}))).all()


def test_one_lot_of_each_over_the_scenarios_adds_up_to_the_books_own_revaluation(world: Any) -> None:
    grid = ScenarioGrid((-0.3, 0.0, 0.2), (-0.1, 0.2), (0.0, 3.0))
    for numeraire in ("BTC", "USD"):
        desk = world()
        ids, lots = np.arange(4, dtype=np.int64), np.array([7, -3, 1200, -11], np.int64)
        each = lot_scenarios(desk.valuer, price_lots(desk.valuer, ids, numeraire), Shocks.of(grid))
        whole = revalue(desk.valuer, ids, lots, grid)
        expected = whole.pnl[0] if numeraire == "BTC" else whole.pnl_usd
        assert each @ lots == pytest.approx(expected.ravel(), rel=1e-9, abs=1e-9)


def test_what_has_no_vol_or_rate_is_unknown_and_not_zero(world: Any) -> None:
    desk = world()
    from voldesk.market.state import Field

    desk.view.live.values[CALL, [Field.MARK_IV, Field.MARK, Field.BID]] = np.nan
    lots = price_lots(desk.valuer, np.arange(4, dtype=np.int64), "BTC")
    in_usd = greek_columns(lots, unit_rules([(Code.DELTA, "usd")]), desk.view, Betas())
    assert np.isnan(in_usd).tolist() == [[True, False, False, False]]
    assert np.isnan(lot_scenarios(desk.valuer, lots, Shocks.of(ScenarioGrid()))).any(axis=0).tolist() == [
        True,
        False,
        False,
        False,
    ]
    foreign = price_lots(desk.valuer, np.arange(4, dtype=np.int64), "CNY")
    assert np.isnan(foreign.to_numeraire).all()

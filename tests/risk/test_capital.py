"""What a book ties up, by hand from DESIGN's definitions, and worst over working orders by brute force."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.compiled import plain
from voldesk.portfolio.margin import margin_model
from voldesk.risk import capital as capital_module
from voldesk.risk.capital import Capital, capital
from voldesk.risk.lots import price_lots

CALL, PUT, PERP, WING = 0, 1, 2, 3
IDS = np.arange(4, dtype=np.int64)


def figures(desk: Any, rows: list[tuple[int, int, int, int]], equity: float = 10.0, model: str = "") -> Capital:
    margin = margin_model(model, desk.table) if model else desk.gate.margin
    priced = price_lots(desk.valuer, IDS, "BTC")
    return capital(desk.table, margin, priced, np.array(rows, np.int64), equity, desk.view.now_ns)


def test_long_options_use_their_premium_and_no_margin(world: Any) -> None:
    desk = world()
    premium = 50 * 0.1 * desk.view.live.values[CALL, 4]
    found = figures(desk, [(50, 0, 0, 0), *[(0, 0, 0, 0)] * 3]).projected
    assert found.position_ratio == pytest.approx(premium / 10.0, rel=1e-12)
    assert found.free_cash == pytest.approx(1.0 - premium / 10.0, rel=1e-12)
    assert found.single.tolist() == pytest.approx([premium / 10.0, 0, 0, 0], rel=1e-12)
    assert found.margin == 0.0


def test_a_short_option_asks_its_margin_and_its_premium_is_not_free(world: Any) -> None:
    # Deribit standard: 0.15 less nothing out of the money, plus the mark, in coin.
    desk = world()
    mark = desk.view.live.values[CALL, 4]
    found = figures(desk, [(-50, 0, 0, 0), *[(0, 0, 0, 0)] * 3]).projected
    margin = 5.0 * (0.15 + mark)
    assert found.position_ratio == pytest.approx(margin / 10.0, rel=1e-9)
    assert found.free_cash == pytest.approx(1.0 - (margin - 5.0 * mark) / 10.0, rel=1e-9)
    assert found.margin == pytest.approx(margin / (10.0 + 5.0 * mark), rel=1e-9)
    assert found.single[CALL] == pytest.approx(margin / 10.0, rel=1e-9)


def test_a_perpetual_has_margin_but_no_market_value(world: Any) -> None:
    # 100,000 USD at 100,000: 1 BTC, initial 2 % + 0.005 % of the size.
    found = figures(world(), [*[(0, 0, 0, 0)] * 2, (10_000, 0, 0, 0), (0, 0, 0, 0)]).projected
    assert found.position_ratio == pytest.approx(0.02005 / 10.0, rel=1e-9)
    assert found.single[PERP] == pytest.approx(0.02005 / 10.0, rel=1e-9)
    assert found.free_cash == pytest.approx(1.0 - 0.02005 / 10.0, rel=1e-9)


def test_without_equity_nothing_is_known(world: Any) -> None:
    found = figures(world(), [(50, 0, 0, 0), *[(0, 0, 0, 0)] * 3], equity=0.0).projected
    assert math.isnan(found.position_ratio)
    assert math.isnan(found.free_cash)


_row = st.tuples(st.integers(-60, 60), st.integers(-60, 60), st.integers(0, 60), st.integers(-60, 0))


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(_row, min_size=4, max_size=4))
def test_no_choice_of_working_orders_ties_up_more_than_the_figures_say(
    world: Any, rows: list[tuple[int, int, int, int]]
) -> None:
    desk = world()
    found = figures(desk, rows).projected
    for choice in itertools.product((0, 1), repeat=8):
        filled = [
            (held + order + buy * buys + sell * sells, 0, 0, 0)
            for (held, order, buys, sells), buy, sell in zip(rows, choice[:4], choice[4:], strict=True)
        ]
        one = figures(desk, filled).projected
        assert one.position_ratio <= found.position_ratio * (1 + 1e-12)
        assert one.free_cash >= found.free_cash - 1e-12
        assert one.margin <= found.margin * (1 + 1e-12)
        assert (one.single <= found.single * (1 + 1e-12)).all()


def test_the_kernel_agrees_with_its_plain_twin(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = world()
    rows = [(50, -70, 10, -20), (-5, 9, 0, -3), (1000, -3000, 500, 0), (0, 0, 0, 0)]
    compiled = figures(desk, rows)
    for name in ("position_figures", "lay_out_ends"):
        monkeypatch.setattr(capital_module, name, plain(getattr(capital_module, name)))
    slow = figures(desk, rows)
    for ours, theirs in zip(compiled, slow, strict=True):
        assert ours[:3] == pytest.approx(theirs[:3], rel=1e-14)
        np.testing.assert_allclose(ours.single, theirs.single, rtol=1e-14)


def test_the_risk_matrix_is_asked_for_the_whole_book_and_nets_a_hedged_one(world: Any) -> None:
    desk = world()
    alone = figures(desk, [(-50, 0, 0, 0), *[(0, 0, 0, 0)] * 3], model="portfolio").projected
    hedged = figures(desk, [(-50, 0, 0, 0), (0, 0, 0, 0), (24_000, 0, 0, 0), (0, 0, 0, 0)], model="portfolio").projected
    assert 0.0 < hedged.margin < alone.margin
    working = figures(desk, [(0, 0, 0, -50), *[(0, 0, 0, 0)] * 3], model="portfolio").projected
    assert working.margin == pytest.approx(alone.margin, rel=1e-12)

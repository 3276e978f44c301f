"""Exposures: the worst choice of working orders by brute force, kernels against their plain twins."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.compiled import plain
from voldesk.core.orders import Leg
from voldesk.risk import exposure
from voldesk.risk.exposure import BASE, DOWN, STEP, UP, bands

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
@given(
    st.lists(st.floats(-10, 10) | st.just(math.nan), min_size=24, max_size=24),
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2), st.floats(0.1, 20)), min_size=1, max_size=4),
)
def test_the_most_used_limit_is_found_and_the_unknown_uses_it_all_up(
    numbers: list[float], limits: list[tuple[int, int, float]]
) -> None:
    out = np.array(numbers).reshape(2, 3, 4)
    places = np.array([(k, row, row) for k, row, _ in limits], np.int64)
    values = np.array([value for *_, value in limits])
    found = exposure.most_used(out, places, values)
    assert found == plain(exposure.most_used)(out, places, values)
    shares = [
        max(abs(out[k, row, BASE] + out[k, row, STEP] + out[k, row, side]) for side in (UP, DOWN)) / value
        for k, row, value in limits
    ]
    known = all(math.isfinite(out[k, row].sum()) for k, row, _ in limits)
    assert found == (pytest.approx(max(shares), rel=1e-12) if known else math.inf)

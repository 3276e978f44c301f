"""Figures of a run: equity of several books, days without gaps, hindsight vol, costs in vol points, funding."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voldesk.app.round_trips import round_trips
from voldesk.app.run_figures import (
    break_even,
    daily_pnl,
    equity_curve,
    funding_per_bp,
    leg_costs,
    realised_after,
    vol_point_pnl,
)
from voldesk.app.run_folder import read_tables

HOUR = 3_600_000_000_000
DAY = 24 * HOUR
CALL, PUT, PERPETUAL = range(3)


def test_books_add_up_at_every_mark_and_count_their_deposit_before_their_first(
    tmp_path: Path, written: Callable[..., Any]
) -> None:
    run = written(tmp_path, "books:\n- {name: gamma}\n- {name: other}\n")
    run.mark(0, (5, 0, 0, 0, 0, 0))
    run.mark(0, (7, 0, 0, 0, 0, 0), book="other")
    run.mark(HOUR, (9, 0, 0, 0, 0, 0), book="other")
    curve = equity_curve(read_tables(run.end()), ["gamma", "other"])
    assert curve.start_units == 2_000_000_000
    assert [units - curve.start_units for units in curve.units] == [12, 14]


def test_daily_pnl_has_every_day_and_adds_up(tmp_path: Path, written: Callable[..., Any]) -> None:
    run = written(tmp_path)
    for at, realised in ((0, 100), (HOUR, 300), (3 * DAY, -50), (4 * DAY, 0)):
        run.mark(at, (realised, 0, 0, 0, 0, 0))
    days, pnl = daily_pnl(equity_curve(read_tables(run.end()), ["gamma"]))
    assert np.diff(days).tolist() == [1, 1, 1, 1]
    assert [round(value * 1e8) for value in pnl] == [300, 0, 0, -350, 50]


def test_hindsight_vol_is_that_of_the_horizon_that_followed_and_unknown_near_the_end() -> None:
    ts_ns = np.arange(11, dtype=np.int64) * DAY
    price = 100.0 * np.exp(0.02 * np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0]))
    out = realised_after(ts_ns, price, 4 * DAY)
    assert out[:7] == pytest.approx(np.full(7, 0.02 * math.sqrt(365)), rel=1e-12)
    assert np.isnan(out[7:]).all()
    assert np.isnan(realised_after(ts_ns[:1], price[:1], DAY)).all()


def test_costs_of_a_leg_are_in_vol_points_per_vega(by_hand: Path) -> None:
    tables = read_tables(by_hand)
    costs = leg_costs(tables, {CALL: -0.001, PUT: -0.002})
    options = [fill for fill in tables.fills if fill.is_option]
    vega = sum(abs(fill.vega_volpt_usd) for fill in options)
    fees = sum(0.0003 * fill.index for fill in options)
    assert costs.legs == 5
    assert costs.fee == pytest.approx(fees / vega, rel=1e-12)
    index = {i: np.mean([f.index for f in options if f.instrument == i]) for i in (CALL, PUT)}
    assert costs.half_spread == pytest.approx((0.001 * index[CALL] + 0.002 * index[PUT]) / vega, rel=1e-12)
    miss = sum((f.iv - f.fitted_iv) * 100 * f.vega_volpt_usd for f in options)
    assert costs.off_surface == pytest.approx(miss / vega, rel=1e-12)


def test_one_more_basis_point_of_funding_is_what_the_position_would_have_earned(by_hand: Path) -> None:
    # Short 0.1 BTC for one interval: a basis point is 0.00001 BTC, received.
    assert funding_per_bp(read_tables(by_hand), "BTC") == 1_000


def test_break_even_counts_each_side_and_closed_trips_only(by_hand: Path) -> None:
    trips = round_trips(read_tables(by_hand))
    long, short = break_even(trips, True), break_even(trips, False)
    assert (long.trips, short.trips) == (2, 0)
    assert long.net_usd == pytest.approx(sum(trip.net_usd for trip in trips), rel=1e-14)
    assert math.isnan(short.break_even_vol)
    vega = sum(trip.entry_vega_usd for trip in trips)
    assert vol_point_pnl(trips) == pytest.approx(long.net_usd / vega, rel=1e-14)

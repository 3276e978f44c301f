"""Round trips: flat to flat, parts that add up to the change of equity, break-even by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voldesk.app.round_trips import GammaAccount, round_trips
from voldesk.app.run_folder import read_tables
from voldesk.core.orders import Purpose

HOUR = 3_600_000_000_000
CALL, PUT, PERPETUAL = range(3)


def test_the_parts_of_a_trip_are_those_on_paper_and_add_up_to_the_equity(by_hand: Path) -> None:
    tables = read_tables(by_hand)
    first, second = round_trips(tables)
    parts = (first.option_units, first.hedge_units, first.fee_units, first.funding_units)
    assert parts == (6_000_000, -1_000_000, -130_000, 1_000)
    assert first.net_units == 4_871_000 == sum(part or 0 for part in parts)
    # The option settles at 0.1 BTC, bought for 0.1040; fees 0.0003 to buy and 0.00015 for delivery.
    assert (second.option_units, second.fee_units, second.net_units) == (-400_000, -45_000, -445_000)
    assert first.net_units + (second.net_units or 0) == tables.marks.all[-1].equity_units - 1_000_000_000


def test_a_trip_says_what_was_traded_and_why(by_hand: Path) -> None:
    first, second = round_trips(read_tables(by_hand))
    assert (first.structure, first.is_long, first.strike) == ("1 straddle 90000 9JAN26", True, 90_000.0)
    assert (first.entry["spread"], first.exit["spread"], first.exit_reason) == (0.07, -0.01, "close_exit")
    assert (first.hedges, first.days) == (2, pytest.approx(0.25, rel=1e-9))
    assert (second.structure, second.exit_reason) == ("1 BTC-9JAN26-90000-C", "settled")


def test_vol_points_are_net_dollars_per_vega_at_entry(by_hand: Path) -> None:
    tables = read_tables(by_hand)
    first = round_trips(tables)[0]
    vega = sum(fill.vega_volpt_usd for fill in tables.fills[:2])
    assert first.vol_points == pytest.approx(0.04871 * 100_000 / vega, rel=1e-12)
    assert first.entry_iv == pytest.approx(tables.fills[0].iv, rel=1e-3)


def test_gamma_is_earned_over_the_steps_the_trip_stood(by_hand: Path) -> None:
    tables = read_tables(by_hand)
    first = round_trips(tables)[0]
    gamma = sum(fill.gamma_1pct for fill in tables.fills[:2])
    # One step from 90,000 to 100,000 at the gamma bought, then two nanoseconds at a standing price.
    assert first.gamma.gained == pytest.approx(0.5 * gamma * 100 / 90_000 * 10_000**2, rel=1e-9)
    needed = first.gamma.realised_vol * math.sqrt(max(0.0, 1 - first.net_usd / first.gamma.gained))
    assert first.break_even_vol == pytest.approx(needed, rel=1e-12)


def test_a_standing_trip_is_open_and_its_options_are_worth_their_mark(
    tmp_path: Path, written: Callable[..., Any]
) -> None:
    run = written(tmp_path)
    run.mark(0)
    run.trade(1, Purpose.OPEN, {CALL: (-10, 240, 30_000), PUT: (-10, 240, 30_000)}, "open_short spread=-0.0800")
    run.mark(HOUR, (0, 123_456, -60_000, 0, 0, 0))
    (trip,) = round_trips(read_tables(run.end()))
    assert (trip.closed_ns, trip.is_long, trip.entry["spread"]) == (0, False, -0.08)
    assert (trip.option_units, trip.fee_units, trip.net_units) == (123_456, -60_000, 63_456)
    assert math.isnan(trip.break_even_vol)


def test_break_even_is_where_the_gamma_gain_would_have_paid_for_the_rest() -> None:
    account = GammaAccount()
    account.step(0.1, 100.0, 101.0, 1 / 365, 0.4)
    assert account.gained == pytest.approx(0.5 * 0.1 * 100 / 100 * 1.0, rel=1e-14)
    # Losing three times the gain: four times the variance, twice the vol, was needed.
    assert account.break_even_vol(-3 * account.gained) == pytest.approx(2 * account.realised_vol, rel=1e-14)
    assert account.break_even_vol(account.gained) == 0.0
    assert math.isnan(GammaAccount().break_even_vol(1.0))
    assert account.implied_vol == pytest.approx(0.4, rel=1e-14)


def test_a_short_gamma_book_can_bear_more_when_it_won() -> None:
    account = GammaAccount()
    account.step(-0.1, 100.0, 99.0, 1 / 365, 0.4)
    assert account.gained < 0.0
    assert account.break_even_vol(3 * -account.gained) == pytest.approx(2 * account.realised_vol, rel=1e-14)

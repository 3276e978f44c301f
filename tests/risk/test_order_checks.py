"""Checks of the order itself: listed, alive, fresh, of sane size and price."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from voldesk.core.orders import Leg, Outcome, Purpose, Style
from voldesk.core.units import NS_PER_DAY, NS_PER_SECOND
from voldesk.market.state import Field

CALL, PUT, PERP, WING = 0, 1, 2, 3


def codes(verdict: Any) -> list[str]:
    return [check.code for check in verdict.checks if check.outcome is Outcome.REFUSE]


def test_an_instrument_nobody_listed_is_refused_by_id(world: Any) -> None:
    verdict = world().judge((99, 1))
    assert codes(verdict) == ["UNKNOWN_INSTRUMENT"]
    assert verdict.checks[0].scope == "order:99"


def test_an_expired_option_is_refused(world: Any) -> None:
    desk = world()
    desk.view.now_ns += 14 * NS_PER_DAY
    assert codes(desk.judge((CALL, 1))) == ["EXPIRED_INSTRUMENT"]


def test_a_quote_older_than_its_time_to_live_is_refused_with_its_age_even_to_flatten(world: Any) -> None:
    desk = world().hold(CALL, 10)
    desk.view.now_ns += 61 * NS_PER_SECOND
    verdict = desk.judge((CALL, -10), purpose=Purpose.FLATTEN)
    assert verdict.outcome is Outcome.REFUSE
    (check,) = [check for check in verdict.checks if check.code == "STALE_INPUT"]
    assert (check.limit, check.current, check.unit) == (60.0, 61.0, "s")


@pytest.mark.parametrize(
    ("lots", "style", "missing", "refused"),
    [
        (1, Style.CROSS, Field.ASK, True),
        (1, Style.CROSS, Field.BID, False),
        (-1, Style.CROSS, Field.BID, True),
        (-1, Style.CROSS, Field.ASK, False),
        (1, Style.JOIN, Field.BID, True),
    ],
)
def test_only_the_sides_that_the_order_needs_must_be_quoted(
    world: Any, lots: int, style: Style, missing: Field, refused: bool
) -> None:
    desk = world()
    desk.view.live.values[CALL, missing] = np.nan
    assert ("STALE_INPUT" in codes(desk.judge((CALL, lots), style=style))) is refused


def test_a_fat_finger_is_caught_in_units_of_the_underlying_and_of_its_dollars(world: Any) -> None:
    desk = world(deposit="100000")
    assert "ORDER_SIZE" not in codes(desk.judge((CALL, 250)))
    assert "ORDER_SIZE" in codes(desk.judge((CALL, 251)))
    # 10 USD a contract at 100,000: 25 BTC are 250,000 contracts.
    assert "ORDER_SIZE" not in codes(desk.judge((PERP, 250_000)))
    assert "ORDER_SIZE" in codes(desk.judge((PERP, 251_000)))


def test_a_limit_price_far_beyond_the_mark_is_refused_and_a_patient_one_is_not(world: Any) -> None:
    desk = world()
    mark = desk.view.live.values[CALL, Field.MARK]  # 0.0391; the band is 0.02 of the underlying
    assert "PRICE_BAND_OPTION" in codes(desk.judge((CALL, 1), limit=round((mark + 0.021) / 1e-4)))
    assert "PRICE_BAND_OPTION" not in codes(desk.judge((CALL, 1), limit=round((mark + 0.019) / 1e-4)))
    assert "PRICE_BAND_OPTION" not in codes(desk.judge((CALL, 1), limit=1))
    assert "PRICE_BAND_OPTION" in codes(desk.judge((CALL, -1), limit=round((mark - 0.021) / 1e-4)))
    assert "PRICE_BAND" in codes(desk.judge((PERP, 1), limit=2 * 103_100))
    assert "PRICE_BAND" not in codes(desk.judge((PERP, 1), limit=2 * 102_900))


def test_without_a_mark_the_band_uses_the_mid_and_without_either_refuses(world: Any) -> None:
    desk = world()
    desk.view.live.values[PERP, Field.MARK] = np.nan
    assert "PRICE_BAND" in codes(desk.judge((PERP, 1), limit=2 * 103_100))
    assert "PRICE_BAND" not in codes(desk.judge((PERP, 1)))
    desk.view.live.values[PERP, Field.BID] = np.nan
    verdict = desk.judge((PERP, 1))
    (check,) = [check for check in verdict.checks if check.code == "PRICE_BAND"]
    assert check.outcome is Outcome.REFUSE
    assert math.isnan(check.projected)


def test_an_order_without_legs_or_of_zero_lots_is_a_bug(world: Any) -> None:
    desk = world()
    with pytest.raises(AssertionError, match="no legs"):
        desk.judge()
    with pytest.raises(AssertionError, match="zero lots"):
        desk.judge((CALL, 0))
    assert Leg(CALL, 0).lots == 0

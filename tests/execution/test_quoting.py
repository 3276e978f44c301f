"""Order prices: on the grid, never beyond the limit, None where there is nothing to price from."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.orders import Style, TimeInForce
from voldesk.execution.quoting import ExecutionRules, order_price, shift, time_in_force
from voldesk.instruments.spec import TickScheme
from voldesk.market.view import Quote

# Deribit BTC options: 0.0001 below 0.005, 0.0005 from there on.
SCHEME = TickScheme(Decimal("0.0001"), ((Decimal(0), Decimal("0.0001")), (Decimal("0.005"), Decimal("0.0005"))))
RULES = ExecutionRules()
NAN = float("nan")


def price(bid: float, ask: float, buying: bool, style: Style, attempt: int = 0, limit: int | None = None) -> int | None:
    return order_price(SCHEME, Quote(bid, 1.0, ask, 1.0, 0), buying, style, attempt, limit, RULES)


def test_shifting_steps_over_the_change_of_grid_in_both_directions() -> None:
    assert [shift(SCHEME, 48, n) for n in range(5)] == [48, 49, 50, 55, 60]
    assert [shift(SCHEME, 60, -n) for n in range(5)] == [60, 55, 50, 49, 48]


def test_a_crossing_order_goes_two_ticks_through_the_far_side_and_two_more_with_each_retry() -> None:
    assert [price(0.0195, 0.0205, True, Style.CROSS, n) for n in range(4)] == [215, 225, 235, 245]
    assert [price(0.0195, 0.0205, False, Style.CROSS, n) for n in range(4)] == [185, 175, 165, 155]


def test_a_joining_order_starts_near_comes_closer_and_ends_on_the_far_side() -> None:
    assert [price(0.0195, 0.0245, True, Style.JOIN, n) for n in range(4)] == [195, 205, 215, 245]
    assert [price(0.0195, 0.0245, False, Style.JOIN, n) for n in range(4)] == [245, 235, 225, 195]


def test_a_limit_caps_the_price_on_the_grid_and_a_missing_side_gives_none() -> None:
    assert price(0.0195, 0.0205, True, Style.CROSS, limit=207) == 205
    assert price(0.0195, 0.0205, False, Style.CROSS, limit=193) == 195
    assert price(0.0195, NAN, True, Style.CROSS) is None
    assert price(NAN, 0.0205, False, Style.CROSS) is None
    assert price(NAN, 0.0205, True, Style.JOIN) is None
    assert price(0.0195, 0.0205, True, Style.CROSS, limit=0) is None
    assert price(0.0001, 0.0003, False, Style.CROSS) == 1


def test_only_the_first_joining_order_is_post_only() -> None:
    assert time_in_force(Style.JOIN, 0) is TimeInForce.POST_ONLY
    assert time_in_force(Style.JOIN, 1) is TimeInForce.GTC
    assert time_in_force(Style.CROSS, 0) is TimeInForce.GTC


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 2000),
    st.integers(1, 200),
    st.booleans(),
    st.sampled_from(list(Style)),
    st.integers(0, 3),
    st.none() | st.integers(1, 2500),
)
def test_every_price_is_positive_valid_and_inside_the_limit(
    bid: int, spread: int, buying: bool, style: Style, attempt: int, limit: int | None
) -> None:
    found = price(bid * 1e-4, (bid + spread) * 1e-4, buying, style, attempt, limit)
    if found is None:
        assert buying
        assert limit is not None
        return
    assert found > 0
    assert SCHEME.is_valid(found)
    if limit is not None:
        assert found <= limit if buying else found >= limit

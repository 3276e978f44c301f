"""The order state machine: its table, its sums, and reports that come late, twice or in the wrong order."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.errors import VenueError
from voldesk.core.orders import CancelOrder, OrderType, PlaceOrder, TimeInForce
from voldesk.core.reports import (
    CancelRejected,
    Liquidity,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderRejected,
)
from voldesk.portfolio.working_orders import (
    TERMINAL,
    TRANSITIONS,
    Applied,
    Happening,
    OrderReport,
    OrderState,
    WorkingOrders,
)


def place(order_id: int = 1, lots: int = 10, book: str = "b", instrument: int = 3, intent_id: int = 1) -> PlaceOrder:
    return PlaceOrder(
        order_id, 0, intent_id, book, instrument, lots, OrderType.LIMIT, 100, TimeInForce.GTC, reduce_only=False
    )


def fill(trade_id: int, lots: int, order_id: int = 1, instrument: int = 3) -> OrderFilled:
    return OrderFilled(0, 0, order_id, trade_id, instrument, lots, 100, Liquidity.TAKER, 0, "BTC")


def sent(lots: int = 10) -> WorkingOrders:
    orders = WorkingOrders()
    orders.place(place(lots=lots))
    return orders


ACCEPT = OrderAccepted(0, 0, 1)
REJECT = OrderRejected(0, 0, 1, "INSUFFICIENT_MARGIN", "")
CANCEL = OrderCancelled(0, 0, 1, "user")
REFUSED = CancelRejected(0, 0, 1, "NOT_OPEN")


def test_the_plain_life_of_an_order_counts_down_its_lots() -> None:
    orders = sent()
    assert orders[1].state is OrderState.PENDING_NEW
    assert orders.lots("b", 3) == 10
    assert orders.apply(ACCEPT) is Applied.OPEN
    assert orders.apply(fill(1, 4)) is Applied.NEW_FILL
    assert (orders[1].state, orders.lots("b", 3)) == (OrderState.PARTIALLY_FILLED, 6)
    assert orders.apply(fill(2, 6)) is Applied.NEW_FILL
    assert (orders[1].state, orders.lots("b", 3), orders.has_open("b")) == (OrderState.FILLED, 0, False)


def test_a_fill_before_the_acknowledgement_is_a_fill() -> None:
    orders = sent()
    assert orders.apply(fill(1, 4)) is Applied.NEW_FILL
    assert orders.apply(ACCEPT) is Applied.NOTHING_NEW
    assert orders[1].state is OrderState.PARTIALLY_FILLED


def test_a_fill_after_the_cancel_request_still_counts_and_the_rest_stays_exposed() -> None:
    orders = sent()
    orders.apply(ACCEPT)
    orders.cancel(CancelOrder(1, 5, "timeout"))
    assert orders.lots("b", 3) == 10
    assert orders.apply(fill(1, 4)) is Applied.NEW_FILL
    assert (orders[1].state, orders.lots("b", 3)) == (OrderState.PENDING_CANCEL, 6)
    assert orders.apply(CANCEL) is Applied.ENDED
    assert (orders[1].state, orders[1].filled, orders.lots("b", 3)) == (OrderState.CANCELLED, 4, 0)


def test_an_order_nobody_heard_of_stays_open_until_its_late_fill() -> None:
    orders = sent()
    orders.doubt(1)
    assert orders[1].doubted
    assert orders.has_open("b")
    assert orders.lots("b", 3) == 10
    assert orders.apply(fill(1, 10)) is Applied.NEW_FILL
    assert orders[1].state is OrderState.FILLED
    assert not orders[1].doubted


def test_a_fill_overtaken_by_the_cancel_is_booked_late_and_moves_no_working_lots() -> None:
    orders = sent()
    orders.apply(CANCEL)
    assert orders.apply(fill(1, 4)) is Applied.LATE_FILL
    assert (orders[1].state, orders[1].filled, orders.lots("b", 3)) == (OrderState.CANCELLED, 4, 0)


def test_the_same_trade_twice_is_counted_once_and_a_changed_one_is_an_assertion() -> None:
    orders = sent()
    orders.apply(fill(1, 4))
    assert orders.apply(fill(1, 4)) is Applied.DUPLICATE_FILL
    assert orders[1].filled == 4
    with pytest.raises(AssertionError, match="trade 1 was 4 lots, is 5"):
        orders.apply(fill(1, 5))


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ([], OrderState.PENDING_NEW),
        ([ACCEPT], OrderState.WORKING),
        ([ACCEPT, fill(1, 3)], OrderState.PARTIALLY_FILLED),
    ],
)
def test_a_refused_cancel_leaves_the_order_where_it_was(before: list[OrderReport], expected: OrderState) -> None:
    orders = sent()
    for report in before:
        orders.apply(report)
    orders.cancel(CancelOrder(1, 5, "timeout"))
    orders.apply(REFUSED)
    assert orders[1].state is expected
    orders.cancel(CancelOrder(1, 6, "again"))
    assert orders[1].state is OrderState.PENDING_CANCEL


_REPORT_OF: dict[Happening, Any] = {
    Happening.ACCEPT: ACCEPT,
    Happening.REJECT: REJECT,
    Happening.PART_FILL: fill(90, 1),
    Happening.CANCEL: CANCEL,
    Happening.CANCEL_REFUSED: REFUSED,
}


def _bring_to(state: OrderState) -> WorkingOrders:
    orders = sent()
    steps: dict[OrderState, list[OrderReport]] = {
        OrderState.PENDING_NEW: [],
        OrderState.WORKING: [ACCEPT],
        OrderState.PARTIALLY_FILLED: [ACCEPT, fill(1, 4)],
        OrderState.PENDING_CANCEL: [ACCEPT],
        OrderState.FILLED: [fill(1, 10)],
        OrderState.CANCELLED: [CANCEL],
        OrderState.REJECTED: [REJECT],
    }
    for report in steps[state]:
        orders.apply(report)
    if state is OrderState.PENDING_CANCEL:
        orders.cancel(CancelOrder(1, 5, "x"))
    assert orders[1].state is state
    return orders


# A fill of a filled order is caught as an overfill, tested below.
_PAIRS = [
    (state, happening)
    for state in OrderState
    for happening in Happening
    if state is not OrderState.FILLED or happening not in (Happening.PART_FILL, Happening.LAST_FILL)
]


@pytest.mark.parametrize(("state", "happening"), _PAIRS)
def test_every_pair_follows_the_table_or_is_an_assertion_naming_it(state: OrderState, happening: Happening) -> None:
    orders = _bring_to(state)
    report = fill(91, orders[1].lots - orders[1].filled) if happening is Happening.LAST_FILL else None

    def do() -> None:
        if happening is Happening.CANCEL_REQUEST:
            orders.cancel(CancelOrder(1, 6, "x"))
        else:
            orders.apply(report or _REPORT_OF[happening])

    if (state, happening) in TRANSITIONS:
        do()
        assert orders[1].state is TRANSITIONS[state, happening]
        assert orders.has_open("b") == (orders[1].state not in TERMINAL)
    else:
        with pytest.raises(AssertionError, match=f"{happening.value} in state {state.value} is illegal"):
            do()


def test_more_fills_than_lots_wrong_side_or_wrong_instrument_are_assertions() -> None:
    with pytest.raises(AssertionError, match="filled 11 of 10"):
        sent().apply(fill(1, 11))
    with pytest.raises(AssertionError, match="-3 lots against 10"):
        sent().apply(fill(1, -3))
    with pytest.raises(AssertionError, match="instrument 4"):
        sent().apply(fill(1, 3, instrument=4))


def test_a_report_for_an_order_never_sent_is_refused_in_one_line_with_its_id() -> None:
    with pytest.raises(VenueError, match="order_id=99") as caught:
        sent().apply(OrderAccepted(0, 0, 99))
    assert "\n" not in str(caught.value)


def test_buys_and_sells_are_summed_apart_per_book_and_instrument() -> None:
    orders = WorkingOrders()
    orders.place(place(1, 10))
    orders.place(place(2, -4))
    orders.place(place(3, 7, book="other"))
    orders.place(place(4, 2, instrument=5, intent_id=2))
    assert orders.sides("b", 3) == (10, -4)
    assert orders.lots("b", 3) == 6
    assert orders.exposed("b") == {3: (10, -4), 5: (2, 0)}
    assert [order.order_id for order in orders.open_orders()] == [1, 2, 3, 4]
    assert [order.order_id for order in orders.of_intent("b", 1)] == [1, 2]


def test_sending_the_same_order_id_twice_is_an_assertion() -> None:
    with pytest.raises(AssertionError, match="already sent"):
        sent().place(place())


@st.composite
def _histories(draw: st.DrawFn) -> tuple[int, bool, list[OrderReport]]:
    """What a correct venue may say of one order: lots, whether we asked to cancel, the reports in venue order."""
    sign = draw(st.sampled_from([1, -1]))
    lots = draw(st.integers(1, 12))
    asked = draw(st.booleans())
    if draw(st.integers(0, 9)) == 0:
        return sign * lots, asked, [REJECT]
    parts = draw(st.lists(st.integers(1, 5), max_size=4))
    fills: list[OrderReport] = []
    left = lots
    for number, part in enumerate(parts):
        size = min(part, left)
        if size:
            fills.append(fill(number, sign * size))
            left -= size
    history: list[OrderReport] = [ACCEPT, *fills]
    if left and draw(st.booleans()):
        history.append(CANCEL)
    return sign * lots, asked, history


def _play(lots: int, asked: bool, reports: list[OrderReport]) -> tuple[WorkingOrders, int]:
    orders = sent(lots)
    if asked:
        orders.cancel(CancelOrder(1, 1, "timeout"))
    ledger = 0
    for report in reports:
        if orders.apply(report) in (Applied.NEW_FILL, Applied.LATE_FILL):
            assert isinstance(report, OrderFilled)
            ledger += report.lots
    return orders, ledger


@settings(max_examples=300, deadline=None)
@given(_histories(), st.data())
def test_any_order_of_reports_with_duplicates_ends_in_the_same_state(
    history: tuple[int, bool, list[OrderReport]], data: st.DataObject
) -> None:
    lots, asked, reports = history
    straight, ledger = _play(lots, asked, reports)
    echoed = [*reports, *data.draw(st.lists(st.sampled_from(reports), max_size=4))]
    shuffled, shuffled_ledger = _play(lots, asked, data.draw(st.permutations(echoed)))
    ours, theirs = straight[1], shuffled[1]
    assert (ours.state, ours.filled, ours.end_code) == (theirs.state, theirs.filled, theirs.end_code)
    assert sorted(ours.trades.items()) == sorted(theirs.trades.items())
    assert straight.lots("b", 3) == shuffled.lots("b", 3) == ours.remaining
    assert ledger == shuffled_ledger == ours.filled


@settings(max_examples=150, deadline=None)
@given(_histories(), st.data())
def test_a_restored_copy_goes_on_exactly_as_the_original(
    history: tuple[int, bool, list[OrderReport]], data: st.DataObject
) -> None:
    lots, asked, reports = history
    cut = data.draw(st.integers(0, len(reports)))
    orders, _ = _play(lots, asked, reports[:cut])
    copy = WorkingOrders()
    copy.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(orders.state())))
    for report in reports[cut:]:
        assert orders.apply(report) is copy.apply(report)
    assert orders.state() == copy.state()
    assert orders.exposed("b") == copy.exposed("b")

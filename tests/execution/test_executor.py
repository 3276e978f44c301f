"""The executor against a scripted venue, then against a random one that delays, splits, refuses and loses."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.orders import (
    Approved,
    CancelOrder,
    Command,
    Leg,
    OrderIntent,
    Outcome,
    PlaceOrder,
    Purpose,
    Style,
    TimeInForce,
    Verdict,
)
from voldesk.core.reports import (
    CancelRejected,
    Liquidity,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderRejected,
)
from voldesk.core.units import NEVER_NS, NS_PER_SECOND
from voldesk.execution.events import LateFill, LegRisk, OrderTimedOut, OrderUnconfirmed, RetriesExhausted
from voldesk.execution.executor import Executor, OrderIds
from voldesk.execution.quoting import ExecutionRules
from voldesk.portfolio.working_orders import OrderReport, WorkingOrders

OPTION, PERPETUAL = 0, 1
SECOND = NS_PER_SECOND


def approved(*legs: Leg, intent_id: int = 1, style: Style = Style.CROSS, book: str = "b") -> Approved:
    # Only the gate makes these in the package; a test may stand in for it.
    intent = OrderIntent(intent_id, 0, book, "s", Purpose.OPEN, legs, "test", style)
    return Approved(intent, Verdict(intent_id, 0, Outcome.APPROVE, ()))


def filled(order: PlaceOrder, trade: int, lots: int, price: int | None = None) -> OrderFilled:
    at = order.limit_ticks if price is None else price
    return OrderFilled(0, 0, order.order_id, trade, order.instrument, lots, at, Liquidity.TAKER, 0, "BTC")


def cancelled(order: PlaceOrder, reason: str = "user") -> OrderCancelled:
    return OrderCancelled(0, 0, order.order_id, reason)


class Desk:
    """Executor with its orders and ids; `now` moves by hand."""

    def __init__(self, market: Any, rules: ExecutionRules | None = None) -> None:
        self.market = market
        self.orders, self.ids = WorkingOrders(), OrderIds()
        self.executor = Executor(market.table, self.orders, self.ids, rules)
        self.now = 0

    def at(self, seconds: float) -> Desk:
        self.now = int(seconds * SECOND)
        self.market.at(self.now)
        return self

    def plan(self, item: Approved) -> list[Command]:
        return self.executor.plan(item, self.market.view, self.now)

    def report(self, report: OrderReport) -> Any:
        return self.executor.on_report(report, self.market.view, self.now)

    def tick(self) -> Any:
        return self.executor.on_time(self.now, self.market.view)


def only(commands: list[Command]) -> Any:
    assert len(commands) == 1
    return commands[0]


def test_both_legs_of_a_straddle_go_out_at_once_through_the_far_side(market: Any) -> None:
    option, perpetual = Desk(market).plan(approved(Leg(OPTION, 10), Leg(PERPETUAL, -5)))
    assert isinstance(option, PlaceOrder)
    assert isinstance(perpetual, PlaceOrder)
    assert (option.order_id, option.lots, option.limit_ticks, option.time_in_force) == (1, 10, 215, TimeInForce.GTC)
    assert (perpetual.order_id, perpetual.lots, perpetual.limit_ticks) == (2, -5, 199_997)


def test_an_order_that_stands_thirty_seconds_is_cancelled_and_requoted_only_after_the_confirmation(market: Any) -> None:
    desk = Desk(market)
    first = only(desk.plan(approved(Leg(OPTION, 10))))
    desk.report(OrderAccepted(0, 0, 1))
    desk.report(filled(first, 1, 4))
    assert desk.executor.next_time_ns() == 30 * SECOND
    assert desk.at(29).tick().commands == []
    worked = desk.at(30).tick()
    assert worked.commands == [CancelOrder(1, desk.now, "timeout")]
    assert worked.events == [OrderTimedOut(desk.now, "b", 1, 1, OPTION, 6, 0)]
    assert desk.at(31).report(filled(first, 2, 1)).commands == []
    second = only(desk.report(cancelled(first)).commands)
    assert (second.order_id, second.lots, second.limit_ticks) == (2, 5, 225)
    worked = desk.report(filled(second, 3, 5))
    assert worked.events == []
    assert not desk.executor.is_working("b")
    assert desk.executor.next_time_ns() == NEVER_NS


def test_after_three_retries_the_leg_is_given_up_and_the_uneven_structure_is_named(market: Any) -> None:
    desk = Desk(market)
    option, perpetual = desk.plan(approved(Leg(OPTION, 10), Leg(PERPETUAL, -5)))
    assert isinstance(perpetual, PlaceOrder)
    desk.report(filled(perpetual, 1, -5))
    order, prices = option, []
    for _ in range(4):
        assert isinstance(order, PlaceOrder)
        prices.append(order.limit_ticks)
        desk.report(OrderAccepted(0, 0, order.order_id))
        desk.at(desk.now / SECOND + 30)
        market.quote(OPTION, 0.0195, 0.0205)
        assert isinstance(only(desk.tick().commands), CancelOrder)
        worked = desk.report(cancelled(order))
        order = worked.commands[0] if worked.commands else order
    assert prices == [215, 225, 235, 245]
    assert worked.commands == []
    assert worked.events == [
        RetriesExhausted(desk.now, "b", 1, OPTION, 10, 10, 4, "retries"),
        LegRisk(desk.now, "b", 1, ((OPTION, 10, 0), (PERPETUAL, -5, -5))),
    ]
    totals = desk.executor.statistics.totals["b", "BTC"]
    assert (totals.orders, totals.timeouts, totals.retries, totals.exhausted, totals.fill_rate) == (4, 4, 3, 1, 0.0)


def test_a_rejected_leg_is_not_sent_again(market: Any) -> None:
    desk = Desk(market)
    order = only(desk.plan(approved(Leg(OPTION, 10))))
    worked = desk.report(OrderRejected(0, 0, order.order_id, "INSUFFICIENT_MARGIN", ""))
    assert worked.commands == []
    assert worked.events == [RetriesExhausted(0, "b", 1, OPTION, 10, 10, 1, "rejected:INSUFFICIENT_MARGIN")]
    assert not desk.executor.is_working("b")


def test_a_post_only_order_the_venue_refuses_to_rest_is_quoted_again_closer(market: Any) -> None:
    desk = Desk(market)
    first = only(desk.plan(approved(Leg(OPTION, 10), style=Style.JOIN)))
    assert (first.limit_ticks, first.time_in_force) == (195, TimeInForce.POST_ONLY)
    second = only(desk.report(cancelled(first, "post_only")).commands)
    assert (second.limit_ticks, second.time_in_force) == (205, TimeInForce.GTC)


def test_an_unanswered_cancel_is_asked_for_again_and_the_order_stays_exposed(market: Any) -> None:
    desk = Desk(market)
    order = only(desk.plan(approved(Leg(OPTION, 10))))
    worked = desk.at(30).tick()
    assert [type(event) for event in worked.events] == [OrderUnconfirmed, OrderTimedOut]
    worked = desk.at(40).tick()
    assert worked.commands == [CancelOrder(1, desk.now, "timeout")]
    assert worked.events == [OrderUnconfirmed(desk.now, "b", 1, 1, OPTION, 10, "cancel")]
    assert desk.orders[1].doubted
    assert desk.orders.lots("b", OPTION) == 10
    worked = desk.report(filled(order, 1, 10))
    assert worked.fill is not None
    assert not desk.executor.is_working("b")


def test_a_refused_cancel_waits_for_the_terminal_report_instead_of_sending_anew(market: Any) -> None:
    desk = Desk(market)
    order = only(desk.plan(approved(Leg(OPTION, 10))))
    desk.report(OrderAccepted(0, 0, 1))
    desk.at(30).tick()
    assert desk.report(CancelRejected(0, 0, 1, "NOT_OPEN")).commands == []
    assert desk.report(filled(order, 1, 10)).commands == []
    assert not desk.executor.is_working("b")


def test_a_late_fill_takes_its_lots_back_from_the_order_that_replaced_it(market: Any) -> None:
    desk = Desk(market)
    first = only(desk.plan(approved(Leg(OPTION, 10))))
    desk.at(30).tick()
    second = only(desk.report(cancelled(first)).commands)
    assert second.lots == 10
    worked = desk.report(filled(first, 1, 4))
    assert worked.fill is not None
    assert worked.commands == [CancelOrder(second.order_id, desk.now, "late_fill")]
    assert worked.events == [LateFill(desk.now, "b", 1, 1, OPTION, 4)]
    third = only(desk.report(cancelled(second)).commands)
    assert third.lots == 6


def test_a_late_fill_that_overshoots_is_reported_with_the_excess(market: Any) -> None:
    desk = Desk(market)
    first = only(desk.plan(approved(Leg(OPTION, 10))))
    desk.at(30).tick()
    second = only(desk.report(cancelled(first)).commands)
    desk.report(filled(first, 1, 4))
    worked = desk.report(filled(second, 2, 10))
    assert worked.events == [RetriesExhausted(desk.now, "b", 1, OPTION, 10, -4, 2, "overfilled")]


def test_a_stale_quote_is_waited_for_and_never_traded_on(market: Any) -> None:
    desk = Desk(market).at(61)
    assert desk.plan(approved(Leg(OPTION, 10))) == []
    assert desk.executor.is_working("b")
    desk.at(91)
    market.quote(OPTION, 0.0195, 0.0205)
    assert only(desk.tick().commands).limit_ticks == 225
    waiting = Desk(market).at(1000)
    waiting.plan(approved(Leg(OPTION, 10)))
    for step in range(1, 5):
        worked = waiting.at(1000 + 30 * step).tick()
        assert worked.commands == []
    assert [event.reason for event in worked.events] == ["retries"]


def test_cancel_all_cancels_once_per_order_and_sends_nothing_more_for_that_book(market: Any) -> None:
    desk = Desk(market)
    first = only(desk.plan(approved(Leg(OPTION, 10))))
    other = only(desk.plan(approved(Leg(OPTION, 3), book="other")))
    worked = desk.executor.cancel_all("b", desk.now, "kill")
    assert worked.commands == [CancelOrder(first.order_id, 0, "kill")]
    assert desk.executor.cancel_all("b", desk.now).commands == []
    worked = desk.report(cancelled(first))
    assert worked.commands == []
    assert worked.events == [RetriesExhausted(0, "b", 1, OPTION, 10, 10, 2, "stopped")]
    assert not desk.executor.is_working("b")
    assert desk.executor.is_working("other")
    assert desk.executor.cancel_all(None, desk.now).commands == [CancelOrder(other.order_id, 0, "cancel_all")]


def test_a_leg_that_waits_for_a_quote_is_told_as_exposure_and_one_with_an_order_is_not(market: Any) -> None:
    desk = Desk(market)
    market.at(0)
    desk.now = 61 * SECOND  # the quotes are a minute old: the leg waits
    market.view.now_ns = desk.now
    assert desk.plan(approved(Leg(OPTION, 10))) == []
    assert desk.executor.waiting("b") == {OPTION: 10}
    assert desk.executor.waiting("other") == {}
    desk = Desk(market).at(0)
    desk.plan(approved(Leg(OPTION, 10)))
    assert desk.executor.waiting("b") == {}
    assert desk.orders.exposed("b") == {OPTION: (10, 0)}


def test_after_a_pause_a_standing_order_may_fill_but_is_not_quoted_again(market: Any) -> None:
    desk = Desk(market).at(0)
    (order,) = desk.plan(approved(Leg(OPTION, 10)))
    desk.executor.stop_retries("b", "paused")
    (cancel,) = desk.at(30).tick().commands
    assert isinstance(cancel, CancelOrder)
    worked = desk.report(cancelled(order))
    assert worked.commands == []
    assert [type(event) for event in worked.events] == [RetriesExhausted]
    assert not desk.executor.is_working("b")


def test_the_same_trade_reported_twice_reaches_the_ledger_once(market: Any) -> None:
    desk = Desk(market)
    order = only(desk.plan(approved(Leg(OPTION, 10))))
    assert desk.report(filled(order, 7, 4)).fill is not None
    assert desk.report(filled(order, 7, 4)).fill is None


def test_planning_the_same_intent_twice_is_an_assertion(market: Any) -> None:
    desk = Desk(market)
    order = only(desk.plan(approved(Leg(OPTION, 10))))
    with pytest.raises(AssertionError, match="already"):
        desk.plan(approved(Leg(OPTION, 10)))
    desk.report(filled(order, 1, 10))
    with pytest.raises(AssertionError, match="already"):
        desk.plan(approved(Leg(OPTION, 10)))


class RandomVenue:
    """Holds reports back, splits fills, echoes them, and lets a fill be overtaken by the cancel's confirmation."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.left: dict[int, int] = {}
        self.order: dict[int, PlaceOrder] = {}
        self.queue: list[OrderReport] = []
        self.traded: dict[int, int] = {}
        self.trade = 0

    def submit(self, command: Command) -> None:
        if isinstance(command, CancelOrder):
            if self.left.pop(command.order_id, None) is None:
                self._say(CancelRejected(0, 0, command.order_id, "NOT_OPEN"))
            else:
                self._say(OrderCancelled(0, 0, command.order_id, "user"))
            return
        assert command.order_id not in self.order, "sent twice"
        self.order[command.order_id] = command
        if self.chance.random() < 0.05:
            self._say(OrderRejected(0, 0, command.order_id, "NO", ""))
            return
        self.left[command.order_id] = command.lots
        self._say(OrderAccepted(0, 0, command.order_id))

    def trade_some(self) -> None:
        for number in list(self.left):
            if self.chance.random() < 0.4:
                left = self.left[number]
                lots = self.chance.randint(1, abs(left)) * (1 if left > 0 else -1)
                order = self.order[number]
                self.traded[order.instrument] = self.traded.get(order.instrument, 0) + lots
                self.trade += 1
                self._say(filled(order, self.trade, lots))
                if left == lots:
                    del self.left[number]
                else:
                    self.left[number] = left - lots

    def _say(self, report: OrderReport) -> None:
        self.queue.append(report)
        if self.chance.random() < 0.2 and not isinstance(report, CancelRejected):
            self.queue.append(report)

    def reports(self, all_of_them: bool = False) -> list[OrderReport]:
        if self.chance.random() < 0.5:
            self.chance.shuffle(self.queue)
        count = len(self.queue) if all_of_them else self.chance.randint(0, len(self.queue))
        out, self.queue = self.queue[:count], self.queue[count:]
        return out


def _thaw(state: Any) -> Any:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state))


def _restored(desk: Desk) -> Desk:
    copy = Desk(desk.market)
    copy.orders.restore(_thaw(desk.orders.state()))
    copy.ids.restore(_thaw(desk.ids.state()))
    copy.executor.restore(_thaw(desk.executor.state()))
    copy.now = desk.now
    return copy


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    option_lots=st.integers(1, 9),
    perpetual_lots=st.integers(-9, -1),
    style=st.sampled_from(list(Style)),
    crash=st.booleans(),
)
def test_against_a_random_venue_the_ledger_has_what_was_traded_and_nothing_is_sent_twice(
    new_market: Any, seed: int, option_lots: int, perpetual_lots: int, style: Style, crash: bool
) -> None:
    desk, venue = Desk(new_market()), RandomVenue(seed)
    wanted = {OPTION: option_lots, PERPETUAL: perpetual_lots}
    ledger = {OPTION: 0, PERPETUAL: 0}
    commands = desk.plan(approved(Leg(OPTION, option_lots), Leg(PERPETUAL, perpetual_lots), style=style))
    for step in range(200):
        for command in commands:
            venue.submit(command)
        venue.trade_some()
        desk.at(3.0 * step)
        desk.market.quote(OPTION, 0.0195, 0.0205)
        desk.market.quote(PERPETUAL, 99_999.5, 100_000.5)
        commands = []
        for report in venue.reports(all_of_them=step > 150):
            if crash and venue.chance.random() < 0.1:
                desk = _restored(desk)
            worked = desk.report(report)
            if worked.fill is not None:
                ledger[worked.fill.instrument] += worked.fill.lots
            commands += worked.commands
        commands += desk.tick().commands
        for instrument, target in wanted.items():
            live = [o for o in desk.orders.open_orders("b") if o.instrument == instrument]
            assert len(live) <= 1, "a leg has one order at a time"
            assert all(o.lots * target > 0 for o in live)
        if not desk.executor.is_working("b") and not venue.queue and not commands:
            break
    assert not desk.executor.is_working("b")
    assert desk.executor.next_time_ns() == NEVER_NS
    assert ledger == {OPTION: venue.traded.get(OPTION, 0), PERPETUAL: venue.traded.get(PERPETUAL, 0)}
    assert all(not desk.orders[number].is_open for number in venue.order)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), crash_at=st.integers(0, 25))
def test_a_restored_executor_sends_exactly_what_the_original_would(new_market: Any, seed: int, crash_at: int) -> None:
    def run(crashes: bool) -> list[Command]:
        desk, venue, sent = Desk(new_market()), RandomVenue(seed), []
        commands = desk.plan(approved(Leg(OPTION, 8), Leg(PERPETUAL, -3)))
        for step in range(60):
            sent += commands
            for command in commands:
                venue.submit(command)
            venue.trade_some()
            desk.at(5.0 * step)
            if crashes and step == crash_at:
                desk = _restored(desk)
            commands = [c for report in venue.reports() for c in desk.report(report).commands]
            commands += desk.tick().commands
        return sent

    assert run(crashes=True) == run(crashes=False)

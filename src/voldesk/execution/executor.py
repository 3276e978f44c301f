"""From approved intents to orders, and every order followed to its end (SPEC H1, H2).

All legs of an intent go out at once. An order that stands longer than `timeout_ns` is cancelled; only when the
venue has confirmed the cancel is the rest quoted again, a few ticks further, up to `retries` times; then the leg is
given up and said so. A leg has at most one order open, so that nothing is ever sent twice for the same lots; a fill
that arrives after its order was reported as ended takes the lots back from the order that replaced it.

The executor alone tells `WorkingOrders` what is sent and what the venue reports. It keeps no clock: the engine asks
`next_time_ns` and calls `on_time`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from voldesk.core.orders import Approved, CancelOrder, Command, OrderType, PlaceOrder
from voldesk.core.ports import State
from voldesk.core.reports import CancelRejected, OrderAccepted, OrderCancelled, OrderFilled, OrderRejected
from voldesk.core.units import NEVER_NS
from voldesk.execution.events import (
    ExecutionEvent,
    LateFill,
    LegRisk,
    OrderTimedOut,
    OrderUnconfirmed,
    RetriesExhausted,
)
from voldesk.execution.legs import IntentWork, LegWork
from voldesk.execution.quoting import ExecutionRules, order_price, time_in_force
from voldesk.execution.statistics import ExecutionStatistics
from voldesk.instruments.table import InstrumentTable
from voldesk.market.view import MarketView
from voldesk.portfolio.working_orders import Applied, Order, OrderReport, OrderState, WorkingOrders

FINAL_CANCELS: Final = frozenset({"expiry", "margin_call"})
"""Venue's reasons after which sending the same order again is pointless."""

ORDER_REPORTS: Final = (OrderAccepted, OrderRejected, OrderFilled, OrderCancelled, CancelRejected)


class Worked(NamedTuple):
    """What came of one call: commands to send in order, events to journal, and the fill the ledger must book."""

    commands: list[Command]
    events: list[ExecutionEvent]
    fill: OrderFilled | None = None


class OrderIds:
    """Counts order ids up from 1 for a whole run; part of the snapshot, so that no id is used twice."""

    def __init__(self, last: int = 0) -> None:
        self._last = last

    def __call__(self) -> int:
        self._last += 1
        return self._last

    def state(self) -> State:
        return {"last": self._last}

    def restore(self, state: State) -> None:
        self._last = int(state["last"])


class Executor:
    """Works intents; one per desk. `next_order_id` is shared by whoever else sends orders (and restored by it)."""

    def __init__(
        self,
        table: InstrumentTable,
        orders: WorkingOrders,
        next_order_id: Callable[[], int],
        rules: ExecutionRules | None = None,
    ) -> None:
        self.table = table
        self.orders = orders
        self.rules = rules or ExecutionRules()
        self.statistics = ExecutionStatistics()
        self._next_order_id = next_order_id
        self._works: dict[tuple[str, int], IntentWork] = {}
        self._leg_of: dict[int, tuple[tuple[str, int], int]] = {}  # order id -> (intent, leg), while the intent lives
        self._next_ns = NEVER_NS
        self._commands: list[Command] = []
        self._events: list[ExecutionEvent] = []

    # what the desk calls

    def plan(self, approved: Approved, view: MarketView, now_ns: int) -> list[Command]:
        """Orders for every leg of a new intent. A leg without a usable quote waits and counts as an attempt."""
        intent = approved.intent
        work = IntentWork.of(intent)
        assert work.key not in self._works, f"intent {intent.intent_id} of {intent.book} is already being worked"
        assert not self.orders.of_intent(intent.book, intent.intent_id), f"intent {intent.intent_id} was already worked"
        assert intent.legs, f"intent {intent.intent_id} of {intent.book} has no legs"
        for leg in intent.legs:
            assert leg.lots != 0, f"intent {intent.intent_id} of {intent.book} has a leg of zero lots"
            work.legs.append(LegWork(leg.instrument, leg.lots, leg.limit_ticks, self._arrival(leg.instrument, view)))
            totals = self.statistics.of(intent.book, self.table[leg.instrument])
            totals.legs += 1
            totals.wanted_lots += abs(leg.lots)
        self._works[work.key] = work
        for number in range(len(work.legs)):
            self._send(work, number, view, now_ns)
        return self._done().commands

    def on_report(self, report: OrderReport, view: MarketView, now_ns: int) -> Worked:
        """Apply one venue report. `fill` is set when it moves the ledger: never for a trade already counted."""
        applied = self.orders.apply(report)
        order = self.orders[report.order_id]
        fill = report if isinstance(report, OrderFilled) and applied in (Applied.NEW_FILL, Applied.LATE_FILL) else None
        place = self._leg_of.get(order.order_id)
        if applied is Applied.LATE_FILL and fill is not None:
            self._events.append(
                LateFill(now_ns, order.book, order.intent_id, order.order_id, order.instrument, fill.lots)
            )
        if place is not None:
            work = self._works[place[0]]
            leg = work.legs[place[1]]
            if fill is not None:
                self._on_fill(work, leg, fill, now_ns)
            if leg.order_id == order.order_id and not order.is_open:
                leg.order_id = 0
                self._after_end(work, place[1], order, view, now_ns)
            elif isinstance(report, CancelRejected) and leg.order_id == order.order_id:
                leg.deadline_ns = now_ns + self.rules.patience_ns
            self._finish(work, now_ns)
        elif fill is not None:
            self.statistics.filled(order.book, self.table[order.instrument], fill.lots, fill.price_ticks, float("nan"))
        return self._done(fill)

    def next_time_ns(self) -> int:
        """When `on_time` is due next; NEVER_NS when nothing is being worked."""
        return self._next_ns

    def on_time(self, now_ns: int, view: MarketView) -> Worked:
        """Time-outs, overdue answers and quotes waited for, all that is due at `now_ns`."""
        for work in tuple(self._works.values()):
            for number, leg in enumerate(work.legs):
                if leg.deadline_ns > now_ns:
                    continue
                if leg.order_id:
                    self._overdue(work, leg, self.orders[leg.order_id], now_ns)
                elif not leg.end:
                    leg.attempt += 1
                    self._try_again(work, number, view, now_ns)
            self._finish(work, now_ns)
        return self._done()

    def cancel_all(self, book: str | None, now_ns: int, reason: str = "cancel_all") -> Worked:
        """Cancel every open order of a book (None: of all) and send nothing more for its intents."""
        for work in tuple(self._works.values()):
            if book is not None and work.book != book:
                continue
            work.stopped = reason
            for leg in work.live_legs():
                if not leg.order_id:
                    self._give_up(work, leg, "stopped", now_ns)
                elif self.orders[leg.order_id].state is not OrderState.PENDING_CANCEL:
                    self._cancel(leg, now_ns, reason)
            self._finish(work, now_ns)
        return self._done()

    def stop_retries(self, book: str | None, reason: str) -> None:
        """Quote nothing again for a book's intents (None: all) that may add risk; orders that stand may still fill."""
        for work in self._works.values():
            if (book is None or work.book == book) and not work.reduce_only and not work.stopped:
                work.stopped = reason

    def waiting(self, book: str) -> dict[int, int]:
        """Signed lots of approved legs that wait to be quoted, by instrument: exposure that no order shows yet."""
        found: dict[int, int] = {}
        for work in self._works.values():
            if work.book == book and not work.stopped:
                for leg in work.legs:
                    if not leg.order_id and not leg.end and not leg.is_filled:
                        found[leg.instrument] = found.get(leg.instrument, 0) + leg.missing
        return found

    def is_working(self, book: str) -> bool:
        """True while an intent of the book has an order open or a leg to quote again."""
        return any(work.book == book for work in self._works.values())

    # one leg

    def _arrival(self, instrument: int, view: MarketView) -> float:
        return view.quote(instrument).mid / float(self.table[instrument].ticks.base)

    def _send(self, work: IntentWork, number: int, view: MarketView, now_ns: int) -> None:
        leg = work.legs[number]
        instrument = self.table[leg.instrument]
        lots = leg.missing
        price = None
        if not view.is_stale(leg.instrument):
            quote = view.quote(leg.instrument)
            price = order_price(instrument.ticks, quote, lots > 0, work.style, leg.attempt, leg.limit_ticks, self.rules)
        leg.deadline_ns = now_ns + self.rules.timeout_ns
        if price is None:
            return
        order = PlaceOrder(
            order_id=self._next_order_id(),
            ts_ns=now_ns,
            intent_id=work.intent_id,
            book=work.book,
            instrument=leg.instrument,
            lots=lots,
            order_type=OrderType.LIMIT,
            limit_ticks=price,
            time_in_force=time_in_force(work.style, leg.attempt),
            reduce_only=work.reduce_only,
        )
        self.orders.place(order)
        leg.order_id = order.order_id
        self._leg_of[order.order_id] = (work.key, number)
        self.statistics.of(work.book, instrument).orders += 1
        self._commands.append(order)

    def _cancel(self, leg: LegWork, now_ns: int, reason: str) -> None:
        command = CancelOrder(leg.order_id, now_ns, reason)
        self.orders.cancel(command)
        leg.deadline_ns = now_ns + self.rules.patience_ns
        self._commands.append(command)

    def _overdue(self, work: IntentWork, leg: LegWork, order: Order, now_ns: int) -> None:
        unanswered = order.state in (OrderState.PENDING_NEW, OrderState.PENDING_CANCEL)
        if unanswered:
            self.orders.doubt(order.order_id)
            waiting_for = "accept" if order.state is OrderState.PENDING_NEW else "cancel"
            self._events.append(
                OrderUnconfirmed(
                    now_ns, work.book, work.intent_id, order.order_id, leg.instrument, order.remaining, waiting_for
                )
            )
        if order.state is not OrderState.PENDING_CANCEL:
            self.statistics.of(work.book, self.table[leg.instrument]).timeouts += 1
            self._events.append(
                OrderTimedOut(
                    now_ns, work.book, work.intent_id, order.order_id, leg.instrument, order.remaining, leg.attempt
                )
            )
        self._cancel(leg, now_ns, "timeout")

    def _on_fill(self, work: IntentWork, leg: LegWork, fill: OrderFilled, now_ns: int) -> None:
        leg.filled += fill.lots
        self.statistics.filled(work.book, self.table[leg.instrument], fill.lots, fill.price_ticks, leg.arrival_ticks)
        if not leg.order_id or leg.order_id == fill.order_id:
            return
        # A late fill of an earlier order: the order that replaced it is now for too many lots.
        replacement = self.orders[leg.order_id]
        if replacement.is_open and replacement.state is not OrderState.PENDING_CANCEL:
            self._cancel(leg, now_ns, "late_fill")

    def _after_end(self, work: IntentWork, number: int, order: Order, view: MarketView, now_ns: int) -> None:
        """The leg's order has ended by the venue's word: done, given up, or on to the next attempt."""
        leg = work.legs[number]
        leg.deadline_ns = NEVER_NS
        if leg.is_filled:
            return
        if order.state is OrderState.REJECTED:
            self._give_up(work, leg, f"rejected:{order.end_code}", now_ns)
        elif order.end_code in FINAL_CANCELS:
            self._give_up(work, leg, order.end_code, now_ns)
        else:
            leg.attempt += 1
            self._try_again(work, number, view, now_ns)

    def _try_again(self, work: IntentWork, number: int, view: MarketView, now_ns: int) -> None:
        leg = work.legs[number]
        if work.stopped:
            self._give_up(work, leg, "stopped", now_ns)
        elif leg.attempt > self.rules.retries:
            self._give_up(work, leg, "retries", now_ns)
        else:
            self.statistics.of(work.book, self.table[leg.instrument]).retries += 1
            self._send(work, number, view, now_ns)

    def _give_up(self, work: IntentWork, leg: LegWork, reason: str, now_ns: int) -> None:
        leg.end, leg.deadline_ns = reason, NEVER_NS
        self.statistics.of(work.book, self.table[leg.instrument]).exhausted += 1
        self._events.append(
            RetriesExhausted(
                now_ns,
                work.book,
                work.intent_id,
                leg.instrument,
                leg.wanted,
                leg.missing,
                min(leg.attempt, self.rules.retries) + 1,
                reason,
            )
        )

    # one intent, one call

    def _finish(self, work: IntentWork, now_ns: int) -> None:
        """Close legs that are complete; forget the intent once every leg has ended and no order of it is open."""
        for leg in work.legs:
            if leg.end or leg.order_id or not leg.is_filled:
                continue
            if leg.missing:
                self._give_up(work, leg, "overfilled", now_ns)
            else:
                leg.end, leg.deadline_ns = "filled", NEVER_NS
                self.statistics.of(work.book, self.table[leg.instrument]).legs_filled += 1
        if not work.ended or work.key not in self._works:
            return
        if len(work.legs) > 1 and work.uneven:
            legs = tuple((leg.instrument, leg.wanted, leg.filled) for leg in work.legs)
            self._events.append(LegRisk(now_ns, work.book, work.intent_id, legs))
        del self._works[work.key]
        for order in self.orders.of_intent(work.book, work.intent_id):
            del self._leg_of[order.order_id]

    def _done(self, fill: OrderFilled | None = None) -> Worked:
        self._next_ns = min(
            (leg.deadline_ns for work in self._works.values() for leg in work.live_legs()), default=NEVER_NS
        )
        worked = Worked(self._commands, self._events, fill)
        self._commands, self._events = [], []
        return worked

    def state(self) -> State:
        return {
            "works": [work.state() for work in self._works.values()],
            "leg_of": [[order, *key, leg] for order, (key, leg) in self._leg_of.items()],
            "statistics": self.statistics.state(),
        }

    def restore(self, state: State) -> None:
        """`orders` and the id counter are restored by whoever holds them."""
        works = [IntentWork.from_state(row) for row in state["works"]]
        self._works = {work.key: work for work in works}
        self._leg_of = {order: ((book, intent), leg) for order, book, intent, leg in state["leg_of"]}
        self.statistics.restore(state["statistics"])
        self._done()

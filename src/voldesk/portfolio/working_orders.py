"""Orders on their way: one state machine with its transition table, and the sums the gate and the books ask for.

Reports may come late, twice or in the wrong order; the state an order ends in depends only on which reports came.
Terminal only on the venue's own proof (a fill of everything, a cancel, a reject): an order nobody has heard of stays
open, marked `doubted`, and keeps counting as exposure, so that its late fill is booked like any other.
A report the table does not list is a bug (ours or the venue's) and an assertion that names the pair.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Final

from voldesk.core.errors import VenueError
from voldesk.core.orders import CancelOrder, PlaceOrder
from voldesk.core.ports import State
from voldesk.core.reports import CancelRejected, OrderAccepted, OrderCancelled, OrderFilled, OrderRejected


class OrderState(StrEnum):
    PENDING_NEW = "pending_new"
    WORKING = "working"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


class Happening(StrEnum):
    """What can happen to an order: one decision of ours (CANCEL_REQUEST), the rest reported by the venue."""

    ACCEPT = "accept"
    REJECT = "reject"
    PART_FILL = "part_fill"
    LAST_FILL = "last_fill"
    CANCEL_REQUEST = "cancel_request"
    CANCEL = "cancel"
    CANCEL_REFUSED = "cancel_refused"


TERMINAL: Final = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED})

_S, _H = OrderState, Happening

# WORKING as the answer to CANCEL_REFUSED in PENDING_CANCEL means "live again": which live state follows from what
# had been accepted and filled (`_live_state`). A fill after CANCELLED is the venue's earlier fill overtaken by its
# later cancel: the lots are real. A cancel of a filled order is the same pair in the other order.
TRANSITIONS: Final[dict[tuple[OrderState, Happening], OrderState]] = {
    (_S.PENDING_NEW, _H.ACCEPT): _S.WORKING,
    (_S.PENDING_NEW, _H.REJECT): _S.REJECTED,
    (_S.PENDING_NEW, _H.PART_FILL): _S.PARTIALLY_FILLED,
    (_S.PENDING_NEW, _H.LAST_FILL): _S.FILLED,
    (_S.PENDING_NEW, _H.CANCEL_REQUEST): _S.PENDING_CANCEL,
    (_S.PENDING_NEW, _H.CANCEL): _S.CANCELLED,
    (_S.PENDING_NEW, _H.CANCEL_REFUSED): _S.PENDING_NEW,
    (_S.WORKING, _H.ACCEPT): _S.WORKING,
    (_S.WORKING, _H.REJECT): _S.REJECTED,
    (_S.WORKING, _H.PART_FILL): _S.PARTIALLY_FILLED,
    (_S.WORKING, _H.LAST_FILL): _S.FILLED,
    (_S.WORKING, _H.CANCEL_REQUEST): _S.PENDING_CANCEL,
    (_S.WORKING, _H.CANCEL): _S.CANCELLED,
    (_S.WORKING, _H.CANCEL_REFUSED): _S.WORKING,
    (_S.PARTIALLY_FILLED, _H.ACCEPT): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _H.PART_FILL): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _H.LAST_FILL): _S.FILLED,
    (_S.PARTIALLY_FILLED, _H.CANCEL_REQUEST): _S.PENDING_CANCEL,
    (_S.PARTIALLY_FILLED, _H.CANCEL): _S.CANCELLED,
    (_S.PARTIALLY_FILLED, _H.CANCEL_REFUSED): _S.PARTIALLY_FILLED,
    (_S.PENDING_CANCEL, _H.ACCEPT): _S.PENDING_CANCEL,
    (_S.PENDING_CANCEL, _H.REJECT): _S.REJECTED,
    (_S.PENDING_CANCEL, _H.PART_FILL): _S.PENDING_CANCEL,
    (_S.PENDING_CANCEL, _H.LAST_FILL): _S.FILLED,
    (_S.PENDING_CANCEL, _H.CANCEL_REQUEST): _S.PENDING_CANCEL,
    (_S.PENDING_CANCEL, _H.CANCEL): _S.CANCELLED,
    (_S.PENDING_CANCEL, _H.CANCEL_REFUSED): _S.WORKING,
    (_S.FILLED, _H.ACCEPT): _S.FILLED,
    (_S.FILLED, _H.CANCEL): _S.FILLED,
    (_S.FILLED, _H.CANCEL_REFUSED): _S.FILLED,
    (_S.CANCELLED, _H.ACCEPT): _S.CANCELLED,
    (_S.CANCELLED, _H.PART_FILL): _S.CANCELLED,
    (_S.CANCELLED, _H.LAST_FILL): _S.FILLED,
    (_S.CANCELLED, _H.CANCEL): _S.CANCELLED,
    (_S.CANCELLED, _H.CANCEL_REFUSED): _S.CANCELLED,
    (_S.REJECTED, _H.ACCEPT): _S.REJECTED,
    (_S.REJECTED, _H.REJECT): _S.REJECTED,
    (_S.REJECTED, _H.CANCEL_REFUSED): _S.REJECTED,
}

OrderReport = OrderAccepted | OrderRejected | OrderFilled | OrderCancelled | CancelRejected


class Applied(StrEnum):
    """What a report meant. Only NEW_FILL and LATE_FILL (on an order thought finished) move the ledger."""

    NEW_FILL = "new_fill"
    LATE_FILL = "late_fill"
    DUPLICATE_FILL = "duplicate_fill"
    OPEN = "open"
    ENDED = "ended"
    NOTHING_NEW = "nothing_new"


@dataclass(slots=True)
class Order:
    """One order as the desk knows it. `lots` and `filled` are signed alike; `trades`: trade id -> signed lots."""

    order_id: int
    intent_id: int
    book: str
    instrument: int
    lots: int
    limit_ticks: int
    placed_ns: int
    state: OrderState = OrderState.PENDING_NEW
    filled: int = 0
    accepted: bool = False
    doubted: bool = False
    end_code: str = ""
    trades: dict[int, int] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        return self.state not in TERMINAL

    @property
    def remaining(self) -> int:
        """Signed lots that may still fill, as far as the desk knows; 0 once the venue has ended the order."""
        return self.lots - self.filled if self.state not in TERMINAL else 0


def _live_state(order: Order) -> OrderState:
    if order.filled:
        return OrderState.PARTIALLY_FILLED
    return OrderState.WORKING if order.accepted else OrderState.PENDING_NEW


def next_state(order: Order, happening: Happening) -> OrderState:
    """The table's answer; an unlisted pair is an assertion that names it."""
    target = TRANSITIONS.get((order.state, happening))
    assert target is not None, f"order {order.order_id}: {happening.value} in state {order.state.value} is illegal"
    if order.state is OrderState.PENDING_CANCEL and happening is Happening.CANCEL_REFUSED:
        return _live_state(order)
    return target


class WorkingOrders:
    """Every order of the run by id, and running sums per book and instrument of what may still fill."""

    def __init__(self) -> None:
        self._orders: dict[int, Order] = {}
        self._open: dict[str, dict[int, Order]] = {}
        self._by_intent: dict[tuple[str, int], list[int]] = {}
        self._sums: dict[str, dict[int, list[int]]] = {}  # book -> instrument -> [buys >= 0, sells <= 0]

    # what we do

    def place(self, command: PlaceOrder) -> Order:
        """Remember an order that is being sent. A known id or zero lots is an assertion."""
        assert command.order_id not in self._orders, f"order {command.order_id} was already sent"
        assert command.lots != 0, f"order {command.order_id} has no lots"
        order = Order(
            command.order_id,
            command.intent_id,
            command.book,
            command.instrument,
            command.lots,
            command.limit_ticks,
            command.ts_ns,
        )
        self._orders[order.order_id] = order
        self._by_intent.setdefault((order.book, order.intent_id), []).append(order.order_id)
        self._open.setdefault(order.book, {})[order.order_id] = order
        self._add(order, order.lots)
        return order

    def cancel(self, command: CancelOrder) -> None:
        """Remember a cancel request that is being sent; asking again for one not answered is legal."""
        order = self[command.order_id]
        order.state = next_state(order, Happening.CANCEL_REQUEST)

    def doubt(self, order_id: int) -> None:
        """No word from the venue in time: flagged, but open until the venue proves otherwise."""
        self[order_id].doubted = True

    # what the venue says

    def apply(self, report: OrderReport) -> Applied:
        """Move the order's state. Raises VenueError for an order this run never sent."""
        order = self._orders.get(report.order_id)
        if order is None:
            raise VenueError(
                f"order_id={report.order_id} in a {type(report).__name__} was never sent by this run; "
                "expected one of its own. Reconcile with the venue before trading on."
            )
        if isinstance(report, OrderFilled):
            return self._fill(order, report)
        if isinstance(report, OrderAccepted):
            order.accepted, happening = True, Happening.ACCEPT
        elif isinstance(report, OrderRejected):
            happening = Happening.REJECT
        elif isinstance(report, OrderCancelled):
            happening = Happening.CANCEL
        else:
            happening = Happening.CANCEL_REFUSED
        before, after = order.state, next_state(order, happening)
        if after is before:
            return Applied.NOTHING_NEW
        if isinstance(report, OrderRejected):
            order.end_code = report.code
        elif isinstance(report, OrderCancelled):
            order.end_code = report.reason
        if after in TERMINAL:
            self._end(order, after)
            return Applied.ENDED
        order.state, order.doubted = after, False
        return Applied.OPEN

    def _fill(self, order: Order, report: OrderFilled) -> Applied:
        seen = order.trades.get(report.trade_id)
        if seen is not None:
            assert seen == report.lots, (
                f"order {order.order_id}: trade {report.trade_id} was {seen} lots, is {report.lots}"
            )
            return Applied.DUPLICATE_FILL
        filled, sign = order.filled + report.lots, 1 if order.lots > 0 else -1
        assert report.instrument == order.instrument, (
            f"order {order.order_id}: fill of instrument {report.instrument}, order is for {order.instrument}"
        )
        assert report.lots * sign > 0, f"order {order.order_id}: fill of {report.lots} lots against {order.lots}"
        assert filled * sign <= order.lots * sign, f"order {order.order_id}: filled {filled} of {order.lots} lots"
        after = next_state(order, Happening.LAST_FILL if filled == order.lots else Happening.PART_FILL)
        was_open = order.is_open
        order.trades[report.trade_id] = report.lots
        if not was_open:
            order.filled, order.state = filled, after
            if after is OrderState.FILLED:
                order.end_code = ""  # the same end, whichever of the two reports came first
            return Applied.LATE_FILL
        if after in TERMINAL:
            self._end(order, after)
        else:
            self._add(order, -report.lots)
            order.state, order.doubted = after, False
        order.filled = filled
        return Applied.NEW_FILL

    def _end(self, order: Order, after: OrderState) -> None:
        self._add(order, -order.remaining)
        order.state, order.doubted = after, False
        del self._open[order.book][order.order_id]

    def _add(self, order: Order, lots: int) -> None:
        sums = self._sums.setdefault(order.book, {})
        entry = sums.setdefault(order.instrument, [0, 0])
        entry[0 if order.lots > 0 else 1] += lots
        if entry[0] == 0 and entry[1] == 0:
            del sums[order.instrument]

    # what others ask

    def __getitem__(self, order_id: int) -> Order:
        return self._orders[order_id]

    def __contains__(self, order_id: int) -> bool:
        return order_id in self._orders

    def __len__(self) -> int:
        return len(self._orders)

    def lots(self, book: str, instrument: int) -> int:
        """Signed net lots that may still fill."""
        buys, sells = self.sides(book, instrument)
        return buys + sells

    def sides(self, book: str, instrument: int) -> tuple[int, int]:
        """(buys >= 0, sells <= 0) that may still fill."""
        entry = self._sums.get(book, {}).get(instrument)
        return (entry[0], entry[1]) if entry is not None else (0, 0)

    def exposed(self, book: str) -> dict[int, tuple[int, int]]:
        """instrument -> (buys, sells) for every instrument with lots that may still fill, by id."""
        return {instrument: (entry[0], entry[1]) for instrument, entry in sorted(self._sums.get(book, {}).items())}

    def has_open(self, book: str) -> bool:
        return bool(self._open.get(book))

    def open_orders(self, book: str | None = None) -> tuple[Order, ...]:
        """Open orders of a book, or of all, by order id."""
        books = self._open.values() if book is None else (self._open.get(book, {}),)
        return tuple(sorted((o for orders in books for o in orders.values()), key=lambda order: order.order_id))

    def latest(self, count: int) -> tuple[Order, ...]:
        """The orders sent last, oldest first."""
        return tuple(islice(reversed(self._orders.values()), count))[::-1]

    def of_intent(self, book: str, intent_id: int) -> tuple[Order, ...]:
        """Orders sent for one intent (intents are numbered per book), in the order they were sent."""
        return tuple(self._orders[number] for number in self._by_intent.get((book, intent_id), ()))

    def state(self) -> State:
        return {
            "orders": [
                [
                    o.order_id,
                    o.intent_id,
                    o.book,
                    o.instrument,
                    o.lots,
                    o.limit_ticks,
                    o.placed_ns,
                    o.state.value,
                    o.filled,
                    o.accepted,
                    o.doubted,
                    o.end_code,
                    [[trade, lots] for trade, lots in o.trades.items()],
                ]
                for o in self._orders.values()
            ]
        }

    def restore(self, state: State) -> None:
        self._orders, self._open, self._by_intent, self._sums = {}, {}, {}, {}
        for row in state["orders"]:
            order = Order(*row)
            order.state, order.trades = OrderState(order.state), dict(order.trades)
            self._orders[order.order_id] = order
            self._by_intent.setdefault((order.book, order.intent_id), []).append(order.order_id)
            if order.is_open:
                self._open.setdefault(order.book, {})[order.order_id] = order
                self._add(order, order.remaining)

"""Own orders at the venue: taken in, matched against quotes and prints, withdrawn.

Exact fees are the dearest part of an order (a third of its 40 microseconds), so that margin asks for them only where
they could decide.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from voldesk.core.orders import CancelOrder, OrderType, PlaceOrder, TimeInForce
from voldesk.core.ports import State
from voldesk.core.reports import (
    CancelRejected,
    Liquidity,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderRejected,
)
from voldesk.instruments.fees import trade_fee
from voldesk.sim.account import Account, Terms, TermsTable
from voldesk.sim.admission import Admission, Refusal
from voldesk.sim.collateral import Collateral, MarginAnswer
from voldesk.sim.latency import Latency
from voldesk.sim.lifecycle import exact
from voldesk.sim.matching import OrderBook, QuoteBook, Resting
from voldesk.sim.timetable import Outbox


class OrderDesk:
    """Everything that orders do. `on_trade` is called after each execution, so that timers that only holders need
    (margin, funding) are set."""

    def __init__(
        self,
        *,
        account: Account,
        terms: TermsTable,
        quotes: QuoteBook,
        book: OrderBook,
        collateral: Collateral,
        admission: Admission,
        latency: Latency,
        outbox: Outbox,
        enforce_reduce_only: bool,
        on_trade: Callable[[Terms, int], None],
    ) -> None:
        self._account = account
        self._terms = terms
        self._quotes = quotes
        self._book = book
        self._collateral = collateral
        self._admission = admission
        self._latency = latency
        self._outbox = outbox
        self._enforce_reduce_only = enforce_reduce_only
        self._on_trade = on_trade
        self._order_ids: set[int] = set()

    def place(self, order: PlaceOrder, now_ns: int) -> None:
        refusal = self._admission.refuse_contract(order, now_ns)
        if refusal is None and order.order_id in self._order_ids:
            refusal = Refusal("DUPLICATE_ORDER_ID", f"order_id={order.order_id} was used before; ids count up.")
        terms = self._terms[order.instrument] if refusal is None else None
        if terms is not None:
            refusal = self._admission.refuse_terms(order, terms)
        if terms is None or refusal is not None:
            self._reject(order, refusal, now_ns)
            return
        side = 1 if order.lots > 0 else -1
        shown = self._quotes.opposite(order.instrument, terms, side, now_ns)
        is_market = order.order_type is OrderType.MARKET
        crosses = shown is not None and (is_market or (shown.ticks - order.limit_ticks) * side <= 0)
        ticks = order.limit_ticks
        if is_market:
            if shown is None:
                self._accept(order, now_ns)
                self._outbox.send(OrderCancelled(now_ns, self._outbox.recv_ns(now_ns), order.order_id, "ioc"))
                return
            ticks = shown.ticks
        margin = self._collateral.judge(order.instrument, order.lots, ticks * terms.tick)
        value = abs(terms.value(order.lots, ticks * terms.tick))
        if terms.fee_below_value and margin.free - margin.locks > value:
            fee = 0.0  # cannot decide anything, and exact fees are the dearest part of an order
        else:
            fee = self._fee_float(order, terms, ticks, now_ns)
        if not margin.only_reduces and not margin.locks + fee <= margin.free:
            self._reject(order, _no_margin(margin, fee, terms.currency), now_ns)
            return
        self._accept(order, now_ns)
        if order.time_in_force is TimeInForce.POST_ONLY and crosses:
            self._outbox.send(OrderCancelled(now_ns, self._outbox.recv_ns(now_ns), order.order_id, "post_only"))
            return
        remaining = abs(order.lots)
        if crosses and shown is not None and shown.lots:
            taken = min(remaining, shown.lots)
            remaining -= taken
            self._quotes.take(order.instrument, side, taken)
            self._fill(order.order_id, order.instrument, terms, side * taken, shown.ticks, Liquidity.TAKER, now_ns)
        if not remaining:
            return
        if is_market or order.time_in_force is TimeInForce.IOC:
            self._outbox.send(OrderCancelled(now_ns, self._outbox.recv_ns(now_ns), order.order_id, "ioc"))
            return
        # A margin figure for an order that only reduces may be unknown; it locks no more than its fee then.
        locks = margin.locks if margin.locks == margin.locks else 0.0
        locks += max(fee or self._fee_float(order, terms, ticks, now_ns), 0.0)
        self._book.add(
            Resting(
                order.order_id,
                order.instrument,
                order.lots,
                order.limit_ticks,
                order.reduce_only,
                remaining,
                locks,
                self._quotes.last_trade(order.instrument),
            )
        )

    def _accept(self, order: PlaceOrder, now_ns: int) -> None:
        self._order_ids.add(order.order_id)
        recv_ns = self._outbox.recv_ns(now_ns)
        if not self._latency.loses_ack():
            self._outbox.send(OrderAccepted(now_ns, recv_ns, order.order_id))

    def _reject(self, order: PlaceOrder, refusal: Refusal | None, now_ns: int) -> None:
        assert refusal is not None
        if refusal.code != "DUPLICATE_ORDER_ID":
            self._order_ids.add(order.order_id)
        self._outbox.send(
            OrderRejected(now_ns, self._outbox.recv_ns(now_ns), order.order_id, refusal.code, refusal.text)
        )

    def cancel(self, command: CancelOrder, now_ns: int) -> None:
        order = self._book.open.get(command.order_id)
        if order is None:
            code = "ORDER_NOT_OPEN" if command.order_id in self._order_ids else "UNKNOWN_ORDER"
            self._outbox.send(CancelRejected(now_ns, self._outbox.recv_ns(now_ns), command.order_id, code))
            return
        self.withdraw(order, "user", now_ns)

    def withdraw(self, order: Resting, reason: str, now_ns: int) -> None:
        self._book.remove(order)
        self._outbox.send(OrderCancelled(now_ns, self._outbox.recv_ns(now_ns), order.order_id, reason))

    def fill_resting(self, instrument: int, now_ns: int) -> None:
        """Fill own orders that the quote has reached, or that a print has gone through, at their own prices."""
        terms = self._terms[instrument]
        last_print = self._quotes.last_trade(instrument)
        printed = self._quotes.printed_lots(instrument, terms)
        quoted_now = self._quotes.is_quoted_at(instrument, now_ns)
        for order in self._book.on(instrument):
            is_news = order.last_print != last_print or not quoted_now
            order.last_print = last_print
            shown = self._quotes.opposite(instrument, terms, order.side, now_ns)
            lots = order.remaining
            if order.reduce_only:
                lots = min(lots, self._room_to_reduce(order))
            if shown is not None and (shown.ticks - order.limit_ticks) * order.side <= 0:
                lots = min(lots, shown.lots)
                if lots:
                    self._quotes.take(instrument, order.side, lots)
            elif is_news and self._quotes.is_through(last_print[0], terms, order):
                lots = min(lots, printed)
                printed -= lots
            else:
                continue
            if lots:
                order.remaining -= lots
                if not order.remaining:
                    self._book.remove(order)
                self._fill(
                    order.order_id, instrument, terms, order.side * lots, order.limit_ticks, Liquidity.MAKER, now_ns
                )
            if order.remaining and order.reduce_only and self._room_to_reduce(order) == 0:
                self.withdraw(order, "venue", now_ns)

    def _room_to_reduce(self, order: Resting) -> int:
        """Lots that a reduce-only order may still close, unsigned."""
        if not self._enforce_reduce_only:
            return order.remaining
        return max(-order.side * self._account.positions.get(order.instrument, 0), 0)

    def _fee(self, instrument: int, terms: Terms, lots: int, ticks: int, liquidity: Liquidity, now_ns: int) -> int:
        index = exact(self._collateral.forward(instrument)) if terms.needs_index else _NO_INDEX
        return trade_fee(terms.instrument, lots, ticks, liquidity, index, now_ns)

    def _fee_float(self, order: PlaceOrder, terms: Terms, ticks: int, now_ns: int) -> float:
        """Taker fee of the whole order in whole currency, for margin."""
        units = self._fee(order.instrument, terms, order.lots, ticks, Liquidity.TAKER, now_ns)
        return units / terms.units_per_currency

    def _fill(
        self, order_id: int, instrument: int, terms: Terms, lots: int, ticks: int, liquidity: Liquidity, now_ns: int
    ) -> None:
        trade_id, fee = self.execute(instrument, terms, lots, ticks, liquidity, now_ns)
        recv_ns = self._outbox.recv_ns(now_ns)
        self._outbox.send(
            OrderFilled(now_ns, recv_ns, order_id, trade_id, instrument, lots, ticks, liquidity, fee, terms.currency)
        )

    def execute(
        self, instrument: int, terms: Terms, lots: int, ticks: int, liquidity: Liquidity, now_ns: int
    ) -> tuple[int, int]:
        """Book one trade of signed lots on the account; returns its id and its fee in smallest units."""
        fee = self._fee(instrument, terms, lots, ticks, liquidity, now_ns)
        self._account.trade(instrument, terms, lots, ticks, fee)
        self._on_trade(terms, now_ns)
        return self._outbox.next_trade_id(), fee

    def state(self) -> State:
        return {"order_ids": np.array(sorted(self._order_ids), np.int64)}

    def restore(self, state: State) -> None:
        self._order_ids = set(np.asarray(state["order_ids"]).tolist())


_NO_INDEX = Fraction(0)


def _no_margin(margin: MarginAnswer, fee: float, currency: str) -> Refusal:
    if margin.locks != margin.locks:
        return Refusal("NO_UNDERLYING_PRICE", "a price that margin is reckoned with is not known yet.")
    return Refusal("INSUFFICIENT_MARGIN", f"needs {margin.locks + fee:.8g} {currency}, free {margin.free:.8g}.")

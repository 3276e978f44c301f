"""The simulated venue: orders meet recorded or synthetic quotes, with latency, margin, expiry and funding.

It sees the market at event time (`market` is written by the engine's pass, which stops at `next_time_ns` and at the
levels in `watches`), the desk hears of everything a report latency later. Order of work at one instant: index
readings, settlements, funding, commands in order of arrival, margin checks; resting orders that the market has
reached come before all of these. Nothing depends on how often `advance` is called in between.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction

import msgspec
import numpy as np

from voldesk.core.money import exponent, to_units
from voldesk.core.orders import CancelOrder, Command, OrderType, PlaceOrder, TimeInForce
from voldesk.core.ports import State
from voldesk.core.reports import (
    CancelRejected,
    FundingApplied,
    InstrumentSettled,
    Liquidity,
    MarginCalled,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderRejected,
    PositionTaken,
    Report,
)
from voldesk.core.units import NEVER_NS
from voldesk.instruments.fees import delivery_fee, delivery_rate, trade_fee
from voldesk.instruments.settlement import payoff
from voldesk.instruments.spec import Kind
from voldesk.instruments.table import InstrumentTable
from voldesk.market.state import MarketState
from voldesk.market.watches import Watches
from voldesk.portfolio.margin import margin_model
from voldesk.sim.account import Account, Terms, TermsTable
from voldesk.sim.admission import Admission, Refusal
from voldesk.sim.collateral import Collateral, MarginAnswer
from voldesk.sim.config import ExchangeConfig
from voldesk.sim.latency import Latency
from voldesk.sim.lifecycle import Expiries, IndexReader, exact, funding_amount, next_on_grid
from voldesk.sim.matching import OrderBook, QuoteBook, Resting


class Due(IntEnum):
    """What the venue's own timetable holds, in the order of work within one instant."""

    INDEX_READING = 0
    SETTLEMENT = 1
    FUNDING = 2
    COMMAND = 3
    MARGIN_CHECK = 4


_Item = tuple[int, int, int, "Command | int"]
_ANY_COMMAND: type[Command] = Command  # type: ignore[assignment]
_ANY_REPORT: type[Report] = Report  # type: ignore[assignment]


class SimulatedExchange:
    """A `Venue` over one account. `rng` feeds latency jitter and lost acknowledgements only."""

    def __init__(
        self,
        table: InstrumentTable,
        market: MarketState,
        watches: Watches,
        config: ExchangeConfig,
        rng: np.random.Generator,
    ) -> None:
        self.config = config
        self.account = Account(config.deposits)
        self._table = table
        self._watches = watches
        self._terms = TermsTable(table)
        self._latency = Latency(config.latency, rng)
        self._quotes = QuoteBook(market, config.quote_ttl_ns, config.assumed_size)
        self._book = OrderBook(watches, self._terms)
        index = IndexReader(table, market)
        self._expiries = Expiries(table, config.lifecycle, index)
        self.collateral = Collateral(
            table, market, self._terms, self.account, self._book, index, margin_model(config.margin, table)
        )
        self._admission = Admission(
            table,
            self.account,
            self._book,
            self.collateral,
            price_band=config.price_band,
            max_order_lots=config.max_order_lots,
            enforce_reduce_only=config.enforce_reduce_only,
        )
        self._queue: list[_Item] = []
        self._reports: deque[Report] = deque()
        self._sequence = 0
        self._trade_id = 0
        self._order_ids: set[int] = set()
        self._margin_check_set = False
        self._funding_set = False
        self._called: list[str] = []
        share = Fraction(config.liquidation_share).limit_denominator(10_000)
        self._share = (share.numerator, share.denominator)

    # ------------------------------------------------------------------ Venue

    def submit(self, command: Command, now_ns: int) -> None:
        """Hand over a command at desk time; it reaches the venue an order latency later."""
        self._wake(now_ns)
        self._push(self._latency.arrival_ns(now_ns), Due.COMMAND, command)

    def next_time_ns(self) -> int:
        due = self._queue[0][0] if self._queue else NEVER_NS
        return min(due, self._reports[0].ts_recv_ns) if self._reports else due

    def advance(self, now_ns: int) -> Sequence[Report]:
        """Do what is due, at its own time, against the market as it stands; return what the desk has heard by now."""
        self._wake(now_ns)
        queue = self._queue
        while queue and queue[0][0] < now_ns:
            self._do(heapq.heappop(queue))
        for instrument in self._watches.take_hits():
            self._fill_resting(instrument, now_ns)
        while queue and queue[0][0] <= now_ns:
            self._do(heapq.heappop(queue))
        heard: list[Report] = []
        while self._reports and self._reports[0].ts_recv_ns <= now_ns:
            heard.append(self._reports.popleft())
        return heard

    # -------------------------------------------------------------- timetable

    def _push(self, at_ns: int, kind: Due, what: Command | int) -> None:
        self._sequence += 1
        heapq.heappush(self._queue, (at_ns, int(kind), self._sequence, what))

    def _wake(self, now_ns: int) -> None:
        """Set the clocks of expiries listed since the last call."""
        if self._expiries.listed != len(self._table):
            for number in self._expiries.refresh():
                if self._expiries.all[number].expiry_ns > now_ns:
                    self._push(self._expiries.first_sample_ns(number, now_ns), Due.INDEX_READING, number)

    def _do(self, item: _Item) -> None:
        now_ns, kind, _, what = item
        self.collateral.now_ns = now_ns
        if isinstance(what, PlaceOrder):
            self._place(what, now_ns)
        elif isinstance(what, CancelOrder):
            self._cancel(what, now_ns)
        elif kind == Due.INDEX_READING:
            self._read_index(what, now_ns)
        elif kind == Due.SETTLEMENT:
            self._settle(what, now_ns)
        elif kind == Due.FUNDING:
            self._fund(now_ns)
        else:
            self._check_margin(now_ns)

    def _recv(self, now_ns: int) -> int:
        return self._latency.report_ns(now_ns)

    # ----------------------------------------------------------------- orders

    def _place(self, order: PlaceOrder, now_ns: int) -> None:
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
                self._report(OrderCancelled(now_ns, self._recv(now_ns), order.order_id, "ioc"))
                return
            ticks = shown.ticks
        margin = self.collateral.judge(order.instrument, order.lots, ticks * terms.tick)
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
            self._report(OrderCancelled(now_ns, self._recv(now_ns), order.order_id, "post_only"))
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
            self._report(OrderCancelled(now_ns, self._recv(now_ns), order.order_id, "ioc"))
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
        recv_ns = self._recv(now_ns)
        if not self._latency.loses_ack():
            self._report(OrderAccepted(now_ns, recv_ns, order.order_id))

    def _reject(self, order: PlaceOrder, refusal: Refusal | None, now_ns: int) -> None:
        assert refusal is not None
        if refusal.code != "DUPLICATE_ORDER_ID":
            self._order_ids.add(order.order_id)
        self._report(OrderRejected(now_ns, self._recv(now_ns), order.order_id, refusal.code, refusal.text))

    def _cancel(self, command: CancelOrder, now_ns: int) -> None:
        order = self._book.open.get(command.order_id)
        if order is None:
            code = "ORDER_NOT_OPEN" if command.order_id in self._order_ids else "UNKNOWN_ORDER"
            self._report(CancelRejected(now_ns, self._recv(now_ns), command.order_id, code))
            return
        self._withdraw(order, "user", now_ns)

    def _withdraw(self, order: Resting, reason: str, now_ns: int) -> None:
        self._book.remove(order)
        self._report(OrderCancelled(now_ns, self._recv(now_ns), order.order_id, reason))

    def _fill_resting(self, instrument: int, now_ns: int) -> None:
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
                self._withdraw(order, "venue", now_ns)

    def _room_to_reduce(self, order: Resting) -> int:
        """Lots that a reduce-only order may still close, unsigned."""
        if not self.config.enforce_reduce_only:
            return order.remaining
        return max(-order.side * self.account.positions.get(order.instrument, 0), 0)

    def _fee(self, instrument: int, terms: Terms, lots: int, ticks: int, liquidity: Liquidity, now_ns: int) -> int:
        index = exact(self.collateral.forward(instrument)) if terms.needs_index else _NO_INDEX
        return trade_fee(terms.instrument, lots, ticks, liquidity, index, now_ns)

    def _fee_float(self, order: PlaceOrder, terms: Terms, ticks: int, now_ns: int) -> float:
        """Taker fee of the whole order in whole currency, for margin."""
        units = self._fee(order.instrument, terms, order.lots, ticks, Liquidity.TAKER, now_ns)
        return units / terms.units_per_currency

    def _fill(
        self, order_id: int, instrument: int, terms: Terms, lots: int, ticks: int, liquidity: Liquidity, now_ns: int
    ) -> None:
        fee = self._fee(instrument, terms, lots, ticks, liquidity, now_ns)
        self.account.trade(instrument, terms, lots, ticks, fee)
        self._trade_id += 1
        self._report(
            OrderFilled(
                now_ns,
                self._recv(now_ns),
                order_id,
                self._trade_id,
                instrument,
                lots,
                ticks,
                liquidity,
                fee,
                terms.currency,
            )
        )
        if not self._margin_check_set and self.config.margin_check_ns:
            self._margin_check_set = True
            self._push(next_on_grid(now_ns, self.config.margin_check_ns), Due.MARGIN_CHECK, 0)
        if not self._funding_set and terms.instrument.kind is Kind.PERPETUAL:
            self._funding_set = True
            self._push(next_on_grid(now_ns, self.config.lifecycle.funding_interval_ns), Due.FUNDING, 0)

    def _report(self, report: Report) -> None:
        self._reports.append(report)

    # -------------------------------------------------------- life of contracts

    def _read_index(self, number: int, now_ns: int) -> None:
        self._expiries.sample(number)
        if now_ns >= self._expiries.all[number].expiry_ns:
            self._push(now_ns, Due.SETTLEMENT, number)
        else:
            self._push(self._expiries.first_sample_ns(number, now_ns), Due.INDEX_READING, number)

    def _settle(self, number: int, now_ns: int) -> None:
        expiry = self._expiries.all[number]
        for instrument in expiry.instruments:
            for order in self._book.on(instrument):
                self._withdraw(order, "expiry", now_ns)
            self._quotes.forget(instrument)
        price = self._expiries.delivery_price(number)
        traded = [i for i in expiry.instruments if i in self.account.positions]
        if price is None:
            if traded:
                # Nothing to settle at yet: the positions wait, closed to trading, for the first index reading.
                self._push(now_ns + self.config.lifecycle.delivery_sample_ns, Due.INDEX_READING, number)
            return
        expiry.settled = True
        delivery = Fraction(Decimal(price))
        for instrument in traded:
            terms = self._terms[instrument]
            lots = self.account.positions[instrument]
            fee = delivery_fee(terms.instrument, lots, delivery) if lots else 0
            worth = payoff(terms.instrument, lots, delivery) if lots else Fraction(0)
            self.account.close_out(instrument, terms, worth, fee)
            rate = str(delivery_rate(terms.instrument))
            self._report(InstrumentSettled(now_ns, self._recv(now_ns), instrument, price, rate))

    def _fund(self, now_ns: int) -> None:
        life = self.config.lifecycle
        for instrument in sorted(self.account.positions):
            terms = self._terms[instrument]
            if terms.instrument.kind is not Kind.PERPETUAL:
                continue
            rate = life.funding_rate_of(terms.instrument.symbol)
            mark = repr(self.collateral.mark(instrument))
            value = terms.instrument.value(self.account.positions[instrument], Decimal(mark))
            paid = funding_amount(value, rate, terms.is_reciprocal)
            self.account.move_cash(terms.currency, -to_units(paid, terms.currency))
            self._report(FundingApplied(now_ns, self._recv(now_ns), instrument, rate, mark))
        self._push(now_ns + life.funding_interval_ns, Due.FUNDING, 0)

    # ------------------------------------------------------------------ margin

    def _check_margin(self, now_ns: int) -> None:
        currencies = sorted({self._terms[i].currency for i in self.account.held()})
        self._called = [currency for currency in self._called if currency in currencies]
        closing = False
        for currency in currencies:
            below, balance, maintenance = self.collateral.is_below_maintenance(currency)
            if not below:
                if currency in self._called:
                    self._called.remove(currency)
                continue
            if currency not in self._called:
                self._called.append(currency)
                scale = 10.0 ** exponent(currency)
                self._report(
                    MarginCalled(
                        now_ns,
                        self._recv(now_ns),
                        currency,
                        round(balance * scale),
                        round(maintenance * scale),
                        True,
                    )
                )
                for order in list(self._book.open.values()):
                    if self._terms[order.instrument].currency == currency:
                        self._withdraw(order, "margin_call", now_ns)
            closing |= self._liquidate_step(currency, now_ns)
        self._margin_check_set = bool(self.account.held())
        if closing:
            self._push(now_ns + self.config.liquidation_step_ns, Due.MARGIN_CHECK, 0)
        elif self._margin_check_set:
            self._push(next_on_grid(now_ns, self.config.margin_check_ns), Due.MARGIN_CHECK, 0)

    def _liquidate_step(self, currency: str, now_ns: int) -> bool:
        """Close a share of the heaviest position that has a quote to close it at; False when none has."""
        for instrument in self.collateral.to_liquidate(currency):
            held = self.account.positions[instrument]
            side = -1 if held > 0 else 1
            terms = self._terms[instrument]
            shown = self._quotes.opposite(instrument, terms, side, now_ns)
            if shown is None or not shown.lots:
                continue
            lots = min(-(-abs(held) * self._share[0] // self._share[1]), shown.lots)
            self._quotes.take(instrument, side, lots)
            fee = self._fee(instrument, terms, lots, shown.ticks, Liquidity.TAKER, now_ns)
            self.account.trade(instrument, terms, side * lots, shown.ticks, fee)
            self._trade_id += 1
            self._report(
                PositionTaken(
                    now_ns,
                    self._recv(now_ns),
                    self._trade_id,
                    instrument,
                    side * lots,
                    shown.ticks,
                    fee,
                    terms.currency,
                )
            )
            return True
        return False

    # ------------------------------------------------------------------- state

    def state(self) -> State:
        return {
            "account": self.account.state(),
            "latency": self._latency.state(),
            "quotes": self._quotes.state(),
            "book": self._book.state(),
            "expiries": self._expiries.state(),
            "queue": [[*item[:3], msgspec.to_builtins(item[3])] for item in sorted(self._queue, key=_by_time)],
            "reports": [msgspec.to_builtins(report) for report in self._reports],
            "order_ids": np.array(sorted(self._order_ids), np.int64),
            "counters": [self._sequence, self._trade_id],
            "flags": [self._funding_set, self._margin_check_set],
            "called": list(self._called),
            "hits": list(self._watches.hits),
        }

    def restore(self, state: State) -> None:
        self.account.restore(state["account"])
        self._latency.restore(state["latency"])
        self._quotes.restore(state["quotes"])
        self._book.restore(state["book"])
        self._expiries.restore(state["expiries"])
        self._queue = [
            (int(at), int(kind), int(number), what if isinstance(what, int) else msgspec.convert(what, _ANY_COMMAND))
            for at, kind, number, what in state["queue"]
        ]  # sorted, which is a heap
        self._reports = deque(msgspec.convert(report, _ANY_REPORT) for report in state["reports"])
        self._order_ids = set(np.asarray(state["order_ids"]).tolist())
        self._sequence, self._trade_id = (int(count) for count in state["counters"])
        self._funding_set, self._margin_check_set = (bool(flag) for flag in state["flags"])
        self._called = list(state["called"])
        self._watches.hits[:] = state["hits"]


_NO_INDEX = Fraction(0)


def _no_margin(margin: MarginAnswer, fee: float, currency: str) -> Refusal:
    if margin.locks != margin.locks:
        return Refusal("NO_UNDERLYING_PRICE", "a price that margin is reckoned with is not known yet.")
    return Refusal("INSUFFICIENT_MARGIN", f"needs {margin.locks + fee:.8g} {currency}, free {margin.free:.8g}.")


def _by_time(item: _Item) -> tuple[int, int, int]:
    return item[:3]

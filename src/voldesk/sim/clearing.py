"""What the venue does to positions and accounts of its own accord: delivery, funding, margin calls, liquidation."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from voldesk.core.money import exponent, to_units
from voldesk.core.ports import State
from voldesk.core.reports import FundingApplied, InstrumentSettled, Liquidity, MarginCalled, PositionTaken
from voldesk.instruments.fees import delivery_fee, delivery_rate
from voldesk.instruments.settlement import payoff
from voldesk.instruments.spec import Kind
from voldesk.sim.account import Account, Terms, TermsTable
from voldesk.sim.collateral import Collateral
from voldesk.sim.config import ExchangeConfig
from voldesk.sim.lifecycle import Expiries, funding_amount, next_on_grid
from voldesk.sim.matching import OrderBook, QuoteBook
from voldesk.sim.order_desk import OrderDesk
from voldesk.sim.timetable import Due, Outbox, Timetable


class Watchman:
    """Sets the timers that only holders need, at their first trade: an exchange without positions has nothing due."""

    def __init__(self, config: ExchangeConfig, timetable: Timetable) -> None:
        self._config = config
        self._timetable = timetable
        self.margin_check_set = False
        self.funding_set = False

    def on_trade(self, terms: Terms, now_ns: int) -> None:
        if not self.margin_check_set and self._config.margin_check_ns:
            self.margin_check_set = True
            self._timetable.enter(next_on_grid(now_ns, self._config.margin_check_ns), Due.MARGIN_CHECK)
        if not self.funding_set and terms.instrument.kind is Kind.PERPETUAL:
            self.funding_set = True
            self._timetable.enter(next_on_grid(now_ns, self._config.lifecycle.funding_interval_ns), Due.FUNDING)

    def state(self) -> State:
        return {"margin_check_set": self.margin_check_set, "funding_set": self.funding_set}

    def restore(self, state: State) -> None:
        self.margin_check_set = bool(state["margin_check_set"])
        self.funding_set = bool(state["funding_set"])


class Clearing:
    """Settlement, funding and margin of one account."""

    def __init__(
        self,
        *,
        config: ExchangeConfig,
        account: Account,
        terms: TermsTable,
        quotes: QuoteBook,
        book: OrderBook,
        collateral: Collateral,
        expiries: Expiries,
        orders: OrderDesk,
        watchman: Watchman,
        timetable: Timetable,
        outbox: Outbox,
    ) -> None:
        self._config = config
        self._account = account
        self._terms = terms
        self._quotes = quotes
        self._book = book
        self._collateral = collateral
        self._expiries = expiries
        self._orders = orders
        self._watchman = watchman
        self._timetable = timetable
        self._outbox = outbox
        self._called: list[str] = []
        share = Fraction(config.liquidation_share).limit_denominator(10_000)
        self._share = (share.numerator, share.denominator)

    def read_index(self, number: int, now_ns: int) -> None:
        self._expiries.sample(number)
        if now_ns >= self._expiries.all[number].expiry_ns:
            self._timetable.enter(now_ns, Due.SETTLEMENT, number)
        else:
            self._timetable.enter(self._expiries.first_sample_ns(number, now_ns), Due.INDEX_READING, number)

    def settle(self, number: int, now_ns: int) -> None:
        expiry = self._expiries.all[number]
        for instrument in expiry.instruments:
            for order in self._book.on(instrument):
                self._orders.withdraw(order, "expiry", now_ns)
            self._quotes.forget(instrument)
        price = self._expiries.delivery_price(number)
        traded = [i for i in expiry.instruments if i in self._account.positions]
        if price is None:
            if traded:
                # Nothing to settle at yet: the positions wait, closed to trading, for the first index reading.
                self._timetable.enter(now_ns + self._config.lifecycle.delivery_sample_ns, Due.INDEX_READING, number)
            return
        expiry.settled = True
        delivery = Fraction(Decimal(price))
        for instrument in traded:
            terms = self._terms[instrument]
            lots = self._account.positions[instrument]
            fee = delivery_fee(terms.instrument, lots, delivery) if lots else 0
            worth = payoff(terms.instrument, lots, delivery) if lots else Fraction(0)
            self._account.close_out(instrument, terms, worth, fee)
            rate = str(delivery_rate(terms.instrument))
            self._outbox.send(InstrumentSettled(now_ns, self._outbox.recv_ns(now_ns), instrument, price, rate))

    def fund(self, now_ns: int) -> None:
        life = self._config.lifecycle
        for instrument in sorted(self._account.positions):
            terms = self._terms[instrument]
            if terms.instrument.kind is not Kind.PERPETUAL:
                continue
            rate = life.funding_rate_of(terms.instrument.symbol)
            mark = repr(self._collateral.mark(instrument))
            value = terms.instrument.value(self._account.positions[instrument], Decimal(mark))
            paid = funding_amount(value, rate, terms.is_reciprocal)
            self._account.move_cash(terms.currency, -to_units(paid, terms.currency))
            self._outbox.send(FundingApplied(now_ns, self._outbox.recv_ns(now_ns), instrument, rate, mark))
        self._timetable.enter(now_ns + life.funding_interval_ns, Due.FUNDING)

    def check_margin(self, now_ns: int) -> None:
        currencies = sorted({self._terms[i].currency for i in self._account.held()})
        self._called = [currency for currency in self._called if currency in currencies]
        closing = False
        for currency in currencies:
            below, balance, maintenance = self._collateral.is_below_maintenance(currency)
            if not below:
                if currency in self._called:
                    self._called.remove(currency)
                continue
            if currency not in self._called:
                self._called.append(currency)
                scale = 10.0 ** exponent(currency)
                self._outbox.send(
                    MarginCalled(
                        now_ns,
                        self._outbox.recv_ns(now_ns),
                        currency,
                        round(balance * scale),
                        round(maintenance * scale),
                        True,
                    )
                )
                for order in list(self._book.open.values()):
                    if self._terms[order.instrument].currency == currency:
                        self._orders.withdraw(order, "margin_call", now_ns)
            closing |= self._liquidate_step(currency, now_ns)
        self._watchman.margin_check_set = bool(self._account.held())
        if closing:
            self._timetable.enter(now_ns + self._config.liquidation_step_ns, Due.MARGIN_CHECK)
        elif self._watchman.margin_check_set:
            self._timetable.enter(next_on_grid(now_ns, self._config.margin_check_ns), Due.MARGIN_CHECK)

    def _liquidate_step(self, currency: str, now_ns: int) -> bool:
        """Close a share of the heaviest position that has a quote to close it at; False when none has."""
        for instrument in self._collateral.to_liquidate(currency):
            held = self._account.positions[instrument]
            side = -1 if held > 0 else 1
            terms = self._terms[instrument]
            shown = self._quotes.opposite(instrument, terms, side, now_ns)
            if shown is None or not shown.lots:
                continue
            lots = min(-(-abs(held) * self._share[0] // self._share[1]), shown.lots)
            self._quotes.take(instrument, side, lots)
            trade_id, fee = self._orders.execute(instrument, terms, side * lots, shown.ticks, Liquidity.TAKER, now_ns)
            recv_ns = self._outbox.recv_ns(now_ns)
            self._outbox.send(
                PositionTaken(now_ns, recv_ns, trade_id, instrument, side * lots, shown.ticks, fee, terms.currency)
            )
            return True
        return False

    def state(self) -> State:
        return {"called": list(self._called)}

    def restore(self, state: State) -> None:
        self._called = [str(currency) for currency in state["called"]]

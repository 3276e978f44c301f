"""The simulated venue: orders meet recorded or synthetic quotes, with latency, margin, expiry and funding.

It sees the market at event time (`market` is written by the engine's pass, which stops at `next_time_ns` and at the
levels in `watches`), the desk hears of everything a report latency later. Order of work at one instant: resting
orders that the market has reached, then index readings, settlements, funding, commands in order of arrival, margin
checks (`timetable.Due`). Nothing depends on how often `advance` is called in between.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voldesk.core.orders import CancelOrder, Command, PlaceOrder
from voldesk.core.ports import State, Stateful
from voldesk.core.reports import Report
from voldesk.instruments.table import InstrumentTable
from voldesk.market.state import MarketState
from voldesk.market.watches import Watches
from voldesk.portfolio.margin import margin_model
from voldesk.sim.account import Account, TermsTable
from voldesk.sim.admission import Admission
from voldesk.sim.clearing import Clearing, Watchman
from voldesk.sim.collateral import Collateral
from voldesk.sim.config import ExchangeConfig
from voldesk.sim.latency import Latency
from voldesk.sim.lifecycle import Expiries, IndexReader
from voldesk.sim.matching import OrderBook, QuoteBook
from voldesk.sim.order_desk import OrderDesk
from voldesk.sim.timetable import Due, Entry, Outbox, Timetable


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
        terms = TermsTable(table)
        self._latency = Latency(config.latency, rng)
        self._timetable = Timetable()
        self._outbox = Outbox(self._latency)
        self._quotes = QuoteBook(market, config.quote_ttl_ns, config.assumed_size)
        self.book = OrderBook(watches, terms)
        index = IndexReader(table, market)
        self._expiries = Expiries(table, config.lifecycle, index)
        model = margin_model(config.margin, table)
        self.collateral = Collateral(table, market, terms, self.account, self.book, index, model)
        self._watchman = Watchman(config, self._timetable)
        self._orders = OrderDesk(
            account=self.account,
            terms=terms,
            quotes=self._quotes,
            book=self.book,
            collateral=self.collateral,
            admission=Admission(
                table,
                self.account,
                self.book,
                self.collateral,
                price_band=config.price_band,
                max_order_lots=config.max_order_lots,
                enforce_reduce_only=config.enforce_reduce_only,
            ),
            latency=self._latency,
            outbox=self._outbox,
            enforce_reduce_only=config.enforce_reduce_only,
            on_trade=self._watchman.on_trade,
        )
        self._clearing = Clearing(
            config=config,
            account=self.account,
            terms=terms,
            quotes=self._quotes,
            book=self.book,
            collateral=self.collateral,
            expiries=self._expiries,
            orders=self._orders,
            watchman=self._watchman,
            timetable=self._timetable,
            outbox=self._outbox,
        )

    def submit(self, command: Command, now_ns: int) -> None:
        """Hand over a command at desk time; it reaches the venue an order latency later."""
        self._take_in_listings(now_ns)
        self._timetable.enter(self._latency.arrival_ns(now_ns), Due.COMMAND, command)

    def next_time_ns(self) -> int:
        own, heard = self._timetable.next_ns(), self._outbox.next_ns()
        return own if own < heard else heard

    def advance(self, now_ns: int) -> Sequence[Report]:
        """Do what is due, at its own time, against the market as it stands; return what the desk has heard by now."""
        self._take_in_listings(now_ns)
        timetable = self._timetable
        while timetable.next_ns() < now_ns:
            self._do(timetable.pop())
        for instrument in self._watches.take_hits():
            self.collateral.now_ns = now_ns
            self._orders.fill_resting(instrument, now_ns)
        while timetable.next_ns() <= now_ns:
            self._do(timetable.pop())
        return self._outbox.heard(now_ns)

    def _take_in_listings(self, now_ns: int) -> None:
        """Set the clocks of expiries listed since the last call."""
        if self._expiries.listed == len(self._table):
            return
        for number in self._expiries.refresh():
            if self._expiries.all[number].expiry_ns > now_ns:
                self._timetable.enter(self._expiries.first_sample_ns(number, now_ns), Due.INDEX_READING, number)

    def _do(self, entry: Entry) -> None:
        now_ns, kind, _, what = entry
        self.collateral.now_ns = now_ns
        if isinstance(what, PlaceOrder):
            self._orders.place(what, now_ns)
        elif isinstance(what, CancelOrder):
            self._orders.cancel(what, now_ns)
        elif kind == Due.INDEX_READING:
            self._clearing.read_index(what, now_ns)
        elif kind == Due.SETTLEMENT:
            self._clearing.settle(what, now_ns)
        elif kind == Due.FUNDING:
            self._clearing.fund(now_ns)
        else:
            self._clearing.check_margin(now_ns)

    def state(self) -> State:
        parts = {name: part.state() for name, part in self._parts().items()}
        return {**parts, "hits": list(self._watches.hits)}

    def restore(self, state: State) -> None:
        for name, part in self._parts().items():
            part.restore(state[name])
        self._watches.hits[:] = state["hits"]

    def _parts(self) -> dict[str, Stateful]:
        return {
            "account": self.account,
            "latency": self._latency,
            "quotes": self._quotes,
            "book": self.book,
            "expiries": self._expiries,
            "timetable": self._timetable,
            "outbox": self._outbox,
            "watchman": self._watchman,
            "orders": self._orders,
            "clearing": self._clearing,
        }

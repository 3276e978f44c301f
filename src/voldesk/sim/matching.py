"""Quote-driven matching: what can be taken from the displayed quote, and when a resting order fills.

Only the best quote is known, so an order takes at most the size displayed there, once: what we took is remembered
until the quote row changes. Resting orders fill at their own price when the opposite quote reaches it or a trade
prints through it, up to the size shown. Our own orders never meet each other. Same idea as hftbacktest's
"no partial fill" and "partial fill" exchange models (docs, "Order Fill"), with the size that is really shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal

import msgspec
import numpy as np

from voldesk.core.ports import State
from voldesk.market.state import Field, MarketState, Stamp
from voldesk.market.watches import Watches
from voldesk.sim.account import Terms, TermsTable

_ASK, _ASK_SIZE, _BID, _BID_SIZE = int(Field.ASK), int(Field.ASK_SIZE), int(Field.BID), int(Field.BID_SIZE)
_LAST, _LAST_SIZE = int(Field.LAST), int(Field.LAST_SIZE)
_QUOTED = int(Stamp.QUOTE_EVENT_NS)

# Prices come as floats: a price this share of a tick beyond the grid still counts as on it.
_SLACK = 1e-6


class Resting:
    """An order on the venue's book. `reserve` is the margin set aside for all of it, in whole settle currency."""

    __slots__ = (
        "instrument",
        "last_print",
        "limit_ticks",
        "lots",
        "order_id",
        "reduce_only",
        "remaining",
        "reserve",
        "side",
    )

    def __init__(
        self,
        order_id: int,
        instrument: int,
        lots: int,
        limit_ticks: int,
        reduce_only: bool,
        remaining: int,
        reserve: float,
        last_print: tuple[float, float],
    ) -> None:
        self.order_id = order_id
        self.instrument = instrument
        self.lots = abs(lots)
        self.side = 1 if lots > 0 else -1
        self.remaining = remaining
        self.limit_ticks = limit_ticks
        self.reduce_only = reduce_only
        self.reserve = reserve
        # The print that stood when we last looked: only another one is news.
        self.last_print = last_print

    @property
    def reserved(self) -> float:
        """The part of the reserve that still belongs to unfilled lots."""
        return self.reserve * self.remaining / self.lots


class DisplayedQuote(msgspec.Struct, frozen=True):
    """What stands opposite: price in ticks rounded against the taker, and lots that we may still take."""

    ticks: int
    lots: int


class QuoteBook:
    """The venue's view of the best quotes, and what we took from them."""

    def __init__(self, market: MarketState, quote_ttl_ns: int, assumed_size: Decimal | None) -> None:
        self.market = market
        self.quote_ttl_ns = quote_ttl_ns
        self._assumed = None if assumed_size is None else float(assumed_size)
        # (instrument, side) -> quote time, price, size, lots taken of it
        self._taken: dict[tuple[int, int], tuple[int, float, float, int]] = {}

    def opposite(self, instrument: int, terms: Terms, side: int, now_ns: int) -> DisplayedQuote | None:
        """The ask for a buyer (side 1), the bid for a seller (-1); None when absent or older than its time to live."""
        price, size, quoted_ns = self._read(instrument, side)
        if price != price or quoted_ns == 0 or now_ns - quoted_ns > self.quote_ttl_ns:
            return None
        steps = price / terms.tick
        ticks = math.ceil(steps - _SLACK) if side > 0 else math.floor(steps + _SLACK)
        if ticks <= 0:
            return None
        if size != size:
            if self._assumed is None:
                return DisplayedQuote(ticks, 0)
            size = self._assumed
        lots = int(size / terms.lot + _SLACK)
        taken = self._taken.get((instrument, side))
        if taken is not None and taken[:3] == (quoted_ns, price, size):
            lots -= taken[3]
        return DisplayedQuote(ticks, max(lots, 0))

    def take(self, instrument: int, side: int, lots: int) -> None:
        """Remember that we took `lots` of the standing quote."""
        price, size, quoted_ns = self._read(instrument, side)
        if size != size and self._assumed is not None:
            size = self._assumed
        before = self._taken.get((instrument, side))
        already = before[3] if before is not None and before[:3] == (quoted_ns, price, size) else 0
        self._taken[instrument, side] = (quoted_ns, price, size, already + lots)

    def _read(self, instrument: int, side: int) -> tuple[float, float, int]:
        row = self.market.values[instrument]
        quoted_ns = int(self.market.stamps[instrument, _QUOTED])
        if side > 0:
            return float(row[_ASK]), float(row[_ASK_SIZE]), quoted_ns
        return float(row[_BID]), float(row[_BID_SIZE]), quoted_ns

    def last_trade(self, instrument: int) -> tuple[float, float]:
        """Price and unsigned size of the last print, NaN when none."""
        row = self.market.values[instrument]
        return float(row[_LAST]), abs(float(row[_LAST_SIZE]))

    def printed_lots(self, instrument: int, terms: Terms) -> int:
        """Whole lots of the last print."""
        size = self.last_trade(instrument)[1]
        if size != size:
            return 0 if self._assumed is None else int(self._assumed / terms.lot + _SLACK)
        return int(size / terms.lot + _SLACK)

    def is_quoted_at(self, instrument: int, now_ns: int) -> bool:
        return int(self.market.stamps[instrument, _QUOTED]) == now_ns

    @staticmethod
    def is_through(price: float, terms: Terms, order: Resting) -> bool:
        """Whether a print is strictly beyond an order's limit; false for NaN."""
        beyond = (order.limit_ticks - price / terms.tick) * order.side
        return beyond > _SLACK

    def forget(self, instrument: int) -> None:
        self._taken.pop((instrument, 1), None)
        self._taken.pop((instrument, -1), None)

    def state(self) -> State:
        return {"taken": [[i, side, *self._taken[i, side]] for i, side in sorted(self._taken)]}

    def restore(self, state: State) -> None:
        self._taken = {(int(i), int(s)): (int(t), float(p), float(z), int(n)) for i, s, t, p, z, n in state["taken"]}


class OrderBook:
    """Own resting orders, best price first and then oldest first; keeps the watches in step."""

    def __init__(self, watches: Watches, terms: TermsTable) -> None:
        self.open: dict[int, Resting] = {}
        self._by_instrument: dict[int, list[Resting]] = {}
        self._watches = watches
        self._terms = terms

    def on(self, instrument: int) -> list[Resting]:
        """Orders of one instrument in the order in which they fill: better prices first, then earlier ones."""
        return list(self._by_instrument.get(instrument, ()))

    def add(self, order: Resting) -> None:
        self.open[order.order_id] = order
        orders = self._by_instrument.setdefault(order.instrument, [])
        orders.append(order)
        orders.sort(key=lambda resting: -resting.side * resting.limit_ticks)  # stable: earlier first
        self._watch(order.instrument)

    def remove(self, order: Resting) -> None:
        del self.open[order.order_id]
        orders = self._by_instrument[order.instrument]
        orders.remove(order)
        if not orders:
            del self._by_instrument[order.instrument]
        self._watch(order.instrument)

    def reserved(self, instruments_of_currency: Iterable[int]) -> float:
        """Margin set aside for open orders on these instruments."""
        wanted = self._by_instrument
        return sum(order.reserved for i in instruments_of_currency if i in wanted for order in wanted[i])

    def instruments(self) -> list[int]:
        return list(self._by_instrument)

    def same_side_lots(self, instrument: int, side: int) -> int:
        """Unfilled lots resting on one side, unsigned."""
        return sum(order.remaining for order in self._by_instrument.get(instrument, ()) if order.side == side)

    def _watch(self, instrument: int) -> None:
        tick = self._terms[instrument].tick
        buy = sell = np.nan
        for order in self._by_instrument.get(instrument, ()):
            # A hair outwards, so that a float price on the level always stops the pass; the check is in ticks.
            price = (order.limit_ticks + order.side * _SLACK) * tick
            if order.side > 0:
                buy = price if buy != buy else max(buy, price)
            else:
                sell = price if sell != sell else min(sell, price)
        self._watches.set(instrument, buy, sell)

    def state(self) -> State:
        # Arrival order of equals is kept: instruments in order of appearance, orders in order of priority.
        orders = [order for group in self._by_instrument.values() for order in group]
        return {
            "orders": [
                [
                    o.order_id,
                    o.instrument,
                    o.side * o.lots,
                    o.limit_ticks,
                    o.reduce_only,
                    o.remaining,
                    o.reserve,
                    *o.last_print,
                ]
                for o in orders
            ],
            "arrival": list(self.open),
        }

    def restore(self, state: State) -> None:
        self.open.clear()
        self._by_instrument.clear()
        self._watches.clear_all()
        for saved in state["orders"]:
            number, instrument, lots, limit_ticks, reduce_only, remaining, reserve, price, size = saved
            order = Resting(number, instrument, lots, limit_ticks, reduce_only, remaining, reserve, (price, size))
            self.add(order)
        self.open = {order_id: self.open[order_id] for order_id in state["arrival"]}

"""What a venue refuses at the door, with codes that stay the same for ever.

UNKNOWN_INSTRUMENT, INSTRUMENT_EXPIRED, DUPLICATE_ORDER_ID, ZERO_LOTS, SIZE_TOO_LARGE, INVALID_PRICE, PRICE_OFF_TICK,
PRICE_OUTSIDE_BAND, INVALID_ORDER, REDUCE_ONLY, NO_UNDERLYING_PRICE, INSUFFICIENT_MARGIN (the last by the exchange).
"""

from __future__ import annotations

from typing import NamedTuple

from voldesk.core.orders import OrderType, PlaceOrder, TimeInForce
from voldesk.instruments.spec import Settlement
from voldesk.instruments.table import InstrumentTable
from voldesk.sim.account import Account, Terms
from voldesk.sim.collateral import Collateral
from voldesk.sim.matching import OrderBook


class Refusal(NamedTuple):
    code: str
    text: str


class Admission:
    """Stateless checks of one order against the listing, its own terms and the account.

    price_band: how far past the mark a limit may aim, as a share of the underlying's price.
    """

    def __init__(
        self,
        table: InstrumentTable,
        account: Account,
        book: OrderBook,
        collateral: Collateral,
        *,
        price_band: float | None,
        max_order_lots: int,
        enforce_reduce_only: bool,
    ) -> None:
        self._table = table
        self._account = account
        self._book = book
        self._collateral = collateral
        self._price_band = price_band
        self._max_order_lots = max_order_lots
        self._enforce_reduce_only = enforce_reduce_only

    def refuse_contract(self, order: PlaceOrder, now_ns: int) -> Refusal | None:
        """Whether there is such a contract to trade at all."""
        if not 0 <= order.instrument < len(self._table):
            return Refusal("UNKNOWN_INSTRUMENT", f"instrument={order.instrument}; expected 0..{len(self._table) - 1}.")
        item = self._table[order.instrument]
        if item.expiry_ns and now_ns >= item.expiry_ns:
            return Refusal("INSTRUMENT_EXPIRED", f"{item.symbol} expired at {item.expiry_ns} ns.")
        return None

    def refuse_terms(self, order: PlaceOrder, terms: Terms) -> Refusal | None:
        """Size, price grid, price band, flags, reduce-only."""
        if order.lots == 0:
            return Refusal("ZERO_LOTS", "lots=0; expected a signed number of lots.")
        if abs(order.lots) > self._max_order_lots:
            return Refusal("SIZE_TOO_LARGE", f"lots={order.lots}; expected at most {self._max_order_lots}.")
        if order.order_type is OrderType.MARKET:
            if order.time_in_force is TimeInForce.POST_ONLY:
                return Refusal("INVALID_ORDER", "a market order cannot be post-only; use a limit order.")
        else:
            refusal = self._refuse_price(order, terms)
            if refusal is not None:
                return refusal
        if terms.needs_index and not self._collateral.forward(order.instrument) > 0.0:
            return Refusal("NO_UNDERLYING_PRICE", f"no index of {terms.instrument.underlying} is known yet.")
        if order.reduce_only and self._enforce_reduce_only:
            return self._refuse_reduce_only(order)
        return None

    def _refuse_price(self, order: PlaceOrder, terms: Terms) -> Refusal | None:
        ticks = order.limit_ticks
        scheme = terms.instrument.ticks
        if ticks <= 0:
            return Refusal("INVALID_PRICE", f"limit_ticks={ticks}; expected a positive price.")
        if not scheme.is_valid(ticks):
            return Refusal(
                "PRICE_OFF_TICK",
                f"price {scheme.price(ticks)} is off the grid; nearest {scheme.price(scheme.down(ticks))} and"
                f" {scheme.price(scheme.up(ticks))}.",
            )
        if self._price_band is None:
            return None
        mark = self._collateral.mark(order.instrument)
        width = self._price_band * self._underlying_worth(order.instrument, terms, mark)
        beyond = (ticks * terms.tick - mark) * (1 if order.lots > 0 else -1) - width
        if beyond > 0.0:  # false where mark or underlying is unknown
            return Refusal(
                "PRICE_OUTSIDE_BAND", f"price {scheme.price(ticks)} is more than {width:.6g} past the mark {mark:.6g}."
            )
        return None

    def _underlying_worth(self, instrument: int, terms: Terms, mark: float) -> float:
        if not terms.is_option:
            return mark
        return 1.0 if terms.instrument.settlement is Settlement.INVERSE else self._collateral.forward(instrument)

    def _refuse_reduce_only(self, order: PlaceOrder) -> Refusal | None:
        held = self._account.positions.get(order.instrument, 0)
        side = 1 if order.lots > 0 else -1
        waiting = sum(o.remaining for o in self._book.on(order.instrument) if o.reduce_only and o.side == side)
        room = max(-side * held - waiting, 0)
        if abs(order.lots) > room:
            return Refusal("REDUCE_ONLY", f"lots={order.lots} would not only reduce; {side * room} can be closed.")
        return None

"""What a strategy is: hooks that look at the market and the book, and return intents.

A strategy never sends an order: it returns `OrderIntent`s, which the gate judges and the executor works.
It asks once, through `subscriptions`, for what should wake it. Load your own by `strategy: my_module:MyStrategy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from voldesk.core.arrays import IntArray
from voldesk.core.events import SurfaceFitted, VolForecast
from voldesk.core.orders import Leg, OrderIntent, Purpose, Style
from voldesk.core.ports import State
from voldesk.core.reports import OrderFilled
from voldesk.instruments.table import InstrumentTable
from voldesk.market.view import MarketView


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """What wakes a strategy. `quotes`: instrument ids whose every row is wanted; `timer_ns`: a period, 0 for none."""

    snapshots: bool = False
    surfaces: bool = False
    forecasts: bool = False
    quotes: tuple[int, ...] = ()
    timer_ns: int = 0


class BookView(Protocol):
    """What a strategy may know of its own book; `portfolio.book.Book` implements it."""

    name: str

    def lots(self, instrument: int) -> int:
        """Signed lots held."""
        ...

    def working_lots(self, instrument: int) -> int:
        """Signed lots of orders still working."""
        ...

    def positions(self) -> dict[int, int]:
        """Non-zero positions: instrument id -> signed lots."""
        ...

    def held(self) -> IntArray:
        """The same packed for array code: (m, 2) int64 instrument id and signed lots, by rising id; do not write."""
        ...

    def has_working_orders(self) -> bool: ...

    def net_delta(self, underlying: str) -> float:
        """Net delta in units of the underlying (coin-settled options: Black delta - premium), positions only
        unless the book hedges its collateral."""
        ...

    def equity(self) -> float:
        """In the book's numeraire, as a float for sizing."""
        ...


@dataclass(slots=True)
class Context:
    """Handed to every hook. `intents` numbers what the strategy asks for."""

    now_ns: int
    market: MarketView
    table: InstrumentTable
    book: BookView
    strategy: str
    _next_intent: list[int] = field(default_factory=lambda: [1])

    def intent(
        self, purpose: Purpose, legs: Sequence[Leg], reason: str, style: Style = Style.CROSS, reduce_only: bool = False
    ) -> OrderIntent:
        """Build one intent with the next id."""
        number = self._next_intent[0]
        self._next_intent[0] = number + 1
        return OrderIntent(
            intent_id=number,
            ts_ns=self.now_ns,
            book=self.book.name,
            strategy=self.strategy,
            purpose=purpose,
            legs=tuple(legs),
            reason=reason,
            style=style,
            reduce_only=reduce_only,
        )


class Strategy:
    """Base class: every hook does nothing. Override what you subscribe to; keep all state in attributes that
    `state` returns, so that a restart goes on where it was."""

    def subscriptions(self, table: InstrumentTable) -> Subscriptions:
        return Subscriptions()

    def on_snapshot(self, ctx: Context) -> Sequence[OrderIntent]:
        """A whole chain (or any group of rows) has been applied."""
        return ()

    def on_surface(self, ctx: Context, surface: SurfaceFitted) -> Sequence[OrderIntent]:
        return ()

    def on_forecast(self, ctx: Context, forecast: VolForecast) -> Sequence[OrderIntent]:
        return ()

    def on_quote(self, ctx: Context, instrument: int) -> Sequence[OrderIntent]:
        return ()

    def on_timer(self, ctx: Context) -> Sequence[OrderIntent]:
        return ()

    def on_fill(self, ctx: Context, fill: OrderFilled) -> Sequence[OrderIntent]:
        return ()

    def state(self) -> State:
        return {}

    def restore(self, state: State) -> None:
        return None

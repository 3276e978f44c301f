"""A strategy at its desk: the strategy, its book, what wakes it, and the numbers of its intents."""

from __future__ import annotations

from collections.abc import Sequence

from voldesk.core.ports import State
from voldesk.instruments.table import InstrumentTable
from voldesk.market.view import MarketView
from voldesk.portfolio.book import Book
from voldesk.strategies.protocol import Context, Strategy


class Seat:
    """One strategy of one book. `key` names it in timers and snapshots."""

    __slots__ = ("book", "context", "key", "strategy", "subscriptions")

    def __init__(self, name: str, strategy: Strategy, book: Book, context: Context) -> None:
        self.key = f"{book.name}/{name}"
        self.strategy = strategy
        self.book = book
        self.context = context
        self.subscriptions = strategy.subscriptions(context.table)

    def at(self, now_ns: int) -> Context:
        """The context, moved to the present."""
        self.context.now_ns = now_ns
        return self.context


class Seats:
    """All strategies of a run. Intent ids count up over all of them, so that an id names one intent of the run."""

    def __init__(self, table: InstrumentTable, view: MarketView) -> None:
        self._table = table
        self._view = view
        self._next_intent = [1]
        self.all: list[Seat] = []

    def add(self, name: str, strategy: Strategy, book: Book) -> Seat:
        number = sum(seat.book is book and seat.key.startswith(f"{book.name}/{name}") for seat in self.all)
        unique = name if number == 0 else f"{name}-{number + 1}"
        context = Context(0, self._view, self._table, book, unique, self._next_intent)
        seat = Seat(unique, strategy, book, context)
        self.all.append(seat)
        return seat

    def next_intent(self) -> int:
        """An intent number for the desk itself (flatten, manual orders)."""
        number = self._next_intent[0]
        self._next_intent[0] = number + 1
        return number

    def of_book(self, book: str) -> Sequence[Seat]:
        return [seat for seat in self.all if seat.book.name == book]

    def state(self) -> State:
        return {
            "next_intent": self._next_intent[0],
            "seats": {seat.key: seat.strategy.state() for seat in self.all},
        }

    def restore(self, state: State) -> None:
        self._next_intent[0] = state["next_intent"]
        for seat in self.all:
            seat.strategy.restore(state["seats"][seat.key])

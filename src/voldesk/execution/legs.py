"""What is left to do of an approved intent: its legs, each worked by at most one order at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from voldesk.core.orders import OrderIntent, Style
from voldesk.core.ports import State
from voldesk.core.units import NEVER_NS


@dataclass(slots=True)
class LegWork:
    """`order_id` is the order now open (0: none, waiting for a usable quote). `end` is why the leg ended, or empty."""

    instrument: int
    wanted: int
    limit_ticks: int | None
    arrival_ticks: float
    filled: int = 0
    attempt: int = 0
    order_id: int = 0
    deadline_ns: int = NEVER_NS
    end: str = ""

    @property
    def missing(self) -> int:
        """Signed lots still wanted; opposite in sign to `wanted` when late fills overshot."""
        return self.wanted - self.filled

    @property
    def is_filled(self) -> bool:
        return self.missing == 0 or (self.missing > 0) != (self.wanted > 0)


@dataclass(slots=True)
class IntentWork:
    """All legs of one intent. `stopped`: cancelled as a whole, nothing is sent for it any more."""

    book: str
    intent_id: int
    style: Style
    reduce_only: bool
    legs: list[LegWork] = field(default_factory=list)
    stopped: str = ""

    @classmethod
    def of(cls, intent: OrderIntent) -> IntentWork:
        return cls(intent.book, intent.intent_id, intent.style, intent.reduce_only)

    @property
    def key(self) -> tuple[str, int]:
        return (self.book, self.intent_id)

    @property
    def ended(self) -> bool:
        return all(leg.end and not leg.order_id for leg in self.legs)

    @property
    def uneven(self) -> bool:
        """True when the legs' filled shares differ, so that a structure is left with a leg too many."""
        first = self.legs[0]
        return any(leg.filled * first.wanted != first.filled * leg.wanted for leg in self.legs)

    def live_legs(self) -> Iterator[LegWork]:
        """Legs that may still move: an order is open, or one is still to be sent."""
        return (leg for leg in self.legs if leg.order_id or not leg.end)

    def state(self) -> State:
        return {
            "head": [self.book, self.intent_id, self.style.value, self.reduce_only, self.stopped],
            "legs": [
                [
                    leg.instrument,
                    leg.wanted,
                    leg.limit_ticks,
                    leg.arrival_ticks,
                    leg.filled,
                    leg.attempt,
                    leg.order_id,
                    leg.deadline_ns,
                    leg.end,
                ]
                for leg in self.legs
            ],
        }

    @classmethod
    def from_state(cls, state: State) -> IntentWork:
        book, intent_id, style, reduce_only, stopped = state["head"]
        return cls(book, intent_id, Style(style), reduce_only, [LegWork(*row) for row in state["legs"]], stopped)

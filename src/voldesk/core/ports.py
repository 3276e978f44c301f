"""The places where the desk touches something it does not own. Adapters and the simulator implement them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from voldesk.core.blocks import Block
from voldesk.core.events import ComputeResult
from voldesk.core.orders import Command
from voldesk.core.reports import Report

State = dict[str, Any]
"""What a part needs to be restored: plain numbers, strings, lists, dicts and numpy arrays. Never a pickle."""


class Stateful(Protocol):
    """A part that a snapshot can hold: `restore(part.state())` gives a part that decides the same from there on."""

    def state(self) -> State: ...

    def restore(self, state: State) -> None: ...


class Feed(Stateful, Protocol):
    """One source of market rows. `source` is its rank in ties."""

    @property
    def source(self) -> int: ...

    def next_block(self) -> Block | None:
        """The next rows in order of arrival, any number of them; None when the source has ended."""
        ...


class Venue(Stateful, Protocol):
    """Where orders go. Commands are handed over at desk time; the venue adds its own latency both ways."""

    def submit(self, command: Command, now_ns: int) -> None: ...

    def next_time_ns(self) -> int:
        """When something of its own is due next (an order arriving, a report reaching the desk, an expiry,
        funding); `NEVER_NS` when nothing is."""
        ...

    def advance(self, now_ns: int) -> Sequence[Report]:
        """Do everything due at or before `now_ns` against the venue's own view of the market, and return the
        reports that have reached the desk by then, in order."""
        ...


class Compute(Stateful, Protocol):
    """Slow work. The result comes back as an event; in a backtest at request time + a stated latency."""

    def request(self, job: Callable[[], ComputeResult], due_ns: int) -> None: ...

    def next_time_ns(self) -> int: ...

    def collect(self, now_ns: int) -> Sequence[ComputeResult]: ...

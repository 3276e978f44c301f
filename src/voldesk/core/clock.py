"""Time as an argument: the rings below the adapters never ask the machine what time it is."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Whoever needs the time gets one of these passed in."""

    def now_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC."""
        ...


class SteppedClock:
    """A clock that the engine moves; it never runs backwards."""

    __slots__ = ("_now_ns",)

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, to_ns: int) -> int:
        """Move to `to_ns`, or stay where it is if that lies in the past. Returns the new time."""
        self._now_ns = max(self._now_ns, to_ns)
        return self._now_ns

"""The kill switch: three levels, pulled by anyone, re-armed only by a named person with a reason (SPEC G7).

PAUSE   nothing new; closing and hedging go on.
CANCEL  every working order is cancelled; only an operator's reducing order or a flatten passes.
FLATTEN as CANCEL, and the desk closes its positions.
It latches: a level can be raised, never lowered, until it is re-armed. A book's level is its own or the desk's,
whichever is higher.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec

from voldesk.core.errors import LimitBreach
from voldesk.core.ports import State


class KillLevel(IntEnum):
    ARMED = 0
    PAUSE = 1
    CANCEL = 2
    FLATTEN = 3


DESK: Final = ""
"""The book name that stands for all books."""


class KillRecord(msgspec.Struct, frozen=True, array_like=True, tag="kill"):
    """One pull or re-arming; `before` and `after` are the book's own level."""

    ts_ns: int
    book: str
    before: KillLevel
    after: KillLevel
    who: str
    reason: str


class KillSwitch:
    def __init__(self) -> None:
        self._levels: dict[str, KillLevel] = {}
        self.history: list[KillRecord] = []

    def level(self, book: str) -> KillLevel:
        """What holds for a book."""
        return max(self._levels.get(DESK, KillLevel.ARMED), self._levels.get(book, KillLevel.ARMED))

    def pull(self, level: KillLevel, book: str, who: str, reason: str, ts_ns: int) -> KillLevel:
        """Raise the level of a book, or of the desk (""). A lower level than the one standing changes nothing."""
        before = self._levels.get(book, KillLevel.ARMED)
        after = max(before, level)
        self._set(ts_ns, book, before, after, who, reason)
        return self.level(book)

    def rearm(self, book: str, who: str, reason: str, ts_ns: int) -> None:
        """Back to normal. Raises LimitBreach without a name and a reason."""
        if not who.strip() or not reason.strip():
            raise LimitBreach(
                "re-arming needs who and reason; expected both. Say who takes the responsibility and why."
            )
        self._set(ts_ns, book, self._levels.get(book, KillLevel.ARMED), KillLevel.ARMED, who, reason)

    def resume(self, book: str, who: str, reason: str, ts_ns: int) -> None:
        """End a pause. Raises LimitBreach when more than a pause is in force: that is re-armed, not resumed."""
        before = self._levels.get(book, KillLevel.ARMED)
        if before > KillLevel.PAUSE:
            raise LimitBreach(f"book={book or 'desk'} is at {before.name}; expected PAUSE. Re-arm it instead.")
        self._set(ts_ns, book, before, KillLevel.ARMED, who, reason)

    def _set(self, ts_ns: int, book: str, before: KillLevel, after: KillLevel, who: str, reason: str) -> None:
        self._levels[book] = after
        self.history.append(KillRecord(ts_ns, book, before, after, who, reason))

    def state(self) -> State:
        return {
            "levels": {book: int(level) for book, level in self._levels.items()},
            "history": [msgspec.to_builtins(record) for record in self.history],
        }

    def restore(self, state: State) -> None:
        self._levels = {book: KillLevel(level) for book, level in state["levels"].items()}
        self.history = [msgspec.convert(record, KillRecord) for record in state["history"]]

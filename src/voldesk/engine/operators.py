"""What a person may do to the desk, carried out: kill levels, flatten, cancel, limits, pause, orders by hand.

Everything that trades comes back as intents for the gate; everything that fails is a notice, never an exception: a
journalled command must replay the same, a wrong one included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from voldesk.core.errors import InputError, VoldeskError
from voldesk.core.events import OperatorAction, OperatorCommand
from voldesk.core.orders import Leg, OrderIntent, Purpose
from voldesk.engine.facts import Notice
from voldesk.execution.executor import Worked
from voldesk.risk.kill_switch import DESK, KillLevel

if TYPE_CHECKING:
    from voldesk.engine.desk import DeskParts

LEVELS: Final = {"pause": KillLevel.PAUSE, "cancel": KillLevel.CANCEL, "flatten": KillLevel.FLATTEN}


@dataclass(slots=True)
class Done:
    """What came of a command: cancels already planned, intents still to be judged, and what to tell people."""

    worked: Worked | None = None
    intents: list[OrderIntent] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


class Operators:
    """Carries out `OperatorCommand`s. `command.book` "" means every book."""

    def __init__(self, parts: DeskParts) -> None:
        self._parts = parts
        self._actions: dict[OperatorAction, Callable[[int, OperatorCommand, Done], None]] = {
            OperatorAction.KILL: self._kill,
            OperatorAction.REARM: self._rearm,
            OperatorAction.PAUSE: self._pause,
            OperatorAction.RESUME: self._resume,
            OperatorAction.CANCEL_ALL: self._cancel_all,
            OperatorAction.FLATTEN: self._flatten,
            OperatorAction.SET_LIMIT: self._set_limit,
            OperatorAction.ORDER: self._order,
        }

    def act(self, now_ns: int, command: OperatorCommand) -> Done:
        done = Done()
        try:
            self._actions[command.action](now_ns, command, done)
        except VoldeskError as error:
            done.notices.append(
                Notice(now_ns, "high", "OPERATOR_REFUSED", f"{command.action} by {command.who}: {error}")
            )
        else:
            where = command.book or "all books"
            text = f"{command.action} of {where} by {command.who}: {command.reason}"
            done.notices.append(Notice(now_ns, "info", "OPERATOR", text))
        return done

    def _books(self, command: OperatorCommand) -> list[str]:
        if command.book:
            return [self._parts.ledger.book(command.book).name]
        return list(self._parts.ledger.books)

    def _kill(self, now_ns: int, command: OperatorCommand, done: Done) -> None:
        level = LEVELS.get(command.payload.get("level", "cancel"))
        if level is None:
            raise InputError(f"level={command.payload.get('level')!r}; expected one of {', '.join(LEVELS)}.")
        self._books(command)
        self._parts.gate.kill.pull(level, command.book or DESK, command.who, command.reason, now_ns)
        self._parts.executor.stop_retries(command.book or None, "killed")
        if level >= KillLevel.CANCEL:
            self._cancel_all(now_ns, command, done)
        if level >= KillLevel.FLATTEN:
            self._flatten(now_ns, command, done)

    def _rearm(self, now_ns: int, command: OperatorCommand, done: Done) -> None:
        self._parts.gate.kill.rearm(command.book or DESK, command.who, command.reason, now_ns)

    def _pause(self, now_ns: int, command: OperatorCommand, done: Done) -> None:
        self._books(command)
        self._parts.gate.kill.pull(KillLevel.PAUSE, command.book or DESK, command.who, command.reason, now_ns)
        self._parts.executor.stop_retries(command.book or None, "paused")

    def _resume(self, now_ns: int, command: OperatorCommand, done: Done) -> None:
        self._parts.gate.kill.resume(command.book or DESK, command.who, command.reason, now_ns)

    def _cancel_all(self, now_ns: int, command: OperatorCommand, done: Done) -> None:
        self._books(command)
        done.worked = self._parts.executor.cancel_all(command.book or None, now_ns, "operator")

    def _flatten(self, now_ns: int, command: OperatorCommand, done: Done) -> None:
        """Close every position: options first, so that hedges are not taken off a book that still needs them."""
        table = self._parts.table
        for name in self._books(command):
            positions = self._parts.ledger.books[name].positions()
            for instrument in sorted(positions, key=lambda i: (not table[i].is_option, i)):
                leg = Leg(instrument, -positions[instrument])
                done.intents.append(self._intent(now_ns, command, name, Purpose.FLATTEN, (leg,), reduce_only=True))

    def still_to_flatten(self, now_ns: int) -> list[OrderIntent]:
        """Under FLATTEN: what is still held and can be closed now. A first attempt may have met a stale quote, or may
        have been given up by the executor; the switch stands until the books are flat."""
        parts = self._parts
        intents: list[OrderIntent] = []
        for name, book in parts.ledger.books.items():
            if parts.gate.kill.level(name) is not KillLevel.FLATTEN or parts.executor.is_working(name):
                continue
            if not book.held().size:
                continue
            record = next(
                r for r in reversed(parts.gate.kill.history) if r.after is KillLevel.FLATTEN and r.book in (name, DESK)
            )
            command = OperatorCommand(now_ns, record.who, OperatorAction.FLATTEN, name, {}, record.reason)
            done = Done()
            self._flatten(now_ns, command, done)
            for intent in done.intents:
                leg = intent.legs[0]
                quote = parts.view.quote(leg.instrument)
                if (quote.ask if leg.lots > 0 else quote.bid) > 0.0 and not parts.view.is_stale(leg.instrument):
                    intents.append(intent)
        return intents

    def _set_limit(self, now_ns: int, command: OperatorCommand, done: Done) -> None:
        self._parts.gate.limits.change(command)

    def _order(self, now_ns: int, command: OperatorCommand, done: Done) -> None:
        """payload: symbol, lots (signed), and optionally limit (price)."""
        payload = command.payload
        instrument = self._parts.table.id_of(payload.get("symbol", ""))
        try:
            lots = int(payload.get("lots", ""))
            limit = float(payload["limit"]) if "limit" in payload else None
        except ValueError:
            raise InputError(
                f"order {payload}: expected whole lots (negative sells) and a plain limit price."
            ) from None
        if lots == 0:
            raise InputError("lots=0; expected a whole number of lots, negative to sell.")
        ticks = None if limit is None else self._parts.table[instrument].ticks.nearest(limit)
        name = self._books(command)[0]
        done.intents.append(self._intent(now_ns, command, name, Purpose.MANUAL, (Leg(instrument, lots, ticks),)))

    def _intent(
        self,
        now_ns: int,
        command: OperatorCommand,
        book: str,
        purpose: Purpose,
        legs: tuple[Leg, ...],
        reduce_only: bool = False,
    ) -> OrderIntent:
        return OrderIntent(
            intent_id=self._parts.seats.next_intent(),
            ts_ns=now_ns,
            book=book,
            strategy=f"operator:{command.who}",
            purpose=purpose,
            legs=legs,
            reason=command.reason,
            reduce_only=reduce_only,
        )

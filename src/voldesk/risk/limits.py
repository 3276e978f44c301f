"""Limits: a code, a value, its unit and what it applies to (SPEC G2), and the record of who changed them when.

Scopes, the narrower wins: `order` / `order:BTC`, `position`, `underlying` / `underlying:BTC`, `portfolio` (one book).
Units name what is summed. Deltas of different underlyings are never added: a portfolio delta is money or is
beta-weighted to an index, and `Limit` refuses anything else. `usd...` units convert settle currencies at the index,
`numeraire...` units are in the book's own currency.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from voldesk.core.errors import InputError
from voldesk.core.events import OperatorAction, OperatorCommand
from voldesk.core.ports import State


class Code(StrEnum):
    """Every check of the gate. The first group has a configured limit, the second is a fact about the moment."""

    DELTA = "DELTA"
    GAMMA = "GAMMA"
    VEGA = "VEGA"
    THETA = "THETA"
    SCENARIO_LOSS = "SCENARIO_LOSS"
    DRAWDOWN = "DRAWDOWN"
    POSITION_RATIO_MAX = "POSITION_RATIO_MAX"
    FREE_CASH_FLOOR = "FREE_CASH_FLOOR"
    SINGLE_POSITION = "SINGLE_POSITION"
    MARGIN = "MARGIN"
    POSITIONS = "POSITIONS"
    ORDER_SIZE = "ORDER_SIZE"
    PRICE_BAND = "PRICE_BAND"
    PRICE_BAND_OPTION = "PRICE_BAND_OPTION"

    KILLED = "KILLED"
    PAUSED = "PAUSED"
    STALE_INPUT = "STALE_INPUT"
    UNKNOWN_INSTRUMENT = "UNKNOWN_INSTRUMENT"
    EXPIRED_INSTRUMENT = "EXPIRED_INSTRUMENT"
    UNKNOWN_IV = "UNKNOWN_IV"
    NO_GREEKS = "NO_GREEKS"
    REDUCE_ONLY = "REDUCE_ONLY"


GREEKS: Final = (Code.DELTA, Code.GAMMA, Code.VEGA, Code.THETA)

_PER_UNDERLYING: Final = frozenset(
    {
        "underlying",
        "contracts",
        "underlying_per_1pct",
        "underlying_per_1",
        "contracts_per_1pct",
        "points_per_volpt",
        "points_per_day",
    }
)
"""Units that mean something within one underlying only."""

UNITS: Final[dict[Code, tuple[str, ...]]] = {
    Code.DELTA: ("underlying", "contracts", "usd", "numeraire", "beta"),
    Code.GAMMA: (
        "underlying_per_1pct",
        "underlying_per_1",
        "contracts_per_1pct",
        "usd_per_1pct",
        "numeraire_per_1pct",
        "beta_per_1",
    ),
    Code.VEGA: ("usd_per_volpt", "numeraire_per_volpt", "points_per_volpt"),
    Code.THETA: ("usd_per_day", "numeraire_per_day", "points_per_day"),
    Code.SCENARIO_LOSS: ("equity_share", "numeraire"),
    Code.DRAWDOWN: ("ratio",),
    Code.POSITION_RATIO_MAX: ("ratio",),
    Code.FREE_CASH_FLOOR: ("ratio",),
    Code.SINGLE_POSITION: ("ratio",),
    Code.MARGIN: ("ratio",),
    Code.POSITIONS: ("count",),
    Code.ORDER_SIZE: ("underlying", "contracts", "usd"),
    Code.PRICE_BAND: ("ratio",),
    Code.PRICE_BAND_OPTION: ("underlying_share",),
}

_SCOPES: Final[dict[Code, tuple[str, ...]]] = {
    **dict.fromkeys(GREEKS, ("position", "underlying", "portfolio")),
    Code.SINGLE_POSITION: ("position",),
    Code.ORDER_SIZE: ("order",),
    Code.PRICE_BAND: ("order",),
    Code.PRICE_BAND_OPTION: ("order",),
}


class Limit(msgspec.Struct, frozen=True, array_like=True):
    """One limit; raises InputError for a code, unit or scope that no check knows, or a value not above zero."""

    code: Code
    value: float
    unit: str
    scope: str

    def __post_init__(self) -> None:
        units = UNITS.get(self.code)
        if units is None:
            raise InputError(f"limit code={self.code} has no value to set; expected one of {', '.join(UNITS)}.")
        if self.unit not in units:
            raise InputError(f"limit {self.code}: unit={self.unit!r} is unknown; expected one of {', '.join(units)}.")
        kind, _, name = self.scope.partition(":")
        scopes = _SCOPES.get(self.code, ("portfolio",))
        if kind not in scopes or (name and kind not in ("underlying", "order")):
            raise InputError(f"limit {self.code}: scope={self.scope!r} is unknown; expected {' or '.join(scopes)}.")
        if kind == "portfolio" and self.unit in _PER_UNDERLYING:
            raise InputError(
                f"limit {self.code}: unit={self.unit} over a portfolio adds up different underlyings; "
                "expected money or beta. Use a usd, numeraire or beta unit, or scope underlying."
            )
        if not (math.isfinite(self.value) and self.value > 0.0):
            raise InputError(f"limit {self.code}: value={self.value}; expected a finite number above 0.")


def limit(code: str, value: float, unit: str, scope: str) -> Limit:
    """A limit from text; an unknown code is an InputError naming the nearest known one.

    >>> limit("DELTA", 10.0, "underlying", "underlying:BTC").value
    10.0
    """
    try:
        known = Code(code)
    except ValueError:
        near = difflib.get_close_matches(code, [c.value for c in UNITS], n=1, cutoff=0.0)
        raise InputError(f"limit code={code!r} is unknown; nearest known code is {near[0]}.") from None
    return Limit(known, value, unit, scope)


class LimitChange(msgspec.Struct, frozen=True, array_like=True, tag="limit_change"):
    """One change on the record; `old` is None where no limit stood."""

    ts_ns: int
    effective_ns: int
    who: str
    approver: str
    reason: str
    old: float | None
    new: Limit


class Limits:
    """The limits in force. Only `change` alters them, from an operator's command with an approver and a reason."""

    def __init__(self, limits: Iterable[Limit] = ()) -> None:
        self._limits: dict[tuple[Code, str], Limit] = {}
        self._pending: list[LimitChange] = []
        self.history: list[LimitChange] = []
        for item in limits:
            self._limits[item.code, item.scope] = item
        self._forget()

    def _forget(self) -> None:
        """What was derived from the limits is derived anew after a change."""
        self._units: tuple[tuple[Code, str], ...] | None = None
        self._of_scope: dict[tuple[str, str], tuple[tuple[Limit, int], ...]] = {}

    def __iter__(self) -> Iterator[Limit]:
        return iter(tuple(self._limits.values()))

    def get(self, code: Code, kind: str, name: str = "") -> Limit | None:
        """The limit of `kind:name`, else of `kind`, else None."""
        if name:
            narrow = self._limits.get((code, f"{kind}:{name}"))
            if narrow is not None:
                return narrow
        return self._limits.get((code, kind))

    def greek_units(self) -> tuple[tuple[Code, str], ...]:
        """The distinct (code, unit) pairs of Greek limits, in order of first use."""
        if self._units is None:
            greeks = (item for item in self._limits.values() if item.code in GREEKS)
            self._units = tuple(dict.fromkeys((item.code, item.unit) for item in greeks))
        return self._units

    def greek_limits(self, kind: str, name: str = "") -> tuple[tuple[Limit, int], ...]:
        """The Greek limits that hold for one scope, each with the place of its unit in `greek_units`."""
        found = self._of_scope.get((kind, name))
        if found is None:
            units = self.greek_units()
            limits = (self.get(code, kind, name) for code in GREEKS)
            found = tuple((item, units.index((item.code, item.unit))) for item in limits if item is not None)
            self._of_scope[kind, name] = found
        return found

    def change(self, command: OperatorCommand) -> LimitChange:
        """Record a SET_LIMIT command; it takes effect at payload `effective_ns`, at once when absent.

        payload: code, value, unit, scope, approver and optionally effective_ns, all text.
        Raises InputError when a field is missing, unreadable or the time lies in the past.
        """
        assert command.action is OperatorAction.SET_LIMIT, f"{command.action} is not a limit change"
        payload = command.payload
        missing = [name for name in ("code", "value", "unit", "scope", "approver") if not payload.get(name)]
        if missing or not command.who or not command.reason:
            lacking = ", ".join(
                [*missing, *(["who"] if not command.who else []), *([] if command.reason else ["reason"])]
            )
            raise InputError(f"limit change lacks {lacking}; expected code, value, unit, scope, approver, who, reason.")
        try:
            value = float(payload["value"])
            effective_ns = int(payload.get("effective_ns", command.ts_ns))
        except ValueError as error:
            raise InputError(f"limit change: {error}; expected plain numbers in value and effective_ns.") from None
        if effective_ns < command.ts_ns:
            raise InputError(f"effective_ns={effective_ns} is before the command's {command.ts_ns}; give a later time.")
        new = limit(payload["code"], value, payload["unit"], payload["scope"])
        old = self._limits.get((new.code, new.scope))
        change = LimitChange(
            command.ts_ns,
            effective_ns,
            command.who,
            payload["approver"],
            command.reason,
            old.value if old is not None else None,
            new,
        )
        self.history.append(change)
        self._pending.append(change)
        self.take_effect(command.ts_ns)
        return change

    def take_effect(self, now_ns: int) -> None:
        """Bring every change due by now into force, in order of effective time, then of the commands."""
        if not self._pending:
            return
        due = sorted((c for c in self._pending if c.effective_ns <= now_ns), key=lambda c: c.effective_ns)
        for change in due:
            self._limits[change.new.code, change.new.scope] = change.new
            self._forget()
        self._pending = [c for c in self._pending if c.effective_ns > now_ns]

    @property
    def pending(self) -> Sequence[LimitChange]:
        return tuple(self._pending)

    def state(self) -> State:
        return {
            "limits": [msgspec.to_builtins(item) for item in self._limits.values()],
            "pending": [msgspec.to_builtins(item) for item in self._pending],
            "history": [msgspec.to_builtins(item) for item in self.history],
        }

    def restore(self, state: State) -> None:
        limits = [msgspec.convert(row, Limit) for row in state["limits"]]
        self._limits = {(item.code, item.scope): item for item in limits}
        self._forget()
        self._pending = [msgspec.convert(row, LimitChange) for row in state["pending"]]
        self.history = [msgspec.convert(row, LimitChange) for row in state["history"]]

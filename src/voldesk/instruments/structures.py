"""Named option structures as leg templates: what a trader calls them, which legs they are.

Positive lots buy the structure as named below. Strikes rise from left to right, expiries from near to far.

    straddle      +C K1 +P K1
    strangle      +P K1 +C K2
    vertical      +K1 -K2, calls (bull) or puts (buy the lower strike: bear put spreads have negative lots)
    butterfly     +K1 -2 K2 +K3, calls or puts
    iron_condor   +P K1 -P K2 -C K3 +C K4: long the wings, short the body, a credit
    calendar      -K1 near +K1 far, calls or puts
    diagonal      -K1 near +K2 far, calls or puts; strikes in the order (near, far)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import IntEnum
from itertools import pairwise
from types import MappingProxyType
from typing import Final

import msgspec
import numpy as np

from voldesk.core.errors import InputError
from voldesk.core.orders import Leg
from voldesk.core.units import NS_PER_SECOND
from voldesk.instruments.spec import Kind
from voldesk.instruments.table import InstrumentTable

Strike = float | Decimal | int
_NEAREST: Final = 4


class Right(IntEnum):
    """Which right a template leg takes; CHOSEN follows the caller's `is_call`."""

    PUT = 0
    CALL = 1
    CHOSEN = 2


class TemplateLeg(msgspec.Struct, frozen=True):
    """`ratio` signed lots per structure, of the strike and expiry with these positions."""

    ratio: int
    right: Right
    strike: int
    expiry: int = 0


class Structure(msgspec.Struct, frozen=True):
    """`rising`: strikes must rise strictly (a diagonal's need not)."""

    name: str
    strikes: int
    expiries: int
    legs: tuple[TemplateLeg, ...]
    rising: bool = True


_PUT, _CALL, _CHOSEN = Right.PUT, Right.CALL, Right.CHOSEN
_ALL: Final = (
    Structure("straddle", 1, 1, (TemplateLeg(1, _CALL, 0), TemplateLeg(1, _PUT, 0))),
    Structure("strangle", 2, 1, (TemplateLeg(1, _PUT, 0), TemplateLeg(1, _CALL, 1))),
    Structure("vertical", 2, 1, (TemplateLeg(1, _CHOSEN, 0), TemplateLeg(-1, _CHOSEN, 1))),
    Structure("butterfly", 3, 1, (TemplateLeg(1, _CHOSEN, 0), TemplateLeg(-2, _CHOSEN, 1), TemplateLeg(1, _CHOSEN, 2))),
    Structure(
        "iron_condor",
        4,
        1,
        (TemplateLeg(1, _PUT, 0), TemplateLeg(-1, _PUT, 1), TemplateLeg(-1, _CALL, 2), TemplateLeg(1, _CALL, 3)),
    ),
    Structure("calendar", 1, 2, (TemplateLeg(-1, _CHOSEN, 0, 0), TemplateLeg(1, _CHOSEN, 0, 1))),
    Structure("diagonal", 2, 2, (TemplateLeg(-1, _CHOSEN, 0, 0), TemplateLeg(1, _CHOSEN, 1, 1)), rising=False),
)

STRUCTURES: Final[Mapping[str, Structure]] = MappingProxyType({structure.name: structure for structure in _ALL})


def legs(
    name: str,
    table: InstrumentTable,
    underlying: str,
    expiries_ns: Sequence[int],
    strikes: Sequence[Strike],
    lots: int,
    is_call: bool = True,
    venue: str | None = None,
) -> tuple[Leg, ...]:
    """Legs of a named structure, in template order, without price limits.

    venue: needed only where the table lists the same option at several venues. Raises InputError for an unknown
    name, the wrong number or order of strikes and expiries, zero lots, and options that are not listed; the message
    then names the nearest strikes (or expiries).
    """
    structure = STRUCTURES.get(name)
    if structure is None:
        raise InputError(f"structure={name} is unknown; expected one of {', '.join(STRUCTURES)}.")
    _check(structure, expiries_ns, strikes, lots)
    return tuple(
        Leg(
            _option(
                table,
                underlying,
                expiries_ns[leg.expiry],
                strikes[leg.strike],
                is_call if leg.right is Right.CHOSEN else leg.right is Right.CALL,
                venue,
            ),
            leg.ratio * lots,
        )
        for leg in structure.legs
    )


def _check(structure: Structure, expiries_ns: Sequence[int], strikes: Sequence[Strike], lots: int) -> None:
    name = structure.name
    if len(strikes) != structure.strikes or len(expiries_ns) != structure.expiries:
        raise InputError(
            f"{name} of {len(strikes)} strikes and {len(expiries_ns)} expiries; expected {structure.strikes} and "
            f"{structure.expiries}."
        )
    if structure.rising and any(low >= high for low, high in pairwise(strikes)):
        raise InputError(f"{name} strikes {_listed(strikes)} do not rise; give them from low to high.")
    if any(near >= far for near, far in pairwise(expiries_ns)):
        raise InputError(f"{name} expiries do not rise; give the near one first.")
    if lots == 0:
        raise InputError(f"{name} of 0 lots; expected a positive (buy) or negative (sell) number.")


def _option(
    table: InstrumentTable, underlying: str, expiry_ns: int, strike: Strike, is_call: bool, venue: str | None
) -> int:
    """Id of the one option with these terms; see `legs` for what is refused."""
    if underlying not in table.underlyings:
        raise InputError(f"underlying={underlying} is not listed; expected one of {', '.join(table.underlyings)}.")
    wanted = (table.kind == int(Kind.OPTION)) & (table.underlying == table.underlyings.index(underlying))
    if venue is not None:
        wanted &= np.array([i.venue == venue for i in table], np.bool_)
    at_expiry = wanted & (table.expiry_ns == expiry_ns)
    if not at_expiry.any():
        raise InputError(
            f"expiry={_instant(expiry_ns)} of {underlying} is not listed; nearest are "
            f"{', '.join(_instant(t) for t in _nearest(table.expiry_ns[wanted], expiry_ns)) or 'none'}."
        )
    same_right = at_expiry & (table.is_call == is_call)
    found = np.flatnonzero(same_right & (table.strike == float(strike)))
    if found.size == 0:
        raise InputError(
            f"strike={strike} {'call' if is_call else 'put'} of {underlying} {_instant(expiry_ns)} is not listed; "
            f"nearest are {_listed(_nearest(table.strike[same_right], float(strike)))}."
        )
    if found.size > 1:
        names = ", ".join(table[int(i)].symbol for i in found)
        raise InputError(f"strike={strike} of {underlying} fits several instruments ({names}); name the venue.")
    return int(found[0])


def _nearest(listed: np.ndarray[tuple[int], np.dtype[np.float64 | np.int64]], wanted: float) -> list[float]:
    """The few distinct listed values closest to `wanted`, in rising order."""
    distinct = np.unique(listed)
    closest = distinct[np.argsort(np.abs(distinct - wanted), kind="stable")[:_NEAREST]]
    return [value.item() for value in np.sort(closest)]


def _listed(values: Sequence[Strike]) -> str:
    return ", ".join(f"{float(value):g}" if float(value) < 1e5 else f"{float(value):.0f}" for value in values) or "none"


def _instant(ts_ns: float) -> str:
    stamp = np.datetime64(int(ts_ns) // NS_PER_SECOND, "s")
    return f"{stamp}Z"


def straddle(
    table: InstrumentTable, underlying: str, expiry_ns: int, strike: Strike, lots: int, venue: str | None = None
) -> tuple[Leg, ...]:
    """Call and put of one strike."""
    return legs("straddle", table, underlying, (expiry_ns,), (strike,), lots, venue=venue)


def strangle(
    table: InstrumentTable,
    underlying: str,
    expiry_ns: int,
    strikes: Sequence[Strike],
    lots: int,
    venue: str | None = None,
) -> tuple[Leg, ...]:
    """Put of the lower strike, call of the higher."""
    return legs("strangle", table, underlying, (expiry_ns,), strikes, lots, venue=venue)


def vertical(
    table: InstrumentTable,
    underlying: str,
    expiry_ns: int,
    strikes: Sequence[Strike],
    lots: int,
    is_call: bool,
    venue: str | None = None,
) -> tuple[Leg, ...]:
    """Long the lower strike, short the higher."""
    return legs("vertical", table, underlying, (expiry_ns,), strikes, lots, is_call, venue)


def butterfly(
    table: InstrumentTable,
    underlying: str,
    expiry_ns: int,
    strikes: Sequence[Strike],
    lots: int,
    is_call: bool,
    venue: str | None = None,
) -> tuple[Leg, ...]:
    """Long the wings, twice short the body."""
    return legs("butterfly", table, underlying, (expiry_ns,), strikes, lots, is_call, venue)


def iron_condor(
    table: InstrumentTable,
    underlying: str,
    expiry_ns: int,
    strikes: Sequence[Strike],
    lots: int,
    venue: str | None = None,
) -> tuple[Leg, ...]:
    """Long the outer put and call, short the inner ones: a credit for positive lots."""
    return legs("iron_condor", table, underlying, (expiry_ns,), strikes, lots, venue=venue)


def calendar(
    table: InstrumentTable,
    underlying: str,
    expiries_ns: Sequence[int],
    strike: Strike,
    lots: int,
    is_call: bool,
    venue: str | None = None,
) -> tuple[Leg, ...]:
    """Short the near expiry, long the far one, same strike."""
    return legs("calendar", table, underlying, expiries_ns, (strike,), lots, is_call, venue)


def diagonal(
    table: InstrumentTable,
    underlying: str,
    expiries_ns: Sequence[int],
    strikes: Sequence[Strike],
    lots: int,
    is_call: bool,
    venue: str | None = None,
) -> tuple[Leg, ...]:
    """Short the near expiry at the first strike, long the far one at the second."""
    return legs("diagonal", table, underlying, expiries_ns, strikes, lots, is_call, venue)

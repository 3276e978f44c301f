"""Durations as people write them: `250ms`, `30s`, `5m`, `6h`, `14d`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND

_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": NS_PER_MS,
    "s": NS_PER_SECOND,
    "m": NS_PER_MINUTE,
    "h": NS_PER_HOUR,
    "d": NS_PER_DAY,
    "w": 7 * NS_PER_DAY,
}
_LONGEST_NS: Final = 36_525 * NS_PER_DAY
_PATTERN: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ns|us|ms|s|m|h|d|w)\s*")


def parse_duration(value: object) -> int:
    """Nanoseconds from text. Raises InputError saying what a duration looks like; a bare number has no unit.

    >>> parse_duration("1.5h")
    5400000000000
    """
    match = _PATTERN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise InputError(
            f"{value!r} is not a duration; expected a number with a unit, such as 250ms, 30s, 5m, 6h, 14d."
        )
    ns = int(Decimal(match.group(1)) * _UNITS[match.group(2)])
    if ns >= _LONGEST_NS:
        raise InputError(f"{value!r} is longer than a century; expected a duration that a run can last.")
    return ns


def format_duration(ns: int) -> str:
    """The shortest exact form.

    >>> format_duration(21_600_000_000_000)
    '6h'
    """
    for unit in ("w", "d", "h", "m", "s", "ms", "us"):
        if ns and ns % _UNITS[unit] == 0:
            return f"{ns // _UNITS[unit]}{unit}"
    return f"{ns}ns"

"""Durations as people write them: `250ms`, `30s`, `5m`, `6h`, `14d`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer

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
_PATTERN: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ns|us|ms|s|m|h|d|w)\s*")


def parse_duration(value: object) -> int:
    """Nanoseconds from `250ms`, `30s`, … Raises ValueError saying what a duration looks like."""
    match = _PATTERN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a duration; expected a number with a unit, such as 250ms, 30s, 5m, 6h, 14d")
    return int(Decimal(match.group(1)) * _UNITS[match.group(2)])


def format_duration(ns: int) -> str:
    """The shortest exact form: 21_600_000_000_000 -> `6h`."""
    for unit in ("w", "d", "h", "m", "s", "ms", "us"):
        if ns and ns % _UNITS[unit] == 0:
            return f"{ns // _UNITS[unit]}{unit}"
    return f"{ns}ns"


Duration = Annotated[int, BeforeValidator(parse_duration), PlainSerializer(format_duration, when_used="json")]
"""Nanoseconds, written as text; a bare number is refused because nobody can tell its unit."""

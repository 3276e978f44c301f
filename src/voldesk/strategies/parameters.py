"""Parameters of strategies: what a settings file says, checked against the strategy's own `Params`.

A strategy declares `Params`, a frozen `msgspec.Struct`. Fields that end in `_ns` are written as durations without
the ending (`min_holding: 6h`). An unknown key names the nearest known one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND

_P = TypeVar("_P", bound=msgspec.Struct)

_UNITS: Final = {
    "ms": NS_PER_MS,
    "s": NS_PER_SECOND,
    "m": NS_PER_MINUTE,
    "h": NS_PER_HOUR,
    "d": NS_PER_DAY,
    "w": 7 * NS_PER_DAY,
}
_DURATION: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*")


def _field(strategy: str, key: str, known: tuple[str, ...]) -> str:
    if key in known:
        return key
    if f"{key}_ns" in known:
        return f"{key}_ns"
    shown = [name.removesuffix("_ns") for name in known]
    near = difflib.get_close_matches(key, shown, n=1, cutoff=0.5)
    remedy = f"did you mean {near[0]}?" if near else f"known: {', '.join(shown)}."
    raise InputError(f"strategy {strategy}: unknown parameter {key!r}; {remedy}")


def _value(strategy: str, field: str, value: Any) -> Any:
    if not field.endswith("_ns") or not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value)
    if match is None:
        key = field.removesuffix("_ns")
        raise InputError(f"strategy {strategy}: {key}={value!r} is not a duration; write 30s, 5m, 6h or 14d.")
    return int(Decimal(match.group(1)) * _UNITS[match.group(2)])


def read_params(kind: type[_P], strategy: str, given: Mapping[str, Any]) -> _P:
    """`Params` from plain values. Raises InputError, one line, on an unknown, missing, mistyped or absurd one."""
    known = kind.__struct_fields__
    values: dict[str, Any] = {}
    for key, value in given.items():
        field = _field(strategy, key, known)
        if field in values:
            raise InputError(f"strategy {strategy}: {key!r} is given twice; keep one of {key} and {field}.")
        values[field] = _value(strategy, field, value)
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise InputError(f"strategy {strategy}: {error}; correct it in the strategy's settings.") from None


def require(condition: bool, name: str, value: object, expected: str) -> None:
    """For `Params.__post_init__`: one line with value, expectation and so remedy."""
    if not condition:
        raise InputError(f"{name}={value}; expected {expected}.")


def require_vol(name: str, value: float, low: float = 0.0) -> None:
    """A volatility difference in decimals: 0.05 for five points."""
    if value > 1.0:
        raise InputError(f"{name}={value:g} looks like vol points; expected decimals near 0.05. Divide by 100.")
    require(value >= low, name, value, f"at least {low:g}, in decimals (0.05 for five vol points)")

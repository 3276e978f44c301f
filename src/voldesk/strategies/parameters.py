"""Parameters of strategies: what a settings file says, checked against the strategy's own `Params`.

A strategy declares `Params`, a frozen `msgspec.Struct`. Fields that end in `_ns` are written as durations without
the ending (`min_holding: 6h`). An unknown key names the nearest known one.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from voldesk.core.durations import parse_duration
from voldesk.core.errors import InputError, mistyped

_P = TypeVar("_P", bound=msgspec.Struct)


def _field(strategy: str, key: str, known: tuple[str, ...]) -> str:
    if key in known:
        return key
    if f"{key}_ns" in known:
        return f"{key}_ns"
    shown = [name.removesuffix("_ns") for name in known]
    near = difflib.get_close_matches(key, shown, n=1, cutoff=0.5)
    remedy = f"did you mean {near[0]}?" if near else f"known: {', '.join(shown)}."
    raise InputError(f"strategy {strategy}: unknown parameter {key!r}; {remedy}")


def _value(strategy: str, key: str, field: str, value: Any) -> Any:
    """Durations are text; a number is nanoseconds only under the key that says so."""
    if not field.endswith("_ns") or (key == field and not isinstance(value, str)):
        return value
    try:
        return parse_duration(value)
    except InputError as error:
        raise InputError(f"strategy {strategy}: {key}={error}") from None


def read_params(kind: type[_P], strategy: str, given: Mapping[str, Any]) -> _P:
    """`Params` from plain values. Raises InputError, one line, on an unknown, missing, mistyped or absurd one."""
    known = kind.__struct_fields__
    values: dict[str, Any] = {}
    for key, value in given.items():
        field = _field(strategy, key, known)
        if field in values:
            raise InputError(f"strategy {strategy}: {key!r} is given twice; keep one of {key} and {field}.")
        values[field] = _value(strategy, key, field, value)
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise InputError(
            f"strategy {strategy}: {mistyped(str(error), values)}; correct it in the strategy's settings."
        ) from None


def require(condition: bool, name: str, value: object, expected: str) -> None:
    """For `Params.__post_init__`: one line with value, expectation and so remedy."""
    if not condition:
        raise InputError(f"{name}={value}; expected {expected}.")


def require_vol(name: str, value: float, low: float = 0.0) -> None:
    """A volatility difference in decimals: 0.05 for five points."""
    if value > 1.0:
        raise InputError(f"{name}={value:g} looks like vol points; expected decimals near 0.05. Divide by 100.")
    require(value >= low, name, value, f"at least {low:g}, in decimals (0.05 for five vol points)")

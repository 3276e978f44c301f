"""Strategies by name: the desk's own by a short one, anybody's by `module:Class`.

A user's class derives from `strategies.protocol.Strategy`; if it takes parameters it declares
`Params` (a frozen `msgspec.Struct`) and is built as `Class(params)`, else as `Class()`.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from voldesk.core.errors import InputError
from voldesk.strategies.parameters import read_params
from voldesk.strategies.protocol import Strategy

STRATEGIES: Final[dict[str, str]] = {
    "delta_hedger": "voldesk.strategies.delta_hedger:DeltaHedger",
    "gamma_scalper": "voldesk.strategies.gamma_scalper:GammaScalper",
    "pq_trader": "voldesk.strategies.pq_trader:PqTrader",
}

_FAULTS: Final = (
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError),
    *(OSError, RuntimeError, SyntaxError, TypeError, ValueError),
)
"""What somebody else's module can raise while it is imported."""


def load(name: str) -> type[Strategy]:
    """The class behind a short name or `module:Class`. Raises InputError saying what could not be found."""
    path = STRATEGIES.get(name, name)
    module_name, colon, class_name = path.partition(":")
    if not colon or not module_name or not class_name:
        near = difflib.get_close_matches(name, STRATEGIES, n=1, cutoff=0.5)
        hint = (
            f"did you mean {near[0]}?" if near else f"known: {', '.join(STRATEGIES)}; your own: my_module:MyStrategy."
        )
        raise InputError(f"strategy={name!r} is not known; {hint}")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and not f"{module_name}.".startswith(f"{error.name}."):
            raise InputError(f"strategy={name!r}: {module_name} needs {error.name}, which is not installed.") from None
        raise InputError(
            f"strategy={name!r}: no module {module_name}; put {module_name}.py beside the settings or on PYTHONPATH."
        ) from None
    except _FAULTS as error:
        fault = f"{type(error).__name__}: {error}"
        raise InputError(f"strategy={name!r}: {module_name} cannot be imported ({fault}); mend it.") from error
    found = getattr(module, class_name, None)
    if found is None:
        names = [key for key, value in vars(module).items() if isinstance(value, type) and value is not Strategy]
        near = difflib.get_close_matches(class_name, names, n=1, cutoff=0.5)
        raise InputError(
            f"strategy={name!r}: {module_name} has no {class_name}{f'; did you mean {near[0]}?' if near else '.'}"
        )
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise InputError(f"strategy={name!r} is not a Strategy; derive it from voldesk.strategies.protocol.Strategy.")
    return found


def build(name: str, params: Mapping[str, Any]) -> Strategy:
    """A strategy with its parameters checked. Raises InputError on a bad name or parameter.

    >>> type(build("pq_trader", {"underlying": "BTC", "threshold": 0.05})).__name__
    'PqTrader'
    """
    kind = load(name)
    declared = getattr(kind, "Params", None)
    if declared is None:
        if params:
            raise InputError(f"strategy {name} takes no parameters; remove {', '.join(params)}.")
        return kind()
    if not (isinstance(declared, type) and issubclass(declared, msgspec.Struct)):
        raise InputError(
            f"strategy {name}: Params is no msgspec.Struct; declare `class Params(msgspec.Struct, frozen=True)`."
        )
    made: Strategy = kind(read_params(declared, name, params))  # type: ignore[call-arg]
    return made

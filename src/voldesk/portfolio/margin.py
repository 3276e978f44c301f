"""What a venue locks away: initial margin to open, maintenance margin to keep.

The figure to hold against a requirement is the *margin balance*: cash, plus unrealised profit of futures, plus the
market value of spot and stock. Option values are left out by the standard rules (a long option is paid for in
full and asks nothing more; a short option's requirement contains its mark) and counted by the risk matrix.
Sources and formulas: `margin_standard`, `margin_matrix`.
"""

from __future__ import annotations

from typing import NamedTuple

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.errors import InputError
from voldesk.instruments.table import InstrumentTable
from voldesk.portfolio.margin_matrix import MatrixMargin, MatrixRules
from voldesk.portfolio.margin_standard import (
    MarginRules,
    StandardMargin,
    cffex,
    deribit_standard,
    us_strategy_based,
)

__all__ = [
    "MarginModel",
    "MatrixMargin",
    "MatrixRules",
    "Requirement",
    "StandardMargin",
    "initial_and_maintenance",
    "margin_model",
]

MarginModel = StandardMargin | MatrixMargin

MODELS = ("deribit_standard", "deribit_portfolio", "us_strategy_based", "cffex")


class Requirement(NamedTuple):
    """In whole settle currency; NaN when a price that is needed is missing."""

    initial: float
    maintenance: float


def margin_model(name: str, table: InstrumentTable) -> MarginModel:
    """The model of a configured name (`portfolio` is short for deribit_portfolio). Raises InputError for others."""
    rules: dict[str, MarginRules] = {
        "deribit_standard": deribit_standard(),
        "us_strategy_based": us_strategy_based(),
        "cffex": cffex(),
    }
    if name in ("deribit_portfolio", "portfolio"):
        return MatrixMargin(table)
    if name not in rules:
        raise InputError(f"margin={name!r} is unknown; expected one of {', '.join(MODELS)}.")
    return StandardMargin(table, rules[name])


def initial_and_maintenance(
    table: InstrumentTable,
    ids: IntArray,
    lots: IntArray,
    marks: FloatArray,
    forwards: FloatArray,
    model: MarginModel,
    sigmas: FloatArray | None = None,
    now_ns: int = 0,
) -> dict[str, Requirement]:
    """Requirement per settle currency of positions `lots` in `ids`; arrays of shape (n,).

    marks: price of each instrument in its quote currency (coin for inverse options). forwards: price of the
    underlying (USD; only options look at it). sigmas, now_ns: implied vols and the time, needed by the risk matrix.

    >>> import numpy as np
    >>> from voldesk.instruments.table import InstrumentTable
    >>> empty = InstrumentTable()
    >>> none, flat = np.zeros(0, np.int64), np.zeros(0)
    >>> initial_and_maintenance(empty, none, none, flat, flat, margin_model("deribit_standard", empty))
    {}
    """
    if isinstance(model, MatrixMargin):
        if sigmas is None:
            raise InputError("sigmas=None; the risk matrix revalues options and needs their implied vols.")
        worst: dict[str, float] = {}
        for (currency, _), amount in model.by_underlying(ids, lots, marks, forwards, sigmas, now_ns).items():
            worst[currency] = worst.get(currency, 0.0) + amount
        factor = model.rules.initial_factor
        return {currency: Requirement(factor * amount, amount) for currency, amount in worst.items()}
    initial, maintenance = model.per_position(ids, lots, marks, forwards)
    sums: dict[str, list[float]] = {}
    for i, first, kept in zip(ids.tolist(), initial.tolist(), maintenance.tolist(), strict=True):
        total = sums.setdefault(table[i].settle_currency, [0.0, 0.0])
        total[0] += first
        total[1] += kept
    return {currency: Requirement(*total) for currency, total in sums.items()}

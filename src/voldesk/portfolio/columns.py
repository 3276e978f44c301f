"""Contract terms packed for kernels, and the two readings every valuation starts from: mark price and index.

`ints` int64 (n, 7) and `floats` float64 (n, 2), row per instrument id; kernels take these two instead of a dozen
columns, because unpacking an argument costs more than pricing an option.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.instruments.spec import Kind, Settlement
from voldesk.instruments.table import InstrumentTable
from voldesk.market.state import Field
from voldesk.portfolio.numeraire import AT_PAR

EXPIRY: Final = 0
KIND: Final = 1
SETTLEMENT: Final = 2
UNDERLYING: Final = 3
IS_CALL: Final = 4
SETTLE: Final = 5  # place of the settle currency in `settle_currencies`
USD_RULE: Final = 6  # how a settle unit becomes dollars: 0 unknown, AT_INDEX (its own coin) or PAR
STRIKE: Final = 0
SIZE: Final = 1  # settle-currency scale of one lot: contract size, times the fixed rate of a quanto

OPTION: Final = int(Kind.OPTION)
INVERSE: Final = int(Settlement.INVERSE)
AT_INDEX: Final = 1
PAR: Final = 2

_BID: Final = int(Field.BID)
_ASK: Final = int(Field.ASK)
_MARK: Final = int(Field.MARK)
_INDEX: Final = int(Field.INDEX)


class ContractColumns:
    """Packed once and again whenever the table has grown. `settle_currencies` in order of first use."""

    __slots__ = ("_floats", "_ints", "_settle_currencies", "_table")

    def __init__(self, table: InstrumentTable) -> None:
        self._table = table
        self._pack()

    def _pack(self) -> None:
        table = self._table
        self._settle_currencies = list(dict.fromkeys(i.settle_currency for i in table))
        self._ints: IntArray = np.zeros((len(table), 7), np.int64)
        self._floats: FloatArray = np.zeros((len(table), 2))
        if not len(table):
            return
        self._ints[:, EXPIRY] = table.expiry_ns
        self._ints[:, KIND] = table.kind
        self._ints[:, SETTLEMENT] = table.settlement
        self._ints[:, UNDERLYING] = table.underlying
        self._ints[:, IS_CALL] = table.is_call
        self._ints[:, SETTLE] = [self._settle_currencies.index(i.settle_currency) for i in table]
        self._ints[:, USD_RULE] = [
            PAR if i.settle_currency in AT_PAR else AT_INDEX if i.settle_currency == i.underlying else 0 for i in table
        ]
        fixed = np.array([float(i.quanto_rate) if i.settlement is Settlement.QUANTO else 1.0 for i in table])
        self._floats[:, STRIKE] = table.strike
        self._floats[:, SIZE] = table.contract_size * fixed

    @property
    def ints(self) -> IntArray:
        if len(self._table) != self._ints.shape[0]:
            self._pack()
        return self._ints

    @property
    def floats(self) -> FloatArray:
        if len(self._table) != self._floats.shape[0]:
            self._pack()
        return self._floats

    @property
    def settle_currencies(self) -> list[str]:
        if len(self._table) != self._ints.shape[0]:
            self._pack()
        return self._settle_currencies


@compiled
def mark_of(values: FloatArray, instrument: int) -> float:
    """The official mark, else the mid of a two-sided quote, else NaN."""
    mark = float(values[instrument, _MARK])
    if math.isfinite(mark):
        return mark
    middle = 0.5 * float(values[instrument, _BID] + values[instrument, _ASK])
    return middle if math.isfinite(middle) else math.nan


@compiled
def usd_per_settle(values: FloatArray, ints: IntArray, instrument: int) -> float:
    """Dollars per unit of an instrument's settle currency now: 1 at par, the index for its own coin, else NaN."""
    rule = ints[instrument, USD_RULE]
    if rule == PAR:
        return 1.0
    return float(values[instrument, _INDEX]) if rule == AT_INDEX else math.nan

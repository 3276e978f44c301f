"""What cleaning found: reasons, raw beside used values, and the rows that are left (SPEC A4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from voldesk.core.arrays import BoolArray, ByteArray, FloatArray, IntArray
from voldesk.core.blocks import Block, FloatColumn


class Reason(IntEnum):
    """Why a row was touched, by rising severity: a row with several findings carries the worst."""

    OK = 0
    CLAMPED = 1  # event time moved up to the row before, or receive time up to the event time
    JUMP = 2  # a valuation column moved by more than the jump rule: previous value used
    IV_RANGE = 3  # mark IV negative or beyond `iv_ceiling`: taken out
    BELOW_INTRINSIC = 4  # mark below the lower bound: the bound used
    QUOTE_JUMP = 5  # from here on quarantined
    ASK_BELOW_INTRINSIC = 6
    STALE = 7
    ZERO_ASK = 8
    CROSSED = 9
    NEGATIVE = 10
    NOT_FINITE = 11
    EXPIRED = 12
    DUPLICATE = 13  # from here on left out
    OUT_OF_ORDER = 14
    BAD_TRADE = 15
    UNKNOWN_INSTRUMENT = 16


FIRST_QUARANTINED: Final = Reason.QUOTE_JUMP
FIRST_LEFT_OUT: Final = Reason.DUPLICATE


@dataclass(frozen=True, slots=True)
class Repairs:
    """Raw beside used values, one entry per changed cell; shape (m,) each. `row` counts input rows, `column` is a
    FloatColumn, or -1 for the event time and -2 for the receive time (then in ns, as floats)."""

    row: IntArray
    column: IntArray
    raw: FloatArray
    used: FloatArray
    reason: ByteArray

    def __len__(self) -> int:
        return int(self.row.size)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """`ints`, `floats`: the rows that are left, fit for a Block. `reason` (n,), `kept` (n,): per input row."""

    ints: IntArray
    floats: FloatArray
    reason: ByteArray
    kept: BoolArray
    repairs: Repairs

    def counts(self) -> dict[str, int]:
        """Rows per reason, OK left out, by falling severity."""
        return count_reasons(self.reason)

    def quarantined(self) -> IntArray:
        """Input rows that may not be traded on."""
        return np.flatnonzero(self.reason >= FIRST_QUARANTINED).astype(np.int64)

    def block(self, source: int) -> Block:
        return Block(source, self.ints, self.floats)


def count_reasons(reason: ByteArray, least: Reason = Reason.CLAMPED) -> dict[str, int]:
    """Rows per reason name (lower case) from `least` severity on, worst first."""
    found = np.bincount(reason, minlength=len(Reason))
    return {r.name.lower(): int(found[r]) for r in reversed(Reason) if r >= least and found[r]}


def untouched(ints: IntArray, floats: FloatArray) -> Cleaned:
    """Rows of a source that needs no cleaning (a recording of what had been cleaned, the synthetic market)."""
    rows = ints.shape[1]
    return Cleaned(ints, floats, np.zeros(rows, np.uint8), np.ones(rows, np.bool_), Findings(ints, floats).repairs())


class Findings:
    """Collects reasons per row and cells changed while the rules run."""

    def __init__(self, ints: IntArray, floats: FloatArray) -> None:
        self.ints = ints.copy()
        self.floats = floats.copy()
        self.reason: ByteArray = np.zeros(ints.shape[1], np.uint8)
        self._cells: list[tuple[IntArray, int, FloatArray, FloatArray, int]] = []

    def mark(self, rows: IntArray, reason: Reason) -> None:
        self.reason[rows] = np.maximum(self.reason[rows], np.uint8(reason))

    def note(self, rows: IntArray, column: int, raw: FloatArray, used: FloatArray, reason: Reason) -> None:
        self.mark(rows, reason)
        self._cells.append((rows, column, raw, used, int(reason)))

    def replace(self, column: int, rows: IntArray, used: FloatArray, reason: Reason) -> None:
        if rows.size:
            self.note(rows, column, self.floats[column, rows].copy(), used, reason)
            self.floats[column, rows] = used

    def quarantine(self, rows: IntArray, reason: Reason) -> None:
        """Both sides go; each side that held a price is listed once, under the first reason that removed it."""
        self.mark(rows, reason)
        for column in (FloatColumn.BID, FloatColumn.ASK):
            held = rows[~np.isnan(self.floats[column, rows])]
            self.replace(column, held, np.full(held.size, np.nan), reason)

    def repairs(self) -> Repairs:
        cells = self._cells
        if not cells:
            empty = np.empty(0)
            return Repairs(empty.astype(np.int64), empty.astype(np.int64), empty, empty, empty.astype(np.uint8))
        sizes = [rows.size for rows, *_ in cells]
        return Repairs(
            row=np.concatenate([rows for rows, *_ in cells]),
            column=np.repeat([c for _, c, *_ in cells], sizes).astype(np.int64),
            raw=np.concatenate([raw for _, _, raw, _, _ in cells]),
            used=np.concatenate([used for _, _, _, used, _ in cells]),
            reason=np.repeat([r for *_, r in cells], sizes).astype(np.uint8),
        )

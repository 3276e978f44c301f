"""What is known of every instrument at one moment, in columns: the desk's view, or the venue's.

One `MarketState` per clock: the desk's is written at receive time, the simulated exchange's at event time.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.ports import State


class Field(IntEnum):
    """Float columns; the first nine are the row columns of `core.blocks.FloatColumn`."""

    BID = 0
    BID_SIZE = 1
    ASK = 2
    ASK_SIZE = 3
    MARK = 4
    MARK_IV = 5
    FORWARD = 6
    INDEX = 7
    OPEN_INTEREST = 8
    LAST = 9
    LAST_SIZE = 10  # signed by aggressor


class Stamp(IntEnum):
    QUOTE_EVENT_NS = 0  # when the standing quote became true at the venue
    QUOTE_RECV_NS = 1
    MARK_EVENT_NS = 2
    GROUP = 3  # group id of the last row
    ROWS = 4  # rows seen


FIELDS: Final = 11
STAMPS: Final = 5


class MarketState:
    """`values` float64 (n, 11) and `stamps` int64 (n, 5), row per instrument id; NaN and 0 until seen."""

    __slots__ = ("stamps", "values")

    def __init__(self, instruments: int) -> None:
        self.values: FloatArray = np.full((instruments, FIELDS), np.nan)
        self.stamps: IntArray = np.zeros((instruments, STAMPS), np.int64)

    @classmethod
    def over(cls, values: FloatArray, stamps: IntArray) -> MarketState:
        """A state whose columns live in somebody else's memory (the two-clock arena)."""
        made = cls(0)
        made.values, made.stamps = values, stamps
        return made

    def state(self) -> State:
        return {"values": self.values.copy(), "stamps": self.stamps.copy()}

    def restore(self, state: State) -> None:
        # Written in place: kernels and views hold on to this memory.
        self.values[:] = state["values"]
        self.stamps[:] = state["stamps"]

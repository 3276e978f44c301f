"""Market data travels in columns: a Block is a run of rows of one source, a live message is a block of one row.

Layout: `ints` is int64 of shape (5, n), `floats` is float64 of shape (w, n), both C-contiguous, so each
column is one contiguous vector and a kernel needs two arguments. w is 4 for quotes only, 9 for a full ticker.

Two clocks: `ts_event_ns` is when the row is true at the venue (the simulated exchange acts on it then),
`ts_recv_ns` when the desk learns of it. Within one source both are non-decreasing and event <= recv; the feed
sees to it (rows that break this are quarantined with reason OUT_OF_ORDER before a Block is made).

Rows of one group (one snapshot, one message) are contiguous, share both times and `group`, and only the last
carries GROUP_END: nobody ever sees half a chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.errors import MarketDataError


class RowFlag(IntFlag):
    """What a row carries. A QUOTE with NaN bid or ask says that no quote stands on that side."""

    QUOTE = 1  # columns BID..ASK_SIZE
    MARK = 2  # columns MARK..OPEN_INTEREST; NaN leaves the earlier value
    TRADE = 4  # BID column = price, BID_SIZE column = size, positive when the buyer was the aggressor
    GROUP_END = 8
    SNAPSHOT = 16  # on the GROUP_END row of a whole chain: wakes whoever asked for snapshots


class IntColumn(IntEnum):
    TS_EVENT_NS = 0
    TS_RECV_NS = 1
    INSTRUMENT = 2
    FLAGS = 3
    GROUP = 4


class FloatColumn(IntEnum):
    """Prices in the instrument's quote currency (coin for inverse options); sizes in contracts."""

    BID = 0
    BID_SIZE = 1
    ASK = 2
    ASK_SIZE = 3
    MARK = 4
    MARK_IV = 5  # decimal per year
    FORWARD = 6  # the venue's underlying price for this expiry, USD
    INDEX = 7  # the venue's index of the underlying, USD
    OPEN_INTEREST = 8  # contracts


INT_WIDTH: Final = 5
QUOTE_WIDTH: Final = 4
TICKER_WIDTH: Final = 9


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one source, in order of arrival. `source` is its rank: ties in time go to the lower rank."""

    source: int
    ints: IntArray
    floats: FloatArray

    def __post_init__(self) -> None:
        if self.ints.shape[0] != INT_WIDTH or self.floats.shape[0] not in (QUOTE_WIDTH, TICKER_WIDTH):
            raise MarketDataError(
                f"block columns {self.ints.shape[0]}+{self.floats.shape[0]}; expected 5+4 (quotes) or 5+9 (tickers)."
            )
        if self.ints.shape[1] != self.floats.shape[1]:
            raise MarketDataError(f"block rows {self.ints.shape[1]} and {self.floats.shape[1]} differ.")

    def __len__(self) -> int:
        return int(self.ints.shape[1])

    def cut(self, start: int, stop: int) -> Block:
        """Rows start..stop as a block of their own."""
        return Block(
            self.source,
            np.ascontiguousarray(self.ints[:, start:stop]),
            np.ascontiguousarray(self.floats[:, start:stop]),
        )


def empty_block(source: int, rows: int, width: int = TICKER_WIDTH) -> Block:
    """A block to be filled in: ints zero, floats NaN."""
    return Block(source, np.zeros((INT_WIDTH, rows), np.int64), np.full((width, rows), np.nan))

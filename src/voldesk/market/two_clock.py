"""One compiled pass over rows, two clocks: the venue sees a row at its event time, the desk when it arrives.

The pass applies whole groups of rows to the venue's `MarketState` and to the desk's in order of time (the venue
first when both are due), and comes back only when somebody must look:

* LIMIT   everything at or before the limit has been applied;
* TOUCH   a row reached a price at which the venue holds a resting order (levels below);
* WANTED  the desk received a row or a snapshot that was subscribed to.

All state lies in one arena and all rows in one window, so that a cut costs one call with two arrays: about a quarter
of a microsecond. Cost grows with rows only, not with instruments. The kernel indexes both flat and calls nothing:
every array handed to a callee, and every reshaped view, costs counted references per row or per cut. Memory order of
the arena is private to this module.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.blocks import TICKER_WIDTH, IntColumn, RowFlag
from voldesk.core.compiled import compiled
from voldesk.core.ports import State
from voldesk.core.units import NEVER_NS
from voldesk.market.state import FIELDS, STAMPS, Field, MarketState, Stamp


class Stop(IntEnum):
    LIMIT = 0
    TOUCH = 1
    WANTED = 2


# Window columns: the five integers of a Block, the venue's order, the source, and then the nine floats of a ticker.
VENUE_ORDER: Final = 5  # position p holds the index of the row that the venue sees p-th
SOURCE: Final = 6
WINDOW_INTS: Final = 7
_WINDOW_WIDTH: Final = WINDOW_INTS + int(TICKER_WIDTH)

# The arena: control slots; values and stamps of the desk, then of the venue; levels, wanted, touched.
_SLOTS: Final = 16
_ROWS, _VENUE, _DESK, _INSTRUMENTS, _TOUCHED, _SNAPSHOTS, _FIRST, _LAST = range(8)
_AT_DESK: Final = 0
_AT_VENUE: Final = 1

_EVENT: Final = int(IntColumn.TS_EVENT_NS)
_RECV: Final = int(IntColumn.TS_RECV_NS)
_ID: Final = int(IntColumn.INSTRUMENT)
_FLAGS: Final = int(IntColumn.FLAGS)
_GROUP: Final = int(IntColumn.GROUP)
_QUOTE: Final = int(RowFlag.QUOTE)
_MARK: Final = int(RowFlag.MARK)
_TRADE: Final = int(RowFlag.TRADE)
_END: Final = int(RowFlag.GROUP_END)
_SNAP: Final = int(RowFlag.SNAPSHOT)
_F_MARK: Final = int(Field.MARK)
_F_LAST: Final = int(Field.LAST)
_F_LAST_SIZE: Final = int(Field.LAST_SIZE)
_S_EVENT: Final = int(Stamp.QUOTE_EVENT_NS)
_S_RECV: Final = int(Stamp.QUOTE_RECV_NS)
_S_MARK: Final = int(Stamp.MARK_EVENT_NS)
_S_GROUP: Final = int(Stamp.GROUP)
_S_ROWS: Final = int(Stamp.ROWS)
_WIDTH: Final = int(TICKER_WIDTH)
_BID: Final = WINDOW_INTS  # window columns of the floats that orders meet; a TRADE has its price in BID
_BID_SIZE: Final = WINDOW_INTS + 1
_ASK: Final = WINDOW_INTS + 2


@compiled
def two_clock_pass(arena: FloatArray, window: FloatArray, limit_ns: int) -> tuple[int, int, int]:
    """Run until the limit, a touched level or a wanted row: (stop, time, instrument of a lone wanted row or -1)."""
    control = arena.view(np.int64)  # the same cells as integers: control slots, stamps, touched
    cells = window.view(np.int64)
    n = control[_INSTRUMENTS]
    stamps = _SLOTS + 2 * n * FIELDS
    level_buy = stamps + 2 * n * STAMPS
    level_sell = level_buy + n
    wanted = level_sell + n
    touched = wanted + n

    rows = control[_ROWS]
    venue = control[_VENUE]
    desk = control[_DESK]
    stop = 0
    at_ns = limit_ns
    lone = -1
    while True:
        event_ns = cells[_EVENT, cells[VENUE_ORDER, venue]] if venue < rows else NEVER_NS
        recv_ns = cells[_RECV, desk] if desk < rows else NEVER_NS
        side = _AT_VENUE if venue < rows and event_ns <= recv_ns else _AT_DESK
        next_ns = event_ns if side == _AT_VENUE else recv_ns
        if next_ns > limit_ns or (venue >= rows and desk >= rows):
            break
        first = desk
        hits = 0
        while (venue if side == _AT_VENUE else desk) < rows:
            if side == _AT_VENUE:
                row = cells[VENUE_ORDER, venue]
                venue += 1
            else:
                row = desk
                desk += 1
            instrument = cells[_ID, row]
            flags = cells[_FLAGS, row]
            value = _SLOTS + (side * n + instrument) * FIELDS
            stamp = stamps + (side * n + instrument) * STAMPS
            if flags & _QUOTE:
                for column in range(4):
                    arena[value + column] = window[WINDOW_INTS + column, row]
                control[stamp + _S_EVENT] = cells[_EVENT, row]
                control[stamp + _S_RECV] = cells[_RECV, row]
            if flags & _MARK:
                for column in range(_F_MARK, _WIDTH):  # NaN leaves the earlier value
                    if window[WINDOW_INTS + column, row] == window[WINDOW_INTS + column, row]:
                        arena[value + column] = window[WINDOW_INTS + column, row]
                control[stamp + _S_MARK] = cells[_EVENT, row]
            if flags & _TRADE:
                arena[value + _F_LAST] = window[_BID, row]
                arena[value + _F_LAST_SIZE] = window[_BID_SIZE, row]
            control[stamp + _S_GROUP] = cells[_GROUP, row]
            control[stamp + _S_ROWS] += 1
            if side == _AT_DESK:
                if arena[wanted + instrument] > 0.0 or (flags & _SNAP and control[_SNAPSHOTS]):
                    hits += 1
            else:
                # A quote at or through a resting level, a trade strictly through it; NaN on either side compares false.
                buy = arena[level_buy + instrument]
                sell = arena[level_sell + instrument]
                bid = window[_BID, row]
                quoted = flags & _QUOTE and (window[_ASK, row] <= buy or bid >= sell)
                if (quoted or (flags & _TRADE and (bid < buy or bid > sell))) and hits < n:
                    control[touched + hits] = instrument
                    hits += 1
            if flags & _END:
                break
        if hits:
            at_ns = next_ns
            if side == _AT_VENUE:
                stop = 1
                control[_TOUCHED] = hits
            else:
                stop = 2
                control[_FIRST] = first
                control[_LAST] = desk
                if desk - first == 1 and not (cells[_FLAGS, first] & _SNAP):
                    lone = cells[_ID, first]
            break
    control[_VENUE] = venue
    control[_DESK] = desk
    return stop, at_ns, lone


def _stride(rows: int) -> int:
    """Cells from one window column to the next: three cache lines off a whole page, because columns that lie a power
    of two apart all fall on the same few lines of the cache (measured: 88 ns a row instead of 57)."""
    return -(-max(rows - 24, 0) // 512) * 512 + 24


class TwoClock:
    """Owns arena and window; gives the two market states, the resting levels and the subscriptions as views."""

    def __init__(self, instruments: int) -> None:
        n = instruments
        self.arena: FloatArray = np.zeros(_SLOTS + 2 * n * (FIELDS + STAMPS) + 4 * n)
        self._control: IntArray = self.arena[:_SLOTS].view(np.int64)
        self._control[_INSTRUMENTS] = n
        at = _SLOTS

        def take(count: int) -> FloatArray:
            nonlocal at
            view = self.arena[at : at + count]
            at += count
            return view

        desk_values = take(n * FIELDS).reshape(n, FIELDS)
        venue_values = take(n * FIELDS).reshape(n, FIELDS)
        desk_stamps = take(n * STAMPS).view(np.int64).reshape(n, STAMPS)
        venue_stamps = take(n * STAMPS).view(np.int64).reshape(n, STAMPS)
        desk_values[:] = np.nan
        venue_values[:] = np.nan
        self.desk = MarketState.over(desk_values, desk_stamps)
        self.venue = MarketState.over(venue_values, venue_stamps)
        self.level_buy = take(n)
        self.level_sell = take(n)
        self.level_buy[:] = np.nan
        self.level_sell[:] = np.nan
        self.wanted = take(n)
        self._touched: IntArray = take(n).view(np.int64)
        self._window: FloatArray = np.zeros((_WINDOW_WIDTH, _stride(0)))
        self._ints: IntArray = self._window.view(np.int64)[:WINDOW_INTS]

    def want_snapshots(self, wanted: bool = True) -> None:
        self._control[_SNAPSHOTS] = int(wanted)

    def room(self, rows: int) -> tuple[IntArray, FloatArray]:
        """Columns of the window with room for `rows`: ints (7, rows), floats (9, rows), to be filled before `load`.
        They may be those that are loaded now."""
        if rows > self._window.shape[1]:
            self._window = np.zeros((_WINDOW_WIDTH, _stride(rows)))
            self._ints = self._window.view(np.int64)[:WINDOW_INTS]
        return self._ints[:, :rows], self._window[WINDOW_INTS:, :rows]

    def load(self, rows: int, venue_done: int) -> None:
        """Run over the first `rows` of the window; the venue has seen `venue_done` of them (first in its order)."""
        self._control[_ROWS] = rows
        self._control[_VENUE] = venue_done
        self._control[_DESK] = 0

    def run(self, limit_ns: int) -> tuple[int, int, int]:
        """See `two_clock_pass`."""
        return two_clock_pass(self.arena, self._window, limit_ns)

    @property
    def desk_rows(self) -> int:
        """Rows of the window that the desk has received."""
        return int(self._control[_DESK])

    @property
    def venue_rows(self) -> int:
        return int(self._control[_VENUE])

    def touched(self) -> list[int]:
        """Instruments whose resting level the last TOUCH stop reached."""
        return list(dict.fromkeys(self._touched[: self._control[_TOUCHED]].tolist()))

    def stopped_rows(self) -> tuple[int, int]:
        """First and one-past-last window row of the group that the last WANTED stop delivered."""
        return int(self._control[_FIRST]), int(self._control[_LAST])

    def is_snapshot(self) -> bool:
        """Whether that group was a whole chain."""
        return bool(self._ints[_FLAGS, self._control[_LAST] - 1] & _SNAP)

    def wanted_instruments(self) -> list[int]:
        """Subscribed instruments in that group, in row order, each once."""
        first, last = self.stopped_rows()
        ids = self._ints[_ID, first:last]
        return list(dict.fromkeys(ids[self.wanted[ids] > 0.0].tolist()))

    def state(self) -> State:
        return {"arena": self.arena.copy()}

    def restore(self, state: State) -> None:
        self.arena[:] = state["arena"]

"""One compiled pass over rows, two clocks: the venue sees a row at its event time, the desk when it arrives.

The pass applies whole groups of rows to the venue's `MarketState` and to the desk's in order of time (the venue
first when both are due), and comes back only when somebody must look:

* LIMIT   everything at or before the limit has been applied;
* TOUCH   a row reached a price at which the venue holds a resting order (levels below);
* WANTED  the desk received a row or a snapshot that was subscribed to.

All state lies in one arena, so that a cut costs one call with three arrays: about a quarter of a microsecond.
Cost grows with rows only, not with instruments. Memory order of the arena is private to this module.
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


# Window rows: the five of a Block, then the venue's order and the source.
VENUE_ORDER: Final = 5  # position p holds the index of the row that the venue sees p-th
SOURCE: Final = 6
WINDOW_INTS: Final = 7

_SLOTS: Final = 16
_ROWS, _VENUE, _DESK, _LIMIT, _INSTRUMENTS, _TOUCHED, _SNAPSHOTS, _FIRST, _LAST, _APPLIED = range(10)

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


@compiled
def apply_row(values: FloatArray, stamps: IntArray, ints: IntArray, floats: FloatArray, row: int) -> None:
    """Write one row into a market state. NaN in a mark column leaves the earlier value."""
    instrument = ints[_ID, row]
    flags = ints[_FLAGS, row]
    if flags & _QUOTE:
        for column in range(4):
            values[instrument, column] = floats[column, row]
        stamps[instrument, _S_EVENT] = ints[_EVENT, row]
        stamps[instrument, _S_RECV] = ints[_RECV, row]
    if flags & _MARK:
        for column in range(_F_MARK, _WIDTH):
            if floats[column, row] == floats[column, row]:
                values[instrument, column] = floats[column, row]
        stamps[instrument, _S_MARK] = ints[_EVENT, row]
    if flags & _TRADE:
        values[instrument, _F_LAST] = floats[0, row]
        values[instrument, _F_LAST_SIZE] = floats[1, row]
    stamps[instrument, _S_GROUP] = ints[_GROUP, row]
    stamps[instrument, _S_ROWS] += 1


@compiled
def _touches(level_buy: FloatArray, level_sell: FloatArray, ints: IntArray, floats: FloatArray, row: int) -> bool:
    """True when the row trades at or through a resting level. A NaN on either side compares false."""
    instrument = ints[_ID, row]
    buy = level_buy[instrument]
    sell = level_sell[instrument]
    flags = ints[_FLAGS, row]
    if flags & _QUOTE and (floats[2, row] <= buy or floats[0, row] >= sell):
        return True
    return bool(flags & _TRADE and (floats[0, row] < buy or floats[0, row] > sell))


@compiled
def two_clock_pass(arena: FloatArray, ints: IntArray, floats: FloatArray) -> tuple[int, int, int]:
    """Run until the limit, a touched level or a wanted row: (stop, time, instrument of a lone wanted row or -1)."""
    control = arena[:_SLOTS].view(np.int64)
    n = control[_INSTRUMENTS]
    at = _SLOTS
    desk_values = arena[at : at + n * FIELDS].reshape((n, FIELDS))
    at += n * FIELDS
    desk_stamps = arena[at : at + n * STAMPS].view(np.int64).reshape((n, STAMPS))
    at += n * STAMPS
    venue_values = arena[at : at + n * FIELDS].reshape((n, FIELDS))
    at += n * FIELDS
    venue_stamps = arena[at : at + n * STAMPS].view(np.int64).reshape((n, STAMPS))
    at += n * STAMPS
    level_buy = arena[at : at + n]
    level_sell = arena[at + n : at + 2 * n]
    wanted = arena[at + 2 * n : at + 3 * n]
    touched = arena[at + 3 * n : at + 4 * n].view(np.int64)

    rows = control[_ROWS]
    limit = control[_LIMIT]
    venue = control[_VENUE]
    desk = control[_DESK]
    while True:
        event_ns = ints[_EVENT, ints[VENUE_ORDER, venue]] if venue < rows else NEVER_NS
        recv_ns = ints[_RECV, desk] if desk < rows else NEVER_NS
        if venue < rows and event_ns <= recv_ns:
            if event_ns > limit:
                break
            count = 0
            while venue < rows:
                row = ints[VENUE_ORDER, venue]
                apply_row(venue_values, venue_stamps, ints, floats, row)
                if _touches(level_buy, level_sell, ints, floats, row) and count < n:
                    touched[count] = ints[_ID, row]
                    count += 1
                venue += 1
                if ints[_FLAGS, row] & _END:
                    break
            control[_VENUE] = venue
            if count:
                control[_TOUCHED] = count
                return 1, event_ns, -1
        else:
            if desk >= rows or recv_ns > limit:
                break
            first = desk
            hit = False
            while desk < rows:
                apply_row(desk_values, desk_stamps, ints, floats, desk)
                flags = ints[_FLAGS, desk]
                if wanted[ints[_ID, desk]] > 0.0 or (flags & _SNAP and control[_SNAPSHOTS]):
                    hit = True
                desk += 1
                if flags & _END:
                    break
            control[_DESK] = desk
            if hit:
                control[_FIRST] = first
                control[_LAST] = desk
                lone = desk - first == 1 and not (ints[_FLAGS, first] & _SNAP)
                return 2, recv_ns, ints[_ID, first] if lone else -1
    return 0, limit, -1


class TwoClock:
    """Owns the arena; gives the two market states, the resting levels and the subscriptions as views of it."""

    def __init__(self, instruments: int) -> None:
        n = instruments
        self._n = n
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
        desk_stamps = take(n * STAMPS).view(np.int64).reshape(n, STAMPS)
        venue_values = take(n * FIELDS).reshape(n, FIELDS)
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
        self._ints: IntArray = np.zeros((WINDOW_INTS, 0), np.int64)
        self._floats: FloatArray = np.zeros((TICKER_WIDTH, 0))

    def want_snapshots(self, wanted: bool = True) -> None:
        self._control[_SNAPSHOTS] = int(wanted)

    def load(self, ints: IntArray, floats: FloatArray, venue_done: int) -> None:
        """Set the window to run over; `venue_done` of its rows (first in venue order) were seen by the venue."""
        self._ints, self._floats = ints, floats
        self._control[_ROWS] = ints.shape[1]
        self._control[_VENUE] = venue_done
        self._control[_DESK] = 0

    def run(self, limit_ns: int) -> tuple[int, int, int]:
        """See `two_clock_pass`."""
        self._control[_LIMIT] = limit_ns
        return two_clock_pass(self.arena, self._ints, self._floats)

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

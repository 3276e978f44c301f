"""Bars: 1-minute bars from ticks, any longer timeframe from shorter bars, aware of trading sessions (SPEC A7).

A bar is named by its start and covers [start, start + interval), cut off at the session's close. Within sessions
bars are counted from the session's open, so a 60-minute bar of a market that opens at 09:30 starts at 09:30; without
sessions (round-the-clock markets) from `anchor_ns`. No bar spans two sessions. A tick at the very close belongs to the
last bar (closing auctions); ticks outside sessions make no bar and are counted. An interval without ticks has no bar:
nothing is invented.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.core.errors import InputError
from voldesk.core.ports import State
from voldesk.core.units import NS_PER_MINUTE

_OPEN, _HIGH, _LOW, _CLOSE, _VOLUME, _BOUGHT = range(6)
_WIDTH: Final = 6


@dataclass(frozen=True, slots=True)
class Sessions:
    """Trading sessions as rising, disjoint intervals [open, close] in ns UTC, shape (n,) each."""

    open_ns: IntArray
    close_ns: IntArray

    def __post_init__(self) -> None:
        edges = np.column_stack([self.open_ns, self.close_ns]).ravel()
        if (np.diff(edges) < 0).any() or (self.open_ns >= self.close_ns).any():
            raise InputError("sessions overlap or run backwards; expected rising open < close pairs. Sort them.")


ALWAYS_OPEN: Final = Sessions(np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class Bars:
    """Columns of one instrument's bars, shape (n,) each. `bought` is the volume whose aggressor bought; `count` the
    ticks (or shorter bars) in the bar."""

    start_ns: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    bought: FloatArray
    count: IntArray

    def __len__(self) -> int:
        return int(self.start_ns.size)


@compiled
def bar_pass(
    ts_ns: IntArray,
    columns: FloatArray,
    weights: IntArray,
    interval_ns: int,
    anchor_ns: int,
    open_ns: IntArray,
    close_ns: IntArray,
    current: IntArray,
    figures: FloatArray,
    out_start: IntArray,
    out: FloatArray,
    out_count: IntArray,
) -> int:
    """Merge rows (open, high, low, close, volume, bought; shape (6, n)) into bars; returns the bars finished.

    Memory: `current` = (start of the open bar or -1, its count, rows outside sessions, last row's time, rows out of
    order), `figures` (6,) the open bar. Finished bars go to out_start, out (6, >= n + 1), out_count.
    """
    finished = 0
    for row in range(ts_ns.size):
        when = ts_ns[row]
        if when < current[3]:
            current[4] += 1
            continue
        current[3] = when
        if np.isnan(columns[_CLOSE, row]):
            continue
        if open_ns.size == 0:
            start = anchor_ns + (when - anchor_ns) // interval_ns * interval_ns
        else:
            session = np.searchsorted(open_ns, when, side="right") - 1
            if session < 0 or when > close_ns[session]:
                current[2] += weights[row]
                continue
            inside = min(when, close_ns[session] - 1) - open_ns[session]
            start = open_ns[session] + inside // interval_ns * interval_ns
        if start != current[0]:
            if current[0] >= 0:
                out_start[finished] = current[0]
                out_count[finished] = current[1]
                out[:, finished] = figures
                finished += 1
            current[0] = start
            current[1] = 0
            figures[:] = columns[:, row]
            figures[_VOLUME] = 0.0
            figures[_BOUGHT] = 0.0
        figures[_HIGH] = max(figures[_HIGH], columns[_HIGH, row])
        figures[_LOW] = min(figures[_LOW], columns[_LOW, row])
        figures[_CLOSE] = columns[_CLOSE, row]
        figures[_VOLUME] += columns[_VOLUME, row]
        figures[_BOUGHT] += columns[_BOUGHT, row]
        current[1] += weights[row]
    return finished


class BarBuilder:
    """Builds the bars of one instrument as rows arrive. Cutting the stream elsewhere gives the same bars.

    `outside` counts rows outside sessions, `out_of_order` rows older than one before them; both are left out.
    """

    def __init__(self, interval_ns: int = NS_PER_MINUTE, sessions: Sessions = ALWAYS_OPEN, anchor_ns: int = 0) -> None:
        if interval_ns <= 0:
            raise InputError(f"interval_ns={interval_ns}; expected a positive bar length in nanoseconds.")
        self.interval_ns = interval_ns
        self.sessions = sessions
        self.anchor_ns = anchor_ns
        self._current = np.array([-1, 0, 0, 0, 0], np.int64)
        self._figures = np.zeros(_WIDTH)

    @property
    def outside(self) -> int:
        return int(self._current[2])

    @property
    def out_of_order(self) -> int:
        return int(self._current[4])

    def add(self, ts_ns: IntArray, price: FloatArray, size: FloatArray | None = None) -> Bars:
        """Feed ticks, shape (n,); returns the bars they finished. `size` is positive when the buyer was the
        aggressor, negative when the seller was; NaN prices are passed over, a NaN size adds no volume."""
        sizes = np.zeros(price.size) if size is None else np.where(np.isnan(size), 0.0, size)
        columns = np.vstack([price, price, price, price, np.abs(sizes), np.maximum(sizes, 0.0)])
        return self._run(ts_ns, columns, np.ones(price.size, np.int64))

    def add_bars(self, bars: Bars) -> Bars:
        """Feed shorter bars, whose length must divide this builder's; returns the bars they finished."""
        columns = np.vstack([bars.open, bars.high, bars.low, bars.close, bars.volume, bars.bought])
        return self._run(bars.start_ns, columns, bars.count)

    def _run(self, ts_ns: IntArray, columns: FloatArray, weights: IntArray) -> Bars:
        rows = ts_ns.size + 1
        start, count = np.empty(rows, np.int64), np.empty(rows, np.int64)
        out = np.empty((_WIDTH, rows))
        finished = bar_pass(
            np.ascontiguousarray(ts_ns, np.int64),
            np.ascontiguousarray(columns, np.float64),
            np.ascontiguousarray(weights, np.int64),
            self.interval_ns,
            self.anchor_ns,
            self.sessions.open_ns,
            self.sessions.close_ns,
            self._current,
            self._figures,
            start,
            out,
            count,
        )
        return _bars(start[:finished].copy(), out[:, :finished], count[:finished].copy())

    def finish_until(self, now_ns: int) -> Bars:
        """The open bar, if its interval or session has ended by `now_ns`: for timers in quiet markets."""
        start = int(self._current[0])
        if start < 0 or now_ns < self._end_ns(start):
            return _NO_BARS
        return self.finish()

    def _end_ns(self, start: int) -> int:
        end = start + self.interval_ns
        opens = self.sessions.open_ns
        if opens.size:
            session = int(np.searchsorted(opens, start, side="right")) - 1
            end = min(end, int(self.sessions.close_ns[session]) + 1)
        return end

    def finish(self) -> Bars:
        """The bar still open, ended here; empty when there is none. Later ticks of its interval open it anew."""
        if self._current[0] < 0:
            return _NO_BARS
        bar = _bars(self._current[:1].copy(), self._figures[:, None].copy(), self._current[1:2].copy())
        self._current[0] = -1
        return bar

    def state(self) -> State:
        return {"current": self._current.copy(), "figures": self._figures.copy()}

    def restore(self, state: State) -> None:
        self._current, self._figures = np.array(state["current"]), np.array(state["figures"])


def bars_from_ticks(
    ts_ns: IntArray,
    price: FloatArray,
    size: FloatArray | None = None,
    interval_ns: int = NS_PER_MINUTE,
    sessions: Sessions = ALWAYS_OPEN,
    anchor_ns: int = 0,
) -> Bars:
    """All bars of a run of ticks in order of time, the last one included; the same as a `BarBuilder` gives.

    >>> bars_from_ticks(np.array([0, 30, 61]) * 10**9, np.array([5.0, 7.0, 6.0])).high.tolist()
    [7.0, 6.0]
    """
    builder = BarBuilder(interval_ns, sessions, anchor_ns)
    return join_bars([builder.add(ts_ns, price, size), builder.finish()])


def resample(bars: Bars, interval_ns: int, sessions: Sessions = ALWAYS_OPEN, anchor_ns: int = 0) -> Bars:
    """Longer bars from shorter ones, the last one included."""
    builder = BarBuilder(interval_ns, sessions, anchor_ns)
    return join_bars([builder.add_bars(bars), builder.finish()])


def join_bars(parts: list[Bars]) -> Bars:
    """Bars one after another."""
    start = np.concatenate([p.start_ns for p in parts])
    figures = np.hstack([[p.open, p.high, p.low, p.close, p.volume, p.bought] for p in parts])
    return _bars(start, figures, np.concatenate([p.count for p in parts]))


def _bars(start: IntArray, out: FloatArray, count: IntArray) -> Bars:
    rows = np.ascontiguousarray(out)
    return Bars(start, rows[_OPEN], rows[_HIGH], rows[_LOW], rows[_CLOSE], rows[_VOLUME], rows[_BOUGHT], count)


_NO_BARS: Final = _bars(np.empty(0, np.int64), np.empty((_WIDTH, 0)), np.empty(0, np.int64))

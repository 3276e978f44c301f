"""Merges the feeds into one stream of rows that two clocks can run over.

Order for the desk is (receive time, source rank, arrival), for the venue (event time, source rank, arrival):
nothing depends on where a feed happened to cut its blocks. Rows are released only up to the *frontier*: the
earliest event time up to which every source that has not ended is known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.blocks import INT_WIDTH, TICKER_WIDTH, Block, IntColumn
from voldesk.core.errors import MarketDataError
from voldesk.core.ports import Feed, State
from voldesk.core.units import NEVER_NS
from voldesk.market.two_clock import SOURCE, VENUE_ORDER, WINDOW_INTS, TwoClock

_EVENT = IntColumn.TS_EVENT_NS
_RECV = IntColumn.TS_RECV_NS


class _Rows(NamedTuple):
    """A run of rows of one source, columns as in a Block but not necessarily in memory of their own."""

    source: int
    ints: IntArray
    floats: FloatArray


class _Source:
    """One feed and the blocks taken from it that lie beyond the frontier; `taken` rows of the first one do not."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.pending: deque[Block] = deque()
        self.taken = 0
        self.ended = False
        self.last_event_ns = 0
        self.last_recv_ns = 0
        self.rows = 0

    def pull(self) -> Block | None:
        block = self.feed.next_block()
        if block is None:
            self.ended = True
            return None
        if len(block) == 0:
            return block
        event, recv = block.ints[_EVENT], block.ints[_RECV]
        in_order = (
            event[0] >= self.last_event_ns
            and recv[0] >= self.last_recv_ns
            and bool((event[1:] >= event[:-1]).all())
            and bool((recv[1:] >= recv[:-1]).all())
            and bool((event <= recv).all())
        )
        if not in_order:
            raise MarketDataError(
                f"source {self.feed.source}: rows after {self.last_event_ns} ns run backwards in time or arrive before"
                " they happen; expected rising event and receive times. Clean the recording with `voldesk check data`."
            )
        self.last_event_ns, self.last_recv_ns = int(event[-1]), int(recv[-1])
        self.rows += len(block)
        self.pending.append(block)
        return block

    def release(self, before_ns: int) -> list[_Rows]:
        """Rows whose event time lies before the frontier, as views of the pending blocks."""
        out = []
        while self.pending:
            block, start = self.pending[0], self.taken
            stop = int(np.searchsorted(block.ints[_EVENT], before_ns, side="left"))
            if stop > start:
                out.append(_Rows(block.source, block.ints[:, start:stop], block.floats[:, start:stop]))
            if stop < len(block):
                self.taken = max(start, stop)
                break
            self.pending.popleft()
            self.taken = 0
        return out

    def waiting(self) -> list[Block]:
        """What is pending, each row once."""
        return [block.cut(self.taken if place == 0 else 0, len(block)) for place, block in enumerate(self.pending)]


class Inbox:
    """Feeds in, windows of rows out. `on_block` is told of every block before any of its rows is applied."""

    def __init__(self, feeds: Sequence[Feed], clock: TwoClock) -> None:
        ranks = [feed.source for feed in feeds]
        if len(set(ranks)) != len(ranks):
            raise MarketDataError(f"feeds share a source rank: {ranks}; expected one rank each.")
        self._sources = [_Source(feed) for feed in sorted(feeds, key=lambda feed: feed.source)]
        self._clock = clock
        self._ints: IntArray = np.zeros((WINDOW_INTS, 0), np.int64)
        self._floats: FloatArray = np.zeros((TICKER_WIDTH, 0))
        self._released_ns = 0
        self.blocks_taken: list[Block] = []
        self.last_recv_ns = 0
        self._dropped = 0  # rows that the desk has received and the window no longer holds

    @property
    def exhausted(self) -> bool:
        """Every feed has ended and every row has been released."""
        return self._released_ns == NEVER_NS

    @property
    def rows(self) -> int:
        """Rows taken from all feeds so far."""
        return sum(source.rows for source in self._sources)

    @property
    def delivered(self) -> int:
        """Rows that the desk has received."""
        return self._dropped + self._clock.desk_rows

    def limit(self, due_ns: int) -> int:
        """The latest time up to which the loaded window is complete, at most `due_ns`; always when all is released."""
        return due_ns if due_ns < self._released_ns or self._released_ns == NEVER_NS else self._released_ns - 1

    def extend(self) -> None:
        """Take the next block from the source that is furthest behind, and load what became certain."""
        open_sources = [source for source in self._sources if not source.ended]
        if open_sources:
            laggard = min(open_sources, key=lambda source: (source.last_event_ns, source.feed.source))
            block = laggard.pull()
            if block is not None and len(block):
                self.blocks_taken.append(block)
                self.last_recv_ns = max(self.last_recv_ns, laggard.last_recv_ns)
        frontier = min((source.last_event_ns for source in self._sources if not source.ended), default=NEVER_NS)
        if frontier <= self._released_ns:
            return
        self._released_ns = frontier
        fresh = [block for source in self._sources for block in source.release(frontier)]
        if fresh:
            self._load(fresh)

    def _load(self, fresh: list[_Rows]) -> None:
        clock = self._clock
        done = clock.desk_rows
        self._dropped += done
        kept = self._ints.shape[1] - done
        # The venue is never behind the desk: of the rows the desk still waits for it may have seen some.
        order = self._ints[VENUE_ORDER, : clock.venue_rows]
        kept_seen = order[order >= done] - done
        kept_ints, kept_floats = self._ints[:, done:].copy(), self._floats[:, done:].copy()
        count = kept + sum(rows.ints.shape[1] for rows in fresh)
        ints, floats = clock.room(count)
        ints[:, :kept], floats[:, :kept] = kept_ints, kept_floats
        at = kept
        for rows in fresh:
            stop = at + rows.ints.shape[1]
            ints[:INT_WIDTH, at:stop] = rows.ints
            ints[SOURCE, at:stop] = rows.source
            width = rows.floats.shape[0]
            floats[:width, at:stop] = rows.floats
            floats[width:, at:stop] = np.nan
            at = stop
        seen = np.zeros(count, np.bool_)
        seen[kept_seen] = True
        if len(self._sources) > 1:
            order = np.lexsort((ints[SOURCE], ints[_RECV]))
            ints[:], floats[:], seen = ints[:, order], floats[:, order], seen[order]
        event = ints[_EVENT]
        if bool((event[1:] >= event[:-1]).all()) and len(self._sources) == 1:
            ints[VENUE_ORDER] = np.arange(count)
        else:
            ints[VENUE_ORDER] = np.lexsort((ints[SOURCE], event, ~seen))
        self._ints, self._floats = ints, floats
        clock.load(count, int(seen.sum()))

    def window(self) -> tuple[IntArray, FloatArray]:
        """The loaded rows, for whoever was stopped at one of them."""
        return self._ints, self._floats

    def state(self) -> State:
        done = self._clock.desk_rows
        order = self._ints[VENUE_ORDER, : self._clock.venue_rows]
        return {
            "ints": self._ints[:, done:].copy(),
            "floats": self._floats[:, done:].copy(),
            "seen": np.sort(order[order >= done] - done),
            "released_ns": self._released_ns,
            "last_recv_ns": self.last_recv_ns,
            "delivered": self.delivered,
            "sources": [
                {
                    "feed": source.feed.state(),
                    "ended": source.ended,
                    "last": [source.last_event_ns, source.last_recv_ns, source.rows],
                    "pending": [{"ints": block.ints, "floats": block.floats} for block in source.waiting()],
                }
                for source in self._sources
            ],
        }

    def restore(self, state: State) -> None:
        self._released_ns = state["released_ns"]
        self.last_recv_ns = state["last_recv_ns"]
        self._dropped = state["delivered"]
        for source, saved in zip(self._sources, state["sources"], strict=True):
            source.feed.restore(saved["feed"])
            source.ended = saved["ended"]
            source.last_event_ns, source.last_recv_ns, source.rows = saved["last"]
            source.taken = 0
            source.pending = deque(Block(source.feed.source, item["ints"], item["floats"]) for item in saved["pending"])
        count = state["ints"].shape[1]
        self._ints, self._floats = self._clock.room(count)
        self._ints[:], self._floats[:] = state["ints"], state["floats"]
        seen = np.zeros(count, np.bool_)
        seen[state["seen"]] = True
        self._ints[VENUE_ORDER] = np.lexsort((self._ints[SOURCE], self._ints[_EVENT], ~seen))
        self._clock.load(count, int(seen.sum()))

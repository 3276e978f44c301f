"""Periodic and single timers on feed time, in order of (due, rank of registration)."""

from __future__ import annotations

import heapq

from voldesk.core.ports import State
from voldesk.core.units import NEVER_NS


class Timers:
    """Periods are aligned to the epoch, so that a restart does not move them. Keys name what is to be woken."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, str, int]] = []
        self._rank = 0

    def every(self, key: str, period_ns: int, now_ns: int) -> None:
        """Wake `key` at every whole multiple of the period after `now_ns`."""
        heapq.heappush(self._heap, ((now_ns // period_ns + 1) * period_ns, self._rank, key, period_ns))
        self._rank += 1

    def at(self, key: str, due_ns: int) -> None:
        """Wake `key` once."""
        heapq.heappush(self._heap, (due_ns, self._rank, key, 0))
        self._rank += 1

    def next_time_ns(self) -> int:
        return self._heap[0][0] if self._heap else NEVER_NS

    def pop_due(self, now_ns: int) -> str | None:
        """The next key due at or before `now_ns`; a period is set up again. A period that was missed (no data,
        no step) fires once, not once per missed beat."""
        if not self._heap or self._heap[0][0] > now_ns:
            return None
        _, rank, key, period_ns = self._heap[0]
        if period_ns:
            heapq.heapreplace(self._heap, ((now_ns // period_ns + 1) * period_ns, rank, key, period_ns))
        else:
            heapq.heappop(self._heap)
        return key

    def state(self) -> State:
        return {"heap": [list(entry) for entry in sorted(self._heap)], "rank": self._rank}

    def restore(self, state: State) -> None:
        self._heap = [(int(due), int(rank), str(key), int(period)) for due, rank, key, period in state["heap"]]
        self._rank = state["rank"]

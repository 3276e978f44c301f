"""Slow work under a stated latency: the result of a job asked for at t arrives as an event at t + latency.

The job runs when it is asked for, on the inputs it was given; its result is held back until it is due. So a
backtest charges for computing time without depending on how fast this machine is, and a snapshot can hold the result.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

import msgspec

from voldesk.core.events import ComputeResult
from voldesk.core.ports import State
from voldesk.core.units import NEVER_NS

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ComputeResult)


class DeferredCompute:
    """The embedded `Compute`: in process, in order of (due, request)."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, ComputeResult]] = []
        self._sequence = 0

    def request(self, job: Callable[[], ComputeResult], due_ns: int) -> None:
        heapq.heappush(self._heap, (due_ns, self._sequence, job()))
        self._sequence += 1

    def next_time_ns(self) -> int:
        return self._heap[0][0] if self._heap else NEVER_NS

    def collect(self, now_ns: int) -> Sequence[ComputeResult]:
        done = []
        while self._heap and self._heap[0][0] <= now_ns:
            done.append(heapq.heappop(self._heap)[2])
        return done

    def state(self) -> State:
        return {
            "waiting": [[due, number, _encoder.encode(result)] for due, number, result in sorted(self._heap)],
            "sequence": self._sequence,
        }

    def restore(self, state: State) -> None:
        self._heap = [(due, number, _decoder.decode(body)) for due, number, body in state["waiting"]]
        self._sequence = state["sequence"]


class RecordedCompute:
    """Replays results that a journal holds: nothing is computed again."""

    def __init__(self, results: Sequence[tuple[int, ComputeResult]]) -> None:
        self._results = list(results)
        self._next = 0

    def request(self, job: Callable[[], ComputeResult], due_ns: int) -> None:
        """The recorded result of this request is among those given."""

    def next_time_ns(self) -> int:
        return self._results[self._next][0] if self._next < len(self._results) else NEVER_NS

    def collect(self, now_ns: int) -> Sequence[ComputeResult]:
        done = []
        while self._next < len(self._results) and self._results[self._next][0] <= now_ns:
            done.append(self._results[self._next][1])
            self._next += 1
        return done

    def state(self) -> State:
        return {"next": self._next}

    def restore(self, state: State) -> None:
        self._next = state["next"]

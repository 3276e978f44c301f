"""What the venue has to do and when, and what it has said that the desk has not heard yet."""

from __future__ import annotations

import heapq
from collections import deque
from enum import IntEnum

import msgspec

from voldesk.core.orders import Command
from voldesk.core.ports import State
from voldesk.core.reports import Report
from voldesk.core.units import NEVER_NS
from voldesk.sim.latency import Latency


class Due(IntEnum):
    """Kinds of entry, in the order of work within one instant."""

    INDEX_READING = 0
    SETTLEMENT = 1
    FUNDING = 2
    COMMAND = 3
    MARGIN_CHECK = 4


Entry = tuple[int, int, int, "Command | int"]
"""Time, kind, running number, and the command or the number of the expiry it is about."""

_ANY_COMMAND: type[Command] = Command  # type: ignore[assignment]
_ANY_REPORT: type[Report] = Report  # type: ignore[assignment]


class Timetable:
    """Entries in order of (time, kind, number given when entered)."""

    __slots__ = ("_entries", "_number")

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._number = 0

    def enter(self, at_ns: int, kind: Due, what: Command | int = 0) -> None:
        self._number += 1
        heapq.heappush(self._entries, (at_ns, int(kind), self._number, what))

    def next_ns(self) -> int:
        return self._entries[0][0] if self._entries else NEVER_NS

    def pop(self) -> Entry:
        return heapq.heappop(self._entries)

    def state(self) -> State:
        entries = sorted(self._entries, key=lambda entry: entry[:3])
        return {"entries": [[*e[:3], msgspec.to_builtins(e[3])] for e in entries], "number": self._number}

    def restore(self, state: State) -> None:
        self._number = int(state["number"])
        self._entries = [
            (int(at), int(kind), int(number), what if isinstance(what, int) else msgspec.convert(what, _ANY_COMMAND))
            for at, kind, number, what in state["entries"]
        ]  # sorted, which is a heap


class Outbox:
    """Reports on their way to the desk, in the order in which things happened; numbers trades."""

    __slots__ = ("_latency", "_reports", "_trade_id")

    def __init__(self, latency: Latency) -> None:
        self._latency = latency
        self._reports: deque[Report] = deque()
        self._trade_id = 0

    def recv_ns(self, now_ns: int) -> int:
        """When the desk will hear of what happens now; ask once per report, in order."""
        return self._latency.report_ns(now_ns)

    def send(self, report: Report) -> None:
        self._reports.append(report)

    def next_trade_id(self) -> int:
        self._trade_id += 1
        return self._trade_id

    def next_ns(self) -> int:
        return self._reports[0].ts_recv_ns if self._reports else NEVER_NS

    def heard(self, now_ns: int) -> list[Report]:
        """Take out what has reached the desk by now."""
        reports = self._reports
        out: list[Report] = []
        while reports and reports[0].ts_recv_ns <= now_ns:
            out.append(reports.popleft())
        return out

    def state(self) -> State:
        return {"reports": [msgspec.to_builtins(report) for report in self._reports], "trade_id": self._trade_id}

    def restore(self, state: State) -> None:
        self._reports = deque(msgspec.convert(report, _ANY_REPORT) for report in state["reports"])
        self._trade_id = int(state["trade_id"])

"""Replay: the inputs a journal holds, fed to a fresh desk, and the check that it decides the same."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from voldesk.core.blocks import Block
from voldesk.core.errors import JournalError
from voldesk.core.events import ComputeResult, OperatorCommand, SurfaceFitted, VolForecast
from voldesk.core.orders import Command
from voldesk.core.ports import State
from voldesk.core.reports import Report
from voldesk.core.units import NEVER_NS
from voldesk.engine.journal import FORMAT, Record, RecordKind, decode_block, read_journal

_Input = Report | ComputeResult | OperatorCommand
_decoder = msgspec.msgpack.Decoder(tuple[int, _Input])


@dataclass(slots=True)
class Recorded:
    """A journal taken apart. `at` times are when the desk was given each input."""

    header: dict[str, object]
    blocks: dict[int, list[Block]] = field(default_factory=dict)
    reports: list[tuple[int, Report]] = field(default_factory=list)
    results: list[tuple[int, ComputeResult]] = field(default_factory=list)
    operators: list[tuple[int, OperatorCommand]] = field(default_factory=list)
    decisions: list[Record] = field(default_factory=list)
    records: int = 0


def take_apart(folder: Path, complete: bool) -> Recorded:
    """Read a whole journal. Raises JournalError naming the record where it is damaged."""
    found: Recorded | None = None
    for record in read_journal(folder, complete):
        if record.kind is RecordKind.HEADER and found is None:
            found = Recorded(msgspec.msgpack.decode(record.payload))
            if found.header.get("format") != FORMAT:
                raise JournalError(
                    f"journal format {found.header.get('format')} is not known here; expected {FORMAT}. Use the voldesk"
                    " that wrote it."
                )
        elif found is None:
            raise JournalError(f"journal record 0 ({record.segment}, byte 0) is {record.kind.name}; expected HEADER.")
        elif record.kind is RecordKind.ROWS:
            block = decode_block(record.payload)
            found.blocks.setdefault(block.source, []).append(block)
        elif record.kind is RecordKind.INPUT:
            _sort_input(found, *_decoder.decode(record.payload))
        elif record.kind is RecordKind.DECISION:
            found.decisions.append(record)
    if found is None:
        raise JournalError(f"{folder.name}: the journal is empty; the run never began.")
    found.records = found.decisions[-1].number + 1 if found.decisions else 0
    return found


def operators_in(records: Iterable[Record]) -> list[tuple[int, OperatorCommand]]:
    """People's actions among some records: the one input that a re-run cannot make again by itself."""
    inputs = (_decoder.decode(record.payload) for record in records if record.kind is RecordKind.INPUT)
    return [(at_ns, item) for at_ns, item in inputs if isinstance(item, OperatorCommand)]


def _sort_input(found: Recorded, at_ns: int, item: _Input) -> None:
    if isinstance(item, VolForecast | SurfaceFitted):
        found.results.append((at_ns, item))
    elif isinstance(item, OperatorCommand):
        found.operators.append((at_ns, item))
    else:
        found.reports.append((at_ns, item))


class RecordedVenue:
    """Says what the venue said, when it said it; what the desk sends goes nowhere."""

    def __init__(self, reports: Iterable[tuple[int, Report]]) -> None:
        self._reports = deque(reports)

    def submit(self, command: Command, now_ns: int) -> None:
        """The recorded answer is already among the reports."""

    def next_time_ns(self) -> int:
        return self._reports[0][0] if self._reports else NEVER_NS

    def advance(self, now_ns: int) -> Sequence[Report]:
        heard = []
        while self._reports and self._reports[0][0] <= now_ns:
            heard.append(self._reports.popleft()[1])
        return heard

    def state(self) -> State:
        return {"left": len(self._reports)}

    def restore(self, state: State) -> None:
        while len(self._reports) > state["left"]:
            self._reports.popleft()


class RecordedRows:
    """A feed of journalled blocks."""

    def __init__(self, source: int, blocks: Sequence[Block]) -> None:
        self.source = source
        self._blocks = blocks
        self._next = 0

    def next_block(self) -> Block | None:
        if self._next >= len(self._blocks):
            return None
        self._next += 1
        return self._blocks[self._next - 1]

    def state(self) -> State:
        return {"next": self._next}

    def restore(self, state: State) -> None:
        self._next = state["next"]


_FIGURE: Final = re.compile(r"[-+]?\d+(?:\.\d+)?")


def _equal_enough(known: bytes, found: bytes) -> bool:
    return same_decision(msgspec.msgpack.decode(known), msgspec.msgpack.decode(found))


def same_decision(one: Any, other: Any) -> bool:
    """Equal but for floats within 1e-9 (relative to the larger of the two and 1), and for text that quotes them."""
    if isinstance(one, float) and isinstance(other, float):
        both_nan = one != one and other != other
        return both_nan or abs(one - other) <= 1e-9 * max(1.0, abs(one), abs(other))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_decision, one, other))
    if isinstance(one, str) and isinstance(other, str):
        return _FIGURE.sub("#", one) == _FIGURE.sub("#", other)
    return bool(one == other)


class DecisionCheck:
    """A journal that writes nothing: every decision must equal the recorded one, in order.

    Byte for byte in the environment of the recording; elsewhere (another machine, other versions) orders exactly and
    floats to 1e-9, since the last bit of an exponential is nobody's promise (DESIGN §2).
    """

    def __init__(self, expected: Sequence[Record], to_the_byte: bool = True) -> None:
        self._expected = expected
        self._to_the_byte = to_the_byte
        self.matched = 0

    def append(self, kind: RecordKind, payload: bytes) -> None:
        if kind is not RecordKind.DECISION:
            return
        if self.matched >= len(self._expected):
            raise JournalError(
                f"decision {self.matched + 1} of the replay is not in the journal: the recorded run decided"
                f" {len(self._expected)} times. Program, configuration or inputs differ."
            )
        known = self._expected[self.matched]
        if known.payload != payload and (self._to_the_byte or not _equal_enough(known.payload, payload)):
            raise JournalError(
                f"journal record {known.number} ({known.segment}, byte {known.offset}), decision {self.matched + 1}:"
                " the replay decides otherwise. Program, configuration or inputs differ."
            )
        self.matched += 1

    def flush(self) -> None:
        """Nothing is buffered."""

    def finish(self) -> None:
        """Raises JournalError when recorded decisions are left over."""
        if self.matched < len(self._expected):
            known = self._expected[self.matched]
            raise JournalError(
                f"journal record {known.number} ({known.segment}, byte {known.offset}) was not decided again: the"
                f" replay stopped after {self.matched} of {len(self._expected)} decisions."
            )

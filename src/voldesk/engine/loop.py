"""The order of time: one thing after another enters the desk, the same in backtest, paper and live.

At equal times: rows, then what the venue does and reports, then results of slow work, then people, then timers.
Every input is in the journal before the desk acts on it; every decision before it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from voldesk.core.events import OperatorCommand
from voldesk.core.orders import Command
from voldesk.core.ports import Compute, State, Venue
from voldesk.core.reports import Report
from voldesk.core.units import NEVER_NS
from voldesk.engine.desk import Desk
from voldesk.engine.inbox import Inbox
from voldesk.engine.journal import Journal, RecordKind, encode_block
from voldesk.engine.timers import Timers
from voldesk.market.two_clock import Stop, TwoClock
from voldesk.market.watches import Watches

_encode = msgspec.msgpack.Encoder().encode


class Engine:
    """Owns the loop, not the parts. `journal_rows` writes market rows inline (paper, live)."""

    def __init__(
        self,
        desk: Desk,
        inbox: Inbox,
        clock: TwoClock,
        watches: Watches,
        venue: Venue,
        compute: Compute,
        timers: Timers,
        journal: Journal,
        journal_rows: bool,
    ) -> None:
        self.desk = desk
        self.inbox = inbox
        self.clock = clock
        self.watches = watches
        self.venue = venue
        self.compute = compute
        self.timers = timers
        self.journal = journal
        self.journal_rows = journal_rows
        self.now_ns = 0
        self.begun = False
        self._operators: list[tuple[int, OperatorCommand]] = []
        self._heard: list[Report] = []  # heard while a level was touched, told once the rows of that time are in

    def operate(self, command: OperatorCommand, at_ns: int) -> None:
        """Hand in a person's action; it is taken at `at_ns`, or at once if that has passed."""
        self._operators.append((at_ns, command))
        self._operators.sort(key=lambda item: item[0])

    def run(self, until_ns: int = NEVER_NS, on_progress: Callable[[int], None] | None = None) -> bool:
        """Live through everything up to `until_ns`. False when the feeds have ended and nothing is left to do."""
        if not self.begun and not self._begin(until_ns):
            return not self.inbox.exhausted
        inbox, clock, venue, compute, timers = self.inbox, self.clock, self.venue, self.compute, self.timers
        desk = self.desk
        on_quote = desk.on_quote
        while True:
            arrives = min(venue.next_time_ns(), compute.next_time_ns(), desk.next_time_ns())
            beat = timers.next_time_ns()
            due = beat if beat < arrives else arrives
            if self._heard:
                due = self.now_ns
            if self._operators and self._operators[0][0] < due:
                due = max(self._operators[0][0], self.now_ns)
            over = due > until_ns
            if over:
                due = until_ns
            limit = inbox.limit(due)
            stop, at_ns, lone = clock.run(limit)
            # A strategy that asks for nothing moves nothing that is due: the next row can follow at once.
            while lone >= 0:
                if at_ns > self.now_ns:  # half the price of max(), and this is the hottest line in Python
                    self.now_ns = at_ns
                commands = on_quote(at_ns, lone)
                if commands is not None:
                    self._send(commands)
                    break
                stop, at_ns, lone = clock.run(limit)
            if lone >= 0:
                continue
            if stop == Stop.TOUCH:
                self._advance(at_ns)
                self.watches.hits.extend(clock.touched())
                self._heard.extend(venue.advance(at_ns))
            elif stop == Stop.WANTED:
                self._advance(at_ns)
                self._send(self.desk.on_rows(at_ns, clock.is_snapshot(), clock.wanted_instruments()))
            elif limit < due:
                self._extend()
                if on_progress is not None:
                    on_progress(self.now_ns)
            elif over or (inbox.exhausted and due > inbox.last_recv_ns):
                self._advance(min(due, inbox.last_recv_ns) if inbox.exhausted else due)
                self.journal.flush()
                return not inbox.exhausted
            else:
                if due > self.now_ns:
                    self.now_ns = due
                if arrives <= due or self._heard or self._operators:
                    self._arrivals(due)
                while (key := timers.pop_due(due)) is not None:
                    self._send(desk.on_timer(due, key))

    def _begin(self, until_ns: int) -> bool:
        """Find the first row; the desk starts at its time. False when it lies beyond `until_ns` or never comes."""
        while True:
            ints, _ = self.inbox.window()
            if ints.shape[1]:
                break
            if self.inbox.exhausted:
                return False
            self._extend()
        first_ns = int(ints[0, 0])
        if first_ns > until_ns:
            return False
        self._advance(first_ns)
        self.desk.start(first_ns)
        self.begun = True
        return True

    def _advance(self, to_ns: int) -> None:
        self.now_ns = max(self.now_ns, to_ns)

    def _extend(self) -> None:
        self.inbox.extend()
        blocks = self.inbox.blocks_taken
        if blocks:
            if self.journal_rows:
                for block in blocks:
                    self.journal.append(RecordKind.ROWS, encode_block(block))
                self.journal.flush()
            blocks.clear()

    def _arrivals(self, now_ns: int) -> None:
        """Everything that is due now and is neither a row nor a timer, in rank order."""
        if self._heard or self.venue.next_time_ns() <= now_ns:
            reports = [*self._heard, *self.venue.advance(now_ns)]
            self._heard = []
            for report in reports:
                self.journal.append(RecordKind.INPUT, _encode([now_ns, report]))
                self._send(self.desk.on_report(now_ns, report))
        if self.compute.next_time_ns() <= now_ns:
            for result in self.compute.collect(now_ns):
                self.journal.append(RecordKind.INPUT, _encode([now_ns, result]))
                self._send(self.desk.on_result(now_ns, result))
        while self._operators and self._operators[0][0] <= now_ns:
            command = self._operators.pop(0)[1]
            self.journal.append(RecordKind.INPUT, _encode([now_ns, command]))
            self._send(self.desk.on_operator(now_ns, command))
        if self.desk.next_time_ns() <= now_ns:
            self._send(self.desk.on_time(now_ns))

    def _send(self, commands: Sequence[Command]) -> None:
        """Decisions are in the journal (the desk put them there) and reach the disk before the venue hears them."""
        if not commands:
            return
        if self.journal_rows:
            self.journal.flush()
        for command in commands:
            self.venue.submit(command, self.now_ns)

    def state(self) -> State:
        return {
            "now_ns": self.now_ns,
            "begun": self.begun,
            "clock": self.clock.state(),
            "inbox": self.inbox.state(),
            "venue": self.venue.state(),
            "compute": self.compute.state(),
            "timers": self.timers.state(),
            "desk": self.desk.state(),
        }

    def restore(self, state: State) -> None:
        self.now_ns, self.begun = state["now_ns"], state["begun"]
        self.clock.restore(state["clock"])
        self.inbox.restore(state["inbox"])
        self.venue.restore(state["venue"])
        self.compute.restore(state["compute"])
        self.timers.restore(state["timers"])
        self.desk.restore(state["desk"])

"""The order in which things reach the desk, with a desk and a venue that only write down what they were given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.blocks import Block, IntColumn, RowFlag
from voldesk.core.orders import CancelOrder, Command
from voldesk.core.ports import State
from voldesk.core.reports import OrderCancelled, Report
from voldesk.core.rng import random_stream
from voldesk.core.units import NEVER_NS
from voldesk.engine.deferred import DeferredCompute
from voldesk.engine.inbox import Inbox
from voldesk.engine.loop import Engine
from voldesk.engine.recorded import RecordedRows
from voldesk.engine.timers import Timers
from voldesk.market.two_clock import TwoClock
from voldesk.market.watches import Watches

LATENCY_NS = 7
PERIOD_NS = 50
ROW, REPORT, WORK, TIMER = range(4)  # at equal times in this order


class NoJournal:
    def append(self, kind: object, payload: bytes) -> None: ...

    def flush(self) -> None: ...


class EchoVenue:
    """Answers each command a latency later, one answer each."""

    def __init__(self) -> None:
        self.answers: list[OrderCancelled] = []

    def submit(self, command: Command, now_ns: int) -> None:
        assert isinstance(command, CancelOrder)
        self.answers.append(OrderCancelled(now_ns, now_ns + LATENCY_NS, command.order_id, "user"))

    def next_time_ns(self) -> int:
        return self.answers[0].ts_recv_ns if self.answers else NEVER_NS

    def advance(self, now_ns: int) -> Sequence[Report]:
        heard = [answer for answer in self.answers if answer.ts_recv_ns <= now_ns]
        self.answers = self.answers[len(heard) :]
        return heard

    def state(self) -> State:
        return {}

    def restore(self, state: State) -> None: ...


class WritingDesk:
    """Wants every row; on those in `sends` it sends a command, on those in `waits` it asks to be called 3 ns later
    without sending anything."""

    def __init__(self, sends: set[int], waits: set[int]) -> None:
        self.sends, self.waits = sends, waits
        self.seen: list[tuple[int, int, int]] = []
        self.rows = 0
        self.wake_ns = NEVER_NS

    def start(self, now_ns: int) -> None: ...

    def on_quote(self, now_ns: int, instrument: int) -> Sequence[Command] | None:
        self.seen.append((now_ns, ROW, self.rows))
        self.rows += 1
        if self.rows in self.waits:
            self.wake_ns = min(self.wake_ns, now_ns + 3)
            return ()
        return [CancelOrder(self.rows, now_ns, "test")] if self.rows in self.sends else None

    def on_report(self, now_ns: int, report: OrderCancelled) -> Sequence[Command]:
        assert now_ns == report.ts_recv_ns
        self.seen.append((now_ns, REPORT, report.order_id))
        return ()

    def on_timer(self, now_ns: int, key: str) -> Sequence[Command]:
        self.seen.append((now_ns, TIMER, 0))
        return ()

    def next_time_ns(self) -> int:
        return self.wake_ns

    def on_time(self, now_ns: int) -> Sequence[Command]:
        assert now_ns == self.wake_ns
        self.seen.append((now_ns, WORK, 0))
        self.wake_ns = NEVER_NS
        return ()


def _block(seed: int, rows: int) -> Block:
    rng = random_stream(seed, "loop")
    ints = np.zeros((5, rows), np.int64)
    ints[IntColumn.TS_EVENT_NS] = np.cumsum(rng.integers(0, 20, rows))
    ints[IntColumn.TS_RECV_NS] = ints[IntColumn.TS_EVENT_NS] + 2
    ints[IntColumn.INSTRUMENT] = rng.integers(0, 3, rows)
    ints[IntColumn.FLAGS] = RowFlag.QUOTE | RowFlag.GROUP_END
    return Block(0, ints, np.ones((4, rows)))


def _live_through(block: Block, cut: int, sends: set[int], waits: set[int]) -> list[tuple[int, int, int]]:
    clock = TwoClock(3)
    clock.wanted[:] = 1.0
    desk, timers = WritingDesk(sends, waits), Timers()
    timers.every("beat", PERIOD_NS, 0)
    feed = RecordedRows(0, [block.cut(at, min(at + cut, len(block))) for at in range(0, len(block), cut)])
    watches = Watches(clock.level_buy, clock.level_sell)
    inbox = Inbox([feed], clock)
    engine = Engine(desk, inbox, clock, watches, EchoVenue(), DeferredCompute(), timers, NoJournal(), False)  # type: ignore[arg-type]
    engine.run()
    return desk.seen


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 80),
    st.sets(st.integers(1, 79), max_size=15),
    st.sets(st.integers(1, 79), max_size=10),
)
def test_everything_reaches_the_desk_in_order_of_time_and_rank(
    seed: int, cut: int, sends: set[int], waits: set[int]
) -> None:
    block = _block(seed, 80)
    seen = _live_through(block, cut, sends, waits)
    assert [entry[:2] for entry in seen] == sorted(entry[:2] for entry in seen)
    recv = block.ints[IntColumn.TS_RECV_NS].tolist()
    assert [at for at, kind, _ in seen if kind == ROW] == recv
    # What was sent before the end of the data is answered a latency later, whatever rows lie between.
    answers = [(recv[n - 1] + LATENCY_NS, n) for n in sorted(sends - waits) if recv[n - 1] + LATENCY_NS <= recv[-1]]
    assert [(at, n) for at, kind, n in seen if kind == REPORT] == answers
    beats = range(PERIOD_NS * (recv[0] // PERIOD_NS + 1), recv[-1] + 1, PERIOD_NS)
    assert {at for at, kind, _ in seen if kind == TIMER} >= set(beats)
    assert seen == _live_through(block, 80, sends, waits)


def test_an_intent_that_sends_nothing_still_moves_what_is_due() -> None:
    """A refused or waiting order sets a time for the executor without a command for the venue."""
    seen = _live_through(_block(1, 80), 80, set(), {5})
    at = next(when for when, kind, number in seen if kind == ROW and number == 4)
    assert (at + 3, WORK, 0) in seen

"""Inbox and two-clock pass together: what is seen, and when, does not depend on where the stream was cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.blocks import Block, FloatColumn, IntColumn, RowFlag
from voldesk.core.compiled import plain
from voldesk.core.errors import MarketDataError
from voldesk.core.rng import random_stream
from voldesk.core.units import NEVER_NS
from voldesk.engine.inbox import Inbox
from voldesk.market import two_clock
from voldesk.market.state import Field
from voldesk.market.two_clock import Stop, TwoClock

INSTRUMENTS = 5


def _stream(source: int, seed: int, groups: int = 60) -> Block:
    """Random groups of 1..4 rows with random feed delays; both clocks rising."""
    rng = random_stream(seed, "stream", source)
    sizes = rng.integers(1, 5, groups)
    event = np.cumsum(rng.integers(0, 50, groups))
    recv = np.maximum.accumulate(event + rng.integers(0, 120, groups))
    n = int(sizes.sum())
    ints = np.zeros((5, n), np.int64)
    ints[IntColumn.TS_EVENT_NS] = np.repeat(event, sizes)
    ints[IntColumn.TS_RECV_NS] = np.repeat(recv, sizes)
    ints[IntColumn.INSTRUMENT] = rng.integers(0, INSTRUMENTS, n)
    ints[IntColumn.FLAGS] = RowFlag.QUOTE
    ints[IntColumn.FLAGS, np.cumsum(sizes) - 1] |= RowFlag.GROUP_END
    ints[IntColumn.GROUP] = np.repeat(np.arange(groups), sizes)
    floats = np.round(rng.uniform(90, 110, (4, n)), 1)
    floats[FloatColumn.ASK] = floats[FloatColumn.BID] + 1.0
    return Block(source, ints, floats)


class ListFeed:
    """Delivers a stream cut at the given places."""

    def __init__(self, block: Block, cuts: list[int]) -> None:
        self._block, self.source, self._at = block, block.source, 0
        self._edges = [*sorted({cut for cut in cuts if 0 < cut < len(block)}), len(block)]

    def next_block(self) -> Block | None:
        if self._at >= len(self._block):
            return None
        stop = next(edge for edge in self._edges if edge > self._at)
        block = self._block.cut(self._at, stop)
        self._at = stop
        return block

    def state(self) -> dict[str, int]:
        return {"at": self._at}

    def restore(self, state: dict[str, int]) -> None:
        self._at = state["at"]


def _drive(feeds: list[ListFeed], restart_after: int = -1) -> list[tuple[object, ...]]:
    """What a desk with a timer each 100 ns, two subscriptions and a resting order would live through."""

    def fresh(feeds: list[ListFeed]) -> tuple[TwoClock, Inbox]:
        clock = TwoClock(INSTRUMENTS)
        clock.wanted[1] = 1.0
        clock.level_buy[2] = 93.0
        clock.level_sell[3] = 108.5
        return clock, Inbox(feeds, clock)

    clock, inbox = fresh(feeds)
    seen: list[tuple[object, ...]] = []
    timer, steps = 100, 0
    while timer < 4_000:
        limit = inbox.limit(timer)
        stop, at, lone = clock.run(limit)
        if stop == Stop.TOUCH:
            seen.append(("touch", at, tuple(clock.touched()), clock.venue.values.tobytes()))
        elif stop == Stop.WANTED:
            seen.append(("row", at, lone, tuple(clock.wanted_instruments()), clock.desk.values.tobytes()))
        elif limit < timer:
            inbox.extend()
        else:
            seen.append(("timer", timer, clock.desk.values.tobytes(), clock.venue.values.tobytes()))
            timer += 100
        steps += 1
        if steps == restart_after:
            saved = (clock.state(), inbox.state())
            clock, inbox = fresh([ListFeed(feed._block, feed._edges) for feed in feeds])
            clock.restore(saved[0])
            inbox.restore(saved[1])
    assert inbox.exhausted
    return seen


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 200), max_size=40), st.lists(st.integers(1, 200), max_size=40))
def test_recutting_two_sources_changes_nothing_that_anybody_sees(seed: int, one: list[int], two: list[int]) -> None:
    a, b = _stream(0, seed), _stream(1, seed + 1)
    whole = _drive([ListFeed(a, []), ListFeed(b, [])])
    assert _drive([ListFeed(a, one), ListFeed(b, two)]) == whole
    assert _drive([ListFeed(a, list(range(len(a)))), ListFeed(b, list(range(len(b))))]) == whole


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 200), max_size=20), st.integers(1, 150))
def test_a_restart_at_any_step_goes_on_as_if_nothing_had_happened(seed: int, cuts: list[int], step: int) -> None:
    a, b = _stream(0, seed), _stream(1, seed + 1)
    assert _drive([ListFeed(a, cuts), ListFeed(b, cuts)], restart_after=step) == _drive(
        [ListFeed(a, cuts), ListFeed(b, cuts)]
    )


def test_the_pass_equals_a_sort_and_apply_reference() -> None:
    a, b = _stream(0, 5), _stream(1, 6)
    clock = TwoClock(INSTRUMENTS)
    inbox = Inbox([ListFeed(a, [7, 50]), ListFeed(b, [3])], clock)
    rows = [
        (int(block.ints[IntColumn.TS_RECV_NS, i]), block.source, i, block)
        for block in (a, b)
        for i in range(len(block))
    ]
    for limit in range(50, 4_000, 50):
        while inbox.limit(limit) < limit:
            assert clock.run(inbox.limit(limit))[0] == Stop.LIMIT
            inbox.extend()
        assert clock.run(limit)[0] == Stop.LIMIT
        expected = np.full((INSTRUMENTS, 4), np.nan)
        for recv, _, i, block in sorted(rows, key=lambda row: row[:3]):
            if recv <= limit:
                expected[block.ints[IntColumn.INSTRUMENT, i]] = block.floats[:, i]
        np.testing.assert_array_equal(clock.desk.values[:, :4], expected)


def test_the_compiled_pass_and_its_plain_twin_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = _stream(0, 11), _stream(1, 12)
    compiled = _drive([ListFeed(a, [9]), ListFeed(b, [])])
    monkeypatch.setattr(two_clock, "two_clock_pass", plain(two_clock.two_clock_pass))
    assert _drive([ListFeed(a, [9]), ListFeed(b, [])]) == compiled


def test_nobody_sees_half_a_snapshot() -> None:
    block = _stream(0, 3)
    for cut in range(1, len(block)):
        clock = TwoClock(INSTRUMENTS)
        clock.wanted[:] = 1.0
        inbox = Inbox([ListFeed(block, [cut])], clock)
        while True:
            stop, _, _ = clock.run(inbox.limit(NEVER_NS))
            if stop == Stop.WANTED:
                _, last = clock.stopped_rows()
                assert inbox.window()[0][IntColumn.FLAGS, last - 1] & RowFlag.GROUP_END
            elif inbox.exhausted:
                break
            else:
                inbox.extend()


def test_rows_that_run_backwards_are_refused_by_name() -> None:
    block = _stream(0, 1)
    block.ints[IntColumn.TS_EVENT_NS, 10:] -= 10_000
    inbox = Inbox([ListFeed(block, [])], TwoClock(INSTRUMENTS))
    with pytest.raises(MarketDataError, match=r"source 0: rows after .* run backwards"):
        inbox.extend()


def test_a_trade_strictly_through_a_resting_price_touches_it_and_a_nan_side_does_not() -> None:
    ints = np.zeros((5, 3), np.int64)
    ints[IntColumn.TS_EVENT_NS] = ints[IntColumn.TS_RECV_NS] = [1, 2, 3]
    ints[IntColumn.FLAGS] = [RowFlag.QUOTE | RowFlag.GROUP_END] + [RowFlag.TRADE | RowFlag.GROUP_END] * 2
    floats = np.array([[np.nan, 93.0, 92.9], [0, 1.0, -1.0], [np.nan, np.nan, np.nan], [0, 0, 0]])
    clock = TwoClock(1)
    clock.level_buy[0] = 93.0
    inbox = Inbox([ListFeed(Block(0, ints, floats), [])], clock)
    inbox.extend()
    inbox.extend()
    assert clock.run(NEVER_NS)[:2] == (Stop.TOUCH, 3)
    assert clock.venue.values[0, Field.LAST] == 92.9

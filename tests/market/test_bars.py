"""Bars from ticks and from shorter bars agree, whatever the cuts, and never span sessions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from voldesk.market import bars as bars_module
from voldesk.market.bars import ALWAYS_OPEN, BarBuilder, Bars, Sessions, bars_from_ticks, join_bars, resample

FIELDS = ("start_ns", "open", "high", "low", "close", "volume", "bought", "count")
SESSIONS = Sessions(
    np.array([9 * NS_PER_HOUR + 30 * NS_PER_MINUTE, NS_PER_DAY + 9 * NS_PER_HOUR]),
    np.array([11 * NS_PER_HOUR, NS_PER_DAY + 10 * NS_PER_HOUR]),
)


def assert_same(one: Bars, other: Bars) -> None:
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_a_bar_holds_first_highest_lowest_last_and_the_bought_volume() -> None:
    ts = np.array([0, 10, 59, 60, 200]) * NS_PER_SECOND
    made = bars_from_ticks(ts, np.array([5.0, 9.0, 4.0, 6.0, 7.0]), np.array([1.0, -2.0, 3.0, 4.0, -5.0]))
    assert made.start_ns.tolist() == [0, 60 * NS_PER_SECOND, 180 * NS_PER_SECOND]
    assert [made.open[0], made.high[0], made.low[0], made.close[0]] == [5.0, 9.0, 4.0, 4.0]
    assert made.volume.tolist() == [6.0, 4.0, 5.0]
    assert made.bought.tolist() == [4.0, 4.0, 0.0]
    assert made.count.tolist() == [3, 1, 1]


def slow_bars(ts: np.ndarray, price: np.ndarray, size: np.ndarray, interval: int) -> dict[int, list[float]]:
    """Plain dictionary of open, high, low, close, volume per bar start."""
    made: dict[int, list[float]] = {}
    for when, p, s in zip(ts.tolist(), price.tolist(), size.tolist(), strict=True):
        bar = made.setdefault(when // interval * interval, [p, p, p, p, 0.0])
        made[when // interval * interval] = [bar[0], max(bar[1], p), min(bar[2], p), p, bar[4] + abs(s)]
    return made


ticks = st.lists(st.tuples(st.integers(0, 90), st.integers(1, 200), st.integers(-5, 5)), min_size=1, max_size=120).map(
    lambda rows: (
        np.cumsum([r[0] for r in rows]) * NS_PER_SECOND,
        np.array([float(r[1]) for r in rows]),
        np.array([float(r[2]) for r in rows]),
    )
)


@settings(max_examples=60, deadline=None)
@given(ticks, st.lists(st.integers(0, 120), max_size=5))
def test_the_builder_fed_in_pieces_and_restored_gives_the_bars_of_the_batch(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray], cuts: list[int]
) -> None:
    ts, price, size = rows
    whole = bars_from_ticks(ts, price, size)
    expected = slow_bars(ts, price, size, NS_PER_MINUTE)
    assert whole.start_ns.tolist() == list(expected)
    got = np.column_stack([whole.open, whole.high, whole.low, whole.close, whole.volume])
    np.testing.assert_array_equal(got, list(expected.values()))
    edges = [0, *sorted(min(c, ts.size) for c in cuts), ts.size]
    builder, parts = BarBuilder(), []
    for a, b in itertools.pairwise(edges):
        parts.append(builder.add(ts[a:b], price[a:b], size[a:b]))
        again = BarBuilder()
        again.restore(builder.state())
        builder = again
    assert_same(join_bars([*parts, builder.finish()]), whole)


@settings(max_examples=40, deadline=None)
@given(ticks)
def test_fifteen_minutes_from_one_minute_bars_equal_fifteen_minutes_from_ticks(
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    direct = bars_from_ticks(*rows, interval_ns=15 * NS_PER_MINUTE)
    assert_same(resample(bars_from_ticks(*rows), 15 * NS_PER_MINUTE), direct)


def test_bars_are_counted_from_the_session_open_and_stop_at_its_close() -> None:
    minutes = np.array([569, 570, 600, 629, 630, 660, 661, 1440 + 545]) * NS_PER_MINUTE
    builder = BarBuilder(NS_PER_HOUR, SESSIONS)
    made = join_bars([builder.add(minutes, np.arange(8.0)), builder.finish()])
    starts = [570, 630, 1440 + 540]
    assert (made.start_ns // NS_PER_MINUTE).tolist() == starts
    assert made.close.tolist() == [3.0, 5.0, 7.0]
    assert builder.outside == 2
    one_minute = bars_from_ticks(minutes, np.arange(8.0), sessions=SESSIONS)
    assert_same(resample(one_minute, NS_PER_HOUR, SESSIONS), made)


def test_an_open_bar_is_released_once_its_interval_has_passed() -> None:
    builder = BarBuilder()
    builder.add(np.array([5 * NS_PER_SECOND]), np.array([1.0]))
    assert len(builder.finish_until(59 * NS_PER_SECOND)) == 0
    assert builder.finish_until(60 * NS_PER_SECOND).close.tolist() == [1.0]
    assert len(builder.finish()) == 0


def test_ticks_that_run_backwards_and_missing_prices_are_passed_over() -> None:
    builder = BarBuilder()
    builder.add(np.array([100, 50, 110]) * NS_PER_SECOND, np.array([1.0, 99.0, np.nan]))
    assert builder.out_of_order == 1
    assert builder.finish().high.tolist() == [1.0]


def test_overlapping_sessions_and_empty_intervals_are_refused() -> None:
    with pytest.raises(InputError, match="sessions overlap"):
        Sessions(np.array([0, 5]), np.array([10, 20]))
    with pytest.raises(InputError, match="interval_ns=0"):
        BarBuilder(0)


def test_the_compiled_pass_equals_its_plain_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.Generator(np.random.Philox(3))
    ts = np.cumsum(generator.integers(0, 30 * NS_PER_MINUTE, 300))
    price, size = 100.0 + generator.standard_normal(300), generator.standard_normal(300)
    for sessions in (ALWAYS_OPEN, SESSIONS):
        fast = bars_from_ticks(ts, price, size, NS_PER_HOUR, sessions)
        with monkeypatch.context() as patch:
            patch.setattr(bars_module, "bar_pass", plain(bars_module.bar_pass))
            assert_same(bars_from_ticks(ts, price, size, NS_PER_HOUR, sessions), fast)
        assert len(fast) > 0

"""Scores are plain counts that a person can recompute."""

from __future__ import annotations

import numpy as np
import pytest

from voldesk.core.blocks import FloatColumn, IntColumn, RowFlag
from voldesk.core.units import NS_PER_MINUTE, NS_PER_MS
from voldesk.instruments.deribit import parse
from voldesk.instruments.table import InstrumentTable
from voldesk.market.findings import Reason
from voldesk.market.quality import (
    QualityRules,
    assess,
    index_misses,
    parity_misses,
    recommend,
    report,
    trend_per_window,
)

CALL, PUT = "BTC-27MAR26-70000-C", "BTC-27MAR26-70000-P"
FORWARD = 75_000.0


def pairs(count: int, step_ns: int = NS_PER_MINUTE) -> tuple[np.ndarray, np.ndarray, InstrumentTable]:
    """`count` snapshots of one put and one call that obey parity: C - P = (F - K) / F = 1/15."""
    table = InstrumentTable([parse(CALL), parse(PUT)])
    rows = 2 * count
    ints, floats = np.zeros((5, rows), np.int64), np.full((9, rows), np.nan)
    ints[IntColumn.TS_EVENT_NS] = ints[IntColumn.TS_RECV_NS] = np.repeat(np.arange(count) * step_ns, 2)
    ints[IntColumn.INSTRUMENT] = np.tile([0, 1], count)
    ints[IntColumn.FLAGS] = int(RowFlag.QUOTE | RowFlag.MARK)
    ints[IntColumn.GROUP] = np.repeat(np.arange(1, count + 1), 2)
    middle = np.tile([0.1 + 1.0 / 15.0, 0.1], count)
    floats[FloatColumn.BID], floats[FloatColumn.ASK], floats[FloatColumn.MARK] = middle - 0.001, middle + 0.001, middle
    floats[FloatColumn.FORWARD], floats[FloatColumn.INDEX] = FORWARD, 74_900.0
    return ints, floats, table


def test_a_faultless_stretch_scores_one_hundred() -> None:
    ints, floats, table = pairs(5)
    quality = assess(ints, floats, np.zeros(10, np.uint8), table)
    assert quality.total == 100.0
    assert quality.issues == ()
    assert recommend(quality) == ()


def test_each_fault_lowers_its_own_part_by_its_own_count_and_is_put_into_words() -> None:
    ints, floats, table = pairs(5)
    floats[FloatColumn.BID, 0] = np.nan
    floats[FloatColumn.MARK, 2] = 0.5
    floats[FloatColumn.INDEX, 4] = 80_000.0
    ints[IntColumn.TS_RECV_NS, 6:8] += 300 * NS_PER_MS
    ints[IntColumn.TS_EVENT_NS, 8:] += 4 * NS_PER_MINUTE
    ints[IntColumn.TS_RECV_NS, 8:] += 4 * NS_PER_MINUTE
    reason = np.zeros(10, np.uint8)
    reason[0] = Reason.CROSSED
    quality = assess(ints, floats, reason, table)
    assert quality.completeness == 1 - 1 / 20
    assert quality.accuracy == pytest.approx(0.5 * (9 / 10 + 8 / 9), rel=1e-15)
    assert quality.timeliness == pytest.approx(0.5 * (8 / 10 + 1 - 4 / 8), rel=1e-15)
    assert quality.consistency == pytest.approx(0.5 * (1 + 4 / 5), rel=1e-15)
    assert quality.longest_gap_ns == 5 * NS_PER_MINUTE
    assert quality.worst_delay_ns == 300 * NS_PER_MS
    words = "\n".join(quality.issues)
    for part in (
        "no bid in 10.0 %",
        "1 rows crossed",
        "mark outside",
        "300 ms",
        "1 gaps longer than 60 s",
        "index differs",
    ):
        assert part in words
    assert [text.split(":")[0].split(" ")[0] for text in recommend(quality)] == ["silence", "look", "rows"]


def test_parity_allows_half_the_spreads_and_no_more() -> None:
    ints, floats, table = pairs(3)
    assert parity_misses(ints, floats, table, 0.005) == (0, 3)
    floats[[FloatColumn.BID, FloatColumn.ASK], 0] += 0.002 + 0.0049
    assert parity_misses(ints, floats, table, 0.005) == (0, 3)
    floats[[FloatColumn.BID, FloatColumn.ASK], 0] += 0.0002
    assert parity_misses(ints, floats, table, 0.005) == (1, 3)


def test_index_values_are_compared_within_their_group_only() -> None:
    ints, floats, table = pairs(2)
    floats[FloatColumn.INDEX] = [75_000.0, 75_001.0, 80_000.0, 80_000.0]
    assert index_misses(ints, floats, table, 0.002) == (0, 2)
    floats[FloatColumn.INDEX, 1] = 75_200.0
    assert index_misses(ints, floats, table, 0.002) == (1, 2)


def test_the_report_cuts_windows_and_names_the_weakest_and_the_trend() -> None:
    ints, floats, table = pairs(40)
    floats[FloatColumn.ASK, 41::2] = np.nan
    reason = np.zeros(80, np.uint8)
    made = report(ints, floats, reason, reason == 0, table, 10 * NS_PER_MINUTE, QualityRules())
    assert made.window_start_ns.tolist() == [0, 10 * NS_PER_MINUTE, 20 * NS_PER_MINUTE, 30 * NS_PER_MINUTE]
    assert made.window_total[:2].tolist() == [100.0, 100.0]
    assert (made.window_total[2:] < 95.0).all()
    assert made.trend < -1.0
    assert made.weakest == ((PUT, 0.75),)


def test_an_empty_stretch_has_no_score_rather_than_a_good_one() -> None:
    ints, floats, table = pairs(1)
    quality = assess(ints[:, :0], floats[:, :0], np.zeros(0, np.uint8), table)
    assert np.isnan(quality.total)
    assert np.isnan(trend_per_window(np.array([1.0, 2.0])))
    assert trend_per_window(np.array([1.0, 2.0, 3.0])) == pytest.approx(1.0, abs=1e-12)

"""Rolling z-scores and jumps, per instrument, against the definition written out slowly."""

from __future__ import annotations

import numpy as np

from voldesk.core.compiled import plain
from voldesk.market.anomaly import AnomalyDetector, AnomalyKind, AnomalyRules, rolling_pass

RULES = AnomalyRules(window=10, min_count=5)


def stream(n: int = 500) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.Generator(np.random.Philox(11))
    values = 100.0 + generator.standard_normal(n)
    values[generator.random(n) < 0.05] = np.nan
    values[generator.random(n) < 0.03] *= 1.4
    return generator.integers(0, 4, n), np.arange(n, dtype=np.int64), values


def test_scores_equal_the_definition_on_the_window_before() -> None:
    instrument, _, values = stream()
    zscore, change = np.empty(values.size), np.empty(values.size)
    rolling_pass(instrument, values, 5, np.full((4, 10), np.nan), np.zeros(4, np.int64), zscore, change)
    history: dict[int, list[float]] = {}
    worst = 0.0
    for row, (number, value) in enumerate(zip(instrument.tolist(), values.tolist(), strict=True)):
        seen = history.setdefault(number, [])
        if np.isnan(value):
            assert np.isnan(zscore[row])
            continue
        window = seen[-10:]
        if len(window) >= 5:
            expected = (value - np.mean(window)) / np.std(window, ddof=1)
            worst = max(worst, abs(zscore[row] - expected))
        else:
            assert np.isnan(zscore[row])
        if window:
            worst = max(worst, abs(change[row] - (value / window[-1] - 1.0)))
        seen.append(value)
    assert worst < 1e-9


def test_marks_name_row_kind_and_figures() -> None:
    values = np.array([100.0, 101.0, 99.0, 100.0, 100.5, 130.0, 100.0])
    rules = AnomalyRules(window=10, min_count=4)
    found = AnomalyDetector(1, rules).scan(np.zeros(7, np.int64), np.arange(7), values)
    assert found.row.tolist() == [5, 6]
    assert [AnomalyKind(int(k)) for k in found.kind] == [AnomalyKind.BOTH, AnomalyKind.JUMP]
    assert found.change[0] == 130.0 / 100.5 - 1.0


def test_a_constant_series_is_normal_and_its_first_change_is_not() -> None:
    values = np.array([0.1] * 30 + [0.1001])
    found = AnomalyDetector(1).scan(np.zeros(31, np.int64), np.arange(31), values)
    assert found.row.tolist() == [30]
    assert np.isinf(found.zscore[0])


def test_cutting_the_stream_elsewhere_and_restoring_finds_the_same() -> None:
    instrument, ts, values = stream()
    whole = AnomalyDetector(4, RULES).scan(instrument, ts, values)
    first = AnomalyDetector(4, RULES)
    left = first.scan(instrument[:177], ts[:177], values[:177])
    second = AnomalyDetector(4, RULES)
    second.restore(first.state())
    right = second.scan(instrument[177:], ts[177:], values[177:])
    assert len(whole) > 10
    np.testing.assert_array_equal(np.concatenate([left.ts_ns, right.ts_ns]), whole.ts_ns)
    np.testing.assert_array_equal(np.concatenate([left.zscore, right.zscore]), whole.zscore)


def test_the_compiled_pass_equals_its_plain_twin() -> None:
    instrument, _, values = stream(300)
    results = []
    for kernel in (rolling_pass, plain(rolling_pass)):
        ring, seen, zscore, change = np.full((4, 10), np.nan), np.zeros(4, np.int64), np.empty(300), np.empty(300)
        kernel(instrument, values, 5, ring, seen, zscore, change)
        results.append((ring, seen, zscore, change))
    for fast, slow in zip(*results, strict=True):
        np.testing.assert_allclose(fast, slow, rtol=1e-12, atol=0)

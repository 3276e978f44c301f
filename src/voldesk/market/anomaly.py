"""Anomalies of a stream, kept apart from the stream: rolling z-score above 3 and jumps above 20 % (SPEC A5).

Per instrument, against its own last `window` values before the one judged, which stays out of its own mean. A value
that was marked still enters the window, so that a new level becomes normal after a while. Nothing is changed here;
what may be traded on is decided in `clean`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from voldesk.core.arrays import ByteArray, FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.core.ports import State


class AnomalyKind(IntEnum):
    ZSCORE = 1
    JUMP = 2
    BOTH = 3


@dataclass(frozen=True, slots=True)
class AnomalyRules:
    """window: values remembered per instrument; min_count: fewer give no z-score; jump: relative change."""

    window: int = 60
    min_count: int = 20
    zscore: float = 3.0
    jump: float = 0.20


@dataclass(frozen=True, slots=True)
class Anomalies:
    """One entry per marked row, shape (m,): input row, instrument, time, value, z-score (NaN: too little history),
    relative change to the value before (NaN: none), kind."""

    row: IntArray
    instrument: IntArray
    ts_ns: IntArray
    value: FloatArray
    zscore: FloatArray
    change: FloatArray
    kind: ByteArray

    def __len__(self) -> int:
        return int(self.row.size)


@compiled
def rolling_pass(
    instrument: IntArray,
    values: FloatArray,
    min_count: int,
    ring: FloatArray,
    seen: IntArray,
    zscore: FloatArray,
    change: FloatArray,
) -> None:
    """Fill `zscore` and `change`, shape (n,), from the memory `ring` (instruments, window) and `seen` (instruments,).

    NaN values are passed over. A constant window gives z = 0 for the same value and infinity for another.
    """
    window = ring.shape[1]
    for row in range(values.size):
        zscore[row] = np.nan
        change[row] = np.nan
        value = values[row]
        if np.isnan(value):
            continue
        number = instrument[row]
        count = min(seen[number], window)
        if count > 0:
            previous = ring[number, (seen[number] - 1) % window]
            if previous != 0.0:
                change[row] = value / previous - 1.0
        if count >= min_count:
            mean = 0.0
            for slot in range(count):
                mean += ring[number, slot]
            mean /= count
            spread = 0.0
            for slot in range(count):
                spread += (ring[number, slot] - mean) ** 2
            # A constant window leaves rounding noise of the mean, not exactly zero.
            sigma = np.sqrt(spread / max(count - 1, 1))
            if sigma > 1e-12 * abs(mean):
                zscore[row] = (value - mean) / sigma
            elif abs(value - mean) <= 1e-12 * abs(mean):
                zscore[row] = 0.0
            else:
                zscore[row] = np.inf if value > mean else -np.inf
        ring[number, seen[number] % window] = value
        seen[number] += 1


class AnomalyDetector:
    """Judges one column of a stream, piece by piece; cutting the stream elsewhere finds the same."""

    def __init__(self, instruments: int, rules: AnomalyRules | None = None) -> None:
        self.rules = rules or AnomalyRules()
        self._ring = np.full((instruments, self.rules.window), np.nan)
        self._seen = np.zeros(instruments, np.int64)

    def scan(self, instrument: IntArray, ts_ns: IntArray, values: FloatArray) -> Anomalies:
        """The rows out of line among (n,) values of any column: mids, mark IVs, index prices, sizes."""
        rules = self.rules
        zscore, change = np.empty(values.size), np.empty(values.size)
        rolling_pass(instrument, values, rules.min_count, self._ring, self._seen, zscore, change)
        kind = int(AnomalyKind.ZSCORE) * (np.abs(zscore) > rules.zscore).astype(np.uint8)
        kind = kind + int(AnomalyKind.JUMP) * (np.abs(change) > rules.jump).astype(np.uint8)
        rows = np.flatnonzero(kind).astype(np.int64)
        return Anomalies(
            rows, instrument[rows], ts_ns[rows], values[rows], zscore[rows], change[rows], kind[rows].astype(np.uint8)
        )

    def state(self) -> State:
        return {"ring": self._ring.copy(), "seen": self._seen.copy()}

    def restore(self, state: State) -> None:
        self._ring, self._seen = np.array(state["ring"]), np.array(state["seen"])

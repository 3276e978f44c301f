"""How long a command takes to the venue and a report takes back.

Both ways are one ordered connection each: a message never overtakes an earlier one, however the dice fall.
A fixed part plus, when asked for, a lognormal part of given median and log-deviation (Source: the long right tail
of measured order latency, e.g. Moallemi & Saglam (2013), "The cost of latency", sec. 6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from voldesk.core.errors import InputError
from voldesk.core.ports import State
from voldesk.core.units import NS_PER_MS


@dataclass(frozen=True, slots=True)
class LatencyConfig:
    """Fixed times in ns, medians of the random part in ns (0: none), its log-deviation, and the share of
    acknowledgements that get lost on the way back (a fault to test against, 0 in honest runs)."""

    order_ns: int = 5 * NS_PER_MS
    report_ns: int = 5 * NS_PER_MS
    order_jitter_ns: int = 0
    report_jitter_ns: int = 0
    jitter_log_deviation: float = 0.5
    lost_ack_share: float = 0.0

    def __post_init__(self) -> None:
        times = (self.order_ns, self.report_ns, self.order_jitter_ns, self.report_jitter_ns)
        if min(times) < 0:
            raise InputError(f"latency={min(times)} ns is negative; expected zero or more.")
        if not 0.0 <= self.lost_ack_share <= 1.0:
            raise InputError(f"lost_ack_share={self.lost_ack_share}; expected a share between 0 and 1.")


class Latency:
    """Arrival times, never earlier than those given before. `rng` is drawn from only where there is jitter."""

    __slots__ = ("_last_arrival_ns", "_last_report_ns", "_rng", "config")

    def __init__(self, config: LatencyConfig, rng: np.random.Generator) -> None:
        self.config = config
        self._rng = rng
        self._last_arrival_ns = 0
        self._last_report_ns = 0

    def _jitter_ns(self, median_ns: int) -> int:
        if median_ns == 0:
            return 0
        return int(median_ns * math.exp(self.config.jitter_log_deviation * self._rng.standard_normal()))

    def arrival_ns(self, sent_ns: int) -> int:
        """When a command sent now reaches the venue."""
        at = sent_ns + self.config.order_ns + self._jitter_ns(self.config.order_jitter_ns)
        self._last_arrival_ns = max(self._last_arrival_ns, at)
        return self._last_arrival_ns

    def report_ns(self, event_ns: int) -> int:
        """When the desk hears of something that happens at the venue now."""
        at = event_ns + self.config.report_ns + self._jitter_ns(self.config.report_jitter_ns)
        self._last_report_ns = max(self._last_report_ns, at)
        return self._last_report_ns

    def loses_ack(self) -> bool:
        share = self.config.lost_ack_share
        return share > 0.0 and bool(self._rng.random() < share)

    def state(self) -> State:
        words = self._rng.bit_generator.state
        return {"arrival_ns": self._last_arrival_ns, "report_ns": self._last_report_ns, "rng": _plain(words)}

    def restore(self, state: State) -> None:
        self._last_arrival_ns = state["arrival_ns"]
        self._last_report_ns = state["report_ns"]
        self._rng.bit_generator.state = _words(state["rng"])


def _plain(value: Any) -> Any:
    """The generator's state with 64-bit words as text: they do not fit the signed integers of every format."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        return {"words": [str(int(word)) for word in value]}
    if isinstance(value, (int, np.integer)):
        return int(value)
    return value


def _words(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"words"}:
            return np.array([int(word) for word in value["words"]], np.uint64)
        return {key: _words(part) for key, part in value.items()}
    return value

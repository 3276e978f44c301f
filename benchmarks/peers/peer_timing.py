"""How a peer is timed: processor time of one process on one core, best of the repeats after one that does not count."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Answers = dict[str, Any]


def timed(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Best processor time in seconds of `repeats` calls after one that does not count, and the last answer."""
    answer = work()
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        answer = work()
        best = min(best, time.process_time() - start)
    return best, answer


def load(inputs: Path, name: str, rows: int | None = None) -> dict[str, np.ndarray]:
    with np.load(inputs / f"{name}.npz") as found:
        return {key: found[key][:rows] for key in found.files}

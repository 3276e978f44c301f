"""Kernels of this room, each with a small input, for `voldesk warm`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from voldesk.market.index import latest_index
from voldesk.market.two_clock import TwoClock


def warm() -> list[tuple[str, Callable[[], object]]]:
    clock = TwoClock(2)
    owner = np.zeros(2, np.int64)
    return [
        ("two-clock pass", lambda: clock.run(0)),
        ("index of an underlying", lambda: latest_index(clock.desk.values, clock.desk.stamps, owner, 0)),
    ]

"""Kernels of this room, each with a small input, for `voldesk warm`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from voldesk.market.state import MarketState
from voldesk.strategies.book_gamma import NONE_GIVEN, gamma_pass


def warm() -> list[tuple[str, Callable[[], object]]]:
    values, held = MarketState(1).values, np.zeros((1, 2), np.int64)
    whole, real = np.zeros(1, np.int64), np.ones(1)
    return [
        (
            "gamma of a book",
            lambda: gamma_pass(values, held, whole, whole, whole, real, real, 0, 0, 1.0, NONE_GIVEN),
        )
    ]

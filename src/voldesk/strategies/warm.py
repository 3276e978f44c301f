"""Kernels of this room, each with a small input, for `voldesk warm`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from voldesk.market.state import MarketState
from voldesk.strategies.book_gamma import NONE_GIVEN, gamma_pass


def warm() -> list[tuple[str, Callable[[], object]]]:
    values, held = MarketState(1).values, np.zeros((1, 2), np.int64)
    ints, floats = np.zeros((1, 7), np.int64), np.ones((1, 2))
    return [("gamma of a book", lambda: gamma_pass(values, ints, floats, held, 0, 0, 1.0, NONE_GIVEN))]

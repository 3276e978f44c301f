"""Price levels at which a venue holds resting orders, so that the pass over rows need not ask about each row.

The compiled pass stops the venue's clock after a group of rows in which a quote reached a level (ask <= level_buy
or bid >= level_sell) or a trade printed through it, and the engine appends the instruments to `hits`.
"""

from __future__ import annotations

import numpy as np

from voldesk.core.arrays import FloatArray


class Watches:
    """`level_buy`: the highest resting buy price per instrument, `level_sell`: the lowest resting sell price; float64
    of shape (instruments,) in price units, NaN where none rests. The arrays may live in somebody else's memory
    (the two-clock arena) and are only ever written in place.
    """

    __slots__ = ("hits", "level_buy", "level_sell")

    def __init__(self, level_buy: FloatArray, level_sell: FloatArray) -> None:
        self.level_buy = level_buy
        self.level_sell = level_sell
        self.hits: list[int] = []

    @classmethod
    def none_set(cls, instruments: int) -> Watches:
        """Watches with memory of their own."""
        return cls(np.full(instruments, np.nan), np.full(instruments, np.nan))

    def set(self, instrument: int, buy: float, sell: float) -> None:
        """Watch both sides of one instrument; NaN for a side without orders."""
        self.level_buy[instrument] = buy
        self.level_sell[instrument] = sell

    def clear(self, instrument: int) -> None:
        self.set(instrument, np.nan, np.nan)

    def clear_all(self) -> None:
        self.level_buy[:] = np.nan
        self.level_sell[:] = np.nan
        self.hits.clear()

    def take_hits(self) -> list[int]:
        """Instruments hit since the last call, in the order in which they were, each once."""
        if not self.hits:
            return []
        taken = list(dict.fromkeys(self.hits))
        self.hits.clear()
        return taken

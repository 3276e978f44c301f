"""The venue's index of an underlying, as the desk last saw it."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.market.state import Field, Stamp

_INDEX: Final = int(Field.INDEX)
_MARKED_AT: Final = int(Stamp.MARK_EVENT_NS)


@compiled
def latest_index(values: FloatArray, stamps: IntArray, owner: IntArray, underlying: int) -> float:
    """Index of an underlying in USD: the median over the instruments marked last; NaN when none was. Cost grows with
    the number of instruments. owner: underlying of each instrument, shape (n,).

    One snapshot reads its instruments one after another, so their indices differ by a few basis points; the
    median is what the venue's index was about then.
    """
    latest = np.int64(-1)
    count = 0
    rows = min(values.shape[0], owner.shape[0])
    for row in range(rows):
        if owner[row] == underlying and math.isfinite(values[row, _INDEX]):
            stamp = stamps[row, _MARKED_AT]
            if stamp > latest:
                latest = stamp
                count = 1
            elif stamp == latest:
                count += 1
    if count == 0:
        return math.nan
    found = np.empty(count)
    place = 0
    for row in range(rows):
        if owner[row] == underlying and stamps[row, _MARKED_AT] == latest and math.isfinite(values[row, _INDEX]):
            found[place] = values[row, _INDEX]
            place += 1
    if count == 1:
        return float(found[0])
    found.sort()
    return float(found[(count - 1) // 2])  # the lower of two middles: a price that was really published

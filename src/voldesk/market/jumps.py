"""The jump rule as one compiled pass over a column, instrument by instrument (SPEC A4, A5)."""

from __future__ import annotations

import numpy as np

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.compiled import compiled


@compiled
def jump_pass(
    instrument: IntArray,
    ts_ns: IntArray,
    values: FloatArray,
    usable: BoolArray,
    window_ns: IntArray,
    floor: FloatArray,
    limit: float,
    last: FloatArray,
    last_ns: IntArray,
    candidate: FloatArray,
) -> BoolArray:
    """Mark values more than `limit` (relative) and `floor` (absolute) away from the last accepted one, shape (n,).

    A marked value is replaced in `values` by the last accepted one. The next value near a marked one confirms the
    level and is accepted. `window_ns`, `floor`, `last`, `last_ns`, `candidate` are indexed by instrument; the last
    three are the memory and are updated. A value older than the window is no reference.
    """
    jumped = np.zeros(values.size, np.bool_)
    for row in range(values.size):
        value = values[row]
        if not usable[row] or np.isnan(value):
            continue
        number = instrument[row]
        reference = last[number]
        recent = not np.isnan(reference) and ts_ns[row] - last_ns[number] <= window_ns[number]
        if recent and abs(value - reference) > max(limit * abs(reference), floor[number]):
            seen = candidate[number]
            if np.isnan(seen) or abs(value - seen) > max(limit * abs(seen), floor[number]):
                candidate[number] = value
                values[row] = reference
                jumped[row] = True
                continue
        last[number] = value
        last_ns[number] = ts_ns[row]
        candidate[number] = np.nan
    return jumped

"""The forecast of exactly the tenor that is traded, read off a path of daily volatilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voldesk.core.arrays import FloatArray


def matched_sigma(daily_sigma: FloatArray | Sequence[float], horizon_days: float) -> float:
    """Square root of the mean variance over the next `horizon_days`, the last day in proportion.

    daily_sigma: decimals per year for day 1, 2, ... ahead. NaN when the horizon is not positive, reaches past the
    path, or meets a NaN: a forecast is never stretched.

    >>> round(matched_sigma([0.5, 0.7], 1.5), 6)
    0.574456
    """
    path = np.asarray(daily_sigma, np.float64)
    if not 0.0 < horizon_days <= path.size:
        return float("nan")
    whole = int(horizon_days)
    part = horizon_days - whole
    total = float(np.sum(path[:whole] ** 2))
    if part > 0.0:
        total += part * float(path[whole]) ** 2
    return float(np.sqrt(total / horizon_days))

"""Where a maturity lies among the expiries of a surface that interpolates total variance linearly in tau."""

from __future__ import annotations

import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled


@compiled
def bracket(t: float, tau: FloatArray) -> tuple[int, int, float, float]:
    """Expiries before and after t and their weights, w(t) = weight0 w0 + weight1 w1, t no later than the last expiry; the first
    twice where t lies before it (volatility at fixed k is flat there)."""
    if t <= tau[0]:
        return 0, 0, t / tau[0], 0.0
    j = min(int(np.searchsorted(tau, t)), tau.size - 1)
    share = (t - tau[j - 1]) / (tau[j] - tau[j - 1])
    return j - 1, j, 1.0 - share, share

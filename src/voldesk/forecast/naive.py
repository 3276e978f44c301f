"""Forecasts that any model has to beat: the last N days' realised volatility, and an exponential average.

Source: RiskMetrics technical document (1996), sec. 5.2: decay 0.94 for daily data.
"""

from __future__ import annotations

import numpy as np

from voldesk.core.arrays import FloatArray


def last_days(variance: FloatArray, days: int, days_ahead: int, days_per_year: float = 365.0) -> FloatArray:
    """Mean variance of the last `days` days, held flat: decimals per year, shape (days_ahead,). NaN when any is
    missing."""
    recent = np.asarray(variance, np.float64)[-days:]
    level = float(recent.mean()) if recent.size == days else np.nan
    return np.full(days_ahead, np.sqrt(level * days_per_year))


def ewma(variance: FloatArray, days_ahead: int, decay: float = 0.94, days_per_year: float = 365.0) -> FloatArray:
    """Exponential average of daily variance with normalised weights, held flat: decimals per year, (days_ahead,).

    NaN when fewer days are known than hold 90 % of the weight, or when one of them is NaN.
    """
    values = np.asarray(variance, np.float64)
    needed = int(np.ceil(np.log(0.1) / np.log(decay)))
    if values.size < needed:
        return np.full(days_ahead, np.nan)
    weights = decay ** np.arange(values.size - 1, -1, -1, dtype=np.float64)
    # Days older than the weight's last bit add nothing but would spread a NaN.
    kept = weights > 1e-9
    level = float(weights[kept] @ values[kept] / weights[kept].sum())
    return np.full(days_ahead, np.sqrt(level * days_per_year))

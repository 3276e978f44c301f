"""Losses of variance forecasts, element by element, so that tests on their differences can be made.

Source: Patton (2011), "Volatility forecast comparison using imperfect volatility proxies", J. Econometrics 160:
QLIKE and MSE rank forecasts rightly even where the realised variance is only an unbiased proxy.
"""

from __future__ import annotations

import numpy as np

from voldesk.core.arrays import FloatArray


def qlike(realised_variance: FloatArray, forecast_variance: FloatArray) -> FloatArray:
    """realised/forecast - log(realised/forecast) - 1: zero when equal, dearer for forecasts that are too low.

    Shapes (n,), same unit; NaN where either is not positive.

    >>> float(qlike(np.array([0.04]), np.array([0.04]))[0])
    0.0
    """
    realised = np.asarray(realised_variance, np.float64)
    forecast = np.asarray(forecast_variance, np.float64)
    usable = (realised > 0.0) & (forecast > 0.0)
    ratio = np.divide(realised, forecast, out=np.full(np.broadcast(realised, forecast).shape, np.nan), where=usable)
    return np.asarray(ratio - np.log(ratio) - 1.0, np.float64)


def squared_error(realised_variance: FloatArray, forecast_variance: FloatArray) -> FloatArray:
    """(realised - forecast)**2, in variance squared. Shapes (n,)."""
    difference = np.asarray(realised_variance, np.float64) - np.asarray(forecast_variance, np.float64)
    return np.asarray(difference * difference, np.float64)

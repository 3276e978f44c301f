"""European options under Heston's stochastic volatility.

    dF / F = sqrt(v) dW,   dv = kappa (theta - v) dt + xi sqrt(v) dZ,   dW dZ = rho dt

Source: Heston (1993); characteristic function and quadrature as in `fourier`. The Feller condition is not required.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError
from voldesk.pricing import fourier


class HestonParams(msgspec.Struct, frozen=True):
    """v0, theta: variances per year (0.04 is 20 % volatility); kappa: per year; xi: volatility of variance; rho: -1..1.

    Raises InputError for a value outside its range.
    """

    v0: float
    kappa: float
    theta: float
    xi: float
    rho: float

    def __post_init__(self) -> None:
        for name, low in (("v0", 0.0), ("kappa", 0.0), ("theta", 0.0)):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > low):
                raise InputError(f"{name}={value} of a Heston model; expected a positive number.")
        if not (math.isfinite(self.xi) and self.xi >= 0.0):
            raise InputError(f"xi={self.xi} of a Heston model; expected zero or more.")
        if not -1.0 <= self.rho <= 1.0:
            raise InputError(f"rho={self.rho} of a Heston model; expected a correlation between -1 and 1.")

    def row(self) -> FloatArray:
        """The eight numbers that `fourier` takes."""
        return np.array([self.v0, self.kappa, self.theta, self.xi, self.rho, 0.0, 0.0, 0.0])


def price(
    params: HestonParams,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    discount: ArrayLike,
    is_call: ArrayLike,
) -> FloatArray:
    """Discounted values in units of the forward, shape of the broadcast arguments. tau in years.

    NaN for arguments that make no option (see `fourier.price`). Absolute error about 1e-14 of sqrt(forward x strike).

    >>> p = HestonParams(v0=0.0175, kappa=1.5768, theta=0.0398, xi=0.5751, rho=-0.5711)
    >>> round(float(price(p, 100.0, 100.0, 1.0, 1.0, True)), 9)
    5.785155434
    """
    return fourier.price(params.row(), forward, strike, tau, discount, is_call)

"""European options under Heston's stochastic volatility.

    dF / F = sqrt(v) dW,   dv = kappa (theta - v) dt + xi sqrt(v) dZ,   dW dZ = rho dt

Source: Heston (1993); characteristic function and quadrature as in `fourier`, derivatives as in `heston_gradient`.
The Feller condition is not required. To fit the parameters to a chain see `calibrate`.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError
from voldesk.pricing.transform import calibration, fourier
from voldesk.pricing.transform import calibration_kernels as kernels
from voldesk.pricing.transform.calibration import Calibration
from voldesk.pricing.transform.fourier import Greeks
from voldesk.pricing.transform.heston_gradient import FIRST_PARAMETER, HESTON_ROWS, VALUE


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

    NaN for arguments that make no option (see `fourier.values`). Absolute error below 1e-13 of sqrt(forward x strike).

    >>> p = HestonParams(v0=0.0175, kappa=1.5768, theta=0.0398, xi=0.5751, rho=-0.5711)
    >>> round(float(price(p, 100.0, 100.0, 1.0, 1.0, True)), 9)
    5.785155434
    """
    return fourier.price(params.row(), forward, strike, tau, discount, is_call)


def gradient(
    params: HestonParams,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    discount: ArrayLike,
    is_call: ArrayLike,
) -> tuple[FloatArray, FloatArray]:
    """Prices, and their analytic derivatives in (v0, kappa, theta, xi, rho), shape (5, *broadcast shape).

    NaN as in `price`, and where the integral would need more than 131,072 nodes. Source: see `heston_gradient`.

    >>> p = HestonParams(v0=0.04, kappa=1.5, theta=0.05, xi=0.6, rho=-0.5)
    >>> value, slopes = gradient(p, 100.0, 110.0, 0.5, 1.0, True)
    >>> bumped = price(HestonParams(0.040001, 1.5, 0.05, 0.6, -0.5), 100.0, 110.0, 0.5, 1.0, True)
    >>> abs(float(bumped - value) / 1e-6 - float(slopes[0])) < 1e-3
    True
    """
    rows = fourier.values(params.row(), HESTON_ROWS, forward, strike, tau, discount, is_call)
    return rows[VALUE, ...], rows[FIRST_PARAMETER:, ...]


def greeks(
    params: HestonParams,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    discount: ArrayLike,
    is_call: ArrayLike,
) -> Greeks:
    """Price, delta and gamma in the forward at fixed variance, theta in calendar time, vega = d price / d v0.

    See `fourier.Greeks` for units.

    >>> p = HestonParams(v0=0.04, kappa=1.5, theta=0.05, xi=0.6, rho=-0.5)
    >>> g = greeks(p, 100.0, 100.0, 0.5, 1.0, True)
    >>> round(float(g.delta), 4)
    0.6035
    """
    return fourier.greeks(params.row(), forward, strike, tau, discount, is_call)


def _from_row(model: FloatArray) -> HestonParams:
    return HestonParams(*(float(value) for value in model[:5]))


def calibrate(
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    implied_vol: ArrayLike,
    half_spread: ArrayLike = 1.0,
) -> Calibration[HestonParams]:
    """Parameters nearest to the implied volatilities of a chain, all expiries at once; see `calibration`.

    Arguments broadcast. implied_vol: decimals, best of the option out of the money; NaN or not positive leaves a quote
    out. half_spread: in volatility, the size of a tolerable miss; misses are weighed by its inverse. Look at `.accepted`
    or `.status` before use. Raises InputError for volatilities in per cent.

    >>> strike, tau = np.linspace(70.0, 140.0, 15), np.array([[0.1], [0.5], [2.0]])
    >>> truth = HestonParams(v0=0.04, kappa=1.5, theta=0.05, xi=0.6, rho=-0.5)
    >>> from voldesk.pricing.implied_vol import implied_vol
    >>> vol, _ = implied_vol(price(truth, 100.0, strike, tau, 1.0, strike > 100.0), 100.0, strike, tau, 1.0, strike > 100.0)
    >>> result = calibrate(100.0, strike, tau, vol)
    >>> result.accepted, round(result.params.kappa, 6), result.worst < 1e-8
    (True, 1.5, True)
    """
    return calibration.calibrate(kernels.HESTON, _from_row, forward, strike, tau, implied_vol, half_spread)

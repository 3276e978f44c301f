"""European options under Bates' model: Heston's stochastic volatility with log-normal jumps.

    dF / F- = -lambda m dt + sqrt(v) dW + (e^J - 1) dN,   J ~ Normal(jump_mean, jump_std^2),   m = E[e^J] - 1

Source: Bates (1996), eqs. 1-3; characteristic function and quadrature as in `fourier`.
"""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError
from voldesk.pricing.heston import HestonParams
from voldesk.pricing.transform import calibration, fourier
from voldesk.pricing.transform import calibration_kernels as kernels
from voldesk.pricing.transform.calibration import Calibration
from voldesk.pricing.transform.fourier import Greeks
from voldesk.pricing.transform.fourier_kernels import JUMP_INTENSITY
from voldesk.pricing.transform.heston_gradient import BATES_ROWS, FIRST_PARAMETER, VALUE


class BatesParams(HestonParams, frozen=True):
    """Heston's five and jump_intensity: jumps per year; jump_mean, jump_std: mean and deviation of the log jump.

    Raises InputError for a value outside its range.
    """

    jump_intensity: float
    jump_mean: float
    jump_std: float

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("jump_intensity", "jump_std"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise InputError(f"{name}={value} of a Bates model; expected zero or more.")
        if not math.isfinite(self.jump_mean):
            raise InputError(f"jump_mean={self.jump_mean} of a Bates model; expected the mean of the log jump.")

    def row(self) -> FloatArray:
        """The eight numbers that `fourier` takes."""
        heston = super().row()
        heston[JUMP_INTENSITY:] = self.jump_intensity, self.jump_mean, self.jump_std
        return heston


def price(
    params: BatesParams,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    discount: ArrayLike,
    is_call: ArrayLike,
) -> FloatArray:
    """Discounted values in units of the forward, shape of the broadcast arguments. tau in years.

    NaN for arguments that make no option (see `fourier.values`). Absolute error below 1e-13 of sqrt(forward x strike).

    >>> p = BatesParams(0.0175, 1.5768, 0.0398, 0.5751, -0.5711, jump_intensity=0.0, jump_mean=0.0, jump_std=0.0)
    >>> round(float(price(p, 100.0, 100.0, 1.0, 1.0, True)), 9)
    5.785155434
    """
    return fourier.price(params.row(), forward, strike, tau, discount, is_call)


def gradient(
    params: BatesParams,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    discount: ArrayLike,
    is_call: ArrayLike,
) -> tuple[FloatArray, FloatArray]:
    """Prices, and their analytic derivatives in the eight parameters, shape (8, *broadcast shape).

    NaN as in `price`, and where the integral would need more than 131,072 nodes. Source: see `heston_gradient`.

    >>> p = BatesParams(0.04, 1.5, 0.05, 0.6, -0.5, jump_intensity=0.5, jump_mean=-0.1, jump_std=0.1)
    >>> value, slopes = gradient(p, 100.0, 110.0, 0.5, 1.0, True)
    >>> bumped = price(BatesParams(0.040001, 1.5, 0.05, 0.6, -0.5, 0.5, -0.1, 0.1), 100.0, 110.0, 0.5, 1.0, True)
    >>> abs(float(bumped - value) / 1e-6 - float(slopes[0])) < 1e-3
    True
    """
    rows = fourier.values(params.row(), BATES_ROWS, forward, strike, tau, discount, is_call)
    return rows[VALUE, ...], rows[FIRST_PARAMETER:, ...]


def greeks(
    params: BatesParams,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    discount: ArrayLike,
    is_call: ArrayLike,
) -> Greeks:
    """Price, delta and gamma in the forward at fixed variance, theta in calendar time, vega = d price / d v0.

    See `fourier.Greeks` for units.

    >>> p = BatesParams(0.04, 1.5, 0.05, 0.6, -0.5, jump_intensity=0.5, jump_mean=-0.1, jump_std=0.1)
    >>> g = greeks(p, 100.0, 100.0, 0.5, 1.0, True)
    >>> round(float(g.delta), 4)
    0.6106
    """
    return fourier.greeks(params.row(), forward, strike, tau, discount, is_call)


def _from_row(model: FloatArray) -> BatesParams:
    return BatesParams(*(float(value) for value in model))


def calibrate(
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    implied_vol: ArrayLike,
    half_spread: ArrayLike = 1.0,
) -> Calibration[BatesParams]:
    """Parameters nearest to the implied volatilities of a chain, all expiries at once; see `calibration`.

    Arguments broadcast. implied_vol: decimals, best of the option out of the money; NaN or not positive leaves a quote
    out. half_spread: in volatility, the size of a tolerable miss; misses are weighed by its inverse. Look at `.accepted`
    or `.status` before use. Raises InputError for volatilities in per cent.

    >>> few = calibrate(100.0, [90.0, 110.0], 0.5, 0.2)
    >>> few.status.name, few.params is None
    ('TOO_FEW_QUOTES', True)
    """
    return calibration.calibrate(kernels.BATES, _from_row, forward, strike, tau, implied_vol, half_spread)

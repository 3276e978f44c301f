"""Implied volatility of whole chains, to machine precision.

Source: Jaeckel (2015), "Let's be rational", Wilmott magazine. Works on the out-of-the-money time value, so an option in
the money is inverted as exactly as its price minus intrinsic value is known and no better.

Valid for total volatility 1e-4 ... 5 and |log(forward / strike)| <= 10 wherever the price is representable, and beyond
with the digits that the price holds.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voldesk.core.arrays import FloatArray
from voldesk.pricing import iv_kernels
from voldesk.pricing.broadcast import columns


class IvStatus(IntEnum):
    """Why a volatility is there or not; the value is NaN for everything but OK."""

    OK = iv_kernels.OK
    BELOW_INTRINSIC = iv_kernels.BELOW_INTRINSIC
    ABOVE_MAX = iv_kernels.ABOVE_MAX  # at or above discounted forward (call) or strike (put)
    BAD_INPUT = iv_kernels.BAD_INPUT  # NaN, infinite, or not positive where it must be


def implied_vol(
    price: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    discount: ArrayLike,
    is_call: ArrayLike,
) -> tuple[FloatArray, NDArray[np.int8]]:
    """Volatility (decimal per year) that reproduces each present-value price, and a status per element.

    Inputs broadcast; both results have the broadcast shape. A price of exactly the intrinsic value gives 0.0, OK.

    >>> sigma, status = implied_vol(4.650770137188926, 100.0, 110.0, 0.5, 0.98, True)
    >>> round(float(sigma), 12), IvStatus(int(status)).name
    (0.3, 'OK')
    """
    shape, inputs, steps = columns(price, forward, strike, tau, discount, is_call=is_call)
    sigma = np.empty(shape)
    status = np.empty(shape, np.int8)
    iv_kernels.kernel(steps, sigma.reshape(-1), status.reshape(-1), *inputs)
    return sigma, status

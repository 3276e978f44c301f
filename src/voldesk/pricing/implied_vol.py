"""Implied volatility of whole chains, to machine precision.

The logarithm of the out-of-the-money time value over its bound, or beyond half of the bound that of what is missing
to it, is solved for by Householder steps of order four (`iv_kernels`, after Jaeckel 2015, "Let's be rational", Wilmott):
two for a block of rows in vector code (`iv_blocks`), as many as it takes, row by row, for what is extreme. An option in
the money is inverted as exactly as its price minus intrinsic value is known and no better.

Every price inside its bounds has a volatility. For total volatility 1e-4 ... 5 and |log(forward / strike)| <= 10,
wherever the price is representable, its relative error is a few roundings times 1 + c, with c = price / (vega sigma)
of the out-of-the-money price: what one rounding of that price does to the answer.
"""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError
from voldesk.pricing.broadcast import columns
from voldesk.pricing.european import iv_blocks, iv_kernels


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
    Raises ValueError (numpy's) where shapes do not broadcast. Two prices of the same options: `implied_vols`.

    >>> sigma, status = implied_vol(4.650770137188926, 100.0, 110.0, 0.5, 0.98, True)
    >>> round(float(sigma), 12), IvStatus(int(status)).name
    (0.3, 'OK')
    """
    sigma, status = implied_vols(np.asarray(price, np.float64)[None], forward, strike, tau, discount, is_call)
    return sigma[0], status[0]


def implied_vols(
    prices: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    discount: ArrayLike,
    is_call: ArrayLike,
    *,
    coin: bool = False,
) -> tuple[FloatArray, NDArray[np.int8]]:
    """Volatilities of several prices per option, as bid, ask and mid: log-moneyness and bounds are worked out once.

    `prices` has the prices of an option along its first axis; its other axes and the other inputs broadcast to the
    shape of the options, and both results have the shape (prices per option, *options). With `coin` the prices are in
    units of the underlying, as inverse options are quoted, and worth price * forward. Each element equals what
    `implied_vol` gives. Raises InputError for prices without a first axis, ValueError (numpy's) where shapes do not
    broadcast.

    >>> sigma, status = implied_vols([[0.0461], [0.0469]], 100.0, [110.0], 0.5, 0.98, True, coin=True)
    >>> sigma.round(3).tolist(), status.tolist()
    ([[0.298], [0.302]], [[0], [0]])
    """
    price = np.asarray(prices, np.float64)
    if price.ndim == 0 or price.shape[0] == 0:
        raise InputError(
            f"prices has shape {price.shape}; expected bid, ask, ... along a first axis. Use implied_vol for one."
        )
    shape, inputs, steps = columns(price[0], forward, strike, tau, discount, is_call=is_call)
    if shape != price.shape[1:]:
        axes = (1,) * (len(shape) - price.ndim + 1)
        price = np.broadcast_to(price.reshape(price.shape[:1] + axes + price.shape[1:]), price.shape[:1] + shape)
    if not price.flags.writeable:  # see `columns`
        price = price.copy()
    sigma = np.empty(price.shape)
    status = np.empty(price.shape, np.int8)
    lines = (price.shape[0], math.prod(shape))
    iv_blocks.kernel(
        steps[1:],
        coin,
        sigma.reshape(lines),
        status.reshape(lines),
        np.ascontiguousarray(price).reshape(lines),
        *inputs[1:],
    )
    return sigma, status

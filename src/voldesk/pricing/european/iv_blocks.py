"""Whole chains at once: blocks of rows in vector form, two Householder steps each, the rest row by row.

The equation and the step are those of `iv_kernels`. From a start within a per cent (`iv_start`) two steps of order four
leave rounding only, so a block needs no branch and is vector code.

A row is left to `iv_kernels.one` when its price is outside the bounds or nearly at them, when it is further from the
money than the starts are fitted to, or when its last step was not small: there the same steps go on until they settle.
Each row is computed by itself in the same vector code wherever it stands, so that a volatility does not depend on its
neighbours or on how many were asked for.

The scratch array `work` holds columns of `BLOCK` rows at constant offsets: that tells the compiler that they do not
overlap, which is what vector code needs.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.compiled import fused
from voldesk.pricing.elementary import INV_SQRT_TWO_PI, log_poly, log_ratio_poly
from voldesk.pricing.european.iv_kernels import OK, householder, mills_factor, one
from voldesk.pricing.european.iv_start import FITTED_K, FITTED_MISSING, FITTED_PRICE, lower_start, upper_start

BLOCK: Final = 64

_FORWARD: Final = 0  # columns as they came
_STRIKE: Final = 1 * BLOCK
_TAU: Final = 2 * BLOCK
_DISCOUNT: Final = 3 * BLOCK
_CALL: Final = 4 * BLOCK  # 1 or 0
_K: Final = 5 * BLOCK  # |log-moneyness|
_MEAN: Final = 6 * BLOCK  # sqrt(forward strike), the unit of the starts
_LEAST: Final = 7 * BLOCK  # the smaller of forward and strike: bound of the time value
_INTRINSIC: Final = 8 * BLOCK
_CEILING: Final = 9 * BLOCK  # bound of the undiscounted price
_ROOT_TAU: Final = 10 * BLOCK
_PLAIN: Final = 11 * BLOCK  # 1 where the row may go the fast way, else 0
_PRICE: Final = 12 * BLOCK
_FAST: Final = 13 * BLOCK  # `_PLAIN`, and the price is well inside its bounds
_REST: Final = 14 * BLOCK  # what is missing to the bound
_SIDE: Final = 15 * BLOCK  # 1 below half of the bound, -1 above
_SCALE: Final = 16 * BLOCK  # 1 / (sqrt(2 pi) target)
_S: Final = 17 * BLOCK  # total volatility
_STEP: Final = 18 * BLOCK  # what the last step changed
_F: Final = 19 * BLOCK  # the factor of Mills ratios
_H: Final = 20 * BLOCK
COLUMNS: Final = 21

_LOWEST: Final = 1e-100  # forwards, strikes and total volatilities outside go row by row: products could overflow
_HIGHEST: Final = 1e100
_CLOSE: Final = 1e-5  # a step of order four this small leaves an error below rounding


@fused
def _take(block: FloatArray, column: FloatArray, step: int, first: int, rows: int) -> None:
    """Copy `rows` values of a column into a slice of the scratch array; step 0 repeats its only value."""
    if step == 0:
        value = column[0]
        for i in range(rows):
            block[i] = value
    else:
        for i in range(rows):
            block[i] = column[first + i]


@fused
def geometry(work: FloatArray) -> None:
    """What bid, ask and mid of one option share."""
    for i in range(BLOCK):
        forward = work[i + _FORWARD]
        strike = work[i + _STRIKE]
        tau = work[i + _TAU]
        discount = work[i + _DISCOUNT]
        call = work[i + _CALL] > 0.0
        low = forward if forward < strike else strike
        high = strike if forward < strike else forward
        k = log_ratio_poly(high, low)
        over = forward - strike if call else strike - forward
        work[i + _K] = k
        work[i + _MEAN] = math.sqrt(low * high)
        work[i + _LEAST] = low
        work[i + _INTRINSIC] = over if over > 0.0 else 0.0
        work[i + _CEILING] = forward if call else strike
        work[i + _ROOT_TAU] = math.sqrt(tau)
        sizes = (low >= _LOWEST) & (high <= _HIGHEST) & (k <= FITTED_K)
        times = (tau > 0.0) & (tau < math.inf) & (discount > 0.0) & (discount < math.inf)
        work[i + _PLAIN] = 1.0 if sizes & times else 0.0


@fused
def start(work: FloatArray) -> None:
    """Target and starting value of each row as if it were below half of its bound; which it is stands in `_SIDE`."""
    for i in range(BLOCK):
        value = work[i + _PRICE] / work[i + _DISCOUNT]
        time_value = value - work[i + _INTRINSIC]
        least = work[i + _LEAST]
        rest = work[i + _CEILING] - value
        b = time_value / work[i + _MEAN]
        inside = (b > FITTED_PRICE) & (b + work[i + _K] > _LOWEST) & (rest > FITTED_MISSING * least)
        work[i + _FAST] = work[i + _PLAIN] if inside else 0.0
        work[i + _REST] = rest
        work[i + _SIDE] = -1.0 if time_value > 0.5 * least else 1.0
        work[i + _SCALE] = INV_SQRT_TWO_PI * least / time_value
        work[i + _S] = lower_start(work[i + _K], b)


@fused
def start_above(work: FloatArray) -> None:
    """Target and starting value of the rows above half of their bound."""
    for i in range(BLOCK):
        missing = work[i + _REST]
        above = work[i + _SIDE] < 0.0
        least = work[i + _LEAST]
        scale = INV_SQRT_TWO_PI * least / missing
        s = upper_start(work[i + _K], missing / least)
        work[i + _SCALE] = scale if above else work[i + _SCALE]
        work[i + _S] = s if above else work[i + _S]


@fused
def evaluate(work: FloatArray) -> None:
    """The factor F of the equation at the present total volatility."""
    for i in range(BLOCK):
        s = work[i + _S]
        h = work[i + _K] / s
        work[i + _H] = h
        work[i + _F] = mills_factor(h, s, work[i + _SIDE])


@fused
def refine(work: FloatArray) -> None:
    """One step towards the root."""
    for i in range(BLOCK):
        s = work[i + _S]
        h = work[i + _H]
        factor = work[i + _F]
        near = h - 0.5 * s
        f = log_poly(factor * work[i + _SCALE]) - 0.5 * near * near
        step = householder(h, s, factor, work[i + _SIDE], f)
        work[i + _STEP] = step
        work[i + _S] = s + step


@fused
def solve(work: FloatArray) -> None:
    """Total volatility of a block, into `_S`; `_FAST` keeps the rows that may be believed."""
    start(work)
    above = False
    for i in range(BLOCK):
        above |= work[i + _SIDE] < 0.0
    if above:
        start_above(work)
    evaluate(work)
    refine(work)
    evaluate(work)
    refine(work)
    for i in range(BLOCK):
        settled = abs(work[i + _STEP]) <= _CLOSE * work[i + _S]
        work[i + _FAST] = work[i + _FAST] if settled else 0.0


@fused
def kernel(
    steps: IntArray,
    coin: bool,
    sigma: FloatArray,
    status: NDArray[np.int8],
    prices: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    discount: FloatArray,
    is_call: BoolArray,
) -> None:
    """Fills `sigma` and `status` (int8), each (prices per option, options); `prices` has their shape.

    `steps[j]` is 1 where the column after `prices` has one value per option and 0 where one serves all. With `coin`,
    prices are in units of the underlying at its forward.
    """
    work = np.zeros(COLUMNS * BLOCK)
    size = sigma.shape[1]
    for first in range(0, size, BLOCK):
        rows = min(BLOCK, size - first)
        _take(work[_FORWARD:_STRIKE], forward, steps[0], first, rows)
        _take(work[_STRIKE:_TAU], strike, steps[1], first, rows)
        _take(work[_TAU:_DISCOUNT], tau, steps[2], first, rows)
        _take(work[_DISCOUNT:_CALL], discount, steps[3], first, rows)
        for i in range(rows):
            work[_CALL + i] = 1.0 if is_call[(first + i) * steps[4]] else 0.0
        geometry(work)
        for j in range(sigma.shape[0]):
            for i in range(rows):
                unit = work[_FORWARD + i] if coin else 1.0
                work[_PRICE + i] = prices[j, first + i] * unit
            solve(work)
            for i in range(rows):
                sigma[j, first + i] = work[_S + i] / work[_ROOT_TAU + i]
                status[j, first + i] = OK
            for i in range(rows):
                if work[_FAST + i] == 0.0:
                    sigma[j, first + i], status[j, first + i] = one(
                        work[_PRICE + i],
                        work[_FORWARD + i],
                        work[_STRIKE + i],
                        work[_TAU + i],
                        work[_DISCOUNT + i],
                        work[_CALL + i] > 0.0,
                    )

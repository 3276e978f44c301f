"""Kernels of `black`: blocks of rows as vector code, and the few rows that need care one by one.

A block of rows is copied into scratch rows, run through three straight loops (`black_lanes`: no branch, no call),
and copied out; the compiler sees that scratch rows do not overlap, which it cannot know of arguments. Rows outside the
ordinary range are counted in the loop and done again by the scalar kernels of `black_kernels`.

`steps[j]` is 1 where input j has one value per row and 0 where one value serves all rows; rows first .. last - 1 are
done, so that threads can share them.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.compiled import compiled, fused, inlined
from voldesk.pricing.elementary import exp_poly, log_poly
from voldesk.pricing.european.black_kernels import Row, careful_row, strike_charm, strike_color, undiscounted
from voldesk.pricing.european.black_lanes import derivatives, discounted, in_coin, in_spot, legs, price_of, readied

BLOCK: Final = 32
_FORWARD: Final = 0  # scratch rows of the inputs
_STRIKE: Final = 1
_TAU: Final = 2
_SIGMA: Final = 3
_SIDE: Final = 4
_RATE: Final = 5
_YIELD: Final = 6
_SPOT: Final = 7
_FACTOR: Final = 8  # discount factor
_GROWN: Final = 9  # forward over spot
_BETWEEN: Final = 10  # what one loop leaves for the next
_ODD: Final = 23
_RESULTS: Final = 24
_CHARM: Final = _RESULTS + 8
_COLOR: Final = _RESULTS + 11
_ROWS: Final = _RESULTS + 15


@inlined
def _prepare(work: FloatArray, count: int) -> int:
    """The loops before the last one; how many rows are odd.

    Three short loops instead of one: each row is a long chain of dependent steps, and the processor overlaps the rows
    of a loop only as far as it can look ahead.
    """
    odd = 0
    for i in range(count):
        forward, strike, sigma, root, s, per_s, per_forward, away, strange = readied(
            work[_FORWARD, i], work[_STRIKE, i], work[_TAU, i], work[_SIGMA, i]
        )
        work[_BETWEEN + 0, i] = forward
        work[_BETWEEN + 1, i] = strike
        work[_BETWEEN + 2, i] = sigma
        work[_BETWEEN + 3, i] = root
        work[_BETWEEN + 4, i] = s
        work[_BETWEEN + 5, i] = per_s
        work[_BETWEEN + 6, i] = per_forward
        work[_BETWEEN + 7, i] = away
        work[_ODD, i] = 1.0 if strange else 0.0
        odd += 1 if strange else 0
    for i in range(count):
        value, lower_leg, lower_rest, upper_leg, scale = legs(
            work[_BETWEEN + 0, i], work[_BETWEEN + 1, i], work[_BETWEEN + 4, i], work[_BETWEEN + 7, i]
        )
        work[_BETWEEN + 8, i] = value
        work[_BETWEEN + 9, i] = lower_leg
        work[_BETWEEN + 10, i] = lower_rest
        work[_BETWEEN + 11, i] = upper_leg
        work[_BETWEEN + 12, i] = scale
    return odd


@inlined
def _derive(work: FloatArray, i: int) -> tuple[Row, float, float]:
    return derivatives(
        work[_BETWEEN + 0, i], work[_BETWEEN + 1, i], work[_BETWEEN + 2, i], work[_BETWEEN + 3, i],
        work[_BETWEEN + 4, i], work[_BETWEEN + 5, i], work[_BETWEEN + 6, i], work[_BETWEEN + 7, i], work[_SIDE, i],
        work[_BETWEEN + 8, i], work[_BETWEEN + 9, i], work[_BETWEEN + 10, i], work[_BETWEEN + 11, i],
        work[_BETWEEN + 12, i],
    )  # fmt: skip


@inlined
def _fill(work: FloatArray, place: int, column: FloatArray, step: int, start: int, count: int) -> None:
    """One input of a block into its scratch row."""
    if step == 0:
        for i in range(count):
            work[place, i] = column[0]
    else:
        rows = column[start : start + count]
        for i in range(count):
            work[place, i] = rows[i]


@inlined
def _fill_side(work: FloatArray, is_call: BoolArray, step: int, start: int, count: int) -> None:
    if step == 0:
        for i in range(count):
            work[_SIDE, i] = 1.0 if is_call[0] else -1.0
    else:
        rows = is_call[start : start + count]
        for i in range(count):
            work[_SIDE, i] = 1.0 if rows[i] else -1.0


@inlined
def _keep(work: FloatArray, i: int, row: Row) -> None:
    work[_RESULTS + 0, i] = row[0]
    work[_RESULTS + 1, i] = row[1]
    work[_RESULTS + 2, i] = row[2]
    work[_RESULTS + 3, i] = row[3]
    work[_RESULTS + 4, i] = row[4]
    work[_RESULTS + 5, i] = row[5]
    work[_RESULTS + 6, i] = row[6]
    work[_RESULTS + 7, i] = row[7]
    work[_RESULTS + 8, i] = row[8]
    work[_RESULTS + 9, i] = row[9]
    work[_RESULTS + 10, i] = row[10]
    work[_RESULTS + 11, i] = row[11]
    work[_RESULTS + 12, i] = row[12]
    work[_RESULTS + 13, i] = row[13]


@inlined
def _hand_out(out: FloatArray, work: FloatArray, start: int, count: int) -> None:
    """As many results as `out` has rows."""
    for j in range(out.shape[0]):
        target = out[j, start : start + count]
        source = work[_RESULTS + j]
        for i in range(count):
            target[i] = source[i]


@compiled
def _mend_forward(work: FloatArray, count: int) -> None:
    """The odd rows of a block again, with care."""
    for i in range(count):
        if work[_ODD, i] == 0.0:
            continue
        years = work[_TAU, i]
        factor = work[_FACTOR, i]
        rate = work[_RATE, i] / years if factor != 1.0 and years > 0.0 else 0.0
        g, _ = careful_row(work[_FORWARD, i], work[_STRIKE, i], years, work[_SIGMA, i], work[_SIDE, i] > 0.0)
        _keep(work, i, discounted(g, factor, rate, years))
        if g[2] == math.inf:
            work[_COLOR, i] = strike_color(years, rate)


@compiled
def _mend_spot(work: FloatArray, count: int) -> None:
    for i in range(count):
        if work[_ODD, i] == 0.0:
            continue
        years, strike, side = work[_TAU, i], work[_STRIKE, i], work[_SIDE, i]
        rate = work[_RATE, i]
        carry = rate - work[_YIELD, i]
        factor, grown, forward = work[_FACTOR, i], work[_GROWN, i], work[_FORWARD, i]
        g, exercise = careful_row(forward, strike, years, work[_SIGMA, i], side > 0.0)
        _keep(work, i, in_spot(g, strike * exercise, side, forward, factor, grown, rate, carry, years))
        if g[2] == math.inf:
            finite = factor * grown * (rate - carry) * g[1]
            work[_CHARM, i] = strike_charm(years, work[_SIGMA, i], carry, finite)
            work[_COLOR, i] = strike_color(years, rate - 0.5 * carry)


@inlined
def _keep_coin(work: FloatArray, i: int, row: Row, net: float) -> None:
    """As `_keep`, the net delta before the last two."""
    _keep(work, i, row)
    work[_RESULTS + 12, i] = net
    work[_RESULTS + 13, i] = row[12]
    work[_RESULTS + 14, i] = row[13]


@compiled
def _mend_coin(work: FloatArray, count: int) -> None:
    for i in range(count):
        if work[_ODD, i] == 0.0:
            continue
        forward, strike, side = work[_FORWARD, i], work[_STRIKE, i], work[_SIDE, i]
        g, exercise = careful_row(forward, strike, work[_TAU, i], work[_SIGMA, i], side > 0.0)
        net = side * strike * exercise / forward
        _keep_coin(work, i, in_coin(g, net, 1.0 / forward), net)
        if g[4] == -math.inf:  # expired at the strike: charm tends to +inf like 1/sqrt(tau), color faster
            work[_CHARM, i] = math.inf
            work[_COLOR, i] = math.inf


@fused
def price_kernel(
    steps: IntArray,
    first: int,
    last: int,
    out: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    sigma: FloatArray,
    discount: FloatArray,
    is_call: BoolArray,
) -> None:
    """Discounted prices of rows first .. last - 1 into `out`."""
    work = np.empty((_RESULTS + 1, BLOCK))
    for start in range(first, last, BLOCK):
        count = min(BLOCK, last - start)
        _fill(work, _FORWARD, forward, steps[0], start, count)
        _fill(work, _STRIKE, strike, steps[1], start, count)
        _fill(work, _TAU, tau, steps[2], start, count)
        _fill(work, _SIGMA, sigma, steps[3], start, count)
        _fill(work, _FACTOR, discount, steps[4], start, count)
        _fill_side(work, is_call, steps[5], start, count)
        odd = _prepare(work, count)
        for i in range(count):
            value = price_of(
                work[_BETWEEN + 8, i], work[_BETWEEN, i], work[_BETWEEN + 1, i], work[_BETWEEN + 7, i], work[_SIDE, i]
            )
            work[_RESULTS, i] = work[_FACTOR, i] * value
        if odd > 0:
            for i in range(count):
                if work[_ODD, i] != 0.0:
                    work[_RESULTS, i] = work[_FACTOR, i] * undiscounted(
                        work[_FORWARD, i], work[_STRIKE, i], work[_TAU, i], work[_SIGMA, i], work[_SIDE, i] > 0.0
                    )
        target = out[start : start + count]
        for i in range(count):
            target[i] = work[_RESULTS, i]


@fused
def forward_kernel(
    steps: IntArray,
    first: int,
    last: int,
    out: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    sigma: FloatArray,
    discount: FloatArray,
    is_call: BoolArray,
) -> None:
    """Fields of `Greeks` in the forward, one row of `out` each (12, or 14 with ultima and veta)."""
    work = np.empty((_ROWS, BLOCK))
    for start in range(first, last, BLOCK):
        count = min(BLOCK, last - start)
        _fill(work, _FORWARD, forward, steps[0], start, count)
        _fill(work, _STRIKE, strike, steps[1], start, count)
        _fill(work, _TAU, tau, steps[2], start, count)
        _fill(work, _SIGMA, sigma, steps[3], start, count)
        _fill(work, _FACTOR, discount, steps[4], start, count)
        _fill_side(work, is_call, steps[5], start, count)
        if steps[4] == 0:
            lost = -log_poly(discount[0])
            for i in range(count):
                work[_RATE, i] = lost  # times tau
        else:
            for i in range(count):
                work[_RATE, i] = -log_poly(work[_FACTOR, i])
        odd = _prepare(work, count)
        for i in range(count):
            g, _, per_tau = _derive(work, i)
            _keep(work, i, discounted(g, work[_FACTOR, i], work[_RATE, i] * per_tau, work[_TAU, i]))
        if odd > 0:
            _mend_forward(work, count)
        _hand_out(out, work, start, count)


@fused
def spot_kernel(
    steps: IntArray,
    first: int,
    last: int,
    out: FloatArray,
    spot: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    sigma: FloatArray,
    rate: FloatArray,
    dividend_yield: FloatArray,
    is_call: BoolArray,
) -> None:
    """Fields of `Greeks` in the spot."""
    work = np.empty((_ROWS, BLOCK))
    for start in range(first, last, BLOCK):
        count = min(BLOCK, last - start)
        _fill(work, _SPOT, spot, steps[0], start, count)
        _fill(work, _STRIKE, strike, steps[1], start, count)
        _fill(work, _TAU, tau, steps[2], start, count)
        _fill(work, _SIGMA, sigma, steps[3], start, count)
        _fill(work, _RATE, rate, steps[4], start, count)
        _fill(work, _YIELD, dividend_yield, steps[5], start, count)
        _fill_side(work, is_call, steps[6], start, count)
        for i in range(count):
            years, r = work[_TAU, i], work[_RATE, i]
            grown = exp_poly((r - work[_YIELD, i]) * years)
            work[_GROWN, i] = grown
            work[_FORWARD, i] = work[_SPOT, i] * grown
            work[_FACTOR, i] = exp_poly(-r * years)
        odd = _prepare(work, count)
        for i in range(count):
            r, side = work[_RATE, i], work[_SIDE, i]
            g, leg, _ = _derive(work, i)
            row = in_spot(
                g,
                leg,
                side,
                work[_FORWARD, i],
                work[_FACTOR, i],
                work[_GROWN, i],
                r,
                r - work[_YIELD, i],
                work[_TAU, i],
            )
            _keep(work, i, row)
        if odd > 0:
            _mend_spot(work, count)
        _hand_out(out, work, start, count)


@fused
def coin_kernel(
    steps: IntArray,
    first: int,
    last: int,
    out: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    sigma: FloatArray,
    is_call: BoolArray,
) -> None:
    """Fields of `CoinGreeks` (13 rows of `out`, or 15 with ultima and veta)."""
    work = np.empty((_ROWS, BLOCK))
    for start in range(first, last, BLOCK):
        count = min(BLOCK, last - start)
        _fill(work, _FORWARD, forward, steps[0], start, count)
        _fill(work, _STRIKE, strike, steps[1], start, count)
        _fill(work, _TAU, tau, steps[2], start, count)
        _fill(work, _SIGMA, sigma, steps[3], start, count)
        _fill_side(work, is_call, steps[4], start, count)
        odd = _prepare(work, count)
        for i in range(count):
            g, leg, _ = _derive(work, i)
            per_forward = work[_BETWEEN + 6, i]
            net = work[_SIDE, i] * leg * per_forward
            _keep_coin(work, i, in_coin(g, net, per_forward), net)
        if odd > 0:
            _mend_coin(work, count)
        _hand_out(out, work, start, count)

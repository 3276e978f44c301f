"""Kernel of `revalue`: every option of a book under every scenario, as vector code.

The plain form F N(d1) - K N(d2) with one exponential, since F n(d1) = K n(d2), and Mills ratios m as a polynomial in
w, which is linear in 1 / (a + 4), for 0 <= a <= 8.5: interpolation at 17 Chebyshev nodes in 50 digits, m n(a) right to
1.1e-16. Beyond 8.5 deviations the tail is below 1e-17 of the larger of forward and strike. Scenarios go in blocks
whose logarithms and square roots are taken once per underlying and expiry, not once per option.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.compiled import fused, inlined
from voldesk.pricing.elementary import INV_SQRT_TWO_PI, exp_poly, log_poly
from voldesk.pricing.european.black_kernels import is_valid, log_ratio

BLOCK: Final = 256
_LEAST_S: Final = 1e-17  # total volatility of an expired leg: its value is the payoff to the last bit
_WIDE: Final = 8.5
_SHIFT: Final = 4.0
_SLOPE: Final = -11.764705882352942
_START: Final = 1.9411764705882353
_M: Final = (  # coefficients of w^0 .. w^16
    0.41203077947424255,
    -0.47133828047848,
    0.249192322791643,
    -0.0945627166372287,
    0.023789135974987764,
    -0.0028538115953993244,
    -0.0003178060282937509,
    0.00014539073487199308,
    3.875446648127865e-06,
    -6.970362457067892e-06,
    -2.408680629834926e-07,
    3.696324508182248e-07,
    3.7591101095422435e-08,
    -1.8936276176516816e-08,
    -4.335908099248832e-09,
    6.777594731104976e-10,
    3.043838652285596e-10,
)


@inlined
def _ratio(u: float) -> float:
    """Mills ratio of a, given u = 1 / (a + 4)."""
    w = u * _SLOPE + _START
    p = _M[16] * w + _M[15]
    p = p * w + _M[14]
    p = p * w + _M[13]
    p = p * w + _M[12]
    p = p * w + _M[11]
    p = p * w + _M[10]
    p = p * w + _M[9]
    p = p * w + _M[8]
    p = p * w + _M[7]
    p = p * w + _M[6]
    p = p * w + _M[5]
    p = p * w + _M[4]
    p = p * w + _M[3]
    p = p * w + _M[2]
    p = p * w + _M[1]
    return p * w + _M[0]


@inlined
def call_value(forward: float, strike: float, x: float, s: float) -> float:
    """Undiscounted call at log-moneyness x and total volatility s > 0."""
    d1 = x / s + 0.5 * s
    d2 = d1 - s
    a1 = _WIDE if abs(d1) > _WIDE else abs(d1)
    a2 = _WIDE if abs(d2) > _WIDE else abs(d2)
    both = 1.0 / ((a1 + _SHIFT) * (a2 + _SHIFT))
    density = forward * (INV_SQRT_TWO_PI * exp_poly(-0.5 * d1 * d1))
    tail = density * _ratio((a2 + _SHIFT) * both)
    strike_tail = density * _ratio((a1 + _SHIFT) * both)
    return (forward - tail if d1 > 0.0 else tail) - (strike - strike_tail if d2 > 0.0 else strike_tail)


@inlined
def _line_values(
    line: FloatArray,
    growth: FloatArray,
    log_growth: FloatArray,
    shift: FloatArray,
    root: FloatArray,
    forward: float,
    strike: float,
    x: float,
    sigma: float,
    is_call: bool,
    coin: bool,
) -> None:
    """Values of one option under a block of scenarios into `line`."""
    fixed = 0.0 if is_call else strike  # a put is the call - F + K
    moving = 0.0 if is_call else -1.0
    for i in range(line.size):
        vol = sigma + shift[i]
        s = (0.0 if vol < 0.0 else vol) * root[i]
        s = _LEAST_S if s < _LEAST_S else s
        ahead = forward * growth[i]
        value = call_value(ahead, strike, x + log_growth[i], s) + (fixed + moving * ahead)
        value = 0.0 if value < 0.0 else value
        line[i] = value / (ahead if coin else 1.0)


@fused
def revalue_kernel(
    first: int,
    last: int,
    pnl: FloatArray,
    spot_move: FloatArray,
    vol_shift: FloatArray,
    years_ahead: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    lives: FloatArray,
    life: IntArray,
    sigma: FloatArray,
    is_call: BoolArray,
    coin_settled: BoolArray,
    units: FloatArray,
    underlying: IntArray,
    expiry: IntArray,
    group: IntArray,
) -> None:
    """P&L of scenarios first .. last - 1 into `pnl` (groups, scenarios). lives: the distinct tau, life: which one."""
    options = forward.size
    growth = np.empty((spot_move.shape[0], BLOCK))
    log_growth = np.empty((spot_move.shape[0], BLOCK))
    root = np.empty((lives.size, BLOCK))
    line = np.empty(BLOCK)
    base = np.empty(options)
    x = np.empty(options)
    still = np.zeros(1)
    for j in range(options):
        x[j] = log_ratio(forward[j], strike[j])
        one = np.ones(1)
        now = np.full(1, math.sqrt(max(lives[life[j]], 0.0)))
        _line_values(
            line[:1], one, still, still, now, forward[j], strike[j], x[j], sigma[j], is_call[j], coin_settled[j]
        )
        base[j] = line[0] if is_valid(forward[j], strike[j], 0.0, sigma[j]) else math.nan
    for start in range(first, last, BLOCK):
        count = min(BLOCK, last - start)
        for u in range(spot_move.shape[0]):
            for i in range(count):
                growth[u, i] = 1.0 + spot_move[u, start + i]
                log_growth[u, i] = log_poly(growth[u, i])
        for k in range(lives.size):
            for i in range(count):
                left = lives[k] - years_ahead[start + i]
                root[k, i] = math.sqrt(0.0 if left < 0.0 else left)
        pnl[:, start : start + count] = 0.0
        for j in range(options):
            u = underlying[j]
            values = line[:count]
            shifts = vol_shift[expiry[j], start : start + count]
            _line_values(
                values, growth[u, :count], log_growth[u, :count], shifts, root[life[j], :count],
                forward[j], strike[j], x[j], sigma[j], is_call[j], coin_settled[j],
            )  # fmt: skip
            target = pnl[group[j], start : start + count]
            size = units[j]
            worth = base[j]
            for i in range(count):
                target[i] += size * (values[i] - worth)

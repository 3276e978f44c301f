"""Kernels of `lattice`: one Leisen-Reimer tree, rolled back in place, and its Richardson pair.

Sources: Leisen & Reimer (1996), "Binomial models for option valuation: examining and improving convergence", sec. 3.2
(Peizer-Pratt inversion, method 2); the tree begun two steps early, so that three nodes stand at time zero: Pelsser &
Vorst (1994). `stride[j]` is 1 where input j has one value per row and 0 where one value serves all rows.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.compiled import compiled, fused

# spot, strike, tau, rate, dividend yield, sigma, side (+1 call, -1 put)
_Option = tuple[float, float, float, float, float, float, float]

_WIDEST: Final = 690.0  # log of the outermost node over the spot: beyond, nodes overflow
_LEAST: Final = 1e-280  # of a branch's probability
_ROUNDING: Final = 4e-15  # of spot and strike, per step of the tree
_BUMP: Final = 1e-3  # of vega (times sigma) and rho (over tau, at most 1e-3): the tree is smooth in both


@compiled
def up_probability(z: float, n: int) -> tuple[float, float]:
    """Peizer & Pratt's inversion of the binomial law at z for n (odd) steps, and one minus it, each to its own digits.

    Source: Leisen & Reimer (1996), h(z, n) of method 2.
    """
    ratio = z / (n + 1.0 / 3.0 + 0.1 / (n + 1.0))
    exponent = ratio * ratio * (n + 1.0 / 6.0)
    root = math.sqrt(-math.expm1(-exponent))
    likely = 0.5 + 0.5 * root
    unlikely = 0.5 * math.exp(-exponent) / (1.0 + root)
    if z >= 0.0:
        return likely, unlikely
    return unlikely, likely


@compiled
def certain_value(option: _Option, american: bool) -> tuple[float, float]:
    """Value and exercise time where chance plays no part; the time is -1 where the option dies worthless.

    Exercise at t is worth side (S e^-qt - K e^-rt), stationary where q S e^-qt = r K e^-rt.
    """
    spot, strike, tau, rate, dividend_yield, _, side = option
    best, when = 0.0, -1.0
    if american and side * (spot - strike) > 0.0:
        best, when = side * (spot - strike), 0.0
    if american and rate * dividend_yield > 0.0 and rate != dividend_yield:
        t = math.log(rate * strike / (dividend_yield * spot)) / (rate - dividend_yield)
        value = side * (spot * math.exp(-dividend_yield * t) - strike * math.exp(-rate * t))
        if 0.0 < t < tau and value > best:
            best, when = value, t
    value = side * (spot * math.exp(-dividend_yield * tau) - strike * math.exp(-rate * tau))
    if value > best:
        best, when = value, tau
    return best, when


@fused
def roll_back(
    values: FloatArray, nodes: FloatArray, n: int, up: float, down: float, back: float, strike: float, side: float
) -> None:
    """American: from n + 3 payoffs to three values at time zero. up, down: discounted probabilities; back: 1 / d."""
    for level in range(n - 1, -1, -1):
        count = level + 3
        value = values[: count + 1]
        node = nodes[:count]
        for j in range(count):
            hold = up * value[j + 1] + down * value[j]
            spot = node[j] * back
            node[j] = spot
            exercise = side * (spot - strike)
            value[j] = hold if hold > exercise else exercise


@fused
def roll_back_european(values: FloatArray, n: int, up: float, down: float) -> None:
    """As `roll_back`, without early exercise."""
    for level in range(n - 1, -1, -1):
        count = level + 3
        value = values[: count + 1]
        for j in range(count):
            value[j] = up * value[j + 1] + down * value[j]


@compiled
def tree(n: int, option: _Option, american: bool, values: FloatArray, nodes: FloatArray) -> tuple[float, float, float]:
    """Price, delta, gamma of one tree of n steps; NaN where its nodes leave the range of floats.

    values, nodes: scratch, at least n + 3 long.
    """
    spot, strike, tau, rate, dividend_yield, sigma, side = option
    total = sigma * math.sqrt(tau)
    growth = math.exp((rate - dividend_yield) * tau / n)
    d2 = (math.log(spot / strike) + (rate - dividend_yield) * tau) / total - 0.5 * total
    p, not_p = up_probability(d2, n)
    p_spot, not_p_spot = up_probability(d2 + total, n)
    if min(min(p, not_p), min(p_spot, not_p_spot)) < _LEAST:
        # |d2| beyond about 25 sqrt(n): the chance of a branch cannot be written as a float any more.
        value, when = certain_value(option, american)
        delta = 0.0 if when < 0.0 else side * math.exp(-dividend_yield * when)
        return value, delta, 0.0
    log_up = math.log(growth * p_spot / p)
    log_down = math.log(growth * not_p_spot / not_p)
    if not n * max(abs(log_up), abs(log_down)) < _WIDEST:
        return math.nan, math.nan, math.nan
    for m in range(n + 3):
        nodes[m] = spot * math.exp((m - 1) * log_up + (n + 1 - m) * log_down)
        values[m] = max(side * (nodes[m] - strike), 0.0)
    discount = math.exp(-rate * tau / n)
    if american:
        roll_back(values, nodes, n, discount * p, discount * not_p, math.exp(-log_down), strike, side)
    else:
        roll_back_european(values, n, discount * p, discount * not_p)
    spread = math.exp(log_up - log_down)
    above = spot * (spread - 1.0)
    below = spot * (1.0 - 1.0 / spread)
    slope_above = (values[2] - values[1]) / above
    slope_below = (values[1] - values[0]) / below
    delta = (slope_above * below + slope_below * above) / (above + below)
    return values[1], delta, 2.0 * (slope_above - slope_below) / (above + below)


@compiled
def extrapolated(
    n: int, option: _Option, american: bool, values: FloatArray, nodes: FloatArray
) -> tuple[float, float, float]:
    """Price, delta, gamma from trees of n and about n / 2 steps, each extrapolated in its order.

    The European price converges like 1 / n^2; early exercise, and for delta and gamma the width of the three nodes at
    time zero, bring errors like 1 / n.
    """
    spot, strike, side = option[0], option[1], option[6]
    half = 2 * (n // 4) + 1
    fine, fine_delta, fine_gamma = tree(n, option, american, values, nodes)
    coarse, coarse_delta, coarse_gamma = tree(half, option, american, values, nodes)
    first = half / float(n - half)
    weight = first if american else half * half / float(n * n - half * half)
    price = max(fine + weight * (fine - coarse), 0.0)
    intrinsic, slack = side * (spot - strike), _ROUNDING * n * (spot + strike)
    # Extrapolation leaves a little rounding on a price that is the intrinsic value in both trees.
    if american and price <= intrinsic + (slack if intrinsic > slack else 0.0):
        return intrinsic, side, 0.0
    return price, fine_delta + first * (fine_delta - coarse_delta), fine_gamma + first * (fine_gamma - coarse_gamma)


@compiled
def is_valid(option: _Option) -> bool:
    """False for NaN, infinity and values outside the model."""
    spot, strike, tau, rate, dividend_yield, sigma, _ = option
    if not (spot > 0.0 and strike > 0.0 and tau >= 0.0 and sigma >= 0.0):
        return False
    return math.isfinite(spot + strike + tau + sigma + rate + dividend_yield)


@compiled
def row_price(n: int, option: _Option, american: bool, values: FloatArray, nodes: FloatArray) -> float:
    """One price, with the limits of no time and no volatility."""
    if not is_valid(option):
        return math.nan
    if option[5] * math.sqrt(option[2]) == 0.0:
        return certain_value(option, american)[0]
    return extrapolated(n, option, american, values, nodes)[0]


@compiled
def price_kernel(
    stride: IntArray,
    n: int,
    american: bool,
    out: FloatArray,
    spot: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    rate: FloatArray,
    dividend_yield: FloatArray,
    sigma: FloatArray,
    is_call: BoolArray,
) -> None:
    """Fill out (rows,) with prices."""
    s, k, t, r, q, v, c = stride[0], stride[1], stride[2], stride[3], stride[4], stride[5], stride[6]
    values, nodes = _scratch(n)
    for i in range(out.size):
        side = 1.0 if is_call[i * c] else -1.0
        option = (spot[i * s], strike[i * k], tau[i * t], rate[i * r], dividend_yield[i * q], sigma[i * v], side)
        out[i] = row_price(n, option, american, values, nodes)


@compiled
def _scratch(n: int) -> tuple[FloatArray, FloatArray]:
    return np.empty(n + 3), np.empty(n + 3)


@compiled
def row_greeks(n: int, option: _Option, american: bool, values: FloatArray, nodes: FloatArray, out: FloatArray) -> None:
    """Fill out (6,) with price, delta, gamma, vega, theta, rho."""
    if not is_valid(option):
        out[:] = math.nan
        return
    spot, strike, tau, rate, dividend_yield, sigma, side = option
    if sigma * math.sqrt(tau) == 0.0:
        value, when = certain_value(option, american)
        out[:] = 0.0
        out[0] = value
        if when >= 0.0:
            out[1] = side * math.exp(-dividend_yield * when)
            out[5] = side * when * strike * math.exp(-rate * when)
        if when == tau:
            spot_leg, strike_leg = spot * math.exp(-dividend_yield * tau), strike * math.exp(-rate * tau)
            out[4] = side * (dividend_yield * spot_leg - rate * strike_leg)
        return
    price, delta, gamma = extrapolated(n, option, american, values, nodes)
    out[0], out[1], out[2] = price, delta, gamma
    if american and price <= side * (spot - strike):
        out[3:] = 0.0
        return
    bump = _BUMP * sigma
    higher = (spot, strike, tau, rate, dividend_yield, sigma + bump, side)
    lower = (spot, strike, tau, rate, dividend_yield, sigma - bump, side)
    up = extrapolated(n, higher, american, values, nodes)[0]
    out[3] = (up - extrapolated(n, lower, american, values, nodes)[0]) / (2.0 * bump)
    # The pricing equation gives theta where the option is held.
    carry = (rate - dividend_yield) * spot * delta + 0.5 * sigma * sigma * spot * spot * gamma
    out[4] = rate * price - carry
    bump = min(_BUMP, _BUMP / tau)
    higher = (spot, strike, tau, rate + bump, dividend_yield, sigma, side)
    lower = (spot, strike, tau, rate - bump, dividend_yield, sigma, side)
    up = extrapolated(n, higher, american, values, nodes)[0]
    out[5] = (up - extrapolated(n, lower, american, values, nodes)[0]) / (2.0 * bump)


@compiled
def greeks_kernel(
    stride: IntArray,
    n: int,
    american: bool,
    out: FloatArray,
    spot: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    rate: FloatArray,
    dividend_yield: FloatArray,
    sigma: FloatArray,
    is_call: BoolArray,
) -> None:
    """Fill out (6, rows)."""
    s, k, t, r, q, v, c = stride[0], stride[1], stride[2], stride[3], stride[4], stride[5], stride[6]
    values, nodes = _scratch(n)
    row = np.empty(6)
    for i in range(out.shape[1]):
        side = 1.0 if is_call[i * c] else -1.0
        option = (spot[i * s], strike[i * k], tau[i * t], rate[i * r], dividend_yield[i * q], sigma[i * v], side)
        row_greeks(n, option, american, values, nodes, row)
        out[:, i] = row

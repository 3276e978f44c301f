"""Kernels of `finite_difference`, row by row: the grid for one option, its limits, its price and Greeks."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.pricing.grids import kernels as fd
from voldesk.pricing.grids.grid import (
    cubic,
    dividends_within,
    integral,
    interval_of,
    rate_at,
    sinh_grid,
    smooth_payoff,
)
from voldesk.pricing.grids.jump_pde import jump_matrix
from voldesk.pricing.grids.market import Market

# spot, strike, tau, rate, dividend yield, sigma, side (+1 call, -1 put)
_Option = tuple[float, float, float, float, float, float, float]

_REACH: Final = 6.0  # deviations from spot and strike to the edges of the grid
_WIDTH: Final = 0.6  # of the dense part about the strike, in deviations
_BUMP: Final = 1e-3  # of vega (times sigma) and rho


@compiled
def is_valid(option: _Option, market: Market) -> bool:
    """False for NaN, infinity and values outside the model; sigma does not count where there is local volatility."""
    spot, strike, tau, rate, dividend_yield, sigma, _ = option
    if not (spot > 0.0 and strike > 0.0 and tau >= 0.0):
        return False
    if market.local_vol.size == 0 and not (sigma >= 0.0 and math.isfinite(sigma)):
        return False
    return math.isfinite(spot + strike + tau + rate + dividend_yield)


@compiled
def deviation(option: _Option, market: Market) -> float:
    """Rough total volatility of the log spot to expiry, jumps included."""
    spot, strike, tau, _, _, sigma, _ = option
    if market.local_vol.size > 0:
        sigma = 0.0
        for x in (math.log(spot), math.log(strike)):
            cell = interval_of(market.vol_log_spots, x) if market.vol_log_spots.size > 1 else 0
            for k in range(market.vol_times.size):
                if k == 0 or market.vol_times[k - 1] < tau:
                    sigma = max(sigma, market.local_vol[k, cell])
    intensity, mean, spread = market.jumps[0], market.jumps[1], market.jumps[2]
    return math.sqrt((sigma * sigma + intensity * (mean * mean + spread * spread)) * tau)


@compiled
def build_grid(work: FloatArray, option: _Option, every: int, market: Market, matrix: FloatArray) -> int:
    """Fill the SPOT, PAYOFF and volatility rows and the jump matrix; the place of the strike (see `sinh_grid`)."""
    spot, strike, tau, rate, dividend_yield, _, side = option
    total = deviation(option, market)
    carry = abs(integral(market.rate_ends, market.rates, rate, tau))
    carry += abs(integral(market.yield_ends, market.yields, dividend_yield, tau))
    cash = 0.0
    for k in range(dividends_within(market.ex_times, tau)):
        cash += market.amounts[k]
    reach = _REACH * total + carry + 0.5 * total * total
    high = (max(spot, strike) + cash) * math.exp(reach)
    low = min(spot, strike) * math.exp(-reach)
    to_zero = low - cash < 0.2 * min(spot, strike)
    if not to_zero:
        low -= cash
    place = sinh_grid(low, high, strike, _WIDTH * total + 0.1 * carry, every, work[fd.SPOT])
    if to_zero:
        work[fd.SPOT, 0] = 0.0
    for j in range(work.shape[1]):
        work[fd.PAYOFF, j] = max(side * (work[fd.SPOT, j] - strike), 0.0)
    if market.local_vol.size > 0:
        fd.locate(work, market.vol_log_spots)
    if market.jumps[0] > 0.0:
        jump_matrix(work[fd.SPOT], market.jumps[1], market.jumps[2], matrix)
    return place


@compiled
def solve(
    work: FloatArray,
    held: BoolArray,
    place: int,
    option: _Option,
    american: bool,
    scheme: int,
    steps: int,
    market: Market,
    matrix: FloatArray,
    boundary: FloatArray,
) -> bool:
    """VALUE now, on the grid that stands."""
    _, strike, _, _, _, sigma, side = option
    smooth_payoff(work[fd.SPOT], strike, side, place, work[fd.VALUE])
    work[fd.SIGMA] = sigma
    edges = np.zeros((4, 2))
    for end in range(4):
        in_the_money = (end % 2 == 1) == (side > 0.0)
        if in_the_money:
            edges[end, 0], edges[end, 1] = side, -side * strike
    return fd.march(work, edges, held, option, american, scheme, steps, market, matrix, boundary)


@compiled
def certain_value(option: _Option, american: bool, market: Market) -> float:
    """Value where the spot has no volatility and no jumps; American: the best of all exercise times.

    Between two times at which a rate or the spot jumps, exercise has one stationary point, where q S = r K.
    """
    spot, strike, tau, flat_rate, flat_yield, _, side = option
    best = max(side * (spot - strike), 0.0) if american or tau == 0.0 else 0.0
    t, discount = 0.0, 1.0
    next_dividend = 0
    while t < tau:
        end = tau
        if next_dividend < market.ex_times.size:
            end = min(end, market.ex_times[next_dividend])
        for k in range(market.rate_ends.size - 1):
            if market.rate_ends[k] > t:
                end = min(end, market.rate_ends[k])
        for k in range(market.yield_ends.size - 1):
            if market.yield_ends[k] > t:
                end = min(end, market.yield_ends[k])
        rate = rate_at(market.rate_ends, market.rates, flat_rate, t)
        dividend_yield = rate_at(market.yield_ends, market.yields, flat_yield, t)
        if american and rate * dividend_yield > 0.0 and rate != dividend_yield and spot > 0.0:
            wait = math.log(rate * strike / (dividend_yield * spot)) / (rate - dividend_yield)
            if 0.0 < wait < end - t:
                there = spot * math.exp((rate - dividend_yield) * wait)
                best = max(best, discount * math.exp(-rate * wait) * side * (there - strike))
        spot *= math.exp((rate - dividend_yield) * (end - t))
        discount *= math.exp(-rate * (end - t))
        t = end
        if american:
            best = max(best, discount * side * (spot - strike))
        if next_dividend < market.ex_times.size and market.ex_times[next_dividend] == t:
            spot = max(spot - market.amounts[next_dividend], 0.0)
            next_dividend += 1
    return max(best, discount * side * (spot - strike)) + 0.0  # no minus zero


@compiled
def without_chance(option: _Option, market: Market) -> bool:
    """No time, or neither volatility nor jumps."""
    return option[2] == 0.0 or (option[5] == 0.0 and market.local_vol.size == 0 and market.jumps[0] == 0.0)


@compiled
def read_price(work: FloatArray, option: _Option, american: bool) -> float:
    """VALUE at the spot, kept to its lower bound."""
    value = max(cubic(work[fd.SPOT], work[fd.VALUE], option[0]), 0.0)
    if american:
        value = max(value, option[6] * (option[0] - option[1]))
    return value


@compiled
def certain_greeks(option: _Option, american: bool, market: Market, out: FloatArray) -> None:
    """Slopes of the certain value by central differences of one part in a million; gamma and vega 0."""
    spot, strike, tau, rate, dividend_yield, sigma, side = option
    out[:] = 0.0
    out[0] = certain_value(option, american, market)
    step = 1e-6 * spot
    higher = certain_value((spot + step, strike, tau, rate, dividend_yield, sigma, side), american, market)
    lower = certain_value((spot - step, strike, tau, rate, dividend_yield, sigma, side), american, market)
    out[1] = (higher - lower) / (2.0 * step)
    if tau == 0.0:
        return
    step = 1e-6 * tau
    higher = certain_value((spot, strike, tau + step, rate, dividend_yield, sigma, side), american, market)
    lower = certain_value((spot, strike, tau - step, rate, dividend_yield, sigma, side), american, market)
    out[4] = (lower - higher) / (2.0 * step)
    step = 1e-6
    higher = certain_value((spot, strike, tau, rate + step, dividend_yield, sigma, side), american, market)
    lower = certain_value((spot, strike, tau, rate - step, dividend_yield, sigma, side), american, market)
    out[5] = (higher - lower) / (2.0 * step)


@compiled
def value_on_grid(
    work: FloatArray,
    held: BoolArray,
    option: _Option,
    every: int,
    american: bool,
    scheme: int,
    steps: int,
    market: Market,
    matrix: FloatArray,
    out: FloatArray,
    with_greeks: bool,
) -> bool:
    """Fill out[0] (NaN where a stage found no solution), and with Greeks all of out (6,). True: exercised at once.

    Bumped solves keep the grid.
    """
    nothing = np.empty((0, 3))
    out[:] = math.nan
    place = build_grid(work, option, every, market, matrix)
    if not solve(work, held, place, option, american, scheme, steps, market, matrix, nothing):
        return False
    out[0] = read_price(work, option, american)
    spot, strike, tau, rate, dividend_yield, sigma, side = option
    cell = interval_of(work[fd.SPOT], spot)
    exercised = not (held[cell] and held[cell + 1]) and side * (spot - strike) >= out[0]
    if exercised:
        out[1], out[2:] = side, 0.0
    if exercised or not with_greeks:
        return exercised
    read_slopes(work, held, option, market, matrix, out)
    values = np.empty(4)
    for which in range(4):
        way = 1.0 - 2.0 * (which % 2)
        vol_bump = way * _BUMP * sigma if which < 2 else 0.0
        rate_bump = way * min(_BUMP, _BUMP / tau) if which >= 2 else 0.0
        shifted = (spot, strike, tau, rate + rate_bump, dividend_yield, sigma + vol_bump, side)
        values[which] = math.nan
        if which < 2 and (market.local_vol.size > 0 or sigma == 0.0):
            continue
        if solve(work, held, place, shifted, american, scheme, steps, market, matrix, nothing):
            values[which] = cubic(work[fd.SPOT], work[fd.VALUE], spot)
    out[3] = (values[0] - values[1]) / (2.0 * _BUMP * sigma)
    out[5] = (values[2] - values[3]) / (2.0 * min(_BUMP, _BUMP / tau))
    return False


@compiled
def value_row(
    work: FloatArray,
    held: BoolArray,
    option: _Option,
    american: bool,
    scheme: int,
    steps: int,
    market: Market,
    matrix: FloatArray,
    extrapolate: bool,
    out: FloatArray,
    with_greeks: bool,
) -> None:
    """Fill out[0], and with Greeks all of out (6,): price, delta, gamma, vega, theta, rho. NaN for bad input.

    With `extrapolate` from this grid and one of half its intervals and steps, whose errors are four times as large.
    """
    out[:] = math.nan
    if not is_valid(option, market):
        return
    if without_chance(option, market):
        if with_greeks:
            certain_greeks(option, american, market, out)
        else:
            out[0] = certain_value(option, american, market)
        return
    every = 2 if extrapolate else 1
    if value_on_grid(work, held, option, every, american, scheme, steps, market, matrix, out, with_greeks):
        return
    if extrapolate:
        count = held.size // 2 + 1
        coarse = np.empty(6)
        half = work[:, :count]
        if value_on_grid(
            half, held[:count], option, 1, american, scheme, steps // 2, market, matrix, coarse, with_greeks
        ):
            coarse[1:] = out[1:]  # the coarse grid places the boundary on the other side of the spot
        for j in range(6):
            out[j] += (out[j] - coarse[j]) / 3.0
    spot, strike, side = option[0], option[1], option[6]
    out[0] = max(out[0], 0.0)
    if american:
        out[0] = max(out[0], side * (spot - strike))


@compiled
def read_slopes(
    work: FloatArray, held: BoolArray, option: _Option, market: Market, matrix: FloatArray, out: FloatArray
) -> None:
    """Delta, gamma and theta at the spot into out."""
    spot, rate, dividend_yield = option[0], option[3], option[4]
    now = rate_at(market.rate_ends, market.rates, rate, 0.0)
    yield_now = rate_at(market.yield_ends, market.yields, dividend_yield, 0.0)
    if market.local_vol.size > 0:
        fd.set_local_vol(work, market, 0.0)
    fd.set_operator(work, now - yield_now - fd.jump_carry(market))
    fd.nodal_greeks(work, held, now, market, matrix)
    inner = work[:, 1:-1]
    out[1] = cubic(inner[fd.SPOT], inner[fd.DELTA], spot)
    out[2] = cubic(inner[fd.SPOT], inner[fd.GAMMA], spot)
    out[4] = cubic(inner[fd.SPOT], inner[fd.THETA], spot)


@compiled
def scratch(nodes: int, market: Market) -> tuple[FloatArray, BoolArray, FloatArray]:
    """Work rows, held flags and jump matrix for one grid size."""
    square = nodes if market.jumps[0] > 0.0 else 0
    return np.zeros((fd.ROWS, nodes)), np.ones(nodes, np.bool_), np.zeros((square, square))


@compiled
def kernel(
    stride: IntArray,
    american: bool,
    scheme: int,
    steps: int,
    nodes: int,
    extrapolate: bool,
    market: Market,
    out: FloatArray,
    spot: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    rate: FloatArray,
    dividend_yield: FloatArray,
    sigma: FloatArray,
    is_call: BoolArray,
) -> None:
    """Fill out (1, rows) with prices or out (6, rows) with Greeks."""
    s, k, t, r, q, v, c = stride[0], stride[1], stride[2], stride[3], stride[4], stride[5], stride[6]
    work, held, matrix = scratch(nodes, market)
    row = np.empty(6)
    for i in range(out.shape[1]):
        side = 1.0 if is_call[i * c] else -1.0
        option = (spot[i * s], strike[i * k], tau[i * t], rate[i * r], dividend_yield[i * q], sigma[i * v], side)
        value_row(work, held, option, american, scheme, steps, market, matrix, extrapolate, row, out.shape[0] > 1)
        for j in range(out.shape[0]):
            out[j, i] = row[j]

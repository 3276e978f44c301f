"""Time steps of `heston_pde` and what is read off its grid; see `heston_pde_kernels` for the method and its sources."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.compiled import compiled, fused
from voldesk.pricing.grids import heston_pde_kernels as adi
from voldesk.pricing.grids.grid import cubic, interval_of, sinh_grid, smooth_payoff
from voldesk.pricing.grids.kernels import follow_edges

# spot, strike, tau, rate, dividend yield, side (+1 call, -1 put)
_Option = tuple[float, float, float, float, float, float]
# v0, kappa, theta, xi, rho
_Model = tuple[float, float, float, float, float]

_REACH: Final = 8.0  # deviations of the log spot to the edges of the grid
_WIDTH: Final = 0.3  # of the dense part about the strike, in deviations


@fused
def combine(sheets: FloatArray, dt: float, share: float) -> None:
    """FIRST = V + dt (A V + force); STAGE = FIRST - share A1 V, on inner spots."""
    n, m = sheets.shape[1], sheets.shape[2]
    for i in range(1, n - 1):
        value, mixed, spot, var = sheets[adi.VALUE, i], sheets[adi.MIXED, i], sheets[adi.SPOT, i], sheets[adi.VAR, i]
        force, first, stage = sheets[adi.FORCE, i], sheets[adi.FIRST, i], sheets[adi.STAGE, i]
        for j in range(m):
            first[j] = value[j] + dt * (mixed[j] + spot[j] + var[j] + force[j])
            stage[j] = first[j] - share * spot[j]


@fused
def correct(sheets: FloatArray, dt: float, share: float) -> None:
    """The second half of modified Craig-Sneyd: FIRST moved by the change of A0 and of A, less share A1 V, in STAGE."""
    n, m = sheets.shape[1], sheets.shape[2]
    rest = 0.5 * dt - share
    for i in range(1, n - 1):
        mixed, spot, var = sheets[adi.MIXED, i], sheets[adi.SPOT, i], sheets[adi.VAR, i]
        mixed2, spot2, var2 = sheets[adi.MIXED2, i], sheets[adi.SPOT2, i], sheets[adi.VAR2, i]
        first, stage = sheets[adi.FIRST, i], sheets[adi.STAGE, i]
        for j in range(m):
            cross = mixed2[j] - mixed[j]
            whole = cross + (spot2[j] - spot[j]) + (var2[j] - var[j])
            stage[j] = first[j] + share * cross + rest * whole - share * spot[j]


@fused
def subtract(sheets: FloatArray, share: float) -> None:
    """STAGE less share A2 V."""
    for i in range(1, sheets.shape[1] - 1):
        stage, var = sheets[adi.STAGE, i], sheets[adi.VAR, i]
        for j in range(sheets.shape[2]):
            stage[j] -= share * var[j]


@fused
def accept(sheets: FloatArray, payoff: FloatArray, dt: float, american: bool) -> None:
    """VALUE from STAGE; American: the multiplier takes up what the payoff asks for (Ikonen & Toivanen, eq. 20)."""
    n, m = sheets.shape[1], sheets.shape[2]
    for i in range(n):
        value, stage, force = sheets[adi.VALUE, i], sheets[adi.STAGE, i], sheets[adi.FORCE, i]
        if american and 0 < i < n - 1:
            floor = payoff[i]
            for j in range(m):
                free = stage[j] - dt * force[j]
                force[j] = max(0.0, (floor - free) / dt)
                value[j] = max(free, floor)
        else:
            for j in range(m):
                value[j] = stage[j]


@compiled
def fill_edges(
    sheets: FloatArray, line: FloatArray, edges: FloatArray, by_spot: float, by_cash: float, american: bool
) -> None:
    """Both end rows of STAGE, after the straight lines there shrink by these factors."""
    ends = line[2]
    follow_edges(line, edges, by_spot, by_cash, american, ends)
    sheets[adi.STAGE, 0] = ends[0]
    sheets[adi.STAGE, -1] = ends[-1]


@compiled
def march(
    sheets: FloatArray,
    line: FloatArray,
    variances: FloatArray,
    option: _Option,
    model: _Model,
    american: bool,
    steps: int,
) -> None:
    """VALUE from expiry to now. line: rows of spots, payoffs and scratch."""
    _, strike, tau, rate, dividend_yield, side = option
    spots, payoff = line[0], line[1]
    theta = max(1.0 / 3.0, 2.0 * (2.0 * abs(model[4]) + 1.0) / 13.0)
    length = tau / (steps + adi.DAMPING * theta)
    share = theta * length
    terms = np.array([rate - dividend_yield, 0.5 * rate, share])
    spot_weights, var_weights = np.zeros((6, spots.size)), np.zeros((7, variances.size))
    adi.difference_weights(spots, spot_weights)
    adi.variance_weights(variances, model, 0.5 * rate, share, var_weights)
    mixed_weights = np.zeros((6, variances.size))
    adi.difference_weights(variances, mixed_weights)
    for j in range(variances.size):
        for k in range(3):
            mixed_weights[k, j] *= model[4] * model[3] * variances[j]
    sheets[adi.RATIO :] = 0.0
    sheets[adi.FORCE] = 0.0
    adi.spot_sweep(spots, variances, spot_weights, terms, sheets)
    edges = np.zeros((4, 2))
    for end in range(4):
        if (end % 2 == 1) == (side > 0.0):
            edges[end, 0], edges[end, 1] = side, -side * strike
    lanes = np.zeros((variances.size, 8))
    for step in range(steps + adi.DAMPING):
        dt = share if step < adi.DAMPING else length
        adi.apply_parts(
            spots, variances, spot_weights, var_weights, mixed_weights, terms,
            sheets[adi.VALUE], sheets[adi.MIXED], sheets[adi.SPOT], sheets[adi.VAR],
        )  # fmt: skip
        combine(sheets, dt, share)
        fill_edges(sheets, line, edges, math.exp(-dividend_yield * dt), math.exp(-rate * dt), american)
        adi.solve_spot(spots, variances, spot_weights, terms, sheets, sheets[adi.STAGE])
        subtract(sheets, share)
        adi.solve_variance(var_weights, share, sheets[adi.STAGE], lanes)
        if step >= adi.DAMPING:
            adi.apply_parts(
                spots, variances, spot_weights, var_weights, mixed_weights, terms,
                sheets[adi.STAGE], sheets[adi.MIXED2], sheets[adi.SPOT2], sheets[adi.VAR2],
            )  # fmt: skip
            correct(sheets, dt, share)
            adi.solve_spot(spots, variances, spot_weights, terms, sheets, sheets[adi.STAGE])
            subtract(sheets, share)
            adi.solve_variance(var_weights, share, sheets[adi.STAGE], lanes)
        accept(sheets, payoff, dt, american)
    # What theta needs: minus A V at time zero.
    adi.apply_parts(
        spots, variances, spot_weights, var_weights, mixed_weights, terms,
        sheets[adi.VALUE], sheets[adi.MIXED], sheets[adi.SPOT], sheets[adi.VAR],
    )  # fmt: skip


@compiled
def mean_variance(model: _Model, tau: float) -> float:
    """Expected variance per year over the option's life."""
    v0, kappa, theta, _, _ = model
    return theta + (v0 - theta) * -math.expm1(-kappa * tau) / (kappa * tau)


@compiled
def read_off(
    sheets: FloatArray, line: FloatArray, variances: FloatArray, option: _Option, v0: float, out: FloatArray
) -> None:
    """out (5,): price, delta, gamma, theta, derivative in v0, each a cubic in spot and in variance."""
    spot = option[0]
    n = line.shape[1]
    first = min(max(interval_of(variances, v0) - 1, 0), variances.size - 4)
    near = min(max(interval_of(line[0], spot) - 2, 0), n - 6)
    spots = line[0, near : near + 6]
    columns, nodal = np.empty((4, 4)), np.empty((3, 4))
    for c in range(4):
        values = np.empty(6)
        for i in range(6):
            values[i] = sheets[adi.VALUE, near + i, first + c]
        for i in range(1, 5):
            below, above = spots[i] - spots[i - 1], spots[i + 1] - spots[i]
            down, up = (values[i] - values[i - 1]) / below, (values[i + 1] - values[i]) / above
            nodal[0, i - 1] = (down * above + up * below) / (below + above)
            nodal[1, i - 1] = 2.0 * (up - down) / (below + above)
            total = sheets[adi.MIXED, near + i, first + c] + sheets[adi.SPOT, near + i, first + c]
            nodal[2, i - 1] = -total - sheets[adi.VAR, near + i, first + c]
        columns[0, c] = cubic(spots, values, spot)
        for k in range(3):
            columns[k + 1, c] = cubic(spots[1:5], nodal[k], spot)
    about = variances[first : first + 4]
    for k in range(4):
        out[k] = cubic(about, columns[k], v0)
    step = 1e-4 * (about[3] - about[0])
    out[4] = (cubic(about, columns[0], v0 + step) - cubic(about, columns[0], v0 - step)) / (2.0 * step)


@compiled
def value_on_grid(
    option: _Option,
    model: _Model,
    american: bool,
    spots: int,
    variances: int,
    steps: int,
    every: int,
    out: FloatArray,
) -> None:
    """Build the grid, march, read off. every: see `sinh_grid`."""
    spot, strike, tau, rate, dividend_yield, side = option
    total = math.sqrt(max(mean_variance(model, tau), 0.25 * model[2]) * tau)
    reach = _REACH * total + (abs(rate) + abs(dividend_yield)) * tau + 0.5 * total * total
    line, var_nodes = np.zeros((3, spots)), np.empty(variances)
    low, high = min(spot, strike) * math.exp(-reach), max(spot, strike) * math.exp(reach)
    place = sinh_grid(low, high, strike, _WIDTH * total, every, line[0])
    line[0, 0] = 0.0
    for i in range(spots):
        line[1, i] = max(side * (line[0, i] - strike), 0.0)
    adi.variance_grid(model, tau, var_nodes)
    sheets = np.zeros((adi.SHEETS, spots, variances))
    smooth_payoff(line[0], strike, side, place, line[2])
    for i in range(spots):
        sheets[adi.VALUE, i] = line[2, i]
    march(sheets, line, var_nodes, option, model, american, steps)
    read_off(sheets, line, var_nodes, option, model[0], out)


@compiled
def kernel(
    stride: IntArray,
    model: _Model,
    american: bool,
    spots: int,
    variances: int,
    steps: int,
    out: FloatArray,
    spot: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    rate: FloatArray,
    dividend_yield: FloatArray,
    is_call: BoolArray,
) -> None:
    """Fill out (5, rows) from a grid and one of half its intervals, extrapolated; NaN for bad rows."""
    s, k, t, r, q, c = stride[0], stride[1], stride[2], stride[3], stride[4], stride[5]
    fine, coarse = np.empty(5), np.empty(5)
    for row in range(out.shape[1]):
        side = 1.0 if is_call[row * c] else -1.0
        option = (spot[row * s], strike[row * k], tau[row * t], rate[row * r], dividend_yield[row * q], side)
        out[:, row] = math.nan
        if not (option[0] > 0.0 and option[1] > 0.0 and option[2] >= 0.0 and math.isfinite(option[0] + option[1])):
            continue
        if not math.isfinite(option[2] + option[3] + option[4]):
            continue
        exercise = side * (option[0] - option[1])
        if option[2] == 0.0:
            out[0, row] = max(exercise, 0.0)
            out[1:, row] = 0.0
            out[1, row] = side if exercise > 0.0 else 0.0
            continue
        value_on_grid(option, model, american, spots, variances, steps, 2, fine)
        value_on_grid(option, model, american, spots // 2 + 1, variances // 2 + 1, steps // 2, 1, coarse)
        for j in range(5):
            out[j, row] = fine[j] + (fine[j] - coarse[j]) / 3.0
        out[0, row] = max(out[0, row], 0.0)
        if american and (out[0, row] <= exercise or fine[0] <= exercise):
            out[:, row] = 0.0
            out[0, row], out[1, row] = exercise, side

"""Kernels of `finite_difference`: one option's value marched from expiry to now on a spot grid.

    dV/dt + 1/2 sigma(S, t)^2 S^2 V_SS + (r - q) S V_S - r V = 0,   V >= payoff where exercise is allowed

Sources: Bank et al. (1985) and Hosea & Shampine (1996) for TR-BDF2; Rannacher (1984) for the start of Crank-Nicolson;
Forsyth & Vetzal (2002), "Quadratic convergence for valuing American options using a penalty method", for the linear
complementarity problem of each stage, solved exactly here by policy iteration on the exercised nodes (Reisinger & Witte
(2012)), which needs no ordering of the exercise region and so holds for two boundaries too. Where central differences
would make a negative weight, the drift is differenced upwind, so every stage matrix is an M-matrix.

Beyond the edges of the grid the value is a straight line in S, followed exactly in time.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import BoolArray, FloatArray
from voldesk.core.compiled import compiled, fused
from voldesk.pricing.grids.grid import dividends_within, fall, integral, interval_of, shares
from voldesk.pricing.grids.jump_pde import expected_after_jump
from voldesk.pricing.grids.market import Market

# spot, strike, tau, rate, dividend yield, sigma, side (+1 call, -1 put)
_Option = tuple[float, float, float, float, float, float, float]

TR_BDF2: Final = 0
CRANK_NICOLSON: Final = 1
IMPLICIT_EULER: Final = 2  # inside, for Rannacher's start

# Rows of the scratch array, each one number per node.
SPOT: Final = 0
PAYOFF: Final = 1
VALUE: Final = 2
STAGE: Final = 3
RHS: Final = 4
LOWER: Final = 5
UPPER: Final = 6
SWEEP: Final = 7
SWEPT: Final = 8
SIGMA: Final = 9
VOL_WEIGHT: Final = 10
VOL_CELL: Final = 11
JUMPED: Final = 12
GUESS: Final = 13
FULL: Final = 14
DELTA: Final = 15
GAMMA: Final = 16
THETA: Final = 17
ROWS: Final = 18

_THETA: Final = 1.0 - math.sqrt(0.5)  # of both stages of TR-BDF2 with gamma = 2 - sqrt(2)
_GAMMA: Final = 2.0 - math.sqrt(2.0)
_MOST_ROUNDS: Final = 200
_SLACK: Final = 1e-13  # relative rounding that moves no node between held and exercised
_RANNACHER: Final = 2  # steps of Crank-Nicolson replaced by two implicit Euler half steps
_CLUSTER: Final = 2.0  # time steps of a stretch end at the share (k / n)^2 of its length: dense where the kink is


@compiled
def set_local_vol(work: FloatArray, market: Market, t: float) -> None:
    """Volatility of each node at time t, from the cells and weights that `locate` left."""
    times = market.vol_times
    k = interval_of(times, t) if times.size > 1 else 0
    above = min(k + 1, times.size - 1)
    share = 0.0
    if above > k:
        share = min(max((t - times[k]) / (times[above] - times[k]), 0.0), 1.0)
    last = market.vol_log_spots.size - 1
    for j in range(work.shape[1]):
        cell = int(work[VOL_CELL, j])
        side = work[VOL_WEIGHT, j]
        right = min(cell + 1, last)
        early = market.local_vol[k, cell] * (1.0 - side) + market.local_vol[k, right] * side
        late = market.local_vol[above, cell] * (1.0 - side) + market.local_vol[above, right] * side
        work[SIGMA, j] = early * (1.0 - share) + late * share


@compiled
def locate(work: FloatArray, log_spots: FloatArray) -> None:
    """Cell and weight of each node's log spot in the local volatility grid, flat beyond its edges."""
    for j in range(work.shape[1]):
        x = math.log(work[SPOT, j]) if work[SPOT, j] > 0.0 else -math.inf
        cell = interval_of(log_spots, x) if log_spots.size > 1 else 0
        weight = 0.0
        if log_spots.size > 1:
            weight = min(max((x - log_spots[cell]) / (log_spots[cell + 1] - log_spots[cell]), 0.0), 1.0)
        work[VOL_CELL, j] = cell
        work[VOL_WEIGHT, j] = weight


@fused
def set_operator(work: FloatArray, carry: float) -> None:
    """Weights of the lower and upper neighbour in 1/2 sigma^2 S^2 V_SS + carry S V_S, inner nodes."""
    n = work.shape[1]
    spots, sigma = work[SPOT], work[SIGMA]
    lower, upper = work[LOWER], work[UPPER]
    for j in range(1, n - 1):
        below, above = spots[j] - spots[j - 1], spots[j + 1] - spots[j]
        both = 1.0 / (below + above)
        diffusion = sigma[j] * sigma[j] * spots[j] * spots[j] * both
        drift = carry * spots[j]
        down = (diffusion - drift * above * both) / below
        up = (diffusion + drift * below * both) / above
        if down < 0.0:
            down = diffusion / below
            up = (diffusion + drift * (below + above) * both) / above
        elif up < 0.0:
            up = diffusion / above
            down = (diffusion - drift * (below + above) * both) / below
        lower[j] = down
        upper[j] = up


@fused
def add_explicit(work: FloatArray, values: FloatArray, weight: float, kill: float, out: FloatArray) -> None:
    """out_j = V_j + weight (A V)_j on inner nodes; jumps, if any, are in `kill` and added by the caller."""
    n = values.size
    lower, upper = work[LOWER], work[UPPER]
    for j in range(1, n - 1):
        change = lower[j] * (values[j - 1] - values[j]) + upper[j] * (values[j + 1] - values[j]) - kill * values[j]
        out[j] = values[j] + weight * change


@fused
def sweep(work: FloatArray, weight: float, kill: float, rhs: FloatArray, held: BoolArray, values: FloatArray) -> None:
    """Solve (I - weight A) V = rhs on inner nodes where held, V = payoff where not; V at both ends is given."""
    n = values.size
    lower, upper, payoff = work[LOWER], work[UPPER], work[PAYOFF]
    ratio, offset = work[SWEEP], work[SWEPT]
    c, d = 0.0, values[0]
    for j in range(1, n - 1):
        if held[j]:
            left, right = weight * lower[j], weight * upper[j]
            inverse = 1.0 / (1.0 + weight * kill + right + left * (1.0 - c))
            d = (rhs[j] + left * d) * inverse
            c = right * inverse
        else:
            c, d = 0.0, payoff[j]
        ratio[j], offset[j] = c, d
    v = values[n - 1]
    for j in range(n - 2, 0, -1):
        v = offset[j] + ratio[j] * v
        values[j] = v


@compiled
def revise(work: FloatArray, weight: float, kill: float, rhs: FloatArray, held: BoolArray, values: FloatArray) -> int:
    """Move nodes between held and exercised where the solution asks for it, rounding allowed for; how many moved."""
    lower, upper, payoff = work[LOWER], work[UPPER], work[PAYOFF]
    moved = 0
    for j in range(1, values.size - 1):
        if payoff[j] <= 0.0:
            continue
        if held[j]:
            if values[j] < payoff[j] * (1.0 - _SLACK):
                held[j] = False
                moved += 1
        else:
            left, right = weight * lower[j], weight * upper[j]
            own = (1.0 + weight * kill + left + right) * values[j]
            if own * (1.0 + _SLACK) < rhs[j] + left * values[j - 1] + right * values[j + 1]:
                held[j] = True
                moved += 1
    return moved


@compiled
def implicit_stage(
    work: FloatArray,
    rhs: FloatArray,
    values: FloatArray,
    held: BoolArray,
    weight: float,
    rate: float,
    american: bool,
    market: Market,
    matrix: FloatArray,
) -> bool:
    """Solve one stage for `values`, which come in as the first guess with both ends set. False: no solution found."""
    intensity = market.jumps[0]
    kill = rate + intensity
    if intensity == 0.0:
        for _ in range(_MOST_ROUNDS):
            sweep(work, weight, kill, rhs, held, values)
            if not american or revise(work, weight, kill, rhs, held, values) == 0:
                return True
        return False
    growth = math.exp(market.jumps[1] + 0.5 * market.jumps[2] * market.jumps[2])
    guess, full = work[GUESS], work[FULL]
    for _ in range(_MOST_ROUNDS):
        guess[:] = values
        expected_after_jump(work[SPOT], values, growth, matrix, work[JUMPED])
        for j in range(values.size):
            full[j] = rhs[j] + weight * intensity * work[JUMPED, j]
        sweep(work, weight, kill, full, held, values)
        moved = revise(work, weight, kill, full, held, values) if american else 0
        for j in range(values.size):
            if abs(values[j] - guess[j]) > 1e-9 * (1e-3 * work[SPOT, j] + abs(values[j])):
                moved += 1
        if moved == 0:
            return True
    return False


@compiled
def follow_edges(
    work: FloatArray, edges: FloatArray, by_spot: float, by_cash: float, american: bool, values: FloatArray
) -> None:
    """Values at both ends, after the straight lines there shrink by these factors.

    edges: slope and level of the lower end, of the upper end, and of the payoff at each. Where exercise is worth more
    than the line, the line starts anew from the payoff.
    """
    for end in range(2):
        j = 0 if end == 0 else values.size - 1
        spot = work[SPOT, j]
        slope, level = edges[end, 0] * by_spot, edges[end, 1] * by_cash
        if american and work[PAYOFF, j] > slope * spot + level:
            slope, level = edges[2 + end, 0], edges[2 + end, 1]
        edges[end, 0], edges[end, 1] = slope, level
        values[j] = slope * spot + level


@compiled
def explicit_part(
    work: FloatArray, values: FloatArray, weight: float, rate: float, market: Market, matrix: FloatArray
) -> None:
    """RHS = V + weight A V, with the jump integral."""
    intensity = market.jumps[0]
    rhs = work[RHS]
    add_explicit(work, values, weight, rate + intensity, rhs)
    if intensity > 0.0:
        growth = math.exp(market.jumps[1] + 0.5 * market.jumps[2] * market.jumps[2])
        expected_after_jump(work[SPOT], values, growth, matrix, work[JUMPED])
        for j in range(values.size):
            rhs[j] += weight * intensity * work[JUMPED, j]


@compiled
def one_step(
    work: FloatArray,
    edges: FloatArray,
    held: BoolArray,
    dt: float,
    rate: float,
    dividend_yield: float,
    american: bool,
    scheme: int,
    market: Market,
    matrix: FloatArray,
) -> bool:
    """VALUE moves back by dt under the operator that is set. scheme: TR_BDF2, CRANK_NICOLSON or IMPLICIT_EULER."""
    value, stage, rhs = work[VALUE], work[STAGE], work[RHS]
    if scheme == TR_BDF2:
        stage[:] = value
        explicit_part(work, value, _THETA * dt, rate, market, matrix)
        part = _GAMMA * dt
        follow_edges(work, edges, math.exp(-dividend_yield * part), math.exp(-rate * part), american, stage)
        if not implicit_stage(work, rhs, stage, held, _THETA * dt, rate, american, market, matrix):
            return False
        whole = 1.0 / (_GAMMA * (2.0 - _GAMMA))
        old = (1.0 - _GAMMA) * (1.0 - _GAMMA) * whole
        for j in range(value.size):
            rhs[j] = whole * stage[j] - old * value[j]
            value[j] = stage[j]
        part = (1.0 - _GAMMA) * dt
        follow_edges(work, edges, math.exp(-dividend_yield * part), math.exp(-rate * part), american, value)
        return implicit_stage(work, rhs, value, held, _THETA * dt, rate, american, market, matrix)
    weight = 0.5 * dt if scheme == CRANK_NICOLSON else dt
    if scheme == CRANK_NICOLSON:
        explicit_part(work, value, weight, rate, market, matrix)
    else:
        rhs[:] = value
    follow_edges(work, edges, math.exp(-dividend_yield * dt), math.exp(-rate * dt), american, value)
    return implicit_stage(work, rhs, value, held, weight, rate, american, market, matrix)


@compiled
def pay_dividend(work: FloatArray, edges: FloatArray, held: BoolArray, amount: float, american: bool) -> None:
    """VALUE just before an ex time from VALUE just after it (kept in STAGE); exercise is still allowed before the fall."""
    value, stage, payoff = work[VALUE], work[STAGE], work[PAYOFF]
    n = value.size
    fall(work[SPOT], value, amount, stage)
    stage[n - 1] = edges[1, 0] * max(work[SPOT, n - 1] - amount, 0.0) + edges[1, 1]
    for j in range(n):
        # Nothing is exercised for nothing: interpolation may leave a worthless option a hair under zero.
        held[j] = not (american and payoff[j] > 0.0 and stage[j] < payoff[j])
        value[j] = max(stage[j], payoff[j]) if american else stage[j]
    for end in range(2):
        j = 0 if end == 0 else n - 1
        edges[end, 1] = value[j] - edges[end, 0] * work[SPOT, j]


@compiled
def record_boundary(work: FloatArray, held: BoolArray, side: float, t: float, at_fall: bool, out: FloatArray) -> None:
    """out: t, lowest and highest spot of exercise (0 and infinity where open), NaN where none is exercised."""
    n = held.size
    first, last = n, -1
    for j in range(1, n - 1):
        if not held[j]:
            first, last = min(first, j), j
    out[0], out[1], out[2] = t, math.nan, math.nan
    if last < 0:
        return
    out[1] = 0.0 if side < 0.0 and first == 1 else _edge(work, first, -1, at_fall)
    out[2] = math.inf if side > 0.0 and last == n - 2 else _edge(work, last, 1, at_fall)


@compiled
def _edge(work: FloatArray, j: int, way: int, at_fall: bool) -> float:
    """Where exercise ends beyond the exercised node j, in the direction of `way`.

    At a fall the value of holding (STAGE) crosses the payoff. Elsewhere it comes off it like a parabola, whose discrete
    twin w_k = k w_1 + c k (k - 1) / 2 (k nodes beyond j, 0 <= w_1 <= c) has its foot at k = 1/2 - w_1 / c.
    """
    spots = work[SPOT]
    if not 0 < j + 2 * way < spots.size - 1:
        return float(spots[j])
    cell = spots[j + way] - spots[j]
    if at_fall:
        near, far = work[STAGE, j] - work[PAYOFF, j], work[STAGE, j + way] - work[PAYOFF, j + way]
        return float(spots[j] - cell * near / (far - near))
    near = work[VALUE, j + way] - work[PAYOFF, j + way]
    far = work[VALUE, j + 2 * way] - work[PAYOFF, j + 2 * way]
    curve = far - 2.0 * near
    share = min(max(near / curve, 0.0), 1.0) if curve > 0.0 else 1.0
    return float(spots[j] + cell * (0.5 - share))


@compiled
def jump_carry(market: Market) -> float:
    """What the drift loses to the mean jump, per year."""
    return float(market.jumps[0] * math.expm1(market.jumps[1] + 0.5 * market.jumps[2] * market.jumps[2]))


@compiled
def march(
    work: FloatArray,
    edges: FloatArray,
    held: BoolArray,
    option: _Option,
    american: bool,
    scheme: int,
    steps: int,
    market: Market,
    matrix: FloatArray,
    boundary: FloatArray,
) -> bool:
    """VALUE from expiry to now. boundary: a row of three per time step and dividend, or no rows. False: a stage found no solution."""
    _, _, tau, flat_rate, flat_yield, _, side = option
    due = dividends_within(market.ex_times, tau)
    counts = np.empty(due + 1)
    shares(market.ex_times, due, tau, steps, counts)
    held[:] = True
    later, row = tau, 0
    for stretch in range(due + 1):
        earlier = market.ex_times[due - 1 - stretch] if stretch < due else 0.0
        count = int(counts[stretch])
        t = later
        for step in range(count):
            back = later - (later - earlier) * ((step + 1.0) / count) ** _CLUSTER if step + 1 < count else earlier
            dt = t - back
            rate = integral(market.rate_ends, market.rates, flat_rate, t)
            rate = (rate - integral(market.rate_ends, market.rates, flat_rate, back)) / dt
            dividend_yield = integral(market.yield_ends, market.yields, flat_yield, t)
            dividend_yield = (dividend_yield - integral(market.yield_ends, market.yields, flat_yield, back)) / dt
            if market.local_vol.size > 0:
                set_local_vol(work, market, 0.5 * (t + back))
            set_operator(work, rate - dividend_yield - jump_carry(market))
            starting = scheme == CRANK_NICOLSON and step < _RANNACHER
            kind = IMPLICIT_EULER if starting else scheme
            halves = 2 if starting else 1
            for _ in range(halves):
                if not one_step(work, edges, held, dt / halves, rate, dividend_yield, american, kind, market, matrix):
                    return False
            t = back
            if boundary.shape[0] > 0:
                record_boundary(work, held, side, t, False, boundary[row])
            row += 1
        if stretch < due:
            pay_dividend(work, edges, held, market.amounts[due - 1 - stretch], american)
            if boundary.shape[0] > 0:
                record_boundary(work, held, side, earlier, True, boundary[row])
            row += 1
        later = earlier
    return True


@compiled
def nodal_greeks(work: FloatArray, held: BoolArray, rate: float, market: Market, matrix: FloatArray) -> None:
    """DELTA, GAMMA and THETA rows of inner nodes from VALUE and the operator that is set; theta 0 where exercised."""
    n = held.size
    explicit_part(work, work[VALUE], 1.0, rate, market, matrix)
    for j in range(1, n - 1):
        below, above = work[SPOT, j] - work[SPOT, j - 1], work[SPOT, j + 1] - work[SPOT, j]
        down = (work[VALUE, j] - work[VALUE, j - 1]) / below
        up = (work[VALUE, j + 1] - work[VALUE, j]) / above
        work[DELTA, j] = (down * above + up * below) / (below + above)
        work[GAMMA, j] = 2.0 * (up - down) / (below + above)
        work[THETA, j] = work[VALUE, j] - work[RHS, j] if held[j] else 0.0

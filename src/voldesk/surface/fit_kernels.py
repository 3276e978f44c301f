"""Kernels of `fit`: one SVI slice to a band of implied volatilities, and a chain of slices without arbitrage.

Sources: start values by the quasi-explicit reduction of De Marco & Martini (2009), "Quasi-explicit calibration of
Gatheral's SVI model", Zeliade Systems: for fixed (m, sigma) the rest is linear least squares. Then Levenberg-Marquardt
(Marquardt 1963) with the analytic Jacobian.

Loss: with e = (model vol - mid vol) / half-spread of one quote, a weak pull inside the band, a square just outside and
a line far outside, so that one stale quote cannot bend a slice. Half-spreads in volatility are half-spreads in price
over vega: the vega weight is in the unit. Arbitrage enters as a penalty at grid points; whether a slice is free of
it is decided by the proofs of `svi_kernels` alone.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.surface.svi_kernels import (
    RHO,
    SIGMA,
    A,
    B,
    M,
    derivatives,
    least_variance,
    total_variance,
)

# Columns of a slice's points.
K: Final = 0
LOW: Final = 1  # bid vol, 0 where no bid stands
HIGH: Final = 2  # ask vol
MID: Final = 3
HALF: Final = 4  # half-spread that scales the residual, floored
PULL: Final = 5  # weight of the pull to the middle inside the band
POINT_WIDTH: Final = 6

# Entries of the settings row.
INSIDE_PULL: Final = 0
LINEAR_FROM: Final = 1
HALF_FLOOR: Final = 2
MAX_STEPS: Final = 3
REPAIR: Final = 4
SETTINGS: Final = 5

MARGIN: Final = 0  # entries of the constraint row: least g wanted, penalty weights, reach of the grid
G_WEIGHT: Final = 1
GAP_WEIGHT: Final = 2

LEE_SLOPE: Final = 1.98  # a little under Lee's 2
LEAST_SLOPE: Final = 0.1  # of the total volatility at the forward
MOST_SLOPE: Final = 3.0
_LEAST_WIDTH: Final = 2e-3
_MOST_WIDTH: Final = 1.0  # of the quoted range; a wider vertex cannot be seen in it, only costs steps
_LEAST_VOL: Final = 5e-3

OK: Final = 0
FEW_QUOTES: Final = 1
NOT_CONVERGED: Final = 2
BUTTERFLY: Final = 3
CALENDAR: Final = 4

GRID: Final = 84
_GAP_MARGIN: Final = 1e-3  # relative distance that penalised fits keep from a neighbour


@compiled
def loss_terms(e: float, pull: float, linear_from: float) -> tuple[float, float, float]:
    """Loss, its derivative, and the curvature that Gauss-Newton uses, at residual e (in half-spreads)."""
    size = abs(e)
    if size <= linear_from:
        return (0.5 * pull + 0.25 * e * e) * e * e, (pull + e * e) * e, pull + 3.0 * e * e
    force = (pull + linear_from * linear_from) * linear_from
    base = (0.5 * pull + 0.25 * linear_from * linear_from) * linear_from * linear_from
    return base + force * (size - linear_from), math.copysign(force, e), force / size


@compiled
def free_box(points: FloatArray, tau: float) -> FloatArray:
    """Bounds, low and high, of (unused, right slope, left slope, m, sigma) for a slice with these quotes.

    Slopes are held to a wide range around what the volatility at the forward suggests (total variance grows like k times
    its square root), so that a wing without quotes is neither flat nor at Lee's bound.
    """
    nearest = 0
    for i in range(points.shape[0]):
        if points[i, PULL] > 0.0 and (points[nearest, PULL] == 0.0 or abs(points[i, K]) < abs(points[nearest, K])):
            nearest = i
    scale = points[nearest, MID] * math.sqrt(tau)
    low, high = points[0, K], points[points.shape[0] - 1, K]
    reach = max(high - low, 0.02)
    box = np.empty((2, 5))
    box[0], box[1] = -math.inf, math.inf
    box[0, 1:3] = min(LEAST_SLOPE * scale, 0.1)
    box[1, 1:3] = min(MOST_SLOPE * scale, LEE_SLOPE)
    box[0, 3], box[1, 3] = low - 0.5 * reach, high + 0.5 * reach
    box[0, 4], box[1, 4] = min(_LEAST_WIDTH, 0.1 * reach), _MOST_WIDTH * reach
    return box


@compiled
def project(p: FloatArray, box: FloatArray, tau: float) -> None:
    """Move a slice into its box and to a positive least variance, in place."""
    right = min(max(p[B] * (1.0 + p[RHO]), box[0, 1]), box[1, 1])
    left = min(max(p[B] * (1.0 - p[RHO]), box[0, 2]), box[1, 2])
    p[B], p[RHO] = 0.5 * (right + left), (right - left) / (right + left)
    p[M] = min(max(p[M], box[0, 3]), box[1, 3])
    p[SIGMA] = min(max(p[SIGMA], box[0, 4]), box[1, 4])
    short = _LEAST_VOL * _LEAST_VOL * tau - least_variance(p)
    if short > 0.0:
        p[A] += short


@compiled
def _quote_terms(
    p: FloatArray, points: FloatArray, tau: float, linear_from: float, normal: FloatArray, force: FloatArray
) -> float:
    """Loss of all quotes; adds its Gauss-Newton matrix to `normal` and its gradient to `force`."""
    total = 0.0
    row = np.empty(5)
    for i in range(points.shape[0]):
        x = points[i, K] - p[M]
        root = math.sqrt(x * x + p[SIGMA] * p[SIGMA])
        w = p[A] + p[B] * (p[RHO] * x + root)
        vol = math.sqrt(w / tau)
        per = 1.0 / points[i, HALF]
        loss, slope, bend = loss_terms((vol - points[i, MID]) * per, points[i, PULL], linear_from)
        total += loss
        scale = 0.5 * per / (tau * vol)
        row[A] = scale
        row[B] = scale * (p[RHO] * x + root)
        row[RHO] = scale * p[B] * x
        row[M] = -scale * p[B] * (p[RHO] + x / root)
        row[SIGMA] = scale * p[B] * p[SIGMA] / root
        for a in range(5):
            force[a] += slope * row[a]
            for b in range(a + 1):
                normal[a, b] += bend * row[a] * row[b]
    return total


@compiled
def _arbitrage_terms(
    p: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    grid: FloatArray,
    limits: FloatArray,
    normal: FloatArray,
    force: FloatArray,
) -> float:
    """Squares of what g misses of its margin, and of what w strays beyond its neighbours, at the grid points."""
    total = 0.0
    first = np.empty(5)
    second = np.empty(5)
    row = np.empty(5)
    for i in range(grid.size):
        k = grid[i]
        x = k - p[M]
        square = p[SIGMA] * p[SIGMA]
        root = math.sqrt(x * x + square)
        w, d1, d2 = derivatives(k, p)
        cube = 1.0 / (root * root * root)
        row[A] = 1.0
        row[B] = p[RHO] * x + root
        row[RHO] = p[B] * x
        row[M] = -p[B] * (p[RHO] + x / root)
        row[SIGMA] = p[B] * p[SIGMA] / root
        scale, bound = 0.0, 0.0
        if upper.size > 0:
            bound = total_variance(k, upper) * (1.0 - _GAP_MARGIN)
            if w > bound:
                scale = limits[GAP_WEIGHT] / bound
        if lower.size > 0 and scale == 0.0:
            bound = total_variance(k, lower) * (1.0 + _GAP_MARGIN)
            if w < bound:
                scale = limits[GAP_WEIGHT] / bound
        if scale > 0.0:
            miss = scale * (w - bound)
            total += 0.5 * miss * miss
            for a in range(5):
                force[a] += miss * scale * row[a]
                for b in range(a + 1):
                    normal[a, b] += scale * scale * row[a] * row[b]
        bracket = 1.0 - 0.5 * k * d1 / w
        g = bracket * bracket - 0.25 * d1 * d1 * (1.0 / w + 0.25) + 0.5 * d2
        if g >= limits[MARGIN]:
            continue
        first[A], first[B], first[RHO] = 0.0, p[RHO] + x / root, p[B]
        first[M], first[SIGMA] = -p[B] * square * cube, -p[B] * x * p[SIGMA] * cube
        bend = 3.0 * square * x * cube / (root * root)
        second[A], second[B], second[RHO] = 0.0, square * cube, 0.0
        second[M], second[SIGMA] = p[B] * bend, p[B] * p[SIGMA] * cube * (2.0 - 3.0 * square / (root * root))
        by_w = bracket * k * d1 / (w * w) + 0.25 * d1 * d1 / (w * w)
        by_d1 = -bracket * k / w - 0.5 * d1 * (1.0 / w + 0.25)
        weight = limits[G_WEIGHT]
        miss = weight * (limits[MARGIN] - g)
        total += 0.5 * miss * miss
        for a in range(5):
            row[a] = -weight * (by_w * row[a] + by_d1 * first[a] + 0.5 * second[a])
        for a in range(5):
            force[a] += miss * row[a]
            for b in range(a + 1):
                normal[a, b] += row[a] * row[b]
    return total


@compiled
def _solve(normal: FloatArray, force: FloatArray, damping: float, step: FloatArray) -> bool:
    """step = -(normal + damping diag)^-1 force by Cholesky; False where that is not positive definite."""
    lower = np.empty((5, 5))
    for i in range(5):
        for j in range(i + 1):
            value = normal[i, j]
            if i == j:
                value += damping * max(normal[i, i], 1e-12)
            for c in range(j):
                value -= lower[i, c] * lower[j, c]
            if i == j:
                if not value > 0.0:
                    return False
                lower[i, i] = math.sqrt(value)
            else:
                lower[i, j] = value / lower[j, j]
    for i in range(5):
        value = -force[i]
        for c in range(i):
            value -= lower[i, c] * step[c]
        step[i] = value / lower[i, i]
    for i in range(4, -1, -1):
        value = step[i]
        for c in range(i + 1, 5):
            value -= lower[c, i] * step[c]
        step[i] = value / lower[i, i]
    return True


@compiled
def _to_wings(p: FloatArray, normal: FloatArray, force: FloatArray, turn: FloatArray, work: FloatArray) -> None:
    """Normal matrix and gradient, in place, from raw parameters to (w(m), right slope, left slope, m, log sigma).

    In these the valley along which a, b and sigma trade off is nearly straight, and the bounds are plain.
    """
    b, sigma = p[B], p[SIGMA]
    turn[:] = 0.0
    turn[A, 0] = 1.0
    turn[A, 1] = -0.5 * sigma
    turn[A, 2] = -0.5 * sigma
    turn[A, 4] = -b * sigma
    turn[B, 1] = 0.5
    turn[B, 2] = 0.5
    turn[RHO, 1] = 0.5 * (1.0 - p[RHO]) / b
    turn[RHO, 2] = -0.5 * (1.0 + p[RHO]) / b
    turn[M, 3] = 1.0
    turn[SIGMA, 4] = sigma
    for i in range(5):
        for j in range(5):
            total = 0.0
            for c in range(5):
                total += (normal[i, c] if c <= i else normal[c, i]) * turn[c, j]
            work[i, j] = total
    for i in range(5):
        total = 0.0
        for c in range(5):
            total += turn[c, i] * force[c]
        work[5, i] = total
        for j in range(i + 1):
            total = 0.0
            for c in range(5):
                total += turn[c, i] * work[c, j]
            normal[i, j] = total
    force[:] = work[5]


@compiled
def _move(p: FloatArray, step: FloatArray, box: FloatArray, trial: FloatArray) -> None:
    """The slice reached by a step in (w(m), right slope, left slope, m, log sigma)."""
    right = min(max(p[B] * (1.0 + p[RHO]) + step[1], box[0, 1]), box[1, 1])
    left = min(max(p[B] * (1.0 - p[RHO]) + step[2], box[0, 2]), box[1, 2])
    b = 0.5 * (right + left)
    trial[B] = b
    trial[RHO] = 0.5 * (right - left) / b
    trial[M] = p[M] + step[3]
    trial[SIGMA] = p[SIGMA] * math.exp(min(max(step[4], -1.0), 1.0))
    trial[A] = p[A] + p[B] * p[SIGMA] + step[0] - b * trial[SIGMA]


@compiled
def _hold(normal: FloatArray, force: FloatArray, i: int) -> None:
    force[i] = 0.0
    for j in range(5):
        normal[max(i, j), min(i, j)] = 0.0
    normal[i, i] = 1.0


@compiled
def _hold_at_bounds(p: FloatArray, box: FloatArray, normal: FloatArray, force: FloatArray) -> None:
    """Take out of the step what stands at a bound of the box and wants to cross it."""
    at = (0.0, p[B] * (1.0 + p[RHO]), p[B] * (1.0 - p[RHO]), p[M], p[SIGMA])
    for i in range(1, 5):
        edge = 1e-9 * (abs(at[i]) + 1e-3)
        if (at[i] <= box[0, i] + edge and force[i] > 0.0) or (at[i] >= box[1, i] - edge and force[i] < 0.0):
            _hold(normal, force, i)


@compiled
def refine(
    p: FloatArray,
    points: FloatArray,
    tau: float,
    box: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    grid: FloatArray,
    limits: FloatArray,
    settings: FloatArray,
) -> tuple[float, bool]:
    """Levenberg-Marquardt from p, in place; the loss reached and whether it had settled.

    `grid` is empty for a free fit; `lower` and `upper` are slices it shall stay between, empty for none.
    """
    project(p, box, tau)
    normal, trial_normal = np.zeros((5, 5)), np.zeros((5, 5))
    force, trial_force = np.zeros(5), np.zeros(5)
    step, trial = np.empty(5), np.empty(5)
    turn, work = np.empty((5, 5)), np.empty((6, 5))
    loss = _quote_terms(p, points, tau, settings[LINEAR_FROM], normal, force)
    loss += _arbitrage_terms(p, lower, upper, grid, limits, normal, force)
    _to_wings(p, normal, force, turn, work)
    _hold_at_bounds(p, box, normal, force)
    damping = 1e-3
    quiet = 0
    for _ in range(int(settings[MAX_STEPS])):
        if not _solve(normal, force, damping, step):
            damping = max(10.0 * damping, 1e-6)
            if damping > 1e12:
                return loss, True
            continue
        _move(p, step, box, trial)
        project(trial, box, tau)
        trial_normal[:] = 0.0
        trial_force[:] = 0.0
        found = _quote_terms(trial, points, tau, settings[LINEAR_FROM], trial_normal, trial_force)
        found += _arbitrage_terms(trial, lower, upper, grid, limits, trial_normal, trial_force)
        if found < loss:
            quiet = quiet + 1 if loss - found <= 3e-4 * (loss + 1.0) else 0
            p[:] = trial
            loss = found
            _to_wings(p, trial_normal, trial_force, turn, work)
            _hold_at_bounds(p, box, trial_normal, trial_force)
            normal, trial_normal = trial_normal, normal
            force, trial_force = trial_force, force
            damping = max(0.1 * damping, 1e-9)
            if quiet >= 2:
                return loss, True
        else:
            damping *= 4.0
            if damping > 1e9:
                return loss, True
    return loss, False


@compiled
def gather(
    forward: FloatArray,
    strike: FloatArray,
    otm: BoolArray,
    low: FloatArray,
    high: FloatArray,
    ends: IntArray,
    settings: FloatArray,
    points: FloatArray,
    offsets: IntArray,
    centre: FloatArray,
) -> None:
    """Out-of-the-money bands of every expiry into `points`, first row of expiry j at offsets[j]; median forwards.

    Two-sided quotes pull to their middle; an ask alone only holds the slice below it; crossed quotes are left out.
    """
    filled = 0
    for j in range(centre.size):
        first, last = ends[j], ends[j + 1]
        centre[j] = np.median(forward[first:last])
        begin = filled
        for i in range(first, last):
            if not otm[i] or not high[i] > 0.0:
                continue
            bid = low[i] if low[i] > 0.0 else 0.0
            if bid >= high[i]:
                continue
            points[filled, K] = math.log(strike[i] / forward[i])
            points[filled, LOW] = bid
            points[filled, HIGH] = high[i]
            points[filled, MID] = 0.5 * (bid + high[i])
            points[filled, HALF] = max(0.5 * (high[i] - bid), settings[HALF_FLOOR])
            points[filled, PULL] = settings[INSIDE_PULL] if bid > 0.0 else 0.0
            filled += 1
        # Rows of equal strike may carry forwards read a moment apart: keep the points in order of k.
        for i in range(begin + 1, filled):
            c = i
            while c > begin and points[c, K] < points[c - 1, K]:
                for a in range(POINT_WIDTH):
                    points[c, a], points[c - 1, a] = points[c - 1, a], points[c, a]
                c -= 1
        offsets[j + 1] = filled

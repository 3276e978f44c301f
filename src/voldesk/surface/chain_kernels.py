"""Kernels of `fit`, continued: start values of a slice, and the walk over a chain that leaves no arbitrage behind.

Sources: De Marco & Martini (2009) as in `fit_kernels`; the last resort, mixing a slice with a flat one, keeps raw SVI
raw SVI: (1 - t) w + t v has parameters ((1 - t) a + t v, (1 - t) b, rho, m, sigma).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.surface.fit_kernels import (
    BUTTERFLY,
    CALENDAR,
    FEW_QUOTES,
    G_WEIGHT,
    GAP_WEIGHT,
    GRID,
    HALF,
    HIGH,
    LEE_SLOPE,
    LINEAR_FROM,
    LOW,
    MARGIN,
    MID,
    NOT_CONVERGED,
    OK,
    PULL,
    REPAIR,
    K,
    free_box,
    loss_terms,
    project,
    refine,
)
from voldesk.surface.svi_kernels import (
    RHO,
    SIGMA,
    A,
    B,
    M,
    is_butterfly_free,
    is_calendar_free,
    least_variance,
    total_variance,
)

# Columns of the report row of a slice.
QUOTES: Final = 0
INSIDE: Final = 1
WORST: Final = 2
REPAIRED: Final = 3  # 0 as fitted, 1 by a penalised refit, 2 by mixing with a flat slice
REPORT_WIDTH: Final = 4

LEAST_QUOTES: Final = 5  # two-sided quotes for the five numbers of a slice
_START_M: Final = 7
_START_SIGMA: Final = 6
_ROUNDS: Final = 4


@compiled
def _linear_start(
    points: FloatArray, tau: float, box: FloatArray, m: float, sigma: float, weight: FloatArray, p: FloatArray
) -> float:
    """Least squares of (a, d, c) in w = a + d y + c sqrt(1 + y^2) at fixed m, sigma; p and its clipped loss."""
    s0 = s1 = s2 = s11 = s12 = s22 = t0 = t1 = t2 = 0.0
    for i in range(points.shape[0]):
        y = (points[i, K] - m) / sigma
        r = math.sqrt(1.0 + y * y)
        q = weight[i]
        w = points[i, MID] * points[i, MID] * tau
        s0 += q
        s1 += q * y
        s2 += q * r
        s11 += q * y * y
        s12 += q * y * r
        s22 += q * r * r
        t0 += q * w
        t1 += q * y * w
        t2 += q * r * w
    if not s0 > 0.0:
        return math.inf
    c11, c12, c22 = s11 - s1 * s1 / s0, s12 - s1 * s2 / s0, s22 - s2 * s2 / s0
    r1, r2 = t1 - s1 * t0 / s0, t2 - s2 * t0 / s0
    determinant = c11 * c22 - c12 * c12
    if not determinant > 1e-14 * c11 * c22:
        return math.inf
    c = (c11 * r2 - c12 * r1) / determinant
    d = (c22 * r1 - c12 * r2) / determinant
    if c <= 0.0:
        c = 1e-3 * abs(d) + 1e-6 * tau
    d = min(max(d, -0.95 * c), 0.95 * c)
    p[A], p[B], p[RHO] = (t0 - d * s1 - c * s2) / s0, c / sigma, d / c
    p[M], p[SIGMA] = m, sigma
    project(p, box, tau)
    total = 0.0
    for i in range(points.shape[0]):
        miss = total_variance(points[i, K], p) - points[i, MID] * points[i, MID] * tau
        total += min(weight[i] * miss * miss, 25.0)
    return total


@compiled
def start(points: FloatArray, tau: float, box: FloatArray, p: FloatArray) -> bool:
    """Best quasi-explicit slice over a small grid of (m, sigma), into p; False where none exists."""
    n = points.shape[0]
    weight = np.zeros(n)
    low, high = math.inf, -math.inf
    for i in range(n):
        if points[i, PULL] > 0.0:
            scale = 1.0 / (2.0 * points[i, MID] * tau * points[i, HALF])
            weight[i] = scale * scale
            low, high = min(low, points[i, K]), max(high, points[i, K])
    reach = high - low
    best = math.inf
    trial = np.empty(5)
    for i in range(_START_M):
        for j in range(_START_SIGMA):
            loss = _linear_start(
                points, tau, box, low + reach * i / (_START_M - 1), reach * 0.03 * 2.0**j, weight, trial
            )
            if loss < best:
                best = loss
                p[:] = trial
    return best < math.inf


@compiled
def _spread(grid: FloatArray, first: int, count: int, points: FloatArray) -> None:
    low, high = points[0, K], points[points.shape[0] - 1, K]
    for i in range(count):
        grid[first + i] = low - 0.1 * (high - low) + 1.2 * (high - low) * i / (count - 1)


@compiled
def constraint_grid(points: FloatArray, others: FloatArray) -> FloatArray:
    """Where arbitrage is penalised: over both slices' quoted strikes and a little beyond, then ever wider to |k| = 30."""
    grid = np.empty(GRID)
    wing = 14
    inner = (GRID - 2 * wing) // 2
    _spread(grid, wing, inner, points)
    _spread(grid, wing + inner, inner, others)
    low = min(points[0, K], others[0, K])
    high = max(points[points.shape[0] - 1, K], others[others.shape[0] - 1, K])
    away = 0.1 * max(high - low, 0.02)
    growth = (30.0 / away) ** (1.0 / wing)
    for i in range(wing):
        away *= growth
        grid[wing - 1 - i] = low - away
        grid[GRID - wing + i] = high + away
    return grid


@compiled
def is_free(p: FloatArray, lower: FloatArray, upper: FloatArray) -> bool:
    """Proved free of butterflies and nowhere beyond its neighbours (empty for none)."""
    if upper.size > 0 and not is_calendar_free(p, upper):
        return False
    if lower.size > 0 and not is_calendar_free(lower, p):
        return False
    return is_butterfly_free(p)


@compiled
def _refit(
    p: FloatArray,
    points: FloatArray,
    tau: float,
    box: FloatArray,
    grid: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    settings: FloatArray,
) -> bool:
    """Refit under rising penalties, in place; False where the proof still fails after the last round."""
    limits = np.empty(3)
    for i in range(_ROUNDS):
        limits[MARGIN] = 5e-4 * 4.0**i
        limits[G_WEIGHT] = 60.0 * 3.0**i
        limits[GAP_WEIGHT] = 300.0 * 3.0**i
        refine(p, points, tau, box, lower, upper, grid, limits, settings)
        if is_free(p, lower, upper):
            return True
    return False


@compiled
def _mix_with_flat(
    p: FloatArray,
    points: FloatArray,
    tau: float,
    box: FloatArray,
    grid: FloatArray,
    upper: FloatArray,
    settings: FloatArray,
) -> None:
    """The last resort, in place: the least mixture with a flat slice under `upper` that is free of arbitrage, and from
    there the penalised refit once more."""
    flat = total_variance(0.0, p)
    if upper.size > 0:
        flat = min(flat, 0.999 * least_variance(upper))
    none = np.empty(0)
    trial = p.copy()
    for i in range(1, 65):
        t = i / 64.0
        trial[A] = (1.0 - t) * p[A] + t * flat
        trial[B] = (1.0 - t) * p[B]
        if is_free(trial, none, upper):
            break
    p[:] = trial
    if _refit(trial, points, tau, box, grid, none, upper, settings):
        p[:] = trial


@compiled
def quote_loss(p: FloatArray, points: FloatArray, tau: float, settings: FloatArray) -> float:
    """Loss of the quotes alone."""
    total = 0.0
    for i in range(points.shape[0]):
        vol = math.sqrt(total_variance(points[i, K], p) / tau)
        loss, _, _ = loss_terms((vol - points[i, MID]) / points[i, HALF], points[i, PULL], settings[LINEAR_FROM])
        total += loss
    return total


@compiled
def part_pair(
    early: FloatArray,
    late: FloatArray,
    above: FloatArray,
    early_points: FloatArray,
    late_points: FloatArray,
    early_tau: float,
    late_tau: float,
    settings: FloatArray,
) -> tuple[int, int]:
    """Bring two slices that cross apart, in place: lower the early one or raise the late one, whichever costs less.

    `above` is the slice after `late`, empty for none. Returns how each was changed (0, 1 refitted, 2 mixed with flat).
    """
    none = np.empty(0)
    grid = constraint_grid(early_points, late_points)
    lowered, raised = early.copy(), late.copy()
    box = free_box(early_points, early_tau)
    box[1, 1] = min(box[1, 1], (1.0 - 1e-4) * late[B] * (1.0 + late[RHO]))
    box[1, 2] = min(box[1, 2], (1.0 - 1e-4) * late[B] * (1.0 - late[RHO]))
    box[0, 1:3] = np.minimum(box[0, 1:3], box[1, 1:3])
    best = math.inf
    choice = 0
    if _refit(lowered, early_points, early_tau, box, grid, none, late, settings):
        best = quote_loss(lowered, early_points, early_tau, settings)
        best -= quote_loss(early, early_points, early_tau, settings)
        choice = 1
    early_box = box
    box = free_box(late_points, late_tau)
    box[0, 1] = max(box[0, 1], (1.0 + 1e-4) * early[B] * (1.0 + early[RHO]))
    box[0, 2] = max(box[0, 2], (1.0 + 1e-4) * early[B] * (1.0 - early[RHO]))
    if above.size > 0:
        box[1, 1] = min(box[1, 1], (1.0 - 1e-4) * above[B] * (1.0 + above[RHO]))
        box[1, 2] = min(box[1, 2], (1.0 - 1e-4) * above[B] * (1.0 - above[RHO]))
    box[1, 1:3] = np.minimum(np.maximum(box[0, 1:3], box[1, 1:3]), LEE_SLOPE)
    if best > 0.05 and _refit(raised, late_points, late_tau, box, grid, early, above, settings):
        cost = quote_loss(raised, late_points, late_tau, settings) - quote_loss(late, late_points, late_tau, settings)
        if cost < best:
            choice = 2
    if choice == 2:
        late[:] = raised
        return 0, 1
    if choice == 1:
        early[:] = lowered
        return 1, 0
    early[:] = lowered
    _mix_with_flat(early, early_points, early_tau, early_box, grid, late, settings)
    return 2, 0


@compiled
def report(p: FloatArray, points: FloatArray, tau: float, row: FloatArray) -> None:
    """Two-sided quotes, the share whose fitted vol lies inside bid-ask, the largest distance outside."""
    inside = 0
    count = 0
    worst = 0.0
    for i in range(points.shape[0]):
        if points[i, PULL] > 0.0:
            count += 1
            vol = math.sqrt(total_variance(points[i, K], p) / tau)
            out = max(points[i, LOW] - vol, vol - points[i, HIGH])
            if out <= 0.0:
                inside += 1
            worst = max(worst, out)
    row[QUOTES] = count
    row[INSIDE] = inside / count if count > 0 else math.nan
    row[WORST] = worst


@compiled
def fit_chain(
    points: FloatArray,
    offsets: IntArray,
    tau: FloatArray,
    settings: FloatArray,
    params: FloatArray,
    status: IntArray,
    reports: FloatArray,
) -> None:
    """Fit all slices freely, rid each of butterflies, then walk from the last expiry to the first parting pairs that
    cross. Pairs already passed stay parted: a late slice is only ever raised to below the one after it."""
    none = np.empty(0)
    limits = np.zeros(3)
    count = tau.size
    for i in range(count):
        rows = points[offsets[i] : offsets[i + 1]]
        two_sided = 0
        for j in range(rows.shape[0]):
            if rows[j, PULL] > 0.0:
                two_sided += 1
        params[i] = math.nan
        reports[i] = 0.0
        reports[i, QUOTES] = two_sided
        reports[i, INSIDE] = math.nan
        reports[i, WORST] = math.nan
        status[i] = FEW_QUOTES
        if two_sided < LEAST_QUOTES:
            continue
        box = free_box(rows, tau[i])
        if not start(rows, tau[i], box, params[i]):
            continue
        _, settled = refine(params[i], rows, tau[i], box, none, none, none, limits, settings)
        status[i] = OK if settled else NOT_CONVERGED
        if is_butterfly_free(params[i]):
            continue
        if settings[REPAIR] > 0.0:
            grid = constraint_grid(rows, rows)
            reports[i, REPAIRED] = 1
            if not _refit(params[i], rows, tau[i], box, grid, none, none, settings):
                _mix_with_flat(params[i], rows, tau[i], box, grid, none, settings)
                reports[i, REPAIRED] = 2
        else:
            status[i] = BUTTERFLY
    late = -1
    above = none
    for i in range(count - 1, -1, -1):
        if status[i] != OK:
            continue
        if late >= 0 and not is_calendar_free(params[i], params[late]):
            if settings[REPAIR] > 0.0:
                early_rows = points[offsets[i] : offsets[i + 1]]
                late_rows = points[offsets[late] : offsets[late + 1]]
                how = part_pair(params[i], params[late], above, early_rows, late_rows, tau[i], tau[late], settings)
                reports[i, REPAIRED] = max(reports[i, REPAIRED], how[0])
                reports[late, REPAIRED] = max(reports[late, REPAIRED], how[1])
            else:
                status[i] = CALENDAR
        if late >= 0:
            above = params[late]
        late = i
    for i in range(count):
        if status[i] != FEW_QUOTES:
            report(params[i], points[offsets[i] : offsets[i + 1]], tau[i], reports[i])

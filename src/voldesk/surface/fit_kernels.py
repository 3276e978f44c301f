"""Kernels of `fit`: one SVI slice to a band of implied volatilities, free of constraints.

Start by least squares (`start_kernels`), then Levenberg-Marquardt (Marquardt 1963) on the banded loss of `slice_kernels`
with its analytic Jacobian.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.compiled import compiled, fused
from voldesk.surface.slice_kernels import (
    HIGH,
    LOW,
    MID,
    PER,
    PULL,
    K,
    hold_at_bounds,
    move,
    project,
    quote_terms,
)
from voldesk.surface.start_kernels import least_squares
from voldesk.surface.svi_kernels import copy_row

# Entries of the settings row.
INSIDE_PULL: Final = 0
FADE: Final = 1
HALF_FLOOR: Final = 2
MAX_STEPS: Final = 3
REPAIR: Final = 4
SETTINGS: Final = 5


@fused
def solve(normal: FloatArray, force: FloatArray, damping: float, lower: FloatArray, step: FloatArray) -> bool:
    """step = -(normal + damping diag)^-1 force by Cholesky; False where that is not positive definite."""
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
def start(points: FloatArray, tau: float, box: FloatArray, q: FloatArray) -> bool:
    """Least squares of the mids of two-sided quotes, weighted by their half-spreads, into q; False where none exists."""
    n = points.shape[0]
    k, w, weight = np.empty(n), np.empty(n), np.empty(n)
    used = 0
    for i in range(n):
        if points[i, PULL] > 0.0:
            k[used] = points[i, K]
            w[used] = points[i, MID]
            weight[used] = points[i, PER] * points[i, PER]
            used += 1
    if not least_squares(k[:used], w[:used], weight[:used], box, 6, 0.03, q):
        return False
    project(q, box, tau)
    return True


@compiled
def refine(q: FloatArray, points: FloatArray, tau: float, box: FloatArray, settings: FloatArray) -> tuple[float, bool]:
    """Levenberg-Marquardt on the quotes' loss from q, in place; the loss reached and whether it had settled."""
    project(q, box, tau)
    normal, trial_normal, lower = np.zeros((5, 5)), np.zeros((5, 5)), np.empty((5, 5))
    force, trial_force, step, trial = np.zeros(5), np.zeros(5), np.empty(5), np.empty(5)
    loss = quote_terms(q, points, settings[FADE], normal, force)
    hold_at_bounds(q, box, normal, force)
    damping = 1e-3
    quiet = 0
    for _ in range(int(settings[MAX_STEPS])):
        if not solve(normal, force, damping, lower, step):
            damping = max(10.0 * damping, 1e-6)
            if damping > 1e12:
                return loss, True
            continue
        move(q, step, box, tau, trial)
        found = quote_terms(trial, points, settings[FADE], trial_normal, trial_force)
        if found < loss:
            quiet = quiet + 1 if loss - found <= 3e-4 * (loss + 1.0) else 0
            copy_row(trial, q)
            loss = found
            hold_at_bounds(q, box, trial_normal, trial_force)
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
def _median(values: FloatArray) -> float:
    """Median of (n,), n > 0, which is sorted in place (Shell 1959: short, and quick on rows that are equal or in order)."""
    gap = values.size // 2
    while gap > 0:
        for i in range(gap, values.size):
            value = values[i]
            c = i
            while c >= gap and values[c - gap] > value:
                values[c] = values[c - gap]
                c -= gap
            values[c] = value
        gap //= 2
    middle = values.size // 2
    median: float = 0.5 * (values[middle] + values[values.size - 1 - middle])
    return median


@compiled
def gather(
    forward: FloatArray,
    k: FloatArray,
    otm: BoolArray,
    low: FloatArray,
    high: FloatArray,
    tau: FloatArray,
    ends: IntArray,
    settings: FloatArray,
    points: FloatArray,
    offsets: IntArray,
    centre: FloatArray,
) -> None:
    """Out-of-the-money bands of every expiry into `points`, first row of expiry j at offsets[j]; median forwards.

    Rows are in order of expiry and k; those of expiry j end before ends[j + 1]. Two-sided quotes pull to their middle; an ask alone only holds the slice below it; crossed quotes are left out.
    """
    filled = 0
    for j in range(centre.size):
        first, last = ends[j], ends[j + 1]
        sorted_forward = np.empty(last - first)
        copy_row(forward[first:last], sorted_forward)
        centre[j] = _median(sorted_forward)
        for i in range(first, last):
            if not otm[i] or not high[i] > 0.0:
                continue
            bid = low[i] if low[i] > 0.0 else 0.0
            if bid >= high[i]:
                continue
            points[filled, K] = k[i]
            points[filled, LOW] = bid
            points[filled, HIGH] = high[i]
            points[filled, MID] = 0.5 * (bid * bid + high[i] * high[i]) * tau[i]
            half = max(0.5 * (high[i] - bid), settings[HALF_FLOOR])
            points[filled, PER] = 1.0 / ((bid + high[i]) * half * tau[i])
            points[filled, PULL] = settings[INSIDE_PULL] if bid > 0.0 else 0.0
            filled += 1
        offsets[j + 1] = filled

"""Levenberg-Marquardt on several slices at once, under penalties that keep them free of arbitrage.

Each slice is penalised where Durrleman's g falls short of a margin, each neighbouring pair where the later slice is not
above the earlier by a margin (as a difference of log total variances, so that all maturities count alike). Pairs couple
neighbours only: the Gauss-Newton matrix is block tridiagonal with blocks of five, and a step costs little more than
fitting the slices one by one. Moving both sides of a crossing at once loses less than squeezing one under the other.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled, fused
from voldesk.surface.fit_kernels import FADE, MAX_STEPS
from voldesk.surface.slice_kernels import (
    LEFT,
    RIGHT,
    K,
    butterfly_terms,
    move,
    quote_terms,
    to_raw,
    variance_at,
    variance_row,
)
from voldesk.surface.svi_kernels import copy_row

G_MARGIN: Final = 0  # entries of the limits: least g wanted, least log gap wanted, weights of their penalties
GAP_MARGIN: Final = 1
G_WEIGHT: Final = 2
GAP_WEIGHT: Final = 3

DIPS: Final = 8  # last entries of a grid, NaN until a dip between its points is found
OWN_GRID: Final = 48 + DIPS
PAIR_GRID: Final = 60 + DIPS
_FAR: Final = 10.0
_WING: Final = 10
_OUTWARD: Final = np.arange(1, _WING + 1) / _WING


def lay_grids(points: FloatArray, span: IntArray, own: int, pair: int) -> tuple[FloatArray, FloatArray]:
    """Where slices are held free of butterflies, shape (n, own), and neighbours apart, (n - 1, pair): over the quoted
    strikes (of either) and a little beyond, then ever wider to |k| = 10; the last entries NaN, for dips.

    points and span as of `refine_jointly`.
    """
    low, high = points[span[:, 0], K, None], points[span[:, 1] - 1, K, None]
    within = np.linspace(-0.1, 1.1, own - DIPS - 2 * _WING)
    dense = low + (high - low) * within
    own_grid = _widened(low, high, dense)
    if low.size < 2:
        return own_grid, np.empty((0, pair))
    within = np.linspace(-0.1, 1.1, pair // 2 - DIPS // 2 - _WING)
    dense = low + (high - low) * within
    outer = np.minimum(low[:-1], low[1:]), np.maximum(high[:-1], high[1:])
    return own_grid, _widened(*outer, dense[:-1], dense[1:])


def _widened(low: FloatArray, high: FloatArray, *dense: FloatArray) -> FloatArray:
    """Rows of a grid: ever farther from the quoted range on either side of its dense points, and room for dips."""
    away = 0.1 * np.maximum(high - low, 0.02)
    away = away * (_FAR / away) ** _OUTWARD
    return np.concatenate((low - away[:, ::-1], *dense, high + away, np.full((low.size, DIPS), math.nan)), axis=1)


@fused
def gap_terms(
    early: FloatArray,
    late: FloatArray,
    grid: FloatArray,
    margin: float,
    weight: float,
    early_normal: FloatArray,
    late_normal: FloatArray,
    coupling: FloatArray,
    early_force: FloatArray,
    late_force: FloatArray,
) -> float:
    """Squares of what log w_late - log w_early misses of its margin; adds matrices (coupling: late rows, early
    columns) and gradients."""
    total = 0.0
    e, f = np.empty(5), np.empty(5)
    square = weight * weight
    for a in range(RIGHT, LEFT + 1):
        # Beyond the grid the slopes of the wings decide.
        miss = margin + math.log(early[a] / late[a])
        if miss > 0.0:
            total += 0.5 * square * miss * miss
            early_force[a] += square * miss / early[a]
            late_force[a] -= square * miss / late[a]
            early_normal[a, a] += square / (early[a] * early[a])
            late_normal[a, a] += square / (late[a] * late[a])
            coupling[a, a] -= square / (late[a] * early[a])
    wide = 1.0 + 1.01 * margin
    for i in range(grid.size):
        if grid[i] != grid[i]:  # no point
            continue
        if variance_at(grid[i], late) >= variance_at(grid[i], early) * wide:
            continue
        w = variance_row(grid[i], early, e)
        v = variance_row(grid[i], late, f)
        miss = margin + math.log(w / v)
        if miss <= 0.0:
            continue
        total += 0.5 * square * miss * miss
        for a in range(5):
            e[a] /= w
            f[a] /= v
        for a in range(5):
            early_force[a] += square * miss * e[a]
            late_force[a] -= square * miss * f[a]
            for c in range(a + 1):
                early_normal[a, c] += square * e[a] * e[c]
                late_normal[a, c] += square * f[a] * f[c]
            for c in range(5):
                coupling[a, c] -= square * f[a] * e[c]
    return total


@compiled
def _assemble(
    q: FloatArray,
    points: FloatArray,
    span: IntArray,
    own: FloatArray,
    pairs: FloatArray,
    limits: FloatArray,
    fade: float,
    normal: FloatArray,
    coupling: FloatArray,
    force: FloatArray,
) -> float:
    """Loss, matrix and gradient of all slices together."""
    total = 0.0
    n = q.shape[0]
    for i in range(n):
        total += quote_terms(q[i], points[span[i, 0] : span[i, 1]], fade, normal[i], force[i])
        total += butterfly_terms(q[i], own[i], limits[G_MARGIN], limits[G_WEIGHT], normal[i], force[i])
    for i in range(n - 1):
        for a in range(5):
            for c in range(5):
                coupling[i, a, c] = 0.0
        total += gap_terms(
            q[i],
            q[i + 1],
            pairs[i],
            limits[GAP_MARGIN],
            limits[GAP_WEIGHT],
            normal[i],
            normal[i + 1],
            coupling[i],
            force[i],
            force[i + 1],
        )
    return total


@compiled
def _hold_at_bounds(
    q: FloatArray, boxes: FloatArray, normal: FloatArray, coupling: FloatArray, force: FloatArray
) -> None:
    """Take out of the step what stands at a bound of its box and wants to cross it."""
    n = q.shape[0]
    for i in range(n):
        for a in range(1, 5):
            edge = 1e-9 * (abs(q[i, a]) + 1e-3)
            below = q[i, a] <= boxes[i, 0, a] + edge and force[i, a] > 0.0
            above = q[i, a] >= boxes[i, 1, a] - edge and force[i, a] < 0.0
            if not below and not above:
                continue
            force[i, a] = 0.0
            for c in range(5):
                normal[i, max(a, c), min(a, c)] = 0.0
                if i < n - 1:
                    coupling[i, c, a] = 0.0
                if i > 0:
                    coupling[i - 1, a, c] = 0.0
            normal[i, a, a] = 1.0


@fused
def _solve(
    normal: FloatArray,
    coupling: FloatArray,
    force: FloatArray,
    damping: float,
    diagonal: FloatArray,
    below: FloatArray,
    step: FloatArray,
) -> bool:
    """step = -(matrix + damping diag)^-1 force by block Cholesky; False where that is not positive definite."""
    n = force.shape[0]
    for i in range(n):
        lower = diagonal[i]
        for a in range(5):
            for b in range(a + 1):
                value = normal[i, a, b]
                if a == b:
                    value += damping * max(value, 1e-12)
                if i > 0:
                    for c in range(5):
                        value -= below[i - 1, a, c] * below[i - 1, b, c]
                for c in range(b):
                    value -= lower[a, c] * lower[b, c]
                if a == b:
                    if not value > 0.0:
                        return False
                    lower[a, a] = math.sqrt(value)
                else:
                    lower[a, b] = value / lower[b, b]
            value = -force[i, a]
            if i > 0:
                for c in range(5):
                    value -= below[i - 1, a, c] * step[i - 1, c]
            for c in range(a):
                value -= lower[a, c] * step[i, c]
            step[i, a] = value / lower[a, a]
        if i < n - 1:
            for a in range(5):
                for b in range(5):
                    value = coupling[i, a, b]
                    for c in range(b):
                        value -= below[i, a, c] * lower[b, c]
                    below[i, a, b] = value / lower[b, b]
    for i in range(n - 1, -1, -1):
        lower = diagonal[i]
        for a in range(4, -1, -1):
            value = step[i, a]
            if i < n - 1:
                for c in range(5):
                    value -= below[i, c, a] * step[i + 1, c]
            for c in range(a + 1, 5):
                value -= lower[c, a] * step[i, c]
            step[i, a] = value / lower[a, a]
    return True


@compiled
def refine_jointly(
    q: FloatArray,
    points: FloatArray,
    span: IntArray,
    tau: FloatArray,
    boxes: FloatArray,
    own: FloatArray,
    pairs: FloatArray,
    limits: FloatArray,
    settings: FloatArray,
    p: FloatArray,
) -> float:
    """Move all slices q (n, 5) in place to the least penalised loss; returns it. p becomes q as raw SVI.

    Slice i has the quotes points[span[i, 0] : span[i, 1]], the box boxes[i] and the grid own[i]; slices i and i + 1 the
    grid pairs[i].
    """
    n = q.shape[0]
    normal, trial_normal, diagonal = np.zeros((n, 5, 5)), np.zeros((n, 5, 5)), np.empty((n, 5, 5))
    coupling, trial_coupling, below = np.zeros((n, 5, 5)), np.zeros((n, 5, 5)), np.empty((n, 5, 5))
    force, trial_force = np.zeros((n, 5)), np.zeros((n, 5))
    step, trial = np.empty((n, 5)), np.empty((n, 5))
    fade = settings[FADE]
    loss = _assemble(q, points, span, own, pairs, limits, fade, normal, coupling, force)
    _hold_at_bounds(q, boxes, normal, coupling, force)
    damping = 1e-3
    quiet = 0
    for _ in range(int(settings[MAX_STEPS])):
        found = math.inf
        if _solve(normal, coupling, force, damping, diagonal, below, step):
            for i in range(n):
                move(q[i], step[i], boxes[i], tau[i], trial[i])
            found = _assemble(trial, points, span, own, pairs, limits, fade, trial_normal, trial_coupling, trial_force)
        if found < loss:
            quiet = quiet + 1 if loss - found <= 1e-4 * (loss + 1.0) else 0
            for i in range(n):
                copy_row(trial[i], q[i])
            loss = found
            normal, trial_normal = trial_normal, normal
            coupling, trial_coupling = trial_coupling, coupling
            force, trial_force = trial_force, force
            _hold_at_bounds(q, boxes, normal, coupling, force)
            damping = max(0.1 * damping, 1e-9)
            if quiet >= 2:
                break
        else:
            damping = max(4.0 * damping, 1e-6)
            if damping > 1e9:
                break
    for i in range(n):
        to_raw(q[i], p[i])
    return loss

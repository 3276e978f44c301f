"""Kernels of `fit`, continued: a chain of slices that is proved free of arbitrage.

Free fits first; where the proofs of `svi_kernels` find arbitrage, all slices move together under penalties
(`joint_kernels`), rising until the proofs hold. What is left after the last round is mixed with a flat slice, which keeps
raw SVI raw SVI: (1 - t) w + t v has parameters ((1 - t) a + t v, (1 - t) b, rho, m, sigma).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.surface.fit_kernels import FADE, MAX_STEPS, REPAIR, refine, start
from voldesk.surface.joint_kernels import (
    G_MARGIN,
    G_WEIGHT,
    GAP_MARGIN,
    GAP_WEIGHT,
    OWN_GRID,
    PAIR_GRID,
    own_grid,
    pair_grid,
    refine_jointly,
)
from voldesk.surface.slice_kernels import HIGH, LOW, PULL, K, free_box, to_raw
from voldesk.surface.svi_kernels import A, B, is_butterfly_free, is_calendar_free, least_variance, total_variance

OK: Final = 0
FEW_QUOTES: Final = 1
NOT_CONVERGED: Final = 2
BUTTERFLY: Final = 3
CALENDAR: Final = 4

# Columns of the report row of a slice.
QUOTES: Final = 0
INSIDE: Final = 1
WORST: Final = 2
MEAN: Final = 3
REPAIRED: Final = 4  # 0 as fitted, 1 moved with the others, 2 mixed with a flat slice
REPORT_WIDTH: Final = 5

LEAST_QUOTES: Final = 5  # two-sided quotes for the five numbers of a slice
_ROUNDS: Final = 6
_FIRST_WEIGHT: Final = 5.0
_SOFT_ROUNDS: Final = 2
_SOFT_STEPS: Final = 12.0


@compiled
def is_free(p: FloatArray) -> bool:
    """Proved free of butterflies, and of crossings between neighbours; p (n, 5) in order of expiry."""
    for i in range(p.shape[0]):
        if i > 0 and not is_calendar_free(p[i - 1], p[i]):
            return False
        if not is_butterfly_free(p[i]):
            return False
    return True


@compiled
def _mix_with_flat(p: FloatArray, late: FloatArray) -> None:
    """The last resort, in place: the least mixture with a flat slice that is free of butterflies and under `late`
    (empty for none)."""
    flat = max(total_variance(0.0, p), 1e-12)
    if late.size > 0:
        flat = min(flat, 0.999 * least_variance(late))
    a, b = p[A], p[B]
    for i in range(65):
        t = i / 64.0
        p[A], p[B] = (1.0 - t) * a + t * flat, (1.0 - t) * b
        if (late.size == 0 or is_calendar_free(p, late)) and is_butterfly_free(p):
            return


@compiled
def separate(p: FloatArray, how: FloatArray) -> None:
    """Mix with flat, from the last slice to the first, what is not yet free of arbitrage; how becomes 2 there."""
    late = np.empty(0)
    for i in range(p.shape[0] - 1, -1, -1):
        before = p[i, B]
        _mix_with_flat(p[i], late)
        if p[i, B] < before:
            how[i] = 2.0
        late = p[i]


@compiled
def rid_of_arbitrage(
    q: FloatArray,
    p: FloatArray,
    points: FloatArray,
    span: IntArray,
    tau: FloatArray,
    boxes: FloatArray,
    settings: FloatArray,
    how: FloatArray,
) -> None:
    """Move slices q, and with them p, until they are proved free of arbitrage; how: 1 moved, 2 mixed with flat."""
    n = q.shape[0]
    own, pairs = np.empty((n, OWN_GRID)), np.empty((max(n - 1, 0), PAIR_GRID))
    for i in range(n):
        own_grid(points[span[i, 0] : span[i, 1]], own[i])
        if i > 0:
            pair_grid(points[span[i - 1, 0] : span[i - 1, 1]], points[span[i, 0] : span[i, 1]], pairs[i - 1])
    limits = np.empty(4)
    softened = settings.copy()
    for i in range(_ROUNDS):
        limits[G_MARGIN], limits[GAP_MARGIN] = 5e-4 * 2.0**i, 2e-4 * 2.0**i
        limits[G_WEIGHT], limits[GAP_WEIGHT] = _FIRST_WEIGHT * 4.0**i, _FIRST_WEIGHT * 4.0**i
        # At first every miss keeps its force: a slice thrown out of its quotes by the penalties must find back.
        softened[FADE] = settings[FADE] * max(16.0 / 4.0**i, 1.0)
        softened[MAX_STEPS] = settings[MAX_STEPS] if i >= _SOFT_ROUNDS else min(_SOFT_STEPS, settings[MAX_STEPS])
        refine_jointly(q, points, span, tau, boxes, own, pairs, limits, softened)
        for j in range(n):
            to_raw(q[j], p[j])
        how[:] = 1.0
        if i >= _SOFT_ROUNDS and is_free(p):
            return
    separate(p, how)


@compiled
def report(p: FloatArray, points: FloatArray, tau: float, row: FloatArray) -> None:
    """Two-sided quotes, the share whose fitted vol lies inside bid-ask, the largest distance outside, and the mean
    distance outside in half-spreads."""
    inside = 0
    count = 0
    worst = mean = 0.0
    for i in range(points.shape[0]):
        if points[i, PULL] > 0.0:
            count += 1
            vol = math.sqrt(total_variance(points[i, K], p) / tau)
            out = max(points[i, LOW] - vol, vol - points[i, HIGH])
            if out <= 0.0:
                inside += 1
            else:
                mean += out / (0.5 * (points[i, HIGH] - points[i, LOW]))
            worst = max(worst, out)
    row[QUOTES] = count
    row[INSIDE] = inside / count if count > 0 else math.nan
    row[WORST] = worst
    row[MEAN] = mean / count if count > 0 else math.nan


@compiled
def two_sided(points: FloatArray) -> int:
    """How many of the points have a bid and an ask."""
    count = 0
    for i in range(points.shape[0]):
        if points[i, PULL] > 0.0:
            count += 1
    return count


@compiled
def _name_arbitrage(p: FloatArray, at: IntArray, status: IntArray) -> None:
    late = -1
    for j in range(at.size - 1, -1, -1):
        i = at[j]
        if not is_butterfly_free(p[j]):
            status[i] = BUTTERFLY
        elif late >= 0 and not is_calendar_free(p[j], p[late]):
            status[i] = CALENDAR
        else:
            late = j


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
    """Fit all slices freely, then rid them of arbitrage together, or name it where repair is off."""
    count = tau.size
    q, p, boxes = np.empty((count, 5)), np.empty((count, 5)), np.empty((count, 2, 5))
    span, at, years = np.empty((count, 2), np.int64), np.empty(count, np.int64), np.empty(count)
    how = np.zeros(count)
    n = 0
    for i in range(count):
        rows = points[offsets[i] : offsets[i + 1]]
        params[i] = math.nan
        reports[i] = 0.0
        reports[i, QUOTES] = two_sided(rows)
        reports[i, INSIDE] = reports[i, WORST] = reports[i, MEAN] = math.nan
        status[i] = FEW_QUOTES
        if reports[i, QUOTES] < LEAST_QUOTES:
            continue
        free_box(rows, boxes[n])
        if not start(rows, tau[i], boxes[n], q[n]):
            continue
        _, settled = refine(q[n], rows, tau[i], boxes[n], settings)
        to_raw(q[n], p[n])
        if not settled:
            status[i] = NOT_CONVERGED
            params[i] = p[n]
            report(p[n], rows, tau[i], reports[i])
            continue
        status[i] = OK
        at[n], years[n] = i, tau[i]
        span[n, 0], span[n, 1] = offsets[i], offsets[i + 1]
        n += 1
    q, p = q[:n], p[:n]
    if settings[REPAIR] == 0.0:
        _name_arbitrage(p, at[:n], status)
    elif not is_free(p):
        rid_of_arbitrage(q, p, points, span[:n], years[:n], boxes[:n], settings, how[:n])
    for j in range(n):
        i = at[j]
        params[i] = p[j]
        report(p[j], points[offsets[i] : offsets[i + 1]], tau[i], reports[i])
        reports[i, REPAIRED] = how[j]

"""A chain of SVI slices that is proved free of arbitrage.

Free fits first; where the proofs of `svi_kernels` find arbitrage, all slices move together under penalties
(`joint_kernels`) that rise until the proofs hold; where arbitrage hides between the points at which it is penalised, the
dips found there become points. What little is left is mixed with a flat slice. A slice that ends far from its quotes, or
that cannot be freed near them, is taken out, named in its status, and the others start afresh: one bad expiry must not
bend its neighbours.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final, NamedTuple

import numpy as np

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.surface.chain_kernels import (
    BUTTERFLY,
    CALENDAR,
    OK,
    REPORT_WIDTH,
    fit_free,
    is_free,
    missed_share,
    report,
)
from voldesk.surface.fit_kernels import FADE, MAX_STEPS, REPAIR
from voldesk.surface.joint_kernels import (
    DIPS,
    G_MARGIN,
    G_WEIGHT,
    GAP_MARGIN,
    GAP_WEIGHT,
    OWN_GRID,
    PAIR_GRID,
    lay_grids,
    refine_jointly,
)
from voldesk.surface.slice_kernels import K
from voldesk.surface.svi_kernels import (
    A,
    B,
    is_butterfly_free,
    is_calendar_free,
    least_durrleman,
    least_gap,
    least_variance,
    total_variance,
)

_ROUNDS: Final = 12
_SOFT_ROUNDS: Final = 2
_SOFT_STEPS: Final = 12.0
_FIRST_WEIGHT: Final = 5.0
_WEIGHTS_RISE: Final = 5  # rounds over which they do
_MOST_FLAT: Final = 0.02  # of a flat slice, in a mixture that still is the slice
_FAR: Final = 0.1  # of total variance
_MOST_FAR: Final = 0.5  # of the quoted strikes missed by more: the slice is not a fit of its quotes
_CROSSING_POINTS: Final = 33
_NEAR_REACH: Final = 0.5  # of |k|, where dips are looked for
_FAR_REACH: Final = 10.0


class ChainFit(NamedTuple):
    """Raw parameters (n, 5), a status code of `chain_kernels` and a report row per slice."""

    params: FloatArray
    status: IntArray
    reports: FloatArray


class _Slices(NamedTuple):
    """Slice i: its free fit in coordinates q[i] and raw p[i], quotes points[span[i, 0] : span[i, 1]], bounds boxes[i]."""

    q: FloatArray
    p: FloatArray
    points: FloatArray
    span: IntArray
    tau: FloatArray
    boxes: FloatArray


def fit_chain(points: FloatArray, offsets: IntArray, tau: FloatArray, settings: FloatArray) -> ChainFit:
    """Fit all slices freely, then rid them of arbitrage together, or name it where repair is off.

    Slice i has the quotes points[offsets[i] : offsets[i + 1]]; settings as `fit.FitOptions.row()`. The scale of quotes too
    narrow for the form is changed in `points`.
    """
    count = tau.size
    q, p, boxes = np.empty((count, 5)), np.empty((count, 5)), np.empty((count, 2, 5))
    status, reports = np.empty(count, np.int64), np.empty((count, REPORT_WIDTH))
    fit_free(points, offsets, tau, settings, q, p, boxes, status)
    fitted = np.flatnonzero(status == OK)
    if settings[REPAIR] == 0.0:
        _name_arbitrage(p, fitted, status)
    elif not is_free(p[fitted]):
        span = np.stack((offsets[:-1], offsets[1:]), axis=1)[fitted]
        slices = _Slices(q[fitted], p[fitted], points, span, tau[fitted], boxes[fitted])
        kept, moved = _rid_of_arbitrage(slices, settings)
        for i in np.delete(fitted, kept).tolist():
            status[i] = CALENDAR if is_butterfly_free(p[i]) else BUTTERFLY
        p[fitted[kept]] = moved
    report(p, points, offsets, tau, reports)
    return ChainFit(p, status, reports)


def _name_arbitrage(p: FloatArray, fitted: IntArray, status: IntArray) -> None:
    late = -1
    for i in fitted[::-1].tolist():
        if not is_butterfly_free(p[i]):
            status[i] = BUTTERFLY
        elif late >= 0 and not is_calendar_free(p[i], p[late]):
            status[i] = CALENDAR
        else:
            late = i


def _rid_of_arbitrage(slices: _Slices, settings: FloatArray) -> tuple[IntArray, FloatArray]:
    """Which slices are left, and their parameters, proved free."""
    kept = np.arange(slices.tau.size)
    while True:
        rest = _Slices(
            slices.q[kept], slices.p[kept], slices.points, slices.span[kept], slices.tau[kept], slices.boxes[kept]
        )
        p, stuck = _move(rest, settings)
        rows = [rest.points[first:last] for first, last in rest.span.tolist()]
        far = np.array([missed_share(row, quotes, _FAR) for row, quotes in zip(p, rows, strict=True)])
        bad = stuck | (far > _MOST_FAR)
        if not bad.any():
            return kept, p
        kept = np.delete(kept, _culprit(rest, bad, far))


def _culprit(slices: _Slices, bad: BoolArray, far: FloatArray) -> int:
    """The slice to take out: of the bad ones, and of those that cross one of them, whose free fit crosses most others
    most widely; the farthest from its quotes where none crosses."""
    n = bad.size
    crossing = np.zeros((n, n))
    ends = slices.points[np.stack((slices.span[:, 0], slices.span[:, 1] - 1)), K]
    for i, j in combinations(range(n), 2):
        k = np.linspace(max(ends[0, i], ends[0, j]), min(ends[1, i], ends[1, j]), _CROSSING_POINTS)
        early, late = raw_variance(slices.p[[i, j]], k)
        crossing[i, j] = crossing[j, i] = np.mean(early > (1.0 + _FAR) * late)
    candidates = bad | (crossing[bad] > 0.0).any(axis=0)
    return int(np.argmax(np.where(candidates, crossing.sum(axis=0) + 1e-3 * far, -1.0)))


def raw_variance(params: FloatArray, k: FloatArray) -> FloatArray:
    """Total variance of raw slices (n, 5) at points (m,), shape (n, m)."""
    a, b, rho, m, sigma = (params[:, i, None] for i in range(5))
    w: FloatArray = a + b * (rho * (k - m) + np.hypot(k - m, sigma))
    return w


def _move(slices: _Slices, settings: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Slices moved together until they are proved free, raw, and which of them could not be freed."""
    q, p = slices.q.copy(), np.empty_like(slices.q)
    n = q.shape[0]
    own, pairs = lay_grids(slices.points, slices.span, OWN_GRID, PAIR_GRID)
    limits = np.empty(4)
    softened = settings.copy()
    for i in range(_ROUNDS):
        rise = 2.0 ** min(i, _SOFT_ROUNDS)
        limits[G_MARGIN], limits[GAP_MARGIN] = 5e-4 * rise, 2e-4 * rise
        limits[G_WEIGHT] = limits[GAP_WEIGHT] = _FIRST_WEIGHT * 4.0 ** min(i, _WEIGHTS_RISE)
        # At first every miss keeps its force: a slice thrown out of its quotes by the penalties must find back.
        softened[FADE] = settings[FADE] * max(16.0 / 4.0**i, 1.0)
        softened[MAX_STEPS] = settings[MAX_STEPS] if i >= _SOFT_ROUNDS else min(_SOFT_STEPS, settings[MAX_STEPS])
        if i > _SOFT_ROUNDS:
            note_dips(p, i % DIPS, own, pairs)
        refine_jointly(q, slices.points, slices.span, slices.tau, slices.boxes, own, pairs, limits, softened, p)
        if i >= _SOFT_ROUNDS and is_free(p):
            return p, np.zeros(n, np.bool_)
    return p, separate(p, _MOST_FLAT)


def note_dips(p: FloatArray, entry: int, own: FloatArray, pairs: FloatArray) -> None:
    """Where slices p, raw, still have arbitrage, which hides between the points of their grids: the least g of a slice,
    the least gap of a pair, become an entry among the last of the grids."""
    for i in range(p.shape[0]):
        if not is_butterfly_free(p[i]):
            own[i, entry - DIPS] = least_durrleman(p[i], _FAR_REACH)[1]
        if i > 0 and not is_calendar_free(p[i - 1], p[i]):
            gap, k = least_gap(p[i - 1], p[i], _NEAR_REACH)
            pairs[i - 1, entry - DIPS] = k if gap < 0.0 else least_gap(p[i - 1], p[i], _FAR_REACH)[1]


def separate(p: FloatArray, most: float) -> BoolArray:
    """Mend slices p, raw, in place, from the last to the first: the least mixture with a flat slice that is free of
    butterflies and under the slice after it. (1 - t) w + t v has parameters ((1 - t) a + t v, (1 - t) b, rho, m, sigma).

    Where more than t = `most` would be needed a slice stays as it is, is True in what is returned, and the others pass over
    it.
    """
    left = np.zeros(p.shape[0], np.bool_)
    late: FloatArray | None = None
    for i in range(p.shape[0] - 1, -1, -1):
        flat = max(total_variance(0.0, p[i]), 1e-12)
        if late is not None:
            flat = min(flat, 0.9 * least_variance(late))
        # Ever larger mixtures, then halving between the last that fails and the first that does not.
        good = next(
            (t for t in (0.0, *(most * 2.0**-j for j in range(20, -1, -1))) if _mixed(p[i], t, flat, late)), None
        )
        if good is None:
            left[i] = True
            continue
        bad = 0.5 * good
        for _ in range(4 if good > 0.0 else 0):
            middle = 0.5 * (bad + good)
            good, bad = (middle, bad) if _mixed(p[i], middle, flat, late) else (good, middle)
        p[i, A], p[i, B] = (1.0 - good) * p[i, A] + good * flat, (1.0 - good) * p[i, B]
        late = p[i]
    return left


def _mixed(p: FloatArray, share: float, flat: float, late: FloatArray | None) -> bool:
    trial = p.copy()
    trial[A], trial[B] = (1.0 - share) * p[A] + share * flat, (1.0 - share) * p[B]
    return bool((late is None or is_calendar_free(trial, late)) and is_butterfly_free(trial))

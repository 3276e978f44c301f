"""Kernels of `chain`: the free fits of all slices, proofs for a whole chain, and reports.

Where a slice's quotes are narrower than SVI is true (penny-wide index options), no parameters meet them, and a loss that
forgives misses would follow some quotes and give up others. Its bands are then widened evenly, by a tolerance in volatility
over the square root of the relative vega, until most of its strikes can be met. Reports speak of the bands as quoted.
"""

from __future__ import annotations

import math
from typing import Final

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.surface.fit_kernels import HALF_FLOOR, refine, start
from voldesk.surface.slice_kernels import HIGH, LOW, MID, PER, PULL, K, free_box, to_raw
from voldesk.surface.svi_kernels import A, is_butterfly_free, is_calendar_free, total_variance

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
REPORT_WIDTH: Final = 4

LEAST_QUOTES: Final = 5  # two-sided quotes for the five numbers of a slice
_OUT: Final = 3.0  # half-spreads from the middle of its band at which a quote is missed
_MISSED_SHARE: Final = 0.1  # of the quoted strikes, by width, that may be missed before bands are widened
_FIRST_TOLERANCE: Final = 0.25  # of the narrowest half-spread that counts
_WIDER: Final = 1.6
_WIDENINGS: Final = 16


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
def missed_share(p: FloatArray, rows: FloatArray, least: float) -> float:
    """Share of a slice's quoted strikes, by the width in k that each stands for, that p misses by more than some
    half-spreads, widened or not, and by more than `least` of their total variance. 0 with fewer than two."""
    missed = width = 0.0
    last = at = math.nan
    was_out = 0.0
    for i in range(rows.shape[0]):
        if rows[i, PULL] > 0.0:
            at = rows[i, K]
            distance = abs(total_variance(at, p) - rows[i, MID])
            out = 1.0 if distance * rows[i, PER] > _OUT and distance > least * rows[i, MID] else 0.0
            if at > last:
                width += at - last
                missed += 0.5 * (at - last) * (out + was_out)
            last, was_out = at, out
    return missed / width if width > 0.0 else 0.0


@compiled
def _widen(rows: FloatArray, tau: float, floor: float, tolerance: float) -> None:
    for i in range(rows.shape[0]):
        both = rows[i, LOW] + rows[i, HIGH]
        half = max(0.5 * (rows[i, HIGH] - rows[i, LOW]), floor)
        deviations = 2.0 * rows[i, K] / (both * math.sqrt(tau))
        half += tolerance * math.exp(0.25 * min(deviations * deviations, 16.0))
        rows[i, PER] = 1.0 / (both * half * tau)


@compiled
def fit_free(
    points: FloatArray,
    offsets: IntArray,
    tau: FloatArray,
    settings: FloatArray,
    q: FloatArray,
    p: FloatArray,
    boxes: FloatArray,
    status: IntArray,
) -> None:
    """Fit every slice on its own, in coordinates q and raw p; NaN and FEW_QUOTES, or NOT_CONVERGED, where that fails.

    Bands that are too narrow for the form are widened in `points`.
    """
    for i in range(tau.size):
        rows = points[offsets[i] : offsets[i + 1]]
        for a in range(5):
            q[i, a] = p[i, a] = math.nan
        count = 0
        for j in range(rows.shape[0]):
            if rows[j, PULL] > 0.0:
                count += 1
        status[i] = FEW_QUOTES
        if count < LEAST_QUOTES:
            continue
        free_box(rows, boxes[i])
        tolerance = _FIRST_TOLERANCE * settings[HALF_FLOOR]
        for _ in range(_WIDENINGS):
            if not start(rows, tau[i], boxes[i], q[i]):
                break
            settled = refine(q[i], rows, tau[i], boxes[i], settings)[1]
            to_raw(q[i], p[i])
            status[i] = NOT_CONVERGED
            if settled and missed_share(p[i], rows, 0.0) <= _MISSED_SHARE:
                status[i] = OK
                break
            _widen(rows, tau[i], settings[HALF_FLOOR], tolerance)
            tolerance *= _WIDER


@compiled
def report(p: FloatArray, points: FloatArray, offsets: IntArray, tau: FloatArray, rows: FloatArray) -> None:
    """Per slice: two-sided quotes, the share whose fitted vol lies inside bid-ask, the largest distance outside, and the
    mean distance outside in half-spreads; NaN where p is."""
    for j in range(tau.size):
        count = inside = 0
        worst = mean = 0.0
        for i in range(offsets[j], offsets[j + 1]):
            if points[i, PULL] > 0.0:
                count += 1
                vol = math.sqrt(total_variance(points[i, K], p[j]) / tau[j])
                out = max(points[i, LOW] - vol, vol - points[i, HIGH])
                if out <= 0.0:
                    inside += 1
                else:
                    mean += out / (0.5 * (points[i, HIGH] - points[i, LOW]))
                worst = max(worst, out)
        rows[j, QUOTES] = count
        known = count > 0 and p[j, A] == p[j, A]
        rows[j, INSIDE] = inside / count if known else math.nan
        rows[j, WORST] = worst if known else math.nan
        rows[j, MEAN] = mean / count if known else math.nan

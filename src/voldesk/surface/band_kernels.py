"""Quotes of one expiry as bands of implied volatility, and what the fits of eSSVI and SABR make of them.

A row of quotes is (log-moneyness, bid vol or 0, ask vol, ...). Loss of a two-sided quote: squares of e = (model vol - mid
vol) / half-spread near, lines far out (pseudo-Huber, Charbonnier et al. 1997), so that one stale quote cannot bend a
slice; half-spreads in volatility are half-spreads in price over vega, so the vega weight is in the unit. An ask without
a bid counts where the model lies above it.
"""

from __future__ import annotations

import math
from typing import Final

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled

K: Final = 0
LOW: Final = 1
HIGH: Final = 2

# Columns of a report.
QUOTES: Final = 0
INSIDE: Final = 1
WORST: Final = 2


@compiled
def count_two_sided(points: FloatArray) -> int:
    """Quotes with a bid."""
    count = 0
    for i in range(points.shape[0]):
        if points[i, LOW] > 0.0:
            count += 1
    return count


@compiled
def band_loss(
    vol: float, low: float, high: float, half_floor: float, linear_from: float
) -> tuple[float, float, float, float]:
    """Loss of a model vol, e itself, the weight of its square in Gauss-Newton, and de/dvol; zeros where it is silent."""
    half = max(0.5 * (high - low), half_floor)
    e = (vol - 0.5 * (high + low)) / half
    if not low > 0.0:
        e = (vol - high) / half
        if e <= 0.0:
            return 0.0, 0.0, 0.0, 0.0
    scaled = e / linear_from
    stretch = math.sqrt(1.0 + scaled * scaled)
    return linear_from * linear_from * (stretch - 1.0), e, 1.0 / stretch, 1.0 / half


@compiled
def parabola(points: FloatArray, tau: float, half_floor: float) -> tuple[float, float, float]:
    """Volatility at the forward, its slope and its second derivative in k, by least squares through the mids, weighted to
    within a deviation of the forward; for start values. Needs a two-sided quote."""
    nearest, centre = math.inf, math.nan
    for i in range(points.shape[0]):
        if points[i, LOW] > 0.0 and abs(points[i, K]) < nearest:
            nearest, centre = abs(points[i, K]), 0.5 * (points[i, LOW] + points[i, HIGH])
    reach = centre * math.sqrt(tau) + nearest
    s0 = s1 = s2 = s3 = s4 = t0 = t1 = t2 = 0.0
    for i in range(points.shape[0]):
        if not points[i, LOW] > 0.0:
            continue
        y = points[i, K] / reach
        vol = 0.5 * (points[i, LOW] + points[i, HIGH])
        half = max(0.5 * (points[i, HIGH] - points[i, LOW]), half_floor) + 0.01 * centre
        weight = math.exp(-0.5 * y * y) / (half * half)
        s0, s1, s2 = s0 + weight, s1 + weight * y, s2 + weight * y * y
        s3, s4 = s3 + weight * y * y * y, s4 + weight * y * y * y * y
        t0, t1, t2 = t0 + weight * vol, t1 + weight * y * vol, t2 + weight * y * y * vol
    c11, c12, c22 = s2 - s1 * s1 / s0, s3 - s1 * s2 / s0, s4 - s2 * s2 / s0
    r1, r2 = t1 - s1 * t0 / s0, t2 - s2 * t0 / s0
    determinant = c11 * c22 - c12 * c12
    if not determinant > 1e-10 * c11 * c22:
        return centre, 0.0, 0.0
    slope, bend = (c22 * r1 - c12 * r2) / determinant, (c11 * r2 - c12 * r1) / determinant
    level = (t0 - slope * s1 - bend * s2) / s0
    if not level > 0.5 * centre:
        return centre, 0.0, 0.0
    return level, slope / reach, 2.0 * bend / (reach * reach)


@compiled
def note_quality(vol: float, low: float, high: float, row: FloatArray) -> None:
    """Adds one quote to a report of which INSIDE still counts; asks without a bid are left out."""
    if low > 0.0:
        row[QUOTES] += 1.0
        out = max(low - vol, vol - high)
        if out <= 0.0:
            row[INSIDE] += 1.0
        row[WORST] = max(row[WORST], out)

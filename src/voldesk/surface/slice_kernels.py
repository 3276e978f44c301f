"""One SVI slice in the coordinates that fits step in, and the terms of their losses with derivatives.

Coordinates, a row q = (level, right, left, m, sigma): w(m), the slopes of the two wings, the vertex and its width. With
y = (k - m) / sigma and r = sqrt(1 + y^2)

    w(k) = level + sigma (right (r + y - 1) + left (r - y - 1)) / 2.

In these the valley along which a, b and sigma trade off is nearly straight, bounds on wings are plain boxes, and the
derivatives are 1, (r + y - 1), (r - y - 1), y / r and 1 / r up to factors. Steps are in (level, right, left, m, log sigma).

Loss of a quote: with e = (w - middle of the band) / half its height, all in total variance, inside the band a weak pull to the middle and a wall that
rises as e^8 towards the edge; outside a logarithm, whose force fades with distance, so that what cannot be reached, a
stale quote above all, does not bend a slice away from what can. Half-spreads in volatility are half-spreads in price over
vega: the vega weight is in the unit, and a volatility is inside its band where its total variance is. Arbitrage enters as a penalty at grid points; whether a slice is free of it is
decided by the proofs of `svi_kernels` alone.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled, fused
from voldesk.surface.svi_kernels import RHO, SIGMA, A, B, M

LEVEL: Final = 0
RIGHT: Final = 1
LEFT: Final = 2
VERTEX: Final = 3
WIDTH: Final = 4

# Columns of a slice's points.
K: Final = 0
LOW: Final = 1  # bid vol, 0 where no bid stands
HIGH: Final = 2  # ask vol
MID: Final = 3  # middle of the band in total variance
PER: Final = 4  # 1 / half its height in total variance, floored: scales the residual
PULL: Final = 5  # weight of the pull to the middle inside the band, 0 without a bid
POINT_WIDTH: Final = 6

LEE_SLOPE: Final = 1.98  # a little under Lee's 2
LEAST_SLOPE: Final = 0.1  # of the total volatility at the forward
MOST_SLOPE: Final = 3.0
_LEAST_WIDTH: Final = 2e-3
_MOST_WIDTH: Final = 1.0  # of the quoted range; a wider vertex cannot be seen in it, only costs steps
_LEAST_VOL: Final = 5e-3
_LEAST_ROOT: Final = 1e-3  # keeps the root of h differentiable


@compiled
def to_wings(p: FloatArray, q: FloatArray) -> None:
    """Raw SVI p to coordinates q."""
    q[LEVEL] = p[A] + p[B] * p[SIGMA]
    q[RIGHT] = p[B] * (1.0 + p[RHO])
    q[LEFT] = p[B] * (1.0 - p[RHO])
    q[VERTEX], q[WIDTH] = p[M], p[SIGMA]


@compiled
def to_raw(q: FloatArray, p: FloatArray) -> None:
    """Coordinates q to raw SVI p."""
    b = 0.5 * (q[RIGHT] + q[LEFT])
    p[A] = q[LEVEL] - b * q[WIDTH]
    p[B], p[RHO] = b, 0.5 * (q[RIGHT] - q[LEFT]) / b
    p[M], p[SIGMA] = q[VERTEX], q[WIDTH]


@fused
def variance_at(k: float, q: FloatArray) -> float:
    """w(k)."""
    x = k - q[VERTEX]
    bow = math.sqrt(q[WIDTH] * q[WIDTH] + x * x) - q[WIDTH]
    w: float = q[LEVEL] + 0.5 * (q[RIGHT] * (bow + x) + q[LEFT] * (bow - x))
    return w


@compiled
def free_box(points: FloatArray, box: FloatArray) -> None:
    """Bounds, low and high, of q for a slice with these quotes, into box of shape (2, 5); the level is free.

    Slopes are held to a wide range around what the volatility at the forward suggests (total variance grows like k times
    its square root), so that a wing without quotes is neither flat nor at Lee's bound.
    """
    nearest = 0
    for i in range(points.shape[0]):
        if points[i, PULL] > 0.0 and (points[nearest, PULL] == 0.0 or abs(points[i, K]) < abs(points[nearest, K])):
            nearest = i
    scale = math.sqrt(points[nearest, MID])
    low, high = points[0, K], points[points.shape[0] - 1, K]
    reach = max(high - low, 0.02)
    box[0, LEVEL], box[1, LEVEL] = -math.inf, math.inf
    box[0, RIGHT] = box[0, LEFT] = min(LEAST_SLOPE * scale, 0.1)
    box[1, RIGHT] = box[1, LEFT] = min(MOST_SLOPE * scale, LEE_SLOPE)
    box[0, VERTEX], box[1, VERTEX] = low - 0.5 * reach, high + 0.5 * reach
    box[0, WIDTH], box[1, WIDTH] = min(_LEAST_WIDTH, 0.1 * reach), _MOST_WIDTH * reach


@compiled
def project(q: FloatArray, box: FloatArray, tau: float) -> None:
    """Move a slice into its box and to a positive least variance, in place."""
    for i in range(1, 5):
        q[i] = min(max(q[i], box[0, i]), box[1, i])
    least = q[LEVEL] - q[WIDTH] * (0.5 * (q[RIGHT] + q[LEFT]) - math.sqrt(q[RIGHT] * q[LEFT]))
    q[LEVEL] += max(_LEAST_VOL * _LEAST_VOL * tau - least, 0.0)


@compiled
def move(q: FloatArray, step: FloatArray, box: FloatArray, tau: float, trial: FloatArray) -> None:
    """The slice reached by a step, inside its box."""
    for i in range(4):
        trial[i] = q[i] + step[i]
    trial[WIDTH] = q[WIDTH] * math.exp(min(max(step[WIDTH], -1.0), 1.0))
    project(trial, box, tau)


@compiled
def loss_terms(e: float, pull: float, fade: float) -> tuple[float, float, float]:
    """Loss, its derivative, and the curvature that Gauss-Newton uses, at residual e (in half-spreads)."""
    size = abs(e)
    square = e * e
    if size <= 1.0:
        wall = square * square * square
        return (0.5 * pull + 0.125 * wall) * square, (pull + wall) * e, pull + 7.0 * wall
    force = pull + 1.0
    stretch = 1.0 + (size - 1.0) / fade
    loss = 0.5 * pull + 0.125 + force * fade * math.log(stretch)
    force /= stretch
    return loss, math.copysign(force, e), force / size


@fused
def quote_terms(q: FloatArray, points: FloatArray, fade: float, normal: FloatArray, force: FloatArray) -> float:
    """Loss of all quotes; writes its Gauss-Newton matrix (lower half) and its gradient."""
    total = 0.0
    n00 = n10 = n11 = n20 = n21 = n22 = n30 = n31 = n32 = n33 = n40 = n41 = n42 = n43 = n44 = 0.0
    f0 = f1 = f2 = f3 = f4 = 0.0
    sigma = q[WIDTH]
    inverse, half = 1.0 / sigma, 0.5 * sigma
    b, d = 0.5 * (q[RIGHT] + q[LEFT]), 0.5 * (q[RIGHT] - q[LEFT])
    bulge = b * sigma
    for i in range(points.shape[0]):
        y = (points[i, K] - q[VERTEX]) * inverse
        r = math.sqrt(1.0 + y * y)
        flat = 1.0 / r
        x1, x2 = half * (r + y - 1.0), half * (r - y - 1.0)
        w = q[LEVEL] + q[RIGHT] * x1 + q[LEFT] * x2
        scale = points[i, PER]
        loss, slope, bend = loss_terms((w - points[i, MID]) * scale, points[i, PULL], fade)
        total += loss
        x3 = -d - b * y * flat
        x4 = bulge * (flat - 1.0)
        slope *= scale
        bend *= scale * scale
        f0 += slope
        f1 += slope * x1
        f2 += slope * x2
        f3 += slope * x3
        f4 += slope * x4
        b1, b2, b3 = bend * x1, bend * x2, bend * x3
        n00 += bend
        n10 += b1
        n20 += b2
        n30 += b3
        n40 += bend * x4
        n11 += b1 * x1
        n21 += b1 * x2
        n31 += b1 * x3
        n41 += b1 * x4
        n22 += b2 * x2
        n32 += b2 * x3
        n42 += b2 * x4
        n33 += b3 * x3
        n43 += b3 * x4
        n44 += bend * x4 * x4
    normal[0, 0], normal[1, 0], normal[1, 1] = n00, n10, n11
    normal[2, 0], normal[2, 1], normal[2, 2] = n20, n21, n22
    normal[3, 0], normal[3, 1], normal[3, 2], normal[3, 3] = n30, n31, n32, n33
    normal[4, 0], normal[4, 1], normal[4, 2], normal[4, 3], normal[4, 4] = n40, n41, n42, n43, n44
    force[0], force[1], force[2], force[3], force[4] = f0, f1, f2, f3, f4
    return total


@fused
def butterfly_terms(
    q: FloatArray, grid: FloatArray, margin: float, weight: float, normal: FloatArray, force: FloatArray
) -> float:
    """Squares of what h misses of its margin at the grid points; adds matrix and gradient.

    g = bracket^2 - root^2 with bracket = 1 at k = 0: where g >= 0 on the whole line, h = bracket - root >= 0 as well. g is
    flat where the bracket vanishes and rises again beyond, as if all were well; h keeps its slope.
    """
    total = 0.0
    row = np.empty(5)
    sigma, b, d = q[WIDTH], 0.5 * (q[RIGHT] + q[LEFT]), 0.5 * (q[RIGHT] - q[LEFT])
    per_sigma = 1.0 / sigma
    for i in range(grid.size):
        k = grid[i]
        if k != k:  # no point
            continue
        y = (k - q[VERTEX]) * per_sigma
        flat = 1.0 / math.sqrt(1.0 + y * y)
        r = (1.0 + y * y) * flat
        tilt = y * flat
        w = q[LEVEL] + sigma * (b * (r - 1.0) + d * y)
        d1 = d + b * tilt
        curve = flat * flat * flat * per_sigma
        inverse = 1.0 / w
        bracket = 1.0 - 0.5 * k * d1 * inverse
        square = 0.25 * d1 * d1 * (inverse + 0.25) - 0.5 * b * curve + _LEAST_ROOT * _LEAST_ROOT
        spare = bracket - margin
        if not square > 0.0 or (spare >= 0.0 and spare * spare >= square):
            continue
        root = math.sqrt(square)
        by_square = -0.5 / root
        by_w = (0.5 * k * d1 - 0.25 * by_square * d1 * d1) * inverse * inverse
        by_d1 = -0.5 * k * inverse + 0.5 * by_square * d1 * (inverse + 0.25)
        by_d2 = -0.5 * by_square
        row[0] = by_w
        row[1] = by_w * 0.5 * sigma * (r + y - 1.0) + by_d1 * 0.5 * (1.0 + tilt) + by_d2 * 0.5 * curve
        row[2] = by_w * 0.5 * sigma * (r - y - 1.0) + by_d1 * 0.5 * (tilt - 1.0) + by_d2 * 0.5 * curve
        row[3] = -by_w * d1 - by_d1 * b * curve + by_d2 * 3.0 * b * curve * tilt * flat * per_sigma
        row[4] = (
            by_w * b * sigma * (flat - 1.0)
            - by_d1 * b * curve * sigma * y
            + by_d2 * b * curve * (3.0 * tilt * tilt - 1.0)
        )
        miss = weight * (root - spare)
        total += 0.5 * miss * miss
        for a in range(5):
            force[a] -= miss * weight * row[a]
            for c in range(a + 1):
                normal[a, c] += weight * weight * row[a] * row[c]
    return total


@fused
def variance_row(k: float, q: FloatArray, row: FloatArray) -> float:
    """w(k), and its derivatives in the steps."""
    sigma, b = q[WIDTH], 0.5 * (q[RIGHT] + q[LEFT])
    y = (k - q[VERTEX]) / sigma
    r = math.sqrt(1.0 + y * y)
    row[0] = 1.0
    row[1] = 0.5 * sigma * (r + y - 1.0)
    row[2] = 0.5 * sigma * (r - y - 1.0)
    row[3] = -0.5 * (q[RIGHT] - q[LEFT]) - b * y / r
    row[4] = b * sigma * (1.0 / r - 1.0)
    w: float = q[LEVEL] + q[RIGHT] * row[1] + q[LEFT] * row[2]
    return w


@compiled
def hold_at_bounds(q: FloatArray, box: FloatArray, normal: FloatArray, force: FloatArray) -> None:
    """Take out of the step what stands at a bound of the box and wants to cross it."""
    for i in range(1, 5):
        edge = 1e-9 * (abs(q[i]) + 1e-3)
        if (q[i] <= box[0, i] + edge and force[i] > 0.0) or (q[i] >= box[1, i] - edge and force[i] < 0.0):
            force[i] = 0.0
            for j in range(5):
                normal[max(i, j), min(i, j)] = 0.0
            normal[i, i] = 1.0

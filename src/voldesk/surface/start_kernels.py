"""Least-squares SVI of one slice, from nothing: also the start of every banded fit.

For fixed vertex m and width sigma, SVI is linear in (a, d, c): w = a + d y + c r with y = (k - m) / sigma and
r = sqrt(1 + y^2) (De Marco & Martini 2009, "Quasi-explicit calibration of Gatheral's SVI model", Zeliade Systems).
Moving m and sigma adds the directions y / r and 1 / r, so one pass of sums over the quotes gives a Gauss-Newton step in
two numbers, the other three being eliminated exactly (variable projection: Golub & Pereyra 1973, in Kaufman's form 1975).
A coarse scan of (m, sigma) finds the valley, damped steps the bottom.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled, fused
from voldesk.surface.slice_kernels import LEFT, LEVEL, RIGHT, VERTEX, WIDTH

_SCAN_M: Final = (0.2, 0.45, 0.7)  # of the quoted range
_SCAN_SIGMA: Final = (0.05, 0.15, 0.45)

# Entries of the sums of one pass.
_SUMS: Final = 14


@fused
def _pass(k: FloatArray, w: FloatArray, weight: FloatArray, m: float, sigma: float, sums: FloatArray) -> None:
    """Weighted sums of products of (1, y, r, y/r, 1/r) and w; the rest follow from r^2 = 1 + y^2."""
    s = sy = sr = syy = syr = st = si = sti = sii = 0.0
    t = ty = tr = tt = ti = 0.0
    inverse = 1.0 / sigma
    for i in range(k.size):
        y = (k[i] - m) * inverse
        r = math.sqrt(1.0 + y * y)
        flat = 1.0 / r
        tilt = y * flat
        q = weight[i]
        qy, qr, qf, qt = q * y, q * r, q * flat, q * tilt
        s += q
        sy += qy
        sr += qr
        syy += qy * y
        syr += qy * r
        st += qt
        si += qf
        sti += qt * flat
        sii += qf * flat
        t += q * w[i]
        ty += qy * w[i]
        tr += qr * w[i]
        tt += qt * w[i]
        ti += qf * w[i]
    sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6] = s, sy, sr, syy, syr, st, si
    sums[7], sums[8], sums[9], sums[10], sums[11], sums[12], sums[13] = sti, sii, t, ty, tr, tt, ti


@fused
def _edge(own: float, cross: float, force: float, other: float, low: float, high: float) -> float:
    """Best x in [low, high] of a quadratic in (x, other) at a given other."""
    return min(max((force - cross * other) / own, low), high)


@fused
def _linear(sums: FloatArray, sigma: float, box: FloatArray, beta: FloatArray) -> float:
    """(a, d, c) of least squares at fixed vertex and width, wings within the box, into beta; how much of the sum of
    squares they explain, -inf where the quotes do not determine them."""
    s, sy, sr, syy, syr = sums[0], sums[1], sums[2], sums[3], sums[4]
    my, mr, mw = sy / s, sr / s, sums[9] / s
    c11, c12, c22 = syy - sy * my, syr - sy * mr, (s + syy) - sr * mr
    r1, r2 = sums[10] - sy * mw, sums[11] - sr * mw
    if not c11 * c22 - c12 * c12 > 1e-13 * c11 * c22:
        return -math.inf
    # In the slopes: d = sigma (right - left) / 2, c = sigma (right + left) / 2.
    half = 0.5 * sigma
    rr, ll = half * half * (c11 + 2.0 * c12 + c22), half * half * (c11 - 2.0 * c12 + c22)
    rl = half * half * (c22 - c11)
    gr, gl = half * (r2 + r1), half * (r2 - r1)
    determinant = rr * ll - rl * rl
    right, left = (ll * gr - rl * gl) / determinant, (rr * gl - rl * gr) / determinant
    inside = box[0, RIGHT] <= right <= box[1, RIGHT] and box[0, LEFT] <= left <= box[1, LEFT]
    best = gr * right + gl * left
    if not inside:
        # The least of a convex quadratic over a box lies on one of its four edges.
        best = -math.inf
        for i in range(4):
            if i < 2:
                x = box[i, RIGHT]
                y = _edge(ll, rl, gl, x, box[0, LEFT], box[1, LEFT])
            else:
                y = box[i - 2, LEFT]
                x = _edge(rr, rl, gr, y, box[0, RIGHT], box[1, RIGHT])
            found = 2.0 * (gr * x + gl * y) - rr * x * x - 2.0 * rl * x * y - ll * y * y
            if found > best:
                best, right, left = found, x, y
    d, c = half * (right - left), half * (right + left)
    beta[0], beta[1], beta[2] = mw - d * my - c * mr, d, c
    explained: float = best + sums[9] * mw
    return explained


@fused
def _direction(sums: FloatArray, beta: FloatArray, damping: float) -> tuple[float, float]:
    """Steps of m / sigma and log sigma: Gauss-Newton after (a, d, c) are eliminated, damped as Marquardt."""
    s, sy, sr, syy, syr, st, si, sti, sii = (
        sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], sums[7], sums[8],
    )  # fmt: skip
    a, d, c = beta[0], beta[1], beta[2]
    # Cholesky of the three linear columns, then what the columns y/r and 1/r keep outside their span.
    l11 = math.sqrt(s)
    l21, l31 = sy / l11, sr / l11
    l22 = math.sqrt(syy - l21 * l21)
    l32 = (syr - l31 * l21) / l22
    l33 = math.sqrt(max(s + syy - l31 * l31 - l32 * l32, 1e-300))
    t1 = st / l11
    t2 = (sr - si - l21 * t1) / l22
    t3 = (sy - l31 * t1 - l32 * t2) / l33
    i1 = si / l11
    i2 = (st - l21 * i1) / l22
    i3 = (s - l31 * i1 - l32 * i2) / l33
    tt, ii = s - sii, sii
    h11 = tt - t1 * t1 - t2 * t2 - t3 * t3
    h12 = sti - t1 * i1 - t2 * i2 - t3 * i3
    h22 = ii - i1 * i1 - i2 * i2 - i3 * i3
    g1 = sums[12] - a * st - d * (sr - si) - c * sy
    g2 = sums[13] - a * si - d * st - c * s
    h11 += damping * max(h11, 1e-12 * tt)
    h22 += damping * max(h22, 1e-12 * ii)
    determinant = h11 * h22 - h12 * h12
    if not determinant > 0.0:
        return 0.0, 0.0
    along, across = (h22 * g1 - h12 * g2) / determinant, (h11 * g2 - h12 * g1) / determinant
    return -along / c, across / c


@compiled
def least_squares(
    k: FloatArray, w: FloatArray, weight: FloatArray, box: FloatArray, steps: int, tolerance: float, q: FloatArray
) -> bool:
    """Least squares of w over k into q (coordinates of `slice_kernels`); False where the quotes cannot carry a slice.

    Stops when a step moves the vertex by less than `tolerance` widths and the width by less than that share.
    """
    sums, trial_sums = np.empty(_SUMS), np.empty(_SUMS)
    beta, trial_beta = np.empty(3), np.empty(3)
    low, high = math.inf, -math.inf
    for i in range(k.size):
        if weight[i] > 0.0:
            low, high = min(low, k[i]), max(high, k[i])
    best = -math.inf
    m = sigma = 0.0
    for place in _SCAN_M:
        for share in _SCAN_SIGMA:
            try_m, try_sigma = low + place * (high - low), max(share * (high - low), box[0, WIDTH])
            _pass(k, w, weight, try_m, try_sigma, trial_sums)
            found = _linear(trial_sums, try_sigma, box, trial_beta)
            if found > best:
                best, m, sigma = found, try_m, try_sigma
                sums, trial_sums = trial_sums, sums
                beta, trial_beta = trial_beta, beta
    if best == -math.inf:
        return False
    damping = 1e-3
    for _ in range(steps):
        by_m, by_log = _direction(sums, beta, damping)
        try_m = min(max(m + sigma * min(max(by_m, -2.0), 2.0), box[0, VERTEX]), box[1, VERTEX])
        try_sigma = min(max(sigma * math.exp(min(max(by_log, -1.0), 1.0)), box[0, WIDTH]), box[1, WIDTH])
        moved = max(abs(try_m - m), abs(try_sigma - sigma)) / sigma
        _pass(k, w, weight, try_m, try_sigma, trial_sums)
        found = _linear(trial_sums, try_sigma, box, trial_beta)
        if found >= best:
            best, m, sigma = found, try_m, try_sigma
            sums, trial_sums = trial_sums, sums
            beta, trial_beta = trial_beta, beta
            damping = max(0.1 * damping, 1e-12)
        else:
            damping = max(8.0 * damping, 1e-6)
        if moved < tolerance or damping > 1e8:
            break
    q[VERTEX], q[WIDTH] = m, sigma
    q[LEVEL] = beta[0] + beta[2]
    q[RIGHT], q[LEFT] = (beta[2] + beta[1]) / sigma, (beta[2] - beta[1]) / sigma
    return True

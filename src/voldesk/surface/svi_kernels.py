"""Raw SVI as scalar kernels: total variance and its derivatives, Durrleman's g, and proofs of no arbitrage.

Source: Gatheral & Jacquier (2014), "Arbitrage-free SVI volatility surfaces", Quantitative Finance 14, sec. 2-3; Durrleman
condition, their Lemma 2.2. A slice is a row p = (a, b, rho, m, sigma).

The proofs are exact up to rounding, for every k on the real line. With z = y + sqrt(1 + y^2), y = (k - m) / sigma, each
of k, w, w', w'' is a ratio of polynomials in z > 0, so g >= 0 is one polynomial of degree 10 being non-negative, and
"the later slice is nowhere below" follows from one of degree 4. In the Bernstein basis of v = z / (1 + z) a polynomial
whose coefficients are all >= 0 is non-negative; a cell where that is not seen is halved (de Casteljau), until it is seen
or an end of a cell is found negative.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled

A: Final = 0
B: Final = 1
RHO: Final = 2
M: Final = 3
SIGMA: Final = 4

_DEPTH: Final = 48  # halvings before a cell that touches zero counts as negative
_BINOMIAL_10: Final = np.array([1.0, 10.0, 45.0, 120.0, 210.0, 252.0, 210.0, 120.0, 45.0, 10.0, 1.0])
_BINOMIAL_4: Final = np.array([1.0, 4.0, 6.0, 4.0, 1.0])


@compiled
def total_variance(k: float, p: FloatArray) -> float:
    """w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2))."""
    x = k - p[M]
    w: float = p[A] + p[B] * (p[RHO] * x + math.sqrt(x * x + p[SIGMA] * p[SIGMA]))
    return w


@compiled
def derivatives(k: float, p: FloatArray) -> tuple[float, float, float]:
    """w, w' and w'' at k."""
    x = k - p[M]
    root = math.sqrt(x * x + p[SIGMA] * p[SIGMA])
    slope = x / root
    w = p[A] + p[B] * (p[RHO] * x + root)
    return w, p[B] * (p[RHO] + slope), p[B] * p[SIGMA] * p[SIGMA] / (root * root * root)


@compiled
def durrleman(k: float, p: FloatArray) -> float:
    """g(k); negative where butterflies have negative prices. NaN where w is not positive."""
    w, first, second = derivatives(k, p)
    if not w > 0.0:
        return math.nan
    bracket = 1.0 - 0.5 * k * first / w
    return bracket * bracket - 0.25 * first * first * (1.0 / w + 0.25) + 0.5 * second


@compiled
def least_variance(p: FloatArray) -> float:
    """Smallest total variance over all k."""
    least: float = p[A] + p[B] * p[SIGMA] * math.sqrt(max(1.0 - p[RHO] * p[RHO], 0.0))
    return least


@compiled
def _multiply(left: FloatArray, right: FloatArray) -> FloatArray:
    out = np.zeros(left.size + right.size - 1)
    for i in range(left.size):
        for j in range(right.size):
            out[i + j] += left[i] * right[j]
    return out


@compiled
def butterfly_polynomial(p: FloatArray) -> FloatArray:
    """Coefficients in z, lowest first, of 4 (z w)^2 (z^2 + 1)^3 g."""
    b, rho, sigma = p[B], p[RHO], p[SIGMA]
    w = np.array([0.5 * b * sigma * (1.0 - rho), p[A], 0.5 * b * sigma * (1.0 + rho)])
    k = np.array([-0.5 * sigma, p[M], 0.5 * sigma])
    slope = np.array([-b * (1.0 - rho), 0.0, b * (1.0 + rho)])
    circle = np.array([1.0, 0.0, 1.0])
    bracket = 2.0 * _multiply(w, circle) - _multiply(k, slope)
    square = _multiply(w, w)
    inner = 0.25 * square
    inner[1:4] += w
    total = _multiply(_multiply(bracket, bracket), circle) - _multiply(
        _multiply(_multiply(slope, slope), circle), inner
    )
    total[3:8] += 16.0 * b / sigma * square
    return total


@compiled
def _halve(cell: FloatArray, left: FloatArray, right: FloatArray) -> None:
    """De Casteljau at the middle: `cell` is overwritten."""
    n = cell.size
    for level in range(n):
        left[level] = cell[0]
        right[n - 1 - level] = cell[n - 1 - level]
        for i in range(n - 1 - level):
            cell[i] = 0.5 * (cell[i] + cell[i + 1])


@compiled
def is_butterfly_free(p: FloatArray) -> bool:
    """True where g >= 0 is proved for all k and w > 0; a slice that touches g = 0 within rounding is refused."""
    if not least_variance(p) > 0.0 or not p[SIGMA] > 0.0:
        return False
    n = 11
    stack = np.empty((_DEPTH + 2, n))
    depth = np.empty(_DEPTH + 2, np.int64)
    stack[0] = butterfly_polynomial(p) / _BINOMIAL_10
    depth[0] = 0
    cell, left, right = np.empty(n), np.empty(n), np.empty(n)
    top = 0
    while top >= 0:
        if stack[top].min() >= 0.0:
            top -= 1
            continue
        if not (stack[top, 0] >= 0.0 and stack[top, n - 1] >= 0.0) or depth[top] == _DEPTH:
            return False
        cell[:] = stack[top]
        _halve(cell, left, right)
        stack[top] = left
        stack[top + 1] = right
        depth[top] += 1
        depth[top + 1] = depth[top]
        top += 1
    return True


@compiled
def is_calendar_free(early: FloatArray, late: FloatArray) -> bool:
    """True where w_late >= w_early is proved for all k.

    z (w_late - w_early) = A(z) + b_late sqrt(B(z)); it is >= 0 where A >= 0 or b_late^2 B - A^2 >= 0.
    """
    sigma = early[SIGMA]
    k = np.array([-0.5 * sigma, early[M] - late[M], 0.5 * sigma])
    b, rho = early[B], early[RHO]
    linear = late[B] * late[RHO] * k
    linear[0] -= 0.5 * b * sigma * (1.0 - rho)
    linear[1] += late[A] - early[A]
    linear[2] -= 0.5 * b * sigma * (1.0 + rho)
    quartic = _multiply(k, k)
    quartic[2] += late[SIGMA] * late[SIGMA]
    quartic *= late[B] * late[B]
    quartic -= _multiply(linear, linear)
    # Slopes that agree cancel to rounding in the outer coefficients: what is below that noise is zero.
    noise = 4e-16 * late[B] * late[B] * np.abs(k).max() ** 2
    for i in range(5):
        if abs(quartic[i]) < noise:
            quartic[i] = 0.0
    linear[1] *= 0.5
    upper = np.empty((_DEPTH + 2, 5))
    lower = np.empty((_DEPTH + 2, 3))
    depth = np.empty(_DEPTH + 2, np.int64)
    upper[0] = quartic / _BINOMIAL_4
    lower[0] = linear
    depth[0] = 0
    cell5, left5, right5 = np.empty(5), np.empty(5), np.empty(5)
    cell3, left3, right3 = np.empty(3), np.empty(3), np.empty(3)
    top = 0
    while top >= 0:
        if upper[top].min() >= 0.0 or lower[top].min() >= 0.0:
            top -= 1
            continue
        starts_below = not (upper[top, 0] >= 0.0 or lower[top, 0] >= 0.0)
        ends_below = not (upper[top, 4] >= 0.0 or lower[top, 2] >= 0.0)
        if starts_below or ends_below or depth[top] == _DEPTH:
            return False
        cell5[:] = upper[top]
        cell3[:] = lower[top]
        _halve(cell5, left5, right5)
        _halve(cell3, left3, right3)
        upper[top] = left5
        upper[top + 1] = right5
        lower[top] = left3
        lower[top + 1] = right3
        depth[top] += 1
        depth[top + 1] = depth[top]
        top += 1
    return True


@compiled
def _dip(p: FloatArray, left: float, right: float) -> tuple[float, float]:
    """Least g between two values of u = asinh((k - m) / sigma), by golden sections; g and its k."""
    for _ in range(60):
        c = right - 0.6180339887498949 * (right - left)
        d = left + 0.6180339887498949 * (right - left)
        if durrleman(p[M] + p[SIGMA] * math.sinh(c), p) < durrleman(p[M] + p[SIGMA] * math.sinh(d), p):
            right = d
        else:
            left = c
    k = p[M] + p[SIGMA] * math.sinh(0.5 * (left + right))
    return durrleman(k, p), k


@compiled
def least_durrleman(p: FloatArray, reach: float) -> tuple[float, float]:
    """Smallest g over |k| <= reach and where it lies: a scan, then golden sections in every dip of it. For reports; the
    proof is `is_butterfly_free`."""
    low = math.asinh((-reach - p[M]) / p[SIGMA])
    high = math.asinh((reach - p[M]) / p[SIGMA])
    steps = 256
    width = (high - low) / steps
    best, at = math.inf, 0.0
    before, here = math.inf, durrleman(p[M] + p[SIGMA] * math.sinh(low), p)
    for i in range(steps + 1):
        u = low + i * width
        after = durrleman(p[M] + p[SIGMA] * math.sinh(u + width), p) if i < steps else math.inf
        if here <= before and here <= after:
            g, k = _dip(p, max(u - width, low), min(u + width, high))
            if here < g:
                g, k = here, p[M] + p[SIGMA] * math.sinh(u)
            if g < best:
                best, at = g, k
        before, here = here, after
    return best, at


@compiled
def least_gap(early: FloatArray, late: FloatArray, reach: float) -> tuple[float, float]:
    """Smallest w_late - w_early over |k| <= reach and where it lies: a scan, then golden sections."""
    steps = 512
    width = 2.0 * reach / steps
    best = math.inf
    at = -reach
    for i in range(steps + 1):
        k = -reach + i * width
        gap = total_variance(k, late) - total_variance(k, early)
        if gap < best:
            best, at = gap, k
    left = max(at - width, -reach)
    right = min(at + width, reach)
    for _ in range(60):
        c = right - 0.6180339887498949 * (right - left)
        d = left + 0.6180339887498949 * (right - left)
        gap_c = total_variance(c, late) - total_variance(c, early)
        if gap_c < total_variance(d, late) - total_variance(d, early):
            right = d
        else:
            left = c
    k = 0.5 * (left + right)
    gap = total_variance(k, late) - total_variance(k, early)
    return (gap, k) if gap < best else (best, at)

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


# Loops instead of array expressions: each of those costs the compiler as much as a kernel.


@compiled
def copy_row(source: FloatArray, target: FloatArray) -> None:
    """target = source, both (n,)."""
    for i in range(source.size):
        target[i] = source[i]


@compiled
def _three(low: float, middle: float, high: float) -> FloatArray:
    out = np.empty(3)
    out[0], out[1], out[2] = low, middle, high
    return out


@compiled
def _add(out: FloatArray, scale: float, row: FloatArray, shift: int) -> None:
    """out += scale z^shift row, as polynomials in z."""
    for i in range(row.size):
        out[i + shift] += scale * row[i]


@compiled
def _multiply(left: FloatArray, right: FloatArray) -> FloatArray:
    out = np.zeros(left.size + right.size - 1)
    for i in range(left.size):
        _add(out, left[i], right, i)
    return out


@compiled
def butterfly_polynomial(p: FloatArray) -> FloatArray:
    """Coefficients in z, lowest first, of 4 (z w)^2 (z^2 + 1)^3 g."""
    b, rho, sigma = p[B], p[RHO], p[SIGMA]
    w = _three(0.5 * b * sigma * (1.0 - rho), p[A], 0.5 * b * sigma * (1.0 + rho))
    k = _three(-0.5 * sigma, p[M], 0.5 * sigma)
    slope = _three(-b * (1.0 - rho), 0.0, b * (1.0 + rho))
    circle = _three(1.0, 0.0, 1.0)
    bracket = np.zeros(5)
    _add(bracket, 2.0, _multiply(w, circle), 0)
    _add(bracket, -1.0, _multiply(k, slope), 0)
    square = _multiply(w, w)
    inner = np.zeros(5)
    _add(inner, 0.25, square, 0)
    _add(inner, 1.0, w, 1)
    total = np.zeros(11)
    _add(total, 1.0, _multiply(_multiply(bracket, bracket), circle), 0)
    _add(total, -1.0, _multiply(_multiply(_multiply(slope, slope), circle), inner), 0)
    _add(total, 16.0 * b / sigma, square, 3)
    return total


@compiled
def _least(row: FloatArray) -> float:
    """The smallest entry; NaN counts as -inf."""
    least = math.inf
    for i in range(row.size):
        if not row[i] >= least:
            least = row[i] if row[i] == row[i] else -math.inf
    return least


@compiled
def _halve(row: FloatArray, other: FloatArray) -> None:
    """De Casteljau at the middle: the left half stays in `row`, the right half goes to `other`."""
    n = row.size
    copy_row(row, other)
    for level in range(1, n):
        for i in range(n - level):
            other[i] = 0.5 * (other[i] + other[i + 1])
        row[level] = other[0]
    # other[i] has been halved n - 1 - i times, which is the right half already.


@compiled
def _either_is_positive(first: FloatArray, second: FloatArray) -> bool:
    """Proved that for all z > 0 one of two polynomials, given by their Bernstein coefficients, is not negative."""
    n, m = first.size, second.size
    upper, lower = np.empty((_DEPTH + 2, n)), np.empty((_DEPTH + 2, m))
    depth = np.empty(_DEPTH + 2, np.int64)
    copy_row(first, upper[0])
    copy_row(second, lower[0])
    depth[0] = 0
    top = 0
    while top >= 0:
        if _least(upper[top]) >= 0.0 or _least(lower[top]) >= 0.0:
            top -= 1
            continue
        starts_below = not (upper[top, 0] >= 0.0 or lower[top, 0] >= 0.0)
        ends_below = not (upper[top, n - 1] >= 0.0 or lower[top, m - 1] >= 0.0)
        if starts_below or ends_below or depth[top] == _DEPTH:
            return False
        _halve(upper[top], upper[top + 1])
        _halve(lower[top], lower[top + 1])
        depth[top] += 1
        depth[top + 1] = depth[top]
        top += 1
    return True


@compiled
def is_butterfly_free(p: FloatArray) -> bool:
    """True where g >= 0 is proved for all k and w > 0; a slice that touches g = 0 within rounding is refused."""
    if not least_variance(p) > 0.0 or not p[SIGMA] > 0.0:
        return False
    polynomial = butterfly_polynomial(p)
    for i in range(polynomial.size):
        polynomial[i] /= _BINOMIAL_10[i]
    never = np.empty(1)
    never[0] = -1.0
    return _either_is_positive(polynomial, never)


@compiled
def is_calendar_free(early: FloatArray, late: FloatArray) -> bool:
    """True where w_late >= w_early is proved for all k.

    z (w_late - w_early) = A(z) + b_late sqrt(B(z)); it is >= 0 where A >= 0 or b_late^2 B - A^2 >= 0.
    """
    sigma = early[SIGMA]
    k = _three(-0.5 * sigma, early[M] - late[M], 0.5 * sigma)
    b, rho = early[B], early[RHO]
    tilt = late[B] * late[RHO]
    linear = _three(
        tilt * k[0] - 0.5 * b * sigma * (1.0 - rho),
        tilt * k[1] + late[A] - early[A],
        tilt * k[2] - 0.5 * b * sigma * (1.0 + rho),
    )
    square = late[B] * late[B]
    quartic = np.zeros(5)
    _add(quartic, square, _multiply(k, k), 0)
    quartic[2] += square * late[SIGMA] * late[SIGMA]
    _add(quartic, -1.0, _multiply(linear, linear), 0)
    # Slopes that agree cancel to rounding in the outer coefficients: what is below that noise is zero.
    noise = 4e-16 * square * max(abs(k[1]), abs(k[2])) ** 2
    for i in range(5):
        quartic[i] = quartic[i] / _BINOMIAL_4[i] if abs(quartic[i]) >= noise else 0.0
    linear[1] *= 0.5
    return _either_is_positive(quartic, linear)


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

"""SABR as kernels: the formula with all its derivatives, fits of one slice, and slices with wings.

With u = 1 - beta, k = log(strike / forward), a = alpha forward^-u (a volatility), E = (exp(u k) - 1) / u, z = -(nu / a) E:

    vol = a (k / E) (z / x(z)) (1 + h tau),    x(z) = log((sqrt(1 - 2 rho z + z^2) + z - rho) / (1 - rho)),
    h = u^2 a^2 exp(-u k) / 24 + rho nu beta a exp(-u k / 2) / 4 + (2 - 3 rho^2) nu^2 / 24.

Written so, every limit (at the money, beta = 1, nu = 0) is the value of a smooth factor: k / E is a Bernoulli function
of u k, z / x(z) a series in Legendre polynomials near z = 0, since x' = 1 / sqrt(1 - 2 rho z + z^2) generates them.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled
from voldesk.surface.band_kernels import (
    HIGH,
    INSIDE,
    LOW,
    QUOTES,
    K,
    band_loss,
    note_quality,
    parabola,
)
from voldesk.surface.maturity import bracket

ALPHA: Final = 0  # entries of a parameter row; alpha here is `a` above
BETA: Final = 1
RHO: Final = 2
NU: Final = 3
_LEFT: Final = 4  # of a row with wings: where the formula ends, total variance and slope there; then the right side
_RIGHT: Final = 7
ROW_WIDTH: Final = 10

_MOST_RHO: Final = 0.9999
_SERIES: Final = 0.05  # |z| under which z / x(z) is summed
_LEE: Final = 2.0 - 1e-9


@compiled
def bernoulli(t: float) -> tuple[float, float, float]:
    """t / (exp(t) - 1) and its first two derivatives."""
    if abs(t) < 0.5:
        s = t * t
        tail = 1.0 / 47900160.0 + s * (-691.0 / 1307674368000.0 + s / 74724249600.0)
        value = (
            1.0
            - 0.5 * t
            + s * (1.0 / 12.0 + s * (-1.0 / 720.0 + s * (1.0 / 30240.0 + s * (-1.0 / 1209600.0 + s * tail))))
        )
        tail = 10.0 / 47900160.0 + s * (-12.0 * 691.0 / 1307674368000.0 + s * 14.0 / 74724249600.0)
        first = -0.5 + t * (1.0 / 6.0 + s * (-1.0 / 180.0 + s * (1.0 / 5040.0 + s * (-1.0 / 151200.0 + s * tail))))
        tail = 90.0 / 47900160.0 + s * (-132.0 * 691.0 / 1307674368000.0 + s * 182.0 / 74724249600.0)
        second = 1.0 / 6.0 + s * (-1.0 / 60.0 + s * (1.0 / 1008.0 + s * (-1.0 / 21600.0 + s * tail)))
        return value, first, second
    m = math.expm1(t)
    value = t / m
    grown = m + 1.0
    first = (1.0 - value * grown) / m
    return value, first, -grown * (2.0 * first + value) / m


@compiled
def stretch(z: float, rho: float) -> tuple[float, float, float, float]:
    """D = z / x(z), its first two derivatives in z, and its derivative in rho."""
    root = math.sqrt(1.0 - 2.0 * rho * z + z * z)
    square = 1.0 - rho * rho
    s = 1.0 + rho * (z - 2.0 * rho) / (root + 1.0)
    if abs(z) < _SERIES:
        # x / z = sum P_n(rho) z^n / (n + 1), P_n Legendre's.
        before, here = 1.0, rho
        value, first, second = 1.0, 0.0, 0.0
        power2, power1 = 0.0, 1.0  # z^(n - 2), z^(n - 1)
        for n in range(1, 13):
            share = here / (n + 1.0)
            value += share * power1 * z
            first += share * n * power1
            second += share * n * (n - 1.0) * power2
            before, here = here, ((2.0 * n + 1.0) * rho * here - n * before) / (n + 1.0)
            power2, power1 = power1, power1 * z
        d = 1.0 / value
        by_z = -first * d * d
        by_zz = 2.0 * first * first * d * d * d - second * d * d
    else:
        x = math.asinh(z * s / square)
        d = z / x
        by_z = (1.0 - d / root) / x
        by_zz = (-2.0 / root + z * (z - rho) / (root * root * root) + 2.0 * d / (root * root)) / (x * x)
    return d, by_z, by_zz, -d * d * z * s / (root * (root + 1.0) * square)


@compiled
def vol_and_gradient(k: float, tau: float, p: FloatArray, by: FloatArray) -> float:
    """Volatility; its derivatives in (a, rho, nu) into `by`."""
    a, beta, rho, nu = p[ALPHA], p[BETA], p[RHO], p[NU]
    u = 1.0 - beta
    moved = math.expm1(u * k) / u if u != 0.0 else k
    flat, _, _ = bernoulli(u * k)
    z = -nu / a * moved
    d, by_z, _, by_rho = stretch(z, rho)
    square = u * u / 24.0 * a * a * math.exp(-u * k)
    cross = 0.25 * beta * a * math.exp(-0.5 * u * k)
    growth = 1.0 + tau * (square + rho * nu * cross + (2.0 - 3.0 * rho * rho) / 24.0 * nu * nu)
    by[0] = flat * ((d - z * by_z) * growth + d * tau * (2.0 * square + rho * nu * cross))
    by[1] = a * flat * (by_rho * growth + d * tau * (nu * cross - 0.25 * rho * nu * nu))
    by[2] = a * flat * (-by_z * moved / a * growth + d * tau * (rho * cross + (2.0 - 3.0 * rho * rho) / 12.0 * nu))
    vol: float = a * flat * d * growth
    return vol


@compiled
def vol_shape(k: float, tau: float, p: FloatArray) -> tuple[float, float, float]:
    """Volatility and its first two derivatives in k."""
    a, beta, rho, nu = p[ALPHA], p[BETA], p[RHO], p[NU]
    u = 1.0 - beta
    moved = math.expm1(u * k) / u if u != 0.0 else k
    b0, b1, b2 = bernoulli(u * k)
    b1, b2 = b1 * u, b2 * u * u
    z1 = -nu / a * math.exp(u * k)
    d0, by_z, by_zz, _ = stretch(-nu / a * moved, rho)
    d1, d2 = by_z * z1, by_zz * z1 * z1 + by_z * u * z1
    square = u * u / 24.0 * a * a * math.exp(-u * k)
    cross = 0.25 * beta * rho * nu * a * math.exp(-0.5 * u * k)
    h0 = 1.0 + tau * (square + cross + (2.0 - 3.0 * rho * rho) / 24.0 * nu * nu)
    h1 = -tau * u * (square + 0.5 * cross)
    h2 = tau * u * u * (square + 0.25 * cross)
    c0, c1, c2 = b0 * d0, b1 * d0 + b0 * d1, b2 * d0 + 2.0 * b1 * d1 + b0 * d2
    return a * c0 * h0, a * (c1 * h0 + c0 * h1), a * (c2 * h0 + 2.0 * c1 * h1 + c0 * h2)


@compiled
def variance_shape(k: float, tau: float, p: FloatArray) -> tuple[float, float, float]:
    """w and its first two derivatives in k; NaN where the formula's volatility is not positive."""
    vol, first, second = vol_shape(k, tau, p)
    if not vol > 0.0:
        return math.nan, math.nan, math.nan
    return tau * vol * vol, 2.0 * tau * vol * first, 2.0 * tau * (first * first + vol * second)


@compiled
def _is_sound(k: float, tau: float, p: FloatArray) -> bool:
    """Positive density at k, also if the smile went on from here as a straight line within Lee's bound."""
    w, first, second = variance_shape(k, tau, p)
    if not w > 0.0 or abs(first) >= _LEE:
        return False
    bracket = 1.0 - 0.5 * k * first / w
    line = bracket * bracket - 0.25 * first * first * (1.0 / w + 0.25)
    return line >= 0.0 and line + 0.5 * second >= 0.0 and (k == 0.0 or first * k > -w)


@compiled
def sound_range(tau: float, p: FloatArray, reach: float) -> tuple[float, float]:
    """The stretch of k around the forward where the density is positive, cut at +-reach: a scan whose steps widen away
    from the forward, then bisection. NaN where it is not even at the forward."""
    if not _is_sound(0.0, tau, p):
        return math.nan, math.nan
    width = min(0.05 * p[ALPHA] * math.sqrt(tau), 0.01 * reach)
    found = np.empty(2)
    for side in range(2):
        sign = -1.0 if side == 0 else 1.0
        inner, step = 0.0, width
        found[side] = sign * reach
        while inner < reach:
            outer = min(inner + step, reach)
            if not _is_sound(sign * outer, tau, p):
                for _ in range(60):
                    middle = 0.5 * (inner + outer)
                    if _is_sound(sign * middle, tau, p):
                        inner = middle
                    else:
                        outer = middle
                found[side] = sign * inner
                break
            inner, step = outer, 1.03 * step
    return found[0], found[1]


@compiled
def start(points: FloatArray, tau: float, beta: float, half_floor: float, p: FloatArray) -> None:
    """Closed form from level, slope and bend at the forward (Le Floc'h & Kennedy 2014, "Explicit SABR calibration through
    simple expansions", leading order): rho nu = 2 vol' + u a, nu^2 = 3 a vol'' - u^2 a^2 / 2 + 3/2 (rho nu)^2."""
    vol, slope, bend = parabola(points, tau, half_floor)
    u = 1.0 - beta
    product = 2.0 * slope + u * vol
    square = 3.0 * vol * bend - 0.5 * u * u * vol * vol + 1.5 * product * product
    # A smile with less curvature than its slope asks for: as near as |rho| = 0.95 allows.
    nu = math.sqrt(max(square, product * product / 0.9, 1e-4 * vol * vol))
    rho = min(max(product / nu, -0.95), 0.95)
    a = vol
    for _ in range(3):
        h = u * u / 24.0 * a * a + 0.25 * rho * nu * beta * a + (2.0 - 3.0 * rho * rho) / 24.0 * nu * nu
        a = vol / max(1.0 + h * tau, 0.3)
    p[ALPHA], p[BETA], p[RHO], p[NU] = a, beta, rho, nu


@compiled
def _terms(
    p: FloatArray,
    points: FloatArray,
    tau: float,
    half_floor: float,
    linear_from: float,
    normal: FloatArray,
    force: FloatArray,
) -> float:
    """Loss; Gauss-Newton matrix and gradient in (log a, atanh rho, log nu). Infinite where the formula has no value."""
    total = 0.0
    normal[:] = 0.0
    force[:] = 0.0
    by = np.empty(3)
    for i in range(points.shape[0]):
        vol = vol_and_gradient(points[i, K], tau, p, by)
        if not vol > 0.0:
            return math.inf
        loss, e, weight, per = band_loss(vol, points[i, LOW], points[i, HIGH], half_floor, linear_from)
        total += loss
        by[0] *= per * p[ALPHA]
        by[1] *= per * (1.0 - p[RHO] * p[RHO])
        by[2] *= per * p[NU]
        for c in range(3):
            force[c] += weight * e * by[c]
            for d in range(c + 1):
                normal[c, d] += weight * by[c] * by[d]
    return total


@compiled
def _step3(normal: FloatArray, force: FloatArray, damping: float, step: FloatArray) -> bool:
    """step = -(normal + damping diag)^-1 force, three unknowns, by Cholesky."""
    a = normal[0, 0] * (1.0 + damping) + 1e-12
    b = normal[1, 1] * (1.0 + damping) + 1e-12
    c = normal[2, 2] * (1.0 + damping) + 1e-12
    l00 = math.sqrt(a)
    l10, l20 = normal[1, 0] / l00, normal[2, 0] / l00
    rest = b - l10 * l10
    if not rest > 0.0:
        return False
    l11 = math.sqrt(rest)
    l21 = (normal[2, 1] - l20 * l10) / l11
    rest = c - l20 * l20 - l21 * l21
    if not rest > 0.0:
        return False
    l22 = math.sqrt(rest)
    y0 = -force[0] / l00
    y1 = (-force[1] - l10 * y0) / l11
    y2 = (-force[2] - l20 * y0 - l21 * y1) / l22
    step[2] = y2 / l22
    step[1] = (y1 - l21 * step[2]) / l11
    step[0] = (y0 - l10 * step[1] - l20 * step[2]) / l00
    return True


@compiled
def refine(
    p: FloatArray, points: FloatArray, tau: float, half_floor: float, linear_from: float, max_steps: int
) -> tuple[float, int, bool]:
    """Levenberg-Marquardt from p, in place; loss, steps, whether it had settled."""
    normal, other = np.empty((3, 3)), np.empty((3, 3))
    force, other_force, step = np.empty(3), np.empty(3), np.empty(3)
    trial = p.copy()
    loss = _terms(p, points, tau, half_floor, linear_from, normal, force)
    damping = 1e-3
    for steps in range(max_steps):
        if not _step3(normal, force, damping, step):
            damping = max(10.0 * damping, 1e-6)
            continue
        trial[ALPHA] = p[ALPHA] * math.exp(min(max(step[0], -1.0), 1.0))
        rho = math.tanh(math.atanh(p[RHO]) + min(max(step[1], -1.0), 1.0))
        trial[RHO] = min(max(rho, -_MOST_RHO), _MOST_RHO)
        trial[NU] = max(p[NU] * math.exp(min(max(step[2], -1.0), 1.0)), 1e-8)
        found = _terms(trial, points, tau, half_floor, linear_from, other, other_force)
        if found <= loss:
            gain = loss - found
            p[:] = trial
            loss = found
            normal, other = other, normal
            force, other_force = other_force, force
            damping = max(0.1 * damping, 1e-10)
            if gain <= 1e-9 * (loss + 1e-6):
                return loss, steps + 1, True
        else:
            damping *= 5.0
            if damping > 1e10:
                return loss, steps + 1, True
    return loss, max_steps, False


@compiled
def report(p: FloatArray, points: FloatArray, tau: float, row: FloatArray) -> None:
    """Two-sided quotes, the share whose fitted vol lies inside bid-ask, the largest distance outside."""
    row[:] = 0.0
    by = np.empty(3)
    for i in range(points.shape[0]):
        note_quality(vol_and_gradient(points[i, K], tau, p, by), points[i, LOW], points[i, HIGH], row)
    row[INSIDE] /= row[QUOTES]


@compiled
def add_wings(row: FloatArray, tau: float, reach: float) -> None:
    """Fill in where the formula stops and how it goes on: straight, outwards never falling, within Lee's bound."""
    row[_LEFT], row[_RIGHT] = sound_range(tau, row, reach)
    w, slope, _ = variance_shape(row[_LEFT], tau, row)
    row[_LEFT + 1], row[_LEFT + 2] = w, min(max(slope, -_LEE), 0.0)
    w, slope, _ = variance_shape(row[_RIGHT], tau, row)
    row[_RIGHT + 1], row[_RIGHT + 2] = w, min(max(slope, 0.0), _LEE)


@compiled
def winged_shape(k: float, tau: float, row: FloatArray) -> tuple[float, float, float]:
    """w and its first two derivatives in k of a slice with wings."""
    if k < row[_LEFT]:
        return row[_LEFT + 1] + row[_LEFT + 2] * (k - row[_LEFT]), row[_LEFT + 2], 0.0
    if k > row[_RIGHT]:
        return row[_RIGHT + 1] + row[_RIGHT + 2] * (k - row[_RIGHT]), row[_RIGHT + 2], 0.0
    return variance_shape(k, tau, row)


@compiled
def surface_shapes(k: FloatArray, t: FloatArray, tau: FloatArray, rows: FloatArray, out: FloatArray) -> None:
    """w, and if `out` has four rows also dw/dk, d2w/dk2, dw/dt, at each (k, t); NaN for t < 0 or NaN."""
    full = out.shape[0] == 4
    for i in range(k.size):
        if not t[i] >= 0.0 or tau.size == 0:
            out[:, i] = math.nan
            continue
        before, after, weight0, weight1 = bracket(t[i], tau)
        w, first, second = winged_shape(k[i], tau[before], rows[before])
        slope = w / tau[before]
        w, first, second = weight0 * w, weight0 * first, weight0 * second
        if before != after:
            step = tau[after] - tau[before]
            w1, first1, second1 = winged_shape(k[i], tau[after], rows[after])
            slope = w1 / step - slope * (tau[before] / step)
            w, first, second = w + weight1 * w1, first + weight1 * first1, second + weight1 * second1
        out[0, i] = w
        if full:
            out[1, i], out[2, i], out[3, i] = first, second, slope


@compiled
def least_g(tau: float, row: FloatArray, reach: float) -> tuple[float, float]:
    """Smallest Durrleman g over |k| <= reach on a dense scan, and its k."""
    best, at = math.inf, 0.0
    for i in range(4001):
        k = reach * math.sinh(0.005 * (i - 2000)) / math.sinh(10.0)
        w, first, second = winged_shape(k, tau, row)
        bracket_ = 1.0 - 0.5 * k * first / w
        g = bracket_ * bracket_ - 0.25 * first * first * (1.0 / w + 0.25) + 0.5 * second
        if not g >= best:
            best, at = g, k
    return best, at


@compiled
def least_gap(tau: FloatArray, rows: FloatArray, j: int, reach: float) -> tuple[float, float]:
    """Smallest rise of total variance from slice j to the next over |k| <= reach on a dense scan, and its k."""
    best, at = math.inf, 0.0
    for i in range(4001):
        k = reach * math.sinh(0.005 * (i - 2000)) / math.sinh(10.0)
        gap = winged_shape(k, tau[j + 1], rows[j + 1])[0] - winged_shape(k, tau[j], rows[j])[0]
        if not gap >= best:
            best, at = gap, k
    return best, at

"""Kernels of `calibration`: residuals of a chain with their Jacobian, and a Levenberg-Marquardt search.

Residual of a quote: (model price - quoted price) / Black vega x weight, a miss in volatility to first order. Vega is
floored at FLOOR of its at-the-money value, which keeps a far wing (worth next to nothing) from ruling the fit.

Bounds hold by construction: the search moves y, the parameter is low + (high - low) / (1 + e^{-y}), for positive
parameters in their logarithm. Steps: Marquardt (1963) with the gain ratio of Nielsen (1999), "Damping parameter in
Marquardt's method", IMM-REP-1999-05, sec. 3.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.pricing.european.black_kernels import normalised_black
from voldesk.pricing.normal import INV_SQRT_TWO_PI
from voldesk.pricing.transform.fourier import MOST_NODES, sum_expiry
from voldesk.pricing.transform.fourier_kernels import (
    JUMP_INTENSITY,
    JUMP_MEAN,
    KAPPA,
    LANES,
    PARAMETERS,
    RHO,
    THETA,
    V0,
    XI,
    mean_variance,
)
from voldesk.pricing.transform.heston_gradient import BATES_ROWS, FIRST_PARAMETER, HESTON_ROWS

FLOOR: Final = 0.02
TOLERANCE: Final = 1e-11
"""Of a price over sqrt(F K) during the search."""

HESTON: Final = 0
BATES: Final = 1
MERTON: Final = 2

CONVERGED: Final = 0
AT_BOUND: Final = 1
ITERATION_LIMIT: Final = 2
NOT_FINITE: Final = 3

LOW: Final = np.array([1e-4, 0.02, 1e-4, 0.005, -0.999, 1e-3, -1.5, 1e-3])
HIGH: Final = np.array([10.0, 100.0, 10.0, 30.0, 0.999, 300.0, 1.5, 1.5])
_EDGE: Final = 1e-3  # a parameter this close to a bound, in its share of the range, lies on it


@compiled
def free_parameters(kind: int) -> IntArray:
    """Places in a model's row that are searched; Merton's first stands for v0 and theta alike."""
    if kind == HESTON:
        return np.arange(5)
    if kind == BATES:
        return np.arange(8)
    return np.array([V0, JUMP_INTENSITY, JUMP_MEAN, JUMP_MEAN + 1])


@compiled
def _is_signed(place: int) -> bool:
    return place in (RHO, JUMP_MEAN)


@compiled
def to_free(model: FloatArray, places: IntArray) -> FloatArray:
    """The search's coordinates of a model, moved inside the bounds first."""
    y = np.empty(places.size)
    for k in range(places.size):
        i = places[k]
        if _is_signed(i):
            share = (model[i] - LOW[i]) / (HIGH[i] - LOW[i])
        else:
            share = math.log(max(model[i], LOW[i]) / LOW[i]) / math.log(HIGH[i] / LOW[i])
        share = min(max(share, 0.01), 0.99)
        y[k] = math.log(share / (1.0 - share))
    return y


@compiled
def from_free(y: FloatArray, places: IntArray, kind: int, model: FloatArray, slope: FloatArray) -> bool:
    """The model of these coordinates, and d parameter / d coordinate. True if a parameter lies on a bound."""
    edge = False
    for k in range(places.size):
        i = places[k]
        share = 1.0 / (1.0 + math.exp(-y[k]))
        bend = share * (1.0 - share)
        edge = edge or share < _EDGE or share > 1.0 - _EDGE
        if _is_signed(i):
            model[i] = LOW[i] + (HIGH[i] - LOW[i]) * share
            slope[k] = (HIGH[i] - LOW[i]) * bend
        else:
            span = math.log(HIGH[i] / LOW[i])
            model[i] = LOW[i] * math.exp(span * share)
            slope[k] = model[i] * span * bend
    if kind == MERTON:
        model[THETA] = model[V0]
    return edge


@compiled
def quote_terms(
    starts: IntArray, tau: FloatArray, x: FloatArray, vol: FloatArray, target: FloatArray, inverse_vega: FloatArray
) -> None:
    """Quoted price over sqrt(F K) and one over the floored vega, for options sorted by expiry."""
    for g in range(tau.size):
        root = math.sqrt(tau[g])
        for i in range(starts[g], starts[g + 1]):
            s = vol[i] * root
            target[i] = normalised_black(-abs(x[i]), s)
            relative = math.exp(-0.5 * (x[i] * x[i] / (s * s) + 0.25 * s * s))
            inverse_vega[i] = 1.0 / (INV_SQRT_TWO_PI * root * max(relative, FLOOR))


@compiled
def residuals(
    kind: int,
    model: FloatArray,
    starts: IntArray,
    tau: FloatArray,
    x: FloatArray,
    target: FloatArray,
    scale: FloatArray,
    slope: FloatArray,
    places: IntArray,
    with_jacobian: bool,
    out: FloatArray,
    jacobian: FloatArray,
) -> float:
    """Half the sum of squared residuals; residuals into `out`, d residual / d coordinate into `jacobian` (free x n).

    scale: weight over vega. NaN where the integral of an expiry would need too many nodes.
    """
    rows = 1
    if with_jacobian:
        rows = HESTON_ROWS if kind == HESTON else BATES_ROWS
    total = 0.0
    for g in range(tau.size):
        first, last = starts[g], starts[g + 1]
        lanes = -(-(last - first) // LANES) * LANES
        sums = np.empty(rows * lanes)
        variance = mean_variance(tau[g], model)
        if sum_expiry(tau[g], model, variance, x[first:last], TOLERANCE, rows, MOST_NODES, sums) == 0:
            return math.nan
        s = math.sqrt(variance * tau[g])
        for i in range(first, last):
            value = normalised_black(-abs(x[i]), s) + sums[i - first]
            out[i] = (value - target[i]) * scale[i]
            total += out[i] * out[i]
        if with_jacobian:
            for k in range(places.size):
                row = sums[(FIRST_PARAMETER + places[k]) * lanes :]
                for i in range(first, last):
                    jacobian[k, i] = row[i - first] * scale[i] * slope[k]
                if kind == MERTON and k == 0:
                    row = sums[(FIRST_PARAMETER + THETA) * lanes :]
                    for i in range(first, last):
                        jacobian[0, i] += row[i - first] * scale[i] * slope[0]
    return 0.5 * total


@compiled
def _solve(matrix: FloatArray, damping: float, gradient: FloatArray, step: FloatArray) -> bool:
    """step = -(matrix + damping diag(matrix))^-1 gradient by Cholesky; False where that is not positive."""
    n = gradient.size
    lower = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j]
            if i == j:
                total += damping * matrix[i, i] + 1e-14 * (1.0 + matrix[i, i])
            for k in range(j):
                total -= lower[i, k] * lower[j, k]
            if i == j:
                if not total > 0.0:
                    return False
                lower[i, i] = math.sqrt(total)
            else:
                lower[i, j] = total / lower[j, j]
    for i in range(n):
        total = -gradient[i]
        for k in range(i):
            total -= lower[i, k] * step[k]
        step[i] = total / lower[i, i]
    for i in range(n - 1, -1, -1):
        total = step[i]
        for k in range(i + 1, n):
            total -= lower[k, i] * step[k]
        step[i] = total / lower[i, i]
    return True


@compiled
def _normal_equations(jacobian: FloatArray, out: FloatArray, matrix: FloatArray, gradient: FloatArray) -> None:
    for a in range(gradient.size):
        gradient[a] = np.sum(jacobian[a] * out)
        for b in range(a + 1):
            matrix[a, b] = np.sum(jacobian[a] * jacobian[b])
            matrix[b, a] = matrix[a, b]


@compiled
def search(
    kind: int,
    model: FloatArray,
    starts: IntArray,
    tau: FloatArray,
    x: FloatArray,
    target: FloatArray,
    scale: FloatArray,
    most: int,
    out: FloatArray,
) -> tuple[int, int]:
    """Levenberg-Marquardt from `model`, which ends as the best model found; its residuals in `out`.

    Returns status and number of evaluations with a Jacobian. Converged: the step, or the share of the squared misses
    that it is expected to remove, has become negligible.
    """
    places = free_parameters(kind)
    n, m = x.size, places.size
    y = to_free(model, places)
    slope, trial_slope = np.empty(m), np.empty(m)
    matrix, gradient, step = np.empty((m, m)), np.empty(m), np.empty(m)
    jacobian, trial_jacobian = np.empty((m, n)), np.empty((m, n))
    trial_out = np.empty(n)
    trial = model.copy()
    edge = from_free(y, places, kind, model, slope)
    cost = residuals(kind, model, starts, tau, x, target, scale, slope, places, True, out, jacobian)
    if not math.isfinite(cost):
        return NOT_FINITE, 1
    _normal_equations(jacobian, out, matrix, gradient)
    damping, growth = 1e-3, 2.0
    for used in range(1, most + 1):
        done = False
        if not _solve(matrix, damping, gradient, step):
            damping, growth = damping * growth, 2.0 * growth
            continue
        largest = np.max(np.abs(step))
        if largest > 3.0:
            step *= 3.0 / largest
        expected = 0.0
        for k in range(m):
            expected -= step[k] * gradient[k]
            for j in range(m):
                expected -= 0.5 * step[k] * matrix[k, j] * step[j]
        done = largest < 1e-8 or expected < 1e-10 * cost or cost < 1e-22 * n
        if not done:
            trial_edge = from_free(y + step, places, kind, trial, trial_slope)
            new = residuals(
                kind, trial, starts, tau, x, target, scale, trial_slope, places, True, trial_out, trial_jacobian
            )
            if math.isfinite(new) and new < cost:
                gain = (cost - new) / expected
                y += step
                edge = trial_edge
                cost = new
                model[:], out[:] = trial, trial_out
                jacobian, trial_jacobian = trial_jacobian, jacobian
                _normal_equations(jacobian, out, matrix, gradient)
                damping = max(damping * max(1.0 / 9.0, 1.0 - (2.0 * gain - 1.0) ** 3), 1e-12)
                growth = 2.0
            else:
                damping, growth = damping * growth, 2.0 * growth
                done = damping > 1e16
        if done:
            return (AT_BOUND if edge else CONVERGED), used
    return (AT_BOUND if edge else ITERATION_LIMIT), most


@compiled
def smile(x: FloatArray, vol: FloatArray, tau: float) -> tuple[float, float, float]:
    """Variance at the money, its slope and half its curvature in k = ln(K/F): a parabola through the near quotes."""
    nearest = 0
    for i in range(x.size):
        if abs(x[i]) < abs(x[nearest]):
            nearest = i
    width = 1.5 * vol[nearest] * math.sqrt(tau) + abs(x[nearest])
    moments, sides = np.zeros(5), np.zeros(3)
    for i in range(x.size):
        k = -x[i] / width
        weight = math.exp(-k * k)
        for power in range(5):
            moments[power] += weight * k**power
        for power in range(3):
            sides[power] += weight * k**power * vol[i] * vol[i]
    matrix, step = np.empty((3, 3)), np.empty(3)
    for a in range(3):
        for b in range(3):
            matrix[a, b] = moments[a + b]
    if x.size < 4 or not _solve(matrix, 1e-6, -sides, step) or not step[0] > 0.0:
        return vol[nearest] * vol[nearest], 0.0, 0.0
    return step[0], step[1] / width, step[2] / (width * width)


@compiled
def heston_start(kappa: float, tau: FloatArray, smiles: FloatArray, model: FloatArray) -> None:
    """v0, theta, xi, rho for a given kappa, from variance, slope and curvature of each expiry (rows of `smiles`).

    Variance at the money: theta + (v0 - theta) (1 - e^-y) / y, y = kappa tau, by least squares. Slope: rho xi
    (1 - (1 - e^-y) / y) / y (Gatheral 2006, eq. 3.18, to first order). Curvature of the shortest expiries: xi^2 (4 - 7
    rho^2) / (48 v0) (Forde & Jacquier 2009, theorem 3.2).
    """
    aa, ab, bb, ac, bc, skew, norm = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for g in range(tau.size):
        y = kappa * tau[g]
        share = -math.expm1(-y) / y
        rest = 1.0 - share
        aa, ab, bb = aa + share * share, ab + share * rest, bb + rest * rest
        ac, bc = ac + share * smiles[g, 0], bc + rest * smiles[g, 0]
        bend = rest / y
        skew += bend * smiles[g, 1]
        norm += bend * bend
    level, least, most = float(np.mean(smiles[:, 0])), float(np.min(smiles[:, 0])), float(np.max(smiles[:, 0]))
    determinant = aa * bb - ab * ab
    v0 = theta = level
    if determinant > 1e-8 * aa * bb:
        v0, theta = (ac * bb - bc * ab) / determinant, (bc * aa - ac * ab) / determinant
    model[V0] = min(max(v0, 0.2 * least), 3.0 * most)
    model[THETA] = min(max(theta, 0.2 * least), 3.0 * most)
    model[KAPPA] = kappa
    product = skew / norm
    curvature = 0.0
    weights = 0.0
    for g in range(tau.size):
        weight = 1.0 / (1.0 + kappa * tau[g]) ** 2
        curvature += weight * max(smiles[g, 2], 0.0) * smiles[g, 0]
        weights += weight
    square = 0.25 * (48.0 * curvature / weights + 7.0 * product * product)
    xi = math.sqrt(max(square, product * product / 0.81, 0.01 * level))
    model[XI] = min(xi, 5.0)
    model[RHO] = min(max(product / xi, -0.9), 0.9)


@compiled
def start(
    kind: int,
    starts: IntArray,
    tau: FloatArray,
    x: FloatArray,
    vol: FloatArray,
    target: FloatArray,
    scale: FloatArray,
    jumps: FloatArray,
    models: FloatArray,
) -> IntArray:
    """Candidate models (rows of `models`), and their order by the sum of squared residuals.

    Heston: a row for each kappa 0.5 .. 40. Merton: a row for each row of `jumps` (intensity, mean, deviation).
    """
    smiles = np.empty((tau.size, 3))
    for g in range(tau.size):
        smiles[g] = smile(x[starts[g] : starts[g + 1]], vol[starts[g] : starts[g + 1]], tau[g])
    places = free_parameters(kind)
    costs, out = np.empty(models.shape[0]), np.empty(x.size)
    slope, jacobian = np.empty(places.size), np.empty((places.size, 1))
    for c in range(models.shape[0]):
        model = models[c]
        model[:] = 0.0
        model[KAPPA] = 1.0
        if kind == HESTON:
            heston_start(0.5 * 3.0**c, tau, smiles, model)
        else:
            model[JUMP_INTENSITY:PARAMETERS] = jumps[c]
            jump = jumps[c, 0] * (jumps[c, 1] ** 2 + jumps[c, 2] ** 2)
            level = float(np.mean(smiles[:, 0]))
            model[V0] = max(level - jump, 0.3 * level)
            model[THETA] = model[V0]
        from_free(to_free(model, places), places, kind, model, slope)
        cost = residuals(kind, model, starts, tau, x, target, scale, slope, places, False, out, jacobian)
        costs[c] = cost if math.isfinite(cost) else 1e300
    return np.argsort(costs)

"""Kernels of `heston_pde`: alternating directions on a grid of spots (rows) by variances (columns).

    V_t + 1/2 v S^2 V_SS + rho xi v S V_Sv + 1/2 xi^2 v V_vv + (r - q) S V_S + kappa (theta - v) V_v - r V = 0

Sources: in 't Hout & Foulon (2010), "ADI finite difference schemes for option pricing in the Heston model with
correlation"; in 't Hout & Welfert (2009) for the modified Craig-Sneyd scheme; Ikonen & Toivanen (2009), "Operator
splitting methods for pricing American options under stochastic volatility", for early exercise. The first steps are
shorter Douglas steps with theta = 1, sized so that they share their matrices with the others.

At v = 0 the equation itself is kept, V_v by three points to the right; at the largest variance V_v = 0; at both ends of
the spots the value is a straight line in S.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled, fused

# v0, kappa, theta, xi, rho
_Model = tuple[float, float, float, float, float]

DAMPING: Final = 4  # first steps, of theta times the length of the others
_LANES: Final = 8  # rows solved side by side along the variances

# Rows of the spot weights and of the variance weights, per node.
_LESS: Final = 0  # first derivative: weights of the neighbour below, the node, the neighbour above
_SAME: Final = 1
_MORE: Final = 2
_LESS2: Final = 3  # second derivative
_SAME2: Final = 4
_MORE2: Final = 5

# Sheets of the grid, each (spots, variances).
VALUE: Final = 0
MIXED: Final = 1
SPOT: Final = 2
VAR: Final = 3
FIRST: Final = 4
STAGE: Final = 5
FORCE: Final = 6  # Ikonen & Toivanen's multiplier
RATIO: Final = 7  # sweep along the spots: c_i and 1 / pivot
INVERSE: Final = 8
MIXED2: Final = 9
SPOT2: Final = 10
VAR2: Final = 11
SHEETS: Final = 12


@compiled
def difference_weights(nodes: FloatArray, out: FloatArray) -> None:
    """Central weights of first and second derivative at inner nodes, out (6, n)."""
    for j in range(1, nodes.size - 1):
        below, above = nodes[j] - nodes[j - 1], nodes[j + 1] - nodes[j]
        both = below + above
        out[_LESS, j], out[_MORE, j] = -above / (below * both), below / (above * both)
        out[_SAME, j] = (above - below) / (below * above)
        out[_LESS2, j], out[_MORE2, j] = 2.0 / (below * both), 2.0 / (above * both)
        out[_SAME2, j] = -2.0 / (below * above)


@compiled
def variance_grid(model: _Model, tau: float, out: FloatArray) -> None:
    """Nodes width x sinh(u) from 0: dense below the usual variances, reaching beyond what the gamma tail allows."""
    v0, kappa, theta, xi, _ = model
    scale = 0.5 * xi * xi * -math.expm1(-kappa * tau) / kappa
    usual = max(v0, theta)
    most = 1.5 * usual + 14.0 * scale + 4.0 * math.sqrt(usual * scale)
    width = 0.5 * usual
    step = math.asinh(most / width) / (out.size - 1)
    for j in range(out.size):
        out[j] = width * math.sinh(j * step)


@compiled
def variance_weights(variances: FloatArray, model: _Model, half_rate: float, scale: float, out: FloatArray) -> None:
    """Weights of A2 (rows 0 to 2, the second right neighbour of v = 0 in out[3, 0]) and the sweep of I - scale A2.

    out (7, m). Rows 4 and 5: ratio and inverse pivot; row 6, first column: what row 0 takes of row 1 to lose its third
    entry.
    """
    _, kappa, theta, xi, _ = model
    m = variances.size
    weights = np.zeros((6, m))
    difference_weights(variances, weights)
    for j in range(1, m - 1):
        drift, diffusion = kappa * (theta - variances[j]), 0.5 * xi * xi * variances[j]
        out[0, j] = drift * weights[_LESS, j] + diffusion * weights[_LESS2, j]
        out[1, j] = drift * weights[_SAME, j] + diffusion * weights[_SAME2, j] - half_rate
        out[2, j] = drift * weights[_MORE, j] + diffusion * weights[_MORE2, j]
    h, k = variances[1], variances[2] - variances[1]
    drift = kappa * theta
    out[1, 0] = -drift * (2.0 * h + k) / (h * (h + k)) - half_rate
    out[2, 0] = drift * (h + k) / (h * k)
    out[3, 0] = -drift * h / (k * (h + k))
    h = variances[m - 1] - variances[m - 2]
    out[0, m - 1] = xi * xi * variances[m - 1] / (h * h)
    out[1, m - 1] = -out[0, m - 1] - half_rate
    # Row 0 of I - scale A2 less a share of row 1, which takes its third entry away.
    share = out[3, 0] / out[2, 1]
    out[6, 0] = share
    diagonal = 1.0 - scale * out[1, 0] + share * scale * out[0, 1]
    right = -scale * out[2, 0] - share * (1.0 - scale * out[1, 1])
    out[5, 0] = 1.0 / diagonal
    out[4, 0] = -right / diagonal
    for j in range(1, m):
        inverse = 1.0 / (1.0 - scale * out[1, j] - scale * out[0, j] * out[4, j - 1])
        out[5, j] = inverse
        out[4, j] = scale * out[2, j] * inverse


@fused
def spot_sweep(
    spots: FloatArray, variances: FloatArray, weights: FloatArray, terms: FloatArray, sheets: FloatArray
) -> None:
    """Ratios and inverse pivots of I - scale A1 for all variances. terms: carry, half rate, scale."""
    carry, half_rate, scale = terms[0], terms[1], terms[2]
    n, m = spots.size, variances.size
    for i in range(1, n - 1):
        ratio, inverse, before = sheets[RATIO, i], sheets[INVERSE, i], sheets[RATIO, i - 1]
        drift, square = carry * spots[i], 0.5 * spots[i] * spots[i]
        for j in range(m):
            diffusion = square * variances[j]
            less = scale * (drift * weights[_LESS, i] + diffusion * weights[_LESS2, i])
            same = scale * (drift * weights[_SAME, i] + diffusion * weights[_SAME2, i] - half_rate)
            more = scale * (drift * weights[_MORE, i] + diffusion * weights[_MORE2, i])
            inverse[j] = 1.0 / (1.0 - same - less * before[j])
            ratio[j] = more * inverse[j]


@fused
def apply_parts(
    spots: FloatArray,
    variances: FloatArray,
    spot_weights: FloatArray,
    var_weights: FloatArray,
    mixed_weights: FloatArray,
    terms: FloatArray,
    values: FloatArray,
    mixed: FloatArray,
    along_spot: FloatArray,
    along_var: FloatArray,
) -> None:
    """A0 V, A1 V, A2 V on inner spots. mixed_weights (3, m): rho xi v times the first-derivative weights."""
    carry, half_rate = terms[0], terms[1]
    n, m = spots.size, variances.size
    for i in range(1, n - 1):
        below, here, above = values[i - 1], values[i], values[i + 1]
        cross, first, second = mixed[i], along_spot[i], along_var[i]
        spot = spots[i]
        less, same, more = spot_weights[_LESS, i], spot_weights[_SAME, i], spot_weights[_MORE, i]
        square = 0.5 * spot * spot
        less2, same2, more2 = (
            square * spot_weights[_LESS2, i],
            square * spot_weights[_SAME2, i],
            square * spot_weights[_MORE2, i],
        )
        drift = carry * spot
        for j in range(m):
            slope = less * below[j] + same * here[j] + more * above[j]
            bend = less2 * below[j] + same2 * here[j] + more2 * above[j]
            first[j] = drift * slope + variances[j] * bend - half_rate * here[j]
            cross[j] = spot * slope
        left = cross[0]
        cross[0] = 0.0
        for j in range(1, m - 1):
            middle = cross[j]
            cross[j] = mixed_weights[0, j] * left + mixed_weights[1, j] * middle + mixed_weights[2, j] * cross[j + 1]
            left = middle
        cross[m - 1] = 0.0
        for j in range(1, m - 1):
            second[j] = var_weights[0, j] * here[j - 1] + var_weights[1, j] * here[j] + var_weights[2, j] * here[j + 1]
        second[0] = var_weights[1, 0] * here[0] + var_weights[2, 0] * here[1] + var_weights[3, 0] * here[2]
        second[m - 1] = var_weights[0, m - 1] * here[m - 2] + var_weights[1, m - 1] * here[m - 1]


@fused
def solve_spot(
    spots: FloatArray,
    variances: FloatArray,
    weights: FloatArray,
    terms: FloatArray,
    sheets: FloatArray,
    values: FloatArray,
) -> None:
    """(I - scale A1) V = V on inner spots, in place; the first and last row of V hold the boundary values."""
    carry, scale = terms[0], terms[2]
    n, m = spots.size, variances.size
    for i in range(1, n - 1):
        inverse, before, here = sheets[INVERSE, i], values[i - 1], values[i]
        drift = scale * carry * spots[i] * weights[_LESS, i]
        square = scale * 0.5 * spots[i] * spots[i] * weights[_LESS2, i]
        for j in range(m):
            here[j] = (here[j] + (drift + square * variances[j]) * before[j]) * inverse[j]
    for i in range(n - 2, 0, -1):
        ratio, here, after = sheets[RATIO, i], values[i], values[i + 1]
        for j in range(m):
            here[j] += ratio[j] * after[j]


@fused
def solve_variance(weights: FloatArray, scale: float, values: FloatArray, lanes: FloatArray) -> None:
    """(I - scale A2) V = V on inner spots, in place, eight spots side by side. lanes: scratch (m, 8)."""
    n, m = values.shape
    share = weights[6, 0]
    start = 1
    while start < n - 1:
        count = min(_LANES, n - 1 - start)
        for k in range(count):
            row = values[start + k]
            for j in range(m):
                lanes[j, k] = row[j]
        now, following = lanes[0], lanes[1]
        for k in range(_LANES):
            now[k] = (now[k] - share * following[k]) * weights[5, 0]
        for j in range(1, m):
            now, before = lanes[j], lanes[j - 1]
            less, inverse = scale * weights[0, j], weights[5, j]
            for k in range(_LANES):
                now[k] = (now[k] + less * before[k]) * inverse
        for j in range(m - 2, -1, -1):
            now, after = lanes[j], lanes[j + 1]
            ratio = weights[4, j]
            for k in range(_LANES):
                now[k] += ratio * after[k]
        for k in range(count):
            row = values[start + k]
            for j in range(m):
                row[j] = lanes[j, k]
        start += _LANES

"""Paths of Heston's and Bates' models by the quadratic-exponential scheme with martingale correction.

Source: Andersen (2008), "Simple and efficient simulation of the Heston stochastic volatility model", J. Comput.
Finance 11(3): moments eqs. 17-18, quadratic branch eqs. 23, 27, 28, exponential branch eqs. 15, 16, 25 with switch at
psi = 3/2, log spot eq. 33 with gamma1 = gamma2 = 1/2, martingale correction propositions 7-9. Jumps as in `mc_paths`.

Three things are written differently, so that a step is straight arithmetic without branches:
- the exponential branch needs log(1 - U) with U = N(z): the function -log N(-z) is a rational function of z here (degree
  8 over 6, fitted on -1 < z < 8.5 to 1e-9 of 1 + itself; below -1 the branch gives 0, since U > p >= 1/5 there);
- so max(0, .) is the branch's mass at zero, and both branches start from one normal draw, which a Brownian bridge
  may therefore arrange;
- both corrections share one logarithm.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import fused, inlined
from voldesk.core.errors import InputError
from voldesk.pricing.elementary import exp_poly, log_poly
from voldesk.pricing.heston import HestonParams
from voldesk.pricing.simulation.array_namespace import Array
from voldesk.pricing.simulation.draws import Bridge, Draws, bridge_rows, bridged, normal_rows, normals
from voldesk.pricing.simulation.paths import BLOCK, Jumps, Steps, jump_rows, jump_sums

_SWITCH: Final = 1.5
_LOG_2: Final = 0.6931471805599453
_LOW: Final = -1.0
_HIGH: Final = 8.5
_SAFE: Final = 1.2

COLUMNS: Final = 13
_DECAY, _LEVEL, _SQUARE, _CONSTANT, _HALF, _K1, _K2, _K3, _K4, _A, _K13, _ROOT, _DT = range(COLUMNS)

_TOP: Final = (
    0.69314718029171753444,
    1.4275726739944085609,
    1.3218809563892741977,
    0.71666748698178882452,
    0.24741145433618438144,
    0.055064349314042537076,
    0.007526664268754548895,
    0.00054113572496205565246,
    0.000011998320075690872129,
)
_BOTTOM: Final = (
    1.0,
    0.90844791691269985325,
    0.40212888099337986942,
    0.10143807083057529483,
    0.014783435239439683153,
    0.0010817426479013142786,
    0.000023998807814940663855,
)


def coefficients(params: HestonParams, lengths: FloatArray) -> FloatArray:
    """What each step needs, (steps, COLUMNS). Raises InputError where a step is too long for the correction to exist.

    The correction needs E[exp(A V')] finite. With c = xi^2 (1 - exp(-kappa dt)) / kappa, an upper bound of s^2 / m,
    the quadratic branch is safe for A c < 3/2 and the exponential one for A c < 6/5.
    """
    kappa, theta, xi, rho = params.kappa, params.theta, params.xi, params.rho
    out = np.empty((lengths.size, COLUMNS))
    decay = np.exp(-kappa * lengths)
    gone = -np.expm1(-kappa * lengths)
    out[:, _DECAY] = decay
    out[:, _LEVEL] = theta * gone
    out[:, _SQUARE] = xi * xi * decay * gone / kappa
    out[:, _CONSTANT] = 0.5 * theta * xi * xi * gone * gone / kappa
    pull = 0.5 * lengths * (kappa * rho / xi - 0.5)
    out[:, _K1] = pull - rho / xi
    out[:, _K2] = pull + rho / xi
    out[:, _K3] = out[:, _K4] = 0.5 * lengths * (1.0 - rho * rho)
    out[:, _A] = out[:, _K2] + 0.5 * out[:, _K4]
    out[:, _K13] = out[:, _K1] + 0.5 * out[:, _K3]
    out[:, _HALF] = 0.5 * lengths
    out[:, _ROOT] = 1.0 / np.sqrt(lengths)
    out[:, _DT] = lengths
    reach = out[:, _A] * xi * xi * gone / kappa
    if not np.all(reach < _SAFE):
        raise InputError(
            f"a step of {lengths[reach.argmax()]:.4g} years is too long for rho={rho}, xi={xi}: the forward has no "
            "mean there; expected shorter steps. Lower max_step."
        )
    return out


@inlined
def _step(
    v: float, z: float, normal: float, x: float, decay: float, level: float, square: float, constant: float,
    k1: float, k2: float, k3: float, k4: float, a: float, k13: float,
) -> tuple[float, float]:  # fmt: skip
    """Variance and log of S / F after one step."""
    # Divisions cost most here: what can share one reciprocal does.
    mean = level + decay * v
    spread = square * v + constant
    shared = 1.0 / (mean * mean * spread)
    psi = spread * spread * shared
    quadratic = psi <= _SWITCH
    # Quadratic: V' = scale (b + z)^2.
    ratio = max(2.0 * mean * mean * mean * mean * shared, 2.0 / _SWITCH)
    b2 = ratio - 1.0 + math.sqrt(ratio * (ratio - 1.0))
    root = math.sqrt(b2) + z
    # Exponential: mass p at zero, rate beta above.
    one_more = 1.0 + max(psi, _SWITCH)
    held = min(max(z, _LOW), _HIGH)
    top = _TOP[8] * held + _TOP[7]
    top = top * held + _TOP[6]
    top = top * held + _TOP[5]
    top = top * held + _TOP[4]
    top = top * held + _TOP[3]
    top = top * held + _TOP[2]
    top = top * held + _TOP[1]
    top = top * held + _TOP[0]
    bottom = _BOTTOM[6] * held + _BOTTOM[5]
    bottom = bottom * held + _BOTTOM[4]
    bottom = bottom * held + _BOTTOM[3]
    bottom = bottom * held + _BOTTOM[2]
    bottom = bottom * held + _BOTTOM[1]
    bottom = bottom * held + 1.0
    grown = 1.0 + b2
    shared_again = 1.0 / (grown * one_more * bottom)
    scale = mean * (one_more * bottom) * shared_again
    above = 2.0 * (grown * bottom) * shared_again
    tail = top * (grown * one_more) * shared_again + _LOG_2 - log_poly(one_more)
    after = scale * root * root if quadratic else 0.5 * max(tail, 0.0) * mean * one_more
    # ln E[exp(A V')], with the exponential branch's beta = above / mean
    shrink = 1.0 - 2.0 * a * scale
    weight = (a * b2 * scale if quadratic else above * above) / (shrink if quadratic else above - a * mean)
    logged = log_poly(shrink if quadratic else 1.0 - above + weight)
    moment = weight - 0.5 * logged if quadratic else logged
    x = x - moment - k13 * v + k1 * v + k2 * after + math.sqrt(k3 * v + k4 * after) * normal
    return after, x


@fused
def kernel(
    draws: Draws,
    stride: int,
    at: IntArray,
    left: IntArray,
    right: IntArray,
    weight_left: FloatArray,
    weight_right: FloatArray,
    deviation: FloatArray,
    table: FloatArray,
    keep: IntArray,
    v0: float,
    cumulative: FloatArray,
    drift: FloatArray,
    jump_mean: float,
    jump_std: float,
    forward: FloatArray,
    spot: FloatArray,
    variance: FloatArray,
    step_variance: FloatArray,
) -> None:
    """Fills spot[1:] and, where they have rows, variance[1:] and step_variance, all (m, paths)."""
    m = table.shape[0]
    n = draws.shape[1]
    block = min(n, BLOCK)
    z = np.empty((m, block))
    w = np.empty((m + 1, block))
    driver = np.empty((m + 1, block))
    x = np.empty(block)
    v = np.empty(block)
    spent = np.empty(block)
    jumping = drift.shape[0] > 0
    for first in range(0, n, block):
        normal_rows(draws, 0, stride, first, z)
        bridge_rows(z, at, left, right, weight_left, weight_right, deviation, w)
        normal_rows(draws, 1, stride, first, z)
        bridge_rows(z, at, left, right, weight_left, weight_right, deviation, driver)
        if jumping:
            jump_rows(draws, 2, stride, first, cumulative, drift, jump_mean, jump_std, z)
        x[:] = 0.0
        v[:] = v0
        spent[:] = 0.0
        for i in range(m):
            row = table[i]
            decay, level, square, constant = row[_DECAY], row[_LEVEL], row[_SQUARE], row[_CONSTANT]
            k1, k2, k3, k4, a, k13 = row[_K1], row[_K2], row[_K3], row[_K4], row[_A], row[_K13]
            half, root = row[_HALF], row[_ROOT]
            before, after = w[i], w[i + 1]
            push_before, push_after, jump = driver[i], driver[i + 1], z[i]
            for j in range(block):
                now = v[j]
                v[j], x[j] = _step(
                    now, (push_after[j] - push_before[j]) * root, (after[j] - before[j]) * root, x[j],
                    decay, level, square, constant, k1, k2, k3, k4, a, k13,
                )  # fmt: skip
                spent[j] += half * (now + v[j])
            if jumping:
                for j in range(block):
                    x[j] += jump[j]
            if keep[i] >= 0:
                price = forward[keep[i]]
                line = spot[keep[i] + 1][first : first + block]
                for j in range(block):
                    line[j] = price * exp_poly(x[j])
                if variance.shape[0] > 0:
                    variance[keep[i] + 1][first : first + block] = v
                if step_variance.shape[0] > 0:
                    step_variance[keep[i]][first : first + block] = spent
                    spent[:] = 0.0


def _polynomial(terms: tuple[float, ...], z: Array) -> Array:
    total = terms[-1] * z + terms[-2]
    for c in terms[-3::-1]:
        total = total * z + c
    return total


def step_arrays(v: Array, z: Array, normal: Array, x: Array, row: FloatArray, xp: Any) -> tuple[Array, Array]:
    """As `_step`, on whole arrays of NumPy or CuPy; row: one row of `coefficients`."""
    k = [float(c) for c in row]
    mean = k[_LEVEL] + k[_DECAY] * v
    psi = (k[_SQUARE] * v + k[_CONSTANT]) / (mean * mean)
    quadratic = psi <= _SWITCH
    ratio = 2.0 / xp.minimum(psi, _SWITCH)
    b2 = ratio - 1.0 + xp.sqrt(ratio) * xp.sqrt(ratio - 1.0)
    scale = mean / (1.0 + b2)
    one_more = 1.0 + xp.maximum(psi, _SWITCH)
    beta = 2.0 / (mean * one_more)
    held = xp.clip(z, _LOW, _HIGH)
    tail = _polynomial(_TOP, held) / _polynomial(_BOTTOM, held) + _LOG_2 - xp.log(one_more)
    after = xp.where(quadratic, scale * (xp.sqrt(b2) + z) ** 2, xp.maximum(tail, 0.0) / beta)
    a = k[_A]
    shrink = xp.where(quadratic, 1.0 - 2.0 * a * scale, 1.0)
    above = 2.0 / one_more
    logged = xp.log(xp.where(quadratic, shrink, 1.0 - above + beta * above / (beta - a)))
    moment = xp.where(quadratic, a * b2 * scale / shrink - 0.5 * logged, logged)
    x = x - moment - k[_K13] * v + k[_K1] * v + k[_K2] * after + xp.sqrt(k[_K3] * v + k[_K4] * after) * normal
    return after, x


def arrays(
    draws: Array,
    stride: int,
    path: Bridge,
    grid: Steps,
    params: HestonParams,
    jumps: Jumps,
    forward: FloatArray,
    xp: Any,
) -> tuple[Array, Array, Array]:
    """As `kernel`: spot, variance and step variance at the observations, each (m, paths), on NumPy and CuPy."""
    m = grid.tau.size
    used = draws[: m * stride]
    w = bridged(normals(used[0::stride], xp), path, xp)
    driver = bridged(normals(used[1::stride], xp), path, xp)
    moved = jump_sums(used, 2, stride, jumps, xp) if jumps.drift.size else None
    table = coefficients(params, grid.lengths)
    x, spent = xp.zeros(w.shape[1]), xp.zeros(w.shape[1])
    v = xp.full(w.shape[1], params.v0)
    spot, variance, step_variance = [], [], []
    for i in range(m):
        root, half = float(table[i, _ROOT]), float(table[i, _HALF])
        after, x = step_arrays(v, (driver[i + 1] - driver[i]) * root, (w[i + 1] - w[i]) * root, x, table[i], xp)
        if moved is not None:
            x = x + moved[i]
        spent = spent + half * (v + after)
        v = after
        if grid.keep[i] >= 0:
            spot.append(float(forward[grid.keep[i]]) * xp.exp(x))
            variance.append(v)
            step_variance.append(spent)
            spent = xp.zeros(w.shape[1])
    return xp.stack(spot), xp.stack(variance), xp.stack(step_variance)

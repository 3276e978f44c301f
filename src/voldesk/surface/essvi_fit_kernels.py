"""Kernels of `essvi.fit`: all slices at once, inside the domain without arbitrage.

In u = log right, v = log left, q = log phi (`essvi_kernels`) the whole domain is linear, a chain of inequalities between
neighbours. So every step of a feasible interior-point method (Nocedal & Wright 2006, "Numerical optimization", ch. 19)
stays inside, and its Gauss-Newton matrix has bandwidth three: a step costs little more than pricing the quotes.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.surface.band_kernels import (
    HIGH,
    INSIDE,
    LOW,
    QUOTES,
    K,
    band_loss,
    count_two_sided,
    note_quality,
    parabola,
)
from voldesk.surface.essvi_kernels import ETA, PSI, THETA, variance

OK: Final = 0
FEW_QUOTES: Final = 1
NOT_CONVERGED: Final = 2

LEAST_QUOTES: Final = 3  # two-sided quotes for the three numbers of a slice
_LOG_FOUR: Final = math.log(4.0)
_LOG_LEAST: Final = math.log(1e-7)  # of right, left and phi: keeps the domain bounded where no quote does
_ROOM: Final = 0.02  # slack of the start from every wall
_LEAST_BARRIER: Final = 1e-6  # of the loss, which is in squares of half-spreads


@compiled
def quote_terms(
    x: FloatArray,
    points: FloatArray,
    offsets: IntArray,
    tau: FloatArray,
    half_floor: float,
    linear_from: float,
    band: FloatArray,
    force: FloatArray,
) -> float:
    """Loss of all quotes at x = (u, v, q) per slice; adds Gauss-Newton matrix to `band`, its gradient to `force`.

    band[i, d] is entry (i, i - d) of the symmetric matrix.
    """
    total = 0.0
    for j in range(tau.size):
        right, left, phi = math.exp(x[3 * j]), math.exp(x[3 * j + 1]), math.exp(x[3 * j + 2])
        psi, eta = 0.5 * (right + left), 0.5 * (right - left)
        theta = psi / phi
        f0 = f1 = f2 = h00 = h10 = h11 = h20 = h21 = h22 = 0.0
        for i in range(offsets[j], offsets[j + 1]):
            k = points[i, K]
            root = math.sqrt(psi * psi * k * k + 2.0 * theta * eta * k + theta * theta)
            vol = math.sqrt(0.5 * (theta + eta * k + root) / tau[j])
            loss, e, weight, per = band_loss(vol, points[i, LOW], points[i, HIGH], half_floor, linear_from)
            if weight == 0.0:
                continue
            total += loss
            scale = 0.25 * per / (tau[j] * vol)  # half of de/dw
            by_theta = 1.0 + (eta * k + theta) / root
            by_eta = k * (1.0 + theta / root)
            by_psi = psi * k * k / root
            a0 = scale * 0.5 * right * (by_psi + by_eta + by_theta / phi)
            a1 = scale * 0.5 * left * (by_psi - by_eta + by_theta / phi)
            a2 = -scale * theta * by_theta
            slope = weight * e
            f0, f1, f2 = f0 + slope * a0, f1 + slope * a1, f2 + slope * a2
            h00, h11, h22 = h00 + weight * a0 * a0, h11 + weight * a1 * a1, h22 + weight * a2 * a2
            h10, h20, h21 = h10 + weight * a1 * a0, h20 + weight * a2 * a0, h21 + weight * a2 * a1
        c = 3 * j
        force[c], force[c + 1], force[c + 2] = force[c] + f0, force[c + 1] + f1, force[c + 2] + f2
        band[c, 0], band[c + 1, 0], band[c + 2, 0] = band[c, 0] + h00, band[c + 1, 0] + h11, band[c + 2, 0] + h22
        band[c + 1, 1], band[c + 2, 2], band[c + 2, 1] = h10, h20, h21
    return total


@compiled
def walls(count: int) -> tuple[IntArray, FloatArray, FloatArray]:
    """The domain as rows: slack = offset + sign0 x[index0] + sign1 x[index1] > 0; index1 = -1 where one x is enough."""
    rows = 3 * (count - 1) + 2 * count + 5
    index = np.full((rows, 2), -1)
    sign = np.zeros((rows, 2))
    offset = np.zeros(rows)
    r = 0
    for j in range(count):
        if j > 0:
            for a in range(3):
                index[r, 0], index[r, 1] = 3 * j + a, 3 * (j - 1) + a
                sign[r, 0] = 1.0 if a < 2 else -1.0
                sign[r, 1] = -sign[r, 0]
                r += 1
        for a in range(2):
            index[r, 0], index[r, 1] = 3 * j + 2, 3 * j + a
            sign[r] = -1.0
            offset[r] = _LOG_FOUR
            r += 1
    last = 3 * (count - 1)
    for a in range(2):
        index[r, 0], sign[r, 0], offset[r] = last + a, -1.0, _LOG_FOUR
        index[r + 1, 0], sign[r + 1, 0], offset[r + 1] = a, 1.0, -_LOG_LEAST
        r += 2
    index[r, 0], sign[r, 0], offset[r] = last + 2, 1.0, -_LOG_LEAST
    return index, sign, offset


@compiled
def slacks(x: FloatArray, index: IntArray, sign: FloatArray, offset: FloatArray, out: FloatArray) -> None:
    """Distance of x from every wall; with offset zero, its change along a step x."""
    for r in range(offset.size):
        value = offset[r] + sign[r, 0] * x[index[r, 0]]
        if index[r, 1] >= 0:
            value += sign[r, 1] * x[index[r, 1]]
        out[r] = value


@compiled
def _solve(band: FloatArray, step: FloatArray) -> bool:
    """Solve in place by Cholesky of bandwidth three; False where the matrix is not positive definite."""
    n = step.size
    for i in range(n):
        for d in range(min(i, 3), -1, -1):
            j = i - d
            value = band[i, d]
            for c in range(max(i - 3, 0), j):
                if j - c <= 3:
                    value -= band[i, i - c] * band[j, j - c]
            if d > 0:
                band[i, d] = value / band[j, 0]
            elif value > 0.0:
                band[i, 0] = math.sqrt(value)
            else:
                return False
        value = step[i]
        for c in range(max(i - 3, 0), i):
            value -= band[i, i - c] * step[c]
        step[i] = value / band[i, 0]
    for i in range(n - 1, -1, -1):
        value = step[i]
        for c in range(i + 1, min(i + 4, n)):
            value -= band[c, c - i] * step[c]
        step[i] = value / band[i, 0]
    return True


@compiled
def _start_slice(points: FloatArray, tau: float, half_floor: float, out: FloatArray) -> None:
    """(u, v, log theta) from a parabola through the middle quotes."""
    vol, slope, bend = parabola(points, tau, half_floor)
    theta, eta = vol * vol * tau, 2.0 * vol * slope * tau
    curve = 2.0 * tau * (slope * slope + vol * bend)
    # w'(0) = eta and w''(0) = right left / (2 theta); a parabola that bends the wrong way counts as nearly straight.
    product = max(2.0 * theta * curve, 0.1 * eta * eta, 0.02 * theta)
    psi = math.sqrt(eta * eta + product)
    right, left = psi + eta, psi - eta
    shrink = min(1.0, math.sqrt(3.0 * theta / (psi * max(right, left))), 3.0 / max(right, left))
    out[0], out[1], out[2] = math.log(right * shrink), math.log(left * shrink), math.log(theta)


@compiled
def _make_rise(values: FloatArray) -> None:
    """Nearest rising sequence in least squares, in place (pool adjacent violators)."""
    n = values.size
    level, size = np.empty(n), np.empty(n, np.int64)
    blocks = 0
    for i in range(n):
        level[blocks], size[blocks] = values[i], 1
        blocks += 1
        while blocks > 1 and level[blocks - 2] > level[blocks - 1]:
            both = size[blocks - 2] + size[blocks - 1]
            level[blocks - 2] = (level[blocks - 2] * size[blocks - 2] + level[blocks - 1] * size[blocks - 1]) / both
            size[blocks - 2] = both
            blocks -= 1
    i = 0
    for b in range(blocks):
        for _ in range(size[b]):
            values[i] = level[b]
            i += 1


@compiled
def start(points: FloatArray, offsets: IntArray, tau: FloatArray, half_floor: float, x: FloatArray) -> None:
    """A point inside the domain, off every wall by `_ROOM`, from each slice's own quotes."""
    n = tau.size
    own = np.empty((3, n))
    row = np.empty(3)
    for j in range(n):
        _start_slice(points[offsets[j] : offsets[j + 1]], tau[j], half_floor, row)
        own[:, j] = row
    _make_rise(own[0])
    _make_rise(own[1])
    for j in range(n):
        for a in range(2):
            own[a, j] = max(own[a, j] + _ROOM * j, _LOG_LEAST + _ROOM * (j + 1))
            own[a, j] = min(own[a, j], _LOG_FOUR - _ROOM * (n - j))
        own[2, j] -= math.log(0.5 * (math.exp(own[0, j]) + math.exp(own[1, j])))  # minus log phi
    _make_rise(own[2])
    for j in range(n):
        phi = min(-own[2, j] - _ROOM * j, _LOG_FOUR - _ROOM - max(own[0, j], own[1, j]))
        x[3 * j], x[3 * j + 1], x[3 * j + 2] = own[0, j], own[1, j], max(phi, _LOG_LEAST + _ROOM * (n - j))


@compiled
def _barrier_terms(
    slack: FloatArray,
    pressure: FloatArray,
    barrier: float,
    index: IntArray,
    sign: FloatArray,
    band: FloatArray,
    step: FloatArray,
) -> None:
    """Adds the walls to the matrix and to the right-hand side `step`."""
    for r in range(slack.size):
        stiff = pressure[r] / slack[r]
        push = barrier / slack[r]
        i, j = index[r, 0], index[r, 1]
        band[i, 0] += stiff
        step[i] += push * sign[r, 0]
        if j >= 0:
            band[j, 0] += stiff
            band[max(i, j), abs(i - j)] += stiff * sign[r, 0] * sign[r, 1]
            step[j] += push * sign[r, 1]


@compiled
def _longest(value: FloatArray, change: FloatArray) -> float:
    """Share of the change that keeps 0.5 % of every value."""
    share = 1.0
    for r in range(value.size):
        if change[r] < 0.0:
            share = min(share, -0.995 * value[r] / change[r])
    return share


@compiled
def solve(
    points: FloatArray,
    offsets: IntArray,
    tau: FloatArray,
    half_floor: float,
    linear_from: float,
    max_steps: int,
    x: FloatArray,
) -> tuple[float, int, bool]:
    """From a point inside the domain to the least loss in it, in place; loss, steps taken, whether it had settled."""
    n = x.size
    index, sign, offset = walls(tau.size)
    m = offset.size
    slack, change, trial_slack = np.empty(m), np.empty(m), np.empty(m)
    band, work, trial_band = np.zeros((n, 4)), np.empty((n, 4)), np.zeros((n, 4))
    force, step, trial_force, trial = np.zeros(n), np.empty(n), np.zeros(n), np.empty(n)
    none = np.zeros(m)
    slacks(x, index, sign, offset, slack)
    loss = quote_terms(x, points, offsets, tau, half_floor, linear_from, band, force)
    barrier = max(0.02 * (loss + 1.0) / m, _LEAST_BARRIER)
    pressure = barrier / slack
    damping = 1e-8
    for steps in range(max_steps):
        work[:] = band
        for i in range(n):
            work[i, 0] += damping * (band[i, 0] + 1e-9)
            step[i] = -force[i]
        _barrier_terms(slack, pressure, barrier, index, sign, work, step)
        descent = 0.0
        trial[:] = step
        if not _solve(work, step):
            damping = max(10.0 * damping, 1e-8)
            continue
        for i in range(n):
            descent += trial[i] * step[i]
        slacks(step, index, sign, none, change)
        share = _longest(slack, change)
        found = math.inf
        worth = loss
        for r in range(m):
            worth -= barrier * math.log(slack[r])
        taken = False
        for _ in range(12):
            for i in range(n):
                trial[i] = x[i] + share * step[i]
            slacks(trial, index, sign, offset, trial_slack)
            trial_band[:] = 0.0
            trial_force[:] = 0.0
            found = quote_terms(trial, points, offsets, tau, half_floor, linear_from, trial_band, trial_force)
            value = found
            for r in range(m):
                value -= barrier * math.log(trial_slack[r])
            if value <= worth - 1e-4 * share * descent + 1e-13 * abs(worth):
                taken = True
                break
            share *= 0.4
        if not taken:
            damping = max(10.0 * damping, 1e-4)
            if damping > 1e8:
                return loss, steps, False
            continue
        for r in range(m):
            change[r] = (barrier - pressure[r] * (slack[r] + change[r])) / slack[r]
        dual_share = _longest(pressure, change)
        x[:] = trial
        loss = found
        slack[:] = trial_slack
        band, trial_band = trial_band, band
        force, trial_force = trial_force, force
        for r in range(m):
            centre = barrier / slack[r]
            pressure[r] = min(max(pressure[r] + dual_share * change[r], 1e-3 * centre), 1e3 * centre)
        damping = max(0.1 * damping, 1e-8) if share > 0.3 else min(damping * 4.0, 1e4)
        # `descent` is twice what the model still promised at this barrier.
        if descent <= 0.2 * barrier * m:
            if barrier <= _LEAST_BARRIER and descent <= 1e-5 * (loss + 1.0):
                return loss, steps + 1, True
            barrier = max(min(0.1 * barrier, barrier**1.5), _LEAST_BARRIER)
    return loss, max_steps, False


@compiled
def report(slice_: FloatArray, points: FloatArray, tau: float, row: FloatArray) -> None:
    """Two-sided quotes, the share whose fitted vol lies inside bid-ask, the largest distance outside."""
    row[:] = 0.0
    for i in range(points.shape[0]):
        vol = math.sqrt(variance(points[i, K], slice_[THETA], slice_[PSI], slice_[ETA]) / tau)
        note_quality(vol, points[i, LOW], points[i, HIGH], row)
    row[INSIDE] /= row[QUOTES]


@compiled
def fit_surface(
    points: FloatArray,
    offsets: IntArray,
    tau: FloatArray,
    half_floor: float,
    linear_from: float,
    max_steps: int,
    slices: FloatArray,
    status: IntArray,
    reports: FloatArray,
) -> int:
    """(theta, psi, eta), status and report of every expiry; NaN where the quotes are too few. Returns the steps taken."""
    count = tau.size
    kept = np.empty(count, np.int64)
    used = 0
    for j in range(count):
        two_sided = count_two_sided(points[offsets[j] : offsets[j + 1]])
        slices[j] = math.nan
        reports[j, 0], reports[j, 1], reports[j, 2] = two_sided, math.nan, math.nan
        status[j] = FEW_QUOTES
        if two_sided >= LEAST_QUOTES:
            kept[used] = j
            used += 1
    if used == 0:
        return 0
    rows = np.zeros(used + 1, np.int64)
    years = np.empty(used)
    for c in range(used):
        rows[c + 1] = rows[c] + offsets[kept[c] + 1] - offsets[kept[c]]
        years[c] = tau[kept[c]]
    own = np.empty((rows[used], 3))
    for c in range(used):
        own[rows[c] : rows[c + 1]] = points[offsets[kept[c]] : offsets[kept[c] + 1], :3]
    x = np.empty(3 * used)
    start(own, rows, years, half_floor, x)
    _, steps, settled = solve(own, rows, years, half_floor, linear_from, max_steps, x)
    for c in range(used):
        j = kept[c]
        right, left, phi = math.exp(x[3 * c]), math.exp(x[3 * c + 1]), math.exp(x[3 * c + 2])
        slices[j, PSI], slices[j, ETA] = 0.5 * (right + left), 0.5 * (right - left)
        slices[j, THETA] = slices[j, PSI] / phi
        status[j] = OK if settled else NOT_CONVERGED
        report(slices[j], own[rows[c] : rows[c + 1]], years[c], reports[j])
    return steps

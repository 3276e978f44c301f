"""Paths of geometric Brownian motion, local volatility and Merton's jump-diffusion; `mc_heston` has the other two.

Each stepper exists twice: a compiled kernel over blocks of paths that stay in the processor's cache, and the same
arithmetic on whole arrays of NumPy or CuPy. Both take the same draws and agree to rounding.

Brownian motion and Merton's model are exact at every observation; local volatility is stepped by Euler in log S.
Jumps: Merton (1976); the count of each step by inversion of the Poisson distribution, the sum of its log jumps as one
normal draw (Glasserman 2003, sec. 3.5.1).
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import fused
from voldesk.pricing.elementary import exp_poly
from voldesk.pricing.grids.market import LocalVolGrid
from voldesk.pricing.simulation.array_namespace import Array
from voldesk.pricing.simulation.draws import Bridge, Draws, bridge_rows, bridged, normal_rows, normals, uniforms
from voldesk.pricing.simulation.models import Schedule

BLOCK: Final = 128
"""Paths that a kernel steps together: one block's rows stay in the second-level cache."""

_LAST_COUNT: Final = 2.0**-34
_EVEN_NODES: Final = 1025


class Steps(NamedTuple):
    """The times that a simulation steps through. keep: row of the observation that a step ends on, or -1."""

    tau: FloatArray
    keep: IntArray

    @property
    def lengths(self) -> FloatArray:
        return np.diff(self.tau, prepend=0.0)


def steps(schedule: Schedule, max_step: float) -> Steps:
    """The observation times, each gap cut into equal pieces of at most max_step years."""
    tau: list[float] = []
    keep: list[int] = []
    start = 0.0
    for row, end in enumerate(schedule.tau.tolist()):
        pieces = max(1, math.ceil((end - start) / max_step - 1e-9))
        tau += [start + (end - start) * (i + 1) / pieces for i in range(pieces - 1)] + [end]
        keep += [-1] * (pieces - 1) + [row]
        start = end
    return Steps(np.array(tau), np.array(keep, np.int64))


class Jumps(NamedTuple):
    """Compound Poisson jumps of log S in each step. cumulative: (steps, most) P(count <= k); drift: (steps,)."""

    cumulative: FloatArray
    drift: FloatArray
    mean: float
    std: float


def jumps(intensity: float, mean: float, std: float, lengths: FloatArray) -> Jumps:
    """Tables for `intensity` jumps per year; drift compensates them, so that E[exp(X)] stays 1."""
    expected = intensity * lengths
    rows = []
    for rate in expected.tolist():
        term, total, row = math.exp(-rate), 0.0, []
        k = 0
        while k <= rate or (1.0 - total > _LAST_COUNT and term > 0.0):
            total += term
            row.append(total)
            k += 1
            term *= rate / k
        rows.append(row)
    most = max(map(len, rows))
    cumulative = np.array([row + [2.0] * (most - len(row)) for row in rows])
    return Jumps(cumulative, -expected * math.expm1(mean + 0.5 * std * std), mean, std)


NO_JUMPS: Final = Jumps(np.empty((0, 0)), np.empty(0), 0.0, 0.0)


@fused
def jump_rows(
    draws: Draws,
    offset: int,
    stride: int,
    first: int,
    cumulative: FloatArray,
    drift: FloatArray,
    mean: float,
    std: float,
    out: FloatArray,
) -> None:
    """Compensated jumps of log S, (steps, paths): counts from rows `offset`, sizes from rows `offset + 1`."""
    m, n = out.shape
    normal_rows(draws, offset + 1, stride, first, out)
    count = np.empty(n)
    for i in range(m):
        words = draws[offset + i * stride][first : first + n]
        row = out[i]
        for j in range(n):
            count[j] = 0.0
        for k in range(cumulative.shape[1]):
            limit = cumulative[i, k]
            for j in range(n):
                u = (np.float64(words[j]) + 0.5) * 2.0**-32
                count[j] += 1.0 if u > limit else 0.0
        moved = drift[i]
        for j in range(n):
            row[j] = moved + mean * count[j] + std * math.sqrt(count[j]) * row[j]


def jump_sums(draws: Array, offset: int, stride: int, table: Jumps, xp: Any) -> Array:
    """As `jump_rows`, for all paths, on NumPy and CuPy."""
    u = uniforms(draws[offset::stride], xp)
    count = xp.zeros(u.shape)
    for k in range(table.cumulative.shape[1]):
        count += u > xp.asarray(table.cumulative[:, k : k + 1])
    z = normals(draws[offset + 1 :: stride], xp)
    return xp.asarray(table.drift[:, None]) + table.mean * count + table.std * xp.sqrt(count) * z


@fused
def diffusion_kernel(
    draws: Draws,
    stride: int,
    at: IntArray,
    left: IntArray,
    right: IntArray,
    weight_left: FloatArray,
    weight_right: FloatArray,
    deviation: FloatArray,
    total_variance: FloatArray,
    cumulative: FloatArray,
    drift: FloatArray,
    jump_mean: float,
    jump_std: float,
    forward: FloatArray,
    spot: FloatArray,
) -> None:
    """Brownian motion on the clock `total_variance`, with jumps where there are any; fills spot[1:], (m, paths)."""
    m = total_variance.shape[0]
    n = draws.shape[1]
    block = min(n, BLOCK)
    z = np.empty((m, block))
    w = np.empty((m + 1, block))
    jumped = np.zeros(block)
    jumping = drift.shape[0] > 0
    for first in range(0, n, block):
        normal_rows(draws, 0, stride, first, z)
        bridge_rows(z, at, left, right, weight_left, weight_right, deviation, w)
        if jumping:
            jump_rows(draws, 1, stride, first, cumulative, drift, jump_mean, jump_std, z)
            jumped[:] = 0.0
        for i in range(m):
            row = spot[i + 1][first : first + block]
            brownian, jump = w[i + 1], z[i]
            half, level = 0.5 * total_variance[i], forward[i]
            if jumping:
                for j in range(block):
                    jumped[j] += jump[j]
                    row[j] = level * exp_poly(brownian[j] - half + jumped[j])
            else:
                for j in range(block):
                    row[j] = level * exp_poly(brownian[j] - half)


def diffusion_arrays(
    draws: Array, stride: int, path: Bridge, total_variance: FloatArray, table: Jumps, forward: FloatArray, xp: Any
) -> Array:
    """As `diffusion_kernel`: spot (m, paths), on NumPy and CuPy."""
    m = total_variance.size
    x = bridged(normals(draws[0 : m * stride : stride], xp), path, xp)[1:]
    x -= xp.asarray(0.5 * total_variance[:, None])
    if table.drift.size:
        x += xp.cumsum(jump_sums(draws[: m * stride], 1, stride, table, xp), axis=0)
    return xp.asarray(forward[:, None]) * xp.exp(x)


class VolRows(NamedTuple):
    """Local volatility at evenly spaced nodes of X for each step: sigma (steps, nodes), lowest node (steps,)."""

    sigma: FloatArray
    lowest: FloatArray
    per_node: float


def vol_rows(model: LocalVolGrid, grid: Steps, schedule: Schedule) -> VolRows:
    """The grid at the middle of each step, as a function of X = log(S / F) at its start; log F is linear in time.

    An axis that is not evenly spaced is read at 1025 even nodes, linearly.
    """
    starts = grid.tau - grid.lengths
    times = np.concatenate([[0.0], schedule.tau])
    log_forward = np.interp(starts, times, np.log(np.concatenate([[schedule.spot], schedule.forward])))
    nodes, sigma = model.log_spots, model.sigma
    gaps = np.diff(nodes)
    if nodes.size == 1:
        nodes, sigma = np.array([nodes[0], nodes[0] + 1.0]), np.repeat(sigma, 2, axis=1)
    elif np.max(np.abs(gaps - gaps[0])) > 1e-9 * gaps[0]:
        nodes = np.linspace(nodes[0], nodes[-1], _EVEN_NODES)
        sigma = np.stack([np.interp(nodes, model.log_spots, row) for row in sigma])
    middle = starts + 0.5 * grid.lengths
    rows = np.column_stack([np.interp(middle, model.times, sigma[:, j]) for j in range(nodes.size)])
    return VolRows(np.ascontiguousarray(rows), nodes[0] - log_forward, float((nodes.size - 1) / (nodes[-1] - nodes[0])))


@fused
def local_vol_kernel(
    draws: Draws,
    at: IntArray,
    left: IntArray,
    right: IntArray,
    weight_left: FloatArray,
    weight_right: FloatArray,
    deviation: FloatArray,
    lengths: FloatArray,
    keep: IntArray,
    sigma: FloatArray,
    lowest: FloatArray,
    per_node: float,
    forward: FloatArray,
    spot: FloatArray,
    step_variance: FloatArray,
) -> None:
    """Euler steps of log S; sigma (steps, nodes). Fills spot[1:] and, where it has rows, step_variance (m, paths)."""
    m = lengths.shape[0]
    n = draws.shape[1]
    block = min(n, BLOCK)
    z = np.empty((m, block))
    w = np.empty((m + 1, block))
    x = np.empty(block)
    spent = np.empty(block)
    last = float(sigma.shape[1] - 1)
    for first in range(0, n, block):
        normal_rows(draws, 0, 1, first, z)
        bridge_rows(z, at, left, right, weight_left, weight_right, deviation, w)
        x[:] = 0.0
        spent[:] = 0.0
        for i in range(m):
            vols, before, after, dt, origin = sigma[i], w[i], w[i + 1], lengths[i], lowest[i]
            for j in range(block):
                place = min(max((x[j] - origin) * per_node, 0.0), last)
                node = np.uint32(min(place, last - 1.0))
                part = place - node
                low, high = vols[node], vols[node + np.uint32(1)]
                vol = low + part * (high - low)
                variance = vol * vol * dt
                spent[j] += variance
                x[j] += vol * (after[j] - before[j]) - 0.5 * variance
            if keep[i] >= 0:
                level = forward[keep[i]]
                row = spot[keep[i] + 1][first : first + block]
                for j in range(block):
                    row[j] = level * exp_poly(x[j])
                if step_variance.shape[0] > 0:
                    step_variance[keep[i]][first : first + block] = spent
                    spent[:] = 0.0


def local_vol_arrays(
    draws: Array, path: Bridge, grid: Steps, rows: VolRows, forward: FloatArray, xp: Any
) -> tuple[Array, Array]:
    """As `local_vol_kernel`: spot and step variance, both (m, paths), on NumPy and CuPy."""
    w = bridged(normals(draws[: grid.tau.size], xp), path, xp)
    last = rows.sigma.shape[1] - 1
    vols_of = xp.asarray(rows.sigma)
    x, spent = xp.zeros(w.shape[1]), xp.zeros(w.shape[1])
    spot, variances = [], []
    for i, dt in enumerate(grid.lengths.tolist()):
        place = xp.clip((x - float(rows.lowest[i])) * rows.per_node, 0.0, last)
        node = xp.minimum(place, last - 1).astype(np.int64)
        vols = vols_of[i]
        vol = vols[node] + (place - node) * (vols[node + 1] - vols[node])
        variance = vol * vol * dt
        spent = spent + variance
        x = x + vol * (w[i + 1] - w[i]) - 0.5 * variance
        if grid.keep[i] >= 0:
            spot.append(float(forward[grid.keep[i]]) * xp.exp(x))
            variances.append(spent)
            spent = xp.zeros(w.shape[1])
    return xp.stack(spot), xp.stack(variances)

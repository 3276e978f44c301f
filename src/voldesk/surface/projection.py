"""The arbitrage-free SVI surface nearest to a given one.

Nearest: least root-mean-square distance in total variance over |k| <= reach, at evenly spaced points; with several
slices each counts relative to its own mean total variance, so that maturities weigh alike. Butterflies and crossings are
penalised with rising weights and falling margins (`joint_kernels`); of the slices on the way that `svi_kernels` proves free
on the whole line, the nearest is taken. The constraint set is not convex, so "nearest" is what descent from the given
surface finds; tests hold it against a general optimiser.
Source of the task: Gatheral & Jacquier (2014), sec. 5.1, who repair a slice by moving two of its parameters; here all move.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled
from voldesk.core.errors import InputError
from voldesk.surface.chain_kernels import is_free, separate
from voldesk.surface.fit_kernels import FADE, MAX_STEPS, SETTINGS
from voldesk.surface.joint_kernels import (
    G_MARGIN,
    G_WEIGHT,
    GAP_MARGIN,
    GAP_WEIGHT,
    own_grid,
    pair_grid,
    refine_jointly,
)
from voldesk.surface.slice_kernels import (
    LEFT,
    MID,
    PER,
    POINT_WIDTH,
    PULL,
    RIGHT,
    VERTEX,
    WIDTH,
    K,
    to_raw,
    to_wings,
)
from voldesk.surface.svi_kernels import SIGMA, B, total_variance

_POINTS: Final = 121
_OWN: Final = 200
_PAIR: Final = 220
_ROUNDS: Final = 9
# Residuals are kept this small so that only the square of the loss is felt, not its wall at one.
_SMALL: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Projection:
    """params: (n, 5) or (5,), as given, free of arbitrage. distance: per slice, root-mean-square move of total variance
    over |k| <= reach. moved: False where the given surface was free already and is returned unchanged."""

    params: FloatArray
    distance: FloatArray
    moved: bool


@compiled
def _distance(given: FloatArray, p: FloatArray, points: FloatArray) -> float:
    total = 0.0
    for i in range(points.shape[0]):
        miss = total_variance(points[i, K], given) - total_variance(points[i, K], p)
        total += miss * miss
    return math.sqrt(total / points.shape[0])


@compiled
def _project(given: FloatArray, reach: float, p: FloatArray, distance: FloatArray) -> None:
    n = given.shape[0]
    points, span, tau = np.zeros((n * _POINTS, POINT_WIDTH)), np.empty((n, 2), np.int64), np.zeros(n)
    q, trial, boxes = np.empty((n, 5)), np.empty((n, 5)), np.empty((n, 2, 5))
    own, pairs = np.empty((n, _OWN)), np.empty((max(n - 1, 0), _PAIR))
    scale = np.zeros(n)
    for i in range(n):
        span[i, 0], span[i, 1] = i * _POINTS, (i + 1) * _POINTS
        rows = points[span[i, 0] : span[i, 1]]
        for j in range(_POINTS):
            rows[j, K] = reach * (2.0 * j / (_POINTS - 1) - 1.0)
            rows[j, MID] = total_variance(rows[j, K], given[i])
            scale[i] += abs(rows[j, MID]) / _POINTS
        rows[:, PER] = _SMALL / scale[i]
        rows[:, PULL] = 1.0 / (_SMALL * _SMALL)
        to_wings(given[i], q[i])
        boxes[i, 0], boxes[i, 1] = -math.inf, math.inf
        boxes[i, 0, RIGHT] = boxes[i, 0, LEFT] = 1e-6 * scale[i]
        boxes[i, 1, RIGHT] = boxes[i, 1, LEFT] = 2.0 - 1e-9
        boxes[i, 0, VERTEX], boxes[i, 1, VERTEX] = min(-2.0 * reach, q[i, VERTEX]), max(2.0 * reach, q[i, VERTEX])
        boxes[i, 0, WIDTH], boxes[i, 1, WIDTH] = min(1e-3, q[i, WIDTH]), max(10.0 * reach, q[i, WIDTH])
        own_grid(rows, own[i])
        if i > 0:
            pair_grid(rows, rows, pairs[i - 1])
    settings, limits = np.zeros(SETTINGS), np.empty(4)
    settings[FADE], settings[MAX_STEPS] = 1.0, 200.0
    best = math.inf
    for i in range(_ROUNDS):
        limits[G_MARGIN], limits[GAP_MARGIN] = 1e-2 * 0.4**i, 2e-3 * 0.4**i
        limits[G_WEIGHT] = limits[GAP_WEIGHT] = 4.0**i
        refine_jointly(q, points, span, tau, boxes, own, pairs, limits, settings)
        for j in range(n):
            to_raw(q[j], trial[j])
        if not is_free(trial):
            continue
        total = 0.0
        for j in range(n):
            total += (_distance(given[j], trial[j], points[span[j, 0] : span[j, 1]]) / scale[j]) ** 2
        if total < best:
            best = total
            p[:] = trial
    if best == math.inf:
        p[:] = trial
        separate(p, np.zeros(n))
    for j in range(n):
        distance[j] = _distance(given[j], p[j], points[span[j, 0] : span[j, 1]])


def project_arbitrage_free(params: ArrayLike, reach: float = 1.5) -> Projection:
    """Nearest SVI slices without butterfly or calendar arbitrage, proved on the whole line.

    params: raw SVI (a, b, rho, m, sigma), shape (5,) or (n, 5) in order of maturity. They may have negative variance or
    wings beyond Lee's bound. reach: log-moneyness over which distance is measured.
    Raises InputError where a slice is not five finite numbers with b > 0, |rho| < 1 and sigma > 0.

    Axel Vogt's slice (Gatheral & Jacquier 2014, example 3.1):

    >>> found = project_arbitrage_free([-0.0410, 0.1331, 0.3060, 0.3586, 0.4153])
    >>> found.moved, bool(found.distance < 0.003)
    (True, True)
    """
    rows = np.array(params, np.float64)
    if rows.ndim not in (1, 2) or rows.shape[-1] != 5 or not rows.size:
        raise InputError(f"params has shape {rows.shape}; expected (5,) or (n, 5): a, b, rho, m, sigma.")
    if not reach > 0.0:
        raise InputError(f"reach={reach}; expected a positive log-moneyness such as 1.5.")
    given = rows.reshape(-1, 5)
    sound = np.isfinite(given).all(axis=1) & (given[:, B] > 0.0) & (np.abs(given[:, 2]) < 1.0) & (given[:, SIGMA] > 0.0)
    if not sound.all():
        at = int(np.flatnonzero(~sound)[0])
        raise InputError(f"slice {at} is {given[at].tolist()}; expected finite numbers, b > 0, |rho| < 1, sigma > 0.")
    if is_free(given) and bool(np.all(given[:, B] * (1.0 + np.abs(given[:, 2])) <= 2.0)):
        return Projection(rows, np.zeros(rows.shape[:-1]), False)
    found, distance = np.empty_like(given), np.empty(given.shape[0])
    _project(given, reach, found, distance)
    return Projection(found.reshape(rows.shape), distance.reshape(rows.shape[:-1]), True)

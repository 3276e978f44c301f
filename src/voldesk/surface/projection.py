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
from voldesk.core.errors import InputError
from voldesk.surface.chain import raw_variance, separate
from voldesk.surface.chain_kernels import is_free
from voldesk.surface.fit_kernels import FADE, MAX_STEPS, SETTINGS
from voldesk.surface.joint_kernels import (
    DIPS,
    G_MARGIN,
    G_WEIGHT,
    GAP_MARGIN,
    GAP_WEIGHT,
    lay_grids,
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
    to_wings,
)
from voldesk.surface.svi_kernels import SIGMA, B

_POINTS: Final = 121
_OWN: Final = 200 + DIPS
_PAIR: Final = 220 + DIPS
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


def _project(given: FloatArray, reach: float) -> tuple[FloatArray, FloatArray]:
    """Slices free of arbitrage near the given ones, and their distances."""
    n = given.shape[0]
    k = reach * np.linspace(-1.0, 1.0, _POINTS)
    target = raw_variance(given, k)
    scale = np.mean(np.abs(target), axis=1)
    points = np.zeros((n, _POINTS, POINT_WIDTH))
    points[:, :, K], points[:, :, MID] = k, target
    points[:, :, PER], points[:, :, PULL] = _SMALL / scale[:, None], 1.0 / (_SMALL * _SMALL)
    rows = points.reshape(-1, POINT_WIDTH)
    span = _POINTS * (np.arange(n)[:, None] + np.arange(2))
    q, p = np.empty((n, 5)), np.empty((n, 5))
    for i in range(n):
        to_wings(given[i], q[i])
    boxes = np.empty((n, 2, 5))
    boxes[:, 0], boxes[:, 1] = -math.inf, math.inf
    boxes[:, 0, [RIGHT, LEFT]], boxes[:, 1, [RIGHT, LEFT]] = 1e-6 * scale[:, None], 2.0 - 1e-9
    boxes[:, 0, VERTEX], boxes[:, 1, VERTEX] = (
        np.minimum(-2.0 * reach, q[:, VERTEX]),
        np.maximum(2.0 * reach, q[:, VERTEX]),
    )
    boxes[:, 0, WIDTH], boxes[:, 1, WIDTH] = np.minimum(1e-3, q[:, WIDTH]), np.maximum(10.0 * reach, q[:, WIDTH])
    own, pairs = lay_grids(rows, span, _OWN, _PAIR)
    settings, limits = np.zeros(SETTINGS), np.empty(4)
    settings[FADE], settings[MAX_STEPS] = 1.0, 200.0
    best, found = math.inf, p
    for i in range(_ROUNDS):
        limits[G_MARGIN], limits[GAP_MARGIN] = 1e-2 * 0.4**i, 2e-3 * 0.4**i
        limits[G_WEIGHT] = limits[GAP_WEIGHT] = 4.0**i
        refine_jointly(q, rows, span, np.zeros(n), boxes, own, pairs, limits, settings, p)
        if is_free(p):
            total = float(np.sum(np.mean((raw_variance(p, k) - target) ** 2, axis=1) / scale**2))
            if total < best:
                best, found = total, p.copy()
    if best == math.inf:
        separate(p, 1.0)
    return found, np.sqrt(np.mean((raw_variance(found, k) - target) ** 2, axis=1))


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
    found, distance = _project(given, reach)
    return Projection(found.reshape(rows.shape), distance.reshape(rows.shape[:-1]), True)

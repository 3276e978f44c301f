"""Least-squares SVI of given total variances: many slices in one call, from nothing.

Source: De Marco & Martini (2009) for the reduction to two numbers; see `start_kernels`. This is the plain fit that other
libraries offer. It knows neither bid nor ask nor arbitrage: for quotes take `fit.fit_surface`, for slices with arbitrage
`projection.project_arbitrage_free`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled
from voldesk.core.errors import InputError
from voldesk.surface.slice_kernels import LEFT, LEVEL, RIGHT, VERTEX, WIDTH, to_raw
from voldesk.surface.start_kernels import least_squares

_OK: Final = 0
_FEW_POINTS: Final = 1
_NOT_CONVERGED: Final = 2


class SliceStatus(IntEnum):
    """Why a slice is there or not; its numbers are NaN for everything but OK."""

    OK = _OK
    FEW_POINTS = _FEW_POINTS  # fewer than five points with a positive weight
    NOT_CONVERGED = _NOT_CONVERGED


_LEAST_POINTS: Final = 5
_STEPS: Final = 100
_TOLERANCE: Final = 1e-9


@compiled
def _fit_rows(k: FloatArray, w: FloatArray, weight: FloatArray, params: FloatArray, status: NDArray[np.int8]) -> None:
    points = k.shape[1]
    used_k, used_w, used_weight = np.empty(points), np.empty(points), np.empty(points)
    box, q = np.empty((2, 5)), np.empty(5)
    for j in range(k.shape[0]):
        count = 0
        low, high = np.inf, -np.inf
        for i in range(points):
            if weight[j, i] > 0.0 and np.isfinite(k[j, i]) and np.isfinite(w[j, i]):
                used_k[count], used_w[count], used_weight[count] = k[j, i], w[j, i], weight[j, i]
                low, high = min(low, k[j, i]), max(high, k[j, i])
                count += 1
        params[j] = np.nan
        status[j] = _FEW_POINTS
        reach = high - low
        if count < _LEAST_POINTS or not reach > 0.0:
            continue
        box[0, LEVEL], box[1, LEVEL] = -np.inf, np.inf
        box[0, RIGHT] = box[0, LEFT] = 1e-9
        box[1, RIGHT] = box[1, LEFT] = 2.0
        box[0, VERTEX], box[1, VERTEX] = low - reach, high + reach
        box[0, WIDTH], box[1, WIDTH] = 1e-4 * reach, 10.0 * reach
        status[j] = _NOT_CONVERGED
        if least_squares(used_k[:count], used_w[:count], used_weight[:count], box, _STEPS, _TOLERANCE, q):
            to_raw(q, params[j])
            status[j] = _OK


def fit_slices(k: ArrayLike, w: ArrayLike, weight: ArrayLike = 1.0) -> tuple[FloatArray, NDArray[np.int8]]:
    """Raw SVI (a, b, rho, m, sigma) of each slice by weighted least squares in total variance, and a status per slice.

    k: log-moneyness, w: total variance iv^2 tau, weight: shapes that broadcast to (slices, points) or (points,); rows of
    unequal length are filled up with NaN or weight zero. Weights 1 / (2 iv tau x half-spread in vol)^2 make it a
    fit in half-spreads.
    Returns shape (slices, 5), or (5,), and status likewise. Wings are kept within Lee's bound of 2.

    >>> import numpy as np
    >>> k = np.linspace(-0.5, 0.5, 11)
    >>> params, status = fit_slices(k, 0.04 + 0.1 * (-0.3 * (k - 0.02) + np.sqrt((k - 0.02) ** 2 + 0.04)))
    >>> params.round(6).tolist(), int(status)
    ([0.04, 0.1, -0.3, 0.02, 0.2], 0)
    """
    columns = np.broadcast_arrays(*(np.asarray(column, np.float64) for column in (k, w, weight)))
    shape = columns[0].shape
    if not 1 <= len(shape) <= 2:
        raise InputError(f"k, w and weight broadcast to shape {shape}; expected (slices, points) or (points,).")
    rows = [np.ascontiguousarray(np.atleast_2d(column)) for column in columns]
    params, status = np.empty((rows[0].shape[0], 5)), np.empty(rows[0].shape[0], np.int8)
    _fit_rows(rows[0], rows[1], rows[2], params, status)
    return params.reshape((*shape[:-1], 5)), status.reshape(shape[:-1])

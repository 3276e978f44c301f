"""Local volatility by Dupire's formula in total-variance form.

Source: Gatheral (2006), "The volatility surface", eq. 1.10, with y = k = log(strike / forward) and w = iv^2 tau:
local variance = w_tau / g, where w_tau is taken at fixed k and g is Durrleman's function, the denominator there.
No derivative of a volatility or of a price is taken. Where g <= 0 (a butterfly) or w_tau < 0 (a calendar spread has a
negative price) there is no local volatility: NaN and the reason.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled
from voldesk.core.errors import InputError
from voldesk.pricing.grids.market import LocalVolGrid

if TYPE_CHECKING:
    from voldesk.surface.reading import VolSurface


class LocalVolStatus(IntEnum):
    OK = 0
    NO_VARIANCE = 1  # no usable slice, tau negative, or an argument that is not a number
    BUTTERFLY = 2  # g <= 0: the surface has a negative density here
    CALENDAR = 3  # total variance falls with tau here


class LocalVol(NamedTuple):
    """Decimal volatility per year, NaN where `status` (LocalVolStatus) is not 0; one shape."""

    local_vol: FloatArray
    status: NDArray[np.int8]


@compiled
def _dupire(k: FloatArray, shape: FloatArray, vol: FloatArray, status: NDArray[np.int8]) -> None:
    for i in range(k.size):
        w, by_k, by_kk, by_tau = shape[0, i], shape[1, i], shape[2, i], shape[3, i]
        vol[i] = math.nan
        if not (w > 0.0 and math.isfinite(by_tau)):
            status[i] = 1
            continue
        bracket = 1.0 - 0.5 * k[i] * by_k / w
        g = bracket * bracket - 0.25 * by_k * by_k * (1.0 / w + 0.25) + 0.5 * by_kk
        if not g > 0.0:
            status[i] = 2
        elif by_tau < 0.0:
            status[i] = 3
        else:
            vol[i] = math.sqrt(by_tau / g)
            status[i] = 0


def dupire(k: ArrayLike, w: ArrayLike, by_k: ArrayLike, by_kk: ArrayLike, by_tau: ArrayLike) -> LocalVol:
    """Local volatility from total variance w and its derivatives at log-moneyness k; arguments broadcast.

    >>> float(dupire(0.1, 0.04, 0.0, 0.0, 0.04).local_vol)
    0.2
    """
    columns = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (k, w, by_k, by_kk, by_tau)))
    size = columns[0].shape
    vol, status = np.empty(size), np.empty(size, np.int8)
    shape = np.stack([np.ravel(c) for c in columns[1:]])
    _dupire(columns[0].flatten(), shape, vol.reshape(-1), status.reshape(-1))
    return LocalVol(vol, status)


def local_vol_grid(surface: VolSurface, times: ArrayLike, spots: ArrayLike) -> LocalVolGrid:
    """Local volatility of any surface as the finite-difference and Monte Carlo pricers take it.

    times: years from now, rising, (m,); 0 stands for the limit. spots: rising, (n,), in currency.
    Raises InputError where the surface has no local volatility at one of the points, saying where and why.
    """
    years, nodes = np.asarray(times, np.float64), np.asarray(spots, np.float64)
    found = surface.local_vol(nodes[None, :], years[:, None])
    if found.status.any():
        i, j = np.argwhere(found.status)[0]
        reason = LocalVolStatus(int(found.status[i, j])).name.lower()
        raise InputError(
            f"no local volatility ({reason}) at {np.count_nonzero(found.status)} of {found.status.size} points, first at"
            f" time={years[i]:.4g}, spot={nodes[j]:.6g}; use a surface without arbitrage or fewer points."
        )
    return LocalVolGrid.sample(lambda spot, time: surface.local_vol(spot, time).local_vol, years, nodes)

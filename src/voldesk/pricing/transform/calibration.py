"""Fit of Heston, Bates and Merton parameters to the implied volatilities of a chain.

Levenberg-Marquardt with the analytic gradient (Cui, del Bano Rollin & Germano 2017, "Full and fast calibration of the
Heston stochastic volatility model", EJOR 263), all expiries at once; see `calibration_kernels` for residuals and
bounds. Starts come from the term structure of variance, slope and curvature at the money; Bates starts from the Heston
fit. Reached through `heston.calibrate`, `bates.calibrate`, `merton.calibrate`.

kappa, theta and xi of a chain are poorly told apart (a valley of nearly equal fits); `rmse` and `worst` say how good
the fit is, not how certain a parameter.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.errors import InputError
from voldesk.pricing.transform import calibration_kernels as kernels
from voldesk.pricing.transform.fourier import by_expiry
from voldesk.pricing.transform.fourier_kernels import JUMP_INTENSITY, PARAMETERS, THETA, V0


class CalibrationStatus(enum.IntEnum):
    """How a calibration ended. CONVERGED alone is accepted: finite, no parameter on a bound, nothing left to gain."""

    CONVERGED = kernels.CONVERGED
    AT_BOUND = kernels.AT_BOUND
    ITERATION_LIMIT = kernels.ITERATION_LIMIT
    NOT_FINITE = kernels.NOT_FINITE
    TOO_FEW_QUOTES = 4


P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Calibration(Generic[P]):
    """Parameters and how good they are. `params` is None where no search was possible (NOT_FINITE, TOO_FEW_QUOTES).

    rmse, worst: of the misses in volatility (0.01 is one vol point), unweighted, to first order: (model - quoted price)
    / vega, vega floored at 2 % of its at-the-money value. iterations: passes with a gradient in the search that won.
    quotes: how many were usable.
    """

    params: P | None
    status: CalibrationStatus
    rmse: float
    worst: float
    iterations: int
    quotes: int

    @property
    def accepted(self) -> bool:
        """Converged, finite and inside the bounds."""
        return self.status == CalibrationStatus.CONVERGED


class Fit(NamedTuple):
    """A model's row and how it was reached; fields as in `Calibration`."""

    model: FloatArray
    status: CalibrationStatus
    rmse: float
    worst: float
    iterations: int
    quotes: int


_MOST: Final = 100
_PERFECT: Final = 1e-7
_JUMPS: Final = np.array(
    [
        [0.2, -0.25, 0.2],
        [1.0, -0.1, 0.12],
        [5.0, -0.05, 0.08],
        [25.0, -0.02, 0.05],
        [1.0, 0.1, 0.12],
        [10.0, 0.03, 0.08],
    ]
)
_LEAST: Final = {kernels.HESTON: 6, kernels.BATES: 9, kernels.MERTON: 5}


class _Chain(NamedTuple):
    starts: IntArray
    tau: FloatArray
    x: FloatArray
    vol: FloatArray
    target: FloatArray
    inverse_vega: FloatArray
    scale: FloatArray


def _chain(
    forward: ArrayLike, strike: ArrayLike, tau: ArrayLike, implied_vol: ArrayLike, half_spread: ArrayLike
) -> _Chain:
    """Usable quotes, sorted by expiry."""
    columns = [np.asarray(c, np.float64) for c in (forward, strike, tau, implied_vol, half_spread)]
    if columns[3].size and np.nanmedian(columns[3]) > 5.0:
        median = float(np.nanmedian(columns[3]))
        raise InputError(
            f"implied_vol={median:g} (median) looks like per cent; expected decimals like 0.65, divide by 100."
        )
    F, K, t, vol, half = (c.ravel() for c in np.broadcast_arrays(*columns))
    good = (F > 0.0) & (K > 0.0) & (t > 0.0) & (vol > 0.0) & (half > 0.0)
    good &= np.isfinite(F) & np.isfinite(K) & np.isfinite(t) & np.isfinite(vol) & np.isfinite(half)
    F, K, t, vol, half = F[good], K[good], t[good], vol[good], half[good]
    order, starts = by_expiry(t)
    x, vol = np.log(F / K)[order], vol[order]
    expiries = t[order][starts[:-1]]
    target, inverse_vega = np.empty(x.size), np.empty(x.size)
    kernels.quote_terms(starts, expiries, x, vol, target, inverse_vega)
    return _Chain(starts, expiries, x, vol, target, inverse_vega, inverse_vega / half[order])


def _search(kind: int, model: FloatArray, chain: _Chain) -> Fit:
    out = np.empty(chain.x.size)
    status, used = kernels.search(kind, model, chain.starts, chain.tau, chain.x, chain.target, chain.scale, _MOST, out)
    misses = out / chain.scale * chain.inverse_vega
    rmse, worst = math.sqrt(float(np.mean(misses * misses))), float(np.max(np.abs(misses)))
    if status == kernels.NOT_FINITE:
        rmse = worst = math.nan
    return Fit(model, CalibrationStatus(status), rmse, worst, used, chain.x.size)


def _candidates(kind: int, chain: _Chain) -> FloatArray:
    models = np.empty((5 if kind == kernels.HESTON else len(_JUMPS), PARAMETERS))
    order = kernels.start(kind, chain.starts, chain.tau, chain.x, chain.vol, chain.target, chain.scale, _JUMPS, models)
    ranked: FloatArray = models[order]
    return ranked


def _better(fits: list[Fit]) -> Fit:
    """Converged before anything else, then the smaller miss."""
    return min(fits, key=lambda fit: (fit.status != CalibrationStatus.CONVERGED, math.isnan(fit.rmse), fit.rmse))


def fit(
    kind: int,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    implied_vol: ArrayLike,
    half_spread: ArrayLike = 1.0,
) -> Fit:
    """Model of `kind` (HESTON, BATES or MERTON of `calibration_kernels`) nearest to the quotes.

    Arguments broadcast. implied_vol: decimals; a quote that is not finite or not positive is left out. half_spread: in
    volatility, the size of a tolerable miss; residuals are weighed by its inverse. Raises InputError for volatilities in
    per cent.
    """
    chain = _chain(forward, strike, tau, implied_vol, half_spread)
    if chain.x.size < _LEAST[kind]:
        nothing = np.full(PARAMETERS, np.nan)
        return Fit(nothing, CalibrationStatus.TOO_FEW_QUOTES, math.nan, math.nan, 0, chain.x.size)
    if kind == kernels.BATES:
        smooth = fit(kernels.HESTON, forward, strike, tau, implied_vol, half_spread).model
        models = _with_jumps(smooth)
    else:
        models = _candidates(kind, chain)[:3]
    fits: list[Fit] = []
    for model in models:
        fits.append(_search(kind, model, chain))
        converged = fits[-1].status == CalibrationStatus.CONVERGED
        # Jumps have several minima, so only a perfect fit ends the search; Heston has one.
        if converged and (kind == kernels.HESTON or fits[-1].rmse < _PERFECT):
            break
    return _better(fits)


def _with_jumps(model: FloatArray) -> FloatArray:
    """Starts for Bates: a Heston model with part of its variance handed to jumps of several sizes."""
    models = np.tile(model, (len(_JUMPS), 1))
    models[:, JUMP_INTENSITY:] = _JUMPS
    jump_variance = _JUMPS[:, 0] * (_JUMPS[:, 1] ** 2 + _JUMPS[:, 2] ** 2)
    level = max(0.5 * float(model[V0] + model[THETA]), 1e-4)
    models[:, [V0, THETA]] *= np.maximum(1.0 - jump_variance / level, 0.4)[:, np.newaxis]
    return models


def calibrate(
    kind: int,
    build: Callable[[FloatArray], P],
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    implied_vol: ArrayLike,
    half_spread: ArrayLike,
) -> Calibration[P]:
    """`fit`, with `build` making the parameters from a model's row."""
    model, status, rmse, worst, iterations, quotes = fit(kind, forward, strike, tau, implied_vol, half_spread)
    params = build(model) if math.isfinite(rmse) and np.isfinite(model).all() else None
    return Calibration(params, status, rmse, worst, iterations, quotes)

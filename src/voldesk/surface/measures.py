"""What a desk reads off a surface: at-the-money term structure, risk reversal, butterfly, skew, range and convexity, and
curves to draw. Any form of surface will do.

Deltas are forward Black deltas N(d1) of the undiscounted, linear option; "at the money" is at the forward (k = 0);
moneyness is strike / forward. All volatilities are decimals per year.
Sources: Gatheral (2006), "The volatility surface", ch. 3; risk reversal and butterfly as in Wystup (2006), "FX options
and structured products", sec. 1.4, in volatility, not in premium.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.errors import InputError
from voldesk.pricing.broadcast import call_flags
from voldesk.pricing.normal import quantile
from voldesk.surface.reading import VolSurface


class TermStructure(NamedTuple):
    """Per usable expiry, rising. `forward_vol` is the at-the-money volatility between the previous expiry (or now) and
    this one."""

    expiry_ns: IntArray
    tau: FloatArray
    atm_iv: FloatArray
    forward_vol: FloatArray


class WingMeasures(NamedTuple):
    """Per usable expiry: call vol - put vol, their mean - at-the-money vol, and the two strikes as log-moneyness."""

    expiry_ns: IntArray
    risk_reversal: FloatArray
    butterfly: FloatArray
    k_put: FloatArray
    k_call: FloatArray


class SmileShape(NamedTuple):
    """Per usable expiry. skew: volatility at the low moneyness minus at the high one; smile_range: highest minus lowest
    volatility between them; convexity: mean of the two ends minus at-the-money."""

    expiry_ns: IntArray
    tau: FloatArray
    skew: FloatArray
    smile_range: FloatArray
    convexity: FloatArray


class SmileCurve(NamedTuple):
    """Log-moneyness, strike and volatility, one row each."""

    k: FloatArray
    strike: FloatArray
    implied_vol: FloatArray


class TermCurve(NamedTuple):
    """Years, forward and volatility, one row each."""

    tau: FloatArray
    forward: FloatArray
    implied_vol: FloatArray


class SmileFactors(NamedTuple):
    """Per expiry, rising: vol = level + skew k + curvature k^2 by weighted least squares; NaN under three strikes.

    `rmse` is the weighted root mean squared residual, decimal vol.
    """

    expiry_ns: IntArray
    level: FloatArray
    skew: FloatArray
    curvature: FloatArray
    rmse: FloatArray
    quotes: IntArray


def term_structure(surface: VolSurface) -> TermStructure:
    """At-the-money term structure of the usable expiries."""
    tau = surface.tau
    variance = surface.total_variance(np.zeros(tau.shape), tau)
    steps = np.diff(variance, prepend=0.0) / np.diff(tau, prepend=0.0)
    return TermStructure(surface.expiry_ns, tau, np.sqrt(variance / tau), np.sqrt(steps))


def delta_moneyness(surface: VolSurface, tau: ArrayLike, delta: ArrayLike, is_call: ArrayLike) -> FloatArray:
    """Log-moneyness of the strike whose forward delta has the size `delta`, 0 < delta < 1; the arguments broadcast.

    Newton's method on d1 inside a bracket: d1 falls in k where there are no butterflies (Fukasawa 2012). NaN where the
    surface has no value. Raises InputError for other sizes.
    """
    years, size, calls = np.broadcast_arrays(
        np.asarray(tau, np.float64), np.asarray(delta, np.float64), call_flags(is_call)
    )
    if not np.all((size > 0.0) & (size < 1.0)):
        raise InputError(
            f"delta={size[~((size > 0.0) & (size < 1.0))].flat[0]}; expected a size between 0 and 1, such as 0.25."
        )
    target = np.array([quantile(d if call else 1.0 - d) for d, call in zip(size.flat, calls.flat, strict=True)])
    target = target.reshape(size.shape)
    low, high = np.full(size.shape, -1.0), np.full(size.shape, 1.0)
    for _ in range(12):
        short = _d1(surface, low, years)[0] < target, _d1(surface, high, years)[0] > target
        if not np.any(short):
            break
        low, high = np.where(short[0], 2.0 * low, low), np.where(short[1], 2.0 * high, high)
    k = np.zeros(size.shape)
    for _ in range(60):
        d1, slope = _d1(surface, k, years)
        low, high = np.where(d1 > target, k, low), np.where(d1 > target, high, k)
        step = k - (d1 - target) / slope
        step = np.where((step >= low) & (step <= high), step, 0.5 * (low + high))
        settled = not np.any(np.abs(step - k) > 1e-14 * (np.abs(k) + 0.01))
        k = step
        if settled:
            break
    return np.where(np.isfinite(d1), k, np.nan)


def _d1(surface: VolSurface, k: FloatArray, tau: FloatArray) -> tuple[FloatArray, FloatArray]:
    """d1 and its derivative in k."""
    w, by_k, _, _ = surface.variance_shape(k, tau)
    root = np.sqrt(w)
    return -k / root + 0.5 * root, -1.0 / root + 0.5 * by_k * (k / w + 0.5) / root


def wings(surface: VolSurface, delta: float = 0.25) -> WingMeasures:
    """Risk reversal and butterfly of every usable expiry at one delta.

    Raises InputError unless 0 < delta < 0.5.
    """
    if not 0.0 < delta < 0.5:
        raise InputError(f"delta={delta}; expected a size between 0 and 0.5, such as 0.25.")
    tau = surface.tau
    k_put, k_call = delta_moneyness(surface, tau[None, :], delta, np.array([[False], [True]]))
    call = np.sqrt(surface.total_variance(k_call, tau) / tau)
    put = np.sqrt(surface.total_variance(k_put, tau) / tau)
    return WingMeasures(surface.expiry_ns, call - put, 0.5 * (call + put) - surface.atm_iv(tau), k_put, k_call)


def smile_shape(surface: VolSurface, low: float = 0.9, high: float = 1.1) -> SmileShape:
    """Skew, range and convexity of every usable expiry between two moneynesses, 90 % and 110 % unless told.

    Raises InputError unless 0 < low < 1 < high.

    >>> from voldesk.surface.fit import fit_surface
    >>> from voldesk.surface.warm import example_quotes
    >>> bool(smile_shape(fit_surface(example_quotes(), 0, "X")).skew[0] > 0.0)
    True
    """
    if not 0.0 < low < 1.0 < high:
        raise InputError(f"low={low}, high={high}; expected moneyness on both sides of 1, such as 0.9 and 1.1.")
    tau = surface.tau[:, None]
    k = np.linspace(math.log(low), math.log(high), 201)
    vol = np.sqrt(surface.total_variance(k[None, :], tau) / tau)
    centre = surface.atm_iv(surface.tau)
    # The lowest and highest volatility are sought among the points and the forward.
    spread = np.maximum(vol.max(axis=1), centre) - np.minimum(vol.min(axis=1), centre)
    ends = vol[:, 0], vol[:, -1]
    return SmileShape(surface.expiry_ns, surface.tau, ends[0] - ends[1], spread, 0.5 * (ends[0] + ends[1]) - centre)


def smile_curve(surface: VolSurface, expiry_or_tau: int | float, k: ArrayLike | None = None) -> SmileCurve:
    """One smile to draw: at log-moneyness k, or at 101 points within three deviations of the forward."""
    tau = float(surface.years(expiry_or_tau))
    atm = float(surface.atm_iv(tau))
    points = np.linspace(-3.0, 3.0, 101) * atm * math.sqrt(tau) if k is None else np.asarray(k, np.float64).reshape(-1)
    forward = float(surface.forward(tau))
    vol = np.sqrt(surface.total_variance(points, tau) / tau)
    return SmileCurve(points, forward * np.exp(points), vol)


def term_curve(surface: VolSurface, tau: ArrayLike | None = None, k: float = 0.0) -> TermCurve:
    """Volatility at one log-moneyness against maturity, to draw: at tau, or at 200 points up to the last expiry."""
    if tau is None:
        last = float(surface.tau[-1]) if surface.tau.size else math.nan
        years = np.linspace(0.005, 1.0, 200) * last
    else:
        years = np.asarray(tau, np.float64).reshape(-1)
    return TermCurve(years, surface.forward(years), np.sqrt(surface.total_variance(k, years) / years))


def smile_factors(expiry_ns: IntArray, k: FloatArray, iv: FloatArray, weight: FloatArray) -> SmileFactors:
    """Level, skew (per unit of k) and curvature (per unit of k^2) of each expiry from marked or quoted volatilities.

    expiry_ns, k = log(strike / forward), iv, weight: shape (n,). Rows with a NaN or a weight that is not positive are
    left out. The same k and weights before and after a move give factor moves that explain its common part.
    """
    usable = np.isfinite(k) & np.isfinite(iv) & (weight > 0.0)
    expiries = np.unique(expiry_ns)
    out = np.full((4, expiries.size), np.nan)
    counts = np.zeros(expiries.size, np.int64)
    for j, expiry in enumerate(expiries):
        rows = np.flatnonzero(usable & (expiry_ns == expiry))
        counts[j] = rows.size
        if np.unique(k[rows]).size < 3:
            continue
        points, root = k[rows], np.sqrt(weight[rows])
        unit = float(np.max(np.abs(points)))  # so that k and k^2 are of one size
        scaled = points / unit
        design = np.column_stack([np.ones(rows.size), scaled, scaled * scaled])
        beta = np.linalg.lstsq(design * root[:, None], iv[rows] * root, rcond=None)[0]
        residual = iv[rows] - design @ beta
        out[:, j] = (
            beta[0],
            beta[1] / unit,
            beta[2] / unit**2,
            math.sqrt(float(np.average(residual**2, weights=weight[rows]))),
        )
    return SmileFactors(expiries, out[0], out[1], out[2], out[3], counts)

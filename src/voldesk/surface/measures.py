"""What a desk reads off a surface: at-the-money term structure, risk reversal, butterfly, level, skew and curvature.

Deltas are forward Black deltas N(d1) of the undiscounted, linear option; "at the money" is at the forward (k = 0).
Sources: Gatheral (2006), "The volatility surface", ch. 3; risk reversal and butterfly as in Wystup (2006), "FX options
and structured products", sec. 1.4, in volatility, not in premium.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.core.errors import InputError
from voldesk.pricing.normal import cdf
from voldesk.surface.fitted import Surface
from voldesk.surface.svi_kernels import total_variance


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


def term_structure(surface: Surface) -> TermStructure:
    """At-the-money term structure of the usable expiries."""
    tau = surface.tau
    variance = surface.total_variance(np.zeros(tau.shape), tau)
    steps = np.diff(variance, prepend=0.0) / np.diff(tau, prepend=0.0)
    expiry = np.array([s.expiry_ns for s in surface.usable], np.int64)
    return TermStructure(expiry, tau, np.sqrt(variance / tau), np.sqrt(steps))


@compiled
def delta_moneyness(p: FloatArray, delta: float, is_call: bool) -> float:
    """Log-moneyness of the strike whose forward delta has the given size, 0 < delta < 1, on one SVI slice p.

    Bisection: N(d1) falls in k on a slice without butterflies (Fukasawa 2012).
    """
    target = delta if is_call else 1.0 - delta
    low, high = -1.0, 1.0
    for _ in range(12):
        w = total_variance(low, p)
        if cdf(-low / math.sqrt(w) + 0.5 * math.sqrt(w)) >= target:
            break
        low *= 2.0
    for _ in range(12):
        w = total_variance(high, p)
        if cdf(-high / math.sqrt(w) + 0.5 * math.sqrt(w)) <= target:
            break
        high *= 2.0
    for _ in range(80):
        k = 0.5 * (low + high)
        w = total_variance(k, p)
        if cdf(-k / math.sqrt(w) + 0.5 * math.sqrt(w)) > target:
            low = k
        else:
            high = k
    return 0.5 * (low + high)


def wings(surface: Surface, delta: float = 0.25) -> WingMeasures:
    """Risk reversal and butterfly of every usable expiry at one delta.

    Raises InputError unless 0 < delta < 0.5.
    """
    if not 0.0 < delta < 0.5:
        raise InputError(f"delta={delta}; expected a size between 0 and 0.5, such as 0.25.")
    smiles = surface.smiles()
    k_call = np.array([delta_moneyness(s.svi.row(), delta, True) for s in smiles])
    k_put = np.array([delta_moneyness(s.svi.row(), delta, False) for s in smiles])
    tau = surface.tau
    call = np.sqrt(surface.total_variance(k_call, tau) / tau)
    put = np.sqrt(surface.total_variance(k_put, tau) / tau)
    expiry = np.array([s.expiry_ns for s in smiles], np.int64)
    return WingMeasures(expiry, call - put, 0.5 * (call + put) - surface.atm_iv(tau), k_put, k_call)


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

"""Raw SVI: the total implied variance of one expiry in five numbers.

Source: Gatheral & Jacquier (2014), "Arbitrage-free SVI volatility surfaces", sec. 3.1 (raw form), Lemma 2.2 (Durrleman);
Lee (2004), "The moment formula for implied volatility at extreme strikes": wings of slope at most 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled
from voldesk.core.errors import InputError
from voldesk.surface import svi_kernels as kernels


@dataclass(frozen=True, slots=True)
class SviRaw:
    """w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)), k = log(strike / forward), w = iv^2 tau.

    Raises InputError where b < 0, |rho| >= 1, sigma <= 0, the smallest variance is negative, or a wing is steeper than
    Lee's bound b (1 + |rho|) <= 2. Butterflies may still be negative: ask `is_butterfly_free`.
    """

    a: float
    b: float
    rho: float
    m: float
    sigma: float

    def __post_init__(self) -> None:
        for name in ("a", "b", "rho", "m", "sigma"):
            if not math.isfinite(getattr(self, name)):
                raise InputError(f"{name}={getattr(self, name)} of an SVI slice; expected a finite number.")
        if self.b < 0.0:
            raise InputError(f"b={self.b} of an SVI slice; expected zero or more (the wings point up).")
        if abs(self.rho) >= 1.0:
            raise InputError(f"rho={self.rho} of an SVI slice; expected it strictly between -1 and 1.")
        if self.sigma <= 0.0:
            raise InputError(f"sigma={self.sigma} of an SVI slice; expected a positive width.")
        if self.min_variance() < 0.0:
            raise InputError(f"a={self.a} makes the least variance {self.min_variance():.3g}; raise a to make it >= 0.")
        if self.b * (1.0 + abs(self.rho)) > 2.0:
            raise InputError(f"b(1+|rho|)={self.b * (1.0 + abs(self.rho)):.4g}; expected at most 2 (Lee's wing bound).")

    def row(self) -> FloatArray:
        """(a, b, rho, m, sigma) as the kernels take it."""
        return np.array([self.a, self.b, self.rho, self.m, self.sigma])

    def min_variance(self) -> float:
        """Smallest total variance over all k: a + b sigma sqrt(1 - rho^2)."""
        return self.a + self.b * self.sigma * math.sqrt(1.0 - self.rho * self.rho)

    def wing_slopes(self) -> tuple[float, float]:
        """Slopes of w per unit of -k on the far left and of k on the far right; Lee allows 0 to 2 each."""
        return self.b * (1.0 - self.rho), self.b * (1.0 + self.rho)

    def is_butterfly_free(self) -> bool:
        """True where Durrleman's g >= 0 is proved for all k (see `svi_kernels`)."""
        return bool(kernels.is_butterfly_free(self.row()))

    def least_g(self, reach: float = 3.0) -> tuple[float, float]:
        """Smallest Durrleman g over |k| <= reach, and the k where it lies."""
        g, k = kernels.least_durrleman(self.row(), reach)
        return float(g), float(k)


@compiled
def _shape_kernel(k: FloatArray, p: FloatArray, out: FloatArray) -> None:
    for i in range(k.size):
        out[0, i], out[1, i], out[2, i] = kernels.derivatives(k[i], p)
        out[3, i] = kernels.durrleman(k[i], p)


def _shape(k: ArrayLike, p: SviRaw) -> FloatArray:
    points = np.asarray(k, np.float64)
    out = np.empty((4, points.size))
    _shape_kernel(points.reshape(-1), p.row(), out)
    shaped: FloatArray = out.reshape((4, *points.shape))
    return shaped


def total_variance(k: ArrayLike, p: SviRaw) -> FloatArray:
    """Total implied variance of one expiry. k: log(K/F), any shape; returns w = iv^2 tau, same shape.

    >>> round(float(total_variance(0.0, SviRaw(0.04, 0.4, -0.4, 0.1, 0.2))), 12)
    0.1454427191
    """
    w: FloatArray = _shape(k, p)[0]
    return w


def derivatives(k: ArrayLike, p: SviRaw) -> tuple[FloatArray, FloatArray]:
    """First and second derivative of w in k, shape of k."""
    shape = _shape(k, p)
    return shape[1], shape[2]


def durrleman(k: ArrayLike, p: SviRaw) -> FloatArray:
    """g(k) of Gatheral & Jacquier (2014), eq. 2.1: the risk-neutral density is g times a positive factor."""
    g: FloatArray = _shape(k, p)[3]
    return g

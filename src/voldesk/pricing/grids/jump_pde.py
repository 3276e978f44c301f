"""Log-normal jumps on a finite-difference grid: the integral term of Merton's equation, for any exercise style.

    dS / S- = (r - q - intensity m) dt + sigma dW + (e^J - 1) dN,   J ~ Normal(mean, deviation^2),   m = E[e^J] - 1

Sources: Merton (1976); d'Halluin, Forsyth & Vetzal (2005), "Robust numerical methods for contingent claims under jump
diffusion processes", for the implicit step by fixed point. The integral itself is done exactly for the function that is
linear between nodes and beyond the edges: such a function is a sum of calls, and E[(S e^J - a)+] is Black's formula, so
the grid may be any grid and straight lines are kept to rounding.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled, fused
from voldesk.core.errors import InputError
from voldesk.pricing.european.black_kernels import undiscounted


class LogJumps(msgspec.Struct, frozen=True):
    """intensity: jumps per year; mean, deviation: of the log jump.

    Raises InputError for a negative intensity or deviation, or a number that is not finite.

    >>> round(LogJumps(0.5, -0.1, 0.2).mean_return(), 9)
    -0.076883654
    """

    intensity: float
    mean: float
    deviation: float

    def __post_init__(self) -> None:
        for name in ("intensity", "deviation"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise InputError(f"{name}={value} of log jumps; expected zero or more.")
        if not math.isfinite(self.mean):
            raise InputError(f"mean={self.mean} of log jumps; expected the mean of the log jump.")

    def mean_return(self) -> float:
        """E[e^J] - 1."""
        return math.expm1(self.mean + 0.5 * self.deviation**2)

    def row(self) -> FloatArray:
        """The three numbers that kernels take."""
        return np.array([self.intensity, self.mean, self.deviation])


NO_JUMPS = LogJumps(0.0, 0.0, 0.0)


@compiled
def jump_matrix(spots: FloatArray, mean: float, deviation: float, out: FloatArray) -> None:
    """out[j, i] = E[(S_i e^J - S_j)+] of nodes j = 1 ... n - 2; shape (n, n)."""
    growth = math.exp(mean + 0.5 * deviation * deviation)
    for j in range(1, spots.size - 1):
        for i in range(spots.size):
            if spots[i] == 0.0:
                out[j, i] = 0.0
            else:
                out[j, i] = undiscounted(spots[i] * growth, spots[j], 1.0, deviation, True)


@fused
def expected_after_jump(
    spots: FloatArray, values: FloatArray, growth: float, matrix: FloatArray, out: FloatArray
) -> None:
    """E[V(S_i e^J)] of V linear between nodes and beyond both edges. growth: E[e^J]."""
    n = spots.size
    slope = (values[1] - values[0]) / (spots[1] - spots[0])
    for i in range(n):
        out[i] = values[0] + slope * (spots[i] * growth - spots[0])
    for j in range(1, n - 1):
        after = (values[j + 1] - values[j]) / (spots[j + 1] - spots[j])
        kink = after - slope
        slope = after
        row = matrix[j]
        for i in range(n):
            out[i] += kink * row[i]

"""Fixed numbers of the American method: where the exercise boundary is sampled and where its integrals are.

Source: Andersen, Lake & Offengenden (2016), "High-performance American option pricing", sec. 5: the boundary as
H = log(B / X)^2, a polynomial in z = sqrt(u / horizon) through Chebyshev points, H(0) = 0.

Integrals over the age s = tau - u use an angle with sqrt(s) = sqrt(tau) sin(angle), sqrt(u) = sqrt(tau) cos(angle), in
which the integrand is smooth at both ends (the paper's variable keeps the root of u). All positions are then fractions
of the horizon that no option changes, so the polynomial is a fixed matrix.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from voldesk.core.arrays import FloatArray


class Accuracy(Enum):
    """How many points: boundary nodes, points of a boundary integral, points of the value integral; last, the size of
    Newton's step (relative to H) that is taken as the last one.

    Boundary nodes come in eights (one vector register). Error at strike 100 over r, q 2 ... 10 %, sigma 10 ... 60 %, spot
    25 ... 175, 1 month ... 3 years (value 0.5 or more), root mean square and worst: FAST 2e-5 and 6e-4, STANDARD 5e-6 and
    1e-4, FINE 2e-7 and 1e-5, HIGH 8e-8 and 3e-6. Greeks to 1e-4 of themselves take FINE. Total volatility beyond 3, or none to speak of against the drift, costs digits.
    """

    FAST = (8, 6, 16, 3e-2)
    STANDARD = (8, 8, 24, 1e-2)
    FINE = (16, 12, 40, 1e-4)
    HIGH = (16, 24, 48, 1e-5)


class Nodes(NamedTuple):
    """n boundary nodes z_i, descending from 1; l points per integral; columns run over (point, node), node fastest."""

    z: FloatArray  # (n,)
    angle_z: FloatArray  # (l * n,) z_i cos(angle)
    root_age: FloatArray  # (l * n,) sqrt(s / horizon)
    age: FloatArray  # (l * n,) s / horizon
    weight: FloatArray  # (l * n,) ds / horizon
    cardinal: FloatArray  # (n, l * n) H at angle_z from H at the nodes
    coefficients: FloatArray  # (n, n + 1) Chebyshev coefficients of H in 2 z - 1 from H at the nodes: row of node j
    value_point: FloatArray  # (p,) on [0, 1]
    value_weight: FloatArray  # (p,)
    tolerance: float


def _cardinal(nodes: FloatArray, points: FloatArray) -> FloatArray:
    """Lagrange polynomials of `nodes`, one row each, at `points`."""
    rows = np.ones((nodes.size, points.size))
    for j in range(nodes.size):
        for k in range(nodes.size):
            if k != j:
                rows[j] *= (points - nodes[k]) / (nodes[j] - nodes[k])
    return rows


@lru_cache
def nodes_of(accuracy: Accuracy) -> Nodes:
    """The tables of one accuracy, made once."""
    return make_nodes(*accuracy.value)


def make_nodes(n: int, l: int, p: int, tolerance: float) -> Nodes:  # noqa: E741 (the paper's letters)
    """Tables for n boundary nodes, l points of each boundary integral, p of the value integral; n and p in eights."""
    lobatto = np.cos(np.pi * np.arange(n + 1) / n)
    z = 0.5 * (1.0 + lobatto)
    z[n] = 0.0
    x, w = np.polynomial.legendre.leggauss(l)
    angle = 0.25 * np.pi * (x + 1.0)
    angle_z = np.outer(np.cos(angle), z[:n])
    root_age = np.outer(np.sin(angle), z[:n])
    weight = np.outer(0.25 * np.pi * w * 2.0 * np.sin(angle) * np.cos(angle), z[:n] ** 2)
    values = np.polynomial.chebyshev.chebvander(lobatto, n)  # rows: nodes; columns: coefficients
    coefficients = np.linalg.inv(values).T[:n]
    x, w = np.polynomial.legendre.leggauss(p)
    return Nodes(
        z[:n].copy(),
        angle_z.reshape(-1),
        root_age.reshape(-1),
        (root_age**2).reshape(-1),
        weight.reshape(-1),
        np.ascontiguousarray(_cardinal(z, angle_z.reshape(-1))[:n]),
        np.ascontiguousarray(coefficients),
        0.5 * (1.0 + x),
        0.5 * w,
        tolerance,
    )

"""Chance for Monte Carlo: scrambled Sobol points or pseudo-random ones, the normal quantile, the Brownian bridge.

Sobol points: direction numbers of Joe & Kuo (2008), "Constructing Sobol sequences with better two-dimensional
projections", as scipy.stats.qmc has them; scrambled by a random lower-triangular matrix and a digital shift
(Matousek 1998, "On the L2-discrepancy for anchored boxes"), which keeps the net and makes each point uniform, so that
the mean over independent scramblings is unbiased (Owen 1997).

Draws are uint32: u = (draw + 1/2) / 2^32. The antithetic point 1 - u is the bit complement, exactly. Arrays are
(dimension, path), so that code over paths is contiguous.

`normals`: z = x R(w), x = 2u - 1, w = -log(1 - x^2), R rational of degree 7 over 6, fitted here to the inverse of erf
over all 2^32 draws: relative error below 1e-8, far under any sampling error.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled, fused
from voldesk.core.errors import InputError
from voldesk.pricing.elementary import log_poly
from voldesk.pricing.simulation.array_namespace import Array, Backend, namespace

Draws = NDArray[np.uint32]

MOST_DIMENSIONS: Final = 21_201
_UNIT: Final = 2.0**-32

_TOP: Final = (
    1.2533141373155015609,
    0.48306734565303679407,
    0.10321112151088873899,
    0.014990146632558285487,
    0.0014795902170329611571,
    0.000089688541237455200027,
    2.4031518599507341283e-6,
    8.9978561150861070334e-9,
)
_BOTTOM: Final = (
    1.0,
    0.12363258913039768797,
    0.036951586916789010717,
    0.0033102027055153505021,
    0.00030260850670150877523,
    0.000011835624900738820658,
    1.5693568512349364397e-7,
)


class Sampling(Enum):
    """How points are drawn: SOBOL, randomised quasi-Monte Carlo; PSEUDO, independent points of the Philox generator."""

    SOBOL = "sobol"
    PSEUDO = "pseudo"


@lru_cache(maxsize=16)
def _directions(dimensions: int, bits: int) -> Draws:
    """Direction numbers as 32-bit fractions, shape (dimensions, bits); read off the unscrambled sequence.

    Point number n of the Gray-code sequence is the sum of the directions in gray(n) = n ^ (n >> 1); n = 2^(j+1) - 1
    holds direction j alone.
    """
    from scipy.stats import qmc

    rows = 2 ** np.arange(1, bits + 1) - 1
    points = qmc.Sobol(dimensions, scramble=False, bits=32).random(1 << bits)
    return np.ascontiguousarray((points[rows] * 2.0**32).astype(np.uint32).T)


@compiled
def _matrix_scramble(directions: Draws, lower: Draws, out: Draws) -> None:
    """Each direction times its dimension's lower-triangular matrix over GF(2), most significant bit first."""
    for d in range(directions.shape[0]):
        for k in range(directions.shape[1]):
            word = np.uint32(0)
            for i in range(32):
                bit = np.uint32(1) << np.uint32(31 - i)
                above = np.uint32(0) if i == 0 else ~((bit << np.uint32(1)) - np.uint32(1))
                parity = directions[d, k] & ((lower[d, i] & above) | bit)
                parity ^= parity >> np.uint32(16)
                parity ^= parity >> np.uint32(8)
                parity ^= parity >> np.uint32(4)
                parity ^= parity >> np.uint32(2)
                parity ^= parity >> np.uint32(1)
                if parity & np.uint32(1):
                    word |= bit
            out[d, k] = word


@fused
def _fill(directions: Draws, shift: Draws, out: Draws) -> None:
    """Points in binary order: the second half of each doubling is the first plus one more direction."""
    for d in range(out.shape[0]):
        row = out[d]
        row[0] = shift[d]
        for j in range(directions.shape[1]):
            half = 1 << j
            word = directions[d, j]
            first, second = row[:half], row[half : 2 * half]
            for i in range(half):
                second[i] = first[i] ^ word


def _doubled(directions: Draws, shift: Draws, xp: Any) -> Array:
    """As `_fill`, on NumPy and CuPy."""
    words = xp.asarray(directions)
    points = xp.empty((directions.shape[0], 1 << directions.shape[1]), np.uint32)
    points[:, 0] = xp.asarray(shift)
    for j in range(directions.shape[1]):
        half = 1 << j
        points[:, half : 2 * half] = points[:, :half] ^ words[:, j : j + 1]
    return points


def draw(
    sampling: Sampling,
    dimensions: int,
    bits: int,
    rng: np.random.Generator,
    backend: Backend = Backend.COMPILED,
    antithetic: bool = False,
) -> Array:
    """2^bits points as uint32, shape (dimensions, 2^bits), in the namespace of `backend`.

    antithetic: the second half mirrors the first (u and 1 - u). One call is one independent randomisation.
    Raises InputError for more dimensions than the direction numbers have.
    """
    xp = namespace(backend)
    if antithetic:
        half = draw(sampling, dimensions, bits - 1, rng, backend)
        return xp.concatenate([half, ~half], axis=1)
    if sampling is Sampling.PSEUDO:
        return xp.asarray(rng.integers(0, 2**32, (dimensions, 1 << bits), np.uint32))
    if dimensions > MOST_DIMENSIONS:
        raise InputError(
            f"{dimensions} dimensions; Sobol points have at most {MOST_DIMENSIONS}. Take fewer steps or Sampling.PSEUDO."
        )
    lower = rng.integers(0, 2**32, (dimensions, 32), np.uint32)
    shift = rng.integers(0, 2**32, dimensions, np.uint32)
    directions = np.empty((dimensions, bits), np.uint32)
    if bits:
        _matrix_scramble(_directions(dimensions, bits), lower, directions)
    if backend is not Backend.COMPILED:
        return _doubled(directions, shift, xp)
    points = np.empty((dimensions, 1 << bits), np.uint32)
    _fill(directions, shift, points)
    return points


@fused
def normal_rows(draws: Draws, offset: int, stride: int, first: int, out: FloatArray) -> None:
    """Normal quantiles of every `stride`-th row of draws from `offset`, paths from `first`; compiled `normals`."""
    for d in range(out.shape[0]):
        row = out[d]
        words = draws[offset + d * stride][first : first + row.shape[0]]
        for j in range(words.shape[0]):
            x = (2.0 * np.float64(words[j]) + 1.0) * _UNIT - 1.0
            w = -log_poly((1.0 - x) * (1.0 + x))
            top = _TOP[7] * w + _TOP[6]
            top = top * w + _TOP[5]
            top = top * w + _TOP[4]
            top = top * w + _TOP[3]
            top = top * w + _TOP[2]
            top = top * w + _TOP[1]
            top = top * w + _TOP[0]
            bottom = _BOTTOM[6] * w + _BOTTOM[5]
            bottom = bottom * w + _BOTTOM[4]
            bottom = bottom * w + _BOTTOM[3]
            bottom = bottom * w + _BOTTOM[2]
            bottom = bottom * w + _BOTTOM[1]
            bottom = bottom * w + 1.0
            row[j] = x * top / bottom


def uniforms(draws: Array, xp: Any) -> Array:
    """u of each draw, strictly between 0 and 1."""
    return (draws.astype(xp.float64) + 0.5) * _UNIT


def normals(draws: Array, xp: Any) -> Array:
    """Normal quantile of each draw, any shape; NumPy and CuPy."""
    x = (2.0 * draws.astype(xp.float64) + 1.0) * _UNIT - 1.0
    w = -xp.log((1.0 - x) * (1.0 + x))
    return x * _polynomial(_TOP, w) / _polynomial(_BOTTOM, w)


def _polynomial(coefficients: tuple[float, ...], w: Array) -> Array:
    total = coefficients[-1] * w + coefficients[-2]
    for c in coefficients[-3::-1]:
        total = total * w + c
    return total


class Bridge(NamedTuple):
    """Order and weights of a Brownian bridge over m times: row k fills point `at[k]` from `left[k]` and `right[k]`.

    Points are counted from 1; 0 is the start. Weights and deviation (m,) as in W_at = wl W_left + wr W_right + sd z_k.
    """

    at: IntArray
    left: IntArray
    right: IntArray
    weight_left: FloatArray
    weight_right: FloatArray
    deviation: FloatArray


def bridge(clock: FloatArray) -> Bridge:
    """The bridge for a Brownian motion with variance `clock` (m,), not falling, at its m points.

    The first draw fixes the end, the next the middle, and so on: early dimensions carry most of the variance.
    Source: Glasserman (2003), "Monte Carlo methods in financial engineering", sec. 3.1.1, fig. 3.2.
    """
    m = clock.size
    time = np.concatenate([[0.0], clock])
    rows = [(m, 0, 0, 1.0, 0.0, float(np.sqrt(time[m])))]
    spans = [(0, m)]
    while spans:
        wider: list[tuple[int, int]] = []
        for low, high in spans:
            if high - low < 2:
                continue
            mid = (low + high) // 2
            span = time[high] - time[low]
            share = (time[mid] - time[low]) / span if span > 0.0 else 0.5
            rows.append((mid, low, high, 1.0 - share, share, float(np.sqrt(share * (1.0 - share) * span))))
            wider += [(low, mid), (mid, high)]
        spans = wider
    at, left, right, weight_left, weight_right, deviation = (np.array(column) for column in zip(*rows, strict=True))
    return Bridge(at, left, right, weight_left, weight_right, deviation)


@fused
def bridge_rows(
    z: FloatArray,
    at: IntArray,
    left: IntArray,
    right: IntArray,
    weight_left: FloatArray,
    weight_right: FloatArray,
    deviation: FloatArray,
    out: FloatArray,
) -> None:
    """The Brownian motion (m + 1, paths) from normals (m, paths): the compiled form of `bridged`."""
    out[0, :] = 0.0
    for k in range(z.shape[0]):
        row, normal = out[at[k]], z[k]
        low, high = out[left[k]], out[right[k]]
        wl, wr, sd = weight_left[k], weight_right[k], deviation[k]
        if k == 0:
            for j in range(normal.shape[0]):
                row[j] = sd * normal[j]
        else:
            for j in range(normal.shape[0]):
                row[j] = wl * low[j] + wr * high[j] + sd * normal[j]


def bridged(z: Array, path: Bridge, xp: Any) -> Array:
    """The Brownian motion (m + 1, paths) from normals (m, paths); NumPy and CuPy."""
    out = xp.zeros((z.shape[0] + 1, z.shape[1]))
    for k in range(z.shape[0]):
        at, left, right = int(path.at[k]), int(path.left[k]), int(path.right[k])
        wl, wr, sd = float(path.weight_left[k]), float(path.weight_right[k]), float(path.deviation[k])
        out[at] = wl * out[left] + wr * out[right] + sd * z[k]
    return out

"""Forward and discount factor per expiry: put-call parity of the quotes, or the listed future where there is one.

Parity: C - P = D (F - K) in currency; for coin-settled options (C - P) / F = D (1 - K / F), so intercept and slope of a
weighted line through (K, C - P) give both. Weights are inverse squared parity spreads. Calls and puts of one snapshot
can be read moments apart, so the line is fitted by iteratively reweighted least squares with Tukey's biweight
(Huber & Ronchetti 2009, "Robust statistics", sec. 4.8), started from a least-absolute-deviation fit.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.errors import InputError

_TUKEY: Final = 4.685  # biweight constant: 95 % efficient where errors are normal
_ROUNDS: Final = 25


class ForwardStatus(IntEnum):
    OK = 0
    FEW_PAIRS = 1  # fewer two-sided call-put pairs than unknowns plus one
    BAD_FIT = 2  # forward or discount came out non-positive


class Forwards(NamedTuple):
    """Per expiry, rising. `error` is the standard error of the forward in its own unit; `pairs` the strikes used."""

    expiry_ns: IntArray
    forward: FloatArray
    discount: FloatArray
    error: FloatArray
    pairs: IntArray
    status: NDArray[np.int8]


def parity_forwards(
    expiry_ns: IntArray,
    strike: FloatArray,
    is_call: BoolArray,
    bid: FloatArray,
    ask: FloatArray,
    coin: bool = False,
    discount: float | None = None,
) -> Forwards:
    """Forwards from option quotes of one underlying, shape (n,) each, any order; NaN where no quote stands.

    coin: prices are in coin (inverse options). discount: fixes D for all expiries (1.0 for undiscounted quotes); None
    lets the regression find it.
    """
    found = [
        _one(strike[rows], is_call[rows], bid[rows], ask[rows], coin, discount)
        for rows in (np.flatnonzero(expiry_ns == expiry) for expiry in np.unique(expiry_ns))
    ]
    return Forwards(
        np.unique(expiry_ns),
        np.array([f[0] for f in found]),
        np.array([f[1] for f in found]),
        np.array([f[2] for f in found]),
        np.array([f[3] for f in found], np.int64),
        np.array([f[4] for f in found], np.int8),
    )


def listed_forwards(parity: Forwards, expiry_ns: IntArray, bid: FloatArray, ask: FloatArray) -> Forwards:
    """`parity` with the mid of the listed future wherever one of that expiry has a two-sided, uncrossed quote.

    A listed forward's `error` is its half-spread; the discount stays parity's.
    """
    if not expiry_ns.shape == bid.shape == ask.shape:
        raise InputError(
            f"futures columns have shapes {expiry_ns.shape}, {bid.shape}, {ask.shape}; expected one shape."
        )
    forward, error, status = parity.forward.copy(), parity.error.copy(), parity.status.copy()
    for expiry, low, high in zip(expiry_ns.tolist(), bid.tolist(), ask.tolist(), strict=True):
        at = np.flatnonzero(parity.expiry_ns == expiry)
        if at.size and 0.0 < low <= high:
            forward[at], error[at] = 0.5 * (low + high), 0.5 * (high - low)
            status[at] = ForwardStatus.OK
    return parity._replace(forward=forward, error=error, status=status)


def _one(
    strike: FloatArray, is_call: BoolArray, bid: FloatArray, ask: FloatArray, coin: bool, discount: float | None
) -> tuple[float, float, float, int, int]:
    good = (bid > 0.0) & (ask >= bid)
    calls, puts = np.flatnonzero(good & is_call), np.flatnonzero(good & ~is_call)
    strikes, from_calls, from_puts = np.intersect1d(strike[calls], strike[puts], return_indices=True)
    calls, puts = calls[from_calls], puts[from_puts]
    unknowns = 1 if discount is not None else 2
    if strikes.size < unknowns + 1:
        return np.nan, np.nan if discount is None else discount, np.nan, int(strikes.size), ForwardStatus.FEW_PAIRS
    parity = 0.5 * (bid[calls] + ask[calls] - bid[puts] - ask[puts])
    spread = 0.5 * (ask[calls] - bid[calls] + ask[puts] - bid[puts])
    spread = np.maximum(spread, 1e-9 * np.max(np.abs(parity)) + 1e-300)
    # Scaled strikes keep the normal matrix well conditioned.
    unit = float(np.median(strikes))
    if discount is None:
        design = np.column_stack([np.ones(strikes.size), -strikes / unit])
        target = parity
    elif coin:  # parity - D = -D K / F
        design, target = (-strikes / unit)[:, None], parity - discount
    else:  # parity + D K = D F
        design, target = np.ones((strikes.size, 1)), parity + discount * strikes
    beta, covariance = _biweight(design, target, spread)
    intercept, slope = (beta[0], beta[1] / unit) if discount is None else (0.0, 0.0)
    if discount is not None and coin:
        found, forward = discount, discount * unit / beta[0]
        error = forward / abs(beta[0]) * np.sqrt(covariance[0, 0])
    elif discount is not None:
        found, forward = discount, beta[0] / discount
        error = np.sqrt(covariance[0, 0]) / discount
    else:
        found, forward = (intercept, intercept / slope) if coin else (slope, intercept / slope)
        gradient = np.array([1.0 / slope, -intercept / slope**2 / unit])
        error = float(np.sqrt(gradient @ covariance @ gradient))
    if not (forward > 0.0 and found > 0.0 and np.isfinite(forward)):
        return np.nan, np.nan, np.nan, int(strikes.size), ForwardStatus.BAD_FIT
    return float(forward), float(found), float(error), int(strikes.size), ForwardStatus.OK


def _biweight(design: FloatArray, target: FloatArray, spread: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Coefficients and their covariance; the residual scale is the median absolute deviation in half-spreads."""
    weight = 1.0 / (spread * spread)
    # A start that one bad pair cannot move: the L1 fit, by reweighting with 1 / |residual|.
    beta = _solve(design, target, weight)
    for _ in range(_ROUNDS):
        size = np.abs(target - design @ beta) / spread
        beta = _solve(design, target, weight / np.maximum(size, 1e-6))
    for _ in range(_ROUNDS):
        residual = (target - design @ beta) / spread
        scale = max(1.4826 * float(np.median(np.abs(residual))), 1e-9)
        inner = np.maximum(1.0 - (residual / (_TUKEY * scale)) ** 2, 0.0) ** 2
        step = _solve(design, target, weight * inner)
        settled = np.max(np.abs(step - beta)) <= 1e-13 * np.max(np.abs(beta))
        beta = step
        if settled:
            break
    normal = design.T @ ((weight * inner)[:, None] * design)
    return beta, scale * scale * np.linalg.inv(normal)


def _solve(design: FloatArray, target: FloatArray, weight: FloatArray) -> FloatArray:
    root = np.sqrt(weight)
    solution = np.linalg.lstsq(design * root[:, None], target * root, rcond=None)[0]
    return np.asarray(solution, np.float64)

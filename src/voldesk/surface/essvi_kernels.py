"""eSSVI as kernels: one slice, and the surface between and beyond slices.

A slice is (theta, psi, eta): total variance at the forward, and eta = rho psi. With right = psi + eta, left = psi - eta,
phi = psi / theta, the domain of Hendriks & Martini (2019), Corbetta et al. (2019) and Mingone (2022) is

    right and left rise, phi falls with maturity (no calendar arbitrage);
    max(right, left) < 4 and phi max(right, left) <= 4 (no butterflies: Gatheral & Jacquier 2014, theorem 4.2).

Why no slice then crosses the one before: w is the larger root of (w + left k / 2)(w - right k / 2) = theta w, and at every
k that root rises in right, in left (at fixed phi) and as phi falls.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled

THETA: Final = 0  # entries of a slice
PSI: Final = 1
ETA: Final = 2


@compiled
def variance(k: float, theta: float, psi: float, eta: float) -> float:
    """w(k) = (theta + eta k + sqrt(psi^2 k^2 + 2 theta eta k + theta^2)) / 2."""
    return 0.5 * (theta + eta * k + math.sqrt(psi * psi * k * k + 2.0 * theta * eta * k + theta * theta))


@compiled
def place(t: float, tau: FloatArray, slices: FloatArray, out: FloatArray) -> None:
    """The slice at t > 0 and its derivative in t, six numbers.

    Between expiries (theta, psi, eta) are linear in t: right and left still rise, phi, a ratio of lines, still falls, and
    the butterfly condition psi * right <= 4 theta holds because the chord of a product of two rising lines lies above
    it (Corbetta et al. 2019, sec. 4). Before the first all three are proportional to t: volatility at fixed k is flat.
    After the last too, until the butterfly condition stops psi and eta; from there they grow as it lets them.
    """
    last = tau.size - 1
    if t <= tau[0]:
        for a in range(3):
            out[a] = slices[0, a] * (t / tau[0])
            out[3 + a] = slices[0, a] / tau[0]
    elif t <= tau[last]:
        j = np.searchsorted(tau, t)
        step = tau[j] - tau[j - 1]
        share = (t - tau[j - 1]) / step
        for a in range(3):
            rise = slices[j, a] - slices[j - 1, a]
            out[a] = slices[j - 1, a] + share * rise
            out[3 + a] = rise / step
    else:
        theta, psi, eta = slices[last, THETA], slices[last, PSI], slices[last, ETA]
        longer = t / tau[last]
        wing = psi + abs(eta)
        steepest = 4.0 / wing
        densest = math.sqrt(4.0 * theta * longer / (psi * wing))
        growth, by_growth = longer, 1.0
        if densest < growth:
            growth, by_growth = densest, 0.5 * densest / longer
        if steepest < growth:
            growth, by_growth = max(steepest, 1.0), 0.0
        out[THETA], out[PSI], out[ETA] = theta * longer, psi * growth, eta * growth
        out[3], out[4], out[5] = theta / tau[last], psi * by_growth / tau[last], eta * by_growth / tau[last]


@compiled
def variances(k: FloatArray, t: FloatArray, tau: FloatArray, slices: FloatArray, out: FloatArray) -> None:
    """Total variance at each (k, t); 0 at t = 0, NaN for t < 0 or NaN."""
    at = np.empty(6)
    for i in range(k.size):
        if not t[i] >= 0.0 or tau.size == 0:
            out[i] = math.nan
            continue
        if i == 0 or t[i] != t[i - 1]:
            place(t[i], tau, slices, at)
        out[i] = variance(k[i], at[THETA], at[PSI], at[ETA])


@compiled
def shapes(k: FloatArray, t: FloatArray, tau: FloatArray, slices: FloatArray, out: FloatArray) -> None:
    """Rows w, dw/dk, d2w/dk2, dw/dt at each (k, t > 0); NaN elsewhere."""
    at = np.empty(6)
    for i in range(k.size):
        if not t[i] > 0.0 or tau.size == 0:
            out[:, i] = math.nan
            continue
        place(t[i], tau, slices, at)
        theta, psi, eta, x = at[THETA], at[PSI], at[ETA], k[i]
        root = math.sqrt(psi * psi * x * x + 2.0 * theta * eta * x + theta * theta)
        out[0, i] = 0.5 * (theta + eta * x + root)
        out[1, i] = 0.5 * (eta + (psi * psi * x + theta * eta) / root)
        out[2, i] = 0.5 * theta * theta * (psi - eta) * (psi + eta) / (root * root * root)
        by_theta = 0.5 * (1.0 + (eta * x + theta) / root)
        by_eta = 0.5 * x * (1.0 + theta / root)
        out[3, i] = by_theta * at[3] + by_eta * at[5] + 0.5 * psi * x * x / root * at[4]

"""European options by the fast Fourier transform over log strikes, for Heston, Bates and Merton rows.

    call(k) = discount F e^{-a k} / pi  int_0^inf Re{ e^{-ivk} phi(v - (a+1) i) / (a^2 + a - v^2 + i (2a + 1) v) } dv

with k = ln(K/F). Source: Carr & Madan (1999), "Option valuation using the fast Fourier transform", J. Comput. Finance 2,
eqs. 5-6 and 21-24 (damping a); the strike spacing is set free from the step in v by the fractional transform (Chourdakis
2004, "Option pricing using the fractional FFT", sec. 3). Here by the trapezoidal rule rather than Simpson's (it
converges faster on a smooth integrand), and Lagrange interpolation of order 8 between the strikes of the grid.

When it is wrong: damping asks for the moment of order 1 + a, which may not exist (NaN then), and its choice moves the
error; step and end of the integration are not certified, so a deep wing or a short expiry can be off by far more than
its value. `heston.price` and its kin have none of these; this form is here as an independent cross-check and as what
the literature calls by its name.
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled
from voldesk.core.errors import InputError
from voldesk.pricing.broadcast import columns
from voldesk.pricing.transform.fourier_kernels import log_characteristic, log_moment, mean_variance

ComplexArray: TypeAlias = NDArray[np.complex128]

_ORDER: Final = 8


@compiled
def _integrand(step: float, damping: float, tau: float, model: FloatArray, out: ComplexArray) -> None:
    """Damped transform at v = 0, step, 2 step, ...; `out` complex."""
    for j in range(out.size):
        v = j * step
        phi = np.exp(log_characteristic(complex(damping + 1.0, v), tau, model))
        out[j] = phi / complex(damping * damping + damping - v * v, (2.0 * damping + 1.0) * v)
    out[0] *= 0.5


def fractional_transform(values: ComplexArray, fraction: float) -> ComplexArray:
    """sum_j values_j e^{-2 pi i j m fraction} for m = 0..n-1, complex.

    Source: Bailey & Swarztrauber (1991), "The fractional Fourier transform and applications", SIAM Review 33, sec. 3.

    >>> bool(np.allclose(fractional_transform(np.ones(4, complex), 0.25), np.fft.fft(np.ones(4))))
    True
    """
    n = values.size
    index = np.arange(n, dtype=np.float64)
    chirp = np.exp(-1j * math.pi * fraction * index * index)
    padded = np.zeros(2 * n, np.complex128)
    padded[:n] = values * chirp
    mirrored = np.empty(2 * n, np.complex128)
    mirrored[:n] = np.conj(chirp)
    mirrored[n] = np.exp(1j * math.pi * fraction * n * n)
    mirrored[n + 1 :] = np.conj(chirp[1:][::-1])
    answer: ComplexArray = chirp * np.fft.ifft(np.fft.fft(padded) * np.fft.fft(mirrored))[:n]
    return answer


def _interpolate(values: FloatArray, place: FloatArray) -> FloatArray:
    """Lagrange interpolation of equally spaced values at fractional indices `place`."""
    first = np.clip(np.floor(place).astype(np.int64) - _ORDER // 2 + 1, 0, values.size - _ORDER)
    offset = place - first
    answer = np.zeros(place.size)
    for i in range(_ORDER):
        weight = np.ones(place.size)
        for j in range(_ORDER):
            if j != i:
                weight *= (offset - j) / (i - j)
        answer += weight * values[first + i]
    return answer


def _calls(log_strike: FloatArray, tau: float, model: FloatArray, nodes: int, damping: float) -> FloatArray:
    """Undiscounted calls over the forward at k = ln(K/F), one expiry."""
    if not math.isfinite(log_moment(damping + 1.0, tau, model)):
        return np.full(log_strike.size, np.nan)
    deviation = math.sqrt(mean_variance(tau, model) * tau)
    # The damped call falls like e^{ak} to the left; its repetitions, 2 pi / step apart, must not reach the strikes.
    period = 30.0 / damping + 20.0 * deviation + 2.0 * float(np.max(np.abs(log_strike)))
    step = 2.0 * math.pi / period
    low, high = float(np.min(log_strike)), float(np.max(log_strike))
    spacing = max(high - low, 1e-3 * deviation) / (nodes - 1 - _ORDER)
    start = low - 0.5 * _ORDER * spacing
    transform = np.empty(nodes, np.complex128)
    _integrand(step, damping, tau, model, transform)
    transform *= np.exp(-1j * step * start * np.arange(nodes))
    sums = fractional_transform(transform, step * spacing / (2.0 * math.pi)).real
    grid = start + spacing * np.arange(nodes)
    return _interpolate(step / math.pi * np.exp(-damping * grid) * sums, (log_strike - start) / spacing)


def price(
    model: FloatArray,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    discount: ArrayLike,
    is_call: ArrayLike,
    *,
    nodes: int = 4096,
    damping: float = 1.0,
) -> FloatArray:
    """Discounted values under one model (`HestonParams.row()` and its kin), shape of the broadcast arguments.

    nodes: of the transform, and strikes of its grid, per expiry. damping: a > 0. NaN for arguments that make no option
    and where the moment of order 1 + a is infinite. Raises InputError for less than 64 nodes or no damping.

    >>> from voldesk.pricing.heston import HestonParams
    >>> p = HestonParams(v0=0.0175, kappa=1.5768, theta=0.0398, xi=0.5751, rho=-0.5711)
    >>> round(float(price(p.row(), 100.0, 100.0, 1.0, 1.0, True)), 7)
    5.7851554
    """
    if nodes < 64:
        raise InputError(f"nodes={nodes} of a Fourier transform; expected 64 or more, 4096 is usual.")
    if not 0.0 < damping < math.inf:
        raise InputError(f"damping={damping} of a Fourier transform; expected a positive number, 1.0 is usual.")
    shape, inputs, _ = columns(forward, strike, tau, discount, is_call=is_call)
    F, K, t, df, call = (np.broadcast_to(value, math.prod(shape)) for value in inputs)
    out = np.full(F.size, np.nan)
    valid = (F > 0.0) & (K > 0.0) & (df > 0.0) & (t >= 0.0)
    valid &= np.isfinite(F) & np.isfinite(K) & np.isfinite(df) & np.isfinite(t)
    for expiry in np.unique(t[valid]):
        rows = np.flatnonzero(valid & (t == expiry))
        if expiry > 0.0:
            values = F[rows] * _calls(np.log(K[rows] / F[rows]), float(expiry), model, nodes, damping)
        else:
            values = np.maximum(F[rows] - K[rows], 0.0)
        out[rows] = df[rows] * np.where(call[rows], values, values - F[rows] + K[rows])
    return out.reshape(shape)

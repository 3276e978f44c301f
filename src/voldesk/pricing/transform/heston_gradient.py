"""Kernels for derivatives of Heston, Bates and Merton prices: the exponent differentiated term by term.

With psi = kappa theta A + v0 B + jumps (see `fourier_kernels`), beta = kappa - rho xi p, s = xi^2, d^2 = beta^2 + s c,
w = (1 - e^{-d tau}) / (2d), q = r w, N = 1 / (1 + s q): B = -c w N and A = r tau - 2 ln(1 + s q) / s. Each parameter
enters through beta and s alone, so two pairs of derivatives serve all five; d B / d tau comes from the Riccati equation.
A closed form like that of Cui, del Bano Rollin & Germano (2017), eqs. 23-31, but free of division by xi, so that it
holds as xi goes to 0. Derivatives vanish at u = +-i/2, so their integrals need no control variate.
"""

from __future__ import annotations

import math
from typing import Final

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import fused, inlined
from voldesk.pricing.transform.complex_elementary import argument, exp_and_less_one, log1p, sine_cosine
from voldesk.pricing.transform.fourier_kernels import (
    BLOCK,
    JUMP_INTENSITY,
    JUMP_MEAN,
    JUMP_STD,
    KAPPA,
    RHO,
    THETA,
    V0,
    XI,
)

VALUE: Final = 0
FIRST_PARAMETER: Final = 1
"""Rows 1..8 are the derivatives in the eight parameters, in the order of a model's row."""
HESTON_ROWS: Final = 6
BATES_ROWS: Final = 9
TAU: Final = 9
LOG_FORWARD: Final = 10
LOG_FORWARD_TWICE: Final = 11
ALL_ROWS: Final = 12

_ROW: Final = 2 * BLOCK
_BOUND: Final = (ALL_ROWS + 1) * _ROW
_NEAR: Final = 0.01


@inlined
def _curvature(z: complex, ratio: complex, inverse: complex) -> complex:
    """(1/(1+z) - ln(1+z)/z) / z, given ratio = ln(1+z)/z and inverse = 1/(1+z); a series where they nearly agree."""
    size = z.real * z.real + z.imag * z.imag
    near = size < _NEAR * _NEAR
    # sum of (-1)^(k+1) (k+1)/(k+2) z^k, written out: an inner loop would keep the outer one from being vectorised
    s = z * (-8.0 / 9.0) + complex(7.0 / 8.0, 0.0)
    s = z * s - complex(6.0 / 7.0, 0.0)
    s = z * s + complex(5.0 / 6.0, 0.0)
    s = z * s - complex(4.0 / 5.0, 0.0)
    s = z * s + complex(3.0 / 4.0, 0.0)
    s = z * s - complex(2.0 / 3.0, 0.0)
    series = complex(-0.5, 0.0) - z * s
    safe = 1.0 if near else size
    far = (inverse - ratio) * complex(z.real, -z.imag) * (1.0 / safe)
    return complex(series.real if near else far.real, series.imag if near else far.imag)


@fused
def exponent_derivatives(first: int, step: float, tau: float, model: FloatArray, work: FloatArray) -> None:
    """psi into row VALUE, its derivatives in v0, kappa, theta, xi, rho and tau into theirs; BLOCK nodes from `first`.

    A row of `work` is BLOCK real parts, then BLOCK imaginary ones. Jumps are left to `add_jump_derivatives`.
    """
    kappa, rho, xi = model[KAPPA], model[RHO], model[XI]
    square = xi * xi
    straight = kappa - 0.5 * rho * xi
    level = straight * straight + 0.25 * square
    bend = square * (1.0 - rho) * (1.0 + rho)
    theta, v0 = model[THETA], model[V0]
    drag = kappa * theta
    for j in range(BLOCK):
        u = (first + j) * step
        c = u * u + 0.25
        beta = complex(straight, -rho * xi * u)
        real = level + bend * u * u
        imaginary = 2.0 * straight * beta.imag
        size = math.sqrt(real * real + imaginary * imaginary)
        root = math.sqrt(0.5 * (size + real))
        d = complex(root, 0.5 * imaginary / root)
        half_inverse = complex(d.real, -d.imag) * (0.5 / size)  # 1 / (2 d)
        total = beta + d
        r = complex(total.real, -total.imag) * (-c / (total.real * total.real + total.imag * total.imag))
        decay, fallen = exp_and_less_one(-d.real * tau)
        s, co = sine_cosine(0.5 * d.imag * tau)
        gone = complex(2.0 * s * s * decay - fallen, 2.0 * s * co * decay)
        kept = complex(1.0 - gone.real, -gone.imag) * tau
        w = gone * half_inverse
        q = r * w
        z = q * square
        extra = 2.0 * z.real + z.real * z.real + z.imag * z.imag
        inverse = complex(1.0 + z.real, -z.imag) * (1.0 / (1.0 + extra))
        norm = z.real * z.real + z.imag * z.imag
        tiny = norm < 1e-60
        logs = complex(0.5 * log1p(extra), argument(z.imag, 1.0 + z.real))
        quotient = logs * complex(z.real, -z.imag) * (1.0 / (1.0 if tiny else norm))
        ratio = complex(1.0 if tiny else quotient.real, 0.0 if tiny else quotient.imag)
        slope = w * inverse * (-c)  # B
        level_term = r * tau - q * ratio * 2.0  # A
        # Through beta.
        d_beta = beta * half_inverse * 2.0
        w_beta = half_inverse * (kept * d_beta - w * d_beta * 2.0)
        q_beta = r * w_beta - q * half_inverse * 2.0
        slope_beta = inverse * (w_beta - w * inverse * q_beta * square) * (-c)
        level_beta = r * half_inverse * (-2.0 * tau) - inverse * q_beta * 2.0
        # Through s = xi^2.
        d_s = half_inverse * c
        w_s = half_inverse * (kept * d_s - w * d_s * 2.0)
        q_s = r * r * half_inverse * w + r * w_s
        slope_s = inverse * (w_s - w * inverse * (q + q_s * square)) * (-c)
        level_s = r * r * half_inverse * tau - (q * q * _curvature(z, ratio, inverse) + inverse * q_s) * 2.0
        both_beta = level_beta * drag + slope_beta * v0
        both_s = level_s * drag + slope_s * v0
        psi = level_term * drag + slope * v0
        in_kappa = level_term * theta + both_beta
        p_beta = complex(0.5 * both_beta.real - u * both_beta.imag, 0.5 * both_beta.imag + u * both_beta.real)
        in_tau = slope * drag + (slope * slope * (0.5 * square) - beta * slope - complex(0.5 * c, 0.0)) * v0
        work[j] = psi.real
        work[BLOCK + j] = psi.imag
        work[_ROW * (1 + V0) + j] = slope.real
        work[_ROW * (1 + V0) + BLOCK + j] = slope.imag
        work[_ROW * (1 + KAPPA) + j] = in_kappa.real
        work[_ROW * (1 + KAPPA) + BLOCK + j] = in_kappa.imag
        work[_ROW * (1 + THETA) + j] = kappa * level_term.real
        work[_ROW * (1 + THETA) + BLOCK + j] = kappa * level_term.imag
        work[_ROW * (1 + XI) + j] = 2.0 * xi * both_s.real - rho * p_beta.real
        work[_ROW * (1 + XI) + BLOCK + j] = 2.0 * xi * both_s.imag - rho * p_beta.imag
        work[_ROW * (1 + RHO) + j] = -xi * p_beta.real
        work[_ROW * (1 + RHO) + BLOCK + j] = -xi * p_beta.imag
        work[_BOUND + j] = psi.real
        work[_ROW * TAU + j] = in_tau.real
        work[_ROW * TAU + BLOCK + j] = in_tau.imag


@fused
def add_jump_derivatives(first: int, step: float, tau: float, model: FloatArray, work: FloatArray) -> None:
    """Jumps into rows VALUE and TAU; derivatives in intensity, mean and deviation of the log jump into theirs."""
    intensity, mean, std = model[JUMP_INTENSITY], model[JUMP_MEAN], model[JUMP_STD]
    variance = std * std
    growth = math.expm1(mean + 0.5 * variance)
    for j in range(BLOCK):
        u = (first + j) * step
        size, less = exp_and_less_one(0.5 * mean + 0.5 * variance * (0.25 - u * u))
        s, co = sine_cosine(0.5 * u * (mean + 0.5 * variance))
        jump = complex(less - 2.0 * s * s * size - 0.5 * growth, 2.0 * s * co * size - u * growth)
        moved = complex(less - 2.0 * s * s * size - growth, 2.0 * s * co * size)  # X - (1 + m)
        p = complex(0.5, u)
        in_mean = p * moved
        in_std = p * (p * complex(1.0 + less - 2.0 * s * s * size, 2.0 * s * co * size) - complex(1.0 + growth, 0.0))
        work[j] += intensity * tau * jump.real
        work[BLOCK + j] += intensity * tau * jump.imag
        work[_BOUND + j] += intensity * tau * (less - 0.5 * growth)
        work[_ROW * (1 + JUMP_INTENSITY) + j] = tau * jump.real
        work[_ROW * (1 + JUMP_INTENSITY) + BLOCK + j] = tau * jump.imag
        work[_ROW * (1 + JUMP_MEAN) + j] = intensity * tau * in_mean.real
        work[_ROW * (1 + JUMP_MEAN) + BLOCK + j] = intensity * tau * in_mean.imag
        work[_ROW * (1 + JUMP_STD) + j] = intensity * tau * std * in_std.real
        work[_ROW * (1 + JUMP_STD) + BLOCK + j] = intensity * tau * std * in_std.imag
        work[_ROW * TAU + j] += intensity * jump.real
        work[_ROW * TAU + BLOCK + j] += intensity * jump.imag


@fused
def weigh_derivatives(first: int, step: float, tau: float, variance: float, rows: int, work: FloatArray) -> float:
    """Turn exponent and derivatives of `work` into weights of e^{iux}, same rows; the control leaves VALUE alone.

    rows: HESTON_ROWS, BATES_ROWS or ALL_ROWS (adds d/dtau and two derivatives in the log forward). The two rows after
    ALL_ROWS are scratch and the bound of the exponent, see `fourier_kernels`. Returns the largest size of a weight at the block's last node.
    """
    half_spread = 0.5 * variance * tau
    phi = ALL_ROWS * _ROW
    for j in range(BLOCK):
        u = (first + j) * step
        c = u * u + 0.25
        scale = step / (math.pi * c)
        size, _ = exp_and_less_one(work[j])
        s, co = sine_cosine(work[BLOCK + j])
        control, _ = exp_and_less_one(-half_spread * c)
        work[phi + j] = -scale * size * co
        work[phi + BLOCK + j] = -scale * size * s
        work[j] = scale * (control - size * co)
        work[BLOCK + j] = -scale * size * s
    u = (first + BLOCK - 1) * step
    scale = step / (math.pi * (u * u + 0.25))
    bound = scale * math.exp(min(work[_BOUND + BLOCK - 1], 0.0))
    last = bound + scale * math.exp(-half_spread * (u * u + 0.25))
    for row in range(1, min(rows, LOG_FORWARD)):
        part = work[_ROW * row : _ROW * row + _ROW * (ALL_ROWS + 1 - row)]
        place = phi - _ROW * row
        last = max(last, bound * (abs(part[BLOCK - 1]) + abs(part[2 * BLOCK - 1])))
        for j in range(BLOCK):
            a, b = part[j], part[BLOCK + j]
            c, d = part[place + j], part[place + BLOCK + j]
            part[j] = a * c - b * d
            part[BLOCK + j] = a * d + b * c
    if rows == ALL_ROWS:
        last *= max(1.0, u * u)
        for j in range(BLOCK):
            u = (first + j) * step
            work[_ROW * LOG_FORWARD + j] = -u * work[BLOCK + j]
            work[_ROW * LOG_FORWARD + BLOCK + j] = u * work[j]
            work[_ROW * LOG_FORWARD_TWICE + j] = -u * u * work[j]
            work[_ROW * LOG_FORWARD_TWICE + BLOCK + j] = -u * u * work[BLOCK + j]
    return float(last)

"""European options from a characteristic function: Lewis form, Black control variate, trapezoidal rule.

With x = ln(F/K) and phi the characteristic function of X = ln(S_T / F) (Lewis 2001, eq. 3.11; Gatheral 2006, eq. 5.6)

    call / (discount sqrt(F K)) = Black(x; w) + (1/pi) int_0^inf Re{ e^{iux} [phi_Black - phi](u - i/2) } / (u^2 + 1/4) du

Subtracting Black removes the poles at u = +-i/2, so the integrand is analytic as far as the moments of S_T exist and
the trapezoidal rule converges exponentially. Its error is known exactly: the same function of x, repeated at
x + 2 pi n / h (Poisson summation). The step h is therefore chosen from the tails of the distribution by Chernoff
bounds on call and put values, E[S^(p+1)] p^p / (p+1)^(p+1) K^-p, and the last node from the size of the integrand.

phi is Bates' (1996): Heston's in the stable "little trap" form (Albrecher, Mayer, Schoutens & Tistaert 2007, eq. 2.3;
Gatheral 2006, eq. 2.12) times log-normal jumps. (beta - d) / xi^2 is written as -c / (beta + d), so that nothing
cancels as xi -> 0. Moments explode as in Andersen & Piterbarg (2007), proposition 3.1.

One pass over the nodes serves all strikes of an expiry. Absolute error about `tolerance` x sqrt(F K); a far wing
worth less than that has no correct digits.
"""

from __future__ import annotations

import cmath
import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.pricing import black

V0: Final = 0
KAPPA: Final = 1
THETA: Final = 2
XI: Final = 3
RHO: Final = 4
JUMP_INTENSITY: Final = 5
JUMP_MEAN: Final = 6
JUMP_STD: Final = 7
PARAMETERS: Final = 8
"""A model is one row of these eight numbers; Heston has zeros in the last three."""

TIGHT: Final = 1e-15
"""Tolerance of `price`: rounding dominates."""

MOST_NODES: Final = 1 << 17


@compiled
def log_characteristic(p: complex, tau: float, model: FloatArray) -> complex:
    """ln E[(S_T / F)^p] under Bates, for any complex p where the moment exists (p = iu is the usual argument)."""
    kappa, xi = model[KAPPA], model[XI]
    xi2 = xi * xi
    c = p - p * p
    answer = 0.0 + 0.0j
    if c != 0.0:
        beta = kappa - model[RHO] * xi * p
        d = cmath.sqrt(beta * beta + xi2 * c)
        if abs(d) < 1e-6 * abs(beta):
            d = complex(1e-6 * abs(beta), 0.0)  # even in d, so the limit d -> 0 is met to 1e-12; only real p come here
        total = beta + d
        r = -c / total  # (beta - d) / xi^2
        g_over_xi2 = r / total
        # 1 - exp(-d tau), exact for small d tau
        x, y = d.real * tau, d.imag * tau
        decay = math.exp(-x)
        half_sine = math.sin(0.5 * y)
        gone = complex(2.0 * half_sine * half_sine * decay - math.expm1(-x), decay * math.sin(y))
        g = xi2 * g_over_xi2
        # ln((1 - g e^{-d tau}) / (1 - g)) = ln(1 + z), z = xi^2 q
        q = g_over_xi2 * gone / (1.0 - g)
        z = xi2 * q
        if abs(z) < 1e-8:
            log_over_xi2 = q * (1.0 - 0.5 * z)
        else:
            size = 0.5 * math.log1p(2.0 * z.real + z.real * z.real + z.imag * z.imag)
            log_over_xi2 = complex(size, math.atan2(z.imag, 1.0 + z.real)) / xi2
        slope = r * gone / (1.0 - g + g * gone)
        answer = kappa * model[THETA] * (r * tau - 2.0 * log_over_xi2) + model[V0] * slope
    if model[JUMP_INTENSITY] > 0.0:
        mean, variance = model[JUMP_MEAN], model[JUMP_STD] * model[JUMP_STD]
        growth = math.expm1(mean + 0.5 * variance)
        answer += model[JUMP_INTENSITY] * tau * (cmath.exp(p * (mean + 0.5 * variance * p)) - 1.0 - p * growth)
    return answer


@compiled
def moment_exists(p: float, tau: float, model: FloatArray) -> bool:
    """Whether E[S_tau^p] is finite. Source: Andersen & Piterbarg (2007), proposition 3.1, by the Riccati equation."""
    xi = model[XI]
    c = p * p - p
    if c <= 0.0 or xi == 0.0:
        return True
    b = model[KAPPA] - model[RHO] * xi * p
    square = b * b - xi * xi * c
    if square >= 0.0:
        if b > 0.0:
            return True
        d = math.sqrt(square)
        if d == 0.0:
            return bool(tau * b > -2.0)
        return bool(tau * d < math.log((b - d) / (b + d)))
    d = math.sqrt(-square)
    return bool(tau * d < 2.0 * (0.5 * math.pi + math.atan(b / d)))


@compiled
def _tail(sign: float, tau: float, model: FloatArray, log_tolerance: float) -> float:
    """Smallest |ln(K/F)| found beyond which an option out of the money is worth less than the tolerance.

    sign +1: calls (right tail), -1: puts (left tail). Infinity where no moment helps.
    """
    best = math.inf
    p = 0.125
    while p > 1e-5 and not moment_exists(p + 1.0 if sign > 0.0 else -p, tau, model):
        p *= 0.25
    while p < 1e7:
        power = p + 1.0 if sign > 0.0 else -p
        if not moment_exists(power, tau, model):
            break
        moment = log_characteristic(complex(power, 0.0), tau, model).real
        if not math.isfinite(moment):
            break
        reach = (moment + p * math.log(p) - (p + 1.0) * math.log(p + 1.0) - log_tolerance) / (p + 0.5)
        if reach > best:
            break
        best = reach
        p *= 1.5
    return best


@compiled
def mean_variance(tau: float, model: FloatArray) -> float:
    """Expected variance per year over the option's life, jumps included: the control's sigma squared."""
    decay = -math.expm1(-model[KAPPA] * tau) / (model[KAPPA] * tau)
    jump = model[JUMP_MEAN] * model[JUMP_MEAN] + model[JUMP_STD] * model[JUMP_STD]
    return float(model[THETA] + (model[V0] - model[THETA]) * decay + model[JUMP_INTENSITY] * jump)


@compiled
def _weights(
    tau: float, model: FloatArray, variance: float, widest: float, tolerance: float
) -> tuple[float, FloatArray, FloatArray]:
    """Step h and the complex weights (real, imaginary) of e^{ijhx}; empty where the distribution is out of reach."""
    log_tolerance = math.log(tolerance)
    deviation = math.sqrt(variance * tau)
    reach = max(_tail(1.0, tau, model, log_tolerance), _tail(-1.0, tau, model, log_tolerance))
    reach = max(reach, deviation * (math.sqrt(-2.0 * log_tolerance) + deviation))
    step = 2.0 * math.pi / (reach + widest)
    real = np.empty(256)
    imaginary = np.empty(256)
    if not (step > 0.0 and math.isfinite(step)):
        return step, real[:0], imaginary[:0]
    # Truncation: what is left beyond the last node is about its term times the nodes still inside the decay.
    small = 1e-2 * tolerance
    j = 0
    while j < MOST_NODES:
        if j == real.size:
            wider_real, wider_imaginary = np.empty(2 * j), np.empty(2 * j)
            wider_real[:j], wider_imaginary[:j] = real, imaginary
            real, imaginary = wider_real, wider_imaginary
        u = j * step
        w = u * u + 0.25
        phi = cmath.exp(log_characteristic(complex(0.5, u), tau, model))
        control = math.exp(-0.5 * variance * tau * w)
        scale = step / (math.pi * w)
        if j == 0:
            scale *= 0.5
        real[j] = scale * (control - phi.real)
        imaginary[j] = -scale * phi.imag
        if scale * (abs(phi) + control) < small:
            return step, real[: j + 1], imaginary[: j + 1]
        j += 1
    return step, real[:0], imaginary[:0]


@compiled
def corrections(
    starts: IntArray,
    tau: FloatArray,
    models: FloatArray,
    log_moneyness: FloatArray,
    tolerance: float,
    out: FloatArray,
    sigma: FloatArray,
) -> None:
    """What the model adds to Black, over discount x sqrt(F K), for options sorted by expiry.

    starts: (m + 1,) first option of each expiry and the end. tau: (m,) > 0. models: (m, 8), a row per expiry.
    log_moneyness: (n,) ln(F/K). out: (n,), the same for call and put. sigma: (m,) of the Black control.
    NaN where the integrand would need more than MOST_NODES nodes.
    """
    for i in range(tau.size):
        first, last = starts[i], starts[i + 1]
        x = log_moneyness[first:last]
        model = models[i]
        variance = mean_variance(tau[i], model)
        sigma[i] = math.sqrt(variance)
        widest = 0.0
        for k in range(x.size):
            widest = max(widest, abs(x[k]))
        step, real, imaginary = _weights(tau[i], model, variance, widest, tolerance)
        answer = out[first:last]
        if real.size == 0:
            answer[:] = np.nan
            continue
        # Horner in e^{ihx}, all strikes side by side.
        turn_real, turn_imaginary = np.cos(step * x), np.sin(step * x)
        sum_real, sum_imaginary = np.zeros(x.size), np.zeros(x.size)
        for j in range(real.size - 1, -1, -1):
            a, b = real[j], imaginary[j]
            for k in range(x.size):
                previous = sum_real[k]
                sum_real[k] = a + previous * turn_real[k] - sum_imaginary[k] * turn_imaginary[k]
                sum_imaginary[k] = b + previous * turn_imaginary[k] + sum_imaginary[k] * turn_real[k]
        answer[:] = sum_real


def price(
    model: FloatArray,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    discount: ArrayLike,
    is_call: ArrayLike,
) -> FloatArray:
    """Discounted values under one model, a row of PARAMETERS numbers. Arguments broadcast; the answer has their shape.

    One characteristic-function pass per distinct tau. tau = 0 gives the discounted payoff. NaN where forward,
    strike or discount is not positive, tau is negative or any is not finite. Values are lifted to the discounted
    payoff of the forward where rounding (below 1e-14 of sqrt(F K)) puts them under it.
    """
    F, K, t, df, call = np.broadcast_arrays(
        np.asarray(forward, np.float64),
        np.asarray(strike, np.float64),
        np.asarray(tau, np.float64),
        np.asarray(discount, np.float64),
        np.asarray(is_call, np.bool_),
    )
    shape = F.shape
    F, K, t, df, call = F.ravel(), K.ravel(), t.ravel(), df.ravel(), call.ravel()
    valid = (F > 0.0) & (K > 0.0) & (df > 0.0) & (t >= 0.0)
    valid &= np.isfinite(F) & np.isfinite(K) & np.isfinite(df) & np.isfinite(t)
    out = np.full(F.size, np.nan)
    payoff = df * np.maximum(np.where(call, F - K, K - F), 0.0)
    out[valid] = payoff[valid]
    alive = np.flatnonzero(valid & (t > 0.0))
    if alive.size:
        alive = alive[np.argsort(t[alive], kind="stable")]
        expiries, starts = np.unique(t[alive], return_index=True)
        models = np.tile(model, (expiries.size, 1))
        correction, sigma = np.empty(alive.size), np.empty(expiries.size)
        bounds = np.append(starts, alive.size).astype(np.int64)
        fwd, strikes, discounts = F[alive], K[alive], df[alive]
        corrections(bounds, expiries, models, np.log(fwd / strikes), TIGHT, correction, sigma)
        control = black.price(fwd, strikes, t[alive], np.repeat(sigma, np.diff(bounds)), discounts, call[alive])
        out[alive] = np.maximum(control + discounts * np.sqrt(fwd * strikes) * correction, payoff[alive])
    return out.reshape(shape)

"""Kernels of `fourier`: the characteristic function node by node, moments and tails, sums over nodes.

phi(u - i/2) of Bates' model is evaluated on Lewis' line p = 1/2 + iu alone, where p - p^2 = u^2 + 1/4 is real and the
discriminant d^2 has a positive real part: no branch, no singularity, and eight nodes side by side. "Little trap" form
(Albrecher, Mayer, Schoutens & Tistaert 2007, eq. 2.3) with B = -c E / (2 d (1 + z)), E = 1 - e^{-d tau},
z = xi^2 r E / (2 d), r = -c / (beta + d): nothing cancels as xi or tau goes to 0.
"""

from __future__ import annotations

import cmath
import math
from typing import Final

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled, fused
from voldesk.pricing.transform.complex_elementary import argument, exp_and_less_one, log1p, sine_cosine

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

BLOCK: Final = 32
"""Nodes evaluated together."""

LANES: Final = 8
"""Strikes summed side by side."""

TURNS: Final = 14
_PHASE: Final = 10
_SUM: Final = 12


@compiled
def log_characteristic(p: complex, tau: float, model: FloatArray) -> complex:
    """ln E[(S_T / F)^p] under Bates, for any complex p where the moment exists (p = iu is the usual argument)."""
    kappa, xi = model[KAPPA], model[XI]
    square = xi * xi
    c = p - p * p
    answer = 0.0 + 0.0j
    if c != 0.0:
        beta = kappa - model[RHO] * xi * p
        d = cmath.sqrt(beta * beta + square * c)
        if abs(d) < 1e-6 * abs(beta):
            d = complex(1e-6 * abs(beta), 0.0)  # even in d, so the limit d -> 0 is met to 1e-12; only real p come here
        r = -c / (beta + d)
        x, y = d.real * tau, d.imag * tau
        decay = math.exp(-x)
        half_sine = math.sin(0.5 * y)
        w = complex(2.0 * half_sine * half_sine * decay - math.expm1(-x), decay * math.sin(y)) / (2.0 * d)
        q = r * w
        z = square * q
        if abs(z) < 1e-8:
            logs = q * (1.0 - 0.5 * z)
        else:
            size = 0.5 * math.log1p(2.0 * z.real + z.real * z.real + z.imag * z.imag)
            logs = complex(size, math.atan2(z.imag, 1.0 + z.real)) / square
        answer = kappa * model[THETA] * (r * tau - 2.0 * logs) - model[V0] * c * w / (1.0 + z)
    if model[JUMP_INTENSITY] > 0.0:
        mean, variance = model[JUMP_MEAN], model[JUMP_STD] * model[JUMP_STD]
        growth = math.expm1(mean + 0.5 * variance)
        answer += model[JUMP_INTENSITY] * tau * (cmath.exp(p * (mean + 0.5 * variance * p)) - 1.0 - p * growth)
    return answer


@compiled
def log_moment(p: float, tau: float, model: FloatArray) -> float:
    """ln E[(S_tau / F)^p] under Bates for real p; infinite where the moment is.

    Explosion: Andersen & Piterbarg (2007), proposition 3.1, by the Riccati equation.
    """
    kappa, xi = model[KAPPA], model[XI]
    square = xi * xi
    c = p - p * p
    answer = 0.0
    if c != 0.0:
        beta = kappa - model[RHO] * xi * p
        discriminant = beta * beta + square * c
        # B = -c f / (g + beta f), A = (beta tau - 2 ln(g + beta f)) / xi^2, f = sinh(d tau / 2) / d, g = cosh(d tau / 2)
        if discriminant > 0.0:
            d = math.sqrt(discriminant)
            gone = -math.expm1(-d * tau)
            total = beta + d
            if beta < 0.0:
                r = (beta - d) / square
            else:
                r = -c / total
            w = gone / (2.0 * d)
            z = square * r * w
            if not z > -1.0:
                return math.inf
            logs = r * w if abs(z) < 1e-300 else math.log1p(z) / z * r * w
            answer = kappa * model[THETA] * (r * tau - 2.0 * logs) - model[V0] * c * w / (1.0 + z)
        else:
            d = math.sqrt(-discriminant)
            half = 0.5 * d * tau
            if half >= math.pi:
                return math.inf
            f = 0.5 * tau if half < 1e-9 else math.sin(half) / d
            whole = math.cos(half) + beta * f
            if not whole > 0.0:
                return math.inf
            answer = kappa * model[THETA] * (beta * tau - 2.0 * math.log(whole)) / square - model[V0] * c * f / whole
    if model[JUMP_INTENSITY] > 0.0:
        mean, variance = model[JUMP_MEAN], model[JUMP_STD] * model[JUMP_STD]
        exponent = p * (mean + 0.5 * variance * p)
        if exponent > 700.0:
            return math.inf
        answer += model[JUMP_INTENSITY] * tau * (math.expm1(exponent) - p * math.expm1(mean + 0.5 * variance))
    return answer


@compiled
def _reach_at(p: float, sign: float, tau: float, model: FloatArray, log_tolerance: float) -> float:
    """|ln(K/F)| beyond which Chernoff's bound of order p puts the option under the tolerance."""
    moment = log_moment(p + 1.0 if sign > 0.0 else -p, tau, model)
    return float((moment + p * math.log(p) - (p + 1.0) * math.log(p + 1.0) - log_tolerance) / (p + 0.5))


@compiled
def tail(sign: float, tau: float, model: FloatArray, start: float, log_tolerance: float) -> float:
    """Smallest |ln(K/F)| found beyond which an option out of the money is worth less than the tolerance.

    sign +1: calls (right tail), -1: puts (left tail); start: a guess of the best order. Infinite where no moment helps.
    """
    p = start
    best = _reach_at(p, sign, tau, model, log_tolerance)
    while p > 1e-5 and not best < math.inf:
        p *= 0.5
        best = _reach_at(p, sign, tau, model, log_tolerance)
    ratio = 1.4
    trial = _reach_at(p * ratio, sign, tau, model, log_tolerance)
    if not trial < best:
        ratio = 1.0 / ratio
        trial = _reach_at(p * ratio, sign, tau, model, log_tolerance)
    while trial < best and 1e-6 < p < 1e8:
        best = trial
        p *= ratio
        trial = _reach_at(p * ratio, sign, tau, model, log_tolerance)
    return best


@compiled
def mean_variance(tau: float, model: FloatArray) -> float:
    """Expected variance per year over the option's life, jumps included: the control's sigma squared."""
    decay = -math.expm1(-model[KAPPA] * tau) / (model[KAPPA] * tau)
    jump = model[JUMP_MEAN] * model[JUMP_MEAN] + model[JUMP_STD] * model[JUMP_STD]
    return float(model[THETA] + (model[V0] - model[THETA]) * decay + model[JUMP_INTENSITY] * jump)


@compiled
def reach(tau: float, model: FloatArray, variance: float, log_tolerance: float) -> float:
    """|ln(F/K)| beyond which neither the model nor its Black control leaves a price above the tolerance."""
    deviation = math.sqrt(variance * tau)
    widest = math.sqrt(-2.0 * log_tolerance)
    start = 0.4 * widest / deviation
    answer = deviation * (widest + deviation)
    answer = max(answer, tail(1.0, tau, model, start, log_tolerance))
    return max(answer, tail(-1.0, tau, model, start, log_tolerance))


@fused
def exponents(first: int, step: float, tau: float, model: FloatArray, work: FloatArray) -> None:
    """Real and imaginary part of ln phi(u - i/2) at u = step (first + 0..BLOCK-1), into rows 0 and 1 of `work`.

    Row 2: a bound of the real part that does not come back once it has fallen, see `_add_jumps`.
    """
    kappa, rho, xi = model[KAPPA], model[RHO], model[XI]
    square = xi * xi
    straight = kappa - 0.5 * rho * xi
    lean = -rho * xi
    level = straight * straight + 0.25 * square
    bend = square * (1.0 - rho) * (1.0 + rho)
    drag, v0 = kappa * model[THETA], model[V0]
    tiny = square < 1e-40
    inverse_square = 0.0 if tiny else 1.0 / square
    plain_share = 1.0 if tiny else 0.0
    for j in range(BLOCK):
        u = (first + j) * step
        c = u * u + 0.25
        beta = complex(straight, lean * u)
        real = level + bend * u * u
        imaginary = 2.0 * straight * beta.imag
        size = math.sqrt(real * real + imaginary * imaginary)
        root = math.sqrt(0.5 * (size + real))
        d = complex(root, 0.5 * imaginary / root)
        total = beta + d
        norm = total.real * total.real + total.imag * total.imag
        both = 1.0 / (norm * size)  # divisions are what this loop waits for: one for two
        r = -c * both * size * complex(total.real, -total.imag)
        decay, fallen = exp_and_less_one(-d.real * tau)
        s, co = sine_cosine(0.5 * d.imag * tau)
        gone = complex(2.0 * s * s * decay - fallen, 2.0 * s * co * decay)
        w = gone * complex(d.real, -d.imag) * (0.5 * both * norm)
        q = r * w
        z = square * q
        extra = 2.0 * z.real + z.real * z.real + z.imag * z.imag
        log_real = 0.5 * log1p(extra) * inverse_square + q.real * plain_share
        log_imaginary = argument(z.imag, 1.0 + z.real) * inverse_square + q.imag * plain_share
        slope = w * complex(1.0 + z.real, -z.imag) * (-c / (1.0 + extra))
        work[j] = drag * (r.real * tau - 2.0 * log_real) + v0 * slope.real
        work[BLOCK + j] = drag * (r.imag * tau - 2.0 * log_imaginary) + v0 * slope.imag
    for j in range(BLOCK):
        work[2 * BLOCK + j] = work[j]
    if model[JUMP_INTENSITY] > 0.0:
        _add_jumps(first, step, tau, model, work)


@fused
def _add_jumps(first: int, step: float, tau: float, model: FloatArray, work: FloatArray) -> None:
    """Jumps of one size make |phi| fall and rise again with cos(u jump_mean); the bound has the cosine at 1."""
    mean, variance = model[JUMP_MEAN], model[JUMP_STD] * model[JUMP_STD]
    rate = model[JUMP_INTENSITY] * tau
    growth = math.expm1(mean + 0.5 * variance)
    for j in range(BLOCK):
        u = (first + j) * step
        size, less = exp_and_less_one(0.5 * mean + 0.5 * variance * (0.25 - u * u))
        s, co = sine_cosine(0.5 * u * (mean + 0.5 * variance))
        # e^{i a} - 1 = 2 i sin(a/2) e^{i a/2}
        work[j] += rate * (less - 2.0 * s * s * size - 0.5 * growth)
        work[BLOCK + j] += rate * (2.0 * s * co * size - u * growth)
        work[2 * BLOCK + j] += rate * (less - 0.5 * growth)


@fused
def weigh(first: int, step: float, tau: float, variance: float, work: FloatArray) -> float:
    """Turn the exponents of `work` into weights of e^{iux} (same rows), the control subtracted.

    Returns the size of the last node's weights, phi (its bound) and control apart, which tells when to stop.
    """
    half_spread = 0.5 * variance * tau
    for j in range(BLOCK):
        u = (first + j) * step
        c = u * u + 0.25
        scale = step / (math.pi * c)
        size, _ = exp_and_less_one(work[j])
        s, co = sine_cosine(work[BLOCK + j])
        control, _ = exp_and_less_one(-half_spread * c)
        work[j] = scale * (control - size * co)
        work[BLOCK + j] = -scale * size * s
    u = (first + BLOCK - 1) * step
    c = u * u + 0.25
    return step / (math.pi * c) * (math.exp(min(work[3 * BLOCK - 1], 0.0)) + math.exp(-half_spread * c))


@fused
def add_block(turns: FloatArray, lanes: int, rows: int, weights: FloatArray, sums: FloatArray) -> None:
    """Add Re sum_j weight_j e^{i j h x} of the next block of nodes to sums (rows x lanes).

    turns: TURNS groups of LANES values for each LANES strikes, see `prepare_turns`; carries the phase of the block's
    first node from call to call. weights: for each row BLOCK real parts, then BLOCK imaginary ones. Horner in steps of
    four nodes. Everything a loop writes lies at a constant distance in one array, or it would not be vectorised.
    """
    for start in range(0, lanes, LANES):
        t = turns[TURNS * start : TURNS * start + TURNS * LANES]
        for row in range(rows):
            w = weights[2 * BLOCK * row : 2 * BLOCK * row + 2 * BLOCK]
            for k in range(LANES):
                t[_SUM * LANES + k] = 0.0
                t[(_SUM + 1) * LANES + k] = 0.0
            for j in range(BLOCK - 4, -1, -4):
                a0, a1, a2, a3 = w[j], w[j + 1], w[j + 2], w[j + 3]
                b0, b1, b2, b3 = w[BLOCK + j], w[BLOCK + j + 1], w[BLOCK + j + 2], w[BLOCK + j + 3]
                for k in range(LANES):
                    c1, s1 = t[k], t[LANES + k]
                    c2, s2 = t[2 * LANES + k], t[3 * LANES + k]
                    c3, s3 = t[4 * LANES + k], t[5 * LANES + k]
                    c4, s4 = t[6 * LANES + k], t[7 * LANES + k]
                    a, b = t[_SUM * LANES + k], t[(_SUM + 1) * LANES + k]
                    new_real = ((a0 + a1 * c1 - b1 * s1) + (a2 * c2 - b2 * s2)) + (a3 * c3 - b3 * s3)
                    new_imaginary = ((b0 + a1 * s1 + b1 * c1) + (a2 * s2 + b2 * c2)) + (a3 * s3 + b3 * c3)
                    t[_SUM * LANES + k] = new_real + a * c4 - b * s4
                    t[(_SUM + 1) * LANES + k] = new_imaginary + a * s4 + b * c4
            total = sums[row * lanes + start : row * lanes + start + LANES]
            for k in range(LANES):
                total[k] += t[_SUM * LANES + k] * t[_PHASE * LANES + k] - (
                    t[(_SUM + 1) * LANES + k] * t[(_PHASE + 1) * LANES + k]
                )
        for k in range(LANES):
            c, s = t[_PHASE * LANES + k], t[(_PHASE + 1) * LANES + k]
            c_block, s_block = t[8 * LANES + k], t[9 * LANES + k]
            t[_PHASE * LANES + k] = c * c_block - s * s_block
            t[(_PHASE + 1) * LANES + k] = c * s_block + s * c_block


@fused
def _circle(step: float, angles: FloatArray, out: FloatArray) -> None:
    """Sine and cosine of step x angle, then those of BLOCK times it, into four stretches of `out`."""
    n = angles.size
    for k in range(n):
        s, c = sine_cosine(step * angles[k])
        out[k] = s
        out[n + k] = c
    for k in range(n):
        s, c = sine_cosine(BLOCK * (step * angles[k]))
        out[2 * n + k] = s
        out[3 * n + k] = c


@compiled
def prepare_turns(step: float, x: FloatArray, scratch: FloatArray, turns: FloatArray) -> None:
    """For `add_block`: cosine and sine of h x, 2 h x, 3 h x, 4 h x, BLOCK h x; the phase (1, 0) and room for two sums.

    x: log-moneyness, its size a multiple of LANES. scratch: four values for each x.
    """
    n = x.size
    _circle(step, x, scratch)
    for k in range(n):
        t = turns[TURNS * LANES * (k // LANES) + k % LANES :]
        s1, c1 = scratch[k], scratch[n + k]
        s2, c2 = 2.0 * s1 * c1, (c1 - s1) * (c1 + s1)
        t[0], t[LANES] = c1, s1
        t[2 * LANES], t[3 * LANES] = c2, s2
        t[4 * LANES], t[5 * LANES] = c1 * c2 - s1 * s2, c1 * s2 + s1 * c2
        t[6 * LANES], t[7 * LANES] = (c2 - s2) * (c2 + s2), 2.0 * s2 * c2
        t[8 * LANES], t[9 * LANES] = scratch[3 * n + k], scratch[2 * n + k]
        t[_PHASE * LANES], t[(_PHASE + 1) * LANES] = 1.0, 0.0

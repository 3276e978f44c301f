"""Options one by one on a tilted contour, for characteristic functions that decay too slowly on the straight line.

    value / sqrt(F K) = e^{-|x|/2} - (1/pi) Re int e^{iux} phi(u - i/2) / (u^2 + 1/4) du,     u = t e^{ia}, t > 0

For an option out of the money. With correlation near +-1, or next to no diffusion beside jumps, |phi| falls like
e^{-C sqrt(u)} or 1/u^2 only; turned towards the side on which the strike lies, e^{iux} itself decays. No pole lies
between the contours, and phi is analytic there. Contour: Andersen & Lake (2019), "Robust high-precision option pricing
by Fourier transforms", sec. 4, here turned about u = 0 and as far as the integrand does not grow. Rule: double
exponential, u = exp(pi/2 sinh t) (Takahasi & Mori 1974), halved until two steps agree.

Certificate: two angles must agree, which no branch cut, missed oscillation or growth survives; else NaN.
"""

from __future__ import annotations

import cmath
import math
from typing import Final

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled
from voldesk.pricing.transform.fourier_kernels import (
    JUMP_INTENSITY,
    JUMP_MEAN,
    JUMP_STD,
    KAPPA,
    RHO,
    THETA,
    V0,
    XI,
    log_characteristic,
)

_FIRST_STEP: Final = 0.125
_HALVINGS: Final = 8
_LOWEST: Final = -3.95
_GROWTH: Final = 2.0
_STEEPEST: Final = 1.0


@compiled
def _integrand(t: float, turn: complex, x: float, tau: float, model: FloatArray) -> float:
    """The integrand in t, its Jacobian included."""
    distance = math.exp(0.5 * math.pi * math.sinh(t))
    u = distance * turn
    exponent = 1j * u * x + log_characteristic(0.5 + 1j * u, tau, model)
    if not exponent.real > -800.0:
        return 0.0
    whole = cmath.exp(exponent) / (u * u + 0.25) * turn
    return whole.real * distance * 0.5 * math.pi * math.cosh(t)


@compiled
def _tilted(angle: float, x: float, tau: float, model: FloatArray, tolerance: float) -> float:
    """The integral along one angle; NaN where halving does not settle."""
    turn = complex(math.cos(angle), math.sin(angle))
    highest = 0.0
    size = math.inf
    while highest < 4.2:  # u = 3e22
        size = abs(_integrand(highest, turn, x, tau, model)) + abs(_integrand(highest + 0.03, turn, x, tau, model))
        if not size > 1e-3 * tolerance:
            break
        highest += 0.0625
    highest += 0.125
    step = _FIRST_STEP
    total = 0.0
    for k in range(math.floor((highest - _LOWEST) / step) + 1):
        total += _integrand(_LOWEST + k * step, turn, x, tau, model)
    before = math.inf
    for _ in range(_HALVINGS):
        now = total * step
        if abs(now - before) < 10.0 * tolerance:
            return now
        before = now
        for k in range(math.floor((highest - _LOWEST) / step) + 1):
            total += _integrand(_LOWEST + (k + 0.5) * step, turn, x, tau, model)
        step *= 0.5
    return math.nan


@compiled
def _angle(x: float, tau: float, model: FloatArray) -> float:
    """Towards the strike's side of the place where phi's phase comes to rest; as steep as the integrand allows."""
    centre = 0.0
    if model[XI] > 0.0:
        centre += model[RHO] * (model[V0] + model[KAPPA] * model[THETA] * tau) / model[XI]
    if model[JUMP_INTENSITY] > 0.0:
        growth = math.expm1(model[JUMP_MEAN] + 0.5 * model[JUMP_STD] * model[JUMP_STD])
        centre += model[JUMP_INTENSITY] * tau * growth
    angle = _STEEPEST if x > centre else -_STEEPEST
    while abs(angle) > 0.01:
        turn = complex(math.cos(angle), math.sin(angle))
        highest = 0.0
        for k in range(60):
            u = 0.05 * 1.5**k * turn
            exponent = 1j * u * x + log_characteristic(0.5 + 1j * u, tau, model)
            highest = max(highest, exponent.real)
        if highest < _GROWTH:
            return angle
        angle *= 0.75
    return angle


@compiled
def contour_price(x: float, tau: float, model: FloatArray, tolerance: float) -> float:
    """Undiscounted option out of the money over sqrt(F K), x = ln(F/K); NaN where the certificate fails.

    tolerance: absolute, at least 1e-14 is asked for.
    """
    wanted = max(tolerance, 1e-14)
    angle = _angle(x, tau, model)
    one = _tilted(angle, x, tau, model, wanted)
    other = _tilted(0.8 * angle, x, tau, model, wanted)
    if not abs(one - other) < 200.0 * wanted:
        return math.nan
    return max(math.exp(-0.5 * abs(x)) - one / math.pi, 0.0)

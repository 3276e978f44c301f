"""Total volatility of one option: the equation, its Householder step, and the solver of rows that blocks leave out.

With k = |log-moneyness|, s total volatility, h = k / s, t = s / 2, n the normal density and m(a) = N(-a) / n(a): the
time value over its bound, the smaller of forward and strike, is n(h - t) F with F = m(h - t) - m(h + t), and what is
missing to the bound n(h - t) F with F = m(t - h) + m(h + t). Up to half of the bound (`side` 1) the logarithm of the
time value is solved for, beyond it (`side` -1) the logarithm of what is missing, as Jaeckel (2015), "Let's be rational",
Wilmott, secs. 4-5, does:

    f(s) = log(F / (sqrt(2 pi) target)) - (h - t)^2 / 2 = 0,    f' = side / F.

That needs no exponential and cannot underflow; it holds its digits at the money, where F / target is near 1, and for
any k, since the bound is taken out and not sqrt(forward strike).

`one` starts as a block does (`iv_start`) where that is fitted, else from the normal quantile of the target, as if the
second Mills ratio were small beside the first. The starts are within 0.6 and 5 % of the root (worst just where the
fit ends), and f is so nearly a parabola in h - t that steps of order four need no bounds to keep them in: two settle a
price, three at most, of 800,000 with k from 1e-16 to 1,380 and prices from 1e-600 of their bound to the last float
below it.
"""

from __future__ import annotations

import math
from typing import Final

from voldesk.core.compiled import compiled, inlined
from voldesk.pricing.elementary import INV_SQRT_TWO_PI, log_poly, mills_pair
from voldesk.pricing.european.black_kernels import log_ratio
from voldesk.pricing.european.iv_start import FITTED_K, FITTED_MISSING, FITTED_PRICE, lower_start, upper_start
from voldesk.pricing.normal import SQRT_TWO_PI

OK: Final = 0
BELOW_INTRINSIC: Final = 1
ABOVE_MAX: Final = 2
BAD_INPUT: Final = 3

_LINEAR: Final = 1e-9  # at the money, price / bound = s / sqrt(2 pi) (1 - s^2 / 24 ...)
_RATIO_FITS: Final = 700.0  # beyond, forward / strike leaves the floats
_CLOSE: Final = 1e-5  # a step of order four this small leaves an error below rounding
_MOST_STEPS: Final = 8


@inlined
def mills_factor(h: float, s: float, side: float) -> float:
    """F of the module's equation, exact relative to itself for any s; side (h - s / 2) >= -0.875."""
    below = side > 0.0
    near = h - 0.5 * s
    first, second, difference = mills_pair(near if below else -near, h + 0.5 * s, s if below else 2.0 * h)
    return difference if below else first + second


@inlined
def householder(h: float, s: float, factor: float, side: float, f: float) -> float:
    """Step of order four in s: newton = -f / f', second = f'' / f', third = f''' / f'."""
    t = 0.5 * s
    per_s = 1.0 / s
    u = side / factor
    bend = (h * h - t * t) * per_s
    slope = h * per_s
    second = bend - u
    third = bend * bend - 3.0 * slope * slope - 0.25 - 3.0 * bend * u + 2.0 * u * u
    newton = -side * f * factor
    return newton * (1.0 + 0.5 * second * newton) / (1.0 + newton * (second + third * newton / 6.0))


@compiled
def _start(k: float, target: float, log_target: float, side: float) -> float:
    """Total volatility to a few per cent."""
    if k <= FITTED_K:
        if side > 0.0:
            b = target * math.exp(-0.5 * k)
            if b > FITTED_PRICE:
                return lower_start(k, b)
        elif target > FITTED_MISSING:
            return upper_start(k, target)
    # N(-z) = target: Hastings (1955), sheet 67, as Abramowitz and Stegun 26.2.22; holds to 3e-3 in any tail.
    w = math.sqrt(-2.0 * log_target)
    near = side * (w - (2.30753 + 0.27061 * w) / (1.0 + w * (0.99229 + 0.04481 * w)))
    root = math.sqrt(near * near + 2.0 * k)
    return root - near if near < 0.0 else 2.0 * k / (root + near)


@compiled
def total_volatility(k: float, time_value: float, missing: float, bound: float) -> float:
    """s of |log-moneyness| k and the time value, which is positive and `missing` less than its bound."""
    share = time_value / bound
    if k == 0.0 and share < _LINEAR:
        return SQRT_TWO_PI * share
    side = 1.0 if share < 0.5 else -1.0
    target = share if share < 0.5 else missing / bound
    log_target = math.log(target)
    scale = INV_SQRT_TWO_PI / target
    left = 0.0  # of the logarithm of the target, once it is divided by `scale`
    if target < FITTED_PRICE:  # its own digits run out
        log_target = left = math.log(time_value) - math.log(bound)
        scale = INV_SQRT_TWO_PI
    s = _start(k, target, log_target, side)
    for _ in range(_MOST_STEPS):
        h = k / s
        near = h - 0.5 * s
        factor = mills_factor(h, s, side)
        f = log_poly(factor * scale) - left - 0.5 * near * near
        step = householder(h, s, factor, side, f)
        s += step
        if abs(step) <= _CLOSE * min(s, 1.0):
            break
    return s


@compiled
def one(price: float, forward: float, strike: float, tau: float, discount: float, is_call: bool) -> tuple[float, int]:
    """Implied volatility and status of one option."""
    if not (-math.inf < price < math.inf and 0.0 < forward < math.inf and 0.0 < strike < math.inf):
        return math.nan, BAD_INPUT
    if not (0.0 < tau < math.inf and 0.0 < discount < math.inf):
        return math.nan, BAD_INPUT
    value = price / discount
    side = 1.0 if is_call else -1.0
    time_value = value - max(side * (forward - strike), 0.0)
    if time_value < 0.0:
        return math.nan, BELOW_INTRINSIC
    missing = (forward if is_call else strike) - value  # exact where it matters, in the money too
    if missing <= 0.0:
        return math.nan, ABOVE_MAX
    if time_value == 0.0:
        return 0.0, OK
    k = abs(log_ratio(forward, strike))
    if k > _RATIO_FITS:
        k = abs(math.log(forward) - math.log(strike))
    return total_volatility(k, time_value, missing, min(forward, strike)) / math.sqrt(tau), OK

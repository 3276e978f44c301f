"""Scalar kernels of Black's formula: one option at a time, with care for every limit (`black_blocks` for many).

Sources: the out-of-the-money price as Jaeckel (2015), "Let's be rational", eqs. 2.1-2.7, writes it, with its regions
redrawn (see `mills_difference`); Greeks of Haug (2007), ch. 2, as polynomials in d1, d2 times the normal density.
"""

from __future__ import annotations

import math
from typing import Final

from voldesk.core.compiled import compiled
from voldesk.pricing.normal import INV_SQRT_TWO_PI, cdf, mills, mills_and_slope

Row = tuple[
    float, float, float, float, float, float, float, float, float, float, float, float, float, float
]  # the fields of Greeks, in order

_SMALL_T: Final = 0.21  # below, the difference of two Mills ratios is summed as a series in t
_TERMS: Final = 9


@compiled
def log_ratio(forward: float, strike: float) -> float:
    """log(forward / strike), exact also where the two nearly agree."""
    distance = (forward - strike) / strike
    if abs(distance) < 0.5:
        return math.log1p(distance)
    return math.log(forward / strike)


@compiled
def mills_difference(h: float, t: float) -> float:
    """N(h+t)/n(h+t) - N(h-t)/n(h-t) for h <= 0 < t, the normalised Black price over its vega.

    For small t as sum 2 t^(2k+1)/(2k+1)! Y^(2k+1)(h) with Y = N/n and Y^(n+1) = n Y^(n-1) + h Y^(n). The recurrence
    loses digits like exp(|h| t), so the series is left to |h| t < 3; beyond, the plain difference is better
    conditioned than the price itself.
    """
    if t < _SMALL_T and h * t > -3.0:
        even, odd = mills_and_slope(h)
        weight = t
        total = t * odd
        square = t * t
        order = 1.0
        for _ in range(_TERMS):
            # Both from the old pair: one multiplication and one addition long, which is what this loop waits for.
            even, odd = order * even + h * odd, (order + 1.0 + h * h) * odd + h * order * even
            order += 2.0
            weight *= square / (order * (order - 1.0))
            term = weight * odd
            total += term
            if term < 1e-17 * total:
                break
        return 2.0 * total
    return mills(h + t) - mills(h - t)


@compiled
def normalised_black(x: float, s: float) -> float:
    """Undiscounted out-of-the-money option over sqrt(forward * strike): x = -|log-moneyness|, s = total volatility."""
    if s <= 0.0:
        return 0.0
    h = x / s
    t = 0.5 * s
    if h + t > 0.85:
        return math.exp(0.5 * x) * cdf(h + t) - math.exp(-0.5 * x) * cdf(h - t)
    exponent = -0.5 * (h * h + t * t)
    if exponent < -760.0:
        return 0.0
    return INV_SQRT_TWO_PI * math.exp(exponent) * mills_difference(h, t)


@compiled
def is_valid(forward: float, strike: float, tau: float, sigma: float) -> bool:
    """False for NaN and for values outside the formula's domain."""
    return forward > 0.0 and strike >= 0.0 and tau >= 0.0 and sigma >= 0.0 and forward < math.inf and strike < math.inf


@compiled
def undiscounted(forward: float, strike: float, tau: float, sigma: float, is_call: bool) -> float:
    """Undiscounted Black price of one option."""
    if not is_valid(forward, strike, tau, sigma):
        return math.nan
    intrinsic = max(forward - strike, 0.0) if is_call else max(strike - forward, 0.0)
    s = sigma * math.sqrt(tau)
    if s == 0.0 or strike == 0.0:
        return intrinsic
    if s == math.inf:
        return forward if is_call else strike
    return intrinsic + math.sqrt(forward) * math.sqrt(strike) * normalised_black(-abs(log_ratio(forward, strike)), s)


@compiled
def _degenerate_row(forward: float, strike: float, tau: float, sigma: float, is_call: bool) -> Row:
    """Undiscounted Greeks in the limit of no total volatility, or of a strike at zero."""
    side = 1.0 if is_call else -1.0
    worth = max(side * (forward - strike), 0.0)
    if forward != strike:
        delta = side if side * (forward - strike) > 0.0 else 0.0
        return (worth, delta, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    # Exactly at the strike: d1 = -d2 = sigma sqrt(tau) / 2 in every formula, then the limit.
    root = math.sqrt(tau)
    vega = forward * INV_SQRT_TWO_PI * root
    if sigma == 0.0:
        return (
            0.0, 0.5 * side, math.inf, vega, 0.0, 0.0, 0.5 * INV_SQRT_TWO_PI * root, 0.0, 0.0,
            -math.inf, -math.inf, math.inf, -0.25 * vega * tau, -0.5 * vega / tau if tau > 0.0 else -math.inf,
        )  # fmt: skip
    return (
        0.0, 0.5 * side, math.inf, 0.0, -math.inf, 0.0, 0.0, 0.0, -math.inf,
        -math.inf, -math.inf, math.inf, 0.0, -math.inf,
    )  # fmt: skip


@compiled
def careful_row(forward: float, strike: float, tau: float, sigma: float, is_call: bool) -> tuple[Row, float]:
    """Undiscounted Greeks of one option (rho left 0), and N(d2) on the option's side."""
    s = sigma * math.sqrt(tau)
    if not is_valid(forward, strike, tau, sigma) or s == math.inf:
        nan = math.nan
        return (nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan), nan
    if s == 0.0 or strike == 0.0:
        row = _degenerate_row(forward, strike, tau, sigma, is_call)
        return row, abs(row[1])
    side = 1.0 if is_call else -1.0
    x = log_ratio(forward, strike)
    intrinsic = max(side * (forward - strike), 0.0)
    price = intrinsic + math.sqrt(forward) * math.sqrt(strike) * normalised_black(-abs(x), s)
    d1 = x / s + 0.5 * s
    d2 = x / s - 0.5 * s
    density = INV_SQRT_TWO_PI * math.exp(-0.5 * d1 * d1)
    delta = side * cdf(side * d1)
    exercise = cdf(side * d2)
    if density == 0.0:  # beyond 38 deviations; d1 may be infinite and must not meet a zero
        return (price, delta, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0), exercise
    both = d1 * d2
    gamma = density / (forward * s)
    vega = forward * density * math.sqrt(tau)
    volga = vega * both / sigma
    halved = 0.5 / tau
    return (
        price,
        delta,
        gamma,
        vega,
        -vega * sigma * halved,
        0.0,
        -density * d2 / sigma,
        volga,
        density * d2 * halved,
        -gamma / forward * (d1 / s + 1.0),
        gamma * (both - 1.0) / sigma,
        -gamma * (both - 1.0) * halved,
        vega / (sigma * sigma) * (both * (both - 1.0) - d1 * d1 - d2 * d2),
        -vega * (1.0 + both) * halved,
    ), exercise


@compiled
def strike_charm(tau: float, sigma: float, carry: float, finite: float) -> float:
    """Limit of the charm in spot exactly at the strike, where gamma is infinite: -(sigma / 4 + carry / sigma) gamma."""
    lead = carry if tau > 0.0 or sigma == 0.0 else 0.25 * sigma * sigma + carry
    if lead == 0.0:
        return finite
    return -math.inf if lead > 0.0 else math.inf


@compiled
def strike_color(tau: float, growth: float) -> float:
    """Limit of the color exactly at the strike: (1 / (2 tau) + growth) gamma."""
    return math.inf if tau == 0.0 or 0.5 / tau + growth > 0.0 else -math.inf

"""Kernels of `black`: one pass over broadcast columns, one row of Greeks at a time.

Sources: the out-of-the-money price as Jaeckel (2015), "Let's be rational", eqs. 2.1-2.7, writes it, with its regions
redrawn (see `mills_difference`); Greeks of Haug (2007), ch. 2, as polynomials in d1, d2 times the normal density.
`steps[j]` is 1 where input j has one value per row and 0 where one value serves all rows.
"""

from __future__ import annotations

import math
from typing import Final

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.pricing.normal import INV_SQRT_TWO_PI, cdf, mills, mills_and_slope

_Row = tuple[
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
def _degenerate_row(forward: float, strike: float, tau: float, sigma: float, is_call: bool) -> _Row:
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
def _row(forward: float, strike: float, tau: float, sigma: float, is_call: bool) -> tuple[_Row, float]:
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
def _strike_charm(tau: float, sigma: float, carry: float, finite: float) -> float:
    """Limit of the charm in spot exactly at the strike, where gamma is infinite: -(sigma / 4 + carry / sigma) gamma."""
    lead = carry if tau > 0.0 or sigma == 0.0 else 0.25 * sigma * sigma + carry
    if lead == 0.0:
        return finite
    return -math.inf if lead > 0.0 else math.inf


@compiled
def _strike_color(tau: float, growth: float) -> float:
    """Limit of the color exactly at the strike: (1 / (2 tau) + growth) gamma."""
    return math.inf if tau == 0.0 or 0.5 / tau + growth > 0.0 else -math.inf


@compiled
def price_kernel(
    steps: IntArray,
    out: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    sigma: FloatArray,
    discount: FloatArray,
    is_call: BoolArray,
) -> None:
    for i in range(out.size):
        out[i] = discount[i * steps[4]] * undiscounted(
            forward[i * steps[0]], strike[i * steps[1]], tau[i * steps[2]], sigma[i * steps[3]], is_call[i * steps[5]]
        )


@compiled
def forward_kernel(
    steps: IntArray,
    out: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    sigma: FloatArray,
    discount: FloatArray,
    is_call: BoolArray,
) -> None:
    for i in range(out.shape[1]):
        years = tau[i * steps[2]]
        factor = discount[i * steps[4]]
        rate = -math.log(factor) / years if factor != 1.0 and years > 0.0 else 0.0
        g, _ = _row(forward[i * steps[0]], strike[i * steps[1]], years, sigma[i * steps[3]], is_call[i * steps[5]])
        out[0, i] = factor * g[0]
        out[1, i] = factor * g[1]
        out[2, i] = factor * g[2]
        out[3, i] = factor * g[3]
        out[4, i] = factor * (g[4] + rate * g[0])
        out[5, i] = -years * factor * g[0]
        out[6, i] = factor * g[6]
        out[7, i] = factor * g[7]
        out[8, i] = factor * (g[8] + rate * g[1])
        out[9, i] = factor * g[9]
        out[10, i] = factor * g[10]
        out[11, i] = factor * (g[11] + rate * g[2]) if g[2] != math.inf else _strike_color(years, rate)
        out[12, i] = factor * g[12]
        out[13, i] = factor * (g[13] + rate * g[3])


@compiled
def spot_kernel(
    steps: IntArray,
    out: FloatArray,
    spot: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    sigma: FloatArray,
    rate: FloatArray,
    dividend_yield: FloatArray,
    is_call: BoolArray,
) -> None:
    for i in range(out.shape[1]):
        years = tau[i * steps[2]]
        r = rate[i * steps[4]]
        carry = r - dividend_yield[i * steps[5]]
        grown = math.exp(carry * years)
        forward = spot[i * steps[0]] * grown
        factor = math.exp(-r * years)
        g, exercise = _row(forward, strike[i * steps[1]], years, sigma[i * steps[3]], is_call[i * steps[6]])
        side = 1.0 if is_call[i * steps[6]] else -1.0
        drift = carry * forward
        single = factor * grown
        double = single * grown
        out[0, i] = factor * g[0]
        out[1, i] = single * g[1]
        out[2, i] = double * g[2]
        out[3, i] = factor * g[3]
        out[4, i] = factor * (g[4] + r * g[0] - drift * g[1])
        out[5, i] = side * years * factor * strike[i * steps[1]] * exercise
        out[6, i] = single * g[6]
        out[7, i] = factor * g[7]
        out[9, i] = double * grown * g[9]
        out[10, i] = double * g[10]
        if g[2] != math.inf:
            out[8, i] = single * (g[8] + (r - carry) * g[1] - drift * g[2])
            out[11, i] = double * (g[11] + (r - 2.0 * carry) * g[2] - drift * g[9])
        else:
            out[8, i] = _strike_charm(years, sigma[i * steps[3]], carry, single * (r - carry) * g[1])
            out[11, i] = _strike_color(years, r - 0.5 * carry)
        out[12, i] = factor * g[12]
        out[13, i] = factor * (g[13] + r * g[3] - drift * g[6])


@compiled
def coin_kernel(
    steps: IntArray,
    out: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    sigma: FloatArray,
    is_call: BoolArray,
) -> None:
    """Fields of `CoinGreeks`: c = B / F, so that F dc/dF = B' - c = side (K/F) N(side d2) without cancellation."""
    for i in range(out.shape[1]):
        f = forward[i * steps[0]]
        g, exercise = _row(f, strike[i * steps[1]], tau[i * steps[2]], sigma[i * steps[3]], is_call[i * steps[4]])
        net = strike[i * steps[1]] / f * exercise
        if not is_call[i * steps[4]]:
            net = -net
        delta = net / f
        gamma = (g[2] - 2.0 * delta) / f
        vega = g[3] / f
        theta = g[4] / f
        vanna = (g[6] - vega) / f
        if theta == -math.inf:  # expired at the strike: charm tends to +inf like 1/sqrt(tau), color faster
            charm = math.inf
            color = math.inf
        else:
            charm = (g[8] - theta) / f
            color = (g[11] - 2.0 * charm) / f
        out[0, i] = g[0] / f
        out[1, i] = delta
        out[2, i] = gamma
        out[3, i] = vega
        out[4, i] = theta
        out[5, i] = 0.0 * delta
        out[6, i] = vanna
        out[7, i] = g[7] / f
        out[8, i] = charm
        out[9, i] = (g[9] - 3.0 * gamma) / f
        out[10, i] = (g[10] - 2.0 * vanna) / f
        out[11, i] = color
        out[12, i] = g[12] / f
        out[13, i] = g[13] / f
        out[14, i] = net

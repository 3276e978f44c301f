"""One ordinary option without a branch: the loop body of `black_blocks`.

The out-of-the-money value is lower N(h + t) - upper N(h - t) with lower, upper the smaller and larger of forward and
strike, h = -|x| / s, x the log-moneyness, s the total volatility, t = s / 2; since lower n(h + t) = upper n(h - t) = D,
it is D (m(-h - t) - m(t - h)) with m the Mills ratio (Jaeckel 2015, "Let's be rational", eqs. 2.1-2.7). `mills_pair`
gives both ratios and their difference to full precision, hence the price at any total volatility, and N(d1) and N(d2)
on the way. Greeks of Haug (2007), ch. 2, as polynomials in d1, d2 times the density.

Of a row that is not ordinary (NaN, expired, no volatility, extreme size) the lane only says so; its figures mean
nothing, but are computed without an error.
"""

from __future__ import annotations

import math
from typing import Final

from voldesk.core.compiled import inlined
from voldesk.pricing.elementary import INV_SQRT_TWO_PI, exp_poly, log_ratio_poly, mills_pair
from voldesk.pricing.european.black_kernels import Row

_LEAST: Final = 1e-100
_MOST: Final = 1e100
_FAR: Final = 1000.0  # deviations
_NEAR: Final = 0.875  # beyond this d1, one minus the tail


@inlined
def is_ordinary(forward: float, strike: float, tau: float, sigma: float) -> bool:
    """Whether no product or quotient of the lane can leave the floats. False for NaN."""
    return (
        (forward > _LEAST)
        & (forward < _MOST)
        & (strike > _LEAST)
        & (strike < _MOST)
        & (tau > _LEAST)
        & (tau < _MOST)
        & (sigma > _LEAST)
        & (sigma < _MOST)
    )


@inlined
def readied(
    forward: float, strike: float, tau: float, sigma: float
) -> tuple[float, float, float, float, float, float, float, float, bool]:
    """Forward, strike, volatility (1 in their place in an odd row), sqrt(tau), s, 1 / s, 1 / forward, x / s, odd."""
    fine = is_ordinary(forward, strike, tau, sigma)
    forward = forward if fine else 1.0
    strike = strike if fine else 1.0
    sigma = sigma if fine else 1.0
    root = math.sqrt(tau if fine else 1.0)
    s = sigma * root
    per_both = 1.0 / (s * forward)  # one division for both
    away = log_ratio_poly(forward, strike) / s  # but its own for this: the price moves by its square
    near = (abs(away) < _FAR) & (s < _FAR)
    return forward, strike, sigma, root, s, per_both * forward, per_both * s, away if near else 0.0, not (fine & near)


@inlined
def legs(forward: float, strike: float, s: float, away: float) -> tuple[float, float, float, float, float]:
    """Out-of-the-money value, lower N(h + t), lower N(-h - t), upper N(h - t), and D; see above."""
    h = -abs(away)
    t = 0.5 * s
    lower = forward if away < 0.0 else strike
    high = h + t > _NEAR
    a = h + t if high else -h - t
    first, second, difference = mills_pair(a, t - h, -2.0 * h if high else s)
    scale = lower * (INV_SQRT_TWO_PI * exp_poly(-0.5 * (h + t) * (h + t)))
    tail = scale * first
    upper_leg = scale * second
    lower_leg = lower - tail if high else tail
    lower_rest = tail if high else lower - tail
    return (lower_leg - upper_leg if high else scale * difference), lower_leg, lower_rest, upper_leg, scale


@inlined
def price_of(value: float, forward: float, strike: float, away: float, side: float) -> float:
    """Undiscounted price from the out-of-the-money value. side: 1 call, -1 put."""
    return value if (away < 0.0) == (side > 0.0) else value + side * (forward - strike)


@inlined
def price_lane(forward: float, strike: float, tau: float, sigma: float, side: float) -> tuple[float, bool]:
    """Undiscounted price, and whether the row is odd after all."""
    forward, strike, _, _, s, _, _, away, odd = readied(forward, strike, tau, sigma)
    return price_of(legs(forward, strike, s, away)[0], forward, strike, away, side), odd


@inlined
def derivatives(
    forward: float,
    strike: float,
    sigma: float,
    root: float,
    s: float,
    per_s: float,
    per_forward: float,
    away: float,
    side: float,
    value: float,
    lower_leg: float,
    lower_rest: float,
    upper_leg: float,
    scale: float,
) -> tuple[Row, float, float]:
    """From what `readied` and `legs` gave: undiscounted Greeks (rho left 0), strike N(side d2), 1 / tau."""
    below = away < 0.0
    is_call = side > 0.0
    upper_rest = (strike if below else forward) - upper_leg
    call_leg = lower_leg if below else upper_rest  # forward N(d1)
    put_leg = lower_rest if below else upper_leg
    call_strike = upper_leg if below else lower_rest  # strike N(d2)
    put_strike = upper_rest if below else lower_leg
    t = 0.5 * s
    d1 = away + t
    d2 = away - t
    both = d1 * d2
    per_sigma = root * per_s
    per_tau = (sigma * per_s) * (sigma * per_s)
    halved = 0.5 * per_tau
    density = scale * per_forward
    gamma = density * per_forward * per_s
    vega = scale * root
    bent = gamma * (both - 1.0)
    swung = vega * per_sigma
    row = (
        price_of(value, forward, strike, away, side),
        (call_leg if is_call else -put_leg) * per_forward,
        gamma,
        vega,
        -vega * sigma * halved,
        0.0,
        -density * d2 * per_sigma,
        swung * both,
        density * d2 * halved,
        -gamma * per_forward * (d1 * per_s + 1.0),
        bent * per_sigma,
        -bent * halved,
        swung * per_sigma * (both * (both - 1.0) - d1 * d1 - d2 * d2),
        -vega * (1.0 + both) * halved,
    )
    return row, (call_strike if is_call else put_strike), per_tau


@inlined
def discounted(g: Row, factor: float, rate: float, years: float) -> Row:
    """Undiscounted Greeks in the forward, discounted at a continuous rate."""
    return (
        factor * g[0],
        factor * g[1],
        factor * g[2],
        factor * g[3],
        factor * (g[4] + rate * g[0]),
        -years * factor * g[0],
        factor * g[6],
        factor * g[7],
        factor * (g[8] + rate * g[1]),
        factor * g[9],
        factor * g[10],
        factor * (g[11] + rate * g[2]),
        factor * g[12],
        factor * (g[13] + rate * g[3]),
    )


@inlined
def in_spot(
    g: Row, strike_leg: float, side: float, forward: float, factor: float, grown: float, rate: float, carry: float,
    years: float,
) -> Row:  # fmt: skip
    """Undiscounted Greeks in the forward as discounted ones in the spot; strike_leg is strike N(side d2)."""
    drift = carry * forward
    single = factor * grown
    double = single * grown
    return (
        factor * g[0],
        single * g[1],
        double * g[2],
        factor * g[3],
        factor * (g[4] + rate * g[0] - drift * g[1]),
        side * years * factor * strike_leg,
        single * g[6],
        factor * g[7],
        single * (g[8] + (rate - carry) * g[1] - drift * g[2]),
        double * grown * g[9],
        double * g[10],
        double * (g[11] + (rate - 2.0 * carry) * g[2] - drift * g[9]),
        factor * g[12],
        factor * (g[13] + rate * g[3] - drift * g[6]),
    )


@inlined
def in_coin(g: Row, net: float, per_forward: float) -> Row:
    """Greeks of c = B / F; net = F dc/dF = B' - c = side (K / F) N(side d2), which needs no cancellation."""
    delta = net * per_forward
    gamma = (g[2] - 2.0 * delta) * per_forward
    vega = g[3] * per_forward
    theta = g[4] * per_forward
    vanna = (g[6] - vega) * per_forward
    charm = (g[8] - theta) * per_forward
    return (
        g[0] * per_forward,
        delta,
        gamma,
        vega,
        theta,
        0.0 * delta,
        vanna,
        g[7] * per_forward,
        charm,
        (g[9] - 3.0 * gamma) * per_forward,
        (g[10] - 2.0 * vanna) * per_forward,
        (g[11] - 2.0 * charm) * per_forward,
        g[12] * per_forward,
        g[13] * per_forward,
    )

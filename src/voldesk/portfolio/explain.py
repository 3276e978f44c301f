"""P&L of one position over one step, by Greeks at the start of the step, in the settle currency.

    dP ~ P_F dF + 1/2 P_FF dF^2 + P_s ds + P_t dt + P_Fs dF ds + 1/2 P_ss ds^2 + higher

with s the implied vol and `higher` the analytic third order in (F, s) together with the time-cross terms: charm
P_Ft dF dt, veta P_st ds dt, color 1/2 P_FFt dF^2 dt, 1/2 P_tt dt^2. Everything is computed on its own; what the marks did
beyond the sum is `unexplained`, which no term may absorb. Coin-settled options use the derivatives of the coin
price c = B / F, not of B. Derivatives: Haug (2007), ch. 2; time derivatives from B depending on s and tau through
s^2 tau alone.
"""

from __future__ import annotations

import math
from typing import Final

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled
from voldesk.pricing.european.black_kernels import log_ratio
from voldesk.pricing.normal import INV_SQRT_TWO_PI, cdf

MARKET_TERMS: Final = ("delta", "gamma", "vega", "theta", "vanna", "volga", "higher")
DELTA, GAMMA, VEGA, THETA, VANNA, VOLGA, HIGHER = range(7)

_Derivatives = tuple[
    float, float, float, float, float, float, float, float, float, float, float, float, float, float
]  # F FF s Fs ss t FFF FFs Fss sss Ft st tt FFt


@compiled
def derivatives(forward: float, strike: float, tau: float, sigma: float, is_call: bool, inverse: bool) -> _Derivatives:
    """Partial derivatives of an option's price in its quote currency, t being calendar time (-tau).

    Order: F, FF, s, Fs, ss, t, FFF, FFs, Fss, sss, Ft, st, tt, FFt. All NaN unless forward, strike, tau, sigma > 0.
    """
    if not (forward > 0.0 and strike > 0.0 and tau > 0.0 and sigma > 0.0):
        nan = math.nan
        return (nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan)
    root = math.sqrt(tau)
    s = sigma * root
    side = 1.0 if is_call else -1.0
    d1 = log_ratio(forward, strike) / s + 0.5 * s
    d2 = d1 - s
    both = d1 * d2
    n1 = INV_SQRT_TWO_PI * math.exp(-0.5 * d1 * d1)
    gamma = n1 / (forward * s)
    vega = forward * n1 * root
    vanna = -n1 * d2 / sigma
    volga = vega * both / sigma
    speed = -gamma / forward * (1.0 + d1 / s)
    zomma = gamma * (both - 1.0) / sigma
    vanna_slope = n1 / (sigma * sigma) * (d1 + d2 - both * d2)
    ultima = vega / (sigma * sigma) * (both * (both - 1.0) - d1 * d1 - d2 * d2)
    if inverse:
        # c = B / F: each derivative in F divides once more by F, less the order times the one below it.
        delta = side * strike / (forward * forward) * cdf(side * d2)
        gamma = (gamma - 2.0 * delta) / forward
        speed = (speed - 3.0 * gamma) / forward
        vega /= forward
        vanna = (vanna - vega) / forward
        zomma = (zomma - 2.0 * vanna) / forward
        volga /= forward
        vanna_slope = (vanna_slope - volga) / forward
        ultima /= forward
    else:
        delta = side * cdf(side * d1)
    # The price depends on time through s^2 tau: d/dt = -(sigma / 2 tau) d/dsigma, applied to each derivative.
    pace = -0.5 * sigma / tau
    veta = -0.5 / tau * (vega + sigma * volga)
    theta_slope = pace * vega / tau + pace * veta
    return (
        delta, gamma, vega, vanna, volga, pace * vega, speed, zomma, vanna_slope, ultima, pace * vanna, veta,
        theta_slope, pace * zomma,
    )  # fmt: skip


@compiled
def explain_option(
    forward: float,
    strike: float,
    tau: float,
    sigma: float,
    is_call: bool,
    inverse: bool,
    d_forward: float,
    d_sigma: float,
    elapsed: float,
    size: float,
    out: FloatArray,
) -> None:
    """Fill out[0:7] with MARKET_TERMS of `size` underlying units; elapsed in years."""
    f, ff, s, fs, ss, t, fff, ffs, fss, sss, ft, st, tt, fft = derivatives(
        forward, strike, tau, sigma, is_call, inverse
    )
    out[DELTA] = size * f * d_forward
    out[GAMMA] = size * 0.5 * ff * d_forward * d_forward
    out[VEGA] = size * s * d_sigma
    out[THETA] = size * t * elapsed
    out[VANNA] = size * fs * d_forward * d_sigma
    out[VOLGA] = size * 0.5 * ss * d_sigma * d_sigma
    third = (
        fff * d_forward**3 / 6.0
        + 0.5 * ffs * d_forward * d_forward * d_sigma
        + 0.5 * fss * d_forward * d_sigma * d_sigma
        + sss * d_sigma**3 / 6.0
    )
    crossed = ft * d_forward + st * d_sigma + 0.5 * tt * elapsed + 0.5 * fft * d_forward * d_forward
    out[HIGHER] = size * (third + crossed * elapsed)


@compiled
def explain_linear(start: float, end: float, size: float, reciprocal: bool, out: FloatArray) -> None:
    """As `explain_option` for futures, perpetuals, spot: delta alone, or for inverse ones the expansion of
    -size / price to third order; `size` then in quote currency."""
    out[:7] = 0.0
    move = end - start
    if not reciprocal:
        out[DELTA] = size * move
        return
    pace = move / start
    out[DELTA] = size / start * pace
    out[GAMMA] = -size / start * pace * pace
    out[HIGHER] = size / start * pace * pace * pace

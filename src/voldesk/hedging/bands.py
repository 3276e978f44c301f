"""How far delta may drift before it pays to hedge: half-widths of the no-trade band, in units of the underlying.

Costs are proportional: trading v units at S costs `cost_rate` x v x S. `risk_aversion` is absolute (exponential
utility), per unit of the currency that S is in. Gamma is that of the whole position.

* Fixed: a constant.
* Whalley & Wilmott (1997), "An asymptotic analysis of an optimal hedging model for option pricing with transaction
  costs", Math. Finance 7: H = (3/2 e**(-r tau) lambda S Gamma**2 / a)**(1/3), the leading term as lambda -> 0. It grows with
  cost**(1/3) and |gamma|**(2/3) and vanishes with gamma, so far from the money it over-trades.
* Zakamouline (2006), "Efficient analytic approximation of the optimal hedging strategy for a European call option with
  transaction costs", Quant. Finance 6: H = H1 + H0 with H0 = lambda / (a S sigma**2 tau) and
  H1 = 1.12 lambda**0.31 tau**0.05 (e**(-r tau) / sigma)**0.25 (|Gamma| / a)**0.5, fitted to the numerical solution for costs of
  practical size. It tends to H0 > 0 as gamma vanishes: not hedging a residue is right. His modified volatility
  (a shift of the centre) is left out: the centre is the desk's own delta.
"""

from __future__ import annotations

import math
from enum import StrEnum

from voldesk.core.errors import InputError


class BandRule(StrEnum):
    FIXED = "fixed"
    WHALLEY_WILMOTT = "whalley_wilmott"
    ZAKAMOULINE = "zakamouline"


def _check(spot: float, cost_rate: float, risk_aversion: float) -> None:
    # Written so that a NaN is refused too.
    if not (spot > 0.0 and 0.0 <= cost_rate < 1.0 and risk_aversion > 0.0):
        raise InputError(
            f"spot={spot}, cost_rate={cost_rate}, risk_aversion={risk_aversion}; expected spot > 0, a cost rate as a "
            "decimal share of price (0.0005 for 5 bp) and a risk aversion > 0 per unit of currency."
        )


def whalley_wilmott(
    gamma: float, spot: float, cost_rate: float, risk_aversion: float, tau: float = 0.0, rate: float = 0.0
) -> float:
    """Half-width in units of the underlying; 0 at zero gamma, NaN at NaN gamma.

    gamma: units per 1.00 of price, either sign. tau: years, only discounts. Raises InputError on the other inputs.

    >>> round(whalley_wilmott(1.5e-4, 60_000.0, 0.0005, 1e-3), 4)
    0.1004
    """
    _check(spot, cost_rate, risk_aversion)
    return math.cbrt(1.5 * math.exp(-rate * tau) * cost_rate * spot * gamma * gamma / risk_aversion)


def zakamouline(
    gamma: float, spot: float, cost_rate: float, risk_aversion: float, tau: float, sigma: float, rate: float = 0.0
) -> float:
    """Half-width in units of the underlying; infinite at expiry, where no hedge can pay for itself any more.

    sigma: decimal per year. Raises InputError unless sigma > 0, and as `whalley_wilmott`.
    """
    _check(spot, cost_rate, risk_aversion)
    if not sigma > 0.0:
        raise InputError(f"sigma={sigma}; expected a volatility above 0 as a decimal per year, such as 0.45.")
    if tau <= 0.0:
        return math.inf if cost_rate > 0.0 else 0.0
    residue = cost_rate / (risk_aversion * spot * sigma * sigma * tau)
    carry = math.pow(math.exp(-rate * tau) / sigma, 0.25)
    scale = 1.12 * math.pow(cost_rate, 0.31) * math.pow(tau, 0.05) * carry
    return residue + scale * math.sqrt(abs(gamma) / risk_aversion)


def half_width(
    rule: BandRule,
    *,
    fixed: float,
    gamma: float,
    spot: float,
    cost_rate: float,
    risk_aversion: float,
    tau: float,
    sigma: float,
) -> float:
    """The half-width under a named rule; `fixed` is the answer of `BandRule.FIXED`."""
    match rule:
        case BandRule.FIXED:
            return fixed
        case BandRule.WHALLEY_WILMOTT:
            return whalley_wilmott(gamma, spot, cost_rate, risk_aversion, tau)
        case BandRule.ZAKAMOULINE:
            return zakamouline(gamma, spot, cost_rate, risk_aversion, tau, sigma)

"""Starting values of implied volatility: total volatility to a per cent from one polynomial on each side of half price.

With k = |log-moneyness|, m = sqrt(forward strike) and b = time value / m:

Up to half of its bound, the price is turned into the volatility of the normal (Bachelier) model through the variables
of Choi, Kim and Kwak (2009), "Numerical approximation of the implied volatility under arithmetic Brownian motion",
Applied Mathematical Finance 16, sec. 3: straddle c = 2 b + k, eta = v / atanh(v) with v = k / c. A polynomial in eta and
c^2 / (1 + c) does the rest, and the change from the normal to the lognormal model too.

Beyond half, the square of total volatility is a polynomial in sqrt(k) and sqrt(-log(1 - price / bound)).

Coefficients: least squares on the relative error, reweighted towards the worst (Lawson 1961), 8,100 points each
with k <= 10.3, prices from 1e-290 of m up, and 1 - price / bound down to 5e-6. Worst errors 0.006 and 0.001.
"""

from __future__ import annotations

import math
from typing import Final

from voldesk.core.compiled import inlined
from voldesk.pricing.elementary import log_poly

FITTED_K: Final = 10.25  # what the starts are good for: k up to this,
FITTED_PRICE: Final = 1e-290  # time value over sqrt(forward strike) above this,
FITTED_MISSING: Final = 6.2e-6  # and 1 - price / bound too, which is exp(-12)

_AT_THE_MONEY: Final = 1e-6  # keeps eta = 0/0 away; moves a start by as much at most

_ETA_0: Final = (0.504235633, 0.931581998, -0.343877822, 0.853370378, -1.21456061, 0.515463979)
_ETA_1: Final = (0.000347623198, -0.0490250132, 0.65644032, -1.03222435, -0.130038247, 0.654090342)
_ETA_2: Final = (-6.29648893e-05, 0.00363018365, 0.0748296122, -1.06375909, 2.1877313, -0.957717664)
_ETA_3: Final = (4.26485555e-06, -0.000266945956, -2.17872087e-05, -0.0158046085, 0.276702304, -0.274725451)

_MISSING_0: Final = (1.90354972, -6.87513063, 7.70079764, 0.60591379, -0.0974618419)
_MISSING_1: Final = (-1.1631875, 2.84810164, -2.23016551, 0.69169997, -0.0743575457)
_MISSING_2: Final = (-0.039541936, 2.90029619, -0.368334019, -0.135448323, 0.0274905745)
_MISSING_3: Final = (0.308115353, -0.494041553, 0.122260038, 0.00708137081, -0.00325449041)


@inlined
def lower_start(k: float, b: float) -> float:
    """Total volatility where the price is below half of its bound; b = 0 gives NaN.

    >>> round(lower_start(0.0, 0.0797) / 0.2, 2)
    1.0
    """
    ratio = k / b + _AT_THE_MONEY
    straddle = 2.0 * b + k
    eta = 2.0 * ratio / ((ratio + 2.0) * log_poly(1.0 + ratio))
    c = straddle * straddle / (1.0 + straddle)
    p0 = _ETA_0[5] * eta + _ETA_0[4]
    p1 = _ETA_1[5] * eta + _ETA_1[4]
    p2 = _ETA_2[5] * eta + _ETA_2[4]
    p3 = _ETA_3[5] * eta + _ETA_3[4]
    p0 = p0 * eta + _ETA_0[3]
    p1 = p1 * eta + _ETA_1[3]
    p2 = p2 * eta + _ETA_2[3]
    p3 = p3 * eta + _ETA_3[3]
    p0 = p0 * eta + _ETA_0[2]
    p1 = p1 * eta + _ETA_1[2]
    p2 = p2 * eta + _ETA_2[2]
    p3 = p3 * eta + _ETA_3[2]
    p0 = p0 * eta + _ETA_0[1]
    p1 = p1 * eta + _ETA_1[1]
    p2 = p2 * eta + _ETA_2[1]
    p3 = p3 * eta + _ETA_3[1]
    p0 = p0 * eta + _ETA_0[0]
    p1 = p1 * eta + _ETA_1[0]
    p2 = p2 * eta + _ETA_2[0]
    p3 = p3 * eta + _ETA_3[0]
    return straddle * math.sqrt(eta) * (((p3 * c + p2) * c + p1) * c + p0)


@inlined
def upper_start(k: float, missing: float) -> float:
    """Total volatility where the price is above half of its bound; `missing` = 1 - price / bound.

    >>> round(upper_start(0.0, 0.31731) / 2.0, 2)
    1.0
    """
    w = math.sqrt(-log_poly(missing))
    x = math.sqrt(k)
    p0 = _MISSING_0[4] * w + _MISSING_0[3]
    p1 = _MISSING_1[4] * w + _MISSING_1[3]
    p2 = _MISSING_2[4] * w + _MISSING_2[3]
    p3 = _MISSING_3[4] * w + _MISSING_3[3]
    p0 = p0 * w + _MISSING_0[2]
    p1 = p1 * w + _MISSING_1[2]
    p2 = p2 * w + _MISSING_2[2]
    p3 = p3 * w + _MISSING_3[2]
    p0 = p0 * w + _MISSING_0[1]
    p1 = p1 * w + _MISSING_1[1]
    p2 = p2 * w + _MISSING_2[1]
    p3 = p3 * w + _MISSING_3[1]
    p0 = p0 * w + _MISSING_0[0]
    p1 = p1 * w + _MISSING_1[0]
    p2 = p2 * w + _MISSING_2[0]
    p3 = p3 * w + _MISSING_3[0]
    return math.sqrt(((p3 * x + p2) * x + p1) * x + p0)

"""Standard normal kernels: density, distribution, quantile, and the ratio N/n that keeps deep tails exact.

Sources: `cdf` by the C library's erfc; `mills` and `mills_slope` by the rational Chebyshev forms of Cody (1969),
"Rational Chebyshev approximations for the error function", Math. Comp. 23, with the coefficients of his CALERF;
`quantile` by Wichura (1988), algorithm AS 241 (PPND16). All are scalar kernels, to be called from other kernels.
"""

from __future__ import annotations

import math
from typing import Final

from voldesk.core.compiled import compiled

SQRT_HALF: Final = 0.7071067811865476
SQRT_TWO_PI: Final = 2.5066282746310002
INV_SQRT_TWO_PI: Final = 0.3989422804014327
SQRT_HALF_PI: Final = 1.2533141373155003
SQRT_PI: Final = 1.772453850905516
INV_SQRT_PI: Final = 0.5641895835477563

# The intervals of CALERF, 0.46875 and 4, in units of z = -sqrt(2) y.
_MIDDLE: Final = 0.6629126073623883
_TAIL: Final = 5.656854249492381


@compiled
def pdf(z: float) -> float:
    """Density n(z)."""
    return INV_SQRT_TWO_PI * math.exp(-0.5 * z * z)


@compiled
def cdf(z: float) -> float:
    """Distribution N(z), accurate relative to itself in both tails."""
    return 0.5 * math.erfc(-SQRT_HALF * z)


@compiled
def _middle_denominator(y: float) -> float:
    """Q(y) of erfcx(y) = P(y) / Q(y), 0.46875 <= y <= 4 (Cody 1969, second interval)."""
    q = y + 1.57449261107098347e1
    q = q * y + 1.17693950891312499e2
    q = q * y + 5.37181101862009858e2
    q = q * y + 1.62138957456669019e3
    q = q * y + 3.29079923573345963e3
    q = q * y + 4.36261909014324716e3
    q = q * y + 3.43936767414372164e3
    return q * y + 1.23033935480374942e3


@compiled
def _middle_numerator(y: float) -> float:
    """P(y) of erfcx(y) = P(y) / Q(y)."""
    p = 2.15311535474403846e-8 * y + 5.64188496988670089e-1
    p = p * y + 8.88314979438837594
    p = p * y + 6.61191906371416295e1
    p = p * y + 2.98635138197400131e2
    p = p * y + 8.81952221241769090e2
    p = p * y + 1.71204761263407058e3
    p = p * y + 2.05107837782607147e3
    return p * y + 1.23033935479799725e3


@compiled
def _middle_slope_numerator(y: float) -> float:
    """Q(y) - sqrt(pi) y P(y), coefficients combined in 50 digits: no cancellation is left in it."""
    p = -3.8162976019598671953e-8 * y + 1.9258758365679316027e-6
    p = p * y - 4.6950524385141809464e-5
    p = p * y + 5.0073682775487796354e-1
    p = p * y + 7.8641011483270318664
    p = p * y + 5.8169963712042913973e1
    p = p * y + 2.5627385178660603657e2
    p = p * y + 7.2717732085638780826e2
    p = p * y + 1.2586479468114034372e3
    return p * y + 1.23033935480374942e3


@compiled
def _tail(y: float) -> float:
    """R with erfcx(y) = (1/sqrt(pi) - R) / y for y > 4 (Cody 1969, third interval)."""
    u = 1.0 / (y * y)
    p = 1.63153871373020978e-2 * u + 3.05326634961232344e-1
    p = p * u + 3.60344899949804439e-1
    p = p * u + 1.25781726111229246e-1
    p = p * u + 1.60837851487422766e-2
    p = p * u + 6.58749161529837803e-4
    q = u + 2.56852019228982242
    q = q * u + 1.87295284992346725
    q = q * u + 5.27905102951428412e-1
    q = q * u + 6.05183413124413191e-2
    q = q * u + 2.33520497626869185e-3
    return u * p / q


@compiled
def mills(z: float) -> float:
    """N(z) / n(z): about -1/z far on the left, overflows to inf right of z = 38."""
    y = -SQRT_HALF * z
    if z > -_MIDDLE:
        return SQRT_HALF_PI * math.exp(0.5 * z * z) * math.erfc(y)
    if z >= -_TAIL:
        return SQRT_HALF_PI * _middle_numerator(y) / _middle_denominator(y)
    return SQRT_HALF_PI * (INV_SQRT_PI - _tail(y)) / y


@compiled
def mills_and_slope(z: float) -> tuple[float, float]:
    """`mills(z)` and its derivative 1 + z N(z)/n(z), for z <= 0; the slope is exact relative to itself."""
    y = -SQRT_HALF * z
    if z > -_MIDDLE:
        ratio = SQRT_HALF_PI * math.exp(0.5 * z * z) * math.erfc(y)
        return ratio, 1.0 + z * ratio
    if z >= -_TAIL:
        inverse = 1.0 / _middle_denominator(y)
        return SQRT_HALF_PI * _middle_numerator(y) * inverse, _middle_slope_numerator(y) * inverse
    rest = _tail(y)
    return SQRT_HALF_PI * (INV_SQRT_PI - rest) / y, SQRT_PI * rest


@compiled
def _quantile_centre(q: float) -> float:
    """AS 241 for |p - 1/2| <= 0.425, q = p - 1/2."""
    r = 0.180625 - q * q
    top = 2.5090809287301226727e3 * r + 3.3430575583588128105e4
    top = top * r + 6.7265770927008700853e4
    top = top * r + 4.5921953931549871457e4
    top = top * r + 1.3731693765509461125e4
    top = top * r + 1.9715909503065514427e3
    top = top * r + 1.3314166789178437745e2
    top = top * r + 3.3871328727963666080
    bottom = 5.2264952788528545610e3 * r + 2.8729085735721942674e4
    bottom = bottom * r + 3.9307895800092710610e4
    bottom = bottom * r + 2.1213794301586595867e4
    bottom = bottom * r + 5.3941960214247511077e3
    bottom = bottom * r + 6.8718700749205790830e2
    bottom = bottom * r + 4.2313330701600911252e1
    return q * top / (bottom * r + 1.0)


@compiled
def _quantile_tail(r: float) -> float:
    """AS 241 outside, r = sqrt(-log(min(p, 1 - p))); the distance from zero."""
    if r <= 5.0:
        r -= 1.6
        top = 7.74545014278341407640e-4 * r + 2.27238449892691845833e-2
        top = top * r + 2.41780725177450611770e-1
        top = top * r + 1.27045825245236838258
        top = top * r + 3.64784832476320460504
        top = top * r + 5.76949722146069140550
        top = top * r + 4.63033784615654529590
        top = top * r + 1.42343711074968357734
        bottom = 1.05075007164441684324e-9 * r + 5.47593808499534494600e-4
        bottom = bottom * r + 1.51986665636164571966e-2
        bottom = bottom * r + 1.48103976427480074590e-1
        bottom = bottom * r + 6.89767334985100004550e-1
        bottom = bottom * r + 1.67638483018380384940
        bottom = bottom * r + 2.05319162663775882187
        return top / (bottom * r + 1.0)
    r -= 5.0
    top = 2.01033439929228813265e-7 * r + 2.71155556874348757815e-5
    top = top * r + 1.24266094738807843860e-3
    top = top * r + 2.65321895265761230930e-2
    top = top * r + 2.96560571828504891230e-1
    top = top * r + 1.78482653991729133580
    top = top * r + 5.46378491116411436990
    top = top * r + 6.65790464350110377720
    bottom = 2.04426310338993978564e-15 * r + 1.42151175831644588870e-7
    bottom = bottom * r + 1.84631831751005468180e-5
    bottom = bottom * r + 7.86869131145613259100e-4
    bottom = bottom * r + 1.48753612908506148525e-2
    bottom = bottom * r + 1.36929880922735805310e-1
    bottom = bottom * r + 5.99832206555887937690e-1
    return top / (bottom * r + 1.0)


@compiled
def quantile(p: float) -> float:
    """z with N(z) = p; -inf at 0, inf at 1, NaN outside [0, 1]."""
    q = p - 0.5
    if abs(q) <= 0.425:
        return _quantile_centre(q)
    smaller = p if q < 0.0 else 1.0 - p
    if smaller == 0.0:
        return -math.inf if q < 0.0 else math.inf
    if not smaller > 0.0:
        return math.nan
    distance = _quantile_tail(math.sqrt(-math.log(smaller)))
    return -distance if q < 0.0 else distance

"""Exponential, sine, cosine, logarithm and arctangent without branches or library calls, for loops over nodes.

The C library's functions keep a loop from being vectorised; these are argument reductions and polynomials, so eight
nodes go side by side. Coefficients: Chebyshev interpolation in 60 digits on the reduced interval, error below 2e-17.
Methods: Muller (2016), "Elementary functions", ch. 3 (polynomials) and sec. 11.1 (Cody and Waite's reduction).

Errors: a few units in the last place relative to the result, for sine and cosine relative to 1. Arguments outside the
stated ranges are clamped or lose accuracy; nothing here tests for NaN.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from voldesk.core.compiled import inlined

_ROUND: Final = 6755399441055744.0  # 1.5 x 2^52: adding it leaves the nearest integer in the low bits
_LOG2_E: Final = 1.4426950408889634
_LN2_HIGH: Final = 0.6931471803691238  # 32 bits, so that times a whole number below 2^20 is exact
_LN2_LOW: Final = 1.9082149292705877e-10
_TWO_OVER_PI: Final = 0.6366197723675814
_HALF_PI_HIGH: Final = 1.5707963267341256  # 33 bits
_HALF_PI_MIDDLE: Final = 6.077100506303966e-11  # the next 33
_HALF_PI_LOW: Final = 2.0222662487959506e-21
_HALF_PI: Final = 1.5707963267948966
_QUARTER_PI: Final = 0.7853981633974483
_TAN_EIGHTH: Final = 0.41421356237309503
_BITS_ROOT_HALF: Final = 0x3FE6A09E667F3BCD  # sqrt(1/2)


@inlined
def exp_and_less_one(x: float) -> tuple[float, float]:
    """e^x and e^x - 1, each exact relative to itself; x is clamped to -708..709."""
    x = min(max(x, -708.0), 709.0)
    shifted = x * _LOG2_E + _ROUND
    n = shifted - _ROUND
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = 2.0914686968086876e-09
    p = p * r + 2.5105217004720745e-08
    p = p * r + 2.75572736431103e-07
    p = p * r + 2.7557255400206422e-06
    p = p * r + 2.4801587325547743e-05
    p = p * r + 0.00019841269874820627
    p = p * r + 0.0013888888888883748
    p = p * r + 0.008333333333326136
    p = p * r + 0.04166666666666667
    p = p * r + 0.1666666666666667
    p = p * r + 0.5
    p = p * r * r + r
    power = np.int64((np.int64(n) + 1023) << 52).view(np.float64)
    return power + power * p, (power - 1.0) + power * p


@inlined
def sine_cosine(x: float) -> tuple[float, float]:
    """sin x and cos x for |x| < 1e6."""
    shifted = x * _TWO_OVER_PI + _ROUND
    n = shifted - _ROUND
    r = ((x - n * _HALF_PI_HIGH) - n * _HALF_PI_MIDDLE) - n * _HALF_PI_LOW
    t = r * r
    p = 1.591810123027412e-10
    p = p * t - 2.5051131455427946e-08
    p = p * t + 2.755731610068303e-06
    p = p * t - 0.0001984126983675497
    p = p * t + 0.008333333333330946
    p = p * t - 0.16666666666666666
    sine = r + r * t * p
    q = -1.1382614868556325e-11
    q = q * t + 2.0876146024689747e-09
    q = q * t - 2.7557317270560326e-07
    q = q * t + 2.4801587298763433e-05
    q = q * t - 0.0013888888888887395
    q = q * t + 0.041666666666666664
    cosine = 1.0 - (0.5 * t - t * t * q)
    quarter = np.int64(n) & 3
    a = cosine if quarter & 1 else sine
    b = sine if quarter & 1 else cosine
    return (-a if quarter & 2 else a), (-b if (quarter + 1) & 2 else b)


@inlined
def log1p(x: float) -> float:
    """ln(1 + x) for -1 < x < 1e300, exact relative to itself also for tiny x."""
    whole = 1.0 + x
    lost = (x - (whole - 1.0)) if x < 1.0 else (1.0 - (whole - x))
    bits = np.float64(whole).view(np.int64)
    k = (bits - _BITS_ROOT_HALF) >> 52
    m = np.int64(bits - (k << 52)).view(np.float64)
    n = float(k)
    f = m - 1.0
    s = f / (2.0 + f)
    t = s * s
    p = 0.13086907887965027
    p = p * t + 0.13268746195596595
    p = p * t + 0.15386240708969665
    p = p * t + 0.18181795621632782
    p = p * t + 0.22222222391887064
    p = p * t + 0.2857142857080285
    p = p * t + 0.4000000000000088
    p = p * t + 0.6666666666666666
    # ln(1+f) = f - s (f - t p), so that the leading term is exact
    return n * _LN2_HIGH + ((f - s * (f - t * p)) + (n * _LN2_LOW + lost / whole))


@inlined
def argument(y: float, x: float) -> float:
    """The angle of x + iy, in (-pi, pi]; not for x = y = 0."""
    size_x, size_y = abs(x), abs(y)
    low, high = min(size_x, size_y), max(size_x, size_y)
    far = low > _TAN_EIGHTH * high
    a = (low - high if far else low) / (low + high if far else high)
    t = a * a
    p = -0.01917392228554793
    p = p * t + 0.03922923713835943
    p = p * t - 0.05085365922344248
    p = p * t + 0.05858132894427922
    p = p * t - 0.06664509603255386
    p = p * t + 0.07692183059894114
    p = p * t - 0.09090904572487347
    p = p * t + 0.11111111015117626
    p = p * t - 0.1428571428466482
    p = p * t + 0.19999999999995513
    p = p * t - 0.3333333333333333
    angle = a + a * t * p
    angle = angle + _QUARTER_PI if far else angle
    angle = _HALF_PI - angle if size_y > size_x else angle
    angle = 2.0 * _HALF_PI - angle if x < 0.0 else angle
    return -angle if y < 0.0 else angle

"""Exponential, logarithm and normal distribution as polynomials without a branch, for loops that are to vectorise.

The wheels carry no vector maths library: `math.exp` in a compiled loop is one call per row (4 to 11 ns). Everything
here is straight arithmetic with selects and is `inlined` into its caller, so that a loop over zero-based slices
(`for i in range(x.size)`) of a `fused` kernel becomes vector code: 0.7 to 1.6 ns a row with AVX-512.
Call from any kernel of this room or above; scalars only, no arrays. Outside such loops `math.exp`, `normal.cdf` and
their kin are as good. NaN goes through. Do not write `if` around a call in a loop: select with `a if test else b`.

Worst errors seen against mpmath: exp 1.0 ulp, log 0.8, log of a ratio 1.7, Mills ratio 3, difference of two 5,
distribution 3 ulp times (1 + z^2), both tails.

Sources: argument reduction as in fdlibm (`e_exp.c`, `e_log.c`: the method). Mills ratio (1 - N(a)) / n(a) times
(a + 7/4) as a polynomial in (a - 4) / (a + 23/4), a form of Shepherd and Laframboise (1981), "Chebyshev approximation
of (1 + 2x) exp(x^2) erfc(x) in 0 <= x < inf", Math. Comp. 36, with coefficients of our own: interpolation at 28
Chebyshev nodes in 50 digits, error below 2e-18 of the ratio for -7/8 <= a < inf.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from voldesk.core.compiled import inlined

LOG2_E: Final = 1.4426950408889634
LN2_HIGH: Final = 6.93147180369123816490e-01  # its last 20 bits are zero: whole multiples are exact
LN2_LOW: Final = 1.90821492927058770002e-10
INV_SQRT_TWO_PI: Final = 0.3989422804014327
LEAST_MILLS: Final = -0.875

_ROUND: Final = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to an integer, which is then in the low bits
_ROUND_BITS: Final = 0x4338000000000000
_HALF_OCTAVE: Final = 1 << 51
_EXPONENT: Final = ~((1 << 52) - 1)
_ROOT_HALF_BITS: Final = 0x3FE6A09E667F3BCD
_SUBNORMAL: Final = 2.2250738585072014e-308
_LIFT: Final = 18014398509481984.0  # 2^54
_INFINITY: Final = np.inf
_NAN: Final = np.nan

_MILLS_A: Final = 4.0
_MILLS_B: Final = 5.75
_MILLS_SPAN: Final = 9.75
_MILLS_C: Final = 1.75
_M: Final = (  # coefficients of w^0 .. w^27
    1.360751201752974,
    -0.685842398226803,
    0.549470696112299,
    -0.32183443830212916,
    0.0894588786244097,
    0.07065151136203322,
    -0.13030644366466734,
    0.11300194923253254,
    -0.06539907447710659,
    0.02456639414745946,
    -0.003702128207265174,
    -0.0018094394090940695,
    0.0011938690319053173,
    -9.521032447638951e-05,
    -0.0001635966325069704,
    5.0891652246451915e-05,
    1.892373732074746e-05,
    -1.1550206265374731e-05,
    -2.2415407614455525e-06,
    2.3100975881090655e-06,
    3.2380305959469824e-07,
    -4.503219486949845e-07,
    -5.86142998426102e-08,
    8.26370370220491e-08,
    9.919050264200945e-09,
    -1.2254981743788904e-08,
    -9.571973208075554e-10,
    1.029587880049934e-09,
)


@inlined
def exp_poly(x: float) -> float:
    """exp(x) for every x: 0 and inf where it leaves the floats, gradual underflow.

    >>> round(exp_poly(1.0), 14)
    2.71828182845905
    """
    x = 1000.0 if x > 1000.0 else x
    x = -1000.0 if x < -1000.0 else x
    shifted = x * LOG2_E + _ROUND
    octaves = np.float64(shifted).view(np.int64) - _ROUND_BITS
    whole = shifted - _ROUND
    r = (x - whole * LN2_HIGH) - whole * LN2_LOW
    p = 2.510038549551032e-08 * r + 2.7620088445409746e-07
    p = p * r + 2.7557268459997064e-06
    p = p * r + 2.4801521295954376e-05
    p = p * r + 0.00019841269863053618
    p = p * r + 0.0013888888917213717
    p = p * r + 0.008333333333330062
    p = p * r + 0.04166666666662413
    p = p * r + 0.16666666666666669
    p = p * r + 0.5
    p = 1.0 + (r + r * r * p)
    half = octaves >> 1  # in two steps: 2^k itself may not be a float where the product is
    first = np.int64((half + 1023) << 52).view(np.float64)
    second = np.int64((octaves - half + 1023) << 52).view(np.float64)
    return p * first * second


@inlined
def _log_tail(z: float) -> float:
    """(log((1 + s) / (1 - s)) / s - 2) / z with z = s^2 <= 0.0403."""
    p = 0.13619066042830322 * z + 0.13208398002781363
    p = p * z + 0.1538893460259468
    p = p * z + 0.18181735949669697
    p = p * z + 0.22222223069772148
    p = p * z + 0.2857142856714695
    p = p * z + 0.4000000000000823
    return p * z + 0.6666666666666666


@inlined
def log_poly(x: float) -> float:
    """log(x): -inf at 0, NaN below, inf at inf; subnormal x too.

    >>> log_poly(10.0)
    2.302585092994046
    """
    small = x < _SUBNORMAL
    lifted = x * _LIFT if small else x
    bits = np.float64(lifted).view(np.int64)
    octaves = (bits - _ROOT_HALF_BITS) >> 52
    f = np.int64(bits - (octaves << 52)).view(np.float64) - 1.0
    whole: float = np.float64(octaves) - (54.0 if small else 0.0)
    s = f / (2.0 + f)
    z = s * s
    half_square = 0.5 * f * f
    value: float = whole * LN2_HIGH - ((half_square - (s * (half_square + z * _log_tail(z)) + whole * LN2_LOW)) - f)
    value = value if x < _INFINITY else x + x
    value = value if x > 0.0 else _NAN
    return -_INFINITY if x == 0.0 else value


@inlined
def log_ratio_poly(a: float, b: float) -> float:
    """log(a / b) of two normal positive floats, exact relative to itself also where they nearly agree.

    NaN or infinity give NaN; no care is taken of zero, negative and subnormal values.

    >>> log_ratio_poly(1.0 + 2.0**-40, 1.0) / 2.0**-40 > 1.0 - 2.0**-40
    True
    """
    octaves = (np.float64(a).view(np.int64) - np.float64(b).view(np.int64) + _HALF_OCTAVE) & _EXPONENT
    near = np.int64(np.float64(b).view(np.int64) + octaves).view(np.float64)
    s = (a - near) / (a + near)  # the difference is exact: the two are within a factor of 1.51
    z = s * s
    whole = np.float64(octaves >> 52)
    nothing = 0.0 * (a + b)  # unless either is NaN, whose bits the steps above take for a number
    return whole * LN2_HIGH + (2.0 * s + (s * z * _log_tail(z) + (whole * LN2_LOW + nothing)))


@inlined
def mills_poly(a: float) -> float:
    """Mills ratio (1 - N(a)) / n(a) for a >= -0.875; about 1/a far out. Below -0.875 it means nothing.

    >>> mills_poly(0.0)
    1.2533141373155003
    """
    w = (a - _MILLS_A) / (a + _MILLS_B)
    p = _M[27] * w + _M[26]
    p = p * w + _M[25]
    p = p * w + _M[24]
    p = p * w + _M[23]
    p = p * w + _M[22]
    p = p * w + _M[21]
    p = p * w + _M[20]
    p = p * w + _M[19]
    p = p * w + _M[18]
    p = p * w + _M[17]
    p = p * w + _M[16]
    p = p * w + _M[15]
    p = p * w + _M[14]
    p = p * w + _M[13]
    p = p * w + _M[12]
    p = p * w + _M[11]
    p = p * w + _M[10]
    p = p * w + _M[9]
    p = p * w + _M[8]
    p = p * w + _M[7]
    p = p * w + _M[6]
    p = p * w + _M[5]
    p = p * w + _M[4]
    p = p * w + _M[3]
    p = p * w + _M[2]
    p = p * w + _M[1]
    p = p * w + _M[0]
    return p / (a + _MILLS_C)


@inlined
def mills_pair(a: float, b: float, gap: float) -> tuple[float, float, float]:
    """Mills ratios m(a), m(b) and their difference m(a) - m(b), given gap = b - a; a, b >= -0.875.

    The difference is formed as divided differences (Horner's scheme on both points at once), so it keeps its digits
    however small the gap is; m(a) = m(b) + difference.
    """
    bends = (a + _MILLS_B) * (b + _MILLS_B)
    weights = (a + _MILLS_C) * (b + _MILLS_C)
    inverse = 1.0 / (bends * weights)  # one division for both
    scale = weights * inverse
    weights = bends * inverse
    lower = (b - _MILLS_A) * (a + _MILLS_B) * scale
    upper = (a - _MILLS_A) * (b + _MILLS_B) * scale
    d = _M[27]
    p = _M[27] * lower + _M[26]
    d = d * upper + p
    p = p * lower + _M[25]
    d = d * upper + p
    p = p * lower + _M[24]
    d = d * upper + p
    p = p * lower + _M[23]
    d = d * upper + p
    p = p * lower + _M[22]
    d = d * upper + p
    p = p * lower + _M[21]
    d = d * upper + p
    p = p * lower + _M[20]
    d = d * upper + p
    p = p * lower + _M[19]
    d = d * upper + p
    p = p * lower + _M[18]
    d = d * upper + p
    p = p * lower + _M[17]
    d = d * upper + p
    p = p * lower + _M[16]
    d = d * upper + p
    p = p * lower + _M[15]
    d = d * upper + p
    p = p * lower + _M[14]
    d = d * upper + p
    p = p * lower + _M[13]
    d = d * upper + p
    p = p * lower + _M[12]
    d = d * upper + p
    p = p * lower + _M[11]
    d = d * upper + p
    p = p * lower + _M[10]
    d = d * upper + p
    p = p * lower + _M[9]
    d = d * upper + p
    p = p * lower + _M[8]
    d = d * upper + p
    p = p * lower + _M[7]
    d = d * upper + p
    p = p * lower + _M[6]
    d = d * upper + p
    p = p * lower + _M[5]
    d = d * upper + p
    p = p * lower + _M[4]
    d = d * upper + p
    p = p * lower + _M[3]
    d = d * upper + p
    p = p * lower + _M[2]
    d = d * upper + p
    p = p * lower + _M[1]
    d = d * upper + p
    p = p * lower + _M[0]
    ratio = p * (a + _MILLS_C) * weights
    difference = gap * weights * (p - _MILLS_SPAN * scale * (b + _MILLS_C) * d)
    return ratio + difference, ratio, difference


@inlined
def pdf_poly(z: float) -> float:
    """Standard normal density n(z).

    >>> pdf_poly(0.0)
    0.3989422804014327
    """
    return INV_SQRT_TWO_PI * exp_poly(-0.5 * z * z)


@inlined
def cdf_poly(z: float) -> tuple[float, float, float]:
    """N(z), N(-z) and n(z): both tails accurate relative to themselves, from one exponential.

    >>> [round(value, 15) for value in cdf_poly(0.0)]
    [0.5, 0.5, 0.398942280401433]
    """
    density = pdf_poly(z)
    far = z if z > 0.0 else -z
    far = 1e3 if far > 1e3 else far  # the density is 0 there, which must not meet an infinite ratio
    tail = density * mills_poly(far)
    rest = 1.0 - tail
    return (rest, tail, density) if z > 0.0 else (tail, rest, density)

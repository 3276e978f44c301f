"""Implied volatility of one option with every care: what `iv_blocks` leaves out, and what it is measured against.

Source: Jaeckel (2015), "Let's be rational", Wilmott, sec. 3-5: four branches of the price range, each with a starting
value from a rational cubic (Delbourgo & Gregory 1985) through known points and slopes, then Householder steps of
fourth order on an objective that is nearly linear on that branch. x = -|log-moneyness|, s = total volatility,
beta = time value / (discount sqrt(forward strike)), 0 < beta < exp(x/2), and `missing` = exp(x/2) - beta, which comes
from the price itself: near the bound the difference would hold no digits.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.compiled import compiled
from voldesk.pricing.black_kernels import log_ratio, mills_difference, normalised_black
from voldesk.pricing.normal import (
    INV_SQRT_TWO_PI,
    LOG_SQRT_TWO_PI,
    SQRT_HALF_PI,
    cdf,
    mills,
    quantile,
    quantile_from_centre,
)

OK: Final = 0
BELOW_INTRINSIC: Final = 1
ABOVE_MAX: Final = 2
BAD_INPUT: Final = 3

_LOWER_SCALE: Final = 1.2091995761561452  # 2 pi / sqrt(27)
_SQRT_THREE: Final = 1.7320508075688772
_FLOOR_CONTROL: Final = -0.9999999850988388  # the rational cubic needs a control parameter above -1
_LINEAR_CONTROL: Final = 1e16
_STEPS: Final = 3
_TINY: Final = 1e-290
_AT_BOUND: Final = 1e-8
_RATIO_FITS: Final = 700.0  # beyond, forward / strike leaves the floats
_APART: Final = 1200.0
_CLOSE: Final = 2.0e-5  # a step of order four this small leaves an error below rounding


@compiled
def _rational_cubic(
    x: float, x0: float, x1: float, y0: float, y1: float, slope0: float, slope1: float, control: float
) -> float:
    """Delbourgo & Gregory's interpolant between (x0, y0, slope0) and (x1, y1, slope1)."""
    width = x1 - x0
    if not width > 0.0:
        return 0.5 * (y0 + y1)
    t = (x - x0) / width
    u = 1.0 - t
    if control >= _LINEAR_CONTROL:
        return y1 * t + y0 * u
    top = y1 * t * t * t + (control * y1 - width * slope1) * t * t * u
    top += (control * y0 + width * slope0) * t * u * u + y0 * u * u * u
    return top / (1.0 + (control - 3.0) * t * u)


@compiled
def _smallest_control(slope0: float, slope1: float, chord: float, preserve_shape: bool) -> float:
    """The least control parameter that keeps the interpolant monotone and convex (or concave) where its data are."""
    monotone = slope0 * chord >= 0.0 and slope1 * chord >= 0.0
    curved = (slope0 <= chord <= slope1) or (slope0 >= chord >= slope1)
    if not monotone and not curved:
        return _FLOOR_CONTROL
    for_monotone = -math.inf
    for_curved = -math.inf
    if monotone:
        if chord != 0.0:
            for_monotone = (slope1 + slope0) / chord
        elif preserve_shape:
            for_monotone = math.inf
    if curved:
        if slope1 != chord and slope0 != chord:
            for_curved = max(
                abs((slope1 - slope0) / (slope1 - chord)),
                abs((slope1 - slope0) / (chord - slope0)),
            )
        elif preserve_shape:
            for_curved = math.inf
    elif monotone and preserve_shape:
        for_curved = math.inf
    return max(_FLOOR_CONTROL, max(for_monotone, for_curved))


@compiled
def _control(
    x0: float,
    x1: float,
    y0: float,
    y1: float,
    slope0: float,
    slope1: float,
    bend: float,
    at_left: bool,
    preserve_shape: bool,
) -> float:
    """Control parameter for a given second derivative `bend` at the left or right end, kept shape-preserving."""
    chord = (y1 - y0) / (x1 - x0)
    top = 0.5 * (x1 - x0) * bend + (slope1 - slope0)
    bottom = chord - slope0 if at_left else slope1 - chord
    if top == 0.0:
        wanted = 0.0
    elif bottom == 0.0:
        wanted = math.inf if top > 0.0 else -math.inf
    else:
        wanted = top / bottom
    return max(wanted, _smallest_control(slope0, slope1, chord, preserve_shape))


@compiled
def _vega(x: float, s: float) -> float:
    """Derivative of the normalised price in s."""
    h = x / s
    return INV_SQRT_TWO_PI * math.exp(-0.5 * (h * h + 0.25 * s * s))


@compiled
def _lower_start(beta: float, x: float, s_low: float, b_low: float) -> float:
    """Start for 0 < beta < b_low: interpolates f = 2 pi |x| / sqrt(27) N(-z)^3, z = |x| / (sqrt(3) s), sec. 4."""
    z = -x / (_SQRT_THREE * s_low)
    tail = cdf(-z)
    square = s_low * s_low
    f_low = -_LOWER_SCALE * x * tail * tail * tail
    slope = 2.0 * math.pi * z * z * tail * tail * math.exp(z * z + 0.125 * square)
    bend = (3.0 * square * (square - 8.0) - 8.0 * x * x) * mills(-z) - 8.0 * _SQRT_THREE * s_low * x
    bend *= math.pi / 6.0 * z * z / (square * s_low) * tail * math.exp(2.0 * z * z + 0.25 * square)
    control = _control(0.0, b_low, 0.0, f_low, 1.0, slope, bend, False, True)
    f = _rational_cubic(beta, 0.0, b_low, 0.0, f_low, 1.0, slope, control)
    if not f > 0.0:
        t = beta / b_low
        f = (f_low * t + b_low * (1.0 - t)) * t
    return abs(x / (_SQRT_THREE * quantile(np.cbrt(f / (-_LOWER_SCALE * x)))))


@compiled
def _upper_start(beta: float, missing: float, x: float, b_max: float, s_high: float, b_high: float) -> float:
    """Start for b_high < beta < b_max: interpolates f = N(-s/2), sec. 4, which is half of `missing` at the bound."""
    if missing < _AT_BOUND * b_max:
        return -2.0 * quantile(0.5 * missing)
    f_high = cdf(-0.5 * s_high)
    ratio = x / s_high
    slope = -0.5 * math.exp(0.5 * ratio * ratio)
    bend = SQRT_HALF_PI * math.exp(ratio * ratio + 0.125 * s_high * s_high) * ratio * ratio / s_high
    control = _control(b_high, b_max, f_high, 0.0, slope, -0.5, bend, True, True)
    f = _rational_cubic(beta, b_high, b_max, f_high, 0.0, slope, -0.5, control)
    return -2.0 * quantile(f if f > 0.0 else 0.5 * missing)


@compiled
def _householder(newton: float, second: float, third: float) -> float:
    """Step of order four: newton = -g/g1, second = g2/g1, third = g3/g1 with g1, g2, g3 the derivatives of g."""
    return newton * (1.0 + 0.5 * second * newton) / (1.0 + newton * (second + third * newton / 6.0))


@compiled
def _refine_lower(log_beta: float, x: float, s: float) -> float:
    """Householder steps on 1/log b(s) - 1/log beta; b itself is never formed, so it cannot underflow."""
    for _ in range(_STEPS):
        h = x / s
        t = 0.5 * s
        over_vega = mills_difference(h, t)
        log_b = math.log(over_vega) - 0.5 * (h * h + t * t) - LOG_SQRT_TWO_PI
        per_b = 1.0 / over_vega
        second = h * h / s - 0.25 * s
        third = second * second - 3.0 * h * h / (s * s) - 0.25
        weight = 1.0 + 2.0 / log_b
        newton = (log_beta - log_b) * log_b / log_beta * over_vega
        step = _householder(
            newton,
            second - per_b * weight,
            third + 2.0 * per_b * per_b * (1.0 + 3.0 / log_b * (1.0 + 1.0 / log_b)) - 3.0 * second * per_b * weight,
        )
        s = max(s + step, 0.5 * s)
        if abs(step) <= _CLOSE * s:
            break
    return s


@compiled
def _refine_middle(beta: float, x: float, s: float) -> float:
    """Householder steps on b(s) - beta; left of the centre b over vega directly, which saves forming b."""
    for _ in range(_STEPS):
        h = x / s
        second = h * h / s - 0.25 * s
        third = second * second - 3.0 * h * h / (s * s) - 0.25
        vega = _vega(x, s)
        if h + 0.5 * s > 0.85:
            newton = (beta - normalised_black(x, s)) / vega
        else:
            newton = beta / vega - mills_difference(h, 0.5 * s)
        step = _householder(newton, second, third)
        s = max(s + step, 0.5 * s)
        if abs(step) <= _CLOSE * s:
            break
    return s


@compiled
def _refine_upper(target: float, x: float, s: float) -> float:
    """Householder steps on log(target / (b_max - b(s)))."""
    for _ in range(_STEPS):
        h = x / s
        t = 0.5 * s
        missing = math.exp(0.5 * x) * cdf(-h - t) + math.exp(-0.5 * x) * cdf(h - t)
        slope = _vega(x, s) / missing
        second = h * h / s - 0.25 * s
        third = second * second - 3.0 * h * h / (s * s) - 0.25
        newton = -math.log(target / missing) / slope
        step = _householder(newton, second + slope, third + slope * (2.0 * slope + 3.0 * second))
        s = max(s + step, 0.5 * s)
        if abs(step) <= _CLOSE * s:
            break
    return s


@compiled
def total_volatility(beta: float, missing: float, x: float) -> float:
    """s with normalised_black(x, s) = beta, for x <= 0, 0 < beta < exp(x/2) and missing = exp(x/2) - beta."""
    if x == 0.0:  # b = erf(s / sqrt(8)), inverted directly
        return 2.0 * quantile_from_centre(0.5 * beta) if beta < 0.5 else -2.0 * quantile(0.5 * missing)
    b_max = math.exp(0.5 * x)
    s_mid = math.sqrt(-2.0 * x)
    v_mid = INV_SQRT_TWO_PI * b_max
    b_mid = v_mid * mills_difference(-0.5 * s_mid, 0.5 * s_mid)  # there h = -t, and vega is v_mid
    if beta < b_mid:
        s_low = s_mid - b_mid / v_mid
        b_low = normalised_black(x, s_low)
        if beta < b_low:
            return _refine_lower(math.log(beta), x, _lower_start(beta, x, s_low, b_low))
        slope = 1.0 / _vega(x, s_low)
        control = _control(b_low, b_mid, s_low, s_mid, slope, 1.0 / v_mid, 0.0, False, False)
        start = _rational_cubic(beta, b_low, b_mid, s_low, s_mid, slope, 1.0 / v_mid, control)
        return _refine_middle(beta, x, start)
    s_high = s_mid + (b_max - b_mid) / v_mid
    b_high = normalised_black(x, s_high)
    if beta <= b_high:
        slope = 1.0 / _vega(x, s_high)
        control = _control(b_mid, b_high, s_mid, s_high, 1.0 / v_mid, slope, 0.0, True, False)
        start = _rational_cubic(beta, b_mid, b_high, s_mid, s_high, 1.0 / v_mid, slope, control)
    else:
        start = _upper_start(beta, missing, x, b_max, s_high, b_high)
    # The logarithm of the missing part is nearly linear only where little is missing.
    return _refine_middle(beta, x, start) if beta <= 0.5 * b_max else _refine_upper(missing, x, start)


@compiled
def _smallest(log_beta: float, x: float) -> float:
    """s for a normalised price below `_TINY`, whose own digits or whose start's run out; x < 0."""
    s = total_volatility(_TINY, math.exp(0.5 * x), x)
    # There log b is -x^2 / (2 s^2) and little else.
    return _refine_lower(log_beta, x, s * math.sqrt(math.log(_TINY) / log_beta))


@compiled
def _far(share: float, missing: float, x: float) -> float:
    """s for forward and strike so far apart that exp(x/2) runs out; `share` and `missing` of the bound add up to 1.

    There the second term of Black's formula is small beside the first, so the quantile gives the start; the steps are
    those of `iv_blocks`, on the price over its bound, whose logarithm has the exponent -(h - t)^2 / 2.
    """
    below = share < 0.5
    d1 = quantile(share) if below else -quantile(missing)
    root = math.sqrt(d1 * d1 - 2.0 * x)
    s = d1 + root if d1 > 0.0 else -2.0 * x / (root - d1)
    for _ in range(_STEPS):
        h = -x / s
        t = 0.5 * s
        ratio = mills(t - h) - mills(-h - t) if below else mills(h - t) + mills(-h - t)
        u = 1.0 / ratio if below else -1.0 / ratio
        f = math.log(ratio / (share if below else missing)) - 0.5 * (h - t) * (h - t) - LOG_SQRT_TWO_PI
        second = (h * h - t * t) / s
        third = second * second - 3.0 * h * h / (s * s) - 0.25
        s += _householder(-f / u, second - u, third - 3.0 * second * u + 2.0 * u * u)
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
    if value >= (forward if is_call else strike):
        return math.nan, ABOVE_MAX
    if time_value == 0.0:
        return 0.0, OK
    x = -abs(log_ratio(forward, strike))
    if x < -_RATIO_FITS:
        x = -abs(math.log(forward) - math.log(strike))
    rest = (forward if is_call else strike) - value  # exact where it matters, in the money too
    least = min(forward, strike)
    if x < -_APART:
        return _far(time_value / least, rest / least, x) / math.sqrt(tau), OK
    mean = math.sqrt(forward) * math.sqrt(strike)
    beta = time_value / mean
    if beta < _TINY and x < 0.0:
        return _smallest(math.log(time_value) - math.log(mean), x) / math.sqrt(tau), OK
    return total_volatility(beta, rest / mean, x) / math.sqrt(tau), OK

"""The smile of one expiry as three factors, and what each did to one contract's implied vol.

iv(k) ~ level + skew k + curvature k^2, k = log(K / F): weighted least squares over the out-of-the-money contracts
within two deviations of the forward, weights the squared vega shape exp(-d1^2) (noise in a price is noise over vega in
its vol). A contract's change of vol from (k0, smile 0) to (k1, smile 1) splits without remainder into

    level      level1 - level0
    skew       (skew1 - skew0) k1
    curvature  (curvature1 - curvature0) k1^2
    roll       skew0 (k1 - k0) + curvature0 (k1^2 - k0^2): along the old smile as the forward moves (sticky moneyness)
    residual   what its own implied vol did besides; belongs to `unexplained` in the factor view
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.market.state import Field
from voldesk.portfolio.columns import EXPIRY, IS_CALL, KIND, OPTION, SETTLE, STRIKE, UNDERLYING
from voldesk.portfolio.valuation import tau_of
from voldesk.pricing.european.black_kernels import log_ratio

FACTOR_TERMS: Final = ("vega_level", "vega_skew", "vega_curvature", "vega_roll")

_FORWARD: Final = int(Field.FORWARD)
_MARK_IV: Final = int(Field.MARK_IV)
_WIDEST: Final = 2.0  # deviations: beyond, a parabola is not the smile's shape
_FEWEST: Final = 5


class Smile(NamedTuple):
    """Decimal vol per 1, k, k^2. `contracts` used; all NaN where fewer than five had a vol."""

    level: float
    skew: float
    curvature: float
    contracts: int

    @property
    def is_known(self) -> bool:
        return math.isfinite(self.level)


NO_SMILE: Final = Smile(math.nan, math.nan, math.nan, 0)


@compiled
def fit_smile(
    values: FloatArray, ints: IntArray, floats: FloatArray, ids: IntArray, now_ns: int
) -> tuple[float, float, float, int]:
    """(level, skew, curvature, contracts used) of one expiry's contracts by their mark IVs."""
    # The window is set by the vol nearest the forward: a contract's own vol, if wrong, would widen its own window.
    nearest, central = math.inf, math.nan
    for j in range(ids.size):
        i = ids[j]
        if values[i, _FORWARD] > 0.0 and values[i, _MARK_IV] > 0.0:
            k = -log_ratio(values[i, _FORWARD], floats[i, STRIKE])
            if abs(k) < nearest and (ints[i, IS_CALL] == 1) == (k >= 0.0):
                nearest, central = abs(k), values[i, _MARK_IV]
    moments = np.zeros(5)
    sums = np.zeros(3)
    used = 0
    for j in range(ids.size):
        i = ids[j]
        forward = values[i, _FORWARD]
        sigma = values[i, _MARK_IV]
        tau = tau_of(ints[i, EXPIRY], now_ns)
        if not (forward > 0.0 and sigma > 0.0 and tau > 0.0):
            continue
        k = -log_ratio(forward, floats[i, STRIKE])
        # Put and call of a strike share one mark IV: only the out-of-the-money one counts.
        if (ints[i, IS_CALL] == 1) != (k >= 0.0):
            continue
        s = central * math.sqrt(tau)
        if abs(k) > _WIDEST * s:
            continue
        d1 = -k / s + 0.5 * s
        weight = math.exp(-d1 * d1)
        power = weight
        for n in range(5):
            moments[n] += power
            if n < 3:
                sums[n] += power * sigma
            power *= k
        used += 1
    nan = math.nan
    if used < _FEWEST:
        return nan, nan, nan, used
    # Cramer's rule on k scaled to unit spread, so that the determinant is of order one.
    unit = math.sqrt(moments[2] / moments[0])
    mass = moments[0]
    m1, m2 = moments[1] / (mass * unit), moments[2] / (mass * unit**2)
    m3, m4 = moments[3] / (mass * unit**3), moments[4] / (mass * unit**4)
    b0, b1, b2 = sums[0] / mass, sums[1] / (mass * unit), sums[2] / (mass * unit**2)
    c00, c01, c02 = m2 * m4 - m3 * m3, m2 * m3 - m1 * m4, m1 * m3 - m2 * m2
    determinant = c00 + m1 * c01 + m2 * c02
    if not determinant > 1e-9:
        return nan, nan, nan, used
    c11, c12, c22 = m4 - m2 * m2, m1 * m2 - m3, m2 - m1 * m1
    level = (c00 * b0 + c01 * b1 + c02 * b2) / determinant
    skew = (c01 * b0 + c11 * b1 + c12 * b2) / determinant / unit
    curvature = (c02 * b0 + c12 * b1 + c22 * b2) / determinant / (unit * unit)
    return level, skew, curvature, used


class SmileMove(NamedTuple):
    """Parts of one contract's fitted vol change, decimal."""

    level: float
    skew: float
    curvature: float
    roll: float

    @property
    def total(self) -> float:
        return self.level + self.skew + self.curvature + self.roll


def smile_move(start: Smile, end: Smile, k_start: float, k_end: float) -> SmileMove:
    """How the fitted smile moved a contract's vol; NaN where either smile is not known."""
    return SmileMove(
        end.level - start.level,
        (end.skew - start.skew) * k_end,
        (end.curvature - start.curvature) * k_end * k_end,
        start.skew * (k_end - k_start) + start.curvature * (k_end * k_end - k_start * k_start),
    )


def expiry_members(ints: IntArray, instrument: int) -> IntArray:
    """Options of the same underlying, settle currency and expiry as this one, by id."""
    same = (
        (ints[:, KIND] == OPTION)
        & (ints[:, EXPIRY] == ints[instrument, EXPIRY])
        & (ints[:, UNDERLYING] == ints[instrument, UNDERLYING])
        & (ints[:, SETTLE] == ints[instrument, SETTLE])
    )
    return np.flatnonzero(same).astype(np.int64)

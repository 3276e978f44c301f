"""Full revaluation of positions over spot x vol x time: what the gate's scenario-loss limit reads.

Every leg lives to its own expiry: where the horizon reaches past it, the leg is worth its payoff at the scenario's
forward. Spot shifts are relative and move forwards, futures and index alike; vol shifts are absolute (0.10 = ten vol
points) and additive on each contract's own implied vol, floored at zero. Black (1976); no Taylor anywhere.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import msgspec
import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled, fused
from voldesk.core.errors import InputError
from voldesk.core.units import DAYS_PER_YEAR
from voldesk.market.state import Field
from voldesk.portfolio.columns import (
    AT_INDEX,
    EXPIRY,
    INVERSE,
    IS_CALL,
    KIND,
    OPTION,
    SETTLE,
    SETTLEMENT,
    SIZE,
    STRIKE,
    USD_RULE,
    mark_of,
    usd_per_settle,
)
from voldesk.portfolio.valuation import EXPIRED, NO_FORWARD, RiskStatus, Valuer, option_price, tau_of
from voldesk.pricing.european.black_lanes import price_lane

_FORWARD: Final = int(Field.FORWARD)


class ScenarioGrid(msgspec.Struct, frozen=True):
    """Axes. spot_shifts relative, > -1; vol_shifts absolute, decimal; days_ahead >= 0 calendar days."""

    spot_shifts: tuple[float, ...] = (-0.2, -0.1, 0.0, 0.1, 0.2)
    vol_shifts: tuple[float, ...] = (-0.2, -0.1, 0.0, 0.1, 0.2)
    days_ahead: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        for name, values in (("spot_shifts", self.spot_shifts), ("days_ahead", self.days_ahead)):
            floor = -1.0 if name == "spot_shifts" else -1e-300
            if not values or not all(floor < value < math.inf for value in values):
                raise InputError(f"{name}={values}; expected numbers above {floor:.0f}. Shifts are relative: -0.2.")
        if not self.vol_shifts or not all(abs(value) <= 5.0 for value in self.vol_shifts):
            raise InputError(f"vol_shifts={self.vol_shifts}; expected decimals, 0.10 is ten vol points.")

    @property
    def shape(self) -> tuple[int, int, int]:
        return (len(self.spot_shifts), len(self.vol_shifts), len(self.days_ahead))


class ScenarioPnl(NamedTuple):
    """P&L against now. pnl: (currencies, spot, vol, time) in each settle currency; pnl_usd: (spot, vol, time), coin
    converted at the scenario's own index. status: per position, from NO_FORWARD on it makes its cells NaN."""

    currencies: tuple[str, ...]
    pnl: FloatArray
    pnl_usd: FloatArray
    status: IntArray

    def worst_usd(self) -> float:
        """The largest loss as a negative number, 0 if none loses; NaN when a position could not be valued."""
        return float(np.minimum(0.0, np.min(self.pnl_usd)))  # unlike min(), lets a NaN through


@fused
def _option_values(
    worths: FloatArray,
    axes: FloatArray,
    counts: IntArray,
    forward: float,
    strike: float,
    tau: float,
    sigma: float,
    is_call: bool,
    inverse: bool,
) -> None:
    """Prices of one option now (first) and in every cell, in its quote currency; past its expiry the payoff.

    Cells go through the branch-free `price_lane` in one loop; the few that are out of its range are done with care.
    """
    spots, vols, times = counts[0], counts[1], counts[2]
    size = worths.size
    cells = np.empty((4, size))  # forward, years left, volatility, out of range
    ahead, left, vol, odd = cells[0], cells[1], cells[2], cells[3]
    ahead[0], left[0], vol[0] = forward, tau, sigma
    cell = 1
    for a in range(spots):
        for b in range(vols):
            for c in range(times):
                ahead[cell] = forward * (1.0 + axes[a])
                left[cell] = tau - axes[spots + vols + c]
                vol[cell] = max(sigma + axes[spots + b], 0.0)
                cell += 1
    side = 1.0 if is_call else -1.0
    for i in range(size):
        worth, strange = price_lane(ahead[i], strike, left[i], vol[i], side)
        worths[i] = worth / (ahead[i] if inverse else 1.0)
        odd[i] = 1.0 if strange else 0.0
    for i in range(size):
        if odd[i] != 0.0:
            worths[i] = option_price(ahead[i], strike, left[i], vol[i], is_call, inverse)


@compiled
def revalue_kernel(
    values: FloatArray,
    ints: IntArray,
    floats: FloatArray,
    held: IntArray,
    now_ns: int,
    sigma: FloatArray,
    status: IntArray,
    axes: FloatArray,
    counts: IntArray,
    pnl: FloatArray,
    pnl_usd: FloatArray,
) -> None:
    """Add each position's P&L to `pnl` and `pnl_usd`. held: (m, 2) id, lots; axes: spot, vol, years ahead in one."""
    spots, vols, times = counts[0], counts[1], counts[2]
    worths = np.empty(1 + spots * vols * times)  # of one option: now, then each cell
    for p in range(held.shape[0]):
        i = held[p, 0]
        place = ints[i, SETTLE]
        size = held[p, 1] * floats[i, SIZE]
        inverse = ints[i, SETTLEMENT] == INVERSE
        is_option = ints[i, KIND] == OPTION
        bad = status[p] >= NO_FORWARD
        price = mark_of(values, i)
        forward = values[i, _FORWARD]
        strike = floats[i, STRIKE]
        is_call = ints[i, IS_CALL] == 1
        tau = tau_of(ints[i, EXPIRY], now_ns)
        usd = usd_per_settle(values, ints, i)
        if is_option and status[p] < NO_FORWARD and status[p] != EXPIRED:
            _option_values(worths, axes, counts, forward, strike, tau, sigma[p], is_call, inverse)
        base = worths[0]
        cell = 0
        for a in range(spots):
            growth = 1.0 + axes[a]
            rate = usd * growth if ints[i, USD_RULE] == AT_INDEX else usd
            for b in range(vols):
                for c in range(times):
                    cell += 1
                    if bad:
                        gain = math.nan
                    elif status[p] == EXPIRED:
                        gain = 0.0
                    elif is_option:
                        gain = size * (worths[cell] - base)
                    elif inverse:
                        gain = size / price * (1.0 - 1.0 / growth)
                    else:
                        gain = size * price * axes[a]
                    pnl[place, a, b, c] += gain
                    pnl_usd[a, b, c] += gain * rate


def revalue(valuer: Valuer, ids: IntArray, lots: IntArray, grid: ScenarioGrid) -> ScenarioPnl:
    """P&L of positions over the grid; ids, lots of shape (n,). The same instrument may appear more than once."""
    view, columns = valuer.view, valuer.columns
    ids = np.ascontiguousarray(ids, np.int64)
    sigma, status = valuer.sigma(ids)
    live = view.live.values
    held = np.empty((ids.size, 2), np.int64)
    held[:, 0], held[:, 1] = ids, lots
    for place in np.flatnonzero(columns.ints[ids, KIND] != OPTION):
        price = float(mark_of(live, int(ids[place])))
        if not (price > 0.0 or (math.isfinite(price) and columns.ints[ids[place], SETTLEMENT] != INVERSE)):
            status[place] = int(RiskStatus.NO_PRICE)
    axes = np.array((*grid.spot_shifts, *grid.vol_shifts, *(days / DAYS_PER_YEAR for days in grid.days_ahead)))
    pnl = np.zeros((len(columns.settle_currencies), *grid.shape))
    pnl_usd = np.zeros(grid.shape)
    counts = np.array(grid.shape, np.int64)
    revalue_kernel(live, columns.ints, columns.floats, held, view.now_ns, sigma, status, axes, counts, pnl, pnl_usd)
    return ScenarioPnl(tuple(columns.settle_currencies), pnl, pnl_usd, status)

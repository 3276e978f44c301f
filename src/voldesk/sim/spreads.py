"""How the synthetic market makers quote a chain: spread, skew, sizes, ticks, and which rows are worth sending.

Half a spread is vega times a volatility that grows with the level of volatility (half as much again in a stressed
regime), with distance from the money and towards expiry, and half a tick. Each strike's centre wanders inside its
half-spread, so that some are rich and some cheap against the model, while the official mark stays between bid and
ask. Prices are integers of the finest tick; a bid below one tick is no bid.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.blocks import FloatColumn, IntColumn, RowFlag
from voldesk.core.compiled import compiled
from voldesk.core.units import DAYS_PER_YEAR

# What stands, per instrument: integers, so that "changed" has one meaning.
BID_TICKS: Final = 0  # 0: no bid
ASK_TICKS: Final = 1
BID_LOTS: Final = 2
ASK_LOTS: Final = 3
MARK_TICKS: Final = 4
IV_POINTS: Final = 5  # mark volatility in 1e-4, -1: unknown
STANDING_COLUMNS: Final = 6

IV_STEP: Final = 1e-4
REFERENCE_VOL: Final = 0.45
MOST_SKEW: Final = 0.8  # of a half-spread

# Ticks: steps per unit of price, ticks from which the coarse grid holds, its width in ticks, lots per contract.
TICK_INVERSE: Final = 0
TICK_THRESHOLD: Final = 1
TICK_COARSE: Final = 2
LOTS_PER_CONTRACT: Final = 3

_EVENT: Final = int(IntColumn.TS_EVENT_NS)
_RECV: Final = int(IntColumn.TS_RECV_NS)
_ID: Final = int(IntColumn.INSTRUMENT)
_FLAGS: Final = int(IntColumn.FLAGS)
_GROUP: Final = int(IntColumn.GROUP)
_F_MARK: Final = int(FloatColumn.MARK)
_F_MARK_IV: Final = int(FloatColumn.MARK_IV)
_F_FORWARD: Final = int(FloatColumn.FORWARD)
_F_INDEX: Final = int(FloatColumn.INDEX)
_F_OI: Final = int(FloatColumn.OPEN_INTEREST)
_QUOTE_AND_MARK: Final = int(RowFlag.QUOTE | RowFlag.MARK)
_END: Final = int(RowFlag.GROUP_END)
_SNAPSHOT: Final = int(RowFlag.SNAPSHOT)
_MONTH: Final = 30.0 / DAYS_PER_YEAR
_INV_SQRT_TWO_PI: Final = 0.3989422804014327


@compiled
def ticks_down(price: float, grid: FloatArray) -> int:
    """The highest valid price at or below, in finest ticks."""
    ticks: int = math.floor(price * grid[TICK_INVERSE])
    if ticks >= grid[TICK_THRESHOLD]:
        coarse = int(grid[TICK_COARSE])
        ticks -= ticks % coarse
    return ticks


@compiled
def ticks_up(price: float, grid: FloatArray) -> int:
    """The lowest valid price at or above, in finest ticks."""
    ticks: int = math.ceil(price * grid[TICK_INVERSE])
    if ticks > grid[TICK_THRESHOLD]:
        coarse = int(grid[TICK_COARSE])
        ticks += -ticks % coarse
    return ticks


@compiled
def spread_level(variance: float, premium: float, regime: float) -> float:
    """How much wider than at 45 % volatility in calm: 1 there."""
    return math.sqrt(max(variance, 1e-4) * premium) / REFERENCE_VOL * (1.0 + 0.5 * regime)


@compiled
def half_spread(distance: float, tau: float, vega: float, base_vol: float, level: float, tick: float) -> float:
    """In coin. distance: |ln(K/F)| in deviations; vega: coin per 1.00; base_vol: `half_spread_vol` of the settings."""
    volatility = base_vol * level * (1.0 + 0.5 * min(distance, 6.0)) * (1.0 + 0.25 * math.sqrt(_MONTH / tau))
    return vega * volatility + 0.5 * tick


@compiled
def write_row(
    ints: IntArray,
    floats: FloatArray,
    row: int,
    times: IntArray,
    instrument: int,
    standing: IntArray,
    grid: FloatArray,
) -> None:
    """One QUOTE | MARK row from what stands. times: event, receive, group."""
    ints[_EVENT, row] = times[0]
    ints[_RECV, row] = times[1]
    ints[_GROUP, row] = times[2]
    ints[_ID, row] = instrument
    ints[_FLAGS, row] = _QUOTE_AND_MARK
    inverse, lots = grid[TICK_INVERSE], grid[LOTS_PER_CONTRACT]
    if standing[BID_TICKS] > 0:
        floats[0, row] = standing[BID_TICKS] / inverse
        floats[1, row] = standing[BID_LOTS] / lots
    floats[2, row] = standing[ASK_TICKS] / inverse
    floats[3, row] = standing[ASK_LOTS] / lots
    floats[_F_MARK, row] = standing[MARK_TICKS] / inverse


@compiled
def _requote(
    standing: IntArray,
    theo: float,
    centre: float,
    half: float,
    iv_points: int,
    size: float,
    normals: FloatArray,
    refresh: bool,
    grid: FloatArray,
) -> bool:
    """Move what stands to the new prices; True where anything of it changed."""
    bid = max(ticks_down(centre - half, grid), 0)
    ask = max(ticks_up(centre + half, grid), bid + 1)
    mark = math.floor(theo * grid[TICK_INVERSE] + 0.5)
    moved = bid != standing[BID_TICKS] or ask != standing[ASK_TICKS]
    changed = moved or refresh or mark != standing[MARK_TICKS] or iv_points != standing[IV_POINTS]
    if moved or refresh:
        lots = size * grid[LOTS_PER_CONTRACT]
        standing[BID_LOTS] = max(1, int(lots * math.exp(0.5 * normals[0])))
        standing[ASK_LOTS] = max(1, int(lots * math.exp(0.5 * normals[1])))
    standing[BID_TICKS] = bid
    standing[ASK_TICKS] = ask
    standing[MARK_TICKS] = mark
    standing[IV_POINTS] = iv_points
    return changed


@compiled
def quote_chain(
    slots: IntArray,
    strike: FloatArray,
    starts: IntArray,
    expiry: FloatArray,
    time_value: FloatArray,
    sigma: FloatArray,
    noise: FloatArray,
    normals: FloatArray,
    uniforms: FloatArray,
    settings: FloatArray,
    grid: FloatArray,
    times: IntArray,
    whole: bool,
    standing: IntArray,
    open_interest: FloatArray,
    ints: IntArray,
    floats: FloatArray,
    row: int,
) -> int:
    """Re-quote the live strikes and write the rows that changed, or all when `whole`; returns the next free row.

    slots: (a,) sorted by expiry. strike: of all slots. starts: (m + 1,). expiry: (2, m) tau and forward. time_value:
    (a,) USD of the out-of-the-money option. sigma: (a,) its volatility, NaN where it is worth nothing. noise: of all
    slots, in half-spreads. normals: (a, 4). uniforms: (a, 2). settings: half_spread_vol, level, size, requote share,
    index, model deviation per sqrt(year). standing, open_interest: by instrument id.
    """
    first_row = row
    base_vol, level, size, share, index, deviation = settings
    for i in range(starts.size - 1):
        tau, forward = expiry[0, i], expiry[1, i]
        for k in range(starts[i], starts[i + 1]):
            slot = slots[k]
            log_ratio = math.log(strike[slot] / forward)
            distance = abs(log_ratio) / (deviation * math.sqrt(tau))
            vega = 0.0
            iv_points = -1
            if sigma[k] > 0.0:
                d1 = -log_ratio / (sigma[k] * math.sqrt(tau)) + 0.5 * sigma[k] * math.sqrt(tau)
                vega = _INV_SQRT_TWO_PI * math.exp(-0.5 * d1 * d1) * math.sqrt(tau)
                iv_points = math.floor(sigma[k] / IV_STEP + 0.5)
            half = half_spread(distance, tau, vega, base_vol, level, 1.0 / grid[TICK_INVERSE])
            skew = half * min(max(noise[slot], -MOST_SKEW), MOST_SKEW)
            displayed = size / (max(level, 0.3) * (1.0 + 0.3 * distance))
            coin = time_value[k] / forward
            for right in range(2):
                instrument = 1 + 2 * slot + right
                inside = 1.0 - strike[slot] / forward if right else strike[slot] / forward - 1.0
                theo = coin + max(inside, 0.0)
                refresh = uniforms[k, right] < share
                changed = _requote(
                    standing[instrument],
                    theo,
                    theo + skew,
                    half,
                    iv_points,
                    displayed,
                    normals[k, 2 * right : 2 * right + 2],
                    refresh,
                    grid,
                )
                if changed or whole:
                    write_row(ints, floats, row, times, instrument, standing[instrument], grid)
                    if iv_points > 0:
                        floats[_F_MARK_IV, row] = iv_points * IV_STEP
                    floats[_F_FORWARD, row] = forward
                    floats[_F_INDEX, row] = index
                    floats[_F_OI, row] = open_interest[instrument]
                    row += 1
    if row > first_row:
        ints[_FLAGS, row - 1] |= _END | (_SNAPSHOT if whole else 0)
    return row


@compiled
def withdraw(slots: IntArray, times: IntArray, standing: IntArray, ints: IntArray, floats: FloatArray, row: int) -> int:
    """Rows that say no quote stands any more, for both options of each slot, as one group."""
    first_row = row
    for k in range(slots.size):
        for right in range(2):
            instrument = 1 + 2 * slots[k] + right
            standing[instrument] = 0
            ints[_EVENT, row] = times[0]
            ints[_RECV, row] = times[1]
            ints[_GROUP, row] = times[2]
            ints[_ID, row] = instrument
            ints[_FLAGS, row] = 1
            row += 1
    if row > first_row:
        ints[_FLAGS, row - 1] |= _END
    return row


def tick_grid(finest: float, steps: tuple[tuple[float, float], ...], lot: float) -> FloatArray:
    """The grid row of a tick scheme with at most two steps."""
    assert len(steps) <= 2
    threshold, coarse = steps[-1]
    return np.array(
        [round(1.0 / finest), round(threshold / finest), round(coarse / finest), round(1.0 / lot)], np.float64
    )

"""Rows of the perpetual and trades with an aggressor: flow leans the way the price just moved.

The perpetual's mark stands above the index by eight hours of carry (what its funding would pay). Trades strike the
standing quote; the share of buyers among them is 1/2 + 1/2 flow x tanh(move / expected move). Buying calls and
selling puts counts as leaning up. Buyers of options open contracts, sellers close them.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.blocks import FloatColumn, IntColumn, RowFlag
from voldesk.core.compiled import compiled
from voldesk.core.units import DAYS_PER_YEAR
from voldesk.sim.dynamics import CARRY, LOG_PREMIUM, LOG_SPOT, REGIME, VARIANCE, poisson
from voldesk.sim.spreads import (
    ASK_LOTS,
    ASK_TICKS,
    BID_LOTS,
    BID_TICKS,
    LOTS_PER_CONTRACT,
    MARK_TICKS,
    TICK_INVERSE,
    spread_level,
    ticks_down,
    ticks_up,
    write_row,
)

MOST_TRADES: Final = 8  # per step
MOST_OPTION_TRADES: Final = 4  # per chain step
FLOW_UNIFORMS: Final = 2 + MOST_TRADES  # feed jitter, trade count, sides
FLOW_NORMALS: Final = 2 + MOST_TRADES  # displayed sizes, traded sizes
OPTION_UNIFORMS: Final = 1 + 3 * MOST_OPTION_TRADES  # count; slot, right, side of each
TYPICAL_TRADE: Final = 300.0  # perpetual contracts

_EVENT: Final = int(IntColumn.TS_EVENT_NS)
_RECV: Final = int(IntColumn.TS_RECV_NS)
_ID: Final = int(IntColumn.INSTRUMENT)
_FLAGS: Final = int(IntColumn.FLAGS)
_GROUP: Final = int(IntColumn.GROUP)
_F_MARK: Final = int(FloatColumn.MARK)
_F_INDEX: Final = int(FloatColumn.INDEX)
_TRADE: Final = int(RowFlag.TRADE | RowFlag.GROUP_END)
_END: Final = int(RowFlag.GROUP_END)
_FUNDING_YEARS: Final = 1.0 / (3.0 * DAYS_PER_YEAR)

# Settings of `perpetual_rows`.
_STEP_NS, _DELAY_NS, _JITTER_NS = 0, 1, 2
_RATE, _FOLLOW, _SIZE = 0, 1, 2


@compiled
def write_trade(
    ints: IntArray, floats: FloatArray, row: int, times: IntArray, instrument: int, price: float, size: float
) -> None:
    """One TRADE row, a group of its own. size: contracts, positive when the buyer was the aggressor."""
    ints[_EVENT, row] = times[0]
    ints[_RECV, row] = times[1]
    ints[_GROUP, row] = times[2]
    ints[_ID, row] = instrument
    ints[_FLAGS, row] = _TRADE
    floats[0, row] = price
    floats[1, row] = size


@compiled
def lean(log_move: float, variance: float, dt: float, follow: float) -> float:
    """Expected imbalance of aggressors, -1 to 1, after a move of the log price over dt years."""
    return follow * math.tanh(log_move / math.sqrt(max(variance, 1e-6) * dt))


@compiled
def perpetual_rows(
    path: FloatArray,
    first_ns: int,
    clock: IntArray,
    rates: FloatArray,
    normals: FloatArray,
    uniforms: FloatArray,
    grid: FloatArray,
    before: float,
    running: IntArray,
    standing: IntArray,
    ints: IntArray,
    floats: FloatArray,
    row: int,
) -> int:
    """Trades and the quote of each step; returns the next free row.

    path: (n, 5). first_ns: time of its first row. clock: step, feed delay, jitter in ns. rates: trades per second, flow
    following, displayed contracts. normals, uniforms: (n, 10). before: log price one step earlier (NaN: none).
    running: last receive time and next group, updated. standing: of the perpetual, updated.
    """
    seconds = clock[_STEP_NS] * 1e-9
    dt = seconds / (DAYS_PER_YEAR * 86_400.0)
    times = np.empty(3, np.int64)
    inverse = grid[TICK_INVERSE]
    for i in range(path.shape[0]):
        now = first_ns + i * clock[_STEP_NS]
        log_spot, variance = path[i, LOG_SPOT], path[i, VARIANCE]
        level = spread_level(variance, math.exp(path[i, LOG_PREMIUM]), path[i, REGIME])
        late = clock[_DELAY_NS] + int(clock[_JITTER_NS] * uniforms[i, 0])
        if standing[ASK_TICKS] > 0 and before == before:
            count = min(poisson(rates[_RATE] * seconds * level, uniforms[i, 1]), MOST_TRADES)
            tilt = lean(log_spot - before, variance, dt, rates[_FOLLOW])
            for j in range(count):
                buys = uniforms[i, 2 + j] < 0.5 + 0.5 * tilt
                most = standing[ASK_LOTS] if buys else standing[BID_LOTS]
                size = min(max(1, int(TYPICAL_TRADE * math.exp(1.2 * normals[i, 2 + j]))), most)
                times[0] = now - clock[_STEP_NS] + clock[_STEP_NS] * (j + 1) // (count + 1)
                times[1] = max(running[0], times[0] + late)
                times[2] = running[1]
                price = (standing[ASK_TICKS] if buys else standing[BID_TICKS]) / inverse
                write_trade(ints, floats, row, times, 0, price, float(size if buys else -size))
                running[0] = times[1]
                running[1] += 1
                row += 1
        spot = math.exp(log_spot)
        mark = spot * (1.0 + path[i, CARRY] * _FUNDING_YEARS)
        half = 0.25 / inverse + 2e-6 * spot * level * level
        standing[MARK_TICKS] = math.floor(mark * inverse + 0.5)
        standing[BID_TICKS] = ticks_down(mark - half, grid)
        standing[ASK_TICKS] = ticks_up(mark + half, grid)
        lots = rates[_SIZE] / max(level, 0.3)
        standing[BID_LOTS] = max(1, int(lots * math.exp(0.4 * normals[i, 0])))
        standing[ASK_LOTS] = max(1, int(lots * math.exp(0.4 * normals[i, 1])))
        times[0] = now
        times[1] = max(running[0], now + late)
        times[2] = running[1]
        write_row(ints, floats, row, times, 0, standing, grid)
        ints[_FLAGS, row] |= _END
        floats[_F_MARK, row] = math.floor(mark * 100.0 + 0.5) / 100.0
        floats[_F_INDEX, row] = math.floor(spot * 100.0 + 0.5) / 100.0
        running[0] = times[1]
        running[1] += 1
        row += 1
        before = log_spot
    return row


@compiled
def option_trades(
    slots: IntArray,
    expected: float,
    tilt: float,
    uniforms: FloatArray,
    normals: FloatArray,
    grid: FloatArray,
    now_ns: int,
    running: IntArray,
    standing: IntArray,
    open_interest: FloatArray,
    ints: IntArray,
    floats: FloatArray,
    row: int,
) -> int:
    """Trades in live options since the last chain step, at the quotes that stood; returns the next free row.

    expected: number of trades. tilt: imbalance of those that lean up. They are reported at `now_ns`, received no
    earlier than what came before.
    """
    times = np.empty(3, np.int64)
    times[0] = now_ns
    times[1] = max(running[0], now_ns)
    count = min(poisson(expected, uniforms[0]), MOST_OPTION_TRADES) if slots.size else 0
    for j in range(count):
        slot = slots[min(int(uniforms[1 + 3 * j] * slots.size), slots.size - 1)]
        is_call = uniforms[2 + 3 * j] < 0.5
        instrument = 1 + 2 * slot + (1 if is_call else 0)
        buys = uniforms[3 + 3 * j] < 0.5 + 0.5 * (tilt if is_call else -tilt)
        stands = standing[instrument]
        ticks = stands[ASK_TICKS] if buys else stands[BID_TICKS]
        if ticks <= 0:
            continue
        most = stands[ASK_LOTS] if buys else stands[BID_LOTS]
        lots = min(max(1, int(10.0 * math.exp(normals[j]))), most)
        size = lots / grid[LOTS_PER_CONTRACT]
        if not buys:
            size = -size
        open_interest[instrument] = max(open_interest[instrument] + size, 0.0)
        times[2] = running[1]
        write_trade(ints, floats, row, times, instrument, ticks / grid[TICK_INVERSE], size)
        running[0] = times[1]
        running[1] += 1
        row += 1
    return row

"""What happened before the synthetic market opened: daily prices to seed a volatility forecast.

The path is drawn backwards in time from the market's first price, variance and regime (`dynamics.look_back`), so that
it ends exactly where the market begins.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.errors import InputError
from voldesk.core.rng import random_stream
from voldesk.core.units import NS_PER_DAY, NS_PER_MINUTE, NS_PER_YEAR
from voldesk.sim import dynamics
from voldesk.sim.synthetic_config import SyntheticConfig

_STEP_NS: Final = 10 * NS_PER_MINUTE


class DailyHistory(NamedTuple):
    """UTC days before the start, oldest first. day_ns: midnight at which the day begins; prices of the index in USD."""

    day_ns: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray


def daily_history(config: SyntheticConfig, seed: int, days: int) -> DailyHistory:
    """Prices of `days` whole UTC days that end at the last midnight at or before the start.

    The same for every call with one seed, whatever the market did meanwhile; a longer one extends a shorter one into
    the past. Highs and lows are of ten-minute prices. Raises InputError for days < 1.
    """
    if days < 1:
        raise InputError(f"days={days} of history; expected at least 1.")
    midnight = config.start_ns // NS_PER_DAY * NS_PER_DAY
    since_midnight = (config.start_ns - midnight) // _STEP_NS
    per_day = NS_PER_DAY // _STEP_NS
    steps = since_midnight + days * per_day
    streams = [random_stream(seed, "synthetic market", "history", name) for name in ("normals", "uniforms")]
    normals = streams[0].standard_normal((steps + 1, dynamics.NORMALS))
    uniforms = streams[1].random((steps + 1, dynamics.UNIFORMS))
    path = np.empty((steps + 1, dynamics.PATH_COLUMNS))
    path[0] = dynamics.start_state(config)
    dt = _STEP_NS / NS_PER_YEAR
    regimes, factors = dynamics.regime_rows(config), dynamics.factor_row(config)
    dynamics.evolve(path[0].copy(), regimes, factors, dt, normals[1:], uniforms[1:], path[1:])
    dynamics.look_back(path, regimes, config.drift, dt, normals, uniforms)
    price = np.exp(path[since_midnight:, dynamics.LOG_SPOT][::-1])  # oldest first, a whole number of days
    inside = np.lib.stride_tricks.sliding_window_view(price, per_day + 1)[::per_day]
    return DailyHistory(
        day_ns=midnight - np.arange(days, 0, -1, dtype=np.int64) * NS_PER_DAY,
        open=inside[:, 0].copy(),
        high=inside.max(axis=1),
        low=inside.min(axis=1),
        close=inside[:, -1].copy(),
    )

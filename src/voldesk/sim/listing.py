"""What the synthetic venue lists: Deribit's expiry cycle, and strikes on a grid around spot.

All contracts that a run may list are known up front, so that the instrument table is complete before the first row;
which of them are live follows the path. Options expire at 08:00 UTC: dailies, weeklies on Fridays, monthlies on the
last Friday of the month. A strike once listed stays until its expiry; every day at 08:00 strikes are added where
spot has moved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.units import NS_PER_DAY, NS_PER_YEAR
from voldesk.instruments.calendars import FRIDAY, date_of, expiry_instant_ns, is_last_friday
from voldesk.instruments.deribit import VENUE, date_text, parse
from voldesk.instruments.table import InstrumentTable
from voldesk.sim.synthetic_config import SyntheticConfig

_STRIKE_STEPS = (100.0, 200.0, 250.0, 500.0, 1_000.0, 2_000.0, 2_500.0, 5_000.0, 10_000.0, 20_000.0, 50_000.0)
_GRID_WIDTH = 3.6  # a listed grid spans about this many deviations, wing to wing
_WILDEST_VOL = 0.8  # the table covers spot moves of three deviations at this volatility


def expiry_days(after_ns: int, config: SyntheticConfig) -> list[date]:
    """Expiry dates listed at an instant: the next dailies, Fridays and last Fridays after it, each date once, rising."""
    day = date_of(after_ns)
    if expiry_instant_ns(VENUE, day) <= after_ns:
        day += timedelta(days=1)
    days = {day + timedelta(days=i) for i in range(config.daily_expiries)}
    fridays = monthlies = 0
    while fridays < config.weekly_expiries or monthlies < config.monthly_expiries:
        if day.weekday() == FRIDAY:
            fridays += 1
            if fridays <= config.weekly_expiries:
                days.add(day)
            elif is_last_friday(day):
                monthlies += 1
                if monthlies <= config.monthly_expiries:
                    days.add(day)
        day += timedelta(days=1)
    return sorted(days)


def strike_step(spot: float, sigma: float, tau: float, strikes: int) -> float:
    """The round distance between strikes at which `strikes` of them span the grid width."""
    wanted = spot * sigma * math.sqrt(tau) * _GRID_WIDTH / (strikes - 1)
    scale = spot / 90_000.0
    steps = [step * _round_scale(scale) for step in _STRIKE_STEPS]
    return min(steps, key=lambda step: abs(math.log(step / wanted)))


def _round_scale(scale: float) -> float:
    """Power of ten that brings the step table to underlyings of another size."""
    return 10.0 ** round(math.log10(scale))


@dataclass(frozen=True, slots=True)
class Listing:
    """Every contract of a run. Slot s is one strike of one expiry: put id 1 + 2 s, call id 2 + 2 s, perpetual id 0.

    expiry_ns: (m,) rising. listed_ns: (m,) when the expiry appears. strike, expiry: (slots,), expiry an index.
    """

    table: InstrumentTable
    expiry_ns: IntArray
    listed_ns: IntArray
    strike: FloatArray
    expiry: IntArray
    window: int

    def live(self, now_ns: int, spot: float, listed: BoolArray) -> None:
        """Bring `listed` (slots,) up to `now_ns`: drop expired contracts, add the strikes nearest to spot."""
        for i in range(self.expiry_ns.size):
            slots = np.flatnonzero(self.expiry == i)
            if self.expiry_ns[i] <= now_ns:
                listed[slots] = False
            elif self.listed_ns[i] <= now_ns:
                nearest = int(np.argmin(np.abs(np.log(self.strike[slots] / spot))))
                first = max(0, min(nearest - self.window // 2, slots.size - self.window))
                listed[slots[first : first + self.window]] = True

    def next_change_ns(self, now_ns: int) -> int:
        """The next 08:00 UTC: when contracts expire and are added."""
        eight = 8 * NS_PER_DAY // 24
        return (now_ns - eight) // NS_PER_DAY * NS_PER_DAY + NS_PER_DAY + eight


def build_listing(config: SyntheticConfig) -> Listing:
    """The table and slots of a run, from its settings alone."""
    appear: dict[int, int] = {}
    now = config.start_ns
    while now <= config.end_ns:
        for day in expiry_days(now, config):
            appear.setdefault(expiry_instant_ns(VENUE, day), now)
        now = min(expiry for expiry in appear if expiry > now)
    table = InstrumentTable([parse(f"{config.underlying}-PERPETUAL")])
    strikes: list[float] = []
    expiry_of: list[int] = []
    for index, expiry_ns in enumerate(sorted(appear)):
        stem = f"{config.underlying}-{date_text(date_of(expiry_ns))}"
        for strike in _strikes_of(expiry_ns, appear[expiry_ns], config):
            for right in ("P", "C"):
                table.add(parse(f"{stem}-{strike:.0f}-{right}"))
            strikes.append(strike)
            expiry_of.append(index)
    return Listing(
        table=table,
        expiry_ns=np.array(sorted(appear), np.int64),
        listed_ns=np.array([appear[expiry_ns] for expiry_ns in sorted(appear)], np.int64),
        strike=np.array(strikes),
        expiry=np.array(expiry_of, np.int64),
        window=config.strikes,
    )


def _strikes_of(expiry_ns: int, listed_ns: int, config: SyntheticConfig) -> list[float]:
    """Multiples of one step, wide enough for wherever spot may be before the expiry or the run's end."""
    spot = config.spot
    tau = max(expiry_ns - listed_ns, 5 * NS_PER_DAY) / NS_PER_YEAR
    step = strike_step(spot, config.implied_vol, tau, config.strikes)
    years = max(min(expiry_ns, config.end_ns) - config.start_ns, 0) / NS_PER_YEAR
    roam = math.exp(3.0 * _WILDEST_VOL * math.sqrt(years))
    half = (config.strikes // 2 + 1) * step
    low = max(1, math.floor((spot / roam - half) / step))
    high = math.ceil((spot * roam + half) / step)
    return [number * step for number in range(low, high + 1)]

"""Settings of the synthetic market: two regimes of Bates dynamics, what is listed, how it is quoted, how fast it ticks.

Defaults give a BTC market like Deribit's: index 90,000, DVOL near 45 %, about 200 options in six expiries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_DAY, NS_PER_MS, NS_PER_SECOND


def _positive(what: str, name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name}={value} of a {what}; expected a positive number.")


@dataclass(frozen=True, slots=True)
class Regime:
    """Physical Bates dynamics while a regime lasts; its length is exponential with mean `mean_days`.

    diffusive_vol: long-run volatility without jumps. mean_reversion: of variance, per year. vol_of_variance: xi.
    jump_intensity: per year; jump_mean, jump_std: of the log jump.
    """

    diffusive_vol: float
    mean_reversion: float
    vol_of_variance: float
    spot_vol_correlation: float
    jump_intensity: float
    jump_mean: float
    jump_std: float
    mean_days: float

    def __post_init__(self) -> None:
        for name in ("diffusive_vol", "mean_reversion", "vol_of_variance", "mean_days"):
            _positive("regime", name, getattr(self, name))
        if self.diffusive_vol > 5.0:
            raise InputError(
                f"diffusive_vol={self.diffusive_vol} looks like percent; expected a decimal near 0.4. Divide by 100."
            )
        if not -1.0 < self.spot_vol_correlation < 1.0:
            raise InputError(f"spot_vol_correlation={self.spot_vol_correlation}; expected between -1 and 1.")
        if self.jump_intensity < 0.0 or self.jump_std < 0.0:
            raise InputError(f"jumps {self.jump_intensity}, {self.jump_std}; expected zero or more.")

    @property
    def theta(self) -> float:
        return self.diffusive_vol**2

    @property
    def jump_variance(self) -> float:
        """Variance per year that jumps add."""
        return self.jump_intensity * (self.jump_mean**2 + self.jump_std**2)


CALM = Regime(0.31, 25.0, 2.0, -0.25, 20.0, -0.004, 0.020, 25.0)
STRESSED = Regime(0.60, 200.0, 9.0, -0.45, 120.0, -0.008, 0.030, 4.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticConfig:
    """Times in ns of feed time; vols decimal per year; sizes in contracts.

    The market is priced off a variance that is `variance_premium` (mean of a mean-reverting factor) times the
    physical one: above 1, options are dear against what will be realised. `implied_vol` is the root of the 30-day
    risk-neutral mean variance at the start, as DVOL measures it; at the money it is a few points less.
    """

    start_ns: int = 1_767_571_200_000_000_000  # 2026-01-05 00:00 UTC
    duration_ns: int = NS_PER_DAY
    step_ns: int = NS_PER_SECOND  # perpetual and index
    chain_step_ns: int = NS_PER_SECOND  # options: changed quotes only
    snapshot_steps: int = 10  # every so many chain steps the whole chain, as one snapshot
    block_steps: int = 60  # steps per block; has no effect on the rows
    feed_delay_ns: int = 2 * NS_PER_MS
    feed_jitter_ns: int = NS_PER_MS
    source: int = 0

    underlying: str = "BTC"
    spot: float = 90_000.0
    drift: float = 0.0
    implied_vol: float = 0.45
    calm: Regime = CALM
    stressed: Regime = STRESSED
    start_stressed: bool = False
    variance_premium: float = 1.15
    premium_deviation: float = 0.15  # stationary, of the log
    premium_half_life_days: float = 3.0
    carry_rate: float = 0.05  # of the futures curve, per year
    carry_deviation: float = 0.01
    carry_half_life_days: float = 2.0

    daily_expiries: int = 0
    weekly_expiries: int = 3
    monthly_expiries: int = 3
    strikes: int = 17  # listed around spot; more are added daily as spot moves

    half_spread_vol: float = 0.005  # at the money, a month out, at 45 % volatility
    expiry_noise: float = 0.01  # stationary, relative variance of one expiry
    expiry_noise_half_life_s: float = 7_200.0
    strike_noise: float = 0.35  # stationary, in half-spreads
    strike_noise_half_life_s: float = 600.0
    option_size: float = 12.0
    perpetual_size: float = 40_000.0
    requote_share: float = 0.02  # unchanged quotes whose sizes change anyway, per chain step
    perpetual_trades_per_s: float = 0.8
    option_trades_per_hour: float = 120.0
    flow_follows_move: float = 0.6  # 0: sides are a coin's toss

    def __post_init__(self) -> None:
        for name in ("step_ns", "chain_step_ns", "duration_ns", "snapshot_steps", "block_steps", "spot", "implied_vol"):
            _positive("synthetic market", name, getattr(self, name))
        for name in ("variance_premium", "premium_half_life_days", "carry_half_life_days", "half_spread_vol"):
            _positive("synthetic market", name, getattr(self, name))
        for name in ("expiry_noise_half_life_s", "strike_noise_half_life_s", "option_size", "perpetual_size"):
            _positive("synthetic market", name, getattr(self, name))
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"{item.name}={value} of the synthetic market; expected a number.")
        if self.chain_step_ns % self.step_ns:
            raise InputError(
                f"chain_step_ns={self.chain_step_ns} is no multiple of step_ns={self.step_ns}; expected one."
            )
        if self.feed_delay_ns < 0 or self.feed_jitter_ns < 0:
            raise InputError(
                f"feed_delay_ns={self.feed_delay_ns}, jitter={self.feed_jitter_ns}; expected zero or more."
            )
        if self.implied_vol > 5.0:
            raise InputError(f"implied_vol={self.implied_vol} looks like percent; expected a decimal. Divide by 100.")
        if self.strikes < 3 or self.daily_expiries + self.weekly_expiries + self.monthly_expiries < 1:
            raise InputError(f"strikes={self.strikes}; expected at least 3 strikes and one expiry.")
        if not 0.0 <= self.flow_follows_move <= 1.0 or not 0.0 <= self.requote_share <= 1.0:
            raise InputError(
                f"flow_follows_move={self.flow_follows_move}, requote_share={self.requote_share}; expected 0 to 1."
            )

    @property
    def steps(self) -> int:
        """Steps after the first row."""
        return self.duration_ns // self.step_ns

    @property
    def end_ns(self) -> int:
        return self.start_ns + self.steps * self.step_ns

    @property
    def stressed_share(self) -> float:
        """Long-run share of time in the stressed regime."""
        return self.stressed.mean_days / (self.calm.mean_days + self.stressed.mean_days)

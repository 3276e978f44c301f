"""The one place where units are converted; everything inside the rings uses raw units.

Inside: volatility and rates are decimals per year with continuous compounding, time is int64
nanoseconds UTC, `tau` is ACT/365 years, Greeks are the bare derivatives (vega per 1.00 of
volatility, theta per year, rho per 1.00 of rate). At the edge people read vega per vol point,
theta per day and rho per basis point: convert here and say so in the name.
"""

from __future__ import annotations

from typing import Final

NS_PER_MS: Final = 1_000_000
NS_PER_SECOND: Final = 1_000_000_000
NS_PER_MINUTE: Final = 60 * NS_PER_SECOND
NS_PER_HOUR: Final = 3_600 * NS_PER_SECOND
NS_PER_DAY: Final = 86_400 * NS_PER_SECOND
DAYS_PER_YEAR: Final = 365.0
NS_PER_YEAR: Final = 365 * NS_PER_DAY
NEVER_NS: Final = 2**63 - 1
"""A time later than every event: "no such event is due"."""

VOL_POINTS_PER_UNIT: Final = 100.0
BPS_PER_UNIT: Final = 10_000.0


def tau_years(now_ns: int, expiry_ns: int) -> float:
    """Time to expiry in ACT/365 years; negative once the expiry instant has passed."""
    return (expiry_ns - now_ns) / NS_PER_YEAR


def vega_per_volpt(vega: float) -> float:
    """Currency per vol point (0.01) from the raw vega per 1.00 of volatility."""
    return vega / VOL_POINTS_PER_UNIT


def theta_per_day(theta: float) -> float:
    """Currency per calendar day from the raw theta per year."""
    return theta / DAYS_PER_YEAR


def rho_per_bp(rho: float) -> float:
    """Currency per basis point from the raw rho per 1.00 of rate."""
    return rho / BPS_PER_UNIT


def vol_points(volatility: float) -> float:
    """Volatility in points (45.0) from a decimal (0.45)."""
    return volatility * VOL_POINTS_PER_UNIT


def gamma_per_1pct(gamma: float, spot: float) -> float:
    """Change of delta (units of the underlying) for a 1 % move, from the raw gamma per 1.00 of price."""
    return gamma * spot * 0.01

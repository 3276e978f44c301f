"""Sets of limits to start from (SPEC G1, G2), by the name that a configuration gives.

Every figure of the requirement is here with the unit it needs to mean something; figures the requirement does not
give (scenario loss, order size, price band, BTC gamma, vega and theta) are ours, and sized to a 10 BTC account.
VaR limits come with the risk office: a limit that nothing checks would be a promise nobody keeps.
"""

from __future__ import annotations

from typing import Final

from voldesk.core.errors import InputError
from voldesk.risk.limits import Code, Limit

_CAPITAL: Final = (
    Limit(Code.DRAWDOWN, 0.20, "ratio", "portfolio"),
    Limit(Code.POSITION_RATIO_MAX, 0.80, "ratio", "portfolio"),
    Limit(Code.FREE_CASH_FLOOR, 0.10, "ratio", "portfolio"),
    Limit(Code.SINGLE_POSITION, 0.30, "ratio", "position"),
    Limit(Code.MARGIN, 1.0, "ratio", "portfolio"),
    Limit(Code.SCENARIO_LOSS, 0.25, "equity_share", "portfolio"),
    Limit(Code.PRICE_BAND, 0.03, "ratio", "order"),
    Limit(Code.PRICE_BAND_OPTION, 0.02, "underlying_share", "order"),
)

# The requirement's equity figures: share equivalents beta-weighted, gamma per $1, vega per vol point, theta per day.
_EQUITY: Final = (
    *_CAPITAL,
    Limit(Code.DELTA, 1000.0, "beta", "portfolio"),
    Limit(Code.GAMMA, 100.0, "beta_per_1", "portfolio"),
    Limit(Code.VEGA, 5000.0, "usd_per_volpt", "portfolio"),
    Limit(Code.THETA, 1000.0, "usd_per_day", "portfolio"),
    Limit(Code.DELTA, 500.0, "underlying", "underlying:MSTR"),
    Limit(Code.GAMMA, 50.0, "underlying_per_1", "underlying:MSTR"),
    Limit(Code.VEGA, 2500.0, "usd_per_volpt", "underlying:MSTR"),
    Limit(Code.ORDER_SIZE, 2_000_000.0, "usd", "order"),
)

_BTC: Final = (
    *_CAPITAL,
    Limit(Code.DELTA, 10.0, "underlying", "underlying:BTC"),
    Limit(Code.GAMMA, 2.0, "underlying_per_1pct", "underlying:BTC"),
    Limit(Code.VEGA, 5_000.0, "usd_per_volpt", "underlying"),
    Limit(Code.THETA, 10_000.0, "usd_per_day", "underlying"),
    # Coins without figures of their own.
    Limit(Code.DELTA, 1_000_000.0, "usd", "underlying"),
    Limit(Code.GAMMA, 200_000.0, "usd_per_1pct", "underlying"),
    Limit(Code.DELTA, 1_500_000.0, "usd", "portfolio"),
    Limit(Code.VEGA, 7_500.0, "usd_per_volpt", "portfolio"),
    Limit(Code.ORDER_SIZE, 25.0, "underlying", "order:BTC"),
    Limit(Code.ORDER_SIZE, 2_500_000.0, "usd", "order"),
)

# CFFEX index options: delta and gamma in contracts, vega in index points (money divided by the multiplier). None of
# the three adds up over several indices, so the requirement's portfolio figures 5/1/500 hold for each underlying.
_CFFEX: Final = (
    *(item for item in _CAPITAL if item.code is not Code.SINGLE_POSITION),
    Limit(Code.SINGLE_POSITION, 0.10, "ratio", "position"),
    Limit(Code.POSITIONS, 5.0, "count", "portfolio"),
    Limit(Code.DELTA, 0.8, "contracts", "position"),
    Limit(Code.GAMMA, 0.1, "contracts_per_1pct", "position"),
    Limit(Code.VEGA, 50.0, "points_per_volpt", "position"),
    Limit(Code.DELTA, 5.0, "contracts", "underlying"),
    Limit(Code.GAMMA, 1.0, "contracts_per_1pct", "underlying"),
    Limit(Code.VEGA, 500.0, "points_per_volpt", "underlying"),
    Limit(Code.ORDER_SIZE, 20.0, "contracts", "order"),
)

PRESETS: Final[dict[str, tuple[Limit, ...]]] = {
    "btc": _BTC,
    "us_equity": _EQUITY,
    "requirement": _EQUITY,
    "cffex": _CFFEX,
}


def preset(name: str) -> tuple[Limit, ...]:
    """The limits of a preset. Raises InputError for an unknown name."""
    try:
        return PRESETS[name]
    except KeyError:
        raise InputError(f"preset={name!r} is unknown; expected one of {', '.join(PRESETS)}.") from None

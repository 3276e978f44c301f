"""What enters the desk besides market rows and venue reports: worker results and operator actions.

All are immutable, all are journalled as inputs (paper, live) or recomputed from the same inputs (backtest).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class VolForecast(msgspec.Struct, frozen=True, array_like=True, tag="forecast", gc=False):
    """Forecast of realised volatility over `horizon_ns` from `made_ns` on: decimal per year.

    `daily_sigma` extends it: sigma per day ahead 1..n, so that any matched tenor can be read off.
    `sigma` is NaN and `status` says why when there is no forecast; never a stand-in figure.
    """

    underlying: str
    model: str
    made_ns: int
    horizon_ns: int
    sigma: float
    daily_sigma: tuple[float, ...] = ()
    status: str = "ok"


class SliceFit(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One expiry of a fitted surface: raw SVI (Gatheral & Jacquier 2014, sec. 3.1) and how well it sits."""

    expiry_ns: int
    forward: float
    discount: float
    a: float
    b: float
    rho: float
    m: float
    sigma: float
    quotes: int
    inside_share: float  # share of used quotes whose fitted vol lies inside bid-ask
    worst_miss: float  # largest distance outside the bid-ask band, decimal vol
    status: str  # "ok", "few_quotes", "not_converged", "butterfly", "calendar"
    mean_miss: float | None = None  # mean distance outside bid-ask of used quotes, in half-spreads; None: not measured


class SurfaceFitted(msgspec.Struct, frozen=True, array_like=True, tag="surface", gc=False):
    """A whole surface, fitted to the quotes known at `asof_ns`."""

    underlying: str
    asof_ns: int
    slices: tuple[SliceFit, ...]


ComputeResult = VolForecast | SurfaceFitted


class OperatorAction(StrEnum):
    ORDER = "order"
    FLATTEN = "flatten"
    CANCEL_ALL = "cancel_all"
    KILL = "kill"
    REARM = "rearm"
    PAUSE = "pause"
    RESUME = "resume"
    SET_LIMIT = "set_limit"


class OperatorCommand(msgspec.Struct, frozen=True, array_like=True, tag="operator", gc=False):
    """A person's action, through the same gate as everything else. `payload` is the action's own small mapping."""

    ts_ns: int
    who: str
    action: OperatorAction
    book: str
    payload: dict[str, str]
    reason: str

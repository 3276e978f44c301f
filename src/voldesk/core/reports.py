"""What a venue tells the desk. Reports are inputs: they are journalled before the desk acts on them.

`ts_event_ns` is when it happened at the venue, `ts_recv_ns` when the desk hears of it.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Liquidity(StrEnum):
    MAKER = "maker"
    TAKER = "taker"


class _Report(msgspec.Struct, frozen=True, array_like=True, gc=False):
    ts_event_ns: int
    ts_recv_ns: int


class OrderAccepted(_Report, frozen=True, array_like=True, tag="accepted", gc=False):
    order_id: int


class OrderRejected(_Report, frozen=True, array_like=True, tag="rejected", gc=False):
    """Terminal, with the venue's proof. `code` is stable (UNKNOWN_INSTRUMENT, INSUFFICIENT_MARGIN, ...)."""

    order_id: int
    code: str
    text: str


class OrderFilled(_Report, frozen=True, array_like=True, tag="filled", gc=False):
    """One execution. `lots` is signed like the order, `fee_units` is what is paid (negative: a rebate)."""

    order_id: int
    trade_id: int
    instrument: int
    lots: int
    price_ticks: int
    liquidity: Liquidity
    fee_units: int
    fee_currency: str


class OrderCancelled(_Report, frozen=True, array_like=True, tag="cancelled", gc=False):
    """Terminal. `reason`: user, ioc, post_only, expiry, margin_call, venue."""

    order_id: int
    reason: str


class CancelRejected(_Report, frozen=True, array_like=True, tag="cancel_rejected", gc=False):
    """The order to cancel was not open any more (or never known); its own terminal report settles its state."""

    order_id: int
    code: str


class InstrumentSettled(_Report, frozen=True, array_like=True, tag="settled", gc=False):
    """Expiry: `delivery_price` is exact text; every book settles its own lots from it."""

    instrument: int
    delivery_price: str
    fee_rate: str


class FundingApplied(_Report, frozen=True, array_like=True, tag="funding", gc=False):
    """A perpetual's funding for one interval: longs pay position value x `rate` (exact text) when positive."""

    instrument: int
    rate: str
    mark_price: str


class MarginCalled(_Report, frozen=True, array_like=True, tag="margin_call", gc=False):
    """The venue's view of an account under its maintenance margin; `liquidating` says that it has begun to close."""

    currency: str
    equity_units: int
    maintenance_units: int
    liquidating: bool


class PositionTaken(_Report, frozen=True, array_like=True, tag="liquidated", gc=False):
    """A liquidation trade that the desk did not order; booked pro rata to the books that hold the position."""

    trade_id: int
    instrument: int
    lots: int
    price_ticks: int
    fee_units: int
    fee_currency: str


Report = (
    OrderAccepted
    | OrderRejected
    | OrderFilled
    | OrderCancelled
    | CancelRejected
    | InstrumentSettled
    | FundingApplied
    | MarginCalled
    | PositionTaken
)

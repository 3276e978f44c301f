"""What execution tells the desk and the journal besides its commands: facts about orders, no requests."""

from __future__ import annotations

import msgspec


class OrderTimedOut(msgspec.Struct, frozen=True, array_like=True, tag="order_timed_out", gc=False):
    """An order stood its time without filling and is being cancelled; `attempt` counts from 0."""

    ts_ns: int
    book: str
    intent_id: int
    order_id: int
    instrument: int
    remaining_lots: int
    attempt: int


class OrderUnconfirmed(msgspec.Struct, frozen=True, array_like=True, tag="order_unconfirmed", gc=False):
    """The venue has not answered a new order or a cancel in time. The order keeps counting as exposure."""

    ts_ns: int
    book: str
    intent_id: int
    order_id: int
    instrument: int
    remaining_lots: int
    waiting_for: str  # "accept" or "cancel"


class LateFill(msgspec.Struct, frozen=True, array_like=True, tag="late_fill", gc=False):
    """A fill of an order that the venue had already reported as ended; it is booked."""

    ts_ns: int
    book: str
    intent_id: int
    order_id: int
    instrument: int
    lots: int


class RetriesExhausted(msgspec.Struct, frozen=True, array_like=True, tag="retries_exhausted", gc=False):
    """A leg is given up with `unfilled_lots` left (opposite in sign when late fills overshot it).

    `reason`: retries, stopped, expiry, margin_call, overfilled, or rejected:CODE.
    """

    ts_ns: int
    book: str
    intent_id: int
    instrument: int
    wanted_lots: int
    unfilled_lots: int
    attempts: int
    reason: str


class LegRisk(msgspec.Struct, frozen=True, array_like=True, tag="leg_risk", gc=False):
    """All legs of an intent have ended, filled in different shares: the book holds an unbalanced structure.

    `legs`: (instrument, wanted lots, filled lots) of every leg.
    """

    ts_ns: int
    book: str
    intent_id: int
    legs: tuple[tuple[int, int, int], ...]


ExecutionEvent = OrderTimedOut | OrderUnconfirmed | LateFill | RetriesExhausted | LegRisk

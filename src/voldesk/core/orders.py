"""What the desk wants, what it is allowed, what it sends.

    strategy ──OrderIntent──► risk.gate ──Approved──► execution ──PlaceOrder/CancelOrder──► venue

Sizes are signed integer lots (positive buys), prices integer ticks of the instrument's finest step.
Only `risk/gate.py` may construct `Approved`; execution accepts nothing else. Every type is immutable and
encodes to the same bytes on every run, because the journal's hash is taken over these encodings.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

import msgspec


class Purpose(StrEnum):
    """Why an order exists. CLOSE, FLATTEN and LIQUIDATE may be exempted from limits when they only reduce."""

    OPEN = "open"
    CLOSE = "close"
    HEDGE = "hedge"
    FLATTEN = "flatten"
    MANUAL = "manual"


class Style(StrEnum):
    """How the executor works an approved intent."""

    CROSS = "cross"  # marketable limit at the far side plus slippage ticks
    JOIN = "join"  # rests at the near side, then re-quotes towards the far side


class OrderType(StrEnum):
    LIMIT = "limit"
    MARKET = "market"


class TimeInForce(StrEnum):
    GTC = "gtc"
    IOC = "ioc"
    POST_ONLY = "post_only"


class Outcome(IntEnum):
    """Ordered by severity, so that the worst of many checks is their max."""

    APPROVE = 0
    WARN = 1
    REFUSE = 2


class Leg(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Signed lots of one instrument; `limit_ticks` is the worst price the executor may ever pay or take."""

    instrument: int
    lots: int
    limit_ticks: int | None = None


class OrderIntent(msgspec.Struct, frozen=True, array_like=True, tag="intent", gc=False):
    """All legs of one decision, judged together by the gate. `book` is the strategy variant it belongs to."""

    intent_id: int
    ts_ns: int
    book: str
    strategy: str
    purpose: Purpose
    legs: tuple[Leg, ...]
    reason: str
    style: Style = Style.CROSS
    reduce_only: bool = False


class Check(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One rule's answer. `current` and `projected` are in `unit`, before and after the simulated fill."""

    code: str
    outcome: Outcome
    limit: float
    current: float
    projected: float
    unit: str
    scope: str


class Verdict(msgspec.Struct, frozen=True, array_like=True, tag="verdict", gc=False):
    """The gate's answer to one intent: the worst outcome, and every check that was not a plain approval.

    `exemption` names the rule that let a refused intent through ("reduce_only"), or is empty.
    """

    intent_id: int
    ts_ns: int
    outcome: Outcome
    checks: tuple[Check, ...]
    exemption: str = ""


class Approved(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Proof that the gate passed an intent. Constructed in risk/gate.py alone."""

    intent: OrderIntent
    verdict: Verdict


class PlaceOrder(msgspec.Struct, frozen=True, array_like=True, tag="place", gc=False):
    """`order_id` counts up per run; the id a venue sees is run id + order_id, the same after a restart."""

    order_id: int
    ts_ns: int
    intent_id: int
    book: str
    instrument: int
    lots: int
    order_type: OrderType
    limit_ticks: int
    time_in_force: TimeInForce
    reduce_only: bool


class CancelOrder(msgspec.Struct, frozen=True, array_like=True, tag="cancel", gc=False):
    order_id: int
    ts_ns: int
    reason: str


Command = PlaceOrder | CancelOrder

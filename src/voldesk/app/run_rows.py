"""Rows of a run as a reader wants them: fills, vetoes, settlements, funding, orders. Money is integers and text.

Times are when the desk knew (`ts_ns`). Floats (USD, vols, Greeks) are for reading and drawing, never for money.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from voldesk.instruments.spec import Instrument

_PAIR: Final = re.compile(r"(\w+)=([+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|nan|inf))")


@dataclass(slots=True)
class Fill:
    """One execution. `value_units`: exact worth of the signed lots at the price, in units of `settle_currency`.

    forward: of the expiry, from the last fitted surface; iv: implied by the fill price; fitted_iv: the surface's at the
    strike; vega_volpt_usd: signed, USD per vol point. All NaN for what is no option or lacks an input.
    """

    ts_ns: int
    book: str
    strategy: str
    purpose: str
    instrument: int
    symbol: str
    is_option: bool
    lots: int
    contracts: str
    price: str
    price_usd: float
    index: float
    liquidity: str
    fee_units: int
    fee: str
    fee_currency: str
    value_units: int
    settle_currency: str
    reason: str
    intent_id: int
    order_id: int
    trade_id: int
    forward: float = float("nan")
    iv: float = float("nan")
    fitted_iv: float = float("nan")
    vega_volpt_usd: float = float("nan")
    gamma_1pct: float = float("nan")

    @property
    def side(self) -> str:
        return "buy" if self.lots > 0 else "sell"


@dataclass(frozen=True, slots=True)
class Veto:
    """One refused check of one refused intent, with the numbers the gate gave."""

    ts_ns: int
    book: str
    strategy: str
    purpose: str
    intent_id: int
    legs: str
    code: str
    limit: float
    current: float
    projected: float
    unit: str
    scope: str


@dataclass(frozen=True, slots=True)
class Settled:
    """One book's share of an expiry: gain is payoff - basis, as the ledger books it."""

    ts_ns: int
    book: str
    instrument: int
    symbol: str
    lots: int
    delivery_price: str
    payoff_units: int
    gain_units: int
    fee_units: int
    currency: str


@dataclass(frozen=True, slots=True)
class Funded:
    """One book's funding of one interval. position_units: what the rate applies to, longs positive."""

    ts_ns: int
    book: str
    instrument: int
    symbol: str
    rate: str
    units: int
    position_units: int
    currency: str


@dataclass(slots=True)
class OrderRow:
    """An order as far as the journal tells: state is sent, working, filled, cancelled or rejected."""

    ts_ns: int
    order_id: int
    intent_id: int
    book: str
    symbol: str
    purpose: str
    lots: int
    price: str
    time_in_force: str
    filled_lots: int = 0
    state: str = "sent"
    detail: str = ""


def contracts_text(instrument: Instrument, lots: int) -> str:
    """Signed contracts, exact."""
    return format((instrument.lot * lots).normalize(), "f")


def numbers_in(reason: str) -> dict[str, float]:
    """The `key=number` pairs of an intent's reason.

    >>> numbers_in("open_long p_vol=0.5500 spread=+0.0700")
    {'p_vol': 0.55, 'spread': 0.07}
    """
    return {key: float(value) for key, value in _PAIR.findall(reason)}

"""What is traded: one frozen record per instrument, with exact contract terms.

Prices at a venue are integers of the scheme's finest step, sizes integers of the instrument's lot
(DESIGN §4). `InstrumentTable` gives every instrument of a run a dense id, the index of all columns.
"""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum
from fractions import Fraction

import msgspec

from voldesk.core.errors import InputError


class Kind(IntEnum):
    OPTION = 0
    FUTURE = 1
    PERPETUAL = 2
    SPOT = 3
    EQUITY = 4


class Settlement(IntEnum):
    """LINEAR pays in the quote currency, INVERSE in the coin itself, QUANTO at a fixed rate in another currency."""

    LINEAR = 0
    INVERSE = 1
    QUANTO = 2


class Exercise(IntEnum):
    EUROPEAN = 0
    AMERICAN = 1


class Delivery(IntEnum):
    """What an exercised option hands over: CASH the payoff, PHYSICAL the underlying against the strike."""

    CASH = 0
    PHYSICAL = 1


class TickScheme(msgspec.Struct, frozen=True):
    """Valid prices: from each `steps` threshold on, multiples of its tick. A price is stored in `base` steps.

    base: the finest tick; every tick is a whole multiple of it. steps: ((from_price, tick), ...) rising from 0.
    """

    base: Decimal
    steps: tuple[tuple[Decimal, Decimal], ...]

    def price(self, ticks: int) -> Decimal:
        """Exact price of an integer number of base steps."""
        return self.base * ticks

    def nearest(self, price: float) -> int:
        """Base steps nearest to a float price, without regard to the coarser grid (for recorded prices)."""
        return round(price / float(self.base))

    def _step(self, ticks: int) -> int:
        price = self.price(ticks)
        tick = self.steps[0][1]
        for start, step in self.steps:
            if price >= start:
                tick = step
        return int(tick / self.base)

    def down(self, ticks: int) -> int:
        """The highest valid price at or below."""
        step = self._step(ticks)
        return ticks // step * step

    def up(self, ticks: int) -> int:
        """The lowest valid price at or above."""
        step = self._step(ticks)
        return -(-ticks // step) * step

    def is_valid(self, ticks: int) -> bool:
        return self.down(ticks) == ticks


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """Contract terms. Unused fields of a kind keep their defaults.

    multiplier: underlying units per contract; for inverse futures and perpetuals quote-currency units (10 USD).
    lot: smallest size step in contracts. expiry_ns: the exact expiry instant, 0 for none.
    quanto_rate: settle currency per quote currency, fixed, QUANTO only.
    """

    symbol: str
    venue: str
    kind: Kind
    underlying: str
    quote_currency: str
    settle_currency: str
    settlement: Settlement
    multiplier: Decimal
    lot: Decimal
    ticks: TickScheme
    fee_schedule: str
    expiry_ns: int = 0
    strike: Decimal = Decimal(0)
    is_call: bool = False
    exercise: Exercise = Exercise.EUROPEAN
    quanto_rate: Decimal = Decimal(1)
    delivery: Delivery = Delivery.CASH

    @property
    def is_option(self) -> bool:
        return self.kind is Kind.OPTION

    @property
    def pays_premium(self) -> bool:
        """True where buying moves cash at once (options, spot, equity); futures only move cash on profit."""
        return self.kind in (Kind.OPTION, Kind.SPOT, Kind.EQUITY)

    @property
    def is_reciprocal(self) -> bool:
        """Inverse futures and perpetuals: worth -(contracts x multiplier) / price in coin."""
        return self.settlement is Settlement.INVERSE and self.kind in (Kind.FUTURE, Kind.PERPETUAL)

    def contracts(self, lots: int) -> Fraction:
        return Fraction(self.lot) * lots

    def value(self, lots: int, price: Decimal | Fraction) -> Fraction:
        """Exact worth in the settle currency of signed lots at a price; P&L is always a difference of two values.

        Linear and inverse options, linear futures: contracts x multiplier x price (an inverse option's price is
        in coin). Inverse futures: -contracts x multiplier / price. Quanto: times the fixed rate.
        """
        size = self.contracts(lots) * Fraction(self.multiplier)
        if self.is_reciprocal:
            if price <= 0:
                raise InputError(f"price={price} of {self.symbol}; expected a positive price of an inverse contract.")
            return -size / Fraction(price)
        worth = size * Fraction(price)
        return worth * Fraction(self.quanto_rate) if self.settlement is Settlement.QUANTO else worth

    def value_at_ticks(self, lots: int, price_ticks: int) -> Fraction:
        return self.value(lots, self.ticks.price(price_ticks))

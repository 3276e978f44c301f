"""One position of one book: signed lots, and its cost basis carried as a total of integer units.

Basis and market worth are values in the settle currency (`Instrument.value`), so one rule serves every kind: buying
adds the value at the trade price to the basis, profit is always value minus basis. Each cash flow rounds once, half
to even; a partial close takes its pro-rata share of the basis, rounded half to even, and the rest stays: nothing is
ever lost. DESIGN §4, §5.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from voldesk.core.money import exponent, round_half_even
from voldesk.core.ports import State
from voldesk.instruments.spec import Instrument, Settlement


class ExactPrice(NamedTuple):
    """A price as a ratio of integers, denominator positive."""

    numerator: int
    denominator: int

    @property
    def fraction(self) -> Fraction:
        return Fraction(self.numerator, self.denominator)


def exact_price(price: float) -> ExactPrice:
    """The decimal that a float price was written as: 0.03 is three hundredths, not the nearest binary number."""
    return ExactPrice(*Decimal(repr(float(price))).as_integer_ratio())


class Worth:
    """`Instrument.value` in integer units, without building Fractions: what marking to market runs on.

    Equal to `to_units(instrument.value(lots, price), settle_currency)` for every lots and price.
    """

    __slots__ = ("_denominator", "_numerator", "currency", "is_reciprocal", "moves_cash")

    def __init__(self, instrument: Instrument) -> None:
        scale = Fraction(instrument.lot) * Fraction(instrument.multiplier)
        if instrument.settlement is Settlement.QUANTO and not instrument.is_reciprocal:
            scale *= Fraction(instrument.quanto_rate)
        scale *= 10 ** exponent(instrument.settle_currency)
        self._numerator, self._denominator = scale.numerator, scale.denominator
        self.currency = instrument.settle_currency
        self.is_reciprocal = instrument.is_reciprocal
        self.moves_cash = instrument.pays_premium

    def accepts(self, price: float) -> bool:
        """Finite, and positive where the contract is worth one over its price."""
        return price - price == 0.0 and (price > 0.0 or not self.is_reciprocal)

    def units(self, lots: int, price: ExactPrice) -> int:
        """Worth of signed lots in the smallest unit of the settle currency, rounded once."""
        numerator, denominator = price
        if self.is_reciprocal:
            return round_half_even(-lots * self._numerator * denominator, self._denominator * numerator)
        return round_half_even(lots * self._numerator * numerator, self._denominator * denominator)


class Position:
    """Everything in units of the settle currency. `market` is the worth at the last mark.

    realised, settlement, fees, funding are running totals of this instrument in this book; fees paid in another
    currency are booked with the account of that currency and do not show here.
    """

    __slots__ = ("basis", "fees", "funding", "lots", "market", "realised", "settlement")

    def __init__(self) -> None:
        self.lots = 0
        self.basis = 0
        self.market = 0
        self.realised = 0
        self.settlement = 0
        self.fees = 0
        self.funding = 0

    @property
    def unrealised(self) -> int:
        return self.market - self.basis

    @property
    def gross(self) -> int:
        """Profit of holding and trading, before fees and funding."""
        return self.realised + self.settlement + self.market - self.basis

    def trade(self, lots: int, cost: int) -> int:
        """Book signed lots bought for `cost` units (negative when sold). Returns what is realised.

        A trade through zero splits its cost pro rata: the closing part first, the remainder opens.
        """
        held = self.lots
        self.lots = held + lots
        if held == 0 or (held > 0) == (lots > 0):
            self.basis += cost
            return 0
        if abs(lots) <= abs(held):
            released = round_half_even(self.basis * abs(lots), abs(held))
            self.basis -= released
            realised = -cost - released
        else:
            closing = round_half_even(cost * abs(held), abs(lots))
            realised = -closing - self.basis
            self.basis = cost - closing
        self.realised += realised
        return realised

    def settle(self, payoff: int) -> int:
        """Close everything at expiry. Returns payoff - remaining basis, the settlement term."""
        gain = payoff - self.basis
        self.settlement += gain
        self.lots = self.basis = self.market = 0
        return gain

    def state(self) -> State:
        return {name: getattr(self, name) for name in self.__slots__}

    def restore(self, state: State) -> None:
        for name in self.__slots__:
            setattr(self, name, int(state[name]))

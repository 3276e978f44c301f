"""The venue's own account of its one client: exact cash, positions, and what they are worth for margin.

Cash moves by the whole value of every trade, futures included (buying one at 50,000 takes 50,000 and holds a value
of 50,000): profit is then always cash plus value, and no average cost is needed. `margin_balance` is what Deribit
compares with a requirement. Each trade rounds once, half-even, in the settle currency.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from voldesk.core.money import exponent, round_half_even, to_float, to_units
from voldesk.core.ports import State
from voldesk.instruments.fees import FeeBasis, schedule_of
from voldesk.instruments.spec import Instrument, Settlement
from voldesk.instruments.table import InstrumentTable


class Terms:
    """Contract terms boiled down for the order path: integers for money, floats for prices."""

    __slots__ = (
        "currency",
        "denominator",
        "fee_below_value",
        "instrument",
        "is_option",
        "is_reciprocal",
        "lot",
        "needs_index",
        "numerator",
        "size",
        "tick",
        "units_per_currency",
    )

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.currency = instrument.settle_currency
        self.is_option = instrument.is_option
        self.is_reciprocal = instrument.is_reciprocal
        # Only linear options are charged by the underlying's price.
        basis = schedule_of(instrument).at(0).basis
        self.needs_index = (
            instrument.is_option and instrument.settlement is not Settlement.INVERSE and basis is FeeBasis.UNDERLYING
        )
        # A charge per contract can exceed the price of a cheap one; shares and capped fees cannot.
        self.fee_below_value = basis is not FeeBasis.CONTRACT
        self.tick = float(instrument.ticks.base)
        self.lot = float(instrument.lot)
        rate = instrument.quanto_rate if instrument.settlement is Settlement.QUANTO else Decimal(1)
        self.size = float(instrument.lot * instrument.multiplier * rate)
        scale: int = 10 ** exponent(self.currency)
        self.units_per_currency = scale
        base = Fraction(instrument.ticks.base)
        lot = Fraction(instrument.lot) * Fraction(instrument.multiplier)
        worth = -scale * lot / base if self.is_reciprocal else scale * lot * base * Fraction(rate)
        self.numerator, self.denominator = worth.numerator, worth.denominator

    def value_units(self, lots: int, ticks: int) -> int:
        """`Instrument.value_at_ticks` in smallest units, rounded once."""
        if self.is_reciprocal:
            top, bottom = lots * self.numerator, self.denominator * ticks
        else:
            top, bottom = lots * ticks * self.numerator, self.denominator
        return round_half_even(top, bottom)

    def value(self, lots: int, price: float) -> float:
        """The same in whole currency as a float, for margin."""
        return -lots * self.size / price if self.is_reciprocal else lots * self.size * price


class TermsTable:
    """`Terms` by instrument id, made when first asked for."""

    __slots__ = ("_made", "_table")

    def __init__(self, table: InstrumentTable) -> None:
        self._table = table
        self._made: dict[int, Terms] = {}

    def __getitem__(self, instrument: int) -> Terms:
        terms = self._made.get(instrument)
        if terms is None:
            terms = self._made[instrument] = Terms(self._table[instrument])
        return terms


class Account:
    """Cash by currency (smallest units) and signed lots by instrument. An instrument once traded stays in
    `positions`, at zero when flat: books behind one account may hold it against each other."""

    def __init__(self, deposits: Mapping[str, Decimal]) -> None:
        self.cash: dict[str, int] = {currency: to_units(amount, currency) for currency, amount in deposits.items()}
        self.positions: dict[int, int] = {}
        self.last_price: dict[int, float] = {}

    def move_cash(self, currency: str, units: int) -> None:
        self.cash[currency] = self.cash.get(currency, 0) + units

    def trade(self, instrument: int, terms: Terms, lots: int, price_ticks: int, fee_units: int) -> None:
        """Book one execution; `lots` is signed, the fee is paid."""
        self.move_cash(terms.currency, -terms.value_units(lots, price_ticks) - fee_units)
        self.positions[instrument] = self.positions.get(instrument, 0) + lots
        self.last_price[instrument] = price_ticks * terms.tick

    def close_out(self, instrument: int, terms: Terms, worth: Fraction, fee_units: int) -> None:
        """Turn a position into cash at expiry; `worth` is its exact value in whole settle currency."""
        self.move_cash(terms.currency, to_units(worth, terms.currency) - fee_units)
        self.positions.pop(instrument, None)
        self.last_price.pop(instrument, None)

    def held(self) -> list[int]:
        """Instruments with a position, in order of id."""
        return sorted(i for i, lots in self.positions.items() if lots)

    def cash_float(self, currency: str) -> float:
        return to_float(self.cash.get(currency, 0), currency)

    def state(self) -> State:
        ids = sorted(self.positions)
        return {
            "cash": {currency: str(units) for currency, units in self.cash.items()},
            "positions": [[i, self.positions[i], self.last_price.get(i, 0.0)] for i in ids],
        }

    def restore(self, state: State) -> None:
        self.cash = {currency: int(units) for currency, units in state["cash"].items()}
        self.positions = {int(i): int(lots) for i, lots, _ in state["positions"]}
        self.last_price = {int(i): float(price) for i, _, price in state["positions"]}

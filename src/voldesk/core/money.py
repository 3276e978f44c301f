"""Money is exact: amounts are integers of a currency's smallest unit, rounded once per cash flow.

A coin counts in 1e-8, every other currency in 1e-4 (DESIGN §4). Exact intermediate values are
`fractions.Fraction`; `to_units` rounds half to even, once. JSON carries money as strings.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Final

from voldesk.core.errors import InputError

COIN_EXPONENT: Final = 8
CASH_EXPONENT: Final = 4
COINS: Final = frozenset({"BTC", "ETH", "SOL", "XRP", "BNB", "MATIC", "TRX", "AVAX"})

Exact = Fraction | Decimal | int
"""A number without rounding error; floats are refused because 0.1 is not one tenth."""


def exponent(currency: str) -> int:
    """Decimal places of the smallest unit: 8 for coins, 4 for USD, USDC, CNY and the rest."""
    return COIN_EXPONENT if currency in COINS else CASH_EXPONENT


def round_half_even(numerator: int, denominator: int) -> int:
    """Nearest integer to numerator / denominator, ties to even. denominator > 0."""
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient & 1):
        quotient += 1
    return quotient


def to_units(amount: Exact, currency: str) -> int:
    """Integer units of `currency` nearest to an exact amount, half to even.

    Raises InputError for a float: pass a Decimal, Fraction or int.

    >>> to_units(Decimal("0.000125"), "BTC")
    12500
    """
    if isinstance(amount, float):
        raise InputError(f"amount={amount!r} is a float; expected Decimal, Fraction or int. Wrap it as Decimal('...').")
    exact = Fraction(amount) * 10 ** exponent(currency)
    return round_half_even(exact.numerator, exact.denominator)


def to_decimal(units: int, currency: str) -> Decimal:
    """The amount as a Decimal in whole currency, without loss."""
    return Decimal(units).scaleb(-exponent(currency))


def to_float(units: int, currency: str) -> float:
    """The amount as a float, for analytics only: never for the ledger."""
    return units / 10.0 ** exponent(currency)


def to_text(units: int, currency: str) -> str:
    """The amount as the string that JSON and the journal carry, all decimals shown.

    >>> to_text(-12500, "BTC")
    '-0.00012500'
    """
    places = exponent(currency)
    sign = "-" if units < 0 else ""
    whole, part = divmod(abs(units), 10**places)
    return f"{sign}{whole}.{part:0{places}d}"

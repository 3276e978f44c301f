"""Tick grids and strike notation that the symbologies share."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from voldesk.instruments.spec import TickScheme


def flat_ticks(tick: str) -> TickScheme:
    """One tick at every price.

    >>> flat_ticks("0.5").price(3)
    Decimal('1.5')
    """
    return TickScheme(base=Decimal(tick), steps=((Decimal(0), Decimal(tick)),))


def stepped_ticks(tick: str, above: str, coarse: str) -> TickScheme:
    """A finer tick below a price, a coarser one from there on."""
    return TickScheme(base=Decimal(tick), steps=((Decimal(0), Decimal(tick)), (Decimal(above), Decimal(coarse))))


COIN_OPTION_TICKS: Final = stepped_ticks("0.0001", "0.005", "0.0005")
"""Coin-settled options of Deribit and OKX, in coin."""


def strike_text(strike: Decimal) -> str:
    """A strike without exponent or trailing zeros: 70000, 0.55."""
    return format(strike.quantize(Decimal(1)) if strike == strike.to_integral() else strike.normalize(), "f")

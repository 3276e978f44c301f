"""CCXT's unified symbols, both directions.

    BTC/USDT                          spot
    BTC/USDT:USDT, BTC/USD:BTC        perpetual, linear and inverse (settle currency after the colon)
    BTC/USD:BTC-260327                future
    BTC/USD:BTC-260327-70000-C        option

Source: CCXT manual, "Contract naming conventions". A unified symbol names no venue and carries no terms: the
venue's own symbology supplies them (Deribit, OKX), or the small table here (Binance, Bybit perpetuals and spot).
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Final

import msgspec

from voldesk.core.errors import InputError
from voldesk.core.money import COINS
from voldesk.instruments import deribit, okx
from voldesk.instruments.calendars import date_of
from voldesk.instruments.notation import flat_ticks, strike_text
from voldesk.instruments.spec import Instrument, Kind, Settlement

_SYMBOL: Final = re.compile(
    r"(?P<base>[A-Z0-9]+)/(?P<quote>[A-Z0-9]+)"
    r"(?::(?P<settle>[A-Z0-9]+)(?:-(?P<day>\d{6})(?:-(?P<strike>\d+(?:\.\d+)?)-(?P<right>[CP]))?)?)?"
)
_PERPETUAL_TERMS: Final = {
    # (venue, base): (lot in coin, tick); USDT-settled, multiplier one coin
    ("binance", "BTC"): ("0.001", "0.1"),
    ("binance", "ETH"): ("0.001", "0.01"),
    ("bybit", "BTC"): ("0.001", "0.1"),
    ("bybit", "ETH"): ("0.01", "0.01"),
}
_SPOT_TERMS: Final = {
    ("binance", "BTC"): ("0.00001", "0.01"),
    ("binance", "ETH"): ("0.0001", "0.01"),
    ("bybit", "BTC"): ("0.000001", "0.01"),
    ("bybit", "ETH"): ("0.00001", "0.01"),
}


class UnifiedSymbol(msgspec.Struct, frozen=True):
    """The parts of a unified symbol. `settle` is empty for spot, `day` None for perpetuals, `strike` 0 but for
    options."""

    base: str
    quote: str
    settle: str = ""
    day: date | None = None
    strike: Decimal = Decimal(0)
    is_call: bool = False

    @property
    def kind(self) -> Kind:
        if not self.settle:
            return Kind.SPOT
        if self.day is None:
            return Kind.PERPETUAL
        return Kind.OPTION if self.strike else Kind.FUTURE

    def text(self) -> str:
        pair = f"{self.base}/{self.quote}"
        if not self.settle:
            return pair
        pair = f"{pair}:{self.settle}"
        if self.day is None:
            return pair
        dated = f"{pair}-{self.day:%y%m%d}"
        return f"{dated}-{strike_text(self.strike)}-{'C' if self.is_call else 'P'}" if self.strike else dated


def parse(symbol: str) -> UnifiedSymbol:
    """Raises InputError for a malformed symbol or an impossible date.

    >>> parse("BTC/USD:BTC-260327-70000-C").strike
    Decimal('70000')
    """
    match = _SYMBOL.fullmatch(symbol)
    if match is None:
        raise InputError(
            f"instrument={symbol} is no unified symbol; expected the form BTC/USDT:USDT, BTC/USD:BTC or "
            "BTC/USD:BTC-260327-70000-C."
        )
    day = None
    if match["day"]:
        digits = match["day"]
        try:
            day = date(2000 + int(digits[:2]), int(digits[2:4]), int(digits[4:]))
        except ValueError:
            raise InputError(f"instrument={symbol}: {digits} is no date; expected yymmdd like 260327.") from None
    return UnifiedSymbol(
        base=match["base"],
        quote=match["quote"],
        settle=match["settle"] or "",
        day=day,
        strike=Decimal(match["strike"] or 0),
        is_call=match["right"] == "C",
    )


def symbol_of(instrument: Instrument) -> str:
    """The unified symbol of a coin instrument. Raises InputError for contracts that CCXT does not name."""
    base, _, paired = instrument.underlying.partition("_")
    if base not in COINS or instrument.kind is Kind.EQUITY:
        raise InputError(f"instrument={instrument.symbol} of {instrument.venue} has no unified symbol; coins only.")
    quote = paired or "USD"
    if instrument.kind is Kind.SPOT:
        return UnifiedSymbol(base=base, quote=quote).text()
    return UnifiedSymbol(
        base=base,
        quote=quote,
        settle=instrument.settle_currency,
        day=date_of(instrument.expiry_ns) if instrument.expiry_ns else None,
        strike=instrument.strike,
        is_call=instrument.is_call,
    ).text()


def instrument_of(symbol: str, venue: str) -> Instrument:
    """The venue's contract behind a unified symbol.

    Raises InputError when the venue does not list such a contract or no terms are known here.
    """
    unified = parse(symbol)
    if venue in (deribit.VENUE, okx.VENUE):
        own = _deribit_symbol(unified) if venue == deribit.VENUE else _okx_symbol(unified)
        instrument = deribit.parse(own) if venue == deribit.VENUE else okx.parse(own)
        if symbol_of(instrument) != symbol:
            raise InputError(f"instrument={symbol}: {venue} lists {own} as {symbol_of(instrument)}; use that.")
        return instrument
    terms = None
    if unified.quote == "USDT" and unified.settle in ("", "USDT"):
        terms = {Kind.PERPETUAL: _PERPETUAL_TERMS, Kind.SPOT: _SPOT_TERMS}.get(unified.kind, {}).get(
            (venue, unified.base)
        )
    if terms is None:
        raise InputError(
            f"instrument={symbol}: no terms known for venue={venue}; expected deribit or okx, or BTC and ETH "
            "against USDT on binance or bybit."
        )
    lot, tick = terms
    return Instrument(
        symbol=symbol,
        venue=venue,
        kind=unified.kind,
        underlying=f"{unified.base}_{unified.quote}",
        quote_currency=unified.quote,
        settle_currency=unified.quote,
        settlement=Settlement.LINEAR,
        multiplier=Decimal(1),
        lot=Decimal(lot),
        ticks=flat_ticks(tick),
        fee_schedule=f"{venue}.{'spot' if unified.kind is Kind.SPOT else 'perpetual'}",
    )


def _deribit_symbol(unified: UnifiedSymbol) -> str:
    inverse = unified.quote == "USD" and unified.settle == unified.base
    prefix = unified.base if inverse else f"{unified.base}_{unified.quote}"
    if unified.kind is Kind.SPOT:
        return prefix
    if unified.day is None:
        return f"{prefix}-PERPETUAL"
    dated = f"{prefix}-{deribit.date_text(unified.day)}"
    if unified.kind is Kind.FUTURE:
        return dated
    return f"{dated}-{strike_text(unified.strike).replace('.', 'd')}-{'C' if unified.is_call else 'P'}"


def _okx_symbol(unified: UnifiedSymbol) -> str:
    pair = f"{unified.base}-{unified.quote}"
    if unified.kind is Kind.SPOT:
        return pair
    if unified.day is None:
        return f"{pair}-SWAP"
    dated = f"{pair}-{unified.day:%y%m%d}"
    if unified.kind is Kind.FUTURE:
        return dated
    return f"{dated}-{strike_text(unified.strike)}-{'C' if unified.is_call else 'P'}"

"""OKX symbols and contract terms.

    BTC-USD-260327-70000-C   coin-settled option: 0.01 BTC (ETH 0.1) a contract, premium in coin
    BTC-USD-SWAP, BTC-USD-260327     inverse: 100 USD (ETH 10 USD) a contract
    BTC-USDT-SWAP, BTC-USDT-260327   linear: 0.01 BTC (ETH 0.1) a contract
    BTC-USDT                 spot

Source: OKX contract specifications (okx.com/help, options introduction and futures contracts). Options exist on
the coin-settled USD index only. The option tick grid is checked on recorded quotes by tests/instruments.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Final

from voldesk.core.errors import InputError
from voldesk.instruments.calendars import FRIDAY, date_of, expiry_instant_ns
from voldesk.instruments.notation import COIN_OPTION_TICKS, flat_ticks, strike_text
from voldesk.instruments.spec import Instrument, Kind, Settlement, TickScheme

VENUE: Final = "okx"

_SYMBOL: Final = re.compile(
    r"(?P<base>[A-Z0-9]+)-(?P<quote>USD|USDT|USDC)"
    r"(?:-(?P<swap>SWAP)|-(?P<day>\d{6})(?:-(?P<strike>\d+(?:\.\d+)?)-(?P<right>[CP]))?)?"
)
_COINS: Final = {
    # base: (option multiplier, inverse USD per contract, linear coin per contract, price tick)
    "BTC": ("0.01", "100", "0.01", "0.1"),
    "ETH": ("0.1", "10", "0.1", "0.01"),
}


def parse(symbol: str) -> Instrument:
    """The contract behind an OKX symbol.

    Raises InputError for a malformed symbol, an impossible date or a coin without known terms.

    >>> parse("BTC-USD-260327-70000-C").multiplier
    Decimal('0.01')
    """
    match = _SYMBOL.fullmatch(symbol)
    if match is None:
        raise InputError(
            f"instrument={symbol} is no OKX symbol; expected the form BTC-USD-260327-70000-C, BTC-USD-SWAP, "
            "BTC-USDT-260327 or BTC-USDT."
        )
    base, quote = match["base"], match["quote"]
    if base not in _COINS:
        raise InputError(f"instrument={symbol}: no built-in OKX terms for {base}; known are {', '.join(_COINS)}.")
    option_size, inverse_size, linear_size, tick = _COINS[base]
    inverse = quote == "USD"
    day = _expiry_date(match["day"], symbol) if match["day"] else None
    kind, multiplier, lot, ticks = Kind.SPOT, "1", "0.00000001", flat_ticks(tick)
    if match["strike"]:
        kind, multiplier, lot, ticks = Kind.OPTION, option_size, "1", COIN_OPTION_TICKS
    elif match["swap"] or day:
        kind = Kind.PERPETUAL if match["swap"] else Kind.FUTURE
        multiplier, lot = (inverse_size, "1") if inverse else (linear_size, "0.01")
    if (kind is Kind.OPTION and not inverse) or (kind is Kind.SPOT and inverse):
        raise InputError(f"instrument={symbol}: OKX lists options on {base}-USD and spot on {base}-USDT only.")
    instrument = _build(symbol, kind, base, quote, multiplier, lot, ticks, day, match["strike"], match["right"])
    canonical = symbol_of(instrument)
    if canonical != symbol:
        raise InputError(f"instrument={symbol} is not how OKX writes it; expected {canonical}.")
    return instrument


def _expiry_date(digits: str, symbol: str) -> date:
    try:
        return date(2000 + int(digits[:2]), int(digits[2:4]), int(digits[4:]))
    except ValueError:
        raise InputError(f"instrument={symbol}: {digits} is no date; expected yymmdd like 260327.") from None


def _build(
    symbol: str,
    kind: Kind,
    base: str,
    quote: str,
    multiplier: str,
    lot: str,
    ticks: TickScheme,
    day: date | None,
    strike: str | None,
    right: str | None,
) -> Instrument:
    inverse = quote == "USD"
    names = {Kind.OPTION: "option", Kind.FUTURE: "future", Kind.PERPETUAL: "perpetual", Kind.SPOT: "spot"}
    daily = "daily_" if kind is Kind.OPTION and day is not None and day.weekday() != FRIDAY else ""
    return Instrument(
        symbol=symbol,
        venue=VENUE,
        kind=kind,
        underlying=base if inverse else f"{base}_{quote}",
        quote_currency=base if kind is Kind.OPTION else quote,
        settle_currency=base if inverse else quote,
        settlement=Settlement.INVERSE if inverse else Settlement.LINEAR,
        multiplier=Decimal(multiplier),
        lot=Decimal(lot),
        ticks=ticks,
        fee_schedule=f"{VENUE}.{daily}{names[kind]}",
        expiry_ns=expiry_instant_ns(VENUE, day) if day else 0,
        strike=Decimal(strike) if strike else Decimal(0),
        is_call=right == "C",
    )


def symbol_of(instrument: Instrument) -> str:
    """The symbol as OKX writes it, rebuilt from the terms: `symbol_of(parse(s)) == s`."""
    base, _, quote = instrument.underlying.partition("_")
    pair = f"{base}-{quote or 'USD'}"
    if instrument.kind is Kind.SPOT:
        return pair
    if instrument.kind is Kind.PERPETUAL:
        return f"{pair}-SWAP"
    dated = f"{pair}-{date_of(instrument.expiry_ns):%y%m%d}"
    if instrument.kind is Kind.FUTURE:
        return dated
    return f"{dated}-{strike_text(instrument.strike)}-{'C' if instrument.is_call else 'P'}"

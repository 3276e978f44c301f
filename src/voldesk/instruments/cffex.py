"""CFFEX index futures and options.

    IF2101, IH, IC, IM         futures: 300 CNY (IF, IH) and 200 CNY (IC, IM) a point
    IO2601-C-4000, HO, MO      European cash options on CSI 300, SSE 50, CSI 1000: 100 CNY a point

Tick 0.2 points, lot 1. Last trading day is the third Friday, postponed over public holidays; 15:00 Shanghai.
Source: CFFEX contract tables (IF, IH, IC, IM futures; IO, HO, MO options). The last trading days of 317 recorded
contracts are checked by tests/instruments.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Final

from voldesk.core.errors import InputError
from voldesk.instruments.calendars import (
    CFFEX_VENUE,
    SHANGHAI,
    cffex_expiry_date,
    date_of,
    expiry_instant_ns,
    third_friday,
)
from voldesk.instruments.notation import flat_ticks, strike_text
from voldesk.instruments.spec import Instrument, Kind, Settlement

VENUE: Final = CFFEX_VENUE

_FUTURES: Final = {"IF": ("CSI300", "300"), "IH": ("SSE50", "300"), "IC": ("CSI500", "200"), "IM": ("CSI1000", "200")}
_OPTIONS: Final = {"IO": ("CSI300", "100"), "HO": ("SSE50", "100"), "MO": ("CSI1000", "100")}
_SYMBOL: Final = re.compile(r"(?P<root>[A-Z]{2})(?P<year>\d{2})(?P<month>\d{2})(?:-(?P<right>[CP])-(?P<strike>\d+))?")
_TICKS: Final = flat_ticks("0.2")


def parse(symbol: str, last_trading_day: date | None = None) -> Instrument:
    """The contract behind a CFFEX symbol. `last_trading_day` is needed only where the mainland holidays of the
    expiry month have not been published yet.

    Raises InputError for a malformed symbol, an unknown product, or a month beyond the known holidays.

    >>> parse("IO2601-C-4000").multiplier
    Decimal('100')
    """
    match = _SYMBOL.fullmatch(symbol)
    if match is None or not 1 <= int(match["month"]) <= 12:
        raise InputError(f"instrument={symbol} is no CFFEX symbol; expected the form IF2101 or IO2601-C-4000.")
    root, strike = match["root"], match["strike"]
    product = (_OPTIONS if strike else _FUTURES).get(root)
    if product is None:
        known = ", ".join(_OPTIONS if strike else _FUTURES)
        raise InputError(
            f"instrument={symbol}: {root} is no CFFEX index {'option' if strike else 'future'}; known are {known}."
        )
    index, multiplier = product
    day = last_trading_day or cffex_expiry_date(2000 + int(match["year"]), int(match["month"]))
    instrument = Instrument(
        symbol=symbol,
        venue=VENUE,
        kind=Kind.OPTION if strike else Kind.FUTURE,
        underlying=index,
        quote_currency="CNY",
        settle_currency="CNY",
        settlement=Settlement.LINEAR,
        multiplier=Decimal(multiplier),
        lot=Decimal(1),
        ticks=_TICKS,
        fee_schedule=f"{VENUE}.option" if strike else f"{VENUE}.future",
        expiry_ns=expiry_instant_ns(VENUE, day),
        strike=Decimal(strike) if strike else Decimal(0),
        is_call=match["right"] == "C",
    )
    canonical = symbol_of(instrument)
    if canonical != symbol:
        raise InputError(f"instrument={symbol} is not how CFFEX writes it; expected {canonical}.")
    return instrument


def symbol_of(instrument: Instrument) -> str:
    """The symbol as CFFEX writes it, rebuilt from the terms: `symbol_of(parse(s)) == s`."""
    table = _OPTIONS if instrument.is_option else _FUTURES
    root = next(code for code, (index, _) in table.items() if index == instrument.underlying)
    day = date_of(instrument.expiry_ns, SHANGHAI)
    # A contract month keeps its name when holidays push the expiry past its end; none has so far.
    assert day >= third_friday(day.year, day.month), f"{instrument.symbol} expires before its third Friday"
    month = f"{root}{day:%y%m}"
    if not instrument.is_option:
        return month
    return f"{month}-{'C' if instrument.is_call else 'P'}-{strike_text(instrument.strike)}"

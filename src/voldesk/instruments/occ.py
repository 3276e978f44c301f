"""US options by OCC symbol, and the shares under them.

    MSTR260619C00400000           compact: root, yymmdd, C or P, strike x 1000 in eight digits
    "MSTR  260619C00400000"       the 21 characters of the OCC option symbology (root padded to six)
    MSTR                          the share itself

Stocks and funds: American, 100 shares delivered, trading and expiry end at the New York close. Index roots:
European, cash; SPX, NDX, RUT and VIX are AM-settled (the opening prices of the expiry day, so the instant is 09:30
and the last trade is the day before), SPXW, NDXP, RUTW, VIXW and XSP PM-settled at the close.
Source: OCC option symbology initiative (2010), Cboe product specifications. Tick grids: Cboe index options 0.05
below 3.00 and 0.10 above, penny programme 0.01 and 0.05, SPY QQQ IWM and XSP 0.01 throughout.
"""

from __future__ import annotations

import re
from datetime import date, time
from decimal import Decimal
from typing import Final

from voldesk.core.errors import InputError
from voldesk.instruments.calendars import NEW_YORK, US_VENUE, date_of, expiry_instant_ns, instant_ns
from voldesk.instruments.notation import flat_ticks, stepped_ticks
from voldesk.instruments.spec import Delivery, Exercise, Instrument, Kind, Settlement

VENUE: Final = US_VENUE

_OPTION: Final = re.compile(r"(?P<root>[A-Z]{1,5}) *(?P<date>\d{6})(?P<right>[CP])(?P<strike>\d{8})")
_SHARE: Final = re.compile(r"[A-Z]{1,5}(?:\.[A-Z])?")
_INDEX_ROOTS: Final = {
    # root: (index, AM-settled)
    "SPX": ("SPX", True),
    "SPXW": ("SPX", False),
    "XSP": ("XSP", False),
    "NDX": ("NDX", True),
    "NDXP": ("NDX", False),
    "RUT": ("RUT", True),
    "RUTW": ("RUT", False),
    "VIX": ("VIX", True),
    "VIXW": ("VIX", False),
}
_INDICES: Final = frozenset(index for index, _ in _INDEX_ROOTS.values())
_CENT_ROOTS: Final = frozenset({"SPY", "QQQ", "IWM", "XSP"})
_CENT: Final = flat_ticks("0.01")
_PENNY_PROGRAMME: Final = stepped_ticks("0.01", "3", "0.05")
_INDEX_TICKS: Final = stepped_ticks("0.05", "3", "0.10")
_AM_SETTLEMENT: Final = time(9, 30)


def parse(symbol: str) -> Instrument:
    """The option behind an OCC symbol (compact or 21 characters), or the share behind a ticker.

    Raises InputError for a malformed symbol, an impossible date, or an index where a share was meant.

    >>> parse("MSTR260619C00400000").strike
    Decimal('400')
    """
    match = _OPTION.fullmatch(symbol)
    if match is None:
        if _SHARE.fullmatch(symbol):
            return equity(symbol)
        raise InputError(
            f"instrument={symbol!r} is no OCC symbol; expected root yymmdd C/P and strike x 1000 in eight digits, "
            "like MSTR260619C00400000 (adjusted roots such as MSTR1 are not supported)."
        )
    if " " in symbol and len(symbol) != 21:
        raise InputError(f"instrument={symbol!r} has {len(symbol)} characters; padded OCC symbols have 21.")
    digits = match["date"]
    try:
        day = date(2000 + int(digits[:2]), int(digits[2:4]), int(digits[4:]))
    except ValueError:
        raise InputError(f"instrument={symbol!r}: {digits} is no date; expected yymmdd like 260619.") from None
    strike = Decimal(match["strike"]) / 1000
    if strike == 0:
        raise InputError(f"instrument={symbol!r} has strike 0; expected strike x 1000 in eight digits.")
    return _option(match["root"], day, match["right"] == "C", strike)


def _option(root: str, day: date, is_call: bool, strike: Decimal) -> Instrument:
    index, morning = _INDEX_ROOTS.get(root, ("", False))
    ticks = _CENT if root in _CENT_ROOTS else _INDEX_TICKS if index else _PENNY_PROGRAMME
    return Instrument(
        symbol=f"{root}{day:%y%m%d}{'C' if is_call else 'P'}{int(strike * 1000):08d}",
        venue=VENUE,
        kind=Kind.OPTION,
        underlying=index or root,
        quote_currency="USD",
        settle_currency="USD",
        settlement=Settlement.LINEAR,
        multiplier=Decimal(100),
        lot=Decimal(1),
        ticks=ticks,
        fee_schedule="us.index_option" if index else "us.option",
        expiry_ns=instant_ns(day, _AM_SETTLEMENT, NEW_YORK) if morning else expiry_instant_ns(VENUE, day),
        strike=strike,
        is_call=is_call,
        exercise=Exercise.EUROPEAN if index else Exercise.AMERICAN,
        delivery=Delivery.CASH if index else Delivery.PHYSICAL,
    )


def equity(ticker: str) -> Instrument:
    """One share; lots are shares, ticks cents."""
    if ticker in _INDICES or ticker in _INDEX_ROOTS:
        raise InputError(f"instrument={ticker} is an index and cannot be held; expected a share or fund such as SPY.")
    if not _SHARE.fullmatch(ticker):
        raise InputError(f"instrument={ticker!r} is no US ticker; expected up to five capitals like MSTR or BRK.B.")
    return Instrument(
        symbol=ticker,
        venue=VENUE,
        kind=Kind.EQUITY,
        underlying=ticker,
        quote_currency="USD",
        settle_currency="USD",
        settlement=Settlement.LINEAR,
        multiplier=Decimal(1),
        lot=Decimal(1),
        ticks=_CENT,
        fee_schedule="us.equity",
    )


def symbol_of(instrument: Instrument) -> str:
    """The compact symbol, rebuilt from the terms; for index options the root follows from the settlement hour."""
    if instrument.kind is Kind.EQUITY:
        return instrument.underlying
    day = date_of(instrument.expiry_ns, NEW_YORK)
    right = "C" if instrument.is_call else "P"
    return f"{_root_of(instrument, day)}{day:%y%m%d}{right}{int(instrument.strike * 1000):08d}"


def _root_of(instrument: Instrument, day: date) -> str:
    morning = instrument.expiry_ns == instant_ns(day, _AM_SETTLEMENT, NEW_YORK)
    for root, (index, am_settled) in _INDEX_ROOTS.items():
        if index == instrument.underlying and am_settled == morning:
            return root
    return instrument.underlying


def padded_symbol_of(instrument: Instrument) -> str:
    """The 21-character OCC form: root padded with spaces to six."""
    compact = symbol_of(instrument)
    return f"{compact[:-15]:<6}{compact[-15:]}"


def is_am_settled(instrument: Instrument) -> bool:
    """True where the payoff is fixed by the opening of the expiry day: the last trade is the day before."""
    day = date_of(instrument.expiry_ns, NEW_YORK)
    return instrument.is_option and instrument.expiry_ns == instant_ns(day, _AM_SETTLEMENT, NEW_YORK)

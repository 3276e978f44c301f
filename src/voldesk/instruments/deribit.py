"""Deribit symbols and contract terms.

    BTC-27MAR26-70000-C     inverse option: 1 coin, premium, fee and settlement in coin
    BTC-PERPETUAL, BTC-27MAR26   inverse perpetual and future: 10 USD (ETH 1 USD) a contract, settled in coin
    XRP_USDC-26JUN26-0d55-C, BTC_USDC-PERPETUAL   linear, USDC; `d` stands for the decimal point of a strike

Source: public/get_instruments answers of 2021-07-22 and 2026-05-22 (checked by tests/instruments) and the
contract pages of support.deribit.com. `parse` gives the terms of 2026; terms change over the years (option tick
0.0005 and future tick 0.5 in 2021), so whoever has the venue's own instrument list uses `from_api`; it also knows
what has no built-in terms here (spot, linear futures, other coins). The linear ticks and lots are of mid-2026 from
quotes and contract pages, not from an instrument answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final, NamedTuple

from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_MS
from voldesk.instruments.calendars import FRIDAY, date_of, expiry_instant_ns, is_last_friday
from voldesk.instruments.notation import COIN_OPTION_TICKS, flat_ticks, stepped_ticks, strike_text
from voldesk.instruments.spec import Instrument, Kind, Settlement, TickScheme

VENUE: Final = "deribit"

_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_SYMBOL: Final = re.compile(
    r"(?P<base>[A-Z0-9]+)(?:_(?P<quote>USDC|USDT))?"
    r"-(?:(?P<perpetual>PERPETUAL)|(?P<day>\d{1,2})(?P<month>[A-Z]{3})(?P<year>\d{2})"
    r"(?:-(?P<strike>\d+(?:d\d+)?)-(?P<right>[CP]))?)"
)


class _Terms(NamedTuple):
    """multiplier per contract, lot in contracts, ticks."""

    multiplier: str
    lot: str
    ticks: TickScheme


_INVERSE_OPTION: Final = {
    "BTC": _Terms("1", "0.1", COIN_OPTION_TICKS),
    "ETH": _Terms("1", "1", COIN_OPTION_TICKS),
}
_INVERSE_PERPETUAL: Final = {
    "BTC": _Terms("10", "1", flat_ticks("0.5")),
    "ETH": _Terms("1", "1", flat_ticks("0.05")),
}
_INVERSE_FUTURE: Final = {
    "BTC": _Terms("10", "1", flat_ticks("2.5")),
    "ETH": _Terms("1", "1", flat_ticks("0.05")),
}
_LINEAR_OPTION: Final = {
    "BTC": _Terms("1", "0.01", stepped_ticks("5", "1000", "20")),
    "ETH": _Terms("1", "0.1", flat_ticks("0.2")),
    "SOL": _Terms("10", "1", flat_ticks("0.1")),
    "XRP": _Terms("1000", "1", flat_ticks("0.0001")),
}
_LINEAR_PERPETUAL: Final = {
    "BTC": _Terms("0.0001", "1", flat_ticks("0.1")),
    "ETH": _Terms("0.001", "1", flat_ticks("0.01")),
    "SOL": _Terms("0.1", "1", flat_ticks("0.01")),
    "XRP": _Terms("1", "1", flat_ticks("0.00001")),
}


def _terms(table: Mapping[str, _Terms], base: str, symbol: str) -> _Terms:
    try:
        return table[base]
    except KeyError:
        raise InputError(
            f"instrument={symbol}: no built-in Deribit terms for {base} (known here: {', '.join(table) or 'none'}); "
            "read them from the venue's instrument list."
        ) from None


def underlying_of(base: str, quote: str | None) -> str:
    """The index that settles it: BTC for coin-settled contracts, BTC_USDC for linear ones (another index)."""
    return base if quote is None else f"{base}_{quote}"


def parse(symbol: str) -> Instrument:
    """The contract behind a Deribit symbol, with the terms of 2026.

    Raises InputError for a malformed symbol, a combo, an impossible date or a currency without known terms.

    >>> parse("BTC-27MAR26-70000-C").strike
    Decimal('70000')
    """
    match = _SYMBOL.fullmatch(symbol)
    if match is None:
        raise InputError(
            f"instrument={symbol} is no Deribit symbol; expected the form BTC-27MAR26-70000-C, BTC-27MAR26, "
            "BTC-PERPETUAL or XRP_USDC-26JUN26-0d55-C."
        )
    base, quote = match["base"], match["quote"]
    linear = quote is not None
    if match["perpetual"]:
        kind, terms = Kind.PERPETUAL, _terms(_LINEAR_PERPETUAL if linear else _INVERSE_PERPETUAL, base, symbol)
    elif match["strike"]:
        kind, terms = Kind.OPTION, _terms(_LINEAR_OPTION if linear else _INVERSE_OPTION, base, symbol)
    else:
        kind, terms = Kind.FUTURE, _terms({} if linear else _INVERSE_FUTURE, base, symbol)
    day = _expiry_date(match, symbol) if match["day"] else None
    instrument = _build(
        symbol=symbol,
        kind=kind,
        base=base,
        quote=quote,
        multiplier=Decimal(terms.multiplier),
        lot=Decimal(terms.lot),
        ticks=terms.ticks,
        expiry_ns=expiry_instant_ns(VENUE, day) if day else 0,
        strike=Decimal(match["strike"].replace("d", ".")) if match["strike"] else Decimal(0),
        is_call=match["right"] == "C",
    )
    canonical = symbol_of(instrument)
    if canonical != symbol:
        raise InputError(f"instrument={symbol} is not how Deribit writes it; expected {canonical}.")
    return instrument


def _expiry_date(match: re.Match[str], symbol: str) -> date:
    try:
        return date(2000 + int(match["year"]), _MONTHS.index(match["month"]) + 1, int(match["day"]))
    except ValueError:
        written = match["day"] + match["month"] + match["year"]
        raise InputError(f"instrument={symbol}: {written} is no date; expected the form 27MAR26.") from None


def _build(
    *,
    symbol: str,
    kind: Kind,
    base: str,
    quote: str | None,
    multiplier: Decimal,
    lot: Decimal,
    ticks: TickScheme,
    expiry_ns: int,
    strike: Decimal,
    is_call: bool,
) -> Instrument:
    inverse_quote = base if kind is Kind.OPTION else "USD"
    return Instrument(
        symbol=symbol,
        venue=VENUE,
        kind=kind,
        underlying=underlying_of(base, quote),
        quote_currency=quote or inverse_quote,
        settle_currency=quote or base,
        settlement=Settlement.LINEAR if quote else Settlement.INVERSE,
        multiplier=multiplier,
        lot=lot,
        ticks=ticks,
        fee_schedule=_fee_schedule(kind, base, quote, expiry_ns),
        expiry_ns=expiry_ns,
        strike=strike,
        is_call=is_call,
    )


def _fee_schedule(kind: Kind, base: str, quote: str | None, expiry_ns: int) -> str:
    day = date_of(expiry_ns)
    if kind is Kind.OPTION:
        # Options that do not expire on a Friday are dailies: no delivery fee.
        daily = "daily_" if day.weekday() != FRIDAY else ""
        altcoin = "altcoin_" if quote and base not in ("BTC", "ETH") else ""
        return f"{VENUE}.{daily}{altcoin}option"
    if kind is Kind.FUTURE:
        return f"{VENUE}.future" if is_last_friday(day) else f"{VENUE}.weekly_future"
    return f"{VENUE}.perpetual" if kind is Kind.PERPETUAL else f"{VENUE}.spot"


def date_text(day: date) -> str:
    """An expiry date as Deribit writes it: 5JUN26, without a leading zero."""
    return f"{day.day}{_MONTHS[day.month - 1]}{day.year % 100:02d}"


def symbol_of(instrument: Instrument) -> str:
    """The symbol as Deribit writes it, rebuilt from the terms: `symbol_of(parse(s)) == s`."""
    prefix = instrument.underlying
    if instrument.kind is Kind.SPOT:
        return prefix
    if instrument.kind is Kind.PERPETUAL:
        return f"{prefix}-PERPETUAL"
    dated = f"{prefix}-{date_text(date_of(instrument.expiry_ns))}"
    if instrument.kind is Kind.FUTURE:
        return dated
    return f"{dated}-{strike_text(instrument.strike).replace('.', 'd')}-{'C' if instrument.is_call else 'P'}"


def from_api(fields: Mapping[str, Any]) -> Instrument:
    """The contract as one entry of public/get_instruments describes it (its `result` list).

    Raises InputError for a combo or an entry without the fields needed.
    """
    try:
        symbol, api_kind = str(fields["instrument_name"]), str(fields["kind"])
        size, minimum = Decimal(str(fields["contract_size"])), Decimal(str(fields["min_trade_amount"]))
        tick = Decimal(str(fields["tick_size"]))
        expires_ms = int(fields.get("expiration_timestamp", 0))
        strike = Decimal(str(fields["strike"])) if api_kind == "option" else Decimal(0)
        is_call = api_kind == "option" and fields["option_type"] == "call"
    except KeyError as error:
        raise InputError(f"instrument entry lacks {error.args[0]}; expected an entry of get_instruments.") from None
    perpetual = fields.get("settlement_period") == "perpetual"
    kinds = {"option": Kind.OPTION, "spot": Kind.SPOT, "future": Kind.PERPETUAL if perpetual else Kind.FUTURE}
    if api_kind not in kinds:
        raise InputError(f"instrument={symbol} is a {api_kind}; expected an option, a future or spot. Trade its legs.")
    prefix = symbol.split("-")[0]
    base, _, quote = prefix.partition("_")
    steps = [(Decimal(0), tick)]
    steps += [
        (Decimal(str(s["above_price"])), Decimal(str(s["tick_size"]))) for s in fields.get("tick_size_steps") or ()
    ]
    return _build(
        symbol=symbol,
        kind=kinds[api_kind],
        base=base,
        quote=quote or None,
        multiplier=size,
        lot=minimum / size,
        ticks=TickScheme(base=min(step for _, step in steps), steps=tuple(steps)),
        expiry_ns=0 if perpetual or api_kind == "spot" else expires_ms * NS_PER_MS,
        strike=strike,
        is_call=is_call,
    )

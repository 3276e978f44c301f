"""When contracts expire and when venues trade.

Expiry instants: Deribit and OKX 08:00 UTC; US options at the New York close (16:00, 13:00 on early closes);
CFFEX 15:00 Shanghai (contract tables IF/IH/IC/IM and IO/MO/HO: third Friday of the month, postponed over
public holidays). Trading sessions come from `exchange_calendars`, imported only when asked for because it
loads pandas; its ranges are pinned here, since its own default range depends on today's date.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_DAY, NS_PER_SECOND

NEW_YORK: Final = ZoneInfo("America/New_York")
SHANGHAI: Final = ZoneInfo("Asia/Shanghai")
FRIDAY: Final = 4

CRYPTO_VENUES: Final = frozenset({"deribit", "okx", "binance", "bybit"})
US_VENUE: Final = "us"
CFFEX_VENUE: Final = "cffex"

_CALENDAR_OF_VENUE: Final = {US_VENUE: "XNYS", CFFEX_VENUE: "XSHG"}
_FIRST_DAY: Final = "2005-01-04"
_LAST_DAY: Final = "2049-12-31"
_EPOCH: Final = date(1970, 1, 1)


class TradingWindow(NamedTuple):
    """One uninterrupted stretch of trading, [open_ns, close_ns). A lunch break splits a day into two."""

    open_ns: int
    close_ns: int


def instant_ns(day: date, clock: time, zone: Any = UTC) -> int:
    """Nanoseconds since 1970 UTC of a wall-clock time in a zone, daylight saving included."""
    return round(datetime.combine(day, clock, zone).timestamp()) * NS_PER_SECOND


def date_of(ts_ns: int, zone: Any = UTC) -> date:
    """The calendar day of an instant in a zone."""
    return datetime.fromtimestamp(ts_ns // NS_PER_SECOND, zone).date()


def expiry_instant_ns(venue: str, day: date) -> int:
    """The exact instant at which a contract of `venue` with this expiry date expires.

    Raises InputError for a venue without a rule.
    """
    if venue in CRYPTO_VENUES:
        return instant_ns(day, time(8))
    if venue == US_VENUE:
        return instant_ns(day, us_close(day), NEW_YORK)
    if venue == CFFEX_VENUE:
        return instant_ns(day, time(15), SHANGHAI)
    raise InputError(f"venue={venue} has no expiry rule; expected one of {', '.join(_venues())}.")


def _venues() -> list[str]:
    return sorted(CRYPTO_VENUES | set(_CALENDAR_OF_VENUE))


def is_last_friday(day: date) -> bool:
    """The monthly and quarterly expiries of the crypto venues; other Fridays are weeklies, other days dailies."""
    return day.weekday() == FRIDAY and (day + timedelta(days=7)).month != day.month


def third_friday(year: int, month: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(FRIDAY - first.weekday()) % 7 + 14)


def us_close(day: date) -> time:
    """New York closing time: 13:00 on the day after Thanksgiving, on 24 December and 3 July when both that day
    and the holiday after it fall on weekdays, else 16:00 (NYSE rule 7.2 and holiday notices since 2013)."""
    if (day.month, day.day) in ((12, 24), (7, 3)) and day.weekday() < FRIDAY:
        return time(13)
    if day == thanksgiving(day.year) + timedelta(days=1):
        return time(13)
    return time(16)


def thanksgiving(year: int) -> date:
    """Thanksgiving: the fourth Thursday of November."""
    first = date(year, 11, 1)
    return first + timedelta(days=(3 - first.weekday()) % 7 + 21)


@lru_cache(maxsize=512)
def cffex_expiry_date(year: int, month: int) -> date:
    """Last trading day of a CFFEX index future or option: third Friday, or the next trading day after holidays.

    Raises InputError beyond the published holidays: mainland holidays are announced year by year, so a guess
    could be days wrong.
    """
    calendar = _calendar("XSHG")
    day = third_friday(year, month)
    first, last = calendar.first_session.date(), calendar.last_session.date()
    if not first <= day <= last:
        raise InputError(
            f"expiry={year}-{month:02d} lies outside the known mainland holidays ({first} to {last}); "
            "pass the last trading day yourself or update exchange_calendars."
        )
    rolled: date = calendar.date_to_session(day.isoformat(), direction="next").date()
    return rolled


@lru_cache(maxsize=8)
def _calendar(name: str) -> Any:
    import exchange_calendars
    from exchange_calendars.exchange_calendar_xshg import XSHGExchangeCalendar

    last = XSHGExchangeCalendar.bound_max().date().isoformat() if name == "XSHG" else _LAST_DAY
    return exchange_calendars.get_calendar(name, start=_FIRST_DAY, end=last)


@lru_cache(maxsize=4096)
def _windows(venue: str, day: date) -> tuple[TradingWindow, ...]:
    if venue in CRYPTO_VENUES:
        start = (day - _EPOCH).days * NS_PER_DAY
        return (TradingWindow(start, start + NS_PER_DAY),)
    name = _CALENDAR_OF_VENUE.get(venue)
    if name is None:
        raise InputError(f"venue={venue} has no trading calendar; expected one of {', '.join(_venues())}.")
    calendar = _calendar(name)
    first, last = calendar.first_session.date(), calendar.last_session.date()
    if not first <= day <= last:
        raise InputError(f"date={day} lies outside the {name} calendar ({first} to {last}); update exchange_calendars.")
    session = day.isoformat()
    if not calendar.is_session(session):
        return ()
    opened, closed = calendar.session_open(session).value, calendar.session_close(session).value
    if not calendar.session_has_break(session):
        return (TradingWindow(opened, closed),)
    return (
        TradingWindow(opened, calendar.session_break_start(session).value),
        TradingWindow(calendar.session_break_end(session).value, closed),
    )


def sessions(venue: str, first: date, last: date) -> tuple[TradingWindow, ...]:
    """Trading windows of the venue's local days first..last, both included, in order.

    Crypto venues: one window per UTC day without a gap. CFFEX: 09:30-11:30 and 13:00-15:00 Shanghai (its hours
    since 2016). Raises InputError outside the known calendar.
    """
    found: list[TradingWindow] = []
    day = first
    while day <= last:
        found.extend(_windows(venue, day))
        day += timedelta(days=1)
    return tuple(found)


def is_open(venue: str, ts_ns: int) -> bool:
    """Whether the venue trades at this instant; a window contains its opening and not its closing instant."""
    zone = {US_VENUE: NEW_YORK, CFFEX_VENUE: SHANGHAI}.get(venue, UTC)
    return any(window.open_ns <= ts_ns < window.close_ns for window in _windows(venue, date_of(ts_ns, zone)))

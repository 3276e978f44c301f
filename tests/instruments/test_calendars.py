from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta

import exchange_calendars
import pytest

from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR
from voldesk.instruments.calendars import (
    NEW_YORK,
    SHANGHAI,
    date_of,
    expiry_instant_ns,
    instant_ns,
    is_last_friday,
    is_open,
    sessions,
    third_friday,
    us_close,
)


def ns(*clock: int) -> int:
    return int(datetime(*clock, tzinfo=UTC).timestamp()) * 1_000_000_000  # type: ignore[misc]


def test_each_venue_expires_at_its_own_hour() -> None:
    day = date(2026, 1, 16)
    assert expiry_instant_ns("deribit", day) == ns(2026, 1, 16, 8)
    assert expiry_instant_ns("okx", day) == ns(2026, 1, 16, 8)
    assert expiry_instant_ns("us", day) == ns(2026, 1, 16, 21)
    assert expiry_instant_ns("cffex", day) == ns(2026, 1, 16, 7)
    with pytest.raises(InputError, match="venue=lse"):
        expiry_instant_ns("lse", day)


def test_daylight_saving_moves_the_new_york_close() -> None:
    assert expiry_instant_ns("us", date(2026, 3, 6)) == ns(2026, 3, 6, 21)
    assert expiry_instant_ns("us", date(2026, 3, 13)) == ns(2026, 3, 13, 20)


def test_closing_times_agree_with_exchange_calendars_on_every_session_from_2014_to_2036() -> None:
    calendar = exchange_calendars.get_calendar("XNYS", start="2014-01-01", end="2036-12-31")
    # 2018-12-05 (mourning for a president) was a full holiday, so no session disagrees by accident.
    differing = [
        session.date()
        for session, close in calendar.closes.items()
        if instant_ns(session.date(), us_close(session.date()), NEW_YORK) != close.value
    ]
    assert differing == []
    assert len(calendar.closes) > 5_700


def test_last_fridays_and_third_fridays_are_fridays_of_their_month() -> None:
    for month in range(1, 13):
        days = [date(2026, 1, 1) + timedelta(n) for n in range(365)]
        last = [day for day in days if day.month == month and is_last_friday(day)]
        assert len(last) == 1
        assert (last[0] + timedelta(7)).month != month
        assert third_friday(2026, month).weekday() == 4
        assert 15 <= third_friday(2026, month).day <= 21


def test_coins_trade_around_the_clock() -> None:
    windows = sessions("deribit", date(2026, 1, 3), date(2026, 1, 4))
    assert len(windows) == 2
    assert windows[0].close_ns == windows[1].open_ns == windows[0].open_ns + NS_PER_DAY
    assert is_open("okx", ns(2026, 12, 25, 3, 30))


def test_new_york_is_closed_at_night_on_weekends_and_holidays() -> None:
    assert is_open("us", ns(2026, 1, 5, 14, 30))
    assert not is_open("us", ns(2026, 1, 5, 14, 29))
    assert not is_open("us", ns(2026, 1, 5, 21))
    assert not is_open("us", ns(2026, 1, 3, 16))
    assert not is_open("us", ns(2026, 1, 1, 16))
    assert not is_open("us", ns(2025, 11, 28, 18, 30))


def test_cffex_has_a_lunch_break_and_follows_mainland_holidays() -> None:
    morning, afternoon = sessions("cffex", date(2026, 1, 5), date(2026, 1, 5))
    at = lambda clock: instant_ns(date(2026, 1, 5), clock, SHANGHAI)  # noqa: E731
    assert morning == (at(time(9, 30)), at(time(11, 30)))
    assert afternoon == (at(time(13)), at(time(15)))
    assert not is_open("cffex", at(time(12)))
    assert sessions("cffex", date(2026, 2, 16), date(2026, 2, 20)) == ()


def test_a_venue_without_a_calendar_and_a_day_beyond_it_are_refused() -> None:
    with pytest.raises(InputError, match="venue=lse"):
        is_open("lse", 0)
    with pytest.raises(InputError, match="outside"):
        sessions("cffex", date(2048, 1, 1), date(2048, 1, 1))


def test_naming_contracts_does_not_load_the_slow_calendar_library() -> None:
    program = (
        "import sys; from voldesk.instruments import fees, structures, symbology; "
        "symbology.parse('us', 'MSTR260619C00400000'); symbology.parse('deribit', 'BTC-27MAR26'); "
        "sys.exit(any(name in sys.modules for name in ('exchange_calendars', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_local_day_of_an_instant_depends_on_the_zone() -> None:
    instant = ns(2026, 1, 5, 23)
    assert date_of(instant) == date(2026, 1, 5)
    assert date_of(instant, SHANGHAI) == date(2026, 1, 6)
    assert date_of(instant + 2 * NS_PER_HOUR, NEW_YORK) == date(2026, 1, 5)

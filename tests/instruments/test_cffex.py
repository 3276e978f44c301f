"""CFFEX symbols; last trading days against five years of recorded contracts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from voldesk.core.errors import InputError
from voldesk.instruments.calendars import SHANGHAI, date_of
from voldesk.instruments.cffex import parse, symbol_of
from voldesk.instruments.spec import Exercise, Kind


def utc(ts_ns: int) -> datetime:
    return datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC)


def test_an_index_option_pays_a_hundred_yuan_a_point_on_the_third_friday_at_three() -> None:
    option = parse("IO2601-C-4000")
    assert (option.kind, option.strike, option.is_call) == (Kind.OPTION, 4000, True)
    assert (option.multiplier, option.settle_currency, option.underlying) == (100, "CNY", "CSI300")
    assert option.exercise is Exercise.EUROPEAN
    assert utc(option.expiry_ns) == datetime(2026, 1, 16, 7, tzinfo=UTC)


@pytest.mark.parametrize(("root", "multiplier"), [("IF", 300), ("IH", 300), ("IC", 200), ("IM", 200)])
def test_futures_have_their_multipliers(root: str, multiplier: int) -> None:
    future = parse(f"{root}2301")
    assert (future.kind, future.multiplier) == (Kind.FUTURE, multiplier)


def test_a_third_friday_on_a_holiday_moves_to_the_next_trading_day() -> None:
    # 2026-06-19 is the Dragon Boat Festival, 2018-02-16 lies in the Spring Festival week.
    assert date_of(parse("IO2606-P-4000").expiry_ns, SHANGHAI) == date(2026, 6, 22)
    assert date_of(parse("IF1802").expiry_ns, SHANGHAI) == date(2018, 2, 22)


def test_a_month_beyond_the_published_holidays_needs_its_last_trading_day() -> None:
    with pytest.raises(InputError, match="holidays"):
        parse("IF4903")
    future = parse("IF4903", date(2049, 3, 19))
    assert utc(future.expiry_ns) == datetime(2049, 3, 19, 7, tzinfo=UTC)
    assert symbol_of(future) == "IF4903"


@pytest.mark.parametrize("symbol", ["IF2101", "IM2509", "IO2601-C-4000", "HO2601-P-2800", "MO2603-C-7000"])
def test_symbols_round_trip(symbol: str) -> None:
    assert symbol_of(parse(symbol)) == symbol


@pytest.mark.parametrize("symbol", ["IO2601", "IF2601-C-4000", "IF2613", "IF261", "io2601-C-4000", "IO2601-C-04000"])
def test_what_cffex_does_not_list_is_refused(symbol: str) -> None:
    with pytest.raises(InputError, match=symbol):
        parse(symbol)


@pytest.mark.data
def test_the_last_day_of_every_recorded_future_is_its_expiry(recorded: Callable[[str], Path]) -> None:
    path = recorded("cffex_futures_daily/index_futures_basis_2018-10_2026-02.parquet")
    table = pq.read_table(path, columns=["contract", "date"])
    last: dict[str, date] = {}
    for row in table.to_pylist():
        last[row["contract"]] = max(last.get(row["contract"], row["date"]), row["date"])
    end = max(last.values())
    finished = {contract: day for contract, day in last.items() if day < end}
    wrong = {
        contract: (day, date_of(parse(contract).expiry_ns, SHANGHAI))
        for contract, day in finished.items()
        if date_of(parse(contract).expiry_ns, SHANGHAI) != day
    }
    assert len(finished) > 290
    assert wrong == {}

"""Deribit symbols and terms, against the venue's own instrument answers."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.instruments.calendars import FRIDAY
from voldesk.instruments.deribit import date_text, from_api, parse, symbol_of
from voldesk.instruments.fees import SCHEDULES
from voldesk.instruments.spec import Exercise, Instrument, Kind, Settlement

NS_PER_MS = 1_000_000


def test_an_inverse_option_has_multiplier_one_and_settles_in_coin_at_eight_utc() -> None:
    option = parse("BTC-27MAR26-70000-C")
    assert option.kind is Kind.OPTION
    assert option.is_call
    assert option.strike == 70000
    assert (option.multiplier, option.lot) == (1, Decimal("0.1"))
    assert option.settlement is Settlement.INVERSE
    assert (option.underlying, option.quote_currency, option.settle_currency) == ("BTC", "BTC", "BTC")
    assert option.exercise is Exercise.EUROPEAN
    assert option.expiry_ns == 1_774_598_400_000 * NS_PER_MS  # 2026-03-27 08:00 UTC
    assert parse("ETH-27MAR26-2500-P").lot == 1


def test_option_ticks_are_fine_below_five_thousandths_and_coarse_from_there() -> None:
    ticks = parse("BTC-27MAR26-70000-C").ticks
    assert [ticks.is_valid(n) for n in (1, 49, 50, 51, 54, 55, 60)] == [True, True, True, False, False, True, True]


def test_perpetuals_and_futures_are_contracts_of_ten_dollars() -> None:
    perpetual, future = parse("BTC-PERPETUAL"), parse("BTC-27MAR26")
    assert (perpetual.multiplier, perpetual.lot, perpetual.ticks.base) == (10, 1, Decimal("0.5"))
    assert (future.multiplier, future.lot, future.ticks.base) == (10, 1, Decimal("2.5"))
    assert perpetual.expiry_ns == 0
    assert perpetual.is_reciprocal
    assert future.is_reciprocal
    assert parse("ETH-PERPETUAL").multiplier == 1


def test_linear_contracts_settle_in_usdc_and_d_is_a_decimal_point() -> None:
    option = parse("XRP_USDC-26JUN26-0d55-C")
    assert option.strike == Decimal("0.55")
    assert (option.underlying, option.quote_currency, option.settle_currency) == ("XRP_USDC", "USDC", "USDC")
    assert option.settlement is Settlement.LINEAR
    assert option.multiplier == 1000  # insights.deribit.com, USDC-settled altcoin options: SOL 10, XRP 1,000
    assert parse("SOL_USDC-26JUN26-90-P").multiplier == 10
    assert parse("BTC_USDC-PERPETUAL").settlement is Settlement.LINEAR


def test_options_that_expire_off_fridays_and_futures_off_month_ends_have_their_own_fees() -> None:
    assert parse("BTC-27MAR26-70000-C").fee_schedule == "deribit.option"
    assert parse("BTC-24MAR26-70000-C").fee_schedule == "deribit.daily_option"
    assert parse("BTC-27MAR26").fee_schedule == "deribit.future"
    assert parse("BTC-20MAR26").fee_schedule == "deribit.weekly_future"


@given(
    base=st.sampled_from(["BTC", "ETH", "BTC_USDC", "ETH_USDC", "SOL_USDC", "XRP_USDC"]),
    days=st.integers(0, 365 * 9),
    strike=st.one_of(st.integers(1, 500_000), st.decimals("0.001", "999", places=3)),
    right=st.sampled_from("CP"),
)
def test_every_option_symbol_round_trips(base: str, days: int, strike: int | Decimal, right: str) -> None:
    exact = Decimal(strike)
    written = str(int(exact)) if exact == int(exact) else format(exact.normalize(), "f").replace(".", "d")
    symbol = f"{base}-{date_text(date(2021, 1, 1) + timedelta(days))}-{written}-{right}"
    option = parse(symbol)
    assert symbol_of(option) == symbol
    assert option.strike == exact


@pytest.mark.parametrize(
    "symbol",
    [
        "",
        "BTC",
        "BTC-27MAR26-70000",
        "BTC-27MAR26-70000-X",
        "BTC-27XXX26-70000-C",
        "BTC-31FEB26-70000-C",
        "BTC-05JUN26",
        "BTC-27MAR26-070000-C",
        "BTC-STRG-19MAY26-74000_79000",
        "DOGE-27MAR26-70000-C",
        "BTC_USDC-27MAR26",
        "btc-perpetual",
    ],
)
def test_a_symbol_that_deribit_would_not_write_is_refused_in_one_line(symbol: str) -> None:
    with pytest.raises(InputError) as refused:
        parse(symbol)
    assert "\n" not in str(refused.value)
    assert symbol in str(refused.value)


def test_a_combo_from_the_api_is_refused() -> None:
    entry = {
        "instrument_name": "BTC-STRD-29MAY26-77000",
        "kind": "option_combo",
        "contract_size": 1.0,
        "min_trade_amount": 0.1,
        "tick_size": 0.0001,
    }
    with pytest.raises(InputError, match="option_combo"):
        from_api(entry)
    with pytest.raises(InputError, match="lacks contract_size"):
        from_api({"instrument_name": "BTC-PERPETUAL", "kind": "future"})


def entries(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt") as lines:
        if path.suffixes[-2] == ".jsonl":
            for line in lines:
                message = json.loads(line)
                yield from message.get("msg", message)["result"]
        else:
            yield from json.load(lines)["result"]


@pytest.mark.data
@pytest.mark.parametrize("kind", ["option", "future"])
def test_built_in_terms_equal_the_venues_answer_of_may_2026(recorded: Callable[[str], Path], kind: str) -> None:
    listed = list(entries(recorded(f"deribit_raw_api/2026-05_deribit_get_instruments_btc_{kind}.json.gz")))
    assert len(listed) >= 4
    for entry in listed:
        assert parse(entry["instrument_name"]) == from_api(entry)
        assert_fees_match(parse(entry["instrument_name"]), entry)


def assert_fees_match(instrument: Instrument, entry: dict[str, Any]) -> None:
    period = SCHEDULES[instrument.fee_schedule].at(0)
    assert period.maker == Fraction(str(entry["maker_commission"]))
    assert period.taker == Fraction(str(entry["taker_commission"]))


@pytest.mark.data
def test_the_2021_listing_agrees_in_everything_but_the_ticks_and_lots_that_changed(
    recorded: Callable[[str], Path],
) -> None:
    checked = 0
    for entry in entries(recorded("deribit_raw_api/http_get_instruments_2021-07-22.jsonl.gz")):
        told = from_api(entry)
        if told.settlement is not Settlement.INVERSE or told.underlying == "SOL":
            continue
        ours = parse(entry["instrument_name"])
        assert (ours.multiplier, ours.lot, ours.strike, ours.is_call) == (
            told.multiplier,
            told.lot,
            told.strike,
            told.is_call,
        )
        assert (ours.expiry_ns, ours.kind, ours.fee_schedule) == (told.expiry_ns, told.kind, told.fee_schedule)
        assert_fees_match(ours, entry)
        checked += 1
    assert checked == 824


@pytest.mark.data
def test_period_names_of_2026_follow_from_the_expiry_weekday(recorded: Callable[[str], Path]) -> None:
    columns = ["instrument_name", "settlement_period", "expiration_timestamp", "best_bid_price", "best_ask_price"]
    rows = pq.read_table(
        recorded("deribit_ticker_full/btc_options_2026-01-14_2026-01-23.parquet"), columns=columns
    ).to_pylist()
    assert len(rows) == 6628
    for row in rows:
        option = parse(row["instrument_name"])
        assert option.expiry_ns == int(row["expiration_timestamp"].timestamp()) * 1_000_000_000
        assert (row["settlement_period"] == "day") == (option.fee_schedule == "deribit.daily_option")
        assert (row["settlement_period"] == "day") == (row["expiration_timestamp"].weekday() != FRIDAY)
        for price in (row["best_bid_price"], row["best_ask_price"]):
            assert price is None or option.ticks.is_valid(option.ticks.nearest(price))

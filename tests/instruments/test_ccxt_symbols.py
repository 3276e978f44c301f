from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.instruments import deribit, occ, okx
from voldesk.instruments.ccxt_symbols import instrument_of, parse, symbol_of
from voldesk.instruments.spec import Kind

PAIRS = [
    ("BTC/USD:BTC-260327-70000-C", "deribit", "BTC-27MAR26-70000-C"),
    ("BTC/USD:BTC-260605-70000-P", "deribit", "BTC-5JUN26-70000-P"),
    ("BTC/USD:BTC-260327", "deribit", "BTC-27MAR26"),
    ("BTC/USD:BTC", "deribit", "BTC-PERPETUAL"),
    ("ETH/USDC:USDC", "deribit", "ETH_USDC-PERPETUAL"),
    ("XRP/USDC:USDC-260626-0.55-C", "deribit", "XRP_USDC-26JUN26-0d55-C"),
    ("BTC/USD:BTC-260327-70000-C", "okx", "BTC-USD-260327-70000-C"),
    ("ETH/USD:ETH", "okx", "ETH-USD-SWAP"),
    ("BTC/USDT:USDT", "okx", "BTC-USDT-SWAP"),
    ("BTC/USDT:USDT-260327", "okx", "BTC-USDT-260327"),
    ("BTC/USDT", "okx", "BTC-USDT"),
]


@pytest.mark.parametrize(("unified", "venue", "own"), PAIRS)
def test_unified_and_own_symbols_name_the_same_contract_in_both_directions(unified: str, venue: str, own: str) -> None:
    contract = instrument_of(unified, venue)
    assert contract.symbol == own
    assert contract == {"deribit": deribit, "okx": okx}[venue].parse(own)
    assert symbol_of(contract) == unified


@given(
    base=st.sampled_from(["BTC", "ETH", "SOL"]),
    quote=st.sampled_from([("USD", None), ("USDT", "USDT"), ("USDC", "USDC")]),
    days=st.none() | st.integers(0, 3000),
    strike=st.none() | st.decimals("0.01", "500000", places=2),
    right=st.sampled_from("CP"),
)
def test_every_unified_symbol_survives_parsing(
    base: str, quote: tuple[str, str | None], days: int | None, strike: Decimal | None, right: str
) -> None:
    text = f"{base}/{quote[0]}:{quote[1] or base}"
    if days is not None:
        text += f"-{date(2021, 1, 1) + timedelta(days):%y%m%d}"
        if strike is not None:
            written = str(int(strike)) if strike == int(strike) else format(strike.normalize(), "f")
            text += f"-{written}-{right}"
    assert parse(text).text() == text


def test_binance_and_bybit_perpetuals_have_terms_of_their_own() -> None:
    perpetual = instrument_of("BTC/USDT:USDT", "binance")
    assert (perpetual.kind, perpetual.multiplier, perpetual.lot) == (Kind.PERPETUAL, 1, Decimal("0.001"))
    assert symbol_of(perpetual) == "BTC/USDT:USDT"
    assert instrument_of("BTC/USDT", "bybit").kind is Kind.SPOT


@pytest.mark.parametrize(
    ("symbol", "venue"),
    [
        ("BTC-PERPETUAL", "deribit"),
        ("BTC/USD:ETH", "okx"),
        ("BTC/USDC:BTC", "deribit"),
        ("BTC/USD:BTC-261301", "okx"),
        ("DOGE/USDT:USDT", "binance"),
        ("BTC/USDT:USDT", "kraken"),
    ],
)
def test_what_a_venue_does_not_list_is_refused(symbol: str, venue: str) -> None:
    with pytest.raises(InputError, match="instrument="):
        instrument_of(symbol, venue)


def test_a_share_has_no_unified_symbol() -> None:
    with pytest.raises(InputError, match="MSTR"):
        symbol_of(occ.parse("MSTR"))

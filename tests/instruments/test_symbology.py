from __future__ import annotations

import pytest

from voldesk.core.errors import InputError
from voldesk.instruments.symbology import SYMBOLOGIES, parse

EXAMPLES = [
    ("deribit", "BTC-27MAR26-70000-C"),
    ("okx", "BTC-USD-260327-70000-C"),
    ("us", "MSTR260619C00400000"),
    ("cffex", "IO2601-C-4000"),
]


@pytest.mark.parametrize(("venue", "symbol"), EXAMPLES)
def test_each_venue_reads_its_own_symbols(venue: str, symbol: str) -> None:
    contract = parse(venue, symbol)
    assert (contract.venue, contract.symbol) == (venue, symbol)
    assert contract.is_option


@pytest.mark.parametrize(("venue", "symbol"), EXAMPLES)
def test_no_other_venue_reads_them(venue: str, symbol: str) -> None:
    for other in SYMBOLOGIES:
        if other != venue:
            with pytest.raises(InputError, match=symbol):
                parse(other, symbol)


def test_an_unknown_venue_is_refused() -> None:
    with pytest.raises(InputError, match="venue=kraken"):
        parse("kraken", "BTC-PERPETUAL")

"""From a venue's symbol to its contract, whichever the venue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from voldesk.core.errors import InputError
from voldesk.instruments import cffex, deribit, occ, okx
from voldesk.instruments.spec import Instrument

SYMBOLOGIES: Final[Mapping[str, Callable[[str], Instrument]]] = MappingProxyType(
    {deribit.VENUE: deribit.parse, okx.VENUE: okx.parse, occ.VENUE: occ.parse, cffex.VENUE: cffex.parse}
)


def parse(venue: str, symbol: str) -> Instrument:
    """The contract that `venue` calls `symbol`. Raises InputError for an unknown venue or symbol.

    >>> parse("okx", "BTC-USD-260327-70000-C").settle_currency
    'BTC'
    """
    if venue not in SYMBOLOGIES:
        raise InputError(f"venue={venue} has no symbology; expected one of {', '.join(SYMBOLOGIES)}.")
    return SYMBOLOGIES[venue](symbol)

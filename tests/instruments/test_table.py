from __future__ import annotations

import msgspec
import numpy as np
import pytest

from voldesk.core.errors import InputError
from voldesk.instruments import deribit, okx
from voldesk.instruments.spec import Kind, Settlement
from voldesk.instruments.table import InstrumentTable

CALL = deribit.parse("BTC-27MAR26-70000-C")
PERPETUAL = deribit.parse("BTC-PERPETUAL")
ETH_PUT = deribit.parse("ETH-27MAR26-2500-P")


def test_ids_count_up_in_order_of_listing_and_stay() -> None:
    table = InstrumentTable([CALL, PERPETUAL])
    assert table.add(ETH_PUT) == 2
    assert [table.id_of(i.symbol) for i in table] == [0, 1, 2]
    assert table.instruments() == (CALL, PERPETUAL, ETH_PUT)
    assert len(table) == 3
    assert table[1] is PERPETUAL
    assert "BTC-PERPETUAL" in table


def test_listing_twice_gives_the_same_id_and_other_terms_are_refused() -> None:
    table = InstrumentTable([CALL, PERPETUAL])
    assert table.add(deribit.parse(CALL.symbol)) == 0
    assert len(table) == 2
    with pytest.raises(InputError, match="other terms"):
        table.add(msgspec.structs.replace(CALL, multiplier=PERPETUAL.multiplier))


def test_an_unlisted_symbol_is_named() -> None:
    with pytest.raises(InputError, match="BTC-27MAR26-1-C is not listed"):
        InstrumentTable([CALL]).id_of("BTC-27MAR26-1-C")


def test_columns_follow_the_terms_of_each_id() -> None:
    okx_call = okx.parse("BTC-USD-260327-70000-C")
    table = InstrumentTable([CALL, PERPETUAL, ETH_PUT, okx_call])
    np.testing.assert_array_equal(table.strike, [70_000, 0, 2_500, 70_000])
    np.testing.assert_array_equal(table.expiry_ns, [CALL.expiry_ns, 0, CALL.expiry_ns, CALL.expiry_ns])
    np.testing.assert_array_equal(table.is_call, [True, False, False, True])
    np.testing.assert_array_equal(table.kind, [Kind.OPTION, Kind.PERPETUAL, Kind.OPTION, Kind.OPTION])
    np.testing.assert_array_equal(table.settlement, [Settlement.INVERSE] * 4)
    np.testing.assert_array_equal(table.multiplier, [1, 10, 1, 0.01])
    np.testing.assert_array_equal(table.contract_size, [0.1, 10, 1, 0.01])
    np.testing.assert_array_equal(table.tick, [0.0001, 0.5, 0.0001, 0.0001])
    np.testing.assert_array_equal(table.underlying, [0, 0, 1, 0])
    assert table.underlyings == ["BTC", "ETH"]


def test_columns_grow_with_the_table() -> None:
    table = InstrumentTable([CALL])
    assert table.strike.shape == (1,)
    table.add(ETH_PUT)
    assert table.strike.shape == (2,)
    assert InstrumentTable().strike.shape == (0,)

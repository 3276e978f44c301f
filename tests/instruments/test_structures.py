from __future__ import annotations

from decimal import Decimal

import pytest

from voldesk.core.errors import InputError
from voldesk.core.orders import Leg
from voldesk.instruments import deribit, okx
from voldesk.instruments.structures import (
    STRUCTURES,
    butterfly,
    calendar,
    diagonal,
    iron_condor,
    legs,
    straddle,
    strangle,
    vertical,
)
from voldesk.instruments.table import InstrumentTable

STRIKES = (50_000, 60_000, 70_000, 80_000, 90_000, 100_000)


def listing() -> InstrumentTable:
    table = InstrumentTable([deribit.parse("BTC-PERPETUAL")])
    for day in ("27MAR26", "26JUN26"):
        for strike in STRIKES:
            for right in "PC":
                table.add(deribit.parse(f"BTC-{day}-{strike}-{right}"))
    return table


TABLE = listing()
NEAR = deribit.parse("BTC-27MAR26").expiry_ns
FAR = deribit.parse("BTC-26JUN26").expiry_ns


def named(found: tuple[Leg, ...], table: InstrumentTable = TABLE) -> list[tuple[int, str]]:
    return [(leg.lots, table[leg.instrument].symbol) for leg in found]


def test_a_straddle_is_call_and_put_of_one_strike() -> None:
    found = straddle(TABLE, "BTC", NEAR, 70_000, 5)
    assert named(found) == [(5, "BTC-27MAR26-70000-C"), (5, "BTC-27MAR26-70000-P")]
    assert all(leg.limit_ticks is None for leg in found)


def test_selling_reverses_every_leg() -> None:
    bought = iron_condor(TABLE, "BTC", NEAR, STRIKES[:4], 3)
    sold = iron_condor(TABLE, "BTC", NEAR, STRIKES[:4], -3)
    assert [(-leg.lots, leg.instrument) for leg in bought] == [(leg.lots, leg.instrument) for leg in sold]


def test_each_structure_has_the_legs_that_its_name_says() -> None:
    assert named(strangle(TABLE, "BTC", NEAR, (60_000, 80_000), 1)) == [
        (1, "BTC-27MAR26-60000-P"),
        (1, "BTC-27MAR26-80000-C"),
    ]
    assert named(vertical(TABLE, "BTC", NEAR, (60_000, 80_000), 2, is_call=False)) == [
        (2, "BTC-27MAR26-60000-P"),
        (-2, "BTC-27MAR26-80000-P"),
    ]
    assert named(butterfly(TABLE, "BTC", NEAR, (60_000, 70_000, 80_000), 1, is_call=True)) == [
        (1, "BTC-27MAR26-60000-C"),
        (-2, "BTC-27MAR26-70000-C"),
        (1, "BTC-27MAR26-80000-C"),
    ]
    assert named(iron_condor(TABLE, "BTC", NEAR, (50_000, 60_000, 80_000, 90_000), 1)) == [
        (1, "BTC-27MAR26-50000-P"),
        (-1, "BTC-27MAR26-60000-P"),
        (-1, "BTC-27MAR26-80000-C"),
        (1, "BTC-27MAR26-90000-C"),
    ]
    assert named(calendar(TABLE, "BTC", (NEAR, FAR), 70_000, 1, is_call=True)) == [
        (-1, "BTC-27MAR26-70000-C"),
        (1, "BTC-26JUN26-70000-C"),
    ]
    assert named(diagonal(TABLE, "BTC", (NEAR, FAR), (80_000, 70_000), 1, is_call=True)) == [
        (-1, "BTC-27MAR26-80000-C"),
        (1, "BTC-26JUN26-70000-C"),
    ]


def test_the_seven_names_are_registered() -> None:
    names = {"straddle", "strangle", "vertical", "butterfly", "iron_condor", "calendar", "diagonal"}
    assert set(STRUCTURES) == names


def test_strikes_may_be_decimals_floats_or_integers() -> None:
    wanted = straddle(TABLE, "BTC", NEAR, 70_000, 1)
    assert straddle(TABLE, "BTC", NEAR, Decimal("70000"), 1) == wanted
    assert straddle(TABLE, "BTC", NEAR, 70_000.0, 1) == wanted


def test_an_unknown_strike_is_refused_with_the_nearest_ones() -> None:
    with pytest.raises(InputError, match=r"strike=71000 call .* nearest are 60000, 70000, 80000, 90000\."):
        straddle(TABLE, "BTC", NEAR, 71_000, 1)


def test_an_unknown_expiry_is_refused_with_the_nearest_ones() -> None:
    with pytest.raises(InputError, match="2026-03-27T08:00:00Z, 2026-06-26T08:00:00Z"):
        straddle(TABLE, "BTC", NEAR + 1, 70_000, 1)


@pytest.mark.parametrize(
    ("name", "underlying", "expiries", "strikes", "lots", "told"),
    [
        ("condor", "BTC", (NEAR,), (70_000,), 1, "structure=condor"),
        ("straddle", "ETH", (NEAR,), (70_000,), 1, "underlying=ETH"),
        ("straddle", "BTC", (NEAR,), (70_000, 80_000), 1, "expected 1 and 1"),
        ("strangle", "BTC", (NEAR,), (80_000, 60_000), 1, "do not rise"),
        ("calendar", "BTC", (FAR, NEAR), (70_000,), 1, "near one first"),
        ("straddle", "BTC", (NEAR,), (70_000,), 0, "0 lots"),
    ],
)
def test_a_structure_that_cannot_be_meant_is_refused(
    name: str, underlying: str, expiries: tuple[int, ...], strikes: tuple[int, ...], lots: int, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        legs(name, TABLE, underlying, expiries, strikes, lots)


def test_the_same_option_at_two_venues_needs_the_venue() -> None:
    table = listing()
    for right in "PC":
        table.add(okx.parse(f"BTC-USD-260327-70000-{right}"))
    with pytest.raises(InputError, match="name the venue"):
        straddle(table, "BTC", NEAR, 70_000, 1)
    assert named(straddle(table, "BTC", NEAR, 70_000, 1, venue="okx"), table) == [
        (1, "BTC-USD-260327-70000-C"),
        (1, "BTC-USD-260327-70000-P"),
    ]

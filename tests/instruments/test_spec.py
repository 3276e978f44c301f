"""Tick grids and the value of a position, over every grid and kind that the symbologies produce."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.instruments import cffex, deribit, occ, okx
from voldesk.instruments.notation import flat_ticks, stepped_ticks, strike_text
from voldesk.instruments.spec import Kind, Settlement, TickScheme

OPTION = deribit.parse("BTC-27MAR26-70000-C")
PERPETUAL = deribit.parse("BTC-PERPETUAL")
SCHEMES = [
    OPTION.ticks,
    deribit.parse("BTC_USDC-27MAR26-70000-C").ticks,
    deribit.parse("BTC-27MAR26").ticks,
    okx.parse("BTC-USDT-SWAP").ticks,
    occ.parse("MSTR260619C00400000").ticks,
    occ.parse("SPX260821C06000000").ticks,
    cffex.parse("IO2601-C-4000").ticks,
]
grids = st.sampled_from(SCHEMES)
prices_in_ticks = st.integers(0, 1_000_000)


def on_grid(scheme: TickScheme, ticks: int) -> bool:
    """The definition, in exact decimals: a multiple of the tick that holds from the highest threshold reached."""
    price = scheme.base * ticks
    tick = [step for start, step in scheme.steps if price >= start][-1]
    return price % tick == 0


@given(grids, prices_in_ticks)
def test_down_and_up_bracket_a_price_with_valid_ones(scheme: TickScheme, ticks: int) -> None:
    low, high = scheme.down(ticks), scheme.up(ticks)
    assert low <= ticks <= high
    assert scheme.is_valid(low)
    assert scheme.is_valid(high)
    assert on_grid(scheme, low)
    assert on_grid(scheme, high)


@given(grids, prices_in_ticks)
def test_rounding_a_valid_price_leaves_it(scheme: TickScheme, ticks: int) -> None:
    for valid in (scheme.down(ticks), scheme.up(ticks)):
        assert scheme.down(valid) == valid == scheme.up(valid)
    assert scheme.is_valid(ticks) == on_grid(scheme, ticks)


@given(grids, prices_in_ticks)
def test_no_valid_price_lies_strictly_between_down_and_up(scheme: TickScheme, ticks: int) -> None:
    between = range(scheme.down(ticks) + 1, scheme.up(ticks))
    assert not any(on_grid(scheme, n) for n in between if n != ticks)


@given(grids, prices_in_ticks)
def test_a_float_price_finds_its_ticks_again(scheme: TickScheme, ticks: int) -> None:
    assert scheme.nearest(float(scheme.price(ticks))) == ticks


def test_the_value_of_an_inverse_option_is_contracts_times_coin_price() -> None:
    assert OPTION.value(25, Decimal("0.0455")) == Fraction("0.11375")
    assert OPTION.value_at_ticks(-25, 455) == -Fraction("0.11375")


@given(st.integers(-10_000, 10_000), st.fractions(1, 200_000), st.fractions(1, 200_000))
def test_an_inverse_position_gains_its_notional_times_the_difference_of_reciprocals(
    lots: int, bought: Fraction, sold: Fraction
) -> None:
    gain = PERPETUAL.value(lots, sold) - PERPETUAL.value(lots, bought)
    assert gain == 10 * lots * (1 / bought - 1 / sold)


@given(
    st.sampled_from([OPTION, PERPETUAL, occ.parse("MSTR"), cffex.parse("IF2601")]),
    st.integers(-1000, 1000),
    st.integers(-1000, 1000),
    st.integers(1, 10_000),
)
def test_value_is_additive_in_lots(instrument: deribit.Instrument, one: int, other: int, ticks: int) -> None:
    total = instrument.value_at_ticks(one + other, ticks)
    assert total == instrument.value_at_ticks(one, ticks) + instrument.value_at_ticks(other, ticks)


def test_quanto_is_worth_linear_times_its_rate() -> None:
    linear = deribit.parse("BTC_USDC-27MAR26-70000-C")
    quanto = msgspec.structs.replace(linear, settlement=Settlement.QUANTO, quanto_rate=Decimal("0.002"))
    assert quanto.value(7, Decimal(500)) == linear.value(7, Decimal(500)) / 500


def test_an_inverse_contract_has_no_value_at_zero() -> None:
    with pytest.raises(InputError, match="BTC-PERPETUAL"):
        PERPETUAL.value(1, Fraction(0))


def test_only_options_spot_and_shares_pay_a_premium() -> None:
    assert OPTION.pays_premium
    assert occ.parse("MSTR").pays_premium
    assert not PERPETUAL.pays_premium
    assert not cffex.parse("IF2601").pays_premium
    assert PERPETUAL.kind is Kind.PERPETUAL
    assert not OPTION.is_reciprocal


def test_grids_and_strikes_are_written_exactly() -> None:
    assert flat_ticks("0.2").price(3) == Decimal("0.6")
    assert stepped_ticks("0.05", "3", "0.10").steps == ((Decimal(0), Decimal("0.05")), (Decimal(3), Decimal("0.10")))
    assert [strike_text(Decimal(s)) for s in ("70000", "7E+4", "0.550", "1.0")] == ["70000", "70000", "0.55", "1"]

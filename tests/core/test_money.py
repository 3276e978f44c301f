from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.core.money import COINS, exponent, round_half_even, to_decimal, to_float, to_text, to_units

currencies = st.sampled_from(["BTC", "ETH", "USD", "USDC", "CNY"])


def test_coins_count_in_hundred_millionths_and_cash_in_ten_thousandths() -> None:
    assert exponent("BTC") == 8
    assert {exponent(c) for c in COINS} == {8}
    assert {exponent(c) for c in ("USD", "USDC", "USDT", "CNY")} == {4}


@pytest.mark.parametrize(
    ("amount", "units"), [("0.000000005", 0), ("0.000000015", 2), ("-0.000000005", 0), ("-0.000000025", -2)]
)
def test_halves_round_to_even_on_both_sides_of_zero(amount: str, units: int) -> None:
    assert to_units(Decimal(amount), "BTC") == units


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**20))
def test_rounding_agrees_with_pythons_exact_fractions(numerator: int, denominator: int) -> None:
    assert round_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@given(st.fractions(), currencies)
def test_rounding_is_within_half_a_unit_and_odd(amount: Fraction, currency: str) -> None:
    units = to_units(amount, currency)
    assert abs(Fraction(units, 10 ** exponent(currency)) - amount) <= Fraction(1, 2 * 10 ** exponent(currency))
    assert to_units(-amount, currency) == -units


@given(st.integers(-(10**24), 10**24), currencies)
def test_units_survive_the_way_through_decimals_and_text(units: int, currency: str) -> None:
    assert to_units(to_decimal(units, currency), currency) == units
    assert to_units(Decimal(to_text(units, currency)), currency) == units


def test_text_shows_every_decimal_and_the_sign() -> None:
    assert to_text(-12_500, "BTC") == "-0.00012500"
    assert to_text(0, "USD") == "0.0000"
    assert to_text(1_234_567, "USDC") == "123.4567"


def test_a_float_is_refused_with_the_remedy() -> None:
    with pytest.raises(InputError, match=r"Decimal\('\.\.\.'\)"):
        to_units(0.1, "BTC")  # type: ignore[arg-type]


def test_the_float_is_for_analytics() -> None:
    assert to_float(150_000_000, "BTC") == 1.5
    assert to_float(-15_000, "USD") == -1.5

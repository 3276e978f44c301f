"""Durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voldesk.core.durations import format_duration, parse_duration
from voldesk.core.errors import InputError, mistyped
from voldesk.core.units import NS_PER_DAY, NS_PER_MS, NS_PER_SECOND


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1ns", 1),
        ("2us", 2_000),
        ("250ms", 250 * NS_PER_MS),
        ("0.1s", NS_PER_SECOND // 10),
        (" 30 s ", 30 * NS_PER_SECOND),
        ("1.5h", 5_400 * NS_PER_SECOND),
        ("14d", 14 * NS_PER_DAY),
        ("2w", 14 * NS_PER_DAY),
        ("0s", 0),
    ],
)
def test_a_number_with_a_unit_is_a_duration(text: str, ns: int) -> None:
    assert parse_duration(text) == ns


@given(st.integers(0, 36_524 * NS_PER_DAY))
def test_what_is_written_reads_back_exactly(ns: int) -> None:
    assert parse_duration(format_duration(ns)) == ns


@pytest.mark.parametrize("value", [5, 5.0, None, True, "", "5", "h", "-5m", "5 fortnights", "1e3s", "1h30m", "nan s"])
def test_anything_else_is_refused_with_the_value_and_an_example(value: object) -> None:
    with pytest.raises(InputError, match="is not a duration; expected a number with a unit") as caught:
        parse_duration(value)
    assert repr(value) in str(caught.value)


def test_more_than_a_century_is_refused() -> None:
    with pytest.raises(InputError, match="longer than a century"):
        parse_duration("5218w")


def test_what_msgspec_says_is_said_with_the_value() -> None:
    said = mistyped("Expected `int`, got `str` - at `$.lots[0]`", {"lots": ["x"]})
    assert said == "lots=['x']; expected int, got str"
    assert mistyped("Object missing required field `underlying`", {}) == "object missing required field underlying"

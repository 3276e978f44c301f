"""The requirement's figures (SPEC G1, G2) are in the presets, each with a unit."""

from __future__ import annotations

import pytest

from voldesk.core.errors import InputError
from voldesk.risk.limits import Code, Limits
from voldesk.risk.presets import PRESETS, preset


@pytest.mark.parametrize(
    ("name", "code", "kind", "underlying", "value", "unit"),
    [
        ("requirement", Code.DELTA, "portfolio", "", 1000, "beta"),
        ("requirement", Code.GAMMA, "portfolio", "", 100, "beta_per_1"),
        ("requirement", Code.VEGA, "portfolio", "", 5000, "usd_per_volpt"),
        ("requirement", Code.THETA, "portfolio", "", 1000, "usd_per_day"),
        ("requirement", Code.DELTA, "underlying", "MSTR", 500, "underlying"),
        ("requirement", Code.GAMMA, "underlying", "MSTR", 50, "underlying_per_1"),
        ("requirement", Code.VEGA, "underlying", "MSTR", 2500, "usd_per_volpt"),
        ("us_equity", Code.DELTA, "portfolio", "", 1000, "beta"),
        ("btc", Code.DELTA, "underlying", "BTC", 10, "underlying"),
        ("cffex", Code.DELTA, "position", "", 0.8, "contracts"),
        ("cffex", Code.GAMMA, "position", "", 0.1, "contracts_per_1pct"),
        ("cffex", Code.VEGA, "position", "", 50, "points_per_volpt"),
        ("cffex", Code.DELTA, "underlying", "IO", 5, "contracts"),
        ("cffex", Code.GAMMA, "underlying", "IO", 1, "contracts_per_1pct"),
        ("cffex", Code.VEGA, "underlying", "IO", 500, "points_per_volpt"),
        ("cffex", Code.POSITIONS, "portfolio", "", 5, "count"),
        ("cffex", Code.SINGLE_POSITION, "position", "", 0.10, "ratio"),
    ],
)
def test_a_figure_of_the_requirement(
    name: str, code: Code, kind: str, underlying: str, value: float, unit: str
) -> None:
    found = Limits(preset(name)).get(code, kind, underlying)
    assert found is not None
    assert (found.value, found.unit) == (value, unit)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_holds_the_capital_rules_and_names_no_limit_twice(name: str) -> None:
    limits = Limits(preset(name))
    values = {
        code: found.value
        for code in (Code.DRAWDOWN, Code.POSITION_RATIO_MAX, Code.FREE_CASH_FLOOR)
        if (found := limits.get(code, "portfolio")) is not None
    }
    assert values == {Code.DRAWDOWN: 0.20, Code.POSITION_RATIO_MAX: 0.80, Code.FREE_CASH_FLOOR: 0.10}
    keys = [(item.code, item.scope) for item in preset(name)]
    assert len(set(keys)) == len(keys)


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="btc, us_equity, requirement, cffex"):
        preset("crypto")

"""One lot of everything, in the units that limits are in; what cannot be known is NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from voldesk.core.compiled import plain
from voldesk.market.state import Field
from voldesk.portfolio.scenario import ScenarioGrid
from voldesk.risk import lots as lots_module
from voldesk.risk.limits import UNITS, Code
from voldesk.risk.lots import Betas, greek_columns, price_lots, unit_rules
from voldesk.risk.scenario_loss import Shocks, lot_scenarios

CALL, PUT, PERP, WING = 0, 1, 2, 3


@pytest.fixture
def priced(world: Any) -> tuple[Any, Any]:
    desk = world()
    return desk, price_lots(desk.valuer, np.arange(4, dtype=np.int64), "BTC")


def test_greeks_come_in_the_units_of_their_limits(priced: tuple[Any, Any]) -> None:
    desk, lots = priced
    spot = 100_000.0

    def column(code: Code, unit: str, betas: Betas | None = None) -> np.ndarray[Any, Any]:
        return greek_columns(lots, unit_rules([(code, unit)]), desk.view, betas or Betas())[0]

    delta = lots.risk.net_delta
    gamma = lots.risk.net_gamma_per_1pct
    # 0.1 BTC of an at-the-money call: Black delta 0.5195 less the premium of 0.0391, and the perpetual's 10 USD.
    assert delta[CALL] == pytest.approx(0.1 * (0.51953 - 0.03906), rel=1e-4)
    assert delta[PERP] == pytest.approx(10.0 / spot, rel=1e-12)
    assert column(Code.DELTA, "underlying") == pytest.approx(delta, rel=1e-12)
    assert column(Code.DELTA, "contracts") == pytest.approx(delta / [1.0, 1.0, 10.0, 1.0], rel=1e-12)
    assert column(Code.DELTA, "usd") == pytest.approx(delta * spot, rel=1e-12)
    assert column(Code.DELTA, "numeraire") == pytest.approx(delta, rel=1e-12)
    assert column(Code.GAMMA, "underlying_per_1pct") == pytest.approx(gamma, rel=1e-12)
    assert column(Code.GAMMA, "underlying_per_1") == pytest.approx(gamma / 1000.0, rel=1e-12)
    assert column(Code.GAMMA, "usd_per_1pct") == pytest.approx(gamma * spot, rel=1e-12)
    assert column(Code.VEGA, "usd_per_volpt") == pytest.approx(column(Code.VEGA, "numeraire_per_volpt") * spot)
    assert column(Code.THETA, "usd_per_day") == pytest.approx(column(Code.THETA, "numeraire_per_day") * spot)
    # Twice as volatile as the benchmark: delta counts double, gamma four times.
    double = Betas("BTC", {})._replace(benchmark="BTC")
    assert column(Code.DELTA, "beta", double) == pytest.approx(delta, rel=1e-12)
    assert np.isnan(column(Code.DELTA, "beta", Betas("SPY", {}))).all()


def test_what_has_no_vol_or_rate_is_unknown_and_not_zero(world: Any) -> None:
    desk = world()
    desk.view.live.values[CALL, [Field.MARK_IV, Field.MARK, Field.BID]] = np.nan
    lots = price_lots(desk.valuer, np.arange(4, dtype=np.int64), "BTC")
    in_usd = greek_columns(lots, unit_rules([(Code.DELTA, "usd")]), desk.view, Betas())
    assert np.isnan(in_usd).tolist() == [[True, False, False, False]]
    assert np.isnan(lot_scenarios(desk.valuer, lots, Shocks.of(ScenarioGrid()))).any(axis=0).tolist() == [
        True,
        False,
        False,
        False,
    ]
    foreign = price_lots(desk.valuer, np.arange(4, dtype=np.int64), "CNY")
    assert np.isnan(foreign.to_numeraire).all()


def test_the_kernels_agree_with_their_plain_twins_in_every_unit(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, ids = world(), np.arange(4, dtype=np.int64)
    units = [(code, unit) for code in (Code.DELTA, Code.GAMMA, Code.VEGA, Code.THETA) for unit in UNITS[code]]
    betas = Betas("BTC", {})
    compiled = price_lots(desk.valuer, ids, "BTC")
    fast = greek_columns(compiled, unit_rules(units), desk.view, betas)
    for name in ("_readings", "_columns"):
        monkeypatch.setattr(lots_module, name, plain(getattr(lots_module, name)))
    slow = price_lots(desk.valuer, ids, "BTC")
    for name in ("marks", "spot", "forward", "to_numeraire", "underlying", "kind", "numeraire_usd"):
        np.testing.assert_array_equal(getattr(compiled, name), getattr(slow, name))
    np.testing.assert_allclose(fast, greek_columns(slow, unit_rules(units), desk.view, betas), rtol=1e-14)
    assert np.isfinite(fast).all()

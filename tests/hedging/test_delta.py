import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.hedging.delta import HedgeTo, LotDelta, hedge_lots
from voldesk.instruments.spec import Instrument, Kind, Settlement, TickScheme

DELTA = st.floats(-50.0, 50.0)
BAND = st.floats(0.0, 5.0)
LOT = st.floats(1e-4, 2.0)


def _instrument(kind: Kind, settlement: Settlement, multiplier: str, lot: str = "1") -> Instrument:
    return Instrument(
        symbol="X",
        venue="test",
        kind=kind,
        underlying="BTC",
        quote_currency="USD",
        settle_currency="BTC" if settlement is Settlement.INVERSE else "USD",
        settlement=settlement,
        multiplier=Decimal(multiplier),
        lot=Decimal(lot),
        ticks=TickScheme(base=Decimal("0.5"), steps=((Decimal(0), Decimal("0.5")),)),
        fee_schedule="none",
    )


def test_a_lot_of_an_inverse_perpetual_is_worth_ten_dollars_of_coin() -> None:
    perpetual = _instrument(Kind.PERPETUAL, Settlement.INVERSE, "10")
    price = 60_000.0
    assert LotDelta(perpetual).at(price) == pytest.approx(10.0 / 60_000.0, rel=1e-15)
    # The derivative of its exact value, in coin, times the price: net delta in units of the underlying.
    up, down = perpetual.value(900, Decimal(60_001)), perpetual.value(900, Decimal(59_999))
    slope = float((up - down) / 2 * Fraction(60_000))
    assert 900 * LotDelta(perpetual).at(price) == pytest.approx(slope, rel=1e-8)


def test_a_lot_of_a_linear_contract_has_a_fixed_delta() -> None:
    future = _instrument(Kind.FUTURE, Settlement.LINEAR, "300", "1")
    assert LotDelta(future).at(5000.0) == 300.0
    assert LotDelta(_instrument(Kind.PERPETUAL, Settlement.LINEAR, "1", "0.001")).at(60_000.0) == 0.001
    assert math.isnan(LotDelta(future).at(math.nan))


def test_an_option_is_no_delta_hedge() -> None:
    with pytest.raises(InputError, match="name a perpetual"):
        LotDelta(_instrument(Kind.OPTION, Settlement.LINEAR, "1"))


@given(DELTA, DELTA, BAND, LOT)
def test_a_hedge_to_the_edge_lands_inside_the_band_without_passing_the_target(
    delta: float, target: float, width: float, lot: float
) -> None:
    lots = hedge_lots(delta, target, width, lot, HedgeTo.EDGE)
    before, after = delta - target, delta + lots * lot - target
    if abs(before) <= width:
        assert lots == 0
        return
    assert before * after >= -1e-7
    # Inside, unless one lot more would pass the target.
    assert abs(after) <= width + 1e-7 or abs(after) < lot + 1e-7
    # No more than needed: one lot fewer leaves it outside.
    if lots:
        assert abs(after) + lot >= width - 1e-7


@given(DELTA, DELTA, BAND, LOT)
def test_a_hedge_to_the_target_ends_less_than_a_lot_short_of_it(
    delta: float, target: float, width: float, lot: float
) -> None:
    lots = hedge_lots(delta, target, width, lot, HedgeTo.TARGET)
    after = delta + lots * lot - target
    if abs(delta - target) > width:
        assert abs(after) < lot + 1e-7
        assert (delta - target) * after >= -1e-7


@given(DELTA, BAND, LOT, st.sampled_from(HedgeTo))
def test_long_and_short_books_are_hedged_alike(delta: float, width: float, lot: float, to: HedgeTo) -> None:
    assert hedge_lots(-delta, 0.0, width, lot, to) == -hedge_lots(delta, 0.0, width, lot, to)


def test_whole_lots_survive_rounding_error() -> None:
    assert hedge_lots(0.3, 0.0, 0.0, 0.1, HedgeTo.TARGET) == -3
    assert hedge_lots(0.3, 0.0, 0.1, 0.1, HedgeTo.EDGE) == -2
    assert hedge_lots(0.25, 0.0, 0.10, 10 / 60_000) == -900


def test_an_unknown_delta_is_not_hedged() -> None:
    for bad in (math.nan, math.inf):
        assert hedge_lots(bad, 0.0, 0.1, 0.01) == 0
    assert hedge_lots(1.0, 0.0, 0.1, math.nan) == 0
    assert hedge_lots(1.0, 0.0, math.nan, 0.1) == 0

"""Scenario P&L against direct repricing, payoffs at expiry, and the plain twin."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_DAY, NS_PER_YEAR
from voldesk.instruments.spec import Instrument, Kind, Settlement, TickScheme
from voldesk.instruments.table import InstrumentTable
from voldesk.market.state import Field, MarketState
from voldesk.market.view import MarketView
from voldesk.portfolio import scenario
from voldesk.portfolio.scenario import ScenarioGrid, revalue
from voldesk.portfolio.valuation import RiskStatus, Valuer
from voldesk.pricing import black

NOW_NS = 1_780_000_000_000_000_000
TICKS = TickScheme(base=Decimal("0.0001"), steps=((Decimal(0), Decimal("0.0001")),))
CALL, PUT_LATER, USDC_CALL, PERP, FUTURE = range(5)
INDEX, FORWARD = 60_000.0, 60_500.0
GRID = ScenarioGrid(spot_shifts=(-0.2, 0.0, 0.3), vol_shifts=(-0.1, 0.0, 0.2), days_ahead=(0.0, 3.0, 10.0))


def desk() -> Valuer:
    def make(
        symbol: str, kind: Kind, settlement: Settlement, settle: str, size: str = "1", **terms: object
    ) -> Instrument:
        return Instrument(
            symbol=symbol, venue="deribit", kind=kind, underlying="BTC", quote_currency="USD", settle_currency=settle,
            settlement=settlement, multiplier=Decimal(size), lot=Decimal(1), ticks=TICKS, fee_schedule="deribit.option",
            **terms,
        )  # fmt: skip

    week, month = NOW_NS + 7 * NS_PER_DAY, NOW_NS + 30 * NS_PER_DAY
    strike = Decimal(60_000)
    table = InstrumentTable(
        [
            make("C", Kind.OPTION, Settlement.INVERSE, "BTC", strike=strike, is_call=True, expiry_ns=week),
            make("P", Kind.OPTION, Settlement.INVERSE, "BTC", strike=strike, is_call=False, expiry_ns=month),
            make("UC", Kind.OPTION, Settlement.LINEAR, "USDC", strike=strike, is_call=True, expiry_ns=week),
            make("PERP", Kind.PERPETUAL, Settlement.INVERSE, "BTC", size="10"),
            make("FUT", Kind.FUTURE, Settlement.LINEAR, "USDC", expiry_ns=month),
        ]
    )
    view = MarketView(table, MarketState(len(table)), 10**18)
    view.now_ns = NOW_NS
    view.live.values[:, Field.FORWARD] = FORWARD
    view.live.values[:, Field.INDEX] = INDEX
    view.live.values[:, Field.MARK_IV] = (0.5, 0.6, 0.55, np.nan, np.nan)
    view.live.values[:, Field.MARK] = (0.03, 0.05, 2000.0, 60_100.0, 60_200.0)
    return Valuer(view)


LOTS = np.array([3, -2, 5, 6010, -1])
IDS = np.arange(5)


def expected(instrument: int, spot: float, vol: float, days: float) -> float:
    """P&L in the settle currency by the pricing room and the contract formulas."""
    if instrument == PERP:
        return float(LOTS[PERP] * 10 * (1 / 60_100.0 - 1 / (60_100.0 * (1 + spot))))
    if instrument == FUTURE:
        return float(LOTS[FUTURE] * 60_200.0 * spot)
    sigma, life, is_call = {CALL: (0.5, 7, True), PUT_LATER: (0.6, 30, False), USDC_CALL: (0.55, 7, True)}[instrument]
    forward = FORWARD * (1 + spot)
    left = max(life - days, 0.0) * NS_PER_DAY / NS_PER_YEAR
    after = float(black.price(forward, 60_000.0, left, max(sigma + vol, 0.0), 1.0, is_call))
    before = float(black.price(FORWARD, 60_000.0, life * NS_PER_DAY / NS_PER_YEAR, sigma, 1.0, is_call))
    if instrument != USDC_CALL:
        after, before = after / forward, before / FORWARD
    return float(LOTS[instrument]) * (after - before)


def test_every_cell_is_a_full_revaluation_with_each_leg_on_its_own_expiry() -> None:
    result = revalue(desk(), IDS, LOTS, GRID)
    assert result.currencies == ("BTC", "USDC")
    for a, spot in enumerate(GRID.spot_shifts):
        for b, vol in enumerate(GRID.vol_shifts):
            for c, days in enumerate(GRID.days_ahead):
                gains = [expected(i, spot, vol, days) for i in range(5)]
                coin, cash = gains[CALL] + gains[PUT_LATER] + gains[PERP], gains[USDC_CALL] + gains[FUTURE]
                assert result.pnl[0, a, b, c] == pytest.approx(coin, rel=1e-9, abs=1e-12)
                assert result.pnl[1, a, b, c] == pytest.approx(cash, rel=1e-9, abs=1e-9)
                usd = coin * INDEX * (1 + spot) + cash
                assert result.pnl_usd[a, b, c] == pytest.approx(usd, rel=1e-9, abs=1e-7)


def test_nothing_moved_gains_nothing_and_the_worst_is_a_loss() -> None:
    result = revalue(desk(), IDS, LOTS, GRID)
    assert result.pnl[:, 1, 1, 0].tolist() == [0.0, 0.0]
    assert result.worst_usd() == result.pnl_usd.min() < 0.0
    assert revalue(desk(), IDS[:0], LOTS[:0], GRID).worst_usd() == 0.0


def test_the_compiled_revaluation_equals_its_plain_twin() -> None:
    valuer = desk()
    result = revalue(valuer, IDS, LOTS, GRID)
    sigma, status = valuer.sigma(IDS)
    held = np.column_stack([IDS, LOTS]).astype(np.int64)
    axes = np.array((*GRID.spot_shifts, *GRID.vol_shifts, *(days / 365.0 for days in GRID.days_ahead)))
    pnl, pnl_usd = np.zeros((2, 3, 3, 3)), np.zeros((3, 3, 3))
    plain(scenario.revalue_kernel)(
        valuer.view.live.values, valuer.columns.ints, valuer.columns.floats, held, NOW_NS, sigma, status, axes,
        np.array(GRID.shape), pnl, pnl_usd,
    )  # fmt: skip
    np.testing.assert_allclose(pnl, result.pnl, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(pnl_usd, result.pnl_usd, rtol=1e-12, atol=1e-9)


def test_a_position_that_cannot_be_valued_makes_the_answer_nan_with_a_status() -> None:
    valuer = desk()
    valuer.view.live.values[PUT_LATER, Field.MARK_IV] = valuer.view.live.values[PUT_LATER, Field.MARK] = np.nan
    valuer.view.live.values[PERP, Field.MARK] = np.nan
    result = revalue(valuer, IDS, LOTS, GRID)
    assert result.status.tolist() == [
        RiskStatus.OK,
        RiskStatus.NO_PRICE,
        RiskStatus.OK,
        RiskStatus.NO_PRICE,
        RiskStatus.OK,
    ]
    assert np.isnan(result.worst_usd())
    assert not np.isnan(result.pnl[1]).any()


def test_axes_in_the_wrong_unit_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected decimals, 0\.10 is ten vol points"):
        ScenarioGrid(vol_shifts=(10.0,))
    with pytest.raises(InputError, match="expected numbers above -1"):
        ScenarioGrid(spot_shifts=(-1.0,))
    with pytest.raises(InputError, match="days_ahead"):
        ScenarioGrid(days_ahead=(-1.0,))

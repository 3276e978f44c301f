"""Greeks of positions against the pricing room, and against central differences of the price."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from voldesk.core.compiled import plain
from voldesk.core.units import NS_PER_DAY, NS_PER_YEAR
from voldesk.instruments.spec import Instrument, Kind, Settlement, TickScheme
from voldesk.instruments.table import InstrumentTable
from voldesk.market.state import Field, MarketState
from voldesk.market.view import MarketView
from voldesk.portfolio import columns, valuation
from voldesk.portfolio.book import Book
from voldesk.portfolio.valuation import RiskStatus, Valuer
from voldesk.pricing import black

NOW_NS = 1_780_000_000_000_000_000
TICKS = TickScheme(base=Decimal("0.0001"), steps=((Decimal(0), Decimal("0.0001")),))
STRIKES = (40_000, 55_000, 60_000, 66_000, 90_000)
OPTIONS = 4 * len(STRIKES)  # inverse call, inverse put, linear call, linear put per strike
INVERSE_PERP, LINEAR_FUTURE, SPOT = OPTIONS, OPTIONS + 1, OPTIONS + 2


def make(symbol: str, kind: Kind, settlement: Settlement, settle: str, **terms: object) -> Instrument:
    defaults: dict[str, object] = {"multiplier": Decimal(1), "lot": Decimal("0.1")}
    return Instrument(
        symbol=symbol,
        venue="deribit",
        kind=kind,
        underlying="BTC",
        quote_currency="USD",
        settle_currency=settle,
        settlement=settlement,
        ticks=TICKS,
        fee_schedule="deribit.option",
        **{**defaults, **terms},
    )


def desk() -> tuple[MarketView, Valuer]:
    expiry_ns = NOW_NS + 14 * NS_PER_DAY + 12_345
    items = [
        make(f"{settle}-{k}-{call}", Kind.OPTION, how, settle, strike=Decimal(k), is_call=call, expiry_ns=expiry_ns)
        for k in STRIKES
        for how, settle in ((Settlement.INVERSE, "BTC"), (Settlement.LINEAR, "USDC"))
        for call in (True, False)
    ]
    items.append(make("PERP", Kind.PERPETUAL, Settlement.INVERSE, "BTC", multiplier=Decimal(10), lot=Decimal(1)))
    items.append(make("FUT", Kind.FUTURE, Settlement.LINEAR, "USDC", expiry_ns=expiry_ns))
    items.append(make("SPOT", Kind.SPOT, Settlement.LINEAR, "USDC"))
    table = InstrumentTable(items)
    view = MarketView(table, MarketState(len(table)), 10**18)
    view.now_ns = NOW_NS
    values = view.live.values
    values[:, Field.FORWARD] = 60_500.0
    values[:, Field.INDEX] = 60_000.0
    values[:OPTIONS, Field.MARK_IV] = 0.5 + 0.02 * np.arange(OPTIONS)
    tau = (expiry_ns - NOW_NS) / NS_PER_YEAR
    price = black.price(
        60_500.0, table.strike[:OPTIONS], tau, values[:OPTIONS, Field.MARK_IV], 1.0, table.is_call[:OPTIONS]
    )
    inverse = table.settlement[:OPTIONS] == int(Settlement.INVERSE)
    values[:OPTIONS, Field.MARK] = np.where(inverse, price / 60_500.0, price)
    values[OPTIONS:, Field.MARK] = (60_100.0, 60_600.0, 60_000.0)
    return view, Valuer(view)


def held(*rows: tuple[int, int]) -> np.ndarray:
    return np.array(rows, np.int64).reshape(len(rows), 2)


EVERYTHING = tuple((i, 7 - 3 * (i % 5)) for i in range(OPTIONS + 3))


def test_greeks_equal_the_pricing_rooms_for_linear_and_coin_settled_options() -> None:
    view, valuer = desk()
    ids = np.arange(OPTIONS)
    lots = np.array([lots for _, lots in EVERYTHING[:OPTIONS]])
    risk = valuer.risk(ids, lots)
    table = view.table
    tau = (table.expiry_ns[ids] - NOW_NS) / NS_PER_YEAR
    arguments = (60_500.0, table.strike[ids], tau, view.live.values[ids, Field.MARK_IV])
    usd = black.greeks(*arguments, 1.0, table.is_call[ids])
    coin = black.coin_greeks(*arguments, table.is_call[ids])
    size = lots * 0.1
    inverse = table.settlement[ids] == int(Settlement.INVERSE)
    close = {"rtol": 1e-12, "atol": 1e-15}
    np.testing.assert_allclose(risk.value, size * np.where(inverse, coin.price, usd.price), rtol=1e-11)
    np.testing.assert_allclose(risk.delta, size * usd.delta, **close)
    np.testing.assert_allclose(risk.net_delta, size * np.where(inverse, coin.net_delta, usd.delta), **close)
    np.testing.assert_allclose(risk.gamma_per_1pct, size * usd.gamma * 605.0, **close)
    np.testing.assert_allclose(risk.vega_per_volpt, size * np.where(inverse, coin.vega, usd.vega) / 100, **close)
    np.testing.assert_allclose(risk.theta_per_day, size * np.where(inverse, coin.theta, usd.theta) / 365, **close)
    rate = np.where(inverse, 60_000.0, 1.0)
    np.testing.assert_allclose(risk.value_usd, risk.value * rate, **close)
    np.testing.assert_allclose(risk.theta_per_day_usd, risk.theta_per_day * rate, **close)
    np.testing.assert_allclose(risk.vega_per_volpt_usd, risk.vega_per_volpt * rate, **close)
    assert set(risk.status) == {int(RiskStatus.OK)}


def test_the_net_delta_of_a_long_call_subtracts_its_premium() -> None:
    _, valuer = desk()
    risk = valuer.risk(np.array([8]), np.array([10]))
    assert risk.net_delta[0] == pytest.approx(risk.delta[0] - risk.value[0], abs=1e-13)


def test_net_gamma_is_the_slope_of_the_net_delta() -> None:
    _, valuer = desk()
    ids, lots = np.arange(OPTIONS + 1), np.full(OPTIONS + 1, 10)
    gamma = valuer.risk(ids, lots).net_gamma_per_1pct
    steep = []
    for sign in (1.0, -1.0):
        moved, other = desk()
        moved.live.values[:, Field.FORWARD] *= 1.0 + sign * 1e-4
        moved.live.values[INVERSE_PERP, Field.MARK] *= 1.0 + sign * 1e-4
        steep.append(other.risk(ids, lots).net_delta)
    np.testing.assert_allclose(gamma, (steep[0] - steep[1]) / 2e-4 * 0.01, rtol=1e-5, atol=1e-8)


def test_the_fast_net_delta_is_the_sum_of_the_full_valuation_and_of_its_plain_twin() -> None:
    view, valuer = desk()
    packed = held(*EVERYTHING)
    fast, status = valuer.net_delta_status(packed, "BTC")
    risk = valuer.risk(packed[:, 0], packed[:, 1])
    assert status == RiskStatus.OK
    assert fast == pytest.approx(float(risk.net_delta.sum()), rel=1e-13)
    pack = valuer.columns
    slow = plain(valuation.net_delta_of)(view.live.values, pack.ints, pack.floats, packed, 0, view.now_ns)
    assert slow == (pytest.approx(fast, rel=1e-14), 0)
    out = np.full((10, len(packed)), np.nan)
    sigma, found = valuer.sigma(packed[:, 0])
    plain(valuation._risk)(
        view.live.values, pack.ints, pack.floats, packed[:, 0], packed[:, 1], view.now_ns, sigma, found, out
    )
    np.testing.assert_allclose(out, np.array(risk[2:12]), rtol=1e-14)


def test_futures_and_spot_are_their_size_and_inverse_ones_size_over_price() -> None:
    _, valuer = desk()
    risk = valuer.risk(np.array([INVERSE_PERP, LINEAR_FUTURE, SPOT]), np.array([601, 10, -20]))
    np.testing.assert_allclose(risk.net_delta, [6010 / 60_100.0, 1.0, -2.0], rtol=1e-15)
    np.testing.assert_allclose(risk.value, [-6010 / 60_100.0, 60_600.0, -120_000.0], rtol=1e-15)


def test_without_a_mark_iv_the_mark_is_inverted_then_the_mid_and_the_status_says_which() -> None:
    view, valuer = desk()
    values = view.live.values
    true = values[:OPTIONS, Field.MARK_IV].copy()
    values[:OPTIONS, Field.MARK_IV] = np.nan
    values[9, Field.BID], values[9, Field.ASK] = values[9, Field.MARK] - 0.001, values[9, Field.MARK] + 0.001
    values[9, Field.MARK] = np.nan
    sigma, status = valuer.sigma(np.array([8, 9, 10]))
    assert status.tolist() == [RiskStatus.IV_OF_MARK, RiskStatus.IV_OF_MID, RiskStatus.IV_OF_MARK]
    np.testing.assert_allclose(sigma, true[8:11], rtol=1e-10)
    fast, worst = valuer.net_delta_status(held((8, 5), (9, 5)), "BTC")
    assert worst == RiskStatus.IV_OF_MID
    values[:OPTIONS, Field.MARK_IV] = true
    assert fast == pytest.approx(valuer.net_delta(held((8, 5), (9, 5)), "BTC"), rel=1e-9)


def test_missing_inputs_give_nan_and_say_why() -> None:
    view, valuer = desk()
    values = view.live.values
    values[0, Field.FORWARD] = np.nan
    values[1, Field.MARK_IV] = values[1, Field.MARK] = np.nan
    values[4, Field.MARK_IV], values[4, Field.MARK] = np.nan, 1.5  # a coin call is never worth a coin
    values[INVERSE_PERP, Field.MARK] = np.nan
    ids = np.array([0, 1, 4, INVERSE_PERP, 8])
    risk = valuer.risk(ids, np.full(5, 10))
    assert risk.status.tolist() == [
        RiskStatus.NO_FORWARD,
        RiskStatus.NO_PRICE,
        RiskStatus.NO_IV,
        RiskStatus.NO_PRICE,
        RiskStatus.OK,
    ]
    assert np.isnan(risk.net_delta).tolist() == [True, True, True, True, False]
    for instrument in ids[:4].tolist():
        assert np.isnan(valuer.net_delta(held((8, 1), (instrument, 1)), "BTC"))


def test_an_expired_option_waits_for_delivery_without_delta() -> None:
    view, valuer = desk()
    view.now_ns = int(view.table.expiry_ns[8])
    assert valuer.net_delta_status(held((8, 10)), "BTC") == (0.0, RiskStatus.EXPIRED)
    risk = valuer.risk(np.array([8]), np.array([10]))
    assert risk.status[0] == RiskStatus.EXPIRED
    assert risk.value[0] == pytest.approx(float(view.live.values[8, Field.MARK]))


def test_a_book_asks_its_valuer_and_counts_collateral_only_when_told() -> None:
    _, valuer = desk()
    for hedge_collateral, expected in ((False, 1.0), (True, 3.5)):
        book = Book("a", "BTC", valuer=valuer, hedge_collateral=hedge_collateral)
        book._held = held((LINEAR_FUTURE, 10))
        book.deposit("BTC", 250_000_000)
        assert book.net_delta("BTC") == expected
        assert book.net_delta("ETH") == 0.0


def test_terms_are_packed_again_when_the_table_grows() -> None:
    view, valuer = desk()
    before = valuer.columns.ints.shape[0]
    view.table.add(make("NEW", Kind.SPOT, Settlement.LINEAR, "EUR"))
    assert valuer.columns.ints.shape[0] == valuer.columns.floats.shape[0] == before + 1
    assert valuer.columns.settle_currencies == ["BTC", "USDC", "EUR"]


def test_a_mark_beats_the_mid_and_neither_gives_nan() -> None:
    values = np.full((1, 11), np.nan)
    for kernel in (columns.mark_of, plain(columns.mark_of)):
        values[0] = np.nan
        assert np.isnan(kernel(values, 0))
        values[0, [Field.BID, Field.ASK]] = (1.0, 2.0)
        assert kernel(values, 0) == 1.5
        values[0, Field.MARK] = 1.25
        assert kernel(values, 0) == 1.25

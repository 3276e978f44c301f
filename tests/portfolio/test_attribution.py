"""The explain ties out with the ledger, step by step, on made-up and on recorded markets."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from voldesk.core.money import to_float
from voldesk.core.reports import FundingApplied, InstrumentSettled, Liquidity, OrderFilled, PositionTaken
from voldesk.core.rng import random_stream
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_YEAR
from voldesk.instruments.spec import Instrument, Kind, Settlement, TickScheme
from voldesk.instruments.table import InstrumentTable
from voldesk.market.state import Field, MarketState, Stamp
from voldesk.market.view import MarketView
from voldesk.portfolio.attribution import Explainer
from voldesk.portfolio.explain import MARKET_TERMS
from voldesk.portfolio.explain_record import COLUMN, EXPLAIN_TERMS, FACTOR_EXPLAIN_TERMS, ExplainRecord
from voldesk.portfolio.ledger import Ledger
from voldesk.portfolio.leg import LEG_COLUMN
from voldesk.portfolio.valuation import Valuer
from voldesk.pricing import black

NOW_NS = 1_780_000_000_000_000_000
EXPIRY_NS = NOW_NS + 14 * NS_PER_DAY
COIN_TICKS = TickScheme(base=Decimal("0.0001"), steps=((Decimal(0), Decimal("0.0001")),))
USD_TICKS = TickScheme(base=Decimal("0.5"), steps=((Decimal(0), Decimal("0.5")),))
STRIKES = tuple(range(48_000, 76_000, 2_000))
CALL, PUT, PERP = 12, 13, 2 * len(STRIKES)  # the 60,000 straddle


def inverse_option(strike: float, is_call: bool, expiry_ns: int) -> Instrument:
    return Instrument(
        symbol=f"BTC-{expiry_ns}-{strike:.0f}-{'C' if is_call else 'P'}", venue="deribit", kind=Kind.OPTION,
        underlying="BTC", quote_currency="BTC", settle_currency="BTC", settlement=Settlement.INVERSE,
        multiplier=Decimal(1), lot=Decimal("0.1"), ticks=COIN_TICKS, fee_schedule="deribit.option",
        expiry_ns=expiry_ns, strike=Decimal(int(strike)), is_call=is_call,
    )  # fmt: skip


def perpetual() -> Instrument:
    return Instrument(
        symbol="BTC-PERPETUAL", venue="deribit", kind=Kind.PERPETUAL, underlying="BTC", quote_currency="USD",
        settle_currency="BTC", settlement=Settlement.INVERSE, multiplier=Decimal(10), lot=Decimal(1), ticks=USD_TICKS,
        fee_schedule="deribit.perpetual",
    )  # fmt: skip


class Desk:
    """A chain under a parabolic smile, a perpetual, a ledger and its explainer."""

    def __init__(self, numeraire: str = "coin") -> None:
        options = [inverse_option(k, is_call, EXPIRY_NS) for k in STRIKES for is_call in (True, False)]
        self.table = InstrumentTable([*options, perpetual()])
        self.view = MarketView(self.table, MarketState(len(self.table)), 10**18)
        self.valuer = Valuer(self.view)
        self.ledger = Ledger(self.table, numeraire, valuer=self.valuer)
        self.ledger.open_book("a")
        self.ledger.deposit("a", "BTC", 10 * 10**8)
        self.explainer = Explainer(self.ledger, "a", self.valuer)
        self.trades = 0

    def move(self, now_ns: int, forward: float, level: float, skew: float = -0.1, curvature: float = 0.4) -> None:
        self.view.now_ns = now_ns
        values, n = self.view.live.values, 2 * len(STRIKES)
        self.view.live.stamps[:, Stamp.MARK_EVENT_NS] = now_ns
        strike = self.table.strike[:n]
        k = np.log(strike / forward)
        sigma = level + skew * k + curvature * k * k
        tau = (EXPIRY_NS - now_ns) / NS_PER_YEAR
        values[:, Field.FORWARD] = forward
        values[:, Field.INDEX] = forward
        values[:n, Field.MARK_IV] = sigma
        values[:n, Field.MARK] = black.price(forward, strike, tau, sigma, 1.0, self.table.is_call[:n]) / forward
        values[PERP, Field.MARK] = forward + 5.0

    def fill(self, instrument: int, lots: int, price: float, fee: int = 1000) -> None:
        self.trades += 1
        ticks = self.table[instrument].ticks.nearest(price)
        report = OrderFilled(1, 2, 7, self.trades, instrument, lots, ticks, Liquidity.TAKER, fee, "BTC")
        assert self.ledger.apply_fill("a", report)
        self.explainer.on_fill(self.view.now_ns, instrument, lots, ticks)

    def mark(self) -> None:
        self.ledger.mark(self.view)
        assert self.explainer.on_mark(self.view.now_ns)

    def assert_tied(self) -> None:
        record, summary = self.explainer.record, self.ledger.summary()
        gross = to_float(summary.total, summary.currency)
        assert record.gross() == pytest.approx(gross, rel=1e-9, abs=1e-12)
        assert sum(record.totals().values()) == pytest.approx(gross, rel=1e-9, abs=1e-12)
        assert sum(record.factor_totals().values()) == pytest.approx(gross, rel=1e-9, abs=1e-12)
        rows = record._rows[: len(record)]
        steps = rows[:, [COLUMN[name] for name in EXPLAIN_TERMS]].sum(axis=1)
        np.testing.assert_allclose(steps, record.column("gross"), rtol=1e-9, atol=1e-12)


def scalped(numeraire: str = "coin", steps: int = 40, stop_at: int = 99) -> Desk:
    """A straddle held and hedged over a seeded path, six hours a step."""
    desk = Desk(numeraire)
    random = random_stream(11, "explain")
    moves, turns = random.normal(size=steps) * 0.012, random.normal(size=steps) * 0.01
    forward, level = 60_000.0, 0.5
    for step in range(min(steps, stop_at)):
        forward *= float(np.exp(moves[step]))
        level += float(turns[step])
        desk.move(NOW_NS + step * 6 * NS_PER_HOUR, forward, level, -0.1 + 0.1 * float(turns[step]))
        if step == 1:
            for instrument in (CALL, PUT):
                desk.fill(instrument, 20, float(desk.view.live.values[instrument, Field.MARK]) + 0.0005)
        if step > 1:
            delta = desk.ledger.book("a").net_delta("BTC")
            desk.fill(PERP, -round(delta * forward / 10), forward + 5.0, fee=50)
        if step % 2 == 0:
            desk.ledger.apply_funding(FundingApplied(step, step, PERP, "0.0001", str(round(forward, 2))))
        desk.mark()
    return desk


@pytest.mark.parametrize("numeraire", ["coin", "usd"])
def test_terms_and_unexplained_add_up_to_the_ledgers_profit_in_every_step(numeraire: str) -> None:
    desk = scalped(numeraire)
    desk.assert_tied()
    totals = desk.explainer.record.totals()
    assert tuple(totals) == EXPLAIN_TERMS
    assert tuple(desk.explainer.record.factor_totals()) == FACTOR_EXPLAIN_TERMS
    summary = desk.ledger.summary()
    assert totals["fees"] == pytest.approx(to_float(summary.pnl["fees"], summary.currency), rel=1e-12)
    assert totals["carry"] == pytest.approx(to_float(summary.pnl["funding"], summary.currency), rel=1e-12)
    assert desk.explainer.record.column("translation_usd").sum() == pytest.approx(
        to_float(summary.translation_usd or 0, "USD"), rel=1e-12
    )
    assert desk.explainer.unseen_trades == desk.explainer.blind_steps == 0


def test_a_model_market_is_explained_by_both_views() -> None:
    """The marks are Black prices under an exact parabola, so what stays is the expansion's own error."""
    desk = scalped()
    assert desk.explainer.record.unexplained_share().median < 0.002
    assert desk.explainer.record.unexplained_share(factors=True).median < 0.002
    assert desk.explainer.smile_gaps == 0


def test_each_instruments_days_add_up_in_its_own_currency() -> None:
    desk = scalped()
    summed = np.sum(list(desk.explainer.by_day.values()), axis=0)
    totals = desk.explainer.record.totals()
    for name in EXPLAIN_TERMS[:-1]:
        assert summed[LEG_COLUMN[name]] == pytest.approx(totals[name], rel=1e-9, abs=1e-12), name
    assert {instrument for _, instrument in desk.explainer.by_day} == {CALL, PUT, PERP}


def test_slippage_is_the_distance_of_the_fill_from_the_mark() -> None:
    desk = Desk()
    desk.move(NOW_NS, 60_000.0, 0.5)
    desk.view.live.values[CALL, Field.MARK] = 0.0400
    desk.mark()
    desk.fill(CALL, 10, 0.0410)  # one contract, a thousandth above
    desk.mark()
    assert desk.explainer.record.totals()["slippage"] == pytest.approx(-0.001, abs=1e-15)
    assert desk.explainer.record.totals()["unexplained"] == pytest.approx(0.0, abs=1e-12)


def test_a_fill_cuts_the_step_so_that_old_and_new_lots_are_explained_apart() -> None:
    desk = Desk()
    desk.move(NOW_NS, 60_000.0, 0.5)
    desk.fill(CALL, 10, float(desk.view.live.values[CALL, Field.MARK]))
    desk.mark()
    before = desk.explainer.record.totals()["delta"]
    delta = desk.valuer.risk(np.array([CALL]), np.array([10])).net_delta[0]
    desk.move(NOW_NS + NS_PER_HOUR, 60_060.0, 0.5)
    desk.fill(CALL, -10, float(desk.view.live.values[CALL, Field.MARK]))
    desk.move(NOW_NS + 2 * NS_PER_HOUR, 66_000.0, 0.5)
    desk.mark()
    assert desk.explainer.record.totals()["delta"] - before == pytest.approx(delta * 0.001, rel=1e-9)
    desk.assert_tied()


def test_an_unexplained_mark_change_lands_in_unexplained_and_nowhere_else() -> None:
    desk = Desk()
    desk.move(NOW_NS, 60_000.0, 0.5)
    desk.fill(CALL, 10, float(desk.view.live.values[CALL, Field.MARK]))
    desk.mark()
    before = desk.explainer.record.totals()
    desk.view.now_ns += 1
    desk.view.live.values[CALL, Field.MARK] += 0.01  # the mark jumps; forward and mark IV do not
    desk.mark()
    after = desk.explainer.record.totals()
    assert after["unexplained"] - before["unexplained"] == pytest.approx(0.01, abs=1e-8)
    assert abs(sum(after[name] - before[name] for name in MARKET_TERMS)) < 1e-9


def test_a_vol_change_of_one_contract_alone_is_vega_in_one_view_and_unexplained_in_the_other() -> None:
    desk = Desk()
    desk.move(NOW_NS, 60_000.0, 0.5)
    far = 2 * STRIKES.index(74_000)  # outside the smile's window: its vol moves no factor
    desk.fill(far, 100, float(desk.view.live.values[far, Field.MARK]))
    desk.mark()
    sigma = float(desk.view.live.values[far, Field.MARK_IV])
    tau = (EXPIRY_NS - NOW_NS) / NS_PER_YEAR
    desk.view.live.values[far, Field.MARK_IV] = sigma + 0.01
    price = float(black.price(60_000.0, 74_000.0, tau, sigma + 0.01, 1.0, True)) / 60_000.0
    desk.view.live.values[far, Field.MARK] = price
    before = desk.explainer.record.factor_totals()["unexplained"]
    desk.mark()
    gained = desk.explainer.record.column("gross")[-1]
    own, factors = desk.explainer.record.totals(), desk.explainer.record.factor_totals()
    assert own["vega"] + own["volga"] + own["higher"] == pytest.approx(gained, rel=1e-3)
    assert factors["unexplained"] - before == pytest.approx(gained, rel=1e-6)


def test_settlement_is_what_delivery_pays_beyond_the_last_mark() -> None:
    desk = Desk()
    desk.move(EXPIRY_NS - NS_PER_HOUR, 62_000.0, 0.5)
    desk.fill(CALL, 10, float(desk.view.live.values[CALL, Field.MARK]))
    desk.mark()
    last = to_float(desk.ledger.book("a").holdings[CALL].market, "BTC")
    desk.view.now_ns = EXPIRY_NS + NS_PER_HOUR
    assert desk.ledger.apply_settled(InstrumentSettled(1, 2, CALL, "63000", "0.00015"))
    desk.mark()
    assert desk.explainer.record.totals()["settlement"] == pytest.approx(3_000 / 63_000 - last, abs=1e-8)
    desk.assert_tied()


def test_lots_bought_before_there_is_a_mark_pay_their_way_to_the_first_one_as_slippage() -> None:
    desk = Desk()
    desk.view.now_ns = NOW_NS
    desk.fill(CALL, 10, 0.0400)
    desk.move(NOW_NS + 1, 60_000.0, 0.5)
    desk.view.live.values[CALL, Field.MARK] = 0.0350
    desk.mark()
    assert desk.explainer.record.totals()["slippage"] == pytest.approx(-0.005, abs=1e-12)
    desk.assert_tied()


def test_a_liquidation_is_explained_like_a_fill() -> None:
    desk = Desk()
    desk.move(NOW_NS, 60_000.0, 0.5)
    desk.fill(PERP, 6_000, 60_005.0)
    desk.mark()
    desk.move(NOW_NS + NS_PER_HOUR, 50_000.0, 0.5)
    assert desk.ledger.apply_taken(PositionTaken(1, 2, 900, PERP, -6_000, 99_000, 5, "BTC"))
    desk.explainer.on_taken(desk.view.now_ns, PERP, 99_000)
    desk.mark()
    slippage = 60_000 / 50_005 - 60_000 / 49_500
    assert desk.explainer.record.totals()["slippage"] == pytest.approx(slippage, rel=1e-9)
    assert desk.explainer.unseen_trades == 0
    desk.assert_tied()


def test_a_trade_nobody_reported_is_counted_and_still_ties_out() -> None:
    desk = Desk()
    desk.move(NOW_NS, 60_000.0, 0.5)
    desk.mark()
    desk.ledger.apply_fill("a", OrderFilled(1, 2, 7, 1, PERP, 100, 120_000, Liquidity.TAKER, 3, "BTC"))
    desk.mark()
    assert desk.explainer.unseen_trades == 1
    desk.assert_tied()


def test_a_step_without_a_rate_stays_open_until_there_is_one() -> None:
    desk = Desk("usd")
    desk.move(NOW_NS, 60_000.0, 0.5)
    desk.view.live.values[:, Field.INDEX] = np.nan
    desk.fill(CALL, 10, 0.0400)
    desk.ledger.mark(desk.view)
    assert not desk.explainer.on_mark(desk.view.now_ns)
    assert len(desk.explainer.record) == 0
    desk.move(NOW_NS + 1, 60_000.0, 0.5)
    desk.mark()
    desk.assert_tied()


def test_a_restored_explainer_goes_on_to_the_same_figures() -> None:
    whole, first = scalped(steps=12), scalped(steps=12, stop_at=6)
    again = Desk()
    again.ledger.restore(first.ledger.state())
    again.explainer.restore(first.explainer.state())
    assert again.explainer.record.totals() == first.explainer.record.totals()
    for desk in (first, again):
        desk.move(NOW_NS + 6 * 6 * NS_PER_HOUR, 61_000.0, 0.52)
        desk.trades = 100
        desk.fill(PERP, -50, 61_000.0)
        desk.mark()
    assert again.explainer.record.totals() == first.explainer.record.totals()
    assert len(whole.explainer.record) == 12


def test_the_record_grows_and_a_day_without_p_and_l_does_not_count() -> None:
    record = ExplainRecord()
    assert np.isnan(record.unexplained_share().median)
    for step in range(600):
        row = np.zeros(len(COLUMN))
        if step >= 300:
            row[COLUMN["delta"]], row[COLUMN["unexplained"]] = -2.0, 0.1
        record.add(step * NS_PER_DAY, row)
    assert len(record) == 600
    assert record.unexplained_share().median == pytest.approx(0.05)
    assert record.daily()[0].tolist() == list(range(600))


DATA = Path(__file__).resolve().parents[2] / "../shared/data/deribit_chain_6h"


@pytest.mark.data
def test_a_recorded_straddle_is_explained_to_within_two_percent_by_its_own_vols() -> None:
    """A 14-day straddle held ten days: seen own vol 0.34 %, factors 1.9 % (median over days)."""
    if not DATA.is_dir():
        pytest.skip("deribit_chain_6h is not beside the checkout")
    from pyarrow import parquet

    names = ["ts", "expiry", "strike", "option_type", "mark_price", "mark_iv", "underlying_price", "index_price"]
    columns = parquet.read_table(DATA / "btc_2026-03.parquet", columns=names).to_pydict()
    nanoseconds = {
        when: int(when.timestamp() * 1000) * 1_000_000 for name in ("ts", "expiry") for when in set(columns[name])
    }
    times = sorted(set(columns["ts"]))
    rows_at: dict[datetime, list[int]] = {when: [] for when in times}
    for row, when in enumerate(columns["ts"]):
        rows_at[when].append(row)
    opening = rows_at[times[0]]
    start_ns = nanoseconds[times[0]]
    expiry = min(
        {columns["expiry"][r] for r in opening}, key=lambda e: abs(nanoseconds[e] - start_ns - 14 * NS_PER_DAY)
    )
    first = next(r for r in opening if columns["expiry"][r] == expiry)
    strikes = sorted({columns["strike"][r] for r in opening if columns["expiry"][r] == expiry})
    strike = min(strikes, key=lambda k: abs(k - columns["underlying_price"][first]))

    table = InstrumentTable([perpetual()])
    view = MarketView(table, MarketState(200), 10**18)
    valuer = Valuer(view)
    ledger = Ledger(table, "coin", "BTC", valuer=valuer)
    ledger.open_book("a")
    ledger.deposit("a", "BTC", 10**9)
    explainer = Explainer(ledger, "a", valuer)
    trade = 0
    for when in times:
        now_ns = nanoseconds[when]
        if now_ns - start_ns > 10 * NS_PER_DAY:
            break
        view.now_ns = now_ns
        for r in rows_at[when]:
            if columns["expiry"][r] == expiry:
                contract = inverse_option(columns["strike"][r], columns["option_type"][r] == "C", nanoseconds[expiry])
                i = table.add(contract)
                view.live.values[i, [Field.MARK, Field.MARK_IV]] = columns["mark_price"][r], columns["mark_iv"][r]
                view.live.values[i, [Field.FORWARD, Field.INDEX]] = (
                    columns["underlying_price"][r],
                    columns["index_price"][r],
                )
                view.live.stamps[i, Stamp.MARK_EVENT_NS] = now_ns
        index = float(view.live.values[1 : len(table), Field.INDEX].max())
        view.live.values[0, [Field.MARK, Field.INDEX]] = index
        orders: list[tuple[int, int]] = []
        if trade == 0:
            orders = [(table.id_of(inverse_option(strike, c, nanoseconds[expiry]).symbol), 10) for c in (True, False)]
        orders.append((0, -round((ledger.book("a").net_delta("BTC") if trade else 0.0) * index / 10)))
        for i, lots in (order for order in orders if order[1]):
            trade += 1
            ticks = table[i].ticks.nearest(float(view.live.values[i, Field.MARK]))
            ledger.apply_fill("a", OrderFilled(now_ns, now_ns, 1, trade, i, lots, ticks, Liquidity.TAKER, 500, "BTC"))
            explainer.on_fill(now_ns, i, lots, ticks)
        ledger.mark(view)
        assert explainer.on_mark(now_ns)
    record = explainer.record
    assert len(record) >= 35
    gross = to_float(ledger.summary().total, "BTC")
    assert sum(record.totals().values()) == pytest.approx(gross, rel=1e-9)
    assert sum(record.factor_totals().values()) == pytest.approx(gross, rel=1e-9)
    own, factors = record.unexplained_share(), record.unexplained_share(factors=True)
    assert own.median < 0.02
    assert own.p90 < 0.02
    assert factors.median < 0.05
    assert explainer.blind_steps == explainer.smile_gaps == explainer.unseen_trades == 0

"""Listing, spreads and order flow of the synthetic market, part by part."""

from __future__ import annotations

import dataclasses
from datetime import date

import numpy as np
import pytest

from voldesk.core.blocks import FloatColumn, IntColumn, RowFlag
from voldesk.core.compiled import plain
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_SECOND
from voldesk.instruments.deribit import parse
from voldesk.sim import order_flow, spreads
from voldesk.sim.listing import build_listing, expiry_days, strike_step
from voldesk.sim.synthetic_config import SyntheticConfig
from voldesk.sim.synthetic_market import SyntheticMarket

OPTION = parse("BTC-27MAR26-90000-C")
GRID = spreads.tick_grid(0.0001, ((0.0, 0.0001), (0.005, 0.0005)), 0.1)
START = SyntheticConfig().start_ns  # Monday 2026-01-05


def test_expiries_are_the_next_fridays_and_the_last_fridays_of_months() -> None:
    config = SyntheticConfig(daily_expiries=2)
    assert expiry_days(START, config) == [
        date(2026, 1, 5),
        date(2026, 1, 6),
        date(2026, 1, 9),
        date(2026, 1, 16),
        date(2026, 1, 23),
        date(2026, 1, 30),
        date(2026, 2, 27),
        date(2026, 3, 27),
    ]
    at_expiry = START + 4 * NS_PER_DAY + 8 * NS_PER_HOUR
    assert expiry_days(at_expiry, SyntheticConfig())[0] == date(2026, 1, 16)
    assert expiry_days(at_expiry - 1, SyntheticConfig())[0] == date(2026, 1, 9)


def test_the_table_holds_all_that_the_run_lists_and_symbols_are_deribits() -> None:
    config = SyntheticConfig(duration_ns=20 * NS_PER_DAY)
    listing = build_listing(config)
    assert listing.table[0].symbol == "BTC-PERPETUAL"
    assert 2 * listing.strike.size + 1 == len(listing.table)
    for slot in range(0, listing.strike.size, 37):
        put, call = listing.table[1 + 2 * slot], listing.table[2 + 2 * slot]
        assert not put.is_call
        assert call.is_call
        assert float(put.strike) == float(call.strike) == listing.strike[slot]
        assert put.expiry_ns == call.expiry_ns == listing.expiry_ns[listing.expiry[slot]]
        assert parse(call.symbol) == call
    listed = np.zeros(listing.strike.size, np.bool_)
    for day in range(20):
        listing.live(START + day * NS_PER_DAY + 8 * NS_PER_HOUR, 90_000.0, listed)
        live = np.unique(listing.expiry[listed])
        assert live.size == 6
        assert all((listed & (listing.expiry == i)).sum() == config.strikes for i in live)


def test_strike_steps_are_round_and_grow_with_maturity() -> None:
    steps = [strike_step(90_000.0, 0.45, days / 365.0, 17) for days in (1, 7, 30, 90, 365)]
    assert steps == sorted(steps)
    assert steps[0] == 500.0
    assert steps[-1] == 10_000.0
    assert strike_step(3_000.0, 0.6, 30 / 365.0, 17) == 100.0


@pytest.mark.parametrize("price", [0.00004, 0.0001, 0.00499, 0.005, 0.0051, 0.00549, 0.01234, 0.25])
def test_prices_round_outward_to_the_venues_ticks(price: float) -> None:
    down, up = spreads.ticks_down(price, GRID), spreads.ticks_up(price, GRID)
    assert down / 10_000.0 <= price <= up / 10_000.0
    assert OPTION.ticks.is_valid(down)
    assert OPTION.ticks.is_valid(up)
    nearest = OPTION.ticks.nearest(price)
    assert OPTION.ticks.down(nearest) - 5 <= down
    assert up <= OPTION.ticks.up(nearest) + 5
    assert plain(spreads.ticks_down)(price, GRID) == down
    assert plain(spreads.ticks_up)(price, GRID) == up


def test_spreads_widen_with_volatility_regime_distance_and_nearness_of_expiry() -> None:
    def width(distance: float = 0.5, tau: float = 0.08, level: float = 1.0) -> float:
        value = spreads.half_spread(distance, tau, 0.1, 0.005, level, 1e-4)
        assert value == plain(spreads.half_spread)(distance, tau, 0.1, 0.005, level, 1e-4)
        return value

    assert width(level=spreads.spread_level(0.4, 1.1, 0.0)) > width(level=spreads.spread_level(0.2, 1.1, 0.0))
    assert width(level=spreads.spread_level(0.2, 1.1, 1.0)) > width(level=spreads.spread_level(0.2, 1.1, 0.0))
    assert width(distance=2.0) > width(distance=1.0) > width(distance=0.0)
    assert width(tau=0.01) > width(tau=0.1) > width(tau=0.5)
    assert plain(spreads.spread_level)(0.2, 1.1, 1.0) == spreads.spread_level(0.2, 1.1, 1.0)


def _chain_arguments(rng: np.random.Generator) -> list[object]:
    strike = np.array([80_000.0, 90_000.0, 100_000.0, 80_000.0, 90_000.0, 100_000.0])
    settings = np.array([0.005, 1.0, 12.0, 0.1, 90_000.0, 0.45])
    return [
        np.arange(6),
        strike,
        np.array([0, 3, 6]),
        np.array([[0.02, 0.1], [90_050.0, 90_400.0]]),
        np.array([20.0, 2_300.0, 15.0, 900.0, 5_100.0, 1_400.0]),
        np.array([0.47, 0.45, 0.44, 0.46, 0.45, np.nan]),
        rng.normal(0.0, 0.4, 6),
        rng.standard_normal((6, 4)),
        rng.random((6, 2)),
        settings,
        GRID,
        np.array([100, 101, 7]),
        True,
        np.zeros((13, spreads.STANDING_COLUMNS), np.int64),
        np.arange(13.0),
        np.zeros((5, 30), np.int64),
        np.full((9, 30), np.nan),
        2,
    ]


def test_compiled_and_plain_chain_quotes_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = _chain_arguments(np.random.default_rng(1))
    assert spreads.quote_chain(*fast) == 14
    slow = _chain_arguments(np.random.default_rng(1))
    for name in ("ticks_down", "ticks_up", "half_spread", "write_row", "_requote"):
        monkeypatch.setattr(spreads, name, plain(getattr(spreads, name)))
    assert plain(spreads.quote_chain)(*slow) == 14
    for position in (13, 15):
        assert np.array_equal(fast[position], slow[position])
    np.testing.assert_allclose(fast[16], slow[16], rtol=1e-14)
    assert np.isnan(fast[16][FloatColumn.MARK_IV, 12:14]).all()  # no volatility where the price says nothing


def test_an_unchanged_chain_sends_nothing() -> None:
    arguments = _chain_arguments(np.random.default_rng(1))
    spreads.quote_chain(*arguments)
    arguments[9][3] = 0.0  # no sizes drawn anew
    arguments[12] = False
    assert spreads.quote_chain(*arguments) == 2


def test_compiled_and_plain_perpetual_rows_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(kernel: object) -> tuple[int, np.ndarray, np.ndarray]:
        rng = np.random.default_rng(5)
        path = np.zeros((40, 5))
        path[:, 0] = np.log(90_000.0) + np.cumsum(rng.normal(0.0, 1e-4, 40))
        path[:, 1], path[:, 4] = 0.2, 0.05
        ints, floats = np.zeros((5, 400), np.int64), np.full((9, 400), np.nan)
        rows = kernel(  # type: ignore[operator]
            path,
            1_000,
            np.array([NS_PER_SECOND, 1_000, 500]),
            np.array([2.0, 0.6, 1_000.0]),
            rng.standard_normal((40, order_flow.FLOW_NORMALS)),
            rng.random((40, order_flow.FLOW_UNIFORMS)),
            np.array([2.0, 0.0, 1.0, 1.0]),
            float("nan"),
            np.array([0, 1]),
            np.zeros(spreads.STANDING_COLUMNS, np.int64),
            ints,
            floats,
            0,
        )
        return rows, ints, floats

    fast = run(order_flow.perpetual_rows)
    for name in ("poisson", "lean", "spread_level", "ticks_down", "ticks_up", "write_row", "write_trade"):
        monkeypatch.setattr(order_flow, name, plain(getattr(order_flow, name)))
    slow = run(plain(order_flow.perpetual_rows))
    assert fast[0] == slow[0] > 60
    assert np.array_equal(fast[1], slow[1])
    np.testing.assert_allclose(fast[2], slow[2], rtol=1e-12)


@pytest.mark.parametrize("seed", [1, 2])
def test_aggressors_lean_with_the_move(seed: int) -> None:
    config = SyntheticConfig(duration_ns=4 * NS_PER_HOUR, chain_step_ns=60 * NS_PER_SECOND, perpetual_trades_per_s=2.0)

    def correlation(config: SyntheticConfig) -> float:
        market = SyntheticMarket(config, seed)
        step, imbalance, index = [], [], []
        while (block := market.next_block()) is not None:
            mine = block.ints[IntColumn.INSTRUMENT] == 0
            flags = block.ints[IntColumn.FLAGS]
            trades = mine & (flags & int(RowFlag.TRADE) > 0)
            step.append(-(-(block.ints[IntColumn.TS_EVENT_NS, trades] - config.start_ns) // config.step_ns))
            imbalance.append(np.sign(block.floats[FloatColumn.BID_SIZE, trades]))
            index.append(block.floats[FloatColumn.INDEX, mine & (flags & int(RowFlag.MARK) > 0)])
        moves = np.diff(np.log(np.concatenate(index)))
        flow = np.bincount(np.concatenate(step), np.concatenate(imbalance), moves.size + 1)[1:]
        minutes = moves.size // 60 * 60
        return float(np.corrcoef(moves[:minutes].reshape(-1, 60).sum(1), flow[:minutes].reshape(-1, 60).sum(1))[0, 1])

    assert correlation(config) > 0.35
    assert abs(correlation(dataclasses.replace(config, flow_follows_move=0.0))) < 4.0 / np.sqrt(240.0)


def test_trades_strike_the_standing_quote() -> None:
    market = SyntheticMarket(SyntheticConfig(duration_ns=600 * NS_PER_SECOND, option_trades_per_hour=3_000.0), seed=3)
    quotes: dict[int, np.ndarray] = {}
    options = perpetuals = 0
    while (block := market.next_block()) is not None:
        for row in range(len(block)):
            instrument = int(block.ints[IntColumn.INSTRUMENT, row])
            if not block.ints[IntColumn.FLAGS, row] & int(RowFlag.TRADE):
                quotes[instrument] = block.floats[:4, row]
                continue
            bid, bid_size, ask, ask_size = quotes[instrument]
            price, size = block.floats[0, row], block.floats[1, row]
            assert price == (ask if size > 0 else bid)
            assert 0.0 < abs(size) <= (ask_size if size > 0 else bid_size) + 1e-12
            options += instrument > 0
            perpetuals += instrument == 0
    assert options > 100
    assert perpetuals > 100


def test_compiled_and_plain_option_trades_and_withdrawals_agree() -> None:
    def run(trades: object, withdraw: object) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
        rng = np.random.default_rng(2)
        arguments = _chain_arguments(rng)
        spreads.quote_chain(*arguments)
        standing, interest, ints, floats = arguments[13:17]
        slots, running = np.arange(6), np.array([100, 8])
        uniforms, normals = rng.random(order_flow.OPTION_UNIFORMS), rng.standard_normal(4)
        uniforms[0] = 0.9
        row = trades(slots, 3.0, 0.5, uniforms, normals, GRID, 200, running, standing, interest, ints, floats, 14)  # type: ignore[operator]
        last = withdraw(slots[:2], np.array([300, 301, 30]), standing, ints, floats, row)  # type: ignore[operator]
        assert not standing[1:5].any()
        return last, ints, floats, interest

    fast = run(order_flow.option_trades, spreads.withdraw)
    slow = run(plain(order_flow.option_trades), plain(spreads.withdraw))
    assert fast[0] == slow[0] > 14 + 4
    for a, b in zip(fast[1:], slow[1:], strict=True):
        assert np.array_equal(a, b, equal_nan=True)

"""Orders against quotes: matching, latency, refusals, margin at the door, state."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.core.orders import OrderType, TimeInForce
from voldesk.core.reports import (
    CancelRejected,
    Liquidity,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderRejected,
)
from voldesk.core.rng import random_stream
from voldesk.core.units import NEVER_NS, NS_PER_HOUR
from voldesk.sim.config import ExchangeConfig
from voldesk.sim.latency import Latency, LatencyConfig

T0 = 1_767_225_600_000_000_000
CALL, PUT, FUTURE, PERPETUAL, LINEAR_CALL, LINEAR_PERPETUAL = range(6)
Factory = Callable[..., Any]


def fills(reports: list[Any]) -> list[tuple[int, int, Liquidity]]:
    return [(r.lots, r.price_ticks, r.liquidity) for r in reports if isinstance(r, OrderFilled)]


def kinds(reports: list[Any]) -> list[str]:
    return [type(r).__name__ for r in reports]


def test_order_arrives_after_its_latency_and_is_heard_of_after_the_reports(rig: Factory) -> None:
    r = rig()
    r.order(CALL, 10, 310)
    assert r.exchange.next_time_ns() == T0 + 100
    assert r.exchange.advance(T0 + 100) == []
    assert r.exchange.account.positions == {CALL: 10}
    assert r.exchange.next_time_ns() == T0 + 150
    heard = r.exchange.advance(T0 + 150)
    assert kinds(heard) == ["OrderAccepted", "OrderFilled"]
    assert [(x.ts_event_ns - T0, x.ts_recv_ns - T0) for x in heard] == [(100, 150), (100, 150)]


def test_deribit_fill_costs_premium_and_capped_fee_exactly(rig: Factory) -> None:
    r = rig()
    r.quote(CALL, 0.0005, 0.0010)
    r.order(CALL, 10, 10)  # one BTC of options at 0.0010: the fee cap of 12.5 % of the premium binds
    (fill,) = [x for x in r.settle_down() if isinstance(x, OrderFilled)]
    assert (fill.fee_units, fill.fee_currency) == (12_500, "BTC")
    assert r.cash("BTC") == 10 * 10**8 - 100_000 - 12_500
    r.quote(CALL, 0.0090, 0.0100)
    r.order(CALL, 10, 100)
    (fill,) = [x for x in r.settle_down() if isinstance(x, OrderFilled)]
    assert fill.fee_units == 30_000


def test_marketable_order_takes_the_displayed_size_and_the_rest_rests(rig: Factory) -> None:
    r = rig()
    order = r.order(CALL, 70, 320)
    assert fills(r.settle_down()) == [(50, 310, Liquidity.TAKER)]
    assert r.exchange.book.open[order].remaining == 20
    assert r.watches.level_buy[CALL] >= 0.0320


def test_immediate_order_cancels_its_rest(rig: Factory) -> None:
    r = rig()
    order = r.order(CALL, 70, 310, tif=TimeInForce.IOC)
    heard = r.settle_down()
    assert kinds(heard) == ["OrderAccepted", "OrderFilled", "OrderCancelled"]
    assert (heard[-1].order_id, heard[-1].reason) == (order, "ioc")
    assert not r.exchange.book.open


def test_same_displayed_size_cannot_be_taken_twice(rig: Factory) -> None:
    r = rig()
    r.order(CALL, 30, 310, tif=TimeInForce.IOC)
    r.order(CALL, 30, 310, tif=TimeInForce.IOC)
    r.order(CALL, 30, 310, tif=TimeInForce.IOC)
    assert fills(r.settle_down()) == [(30, 310, Liquidity.TAKER), (20, 310, Liquidity.TAKER)]
    r.quote(CALL, 0.0300, 0.0310, at=r.now + 1)
    r.order(CALL, 30, 310, tif=TimeInForce.IOC)
    assert fills(r.settle_down()) == [(30, 310, Liquidity.TAKER)]


def test_bid_and_ask_are_consumed_separately(rig: Factory) -> None:
    r = rig()
    r.order(CALL, 50, 310, tif=TimeInForce.IOC)
    r.order(CALL, -50, 300, tif=TimeInForce.IOC)
    assert fills(r.settle_down()) == [(50, 310, Liquidity.TAKER), (-50, 300, Liquidity.TAKER)]


def test_limit_away_from_the_market_rests_until_the_quote_reaches_it(rig: Factory) -> None:
    r = rig()
    r.order(CALL, 20, 300)
    assert kinds(r.settle_down()) == ["OrderAccepted"]
    r.quote(CALL, 0.0295, 0.0305, at=r.now + 10)
    assert not fills(r.settle_down())
    r.quote(CALL, 0.0280, 0.0290, at=r.now + 10)  # through our price: we are filled at our own
    heard = r.settle_down()
    assert fills(heard) == [(20, 300, Liquidity.MAKER)]
    assert math.isnan(r.watches.level_buy[CALL])


def test_resting_order_is_filled_in_the_sizes_that_are_shown(rig: Factory) -> None:
    r = rig()
    r.order(CALL, 20, 300)
    r.settle_down()
    for size, expected in ((0.5, 5), (0.3, 3), (9.0, 12)):
        r.quote(CALL, 0.0290, 0.0300, size, at=r.now + 10)
        assert fills(r.settle_down()) == [(expected, 300, Liquidity.MAKER)]


def test_better_priced_then_older_orders_fill_first(rig: Factory) -> None:
    r = rig()
    low, first, second = r.order(CALL, 10, 290), r.order(CALL, 10, 300), r.order(CALL, 10, 300)
    r.settle_down()
    r.quote(CALL, 0.0280, 0.0285, 2.5, at=r.now + 10)
    got = [(x.order_id, x.lots, x.price_ticks) for x in r.settle_down() if isinstance(x, OrderFilled)]
    assert got == [(first, 10, 300), (second, 10, 300), (low, 5, 290)]


def test_print_strictly_through_fills_and_a_print_at_the_price_does_not(rig: Factory) -> None:
    r = rig()
    order = r.order(CALL, -20, 320)
    r.settle_down()
    assert not fills(r.print_trade(CALL, 0.0320, 5.0, at=r.now + 10) + r.settle_down())
    assert fills(r.print_trade(CALL, 0.0325, 0.7, at=r.now + 10) + r.settle_down()) == [(-7, 320, Liquidity.MAKER)]
    assert r.exchange.book.open[order].remaining == 13


def test_an_old_print_fills_nobody_when_a_quote_hits_another_order(rig: Factory) -> None:
    r = rig()
    r.print_trade(CALL, 0.0250, 5.0, at=10)
    r.order(CALL, 10, 300)
    low = r.order(CALL, 10, 280)
    r.settle_down()
    r.quote(CALL, 0.0290, 0.0300, at=r.now + 10)
    assert fills(r.settle_down()) == [(10, 300, Liquidity.MAKER)]
    assert r.exchange.book.open[low].remaining == 10


@pytest.mark.parametrize("missing", ["nan", "stale", "sizeless"])
def test_quote_that_is_absent_stale_or_sizeless_cannot_be_hit(rig: Factory, missing: str) -> None:
    r = rig(quote_ttl_ns=NS_PER_HOUR)
    if missing == "nan":
        r.quote(CALL, 0.0300, math.nan)
    elif missing == "sizeless":
        r.quote(CALL, 0.0300, 0.0310, math.nan)
    else:
        r.run(2 * NS_PER_HOUR)
    order = r.order(CALL, 10, 310)
    assert kinds(r.settle_down()) == ["OrderAccepted"]
    assert order in r.exchange.book.open
    r.order(CALL, 10, 310, tif=TimeInForce.IOC)
    assert kinds(r.settle_down()) == ["OrderAccepted", "OrderCancelled"]
    r.order(CALL, 10, order_type=OrderType.MARKET)
    assert kinds(r.settle_down()) == ["OrderAccepted", "OrderCancelled"]


def test_assumed_size_stands_in_only_where_the_data_carry_none(rig: Factory) -> None:
    r = rig(assumed_size=Decimal(1))
    r.quote(CALL, 0.0300, 0.0310, math.nan)
    r.order(CALL, 15, 310, tif=TimeInForce.IOC)
    assert fills(r.settle_down()) == [(10, 310, Liquidity.TAKER)]


def test_quote_off_the_grid_is_rounded_against_us(rig: Factory) -> None:
    r = rig()
    r.quote(CALL, 0.03007, 0.03093)
    r.order(CALL, 10, order_type=OrderType.MARKET)
    r.order(CALL, -10, order_type=OrderType.MARKET)
    assert [ticks for _, ticks, _ in fills(r.settle_down())] == [310, 300]


def test_post_only_order_that_would_take_is_cancelled(rig: Factory) -> None:
    r = rig()
    r.order(CALL, 10, 310, tif=TimeInForce.POST_ONLY)
    heard = r.settle_down()
    assert kinds(heard) == ["OrderAccepted", "OrderCancelled"]
    assert heard[-1].reason == "post_only"
    r.order(CALL, 10, 305, tif=TimeInForce.POST_ONLY)
    assert kinds(r.settle_down()) == ["OrderAccepted"]


def test_market_order_sweeps_what_is_shown_and_cancels_the_rest(rig: Factory) -> None:
    r = rig()
    r.order(CALL, -60, order_type=OrderType.MARKET)
    heard = r.settle_down()
    assert fills(heard) == [(-50, 300, Liquidity.TAKER)]
    assert heard[-1].reason == "ioc"


@pytest.mark.parametrize(
    ("instrument", "lots", "ticks", "terms", "code"),
    [
        (99, 1, 310, {}, "UNKNOWN_INSTRUMENT"),
        (-1, 1, 310, {}, "UNKNOWN_INSTRUMENT"),
        (CALL, 0, 310, {}, "ZERO_LOTS"),
        (CALL, 10**8, 310, {}, "SIZE_TOO_LARGE"),
        (CALL, 1, 0, {}, "INVALID_PRICE"),
        (CALL, 1, -5, {}, "INVALID_PRICE"),
        (CALL, 1, 311, {}, "PRICE_OFF_TICK"),
        (CALL, 1, 2_000, {}, "PRICE_OUTSIDE_BAND"),
        (PERPETUAL, -1, 100_000, {}, "PRICE_OUTSIDE_BAND"),
        (CALL, 1, 0, {"order_type": OrderType.MARKET, "tif": TimeInForce.POST_ONLY}, "INVALID_ORDER"),
        (CALL, 1, 310, {"reduce_only": True}, "REDUCE_ONLY"),
        (CALL, 10_000, 310, {}, "INSUFFICIENT_MARGIN"),
    ],
)
def test_refusals_have_stable_codes_and_touch_nothing(
    rig: Factory, instrument: int, lots: int, ticks: int, terms: dict[str, Any], code: str
) -> None:
    r = rig()
    order = r.order(instrument, lots, ticks, **terms)
    (heard,) = r.settle_down()
    assert isinstance(heard, OrderRejected)
    assert (heard.order_id, heard.code) == (order, code)
    assert "\n" not in heard.text
    assert heard.text
    assert r.cash("BTC") == 10 * 10**8
    assert not r.exchange.account.positions


def test_linear_option_without_an_underlying_price_is_refused(rig: Factory) -> None:
    r = rig(quiet=True)
    r.quote(LINEAR_CALL, 2_700.0, 2_780.0)
    r.order(LINEAR_CALL, 1, 556)
    assert r.settle_down()[0].code == "NO_UNDERLYING_PRICE"


def test_order_id_is_accepted_once(rig: Factory) -> None:
    r = rig()
    r.order(CALL, 10, 310, order_id=7)
    r.order(CALL, 10, 310, order_id=7)
    heard = r.settle_down()
    assert kinds(heard) == ["OrderAccepted", "OrderFilled", "OrderRejected"]
    assert heard[-1].code == "DUPLICATE_ORDER_ID"


def test_cancel_in_time_ends_the_order_and_late_ones_are_refused(rig: Factory) -> None:
    r = rig()
    order = r.order(CALL, 10, 300)
    r.settle_down()
    r.cancel(order)
    (heard,) = r.settle_down()
    assert isinstance(heard, OrderCancelled)
    assert heard.reason == "user"
    assert math.isnan(r.watches.level_buy[CALL])
    r.cancel(order)
    r.cancel(12345)
    assert [x.code for x in r.settle_down() if isinstance(x, CancelRejected)] == ["ORDER_NOT_OPEN", "UNKNOWN_ORDER"]


def test_fill_wins_the_race_against_a_cancel_on_its_way(rig: Factory) -> None:
    r = rig()
    order = r.order(CALL, 10, 300)
    r.settle_down()
    r.cancel(order)  # arrives 100 ns later
    r.quote(CALL, 0.0290, 0.0300, at=r.now + 99)
    heard = r.settle_down()
    assert kinds(heard) == ["OrderFilled", "CancelRejected"]
    assert heard[1].code == "ORDER_NOT_OPEN"


def test_reduce_only_closes_but_never_opens(rig: Factory) -> None:
    r = rig()
    r.order(CALL, 10, 310)
    r.settle_down()
    r.order(CALL, -11, 300, reduce_only=True)
    assert r.settle_down()[0].code == "REDUCE_ONLY"
    resting = r.order(CALL, -10, 330, reduce_only=True)
    r.order(CALL, -1, 340, reduce_only=True)  # the first one has spoken for all of it
    assert kinds(r.settle_down()) == ["OrderAccepted", "OrderRejected"]
    r.order(CALL, -10, 300)  # closed otherwise in the meantime
    r.settle_down()
    r.quote(CALL, 0.0330, 0.0340, at=r.now + 10)
    (heard,) = r.settle_down()
    assert (heard.order_id, heard.reason) == (resting, "venue")


# ---------------------------------------------------------------- margin at the door


def test_premium_beyond_the_cash_is_refused(rig: Factory) -> None:
    # A peer engine bought 45,000 of premium with 1,000 of cash.
    r = rig(deposits={"USDC": Decimal(1_000)})
    r.quote(LINEAR_CALL, 44_980.0, 45_000.0)
    r.index(200_000.0)
    r.order(LINEAR_CALL, 100, 9_000)
    (heard,) = r.settle_down()
    assert (heard.code, r.cash("USDC")) == ("INSUFFICIENT_MARGIN", 1_000 * 10**4)
    assert not r.exchange.account.positions


def test_premium_beyond_the_cash_is_refused_in_slices_too(rig: Factory) -> None:
    r = rig(deposits={"BTC": Decimal("0.1")})
    for _ in range(5):
        r.order(CALL, 10, 250)  # five resting bids of 0.025 BTC premium each
    heard = r.settle_down()
    assert kinds(heard) == ["OrderAccepted"] * 3 + ["OrderRejected"] * 2
    r.quote(CALL, 0.0240, 0.0250, 100.0, at=r.now + 10)
    r.settle_down()
    assert r.cash("BTC") > 0


def test_cancelled_order_gives_its_margin_back(rig: Factory) -> None:
    r = rig(deposits={"BTC": Decimal("0.03")})
    first = r.order(CALL, 10, 250)
    r.order(CALL, 10, 250)
    assert kinds(r.settle_down()) == ["OrderAccepted", "OrderRejected"]
    r.cancel(first)
    r.order(CALL, 10, 250)
    assert kinds(r.settle_down()) == ["OrderCancelled", "OrderAccepted"]


def test_equity_is_not_understated_by_the_premium_paid(rig: Factory) -> None:
    r = rig()
    r.mark(CALL, 0.0305)
    r.order(CALL, 10, 310)
    r.settle_down()
    fee, spread = 0.0003, 0.0310 - 0.0305
    assert r.exchange.collateral.equity("BTC") == pytest.approx(10 - fee - spread, abs=1e-12)
    assert r.exchange.collateral.balance("BTC") == pytest.approx(10 - fee - 0.0310, abs=1e-12)


def test_short_options_lock_margin(rig: Factory) -> None:
    r = rig(deposits={"BTC": Decimal("1.0")})
    r.mark(CALL, 0.0305)
    r.order(CALL, -50, 300)  # five contracts: 5 x (0.15 + 0.0305) = 0.9025 against 1 + 0.15 premium
    assert kinds(r.settle_down()) == ["OrderAccepted", "OrderFilled"]
    need = r.exchange.collateral.requirement("BTC", {CALL: -50})
    assert need == pytest.approx((5 * (0.15 + 0.0305), 5 * (0.075 + 0.0305)))
    r.quote(CALL, 0.0300, 0.0310, at=r.now + 1)
    r.order(CALL, -20, 300)
    (heard,) = r.settle_down()
    assert heard.code == "INSUFFICIENT_MARGIN"
    r.order(CALL, 50, 310)  # buying back is always allowed
    assert fills(r.settle_down()) == [(50, 310, Liquidity.TAKER)]


def test_futures_lock_initial_margin_not_their_notional(rig: Factory) -> None:
    r = rig(deposits={"BTC": Decimal("0.05")})
    r.mark(PERPETUAL, 90_000.0)
    r.order(PERPETUAL, 18_000, 180_001)  # 180,000 USD = 2 BTC: margin 2 x (2 % + 0.01 %), fee 0.001
    assert kinds(r.settle_down()) == ["OrderAccepted", "OrderFilled"]
    r.order(PERPETUAL, 6_000, 180_001)
    assert r.settle_down()[0].code == "INSUFFICIENT_MARGIN"


def test_inverse_round_trip_realises_coin_profit_exactly(rig: Factory) -> None:
    r = rig()
    r.order(PERPETUAL, 9_000, 180_001)
    r.settle_down()
    r.quote(PERPETUAL, 100_000.0, 100_000.5, 1e6, at=r.now + 1)
    r.order(PERPETUAL, -9_000, 200_000)
    r.settle_down()
    bought, sold = Decimal(90_000) / Decimal("90000.5"), Decimal(90_000) / Decimal(100_000)
    fees = sum(x.fee_units for x in r.log if isinstance(x, OrderFilled))
    assert r.cash("BTC") + fees == 10 * 10**8 + round(bought * 10**8) - round(sold * 10**8)


# ------------------------------------------------------------------ latency and state


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), gaps=st.lists(st.integers(0, 50), min_size=1, max_size=30))
def test_jitter_never_lets_a_message_overtake_another(seed: int, gaps: list[int]) -> None:
    config = LatencyConfig(order_ns=10, report_ns=10, order_jitter_ns=40, report_jitter_ns=40)
    latency = Latency(config, random_stream(seed, "latency"))
    sent = np.cumsum(gaps)
    arrived = [latency.arrival_ns(int(t)) for t in sent]
    heard = [latency.report_ns(int(t)) for t in sent]
    for times in (arrived, heard):
        assert times == sorted(times)
        assert all(at >= t + 10 for at, t in zip(times, sent, strict=True))


def test_lost_acknowledgement_does_not_lose_the_fill(rig: Factory) -> None:
    r = rig(latency=LatencyConfig(order_ns=100, report_ns=50, lost_ack_share=1.0))
    order = r.order(CALL, 10, 300)
    assert r.settle_down() == []
    r.quote(CALL, 0.0290, 0.0300, at=r.now + 1_000_000)
    (heard,) = r.settle_down()
    assert isinstance(heard, OrderFilled)
    assert (heard.order_id, heard.lots) == (order, 10)


def test_idle_exchange_has_nothing_due_before_the_next_expiry(rig: Factory) -> None:
    r = rig(quiet=True)
    assert r.exchange.next_time_ns() == NEVER_NS
    r.exchange.advance(T0)
    assert r.exchange.next_time_ns() > T0 + 8 * 24 * NS_PER_HOUR


def random_walk(r: Any, seed: int, steps: int, stop: int | None, pace: int = 1) -> bytes:
    """Random orders, cancels, quotes and prints; reborn in the middle when asked. Returns every report's bytes."""
    rng = random_stream(seed, "walk")
    for step in range(steps):
        if step == stop:
            r.reborn()
        i = int(rng.integers(0, 4))
        tick, mid = (1, 300) if i < 2 else (1, 36_000) if i == 2 else (1, 180_000)
        scale = r.table[i].ticks
        mid += int(rng.integers(-20, 21)) * 5
        at = r.now + int(rng.integers(1, 400)) * pace
        action = rng.random()
        if action < 0.4:
            bid, ask = float(scale.price(mid)), float(scale.price(mid + 5 * tick))
            r.quote(i, bid, ask, float(rng.integers(1, 9)) * float(r.table[i].lot) * 3, at=at)
        elif action < 0.5:
            r.print_trade(i, float(scale.price(mid)), float(rng.integers(1, 9)), at=at)
        elif action < 0.6:
            r.cancel(int(rng.integers(1, max(r.next_id, 2))))
        else:
            tif = list(TimeInForce)[int(rng.integers(0, 3))]
            r.order(i, int(rng.choice([-1, 1])) * int(rng.integers(1, 60)), mid, tif=tif)
    r.run(r.now + 10 * 24 * NS_PER_HOUR)
    return msgspec.json.encode(r.log)


@pytest.mark.parametrize("seed", range(4))
def test_restored_exchange_goes_on_bit_for_bit(rig: Factory, seed: int) -> None:
    second = 10**9
    jitter = LatencyConfig(50 * second, 20 * second, 40 * second, 40 * second, lost_ack_share=0.2)
    options: dict[str, Any] = {"latency": jitter, "margin_check_ns": 3_600 * second, "deposits": {"BTC": Decimal(3)}}
    whole = rig(**options)
    straight = random_walk(whole, seed, 150, None, second)
    assert whole.log
    for stop in (1, 40, 90, 149):
        again = rig(**options)
        assert random_walk(again, seed, 150, stop, second) == straight
        assert again.exchange.account.cash == whole.exchange.account.cash


def test_state_is_plain_data(rig: Factory) -> None:
    r = rig()
    r.order(CALL, 10, 300)
    r.settle_down()
    r.order(PUT, 10, 300)
    r.order(PUT, 10, 300)
    r.exchange.advance(T0 + r.now + 100)

    def check(value: object) -> None:
        if isinstance(value, dict):
            for key, part in value.items():
                assert isinstance(key, str)
                check(part)
        elif isinstance(value, (list, tuple)):
            for part in value:
                check(part)
        else:
            assert value is None or isinstance(value, (int, float, str, bool, np.ndarray)), value

    check(r.exchange.state())


@pytest.mark.parametrize("seed", range(10, 16))
def test_every_order_is_answered_once_and_never_overfilled(rig: Factory, seed: int) -> None:
    r = rig(deposits={"BTC": Decimal(30)})
    sent: dict[int, int] = {}
    submit = r.order

    def order(instrument: int, lots: int, ticks: int = 0, **terms: Any) -> int:
        number: int = submit(instrument, lots, ticks, **terms)
        sent[number] = lots
        return number

    r.order = order
    random_walk(r, seed, 150, None)
    for cancel in list(r.exchange.book.open):
        r.cancel(cancel)
    r.settle_down()
    filled = dict.fromkeys(sent, 0)
    ended = dict.fromkeys(sent, 0)
    for report in r.log:
        if isinstance(report, OrderFilled):
            assert report.lots * sent[report.order_id] > 0
            filled[report.order_id] += report.lots
        elif isinstance(report, (OrderCancelled, OrderRejected)):
            ended[report.order_id] += 1
    for number, lots in sent.items():
        assert abs(filled[number]) <= abs(lots)
        assert ended[number] == (0 if filled[number] == lots else 1)
    accepted = [x.order_id for x in r.log if isinstance(x, OrderAccepted)]
    assert len(accepted) == len(set(accepted))


@pytest.mark.parametrize(
    ("settings_of", "text"),
    [
        ({"liquidation_share": 0.0}, "liquidation_share=0.0"),
        ({"quote_ttl_ns": 0}, "quote_ttl_ns=0"),
        ({"assumed_size": Decimal(0)}, "assumed_size=0"),
    ],
)
def test_bad_settings_are_named(settings_of: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        ExchangeConfig(deposits={}, **settings_of)


def test_bad_latency_is_named() -> None:
    with pytest.raises(InputError, match="latency=-1 ns is negative"):
        LatencyConfig(order_ns=-1)
    with pytest.raises(InputError, match="lost_ack_share=2"):
        LatencyConfig(lost_ack_share=2.0)

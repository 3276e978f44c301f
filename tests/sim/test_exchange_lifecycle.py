"""What happens without an order: expiry, delivery price, funding, margin calls, liquidation."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest

from voldesk.core.reports import (
    FundingApplied,
    InstrumentSettled,
    MarginCalled,
    OrderCancelled,
    OrderRejected,
    PositionTaken,
)
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from voldesk.instruments.deribit import parse
from voldesk.sim.lifecycle import LifecycleConfig

T0 = 1_767_225_600_000_000_000
CALL, PUT, FUTURE, PERPETUAL, LINEAR_CALL, LINEAR_PERPETUAL = range(6)
EXPIRY = 8 * NS_PER_DAY + 8 * NS_PER_HOUR
Factory = Callable[..., Any]


def of(kind: type, reports: list[Any]) -> list[Any]:
    return [r for r in reports if isinstance(r, kind)]


def held_to_expiry(rig: Factory, instrument: int, lots: int, ticks: int, **settings: Any) -> Any:
    r = rig(**settings)
    r.order(instrument, lots, ticks)
    r.settle_down()
    assert r.exchange.account.positions == {instrument: lots}
    return r


def walk_index(r: Any) -> None:
    """95,000 until 07:45, then 97,000: over the half hour to 08:00 the two have equal weight."""
    r.run(EXPIRY - NS_PER_HOUR)
    r.index(95_000.0)
    r.run(EXPIRY - 15 * NS_PER_MINUTE)
    r.index(97_000.0)


def test_delivery_price_is_the_average_of_the_last_half_hour(rig: Factory) -> None:
    # A peer engine delivered at the last index, and charged no delivery fee.
    r = held_to_expiry(rig, CALL, 10, 310)
    before = r.cash("BTC")
    walk_index(r)
    (settled,) = of(InstrumentSettled, r.run(EXPIRY + NS_PER_SECOND))
    # Readings each minute, 07:31 to 08:00: 15 at 95,000 (07:45 still) and 15 at 97,000.
    assert (settled.delivery_price, settled.fee_rate) == ("96000.00", "3/20000")
    assert settled.ts_event_ns == T0 + EXPIRY
    worth = Fraction(96_000 - 90_000, 96_000)  # of one coin's option
    fee = Fraction("0.00015")
    assert r.cash("BTC") - before == round(worth * 10**8) - round(fee * 10**8)
    assert not r.exchange.account.positions


def test_expiry_payoff_is_not_rounded_to_the_price_tick(rig: Factory) -> None:
    # 7,000/97,000 = 0.07216495 BTC; on the option's grid of 0.0005 it would be 0.0720.
    life = LifecycleConfig(delivery_prices={"BTC": {T0 + EXPIRY: "97000"}})
    r = held_to_expiry(rig, CALL, 10, 310, lifecycle=life)
    before = r.cash("BTC")
    r.run(EXPIRY + NS_PER_SECOND)
    assert r.cash("BTC") - before == 7_216_495 - 15_000


def test_given_delivery_price_replaces_the_average(rig: Factory) -> None:
    life = LifecycleConfig(delivery_prices={"BTC": {T0 + EXPIRY: "60000.5"}})
    r = held_to_expiry(rig, PUT, -10, 290, lifecycle=life)
    r.index(95_000.0)
    (settled,) = of(InstrumentSettled, r.run(EXPIRY + NS_PER_SECOND))
    assert settled.delivery_price == "60000.5"


def test_worthless_option_settles_at_nothing_without_a_fee(rig: Factory) -> None:
    r = held_to_expiry(rig, PUT, 10, 300)
    before = r.cash("BTC")
    walk_index(r)
    assert of(InstrumentSettled, r.run(EXPIRY + NS_PER_SECOND))
    assert r.cash("BTC") == before


def test_inverse_future_settles_against_its_entry_price(rig: Factory) -> None:
    r = held_to_expiry(rig, FUTURE, 9_000, 36_001)
    life = Fraction(90_000) / Fraction("90002.5") - Fraction(90_000, 96_000)
    walk_index(r)
    r.run(EXPIRY + NS_PER_SECOND)
    trade_fee = Fraction(90_000) / Fraction("90002.5") * Fraction("0.0005")
    delivery = Fraction(90_000, 96_000) * Fraction("0.00025")
    assert abs(r.cash("BTC") - (10 + life - trade_fee - delivery) * 10**8) <= 2


def test_linear_contracts_settle_at_their_own_index(rig: Factory) -> None:
    r = held_to_expiry(rig, LINEAR_CALL, 100, 556)
    r.run(EXPIRY - NS_PER_HOUR)
    r.index(95_000.0)
    r.index(91_234.56, instruments=(LINEAR_CALL, LINEAR_PERPETUAL))
    before = r.cash("USDC")
    (settled,) = of(InstrumentSettled, r.run(EXPIRY + NS_PER_SECOND))
    assert settled.delivery_price == "91234.56"
    assert r.cash("USDC") - before == 12_345_600 - round(Fraction("91234.56") * Fraction("0.00015") * 10**4)


def test_open_orders_end_at_expiry_and_later_ones_are_refused(rig: Factory) -> None:
    r = rig()
    order = r.order(CALL, 10, 250)
    r.settle_down()
    r.order(CALL, 10, 310, tif=r_ioc())
    heard = r.run(EXPIRY + NS_PER_SECOND)
    (ended,) = [x for x in of(OrderCancelled, heard) if x.reason == "expiry"]
    assert (ended.order_id, ended.ts_event_ns) == (order, T0 + EXPIRY)
    assert math.isnan(r.watches.level_buy[CALL])
    r.order(CALL, 10, 310)
    (refused,) = of(OrderRejected, r.settle_down())
    assert refused.code == "INSTRUMENT_EXPIRED"


def r_ioc() -> Any:
    from voldesk.core.orders import TimeInForce

    return TimeInForce.IOC


def test_settlement_is_reported_also_where_books_hold_against_each_other(rig: Factory) -> None:
    r = held_to_expiry(rig, CALL, 10, 310)
    r.order(CALL, -10, 300)
    r.settle_down()
    assert r.exchange.account.positions == {CALL: 0}
    before = r.cash("BTC")
    walk_index(r)
    assert [x.instrument for x in of(InstrumentSettled, r.run(EXPIRY + NS_PER_SECOND))] == [CALL]
    assert r.cash("BTC") == before


def test_expiry_without_any_index_waits_for_the_first_reading(rig: Factory) -> None:
    r = rig(quiet=True)
    r.quote(CALL, 0.0300, 0.0310)
    r.order(CALL, 10, 310)
    r.settle_down()
    assert not of(InstrumentSettled, r.run(EXPIRY + NS_PER_HOUR))
    assert r.exchange.account.positions == {CALL: 10}
    r.index(91_000.0)
    (settled,) = of(InstrumentSettled, r.run(EXPIRY + 2 * NS_PER_HOUR))
    assert settled.delivery_price == "91000.00"


def test_instrument_listed_later_expires_too(rig: Factory) -> None:
    r = rig()
    r.run(NS_PER_HOUR)
    late = r.table.add(parse("BTC-2JAN26-90000-C"))
    r.quote(late, 0.0100, 0.0105)
    r.order(late, 10, 105)
    heard = r.run(2 * NS_PER_DAY)
    assert [x.instrument for x in of(InstrumentSettled, heard)] == [late]


# --------------------------------------------------------------------------- funding


def test_longs_pay_positive_funding_on_inverse_and_linear_perpetuals(rig: Factory) -> None:
    r = rig()
    r.mark(PERPETUAL, 90_000.0)
    r.mark(LINEAR_PERPETUAL, 90_000.0)
    r.order(PERPETUAL, 9_000, 180_001)  # 90,000 USD: one coin at the mark
    r.order(LINEAR_PERPETUAL, -10_000, 900_000)  # short one coin
    r.settle_down()
    coin, cash = r.cash("BTC"), r.cash("USDC")
    heard = of(FundingApplied, r.run(8 * NS_PER_HOUR + NS_PER_SECOND))
    assert [(x.instrument, x.rate, x.mark_price) for x in heard] == [
        (PERPETUAL, "0.0001", "90000.0"),
        (LINEAR_PERPETUAL, "0.0001", "90000.0"),
    ]
    assert {x.ts_event_ns for x in heard} == {T0 + 8 * NS_PER_HOUR}
    assert r.cash("BTC") - coin == -10_000
    assert r.cash("USDC") - cash == 90_000


def test_funding_rate_can_be_given_per_symbol_and_recurs(rig: Factory) -> None:
    life = LifecycleConfig(funding_by_symbol={"BTC-PERPETUAL": "-0.00025"})
    r = rig(lifecycle=life)
    r.mark(PERPETUAL, 90_000.0)
    r.order(PERPETUAL, 9_000, 180_001)
    r.settle_down()
    before = r.cash("BTC")
    assert len(of(FundingApplied, r.run(NS_PER_DAY + NS_PER_SECOND))) == 3
    assert r.cash("BTC") - before == 3 * 25_000


def test_nobody_is_charged_funding_who_never_traded_a_perpetual(rig: Factory) -> None:
    r = held_to_expiry(rig, CALL, 10, 310)
    assert not of(FundingApplied, r.run(3 * NS_PER_DAY))


# ------------------------------------------------------------------------ liquidation


def short_call(rig: Factory, **settings: Any) -> Any:
    defaults: dict[str, Any] = {"deposits": {"BTC": Decimal("1.0")}, "margin_check_ns": NS_PER_MINUTE}
    r = rig(**{**defaults, **settings})
    r.mark(CALL, 0.0305)
    r.order(CALL, -50, 300)
    r.settle_down()
    return r


def test_account_above_maintenance_is_left_alone(rig: Factory) -> None:
    r = short_call(rig)
    assert not of(MarginCalled, r.run(NS_PER_HOUR))


def test_account_below_maintenance_is_called_and_closed_in_steps(rig: Factory) -> None:
    r = short_call(rig)
    order = r.order(PUT, 10, 100)
    r.run(NS_PER_MINUTE - 1)
    # 1 + 0.15 premium less fee against 5 x (0.075 + 0.17) = 1.225 of maintenance.
    r.mark(CALL, 0.17)
    r.quote(CALL, 0.1690, 0.1700, 50.0, at=r.now)
    heard = r.run(10 * NS_PER_MINUTE)
    (call,) = of(MarginCalled, heard)
    assert (call.currency, call.liquidating) == ("BTC", True)
    assert call.equity_units == pytest.approx((1 + 0.15 - 5 * 0.0003) * 1e8)
    assert call.maintenance_units == pytest.approx(5 * (0.075 + 0.17) * 1e8)
    assert [(x.order_id, x.reason) for x in of(OrderCancelled, heard)] == [(order, "margin_call")]
    taken = of(PositionTaken, heard)
    # A quarter of 50 lots, rounded up: 1.15 - 0.0015 - 1.3 x 0.17 - fee against 3.7 x 0.245 is enough at once.
    assert [(x.lots, x.price_ticks) for x in taken] == [(13, 1700)]
    assert taken[0].fee_units == round(1.3 * 0.0003 * 1e8)
    assert r.exchange.account.positions == {CALL: -37}
    below, balance, maintenance = r.exchange.collateral.is_below_maintenance("BTC")
    assert not below
    assert balance > maintenance


def test_liquidation_goes_on_until_the_account_stands_or_nothing_is_left(rig: Factory) -> None:
    r = short_call(rig)
    r.mark(CALL, 0.5)
    r.quote(CALL, 0.49, 0.5, 50.0, at=r.now)
    heard = r.run(10 * NS_PER_MINUTE)
    taken = of(PositionTaken, heard)
    assert sum(x.lots for x in taken) == 50
    assert len(of(MarginCalled, heard)) == 1
    times = [x.ts_event_ns for x in taken]
    assert all(b - a == NS_PER_SECOND for a, b in pairwise(times))
    assert r.exchange.account.positions == {CALL: 0}
    assert not of(PositionTaken, r.run(r.now + NS_PER_HOUR))


def test_liquidation_waits_for_a_quote_without_spinning(rig: Factory) -> None:
    r = short_call(rig)
    r.mark(CALL, 0.5)
    r.quote(CALL, 0.49, math.nan, at=r.now)
    heard = r.run(NS_PER_HOUR)
    assert len(of(MarginCalled, heard)) == 1
    assert not of(PositionTaken, heard)
    assert r.exchange.next_time_ns() == T0 + NS_PER_HOUR + NS_PER_MINUTE
    r.quote(CALL, 0.49, 0.5, 50.0, at=r.now)
    assert of(PositionTaken, r.run(2 * NS_PER_HOUR))


def test_portfolio_margin_admits_a_spread_that_standard_margin_refuses(rig: Factory) -> None:
    def legs(margin: str) -> list[str]:
        far = parse("BTC-9JAN26-92000-C")
        r = rig(extra=(far,), margin=margin, deposits={"BTC": Decimal("0.2")})
        other = len(r.table) - 1
        r.index(90_000.0)
        r.quote(other, 0.0200, 0.0210)
        r.mark(CALL, 0.0305)
        r.mark(other, 0.0205)
        r.order(CALL, 20, 310)
        r.order(other, -20, 200)
        return [type(x).__name__ for x in r.settle_down()]

    assert legs("deribit_standard")[-1] == "OrderRejected"
    assert legs("deribit_portfolio")[-1] == "OrderFilled"

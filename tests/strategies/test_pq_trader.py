import json
import math

import pytest

from voldesk.core.errors import InputError
from voldesk.core.orders import Purpose
from voldesk.core.reports import Liquidity, OrderFilled
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE
from voldesk.strategies.pq_trader import PqParams, PqTrader


def _trader(**changes) -> PqTrader:  # type: ignore[no-untyped-def]
    return PqTrader(PqParams(underlying="BTC", **changes))


def _look(bench, trader, forecast_vol: float, implied_vol: float):  # type: ignore[no-untyped-def]
    """One snapshot as the desk lives it: quotes, forecast, surface."""
    bench.quote_all(implied_vol)
    bench.forecast(forecast_vol)
    return trader.on_surface(bench.ctx, bench.surface(implied_vol))


def _filled(bench, trader, intents) -> None:  # type: ignore[no-untyped-def]
    bench.fill(intents)
    now = bench.ctx.now_ns
    for leg in intents[0].legs:
        trader.on_fill(bench.ctx, OrderFilled(now, now, 1, 1, leg.instrument, leg.lots, 100, Liquidity.TAKER, 0, "BTC"))


def _filled_if_any(bench, trader, intents) -> None:  # type: ignore[no-untyped-def]
    if intents:
        _filled(bench, trader, intents)


def _wait(bench, ns: int) -> None:  # type: ignore[no-untyped-def]
    bench.at(bench.ctx.now_ns + ns)


def test_it_buys_the_straddle_when_the_forecast_exceeds_implied_by_the_threshold(bench) -> None:  # type: ignore[no-untyped-def]
    trader = _trader(lots=7, max_position_lots=7)
    (intent,) = _look(bench, trader, 0.60, 0.50)
    assert [(bench.table[leg.instrument].symbol, leg.lots) for leg in intent.legs] == [
        ("BTC-27MAR26-80000-C", 7),
        ("BTC-27MAR26-80000-P", 7),
    ]
    assert (intent.purpose, intent.reduce_only) == (Purpose.OPEN, False)
    assert intent.reason == (
        "open_long p_vol=0.5000 q_vol=0.6000 spread=+0.1000 tenor_days=14.00 strike=80000 forward=80300.00"
    )
    assert trader.spread == pytest.approx(0.10, abs=1e-12)


def test_it_sells_below_the_negative_threshold_and_only_if_allowed(bench) -> None:  # type: ignore[no-untyped-def]
    (intent,) = _look(bench, _trader(), 0.40, 0.50)
    assert [leg.lots for leg in intent.legs] == [-10, -10]
    shy = _trader(allow_short=False)
    assert _look(bench, shy, 0.40, 0.50) == ()
    assert shy.note == "wrong side"


@pytest.mark.parametrize("spread", [-0.0499, 0.0, 0.0499])
def test_inside_the_threshold_it_stays_out(bench, spread: float) -> None:  # type: ignore[no-untyped-def]
    trader = _trader()
    assert _look(bench, trader, 0.50 + spread, 0.50) == ()
    assert trader.note == "spread inside the threshold"


def test_the_forecast_is_matched_to_the_life_of_the_expiry(bench) -> None:  # type: ignore[no-untyped-def]
    trader = _trader()
    made = bench.forecast(0.5)
    path = (0.9,) * 7 + (0.5,) * 53
    bench.view.forecasts["BTC"] = type(made)("BTC", "har", made.made_ns, made.horizon_ns, 0.5, path)
    trader.on_surface(bench.ctx, bench.surface(0.5))
    assert trader.forecast_vol == pytest.approx(math.sqrt((7 * 0.81 + 7 * 0.25) / 14.0), rel=1e-12)


def test_it_holds_until_the_spread_is_gone_then_closes_reduce_only(bench) -> None:  # type: ignore[no-untyped-def]
    trader = _trader(exit_threshold=0.01)
    opened = _look(bench, trader, 0.60, 0.50)
    _filled(bench, trader, opened)
    _wait(bench, 12 * NS_PER_HOUR)
    assert _look(bench, trader, 0.60, 0.57) == ()  # inside the entry threshold, outside the exit one
    assert trader.note == "holding"
    (closing,) = _look(bench, trader, 0.60, 0.595)
    assert (closing.purpose, closing.reduce_only) == (Purpose.CLOSE, True)
    assert [(leg.instrument, leg.lots) for leg in closing.legs] == [
        (leg.instrument, -leg.lots) for leg in opened[0].legs
    ]
    assert closing.reason.startswith("close_exit p_vol=0.5950 q_vol=0.6000 spread=+0.0050 tenor_days=13.50")


def test_an_exit_waits_for_the_holding_time(bench) -> None:  # type: ignore[no-untyped-def]
    trader = _trader(min_holding_ns=6 * NS_PER_HOUR)
    _filled(bench, trader, _look(bench, trader, 0.60, 0.50))
    _wait(bench, 5 * NS_PER_HOUR)
    assert _look(bench, trader, 0.50, 0.55) == ()
    assert trader.note == "exit signal inside min_holding"
    _wait(bench, 2 * NS_PER_HOUR)
    assert _look(bench, trader, 0.50, 0.55)[0].purpose is Purpose.CLOSE


def test_it_closes_before_expiry_even_without_surface_or_forecast(bench) -> None:  # type: ignore[no-untyped-def]
    trader = _trader(close_before_expiry_ns=NS_PER_DAY)
    _filled(bench, trader, _look(bench, trader, 0.60, 0.50))
    bench.view.surfaces.clear()
    _wait(bench, 12 * NS_PER_DAY)
    bench.quote_all(0.50)
    assert trader.on_snapshot(bench.ctx) == ()
    _wait(bench, NS_PER_DAY)
    bench.quote_all(0.50)
    (closing,) = trader.on_snapshot(bench.ctx)
    assert (closing.purpose, closing.reduce_only) == (Purpose.CLOSE, True)
    assert closing.reason.startswith("close_expiry")
    assert [leg.lots for leg in closing.legs] == [-10, -10]


def test_near_expiry_it_closes_the_leg_that_can_be_closed(bench) -> None:  # type: ignore[no-untyped-def]
    trader = _trader()
    opened = _look(bench, trader, 0.60, 0.50)
    _filled(bench, trader, opened)
    _wait(bench, int(13.5 * NS_PER_DAY))
    bench.quote_all(0.50)
    bench.quote(opened[0].legs[1].instrument, math.nan, 0.0001)
    (closing,) = trader.on_snapshot(bench.ctx)
    assert [leg.instrument for leg in closing.legs] == [opened[0].legs[0].instrument]


def test_a_lone_leg_is_closed_after_its_grace(bench) -> None:  # type: ignore[no-untyped-def]
    trader = _trader(leg_grace_ns=NS_PER_MINUTE)
    (intent,) = _look(bench, trader, 0.60, 0.50)
    call, put = (leg.instrument for leg in intent.legs)
    _filled(bench, trader, (intent,))
    bench.book.lots_held = {call: 10, put: 4}
    assert trader.on_snapshot(bench.ctx) == ()
    _wait(bench, NS_PER_MINUTE)
    (closing,) = trader.on_snapshot(bench.ctx)
    assert [(leg.instrument, leg.lots) for leg in closing.legs] == [(call, -6)]
    assert closing.reason.startswith("close_odd_leg")


def test_while_its_orders_work_it_asks_for_nothing(bench) -> None:  # type: ignore[no-untyped-def]
    trader = _trader(max_position_lots=30)
    (intent,) = _look(bench, trader, 0.60, 0.50)
    bench.book.working = {intent.legs[1].instrument: 10}
    _wait(bench, NS_PER_HOUR)
    assert _look(bench, trader, 0.60, 0.50) == ()
    assert trader.note == "orders still working"


def test_it_adds_on_a_standing_signal_up_to_its_limit(bench) -> None:  # type: ignore[no-untyped-def]
    trader = _trader(lots=10, max_position_lots=20)
    for _ in range(2):
        intents = _look(bench, trader, 0.60, 0.50)
        assert len(intents) == 1
        _filled(bench, trader, intents)
        assert _look(bench, trader, 0.60, 0.50) == ()
        _wait(bench, NS_PER_HOUR)
    assert _look(bench, trader, 0.60, 0.50) == ()
    assert set(bench.book.lots_held.values()) == {20}


def test_its_limit_counts_the_straddles_of_every_strike(bench) -> None:  # type: ignore[no-untyped-def]
    trader = _trader(lots=10, max_position_lots=20)
    for forward in (80_300.0, 82_100.0, 84_050.0):
        bench.quote_all(0.50, forward)
        bench.forecast(0.60)
        _filled_if_any(bench, trader, trader.on_surface(bench.ctx, bench.surface(0.50, forward=forward)))
        _wait(bench, NS_PER_HOUR)
    held = {bench.table[i].symbol: lots for i, lots in bench.book.positions().items()}
    assert held == {f"BTC-27MAR26-{strike}-{right}": 10 for strike in (80_000, 82_000) for right in "CP"}
    assert trader.note == "holding"


def test_a_refused_order_is_not_asked_for_again_at_once(bench) -> None:  # type: ignore[no-untyped-def]
    trader = _trader(min_entry_gap_ns=5 * NS_PER_MINUTE)
    assert _look(bench, trader, 0.60, 0.50)
    _wait(bench, NS_PER_MINUTE)
    assert _look(bench, trader, 0.60, 0.50) == ()
    _wait(bench, 4 * NS_PER_MINUTE)
    assert _look(bench, trader, 0.60, 0.50)


def test_it_trades_on_nothing_that_is_missing_or_old(bench) -> None:  # type: ignore[no-untyped-def]
    trader = _trader()
    surface = bench.surface(0.50)
    assert trader.on_surface(bench.ctx, surface) == ()
    assert trader.note == "no fresh forecast"
    made = bench.forecast(0.9, status="stale: last price 3.0 days old")
    assert trader.on_forecast(bench.ctx, made) == ()
    assert trader.note == "no forecast: stale: last price 3.0 days old"
    assert math.isnan(trader.spread)
    assert trader.on_forecast(bench.ctx, bench.forecast(0.9, days=10)) == ()
    assert trader.note == "the forecast does not reach the expiry"
    bench.forecast(0.9)
    _wait(bench, NS_PER_HOUR)
    bench.quote_all(0.5)
    assert trader.on_surface(bench.ctx, surface) == ()
    assert trader.note == "no fresh surface"


def test_other_underlyings_do_not_wake_it(bench) -> None:  # type: ignore[no-untyped-def]
    trader = PqTrader(PqParams(underlying="ETH"))
    assert _look(bench, trader, 0.90, 0.50) == ()
    assert trader.note == "nothing seen yet"


def test_a_restarted_trader_goes_on_as_if_nothing_had_happened(bench) -> None:  # type: ignore[no-untyped-def]
    first, second = _trader(), _trader()
    _filled(bench, first, _look(bench, first, 0.60, 0.50))
    second.restore(json.loads(json.dumps(first.state())))
    for hours, implied_vol in ((1, 0.55), (5, 0.62), (1, 0.62)):
        _wait(bench, hours * NS_PER_HOUR)
        a = _look(bench, first, 0.60, implied_vol)
        b = _look(bench, second, 0.60, implied_vol)
        assert [i.legs for i in a] == [i.legs for i in b]
        assert first.state() == second.state()


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"threshold": 5.0}, "looks like vol points"),
        ({"exit_threshold": 0.2}, "at most the threshold"),
        ({"lots": 0}, "at least 1"),
        ({"lots": 5, "max_position_lots": 4}, "at least lots"),
        ({"tenor_days": 50.0}, "rising days"),
        ({"close_before_expiry_ns": 20 * NS_PER_DAY}, "less than min_tenor_days"),
    ],
)
def test_absurd_parameters_are_refused_in_one_line(bad, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=says) as caught:
        _trader(**bad)
    assert "\n" not in str(caught.value)

import math
import timeit
from itertools import pairwise

import pytest

from voldesk.core.errors import InputError
from voldesk.core.orders import Purpose
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND
from voldesk.hedging.delta import HedgeTo
from voldesk.strategies.delta_hedger import DeltaHedger, DeltaHedgerParams


def _hedger(bench, **changes) -> DeltaHedger:  # type: ignore[no-untyped-def]
    hedger = DeltaHedger(DeltaHedgerParams(underlying="BTC", **changes))
    hedger.subscriptions(bench.table)
    return hedger


def test_it_asks_to_be_woken_by_the_clock_and_by_snapshots(bench) -> None:  # type: ignore[no-untyped-def]
    wanted = DeltaHedger(DeltaHedgerParams(underlying="BTC")).subscriptions(bench.table)
    assert (wanted.timer_ns, wanted.snapshots, wanted.quotes) == (60 * NS_PER_SECOND, True, ())


def test_outside_the_band_it_sells_the_perpetual_down_to_the_edge(bench) -> None:  # type: ignore[no-untyped-def]
    hedger = _hedger(bench, band=0.05)
    bench.book.delta = 0.25
    (intent,) = hedger.on_timer(bench.ctx)
    assert intent.purpose is Purpose.HEDGE
    # 0.20 BTC at 80,300 USD in contracts of 10 USD: 1606.
    assert [(leg.instrument, leg.lots) for leg in intent.legs] == [(bench.perpetual, -1606)]
    assert intent.reason == "hedge delta=+0.2500 target=+0.0000 band=0.0500 after=+0.0500"


def test_to_the_target_means_all_the_way(bench) -> None:  # type: ignore[no-untyped-def]
    hedger = _hedger(bench, target=-0.1, hedge_to=HedgeTo.TARGET)
    bench.book.delta = 0.1
    (intent,) = hedger.on_timer(bench.ctx)
    assert intent.legs[0].lots == -1606


@pytest.mark.parametrize("delta", [-0.05, 0.0, 0.05])
def test_inside_the_band_it_does_nothing(bench, delta: float) -> None:  # type: ignore[no-untyped-def]
    hedger = _hedger(bench)
    bench.book.delta = delta
    assert hedger.on_timer(bench.ctx) == ()
    assert hedger.leg.hedges == 0


def test_a_hedge_smaller_than_the_smallest_waits_until_it_is_worth_an_order(bench) -> None:  # type: ignore[no-untyped-def]
    hedger = _hedger(bench, band=0.05, min_hedge=0.01)
    bench.book.delta = 0.0599
    assert hedger.on_timer(bench.ctx) == ()
    assert (hedger.leg.note, hedger.leg.hedges) == ("less than the smallest hedge", 0)
    bench.book.delta = 0.0602
    (intent,) = hedger.on_timer(bench.ctx)
    assert intent.legs[0].lots == -82  # 0.0102 BTC at 80,300 USD in contracts of 10 USD, rounded into the band


def test_only_one_hedge_is_in_flight(bench) -> None:  # type: ignore[no-untyped-def]
    hedger = _hedger(bench)
    bench.book.delta = 1.0
    bench.book.working = {bench.perpetual: -100}
    assert hedger.on_snapshot(bench.ctx) == ()
    assert hedger.leg.note == "hedge in flight"
    bench.book.working = {}
    assert hedger.on_snapshot(bench.ctx)


def test_it_waits_a_while_for_the_other_legs_of_a_trade(bench) -> None:  # type: ignore[no-untyped-def]
    hedger = _hedger(bench, leg_grace_ns=30 * NS_PER_SECOND)
    bench.book.delta = 1.0
    bench.book.working = {bench.id("BTC-27MAR26-80000-P"): 10}
    assert hedger.on_timer(bench.ctx) == ()
    assert hedger.leg.note == "other legs working"
    bench.at(bench.ctx.now_ns + 30 * NS_PER_SECOND)
    assert hedger.on_timer(bench.ctx)


def test_every_trade_has_its_own_while(bench) -> None:  # type: ignore[no-untyped-def]
    hedger = _hedger(bench, leg_grace_ns=30 * NS_PER_SECOND)
    other_leg = bench.id("BTC-27MAR26-80000-P")
    for _ in range(2):  # the second trade must not count from the first one's beginning
        bench.book.delta, bench.book.working = 1.0, {other_leg: 10}
        assert hedger.on_fill(bench.ctx, None) == ()
        bench.book.delta, bench.book.working = 0.0, {}  # the other leg has filled: nothing is left to hedge
        assert hedger.on_fill(bench.ctx, None) == ()
        bench.at(bench.ctx.now_ns + 10 * NS_PER_MINUTE)
        bench.quote_all(0.50)


def test_no_hour_holds_more_than_twenty_hedges_nor_a_minute_two(bench) -> None:  # type: ignore[no-untyped-def]
    hedger = _hedger(bench)
    bench.book.delta = 1.0
    start, made = bench.ctx.now_ns, []
    for second in range(0, 2 * 3600, 10):
        bench.at(start + second * NS_PER_SECOND)
        bench.quote(bench.perpetual, 80_000.0, 80_001.0)
        if hedger.on_timer(bench.ctx):
            made.append(second)
    assert min(b - a for a, b in pairwise(made)) == 60
    assert [sum(t <= s < t + 3600 for s in made) for t in made[:3]] == [20, 20, 20]
    assert len(made) == 40
    assert sum(count for _, count in hedger.leg.hedges_by_day()) == hedger.leg.hedges == 40


@pytest.mark.parametrize(("bid", "ask"), [(math.nan, 80_000.0), (80_000.0, math.nan), (80_001.0, 80_000.0)])
def test_without_a_sound_quote_there_is_no_hedge(bench, bid: float, ask: float) -> None:  # type: ignore[no-untyped-def]
    hedger = _hedger(bench)
    bench.book.delta = 1.0
    bench.quote(bench.perpetual, bid, ask)
    assert hedger.on_timer(bench.ctx) == ()
    assert hedger.leg.note == "no fresh two-sided hedge quote"


def test_a_stale_quote_or_an_unknown_delta_stops_it_and_uses_up_nothing(bench) -> None:  # type: ignore[no-untyped-def]
    hedger = _hedger(bench)
    bench.book.delta = math.nan
    assert hedger.on_timer(bench.ctx) == ()
    assert hedger.leg.note == "net delta unknown"
    bench.book.delta = 1.0
    bench.at(bench.ctx.now_ns + NS_PER_HOUR)
    assert hedger.on_timer(bench.ctx) == ()
    bench.quote(bench.perpetual, 80_000.0, 80_001.0)
    assert hedger.on_timer(bench.ctx)


def test_a_restored_hedger_keeps_its_spacing_and_its_counts(bench) -> None:  # type: ignore[no-untyped-def]
    first, second = _hedger(bench), _hedger(bench)
    bench.book.delta = 1.0
    assert first.on_timer(bench.ctx)
    second.restore(first.state())
    assert second.leg.hedges_by_day() == [(bench.ctx.now_ns // NS_PER_DAY, 1)]
    bench.at(bench.ctx.now_ns + 59 * NS_PER_SECOND)
    assert second.on_timer(bench.ctx) == ()
    bench.at(bench.ctx.now_ns + NS_PER_MINUTE)
    assert second.on_timer(bench.ctx)


def test_the_hedge_instrument_is_named_or_the_only_perpetual(bench) -> None:  # type: ignore[no-untyped-def]
    assert _hedger(bench, hedge_instrument="BTC-PERPETUAL").leg.instrument == bench.perpetual
    with pytest.raises(InputError, match="is not listed"):
        _hedger(bench, hedge_instrument="BTC-PERPETUALS")
    with pytest.raises(InputError, match="is an option"):
        _hedger(bench, hedge_instrument="BTC-27MAR26-80000-P")
    with pytest.raises(InputError, match="perpetuals on ETH: none"):
        DeltaHedger(DeltaHedgerParams(underlying="ETH")).subscriptions(bench.table)
    with pytest.raises(InputError, match="band=-1"):
        _hedger(bench, band=-1.0)


def test_a_look_that_finds_nothing_to_do_is_cheap(bench) -> None:  # type: ignore[no-untyped-def]
    hedger = _hedger(bench)
    bench.book.delta = 0.01
    best = min(timeit.repeat(lambda: hedger.on_timer(bench.ctx), number=1000, repeat=7)) / 1000
    assert best < 10e-6  # about 0.3 microseconds; the engine asks every simulated second

import math
import timeit

import numpy as np
import pytest

from voldesk.core.errors import InputError
from voldesk.core.reports import Liquidity, OrderFilled
from voldesk.core.rng import random_stream
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_SECOND, NS_PER_YEAR
from voldesk.hedging.bands import BandRule, whalley_wilmott, zakamouline
from voldesk.market.state import Field
from voldesk.pricing import black
from voldesk.strategies.gamma_scalper import GammaScalper, GammaScalperParams

FORWARD = 80_300.0


def _scalper(bench, **changes) -> GammaScalper:  # type: ignore[no-untyped-def]
    scalper = GammaScalper(GammaScalperParams(underlying="BTC", **changes))
    scalper.subscriptions(bench.table)
    return scalper


def _straddle(bench, lots: int = 10) -> None:  # type: ignore[no-untyped-def]
    for right in "CP":
        bench.book.lots_held[bench.id(f"BTC-27MAR26-80000-{right}")] = lots


def _black(forward: float, tau: float, sigma: float = 0.5):  # type: ignore[no-untyped-def]
    """Greeks of one straddle of one BTC."""
    both = black.greeks(forward, 80_000.0, tau, sigma, 1.0, np.array([True, False]))
    return float(both.gamma.sum()), float(both.theta.sum())


def test_the_band_is_whalley_wilmott_on_the_gamma_of_the_book(bench) -> None:  # type: ignore[no-untyped-def]
    scalper = _scalper(bench, risk_aversion=1e-3, commission_rate=0.0005)
    _straddle(bench)
    scalper.on_snapshot(bench.ctx)
    gamma, theta = _black(FORWARD, 14 / 365)
    # Ten lots of 0.1 BTC are one straddle.
    assert scalper.gamma == pytest.approx(gamma, rel=1e-12)
    assert scalper.theta == pytest.approx(theta, rel=1e-12)
    cost = 0.0005 + 0.5 / FORWARD
    assert scalper.half_width == pytest.approx(whalley_wilmott(gamma, FORWARD, cost, 1e-3), rel=1e-9)


def test_zakamouline_takes_tau_and_sigma_from_the_book(bench) -> None:  # type: ignore[no-untyped-def]
    scalper = _scalper(bench, band_rule=BandRule.ZAKAMOULINE, max_band=50.0)
    _straddle(bench, -10)
    scalper.on_snapshot(bench.ctx)
    expected = zakamouline(scalper.gamma, FORWARD, 0.0005 + 0.5 / FORWARD, 1e-3, 14 / 365, 0.5)
    assert scalper.gamma < 0.0
    assert scalper.half_width == pytest.approx(expected, rel=1e-9)


def test_it_hedges_outside_that_band_to_its_edge(bench) -> None:  # type: ignore[no-untyped-def]
    scalper = _scalper(bench)
    _straddle(bench)
    scalper.on_snapshot(bench.ctx)
    bench.book.delta = scalper.half_width * 0.99
    assert scalper.on_timer(bench.ctx) == ()
    bench.book.delta = scalper.half_width + 0.05
    (intent,) = scalper.on_timer(bench.ctx)
    (leg,) = intent.legs
    assert leg.instrument == bench.perpetual
    assert leg.lots == -math.ceil(0.05 * FORWARD / 10.0)


def test_an_empty_book_unwinds_what_is_left_of_its_hedge(bench) -> None:  # type: ignore[no-untyped-def]
    scalper = _scalper(bench, band_rule=BandRule.FIXED, band=0.05)
    bench.book.delta = 0.03
    (intent,) = scalper.on_snapshot(bench.ctx)
    assert intent.legs[0].lots == -math.floor(0.03 * FORWARD / 10.0)
    bench.at(bench.ctx.now_ns + NS_PER_HOUR)
    bench.quote_all(0.5)
    bench.book.delta = 0.9 * 10.0 / FORWARD  # less than one contract
    assert scalper.on_snapshot(bench.ctx) == ()


def test_the_widest_band_is_the_one_allowed(bench) -> None:  # type: ignore[no-untyped-def]
    scalper = _scalper(bench, risk_aversion=1e-9, max_band=0.4)
    _straddle(bench)
    scalper.on_snapshot(bench.ctx)
    assert scalper.half_width == 0.4


def test_an_option_without_implied_vol_falls_back_to_the_surface_then_to_the_fixed_band(bench) -> None:  # type: ignore[no-untyped-def]
    scalper = _scalper(bench, band=0.07)
    _straddle(bench)
    bench.state.values[bench.id("BTC-27MAR26-80000-C"), Field.MARK_IV] = math.nan
    scalper.on_snapshot(bench.ctx)
    assert scalper.half_width == 0.07
    assert scalper.note == "1 options without implied vol: fixed band"
    scalper.on_surface(bench.ctx, bench.surface(0.5))
    assert scalper.note == ""
    assert scalper.gamma == pytest.approx(_black(FORWARD, 14 / 365)[0], rel=1e-9)


def test_without_a_hedge_quote_the_band_is_the_fixed_one(bench) -> None:  # type: ignore[no-untyped-def]
    scalper = _scalper(bench, band=0.07)
    _straddle(bench)
    bench.quote(bench.perpetual, math.nan, math.nan)
    scalper.on_snapshot(bench.ctx)
    assert (scalper.half_width, scalper.note) == (0.07, "no hedge quote: fixed band")


def test_gamma_and_theta_are_booked_at_the_start_of_each_step(bench) -> None:  # type: ignore[no-untyped-def]
    scalper = _scalper(bench)
    _straddle(bench)
    scalper.on_snapshot(bench.ctx)
    gamma, theta = scalper.gamma, scalper.theta
    bench.at(bench.ctx.now_ns + 6 * NS_PER_HOUR)
    bench.quote_all(0.5, forward=FORWARD + 900.0)
    scalper.on_snapshot(bench.ctx)
    assert scalper.gamma_pnl == pytest.approx(0.5 * gamma * 900.0**2, rel=1e-12)
    assert scalper.theta_pnl == pytest.approx(theta * 0.25 / 365, rel=1e-12)
    assert scalper.implied_vol == pytest.approx(0.5, rel=1e-12)
    realised = math.log((FORWARD + 900.0) / FORWARD) / math.sqrt(0.25 / 365)
    assert scalper.realised_vol == pytest.approx(realised, rel=1e-12)


def test_what_was_scalped_is_the_difference_of_variances(bench) -> None:  # type: ignore[no-untyped-def]
    """gamma_pnl + theta_pnl = sum of 1/2 Gamma S**2 (realised - implied variance) dt: Hull, ch. 19.7."""
    scalper = _scalper(bench)
    _straddle(bench)
    rng = random_stream(3, "scalp")
    forward, by_hand = FORWARD, 0.0
    scalper.on_snapshot(bench.ctx)
    for _ in range(40):
        before, gamma = forward, scalper.gamma
        forward *= math.exp(0.6 * math.sqrt(0.25 / 365) * rng.normal())
        bench.at(bench.ctx.now_ns + 6 * NS_PER_HOUR)
        bench.quote_all(0.5, forward=forward)
        scalper.on_snapshot(bench.ctx)
        by_hand += 0.5 * gamma * ((forward - before) ** 2 - 0.25 * before**2 * 0.25 / 365)
    # Zero rates: theta = -1/2 Gamma F**2 sigma**2, so the identity is exact but for the forward against the mid.
    assert scalper.gamma_pnl + scalper.theta_pnl == pytest.approx(by_hand, rel=1e-9)
    assert (scalper.gamma_pnl > -scalper.theta_pnl) == (scalper.realised_vol > scalper.implied_vol)


def test_the_clock_refreshes_greeks_only_now_and_then(bench) -> None:  # type: ignore[no-untyped-def]
    scalper = _scalper(bench, refresh_ns=60 * NS_PER_SECOND)
    _straddle(bench)
    scalper.on_timer(bench.ctx)
    gamma = scalper.gamma
    bench.quote_all(0.9)
    bench.at(bench.ctx.now_ns + 59 * NS_PER_SECOND)
    scalper.on_timer(bench.ctx)
    assert scalper.gamma == gamma
    bench.at(bench.ctx.now_ns + NS_PER_SECOND)
    scalper.on_timer(bench.ctx)
    assert scalper.gamma == pytest.approx(
        _black(FORWARD, (14 * NS_PER_DAY - 60 * NS_PER_SECOND) / NS_PER_YEAR, 0.9)[0], rel=1e-12
    )


def test_fills_of_the_hedge_are_counted_and_options_that_expired_are_not_held(bench) -> None:  # type: ignore[no-untyped-def]
    scalper = _scalper(bench)
    _straddle(bench)
    now = bench.ctx.now_ns
    scalper.on_fill(bench.ctx, OrderFilled(now, now, 1, 1, bench.perpetual, -50, 1, Liquidity.TAKER, 0, "BTC"))
    assert scalper.hedged_lots == 50
    bench.at(now + 14 * NS_PER_DAY)
    bench.quote_all(0.5)
    scalper.on_snapshot(bench.ctx)
    assert (scalper.gamma, scalper.note) == (0.0, "no options: unwind")


def test_a_restored_scalper_goes_on_where_it_was(bench) -> None:  # type: ignore[no-untyped-def]
    first, second = _scalper(bench), _scalper(bench)
    _straddle(bench)
    bench.book.delta = 0.5
    assert first.on_snapshot(bench.ctx)
    second.restore(first.state())
    for _ in range(3):
        bench.at(bench.ctx.now_ns + 40 * NS_PER_SECOND)
        bench.quote_all(0.5, forward=FORWARD + 300.0)
        assert [i.legs for i in first.on_timer(bench.ctx)] == [i.legs for i in second.on_timer(bench.ctx)]
        assert first.state() == second.state()
    assert second.gamma_pnl != 0.0


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"risk_aversion": 0.0}, "risk_aversion=0"),
        ({"commission_rate": 5.0}, "5 bp is"),
        ({"max_band": 0.0}, "max_band"),
    ],
)
def test_absurd_parameters_are_refused(bench, bad, says: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=says):
        _scalper(bench, **bad)


def test_a_look_that_finds_nothing_to_do_is_cheap(bench) -> None:  # type: ignore[no-untyped-def]
    scalper = _scalper(bench)
    _straddle(bench)
    scalper.on_snapshot(bench.ctx)
    best = min(timeit.repeat(lambda: scalper.on_timer(bench.ctx), number=1000, repeat=7)) / 1000
    assert best < 10e-6  # about 0.4 microseconds

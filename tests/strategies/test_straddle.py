import math

import numpy as np
import pytest

from voldesk.core.events import SliceFit
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_YEAR
from voldesk.strategies.straddle import choose_straddle, find_slice, slice_vol

WISHES = {"tenor_days": 14.0, "min_tenor_days": 5.0, "max_tenor_days": 30.0, "max_log_moneyness": 0.03}


def _choose(bench, **changes):  # type: ignore[no-untyped-def]
    surface = bench.view.surfaces.get("BTC") or bench.surface(0.5)
    return choose_straddle(bench.view.chain("BTC"), surface, bench.ctx.now_ns, **{**WISHES, **changes})


def test_it_takes_the_expiry_nearest_the_tenor_and_the_strike_nearest_the_forward(bench) -> None:  # type: ignore[no-untyped-def]
    found, why = _choose(bench)
    assert why == ""
    assert bench.table[found.call].symbol == "BTC-27MAR26-80000-C"
    assert bench.table[found.put].symbol == "BTC-27MAR26-80000-P"
    assert (found.strike, found.forward) == (80_000.0, 80_300.0)
    assert bench.table[_choose(bench, tenor_days=8.0)[0].call].symbol == "BTC-20MAR26-80000-C"
    assert bench.table[_choose(bench, tenor_days=22.0)[0].call].symbol == "BTC-10APR26-80000-C"


@pytest.mark.parametrize("bid_ask", [(math.nan, 0.05), (0.04, math.nan), (0.05, 0.04), (0.0, 0.05)])
def test_a_leg_without_a_sound_two_sided_quote_moves_it_to_the_next_strike(bench, bid_ask) -> None:  # type: ignore[no-untyped-def]
    bench.quote(bench.id("BTC-27MAR26-80000-P"), *bid_ask)
    assert _choose(bench)[0].strike == 82_000.0  # log(82000/80300) = 0.021, log(80300/78000) = 0.029


def test_stale_quotes_are_not_traded_on(bench) -> None:  # type: ignore[no-untyped-def]
    bench.at(bench.ctx.now_ns + NS_PER_HOUR)
    bench.surface(0.5)
    assert _choose(bench) == (None, "no two-sided fresh straddle near the forward")
    for right in "CP":
        bench.quote(bench.id(f"BTC-10APR26-80000-{right}"), 0.05, 0.06)
    assert bench.table[_choose(bench)[0].call].symbol == "BTC-10APR26-80000-C"


def test_a_strike_far_from_the_forward_is_no_straddle(bench) -> None:  # type: ignore[no-untyped-def]
    bench.surface(0.5, forward=90_000.0)
    assert _choose(bench) == (None, "no two-sided fresh straddle near the forward")


def test_there_is_none_without_an_expiry_or_a_sound_surface(bench) -> None:  # type: ignore[no-untyped-def]
    assert _choose(bench, min_tenor_days=15.0, tenor_days=16.0, max_tenor_days=20.0)[1] == (
        "no expiry between 15 and 20 days"
    )
    bench.surface(0.5, status="not_converged")
    assert _choose(bench) == (None, "no surface at the expiry")
    bench.surface(0.5, status="butterfly")
    assert _choose(bench)[0] is not None


def test_the_slice_is_raw_svi_at_any_moneyness(bench) -> None:  # type: ignore[no-untyped-def]
    now = bench.ctx.now_ns
    # Gatheral & Jacquier (2014), sec. 3.1, with round numbers: w(0) = 0.01 + 0.1 (0.3 x 0.1 + sqrt(0.01 + 0.04)).
    fit = SliceFit(now + 73 * NS_PER_DAY, 80_000.0, 1.0, 0.01, 0.1, -0.3, 0.1, 0.2, 10, 1.0, 0.0, "ok")
    assert slice_vol(fit, now) == pytest.approx(math.sqrt((0.01 + 0.1 * (0.03 + math.sqrt(0.05))) / 0.2), rel=1e-14)
    assert slice_vol(fit, now, 0.1) == pytest.approx(math.sqrt(0.03 / 0.2), rel=1e-14)
    assert math.isnan(slice_vol(fit, now + 74 * NS_PER_DAY))


def test_a_flat_surface_gives_its_volatility_back(bench) -> None:  # type: ignore[no-untyped-def]
    surface = bench.surface(0.43)
    vols = [slice_vol(fit, surface.asof_ns) for fit in surface.slices]
    assert np.max(np.abs(np.array(vols) - 0.43)) < 1e-14
    assert find_slice(surface, int(surface.slices[1].expiry_ns)) == surface.slices[1]
    assert find_slice(surface, surface.asof_ns + NS_PER_YEAR) is None

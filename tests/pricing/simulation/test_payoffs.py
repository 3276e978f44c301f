"""Path-dependent payoffs against closed forms: Reiner & Rubinstein, Broadie, Glasserman & Kou, Goldman, Sosin & Gatto."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtr

from voldesk.core.errors import InputError
from voldesk.pricing import monte_carlo
from voldesk.pricing.heston import HestonParams
from voldesk.pricing.merton import MertonParams
from voldesk.pricing.monte_carlo import Settings
from voldesk.pricing.simulation.models import Gbm, Schedule
from voldesk.pricing.simulation.payoffs import Asian, Average, Barrier, BarrierKind, European, Lookback, Monitoring
from voldesk.pricing.simulation.simulate import Paths

SPOT, RATE, YIELD, SIGMA, TAU = 100.0, 0.08, 0.04, 0.25, 0.5
CARRY = RATE - YIELD
HALF_YEAR = Schedule.flat(SPOT, TAU, 8, RATE, YIELD)


def _reiner_rubinstein(strike: float, barrier: float, is_call: bool, kind: BarrierKind) -> float:
    """Reiner & Rubinstein (1991) as in Haug (2007), sec. 4.17.1, no rebate; the blocks A to D."""
    down, call = kind.is_down, is_call
    phi, eta = (1.0 if call else -1.0), (1.0 if down else -1.0)
    root = SIGMA * math.sqrt(TAU)
    mu = (CARRY - 0.5 * SIGMA**2) / SIGMA**2
    grown, discount = SPOT * math.exp((CARRY - RATE) * TAU), strike * math.exp(-RATE * TAU)
    x1 = math.log(SPOT / strike) / root + (1 + mu) * root
    x2 = math.log(SPOT / barrier) / root + (1 + mu) * root
    y1 = math.log(barrier**2 / (SPOT * strike)) / root + (1 + mu) * root
    y2 = math.log(barrier / SPOT) / root + (1 + mu) * root
    power, lower = (barrier / SPOT) ** (2 * (mu + 1)), (barrier / SPOT) ** (2 * mu)
    a = phi * (grown * ndtr(phi * x1) - discount * ndtr(phi * (x1 - root)))
    b = phi * (grown * ndtr(phi * x2) - discount * ndtr(phi * (x2 - root)))
    c = phi * (grown * power * ndtr(eta * y1) - discount * lower * ndtr(eta * (y1 - root)))
    d = phi * (grown * power * ndtr(eta * y2) - discount * lower * ndtr(eta * (y2 - root)))
    high = strike > barrier
    if call and down:
        into = c if high else a - b + d
    elif call:
        into = a if high else b - c + d
    elif down:
        into = b - c + d if high else a
    else:
        into = a - b + d if high else c
    return into if kind.is_in else a - into


@pytest.mark.parametrize("kind", BarrierKind)
@pytest.mark.parametrize("is_call", [False, True])
@pytest.mark.parametrize("strike", [90.0, 112.0])
def test_continuous_barriers_are_reiner_and_rubinsteins(kind: BarrierKind, is_call: bool, strike: float) -> None:
    barrier = 94.0 if kind.is_down else 108.0
    got = monte_carlo.price(Gbm(SIGMA), Barrier(strike, is_call, barrier, kind), HALF_YEAR, seed=3)
    exact = _reiner_rubinstein(strike, barrier, is_call, kind)
    assert abs(float(got.price) - exact) < 3.5 * float(got.error) + 1e-12
    assert float(got.error) < 0.01


def test_discrete_barriers_come_to_the_continuous_one_as_broadie_glasserman_and_kou_say() -> None:
    # Broadie, Glasserman & Kou (1997): watching m times is watching always at H exp(-0.5826 sigma sqrt(T / m)).
    for dates in (25, 100):
        schedule = Schedule.flat(SPOT, TAU, dates, RATE, YIELD)
        payoff = Barrier(100.0, True, 92.0, BarrierKind.DOWN_OUT, Monitoring.DISCRETE)
        got = monte_carlo.price(Gbm(SIGMA), payoff, schedule, seed=3)
        shifted = 92.0 * math.exp(-0.5826 * SIGMA * math.sqrt(TAU / dates))
        near = _reiner_rubinstein(100.0, shifted, True, BarrierKind.DOWN_OUT)
        assert abs(float(got.price) - near) < 0.01 + 3.5 * float(got.error)
        assert float(got.price) > _reiner_rubinstein(100.0, 92.0, True, BarrierKind.DOWN_OUT) + 0.1


def test_a_barrier_already_touched_knocks_at_once() -> None:
    out = Barrier(100.0, True, 101.0, BarrierKind.DOWN_OUT)
    into = replace(out, kind=BarrierKind.DOWN_IN)
    use = Settings(paths=2048)
    assert float(monte_carlo.price(Gbm(SIGMA), out, HALF_YEAR, seed=1, settings=use).price) == 0.0
    vanilla = monte_carlo.price(Gbm(SIGMA), European(100.0, True), HALF_YEAR, seed=1, settings=Settings(controls=False))
    knocked = monte_carlo.price(Gbm(SIGMA), into, HALF_YEAR, seed=1, settings=Settings(controls=False))
    assert float(vanilla.price) == pytest.approx(float(knocked.price), rel=1e-14)


def _goldman_sosin_gatto(is_call: bool) -> float:
    """Floating-strike lookback of a fresh extreme: Goldman, Sosin & Gatto (1979), as in Haug (2007), sec. 4.15.1."""
    root, b = SIGMA * math.sqrt(TAU), CARRY
    a1 = (b + 0.5 * SIGMA**2) * TAU / root
    a2, shift, ratio = a1 - root, 2.0 * b * math.sqrt(TAU) / SIGMA, SIGMA**2 / (2.0 * b)
    grown, paid = SPOT * math.exp((b - RATE) * TAU), SPOT * math.exp(-RATE * TAU)
    if is_call:
        return grown * ndtr(a1) - paid * ndtr(a2) + paid * ratio * (ndtr(-a1 + shift) - math.exp(b * TAU) * ndtr(-a1))
    return paid * ndtr(-a2) - grown * ndtr(-a1) + paid * ratio * (-ndtr(a1 - shift) + math.exp(b * TAU) * ndtr(a1))


@pytest.mark.parametrize("is_call", [False, True])
def test_continuous_lookbacks_are_goldman_sosin_and_gattos(is_call: bool) -> None:
    got = monte_carlo.price(Gbm(SIGMA), Lookback(is_call), HALF_YEAR, seed=3)
    assert abs(float(got.price) - _goldman_sosin_gatto(is_call)) < 3.5 * float(got.error)
    assert float(got.error) < 0.01
    watched = monte_carlo.price(Gbm(SIGMA), Lookback(is_call, monitoring=Monitoring.DISCRETE), HALF_YEAR, seed=3)
    assert float(watched.price) < float(got.price) - 1.0  # eight looks miss much of the extreme


def test_fixed_lookback_at_the_money_is_the_floating_one_by_parity() -> None:
    # max(highest - S0, 0) = (highest - S_T) + (S_T - S0): value = floating put + forward, exactly.
    fixed = monte_carlo.price(Gbm(SIGMA), Lookback(True, strike=[SPOT]), HALF_YEAR, seed=3)
    carried = SPOT * math.exp(-YIELD * TAU) - SPOT * math.exp(-RATE * TAU)
    assert abs(float(fixed.price) - _goldman_sosin_gatto(False) - carried) < 3.5 * float(fixed.error)


def test_payoffs_of_a_path_drawn_by_hand() -> None:
    spot = np.array([[100.0, 100.0], [120.0, 80.0], [90.0, 110.0]])
    paths = Paths(np.array([0.0, 0.5, 1.0]), spot, None, np.full((2, 1), 1e-9), np.full((2, 2), 0.5))
    assert Asian([100.0, 90.0], True).values(paths, np).tolist() == [[5.0, 0.0], [15.0, 5.0]]
    geometric = Asian(100.0, True, Average.GEOMETRIC).values(paths, np)
    assert geometric[0, 0] == pytest.approx(math.sqrt(120.0 * 90.0) - 100.0)
    assert Lookback(True, monitoring=Monitoring.DISCRETE).values(paths, np).tolist() == [[0.0, 30.0]]
    assert Lookback(False, monitoring=Monitoring.DISCRETE).values(paths, np).tolist() == [[30.0, 0.0]]
    assert Lookback(False, 95.0, Monitoring.DISCRETE).values(paths, np).tolist() == [[5.0, 15.0]]
    gone = Barrier(100.0, True, 85.0, BarrierKind.DOWN_OUT, Monitoring.DISCRETE).values(paths, np)
    assert gone.tolist() == [[0.0, 0.0]]
    come = Barrier(100.0, True, 85.0, BarrierKind.DOWN_IN, Monitoring.DISCRETE).values(paths, np)
    assert come.tolist() == [[0.0, 10.0]]


def test_continuous_watching_is_not_offered_under_jumps() -> None:
    model = MertonParams(sigma=0.2, jump_intensity=1.0, jump_mean=-0.1, jump_std=0.1)
    with pytest.raises(InputError, match=r"model with jumps.*DISCRETE"):
        monte_carlo.price(
            model, Barrier(100.0, True, 90.0, BarrierKind.DOWN_OUT), HALF_YEAR, seed=1, settings=Settings(paths=512)
        )


def test_heston_barriers_settle_as_the_step_falls() -> None:
    model = HestonParams(0.04, 2.0, 0.05, 0.5, -0.6)
    payoff = Barrier(100.0, True, 90.0, BarrierKind.DOWN_OUT)
    results = [
        monte_carlo.price(
            model,
            payoff,
            Schedule.flat(100.0, 0.5, steps),
            seed=1,
            settings=Settings(paths=32_768, max_step=0.5 / steps),
        )
        for steps in (16, 64)
    ]
    vanilla = monte_carlo.price(model, European(100.0, True), Schedule.flat(100.0, 0.5), seed=1).price
    assert abs(float(results[0].price - results[1].price)) < 0.02 + 3.5 * float(results[0].error + results[1].error)
    assert float(results[1].price) < float(vanilla)


def test_a_barrier_that_is_no_price_is_refused() -> None:
    with pytest.raises(InputError, match="barrier=-1"):
        Barrier(100.0, True, -1.0, BarrierKind.UP_IN)

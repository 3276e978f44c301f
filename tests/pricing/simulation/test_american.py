"""American options by simulation: bounds hold on both sides, against Longstaff & Schwartz' table and exact lattices."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voldesk.core.errors import InputError
from voldesk.pricing import black
from voldesk.pricing.heston import HestonParams
from voldesk.pricing.monte_carlo import Settings
from voldesk.pricing.simulation.american import AmericanEstimate, american
from voldesk.pricing.simulation.array_namespace import Backend
from voldesk.pricing.simulation.draws import Sampling
from voldesk.pricing.simulation.models import Gbm, Schedule

FEW = Settings(paths=8192, scrambles=8)

# Longstaff & Schwartz (2001), table 1: put, strike 40, rate 6 %; spot, sigma, years, their finite-difference value.
TABLE = [
    (36, 0.2, 1, 4.478), (36, 0.2, 2, 4.840), (36, 0.4, 1, 7.101), (36, 0.4, 2, 8.508),
    (38, 0.2, 1, 3.250), (38, 0.2, 2, 3.745), (38, 0.4, 1, 6.148), (38, 0.4, 2, 7.670),
    (40, 0.2, 1, 2.314), (40, 0.2, 2, 2.885), (40, 0.4, 1, 5.312), (40, 0.4, 2, 6.920),
    (42, 0.2, 1, 1.617), (42, 0.2, 2, 2.212), (42, 0.4, 1, 4.582), (42, 0.4, 2, 6.248),
    (44, 0.2, 1, 1.110), (44, 0.2, 2, 1.690), (44, 0.4, 1, 3.948), (44, 0.4, 2, 5.647),
]  # fmt: skip


def _bermudan(spot: float, strike: float, tau: float, rate: float, sigma: float, dates: int, per_date: int) -> float:
    """Put exercisable at `dates` times and now, by Cox, Ross & Rubinstein (1979)."""
    steps = dates * per_date
    dt = tau / steps
    up = math.exp(sigma * math.sqrt(dt))
    p = (math.exp(rate * dt) - 1.0 / up) / (up - 1.0 / up)
    value = np.maximum(strike - spot * up ** (steps - 2.0 * np.arange(steps + 1)), 0.0)
    for i in range(steps - 1, -1, -1):
        value = math.exp(-rate * dt) * (p * value[:-1] + (1.0 - p) * value[1:])
        if i % per_date == 0:
            value = np.maximum(value, strike - spot * up ** (i - 2.0 * np.arange(i + 1)))
    return float(value[0])


def _holds(got: AmericanEstimate, exact: float, slack: float = 0.0) -> bool:
    return bool(
        got.lower - 3.5 * got.lower_error <= exact + slack and exact - slack <= got.upper + 3.5 * got.upper_error
    )


@pytest.mark.parametrize(("spot", "sigma", "years", "value"), TABLE)
def test_longstaff_and_schwartz_table_lies_between_the_bounds(
    spot: float, sigma: float, years: int, value: float
) -> None:
    schedule = Schedule.flat(float(spot), float(years), 50 * years, rate=0.06)
    got = american(Gbm(sigma), 40.0, False, schedule, seed=1, settings=FEW)
    exact = _bermudan(spot, 40.0, years, 0.06, sigma, 50 * years, 12)
    assert abs(exact - value) < 6e-3  # theirs has 40,000 dates a year
    assert _holds(got, exact, 1.5e-3)  # the lattice's own error
    assert got.upper - got.lower < 0.06
    assert got.lower > exact - 0.03
    assert got.upper < exact + 0.04
    assert max(got.lower_error, got.upper_error) < 3e-3


def test_more_paths_close_the_gap() -> None:
    schedule = Schedule.flat(40.0, 1.0, 50, rate=0.06)
    exact = _bermudan(40.0, 40.0, 1.0, 0.06, 0.2, 50, 40)
    got = american(Gbm(0.2), 40.0, False, schedule, seed=1, settings=Settings(paths=65_536, scrambles=16))
    assert _holds(got, exact, 2e-4)
    assert got.lower > exact - 2e-3  # measured -0.0008
    assert got.upper < exact + 8e-3  # measured +0.006


def test_the_policy_is_never_worth_more_than_the_option_on_average_over_seeds() -> None:
    schedule = Schedule.flat(38.0, 1.0, 10, rate=0.06)
    exact = _bermudan(38.0, 40.0, 1.0, 0.06, 0.3, 10, 200)
    use = Settings(paths=2048, scrambles=8, sampling=Sampling.PSEUDO)
    found = [american(Gbm(0.3), 40.0, False, schedule, seed=seed, settings=use) for seed in range(30)]
    lower, upper = np.array([g.lower for g in found]), np.array([g.upper for g in found])
    assert lower.mean() - 3.0 * lower.std() / math.sqrt(30) < exact
    assert upper.mean() + 3.0 * upper.std() / math.sqrt(30) > exact
    # Error bars: the spread over seeds (training included) is no more than twice what each run says of itself.
    assert lower.std() < 2.0 * float(np.mean([g.lower_error for g in found])) + 0.01


def test_a_call_without_dividends_is_held_to_the_end() -> None:
    schedule = Schedule.flat(100.0, 1.0, 12, rate=0.05)
    got = american(Gbm(0.3), 100.0, True, schedule, seed=2, settings=Settings(paths=32_768, scrambles=8))
    exact = float(black.price(100.0 * math.exp(0.05), 100.0, 1.0, 0.3, math.exp(-0.05), True))
    assert abs(got.european - exact) < 0.02
    assert got.lower < exact + 3.5 * got.lower_error
    assert got.lower > exact - 0.05
    assert got.upper > exact - 3.5 * got.upper_error


def test_deep_in_the_money_the_put_is_exercised_now() -> None:
    schedule = Schedule.flat(50.0, 1.0, 10, rate=0.2)
    got = american(Gbm(0.1), 100.0, False, schedule, seed=2, settings=FEW)
    assert got.exercise_now
    assert got.lower == 50.0
    assert 50.0 <= got.upper < 50.05
    later = american(Gbm(0.3), 100.0, False, Schedule.flat(95.0, 1.0, 10, rate=0.02), seed=2, settings=FEW)
    assert not later.exercise_now


@pytest.mark.parametrize(("spot", "value"), [(9.0, 1.107621), (10.0, 0.520030), (11.0, 0.213677)])
def test_hestons_american_put_lies_between_the_bounds(spot: float, value: float) -> None:
    # Ikonen & Toivanen (2008), "Efficient numerical methods for pricing American options under stochastic volatility",
    # table of reference prices: strike 10, rate 10 %, a quarter of a year, v = 0.0625.
    model = HestonParams(v0=0.0625, kappa=5.0, theta=0.16, xi=0.9, rho=0.1)
    schedule = Schedule.flat(spot, 0.25, 50, rate=0.1)
    got = american(model, 10.0, False, schedule, seed=1, settings=Settings(paths=32_768, scrambles=8))
    assert _holds(got, value, 5e-4)
    assert got.lower > value - 0.006
    assert got.upper < value + 0.04


def test_same_seed_same_bounds_and_back_ends_agree() -> None:
    schedule = Schedule.flat(38.0, 0.5, 6, rate=0.06)
    use = Settings(paths=1024)
    first = american(Gbm(0.3), 40.0, False, schedule, seed=4, settings=use)
    assert first == american(Gbm(0.3), 40.0, False, schedule, seed=4, settings=use)
    vectorised = Settings(paths=1024, backend=Backend.NUMPY)
    slow = american(Gbm(0.3), 40.0, False, schedule, seed=4, settings=vectorised)
    assert abs(first.upper - slow.upper) < 1e-9
    assert abs(first.lower - slow.lower) < 1e-9


def test_a_strike_that_is_no_price_is_refused() -> None:
    with pytest.raises(InputError, match="strike=0"):
        american(Gbm(0.3), 0.0, False, Schedule.flat(40.0, 1.0, 4), seed=1)

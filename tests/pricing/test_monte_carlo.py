"""Monte Carlo prices against closed forms, and the honesty of their error bars."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import binom, ncx2

from voldesk.core.errors import InputError
from voldesk.pricing import bates, black, heston, merton, monte_carlo
from voldesk.pricing.bates import BatesParams
from voldesk.pricing.grids.market import LocalVolGrid
from voldesk.pricing.heston import HestonParams
from voldesk.pricing.merton import MertonParams
from voldesk.pricing.monte_carlo import Control, Estimate, Settings
from voldesk.pricing.simulation.array_namespace import Backend
from voldesk.pricing.simulation.draws import Sampling
from voldesk.pricing.simulation.models import Gbm, Schedule
from voldesk.pricing.simulation.payoffs import Asian, Average, Digital, European, PathFunction

STRIKES = np.array([80.0, 100.0, 125.0])
YEAR = Schedule.flat(100.0, 1.0, 1, rate=0.05, dividend_yield=0.02)
F, D = float(YEAR.forward[0]), float(YEAR.discount[0])
SMALL = Settings(paths=2048)


def _worst(got: Estimate, exact: object) -> float:
    """Largest miss in standard errors."""
    return float(np.max(np.abs(got.price - np.asarray(exact)) / got.error))


@pytest.mark.parametrize("sampling", Sampling)
@pytest.mark.parametrize("antithetic", [False, True])
@pytest.mark.parametrize("controls", [False, True])
@pytest.mark.parametrize("is_call", [False, True])
def test_brownian_prices_are_blacks(sampling: Sampling, antithetic: bool, controls: bool, is_call: bool) -> None:
    use = Settings(sampling=sampling, antithetic=antithetic, controls=controls)
    got = monte_carlo.price(Gbm(0.3), European(STRIKES, is_call), YEAR, seed=11, settings=use)
    assert got.paths == 131_072
    assert _worst(got, black.price(F, STRIKES, 1.0, 0.3, D, is_call)) < 3.5
    assert np.max(got.error) < (0.002 if sampling is Sampling.SOBOL else 0.12)


def test_term_structures_of_vol_and_rates_are_met_at_many_steps() -> None:
    tau = np.linspace(0.1, 1.0, 10)
    schedule = Schedule(100.0, tau, 100.0 * np.exp(0.03 * tau - 0.02 * tau**2), np.exp(-0.04 * tau - 0.01 * tau**2))
    got = monte_carlo.price(Gbm([0.2, 0.5], until=[0.3, 1.0]), European(STRIKES, True), schedule, seed=2)
    sigma = math.sqrt(0.3 * 0.04 + 0.7 * 0.25)
    exact = black.price(100.0 * math.exp(0.01), STRIKES, 1.0, sigma, math.exp(-0.05), True)
    assert _worst(got, exact) < 3.5
    assert np.max(got.error) < 2e-3


def test_digitals_pay_the_discounted_probability() -> None:
    exact = D * ndtr(np.log(F / STRIKES) / 0.3 - 0.15)
    for sampling in Sampling:
        use = Settings(sampling=sampling, controls=False)
        got = monte_carlo.price(Gbm(0.3), Digital(STRIKES, True), YEAR, seed=4, settings=use)
        # One dimension, 4,096 cells a net: the count of points above a strike varies by one, often not at all.
        grain = D / 4096.0 if sampling is Sampling.SOBOL else 0.0
        assert np.max(np.abs(got.price - exact) - 3.5 * got.error) < grain
        put = monte_carlo.price(Gbm(0.3), Digital(STRIKES, False), YEAR, seed=4, settings=use)
        assert np.max(np.abs(got.price + put.price - D)) < 1e-12


def test_mertons_series_is_met() -> None:
    params = MertonParams(sigma=0.2, jump_intensity=1.5, jump_mean=-0.1, jump_std=0.2)
    exact = merton.price(params, F, STRIKES, 1.0, D, True)
    for steps in (1, 12):
        schedule = Schedule.flat(100.0, 1.0, steps, rate=0.05, dividend_yield=0.02)
        got = monte_carlo.price(params, European(STRIKES, True), schedule, seed=5)
        assert _worst(got, exact) < 3.5
        assert np.max(got.error) < 0.03


# Andersen (2008), table 1: cases I to III, forward 100, T = 10, 15, 5 years.
ANDERSEN = {
    "I": (HestonParams(0.04, 0.5, 0.04, 1.0, -0.9), 10.0),
    "II": (HestonParams(0.04, 0.3, 0.04, 0.9, -0.5), 15.0),
    "III": (HestonParams(0.09, 1.0, 0.09, 1.0, -0.3), 5.0),
}


@pytest.mark.parametrize("case", ANDERSEN)
def test_hestons_bias_falls_to_nothing_as_andersen_found(case: str) -> None:
    params, tau = ANDERSEN[case]
    strikes = np.array([60.0, 100.0, 140.0])
    exact = heston.price(params, 100.0, strikes, tau, 1.0, True)
    schedule = Schedule.flat(100.0, tau)
    # Bias allowed beyond 3.5 standard errors. Measured with 2^21 paths: at most 0.033, 0.019, 0.018, 0.011 (2e-2 is
    # about the error of that measurement from 1/16 on).
    for step, bias in ((1 / 4, 0.035), (1 / 8, 0.02), (1 / 16, 0.015), (1 / 32, 0.01)):
        got = monte_carlo.price(
            params, European(strikes, True), schedule, seed=7, settings=Settings(paths=65_536, max_step=step)
        )
        assert np.max(np.abs(got.price - exact) - 3.5 * got.error) < bias
        assert np.max(got.error) < 0.15


def test_bates_is_met() -> None:
    params = BatesParams(0.04, 2.0, 0.06, 0.5, -0.6, jump_intensity=0.8, jump_mean=-0.1, jump_std=0.15)
    got = monte_carlo.price(params, European(STRIKES, True), YEAR, seed=3, settings=Settings(paths=65_536))
    assert _worst(got, bates.price(params, F, STRIKES, 1.0, D, True)) < 3.5
    assert np.max(got.error) < 0.03


def test_local_vol_that_is_flat_is_black() -> None:
    flat = LocalVolGrid.sample(lambda s, t: 0.25 + 0.0 * s * t, [0.0, 1.0], np.exp(np.linspace(3.0, 6.0, 31)))
    got = monte_carlo.price(flat, European(STRIKES, True), YEAR, seed=3)
    assert _worst(got, black.price(F, STRIKES, 1.0, 0.25, D, True)) < 3.5


def test_eulers_bias_under_local_vol_is_small_and_halves_with_the_step() -> None:
    # CEV with beta = 1/2 on the forward, dS = 2 sqrt(S) dW: S_1 is a non-central chi-squared (Cox 1975; Schroder 1989).
    model = LocalVolGrid.sample(
        lambda s, t: 2.0 / np.sqrt(s) + 0.0 * t, [0.0, 1.0], np.exp(np.linspace(math.log(5.0), math.log(400.0), 1601))
    )
    exact = 100.0 * (1.0 - ncx2.cdf(STRIKES, 4.0, 100.0)) - STRIKES * ncx2.cdf(100.0, 2.0, STRIKES)
    bias, error = [], []
    for steps in (32, 64, 128):
        got = monte_carlo.price(
            model, European(STRIKES, True), Schedule.flat(100.0, 1.0), seed=3, settings=Settings(max_step=1 / steps)
        )
        bias.append(got.price - exact)
        error.append(got.error)
    assert np.max(error) < 2e-4
    assert np.max(np.abs(bias[2])) < 2.5e-3
    for coarse, fine in ((0, 1), (1, 2)):
        assert np.max(np.abs(bias[coarse] - 2.0 * bias[fine])) < 4.0 * 3.0 * np.max(error)


def test_the_geometric_asian_option_is_exact_and_controls_the_arithmetic_one() -> None:
    schedule = Schedule.flat(100.0, 1.0, 12, rate=0.05, dividend_yield=0.02)
    model = Gbm(0.3)
    exact = schedule.discount[-1] * monte_carlo.geometric_asian(model, STRIKES, True, schedule)
    assert _worst(monte_carlo.price(model, Asian(STRIKES, True, Average.GEOMETRIC), schedule, seed=1), exact) < 3.5
    results = {
        (sampling, controls): monte_carlo.price(
            model, Asian(STRIKES, True), schedule, seed=1, settings=Settings(sampling=sampling, controls=controls)
        )
        for sampling in Sampling
        for controls in (False, True)
    }
    best = results[Sampling.SOBOL, True]
    for got in results.values():
        joint = np.sqrt(got.error**2 + best.error**2) + 1e-15
        assert np.max(np.abs(got.price - best.price) / joint) < 3.5
    plain = results[Sampling.PSEUDO, False].error
    # Variance of plain Monte Carlo over this one's, measured for strikes 80, 100, 125: control 730, 950, 250; net 9,700,
    # 1,600, 230; both 61,000, 19,000, 1,400.
    for how, least in (
        ((Sampling.PSEUDO, True), 100.0),
        ((Sampling.SOBOL, False), 100.0),
        ((Sampling.SOBOL, True), 500.0),
    ):
        assert np.min((plain / results[how].error) ** 2) > least


@pytest.mark.parametrize("sampling", Sampling)
@pytest.mark.parametrize("controls", [False, True])
def test_error_bars_hold_as_often_as_they_say(sampling: Sampling, controls: bool) -> None:
    # Of 200 intervals of 90 %, the number that hold the true price is binomial(200, 0.9).
    exact = black.price(F, 105.0, 1.0, 0.3, D, True)
    use = Settings(paths=1024, scrambles=16, sampling=sampling, controls=controls)
    held = 0
    for seed in range(200):
        below, above = monte_carlo.price(Gbm(0.3), European(105.0, True), YEAR, seed=seed, settings=use).interval(0.9)
        held += bool(below <= exact <= above)
    low, high = binom.ppf([1e-4, 1.0 - 1e-4], 200, 0.9)
    assert low <= held <= high


def test_error_falls_faster_than_one_over_root_n_with_nets() -> None:
    def error(sampling: Sampling, paths: int) -> float:
        use = Settings(paths=paths, sampling=sampling, controls=False)
        found = [
            monte_carlo.price(Gbm(0.2), European(100.0, False), YEAR, seed=s, settings=use).error for s in range(4)
        ]
        return float(np.mean(found))

    assert 3.0 < error(Sampling.PSEUDO, 4096) / error(Sampling.PSEUDO, 65_536) < 5.3  # 4 is the law
    assert error(Sampling.SOBOL, 4096) / error(Sampling.SOBOL, 65_536) > 10.0


def test_same_seed_same_numbers_and_other_seed_others() -> None:
    def run(seed: int) -> float:
        return float(monte_carlo.price(Gbm(0.3), European(100.0, True), YEAR, seed=seed, settings=SMALL).price)

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_back_ends_give_the_same_price() -> None:
    schedule = Schedule.flat(100.0, 1.0, 4, rate=0.05)
    for model in (Gbm(0.3), HestonParams(0.04, 0.5, 0.04, 1.0, -0.9)):
        fast, slow = (
            monte_carlo.price(
                model, Asian(STRIKES, True), schedule, seed=1, settings=Settings(paths=2048, backend=backend)
            )
            for backend in (Backend.COMPILED, Backend.NUMPY)
        )
        assert np.max(np.abs(fast.price - slow.price)) < 1e-9


def test_your_own_payoff_and_your_own_control() -> None:
    schedule = Schedule.flat(100.0, 1.0, 4, rate=0.05)
    cliquet = PathFunction(lambda spot, tau: np.maximum(spot[1:] / spot[:-1] - 1.0, 0.0).sum(axis=0))
    quarter = float(black.price(math.exp(0.0125), 1.0, 0.25, 0.3, 1.0, True))
    exact = 4.0 * quarter * math.exp(-0.05)  # each forward-starting return is worth the same, paid at the end
    got = monte_carlo.price(Gbm(0.3), cliquet, schedule, seed=1)
    assert _worst(got, exact) < 3.5
    helped = monte_carlo.price(Gbm(0.3), cliquet, schedule, seed=1, more_controls=(Control(cliquet, 4.0 * quarter),))
    assert abs(float(helped.price) - exact) < 1e-12  # a control that is the payoff itself leaves nothing
    assert float(helped.error) < 1e-12
    with pytest.raises(InputError, match="Reduce over the first axis"):
        monte_carlo.price(Gbm(0.3), PathFunction(lambda spot, tau: spot.T), schedule, seed=1, settings=SMALL)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="scrambles=2"):
        Settings(scrambles=2)
    with pytest.raises(InputError, match="paths=10"):
        Settings(paths=10)
    with pytest.raises(InputError, match="max_step=0"):
        Settings(max_step=0.0)
    assert (
        monte_carlo.price(Gbm(0.2), European(100.0, True), YEAR, seed=1, settings=Settings(paths=100_000)).paths
        == 131_072
    )

"""Dynamics of the synthetic market: Andersen's scheme, model prices, regimes, realised volatility, daily history."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.core.rng import random_stream
from voldesk.core.units import NS_PER_DAY, NS_PER_YEAR
from voldesk.pricing import bates
from voldesk.pricing.bates import BatesParams
from voldesk.pricing.transform.fourier_kernels import mean_variance
from voldesk.sim import dynamics
from voldesk.sim.synthetic_config import Regime, SyntheticConfig
from voldesk.sim.synthetic_history import daily_history

NO_JUMPS = Regime(0.40, 6.0, 1.2, -0.5, 0.0, 0.0, 0.0, 1e9)
JUMPS = Regime(0.35, 6.0, 1.0, -0.3, 40.0, -0.02, 0.04, 1e9)


def _config(regime: Regime, **changes: float) -> SyntheticConfig:
    return dataclasses.replace(SyntheticConfig(), calm=regime, stressed=regime, **changes)


def _run(config: SyntheticConfig, steps: int, dt: float, seed: int, kernel: object = dynamics.evolve) -> np.ndarray:
    stream = random_stream(seed, "test")
    out = np.empty((steps, dynamics.PATH_COLUMNS))
    kernel(  # type: ignore[operator]
        dynamics.start_state(config),
        dynamics.regime_rows(config),
        dynamics.factor_row(config),
        dt,
        stream.standard_normal((steps, dynamics.NORMALS)),
        stream.random((steps, dynamics.UNIFORMS)),
        out,
    )
    return out


def test_compiled_and_plain_paths_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(SyntheticConfig(), start_stressed=True, implied_vol=0.7)
    fast = _run(config, 400, 0.01, 3)
    for name in ("next_variance", "poisson", "_log_return"):
        monkeypatch.setattr(dynamics, name, plain(getattr(dynamics, name)))
    slow = _run(config, 400, 0.01, 3, plain(dynamics.evolve))
    assert np.max(np.abs(fast - slow)) < 1e-10
    assert len(set(fast[:, dynamics.REGIME])) == 2


@pytest.mark.parametrize(("variance", "xi", "dt"), [(0.16, 1.2, 1e-4), (0.16, 1.2, 0.05), (0.002, 3.0, 0.05)])
def test_variance_steps_have_the_exact_mean_and_deviation(variance: float, xi: float, dt: float) -> None:
    # Andersen (2008), eqs. 17-18: the scheme matches both moments, in its quadratic and its exponential branch.
    regime = np.array([6.0, 0.16, xi, -0.5, 0.0, 0.0, 0.0, 0.0])
    stream = random_stream(1, "variance")
    n = 200_000
    normals, uniforms = stream.standard_normal(n), stream.random(n)
    drawn = np.array(
        [dynamics.next_variance(variance, dt, regime, z, u) for z, u in zip(normals, uniforms, strict=True)]
    )
    decay = math.exp(-6.0 * dt)
    mean = 0.16 + (variance - 0.16) * decay
    spread = variance * xi**2 * decay / 6.0 * (1.0 - decay) + 0.16 * xi**2 / 12.0 * (1.0 - decay) ** 2
    assert abs(drawn.mean() - mean) < 5.0 * math.sqrt(spread / n)
    assert abs(drawn.var() / spread - 1.0) < 0.05
    assert drawn.min() >= 0.0


def test_poisson_inversion_has_the_right_probabilities() -> None:
    grid = (np.arange(100_000) + 0.5) / 100_000
    counts = np.bincount([dynamics.poisson(0.7, u) for u in grid], minlength=4) / grid.size
    for k in range(4):
        assert abs(counts[k] - math.exp(-0.7) * 0.7**k / math.factorial(k)) < 2e-5
    assert plain(dynamics.poisson)(0.7, 0.9) == dynamics.poisson(0.7, 0.9)


@pytest.mark.parametrize("regime", [NO_JUMPS, JUMPS], ids=["heston", "bates"])
def test_paths_price_options_as_the_model_does(regime: Regime) -> None:
    config = _config(regime, implied_vol=0.42 if regime is NO_JUMPS else 0.5, variance_premium=1.0)
    tau, steps, paths = 0.08, 40, 20_000
    ends = np.empty(paths)
    start = dynamics.start_state(config)
    stream = random_stream(9, "paths")
    rows, factors, out = dynamics.regime_rows(config), dynamics.factor_row(config), np.empty((steps, 5))
    for i in range(paths):
        normals, uniforms = stream.standard_normal((steps, 5)), stream.random((steps, 3))
        dynamics.evolve(start.copy(), rows, factors, tau / steps, normals, uniforms, out)
        ends[i] = math.exp(out[-1, dynamics.LOG_SPOT])
    p = BatesParams(
        start[dynamics.VARIANCE],
        regime.mean_reversion,
        regime.theta,
        regime.vol_of_variance,
        regime.spot_vol_correlation,
        regime.jump_intensity,
        regime.jump_mean,
        regime.jump_std,
    )
    assert abs(ends.mean() / config.spot - 1.0) < 4.0 * ends.std() / config.spot / math.sqrt(paths)
    for strike in (75_000.0, 90_000.0, 105_000.0):
        payoff = np.maximum(ends - strike, 0.0)
        expected = float(bates.price(p, config.spot, strike, tau, 1.0, True))
        assert abs(payoff.mean() - expected) < 4.0 * payoff.std() / math.sqrt(paths)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_realised_volatility_is_that_of_the_variance_path_and_of_the_long_run(seed: int) -> None:
    config = _config(JUMPS, implied_vol=0.5)
    dt = 1.0 / (365.0 * 288.0)
    path = _run(config, 3 * 365 * 288, dt, seed)
    returns = np.diff(path[:, dynamics.LOG_SPOT])
    years = returns.size * dt
    realised = float(np.sum(returns**2)) / years
    diffusive = float(path[:, dynamics.VARIANCE].mean())
    jumps = JUMPS.jump_variance
    # Jump variance is a sum of few big squares: its deviation is sqrt(intensity E[J^4] / years).
    fourth = JUMPS.jump_mean**4 + 6 * JUMPS.jump_mean**2 * JUMPS.jump_std**2 + 3 * JUMPS.jump_std**4
    assert abs(realised - diffusive - jumps) < 4.0 * math.sqrt(JUMPS.jump_intensity * fourth / years) + 0.003
    # Long-run variance of a mean over T years is about xi^2 theta / (kappa^2 T).
    spread = JUMPS.vol_of_variance * JUMPS.diffusive_vol / JUMPS.mean_reversion / math.sqrt(years)
    assert abs(diffusive - JUMPS.theta) < 4.0 * spread


def test_regimes_last_as_long_as_configured() -> None:
    config = SyntheticConfig()
    path = _run(config, 400_000, 1.0 / (365.0 * 24.0), 4)
    stressed = path[:, dynamics.REGIME]
    switches = int(np.abs(np.diff(stressed)).sum())
    years = 400_000 / (365.0 * 24.0)
    cycle_days = config.calm.mean_days + config.stressed.mean_days
    expected = 2.0 * years * 365.0 / cycle_days
    assert abs(switches - expected) < 4.0 * math.sqrt(expected)
    assert abs(stressed.mean() - config.stressed_share) < 0.02
    # Long-run variance is the closed form's: deviation 0.15, about 550 independent fortnights, four deviations.
    variance = path[:, dynamics.VARIANCE]
    level, share, there = dynamics.expected_variance(dynamics.regime_rows(config), 0, years)
    assert abs(variance.mean() - level - share * variance[0]) < 4.0 * 0.15 / math.sqrt(550.0)
    assert abs(there - config.stressed_share) < 1e-3
    assert variance[stressed == 1.0].mean() > 1.4 * variance[stressed == 0.0].mean()


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("tau", [1e-5, 1.0 / 365.0, 0.1, 2.0])
def test_expected_variance_solves_its_differential_equations(number: int, tau: float) -> None:
    regimes = dynamics.regime_rows(SyntheticConfig())
    kappa, theta, leave = (regimes[[number, 1 - number], column] for column in (0, 1, dynamics.SWITCH_RATE))

    def slope(_: float, y: np.ndarray) -> list[float]:
        here, there, p, _total, _years = y
        flow = leave[0] * here - leave[1] * there
        return [
            kappa[0] * (theta[0] * (1.0 - p) - here) - flow,
            kappa[1] * (theta[1] * p - there) + flow,
            leave[0] * (1.0 - p) - leave[1] * p,
            here + there,
            p,
        ]

    ends = [
        solve_ivp(slope, (0.0, tau), [v, 0, 0, 0, 0], rtol=1e-10, atol=1e-14, method="Radau").y[:, -1]
        for v in (0.0, 1.0)
    ]
    for kernel in (dynamics.expected_variance, plain(dynamics.expected_variance)):
        level, share, there = kernel(regimes, number, tau)
        assert abs(level - ends[0][3] / tau) < 1e-8
        assert abs(share - (ends[1][3] - ends[0][3]) / tau) < 1e-8
        assert abs(there - ends[0][4] / tau) < 1e-8


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("tau", [2e-6, 0.02, 0.3, 3.0])
def test_the_regime_that_stands_for_both_has_their_expected_variance(number: int, tau: float) -> None:
    regimes = dynamics.regime_rows(SyntheticConfig())
    level, share, there = dynamics.expected_variance(regimes, number, tau)
    row = dynamics.averaged_regime(regimes, number, tau)
    for variance in (0.01, 0.1, 1.0):
        alone = row[1] + (variance - row[1]) * -math.expm1(-row[0] * tau) / (row[0] * tau)
        assert alone == pytest.approx(level + share * variance, rel=1e-8)
    jumps = [regimes[i, 4] * (regimes[i, 5] ** 2 + regimes[i, 6] ** 2) for i in (number, 1 - number)]
    both = (1.0 - there) * jumps[0] + there * jumps[1]
    assert row[4] * (row[5] ** 2 + row[6] ** 2) == pytest.approx(both, rel=1e-12)


def test_implied_variance_is_the_premium_times_what_is_expected() -> None:
    config = SyntheticConfig(variance_premium=1.3)
    start = dynamics.start_state(config)
    tau = np.array([7.0, 30.0, 90.0]) / 365.0
    models = np.empty((3, 8))
    dynamics.risk_neutral_models(start, dynamics.regime_rows(config), tau, np.zeros(3), models)
    fair = dynamics.start_state(config)
    fair[dynamics.LOG_PREMIUM] = 0.0
    physical = np.empty((3, 8))
    dynamics.risk_neutral_models(fair, dynamics.regime_rows(config), tau, np.zeros(3), physical)
    for i in range(3):
        assert mean_variance(tau[i], models[i]) == pytest.approx(1.3 * mean_variance(tau[i], physical[i]), rel=1e-12)
    assert math.sqrt(mean_variance(tau[1], models[1])) == pytest.approx(0.45, abs=1e-12)


@pytest.mark.parametrize("regime", [0.0, 1.0])
@pytest.mark.parametrize("variance", [0.0, 0.02, 0.5, 2.0])
def test_model_prices_of_any_state_are_free_of_arbitrage(variance: float, regime: float) -> None:
    config = SyntheticConfig()
    state = dynamics.start_state(config)
    state[dynamics.VARIANCE], state[dynamics.REGIME] = variance, regime
    tau = np.array([1e-4, 4.0 / 365.0, 30.0 / 365.0, 0.3])
    models = np.empty((4, 8))
    dynamics.risk_neutral_models(state, dynamics.regime_rows(config), tau, np.array([0.03, -0.03, 0.0, 0.01]), models)
    strikes = np.linspace(40_000.0, 160_000.0, 61)
    earlier = np.zeros(61)
    for i in range(4):
        call = bates.price(BatesParams(*models[i]), 90_000.0, strikes, tau[i], 1.0, True)
        slope = np.diff(call) / np.diff(strikes)
        assert np.all((slope <= 1e-12) & (slope >= -1.0 - 1e-12))
        assert np.all(np.diff(slope) >= -1e-12)
        assert np.all(call >= earlier - 1e-8)
        earlier = call


def test_history_ends_at_the_start_and_a_longer_one_extends_it() -> None:
    config = SyntheticConfig(start_ns=1_767_571_200_000_000_000 + 5 * NS_PER_DAY // 8)
    long, short = daily_history(config, 5, 400), daily_history(config, 5, 30)
    for a, b in zip(long, short, strict=True):
        assert np.array_equal(a[-30:], b)
    assert not np.array_equal(short.close, daily_history(config, 6, 30).close)
    assert long.day_ns[-1] + NS_PER_DAY == config.start_ns // NS_PER_DAY * NS_PER_DAY
    assert np.all(np.diff(long.day_ns) == NS_PER_DAY)
    assert np.array_equal(long.open[1:], long.close[:-1])
    assert np.all((long.low <= np.minimum(long.open, long.close)) & (long.high >= np.maximum(long.open, long.close)))
    # Fifteen hours at most lie between the last close and the start.
    assert abs(math.log(long.close[-1] / config.spot)) < 6.0 * config.implied_vol * math.sqrt(15.0 / 8760.0)
    with pytest.raises(InputError, match="days=0"):
        daily_history(config, 5, 0)


def test_history_ends_exactly_at_spot_when_the_market_starts_at_midnight() -> None:
    assert daily_history(SyntheticConfig(), 5, 10).close[-1] == pytest.approx(90_000.0, rel=1e-14)


def test_history_has_the_volatility_and_leverage_of_the_dynamics() -> None:
    config = _config(NO_JUMPS, implied_vol=0.42)
    days = 1500
    closes = daily_history(config, 2, days).close
    realised = np.diff(np.log(closes)).var() * 365.0
    assert abs(realised - NO_JUMPS.theta) < 0.035
    # Falls come with rising volatility: returns against the change of squared returns ahead.
    path = _run(config, 200_000, 10.0 * 60e9 / NS_PER_YEAR, 2)
    regimes, factors = dynamics.regime_rows(config), dynamics.factor_row(config)
    stream = random_stream(2, "back")
    normals, uniforms = stream.standard_normal((200_000, 5)), stream.random((200_000, 3))
    dynamics.look_back(path, regimes, factors[0], 10.0 * 60e9 / NS_PER_YEAR, normals, uniforms)
    forward_moves = -np.diff(path[:, dynamics.LOG_SPOT])
    forward_variance = -np.diff(path[:, dynamics.VARIANCE])
    assert abs(np.corrcoef(forward_moves, forward_variance)[0, 1] - NO_JUMPS.spot_vol_correlation) < 0.05


def test_a_market_that_cannot_start_at_the_asked_volatility_says_so() -> None:
    with pytest.raises(InputError, match="too low"):
        dynamics.start_variance(SyntheticConfig(implied_vol=0.2))


def test_compiled_and_plain_models_and_looking_back_agree() -> None:
    config = SyntheticConfig()
    regimes, state = dynamics.regime_rows(config), dynamics.start_state(config)
    tau, noise = np.array([0.001, 0.1]), np.array([0.01, -0.01])
    fast, slow = np.empty((2, 8)), np.empty((2, 8))
    dynamics.risk_neutral_models(state, regimes, tau, noise, fast)
    plain(dynamics.risk_neutral_models)(state, regimes, tau, noise, slow)
    assert np.max(np.abs(fast - slow)) < 1e-13
    row = plain(dynamics.averaged_regime)(regimes, 1, 0.1)
    assert np.max(np.abs(row - dynamics.averaged_regime(regimes, 1, 0.1))) < 1e-11
    for share in (1e-6, 0.2, 0.9, 1.0 - 1e-7):
        x = dynamics._reversion(share)
        assert dynamics._decay_share(x) == pytest.approx(share, rel=1e-13)
        assert plain(dynamics._reversion)(share) == pytest.approx(x, rel=1e-12)
    assert plain(dynamics._decay_share)(0.3) == dynamics._decay_share(0.3)
    path = _run(config, 50, 0.001, 1)
    stream = random_stream(1, "back")
    normals, uniforms = stream.standard_normal((50, 5)), stream.random((50, 3))
    again = path.copy()
    dynamics.look_back(path, regimes, 0.1, 0.001, normals, uniforms)
    plain(dynamics.look_back)(again, regimes, 0.1, 0.001, normals, uniforms)
    assert np.max(np.abs(path - again)) < 1e-12

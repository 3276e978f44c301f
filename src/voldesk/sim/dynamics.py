"""Physical dynamics of the synthetic underlying: Bates with two Markov regimes, stepped at any interval.

Variance by the quadratic-exponential scheme, log price by its discretisation with gamma1 = gamma2 = 1/2 (Andersen
2008, "Simple and efficient simulation of the Heston stochastic volatility model", sec. 3.2 and eq. 33; no martingale
correction, whose size is negligible at steps of minutes), jumps compound Poisson with log-normal sizes. Beside
the price run the variance premium (OU in the log) and the carry rate of the futures curve (OU), both exact.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled
from voldesk.core.errors import InputError
from voldesk.core.units import DAYS_PER_YEAR
from voldesk.sim.synthetic_config import SyntheticConfig

# Columns of a path row.
LOG_SPOT: Final = 0
VARIANCE: Final = 1
REGIME: Final = 2
LOG_PREMIUM: Final = 3
CARRY: Final = 4
PATH_COLUMNS: Final = 5

NORMALS: Final = 5  # variance, price, jump size, premium, carry
UNIFORMS: Final = 3  # regime switch, jump count, variance near zero

# A regime row: kappa, theta, xi, rho, jump intensity, mean, std, switching rate per year.
REGIME_COLUMNS: Final = 8
SWITCH_RATE: Final = 7

# A factors row: drift, premium mean (log), deviation, reversion per year, carry mean, deviation, reversion.
_SWITCH_PSI: Final = 1.5  # Andersen's psi_c
LEAST_VARIANCE: Final = 1e-3  # of the pricer: below 3 % volatility minutes before expiry the integral gets long


@compiled
def next_variance(variance: float, dt: float, regime: FloatArray, normal: float, uniform: float) -> float:
    """One quadratic-exponential step. Source: Andersen (2008), sec. 3.2.3."""
    kappa, theta, xi = regime[0], regime[1], regime[2]
    decay = math.exp(-kappa * dt)
    gone = -math.expm1(-kappa * dt)
    mean = theta + (variance - theta) * decay
    spread = xi * xi * gone / kappa * (variance * decay + 0.5 * theta * gone)
    psi = spread / (mean * mean)
    if psi <= _SWITCH_PSI:
        ratio = 2.0 / psi
        b_squared = ratio - 1.0 + math.sqrt(ratio) * math.sqrt(ratio - 1.0)
        return float(mean / (1.0 + b_squared) * (math.sqrt(b_squared) + normal) ** 2)
    p = (psi - 1.0) / (psi + 1.0)
    if uniform <= p:
        return 0.0
    return float(math.log((1.0 - p) / (1.0 - uniform)) * mean / (1.0 - p))


@compiled
def poisson(mean: float, uniform: float) -> int:
    """Number of events by inversion of one uniform; for small means."""
    count = 0
    probability = math.exp(-mean)
    below = probability
    while uniform > below and count < 1000:
        count += 1
        probability *= mean / count
        below += probability
    return count


@compiled
def _log_return(
    before: float, after: float, dt: float, regime: FloatArray, drift: float, normals: FloatArray, uniform: float
) -> float:
    """Andersen (2008), eq. 33 with gamma1 = gamma2 = 1/2, plus compensated jumps."""
    kappa, theta, xi, rho = regime[0], regime[1], regime[2], regime[3]
    intensity, jump_mean, jump_std = regime[4], regime[5], regime[6]
    growth = math.expm1(jump_mean + 0.5 * jump_std * jump_std)
    average = 0.5 * (before + after)
    # rho / xi (v' - v - kappa (theta - average) dt): the price's share of the variance shock.
    shared = rho / xi * (after - before - kappa * (theta - average) * dt)
    own = math.sqrt((1.0 - rho * rho) * average * dt) * normals[1]
    jumps = poisson(intensity * dt, uniform)
    jump = jumps * jump_mean + math.sqrt(jumps) * jump_std * normals[2]
    return float((drift - intensity * growth - 0.5 * average) * dt + shared + own + jump)


@compiled
def evolve(
    state: FloatArray,
    regimes: FloatArray,
    factors: FloatArray,
    dt: float,
    normals: FloatArray,
    uniforms: FloatArray,
    out: FloatArray,
) -> None:
    """Path rows after each step of `dt` years, starting from `state` (5,), which ends at the last row.

    regimes: (2, 8). factors: (7,). normals: (n, 5). uniforms: (n, 3). out: (n, 5).
    """
    premium_keep = math.exp(-factors[3] * dt)
    premium_kick = factors[2] * math.sqrt(-math.expm1(-2.0 * factors[3] * dt))
    carry_keep = math.exp(-factors[6] * dt)
    carry_kick = factors[5] * math.sqrt(-math.expm1(-2.0 * factors[6] * dt))
    for i in range(out.shape[0]):
        number = int(state[REGIME])
        if uniforms[i, 0] < -math.expm1(-regimes[number, SWITCH_RATE] * dt):
            number = 1 - number
            state[REGIME] = number
        regime = regimes[number]
        before = state[VARIANCE]
        after = next_variance(before, dt, regime, normals[i, 0], uniforms[i, 2])
        state[VARIANCE] = after
        state[LOG_SPOT] += _log_return(before, after, dt, regime, factors[0], normals[i], uniforms[i, 1])
        state[LOG_PREMIUM] = factors[1] + (state[LOG_PREMIUM] - factors[1]) * premium_keep
        state[LOG_PREMIUM] += premium_kick * normals[i, 3]
        state[CARRY] = factors[4] + (state[CARRY] - factors[4]) * carry_keep + carry_kick * normals[i, 4]
        out[i] = state


@compiled
def _decay_share(x: float) -> float:
    """(1 - e^-x) / x: share of a deviation that an average over x reversion times still shows."""
    return -math.expm1(-x) / x if x > 1e-12 else 1.0


@compiled
def _reversion(share: float) -> float:
    """The x > 0 at which `_decay_share` equals share in (0, 1). Newton; the function is convex and falling."""
    x = 2.0 * (1.0 - share)
    for _ in range(60):
        value = _decay_share(x)
        slope = (math.exp(-x) - value) / x
        step = (value - share) / slope
        x -= step
        if abs(step) <= 1e-14 * x:
            break
    return x


@compiled
def expected_variance(regimes: FloatArray, number: int, tau: float) -> tuple[float, float, float]:
    """(level, share, there): mean variance over `tau` years from variance v in regime `number` is level + share v.

    there: expected share of that time in the other regime. Exact: the means m_i = E[v; regime i] obey
    m' = A m + B p with the regime probabilities p = pi + (p(0) - pi) e^(-total t), solved in closed form.
    """
    leave, back = regimes[number, SWITCH_RATE], regimes[1 - number, SWITCH_RATE]
    total = leave + back
    kappa, kappa_there = regimes[number, 0], regimes[1 - number, 0]
    there = leave / total * (1.0 - _decay_share(total * tau))
    # A = [[a, b], [c, d]], first the present regime
    a, b, c, d = -(kappa + leave), back, leave, -(kappa_there + back)
    determinant = a * d - b * c
    pull, pull_there = kappa * regimes[number, 1], kappa_there * regimes[1 - number, 1]
    # integral of p, and the particular solution: constant, and decaying with `total`
    here_years, there_years = (1.0 - there) * tau, there * tau
    f, g = -pull * back / total, -pull_there * leave / total
    constant, constant_there = (d * f - b * g) / determinant, (a * g - c * f) / determinant
    f, g = -pull * leave / total, pull_there * leave / total
    shifted = (a + total) * (d + total) - b * c
    if abs(shifted) < 1e-9 * total * total:
        shifted = 1e-9 * total * total
    fading = ((d + total) * f - b * g) / shifted
    fading_there = ((a + total) * g - c * f) / shifted
    # e^(A tau) by its real eigenvalues
    root = math.sqrt(0.25 * (a - d) ** 2 + b * c)
    high, low = 0.5 * (a + d) + root, 0.5 * (a + d) - root
    e_high, e_low = math.exp(high * tau) / (high - low), math.exp(low * tau) / (high - low)
    e_a, e_d = e_high * (a - low) - e_low * (a - high), e_high * (d - low) - e_low * (d - high)
    e_b, e_c = (e_high - e_low) * b, (e_high - e_low) * c
    fade = math.exp(-total * tau)
    start, start_there = -constant - fading, -constant_there - fading_there
    end = e_a * start + e_b * start_there + constant + fading * fade
    end_there = e_c * start + e_d * start_there + constant_there + fading_there * fade
    # the integral of m is A^-1 (m(tau) - m(0) - B integral of p); both regimes added
    f, g = end - pull * here_years, end_there - pull_there * there_years
    level = ((d - c) * f + (a - b) * g) / determinant
    share = ((d - c) * (e_a - 1.0) + (a - b) * e_c) / determinant
    return level / tau, share / tau, there


@compiled
def averaged_regime(regimes: FloatArray, number: int, tau: float) -> FloatArray:
    """One regime, without switches, that stands for both over `tau` years from regime `number`.

    kappa and theta give the exact expected variance for every present variance; jump intensity, mean and std the exact
    first two moments of jumps; xi squared and rho are weighted by the time spent in each regime, an approximation.
    """
    level, share, there = expected_variance(regimes, number, tau)
    here = 1.0 - there
    mine, other = regimes[number], regimes[1 - number]
    out = np.zeros(REGIME_COLUMNS)
    out[0] = _reversion(share) / tau
    out[1] = level / (1.0 - share)
    out[2] = math.sqrt(here * mine[2] ** 2 + there * other[2] ** 2)
    out[3] = here * mine[3] + there * other[3]
    intensity = here * mine[4] + there * other[4]
    out[4] = intensity
    if intensity > 0.0:
        share_here, share_there = here * mine[4] / intensity, there * other[4] / intensity
        out[5] = share_here * mine[5] + share_there * other[5]
        second = share_here * (mine[5] ** 2 + mine[6] ** 2) + share_there * (other[5] ** 2 + other[6] ** 2)
        out[6] = math.sqrt(max(second - out[5] ** 2, 0.0))
    return out


@compiled
def risk_neutral_models(
    state: FloatArray, regimes: FloatArray, tau: FloatArray, noise: FloatArray, out: FloatArray
) -> None:
    """Bates rows (see `pricing.fourier`) for each expiry: physical variance times premium times (1 + noise).

    A variance process times a constant c is again of Heston's form with theta c and xi sqrt(c). tau, noise: (m,).
    out: (m, 8).
    """
    number = int(state[REGIME])
    premium = math.exp(state[LOG_PREMIUM])
    for i in range(tau.size):
        row = averaged_regime(regimes, number, tau[i])
        scale = premium * (1.0 + noise[i])
        out[i, 0] = max(state[VARIANCE], LEAST_VARIANCE) * scale
        out[i, 1] = row[0]
        out[i, 2] = row[1] * scale
        out[i, 3] = row[2] * math.sqrt(scale)
        out[i, 4] = row[3]
        out[i, 5] = row[4] * scale
        out[i, 6] = row[5]
        out[i, 7] = row[6]


def regime_rows(config: SyntheticConfig) -> FloatArray:
    """Calm, then stressed, as rows for the kernels."""
    return np.array(
        [
            [
                regime.mean_reversion,
                regime.theta,
                regime.vol_of_variance,
                regime.spot_vol_correlation,
                regime.jump_intensity,
                regime.jump_mean,
                regime.jump_std,
                DAYS_PER_YEAR / regime.mean_days,
            ]
            for regime in (config.calm, config.stressed)
        ]
    )


def factor_row(config: SyntheticConfig) -> FloatArray:
    """Drift, premium and carry, as the row that `evolve` takes."""
    half_lives = config.premium_half_life_days, config.carry_half_life_days
    premium_reversion, carry_reversion = (math.log(2.0) * DAYS_PER_YEAR / days for days in half_lives)
    return np.array(
        [
            config.drift,
            math.log(config.variance_premium),
            config.premium_deviation,
            premium_reversion,
            config.carry_rate,
            config.carry_deviation,
            carry_reversion,
        ]
    )


def start_variance(config: SyntheticConfig) -> float:
    """Physical spot variance at which the 30-day model variance is `implied_vol` squared.

    Raises InputError where no positive variance does that.
    """
    tau = 30.0 / DAYS_PER_YEAR
    rows, number = regime_rows(config), int(config.start_stressed)
    level, share, _ = expected_variance(rows, number, tau)
    row = averaged_regime(rows, number, tau)
    jump = row[4] * (row[5] ** 2 + row[6] ** 2)
    variance = (config.implied_vol**2 / config.variance_premium - jump - level) / share
    if variance <= 0.0:
        raise InputError(
            f"implied_vol={config.implied_vol} is too low for the regimes, whose 30-day mean alone is higher; "
            "raise it or lower diffusive_vol."
        )
    return float(variance)


def start_state(config: SyntheticConfig) -> FloatArray:
    """The path row at the start: premium and carry at their means."""
    return np.array(
        [
            math.log(config.spot),
            start_variance(config),
            float(config.start_stressed),
            math.log(config.variance_premium),
            config.carry_rate,
        ]
    )


@compiled
def look_back(
    path: FloatArray, regimes: FloatArray, drift: float, dt: float, normals: FloatArray, uniforms: FloatArray
) -> None:
    """Rewrite the log prices of a path that was run into the past, row 0 being the present.

    A square-root process and a two-state chain look the same in both directions of time once stationary, so variance
    and regime may be drawn backwards; the returns of each interval are then drawn forwards, from the earlier row to
    the later.
    """
    for i in range(1, path.shape[0]):
        regime = regimes[int(path[i, REGIME])]
        step = _log_return(path[i, VARIANCE], path[i - 1, VARIANCE], dt, regime, drift, normals[i], uniforms[i, 1])
        path[i, LOG_SPOT] = path[i - 1, LOG_SPOT] - step

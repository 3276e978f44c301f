"""Monte Carlo prices: any payoff of `simulation.payoffs` under any model of `simulation.simulate`, with an error bar that holds.

The sample is made of independent randomisations of a Sobol net (32 by default, 4,096 paths each). Points of one net are
not independent, so the error is estimated from the spread of the 32 means alone (Owen 1997; L'Ecuyer 2018, "Randomized
quasi-Monte Carlo: an introduction for practitioners"). Control variates are fitted to those means too: the
coefficient that suits independent points is not the right one for nets (Hickernell, Lemieux & Owen 2005, "Control
variates for quasi-Monte Carlo"). The intercept of that regression is the price and its standard error the error, with
t quantiles for the interval (Lavenberg & Welch 1981).

Controls: the forward, always (exact in every model, as each scheme keeps E[S] = F); for an arithmetic Asian option under
Brownian motion the geometric one (Kemna & Vorst 1990); for other path-dependent options the European option of the same
strike, by its closed form or Fourier price.

Nothing here has been tried on a GPU: the code that would run there is what Backend.NUMPY runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError
from voldesk.core.rng import random_stream
from voldesk.pricing import bates, black, heston, merton
from voldesk.pricing.bates import BatesParams
from voldesk.pricing.heston import HestonParams
from voldesk.pricing.merton import MertonParams
from voldesk.pricing.simulation.array_namespace import Array, Backend, namespace, resolve, to_host
from voldesk.pricing.simulation.draws import Sampling, draw
from voldesk.pricing.simulation.models import Gbm, Schedule
from voldesk.pricing.simulation.payoffs import Asian, Average, Barrier, European, Lookback, Payoff
from voldesk.pricing.simulation.simulate import Model, Needs, Paths, plan, simulate

LEAST_SCRAMBLES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to sample. Raises InputError for values out of range.

    paths: at least so many in all; rounded up to scrambles times a power of two. scrambles: independent randomisations, the
    sample that the error comes from. antithetic: half of each randomisation mirrors the other. controls: use control
    variates. max_step: longest step in years of models that are stepped (local volatility, Heston, Bates).
    """

    paths: int = 131_072
    scrambles: int = 32
    sampling: Sampling = Sampling.SOBOL
    antithetic: bool = False
    controls: bool = True
    max_step: float = 0.02
    backend: Backend = Backend.AUTO

    def __post_init__(self) -> None:
        if self.scrambles < LEAST_SCRAMBLES:
            raise InputError(
                f"scrambles={self.scrambles}; expected {LEAST_SCRAMBLES} or more, since their spread is the error bar."
            )
        if not self.max_step > 0.0:
            raise InputError(f"max_step={self.max_step}; expected years above 0, such as 0.02.")
        if self.paths < 2 * self.scrambles:
            raise InputError(f"paths={self.paths}; expected at least two per scramble, {2 * self.scrambles}.")

    @property
    def bits(self) -> int:
        """log2 of the paths of one scramble."""
        return math.ceil(math.log2(self.paths / self.scrambles))


class Control(NamedTuple):
    """A payoff whose expected amount (undiscounted, one or one per strike) is known under the model."""

    payoff: Payoff
    expectation: ArrayLike


class Estimate(NamedTuple):
    """price and error: present value and its standard error in currency, one per strike (0-d for one).

    error is 0 where every path paid the same, so also where none of them paid: a tail that no path reached has no
    estimate. degrees: of freedom of the t interval. seed: gives the same numbers again.
    """

    price: FloatArray
    error: FloatArray
    degrees: int
    paths: int
    dimensions: int
    seed: int

    def interval(self, confidence: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Bounds that hold the price with the given confidence (0 to 1, else InputError), sampling error only."""
        from scipy.special import stdtrit

        if not 0.0 < confidence < 1.0:
            raise InputError(f"confidence={confidence}; expected a share between 0 and 1, such as 0.95.")

        reach = float(stdtrit(self.degrees, 0.5 + 0.5 * confidence)) * self.error
        return self.price - reach, self.price + reach


def price(
    model: Model,
    payoff: Payoff,
    schedule: Schedule,
    *,
    seed: int,
    settings: Settings | None = None,
    more_controls: tuple[Control, ...] = (),
) -> Estimate:
    """Present value of a payoff made at the schedule's last time.

    The same seed and settings give the same numbers on one back end. Raises InputError for unusable arguments.

    >>> schedule = Schedule.flat(spot=100.0, tau=1.0, rate=0.05)
    >>> got = price(Gbm(0.2), European(100.0, True), schedule, seed=1)
    >>> abs(float(got.price) - 10.450583572185565) < 5.0 * float(got.error) < 0.005
    True
    """
    use = settings or Settings()
    backend = resolve(use.backend)
    xp = namespace(backend)
    controls = (*(_controls(payoff, model, schedule) if use.controls else ()), *more_controls)
    needs = payoff.needs()
    for control in controls:
        needs |= control.payoff.needs()
    made = plan(model, schedule, use.max_step, needs)
    means, control_means = [], []
    for scramble in range(use.scrambles):
        rng = random_stream(seed, "monte carlo", scramble)
        draws = draw(use.sampling, made.dimensions, use.bits, rng, backend, use.antithetic)
        paths = simulate(made, draws, backend)
        means.append(_mean(payoff, paths, xp))
        control_means.append([_mean(control.payoff, paths, xp) for control in controls])
    y = np.stack(means)
    strikes = y.shape[1]
    c = np.empty((use.scrambles, len(controls), strikes))
    for row, found in enumerate(control_means):
        for k, control in enumerate(controls):
            c[row, k] = found[k] - np.asarray(control.expectation, np.float64)
    value, error, degrees = regressed(y, c)
    discount = float(schedule.discount[-1])
    shape = () if strikes == 1 else (strikes,)
    total = use.scrambles << use.bits
    return Estimate(
        (discount * value).reshape(shape), (discount * error).reshape(shape), degrees, total, made.dimensions, seed
    )


def _mean(payoff: Payoff, paths: Paths, xp: Any) -> FloatArray:
    values: Array = payoff.values(paths, xp)
    if values.ndim not in (1, 2) or values.shape[-1] != paths.spot.shape[1]:
        raise InputError(
            f"the payoff gave an array of shape {values.shape} for {paths.spot.shape[1]} paths; expected (paths,) or "
            "(k, paths). Reduce over the first axis of spot."
        )
    return np.atleast_1d(to_host(values.mean(axis=-1)))


def regressed(y: FloatArray, c: FloatArray) -> tuple[FloatArray, FloatArray, int]:
    """Intercepts of y (n, k) on controls c (n, controls, k), centred at their expectations; errors; degrees of freedom.

    A control that did not move (or repeats another) takes no part. Source: Lavenberg & Welch (1981), sec. 2.
    """
    n, strikes = y.shape
    value, error = np.empty(strikes), np.empty(strikes)
    degrees = n - 1
    for j in range(strikes):
        x = c[:, :, j]
        mean = x.mean(axis=0)
        x = x - mean
        scale = np.sqrt((x * x).mean(axis=0))
        size = np.abs(y[:, j]).max()
        moving = scale > 1e-12 * max(float(size), 1e-300)
        x, mean = x[:, moving] / scale[moving], mean[moving] / scale[moving]
        pinned = np.linalg.pinv(x, rcond=1e-9)
        rank = int(np.linalg.matrix_rank(x, tol=1e-9 * math.sqrt(n))) if x.size else 0
        beta = pinned @ (y[:, j] - y[:, j].mean())
        residual = y[:, j] - y[:, j].mean() - x @ beta
        free = n - 1 - rank
        variance = float(residual @ residual) / free
        lever = mean @ pinned
        value[j] = y[:, j].mean() - mean @ beta
        error[j] = math.sqrt(variance * (1.0 / n + float(lever @ lever)))
        degrees = min(degrees, free)
    return value, error, degrees


@dataclass(frozen=True, slots=True)
class _Forward:
    def needs(self) -> Needs:
        return Needs.SPOT

    def values(self, paths: Paths, xp: Any) -> Array:
        return paths.spot[-1][None]


def _controls(payoff: Payoff, model: Model, schedule: Schedule) -> tuple[Control, ...]:
    found = [Control(_Forward(), float(schedule.forward[-1]))]
    if isinstance(payoff, Asian) and payoff.average is Average.ARITHMETIC and isinstance(model, Gbm):
        twin = Asian(payoff.strike, payoff.is_call, Average.GEOMETRIC)
        found.append(Control(twin, geometric_asian(model, payoff.strike, payoff.is_call, schedule)))
    elif isinstance(payoff, Barrier | Asian) or (isinstance(payoff, Lookback) and payoff.strike is not None):
        strike = payoff.strike
        assert strike is not None
        expected = _european(model, strike, payoff.is_call, schedule)
        if expected is not None:
            found.append(Control(European(strike, payoff.is_call), expected))
    return tuple(found)


def _european(model: Model, strike: ArrayLike, is_call: bool, schedule: Schedule) -> FloatArray | None:
    """Undiscounted European value where the model has a closed form or Fourier price."""
    forward, tau = float(schedule.forward[-1]), float(schedule.tau[-1])
    if isinstance(model, Gbm):
        sigma = math.sqrt(float(model.total_variance(tau)) / tau)
        return black.price(forward, strike, tau, sigma, 1.0, is_call)
    if isinstance(model, MertonParams):
        return merton.price(model, forward, strike, tau, 1.0, is_call)
    if isinstance(model, BatesParams):
        return bates.price(model, forward, strike, tau, 1.0, is_call)
    if isinstance(model, HestonParams):
        return heston.price(model, forward, strike, tau, 1.0, is_call)
    return None


def geometric_asian(model: Gbm, strike: ArrayLike, is_call: bool, schedule: Schedule) -> FloatArray:
    """Undiscounted value of the geometric Asian option, exact: the average is log-normal.

    Source: Kemna & Vorst (1990), in discrete time: with w_i = total variance at t_i, the log average has mean
    average(ln F_i - w_i / 2) and variance sum_ij min(w_i, w_j) / m^2.
    """
    w = model.total_variance(schedule.tau)
    m = w.size
    mean = float(np.mean(np.log(schedule.forward) - 0.5 * w))
    variance = float(np.sum(w * (2.0 * np.arange(m, 0, -1) - 1.0))) / (m * m)
    return black.price(math.exp(mean + 0.5 * variance), strike, 1.0, math.sqrt(variance), 1.0, is_call)

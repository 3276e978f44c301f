"""American options by simulation: a lower bound from a policy, an upper bound from a hedge.

Lower: Longstaff & Schwartz (2001), "Valuing American options by simulation: a simple least-squares approach", RFS 14.
Continuation values are fitted on training paths, on those in the money, and the policy is then followed on fresh paths:
the estimate is of one admissible policy, so its expectation is never above the value.

Upper: the dual of Rogers (2002) and Haugh & Kogan (2004), sup of discounted payoff minus a martingale, with the
martingale fitted on the training paths as a trading gain in the underlying, sum of h_i(S_i) (X_{i+1} - X_i) with
X = S / F. Where conditional moments of the scheme are known the gain has more legs: the centred squares and cubes of the
increment under Brownian motion, Heston's variance over its conditional mean (Belomestny, Bender & Schoenmakers 2009,
"True upper bounds for Bermudan products via non-nested Monte Carlo"). Any h gives a true upper bound, since X is a
martingale in every scheme here; Andersen & Broadie's nested simulation is not needed. The same gain, taken up to the
moment of exercise, has mean zero and is the control variate of the lower bound.

Both bound the option that can be exercised at the schedule's times and now; an American option is worth a little more
than that one. Regressions are on NumPy or CuPy arrays alike.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from voldesk.core.errors import InputError
from voldesk.core.rng import random_stream
from voldesk.pricing.heston import HestonParams
from voldesk.pricing.monte_carlo import Settings, regressed
from voldesk.pricing.simulation.array_namespace import Array, namespace, resolve, to_host
from voldesk.pricing.simulation.draws import draw
from voldesk.pricing.simulation.models import Gbm, Schedule
from voldesk.pricing.simulation.simulate import Model, Needs, Paths, plan, simulate

_DEGREE: Final = 4
_KNOTS: Final = 16
_LEAST_PATHS: Final = 50
_RIDGE: Final = 1e-10


class AmericanEstimate(NamedTuple):
    """Bounds of the value in currency, present value, with standard errors.

    lower: of the policy found; upper: of the hedge found. The value lies between them up to sampling error.
    european: the same paths held to expiry, with the same hedge. degrees: of freedom of t intervals. exercise_now: the policy stops today.
    """

    lower: float
    lower_error: float
    upper: float
    upper_error: float
    european: float
    exercise_now: bool
    degrees: int
    paths: int
    seed: int


class _Policy(NamedTuple):
    """Coefficients per exercise time before the last: continuation value, and the hedge's holdings."""

    continuation: list[Array | None]
    hedge: list[Array | None]
    knots: list[Array]
    value: float


def american(
    model: Model, strike: float, is_call: bool, schedule: Schedule, *, seed: int, settings: Settings | None = None
) -> AmericanEstimate:
    """One option that may be exercised now and at each time of the schedule.

    A quarter as many paths as `settings.paths` train the policy. `settings.controls` is not read: the fitted hedge is
    always the control. Raises InputError for unusable arguments.

    >>> schedule = Schedule.flat(spot=36.0, tau=1.0, steps=50, rate=0.06)
    >>> got = american(Gbm(0.2), 40.0, False, schedule, seed=1, settings=Settings(paths=16_384))
    >>> bool(got.lower - 3.5 * got.lower_error < 4.478 < got.upper + 3.5 * got.upper_error)
    True
    """
    if not 0.0 < strike < math.inf:
        raise InputError(f"strike={strike}; expected a positive price.")
    use = settings or Settings()
    backend = resolve(use.backend)
    xp = namespace(backend)
    made = plan(model, schedule, use.max_step, Needs.STATE)
    option = _Option(model, strike, 1.0 if is_call else -1.0, schedule)
    bits = max(math.ceil(math.log2(use.paths / 4)), 10)
    rng = random_stream(seed, "american", "policy")
    policy = _train(option, simulate(made, draw(use.sampling, made.dimensions, bits, rng, backend), backend), xp)
    rows = []
    for scramble in range(use.scrambles):
        rng = random_stream(seed, "american", scramble)
        draws = draw(use.sampling, made.dimensions, use.bits, rng, backend, use.antithetic)
        rows.append(_follow(option, policy, simulate(made, draws, backend), xp))
    found = np.array(rows)
    value, error, degrees = regressed(found, np.empty((use.scrambles, 0, 3)))
    lower, upper, european = value
    now = max(option.sign * (schedule.spot - strike), 0.0)
    stop = now > 0.0 and now >= policy.value
    return AmericanEstimate(
        now if stop else float(lower),
        0.0 if stop else float(error[0]),
        max(float(upper), now),
        float(error[1]),
        float(european),
        stop,
        degrees,
        use.scrambles << use.bits,
        seed,
    )


class _Option(NamedTuple):
    model: Model
    strike: float
    sign: float
    schedule: Schedule

    def discounted(self, spot: Array, row: int) -> Array:
        """Payoff at observation `row` (1 is the first), times its discount factor."""
        pays = (self.sign * (spot - self.strike)).clip(0.0, None)
        return pays * float(self.schedule.discount[row - 1])


def _basis(option: _Option, paths: Paths, row: int, columns: Array, xp: Any) -> Array:
    """Powers of moneyness, with Heston's variance where the model has one: (paths, terms)."""
    x = paths.spot[row][columns] / option.strike - 1.0
    terms = [xp.ones(x.shape)]
    for _ in range(_DEGREE):
        terms.append(terms[-1] * x)
    if paths.variance is not None:
        v = paths.variance[row][columns]
        terms += [v, v * v, v * x, v * x * x, v * v * x]
    return xp.stack(terms, axis=1)


def _solve(a: Array, b: Array, xp: Any) -> Array:
    """Least squares by scaled normal equations with a ridge far below sampling error."""
    scale = xp.sqrt((a * a).mean(axis=0)) + 1e-300
    scaled = a / scale
    normal = scaled.T @ scaled / a.shape[0] + _RIDGE * xp.eye(a.shape[1])
    return xp.linalg.solve(normal, scaled.T @ b / a.shape[0]) / scale


def _hats(spot: Array, knots: Array, xp: Any) -> Array:
    """Piecewise-linear functions of the spot, one at each knot, flat beyond: (knots, paths)."""
    place = xp.clip((spot[None] - knots[:-1, None]) / (knots[1:, None] - knots[:-1, None]), 0.0, 1.0)
    ones = xp.ones((1, spot.shape[0]))
    return xp.concatenate([ones, place]) - xp.concatenate([place, 0.0 * ones])


def _gains(option: _Option, paths: Paths, row: int, knots: Array, xp: Any) -> Array:
    """Discounted martingale increments from observation row to row + 1: (instruments x knots, paths)."""
    forward = option.schedule.forward
    before = paths.spot[row] / (float(forward[row - 1]) if row else option.schedule.spot)
    moved = paths.spot[row + 1] / float(forward[row]) / before - 1.0
    shapes = _hats(paths.spot[row], knots, xp) if row else xp.ones((1, moved.shape[0]))
    increments = [moved]
    times = paths.tau[row : row + 2]
    if isinstance(option.model, HestonParams) and paths.variance is not None:
        decay = math.exp(-option.model.kappa * float(times[1] - times[0]))
        v = paths.variance[row]
        turned = paths.variance[row + 1] - option.model.theta - (v - option.model.theta) * decay
        increments += [moved * v, turned, turned * v] if row else [turned]
    if isinstance(option.model, Gbm):
        w = float(np.diff(option.model.total_variance(times))[0])
        second = math.expm1(w)
        third = math.expm1(3.0 * w) - 3.0 * math.expm1(w)
        increments += [moved**2 - second, moved**3 - third]
    return xp.concatenate([shapes * increment for increment in increments])


def _train(option: _Option, paths: Paths, xp: Any) -> _Policy:
    last = option.schedule.tau.size
    value = option.discounted(paths.spot[last], last)
    continuation: list[Array | None] = [None] * (last + 1)
    hedge: list[Array | None] = [None] * (last + 1)
    knots: list[Array] = [None] * (last + 1)
    for row in range(last - 1, -1, -1):
        levels = np.unique(np.quantile(to_host(paths.spot[row]), np.linspace(0.001, 0.999, _KNOTS)))
        knots[row] = xp.asarray(levels)
        gains = _gains(option, paths, row, knots[row], xp) if levels.size > 1 or row == 0 else None
        if gains is not None:
            shapes = _hats(paths.spot[row], knots[row], xp) if row else xp.ones((1, value.shape[0]))
            fitted = _solve(xp.concatenate([shapes, gains]).T, value, xp)
            hedge[row] = fitted[shapes.shape[0] :]
            # What the hedge explains of the future is noise to the policy: the fit below is to the rest.
            value = value - hedge[row] @ gains
        if row == 0:
            break
        now = option.discounted(paths.spot[row], row)
        inside = xp.nonzero(now > 0.0)[0]
        if inside.size < _LEAST_PATHS:
            continue
        terms = _basis(option, paths, row, inside, xp)
        continuation[row] = _solve(terms, value[inside], xp)
        stop = now[inside] >= terms @ continuation[row]
        value[inside[stop]] = now[inside[stop]]
    return _Policy(continuation, hedge, knots, float(value.mean()))


def _follow(option: _Option, policy: _Policy, paths: Paths, xp: Any) -> tuple[float, float, float]:
    """Means over one set of fresh paths: policy, dual, European; the first and last less the hedge's gains."""
    last = option.schedule.tau.size
    n = paths.spot.shape[1]
    alive = xp.full(n, True)
    taken = xp.zeros(n)
    gained = xp.zeros(n)
    best = xp.full(n, max(option.sign * (option.schedule.spot - option.strike), 0.0))
    for row in range(last + 1):
        if row:
            now = option.discounted(paths.spot[row], row)
            best = xp.maximum(best, now - gained)
            fitted = policy.continuation[row]
            if row == last:
                taken = xp.where(alive, now - gained, taken)
            elif fitted is not None:
                held = _basis(option, paths, row, slice(None), xp) @ fitted
                stop = alive & (now > 0.0) & (now >= held)
                taken = xp.where(stop, now - gained, taken)
                alive = alive & ~stop
        holdings = policy.hedge[row] if row < last else None
        if holdings is not None:
            gained = gained + holdings @ _gains(option, paths, row, policy.knots[row], xp)
    european = option.discounted(paths.spot[last], last)
    return float(taken.mean()), float(best.mean()), float((european - gained).mean())

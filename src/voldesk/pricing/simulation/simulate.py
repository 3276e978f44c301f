"""One set of paths of any model: draws in, prices at the observations of a schedule out, on any back end."""

from __future__ import annotations

import math
from enum import Flag, auto
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError
from voldesk.pricing.bates import BatesParams
from voldesk.pricing.grids.market import LocalVolGrid
from voldesk.pricing.heston import HestonParams
from voldesk.pricing.merton import MertonParams
from voldesk.pricing.simulation import heston as mc_heston
from voldesk.pricing.simulation import paths as mc_paths
from voldesk.pricing.simulation.array_namespace import Array, Backend, namespace
from voldesk.pricing.simulation.draws import Bridge, bridge, uniforms
from voldesk.pricing.simulation.models import Gbm, Schedule

Model: TypeAlias = Gbm | LocalVolGrid | MertonParams | HestonParams | BatesParams


class Needs(Flag):
    """What a payoff reads of its paths besides spot. EXTRA: `Paths.extra`; BETWEEN: step_variance; STATE: variance."""

    SPOT = 0
    EXTRA = auto()
    BETWEEN = auto()
    STATE = auto()


class Paths(NamedTuple):
    """Simulated paths, one column each. Arrays are of the back end's namespace, but for tau. None: not asked for or none.

    tau: (m + 1,) years, 0 first. spot: (m + 1, n). variance: (m + 1, n) Heston's v. step_variance: integral of
    the squared volatility between observations, (m, n) or (m, 1); None for a model with jumps. extra: uniforms
    (m, n) that the model has not used.
    """

    tau: FloatArray
    spot: Array
    variance: Array | None
    step_variance: Array | None
    extra: Array | None


class Plan(NamedTuple):
    """What a simulation needs besides draws: made once, used for every set of draws."""

    model: Model
    schedule: Schedule
    grid: mc_paths.Steps
    path: Bridge
    jumps: mc_paths.Jumps
    per_step: int
    needs: Needs

    @property
    def dimensions(self) -> int:
        """Draws per path."""
        return self.per_step * self.grid.tau.size + (self.schedule.tau.size if Needs.EXTRA in self.needs else 0)


def plan(model: Model, schedule: Schedule, max_step: float, needs: Needs = Needs.SPOT) -> Plan:
    """max_step: longest step in years of a model that is stepped (local volatility, Heston, Bates); others are exact.

    needs: what to hand out besides the spot; EXTRA is one more uniform per observation. Raises InputError for a bad step.
    """
    if not max_step > 0.0:
        raise InputError(f"max_step={max_step} years; expected a positive number such as 0.02.")
    if isinstance(model, HestonParams) and model.xi == 0.0:
        raise InputError(
            "xi=0 leaves no stochastic volatility; expected a positive xi. Use Gbm with its term structure."
        )
    grid = mc_paths.steps(schedule, max_step if isinstance(model, LocalVolGrid | HestonParams) else math.inf)
    clock, per_step, jumping = grid.tau, 1, False
    if isinstance(model, Gbm | MertonParams):
        clock = _total_variance(model, schedule)
    if isinstance(model, HestonParams):
        per_step = 2
    if isinstance(model, MertonParams | BatesParams):
        per_step, jumping = per_step + 2, model.jump_intensity > 0.0
    table = mc_paths.NO_JUMPS
    if isinstance(model, MertonParams | BatesParams) and jumping:
        table = mc_paths.jumps(model.jump_intensity, model.jump_mean, model.jump_std, grid.lengths)
    return Plan(model, schedule, grid, bridge(clock), table, per_step, needs)


def _total_variance(model: Gbm | MertonParams, schedule: Schedule) -> FloatArray:
    if isinstance(model, MertonParams):
        return np.asarray(model.sigma**2 * schedule.tau)
    return model.total_variance(schedule.tau)


def simulate(made: Plan, draws: Array, backend: Backend) -> Paths:
    """Paths from draws of `mc_draws.draw` with `made.dimensions` rows, in the namespace of `backend`."""
    xp = namespace(backend)
    tau = np.concatenate([[0.0], made.schedule.tau])
    model = made.model
    own = made.per_step * made.grid.tau.size
    extra = uniforms(draws[own:], xp) if Needs.EXTRA in made.needs else None
    compiled = backend is Backend.COMPILED
    between = Needs.BETWEEN in made.needs and not made.jumps.drift.size
    if isinstance(model, Gbm | MertonParams):
        total = _total_variance(model, made.schedule)
        spot = _diffusion(made, total, draws[:own], compiled, xp)
        return Paths(tau, spot, None, xp.asarray(np.diff(total, prepend=0.0)[:, None]) if between else None, extra)
    if isinstance(model, LocalVolGrid):
        spot, spent = _local_vol(made, model, draws[:own], compiled, xp)
        return Paths(tau, spot, None, spent if between else None, extra)
    spot, variance, spent = _heston(made, model, draws[:own], compiled, xp)
    return Paths(tau, spot, variance if Needs.STATE in made.needs else None, spent if between else None, extra)


def _started(first: float, rows: Array, xp: Any) -> Array:
    return xp.concatenate([xp.full((1, rows.shape[1]), first), rows])


def _diffusion(made: Plan, total: FloatArray, draws: Array, compiled: bool, xp: Any) -> Array:
    schedule = made.schedule
    if not compiled:
        rows = mc_paths.diffusion_arrays(draws, made.per_step, made.path, total, made.jumps, schedule.forward, xp)
        return _started(schedule.spot, rows, xp)
    spot = np.empty((total.size + 1, draws.shape[1]))
    spot[0] = schedule.spot
    mc_paths.diffusion_kernel(draws, made.per_step, *made.path, total, *made.jumps, schedule.forward, spot)
    return spot


def _local_vol(made: Plan, model: LocalVolGrid, draws: Array, compiled: bool, xp: Any) -> tuple[Array, Array]:
    schedule, grid = made.schedule, made.grid
    rows = mc_paths.vol_rows(model, grid, schedule)
    if not compiled:
        values, spent = mc_paths.local_vol_arrays(draws, made.path, grid, rows, schedule.forward, xp)
        return _started(schedule.spot, values, xp), spent
    spot = np.empty((schedule.tau.size + 1, draws.shape[1]))
    spent = np.empty((schedule.tau.size if Needs.BETWEEN in made.needs else 0, draws.shape[1]))
    spot[0] = schedule.spot
    mc_paths.local_vol_kernel(draws, *made.path, grid.lengths, grid.keep, *rows, schedule.forward, spot, spent)
    return spot, spent


def _heston(made: Plan, model: HestonParams, draws: Array, compiled: bool, xp: Any) -> tuple[Array, Array, Array]:
    schedule, grid = made.schedule, made.grid
    if not compiled:
        spot, variance, spent = mc_heston.arrays(
            draws, made.per_step, made.path, grid, model, made.jumps, schedule.forward, xp
        )
        return _started(schedule.spot, spot, xp), _started(model.v0, variance, xp), spent
    m, n = schedule.tau.size, draws.shape[1]
    spot = np.empty((m + 1, n))
    variance = np.empty((m + 1 if Needs.STATE in made.needs else 0, n))
    spent = np.empty((m if Needs.BETWEEN in made.needs else 0, n))
    spot[0], variance[:1] = schedule.spot, model.v0
    mc_heston.kernel(
        draws, made.per_step, *made.path, mc_heston.coefficients(model, grid.lengths), grid.keep, model.v0,
        *made.jumps, schedule.forward, spot, variance, spent,
    )  # fmt: skip
    return spot, variance, spent

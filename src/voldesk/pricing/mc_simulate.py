"""One set of paths of any model: draws in, prices at the observations of a schedule out, on any back end."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError
from voldesk.pricing import mc_heston, mc_paths
from voldesk.pricing.array_namespace import Array, Backend, namespace
from voldesk.pricing.bates import BatesParams
from voldesk.pricing.fd_market import LocalVolGrid
from voldesk.pricing.heston import HestonParams
from voldesk.pricing.mc_draws import bridge, uniforms
from voldesk.pricing.mc_models import Gbm, Schedule
from voldesk.pricing.merton import MertonParams

Model: TypeAlias = Gbm | LocalVolGrid | MertonParams | HestonParams | BatesParams

_NONE: Final = np.empty((0, 0))


class Paths(NamedTuple):
    """Simulated paths, one column each. Arrays are of the back end's namespace, but for tau.

    tau: (m + 1,) years, 0 first. spot: (m + 1, n). variance: (m + 1, n) Heston's v, or None. step_variance: integral of
    the squared volatility between observations, (m, n) or (m, 1), or None for a model with jumps. extra: uniforms
    (m, n) that the model has not used, or None.
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
    per_step: int
    extra: bool

    @property
    def dimensions(self) -> int:
        """Draws per path."""
        return self.per_step * self.grid.tau.size + (self.schedule.tau.size if self.extra else 0)


def plan(model: Model, schedule: Schedule, max_step: float, extra: bool = False) -> Plan:
    """max_step: longest step in years of a model that is stepped (local volatility, Heston, Bates); others are exact.

    extra: one more uniform per observation, for what happens between observations. Raises InputError for a bad step.
    """
    if not max_step > 0.0:
        raise InputError(f"max_step={max_step} years; expected a positive number such as 0.02.")
    if isinstance(model, HestonParams) and model.xi == 0.0:
        raise InputError(
            "xi=0 leaves no stochastic volatility; expected a positive xi. Use Gbm with its term structure."
        )
    stepped = isinstance(model, LocalVolGrid | HestonParams)
    per_step = 4 if isinstance(model, BatesParams) else 2 if isinstance(model, HestonParams) else 1
    if isinstance(model, MertonParams):
        per_step = 3
    return Plan(model, schedule, mc_paths.steps(schedule, max_step if stepped else math.inf), per_step, extra)


def simulate(made: Plan, draws: Array, backend: Backend) -> Paths:
    """Paths from draws of `mc_draws.draw` with `made.dimensions` rows, in the namespace of `backend`."""
    xp = namespace(backend)
    tau = np.concatenate([[0.0], made.schedule.tau])
    model = made.model
    own = made.per_step * made.grid.tau.size
    extra = uniforms(draws[own:], xp) if made.extra else None
    compiled = backend is Backend.COMPILED
    if isinstance(model, Gbm | MertonParams):
        spot, spent = _diffusion(made, draws[:own], compiled, xp)
        return Paths(tau, spot, None, spent, extra)
    if isinstance(model, LocalVolGrid):
        spot, spent = _local_vol(made, model, draws[:own], compiled, xp)
        return Paths(tau, spot, None, spent, extra)
    spot, variance, spent = _heston(made, model, draws[:own], compiled, xp)
    return Paths(tau, spot, variance, None if isinstance(model, BatesParams) else spent, extra)


def _started(first: float, rows: Array, xp: Any) -> Array:
    return xp.concatenate([xp.full((1, rows.shape[1]), first), rows])


def _diffusion(made: Plan, draws: Array, compiled: bool, xp: Any) -> tuple[Array, Array | None]:
    model, schedule = made.model, made.schedule
    table = mc_paths.NO_JUMPS
    if isinstance(model, MertonParams):
        total = model.sigma**2 * schedule.tau
        if model.jump_intensity > 0.0:
            table = mc_paths.jumps(model.jump_intensity, model.jump_mean, model.jump_std, made.grid.lengths)
    else:
        assert isinstance(model, Gbm)
        total = model.total_variance(schedule.tau)
    path = bridge(total)
    spent = None if table.drift.size else xp.asarray(np.diff(total, prepend=0.0)[:, None])
    if not compiled:
        rows = mc_paths.diffusion_arrays(draws, made.per_step, path, total, table, schedule.forward, xp)
        return _started(schedule.spot, rows, xp), spent
    spot = np.empty((total.size + 1, draws.shape[1]))
    spot[0] = schedule.spot
    mc_paths.diffusion_kernel(draws, made.per_step, *path, total, *table, schedule.forward, spot)
    return spot, spent


def _local_vol(made: Plan, model: LocalVolGrid, draws: Array, compiled: bool, xp: Any) -> tuple[Array, Array]:
    schedule, grid = made.schedule, made.grid
    path = bridge(grid.tau)
    rows = mc_paths.vol_rows(model, grid, schedule)
    if not compiled:
        values, spent = mc_paths.local_vol_arrays(draws, path, grid, rows, schedule.forward, xp)
        return _started(schedule.spot, values, xp), spent
    spot = np.empty((schedule.tau.size + 1, draws.shape[1]))
    spent = np.empty((schedule.tau.size, draws.shape[1]))
    spot[0] = schedule.spot
    mc_paths.local_vol_kernel(draws, *path, grid.lengths, grid.keep, *rows, schedule.forward, spot, spent)
    return spot, spent


def _heston(made: Plan, model: HestonParams, draws: Array, compiled: bool, xp: Any) -> tuple[Array, Array, Array]:
    schedule, grid = made.schedule, made.grid
    path = bridge(grid.tau)
    table = mc_paths.NO_JUMPS
    if isinstance(model, BatesParams):
        table = mc_paths.jumps(model.jump_intensity, model.jump_mean, model.jump_std, grid.lengths)
    if not compiled:
        spot, variance, spent = mc_heston.arrays(draws, made.per_step, path, grid, model, table, schedule.forward, xp)
        return _started(schedule.spot, spot, xp), _started(model.v0, variance, xp), spent
    shape = (schedule.tau.size + 1, draws.shape[1])
    spot, variance, spent = np.empty(shape), np.empty(shape), np.empty((shape[0] - 1, shape[1]))
    spot[0], variance[0] = schedule.spot, model.v0
    coefficients = mc_heston.coefficients(model, grid.lengths)
    mc_heston.kernel(
        draws, made.per_step, *path, coefficients, grid.keep, model.v0, *table, schedule.forward, spot, variance, spent
    )  # fmt: skip
    return spot, variance, spent

"""Paths: compiled = plain = vectorised for every model, exact laws, forwards kept."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtri

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.core.rng import random_stream
from voldesk.pricing.bates import BatesParams
from voldesk.pricing.grids.market import LocalVolGrid
from voldesk.pricing.heston import HestonParams
from voldesk.pricing.merton import MertonParams
from voldesk.pricing.simulation import heston as mc_heston
from voldesk.pricing.simulation import paths as mc_paths
from voldesk.pricing.simulation.array_namespace import Backend
from voldesk.pricing.simulation.draws import Sampling, draw
from voldesk.pricing.simulation.models import Gbm, Schedule
from voldesk.pricing.simulation.simulate import Model, Needs, Paths, plan, simulate

HESTON = HestonParams(v0=0.04, kappa=0.5, theta=0.04, xi=1.0, rho=-0.9)
SKEW = LocalVolGrid.sample(
    lambda spot, time: 0.2 * (100.0 / spot) ** 0.5 * (1.0 + 0.3 * time),
    [0.0, 0.5, 1.0],
    np.exp(np.linspace(3.5, 5.5, 81)),
)
MODELS: dict[str, Model] = {
    "gbm": Gbm([0.2, 0.5], until=[0.3, 1.0]),
    "local vol": SKEW,
    "merton": MertonParams(sigma=0.2, jump_intensity=1.5, jump_mean=-0.1, jump_std=0.2),
    "heston": HESTON,
    "bates": BatesParams(0.04, 0.5, 0.04, 1.0, -0.9, jump_intensity=0.8, jump_mean=-0.1, jump_std=0.15),
}


def _paths(model: Model, schedule: Schedule, bits: int, backend: Backend = Backend.COMPILED, seed: int = 1) -> Paths:
    made = plan(model, schedule, 0.05, Needs.EXTRA | Needs.BETWEEN | Needs.STATE)
    return simulate(made, draw(Sampling.SOBOL, made.dimensions, bits, random_stream(seed, "p"), backend), backend)


@pytest.mark.parametrize("name", MODELS)
def test_compiled_and_vectorised_paths_agree_to_rounding(name: str) -> None:
    schedule = Schedule.flat(100.0, 1.0, 7, 0.04, 0.01)
    fast = _paths(MODELS[name], schedule, 9)
    slow = _paths(MODELS[name], schedule, 9, Backend.NUMPY)
    assert fast.spot.shape == (8, 512)
    assert np.max(np.abs(fast.spot / slow.spot - 1.0)) < 1e-11
    for a, b in zip(fast[2:], slow[2:], strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert np.max(np.abs(a - b)) < 1e-11


@pytest.mark.parametrize("name", MODELS)
def test_compiled_kernels_equal_their_plain_twins(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = Schedule.flat(100.0, 0.2, 3, 0.04, 0.01)
    fast = _paths(MODELS[name], schedule, 3)
    for module, kernel in ((mc_paths, "diffusion_kernel"), (mc_paths, "local_vol_kernel"), (mc_heston, "kernel")):
        monkeypatch.setattr(module, kernel, plain(getattr(module, kernel)))
    for kernel in ("jump_rows", "normal_rows", "bridge_rows"):
        monkeypatch.setattr(mc_paths, kernel, plain(getattr(mc_paths, kernel)))
        monkeypatch.setattr(mc_heston, kernel, plain(getattr(mc_heston, kernel)))
    monkeypatch.setattr(mc_heston, "_step", plain(mc_heston._step))
    slow = _paths(MODELS[name], schedule, 3)
    assert np.max(np.abs(fast.spot / slow.spot - 1.0)) < 1e-12


@pytest.mark.parametrize("name", MODELS)
def test_every_scheme_keeps_the_forward_at_every_observation(name: str) -> None:
    schedule = Schedule.flat(100.0, 1.0, 5, 0.06, 0.01)
    means = np.array([_paths(MODELS[name], schedule, 11, seed=seed).spot[1:].mean(axis=1) for seed in range(24)])
    error = means.std(axis=0, ddof=1) / math.sqrt(24)
    assert np.max(np.abs(means.mean(axis=0) - schedule.forward) / error) < 4.0
    assert np.max(error / schedule.forward) < 3e-3


def test_brownian_paths_have_the_term_structure_of_variance() -> None:
    model = Gbm([0.2, 0.5], until=[0.3, 1.0])
    schedule = Schedule.flat(100.0, 1.0, 4)
    x = np.log(_paths(model, schedule, 14).spot[1:] / schedule.forward[:, None])
    w = np.array([0.05 * 5 * 0.04, 0.012 + 0.2 * 0.25, 0.012 + 0.45 * 0.25, 0.012 + 0.7 * 0.25])
    assert np.max(np.abs(model.total_variance(schedule.tau) - w)) < 1e-15
    assert np.max(np.abs(np.cov(x) - np.minimum.outer(w, w))) < 1e-4
    assert np.max(np.abs(x.mean(axis=1) + 0.5 * w)) < 1e-5


def test_jump_counts_are_poisson() -> None:
    # Jumps of size 1 and no diffusion: X minus the drift is the count itself.
    model = MertonParams(sigma=1e-9, jump_intensity=3.0, jump_mean=0.01, jump_std=0.0)
    schedule = Schedule.flat(1.0, 1.0, 1)
    x = np.log(_paths(model, schedule, 14).spot[1]) + 3.0 * math.expm1(0.01)
    count = np.rint(x / 0.01)
    assert np.max(np.abs(x / 0.01 - count)) < 1e-4
    for k in range(12):
        expected = math.exp(-3.0) * 3.0**k / math.factorial(k)
        assert abs((count == k).mean() - expected) < 2.0**-13


def test_quadratic_exponential_step_has_the_exact_mean_and_variance() -> None:
    # Andersen (2008), eqs. 17-18, from both branches: psi below and above 3/2.
    dt = 0.25
    row = mc_heston.coefficients(HESTON, np.array([dt]))[0]
    u = (np.arange(2**18) + 0.5) / 2**18
    z = ndtri(u)
    decay, xi, kappa, theta = math.exp(-0.5 * dt), 1.0, 0.5, 0.04
    for v in (0.0, 1e-6, 0.01, 0.04, 0.3, 2.0):
        after, _ = mc_heston.step_arrays(np.full(z.size, v), z, 0.0 * z, 0.0 * z, row, np)
        mean = theta + (v - theta) * decay
        variance = v * xi**2 * decay * (1 - decay) / kappa + 0.5 * theta * xi**2 * (1 - decay) ** 2 / kappa
        assert abs(after.mean() - mean) < 2e-4 * mean
        assert abs(after.var() - variance) < 3e-3 * variance


def test_martingale_correction_is_exact_for_each_step() -> None:
    # E[exp(dX)] = 1 with the normal part integrated in closed form: the correction leaves no bias at any v.
    row = mc_heston.coefficients(HESTON, np.array([0.25]))[0]
    z = ndtri((np.arange(2**18) + 0.5) / 2**18)
    k3, k4 = row[mc_heston._K3], row[mc_heston._K4]
    for v in (1e-5, 0.02, 0.04, 0.2, 1.0):
        after, x = mc_heston.step_arrays(np.full(z.size, v), z, 0.0 * z, 0.0 * z, row, np)
        assert abs(np.exp(x + 0.5 * (k3 * v + k4 * after)).mean() - 1.0) < 2e-6


def test_a_step_for_which_the_forward_has_no_mean_is_refused() -> None:
    with pytest.raises(InputError, match=r"too long for rho=0\.9.*Lower max_step"):
        mc_heston.coefficients(HestonParams(0.04, 0.5, 0.04, 2.0, 0.9), np.array([2.0]))
    mc_heston.coefficients(HestonParams(0.04, 0.5, 0.04, 2.0, 0.9), np.array([0.1]))


def test_nonsense_is_refused_in_one_line() -> None:
    flat = Schedule.flat(100.0, 1.0)
    with pytest.raises(InputError, match="Use Gbm"):
        plan(HestonParams(0.04, 0.5, 0.04, 0.0, 0.0), flat, 0.1)
    with pytest.raises(InputError, match="max_step=0"):
        plan(HESTON, flat, 0.0)
    with pytest.raises(InputError, match="rising"):
        Schedule(100.0, np.array([1.0, 0.5]), np.array([1.0, 1.0]), np.array([1.0, 1.0]))
    with pytest.raises(InputError, match="forward of shape"):
        Schedule(100.0, np.array([0.5, 1.0]), np.array([1.0]), np.array([1.0, 1.0]))
    with pytest.raises(InputError, match="spot=-1"):
        Schedule(-1.0, np.array([1.0]), np.array([1.0]), np.array([1.0]))
    with pytest.raises(InputError, match="steps=0"):
        Schedule.flat(100.0, 1.0, steps=0)
    with pytest.raises(InputError, match="sigma"):
        Gbm(-0.2)
    with pytest.raises(InputError, match="sigma"):
        Gbm([0.2, 0.3], until=[1.0])


def test_steps_cut_long_gaps_and_end_on_the_observations() -> None:
    schedule = Schedule(1.0, np.array([0.1, 0.35, 1.0]), np.ones(3), np.ones(3))
    grid = mc_paths.steps(schedule, 0.1)
    assert np.max(grid.lengths) <= 0.1 + 1e-12
    assert np.array_equal(grid.tau[grid.keep >= 0], schedule.tau)
    assert grid.keep[grid.keep >= 0].tolist() == [0, 1, 2]

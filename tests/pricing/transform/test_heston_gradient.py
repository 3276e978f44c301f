"""Analytic derivatives in all parameters against complex steps of the integrand and differences of prices."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import plain
from voldesk.pricing.transform import fourier, heston_gradient
from voldesk.pricing.transform.fourier_kernels import BLOCK, PARAMETERS, log_characteristic
from voldesk.pricing.transform.heston_gradient import ALL_ROWS, BATES_ROWS, HESTON_ROWS, TAU

NAMES = ["v0", "kappa", "theta", "xi", "rho", "jump_intensity", "jump_mean", "jump_std"]
MODELS = {
    "cos paper": np.array([0.0175, 1.5768, 0.0398, 0.5751, -0.5711, 0.7, -0.1, 0.2]),
    "crypto": np.array([0.2, 8.0, 0.2, 1.3, -0.3, 15.0, -0.005, 0.025]),
    "andersen I": np.array([0.04, 0.5, 0.04, 1.0, -0.9, 0.1, 0.05, 0.3]),
    "small xi": np.array([0.04, 1.5, 0.05, 1e-3, -0.5, 0.5, -0.1, 0.15]),
    "rho 0.95": np.array([0.09, 1.0, 0.09, 1.0, 0.95, 0.5, -0.1, 0.15]),
}


def _exponent(u: mpmath.mpf, tau: mpmath.mpf, model: list[mpmath.mpf]) -> mpmath.mpc:
    """ln phi(u - i/2) as Gatheral (2006), eq. 2.12, prints it, with Merton's jumps; in mpmath."""
    v0, kappa, theta, xi, rho, intensity, mean, std = model
    p = mpmath.mpc(0.5, u)
    beta = kappa - rho * xi * p
    d = mpmath.sqrt(beta * beta + xi * xi * (p - p * p))
    g, e = (beta - d) / (beta + d), mpmath.e ** (-d * tau)
    level = kappa * theta / xi**2 * ((beta - d) * tau - 2 * mpmath.log((1 - g * e) / (1 - g)))
    slope = (beta - d) / xi**2 * (1 - e) / (1 - g * e)
    growth = mpmath.e ** (mean + std * std / 2) - 1
    jumps = intensity * tau * (mpmath.e ** (p * mean + std * std * p * p / 2) - 1 - p * growth)
    return level + v0 * slope + jumps


def _derivatives(first: int, step: float, tau: float, model: FloatArray) -> FloatArray:
    work = np.empty((ALL_ROWS + 2) * 2 * BLOCK)
    heston_gradient.exponent_derivatives(first, step, tau, model, work)
    heston_gradient.add_jump_derivatives(first, step, tau, model, work)
    parts = work.reshape(ALL_ROWS + 2, 2, BLOCK)
    return parts[:, 0] + 1j * parts[:, 1]


@pytest.mark.parametrize("name", MODELS)
def test_derivatives_of_the_exponent_equal_forty_digit_differences(name: str) -> None:
    model = MODELS[name]
    worst = 0.0
    with mpmath.workdps(50):
        exact_model = [mpmath.mpf(float(value)) for value in model]
        h = mpmath.mpf(10) ** -20
        for tau in (0.02, 1.0, 8.0):
            for first, step in ((0, 0.3), (40, 0.9)):
                got = _derivatives(first, step, tau, model)
                for j in (0, 1, 7, BLOCK - 1):
                    u, t = mpmath.mpf((first + j) * step), mpmath.mpf(tau)
                    assert abs(got[0, j] - log_characteristic(complex(0.5, float(u)), tau, model)) < 1e-11 * (
                        1.0 + abs(got[0, j])
                    )
                    for i in range(PARAMETERS):
                        up, down = list(exact_model), list(exact_model)
                        up[i], down[i] = up[i] + h, down[i] - h
                        slope = complex((_exponent(u, t, up) - _exponent(u, t, down)) / (2 * h))
                        worst = max(worst, abs(got[1 + i, j] - slope) / (abs(slope) + 1e-6))
                    slope = complex((_exponent(u, t + h, exact_model) - _exponent(u, t - h, exact_model)) / (2 * h))
                    worst = max(worst, abs(got[TAU, j] - slope) / abs(slope))
    assert worst < 2e-11


@pytest.mark.parametrize("name", MODELS)
def test_price_derivatives_equal_eighth_order_differences(name: str) -> None:
    model = MODELS[name]
    strikes = np.tile(np.exp(np.linspace(-0.4, 0.4, 9)), 3)
    tau = np.repeat([0.1, 0.5, 2.0], 9)
    got = fourier.values(model, BATES_ROWS, 1.0, strikes, tau, 0.95, True)
    assert np.max(np.abs(got[0] - fourier.price(model, 1.0, strikes, tau, 0.95, True))) < 2e-14
    for i, parameter in enumerate(NAMES):
        h = 0.01 * max(abs(model[i]), 0.02) if parameter != "rho" else 1e-3
        if parameter == "xi" and model[i] < 0.01:
            h = 1e-4

        def bumped(k: int, i: int = i, h: float = h) -> FloatArray:
            moved = model.copy()
            moved[i] += k * h
            return fourier.price(moved, 1.0, strikes, tau, 0.95, True)

        slope = 672.0 * (bumped(1) - bumped(-1)) - 168.0 * (bumped(2) - bumped(-2))
        slope = (slope + 32.0 * (bumped(3) - bumped(-3)) - 3.0 * (bumped(4) - bumped(-4))) / (840.0 * h)
        noise = 1e-14 / h  # what rounding of the prices leaves of the difference
        assert np.max(np.abs(got[1 + i] - slope)) < 1e-9 * np.max(np.abs(slope)) + 4.0 * noise, parameter


def test_heston_rows_are_the_first_of_the_bates_rows() -> None:
    model = np.array([0.04, 1.5, 0.05, 0.6, -0.5, 0.0, 0.0, 0.0])
    few = fourier.values(model, HESTON_ROWS, 1.0, [0.8, 1.0, 1.3], 0.4, 1.0, True)
    more = fourier.values(model, BATES_ROWS, 1.0, [0.8, 1.0, 1.3], 0.4, 1.0, True)
    assert np.max(np.abs(few - more[:HESTON_ROWS])) < 1e-14


def test_derivatives_of_far_options_vanish() -> None:
    got = fourier.values(MODELS["crypto"], BATES_ROWS, 1.0, [1e-9, 1e9], 0.05, 1.0, False)
    assert np.max(np.abs(got[1:])) < 1e-9


def test_compiled_and_plain_kernels_agree() -> None:
    model = MODELS["cos paper"]
    fast, slow = np.zeros((ALL_ROWS + 2) * 2 * BLOCK), np.zeros((ALL_ROWS + 2) * 2 * BLOCK)
    heston_gradient.exponent_derivatives(BLOCK, 0.3, 0.7, model, fast)
    heston_gradient.add_jump_derivatives(BLOCK, 0.3, 0.7, model, fast)
    plain(heston_gradient.exponent_derivatives)(BLOCK, 0.3, 0.7, model, slow)
    plain(heston_gradient.add_jump_derivatives)(BLOCK, 0.3, 0.7, model, slow)
    assert np.max(np.abs(fast - slow) / (1.0 + np.abs(slow))) < 1e-12
    one = heston_gradient.weigh_derivatives(BLOCK, 0.3, 0.7, 0.05, ALL_ROWS, fast)
    two = plain(heston_gradient.weigh_derivatives)(BLOCK, 0.3, 0.7, 0.05, ALL_ROWS, slow)
    assert one == pytest.approx(two, rel=1e-10)
    assert np.max(np.abs(fast - slow)) < 1e-13

"""Heston on the grid: against the Fourier price, published American values, its limits, its plain twin."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.pricing import finite_difference, heston
from voldesk.pricing.grids import heston_pde, heston_pde_kernels, heston_pde_march
from voldesk.pricing.grids.grid import sinh_grid
from voldesk.pricing.heston import HestonParams

STRIKES = np.array([80.0, 90.0, 100.0, 110.0, 125.0])
CASES = {
    # in 't Hout & Foulon (2010), table 1, cases 1 to 4
    "case 1": (HestonParams(0.04, 1.5, 0.04, 0.3, -0.9), 1.0, 0.025, 0.0, 2e-4),
    "case 2": (HestonParams(0.12, 3.0, 0.12, 0.04, 0.6), 1.0, 0.01, 0.04, 5e-5),
    "case 3": (HestonParams(0.0707, 0.6067, 0.0707, 0.2928, -0.7571), 3.0, 0.03, 0.0, 1e-4),
    "case 4": (HestonParams(0.06, 2.5, 0.06, 0.5, -0.1), 0.25, 0.0507, 0.0469, 1e-5),
    # Fang & Oosterlee (2008): 2 kappa theta / xi^2 = 0.38, so variance reaches zero
    "feller violated": (HestonParams(0.0175, 1.5768, 0.0398, 0.5751, -0.5711), 1.0, 0.0, 0.0, 1e-4),
    "feller far from held": (HestonParams(0.04, 0.5, 0.04, 1.0, -0.9), 1.0, 0.02, 0.0, 6e-3),  # 0.04
    "a week of coin": (HestonParams(0.5, 3.0, 0.4, 1.5, -0.3), 0.02, 0.0, 0.0, 1e-5),
}


@pytest.mark.parametrize("name", CASES)
def test_european_values_are_those_of_fourier(name: str) -> None:
    params, tau, rate, dividend_yield, tolerance = CASES[name]
    forward, discount = 100.0 * math.exp((rate - dividend_yield) * tau), math.exp(-rate * tau)
    size = {"spots": 241, "variances": 121, "steps": 80}
    for call in (True, False):
        exact = heston.price(params, forward, STRIKES, tau, discount, call)
        found = heston_pde.price(
            params, 100.0, STRIKES, tau, rate, call, dividend_yield=dividend_yield, american=False, **size
        )
        assert np.max(np.abs(found - exact)) < tolerance


@pytest.mark.parametrize(
    ("spot", "value"),
    [(8.0, 2.000000), (9.0, 1.107641), (10.0, 0.520030), (11.0, 0.213668), (12.0, 0.082036)],
)
def test_american_puts_of_the_literature(spot: float, value: float) -> None:
    """K = 10, T = 0.25, r = 0.1, kappa = 5, theta = 0.16, xi = 0.9, rho = 0.1, v0 = 0.25^2: the test of Clarke & Parrott
    (1999), reference values of Ikonen & Toivanen (2008), "Efficient numerical methods for pricing American options
    under stochastic volatility", table of their finest grid."""
    params = HestonParams(0.0625, 5.0, 0.16, 0.9, 0.1)
    found = heston_pde.price(params, spot, 10.0, 0.25, 0.1, False, spots=241, variances=121, steps=80)
    assert float(found) == pytest.approx(value, abs=6e-5)


def test_greeks_are_those_of_fourier() -> None:
    params, tau, rate = HestonParams(0.06, 2.0, 0.08, 0.4, -0.5), 0.5, 0.03

    def at(spot=100.0, tau=tau, v0=0.06):
        moved = HestonParams(v0, 2.0, 0.08, 0.4, -0.5)
        return heston.price(moved, spot * math.exp(rate * tau), STRIKES, tau, math.exp(-rate * tau), False)

    g = heston_pde.greeks(params, 100.0, STRIKES, tau, rate, False, american=False)
    h = 1e-2
    assert np.max(np.abs(g.delta - (at(100.0 + h) - at(100.0 - h)) / (2 * h))) < 1e-4
    assert np.max(np.abs(g.gamma - (at(100.0 + h) - 2 * at() + at(100.0 - h)) / h**2)) < 1e-4
    h = 1e-4
    assert np.max(np.abs(g.theta - (at(tau=tau - h) - at(tau=tau + h)) / (2 * h))) < 2e-2
    assert np.max(np.abs(g.variance_delta - (at(v0=0.06 + h) - at(v0=0.06 - h)) / (2 * h))) < 2e-2


def test_with_nearly_constant_variance_it_is_the_one_dimensional_american() -> None:
    params = HestonParams(0.04, 1.0, 0.04, 1e-3, 0.0)
    for call, dividend_yield in ((False, 0.0), (True, 0.08)):
        found = heston_pde.price(params, 100.0, STRIKES, 1.0, 0.05, call, dividend_yield=dividend_yield)
        flat = finite_difference.price(100.0, STRIKES, 1.0, 0.05, 0.2, call, dividend_yield=dividend_yield)
        assert np.max(np.abs(found - flat)) < 1e-2


def test_american_is_worth_at_least_the_european_and_the_payoff() -> None:
    for name in ("case 1", "case 3", "feller violated"):
        params, tau, _, _, _ = CASES[name]
        american = heston_pde.price(params, 100.0, STRIKES, tau, 0.05, False)
        european = heston_pde.price(params, 100.0, STRIKES, tau, 0.05, False, american=False)
        assert np.all(american >= np.maximum(STRIKES - 100.0, european - 1e-3))
        assert np.max(american - european) > 0.1


def test_limits_and_bad_rows() -> None:
    params = HestonParams(0.04, 1.5, 0.04, 0.3, -0.9)
    g = heston_pde.greeks(params, [110.0, 90.0, math.nan, -1.0, 100.0], 100.0, [0.0, 0.0, 1.0, 1.0, -1.0], 0.05, True)
    assert g.price[:2].tolist() == [10.0, 0.0]
    assert g.delta[:2].tolist() == [1.0, 0.0]
    assert np.all(np.isnan(g.price[2:]))
    assert [float(value) for value in heston_pde.greeks(params, 50.0, 100.0, 1.0, 0.05, False)] == [
        50.0,
        -1.0,
        0.0,
        0.0,
        0.0,
    ]
    for bad in ({"spots": 120}, {"variances": 10_001}, {"steps": 2}):
        with pytest.raises(InputError, match="expected"):
            heston_pde.price(params, 100.0, 100.0, 1.0, 0.05, True, **bad)
    with pytest.raises(InputError, match="finite_difference"):
        heston_pde.price(HestonParams(0.04, 1.5, 0.04, 0.0, 0.0), 100.0, 100.0, 1.0, 0.05, True)


def _march(american: bool):
    line, variances = np.zeros((3, 21)), np.empty(11)
    model, option = (0.06, 2.0, 0.08, 0.4, -0.5), (100.0, 100.0, 0.5, 0.05, 0.01, -1.0)
    sinh_grid(40.0, 250.0, 100.0, 0.1, 1, line[0])
    line[1] = np.maximum(100.0 - line[0], 0.0)
    heston_pde_kernels.variance_grid(model, 0.5, variances)
    sheets = np.zeros((heston_pde_kernels.SHEETS, 21, 11))
    sheets[heston_pde_kernels.VALUE] = line[1][:, None]
    heston_pde_march.march(sheets, line, variances, option, model, american, 8)
    return sheets[heston_pde_kernels.VALUE].copy()


@pytest.mark.parametrize("american", [False, True])
def test_compiled_march_is_its_plain_twin(american: bool, monkeypatch) -> None:
    compiled = _march(american)
    for module in (heston_pde_kernels, heston_pde_march):
        for name, item in list(vars(module).items()):
            if hasattr(item, "py_func"):
                monkeypatch.setattr(module, name, plain(item))
    assert np.max(np.abs(_march(american) - compiled)) < 1e-9
    assert compiled[5, 3] > 0.0


def test_one_implicit_solve_undoes_the_operator() -> None:
    """(I - s A1) and (I - s A2) applied to a random sheet and solved give the sheet back."""
    rng = np.random.default_rng(11)
    n, m, s = 17, 13, 0.05
    spots, variances, model = np.geomspace(50.0, 200.0, n), np.empty(m), (0.06, 2.0, 0.08, 0.4, -0.5)
    heston_pde_kernels.variance_grid(model, 0.5, variances)
    terms, spot_weights, var_weights = np.array([0.04, 0.025, s]), np.zeros((6, n)), np.zeros((7, m))
    heston_pde_kernels.difference_weights(spots, spot_weights)
    heston_pde_kernels.variance_weights(variances, model, 0.025, s, var_weights)
    sheets = np.zeros((heston_pde_kernels.SHEETS, n, m))
    heston_pde_kernels.spot_sweep(spots, variances, spot_weights, terms, sheets)
    values = rng.normal(size=(n, m))
    mixed, along_spot, along_var = np.zeros((3, n, m))
    heston_pde_kernels.apply_parts(
        spots, variances, spot_weights, var_weights, np.zeros((6, m)), terms, values, mixed, along_spot, along_var
    )
    solved = values - s * along_spot
    heston_pde_kernels.solve_spot(spots, variances, spot_weights, terms, sheets, solved)
    assert np.max(np.abs(solved - values)) < 1e-12
    solved = values - s * along_var
    heston_pde_kernels.solve_variance(var_weights, s, solved, np.zeros((m, 8)))
    assert np.max(np.abs(solved - values)) < 1e-12

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.surface import start_kernels, svi_fit
from voldesk.surface.svi import SviRaw, total_variance
from voldesk.surface.svi_fit import SliceStatus, fit_slices


@st.composite
def slices(draw) -> SviRaw:
    """Slices whose bend lies inside the strikes -0.5 to 0.5."""
    rho = draw(st.floats(-0.8, 0.8))
    b = draw(st.floats(0.02, 0.5))
    sigma = draw(st.floats(0.05, 0.4))
    return SviRaw(draw(st.floats(0.001, 0.1)), b, rho, draw(st.floats(-0.2, 0.2)), sigma)


@settings(max_examples=300, deadline=None)
@given(slices(), st.integers(6, 30))
def test_total_variance_of_a_slice_gives_the_slice_back(made: SviRaw, count: int) -> None:
    k = np.linspace(-0.5, 0.5, count)
    params, status = fit_slices(k, total_variance(k, made))
    assert status == SliceStatus.OK
    np.testing.assert_allclose(params, made.row(), rtol=1e-4, atol=1e-5)
    assert np.max(np.abs(total_variance(k, SviRaw(*params)) - total_variance(k, made))) < 1e-8


def test_noisy_points_give_the_least_squares_that_a_general_optimiser_finds() -> None:
    random = np.random.default_rng(11)
    k = np.linspace(-0.6, 0.5, 20)
    weight = random.uniform(0.5, 2.0, k.size)
    for _ in range(12):
        rho = random.uniform(-0.6, 0.3)
        made = np.array([random.uniform(0.005, 0.05), 0.15, rho, random.uniform(-0.1, 0.1), random.uniform(0.1, 0.3)])
        w = total_variance(k, SviRaw(*made)) * (1.0 + random.normal(0.0, 0.01, k.size))

        def miss(p: np.ndarray, w: np.ndarray = w) -> np.ndarray:
            x = k - p[3]
            return 1e3 * np.sqrt(weight) * (p[0] + p[1] * (p[2] * x + np.hypot(x, p[4])) - w)

        peer = optimize.least_squares(miss, made, x_scale=np.abs(made) + 1e-3, xtol=1e-13, ftol=1e-13, gtol=1e-13)
        ours, status = fit_slices(k, w, weight)
        assert status == SliceStatus.OK
        assert 0.5 * np.sum(miss(ours) ** 2) <= peer.cost * (1.0 + 1e-8)


def test_rows_may_be_filled_up_with_nan_or_weight_zero() -> None:
    k = np.linspace(-0.4, 0.4, 12)
    w = total_variance(k, SviRaw(0.02, 0.1, -0.3, 0.02, 0.2))
    table, weight = np.vstack([w, w, w]), np.ones((3, 12))
    table[1, ::3] = np.nan
    weight[2, :8] = 0.0
    params, status = fit_slices(k, table, weight)
    assert status.tolist() == [SliceStatus.OK, SliceStatus.OK, SliceStatus.FEW_POINTS]
    np.testing.assert_allclose(params[1], params[0], rtol=1e-5)
    assert np.isnan(params[2]).all()


def test_points_at_one_strike_are_too_few() -> None:
    params, status = fit_slices(np.zeros(8), np.linspace(0.01, 0.02, 8))
    assert status == SliceStatus.FEW_POINTS
    assert np.isnan(params).all()


def test_steep_quotes_are_fitted_with_wings_within_lees_bound() -> None:
    k = np.linspace(-1.0, 1.0, 15)
    params, status = fit_slices(k, 0.1 + 3.0 * np.abs(k))
    assert status == SliceStatus.OK
    assert params[1] * (1.0 + abs(params[2])) <= 2.0 + 1e-12


def test_a_table_of_three_dimensions_is_refused() -> None:
    with pytest.raises(InputError, match="expected \\(slices, points\\)"):
        fit_slices(np.zeros((2, 2, 6)), 0.1)


def test_compiled_and_plain_kernels_agree() -> None:
    k = np.linspace(-0.4, 0.5, 15)[None, :]
    w = 0.02 + 0.1 * np.abs(k - 0.05) ** 1.2 + 0.001 * np.cos(20.0 * k)
    weight = 1.0 + 0.5 * np.sin(k)
    results = []
    for get in (lambda kernel: kernel, plain):
        params, status = np.empty((1, 5)), np.empty(1, np.int8)
        get(svi_fit._fit_rows)(k, w, weight, params, status)
        sums, beta = np.empty(start_kernels._SUMS), np.empty(3)
        box = np.array([[-np.inf, 0.05, 0.05, -1.0, 0.01], [np.inf, 0.07, 0.3, 1.0, 1.0]])
        get(start_kernels._pass)(k[0], w[0], weight[0], 0.02, 0.1, sums)
        explained = get(start_kernels._linear)(sums, 0.1, box, beta)
        direction = get(start_kernels._direction)(sums, beta, 1e-3)
        q = np.empty(5)
        assert get(start_kernels.least_squares)(k[0], w[0], weight[0], box, 5, 1e-6, q)
        edge = get(start_kernels._edge)(2.0, 0.5, 1.0, 0.3, 0.0, 0.4)
        results.append(np.concatenate([params[0], status, sums, beta, [explained, edge], direction, q]))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-6, atol=1e-9)

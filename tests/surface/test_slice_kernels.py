from __future__ import annotations

import numpy as np
import pytest

from voldesk.core.compiled import plain
from voldesk.surface import joint_kernels, slice_kernels, svi_kernels

Q = np.array([0.02, 0.3, 0.5, 0.02, 0.1])
LATER = np.array([0.019, 0.35, 0.45, 0.03, 0.12])
GRID = np.linspace(-0.5, 0.5, 21)


def points() -> np.ndarray:
    rows = np.zeros((9, slice_kernels.POINT_WIDTH))
    rows[:, slice_kernels.K] = np.linspace(-0.3, 0.3, 9)
    rows[:, slice_kernels.LOW], rows[:, slice_kernels.HIGH] = 0.48, 0.52
    rows[:, slice_kernels.MID], rows[:, slice_kernels.PER] = 0.04, 70.0
    rows[:, slice_kernels.PULL] = 0.05
    rows[3, slice_kernels.PULL] = 0.0
    return rows


def stepped(q: np.ndarray, step: np.ndarray) -> np.ndarray:
    moved = q + step
    moved[slice_kernels.WIDTH] = q[slice_kernels.WIDTH] * np.exp(step[slice_kernels.WIDTH])
    return moved


def central(function) -> np.ndarray:
    steps = 1e-6 * np.eye(5)
    return np.array([(function(step) - function(-step)) / 2e-6 for step in steps])


def blocks(count: int) -> list[np.ndarray]:
    return [np.zeros((5, 5)) for _ in range(count)]


def test_coordinates_go_to_raw_svi_and_back() -> None:
    p, back = np.empty(5), np.empty(5)
    slice_kernels.to_raw(Q, p)
    slice_kernels.to_wings(p, back)
    np.testing.assert_allclose(back, Q, rtol=1e-14)
    for k in (-0.3, 0.0, 0.2):
        assert slice_kernels.variance_at(k, Q) == pytest.approx(svi_kernels.total_variance(k, p), rel=1e-14)


def test_gradients_of_every_term_are_their_derivatives() -> None:
    """The gradients that Levenberg-Marquardt steps on, against central differences, with all penalties active."""
    force = np.zeros(5)
    slice_kernels.quote_terms(Q, points(), 1.0, np.zeros((5, 5)), force)
    slope = central(lambda s: slice_kernels.quote_terms(stepped(Q, s), points(), 1.0, np.zeros((5, 5)), np.zeros(5)))
    np.testing.assert_allclose(force, slope, rtol=1e-6)
    force[:] = 0.0
    assert slice_kernels.butterfly_terms(Q, GRID, 2.0, 3.0, np.zeros((5, 5)), force) > 1.0
    slope = central(
        lambda s: slice_kernels.butterfly_terms(stepped(Q, s), GRID, 2.0, 3.0, np.zeros((5, 5)), np.zeros(5))
    )
    np.testing.assert_allclose(force, slope, rtol=1e-6)
    early, late = np.zeros(5), np.zeros(5)
    assert joint_kernels.gap_terms(Q, LATER, GRID, 0.5, 3.0, *blocks(3), early, late) > 1.0
    for found, moved in (
        (early, lambda s: (stepped(Q, s), LATER)),
        (late, lambda s: (Q, stepped(LATER, s))),
    ):
        slope = central(
            lambda s, moved=moved: joint_kernels.gap_terms(
                *moved(s), GRID, 0.5, 3.0, *blocks(3), np.zeros(5), np.zeros(5)
            )
        )
        np.testing.assert_allclose(found, slope, rtol=1e-6)


def test_wings_that_cross_beyond_the_grid_are_penalised() -> None:
    late = Q * np.array([3.0, 0.9, 1.2, 1.0, 1.0])
    force = np.zeros((2, 5))
    loss = joint_kernels.gap_terms(Q, late, GRID, 0.0, 1.0, *blocks(3), force[0], force[1])
    assert loss == pytest.approx(0.5 * np.log(0.9) ** 2)
    assert force[0, slice_kernels.RIGHT] > 0.0 > force[1, slice_kernels.RIGHT]
    assert np.count_nonzero(force) == 2


def test_the_block_tridiagonal_solution_is_that_of_the_whole_matrix() -> None:
    random = np.random.default_rng(5)
    n = 4
    rows = np.zeros((60, 5 * n))
    for i in range(n - 1):  # each row of the Jacobian touches two neighbours only
        rows[20 * i : 20 * i + 20, 5 * i : 5 * i + 10] = random.standard_normal((20, 10))
    whole = rows.T @ rows
    normal = np.array([whole[5 * i : 5 * i + 5, 5 * i : 5 * i + 5] for i in range(n)])
    coupling = np.zeros((n, 5, 5))
    for i in range(n - 1):
        coupling[i] = whole[5 * i + 5 : 5 * i + 10, 5 * i : 5 * i + 5]
    force = random.standard_normal((n, 5))
    expected = -np.linalg.solve(whole + 0.1 * np.diag(np.diag(whole)), force.reshape(-1))
    for kernel in (joint_kernels._solve, plain(joint_kernels._solve)):
        step = np.empty((n, 5))
        assert kernel(normal, coupling, force, 0.1, np.empty((n, 5, 5)), np.empty((n, 5, 5)), step)
        np.testing.assert_allclose(step.reshape(-1), expected, rtol=1e-9)
    assert not joint_kernels._solve(-normal, coupling, force, 0.0, normal.copy(), coupling.copy(), step)


def test_the_force_of_a_missed_quote_fades_and_that_of_a_band_rises_to_its_edge() -> None:
    loss, force, _ = slice_kernels.loss_terms(1.0, 0.05, 1.0)
    assert (loss, force) == pytest.approx((0.15, 1.05))
    assert slice_kernels.loss_terms(-2.0, 0.05, 1.0)[1] == pytest.approx(-0.5 * 1.05)
    assert slice_kernels.loss_terms(0.5, 0.05, 1.0)[1] < 0.04
    for e in (-3.0, -0.5, 0.2, 1.5):
        up, down = (slice_kernels.loss_terms(e + h, 0.05, 0.7)[0] for h in (1e-6, -1e-6))
        assert slice_kernels.loss_terms(e, 0.05, 0.7)[1] == pytest.approx((up - down) / 2e-6, rel=1e-6)


def test_the_penalty_of_butterflies_is_where_g_is_negative_and_deepens_where_g_turns_back() -> None:
    """A right wing whose asymptote cuts zero: g has a shallow dip there and is positive again inside it, h is not."""
    q = np.array([0.0003, 0.02, 0.02, 0.06, 0.01])
    p = np.empty(5)
    slice_kernels.to_raw(q, p)
    k = np.linspace(-0.4, 1.5, 1901)
    g = np.array([svi_kernels.durrleman(x, p) for x in k])
    one = np.empty(1)

    def penalty(x: float) -> float:
        one[0] = x
        return slice_kernels.butterfly_terms(q, one, 0.0, 1.0, np.zeros((5, 5)), np.zeros(5))

    found = np.array([penalty(x) for x in k])
    assert np.any(g < -1e-3)
    assert np.all(found[g < -1e-5] > 0.0)
    assert np.all(found[(g > 1e-3) & (np.abs(k) < 0.05)] == 0.0)
    one[0] = np.nan
    assert slice_kernels.butterfly_terms(q, one, 0.0, 1.0, np.zeros((5, 5)), np.zeros(5)) == 0.0


def test_grids_cover_the_quotes_densely_and_the_wings_to_ten() -> None:
    rows = np.concatenate([points(), points()])
    rows[9:, slice_kernels.K] *= 2.0
    own, pairs = joint_kernels.lay_grids(rows, np.array([[0, 9], [9, 18]]), 56, 68)
    assert own.shape == (2, 56)
    assert pairs.shape == (1, 68)
    for grid, reach in ((own[0], 0.3), (own[1], 0.6), (pairs[0], 0.6)):
        assert np.isnan(grid[-joint_kernels.DIPS :]).all()
        k = np.sort(grid[: -joint_kernels.DIPS])
        assert k[0] < -10.0
        assert k[-1] > 10.0
        near = k[np.abs(k) <= reach]
        assert np.max(np.diff(near)) < 0.06 * reach / 0.3
    single, none = joint_kernels.lay_grids(rows, np.array([[0, 9]]), 56, 68)
    np.testing.assert_array_equal(single[0], own[0])
    assert none.shape == (0, 68)


def test_compiled_and_plain_kernels_agree() -> None:
    for e in (-3.0, -0.5, 0.2, 1.5):
        assert slice_kernels.loss_terms(e, 0.05, 1.0) == pytest.approx(plain(slice_kernels.loss_terms)(e, 0.05, 1.0))
    box = np.array([[-np.inf, 0.1, 0.1, -1.0, 0.01], [np.inf, 0.3, 0.4, 1.0, 1.0]])
    results = []
    for get in (lambda kernel: kernel, plain):
        normal, coupling, force, q = np.zeros((3, 5, 5)), np.zeros((5, 5)), np.zeros((3, 5)), Q.copy()
        values = [
            get(slice_kernels.quote_terms)(Q, points(), 1.0, normal[0], force[0]),
            get(slice_kernels.butterfly_terms)(Q, GRID, 2.0, 3.0, normal[1], force[1]),
            get(joint_kernels.gap_terms)(Q, LATER, GRID, 0.5, 3.0, normal[1], normal[2], coupling, force[1], force[2]),
            get(slice_kernels.variance_row)(0.1, Q, force[0]),
            get(slice_kernels.variance_at)(0.1, Q),
        ]
        get(slice_kernels.project)(q, box, 0.1)
        trial, row = np.empty(5), np.empty(5)
        get(slice_kernels.move)(Q, 0.1 * LATER, box, 0.1, trial)
        get(slice_kernels.hold_at_bounds)(q, box, normal[0], force[0])
        get(slice_kernels.to_wings)(Q, row)
        results.append(np.concatenate([values, *(a.reshape(-1) for a in (normal, coupling, force, q, trial, row))]))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-9, atol=1e-12)

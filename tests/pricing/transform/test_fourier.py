"""Kernels of the Fourier pricers: plain twins, moments, step and node choice, contours, the golden table."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import plain
from voldesk.pricing.bates import BatesParams
from voldesk.pricing.european.black_kernels import normalised_black
from voldesk.pricing.heston import HestonParams
from voldesk.pricing.transform import contour_kernels, fourier, fourier_kernels
from voldesk.pricing.transform.fourier_kernels import BLOCK, LANES, TURNS

COS_PAPER = HestonParams(v0=0.0175, kappa=1.5768, theta=0.0398, xi=0.5751, rho=-0.5711)
BATES = BatesParams(0.2, 8.0, 0.2, 1.3, -0.3, 15.0, -0.005, 0.025)
GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "fourier_prices.csv"


def _golden() -> list[tuple[str, FloatArray, float, float, float]]:
    with GOLDEN.open(encoding="utf-8") as lines:
        rows = list(csv.reader(line for line in lines if not line.startswith("#")))[1:]
    return [(row[0], np.array(row[1:9], float), float(row[9]), float(row[10]), float(row[11])) for row in rows]


def test_the_golden_table_is_met_to_1e_12_of_the_forward() -> None:
    worst: dict[str, float] = {}
    for source, model, strike, tau, call in _golden():
        got = float(fourier.price(model, 1.0, strike / 100.0, tau, 1.0, True))
        worst[source] = max(worst.get(source, 0.0), abs(got - call / 100.0))
    assert len(worst) >= 14
    assert max(worst.values()) < 1e-13, worst


def test_a_surface_priced_at_once_meets_the_golden_table() -> None:
    rows = [row for row in _golden() if row[0].startswith("Fang")]
    strike, tau, call = (np.array([row[k] for row in rows]) for k in (2, 3, 4))
    got = fourier.price(rows[0][1], 100.0, strike, tau, 1.0, True)
    assert np.max(np.abs(got - call)) < 1e-12


def test_compiled_and_plain_kernels_agree() -> None:
    for model in (COS_PAPER.row(), BATES.row()):
        for u in (0.0, 0.3, 7.0, 150.0):
            fast = fourier_kernels.log_characteristic(complex(0.5, u), 0.7, model)
            slow = plain(fourier_kernels.log_characteristic)(complex(0.5, u), 0.7, model)
            assert abs(fast - slow) < 1e-13 * max(1.0, abs(slow))
        for p in (-3.0, 0.5, 2.0, 9.0):
            assert fourier_kernels.log_moment(p, 0.7, model) == pytest.approx(
                plain(fourier_kernels.log_moment)(p, 0.7, model), rel=1e-13
            )
        fast_work, slow_work = np.empty(4 * BLOCK), np.empty(4 * BLOCK)
        fourier_kernels.exponents(2 * BLOCK, 0.4, 0.7, model, fast_work)
        plain(fourier_kernels.exponents)(2 * BLOCK, 0.4, 0.7, model, slow_work)
        size = np.abs(slow_work[: 2 * BLOCK]).max()
        assert np.max(np.abs(fast_work[: 2 * BLOCK] - slow_work[: 2 * BLOCK])) < 1e-13 * size
        last = fourier_kernels.weigh(2 * BLOCK, 0.4, 0.7, 0.05, fast_work)
        assert last == pytest.approx(plain(fourier_kernels.weigh)(2 * BLOCK, 0.4, 0.7, 0.05, slow_work), rel=1e-12)
        assert np.max(np.abs(fast_work[: 2 * BLOCK] - slow_work[: 2 * BLOCK])) < 1e-15


def test_exponents_are_the_characteristic_function_on_lewis_line() -> None:
    work = np.empty(4 * BLOCK)
    for model in (COS_PAPER.row(), BATES.row(), HestonParams(0.04, 1.0, 0.09, 1e-9, -0.7).row()):
        for tau in (1e-4, 0.3, 20.0):
            fourier_kernels.exponents(BLOCK, 0.31, tau, model, work)
            for j in range(BLOCK):
                exact = fourier_kernels.log_characteristic(complex(0.5, (BLOCK + j) * 0.31), tau, model)
                assert abs(complex(work[j], work[BLOCK + j]) - exact) < 1e-12 * max(1.0, abs(exact))


def test_sums_over_nodes_equal_the_plain_cosine_sum() -> None:
    rng = np.random.default_rng(1)
    x = np.zeros(2 * LANES)
    x[:11] = rng.uniform(-0.8, 0.8, 11)
    for run in (lambda kernel: kernel, plain):
        turns, sums = np.empty(TURNS * x.size), np.zeros(2 * x.size)
        run(fourier_kernels.prepare_turns)(0.7, x, np.empty(4 * x.size), turns)
        exact = np.zeros((2, x.size))
        for block in range(3):
            weights = rng.normal(size=4 * BLOCK)
            run(fourier_kernels.add_block)(turns, x.size, 2, weights, sums)
            u = 0.7 * (BLOCK * block + np.arange(BLOCK))
            wave = np.exp(1j * np.outer(u, x))
            for row in range(2):
                w = weights[2 * BLOCK * row : 2 * BLOCK * row + 2 * BLOCK]
                exact[row] += ((w[:BLOCK] + 1j * w[BLOCK:]) @ wave).real
        assert np.max(np.abs(sums.reshape(2, -1) - exact)) < 2e-13


def test_moment_of_order_one_is_the_forward_and_explosions_are_known() -> None:
    model = HestonParams(0.09, 0.5, 0.09, 1.0, 0.5).row()
    assert abs(fourier_kernels.log_characteristic(1.0 + 0.0j, 2.0, model)) < 1e-15
    assert abs(fourier_kernels.log_moment(1.0, 2.0, model)) < 1e-15
    # Here beta and d vanish together (kappa = 0.375 xi at p = 1.125, rho = 0): a removable singularity.
    both = HestonParams(0.09, 0.75, 0.09, 2.0, 0.0).row()
    assert np.isfinite(fourier_kernels.log_moment(1.125, 1.0, both))
    explosion = [tau for tau in np.linspace(0.05, 20.0, 400) if np.isinf(fourier_kernels.log_moment(3.0, tau, model))]
    assert explosion
    # Andersen & Piterbarg (2007), prop. 3.1: k = 3, D < 0, T* = 2 / g (pi + atan(g / b')) with b' = rho xi k - kappa > 0.
    lean, root = 0.5 * 3.0 - 0.5, np.sqrt(6.0 - 1.0)
    assert abs(explosion[0] - 2.0 / root * np.arctan2(root, lean)) <= 0.051
    before = explosion[0] - 0.05
    assert fourier_kernels.log_moment(3.0, before, model) == pytest.approx(
        fourier_kernels.log_characteristic(3.0 + 0.0j, before, model).real, rel=1e-12
    )


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0.005, 0.5), st.floats(0.1, 10.0), st.floats(0.01, 0.5), st.floats(0.05, 3.0), st.floats(-0.99, 0.9),
    st.floats(1e-4, 10.0),
)  # fmt: skip
def test_beyond_the_reach_options_are_worth_less_than_the_tolerance(
    v0: float, kappa: float, theta: float, xi: float, rho: float, tau: float
) -> None:
    model = HestonParams(v0, kappa, theta, xi, rho).row()
    variance = fourier_kernels.mean_variance(tau, model)
    for tolerance in (1e-6, 1e-9):
        edge = fourier_kernels.reach(tau, model, variance, np.log(tolerance))
        strikes = np.exp([edge, -edge])
        got = fourier.price(model, 1.0, strikes, tau, 1.0, [True, False]) / np.sqrt(strikes)
        assert np.all(got < tolerance + 1e-13)


def test_contours_agree_with_the_straight_line_where_both_work() -> None:
    x = np.array([-1.0, -0.3, -0.05, 0.0, 0.05, 0.3, 1.0])
    worst, seen = 0.0, 0
    for rho, tau in [(-0.99, 0.1), (-1.0, 0.1), (-1.0, 1.0), (1.0, 0.1), (-0.57, 1.0), (-0.57, 10.0)]:
        model = HestonParams(0.04, 1.0, 0.04, 0.5, rho).row()
        variance = fourier_kernels.mean_variance(tau, model)
        sums = np.empty(LANES)
        assert fourier.sum_expiry(tau, model, variance, x, 1e-15, 1, 1 << 17, sums) > 0
        for k in range(x.size):
            straight = normalised_black(-abs(x[k]), np.sqrt(variance * tau)) + sums[k]
            tilted = contour_kernels.contour_price(x[k], tau, model, 1e-15)
            worst, seen = max(worst, abs(straight - tilted)), seen + 1
    assert seen == 42
    assert worst < 1e-14


def test_prices_with_correlation_one_and_next_to_no_variance_come_by_the_contour() -> None:
    model = HestonParams(0.0004, 0.5, 0.0004, 0.9, -1.0).row()
    sums = np.empty(LANES)
    assert fourier.sum_expiry(0.5, model, 0.0004, np.zeros(1), 1e-14, 1, fourier.MOST_NODES, sums) == 0
    strikes = np.exp(np.linspace(-0.05, 0.05, 21))
    call = fourier.price(model, 1.0, strikes, 0.5, 1.0, True)
    assert np.isfinite(call).all()
    slope = np.diff(call) / np.diff(strikes)
    assert np.all((slope <= 1e-11) & (slope >= -1.0 - 1e-11))
    assert np.all(np.diff(slope) > -1e-11)


def test_a_contour_that_does_not_settle_is_nan() -> None:
    # A strike in the left wing of a Gaussian: the side to turn to lets the integrand grow.
    model = HestonParams(0.04, 1.0, 0.04, 1e-3, -0.9).row()
    assert np.isnan(contour_kernels.contour_price(-2.0, 0.003, model, 1e-14))


def test_plain_contour_agrees_with_the_compiled_one(monkeypatch: pytest.MonkeyPatch) -> None:
    model = HestonParams(0.04, 1.0, 0.04, 0.5, -1.0).row()
    fast = contour_kernels.contour_price(0.1, 0.1, model, 1e-12)
    for name in ("_integrand", "_tilted", "_angle"):
        monkeypatch.setattr(contour_kernels, name, plain(getattr(contour_kernels, name)))
    assert abs(plain(contour_kernels.contour_price)(0.1, 0.1, model, 1e-12) - fast) < 1e-15


def test_a_looser_tolerance_keeps_what_it_promises() -> None:
    tau = np.array([1e-4, 0.003, 0.02, 0.25, 1.0])
    starts, x = np.arange(0, 105, 21), np.tile(np.linspace(-0.8, 0.8, 21), 5)
    starts = np.append(starts, 105)
    exact, loose, sigma = np.empty(105), np.empty(105), np.empty(5)
    models = np.tile(BATES.row(), (5, 1))
    fourier.corrections(starts, tau, models, x, fourier.TIGHT, exact, sigma)
    for tolerance in (1e-12, 1e-10, 1e-8):
        fourier.corrections(starts, tau, models, x, tolerance, loose, sigma)
        assert np.max(np.abs(loose - exact)) < 5.0 * tolerance


def test_grouping_by_expiry_keeps_every_option_once() -> None:
    rng = np.random.default_rng(4)
    for tau in (rng.choice([0.1, 0.5, 1.0], 37), np.array([]), np.array([0.3]), np.array([1.0, np.nan, 1.0, 0.5])):
        for kernel in (fourier.by_expiry, plain(fourier.by_expiry)):
            order, starts = kernel(tau)
            assert sorted(order) == list(range(tau.size))
            assert starts[0] == 0
            assert starts[-1] == tau.size
            for first, last in itertools.pairwise(starts):
                assert len(set(tau[order[first:last]])) == 1

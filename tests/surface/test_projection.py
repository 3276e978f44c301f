from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from voldesk.core.errors import InputError
from voldesk.surface.projection import project_arbitrage_free
from voldesk.surface.svi_kernels import is_butterfly_free, is_calendar_free

# Axel Vogt's example, Gatheral & Jacquier (2014), example 3.1.
VOGT = np.array([-0.0410, 0.1331, 0.3060, 0.3586, 0.4153])
K = np.linspace(-1.5, 1.5, 121)


def variance(p: np.ndarray, k: np.ndarray = K) -> np.ndarray:
    return p[0] + p[1] * (p[2] * (k - p[3]) + np.hypot(k - p[3], p[4]))


def density_factor(p: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Durrleman's g, written out once more, also where the slice is no valid one."""
    root = np.hypot(k - p[3], p[4])
    w, first, second = variance(p, k), p[1] * (p[2] + (k - p[3]) / root), p[1] * p[4] ** 2 / root**3
    g: np.ndarray = (1.0 - 0.5 * k * first / w) ** 2 - 0.25 * first**2 * (1.0 / w + 0.25) + 0.5 * second
    return g


def test_vogts_slice_goes_to_the_clean_slice_that_a_general_optimiser_finds_nearest() -> None:
    assert not is_butterfly_free(VOGT)
    found = project_arbitrage_free(VOGT)
    assert found.moved
    assert is_butterfly_free(found.params)
    assert found.params.shape == (5,)
    assert found.distance == pytest.approx(np.sqrt(np.mean((variance(found.params) - variance(VOGT)) ** 2)), rel=1e-9)
    wide = np.linspace(-4.0, 4.0, 801)
    peer = optimize.minimize(
        lambda p: 1e4 * np.mean((variance(p) - variance(VOGT)) ** 2),
        VOGT,
        method="SLSQP",
        constraints=[{"type": "ineq", "fun": lambda p: density_factor(p, wide)}],
        bounds=[(-1.0, 1.0), (1e-4, 1.0), (-0.99, 0.99), (-3.0, 3.0), (1e-3, 5.0)],
        options={"maxiter": 1000, "ftol": 1e-14},
    )
    assert found.distance == pytest.approx(np.sqrt(peer.fun / 1e4), rel=2e-3)


def test_a_free_surface_is_returned_as_it_is() -> None:
    given_rows = np.array([[0.004, 0.06, -0.3, 0.01, 0.15], [0.015, 0.10, -0.3, 0.02, 0.30]])
    found = project_arbitrage_free(given_rows)
    assert not found.moved
    np.testing.assert_array_equal(found.params, given_rows)
    assert found.distance.tolist() == [0.0, 0.0]


def test_parallel_slices_that_cross_meet_in_the_middle() -> None:
    """Both lie 0.001 from the middle, and no pair in order lies nearer to them."""
    found = project_arbitrage_free([[0.02, 0.1, -0.3, 0.0, 0.2], [0.018, 0.1, -0.3, 0.0, 0.2]])
    assert is_calendar_free(*found.params)
    assert all(is_butterfly_free(p) for p in found.params)
    assert float(np.hypot(*found.distance)) == pytest.approx(0.001 * np.sqrt(2.0), rel=0.02)


@st.composite
def odd_slices(draw) -> list[float]:
    """Slices of all kinds of fault: negative variance, wings beyond Lee, butterflies."""
    return [
        draw(st.floats(-0.1, 0.2)),
        draw(st.floats(0.01, 1.5)),
        draw(st.floats(-0.95, 0.95)),
        draw(st.floats(-0.5, 0.5)),
        10.0 ** draw(st.floats(-2.0, 0.0)),
    ]


@settings(max_examples=100, deadline=None)
@given(st.lists(odd_slices(), min_size=1, max_size=4))
def test_whatever_is_given_what_comes_back_is_proved_free(rows: list[list[float]]) -> None:
    found = project_arbitrage_free(rows)
    assert np.isfinite(found.params).all()
    for i, p in enumerate(found.params):
        assert is_butterfly_free(p)
        assert p[1] * (1.0 + abs(p[2])) <= 2.0
        assert i == 0 or is_calendar_free(found.params[i - 1], p)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ([0.1, 0.2], "shape"),
        ([0.04, -0.1, 0.0, 0.0, 0.1], "b > 0"),
        ([0.04, 0.1, 1.0, 0.0, 0.1], "rho"),
        ([np.nan, 0.1, 0.0, 0.0, 0.1], "finite"),
    ],
)
def test_what_is_no_slice_is_refused(params: list[float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        project_arbitrage_free(params)
    with pytest.raises(InputError, match="reach"):
        project_arbitrage_free(VOGT, reach=0.0)

from __future__ import annotations

import math

import numpy as np
import pytest

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.pricing.grids.grid import integral, rate_at
from voldesk.pricing.grids.market import LocalVolGrid, PiecewiseRate


def test_a_curve_gives_back_the_discounts_it_was_made_of() -> None:
    times, discounts = [0.25, 1.0, 2.5], [0.995, 0.96, 0.93]
    curve = PiecewiseRate.from_discounts(times, discounts)
    for tau, discount in zip(times, discounts, strict=True):
        assert curve.discount(tau) == pytest.approx(discount, rel=1e-15)
    assert curve.discount(4.0) == pytest.approx(0.93 * math.exp(-1.5 * curve.rates[-1]), rel=1e-14)


@pytest.mark.parametrize("read", [integral, plain(integral)], ids=["compiled", "plain"])
def test_the_kernel_integrates_the_curve_and_adds_the_flat_rate(read) -> None:
    curve = PiecewiseRate((0.25, 1.0, 2.5), (0.02, 0.05, 0.01))
    for t in (0.0, 0.1, 0.25, 0.7, 1.0, 2.0, 3.0):
        found = read(np.array(curve.ends), np.array(curve.rates), 0.03, t)
        assert found == pytest.approx(0.03 * t - math.log(curve.discount(t)), abs=1e-15)


@pytest.mark.parametrize("read", [rate_at, plain(rate_at)], ids=["compiled", "plain"])
def test_the_rate_in_force_is_that_of_the_piece_just_begun(read) -> None:
    ends, rates = np.array([0.5, 1.0]), np.array([0.02, 0.05])
    assert [read(ends, rates, 0.01, t) for t in (0.0, 0.5, 1.0, 7.0)] == pytest.approx([0.03, 0.06, 0.06, 0.06])
    assert read(np.empty(0), np.empty(0), 0.01, 0.3) == 0.01


@pytest.mark.parametrize(
    ("ends", "rates"), [((), ()), ((1.0,), (0.1, 0.2)), ((1.0, 0.5), (0.1, 0.2)), ((1.0,), (math.nan,))]
)
def test_a_broken_curve_is_refused(ends, rates) -> None:
    with pytest.raises(InputError):
        PiecewiseRate(ends, rates)


def test_a_broken_local_volatility_grid_is_refused() -> None:
    times, spots, sigma = np.array([0.0, 1.0]), np.log([50.0, 100.0, 200.0]), np.full((2, 3), 0.2)
    LocalVolGrid(times, spots, sigma)
    for bad in ((times, spots, sigma.T), (times[::-1], spots, sigma), (times, spots, 0.0 * sigma)):
        with pytest.raises(InputError):
            LocalVolGrid(*bad)

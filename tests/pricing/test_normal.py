from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from voldesk.core.compiled import plain
from voldesk.pricing import normal

POINTS = [*np.linspace(-37.0, 8.0, 181), -5.656854249492381, -5.6568542494924, -0.6629126073623883, -0.66291261, 0.0]


def exact_mills(z: float) -> mpmath.mpf:
    return mpmath.ncdf(z) / mpmath.npdf(z)


def test_distribution_keeps_its_digits_in_both_tails() -> None:
    with mpmath.workdps(50):
        for z in POINTS:
            error = abs(normal.cdf(z) / mpmath.ncdf(z) - 1)
            # The rounding of z / sqrt(2) alone moves the value by z^2 half-ulps.
            assert error < 3e-16 * (1.0 + z * z), z


def test_mills_ratio_and_its_slope_are_exact_relative_to_themselves_left_of_zero() -> None:
    worst = 0.0
    with mpmath.workdps(60):
        for z in [*[p for p in POINTS if p <= 0.0], -50.0, -1e8]:
            exact = exact_mills(z) if z > -1e3 else (mpmath.mpf(z) ** -2 - 1) / z
            slope = 1 + z * exact
            ratio, slope_found = normal.mills_and_slope(z)
            worst = max(worst, abs(float(ratio / exact - 1)), abs(float(normal.mills(z) / exact - 1)))
            # Cody's tail form holds erfcx, not its slope, to 1e-18: far out 5e-15 of the slope is left.
            worst = max(worst, abs(float(slope_found / slope - 1)) / (1.0 if z > -40.0 else 5.0))
    assert worst < 1.0e-15


def test_mills_ratio_right_of_zero_grows_like_the_inverse_density() -> None:
    with mpmath.workdps(40):
        for z in (0.1, 1.0, 5.0, 8.0):
            assert abs(normal.mills(z) / exact_mills(z) - 1) < 3e-16 * (1.0 + z * z)


@pytest.mark.parametrize("p", [1e-300, 1e-100, 1e-20, 1e-9, 0.001, 0.07, 0.075, 0.0751, 0.3, 0.5, 0.7, 0.93, 0.999])
def test_quantile_undoes_the_distribution(p: float) -> None:
    """Wichura (1988): about 1 part in 1e16."""
    with mpmath.workdps(60):
        exact = mpmath.findroot(lambda z: mpmath.log(mpmath.ncdf(z)) - mpmath.log(mpmath.mpf(p)), normal.quantile(p))
        assert abs(normal.quantile(p) - exact) <= 4e-16 * max(abs(exact), p)


def test_quantile_has_the_right_ends() -> None:
    assert normal.quantile(0.0) == -math.inf
    assert normal.quantile(1.0) == math.inf
    assert math.isnan(normal.quantile(-0.1))
    assert math.isnan(normal.quantile(1.1))
    assert math.isnan(normal.quantile(math.nan))


@pytest.mark.parametrize("kernel", [normal.pdf, normal.cdf, normal.mills])
def test_compiled_and_plain_agree(kernel) -> None:
    for z in POINTS:
        assert kernel(z) == pytest.approx(plain(kernel)(z), rel=1e-14)


def test_compiled_and_plain_quantile_and_slope_agree() -> None:
    for z in [p for p in POINTS if p <= 0.0]:
        assert normal.mills_and_slope(z) == pytest.approx(plain(normal.mills_and_slope)(z), rel=1e-14)
    for p in (0.0, 1e-30, 0.01, 0.4, 0.99):
        assert normal.quantile(p) == pytest.approx(plain(normal.quantile)(p), rel=1e-14)

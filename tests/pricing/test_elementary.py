"""Polynomial exp, log and normal distribution: worst error against mpmath, ends, NaN, plain twins, vector code."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import fused, plain
from voldesk.pricing.elementary import (
    LEAST_MILLS,
    cdf_poly,
    exp_poly,
    log_poly,
    log_ratio_poly,
    mills_pair,
    mills_poly,
    pdf_poly,
)

RNG = np.random.default_rng(20261121)


def ulps(found: float, exact: mpmath.mpf) -> float:
    return float(abs(found - exact) / np.spacing(abs(float(exact))))


def exact_mills(a: float) -> mpmath.mpf:
    a = mpmath.mpf(a)
    if a > 1e4:
        return (1 - a**-2 * (1 - 3 * a**-2)) / a
    return mpmath.ncdf(-a) / mpmath.npdf(a)


def test_exponential_is_within_an_ulp_also_where_results_are_subnormal() -> None:
    points = [*RNG.uniform(-1.0, 1.0, 800), *RNG.uniform(-708.0, 709.7, 800), *RNG.uniform(-745.0, -708.0, 200)]
    with mpmath.workdps(40):
        assert max(ulps(exp_poly(x), mpmath.exp(x)) for x in points) < 1.1


def test_logarithm_is_within_an_ulp_over_all_positive_floats() -> None:
    points = [*10.0 ** RNG.uniform(-323.0, 308.0, 900), *RNG.uniform(0.5, 2.0, 900), *(1.0 + RNG.normal(0, 1e-7, 200))]
    with mpmath.workdps(40):
        assert max(ulps(log_poly(x), mpmath.log(x)) for x in points) < 1.0


def test_log_ratio_is_exact_relative_to_itself_however_near_the_two_are() -> None:
    a = 10.0 ** RNG.uniform(-6.0, 6.0, 2000)
    b = np.concatenate([10.0 ** RNG.uniform(-6.0, 6.0, 600), a[600:1300] * RNG.uniform(0.6, 1.6, 700), a[1300:]])
    b[1300:] *= 1.0 + 10.0 ** RNG.uniform(-15.0, -2.0, 700)
    with mpmath.workdps(50):
        for x, y in zip(a, b, strict=True):
            if x != y:
                assert ulps(log_ratio_poly(x, y), mpmath.log(mpmath.mpf(x) / mpmath.mpf(y))) < 2.0, (x, y)
    assert log_ratio_poly(3.0, 3.0) == 0.0
    assert log_ratio_poly(1e-300, 1e300) == pytest.approx(-1381.5510557964274, rel=3e-16)


def test_mills_ratio_is_within_four_ulp_from_its_least_argument_to_the_far_tail() -> None:
    points = [*RNG.uniform(LEAST_MILLS, 2.0, 700), *RNG.uniform(2.0, 60.0, 500), *10.0 ** RNG.uniform(1.5, 9.0, 200)]
    with mpmath.workdps(60):
        assert max(ulps(mills_poly(a), exact_mills(a)) for a in [LEAST_MILLS, 0.0, *points]) < 4.0


def test_difference_of_two_mills_ratios_keeps_its_digits_for_the_smallest_gaps() -> None:
    a = np.concatenate([RNG.uniform(LEAST_MILLS, 2.0, 900), RNG.uniform(0.0, 55.0, 600)])
    b = a + 10.0 ** RNG.uniform(-9.0, 1.6, 1500)
    worst = 0.0
    with mpmath.workdps(60):
        for x, y in zip(a, b, strict=True):
            first, second = exact_mills(x), exact_mills(y)
            at_x, at_y, difference = mills_pair(x, y, y - x)
            worst = max(worst, ulps(at_x, first), ulps(at_y, second), ulps(difference, first - second))
    assert worst < 6.0


def test_distribution_keeps_both_tails() -> None:
    with mpmath.workdps(50):
        for z in [*RNG.normal(0.0, 2.0, 800), *RNG.uniform(-37.0, 37.0, 800), 0.0]:
            below, above, density = cdf_poly(z)
            condition = 1.0 + z * z
            assert ulps(below, mpmath.ncdf(z)) < 4.0 * condition
            assert ulps(above, mpmath.ncdf(-z)) < 4.0 * condition
            assert ulps(density, mpmath.npdf(z)) < 2.0 * condition
            assert below + above == pytest.approx(1.0, abs=3e-16)


def test_ends_and_nan() -> None:
    assert [exp_poly(x) for x in (math.inf, 710.0, -746.0, -math.inf, 0.0)] == [math.inf, math.inf, 0.0, 0.0, 1.0]
    assert [log_poly(x) for x in (math.inf, 0.0, 1.0)] == [math.inf, -math.inf, 0.0]
    assert [cdf_poly(z) for z in (-math.inf, math.inf)] == [(0.0, 1.0, 0.0), (1.0, 0.0, 0.0)]
    for value in (log_poly(-1.0), log_poly(-math.inf), log_ratio_poly(math.nan, 1.0), log_ratio_poly(1.0, math.nan)):
        assert math.isnan(value)
    for kernel in (exp_poly, log_poly, mills_poly, pdf_poly):
        assert math.isnan(kernel(math.nan))
    assert all(math.isnan(v) for v in (*cdf_poly(math.nan), *mills_pair(math.nan, 1.0, 1.0)))


@pytest.mark.parametrize("kernel", [exp_poly, log_poly, mills_poly, pdf_poly])
def test_compiled_and_plain_agree(kernel) -> None:
    for x in (1e-310, 0.01, 0.5, 1.0, 3.7, 36.0):
        assert kernel(x) == pytest.approx(plain(kernel)(x), rel=2e-15)


def test_compiled_and_plain_pairs_agree() -> None:
    for a, b in ((-0.5, 0.5), (1.0, 1.0 + 1e-6), (3.0, 30.0)):
        assert log_ratio_poly(a + 1.0, b) == pytest.approx(plain(log_ratio_poly)(a + 1.0, b), rel=1e-15)
        assert mills_pair(a, b, b - a) == pytest.approx(plain(mills_pair)(a, b, b - a), rel=4e-15)
        assert cdf_poly(a) == pytest.approx(plain(cdf_poly)(a), rel=2e-15)


def test_a_loop_over_them_is_vector_code() -> None:
    @fused
    def sweep(x: FloatArray, out: FloatArray) -> None:
        for i in range(x.size):
            below, _, density = cdf_poly(x[i])
            out[i] = below + density * exp_poly(x[i]) + log_ratio_poly(2.0 + x[i], 3.0) + log_poly(2.0 + x[i])

    x = np.linspace(-1.0, 1.0, 64)
    out = np.empty(64)
    sweep(x, out)
    code = next(iter(sweep.inspect_asm().values()))
    assert "divpd" in code, "the divisions are packed where the loop is vectorised"

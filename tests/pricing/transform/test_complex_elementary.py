"""Branch-free functions against mpmath, worst error in units in the last place, and against their plain twins."""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import plain
from voldesk.pricing.transform.complex_elementary import argument, exp_and_less_one, log1p, sine_cosine

RNG = np.random.default_rng(11)


def _worst(got: Callable[[float], float], exact: Callable[[mpmath.mpf], mpmath.mpf], values: FloatArray) -> float:
    errors = [abs((got(float(x)) - exact(mpmath.mpf(float(x)))) / exact(mpmath.mpf(float(x)))) for x in values]
    return float(max(errors)) / 2.0**-52


def test_exponential_and_less_one_are_within_two_ulp() -> None:
    values = np.concatenate(
        [RNG.uniform(-700.0, 700.0, 400), RNG.uniform(-1.0, 1.0, 400), -np.geomspace(1e-14, 1, 200)]
    )
    assert _worst(lambda x: exp_and_less_one(x)[0], mpmath.exp, values) < 2.0
    assert _worst(lambda x: exp_and_less_one(x)[1], mpmath.expm1, values) < 2.0
    assert exp_and_less_one(-1e9)[0] < 1e-300
    assert exp_and_less_one(0.0) == (1.0, 0.0)


def test_log1p_is_within_two_ulp() -> None:
    values = np.concatenate([np.geomspace(1e-14, 1e200, 600), -np.geomspace(1e-14, 0.999, 400)])
    assert _worst(log1p, mpmath.log1p, values) < 2.0


def test_sine_and_cosine_are_within_one_ulp_of_one() -> None:
    worst = 0.0
    for x in np.concatenate([RNG.uniform(-10.0, 10.0, 500), RNG.uniform(-1e6, 1e6, 500)]):
        sine, cosine = sine_cosine(float(x))
        exact = mpmath.mpf(float(x))
        worst = max(worst, float(abs(sine - mpmath.sin(exact))), float(abs(cosine - mpmath.cos(exact))))
    assert worst < 2.0**-52


def test_argument_is_within_two_ulp_all_the_way_round() -> None:
    worst = 0.0
    for x, y in np.concatenate([RNG.normal(size=(800, 2)), [[1.0, 1e-300], [-1.0, 1e-3], [0.0, -2.0], [-3.0, -1e-12]]]):
        exact = mpmath.atan2(mpmath.mpf(float(y)), mpmath.mpf(float(x)))
        worst = max(worst, float(abs((argument(float(y), float(x)) - exact) / exact)))
    assert worst < 2.0 * 2.0**-52


def test_plain_twins_agree() -> None:
    for x in RNG.uniform(-30.0, 30.0, 50):
        value = float(x)
        for fast, slow in (
            (exp_and_less_one(value), plain(exp_and_less_one)(value)),
            (sine_cosine(value), plain(sine_cosine)(value)),
        ):
            assert np.allclose(fast, slow, rtol=4e-16, atol=2e-16)
        assert np.isclose(log1p(abs(value)), plain(log1p)(abs(value)), rtol=4e-16)
        assert np.isclose(argument(value, 3.0), plain(argument)(value, 3.0), rtol=4e-16)

"""Derivatives against the pricing room and high-precision differences; the expansion against full repricing."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.compiled import plain
from voldesk.portfolio import explain
from voldesk.pricing import black

CASES = [
    (60_000.0, strike, tau, sigma, is_call)
    for strike in (45_000.0, 60_000.0, 80_000.0)
    for tau in (0.02, 0.4)
    for sigma in (0.35, 0.9)
    for is_call in (True, False)
]


def exact_price(forward, strike, tau, sigma, is_call, inverse):  # type: ignore[no-untyped-def]
    """Black (1976) in 50 digits, in coin when inverse."""
    s = sigma * mp.sqrt(tau)
    d1 = mp.log(forward / strike) / s + s / 2
    side = 1 if is_call else -1
    price = side * (forward * mp.ncdf(side * d1) - strike * mp.ncdf(side * (d1 - s)))
    return price / forward if inverse else price


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_every_derivative_equals_a_high_precision_difference(case: tuple[float, ...], inverse: bool) -> None:
    forward, strike, tau, sigma, is_call = case
    got = explain.derivatives(forward, strike, tau, sigma, bool(is_call), inverse)
    orders = [  # (F, sigma, time) in the kernel's order; time runs against tau
        (1, 0, 0), (2, 0, 0), (0, 1, 0), (1, 1, 0), (0, 2, 0), (0, 0, 1), (3, 0, 0), (2, 1, 0), (1, 2, 0), (0, 3, 0),
        (1, 0, 1), (0, 1, 1), (0, 0, 2), (2, 0, 1),
    ]  # fmt: skip
    with mp.workdps(50):
        point = (mp.mpf(forward), mp.mpf(sigma), mp.mpf(0))

        def price(f, s, t):  # type: ignore[no-untyped-def]
            return exact_price(f, mp.mpf(strike), mp.mpf(tau) - t, s, is_call, inverse)

        for value, order in zip(got, orders, strict=True):
            expected = float(mp.diff(price, point, order))
            scale = float(price(*point)) * forward ** -order[0] * sigma ** -order[1] * tau ** -order[2]
            assert value == pytest.approx(expected, rel=1e-9, abs=1e-11 * abs(scale)), order


def test_derivatives_agree_with_the_pricing_room() -> None:
    for forward, strike, tau, sigma, is_call in CASES:
        coin = black.coin_greeks(forward, strike, tau, sigma, is_call)
        usd = black.greeks(forward, strike, tau, sigma, 1.0, is_call)
        for inverse, want in ((True, coin), (False, usd)):
            got = explain.derivatives(forward, strike, tau, sigma, is_call, inverse)
            names = ("delta", "gamma", "vega", "vanna", "volga", "theta", "speed", "zomma")
            for name, value in zip(names, (*got[:8],), strict=True):
                assert value == pytest.approx(float(getattr(want, name)), rel=1e-11, abs=1e-22), name
            assert got[10] == pytest.approx(float(want.charm), rel=1e-11, abs=1e-22)


def test_kernels_equal_their_plain_twins() -> None:
    for forward, strike, tau, sigma, is_call in CASES:
        arguments = (forward, strike, tau, sigma, is_call, True)
        np.testing.assert_allclose(
            explain.derivatives(*arguments), plain(explain.derivatives)(*arguments), rtol=1e-12, atol=1e-25
        )
        fast, slow = np.zeros(7), np.zeros(7)
        explain.explain_option(*arguments, 500.0, 0.01, 0.001, 2.5, fast)
        plain(explain.explain_option)(*arguments, 500.0, 0.01, 0.001, 2.5, slow)
        np.testing.assert_allclose(fast, slow, rtol=1e-12, atol=1e-20)
    for reciprocal in (False, True):
        fast, slow = np.zeros(7), np.zeros(7)
        explain.explain_linear(60_000.0, 61_000.0, 3e4, reciprocal, fast)
        plain(explain.explain_linear)(60_000.0, 61_000.0, 3e4, reciprocal, slow)
        assert fast.tolist() == slow.tolist()


@settings(max_examples=200, deadline=None)
@given(
    st.floats(-1.5, 1.5), st.floats(0.01, 0.5), st.floats(0.3, 1.2), st.booleans(), st.booleans(),
    st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 1),
)  # fmt: skip
def test_what_the_expansion_leaves_shrinks_like_the_fourth_order_of_the_step(
    z: float, tau: float, sigma: float, is_call: bool, inverse: bool, a: float, b: float, c: float
) -> None:
    forward = 60_000.0
    strike = forward * np.exp(z * sigma * np.sqrt(tau))
    left = []
    for h in (0.04, 0.02):  # steps as shares of one deviation; time counts as the square of a price step
        move, turn, elapsed = a * h * forward * sigma * np.sqrt(tau), b * h * sigma, c * h * h * tau
        terms = np.zeros(7)
        explain.explain_option(forward, strike, tau, sigma, is_call, inverse, move, turn, elapsed, 1.0, terms)
        after = float(black.price(forward + move, strike, tau - elapsed, sigma + turn, 1.0, is_call))
        before = float(black.price(forward, strike, tau, sigma, 1.0, is_call))
        actual = after / (forward + move) - before / forward if inverse else after - before
        left.append(abs(actual - terms.sum()) / (sigma * np.sqrt(tau) * (1.0 if inverse else forward)))
    assert left[0] < 4.0 * 0.04**4 * 2.0
    assert left[1] < 4.0 * 0.02**4 * 2.0 + 1e-12


def test_an_inverse_perpetual_expands_to_third_order_and_a_linear_one_is_delta_alone() -> None:
    terms = np.zeros(7)
    explain.explain_linear(60_000.0, 60_600.0, 60_000.0, True, terms)
    exact = 60_000.0 / 60_000.0 - 60_000.0 / 60_600.0
    assert abs(exact - terms.sum()) < 1.1 * 0.01**4
    assert terms[explain.DELTA] == pytest.approx(0.01)
    assert terms[explain.GAMMA] == pytest.approx(-0.0001)
    explain.explain_linear(60_000.0, 60_600.0, 2.0, False, terms)
    assert terms.tolist() == [1200.0, 0, 0, 0, 0, 0, 0]


def test_outside_the_formulas_domain_derivatives_are_nan() -> None:
    for case in ((0.0, 1.0, 1.0, 1.0), (1.0, 1.0, 0.0, 1.0), (1.0, 1.0, 1.0, 0.0), (1.0, 1.0, 1.0, float("nan"))):
        assert np.isnan(explain.derivatives(*case, True, False)).all()

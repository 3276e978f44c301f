from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.pricing import black
from voldesk.pricing.broadcast import columns
from voldesk.pricing.european import black_blocks, black_kernels

EPS = 2.0**-53


def exact_price(f, k, t, s, d, call):
    f, k, t, s, d = (mpmath.mpf(v) for v in (f, k, t, s, d))
    total = s * mpmath.sqrt(t)
    d1 = mpmath.log(f / k) / total + total / 2
    side = 1 if call else -1
    return side * d * (f * mpmath.ncdf(side * d1) - k * mpmath.ncdf(side * (d1 - total)))


# Hull, "Options, futures, and other derivatives"; Haug (2007), "The complete guide to option pricing formulas".
SPOT_TABLE = [
    # source, spot, strike, tau, sigma, rate, yield, call, field, value, tolerance
    ("Hull ex. 15.6", 42.0, 40.0, 0.5, 0.20, 0.10, 0.0, True, "price", 4.76, 0.005),
    ("Hull ex. 15.6", 42.0, 40.0, 0.5, 0.20, 0.10, 0.0, False, "price", 0.81, 0.005),
    ("Hull ex. 19.1", 49.0, 50.0, 0.3846, 0.20, 0.05, 0.0, True, "delta", 0.522, 0.0005),
    ("Hull ex. 19.2", 49.0, 50.0, 0.3846, 0.20, 0.05, 0.0, True, "theta", -4.31, 0.005),
    ("Hull ex. 19.4", 49.0, 50.0, 0.3846, 0.20, 0.05, 0.0, True, "gamma", 0.066, 0.0005),
    ("Hull ex. 19.6", 49.0, 50.0, 0.3846, 0.20, 0.05, 0.0, True, "vega", 12.1, 0.05),
    ("Hull ex. 19.7", 49.0, 50.0, 0.3846, 0.20, 0.05, 0.0, True, "rho", 8.91, 0.005),
    ("Haug p. 4", 60.0, 65.0, 0.25, 0.30, 0.08, 0.0, True, "price", 2.1334, 0.00005),
    ("Haug p. 5, Merton", 100.0, 95.0, 0.5, 0.20, 0.10, 0.05, False, "price", 2.4648, 0.00005),
]


@pytest.mark.parametrize("row", SPOT_TABLE, ids=lambda row: f"{row[0]} {row[8]}")
def test_spot_form_gives_the_books_figures(row) -> None:
    _, spot, strike, tau, sigma, rate, dividend_yield, call, field, value, tolerance = row
    found = black.spot_greeks(spot, strike, tau, sigma, rate, dividend_yield, call)
    assert float(getattr(found, field)) == pytest.approx(value, abs=tolerance)


def test_futures_option_of_haug_page_7() -> None:
    """Haug (2007), Black-76: F = K = 19, T = 0.75, r = 0.10, sigma = 0.28; call and put are 1.7011."""
    for call in (True, False):
        assert float(black.price(19.0, 19.0, 0.75, 0.28, math.exp(-0.075), call)) == pytest.approx(1.7011, abs=5e-5)


def test_price_is_within_four_ulp_of_its_condition() -> None:
    """Against mpmath, total volatility 1e-4 to 5, log-moneyness to +-10; measured worst 2.3 ulp."""
    rng = np.random.default_rng(20260701)
    total = 10.0 ** rng.uniform(-4.0, math.log10(5.0), 600)
    log_moneyness = np.where(rng.random(600) < 0.5, rng.uniform(-6.0, 6.0, 600) * total, rng.uniform(-10, 10, 600))
    strike = 100.0 * np.exp(-np.clip(log_moneyness, -10.0, 10.0))
    call = rng.random(600) < 0.5
    found = black.price(100.0, strike, 0.25, 2.0 * total, 0.97, call)
    greeks = black.greeks(100.0, strike, 0.25, 2.0 * total, 0.97, call)
    worst = 0.0
    with mpmath.workdps(60):
        for i in range(600):
            exact = exact_price(100.0, strike[i], 0.25, 2.0 * total[i], 0.97, call[i])
            if exact < 1e-290:
                assert found[i] < 1e-289
                continue
            # d log price / d log of forward and volatility (strike moves it as the forward does, plus one).
            condition = abs(greeks.delta[i]) * 100.0 / exact * 2.0 + 1.0 + greeks.vega[i] * 2.0 * total[i] / exact
            worst = max(worst, float(abs(found[i] - exact) / exact / (2.0 * EPS * (1.0 + condition))))
    assert worst < 4.0


def test_price_keeps_its_digits_at_every_total_volatility() -> None:
    """Out of the money, near the strike and far from it: the error is a few ulp, not of the forward but of the value."""
    rng = np.random.default_rng(20261121)
    total = 10.0 ** rng.uniform(-9.0, 1.5, 700)
    deviations = np.where(rng.random(700) < 0.3, 10.0 ** rng.uniform(-9.0, 0.0, 700), rng.uniform(0.0, 30.0, 700))
    log_moneyness = np.clip(deviations * total, 0.0, 100.0)
    call = rng.random(700) < 0.5
    strike = 100.0 * np.exp(np.where(call, 1.0, -1.0) * log_moneyness)
    found = black.price(100.0, strike, 0.25, 2.0 * total, 1.0, call)
    worst = 0.0
    with mpmath.workdps(60):
        for i in range(700):
            exact = exact_price(100.0, strike[i], 0.25, 2.0 * total[i], 1.0, call[i])
            if exact > 1e-280:
                d1 = mpmath.log(100.0 / mpmath.mpf(strike[i])) / total[i]
                # The exponent alone is rounded with d1 squared. Measured worst 0.8.
                worst = max(worst, float(abs(found[i] / exact - 1) / EPS / (16.0 + 4.0 * d1 * d1)))
    assert worst < 1.0


ORDERS = {
    # field: derivative orders in (forward, sigma, tau) and the sign of calendar time
    "delta": (1, 0, 0),
    "gamma": (2, 0, 0),
    "vega": (0, 1, 0),
    "theta": (0, 0, 1),
    "vanna": (1, 1, 0),
    "volga": (0, 2, 0),
    "charm": (1, 0, 1),
    "speed": (3, 0, 0),
    "zomma": (2, 1, 0),
    "color": (2, 0, 1),
    "ultima": (0, 3, 0),
    "veta": (0, 1, 1),
}
CASES = [
    (100.0, 90.0, 0.5, 0.3),
    (100.0, 100.0, 0.02, 0.65),
    (100.0, 135.0, 1.7, 0.8),
    (100.0, 240.0, 0.3, 0.5),
    (100.0, 99.9, 3e-4, 0.4),
    (100.0, 40.0, 2.5, 0.15),
]


def scales(f, t, s):
    """Natural size of each Greek, for errors of values near zero."""
    total = s * math.sqrt(t)
    vega = f * math.sqrt(t) * 0.4
    gamma = 0.4 / (f * total)
    return {
        "delta": 1.0,
        "gamma": gamma,
        "vega": vega,
        "theta": vega * s / t,
        "vanna": 0.4 / s,
        "volga": vega / s,
        "charm": 0.4 / t,
        "speed": gamma / (f * total),
        "zomma": gamma / s,
        "color": gamma / t,
        "ultima": vega / s**2,
        "veta": vega / t,
    }


@pytest.mark.parametrize("call", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_forward_greeks_are_the_derivatives_of_the_price(case, call) -> None:
    f, k, t, s = case
    rate = 0.07
    found = black.greeks(f, k, t, s, math.exp(-rate * t), call, ultima_veta=True)
    natural = scales(f, t, s)
    with mpmath.workdps(60):

        def value(forward, sigma, tau):
            return exact_price(forward, k, tau, sigma, mpmath.exp(-mpmath.mpf(rate) * tau), call)

        for field, orders in ORDERS.items():
            exact = mpmath.diff(value, (f, s, t), orders) * (-1 if orders[2] else 1)
            error = abs(float(getattr(found, field)) - exact) / max(abs(exact), natural[field])
            assert error < 5e-14, (field, float(error))
        assert float(found.rho) == pytest.approx(-t * float(found.price), rel=1e-15)


def exact_greeks(f, k, t, s, r, call):
    """Haug (2007), ch. 2, in the forward, at precision: the closed forms, checked against derivatives above."""
    f, k, t, s, r = (mpmath.mpf(v) for v in (f, k, t, s, r))
    total, side, factor = s * mpmath.sqrt(t), (1 if call else -1), mpmath.exp(-r * t)
    d1 = mpmath.log(f / k) / total + total / 2
    d2, n = d1 - total, mpmath.npdf(d1)
    delta, gamma, vega = side * mpmath.ncdf(side * d1), n / (f * total), f * n * mpmath.sqrt(t)
    price = f * delta - side * k * mpmath.ncdf(side * d2)
    both = d1 * d2
    raw = {
        "price": price,
        "delta": delta,
        "gamma": gamma,
        "vega": vega,
        "theta": r * price - vega * s / (2 * t),
        "vanna": -n * d2 / s,
        "volga": vega * both / s,
        "charm": r * delta + n * d2 / (2 * t),
        "speed": -gamma / f * (d1 / total + 1),
        "zomma": gamma * (both - 1) / s,
        "color": r * gamma - gamma * (both - 1) / (2 * t),
        "ultima": vega / s**2 * (both * (both - 1) - d1**2 - d2**2),
        "veta": r * vega - vega * (1 + both) / (2 * t),
    }
    return {name: factor * value for name, value in raw.items()}


def test_greeks_are_right_over_a_wide_range() -> None:
    """Worst error against max(|value|, natural scale), each natural scale bare of the discount factor."""
    rng = np.random.default_rng(20261122)
    count = 500
    total = 10.0 ** rng.uniform(-5.0, 0.8, count)
    tau = 10.0 ** rng.uniform(-6.0, 1.0, count)
    sigma = total / np.sqrt(tau)
    strike = 100.0 * np.exp(np.clip(rng.normal(size=count) * 4.0 * total, -8.0, 8.0))
    call = rng.random(count) < 0.5
    discount = np.exp(-0.05 * tau)
    found = black.greeks(100.0, strike, tau, sigma, discount, call, ultima_veta=True)
    worst = dict.fromkeys(ORDERS, 0.0)
    with mpmath.workdps(40):
        for i in range(count):
            rate = -mpmath.log(discount[i]) / mpmath.mpf(tau[i])
            exact = exact_greeks(100.0, strike[i], tau[i], sigma[i], rate, call[i])
            natural = scales(100.0, tau[i], sigma[i])
            for field in ORDERS:
                error = abs(float(getattr(found, field)[i]) - exact[field]) / max(abs(exact[field]), natural[field])
                worst[field] = max(worst[field], float(error))
    assert max(worst.values()) < 2e-14, worst


@pytest.mark.parametrize("call", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_spot_greeks_are_the_derivatives_of_the_price(case, call) -> None:
    f, k, t, s = case
    rate, dividend_yield = 0.06, 0.025
    found = black.spot_greeks(f, k, t, s, rate, dividend_yield, call, ultima_veta=True)
    natural = scales(f, t, s)
    with mpmath.workdps(60):

        def value(spot, sigma, tau, r=rate):
            r = mpmath.mpf(r)
            forward = spot * mpmath.exp((r - mpmath.mpf(dividend_yield)) * tau)
            return exact_price(forward, k, tau, sigma, mpmath.exp(-r * tau), call)

        for field, orders in ORDERS.items():
            exact = mpmath.diff(value, (f, s, t), orders) * (-1 if orders[2] else 1)
            error = abs(float(getattr(found, field)) - exact) / max(abs(exact), natural[field])
            assert error < 5e-14, (field, float(error))
        exact = mpmath.diff(lambda r: value(mpmath.mpf(f), mpmath.mpf(s), mpmath.mpf(t), r), rate)
        assert abs(float(found.rho) - exact) < 1e-13 * f * t


@pytest.mark.parametrize("call", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_coin_greeks_are_the_derivatives_of_the_coin_price(case, call) -> None:
    f, k, t, s = case
    found = black.coin_greeks(f, k, t, s, call, ultima_veta=True)
    natural = {name: size / f for name, size in scales(f, t, s).items()}
    with mpmath.workdps(60):

        def value(forward, sigma, tau):
            return exact_price(forward, k, tau, sigma, 1, call) / forward

        assert abs(float(found.price) / value(*map(mpmath.mpf, (f, s, t))) - 1) < 1e-13
        for field, orders in ORDERS.items():
            exact = mpmath.diff(value, (f, s, t), orders) * (-1 if orders[2] else 1)
            error = abs(float(getattr(found, field)) - exact) / max(abs(exact), natural[field])
            assert error < 5e-14, (field, float(error))
    linear = black.greeks(f, k, t, s, 1.0, call)
    assert float(found.net_delta) == pytest.approx(float(linear.delta - linear.price / f), abs=1e-15)
    assert float(found.rho) == 0.0


@settings(max_examples=150, deadline=None)
@given(
    strike=st.floats(1.0, 1e4),
    tau=st.floats(1e-6, 5.0),
    sigma=st.floats(0.01, 3.0),
    discount=st.floats(0.5, 1.1),
)
def test_parity_and_bounds_hold(strike: float, tau: float, sigma: float, discount: float) -> None:
    call = float(black.price(100.0, strike, tau, sigma, discount, True))
    put = float(black.price(100.0, strike, tau, sigma, discount, False))
    assert call - put == pytest.approx(discount * (100.0 - strike), abs=4e-14 * max(100.0, strike))
    assert discount * max(100.0 - strike, 0.0) * (1 - 4 * EPS) <= call <= discount * 100.0
    coin_call = black.coin_greeks(100.0, strike, tau, sigma, True)
    coin_put = black.coin_greeks(100.0, strike, tau, sigma, False)
    assert float(coin_call.price - coin_put.price) == pytest.approx(
        1.0 - strike / 100.0, abs=4e-16 * max(100.0, strike)
    )
    assert float(coin_call.net_delta - coin_put.net_delta) == pytest.approx(strike / 100.0, rel=1e-14)


@settings(max_examples=80, deadline=None)
@given(strike=st.floats(1.0, 1e4), tau=st.floats(1e-6, 5.0), sigma=st.floats(0.01, 3.0), call=st.booleans())
def test_price_rises_with_volatility_and_with_time_at_a_fixed_forward(
    strike: float, tau: float, sigma: float, call: bool
) -> None:
    step = np.array([1.0, 1.0 + 1e-6, 1.001, 1.1, 2.0])
    for prices in (
        black.price(100.0, strike, tau, sigma * step, 1.0, call),
        black.price(100.0, strike, tau * step, sigma, 1.0, call),
    ):
        assert (np.diff(prices) >= -4.0 * EPS * max(100.0, strike)).all()
    found = black.greeks(100.0, strike, tau, sigma, 1.0, call)
    assert float(found.gamma) >= 0.0
    assert float(found.vega) >= 0.0
    assert float(found.theta) <= 0.0


@settings(max_examples=60, deadline=None)
@given(tau=st.floats(1e-4, 3.0), sigma=st.floats(0.05, 2.0))
def test_calls_fall_and_bend_upward_in_strike_and_rise_in_time(tau: float, sigma: float) -> None:
    strikes = np.linspace(50.0, 200.0, 301)
    prices = black.price(100.0, strikes, tau, sigma, 1.0, True)
    assert np.diff(prices).max() <= 0.0
    assert np.diff(prices, 2).min() >= -1e-13
    assert (black.price(100.0, strikes, 1.01 * tau, sigma, 1.0, True) - prices).min() >= -2e-14


def test_limits_of_no_time_and_no_volatility_are_intrinsic_value_and_step_delta() -> None:
    for tau, sigma in ((0.0, 0.5), (0.5, 0.0), (0.0, 0.0), (1e-300, 1e-100)):
        for strike, call, price, delta in (
            (90.0, True, 10.0, 1.0),
            (110.0, True, 0.0, 0.0),
            (110.0, False, 10.0, -1.0),
        ):
            found = black.greeks(100.0, strike, tau, sigma, 1.0, call, ultima_veta=True)
            assert float(found.price) == price
            assert float(found.delta) == delta
            for field in black.Greeks._fields[2:]:
                if field != "rho":
                    assert float(getattr(found, field)) == 0.0, field
            coin = black.coin_greeks(100.0, strike, tau, sigma, call)
            assert float(coin.price) == pytest.approx(price / 100.0, rel=1e-15)
            assert float(coin.net_delta) == pytest.approx(delta - price / 100.0, rel=1e-15)


@pytest.mark.parametrize(("tau", "sigma"), [(0.25, 1e-9), (1e-18, 0.5)])
def test_limits_exactly_at_the_strike_are_approached_from_small_values(tau: float, sigma: float) -> None:
    near = black.greeks(100.0, 100.0, tau, sigma, 1.0, True, ultima_veta=True)
    at = black.greeks(
        100.0, 100.0, tau if sigma < 1e-3 else 0.0, 0.0 if sigma < 1e-3 else sigma, 1.0, True, ultima_veta=True
    )
    assert float(at.delta) == 0.5
    for field in black.Greeks._fields:
        small, limit = float(getattr(near, field)), float(getattr(at, field))
        if math.isinf(limit):
            assert abs(small) > 1e5, field
            assert math.copysign(1.0, small) == math.copysign(1.0, limit), field
        else:
            assert small == pytest.approx(limit, rel=1e-6, abs=1e-6), field
    coin_near = black.coin_greeks(100.0, 100.0, tau, sigma, True, ultima_veta=True)
    coin_at = black.coin_greeks(
        100.0, 100.0, tau if sigma < 1e-3 else 0.0, 0.0 if sigma < 1e-3 else sigma, True, ultima_veta=True
    )
    for field in black.CoinGreeks._fields:
        small, limit = float(getattr(coin_near, field)), float(getattr(coin_at, field))
        if math.isinf(limit):
            assert abs(small) > 1e3, field
            assert math.copysign(1.0, small) == math.copysign(1.0, limit), field
        else:
            assert small == pytest.approx(limit, rel=1e-6, abs=1e-6), field


@pytest.mark.parametrize(
    "bad",
    [
        {"forward": math.nan},
        {"forward": 0.0},
        {"forward": -1.0},
        {"strike": math.nan},
        {"strike": -1.0},
        {"tau": -1e-9},
        {"tau": math.nan},
        {"sigma": -0.1},
        {"sigma": math.nan},
    ],
)
def test_values_outside_the_domain_give_nan_everywhere(bad) -> None:
    arguments = {"forward": 100.0, "strike": 100.0, "tau": 0.5, "sigma": 0.3, "discount": 1.0, "is_call": True} | bad
    assert math.isnan(float(black.price(**arguments)))
    for field, value in black.greeks(**arguments, ultima_veta=True)._asdict().items():
        assert math.isnan(float(value)), field


def test_odd_rows_among_ordinary_ones_disturb_nobody() -> None:
    rng = np.random.default_rng(7)
    forward, strike = 100.0 * np.exp(rng.normal(size=200)), np.full(200, 100.0)
    tau, sigma, call = rng.uniform(0.01, 1.0, 200), rng.uniform(0.1, 1.0, 200), rng.random(200) < 0.5
    calm = black.greeks(forward, strike, tau, sigma, 0.9, call, ultima_veta=True)
    tau[3], sigma[50], strike[77], forward[199], sigma[120], tau[121] = 0.0, 0.0, 0.0, np.nan, np.inf, 1e200
    ordinary = np.ones(200, np.bool_)
    ordinary[[3, 50, 77, 199, 120, 121]] = False
    mixed = black.greeks(forward, strike, tau, sigma, 0.9, call, ultima_veta=True)
    spot = black.spot_greeks(forward, strike, tau, sigma, 0.02, 0.01, call)
    coin = black.coin_greeks(forward, strike, tau, sigma, call)
    for field, values in mixed._asdict().items():
        np.testing.assert_array_equal(values[ordinary], getattr(calm, field)[ordinary], err_msg=field)
        for place in (3, 50, 77, 199, 120, 121):
            one = black.greeks(
                forward[place], strike[place], tau[place], sigma[place], 0.9, call[place], ultima_veta=True
            )
            np.testing.assert_array_equal(values[place], getattr(one, field), err_msg=field)
    for found in (mixed, spot, coin):
        assert np.isfinite(found.price[ordinary]).all()
        assert np.isnan(found.price[199])


def test_results_go_where_asked_and_unusable_memory_is_refused() -> None:
    strike = np.array([90.0, 110.0])
    out = np.empty((12, 2))
    found = black.greeks(100.0, strike, 0.1, 0.5, 1.0, True, out=out)
    assert found.ultima is None
    np.testing.assert_array_equal(out[3], black.greeks(100.0, strike, 0.1, 0.5, 1.0, True).vega)
    assert np.shares_memory(found.vega, out)
    with pytest.raises(InputError, match=r"out of shape \(12, 2\), float64; expected C-contiguous float64 \(13, 2\)"):
        black.coin_greeks(100.0, strike, 0.1, 0.5, True, out=out)


def test_inputs_broadcast_and_scalars_stay_scalar() -> None:
    grid = black.greeks(100.0, np.array([90.0, 110.0])[:, None], np.array([0.1, 0.2, 0.3]), 0.5, 1.0, [[True], [False]])
    assert grid.price.shape == (2, 3)
    assert float(grid.vanna[1, 2]) == float(black.greeks(100.0, 110.0, 0.3, 0.5, 1.0, False).vanna)
    assert black.price(100.0, 90.0, 0.1, 0.5, 1.0, True).shape == ()
    assert black.price([], 90.0, 0.1, 0.5, 1.0, True).shape == (0,)
    assert black.coin_greeks([], 90.0, 0.1, 0.5, True).net_delta.shape == (0,)
    with pytest.raises(ValueError, match="broadcast"):
        black.price([1.0, 2.0], [1.0, 2.0, 3.0], 0.1, 0.5, 1.0, True)


def test_compiled_and_plain_kernels_agree() -> None:
    strike = np.array([40.0, 90.0, 100.0, 100.0, 260.0])
    tau = np.array([0.5, 0.1, 0.0, 1.0, 0.02])
    call = np.array([True, False, True, False, True])
    for kernel, values, fields in (
        (black_blocks.forward_kernel, (100.0, strike, tau, 0.5, 0.98), 14),
        (black_blocks.spot_kernel, (100.0, strike, tau, 0.5, 0.03, 0.01), 14),
        (black_blocks.coin_kernel, (100.0, strike, tau, 0.5), 15),
    ):
        _, inputs, steps = columns(*values, is_call=call)
        fast, slow = np.empty((fields, 5)), np.empty((fields, 5))
        kernel(steps, 0, 5, fast, *inputs)
        plain(kernel)(steps, 0, 5, slow, *inputs)
        np.testing.assert_allclose(fast, slow, rtol=1e-12, atol=1e-300)
    _, inputs, steps = columns(100.0, strike, tau, 0.5, 0.98, is_call=call)
    fast, slow = np.empty(5), np.empty(5)
    black_blocks.price_kernel(steps, 0, 5, fast, *inputs)
    plain(black_blocks.price_kernel)(steps, 0, 5, slow, *inputs)
    np.testing.assert_allclose(fast, slow, rtol=1e-13)
    for arguments in ((-1.0, 0.1), (-0.2, 0.05), (-5.0, 0.3), (-30.0, 0.1), (0.0, 1.0)):
        assert black_kernels.mills_difference(*arguments) == pytest.approx(
            plain(black_kernels.mills_difference)(*arguments), rel=1e-14
        )

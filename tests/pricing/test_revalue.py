"""Scenario P&L of option books against pricing each option anew, and what a book may not contain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.pricing import black
from voldesk.pricing.european import revalue_kernels
from voldesk.pricing.revalue import OptionBook, Scenarios, revalue

RNG = np.random.default_rng(20261121)
DAYS = np.array([0.25, 1, 2, 7, 30, 90, 365, 900]) / 365.0


def random_book(count: int) -> OptionBook:
    expiry = RNG.integers(0, DAYS.size, count)
    underlying = RNG.integers(0, 2, count)
    forward = np.where(underlying == 0, 60_000.0, 3_000.0)
    sigma = RNG.uniform(0.05, 2.0, count)
    strike = forward * np.exp(np.clip(2.0 * RNG.normal(size=count) * sigma * np.sqrt(DAYS[expiry]), -3.0, 3.0))
    coin = RNG.random(count) < 0.5
    call = RNG.random(count) < 0.5
    return OptionBook(
        forward, strike, DAYS[expiry], sigma, call, RNG.normal(size=count), coin, underlying, expiry, coin.astype(int)
    )


def random_scenarios(count: int) -> Scenarios:
    return Scenarios(
        RNG.normal(0.0, 0.15, (2, count)),
        RNG.normal(0.0, 0.2, (DAYS.size, count)),
        RNG.choice([0.0, 1 / 365, 0.1], count),
    )


def repriced(book: OptionBook, scenarios: Scenarios) -> np.ndarray:
    """P&L per option and scenario by `black.price`."""
    gains = []
    for f, k, tau, sigma, call, units, coin, u, e, _ in zip(*book, strict=True):
        ahead = f * (1.0 + scenarios.spot_move[u])
        left = np.maximum(tau - scenarios.years_ahead, 0.0)
        then = black.price(ahead, k, left, np.maximum(sigma + scenarios.vol_shift[e], 0.0), 1.0, call)
        now = float(black.price(f, k, tau, sigma, 1.0, call))
        gains.append(units * (then / ahead - now / f if coin else then - now))
    return np.array(gains)


def test_every_cell_is_the_difference_of_two_black_prices() -> None:
    """Measured worst 2e-15 of the larger of forward and strike."""
    book, scenarios = random_book(120), random_scenarios(700)
    expected = repriced(book, scenarios)
    found = revalue(book._replace(group=np.arange(120)), scenarios)
    ahead = book.forward[:, None] * (1.0 + scenarios.spot_move[book.underlying])
    size = np.maximum(np.maximum(ahead, book.forward[:, None]), book.strike[:, None])
    size = np.where(book.coin_settled[:, None], size / np.minimum(ahead, book.forward[:, None]), size)
    assert np.max(np.abs(found - expected) / (np.abs(book.units[:, None]) * size)) < 5e-15
    by_currency = revalue(book, scenarios)
    assert by_currency.shape == (2, 700)
    for group in (0, 1):
        np.testing.assert_allclose(by_currency[group], expected[book.group == group].sum(axis=0), rtol=0, atol=1e-9)


def test_a_call_value_is_right_over_the_whole_range_of_total_volatility() -> None:
    total = 10.0 ** RNG.uniform(-5.0, 1.0, 4000)
    x = np.clip(RNG.normal(size=4000) * 4.0 * total, -5.0, 5.0)
    strike = 100.0 * np.exp(-x)
    exact = black.price(100.0, strike, 1.0, total, 1.0, True)
    log_moneyness = np.log(100.0 / strike)
    for place in range(4000):
        found = revalue_kernels.call_value(100.0, strike[place], log_moneyness[place], total[place])
        assert abs(found - exact[place]) < 3e-15 * max(100.0, strike[place])


def test_nothing_moved_gains_nothing_and_expired_legs_are_worth_their_payoff() -> None:
    book = OptionBook(100.0, [80.0, 100.0, 120.0], [0.1, 0.2, 0.05], 0.6, [True, False, False], [1.0, -2.0, 3.0])
    assert revalue(book, Scenarios(np.zeros(300))).tolist() == [[0.0] * 300]
    coin = book._replace(coin_settled=True, group=[0, 1, 2])
    move = np.linspace(-0.5, 0.5, 11)
    after = revalue(coin, Scenarios(move, 0.3, 5.0))
    ahead = 100.0 * (1.0 + move)
    for row, (strike, sign) in enumerate([(80.0, 1), (100.0, -1), (120.0, -1)]):
        now = black.price(100.0, strike, book.tau[row], 0.6, 1.0, sign > 0) / 100.0
        payoff = np.maximum(sign * (ahead - strike), 0.0) / ahead
        np.testing.assert_allclose(after[row], book.units[row] * (payoff - now), rtol=0, atol=2e-15)
    calm = revalue(book._replace(tau=0.5), Scenarios(move, -0.6))
    assert np.isfinite(calm).all()


def test_threads_and_blocks_change_no_bit() -> None:
    book, scenarios = random_book(30), random_scenarios(1500)
    whole = revalue(book, scenarios)
    np.testing.assert_array_equal(revalue(book, scenarios, threads=3), whole)
    cut = Scenarios(*(field[..., 512:1024] for field in scenarios))
    np.testing.assert_array_equal(revalue(book, cut), whole[:, 512:1024])


def test_what_is_not_a_number_stays_in_its_group_and_scenario() -> None:
    book = OptionBook([100.0, 100.0, -1.0], 100.0, 0.1, [np.nan, 0.5, 0.5], True, group=[0, 1, 2])
    found = revalue(book, Scenarios([0.1, np.nan, 0.2], [0.0, 0.0, np.nan]))
    assert np.isnan(found[0]).all()
    assert np.isnan(found[2]).all()
    assert np.isnan(found[1]).tolist() == [False, True, True]
    assert np.isnan(revalue(OptionBook(100.0, 100.0, 0.1, 0.5, True), Scenarios(0.0, 0.0, np.nan))).all()


def test_books_and_scenarios_that_do_not_fit_are_refused() -> None:
    book = OptionBook(100.0, [90.0, 110.0], 0.1, 0.5, True)
    with pytest.raises(InputError, match=r"underlying=2; expected a row of the scenarios, 0 to 0"):
        revalue(book._replace(underlying=[0, 2]), Scenarios([0.1]))
    with pytest.raises(InputError, match="group=-1"):
        revalue(book._replace(group=[0, -1]), Scenarios([0.1]))
    with pytest.raises(InputError, match="expected one number of scenarios"):
        revalue(book, Scenarios([0.1, 0.2], [0.0, 0.1, 0.2]))
    with pytest.raises(InputError, match="expected one axis"):
        revalue(book._replace(strike=[[90.0], [110.0]]), Scenarios([0.1]))
    assert revalue(OptionBook([], [], [], [], []), Scenarios([0.1, 0.2])).shape == (0, 2)
    assert revalue(book, Scenarios([])).shape == (1, 0)


@settings(max_examples=60, deadline=None)
@given(move=st.floats(-0.9, 3.0), shift=st.floats(-1.0, 2.0), days=st.floats(0.0, 100.0), strike=st.floats(20.0, 500.0))
def test_parity_holds_in_every_scenario(move: float, shift: float, days: float, strike: float) -> None:
    book = OptionBook(100.0, strike, 0.2, 0.5, [True, False], [1.0, -1.0])
    gain = revalue(book, Scenarios([move], [shift], days / 365.0))
    assert gain[0, 0] == pytest.approx(100.0 * move, abs=1e-14 * max(400.0, strike))


def test_compiled_and_plain_kernels_agree() -> None:
    kernel = revalue_kernels.revalue_kernel
    flags, numbers = np.array([True, False]), np.array([0, 0])
    columns = (
        np.array([[-0.1, 0.0, 0.3]]), np.array([[0.1, 0.0, -0.2]]), np.array([0.0, 0.05, 0.2]),
        np.array([100.0, 105.0]), np.array([95.0, 120.0]), np.array([0.1]), numbers, np.array([0.4, 0.7]),
        flags, flags, np.array([1.0, -2.0]), numbers, numbers, np.array([0, 1]),
    )  # fmt: skip
    fast, slow = np.empty((2, 3)), np.empty((2, 3))
    kernel(0, 3, fast, *columns)
    plain(kernel)(0, 3, slow, *columns)
    np.testing.assert_allclose(fast, slow, rtol=1e-12, atol=1e-14)

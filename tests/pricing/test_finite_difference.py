"""The grid solver: order, closed forms, quadrature for dividends, other American methods, limits, properties."""

from __future__ import annotations

import importlib.util
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import ncx2

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.pricing import finite_difference, lattice
from voldesk.pricing.dividends import DividendSchedule
from voldesk.pricing.finite_difference import LocalVolGrid, PiecewiseRate, Scheme, exercise_boundary, greeks, price
from voldesk.pricing.grids import grid as fd_grid
from voldesk.pricing.grids import kernels as fd_kernels


def closed_form(spot, strike, tau, rate, dividend_yield, sigma, call):
    """Black-Scholes-Merton, written out once more so that the check shares no code with the package."""
    total = sigma * np.sqrt(tau)
    d1 = (np.log(spot / strike) + (rate - dividend_yield) * tau) / total + 0.5 * total
    side = np.where(call, 1.0, -1.0)
    owned, owed = spot * np.exp(-dividend_yield * tau), strike * np.exp(-rate * tau)
    return side * (owned * ndtr(side * d1) - owed * ndtr(side * (d1 - total)))


def random_options(seed: int, count: int):
    rng = np.random.default_rng(seed)
    tau, sigma = rng.uniform(0.05, 2.0, count), rng.uniform(0.1, 0.6, count)
    strike = 100.0 * np.exp(rng.uniform(-1.5, 1.5, count) * sigma * np.sqrt(tau))
    return strike, tau, rng.uniform(-0.02, 0.1, count), rng.uniform(-0.02, 0.1, count), sigma, rng.random(count) < 0.5


@pytest.mark.parametrize("scheme", list(Scheme), ids=lambda scheme: scheme.name)
@pytest.mark.parametrize("american", [False, True])
def test_errors_fall_with_the_square_of_the_grid(scheme: Scheme, american: bool) -> None:
    strike, tau, rate, dividend_yield, sigma, call = random_options(3, 40)
    kind = {"dividend_yield": dividend_yield, "american": american, "scheme": scheme}

    def at(steps: int, nodes: int, extrapolate: bool = False):
        return price(100.0, strike, tau, rate, sigma, call, steps=steps, nodes=nodes, extrapolate=extrapolate, **kind)

    exact = closed_form(100.0, strike, tau, rate, dividend_yield, sigma, call)
    if american:
        exact = at(200, 1601, True)
    worst = [np.max(np.abs(at(steps, nodes) - exact)) for steps, nodes in ((25, 101), (50, 201), (100, 401))]
    assert math.log2(worst[0] / worst[2]) > 2 * 1.9


def test_default_european_prices_and_greeks_are_closed_form() -> None:
    strike, tau, rate, dividend_yield, sigma, call = random_options(4, 100)
    g = greeks(100.0, strike, tau, rate, sigma, call, dividend_yield=dividend_yield, american=False)

    def at(spot=100.0, tau=tau, rate=rate, sigma=sigma):
        return closed_form(spot, strike, tau, rate, dividend_yield, sigma, call)

    assert np.max(np.abs(g.price - at())) < 1e-4  # measured 3e-5 of a spot of 100
    h = 1e-3
    assert np.max(np.abs(g.delta - (at(100.0 + h) - at(100.0 - h)) / (2 * h))) < 2e-5
    h = 0.05
    gamma = (-at(100.0 + 2 * h) + 16 * at(100.0 + h) - 30 * at() + 16 * at(100.0 - h) - at(100.0 - 2 * h)) / (
        12 * h * h
    )
    assert np.max(np.abs(g.gamma - gamma)) < 2e-4 * np.max(gamma)
    h = 1e-5
    assert np.max(np.abs(g.vega - (at(sigma=sigma + h) - at(sigma=sigma - h)) / (2 * h))) < 5e-3
    assert np.max(np.abs(g.theta - (at(tau=tau - h) - at(tau=tau + h)) / (2 * h))) < 5e-3
    assert np.max(np.abs(g.rho - (at(rate=rate + h) - at(rate=rate - h)) / (2 * h))) < 5e-3


def test_american_put_has_the_premium_of_andersen_lake_offengenden() -> None:
    """Andersen, Lake & Offengenden (2016), table 2: K = S = 100, r = q = 5 %, sigma = 25 %, one year."""
    european = float(closed_form(100.0, 100.0, 1.0, 0.05, 0.05, 0.25, False))
    for scheme in Scheme:
        found = float(
            price(100.0, 100.0, 1.0, 0.05, 0.25, False, dividend_yield=0.05, scheme=scheme, steps=200, nodes=801)
        )
        assert found - european == pytest.approx(0.106952702747, abs=1e-6)


def test_american_prices_are_those_of_the_lattice() -> None:
    strike, tau, rate, dividend_yield, sigma, call = random_options(5, 40)
    found = price(100.0, strike, tau, rate, sigma, call, dividend_yield=dividend_yield, steps=100, nodes=401)
    tree = lattice.price(100.0, strike, tau, rate, dividend_yield, sigma, call, steps=2001)
    assert np.max(np.abs(found - tree)) < 1e-3  # the lattice's error: see the order test for this solver's own


@pytest.mark.skipif(importlib.util.find_spec("voldesk.pricing.american") is None, reason="no pricing.american here")
def test_american_prices_are_those_of_the_integral_equation() -> None:
    from voldesk.pricing import american

    strike, tau, rate, dividend_yield, sigma, call = random_options(6, 100)
    found = price(100.0, strike, tau, rate, sigma, call, dividend_yield=dividend_yield, steps=200, nodes=801)
    other = american.price(100.0, strike, tau, rate, dividend_yield, sigma, call)
    assert np.max(np.abs(found - other)) < 2e-4


def one_dividend(spot, strike, tau, rate, sigma, call, ex_time, amount, exercise_before=False) -> float:
    """The value by quadrature: the spot before the fall is lognormal, and after it Black-Scholes holds."""
    side = 1.0 if call else -1.0

    def before(z: float) -> float:
        return spot * math.exp((rate - 0.5 * sigma**2) * ex_time + sigma * math.sqrt(ex_time) * z)

    def held(s: float) -> float:
        if s <= amount:
            return 0.0 if call else strike * math.exp(-rate * (tau - ex_time))
        return float(closed_form(s - amount, strike, tau - ex_time, rate, 0.0, sigma, call))

    def density(z: float) -> float:
        value = held(before(z))
        if exercise_before:
            value = max(value, side * (before(z) - strike))
        return value * math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)

    gone = (math.log(amount / spot) - (rate - 0.5 * sigma**2) * ex_time) / (sigma * math.sqrt(ex_time))
    kinks = [-9.0, 0.0, 9.0, gone]
    if exercise_before:
        kinks.append(brentq(lambda z: held(before(z)) - side * (before(z) - strike), 0.0, 9.0, xtol=1e-13))
    kinks = sorted(z for z in kinks if -9.0 <= z <= 9.0)
    pieces = [quad(density, a, b, epsabs=1e-11, limit=400)[0] for a, b in itertools.pairwise(kinks)]
    return math.exp(-rate * ex_time) * sum(pieces)


@pytest.mark.parametrize(
    ("strike", "call", "ex_time", "amount", "tolerance"),
    [
        (100.0, True, 0.5, 7.0, 2e-5),
        (100.0, False, 0.5, 7.0, 2e-5),
        (70.0, True, 0.9999, 7.0, 5e-5),
        (130.0, True, 0.0001, 7.0, 2e-5),
        (100.0, False, 0.5, 50.0, 5e-5),  # often more than the spot is worth: the liquidator's case
    ],
)
def test_european_value_with_one_cash_dividend_is_the_quadrature(strike, call, ex_time, amount, tolerance) -> None:
    exact = one_dividend(100.0, strike, 1.0, 0.06, 0.3, call, ex_time, amount)
    schedule = DividendSchedule((ex_time,), (amount,))
    found = price(100.0, strike, 1.0, 0.06, 0.3, call, dividends=schedule, american=False, steps=100, nodes=401)
    assert float(found) == pytest.approx(exact, abs=tolerance)


def test_american_call_with_one_cash_dividend_is_the_quadrature() -> None:
    """With a positive rate and no yield it is exercised just before the fall or at expiry (Roll (1977), Geske, Whaley)."""
    exact = one_dividend(100.0, 100.0, 1.0, 0.06, 0.3, True, 0.5, 7.0, exercise_before=True)
    schedule = DividendSchedule((0.5,), (7.0,))
    found = float(price(100.0, 100.0, 1.0, 0.06, 0.3, True, dividends=schedule, steps=100, nodes=401))
    assert found == pytest.approx(exact, abs=5e-5)
    boundary = exercise_boundary(100.0, 100.0, 1.0, 0.06, 0.3, True, dividends=schedule)
    exercised = np.isfinite(boundary.lower)
    assert boundary.times[exercised].tolist() == [0.5]
    assert boundary.upper[exercised].tolist() == [math.inf]
    # There the call held is worth its exercise: C(s - 7, half a year) = s - 100.
    critical = brentq(
        lambda s: float(closed_form(s - 7.0, 100.0, 0.5, 0.06, 0.0, 0.3, True)) - (s - 100.0), 101.0, 300.0
    )
    assert boundary.lower[exercised][0] == pytest.approx(critical, abs=2e-2)


def test_many_small_dividends_come_near_a_continuous_yield() -> None:
    """Not the same law (cash fixed now does not fall with the spot), so the values are near, and parity is exact."""
    times = tuple(0.25 * (k + 0.5) for k in range(8))
    schedule = DividendSchedule(times, tuple(0.25 * 0.03 * 100.0 for _ in times))
    cash = float(price(100.0, 100.0, 2.0, 0.03, 0.25, False, dividends=schedule, american=False))
    smooth = float(price(100.0, 100.0, 2.0, 0.03, 0.25, False, dividend_yield=0.03, american=False))
    assert abs(cash / smooth - 1.0) < 0.05
    call = float(price(100.0, 100.0, 2.0, 0.03, 0.25, True, dividends=schedule, american=False))
    forward = schedule.forward(100.0, 2.0, 0.03)
    assert call - cash == pytest.approx((forward - 100.0) * math.exp(-0.06), abs=1e-5)


def test_rates_that_change_act_through_their_mean_on_european_values() -> None:
    rate, dividend_yield = PiecewiseRate((0.3, 0.8), (0.01, 0.06)), PiecewiseRate((0.5, 1.0), (0.0, 0.04))
    for call in (True, False):
        found = price(
            100.0, 95.0, 1.0, rate, 0.25, call, dividend_yield=dividend_yield, american=False, steps=100, nodes=401
        )
        r, q = -math.log(rate.discount(1.0)), -math.log(dividend_yield.discount(1.0))
        assert float(found) == pytest.approx(float(closed_form(100.0, 95.0, 1.0, r, q, 0.25, call)), abs=3e-5)


def test_volatility_of_time_alone_acts_through_its_mean_square() -> None:
    grid = LocalVolGrid.sample(lambda spot, time: 0.2 + 0.1 * time + 0.0 * spot, [0.0, 0.5, 1.0], [50.0, 100.0, 200.0])
    found = float(price(100.0, 110.0, 1.0, 0.05, None, True, local_vol=grid, american=False, steps=100, nodes=401))
    sigma = math.sqrt((0.3**3 - 0.2**3) / 0.3)
    assert found == pytest.approx(float(closed_form(100.0, 110.0, 1.0, 0.05, 0.0, sigma, True)), abs=2e-5)


def test_square_root_elasticity_is_cox_closed_form() -> None:
    """Cox (1975) / Schroder (1989): dS = r S dt + delta sqrt(S) dW by non-central chi-squared laws."""
    spot, strike, tau, rate, delta = 100.0, 110.0, 1.0, 0.05, 3.0
    grid = LocalVolGrid.sample(lambda s, t: delta / np.sqrt(s) + 0.0 * t, [0.0], np.geomspace(1.0, 3000.0, 8000))
    k = 2.0 * rate / (delta**2 * math.expm1(rate * tau))
    x, y = k * spot * math.exp(rate * tau), k * strike
    call = spot * (1.0 - ncx2.cdf(2 * y, 4.0, 2 * x)) - strike * math.exp(-rate * tau) * ncx2.cdf(2 * x, 2.0, 2 * y)
    found = float(price(spot, strike, tau, rate, None, True, local_vol=grid, american=False, steps=100, nodes=401))
    assert found == pytest.approx(call, abs=1e-5)
    assert math.isnan(float(greeks(spot, strike, tau, rate, None, True, local_vol=grid, american=False).vega))


def test_boundary_of_a_long_put_nears_that_of_the_perpetual_one() -> None:
    """Merton (1973): K gamma / (1 + gamma), gamma = 2 r / sigma^2 without dividends."""
    boundary = exercise_boundary(100.0, 100.0, 200.0, 0.05, 0.2, False)
    gamma = 2.0 * 0.05 / 0.04
    assert boundary.upper[0] == pytest.approx(100.0 * gamma / (1.0 + gamma), abs=0.02)
    assert boundary.lower[0] == 0.0
    assert np.all(np.diff(boundary.times) > 0.0)
    boundary = exercise_boundary(100.0, 100.0, 1.0, 0.05, 0.2, False)
    assert np.all(np.diff(boundary.upper) > -0.01)
    assert 98.0 < boundary.upper[-1] <= 100.0


@pytest.mark.parametrize("amount", [3.0, 8.0])
def test_a_call_is_exercised_just_before_a_dividend_and_at_no_other_time(amount: float) -> None:
    rate, sigma, last = 0.05, 0.2, 0.75
    dividends = DividendSchedule((0.25, last), (amount, amount))
    found = exercise_boundary(100.0, 100.0, 1.0, rate, sigma, True, dividends=dividends)
    exercised = np.isfinite(found.lower)
    assert found.times[exercised].tolist() == [0.25, last]
    assert np.all(found.upper[exercised] == math.inf)
    # Before the last one: where the call after the fall is worth what exercise gives.
    due = brentq(lambda s: s - 100.0 - closed_form(s - amount, 100.0, 0.25, rate, 0.0, sigma, True), 100.5, 200.0)
    assert abs(found.lower[exercised][1] - due) < 0.02


def test_double_boundary_of_a_put_under_negative_rates() -> None:
    """Andersen & Lake (2021), "Fast American option pricing: the double-boundary case": q < r < 0. The two boundaries
    start from K and K r / q at expiry, and the grid needs no knowledge of them."""
    boundary = exercise_boundary(100.0, 100.0, 5.0, -0.01, 0.1, False, dividend_yield=-0.03)
    late = boundary.times > 4.9
    assert np.all(boundary.upper[late] > 94.0)
    assert boundary.lower[late][-1] == pytest.approx(100.0 / 3.0, abs=1.0)
    early = boundary.times < 1.0
    assert np.all((boundary.lower[early] > 33.0) & (boundary.lower[early] < boundary.upper[early]))
    tree = float(lattice.price(60.0, 100.0, 5.0, -0.01, -0.03, 0.1, False, steps=2001))
    assert float(price(60.0, 100.0, 5.0, -0.01, 0.1, False, dividend_yield=-0.03)) == pytest.approx(tree, abs=1e-3)


@settings(max_examples=60, deadline=None)
@given(
    strike=st.floats(50.0, 200.0),
    tau=st.floats(0.01, 3.0),
    rate=st.floats(-0.03, 0.1),
    sigma=st.floats(0.05, 0.9),
    ex_time=st.floats(0.001, 3.0),
    amount=st.floats(0.0, 20.0),
)
def test_parity_and_bounds_with_a_dividend(strike, tau, rate, sigma, ex_time, amount) -> None:
    kind = {"dividends": DividendSchedule((ex_time,), (amount,)), "steps": 25, "nodes": 101}
    call, put = (float(price(100.0, strike, tau, rate, sigma, c, american=False, **kind)) for c in (True, False))
    am_call, am_put = (float(price(100.0, strike, tau, rate, sigma, c, **kind)) for c in (True, False))
    paid = amount * math.exp(-rate * ex_time) if ex_time <= tau else 0.0
    if amount < 100.0 * math.exp(-5.0 * sigma * math.sqrt(tau)):
        assert call - put == pytest.approx(100.0 - paid - strike * math.exp(-rate * tau), abs=2e-2)
    assert am_call >= max(call - 2e-2, 100.0 - strike)
    assert am_put >= max(put - 2e-2, strike - 100.0)
    assert am_call <= 100.0 + 1e-9 + strike * max(math.exp(-rate * tau) - 1.0, 0.0)
    assert am_put <= strike * max(1.0, math.exp(-rate * tau))


def test_without_time_or_chance_the_value_is_certain() -> None:
    assert [float(price(100.0, 90.0, 0.0, 0.05, 0.2, call)) for call in (True, False)] == [10.0, 0.0]
    schedule = DividendSchedule((0.5,), (30.0,))
    kind = {"dividends": schedule}
    # The call is exercised just before the fall, the put after it.
    call = 100.0 - 90.0 * math.exp(-0.05 * 0.5)
    assert float(price(100.0, 90.0, 1.0, 0.05, 0.0, True, **kind)) == pytest.approx(call, rel=1e-14)
    spot = (100.0 * math.exp(0.025) - 30.0) * math.exp(0.025)
    put = (90.0 - spot) * math.exp(-0.05)
    assert float(price(100.0, 90.0, 1.0, 0.05, 0.0, False, american=False, **kind)) == pytest.approx(put, rel=1e-14)
    near = float(price(100.0, 90.0, 1.0, 0.05, 0.002, False, american=False, **kind))
    assert near == pytest.approx(put, abs=1e-3)
    curve = PiecewiseRate((0.5, 1.0), (0.0, 0.1))
    assert float(price(100.0, 100.0, 1.0, curve, 0.0, True)) == pytest.approx(100.0 * -math.expm1(-0.05), rel=1e-13)
    g = greeks(100.0, 90.0, 1.0, 0.05, 0.0, True)
    assert [float(g.delta), float(g.gamma), float(g.vega)] == pytest.approx([1.0, 0.0, 0.0], abs=1e-8)
    assert float(g.theta) == pytest.approx(-4.5 * math.exp(-0.05), abs=1e-6)


def test_huge_and_tiny_total_volatility() -> None:
    for sigma in (0.5, 1.0, 3.0):
        found = float(price(100.0, 100.0, 30.0, 0.05, sigma, False, american=False))
        assert found == pytest.approx(float(closed_form(100.0, 100.0, 30.0, 0.05, 0.0, sigma, False)), abs=2e-4)
    tau = np.array([1e-9, 1e-6, 1e-4])
    found = price(100.0, 100.0, tau, 0.05, 0.2, True, american=False)
    assert np.max(np.abs(found / closed_form(100.0, 100.0, tau, 0.05, 0.0, 0.2, True) - 1.0)) < 1e-2


def test_bad_rows_are_nan_and_leave_the_others_alone() -> None:
    spot = np.array([100.0, math.nan, -1.0, 100.0, 100.0, math.inf, 100.0])
    tau = np.array([1.0, 1.0, 1.0, -1.0, 1.0, 1.0, 1.0])
    sigma = np.array([0.2, 0.2, 0.2, 0.2, -0.2, 0.2, 500.0])
    for american in (True, False):
        found = price(spot, 100.0, tau, 0.05, sigma, False, american=american)
        assert np.isfinite(found[0])
        assert np.all(np.isnan(found[1:]))
    assert price(np.empty(0), 100.0, 1.0, 0.05, 0.2, True).shape == (0,)
    assert price(100.0, [[90.0], [100.0]], [0.5, 1.0, 2.0], 0.05, 0.2, True).shape == (2, 3)


def test_requests_that_make_no_sense_are_refused_in_one_line() -> None:
    grid = LocalVolGrid(np.array([0.0]), np.array([4.6]), np.array([[0.2]]))
    for bad, message in (
        ({"nodes": 200}, "such as 201"),
        ({"nodes": 10**7 + 1}, "expected 21 to 5001"),
        ({"nodes": 201.0}, "whole number"),
        ({"steps": 10**9}, "expected 4 to"),
        ({"local_vol": grid}, "sigma=None"),
    ):
        with pytest.raises(InputError, match=message):
            price(100.0, 100.0, 1.0, 0.05, 0.2, True, **bad)
    with pytest.raises(InputError, match="one option"):
        exercise_boundary([90.0, 100.0], 100.0, 1.0, 0.05, 0.2, True)
    with pytest.raises(InputError, match="positive, finite"):
        exercise_boundary(100.0, 100.0, 0.0, 0.05, 0.2, True)


def test_compiled_stage_is_its_plain_twin(monkeypatch) -> None:
    """One American step on a grid of 41 nodes by both, and the fall at a dividend."""
    facts = finite_difference.market()
    results, was_exercised = [], []
    for twin in (False, True):
        with monkeypatch.context() as patch:
            if twin:
                for module in (fd_kernels, fd_grid):
                    for name, item in list(vars(module).items()):
                        if hasattr(item, "py_func"):
                            patch.setattr(module, name, plain(item))
            work, held = np.zeros((fd_kernels.ROWS, 41)), np.ones(41, np.bool_)
            place = fd_grid.sinh_grid(40.0, 250.0, 100.0, 0.2, 2, work[fd_kernels.SPOT])
            work[fd_kernels.PAYOFF] = np.maximum(100.0 - work[fd_kernels.SPOT], 0.0)
            fd_grid.smooth_payoff(work[fd_kernels.SPOT], 100.0, -1.0, place, work[fd_kernels.VALUE])
            work[fd_kernels.SIGMA] = 0.3
            edges = np.array([[-1.0, 100.0], [0.0, 0.0], [-1.0, 100.0], [0.0, 0.0]])
            fd_kernels.set_operator(work, 0.03)
            for scheme in (0, 1, 2):
                assert fd_kernels.one_step(work, edges, held, 0.1, 0.05, 0.02, True, scheme, facts, np.empty((0, 0)))
            was_exercised.append(not held.all())
            fd_kernels.pay_dividend(work, edges, held, 3.0, True)
            results.append((work.copy(), held.copy(), edges.copy()))
    (work, held, edges), (twin_work, twin_held, twin_edges) = results
    assert np.array_equal(held, twin_held)
    assert was_exercised == [True, True]
    for row in (fd_kernels.SPOT, fd_kernels.VALUE):
        assert np.max(np.abs(work[row] - twin_work[row])) < 1e-11
    assert np.max(np.abs(edges - twin_edges)) < 1e-11

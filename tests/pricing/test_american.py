from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.compiled import plain
from voldesk.pricing import american, black
from voldesk.pricing.american import Accuracy, AmericanIvStatus
from voldesk.pricing.early_exercise import boundary as american_boundary
from voldesk.pricing.early_exercise import put as american_put
from voldesk.pricing.early_exercise import value as american_value
from voldesk.pricing.early_exercise.nodes import make_nodes, nodes_of

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "american_random.csv"


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    """Random cases valued by QuantLib's QdFp engine; the first line of the file says how."""
    rows = np.genfromtxt(GOLDEN, delimiter=",", skip_header=1, names=True)
    table = {name: rows[name] for name in rows.dtype.names}
    table["tau"] = table["days"] / 365.0
    return table


def inputs(table: dict[str, np.ndarray]) -> tuple[np.ndarray | float, ...]:
    return (
        table["spot"], 100.0, table["tau"], table["rate"], table["dividend_yield"], table["sigma"],
        table["is_call"] > 0.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("accuracy", "rms", "worst"),
    [(Accuracy.FAST, 6e-5, 2e-3), (Accuracy.STANDARD, 1e-5, 2e-4), (Accuracy.HIGH, 2e-6, 2e-5)],
)
def test_prices_agree_with_quantlib_over_thousands_of_random_options(
    golden: dict[str, np.ndarray], accuracy: Accuracy, rms: float, worst: float
) -> None:
    error = american.price(*inputs(golden), accuracy=accuracy) - golden["price"]
    assert np.abs(error).max() < worst
    assert math.sqrt(np.mean(error**2)) < rms


def test_greeks_agree_with_differenced_quantlib_prices(golden: dict[str, np.ndarray]) -> None:
    found = american.greeks(*inputs(golden))
    spread = golden["sigma"] * np.sqrt(golden["tau"])
    # A Greek near zero is compared with a hundredth of its natural size: that of an at-the-money European option.
    natural = {
        "delta": np.ones_like(spread),
        "gamma": 0.4 / (golden["spot"] * spread),
        "vega": 0.4 * golden["spot"] * np.sqrt(golden["tau"]),
        "theta": 0.2 * golden["spot"] * golden["sigma"] / np.sqrt(golden["tau"]),
        "rho": 100.0 * golden["tau"],
    }
    waits = found.gamma > 0.0  # at the edge of exercise the reference may still see a premium of 1e-6
    for name, size in natural.items():
        expected = golden[name]
        known = ~np.isnan(expected) & waits
        assert known.sum() > 1300, name
        error = np.abs(getattr(found, name) - expected) / np.maximum(np.abs(expected), 0.01 * size)
        assert np.quantile(error[known], 0.99) < 2e-5, name
        # Theta is a sum that may cancel, and the reference's own error shows there: more nodes do not lower it.
        assert error[known].max() < (1e-3 if name == "theta" else 1e-4), name


def test_standard_greeks_are_coarser_and_say_how_much(golden: dict[str, np.ndarray]) -> None:
    fine = american.greeks(*inputs(golden))
    coarse = american.greeks(*inputs(golden), accuracy=Accuracy.STANDARD)
    apart = np.abs(coarse.delta - fine.delta)
    assert 1e-6 < apart.max() < 1e-3


PAPER = [
    # Longstaff & Schwartz (2001), table 1, finite-difference column: K 40, r 0.06; spot, sigma, tau, value
    *[(s, 40.0, t, 0.06, 0.0, v, False, p, 2e-3) for s, v, t, p in (
        (36, 0.2, 1, 4.478), (36, 0.2, 2, 4.840), (36, 0.4, 1, 7.101), (36, 0.4, 2, 8.508), (38, 0.2, 1, 3.250),
        (38, 0.2, 2, 3.745), (38, 0.4, 1, 6.148), (38, 0.4, 2, 7.670), (40, 0.2, 1, 2.314), (40, 0.2, 2, 2.885),
        (40, 0.4, 1, 5.312), (40, 0.4, 2, 6.920), (42, 0.2, 1, 1.617), (42, 0.2, 2, 2.212), (42, 0.4, 1, 4.582),
        (42, 0.4, 2, 6.248), (44, 0.2, 1, 1.110), (44, 0.2, 2, 1.690), (44, 0.4, 1, 3.948), (44, 0.4, 2, 5.647),
    )],
]  # fmt: skip


@pytest.mark.parametrize("row", PAPER)
def test_paper_tables_are_met(row: tuple[float, ...]) -> None:
    *case, expected, tolerance = row
    # That column lets the holder exercise 50 times a year: it lies below the continuous value, by up to a cent.
    found = float(american.price(*case))
    assert expected - tolerance < found < expected + 0.012


def binomial(case: tuple[float, ...], steps: int) -> float:
    """Cox-Ross-Rubinstein, last step Black-Scholes: slow and plain."""
    spot, strike, tau, rate, dividend, sigma, is_call = case
    dt = tau / steps
    up = math.exp(sigma * math.sqrt(dt))
    chance = (math.exp((rate - dividend) * dt) - 1.0 / up) / (up - 1.0 / up)
    assert 0.0 < chance < 1.0
    side = 1.0 if is_call else -1.0
    discount = math.exp(-rate * dt)
    nodes = spot * up ** (2.0 * np.arange(steps) - (steps - 1))
    held = black.price(nodes * math.exp((rate - dividend) * dt), strike, dt, sigma, math.exp(-rate * dt), bool(is_call))
    values = np.maximum(held, side * (nodes - strike))
    for level in range(steps - 2, -1, -1):
        nodes = spot * up ** (2.0 * np.arange(level + 1) - level)
        values = discount * (chance * values[1:] + (1.0 - chance) * values[:-1])
        values = np.maximum(values, side * (nodes - strike))
    return float(values[0])


DOUBLE = [
    # Both boundaries (put: yield < rate < 0): before they meet, after, between them, below the lower one, calls.
    (100.0, 100.0, 0.5, -0.01, -0.03, 0.10, False),
    (100.0, 100.0, 3.0, -0.01, -0.03, 0.10, False),
    (70.0, 100.0, 1.0, -0.02, -0.06, 0.15, False),
    (45.0, 100.0, 1.0, -0.02, -0.03, 0.20, False),
    (100.0, 100.0, 2.0, -0.005, -0.01, 0.30, False),
    (110.0, 100.0, 5.0, -0.01, -0.08, 0.20, False),
    (30.0, 100.0, 5.0, -0.03, -0.05, 0.40, False),
    (105.0, 100.0, 1.0, -0.04, -0.01, 0.20, True),
    (180.0, 100.0, 4.0, -0.05, -0.03, 0.25, True),
    (95.0, 100.0, 0.25, -0.06, -0.02, 0.15, True),
]


@pytest.mark.parametrize("case", DOUBLE)
def test_double_boundary_prices_agree_with_an_extrapolated_tree(case: tuple[float, ...]) -> None:
    fine, coarse = binomial(case, 2000), binomial(case, 1000)
    found = float(american.price(*case))
    assert abs(found - (2.0 * fine - coarse)) < 1.5e-3
    assert abs(float(american.price(*case, accuracy=Accuracy.HIGH)) - found) < 2e-5


@pytest.mark.parametrize(
    "case", [*DOUBLE, (100.0, 100.0, 0.7, 0.05, 0.02, 0.3, False), (90.0, 100.0, 2.0, 0.03, 0.06, 0.2, True)]
)
def test_greeks_are_the_derivatives_of_the_price(case: tuple[float, ...]) -> None:
    def value(**moved: float) -> float:
        names = ("spot", "strike", "tau", "rate", "dividend_yield", "sigma")
        now = [x + moved.get(name, 0.0) for name, x in zip(names, case[:6], strict=True)]
        return float(american.price(*now, bool(case[6]), accuracy=Accuracy.HIGH))

    def slope(name: str, step: float) -> float:
        near = (value(**{name: step}) - value(**{name: -step})) / (2.0 * step)
        far = (value(**{name: 2.0 * step}) - value(**{name: -2.0 * step})) / (4.0 * step)
        return (4.0 * near - far) / 3.0

    g = american.greeks(*case)
    spot, tau, sigma = case[0], case[2], case[5]
    step = 0.005 * spot
    curvature = (value(spot=step) + value(spot=-step) - 2.0 * value()) / step**2
    assert float(g.delta) == pytest.approx(slope("spot", step), abs=1e-4)
    assert float(g.gamma) == pytest.approx(curvature, rel=5e-3, abs=2e-5)
    assert float(g.vega) == pytest.approx(slope("sigma", 0.01 * sigma), rel=2e-4, abs=2e-3)
    assert float(g.theta) == pytest.approx(-slope("tau", 0.01 * tau), rel=2e-3, abs=2e-3)
    assert float(g.rho) == pytest.approx(slope("rate", 2e-4), rel=5e-4, abs=5e-3)
    assert float(g.dividend_rho) == pytest.approx(slope("dividend_yield", 2e-4), rel=5e-4, abs=5e-3)


def test_where_waiting_costs_nothing_the_european_value_comes_out_to_the_last_bit() -> None:
    for rate, dividend, is_call in ((-0.02, 0.01, False), (0.0, 0.0, False), (0.05, 0.0, True), (0.03, -0.01, True)):
        spots = np.linspace(50.0, 150.0, 21)
        european = black.spot_greeks(spots, 100.0, 0.7, 0.3, rate, dividend, is_call)
        g = american.greeks(spots, 100.0, 0.7, rate, dividend, 0.3, is_call)
        for name in ("price", "delta", "gamma", "vega", "theta", "rho"):
            assert np.array_equal(getattr(g, name), getattr(european, name)), name
        forward = spots * np.exp((rate - dividend) * 0.7)
        held = black.price(forward, 100.0, 0.7, 0.3, np.exp(-rate * 0.7), is_call)
        assert np.array_equal(american.price(spots, 100.0, 0.7, rate, dividend, 0.3, is_call), held)


RATES = st.floats(-0.1, 0.1)


@settings(max_examples=300, deadline=None)
@given(st.floats(-0.7, 0.7), st.floats(0.003, 5.0), RATES, RATES, st.floats(0.05, 1.5), st.booleans())
def test_price_lies_between_its_bounds_and_the_symmetry_holds(
    moneyness: float, tau: float, rate: float, dividend: float, sigma: float, is_call: bool
) -> None:
    spot = 100.0 * math.exp(moneyness)
    found = float(american.price(spot, 100.0, tau, rate, dividend, sigma, is_call))
    european = float(black.spot_greeks(spot, 100.0, tau, sigma, rate, dividend, is_call).price)
    intrinsic = max(spot - 100.0, 0.0) if is_call else max(100.0 - spot, 0.0)
    most = spot * max(1.0, math.exp(-dividend * tau)) if is_call else 100.0 * max(1.0, math.exp(-rate * tau))
    assert max(european, intrinsic) - 1e-9 <= found <= most
    mirror = float(american.price(100.0, spot, tau, dividend, rate, sigma, not is_call))
    assert found == pytest.approx(mirror, rel=1e-12, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.floats(0.02, 3.0), RATES, RATES, st.floats(0.08, 0.8), st.booleans())
def test_price_rises_with_volatility_and_time_and_is_convex_in_spot(
    tau: float, rate: float, dividend: float, sigma: float, is_call: bool
) -> None:
    spots = 100.0 * np.exp(np.linspace(-0.5, 0.5, 41))
    low = american.price(spots, 100.0, tau, rate, dividend, sigma, is_call)
    assert (american.price(spots, 100.0, tau, rate, dividend, 1.05 * sigma, is_call) > low - 2e-4).all()
    assert (american.price(spots, 100.0, 1.05 * tau, rate, dividend, sigma, is_call) > low - 2e-4).all()
    slopes = np.diff(low) / np.diff(spots)
    assert (np.diff(slopes) > -1e-4).all()


@settings(max_examples=150, deadline=None)
@given(st.floats(-0.5, 0.5), st.floats(0.01, 3.0), RATES, RATES, st.floats(0.05, 1.2), st.booleans())
def test_implied_volatility_returns_to_where_it_came_from(
    moneyness: float, tau: float, rate: float, dividend: float, sigma: float, is_call: bool
) -> None:
    spot = 100.0 * math.exp(moneyness)
    g = american.greeks(spot, 100.0, tau, rate, dividend, sigma, is_call)
    found, status = american.implied_vol(g.price, spot, 100.0, tau, rate, dividend, is_call)
    if float(g.vega) < 0.01:
        assert status in (AmericanIvStatus.OK, AmericanIvStatus.AT_INTRINSIC, AmericanIvStatus.BELOW_INTRINSIC)
        return
    assert status == AmericanIvStatus.OK
    again = float(american.price(spot, 100.0, tau, rate, dividend, found, is_call))
    assert abs(again - float(g.price)) < 5e-4
    assert float(found) == pytest.approx(sigma, abs=1e-6 + 5e-4 / float(g.vega))


def test_implied_volatility_is_found_for_deep_options_and_near_equal_rates() -> None:
    # Deep in the money, where the European start is missing or the first vega is zero; rates that nearly agree.
    spot = np.array([13.5, 739.0, 235.0, 41.0, 64.5, 102.0, 74.4])
    tau = np.array([5.06, 5.34, 4.37, 6.54, 0.39, 0.45, 1.66])
    rate = np.array([0.145, -0.083, -0.026, 0.131, -0.0774221660, -0.0864800288, -0.0832609585])
    dividend = np.array([0.062, 0.041, 0.092, 0.115, -0.0773437327, 0.0, -0.0832291338])
    sigma = np.array([1.57, 1.41, 1.47, 0.59, 0.25, 0.12, 0.1])
    is_call = np.array([False, True, True, False, True, True, True])
    price = american.price(spot, 100.0, tau, rate, dividend, sigma, is_call)
    found, status = american.implied_vol(price, spot, 100.0, tau, rate, dividend, is_call)
    assert (status == AmericanIvStatus.OK).all()
    assert np.abs(found - sigma).max() < 1e-5


def test_every_ordinary_option_has_a_value_whatever_the_signs_of_the_rates() -> None:
    # Near-equal rates, rates next to zero and little volatility against the drift are where solvers lose their way.
    random = np.random.Generator(np.random.PCG64(5))
    n = 4000
    rate = random.uniform(-0.1, 0.15, n)
    dividend = random.uniform(-0.1, 0.15, n)
    close = random.random(n) < 0.3
    dividend[close] = rate[close] * (
        1.0 + 10.0 ** random.uniform(-5.0, 0.0, n)[close] * random.choice([-1, 1], n)[close]
    )
    small = random.random(n) < 0.1
    rate[small] = 10.0 ** random.uniform(-12.0, -2.0, n)[small]
    sigma, tau = 10.0 ** random.uniform(-1.3, 0.2, n), 10.0 ** random.uniform(-2.5, 0.8, n)
    spot = 100.0 * np.exp(np.clip(1.5 * sigma * np.sqrt(tau) * random.standard_normal(n), -2.0, 2.0))
    is_call = random.random(n) < 0.5
    standard = american.price(spot, 100.0, tau, rate, dividend, sigma, is_call)
    high = american.price(spot, 100.0, tau, rate, dividend, sigma, is_call, accuracy=Accuracy.HIGH)
    error = np.abs(standard - high) / np.maximum(spot, 100.0)
    assert not np.isnan(error).any()
    assert np.quantile(error, 0.99) < 2e-6
    assert error.max() < 3e-5


def test_rates_too_small_to_matter_give_the_european_value_where_no_boundary_is_found() -> None:
    option = (117.30332503242231, 100.0, 0.003775313361713651)
    rate, dividend_yield, sigma = 5.506811622321507e-09, 5.330174415925626e-09, 2.5007027872276626
    found = float(american.price(*option, rate, dividend_yield, sigma, True))
    carried = np.exp(-rate * option[2])
    forward = option[0] * np.exp((rate - dividend_yield) * option[2])
    assert abs(found - float(black.price(forward, 100.0, option[2], sigma, carried, True))) < 1e-8


def test_implied_volatility_says_why_there_is_none() -> None:
    price = [20.0, 19.9, 101.0, math.nan, 25.0]
    sigma, status = american.implied_vol(price, 80.0, 100.0, 0.5, 0.05, 0.0, False)
    names = [AmericanIvStatus(int(code)).name for code in status]
    assert names == ["AT_INTRINSIC", "BELOW_INTRINSIC", "ABOVE_MAX", "BAD_INPUT", "OK"]
    assert np.isnan(sigma).tolist() == [True, True, True, True, False]


def test_limits_of_no_time_and_no_volatility() -> None:
    assert american.price([80.0, 120.0], 100.0, 0.0, 0.05, 0.02, 0.3, False).tolist() == [20.0, 0.0]
    # One certain path: exercise now (rate above yield), at expiry, or when strike e^{-rt} - spot e^{-qt} peaks.
    now = american.price(80.0, 100.0, 2.0, 0.05, 0.0, 0.0, False)
    assert float(now) == 20.0
    best = math.log(0.02 * 100.0 / (0.05 * 30.0)) / (0.02 - 0.05)
    assert best < 0.0  # 0.02 x 100 > 0.05 x 30: waiting loses from the start
    assert float(american.price(30.0, 100.0, 2.0, 0.02, 0.05, 0.0, False)) == pytest.approx(70.0, rel=1e-15)
    inner = math.log(0.02 * 100.0 / (0.05 * 45.0)) / (0.02 - 0.05)
    value = 100.0 * math.exp(-0.02 * inner) - 45.0 * math.exp(-0.05 * inner)
    assert float(american.price(45.0, 100.0, 9.0, 0.02, 0.05, 0.0, False)) == pytest.approx(value, rel=1e-14)
    for tiny in (1e-3, 1e-2):
        near = american.greeks(45.0, 100.0, 9.0, 0.02, 0.05, tiny, False)
        assert float(near.price) == pytest.approx(value, abs=2.0 * tiny)


def test_a_long_put_tends_to_the_perpetual_one() -> None:
    spot, strike, rate, dividend, sigma = 100.0, 100.0, 0.06, 0.02, 0.3
    half = (rate - dividend) / sigma**2 - 0.5
    power = -half - math.sqrt(half**2 + 2.0 * rate / sigma**2)
    level = strike * power / (power - 1.0)
    perpetual = (strike - level) * (spot / level) ** power
    found = float(american.price(spot, strike, 120.0, rate, dividend, sigma, False, accuracy=Accuracy.HIGH))
    assert found == pytest.approx(perpetual, abs=0.01)
    edge = american.exercise_boundary(strike, 120.0, rate, dividend, sigma, False, [120.0])
    assert float(edge.upper[0]) == pytest.approx(level, rel=2e-3)


def test_bad_input_gives_nan() -> None:
    good = [100.0, 100.0, 0.5, 0.03, 0.01, 0.2]
    for position in range(6):
        for bad in (math.nan, math.inf, -1.0):
            if bad == -1.0 and position in (3, 4):
                continue
            case = list(good)
            case[position] = bad
            for is_call in (False, True):
                g = american.greeks(*case, is_call)
                assert all(np.isnan(column) for column in g), (position, bad)
                assert np.isnan(american.price(*case, is_call))


def test_at_its_boundary_an_option_is_worth_its_exercise() -> None:
    for rate, dividend, is_call in (
        (0.05, 0.02, False),
        (0.02, 0.05, False),
        (0.02, 0.06, True),
        (-0.01, -0.04, False),
    ):
        case = (100.0, 0.6, rate, dividend, 0.15)
        edge = american.exercise_boundary(*case, is_call, [0.0, 0.3, 0.6])
        sharp = float(edge.lower[2] if is_call else edge.upper[2])
        inside, outside = (1.001, 0.999) if is_call else (0.999, 1.001)
        side = 1.0 if is_call else -1.0
        for factor, exercised in ((inside, True), (outside, False)):
            spot = sharp * factor
            premium = float(american.price(spot, 100.0, *case[1:], is_call)) - side * (spot - 100.0)
            assert (abs(premium) < 1e-11) if exercised else (premium > 1e-6)
    both = american.exercise_boundary(100.0, 0.6, -0.01, -0.04, 0.15, False, [0.0, 0.3, 0.6])
    assert [both.lower[0], both.upper[0]] == pytest.approx([25.0, 100.0])
    assert (np.diff(both.lower) > 0.0).all()
    assert (np.diff(both.upper) < 0.0).all()
    never = american.exercise_boundary(100.0, 1.0, 0.03, 0.0, 0.2, True, [0.5])
    assert np.isnan([never.lower, never.upper]).all()


def test_inputs_broadcast_and_scalars_give_scalars() -> None:
    grid = american.greeks(np.array([[90.0], [110.0]]), 100.0, [0.2, 0.5, 1.0], 0.03, 0.05, 0.2, [True, False, True])
    assert grid.price.shape == (2, 3)
    one = american.greeks(110.0, 100.0, 0.5, 0.03, 0.05, 0.2, False)
    assert one.price.shape == ()
    assert float(one.vega) == float(grid.vega[1, 1])
    assert american.exercise_boundary([100.0, 50.0], 1.0, 0.05, 0.0, 0.2, False, [0.1, 0.2, 0.3]).upper.shape == (2, 3)


def test_compiled_kernels_do_what_their_plain_twins_do() -> None:
    nodes = nodes_of(Accuracy.FAST)
    one, two = american_put.workspace(nodes), american_put.workspace(nodes)
    rate, dividend, tau, sigma = 0.05, 0.03, 0.5, 0.3
    floor = 1e-3
    for ws, twin in ((one, lambda kernel: kernel), (two, plain)):
        node, work = ws.node[0], ws.work[0]
        twin(american_boundary.first_guess)(nodes, tau, rate, dividend, sigma, node)
        twin(american_boundary.prepare)(nodes, 1.0, tau, rate, dividend, sigma, node, work)
        twin(american_boundary.equation)(nodes, 1.0, tau, rate, dividend, sigma, 0.0, floor, node, work, ws.matrices[0])
        twin(american_value.held_to_expiry)(0.05, tau, rate, dividend, sigma, True, ws.parts)
        twin(american_value.premium)(
            nodes, 1.0, 1.0, 1.0, 0.05, tau, 0.0, rate, dividend, sigma, 0.0, floor, True, node, ws.parts,
            ws.gradient[0], ws.grid,
        )  # fmt: skip
        twin(american_boundary.factorise)(ws.matrices[0], ws.matrices[1], ws.order)
        twin(american_boundary.solve)(ws.matrices[0], ws.matrices[1], ws.order, ws.gradient[0][:8])
        twin(american_boundary.solve_transposed)(ws.matrices[0], ws.matrices[1], ws.order, node[american_boundary.STEP])
    for compiled_array, plain_array in zip(one, two, strict=True):
        assert np.allclose(compiled_array, plain_array, rtol=1e-9, atol=1e-11)


def test_more_nodes_change_nothing_but_the_last_digits() -> None:
    nodes = make_nodes(32, 48, 96, 1e-8)
    ws = american_put.workspace(nodes)
    for spot, tau, rate, dividend, sigma in ((1.1, 0.5, 0.05, 0.02, 0.3), (0.9, 2.0, 0.03, 0.06, 0.2)):
        found = american_put.single_boundary(nodes, 1e-8, tau, rate, dividend, sigma, False, ws)
        american_put.put_parts(nodes, found, False, spot, tau, rate, dividend, sigma, ws)
        high = float(american.price(spot, 1.0, tau, rate, dividend, sigma, False, accuracy=Accuracy.HIGH))
        assert float(ws.parts[american_value.VALUE]) == pytest.approx(high, abs=3e-8)


def test_a_chain_of_calls_and_puts_is_priced_as_each_alone() -> None:
    """Without dividends the calls between the puts have no boundary; the puts once shared that."""
    strike = np.repeat(np.arange(80.0, 121.0, 5.0), 2)
    is_call = np.tile([True, False], strike.size // 2)
    for accuracy in (Accuracy.STANDARD, Accuracy.FINE):
        together = american.greeks(100.0, strike, 0.25, 0.05, 0.0, 0.3, is_call, accuracy=accuracy)
        for i, (k, call) in enumerate(zip(strike.tolist(), is_call.tolist(), strict=True)):
            alone = american.greeks(100.0, k, 0.25, 0.05, 0.0, 0.3, call, accuracy=accuracy)
            for name in alone._fields:
                assert float(getattr(together, name)[i]) == float(getattr(alone, name)), (k, call, name)

from __future__ import annotations

import math
from pathlib import Path

import mpmath
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_YEAR
from voldesk.pricing import black
from voldesk.pricing.european import iv_blocks
from voldesk.pricing.implied_vol import IvStatus, implied_vol, implied_vols

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
ULP = 2.0**-52


def exact_price(forward: float, strike: float, total: float, call: bool) -> mpmath.mpf:
    """Undiscounted Black (1976) price at mpmath's present precision."""
    side = 1 if call else -1
    d1 = mpmath.log(mpmath.mpf(forward) / strike) / total + mpmath.mpf(total) / 2
    return side * (forward * mpmath.ncdf(side * d1) - mpmath.mpf(strike) * mpmath.ncdf(side * (d1 - total)))


def log_price_miss(price: float, forward: float, strike: float, total: float, call: bool) -> mpmath.mpf:
    """Relative error of `total` as the volatility of `price`, linearised on the logarithm of the smaller of the time
    value and what is missing to its bound, so that neither end loses digits."""
    share = (price - max(forward - strike if call else strike - forward, 0.0)) / min(forward, strike)
    # The difference of the two terms of a small price loses its digits; those of price - intrinsic are exact in 60.
    with mpmath.workdps(60 + (round(-math.log10(share)) if 0.0 < share < 1.0 else 330)):
        return _log_price_miss(mpmath.mpf(price), mpmath.mpf(forward), mpmath.mpf(strike), mpmath.mpf(total), call)


def _log_price_miss(
    price: mpmath.mpf, forward: mpmath.mpf, strike: mpmath.mpf, total: mpmath.mpf, call: bool
) -> mpmath.mpf:
    least, k = min(forward, strike), abs(mpmath.log(forward / strike))
    share = (price - max(forward - strike if call else strike - forward, 0)) / least
    below = share < 0.5
    target = mpmath.log(share if below else 1 - share)

    def miss(s: mpmath.mpf) -> mpmath.mpf:
        first, second = mpmath.ncdf(s / 2 - k / s), mpmath.exp(k) * mpmath.ncdf(-s / 2 - k / s)
        return mpmath.log(first - second if below else mpmath.ncdf(k / s - s / 2) + second) - target

    bump = mpmath.mpf(10) ** -15
    here = miss(total)
    return here / ((miss(total * (1 + bump)) - here) / bump)


def test_out_of_the_money_round_trip_is_exact_to_rounding_on_the_whole_grid() -> None:
    """Total volatility 1e-4 to 5, log-moneyness to +-10, every price above 1e-300; measured worst 1.9e-15."""
    total = np.geomspace(1e-4, 5.0, 300)[:, None]
    away = np.geomspace(1e-9, 10.0, 120)
    strike = np.exp(np.concatenate([-away, [0.0], away]))[None, :]
    call = strike >= 1.0
    price = black.price(1.0, strike, 1.0, total, 1.0, call)
    sigma, status = implied_vol(price, 1.0, strike, 1.0, 1.0, call)
    held = price > 1e-300
    assert np.count_nonzero(held) > 30_000
    assert np.all(status[held] == IvStatus.OK)
    assert np.abs(sigma / total - 1.0)[held].max() < 4e-15


def test_the_volatility_of_an_exact_price_is_exact() -> None:
    """Prices from mpmath in 60 digits, so that our own Black formula cannot hide an error of its own. Measured worst
    2.0 ulp times (1 + c), c = price / (vega sigma): one rounding of the price moves the answer by c roundings."""
    rng = np.random.default_rng(5)
    n = 1_500
    total = 10.0 ** rng.uniform(-4.0, math.log10(5.0), n)
    away = np.where(rng.random(n) < 0.5, rng.uniform(0.0, 37.0, n) * total, rng.uniform(0.0, 10.0, n))
    forward = rng.uniform(0.5, 2.0, n)
    strike = forward * np.exp(np.minimum(away, 10.0) * rng.choice([-1.0, 1.0], n))
    call = strike >= forward
    price, condition = np.full(n, np.nan), np.empty(n)
    with mpmath.workdps(60):
        for i, (f, k, s) in enumerate(zip(forward.tolist(), strike.tolist(), total.tolist(), strict=True)):
            exact = exact_price(f, k, s, bool(call[i]))
            if exact > 1e-300:
                price[i] = float(exact)
                vega = f * mpmath.npdf(mpmath.log(mpmath.mpf(f) / k) / s + mpmath.mpf(s) / 2)
                condition[i] = float(exact / (vega * s))
    held = np.isfinite(price)
    assert np.count_nonzero(held) > 900
    sigma, status = implied_vol(price, forward, strike, 1.0, 1.0, call)
    assert np.all(status[held] == IvStatus.OK)
    miss = np.abs(sigma / total - 1.0)[held] / (1.0 + condition[held])
    assert miss.max() < 3.0 * ULP


def test_in_the_money_is_as_exact_as_the_rounding_of_the_price_allows() -> None:
    strike = np.linspace(0.5, 0.99, 50)
    price = black.price(1.0, strike, 0.3, 0.8, 1.0, True)
    greeks = black.greeks(1.0, strike, 0.3, 0.8, 1.0, True)
    sigma, status = implied_vol(price, 1.0, strike, 0.3, 1.0, True)
    assert np.all(status == IvStatus.OK)
    assert np.max(np.abs(sigma - 0.8) * greeks.vega / (2.0**-53 * price)) < 8.0


@settings(max_examples=300, deadline=None)
@given(
    log_moneyness=st.floats(-3.0, 3.0),
    tau=st.floats(1e-6, 10.0),
    sigma=st.floats(0.01, 4.0),
    discount=st.floats(0.5, 1.2),
    call=st.booleans(),
)
def test_price_to_volatility_to_price(
    log_moneyness: float, tau: float, sigma: float, discount: float, call: bool
) -> None:
    strike = 100.0 * math.exp(-log_moneyness)
    price = float(black.price(100.0, strike, tau, sigma, discount, call))
    found, status = implied_vol(price, 100.0, strike, tau, discount, call)
    bound = discount * (100.0 if call else strike)
    if int(status) == IvStatus.OK:
        assert float(black.price(100.0, strike, tau, found, discount, call)) == pytest.approx(
            # d log price / d log sigma is about -2 log price far out of the money.
            price,
            rel=1e-15 * (50.0 + 3.0 * abs(math.log(price) - math.log(100.0))) if price > 0.0 else 0.0,
            abs=1e-290,
        )
    else:  # only rounding at a bound may refuse a price that Black gave
        intrinsic = discount * max((100.0 - strike) * (1 if call else -1), 0.0)
        assert price >= bound * (1 - 1e-15) or abs(price - intrinsic) <= 1e-15 * intrinsic


def test_every_price_outside_the_bounds_says_which() -> None:
    cases = [
        (9.99, 110.0, True, IvStatus.BELOW_INTRINSIC),
        (-1e-9, 90.0, True, IvStatus.BELOW_INTRINSIC),
        (110.0, 110.0, True, IvStatus.ABOVE_MAX),
        (110.1, 110.0, True, IvStatus.ABOVE_MAX),
        (100.0, 90.0, False, IvStatus.ABOVE_MAX),
        (math.nan, 90.0, True, IvStatus.BAD_INPUT),
        (math.inf, 90.0, True, IvStatus.BAD_INPUT),
        (1.0, -5.0, True, IvStatus.BAD_INPUT),
        (1.0, math.nan, True, IvStatus.BAD_INPUT),
    ]
    for price, forward, call, wanted in cases:
        sigma, status = implied_vol(price, forward, 100.0, 0.5, 1.0, call)
        assert IvStatus(int(status)) is wanted
        assert math.isnan(float(sigma))
    for tau, discount in ((0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (0.5, 0.0), (0.5, math.nan)):
        sigma, status = implied_vol(5.0, 100.0, 100.0, tau, discount, True)
        assert IvStatus(int(status)) is IvStatus.BAD_INPUT
        assert math.isnan(float(sigma))


def test_exactly_intrinsic_is_no_volatility() -> None:
    sigma, status = implied_vol([10.0, 0.0], [110.0, 90.0], 100.0, 0.5, 1.0, True)
    assert sigma.tolist() == [0.0, 0.0]
    assert status.tolist() == [IvStatus.OK, IvStatus.OK]


def test_one_bad_element_leaves_its_neighbours_alone() -> None:
    sigma, status = implied_vol([5.0, math.nan, 5.0], 100.0, 100.0, 0.5, 1.0, True)
    assert status.tolist() == [IvStatus.OK, IvStatus.BAD_INPUT, IvStatus.OK]
    assert sigma[0] == sigma[2] > 0.0


def hard_prices() -> list[tuple[float, float, float, bool]]:
    """(price, forward, strike, call): at the floats next to both bounds, smallest prices, forwards of any size."""
    pairs = [
        (100.0, 100.0), (100.0, 110.0), (100.0, 99.0), (1.0, 1.0 + ULP), (1e5, 1e5 * (1.0 + 1e-12)), (1.0, 1000.0),
        (1.0, 5e4), (100.0, 1e6), (1e300, 1.1e300), (1e-300, 1.2e-300), (1e300, 1e-300), (1e150, 1e-120), (5e-324, 1.0),
    ]  # fmt: skip
    found = []
    for forward, strike in pairs:
        for call in (True, False):
            intrinsic = max(forward - strike if call else strike - forward, 0.0)
            bound = forward if call else strike
            for price in (
                math.nextafter(intrinsic, math.inf),
                intrinsic + bound * 1e-15,
                intrinsic * (1.0 + 1e-10) + bound * 1e-14,
                intrinsic + bound * 1e-100,
                intrinsic + bound * 1e-200,
                5e-324,
                1e-310,
                1e-300,
                0.5 * (bound + intrinsic),
                intrinsic + (bound - intrinsic) * (1.0 - 1e-6),
                intrinsic + (bound - intrinsic) * (1.0 - 1e-12),
                math.nextafter(bound, 0.0),
            ):
                if intrinsic < price < bound:
                    found.append((price, forward, strike, call))
    return found


def allowed(price: float, forward: float, strike: float, total: float, call: bool) -> float:
    """Twelve roundings, those of a subnormal price or volatility, and what one of price and intrinsic value does to the rest."""
    intrinsic = max(forward - strike if call else strike - forward, 0.0)
    least = min(price - intrinsic, (forward if call else strike) - price)
    own = (math.ulp(price) if intrinsic > 0.0 else 0.0) / least
    return 12.0 * ULP + 2e-323 / total + own


def test_every_price_inside_its_bounds_has_its_volatility() -> None:
    """Against mpmath; a volatility below the smallest float may be 0."""
    cases = hard_prices()
    assert len(cases) > 150
    price, forward, strike, call = (np.array(column) for column in zip(*cases, strict=True))
    sigma, status = implied_vol(price, forward, strike, 1.0, 1.0, call)
    assert np.all(status == IvStatus.OK)
    assert np.all(np.isfinite(sigma))
    for (value, f, k, is_call), total in zip(cases, sigma.tolist(), strict=True):
        if total == 0.0:
            assert f == k
            assert value / f < 5e-324
        else:
            assert abs(log_price_miss(value, f, k, total, is_call)) < allowed(value, f, k, total, is_call)


@pytest.mark.parametrize("seconds", [1e-6, 1.0, 5.0, 60.0])
def test_seconds_to_expiry(seconds: float) -> None:
    tau = seconds / (365.0 * 86_400.0)
    deviation = 0.6 * math.sqrt(tau)
    strike = 64_000.0 * np.exp(np.linspace(-30.0, 30.0, 121) * deviation)
    call = strike >= 64_000.0
    price = black.price(64_000.0, strike, tau, 0.6, 1.0, call)
    sigma, status = implied_vol(price, 64_000.0, strike, tau, 1.0, call)
    assert np.all(status == IvStatus.OK)
    assert np.abs(sigma / 0.6 - 1.0).max() < 4e-15


@settings(max_examples=400, deadline=None)
@given(
    forward=st.floats(1e-160, 1e160),
    ratio=st.floats(-300.0, 300.0) | st.floats(-1e-6, 1e-6) | st.floats(-3.0, 3.0),
    share=st.floats(0.0, 1.0, exclude_min=True, exclude_max=True)
    | st.floats(1e-300, 1e-3)
    | st.floats(1e-16, 1e-3).map(lambda missing: 1.0 - missing),
    call=st.booleans(),
)
def test_no_price_inside_its_bounds_fails(forward: float, ratio: float, share: float, call: bool) -> None:
    strike = forward * math.exp(ratio)
    intrinsic = max(forward - strike if call else strike - forward, 0.0)
    bound = forward if call else strike
    price = intrinsic + share * min(forward, strike)
    if not intrinsic < price < bound:
        return
    sigma, status = implied_vol(price, forward, strike, 0.25, 1.0, call)
    assert int(status) == IvStatus.OK
    total = 0.5 * float(sigma)
    if total == 0.0:  # a volatility below the smallest float
        assert forward == strike
        assert price / forward < 1e-322
    else:
        miss = log_price_miss(price, forward, strike, total, call)
        assert abs(miss) < allowed(price, forward, strike, total, call)


def test_bid_ask_and_mid_come_together() -> None:
    rng = np.random.default_rng(3)
    forward, tau = rng.uniform(50.0, 150.0, 200), rng.uniform(0.01, 2.0, 200)
    strike, call = forward * np.exp(rng.normal(0.0, 0.3, 200)), rng.random(200) < 0.5
    mid = black.price(forward, strike, tau, 0.7, 0.97, call)
    prices = np.stack((0.98 * mid, 1.02 * mid, mid))
    sigma, status = implied_vols(prices, forward, strike, tau, 0.97, call)
    assert sigma.shape == status.shape == (3, 200)
    for j in range(3):
        alone = implied_vol(prices[j], forward, strike, tau, 0.97, call)
        np.testing.assert_array_equal(sigma[j], alone[0])
        np.testing.assert_array_equal(status[j], alone[1])
    assert np.count_nonzero(status == IvStatus.BELOW_INTRINSIC) > 0


def test_coin_prices_are_worth_their_share_of_the_forward() -> None:
    strike = np.linspace(40_000.0, 90_000.0, 11)
    coin = black.price(64_000.0, strike, 0.1, 0.6, 1.0, True) / 64_000.0
    sigma, _ = implied_vols([coin, 1.01 * coin], 64_000.0, strike, 0.1, 1.0, True, coin=True)
    dollars, _ = implied_vols(np.stack((coin, 1.01 * coin)) * 64_000.0, 64_000.0, strike, 0.1, 1.0, True)
    np.testing.assert_array_equal(sigma, dollars)


def test_scalars_and_shapes_broadcast() -> None:
    one = implied_vol(8.0, 100.0, 100.0, 0.5, 1.0, True)
    assert one[0].shape == one[1].shape == ()
    grid, status = implied_vol([[8.0], [9.0]], 100.0, [95.0, 100.0, 105.0], 0.5, 1.0, [True, True, False])
    assert grid.shape == status.shape == (2, 3)
    assert grid[0, 1] == one[0]
    three, _ = implied_vols([[8.0], [9.0]], 100.0, [95.0, 100.0, 105.0], 0.5, 1.0, [True, True, False])
    np.testing.assert_array_equal(three, grid)
    widened, _ = implied_vols([8.0, 9.0], 100.0, [95.0, 100.0, 105.0], 0.5, 1.0, [True, True, False])
    np.testing.assert_array_equal(widened, grid)
    empty, none = implied_vol(np.empty(0), 100.0, np.empty(0), 0.5, 1.0, True)
    assert empty.shape == none.shape == (0,)
    with pytest.raises(InputError, match="first axis"):
        implied_vols(8.0, 100.0, 100.0, 0.5, 1.0, True)
    with pytest.raises(ValueError, match="broadcast"):
        implied_vol([8.0, 9.0], 100.0, [95.0, 100.0, 105.0], 0.5, 1.0, True)


def test_frozen_arrays_do_not_compile_the_kernel_again() -> None:
    strike = np.array([95.0, 100.0, 105.0])
    price = np.array([8.0, 6.0, 4.0])
    sigma, _ = implied_vol(price, 100.0, strike, 0.5, 1.0, True)
    seen = len(iv_blocks.kernel.signatures)
    price.flags.writeable = strike.flags.writeable = False
    frozen, _ = implied_vol(price, 100.0, strike, 0.5, 1.0, True)
    np.testing.assert_array_equal(frozen, sigma)
    assert len(iv_blocks.kernel.signatures) == seen


def test_a_volatility_depends_neither_on_neighbours_nor_on_how_many_are_asked_for() -> None:
    """To the bit: decisions of a replay must not depend on how rows were cut into calls."""
    rng = np.random.default_rng(8)
    strike = 100.0 * np.exp(rng.normal(0.0, 0.5, 333))
    tau = rng.uniform(1e-4, 2.0, 333)
    call = rng.random(333) < 0.5
    price = black.price(100.0, strike, tau, rng.uniform(0.1, 2.5, 333), 1.0, call)
    whole, _ = implied_vol(price, 100.0, strike, tau, 1.0, call)
    for i in range(0, 333, 7):
        np.testing.assert_array_equal(whole[i], implied_vol(price[i], 100.0, strike[i], tau[i], 1.0, call[i])[0])
    for cut in (1, 63, 64, 65, 200):
        last, _ = implied_vol(price[cut:], 100.0, strike[cut:], tau[cut:], 1.0, call[cut:])
        np.testing.assert_array_equal(whole[cut:], last)


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "median", "share_within"), [("deribit_chain_6h", 1e-4, 0.985), ("deribit_chain_6h_eth", 1.5e-4, 0.985)]
)
def test_recorded_mark_volatility_is_reproduced_from_the_recorded_mark_price(
    folder: str, median: float, share_within: float
) -> None:
    """All rows with 5 % < |delta| < 95 %. Marks carry 8 decimals of coin and volatilities 4; the forward is read a
    moment apart, which puts 9 of the 381,111 marks of BTC outside their bounds."""
    paths = sorted((DATA / folder).glob("*.parquet"))
    if not paths:
        pytest.skip(f"{folder} is not beside the checkout")
    names = ["ts", "expiry", "strike", "option_type", "delta", "underlying_price", "mark_price", "mark_iv"]
    misses = []
    refused = 0
    for path in paths:
        table = pq.read_table(path, columns=names).to_pandas()
        table = table[(table.delta.abs() > 0.05) & (table.delta.abs() < 0.95)]
        tau = (table.expiry - table.ts).dt.total_seconds().to_numpy() * 1e9 / NS_PER_YEAR
        sigma, status = implied_vols(
            table.mark_price.to_numpy()[None],
            table.underlying_price.to_numpy(),
            table.strike.to_numpy(),
            tau,
            1.0,
            (table.option_type == "C").to_numpy(),
            coin=True,
        )
        assert np.all(np.isfinite(sigma) == (status == IvStatus.OK))
        refused += np.count_nonzero(status != IvStatus.OK)
        misses.append(np.abs(sigma[0] - table.mark_iv.to_numpy()))
    miss = np.nan_to_num(np.concatenate(misses), nan=np.inf)
    print(
        f"{folder}: {miss.size} marks, median miss {np.median(miss):.2e}, 99 % {np.quantile(miss, 0.99):.2e}, {refused} out"
    )
    assert np.median(miss) < median
    assert np.count_nonzero(miss < 0.02) > share_within * miss.size
    assert refused < 1e-4 * miss.size

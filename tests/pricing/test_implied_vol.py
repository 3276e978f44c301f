from __future__ import annotations

import math
from pathlib import Path

import mpmath
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.compiled import plain
from voldesk.core.units import NS_PER_YEAR
from voldesk.pricing import black, iv_kernels
from voldesk.pricing.broadcast import columns
from voldesk.pricing.implied_vol import IvStatus, implied_vol

DATA = Path(__file__).resolve().parents[2] / "../shared/data"


def test_out_of_the_money_round_trip_is_exact_to_rounding_on_the_whole_grid() -> None:
    """Total volatility 1e-4 to 5, log-moneyness to +-10, every price above 1e-300; measured worst 2.3e-15."""
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
    """Prices from mpmath in 60 digits, so that our own Black formula cannot hide an error of its own."""
    rng = np.random.default_rng(5)
    worst = 0.0
    with mpmath.workdps(60):
        for _ in range(300):
            total = 10.0 ** rng.uniform(-4.0, math.log10(5.0))
            x = -min(abs(rng.normal()) * 4.0 * total, 10.0)
            strike = math.exp(-x)
            d1 = -mpmath.log(mpmath.mpf(strike)) / total + mpmath.mpf(total) / 2
            price = float(mpmath.ncdf(d1) - mpmath.mpf(strike) * mpmath.ncdf(d1 - total))
            if price < 1e-300:
                continue
            sigma, status = implied_vol(price, 1.0, strike, 1.0, 1.0, True)
            vega = float(mpmath.npdf(d1))
            # One rounding of the price moves the answer by price / (vega total) roundings.
            worst = max(worst, abs(float(sigma) / total - 1.0) / (1.0 + price / (vega * total)))
            assert int(status) == IvStatus.OK
    assert worst < 2e-15


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
            rel=1e-15 * (50.0 + 3.0 * abs(math.log(price / 100.0))) if price > 0.0 else 0.0,
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


def test_extreme_options_do_not_fail() -> None:
    """Seconds to expiry, prices near the smallest double, total volatilities far outside the stated range."""
    for log_moneyness, total in (
        (-0.3, 0.00806),
        (-2e-6, 1e-7),
        (-25.0, 3.0),
        (-300.0, 26.0),
        (-1.0, 10.0),
        (-1e-12, 0.2),
    ):
        beta = iv_kernels.normalised_black(log_moneyness, total)
        assert beta > 0.0
        assert iv_kernels.total_volatility(beta, log_moneyness) == pytest.approx(total, rel=1e-9)


def test_compiled_and_plain_kernels_agree() -> None:
    total = np.array([0.01, 0.2, 0.7, 1.5, 4.0, 0.2, 0.3])
    strike = np.array([1.01, 1.1, 2.0, 1.3, 6.0, 1.9, 1.0])
    price = black.price(1.0, strike, 1.0, total, 0.9, True)
    price[-2] = 5.0
    _, inputs, steps = columns(price, 1.0, strike, 1.0, 0.9, is_call=True)
    sigma, slow = np.empty(7), np.empty(7)
    status, slow_status = np.empty(7, np.int8), np.empty(7, np.int8)
    iv_kernels.kernel(steps, sigma, status, *inputs)
    plain(iv_kernels.kernel)(steps, slow, slow_status, *inputs)
    np.testing.assert_allclose(sigma, slow, rtol=1e-14)
    assert status.tolist() == slow_status.tolist()
    for x, s in ((-0.2, 0.01), (-0.2, 0.4), (-0.2, 1.0), (-0.2, 5.0), (-5.0, 1.0), (0.0, 0.3)):
        beta = iv_kernels.normalised_black(x, s)
        assert iv_kernels.total_volatility(beta, x) == pytest.approx(
            plain(iv_kernels.total_volatility)(beta, x), rel=1e-14
        )


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "file", "median", "worst"),
    [("deribit_chain_6h", "btc_2026-03.parquet", 1e-4, 0.08), ("deribit_chain_6h_eth", "", 1.5e-4, 0.08)],
)
def test_recorded_mark_volatility_is_reproduced_from_the_recorded_mark_price(folder, file, median, worst) -> None:
    """5 % < |delta| < 95 %; marks carry 8 decimals of coin and volatilities 4, the forward is read a moment apart."""
    path = DATA / folder / file if file else next(iter(sorted((DATA / folder).glob("*.parquet"))), DATA / "absent")
    if not path.exists():
        pytest.skip(f"{folder} is not beside the checkout")
    table = pq.read_table(path).slice(0, 40_000).to_pandas()
    table = table[(table.delta.abs() > 0.05) & (table.delta.abs() < 0.95)]
    tau = (table.expiry - table.ts).dt.total_seconds().to_numpy() * 1e9 / NS_PER_YEAR
    forward = table.underlying_price.to_numpy()
    sigma, status = implied_vol(
        table.mark_price.to_numpy() * forward,
        forward,
        table.strike.to_numpy(),
        tau,
        1.0,
        (table.option_type == "C").to_numpy(),
    )
    assert np.all(status == IvStatus.OK)
    miss = np.abs(sigma - table.mark_iv.to_numpy())
    assert np.median(miss) < median
    assert miss.max() < worst

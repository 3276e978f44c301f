from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from voldesk.core.errors import InputError
from voldesk.pricing import black
from voldesk.surface.forward import ForwardStatus, listed_forwards, parity_forwards

DATA = Path(__file__).resolve().parents[2] / "../shared/data"


def quotes(forward: float, discount: float, coin: bool, noise: float = 0.0, strikes: int = 15):
    rng = np.random.default_rng(1)
    strike = np.tile(forward * np.linspace(0.8, 1.2, strikes), 2)
    is_call = np.repeat([True, False], strikes)
    mid = black.price(forward, strike, 0.2, 0.6, discount, is_call)
    half = 0.01 * forward * (0.2 + np.abs(strike / forward - 1.0))
    mid = mid + noise * half * rng.uniform(-1, 1, mid.size)
    unit = forward if coin else 1.0
    return np.full(strike.size, 7, np.int64), strike, is_call, (mid - half) / unit, (mid + half) / unit


@pytest.mark.parametrize("coin", [False, True])
@pytest.mark.parametrize("fixed", [None, 0.97])
def test_exact_quotes_give_forward_and_discount_exactly(coin: bool, fixed: float | None) -> None:
    found = parity_forwards(*quotes(60_000.0, 0.97, coin), coin=coin, discount=fixed)
    assert found.status.tolist() == [ForwardStatus.OK]
    assert found.forward[0] == pytest.approx(60_000.0, rel=1e-10)
    assert found.discount[0] == pytest.approx(0.97, rel=1e-9)


@pytest.mark.parametrize("coin", [False, True])
def test_pairs_read_out_of_step_do_not_move_the_forward(coin: bool) -> None:
    expiry, strike, is_call, bid, ask = quotes(60_000.0, 1.0, coin, noise=0.05)
    for i in (2, 9, 13):  # three calls of fifteen quoted at an old index, 1.5 % higher
        bid[i] += 900.0 / (60_000.0 if coin else 1.0)
        ask[i] += 900.0 / (60_000.0 if coin else 1.0)
    found = parity_forwards(expiry, strike, is_call, bid, ask, coin=coin, discount=1.0)
    assert found.forward[0] == pytest.approx(60_000.0, rel=5e-4)
    assert abs(found.forward[0] - 60_000.0) < 6.0 * found.error[0]


def test_too_few_pairs_say_so() -> None:
    expiry, strike, is_call, bid, ask = quotes(100.0, 1.0, False, strikes=3)
    bid[0] = np.nan
    found = parity_forwards(expiry, strike, is_call, bid, ask)
    assert found.status.tolist() == [ForwardStatus.FEW_PAIRS]
    assert np.isnan(found.forward[0])
    assert found.pairs.tolist() == [2]


def test_a_listed_future_takes_the_place_of_parity() -> None:
    parity = parity_forwards(*quotes(100.0, 0.99, False))
    found = listed_forwards(parity, np.array([7, 8]), np.array([101.0, 1.0]), np.array([101.5, 2.0]))
    assert found.forward.tolist() == [101.25]
    assert found.error.tolist() == [0.25]
    assert found.discount[0] == parity.discount[0]
    assert listed_forwards(parity, np.array([7]), np.array([np.nan]), np.array([101.5])).forward[0] == parity.forward[0]
    with pytest.raises(InputError, match="one shape"):
        listed_forwards(parity, np.array([7]), np.array([1.0, 2.0]), np.array([1.0]))


@pytest.mark.data
def test_parity_of_a_recorded_chain_agrees_with_the_venues_forward() -> None:
    """data/README: the parity forward from mids is within 3 bp of the recorded one for half of the expiries."""
    path = DATA / "deribit_chain_6h/btc_2026-03.parquet"
    if not path.exists():
        pytest.skip("deribit_chain_6h is not beside the checkout")
    table = pq.read_table(path).slice(0, 9_000).to_pandas()
    miss = []
    for _, snapshot in table.groupby("ts"):
        near = snapshot[(snapshot.strike / snapshot.underlying_price - 1.0).abs() < 0.1]
        found = parity_forwards(
            near.expiry.astype("int64").to_numpy(),
            near.strike.to_numpy(),
            (near.option_type == "C").to_numpy(),
            near.bid_price.to_numpy(),
            near.ask_price.to_numpy(),
            coin=True,
            discount=1.0,
        )
        venue = near.groupby("expiry").underlying_price.median().to_numpy()
        miss.append(np.abs(found.forward / venue - 1.0)[found.status == ForwardStatus.OK])
    basis_points = 1e4 * np.concatenate(miss)
    assert basis_points.size > 80
    assert np.median(basis_points) < 3.0
    assert basis_points.max() < 40.0

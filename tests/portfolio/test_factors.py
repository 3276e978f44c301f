"""The smile regression against a known parabola, and the split of a vol change into factors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.compiled import plain
from voldesk.core.units import NS_PER_DAY
from voldesk.market.state import FIELDS, Field
from voldesk.portfolio import factors
from voldesk.portfolio.columns import EXPIRY, IS_CALL, SETTLE, STRIKE, UNDERLYING
from voldesk.portfolio.factors import Smile, fit_smile, smile_move

FORWARD, NOW_NS = 60_000.0, 10**18


def chain(level: float, skew: float, curvature: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    strikes = np.repeat(np.arange(40_000.0, 90_000.0, 2_000.0), 2)
    ints = np.zeros((strikes.size, 7), np.int64)
    ints[:, EXPIRY] = NOW_NS + 14 * NS_PER_DAY
    ints[1::2, IS_CALL] = 1
    floats = np.zeros((strikes.size, 2))
    floats[:, STRIKE] = strikes
    values = np.full((strikes.size, FIELDS), np.nan)
    k = np.log(strikes / FORWARD)
    values[:, Field.FORWARD] = FORWARD
    values[:, Field.MARK_IV] = level + skew * k + curvature * k * k
    return values, ints, floats, np.arange(strikes.size)


@settings(deadline=None)
@given(st.floats(0.3, 1.0), st.floats(-0.3, 0.3), st.floats(0.0, 2.0))
def test_a_parabola_is_found_again(level: float, skew: float, curvature: float) -> None:
    values, ints, floats, ids = chain(level, skew, curvature)
    got = Smile(*fit_smile(values, ints, floats, ids, NOW_NS))
    assert got.contracts >= 5
    assert got[:3] == pytest.approx((level, skew, curvature), rel=1e-9, abs=1e-9)
    assert plain(fit_smile)(values, ints, floats, ids, NOW_NS) == pytest.approx(got, rel=1e-9, abs=1e-9)


def test_a_smile_is_not_known_from_fewer_than_five_contracts() -> None:
    values, ints, floats, ids = chain(0.5, 0.0, 0.1)
    values[8:, Field.MARK_IV] = np.nan
    got = Smile(*fit_smile(values, ints, floats, ids, NOW_NS))
    assert not got.is_known
    assert math.isnan(got.skew)


def test_contracts_far_from_the_forward_and_in_the_money_do_not_count() -> None:
    values, ints, floats, ids = chain(0.5, 0.1, 0.5)
    clean = fit_smile(values, ints, floats, ids, NOW_NS)
    k = np.log(floats[:, STRIKE] / FORWARD)
    inside = np.abs(k) <= 2.0 * 0.5 * np.sqrt(14 / 365)
    in_the_money = (ints[:, IS_CALL] == 1) != (k >= 0.0)
    values[~inside | in_the_money, Field.MARK_IV] = 3.0
    spoiled = fit_smile(values, ints, floats, ids, NOW_NS)
    assert spoiled[:3] == pytest.approx(clean[:3], rel=1e-9)


vols = st.floats(0.1, 2.0)
slopes = st.floats(-1.0, 1.0)


@given(vols, slopes, slopes, vols, slopes, slopes, slopes, slopes)
def test_the_factors_add_up_to_the_fitted_change_of_vol(
    a0: float, b0: float, c0: float, a1: float, b1: float, c1: float, k0: float, k1: float
) -> None:
    move = smile_move(Smile(a0, b0, c0, 9), Smile(a1, b1, c1, 9), k0, k1)
    assert move.total == pytest.approx(a1 + b1 * k1 + c1 * k1**2 - a0 - b0 * k0 - c0 * k0**2, abs=1e-12)


def test_a_forward_that_moves_under_an_unchanged_smile_is_roll_alone() -> None:
    smile = Smile(0.5, -0.2, 1.0, 9)
    move = smile_move(smile, smile, 0.0, 0.1)
    assert move[:3] == (0.0, 0.0, 0.0)
    assert move.roll == pytest.approx(-0.02 + 0.01)


def test_members_share_underlying_settle_currency_and_expiry() -> None:
    _, ints, _, _ = chain(0.5, 0.0, 0.0)
    ints[3, SETTLE], ints[4, EXPIRY], ints[5, UNDERLYING] = 1, 7, 1
    assert factors.expiry_members(ints, 0).tolist() == [i for i in range(len(ints)) if i not in (3, 4, 5)]

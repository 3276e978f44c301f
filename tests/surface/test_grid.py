from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_DAY
from voldesk.pricing import black
from voldesk.surface import grid
from voldesk.surface.grid import GridArbitrage, GridSurface, sample

COLUMNS = np.array([-0.6, -0.3, -0.1, 0.0, 0.1, 0.25, 0.5])
EXPIRY = np.array([30, 90, 365]) * NS_PER_DAY


def smile(level: float = 0.5, slope: float = -0.15, bend: float = 0.5) -> np.ndarray:
    return level + slope * COLUMNS + bend * COLUMNS**2


def table(vols: np.ndarray | None = None, forward: float = 100.0) -> GridSurface:
    vols = np.stack([smile(0.5), smile(0.52, -0.1, 0.35), smile(0.55, -0.06, 0.2)]) if vols is None else vols
    return GridSurface("X", 0, EXPIRY, [forward, forward * 1.01, forward * 1.04], COLUMNS, vols)


def test_the_table_itself_answers_at_its_points() -> None:
    surface = table()
    strikes = surface.forward(surface.tau)[:, None] * np.exp(COLUMNS)[None, :]
    vols = surface.implied_vol(strikes, surface.tau[:, None])
    np.testing.assert_allclose(vols[0], smile(0.5), rtol=1e-13)
    np.testing.assert_allclose(vols[2], smile(0.55, -0.06, 0.2), rtol=1e-13)


def test_between_points_total_variance_is_bilinear() -> None:
    surface = table()
    w = surface.total_variance(np.array([-0.3, -0.2, -0.1])[:, None], surface.tau[None, :2])
    assert w[1, 0] == pytest.approx(0.5 * (w[0, 0] + w[2, 0]), rel=1e-14)
    middle = surface.total_variance(-0.2, 0.5 * (surface.tau[0] + surface.tau[1]))
    assert float(middle) == pytest.approx(0.5 * (w[1, 0] + w[1, 1]), rel=1e-14)


@settings(max_examples=100, deadline=None)
@given(
    levels=st.lists(st.floats(0.1, 1.5), min_size=3, max_size=3),
    slopes=st.lists(st.floats(-3.0, 3.0), min_size=3, max_size=3),
    bends=st.lists(st.floats(0.0, 6.0), min_size=3, max_size=3),
    tau=st.floats(1e-3, 3.0),
)
def test_wings_are_within_lees_bound_and_rising_rows_do_not_cross(
    levels: list[float], slopes: list[float], bends: list[float], tau: float
) -> None:
    rows = [np.maximum(smile(*row), 0.05) for row in zip(levels, slopes, bends, strict=True)]
    years = EXPIRY / (365.0 * NS_PER_DAY)
    variance = np.maximum.accumulate(np.stack(rows) ** 2 * years[:, None], axis=0)
    surface = table(np.sqrt(variance / years[:, None]))
    k = np.concatenate([np.linspace(-30.0, -0.6, 40), COLUMNS, np.linspace(0.5, 30.0, 40)])
    w = surface.total_variance(k[None, :], np.array([tau, tau * 1.01])[:, None])
    assert np.all(w > 0.0)
    assert np.min(w[1] - w[0]) >= -1e-13 * w.max()
    if tau <= years[-1]:
        slope = np.diff(w[0]) / np.maximum(np.diff(k), 1e-9)
        assert np.abs(slope[:38]).max() <= 2.0
        assert np.abs(slope[-38:]).max() <= 2.0
        assert slope[:38].max() <= 1e-9
        assert slope[-38:].min() >= -1e-9


def test_a_sound_table_is_free_and_each_flaw_is_found_on_prices_with_its_place() -> None:
    assert table().check_arbitrage().free
    vols = np.stack([smile(0.5), smile(0.52, -0.1, 0.35), smile(0.55, -0.06, 0.2)])
    bumped = vols.copy()
    bumped[1, 3] += 0.06  # a peak at the money of one row: no convex prices
    report = table(bumped).check_arbitrage()
    assert not report.free
    assert report.status[1, 3] == GridArbitrage.BUTTERFLY
    assert report.violations == (f"BUTTERFLY: expiry_ns={EXPIRY[1]} k=0",)
    lower = vols.copy()
    lower[2] = 0.2
    report = table(lower).check_arbitrage()
    assert np.all(report.status[1] & GridArbitrage.CALENDAR)
    steep = vols.copy()
    steep[0, -1] = 2.5  # the call far out dearer than the one before
    assert table(steep).check_arbitrage().status[0, -2] & GridArbitrage.STRIKE_SPREAD


def test_a_smile_convex_in_volatility_can_still_have_butterflies_in_price() -> None:
    # Checked on prices, not on vols: this V is convex in volatility, yet its right side falls faster than prices allow.
    vols = np.stack([np.array([0.75, 0.45, 0.25, 0.15, 0.05, 0.05, 0.05])] * 3)
    assert np.all(np.diff(np.diff(vols[0]) / np.diff(COLUMNS)) >= -1e-12)
    report = table(vols).check_arbitrage()
    assert not report.free
    strike = np.exp(COLUMNS)
    calls = black.price(1.0, strike, 1.0, vols[2], 1.0, True)
    chords = np.diff(calls) / np.diff(strike)
    np.testing.assert_array_equal(np.diff(chords) < -1e-12, (report.status[2, 1:-1] & GridArbitrage.BUTTERFLY) > 0)


def test_a_sample_of_a_surface_has_its_volatilities_and_a_finer_one_is_nearer() -> None:
    source = table()
    errors = []
    for count in (9, 33):
        made = sample(source, np.linspace(-0.6, 0.5, count))
        errors.append(
            np.max(np.abs(made.implied_vol([70.0, 88.0, 104.0], 0.3) - source.implied_vol([70.0, 88.0, 104.0], 0.3)))
        )
    assert errors[1] < 0.2 * errors[0] < 0.01


def test_unusable_tables_are_refused_in_one_line() -> None:
    good = np.full((3, 7), 0.5)
    for columns, vols, message in (
        (COLUMNS[::-1], good, "rising"),
        (COLUMNS, good[:2], "shape"),
        (COLUMNS, np.where(np.arange(7) == 3, np.nan, good), "positive"),
    ):
        with pytest.raises(InputError, match=message):
            GridSurface("X", 0, EXPIRY, [100.0] * 3, columns, vols)
    with pytest.raises(InputError, match="forward"):
        GridSurface("X", 0, EXPIRY, [100.0, -1.0, 100.0], COLUMNS, good)
    with pytest.raises(InputError, match="asof_ns"):
        GridSurface("X", EXPIRY[0], EXPIRY, [100.0] * 3, COLUMNS, good)
    with pytest.raises(InputError, match="out of order"):
        GridSurface("X", 0, EXPIRY[::-1], [100.0] * 3, COLUMNS, good)


def test_compiled_and_plain_agree() -> None:
    surface = table()
    k, t = np.array([-1.0, -0.3, 0.05, 0.5, 2.0, 0.0]), np.array([0.01, 0.2, 0.3, 1.0, 2.0, -1.0])
    held = (surface.tau, COLUMNS, surface._table, surface._wings)
    fast, slow = np.empty(6), np.empty(6)
    grid._variances(k, t, *held, fast)
    plain(grid._variances)(k, t, *held, slow)
    np.testing.assert_allclose(fast, slow, rtol=1e-14)
    assert np.isnan(fast[5])
    fast_rows, slow_rows = np.empty((4, 6)), np.empty((4, 6))
    grid._shapes(k, t, *held, surface._slopes, surface._bends, fast_rows)
    plain(grid._shapes)(k, t, *held, surface._slopes, surface._bends, slow_rows)
    np.testing.assert_allclose(fast_rows, slow_rows, rtol=1e-13)
    np.testing.assert_allclose(fast_rows[0], fast, rtol=1e-13)

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voldesk.core import units


def test_durations_nest() -> None:
    assert units.NS_PER_SECOND == 1_000 * units.NS_PER_MS
    assert units.NS_PER_MINUTE == 60 * units.NS_PER_SECOND
    assert units.NS_PER_HOUR == 60 * units.NS_PER_MINUTE
    assert units.NS_PER_DAY == 24 * units.NS_PER_HOUR
    assert units.NS_PER_YEAR == 365 * units.NS_PER_DAY
    assert units.NEVER_NS > units.NS_PER_YEAR * 200


def test_a_day_is_one_three_hundred_and_sixty_fifth_of_a_year() -> None:
    assert units.tau_years(0, units.NS_PER_DAY) == pytest.approx(1 / 365, rel=1e-15)
    assert units.tau_years(10, 10) == 0.0
    assert units.tau_years(units.NS_PER_YEAR, 0) == -1.0


@given(st.integers(0, 2 * 10**18), st.integers(0, 10**18))
def test_tau_depends_on_the_difference_alone(now_ns: int, ahead_ns: int) -> None:
    assert units.tau_years(now_ns, now_ns + ahead_ns) == units.tau_years(0, ahead_ns)


def test_greeks_at_the_edge_are_in_the_units_people_read() -> None:
    assert units.vega_per_volpt(25.0) == 0.25
    assert units.theta_per_day(-365.0) == -1.0
    assert units.rho_per_bp(100.0) == 0.01
    assert units.vol_points(0.45) == 45.0
    assert units.gamma_per_1pct(0.002, 50_000.0) == pytest.approx(1.0, rel=1e-15)

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_HOUR, NS_PER_SECOND
from voldesk.hedging.cost import CostModel, HedgeLimiter, Impact, cost_benefit


def test_cost_is_commission_half_spread_and_impact() -> None:
    flat = CostModel(commission_rate=0.0005)
    assert flat.cost(-2.0, 60_000.0, 0.0001) == pytest.approx(2.0 * 60_000.0 * 0.0006, rel=1e-14)
    linear = CostModel(commission_rate=0.0, impact=Impact.LINEAR, impact_rate=0.001, impact_units=10.0)
    root = CostModel(commission_rate=0.0, impact=Impact.SQUARE_ROOT, impact_rate=0.001, impact_units=10.0)
    # Both lose 10 bp at the stated size; four times the size costs four times and twice the rate.
    assert linear.rate(10.0, 0.0) == root.rate(10.0, 0.0) == pytest.approx(0.001)
    assert linear.rate(40.0, 0.0) == pytest.approx(0.004)
    assert root.rate(-40.0, 0.0) == pytest.approx(0.002)


BASE = {
    "delta_before": 1.0,
    "delta_after": 0.0,
    "price": 60_000.0,
    "half_spread_rate": 0.0001,
    "sigma": 0.5,
    "horizon_years": 1 / 365.0,
    "risk_aversion": 1e-3,
}


def test_a_hedge_is_made_when_it_saves_more_than_twice_its_cost() -> None:
    model = CostModel(commission_rate=0.0005)
    large = cost_benefit(model, **BASE)
    # a/2 sigma**2 S**2 dt x 1: 0.0005 x (0.5 x 60000)**2 / 365 = 1232.9 against 36.
    assert large.benefit == pytest.approx(0.0005 * 9e8 / 365.0, rel=1e-12)
    assert (large.worth, large.reason) == (True, "ok")
    assert large.cost == pytest.approx(36.0, rel=1e-12)
    small = cost_benefit(model, **{**BASE, "delta_before": 0.01})
    assert (small.worth, small.reason) == (False, "benefit")
    assert cost_benefit(model, **{**BASE, "delta_before": 0.01}, urgent=True) == (
        True,
        small.cost,
        small.benefit,
        "urgent",
    )


def test_a_hedge_that_costs_over_a_fifth_of_a_percent_waits() -> None:
    found = cost_benefit(CostModel(commission_rate=0.0021), **BASE)
    assert (found.worth, found.reason) == (False, "cost_share")


def test_going_away_from_the_target_never_pays() -> None:
    found = cost_benefit(CostModel(), **{**BASE, "delta_before": 0.5, "delta_after": 1.0})
    assert found.benefit < 0.0
    assert not found.worth


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 20 * 60), min_size=1, max_size=150),
    st.integers(1, 25),
    st.integers(0, 300),
)
def test_no_hour_ever_holds_more_hedges_than_allowed(gaps_s: list[int], per_hour: int, spacing_s: int) -> None:
    limiter = HedgeLimiter(per_hour, spacing_s * NS_PER_SECOND)
    now, made = 1_700_000_000 * NS_PER_SECOND, []
    for gap in gaps_s:
        now += gap * NS_PER_SECOND
        recent = [t for t in made if t > now - NS_PER_HOUR]
        free = len(recent) < per_hour and (not made or now - made[-1] >= spacing_s * NS_PER_SECOND)
        assert limiter.allows(now) == free
        if free:
            limiter.record(now)
            made.append(now)


def test_a_restored_limiter_remembers_the_hour() -> None:
    first, second = HedgeLimiter(2, 0), HedgeLimiter(2, 0)
    first.record(10)
    first.record(20)
    second.restore(first.state())
    assert not second.allows(30)
    assert second.allows(10 + NS_PER_HOUR)


def test_a_hedge_that_was_not_allowed_is_a_bug() -> None:
    limiter = HedgeLimiter(20, 60 * NS_PER_SECOND)
    limiter.record(0)
    with pytest.raises(AssertionError, match="did not allow"):
        limiter.record(59 * NS_PER_SECOND)


def test_costs_in_percent_or_limits_of_zero_are_refused() -> None:
    with pytest.raises(InputError, match=r"10 bp is 0\.001"):
        CostModel(commission_rate=5.0)
    with pytest.raises(InputError, match="per_hour=0"):
        HedgeLimiter(0)

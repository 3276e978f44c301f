import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.hedging.bands import BandRule, half_width, whalley_wilmott, zakamouline

GAMMA = st.floats(1e-8, 1e-1)
COST = st.floats(1e-5, 1e-2)
AVERSION = st.floats(1e-5, 10.0)


def test_whalley_wilmott_by_hand() -> None:
    # (3/2 x 0.01 x 100 x 0.02**2 / 1)**(1/3) = 0.0006**(1/3)
    assert whalley_wilmott(0.02, 100.0, 0.01, 1.0) == pytest.approx(0.0843432665, rel=1e-9)
    assert whalley_wilmott(0.02, 100.0, 0.01, 1.0, 2.0, 0.05) == pytest.approx(
        0.0843432665 * math.exp(-0.1 / 3.0), rel=1e-9
    )


def test_zakamouline_by_hand() -> None:
    # H0 = 0.0005 / (5000 x 0.04 x 0.25) = 1e-5;
    # H1 = 1.12 x 0.0005**0.31 x 0.25**0.05 x 5**0.25 x 0.02**0.5, term by term:
    terms = 1.12 * 0.0947721 * 0.9330330 * 1.4953488 * 0.1414214
    assert zakamouline(0.02, 5000.0, 0.0005, 1.0, 0.25, 0.20) == pytest.approx(1e-5 + terms, rel=2e-6)


@given(GAMMA, COST, AVERSION, st.floats(1.1, 50.0))
def test_whalley_wilmott_follows_its_power_laws(gamma: float, cost: float, aversion: float, by: float) -> None:
    base = whalley_wilmott(gamma, 100.0, cost, aversion)
    assert whalley_wilmott(by * gamma, 100.0, cost, aversion) == pytest.approx(base * by ** (2 / 3), rel=1e-12)
    assert whalley_wilmott(gamma, 100.0, cost / by, aversion) == pytest.approx(base * by ** (-1 / 3), rel=1e-12)
    assert whalley_wilmott(gamma, 100.0, cost, by * aversion) == pytest.approx(base * by ** (-1 / 3), rel=1e-12)
    assert whalley_wilmott(-gamma, 100.0, cost, aversion) == base


@given(GAMMA, COST, AVERSION, st.floats(0.01, 2.0), st.floats(0.1, 2.0))
def test_a_dearer_hedge_or_more_gamma_never_narrows_the_band(
    gamma: float, cost: float, aversion: float, tau: float, sigma: float
) -> None:
    base = zakamouline(gamma, 100.0, cost, aversion, tau, sigma)
    assert zakamouline(2.0 * gamma, 100.0, cost, aversion, tau, sigma) > base
    assert zakamouline(gamma, 100.0, 2.0 * cost, aversion, tau, sigma) > base
    assert zakamouline(gamma, 100.0, cost, 2.0 * aversion, tau, sigma) < base


def test_without_gamma_one_rule_hedges_everything_and_the_other_leaves_a_residue() -> None:
    assert whalley_wilmott(0.0, 100.0, 0.001, 1.0) == 0.0
    assert zakamouline(0.0, 100.0, 0.001, 1.0, 0.25, 0.2) == pytest.approx(0.001 / (100.0 * 0.04 * 0.25))


def test_free_hedges_need_no_band() -> None:
    assert whalley_wilmott(0.02, 100.0, 0.0, 1.0) == 0.0
    assert zakamouline(0.02, 100.0, 0.0, 1.0, 0.25, 0.2) == 0.0


def test_at_expiry_no_hedge_pays_any_more() -> None:
    assert zakamouline(0.02, 100.0, 0.001, 1.0, 0.0, 0.2) == math.inf


def test_a_rule_is_chosen_by_name() -> None:
    inputs = {"gamma": 0.02, "spot": 100.0, "cost_rate": 0.01, "risk_aversion": 1.0, "tau": 0.25, "sigma": 0.2}
    assert half_width(BandRule.FIXED, fixed=0.05, **inputs) == 0.05
    assert half_width(BandRule("whalley_wilmott"), fixed=0.05, **inputs) == whalley_wilmott(0.02, 100.0, 0.01, 1.0)
    assert half_width(BandRule.ZAKAMOULINE, fixed=0.05, **inputs) == zakamouline(0.02, 100.0, 0.01, 1.0, 0.25, 0.2)


@pytest.mark.parametrize(
    "bad", [(0.0, 0.001, 1.0), (100.0, -0.001, 1.0), (100.0, 10.0, 1.0), (100.0, 0.001, 0.0), (math.nan, 0.001, 1.0)]
)
def test_what_makes_no_band_is_refused(bad: tuple[float, float, float]) -> None:
    with pytest.raises(InputError, match="cost rate as a decimal share"):
        whalley_wilmott(0.02, *bad)
    with pytest.raises(InputError, match="cost rate as a decimal share"):
        zakamouline(0.02, *bad, 0.25, 0.2)
    with pytest.raises(InputError, match="decimal per year"):
        zakamouline(0.02, 100.0, 0.001, 1.0, 0.25, math.nan)

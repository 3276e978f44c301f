"""The gate: what is approved, warned of and refused, and which rule lets an order through all the same."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.core.orders import Check, Outcome, Purpose
from voldesk.market.state import Field
from voldesk.risk.kill_switch import DESK, KillLevel
from voldesk.risk.limits import Limit, limit

CALL, PUT, PERP, WING = 0, 1, 2, 3
BTC_OF_PERP = 10_000  # lots of 10 USD in one BTC at 100,000

DELTA = limit("DELTA", 1.0, "underlying", "underlying")
VEGA = limit("VEGA", 500.0, "usd_per_volpt", "portfolio")
GAMMA = limit("GAMMA", 0.5, "underlying_per_1pct", "underlying")


def refused(verdict: Any) -> list[str]:
    return [check.code for check in verdict.checks if check.outcome is Outcome.REFUSE]


def the(verdict: Any, code: str) -> Check:
    (check,) = [check for check in verdict.checks if check.code == code]
    return check


def test_a_small_order_on_a_healthy_book_is_approved_without_remarks(world: Any) -> None:
    desk = world()
    verdict, approved = desk.gate.approve(desk.intent((CALL, 5), (PUT, 5)), desk.view, desk.view.now_ns)
    assert (verdict.outcome, verdict.checks, verdict.exemption) == (Outcome.APPROVE, (), "")
    assert approved is not None
    assert approved.intent.legs[0].lots == 5


def test_a_refused_order_gets_no_approval_and_says_limit_current_and_projected(world: Any) -> None:
    desk = world((DELTA,)).hold(PERP, BTC_OF_PERP // 2)
    verdict, approved = desk.gate.approve(desk.intent((PERP, BTC_OF_PERP)), desk.view, desk.view.now_ns)
    assert approved is None
    check = the(verdict, "DELTA")
    assert (check.limit, check.unit, check.scope) == (1.0, "underlying", "underlying:BTC")
    assert (check.current, check.projected) == pytest.approx((0.5, 1.5), rel=1e-9)


def test_from_eighty_percent_of_a_limit_on_it_is_a_warning(world: Any) -> None:
    assert world((DELTA,)).judge((PERP, 7_900)).outcome is Outcome.APPROVE
    warned = world((DELTA,)).judge((PERP, 8_100))
    assert (warned.outcome, the(warned, "DELTA").outcome) == (Outcome.WARN, Outcome.WARN)
    assert world((DELTA,)).judge((PERP, BTC_OF_PERP)).outcome is Outcome.WARN
    assert world((DELTA,)).judge((PERP, BTC_OF_PERP + 10)).outcome is Outcome.REFUSE


def test_working_orders_count_where_they_hurt_in_either_direction(world: Any) -> None:
    buying = world((DELTA,)).work(PERP, 6_000)
    assert refused(buying.judge((PERP, 6_000))) == ["DELTA"]
    assert buying.judge((PERP, -6_000)).outcome is Outcome.APPROVE
    both = world((DELTA,)).work(PERP, 6_000).work(PERP, -6_000)
    assert refused(both.judge((PERP, 6_000))) == ["DELTA"]
    assert refused(both.judge((PERP, -6_000))) == ["DELTA"]


def test_an_order_that_shrinks_what_is_over_its_limit_passes_as_reduce_only(world: Any) -> None:
    desk = world((DELTA,)).hold(PERP, 3 * BTC_OF_PERP)
    verdict = desk.judge((PERP, -BTC_OF_PERP))
    assert (verdict.outcome, verdict.exemption) == (Outcome.WARN, "reduce_only")
    assert the(verdict, "DELTA").projected == pytest.approx(2.0, rel=1e-9)
    assert refused(desk.judge((PERP, 1))) == ["DELTA"]


def test_swinging_from_over_the_limit_to_over_it_on_the_other_side_is_no_reduction(world: Any) -> None:
    desk = world((DELTA,)).hold(PERP, 3 * BTC_OF_PERP)
    verdict = desk.judge((PERP, -5 * BTC_OF_PERP))
    assert (verdict.outcome, verdict.exemption) == (Outcome.REFUSE, "")
    assert the(verdict, "DELTA").projected == pytest.approx(-2.0, rel=1e-9)


def test_reducing_one_exposure_does_not_excuse_breaking_another(world: Any) -> None:
    desk = world((DELTA, GAMMA)).hold(PERP, 3 * BTC_OF_PERP)
    # More puts than calls bring delta down and gamma over its limit.
    verdict = desk.judge((CALL, 90), (PUT, 120))
    assert "GAMMA" in refused(verdict)
    assert verdict.exemption == ""


def test_a_hedge_that_brings_net_delta_down_is_not_held_up_by_a_position_limit(world: Any) -> None:
    position = limit("DELTA", 0.5, "underlying", "position")
    desk = world((position,)).hold(CALL, 50)
    hedge = desk.judge((PERP, -2 * BTC_OF_PERP), purpose=Purpose.HEDGE)
    assert (hedge.outcome, hedge.exemption) == (Outcome.WARN, "hedge_reduces_delta")
    assert "DELTA" in refused(desk.judge((PERP, -2 * BTC_OF_PERP), purpose=Purpose.OPEN))
    assert "DELTA" in refused(desk.judge((PERP, 2 * BTC_OF_PERP), purpose=Purpose.HEDGE))


def test_a_second_hedge_for_what_a_working_one_already_covers_is_not_a_hedge(world: Any) -> None:
    position = limit("DELTA", 0.5, "underlying", "position")
    desk = world((position,)).hold(CALL, 50).work(PERP, -24_000)
    assert "DELTA" in refused(desk.judge((PERP, -2 * BTC_OF_PERP), purpose=Purpose.HEDGE))


def test_hedging_the_collateral_counts_it_as_delta(world: Any) -> None:
    position = limit("DELTA", 5.0, "underlying", "underlying")
    plain, hedged = world((position,)), world((position,), hedge_collateral=True)
    assert "DELTA" in refused(plain.judge((PERP, -9 * BTC_OF_PERP), purpose=Purpose.HEDGE))
    verdict = hedged.judge((PERP, -9 * BTC_OF_PERP), purpose=Purpose.HEDGE)
    assert verdict.outcome is Outcome.APPROVE
    shown = hedged.gate.utilisation(hedged.hold(PERP, -1).book, hedged.view.now_ns)
    assert shown[0].current == pytest.approx(10.0, abs=0.001)


def test_deltas_of_two_underlyings_are_limited_apart_and_added_in_dollars_only(world: Any) -> None:
    ether = 4
    limits = (DELTA, limit("DELTA", 150_000.0, "usd", "portfolio"))
    both = world(limits, extra=(world.ether_perpetual,))
    # 9,000 contracts of 10 USD are 0.9 of either: within 1.0 each, 180,000 USD together.
    verdict = both.judge((PERP, 9_000), (ether, 9_000))
    over = [check for check in verdict.checks if check.outcome is Outcome.REFUSE]
    assert [(check.scope, check.unit) for check in over] == [("portfolio", "usd")]
    assert over[0].projected == pytest.approx(180_000.0, rel=1e-9)
    assert refused(both.judge((PERP, 9_000), (ether, -9_000))) == []
    assert the(both.judge((ether, -11_000)), "DELTA").scope == "underlying:ETH"


@pytest.mark.parametrize("purpose", [Purpose.CLOSE, Purpose.FLATTEN])
def test_closing_is_never_forbidden_by_an_exposure_limit(world: Any, purpose: Purpose) -> None:
    # Selling the straddle leaves the hedge naked: over the delta limit, but no limit may keep a position open.
    desk = world((DELTA,)).hold(CALL, 50).hold(PERP, -24_000)
    closing = desk.judge((CALL, -50), purpose=purpose)
    assert (closing.outcome, closing.exemption) == (Outcome.WARN, "reduce_only")
    assert refused(desk.judge((CALL, -50), purpose=Purpose.OPEN)) == ["DELTA"]
    assert refused(desk.judge((CALL, -51), purpose=purpose)) == ["DELTA"]
    desk.work(CALL, -1)
    assert refused(desk.judge((CALL, -50), purpose=purpose)) == ["DELTA"]


def test_an_order_marked_reduce_only_must_only_reduce(world: Any) -> None:
    desk = world().hold(CALL, 5)
    assert desk.judge((CALL, -5), reduce_only=True).outcome is Outcome.APPROVE
    assert refused(desk.judge((CALL, -6), reduce_only=True)) == ["REDUCE_ONLY"]
    assert refused(desk.judge((PUT, -1), reduce_only=True)) == ["REDUCE_ONLY"]


def test_an_option_without_a_vol_is_refused_but_may_be_closed(world: Any) -> None:
    desk = world().hold(CALL, 5)
    values = desk.view.live.values
    values[CALL, Field.MARK_IV] = np.nan
    values[CALL, Field.MARK] = 2.0  # beyond every vol
    verdict = desk.judge((CALL, 1))
    assert "UNKNOWN_IV" in refused(verdict)
    assert "UNKNOWN_IV" in refused(desk.judge((PERP, -100), purpose=Purpose.HEDGE))
    values[CALL, Field.FORWARD] = np.nan
    assert "NO_GREEKS" in refused(desk.judge((WING, 1)))
    values[CALL, Field.MARK] = 0.04
    closing = desk.judge((CALL, -5), purpose=Purpose.CLOSE)
    assert (refused(closing), closing.exemption) == ([], "reduce_only")


def test_a_drawdown_stops_new_risk_but_not_closing_and_hedging(world: Any) -> None:
    desk = world().hold(CALL, 50)
    desk.gate.on_mark(desk.book, desk.view.now_ns)
    desk.book.account("BTC").realised = -21 * 10**7  # 2.1 of 10 BTC
    assert refused(desk.judge((CALL, 1))) == ["DRAWDOWN"]
    assert the(desk.judge((CALL, 1)), "DRAWDOWN").current == pytest.approx(0.21, rel=1e-3)
    assert desk.judge((CALL, -10), purpose=Purpose.CLOSE).exemption == "reduce_only"
    assert desk.judge((PERP, -10_000), purpose=Purpose.HEDGE).exemption == "hedge_reduces_delta"
    assert refused(desk.judge((PUT, 5), purpose=Purpose.HEDGE)) == ["DRAWDOWN"]


def test_position_ratio_free_cash_and_single_position_are_held_to_the_requirement(world: Any) -> None:
    limits = (
        limit("POSITION_RATIO_MAX", 0.8, "ratio", "portfolio"),
        limit("FREE_CASH_FLOOR", 0.1, "ratio", "portfolio"),
        limit("SINGLE_POSITION", 0.3, "ratio", "position"),
    )
    # One call costs 0.0391 BTC a contract: 780 lots are 3.05 of 10 BTC.
    single = world(limits).judge((CALL, 780))
    assert refused(single) == ["SINGLE_POSITION"]
    assert the(single, "SINGLE_POSITION").scope == "position:BTC-29JUN25-100000-C"
    ratio = world(limits[:1]).judge((CALL, 1030), (PUT, 1030))
    assert the(ratio, "POSITION_RATIO_MAX").projected == pytest.approx(0.805, abs=0.001)
    assert refused(ratio) == ["POSITION_RATIO_MAX"]
    cash = world(limits[1:2]).judge((CALL, 1160), (PUT, 1160))
    assert the(cash, "FREE_CASH_FLOOR").projected == pytest.approx(0.094, abs=0.001)
    assert refused(cash) == ["FREE_CASH_FLOOR"]
    assert the(world(limits[1:2]).judge((CALL, 1130), (PUT, 1130)), "FREE_CASH_FLOOR").outcome is Outcome.WARN


def test_the_account_cannot_buy_more_premium_than_it_has_cash(world: Any) -> None:
    # NautilusTrader 2.0.0rc6 bought 45,000 of premium with 1,000 of cash.
    verdict = world(deposit="0.1").judge((CALL, 1000))
    assert {"FREE_CASH_FLOOR", "POSITION_RATIO_MAX", "SINGLE_POSITION"} <= set(refused(verdict))


def test_short_options_lock_margin(world: Any) -> None:
    # NautilusTrader 2.0.0rc6 let short options lock none. 0.15 + mark of 0.0391 a contract, 10 BTC of balance.
    margin = limit("MARGIN", 1.0, "ratio", "portfolio")
    verdict = world((margin,)).judge((CALL, -700))
    assert refused(verdict) == ["MARGIN"]
    assert the(verdict, "MARGIN").projected == pytest.approx(70 * 0.18906 / (10 + 70 * 0.03906), rel=1e-3)


def test_a_scenario_loss_beyond_the_limit_is_refused_in_shares_of_equity(world: Any) -> None:
    loss = limit("SCENARIO_LOSS", 0.05, "equity_share", "portfolio")
    verdict = world((loss,)).judge((CALL, -50))
    assert refused(verdict) == ["SCENARIO_LOSS"]
    assert the(verdict, "SCENARIO_LOSS").current == 0.0
    # Spot +20 %, vol +20 points: a 5-BTC short call loses about 5 x (0.19 - 0.04) BTC.
    assert 0.06 < the(verdict, "SCENARIO_LOSS").projected < 0.10
    assert world((loss,)).judge((CALL, -50), (WING, 50), (PERP, 25_000)).outcome is not Outcome.APPROVE


def test_the_number_of_positions_counts_what_is_held_and_working(world: Any) -> None:
    two = limit("POSITIONS", 2.0, "count", "portfolio")
    desk = world((two,)).hold(CALL, 1).work(PUT, 1)
    assert refused(desk.judge((PERP, 1))) == ["POSITIONS"]
    assert desk.judge((CALL, 1)).outcome is Outcome.WARN
    assert desk.judge((CALL, -1)).outcome is Outcome.APPROVE


def test_a_pause_lets_closing_and_hedging_through_and_a_kill_only_the_operator(world: Any) -> None:
    desk = world().hold(CALL, 50)
    desk.gate.kill.pull(KillLevel.PAUSE, "b", "ann", "news", 1)
    assert refused(desk.judge((CALL, 1))) == ["PAUSED"]
    assert desk.judge((CALL, -5), purpose=Purpose.CLOSE).exemption == "reduce_only"
    assert desk.judge((PERP, -10_000), purpose=Purpose.HEDGE).exemption == "hedge_reduces_delta"
    desk.gate.kill.pull(KillLevel.CANCEL, DESK, "ann", "worse", 2)
    assert refused(desk.judge((CALL, -5), purpose=Purpose.CLOSE)) == ["KILLED"]
    assert refused(desk.judge((PERP, -10_000), purpose=Purpose.HEDGE)) == ["KILLED"]
    assert refused(desk.judge((CALL, -51), purpose=Purpose.FLATTEN)) == ["KILLED"]
    for purpose in (Purpose.FLATTEN, Purpose.MANUAL):
        assert desk.judge((CALL, -50), purpose=purpose).exemption == "reduce_only"


def test_a_limit_lowered_by_an_operator_holds_from_its_time_on(world: Any) -> None:
    from voldesk.core.events import OperatorAction, OperatorCommand

    desk = world((DELTA,))
    fields = {"code": "DELTA", "value": "0.5", "unit": "underlying", "scope": "underlying", "approver": "bob"}
    later = desk.view.now_ns + 5
    command = OperatorCommand(
        desk.view.now_ns, "ann", OperatorAction.SET_LIMIT, "", fields | {"effective_ns": str(later)}, "cautious"
    )
    desk.gate.limits.change(command)
    intent = desk.intent((PERP, 6_000))
    assert desk.gate.judge(intent, desk.view, later - 1).outcome is Outcome.APPROVE
    assert desk.gate.judge(intent, desk.view, later).outcome is Outcome.REFUSE


def test_utilisation_shows_every_limit_worst_first(world: Any) -> None:
    desk = world().hold(CALL, 50).work(PERP, -5_000)
    shown = desk.gate.utilisation(desk.book, desk.view.now_ns)
    assert {"DELTA", "GAMMA", "VEGA", "THETA", "SCENARIO_LOSS", "MARGIN", "DRAWDOWN"} <= {c.code for c in shown}
    assert all(check.current == check.projected for check in shown)
    shares = [abs(c.projected) / c.limit for c in shown if c.code != "FREE_CASH_FLOOR"]
    assert shares == sorted(shares, reverse=True)
    empty = world()
    assert all(check.outcome is Outcome.APPROVE for check in empty.gate.utilisation(empty.book, empty.view.now_ns))


def test_a_book_that_is_not_open_is_an_error_naming_the_known_ones(world: Any) -> None:
    desk = world()
    intent = msgspec.structs.replace(desk.intent((CALL, 1)), book="nobody")
    with pytest.raises(InputError, match="nobody"):
        desk.gate.judge(intent, desk.view, desk.view.now_ns)


def test_a_restored_gate_judges_the_same(world: Any) -> None:
    desk = world((DELTA,)).hold(CALL, 50)
    desk.gate.kill.pull(KillLevel.PAUSE, "b", "ann", "news", 1)
    desk.book.account("BTC").realised = 5 * 10**8
    desk.gate.on_mark(desk.book, desk.view.now_ns)
    desk.book.account("BTC").realised = 0
    other = world().hold(CALL, 50)
    other.gate.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(desk.gate.state())))
    intent = desk.intent((PERP, -30_000))
    assert other.gate.judge(intent, other.view, 7) == desk.gate.judge(intent, desk.view, 7)
    assert other.gate.drawdown(other.book) == desk.gate.drawdown(desk.book) > 0.3


_position = st.tuples(st.integers(-60, 60), st.integers(-60, 60), st.integers(-20_000, 20_000))


@settings(max_examples=120, deadline=None)
@given(
    held=_position,
    working=_position,
    legs=st.lists(
        st.tuples(st.sampled_from([CALL, PUT, PERP]), st.integers(-40, 40).filter(bool)), max_size=3, min_size=1
    ),
    scale=st.integers(2, 5),
)
def test_a_bigger_order_is_never_approved_where_a_smaller_one_was_refused_for_growing(
    world: Any, held: tuple[int, int, int], working: tuple[int, int, int], legs: list[tuple[int, int]], scale: int
) -> None:
    desk = world(_ALL)
    for instrument, lots in enumerate(held):
        if lots:
            desk.hold(instrument, lots)
    for instrument, lots in enumerate(working):
        if lots:
            desk.work(instrument, lots)
    legs = [(i, lots * (200 if i == PERP else 1)) for i, lots in legs]
    small = desk.judge(*legs)
    big = desk.judge(*((i, lots * scale) for i, lots in legs))
    grew = {
        (c.code, c.scope) for c in small.checks if c.outcome is Outcome.REFUSE and abs(c.projected) > abs(c.current)
    }
    still = {(c.code, c.scope) for c in big.checks if c.outcome is Outcome.REFUSE}
    assert grew <= still
    if grew:
        assert big.outcome is Outcome.REFUSE


_ALL: tuple[Limit, ...] = (
    limit("DELTA", 1.0, "underlying", "underlying"),
    limit("DELTA", 0.7, "underlying", "position"),
    limit("DELTA", 120_000.0, "usd", "portfolio"),
    limit("GAMMA", 0.2, "underlying_per_1pct", "underlying"),
    limit("VEGA", 300.0, "usd_per_volpt", "portfolio"),
    limit("THETA", 300.0, "usd_per_day", "portfolio"),
    limit("SINGLE_POSITION", 0.05, "ratio", "position"),
)


def test_only_the_gate_constructs_an_approval_under_any_name() -> None:
    source = Path(__file__).resolve().parents[2] / "src" / "voldesk"
    for path in sorted(source.rglob("*.py")):
        if path.relative_to(source).as_posix() in ("risk/gate.py", "core/orders.py"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {"Approved"}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                names |= {alias.asname for alias in node.names if alias.name == "Approved" and alias.asname}
        made = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in names
        ]
        assert not made, f"{path.name}: only risk/gate.py may construct Approved; pass the intent through the gate"

"""Limits say what they mean, and change only on the record."""

from __future__ import annotations

import json

import pytest

from voldesk.core.errors import InputError
from voldesk.core.events import OperatorAction, OperatorCommand
from voldesk.risk.limits import Code, Limits, limit


def change(ts_ns: int = 10, who: str = "ann", reason: str = "year end", **payload: str) -> OperatorCommand:
    fields = {"code": "DELTA", "value": "5", "unit": "underlying", "scope": "underlying:BTC", "approver": "bob"}
    return OperatorCommand(ts_ns, who, OperatorAction.SET_LIMIT, "", fields | payload, reason)


@pytest.mark.parametrize(
    ("code", "value", "unit", "scope", "message"),
    [
        ("DELTAS", 1.0, "usd", "portfolio", "nearest known code is DELTA"),
        ("KILLED", 1.0, "usd", "portfolio", "is unknown|has no value"),
        ("DELTA", 1.0, "shares", "portfolio", "unit='shares' is unknown"),
        ("DELTA", 1.0, "usd", "desk", "scope='desk' is unknown"),
        ("DRAWDOWN", 0.2, "ratio", "position", "scope='position' is unknown"),
        ("DELTA", 1.0, "usd", "portfolio:BTC", "is unknown"),
        ("DELTA", 1.0, "underlying", "portfolio", "adds up different underlyings"),
        ("DELTA", 0.0, "usd", "portfolio", "expected a finite number above 0"),
        ("DELTA", float("nan"), "usd", "portfolio", "expected a finite number above 0"),
    ],
)
def test_a_limit_that_means_nothing_is_refused_in_one_line(
    code: str, value: float, unit: str, scope: str, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        limit(code, value, unit, scope)
    assert "\n" not in str(caught.value)


def test_the_narrower_scope_wins_and_the_wider_one_catches_the_rest() -> None:
    limits = Limits([limit("DELTA", 10, "underlying", "underlying:BTC"), limit("DELTA", 1e6, "usd", "underlying")])
    btc, eth = limits.get(Code.DELTA, "underlying", "BTC"), limits.get(Code.DELTA, "underlying", "ETH")
    assert btc is not None
    assert eth is not None
    assert (btc.value, eth.value) == (10, 1e6)
    assert limits.get(Code.DELTA, "portfolio") is None


def test_a_change_records_who_approved_what_and_waits_for_its_effective_time() -> None:
    limits = Limits([limit("DELTA", 10, "underlying", "underlying:BTC")])
    made = limits.change(change(effective_ns="100"))
    assert (made.old, made.new.value, made.approver, made.who, made.reason) == (10.0, 5.0, "bob", "ann", "year end")
    assert [item.value for item in limits] == [10.0]
    assert limits.pending == (made,)
    limits.take_effect(99)
    assert [item.value for item in limits] == [10.0]
    limits.take_effect(100)
    assert [item.value for item in limits] == [5.0]
    assert limits.pending == ()
    assert limits.history == [made]


def test_a_change_without_a_time_takes_effect_at_once_and_may_add_a_limit() -> None:
    limits = Limits()
    made = limits.change(change())
    assert made.old is None
    assert [item.value for item in limits] == [5.0]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (change(approver=""), "lacks approver"),
        (change(who=""), "lacks who"),
        (change(reason=""), "lacks reason"),
        (change(value="ten"), "expected plain numbers"),
        (change(effective_ns="9"), "before the command's 10"),
        (change(unit="lots"), "unit='lots' is unknown"),
    ],
)
def test_a_change_that_is_not_whole_changes_nothing(command: OperatorCommand, message: str) -> None:
    limits = Limits([limit("DELTA", 10, "underlying", "underlying:BTC")])
    with pytest.raises(InputError, match=message):
        limits.change(command)
    assert [item.value for item in limits] == [10.0]
    assert limits.history == []


def test_limits_pending_changes_and_history_survive_a_snapshot() -> None:
    limits = Limits([limit("DELTA", 10, "underlying", "underlying:BTC")])
    limits.change(change(effective_ns="100"))
    limits.change(change(scope="underlying", unit="usd", value="7"))
    copy = Limits()
    copy.restore(json.loads(json.dumps(limits.state())))
    assert copy.state() == limits.state()
    copy.take_effect(100)
    assert [item.value for item in copy] == [5.0, 7.0]

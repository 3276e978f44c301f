"""The kill switch latches."""

from __future__ import annotations

import json

import pytest

from voldesk.core.errors import LimitBreach
from voldesk.risk.kill_switch import DESK, KillLevel, KillSwitch


def test_a_level_is_raised_and_never_lowered_until_somebody_takes_the_responsibility() -> None:
    switch = KillSwitch()
    assert switch.pull(KillLevel.CANCEL, "b", "desk", "margin call", 1) is KillLevel.CANCEL
    assert switch.pull(KillLevel.PAUSE, "b", "desk", "again", 2) is KillLevel.CANCEL
    for who, reason in (("", "fixed"), ("ann", " ")):
        with pytest.raises(LimitBreach, match="who and reason"):
            switch.rearm("b", who, reason, 3)
    switch.rearm("b", "ann", "margin paid in", 4)
    assert switch.level("b") is KillLevel.ARMED
    assert [record.after for record in switch.history] == [KillLevel.CANCEL, KillLevel.CANCEL, KillLevel.ARMED]


def test_the_desks_level_holds_for_every_book_and_a_books_own_for_it_alone() -> None:
    switch = KillSwitch()
    switch.pull(KillLevel.FLATTEN, "b", "ann", "x", 1)
    assert switch.level("other") is KillLevel.ARMED
    switch.pull(KillLevel.PAUSE, DESK, "ann", "x", 2)
    assert (switch.level("b"), switch.level("other")) == (KillLevel.FLATTEN, KillLevel.PAUSE)
    switch.rearm("b", "ann", "y", 3)
    assert switch.level("b") is KillLevel.PAUSE


def test_a_pause_is_resumed_but_a_kill_is_not() -> None:
    switch = KillSwitch()
    switch.pull(KillLevel.PAUSE, "b", "ann", "lunch", 1)
    switch.resume("b", "ann", "back", 2)
    assert switch.level("b") is KillLevel.ARMED
    switch.pull(KillLevel.CANCEL, "b", "ann", "x", 3)
    with pytest.raises(LimitBreach, match="Re-arm it instead"):
        switch.resume("b", "ann", "back", 4)


def test_levels_and_history_survive_a_snapshot() -> None:
    switch = KillSwitch()
    switch.pull(KillLevel.FLATTEN, "b", "ann", "x", 1)
    copy = KillSwitch()
    copy.restore(json.loads(json.dumps(switch.state())))
    assert copy.level("b") is KillLevel.FLATTEN
    assert copy.history == switch.history

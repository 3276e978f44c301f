"""The replay's check: to the byte at home, orders exactly and floats to 1e-9 elsewhere."""

from __future__ import annotations

import msgspec
import pytest

from voldesk.core.errors import JournalError
from voldesk.core.orders import Check, Leg, OrderIntent, Outcome, Purpose, Verdict
from voldesk.engine.journal import Record, RecordKind
from voldesk.engine.recorded import DecisionCheck

encode = msgspec.msgpack.encode


def _intent(lots: int = -7, reason: str = "hedge delta=+0.2500") -> bytes:
    return encode(OrderIntent(1, 5, "b", "s", Purpose.HEDGE, (Leg(3, lots),), reason))


def _verdict(projected: float) -> bytes:
    check = Check("DELTA", Outcome.WARN, 10.0, 8.0, projected, "underlying", "portfolio")
    return encode(Verdict(1, 5, Outcome.WARN, (check,)))


def _check(known: bytes, found: bytes, to_the_byte: bool) -> None:
    check = DecisionCheck([Record(RecordKind.DECISION, known, "000001.vdj", 40, 2)], to_the_byte)
    check.append(RecordKind.FACT, b"not a decision")
    check.append(RecordKind.DECISION, found)
    check.finish()


def test_at_home_the_last_bit_counts() -> None:
    _check(_verdict(9.0), _verdict(9.0), to_the_byte=True)
    with pytest.raises(JournalError, match=r"journal record 2 .* decides otherwise"):
        _check(_verdict(9.0), _verdict(9.0 + 2e-15), to_the_byte=True)


def test_elsewhere_floats_may_differ_by_1e_9_and_nothing_else_may() -> None:
    _check(_verdict(9.0), _verdict(9.0 + 5e-9), to_the_byte=False)
    _check(_verdict(float("nan")), _verdict(float("nan")), to_the_byte=False)
    _check(_intent(), _intent(reason="hedge delta=+0.2501"), to_the_byte=False)
    for known, found in (
        (_verdict(9.0), _verdict(9.0 + 2e-8)),
        (_verdict(9.0), _verdict(float("nan"))),
        (_intent(), _intent(lots=-8)),
        (_intent(), _intent(reason="close delta=+0.2500")),
    ):
        with pytest.raises(JournalError, match="decides otherwise"):
            _check(known, found, to_the_byte=False)


def test_a_decision_too_many_or_too_few_is_named() -> None:
    with pytest.raises(JournalError, match="decision 1 of the replay is not in the journal"):
        DecisionCheck([]).append(RecordKind.DECISION, _intent())
    with pytest.raises(JournalError, match="was not decided again"):
        DecisionCheck([Record(RecordKind.DECISION, _intent(), "000001.vdj", 40, 2)]).finish()

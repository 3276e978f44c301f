from __future__ import annotations

import math

import pytest

from voldesk.core.errors import InputError
from voldesk.pricing.dividends import NO_DIVIDENDS, DividendSchedule


def test_forward_takes_off_what_falls_due_up_to_expiry() -> None:
    schedule = DividendSchedule.of([0.25, 0.5, 0.75], [1.0, 2.0, 3.0])
    due = math.exp(-0.25 * 0.04) + 2.0 * math.exp(-0.5 * 0.04)
    assert schedule.present_value(0.5, 0.04) == pytest.approx(due, rel=1e-15)
    assert schedule.forward(100.0, 0.5, 0.04) == pytest.approx((100.0 - due) * math.exp(0.02), rel=1e-15)
    assert NO_DIVIDENDS.forward(100.0, 2.0, 0.0) == 100.0


@pytest.mark.parametrize(
    ("times", "amounts", "message"),
    [
        ((0.5,), (1.0, 2.0), "one time per amount"),
        ((0.5, 0.4), (1.0, 1.0), "rising"),
        ((0.0,), (1.0,), "past ones left out"),
        ((math.inf,), (1.0,), "rising"),
        ((0.5,), (-1.0,), "zero or more"),
        ((0.5,), (math.nan,), "zero or more"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(times, amounts, message) -> None:
    with pytest.raises(InputError, match=message):
        DividendSchedule(times, amounts)

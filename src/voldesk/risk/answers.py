"""From figures to answers: what is a plain approval, a warning, a refusal, and which rule waives a refusal.

Exemptions are listed in `risk.gate`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from voldesk.core.orders import Check, OrderIntent, Outcome, Purpose, Verdict
from voldesk.risk.exposure import BASE, DOWN, STEP, UP
from voldesk.risk.limits import Code, Limit
from voldesk.risk.order_checks import WARN_SHARE, against

REDUCE_ONLY: Final = "reduce_only"
HEDGE_REDUCES_DELTA: Final = "hedge_reduces_delta"

_NOT_WITHOUT_GREEKS: Final = (Code.UNKNOWN_IV.value, Code.NO_GREEKS.value)
_RISK_ADDED: Final = (Code.PAUSED.value, Code.DRAWDOWN.value)
_FIRM: Final = frozenset({Code.STALE_INPUT, Code.ORDER_SIZE, Code.PRICE_BAND, Code.PRICE_BAND_OPTION, Code.REDUCE_ONLY})


class Answer(NamedTuple):
    """A check, and whether the order brings the figure nearer to its limit from beyond."""

    check: Check
    improves: bool = False


class Nature(NamedTuple):
    """What kind of order it is. closes: every leg only closes a position. hedges: |net delta| falls everywhere."""

    closes: bool
    hedges: bool
    options: bool


def ceiling(
    answers: list[Answer], limit: Limit, current: float, projected: float, scope: str, everything: bool
) -> None:
    check = against(limit.code, limit.value, current, projected, limit.unit, scope)
    if check is not None:
        answers.append(Answer(check, projected < current))
    elif everything:
        answers.append(
            Answer(Check(limit.code.value, Outcome.APPROVE, limit.value, current, projected, limit.unit, scope))
        )


def floor(answers: list[Answer], limit: Limit, current: float, projected: float, everything: bool) -> None:
    """A figure that must not fall below its limit; warned of within a quarter above it (80 % the other way round)."""
    outcome = Outcome.APPROVE
    if not projected >= limit.value * (1.0 - 1e-9):
        outcome = Outcome.REFUSE
    elif projected * WARN_SHARE <= limit.value:
        outcome = Outcome.WARN
    if everything or outcome is not Outcome.APPROVE:
        check = Check(limit.code.value, outcome, limit.value, current, projected, limit.unit, "portfolio")
        answers.append(Answer(check, projected > current))


def banded(answers: list[Answer], limit: Limit, band: list[float], scope: str, everything: bool) -> None:
    """Hold both ends of an exposure against the limit; report the worse one."""
    base, step = band[BASE], band[STEP]
    high, low = base + band[UP], base + band[DOWN]
    new_high, new_low = high + step, low + step
    upper = not new_high < -new_low
    current, projected = (high, new_high) if upper else (low, new_low)
    check = against(limit.code, limit.value, abs(current), abs(projected), limit.unit, scope)
    if check is None:
        if everything:
            answers.append(
                Answer(Check(limit.code.value, Outcome.APPROVE, limit.value, current, projected, limit.unit, scope))
            )
        return
    signed = Check(check.code, check.outcome, limit.value, current, projected, limit.unit, scope)
    improves = (new_high <= limit.value or new_high < high) and (new_low >= -limit.value or new_low > low)
    answers.append(Answer(signed, improves))


def _exemption(intent: OrderIntent, answer: Answer, nature: Nature) -> str:
    """The rule that lets a refused check through, or nothing."""
    code = answer.check.code
    if code in _FIRM:
        return ""
    if code == Code.KILLED:
        return REDUCE_ONLY if nature.closes and intent.purpose in (Purpose.FLATTEN, Purpose.MANUAL) else ""
    if code in _RISK_ADDED:
        if nature.closes:
            return REDUCE_ONLY
        return HEDGE_REDUCES_DELTA if nature.hedges and not nature.options else ""
    if code in _NOT_WITHOUT_GREEKS:
        return REDUCE_ONLY if nature.closes else ""
    if answer.improves or (nature.closes and intent.purpose in (Purpose.CLOSE, Purpose.FLATTEN)):
        return REDUCE_ONLY
    return HEDGE_REDUCES_DELTA if code == Code.DELTA and nature.hedges else ""


def verdict(intent: OrderIntent, now_ns: int, answers: list[Answer], nature: Nature) -> Verdict:
    """The worst outcome after exemptions; an exempted check stays on the record as a warning."""
    checks: list[Check] = []
    used: dict[str, bool] = {}
    for answer in answers:
        check = answer.check
        if check.outcome is Outcome.REFUSE:
            rule = _exemption(intent, answer, nature)
            if rule:
                used[rule] = True
                check = Check(
                    check.code, Outcome.WARN, check.limit, check.current, check.projected, check.unit, check.scope
                )
        checks.append(check)
    outcome = Outcome(max((check.outcome for check in checks), default=Outcome.APPROVE))
    exemption = "+".join(used) if outcome is not Outcome.REFUSE else ""
    return Verdict(intent.intent_id, now_ns, outcome, tuple(checks), exemption)


def utilised(check: Check) -> float:
    """Share of a limit in use; a floor counts the other way round, the unknown comes first."""
    if check.code == Code.FREE_CASH_FLOOR:
        share = check.limit / check.projected if check.projected > 0.0 else float("inf")
    else:
        share = abs(check.projected) / check.limit if check.limit else float("inf")
    return share if share == share else float("inf")

"""What a hedge costs, whether it is worth it, and how often one may be made.

Cost = commission + half the spread + market impact (linear or square root in size, Almgren, Thum, Hauptmann & Li 2005:
about the 0.6th power, between the two). Benefit = the fall in the certainty equivalent of an exponential utility,
a/2 x (variance of the unhedged delta before - after) over the time until the next look.
Limits (SPEC F2): cost <= 0.2 % of the hedged value and benefit / cost > 2 unless urgent; 20 hedges an hour, 60 s apart.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from voldesk.core.errors import InputError
from voldesk.core.ports import State
from voldesk.core.units import NS_PER_HOUR, NS_PER_SECOND


class Impact(StrEnum):
    NONE = "none"
    LINEAR = "linear"
    SQUARE_ROOT = "square_root"


@dataclass(frozen=True, slots=True)
class CostModel:
    """commission_rate: share of value traded. impact_rate: share of price lost on average when trading
    `impact_units`, from which the impact grows linearly or with the square root of size."""

    commission_rate: float = 0.001
    impact: Impact = Impact.NONE
    impact_rate: float = 0.0
    impact_units: float = 1.0

    def __post_init__(self) -> None:
        if not (0.0 <= self.commission_rate < 0.05 and 0.0 <= self.impact_rate < 0.5 and self.impact_units > 0.0):
            raise InputError(
                f"commission_rate={self.commission_rate}, impact_rate={self.impact_rate}, impact_units="
                f"{self.impact_units}; expected decimals (10 bp is 0.001) and a size above 0."
            )

    def rate(self, units: float, half_spread_rate: float) -> float:
        """Cost as a share of the value traded. half_spread_rate: (ask - bid) / 2 / mid."""
        share = abs(units) / self.impact_units
        if self.impact is Impact.NONE:
            impact = 0.0
        else:
            impact = self.impact_rate * (share if self.impact is Impact.LINEAR else math.sqrt(share))
        return self.commission_rate + half_spread_rate + impact

    def cost(self, units: float, price: float, half_spread_rate: float) -> float:
        """Cost in currency of trading `units` (either sign) of the underlying at a price."""
        return abs(units) * price * self.rate(units, half_spread_rate)


class CostBenefit(NamedTuple):
    """`worth`: trade. cost and benefit in currency; `reason`: "ok", "urgent", "cost_share" or "benefit"."""

    worth: bool
    cost: float
    benefit: float
    reason: str


def cost_benefit(
    model: CostModel,
    *,
    delta_before: float,
    delta_after: float,
    price: float,
    half_spread_rate: float,
    sigma: float,
    horizon_years: float,
    risk_aversion: float,
    urgent: bool = False,
    max_cost_share: float = 0.002,
    min_ratio: float = 2.0,
) -> CostBenefit:
    """Weigh the cost of moving delta against the variance that it saves until the next look.

    Deltas in units, measured from the target; sigma decimal per year; risk_aversion per unit of currency.
    """
    units = delta_after - delta_before
    cost = model.cost(units, price, half_spread_rate)
    variance = (price * sigma) ** 2 * horizon_years
    benefit = 0.5 * risk_aversion * variance * (delta_before**2 - delta_after**2)
    if urgent:
        return CostBenefit(True, cost, benefit, "urgent")
    if not cost <= max_cost_share * abs(units) * price:
        return CostBenefit(False, cost, benefit, "cost_share")
    if not benefit > min_ratio * cost:
        return CostBenefit(False, cost, benefit, "benefit")
    return CostBenefit(True, cost, benefit, "ok")


class HedgeLimiter:
    """At most `per_hour` hedges in any 3600 s, and `spacing_ns` between two of them."""

    __slots__ = ("_times", "per_hour", "spacing_ns")

    def __init__(self, per_hour: int = 20, spacing_ns: int = 60 * NS_PER_SECOND) -> None:
        if per_hour < 1 or spacing_ns < 0:
            raise InputError(f"per_hour={per_hour}, spacing_ns={spacing_ns}; expected at least 1 and not below 0.")
        self.per_hour = per_hour
        self.spacing_ns = spacing_ns
        self._times: deque[int] = deque(maxlen=per_hour)

    def allows(self, now_ns: int) -> bool:
        times = self._times
        if not times:
            return True
        if now_ns - times[-1] < self.spacing_ns:
            return False
        return len(times) < self.per_hour or now_ns - times[0] >= NS_PER_HOUR

    def record(self, now_ns: int) -> None:
        """A hedge has been asked for. Call it only when `allows` said so."""
        assert self.allows(now_ns), "a hedge was made that the limiter did not allow"
        self._times.append(now_ns)

    def state(self) -> State:
        return {"times": list(self._times)}

    def restore(self, state: State) -> None:
        self._times = deque(state["times"], maxlen=self.per_hour)

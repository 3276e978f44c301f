"""From a delta and a band to whole lots of a hedge instrument.

An inverse perpetual of 10 USD a contract moves by 10 / price coins per lot, so its delta depends on its price; linear
futures, perpetuals, spot and shares have a fixed one. Rounding never carries the hedge past the target.
"""

from __future__ import annotations

import math
from enum import StrEnum

from voldesk.core.errors import InputError
from voldesk.instruments.spec import Instrument, Kind


class HedgeTo(StrEnum):
    """Where a hedge ends: at the near edge of the band (optimal under proportional costs), or at the target."""

    EDGE = "edge"
    TARGET = "target"


class LotDelta:
    """Delta of one lot, in units of the underlying: `fixed` (linear) or `per_price` / price (inverse)."""

    __slots__ = ("_fixed", "_per_price")

    def __init__(self, instrument: Instrument) -> None:
        if instrument.kind is Kind.OPTION:
            raise InputError(f"hedge instrument={instrument.symbol} is an option; name a perpetual, future or share.")
        size = float(instrument.multiplier * instrument.lot)
        self._fixed = 0.0 if instrument.is_reciprocal else size
        self._per_price = size if instrument.is_reciprocal else 0.0

    def at(self, price: float) -> float:
        """Units of the underlying per lot at a price; NaN unless the price is positive."""
        return self._fixed + self._per_price / price if price > 0.0 else math.nan


def hedge_lots(net_delta: float, target: float, half_width: float, lot_delta: float, to: HedgeTo = HedgeTo.EDGE) -> int:
    """Signed lots to trade: 0 inside the band, else to the band's near edge or to the target.

    All deltas in units of the underlying, lot_delta > 0 per lot. To the edge rounds inwards (the result lies inside the
    band) but never beyond the target; to the target rounds short of it. 0 when an input is NaN.

    >>> hedge_lots(0.25, 0.0, 0.10, 10 / 60_000)
    -900
    """
    excess = net_delta - target
    distance = abs(excess)
    if not (distance > half_width and lot_delta > 0.0 and math.isfinite(distance)):
        return 0
    # A lot count that is whole up to rounding error counts as whole.
    most = math.floor(distance / lot_delta + 1e-9)
    lots = most if to == HedgeTo.TARGET else min(math.ceil((distance - half_width) / lot_delta - 1e-9), most)
    return -lots if excess > 0.0 else lots

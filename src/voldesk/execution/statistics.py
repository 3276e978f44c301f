"""How well orders were worked, per book and currency: fill rate, slippage against the mid at arrival (SPEC H3)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from voldesk.core.ports import State
from voldesk.instruments.spec import Instrument


@dataclass(slots=True)
class WorkedTotals:
    """Slippage is positive when it cost something. `slippage_cost` is in the key's currency, a float for reading."""

    legs: int = 0
    legs_filled: int = 0
    wanted_lots: int = 0
    filled_lots: int = 0
    orders: int = 0
    fills: int = 0
    timeouts: int = 0
    retries: int = 0
    exhausted: int = 0
    slippage_tick_lots: float = 0.0
    slippage_cost: float = 0.0
    worst_slippage_ticks: float = 0.0

    @property
    def fill_rate(self) -> float:
        """Share of the wanted lots that filled; NaN before anything was wanted."""
        return self.filled_lots / self.wanted_lots if self.wanted_lots else float("nan")

    @property
    def mean_slippage_ticks(self) -> float:
        """Per lot filled; NaN before the first fill."""
        return self.slippage_tick_lots / self.filled_lots if self.filled_lots else float("nan")


class ExecutionStatistics:
    """Totals per (book, quote currency); cost of inverse futures is in the quote currency at the arrival price."""

    def __init__(self) -> None:
        self.totals: dict[tuple[str, str], WorkedTotals] = {}

    def of(self, book: str, instrument: Instrument) -> WorkedTotals:
        return self.totals.setdefault((book, instrument.quote_currency), WorkedTotals())

    def filled(self, book: str, instrument: Instrument, lots: int, price_ticks: int, arrival_ticks: float) -> None:
        """Count one fill against the mid price (in ticks) when its intent arrived; NaN counts no slippage."""
        totals = self.of(book, instrument)
        totals.fills += 1
        totals.filled_lots += abs(lots)
        slipped = price_ticks - arrival_ticks if lots > 0 else arrival_ticks - price_ticks
        if slipped != slipped:
            return
        totals.slippage_tick_lots += slipped * abs(lots)
        totals.worst_slippage_ticks = max(totals.worst_slippage_ticks, slipped)
        size = float(instrument.lot * instrument.multiplier) * abs(lots)
        cost = slipped * float(instrument.ticks.base) * size
        if instrument.is_reciprocal:
            cost /= arrival_ticks * float(instrument.ticks.base)
        totals.slippage_cost += cost

    def state(self) -> State:
        return {"totals": [[book, currency, asdict(t)] for (book, currency), t in self.totals.items()]}

    def restore(self, state: State) -> None:
        names = [f.name for f in fields(WorkedTotals)]
        self.totals = {
            (book, currency): WorkedTotals(**{name: row[name] for name in names})
            for book, currency, row in state["totals"]
        }

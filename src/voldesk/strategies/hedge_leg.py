"""The hedge instrument of a strategy: one order in flight, limits on how often, no trading on stale quotes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec

from voldesk.core.errors import InputError
from voldesk.core.orders import Leg, OrderIntent, Purpose, Style
from voldesk.core.ports import State
from voldesk.core.units import NS_PER_DAY, NS_PER_SECOND
from voldesk.hedging.cost import HedgeLimiter
from voldesk.hedging.delta import HedgeTo, LotDelta, hedge_lots
from voldesk.instruments.spec import Kind
from voldesk.instruments.table import InstrumentTable
from voldesk.strategies.parameters import require
from voldesk.strategies.protocol import Context

_KEPT_DAYS: Final = 400


class HedgeParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """hedge_instrument: symbol, or empty for the underlying's only perpetual. band, target: units of the underlying.

    hedge_to: "edge" of the band or "target". min_hedge: units of the underlying below which a hedge waits, so that a
    delta on the edge of its band does not send one lot after another. leg_grace_ns: how long other orders of the book
    may work before delta is hedged all the same, so that the first leg of a straddle is not hedged while the second is
    on its way.
    """

    underlying: str
    hedge_instrument: str = ""
    band: float = 0.05
    target: float = 0.0
    hedge_to: HedgeTo = HedgeTo.EDGE
    min_hedge: float = 0.0
    style: Style = Style.CROSS
    max_hedges_per_hour: int = 20
    min_spacing_ns: int = 60 * NS_PER_SECOND
    leg_grace_ns: int = 60 * NS_PER_SECOND

    def __post_init__(self) -> None:
        require(self.band >= 0.0, "band", self.band, "units of the underlying, not below 0")
        require(0.0 <= self.min_hedge < math.inf, "min_hedge", self.min_hedge, "units of the underlying, not below 0")
        require(math.isfinite(self.target), "target", self.target, "a finite number of units of the underlying")
        require(self.max_hedges_per_hour >= 1, "max_hedges_per_hour", self.max_hedges_per_hour, "at least 1")
        require(self.min_spacing_ns >= 0, "min_spacing_ns", self.min_spacing_ns, "not below 0")


class HedgeLeg:
    """Turns a delta outside its band into at most one intent. `note` says what it last did or why it did not."""

    def __init__(self, params: HedgeParams) -> None:
        self.params = params
        self.instrument = -1
        self.note = ""
        self.hedges = 0
        self._limiter = HedgeLimiter(params.max_hedges_per_hour, params.min_spacing_ns)
        self._by_day: dict[int, int] = {}
        self._busy_since_ns = 0
        self._lot_delta: LotDelta | None = None

    def resolve(self, table: InstrumentTable) -> None:
        """Find the instrument. Raises InputError when none, several, or one of another underlying fits."""
        name, underlying = self.params.hedge_instrument, self.params.underlying
        if name:
            found = [table.id_of(name)]
            if table[found[0]].underlying != underlying:
                raise InputError(f"hedge_instrument={name} is on {table[found[0]].underlying}; expected {underlying}.")
        else:
            perpetuals = (i for i, item in enumerate(table) if item.kind is Kind.PERPETUAL)
            found = [i for i in perpetuals if table[i].underlying == underlying]
        if len(found) != 1:
            listed = ", ".join(table[i].symbol for i in found) or "none"
            raise InputError(f"hedge_instrument: perpetuals on {underlying}: {listed}; name the one to hedge with.")
        self.instrument = found[0]
        self._lot_delta = LotDelta(table[self.instrument])

    def price_and_half_spread(self, ctx: Context) -> tuple[float, float]:
        """Mid of the hedge instrument and (ask - bid) / 2 / mid; both NaN unless quoted on both sides and fresh."""
        market = ctx.market
        bid, _, ask, _, quoted_ns = market.quote(self.instrument)
        if not (0.0 < bid <= ask) or market.now_ns - quoted_ns > market.quote_ttl_ns:
            return math.nan, math.nan
        mid = 0.5 * (bid + ask)
        return mid, 0.5 * (ask - bid) / mid

    def one_lot(self, price: float) -> float:
        """Units of the underlying in one lot at a price."""
        assert self._lot_delta is not None, "resolve() comes first"
        return self._lot_delta.at(price)

    def rest(self) -> None:
        """Delta lies inside its band: whatever was waited for is over, and the next wait begins anew."""
        self._busy_since_ns = 0

    def rebalance(
        self, ctx: Context, net_delta: float, half_width: float, to: HedgeTo | None = None
    ) -> Sequence[OrderIntent]:
        """One hedge intent, or none: delta unknown or inside the band, an order in flight, too soon, no quote."""
        p, now_ns = self.params, ctx.now_ns
        if not math.isfinite(net_delta):
            self.note = "net delta unknown"
            return ()
        if ctx.book.working_lots(self.instrument):
            self.note = "hedge in flight"
            return ()
        if ctx.book.has_working_orders():
            self._busy_since_ns = self._busy_since_ns or now_ns
            if now_ns - self._busy_since_ns < p.leg_grace_ns:
                self.note = "other legs working"
                return ()
        else:
            self._busy_since_ns = 0
        if not self._limiter.allows(now_ns):
            self.note = "too soon"
            return ()
        price, _ = self.price_and_half_spread(ctx)
        if not price > 0.0:
            self.note = "no fresh two-sided hedge quote"
            return ()
        one_lot = self.one_lot(price)
        lots = hedge_lots(net_delta, p.target, half_width, one_lot, to or p.hedge_to)
        if not lots:
            self.rest()
            self.note = "inside the band"
            return ()
        if abs(lots) * one_lot < p.min_hedge:
            self.note = "less than the smallest hedge"
            return ()
        self._limiter.record(now_ns)
        self.hedges += 1
        day = now_ns // NS_PER_DAY
        self._by_day[day] = self._by_day.get(day, 0) + 1
        if len(self._by_day) > _KEPT_DAYS:
            del self._by_day[min(self._by_day)]
        self.note = "hedged"
        after = net_delta + lots * one_lot
        reason = f"hedge delta={net_delta:+.4f} target={p.target:+.4f} band={half_width:.4f} after={after:+.4f}"
        return (ctx.intent(Purpose.HEDGE, (Leg(self.instrument, lots),), reason, p.style),)

    def hedges_by_day(self) -> list[tuple[int, int]]:
        """(days since 1970, hedges asked for), oldest first."""
        return sorted(self._by_day.items())

    def state(self) -> State:
        return {
            "note": self.note,
            "hedges": self.hedges,
            "by_day": [list(pair) for pair in self.hedges_by_day()],
            "busy_since_ns": self._busy_since_ns,
            "limiter": self._limiter.state(),
        }

    def restore(self, state: State) -> None:
        self.note = state["note"]
        self.hedges = state["hedges"]
        self._by_day = {int(day): int(count) for day, count in state["by_day"]}
        self._busy_since_ns = state["busy_since_ns"]
        self._limiter.restore(state["limiter"])

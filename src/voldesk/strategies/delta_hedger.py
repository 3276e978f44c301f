"""E2, the delta hedger: keeps a book's net delta within a fixed band of its target."""

from __future__ import annotations

from collections.abc import Sequence

from voldesk.core.events import SurfaceFitted
from voldesk.core.orders import OrderIntent
from voldesk.core.ports import State
from voldesk.core.reports import OrderFilled
from voldesk.core.units import NS_PER_SECOND
from voldesk.instruments.table import InstrumentTable
from voldesk.strategies.hedge_leg import HedgeLeg, HedgeParams
from voldesk.strategies.parameters import require
from voldesk.strategies.protocol import Context, Strategy, Subscriptions


class DeltaHedgerParams(HedgeParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """interval_ns: how often delta is looked at, besides at snapshots, surfaces and fills."""

    interval_ns: int = 60 * NS_PER_SECOND

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.interval_ns > 0, "interval_ns", self.interval_ns, "a period above 0")


class DeltaHedger(Strategy):
    Params = DeltaHedgerParams

    def __init__(self, params: DeltaHedgerParams) -> None:
        self.params = params
        self.leg = HedgeLeg(params)
        self._underlying = params.underlying
        self._low = params.target - params.band
        self._high = params.target + params.band

    def subscriptions(self, table: InstrumentTable) -> Subscriptions:
        self.leg.resolve(table)
        return Subscriptions(snapshots=True, surfaces=True, timer_ns=self.params.interval_ns)

    def on_timer(self, ctx: Context) -> Sequence[OrderIntent]:
        # Called every second of a simulated day: one comparison unless there is something to do. NaN falls through.
        net_delta = ctx.book.net_delta(self._underlying)
        if self._low <= net_delta <= self._high:
            self.leg.rest()
            return ()
        return self.leg.rebalance(ctx, net_delta, self.params.band)

    def on_snapshot(self, ctx: Context) -> Sequence[OrderIntent]:
        return self.on_timer(ctx)

    def on_surface(self, ctx: Context, surface: SurfaceFitted) -> Sequence[OrderIntent]:
        return self.on_timer(ctx) if surface.underlying == self._underlying else ()

    def on_fill(self, ctx: Context, fill: OrderFilled) -> Sequence[OrderIntent]:
        return self.on_timer(ctx)

    def state(self) -> State:
        return {"leg": self.leg.state()}

    def restore(self, state: State) -> None:
        self.leg.restore(state["leg"])

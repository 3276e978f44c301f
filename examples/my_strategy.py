"""Your first strategy: sell a straddle when implied volatility stands far above its own recent mean, buy it back later.

Save it beside your settings and name it there:

    books:
      - name: mine
        strategies:
          - strategy: my_strategy:MyStrategy
            underlying: BTC
            lots: 5
            quiet: 12h

It keeps an average of at-the-money implied volatility, trades when today's is `edge` above it, and closes when it has come
back. Everything it must remember goes through `state` and `restore`, so that a restart goes on where it was.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from voldesk.core.events import SurfaceFitted
from voldesk.core.orders import Leg, OrderIntent, Purpose
from voldesk.core.ports import State
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR
from voldesk.instruments.table import InstrumentTable
from voldesk.strategies.protocol import Context, Strategy, Subscriptions
from voldesk.strategies.straddle import choose_straddle, find_slice, slice_vol


class MyStrategy(Strategy):
    class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        underlying: str
        lots: int = 5
        tenor_days: float = 14.0
        edge: float = 0.06  # decimal: six vol points
        memory: float = 0.95  # weight of the past in the average, per surface
        quiet_ns: int = 12 * NS_PER_HOUR  # written `quiet: 12h` in the settings

    def __init__(self, params: Params) -> None:
        self.params = params
        self.average = float("nan")
        self.traded_ns = 0

    def subscriptions(self, table: InstrumentTable) -> Subscriptions:
        return Subscriptions(surfaces=True)

    def on_surface(self, ctx: Context, surface: SurfaceFitted) -> Sequence[OrderIntent]:
        p = self.params
        if surface.underlying != p.underlying:
            return ()
        straddle, _ = choose_straddle(
            ctx.market.chain(p.underlying),
            surface,
            ctx.now_ns,
            tenor_days=p.tenor_days,
            min_tenor_days=0.5 * p.tenor_days,
            max_tenor_days=2.0 * p.tenor_days,
            max_log_moneyness=0.03,
        )
        fit = find_slice(surface, straddle.expiry_ns) if straddle else None
        if straddle is None or fit is None:
            return ()
        implied_vol = slice_vol(fit, surface.asof_ns)
        average = self.average if self.average == self.average else implied_vol
        self.average = p.memory * average + (1.0 - p.memory) * implied_vol
        if ctx.book.has_working_orders() or ctx.now_ns - self.traded_ns < p.quiet_ns:
            return ()

        held = {i: lots for i, lots in ctx.book.positions().items() if ctx.table[i].is_option}
        reason = f"implied_vol={implied_vol:.4f} average={average:.4f}"
        if not held and implied_vol > average + p.edge:
            self.traded_ns = ctx.now_ns
            sold = (Leg(straddle.call, -p.lots), Leg(straddle.put, -p.lots))
            return (ctx.intent(Purpose.OPEN, sold, f"rich {reason}"),)
        expires_soon = any(ctx.table[i].expiry_ns - ctx.now_ns < NS_PER_DAY for i in held)
        if held and (implied_vol <= average or expires_soon):
            self.traded_ns = ctx.now_ns
            bought = tuple(Leg(i, -lots) for i, lots in sorted(held.items()))
            return (ctx.intent(Purpose.CLOSE, bought, f"back {reason}", reduce_only=True),)
        return ()

    def state(self) -> State:
        return {"average": self.average, "traded_ns": self.traded_ns}

    def restore(self, state: State) -> None:
        self.average = state["average"]
        self.traded_ns = state["traded_ns"]

"""Strategies of the benchmark, written and loaded as a user's own: `strategy: desk_strategies:OpenStraddle`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from voldesk.core.orders import Leg, OrderIntent, Purpose
from voldesk.core.units import NS_PER_YEAR
from voldesk.instruments.spec import Kind
from voldesk.instruments.table import InstrumentTable
from voldesk.market.state import Field
from voldesk.pricing import black
from voldesk.pricing.implied_vol import implied_vols
from voldesk.strategies.protocol import Context, Strategy, Subscriptions


class OpenStraddle(Strategy):
    """Buys one at-the-money straddle on the first snapshot and keeps it."""

    class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        call: str
        put: str
        lots: int

    def __init__(self, params: Params) -> None:
        self.params = params
        self.opened = False

    def subscriptions(self, table: InstrumentTable) -> Subscriptions:
        return Subscriptions(snapshots=True)

    def on_snapshot(self, ctx: Context) -> Sequence[OrderIntent]:
        if self.opened:
            return ()
        self.opened = True
        p = self.params
        legs = (Leg(ctx.table.id_of(p.call), p.lots), Leg(ctx.table.id_of(p.put), p.lots))
        return (ctx.intent(Purpose.OPEN, legs, "benchmark straddle"),)


class EveryQuote(Strategy):
    """A Python call for every row of every instrument."""

    def __init__(self) -> None:
        self.seen = 0
        self.last = -1

    def subscriptions(self, table: InstrumentTable) -> Subscriptions:
        return Subscriptions(quotes=tuple(range(len(table))))

    def on_quote(self, ctx: Context, instrument: int) -> Sequence[OrderIntent]:
        self.seen += 1
        self.last = instrument
        return ()


class WholeChain(Strategy):
    """Implied vol of bid and ask and all Greeks of every option, each second."""

    class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        interval_ns: int

    def __init__(self, params: Params) -> None:
        self.params = params
        self.solved = 0
        self.vega = 0.0

    def subscriptions(self, table: InstrumentTable) -> Subscriptions:
        # The listing does not change during the benchmark.
        self._options = np.flatnonzero(table.kind == int(Kind.OPTION))
        self._expiries_ns, self._strikes, self._are_calls = (
            column[self._options] for column in (table.expiry_ns, table.strike, table.is_call)
        )
        return Subscriptions(timer_ns=self.params.interval_ns)

    def on_timer(self, ctx: Context) -> Sequence[OrderIntent]:
        rows = ctx.market.live.values.take(self._options, axis=0)
        forward = rows[:, Field.FORWARD]
        taus = (self._expiries_ns - ctx.now_ns) / NS_PER_YEAR
        quotes = np.stack((rows[:, Field.BID], rows[:, Field.ASK]))
        vols, status = implied_vols(quotes, forward, self._strikes, taus, 1.0, self._are_calls, coin=True)
        greeks = black.greeks(forward, self._strikes, taus, 0.5 * (vols[0] + vols[1]), 1.0, self._are_calls)
        self.solved += int(np.count_nonzero(status == 0))
        self.vega += float(greeks.vega[0])
        return ()

"""E1, the P-Q volatility trader: buys straddles when forecast volatility exceeds implied, sells them when below.

The requirement's names, kept in the reasons: p_vol is what the market thinks (implied), q_vol what the model believes.

spread = forecast over exactly the life of the expiry - implied at the forward of that expiry. Beyond `threshold` it
opens the at-the-money straddle; it closes when the spread has come back to `exit_threshold`, near expiry, or to remove
a leg whose partner did not fill. It counts every option of its underlying in its book as its own:
give it a book without other option strategies (a hedger may share it).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from voldesk.core.events import SurfaceFitted, VolForecast
from voldesk.core.orders import Leg, OrderIntent, Purpose
from voldesk.core.ports import State
from voldesk.core.reports import OrderFilled
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE
from voldesk.forecast.matched import matched_sigma
from voldesk.instruments.table import InstrumentTable
from voldesk.strategies.parameters import require, require_vol
from voldesk.strategies.protocol import Context, Strategy, Subscriptions
from voldesk.strategies.straddle import choose_straddle, find_slice, slice_vol


class PqParams(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Vols in decimals, lots of the option, tenors in days.

    lots: per straddle. max_position_lots: straddles held at most, all strikes together (adds on a standing signal,
    `min_entry_gap_ns` apart). exit_threshold: close a long once spread < it, a short once spread > -it. leg_grace_ns: how long a straddle
    may stand on one leg before the odd one is closed.
    """

    underlying: str
    tenor_days: float = 14.0
    min_tenor_days: float = 8.0
    max_tenor_days: float = 25.0
    threshold: float = 0.05
    exit_threshold: float = 0.0
    lots: int = 10
    max_position_lots: int = 10
    allow_short: bool = True
    close_before_expiry_ns: int = NS_PER_DAY
    min_holding_ns: int = 6 * NS_PER_HOUR
    min_entry_gap_ns: int = 5 * NS_PER_MINUTE
    max_log_moneyness: float = 0.03
    max_surface_age_ns: int = 30 * NS_PER_MINUTE
    max_forecast_age_ns: int = NS_PER_DAY
    leg_grace_ns: int = NS_PER_MINUTE

    def __post_init__(self) -> None:
        require_vol("threshold", self.threshold)
        require_vol("exit_threshold", self.exit_threshold, low=-1.0)
        require(self.exit_threshold <= self.threshold, "exit_threshold", self.exit_threshold, "at most the threshold")
        require(self.lots >= 1, "lots", self.lots, "at least 1")
        require(self.max_position_lots >= self.lots, "max_position_lots", self.max_position_lots, "at least lots")
        ordered = 0.0 < self.min_tenor_days <= self.tenor_days <= self.max_tenor_days
        tenors = (self.min_tenor_days, self.tenor_days, self.max_tenor_days)
        require(ordered, "min_tenor_days, tenor_days, max_tenor_days", tenors, "rising days above 0")
        last_day = self.min_tenor_days * NS_PER_DAY
        require(
            0 <= self.close_before_expiry_ns < last_day,
            "close_before_expiry_ns",
            self.close_before_expiry_ns,
            "less than min_tenor_days, or every straddle would be closed at once",
        )


class PqTrader(Strategy):
    Params = PqParams

    def __init__(self, params: PqParams) -> None:
        self.params = params
        self.spread = math.nan
        self.forecast_vol = math.nan
        self.implied_vol = math.nan
        self.note = "nothing seen yet"
        self._opened_ns = 0
        self._asked_ns = 0
        self._asked_legs: tuple[int, ...] = ()
        self._filled_ns = 0

    def subscriptions(self, table: InstrumentTable) -> Subscriptions:
        return Subscriptions(snapshots=True, surfaces=True, forecasts=True)

    def on_surface(self, ctx: Context, surface: SurfaceFitted) -> Sequence[OrderIntent]:
        return self._decide(ctx) if surface.underlying == self.params.underlying else ()

    def on_forecast(self, ctx: Context, forecast: VolForecast) -> Sequence[OrderIntent]:
        return self._decide(ctx) if forecast.underlying == self.params.underlying else ()

    def on_snapshot(self, ctx: Context) -> Sequence[OrderIntent]:
        """Only what cannot wait for a surface: expiry near, or a leg left alone."""
        held = self._held(ctx)
        return self._must_close(ctx, held) if held and not self._busy(ctx, held) else ()

    def on_fill(self, ctx: Context, fill: OrderFilled) -> Sequence[OrderIntent]:
        instrument = ctx.table[fill.instrument]
        if instrument.is_option and instrument.underlying == self.params.underlying:
            self._filled_ns = ctx.now_ns
            self._opened_ns = self._opened_ns or ctx.now_ns
        return ()

    def _held(self, ctx: Context) -> dict[int, int]:
        table, name = ctx.table, self.params.underlying
        mine = {i: n for i, n in ctx.book.positions().items() if table[i].is_option and table[i].underlying == name}
        return dict(sorted(mine.items()))

    def _busy(self, ctx: Context, ids: Iterable[int]) -> bool:
        if any(ctx.book.working_lots(i) for i in ids):
            self.note = "orders still working"
            return True
        return False

    def _decide(self, ctx: Context) -> Sequence[OrderIntent]:
        held = self._held(ctx)
        if self._busy(ctx, (*held, *self._asked_legs)):
            return ()
        if not held:
            self._opened_ns = 0
            return self._enter(ctx, 0)
        forced = self._must_close(ctx, held)
        if forced:
            return forced
        expiry_ns = ctx.table[next(iter(held))].expiry_ns
        if not self._measure(ctx, expiry_ns):
            return ()
        side = 1 if sum(held.values()) > 0 else -1
        if side * self.spread < self.params.exit_threshold:
            if ctx.now_ns - self._opened_ns < self.params.min_holding_ns:
                self.note = "exit signal inside min_holding"
                return ()
            return self._close(ctx, held, "exit", partly=False)
        return self._enter(ctx, side * _straddles(ctx.table, held))

    def _measure(self, ctx: Context, expiry_ns: int) -> bool:
        """Set forecast_vol, implied_vol and spread at an expiry; False, with a note, when either side is missing or old."""
        p = self.params
        self.spread = self.forecast_vol = self.implied_vol = math.nan
        surface = ctx.market.surfaces.get(p.underlying)
        forecast = ctx.market.forecasts.get(p.underlying)
        if surface is None or ctx.now_ns - surface.asof_ns > p.max_surface_age_ns:
            self.note = "no fresh surface"
            return False
        if forecast is None or ctx.now_ns - forecast.made_ns > p.max_forecast_age_ns:
            self.note = "no fresh forecast"
            return False
        if forecast.status != "ok":
            self.note = f"no forecast: {forecast.status}"
            return False
        fit = find_slice(surface, expiry_ns)
        if fit is None:
            self.note = "no surface at the expiry"
            return False
        self.implied_vol = slice_vol(fit, surface.asof_ns)
        self.forecast_vol = matched_sigma(forecast.daily_sigma, (expiry_ns - ctx.now_ns) / NS_PER_DAY)
        self.spread = self.forecast_vol - self.implied_vol
        if not math.isfinite(self.spread):
            self.note = (
                "the forecast does not reach the expiry" if math.isfinite(self.implied_vol) else "no implied vol"
            )
            return False
        return True

    def _enter(self, ctx: Context, held_lots: int) -> Sequence[OrderIntent]:
        """Open, or add to, a straddle on the side of the spread. held_lots: signed straddles already there."""
        p = self.params
        surface = ctx.market.surfaces.get(p.underlying)
        if surface is None or ctx.now_ns - surface.asof_ns > p.max_surface_age_ns:
            self.note = "no fresh surface"
            return ()
        if abs(held_lots) + p.lots > p.max_position_lots:
            self.note = "holding"
            return ()
        straddle, why = choose_straddle(
            ctx.market.chain(p.underlying),
            surface,
            ctx.now_ns,
            tenor_days=p.tenor_days,
            min_tenor_days=p.min_tenor_days,
            max_tenor_days=p.max_tenor_days,
            max_log_moneyness=p.max_log_moneyness,
        )
        if straddle is None:
            self.note = why
            return ()
        if not self._measure(ctx, straddle.expiry_ns):
            return ()
        side = 1 if self.spread > 0.0 else -1
        if abs(self.spread) <= p.threshold or (side < 0 and not p.allow_short) or side * held_lots < 0:
            self.note = "spread inside the threshold" if abs(self.spread) <= p.threshold else "wrong side"
            return ()
        if self._asked_ns and ctx.now_ns - self._asked_ns < p.min_entry_gap_ns:
            self.note = "waiting min_entry_gap"
            return ()
        self._asked_ns, self._asked_legs = ctx.now_ns, (straddle.call, straddle.put)
        self.note = "open_long" if side > 0 else "open_short"
        reason = f"{self._reason(ctx, straddle.expiry_ns)} strike={straddle.strike:g} forward={straddle.forward:.2f}"
        legs = (Leg(straddle.call, side * p.lots), Leg(straddle.put, side * p.lots))
        return (ctx.intent(Purpose.OPEN, legs, reason),)

    def _must_close(self, ctx: Context, held: dict[int, int]) -> Sequence[OrderIntent]:
        near = {
            i: lots
            for i, lots in held.items()
            if ctx.table[i].expiry_ns - ctx.now_ns <= self.params.close_before_expiry_ns
        }
        if near:
            return self._close(ctx, near, "expiry", partly=True)
        if ctx.now_ns - self._filled_ns < self.params.leg_grace_ns:
            return ()
        odd = _unmatched(ctx.table, held)
        return self._close(ctx, odd, "odd_leg", partly=True) if odd else ()

    def _close(self, ctx: Context, held: dict[int, int], why: str, *, partly: bool) -> Sequence[OrderIntent]:
        """Close lots whose far side is quoted and fresh; all or none of them unless `partly`."""
        legs = []
        for instrument, lots in held.items():
            quote = ctx.market.quote(instrument)
            far_side = quote.bid if lots > 0 else quote.ask
            if far_side > 0.0 and not ctx.market.is_stale(instrument):
                legs.append(Leg(instrument, -lots))
        if not legs or (len(legs) < len(held) and not partly):
            self.note = f"{why}: no fresh quote to close against"
            return ()
        self.note = f"close_{why}"
        reason = self._reason(ctx, ctx.table[legs[0].instrument].expiry_ns)
        return (ctx.intent(Purpose.CLOSE, legs, reason, reduce_only=True),)

    def _reason(self, ctx: Context, expiry_ns: int) -> str:
        tenor = (expiry_ns - ctx.now_ns) / NS_PER_DAY
        return f"{self.note} p_vol={self.implied_vol:.4f} q_vol={self.forecast_vol:.4f} spread={self.spread:+.4f} tenor_days={tenor:.2f}"

    def state(self) -> State:
        return {
            "spread": self.spread,
            "forecast_vol": self.forecast_vol,
            "implied_vol": self.implied_vol,
            "note": self.note,
            "opened_ns": self._opened_ns,
            "asked_ns": self._asked_ns,
            "asked_legs": list(self._asked_legs),
            "filled_ns": self._filled_ns,
        }

    def restore(self, state: State) -> None:
        self.spread = state["spread"]
        self.forecast_vol, self.implied_vol = state["forecast_vol"], state["implied_vol"]
        self.note = state["note"]
        self._opened_ns, self._asked_ns = state["opened_ns"], state["asked_ns"]
        self._asked_legs = tuple(state["asked_legs"])
        self._filled_ns = state["filled_ns"]


def _straddles(table: InstrumentTable, held: dict[int, int]) -> int:
    """Lots of straddles held, over all strikes and expiries; a lone leg counts as the straddle it was part of."""
    largest: dict[tuple[int, float], int] = {}
    for instrument, lots in held.items():
        option = table[instrument]
        pair = (option.expiry_ns, float(option.strike))
        largest[pair] = max(largest.get(pair, 0), abs(lots))
    return sum(largest.values())


def _unmatched(table: InstrumentTable, held: dict[int, int]) -> dict[int, int]:
    """Signed lots that have no partner of the same strike and expiry on the other right."""
    pairs: dict[tuple[int, float], dict[bool, int]] = {}
    for instrument in held:
        option = table[instrument]
        pairs.setdefault((option.expiry_ns, float(option.strike)), {})[option.is_call] = instrument
    odd: dict[int, int] = {}
    for pair in pairs.values():
        lots = [held[i] for i in pair.values()]
        same_side = len(lots) == 2 and lots[0] * lots[1] > 0
        matched = int(np.sign(lots[0])) * min(abs(n) for n in lots) if same_side else 0
        odd |= {i: held[i] - matched for i in pair.values() if held[i] != matched}
    return odd

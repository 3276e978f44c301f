"""E3, the gamma scalper: hedges the delta of an option book inside a cost-aware band, and keeps account of it.

Between two looks a delta-hedged book earns 1/2 Gamma dS**2 and pays theta dt (Hull, ch. 19.7); summed, and set against
the implied variance that was paid, that is what scalping made. The estimate uses Greeks at the start of
each step and no costs; the ledger and the explain have the exact figures.

Gamma is Black's, also for coin-settled options: hedged with an inverse perpetual, a book's net delta (Black
delta - premium, plus the perpetual's contracts / price) moves with 2 c' + F c'' = d2(F c)/dF2, which is Black's gamma.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from voldesk.core.events import SurfaceFitted
from voldesk.core.orders import OrderIntent
from voldesk.core.ports import State
from voldesk.core.reports import OrderFilled
from voldesk.core.units import NS_PER_SECOND, NS_PER_YEAR
from voldesk.hedging.bands import BandRule, half_width
from voldesk.hedging.delta import HedgeTo
from voldesk.instruments.table import InstrumentTable
from voldesk.portfolio.columns import ContractColumns
from voldesk.strategies.book_gamma import BookGamma, book_gamma
from voldesk.strategies.hedge_leg import HedgeLeg, HedgeParams
from voldesk.strategies.parameters import require
from voldesk.strategies.protocol import Context, Strategy, Subscriptions
from voldesk.strategies.straddle import find_slice, slice_vol

_COUNTERS = (
    "gamma_pnl",
    "theta_pnl",
    "realised_weighted",
    "implied_weighted",
    "weight_years",
    "hedged_lots",
    "_last_price",
    "_last_ns",
)


class GammaScalperParams(HedgeParams, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """band_rule: fixed, whalley_wilmott or zakamouline. risk_aversion: absolute, per unit of quote currency (1e-3 says
    that a stake of about 1,000 USD is a small one). commission_rate: of the hedge instrument, added to its half-spread.

    The band is at least one lot and at most `max_band`. `band` holds while the book has an option without implied vol
    or the hedge has no quote. interval_ns: the timer. refresh_ns: how often Greeks and the band are worked out
    between snapshots.
    """

    band_rule: BandRule = BandRule.WHALLEY_WILMOTT
    risk_aversion: float = 1e-3
    commission_rate: float = 0.0005
    max_band: float = 1.0
    interval_ns: int = NS_PER_SECOND
    refresh_ns: int = 60 * NS_PER_SECOND

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.risk_aversion > 0.0, "risk_aversion", self.risk_aversion, "above 0, per unit of currency")
        in_range = 0.0 <= self.commission_rate < 0.05
        require(in_range, "commission_rate", self.commission_rate, "a decimal share (5 bp is 0.0005)")
        require(self.max_band > 0.0, "max_band", self.max_band, "above 0 units of the underlying")
        require(self.interval_ns > 0, "interval_ns", self.interval_ns, "a period above 0")
        require(self.refresh_ns > 0, "refresh_ns", self.refresh_ns, "a period above 0")


class GammaScalper(Strategy):
    """Counters: gamma_pnl, theta_pnl in quote currency; hedged_lots; `realised_vol`, `implied_vol` weighted by dollar
    gamma, so that their difference is the one that paid."""

    Params = GammaScalperParams

    def __init__(self, params: GammaScalperParams) -> None:
        self.params = params
        self.leg = HedgeLeg(params)
        self._underlying = params.underlying
        self.half_width = params.band
        self.note = ""
        self.gamma = self.theta = 0.0
        self.sigma = math.nan
        self.gamma_pnl = self.theta_pnl = 0.0
        self.realised_weighted = self.implied_weighted = self.weight_years = 0.0
        self.hedged_lots = 0
        self._last_price = math.nan
        self._last_ns = 0
        self._refresh_at_ns = 0
        self._low = params.target - params.band
        self._high = params.target + params.band
        self._to = params.hedge_to
        self._columns = ContractColumns(InstrumentTable())  # of no contracts, until the table is known

    def subscriptions(self, table: InstrumentTable) -> Subscriptions:
        self.leg.resolve(table)
        self._columns = ContractColumns(table)
        return Subscriptions(snapshots=True, surfaces=True, timer_ns=self.params.interval_ns)

    def on_timer(self, ctx: Context) -> Sequence[OrderIntent]:
        # Called every second of a simulated day: two comparisons unless there is something to do.
        if ctx.now_ns >= self._refresh_at_ns:
            self._refresh(ctx)
        net_delta = ctx.book.net_delta(self._underlying)
        if self._low <= net_delta <= self._high:
            self.leg.rest()
            return ()
        return self.leg.rebalance(ctx, net_delta, self.half_width, self._to)

    def on_snapshot(self, ctx: Context) -> Sequence[OrderIntent]:
        self._refresh_at_ns = 0
        return self.on_timer(ctx)

    def on_surface(self, ctx: Context, surface: SurfaceFitted) -> Sequence[OrderIntent]:
        return self.on_snapshot(ctx) if surface.underlying == self._underlying else ()

    def on_fill(self, ctx: Context, fill: OrderFilled) -> Sequence[OrderIntent]:
        if fill.instrument == self.leg.instrument:
            self.hedged_lots += abs(fill.lots)
        self._refresh_at_ns = 0
        return self.on_timer(ctx)

    @property
    def realised_vol(self) -> float:
        """Decimal per year, weighted by dollar gamma; NaN before the first step with gamma."""
        return math.sqrt(self.realised_weighted / self.weight_years) if self.weight_years > 0.0 else math.nan

    @property
    def implied_vol(self) -> float:
        """What was held against it, weighted alike."""
        return math.sqrt(self.implied_weighted / self.weight_years) if self.weight_years > 0.0 else math.nan

    def _refresh(self, ctx: Context) -> None:
        """Book the step since the last look at the old Greeks, then take new ones and a new band."""
        p = self.params
        self._refresh_at_ns = ctx.now_ns + p.refresh_ns
        price, half_spread = self.leg.price_and_half_spread(ctx)
        if price > 0.0:
            self._account(ctx.now_ns, price)
        greeks = self._greeks(ctx, price)
        width, self._to = p.band, p.hedge_to
        if not price > 0.0:
            self.note = "no hedge quote: fixed band"
        elif greeks.missing:
            self.note = f"{greeks.missing} options without implied vol: fixed band"
        elif greeks.options and not self.sigma > 0.0:
            self.note = "no gamma: fixed band"
        elif not greeks.options:
            # Nothing left to scalp: what remains of the hedge is unwound.
            width, self._to, self.note = 0.0, HedgeTo.TARGET, "no options: unwind"
        else:
            self.note = ""
            width = half_width(
                p.band_rule,
                fixed=p.band,
                gamma=self.gamma,
                spot=price,
                cost_rate=p.commission_rate + half_spread,
                risk_aversion=p.risk_aversion,
                tau=greeks.tau,
                sigma=self.sigma,
            )
        # Less than a lot cannot be traded; just under one, so that a whole lot of excess still can.
        least = 0.999 * self.leg.one_lot(price) if price > 0.0 else 0.0
        self.half_width = max(min(width, p.max_band), least)
        self._low, self._high = p.target - self.half_width, p.target + self.half_width

    def _account(self, now_ns: int, price: float) -> None:
        years = (now_ns - self._last_ns) / NS_PER_YEAR
        if self._last_price > 0.0 and years > 0.0 and self.gamma != 0.0:
            move = price - self._last_price
            self.gamma_pnl += 0.5 * self.gamma * move * move
            self.theta_pnl += self.theta * years
            weight = abs(self.gamma) * self._last_price * self._last_price
            self.realised_weighted += weight * math.log(price / self._last_price) ** 2
            self.implied_weighted += weight * self.sigma * self.sigma * years
            self.weight_years += weight * years
        self._last_price, self._last_ns = price, now_ns

    def _greeks(self, ctx: Context, price: float) -> BookGamma:
        """Gamma, theta and sigma of the book; where the venue gives no implied vol, the surface's."""
        found = book_gamma(ctx, self._columns, self._underlying, price)
        if found.missing:
            table, held = ctx.table, ctx.book.held()[:, 0].tolist()
            given = [
                self._surface_vol(ctx, i, float(table.strike[i])) if table[i].is_option else math.nan for i in held
            ]
            found = book_gamma(ctx, self._columns, self._underlying, price, np.array(given))
        self.gamma, self.theta, self.sigma = found.gamma, found.theta, found.sigma
        return found

    def _surface_vol(self, ctx: Context, instrument: int, strike: float) -> float:
        surface = ctx.market.surfaces.get(self._underlying)
        fit = find_slice(surface, ctx.table[instrument].expiry_ns) if surface is not None else None
        if surface is None or fit is None:
            return math.nan
        return slice_vol(fit, surface.asof_ns, math.log(strike / fit.forward))

    def state(self) -> State:
        held = {name: getattr(self, name) for name in _COUNTERS}
        held |= {"gamma": self.gamma, "theta": self.theta, "sigma": self.sigma, "half_width": self.half_width}
        held |= {"note": self.note, "to": str(self._to), "refresh_at_ns": self._refresh_at_ns}
        return held | {"leg": self.leg.state()}

    def restore(self, state: State) -> None:
        for name in _COUNTERS:
            setattr(self, name, state[name])
        self.gamma, self.theta, self.sigma = state["gamma"], state["theta"], state["sigma"]
        self.half_width, self.note = state["half_width"], state["note"]
        self._to, self._refresh_at_ns = HedgeTo(state["to"]), state["refresh_at_ns"]
        self._low = self.params.target - self.half_width
        self._high = self.params.target + self.half_width
        self.leg.restore(state["leg"])

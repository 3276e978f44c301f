"""Asks for the slow work a snapshot makes necessary: surface fits and volatility forecasts.

Each job gets its own copy of its inputs; the results come back as events after the compute latency.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from voldesk.core.events import ComputeResult, SurfaceFitted
from voldesk.core.ports import Compute, State
from voldesk.forecast.service import ForecastSeries
from voldesk.market.view import Chain, MarketView
from voldesk.surface.fit import ChainQuotes, fit_surface


def chain_quotes(chain: Chain, coin: bool) -> ChainQuotes:
    """The chain as the surface room takes it; of a row whose quote is stale nothing counts, its forward neither."""
    fresh = ~chain.stale
    return ChainQuotes(
        expiry_ns=chain.expiry_ns,
        tau=chain.tau,
        strike=chain.strike,
        is_call=chain.is_call,
        bid=np.where(fresh, chain.bid, np.nan),
        ask=np.where(fresh, chain.ask, np.nan),
        mark=np.where(fresh, chain.mark, np.nan),
        forward=np.where(fresh, chain.forward, np.nan),
        coin=coin,
    )


class Analyst:
    """One surface and one forecast per underlying and request."""

    def __init__(
        self, underlying: str, coin_settled: bool, forecasts: ForecastSeries, horizon_ns: int, compute: Compute
    ) -> None:
        self.underlying = underlying
        self.horizon_ns = horizon_ns
        self.forecasts = forecasts
        self._coin = coin_settled
        self._compute = compute

    def observe(self, now_ns: int, index_price: float) -> None:
        """An index sample, as the desk saw it."""
        self.forecasts.feed(self.underlying, now_ns, index_price)

    def request(self, view: MarketView, now_ns: int, due_ns: int) -> None:
        """Ask for both; the forecast first, so that a strategy woken by the surface has it."""
        self._compute.request(self.forecasts.job(self.underlying, now_ns, self.horizon_ns), due_ns)
        self._compute.request(self._surface_job(view.chain(self.underlying), now_ns), due_ns)

    def _surface_job(self, chain: Chain, now_ns: int) -> Callable[[], ComputeResult]:
        quotes = chain_quotes(chain, self._coin)
        underlying = self.underlying

        def job() -> SurfaceFitted:
            return fit_surface(quotes, now_ns, underlying).to_event()

        return job

    def state(self) -> State:
        return {"forecasts": self.forecasts.state()}

    def restore(self, state: State) -> None:
        self.forecasts.restore(state["forecasts"])

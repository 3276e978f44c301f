"""The desk's reading glass on the market: what strategies, the gate and the explain see.

Everything is as of the desk's clock. A quote older than `quote_ttl_ns` counts as stale: it is shown with its
age and never traded on.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
import numpy as np

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.events import SurfaceFitted, VolForecast
from voldesk.core.ports import State
from voldesk.core.units import NS_PER_YEAR
from voldesk.instruments.spec import Kind
from voldesk.instruments.table import InstrumentTable
from voldesk.market.index import latest_index
from voldesk.market.state import Field, MarketState, Stamp

_QUOTE_EVENT: Final = int(Stamp.QUOTE_EVENT_NS)  # a plain int: numpy takes twice as long over an enum


class Quote(NamedTuple):
    """Best prices in quote currency, sizes in contracts; NaN where no quote stands on that side."""

    bid: float
    bid_size: float
    ask: float
    ask_size: float
    ts_event_ns: int

    @property
    def mid(self) -> float:
        return 0.5 * (self.bid + self.ask)


class Chain(NamedTuple):
    """Live options of one underlying in columns, ordered by (expiry, strike, put before call). Shape (n,) each.

    Prices in quote currency (coin for inverse options), forward in USD per expiry as the venue gives it,
    tau in ACT/365 years, `stale` True where the quote is older than the time to live.
    """

    ids: IntArray
    expiry_ns: IntArray
    tau: FloatArray
    strike: FloatArray
    is_call: BoolArray
    bid: FloatArray
    ask: FloatArray
    mark: FloatArray
    mark_iv: FloatArray
    forward: FloatArray
    index_price: FloatArray
    stale: BoolArray


class MarketView:
    """Read access to the desk's `MarketState`, the surface and the forecasts. Holds no copy of the market."""

    def __init__(self, table: InstrumentTable, state: MarketState, quote_ttl_ns: int) -> None:
        self.table = table
        self.live = state
        self.quote_ttl_ns = quote_ttl_ns
        self.now_ns = 0
        self.surfaces: dict[str, SurfaceFitted] = {}
        self.forecasts: dict[str, VolForecast] = {}

    def quote(self, instrument: int) -> Quote:
        bid, bid_size, ask, ask_size = self.live.values[instrument, :4].tolist()
        return Quote(bid, bid_size, ask, ask_size, self.live.stamps.item(instrument, _QUOTE_EVENT))

    def value(self, instrument: int, field: Field) -> float:
        return float(self.live.values[instrument, field])

    def quote_age_ns(self, instrument: int) -> int:
        """Age of the standing quote by its event time; very large when never quoted."""
        return self.now_ns - self.live.stamps.item(instrument, _QUOTE_EVENT)

    def is_stale(self, instrument: int) -> bool:
        return self.quote_age_ns(instrument) > self.quote_ttl_ns

    def index_price(self, underlying: str) -> float:
        """The venue's index as last seen on the underlying's instruments, see `market.index`; NaN before the first."""
        table = self.table
        if underlying not in table.underlyings:
            return float("nan")
        number = table.underlyings.index(underlying)
        return float(latest_index(self.live.values, self.live.stamps, table.underlying, number))

    def chain(self, underlying: str) -> Chain:
        """Options not yet expired that have been seen, of one underlying."""
        table, live = self.table, self.live
        if underlying not in table.underlyings:
            ids = np.empty(0, np.int64)
        else:
            wanted = (
                (table.kind == int(Kind.OPTION))
                & (table.underlying == table.underlyings.index(underlying))
                & (table.expiry_ns > self.now_ns)
                & (live.stamps[:, Stamp.ROWS] > 0)
            )
            ids = np.flatnonzero(wanted).astype(np.int64)
        order = np.lexsort((table.is_call[ids], table.strike[ids], table.expiry_ns[ids]))
        ids = ids[order]
        rows = live.values[ids]
        expiry_ns = table.expiry_ns[ids]
        return Chain(
            ids=ids,
            expiry_ns=expiry_ns,
            tau=(expiry_ns - self.now_ns) / NS_PER_YEAR,
            strike=table.strike[ids],
            is_call=table.is_call[ids],
            bid=rows[:, Field.BID],
            ask=rows[:, Field.ASK],
            mark=rows[:, Field.MARK],
            mark_iv=rows[:, Field.MARK_IV],
            forward=rows[:, Field.FORWARD],
            index_price=rows[:, Field.INDEX],
            stale=self.now_ns - live.stamps[ids, Stamp.QUOTE_EVENT_NS] > self.quote_ttl_ns,
        )

    def state(self) -> State:
        encode = msgspec.msgpack.encode
        return {
            "now_ns": self.now_ns,
            "surfaces": [encode(surface) for surface in self.surfaces.values()],
            "forecasts": [encode(forecast) for forecast in self.forecasts.values()],
        }

    def restore(self, state: State) -> None:
        self.now_ns = state["now_ns"]
        surfaces = [msgspec.msgpack.decode(body, type=SurfaceFitted) for body in state["surfaces"]]
        forecasts = [msgspec.msgpack.decode(body, type=VolForecast) for body in state["forecasts"]]
        self.surfaces = {surface.underlying: surface for surface in surfaces}
        self.forecasts = {forecast.underlying: forecast for forecast in forecasts}

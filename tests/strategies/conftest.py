"""A hand-built market of Deribit options and the perpetual, and a book whose numbers a test sets."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from voldesk.core.arrays import IntArray
from voldesk.core.events import SliceFit, SurfaceFitted, VolForecast
from voldesk.core.orders import OrderIntent
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_YEAR
from voldesk.instruments import deribit
from voldesk.instruments.table import InstrumentTable
from voldesk.market.state import Field, MarketState, Stamp
from voldesk.market.view import MarketView
from voldesk.pricing import black
from voldesk.strategies.protocol import Context

# 2026-03-13 08:00 UTC; expiries 7, 14 and 28 days on.
NOW_NS = 20_525 * NS_PER_DAY + 8 * NS_PER_HOUR
EXPIRIES = ("20MAR26", "27MAR26", "10APR26")
STRIKES = (76_000, 78_000, 80_000, 82_000, 84_000)
FORWARD = 80_300.0


class FakeBook:
    """Test double of `BookView`: what a test puts in is what a strategy sees."""

    def __init__(self) -> None:
        self.name = "test"
        self.lots_held: dict[int, int] = {}
        self.working: dict[int, int] = {}
        self.delta = 0.0

    def lots(self, instrument: int) -> int:
        return self.lots_held.get(instrument, 0)

    def working_lots(self, instrument: int) -> int:
        return self.working.get(instrument, 0)

    def positions(self) -> dict[int, int]:
        return {i: lots for i, lots in self.lots_held.items() if lots}

    def held(self) -> IntArray:
        rows = sorted(self.positions().items())
        return np.array(rows, np.int64).reshape(len(rows), 2)

    def has_working_orders(self) -> bool:
        return any(self.working.values())

    def net_delta(self, underlying: str) -> float:
        assert underlying == "BTC"
        return self.delta

    def equity(self) -> float:
        return 10.0


class Bench:
    """Market, book and context in one hand. Implied vol is flat at `iv` when quotes are set."""

    def __init__(self) -> None:
        symbols = [f"BTC-{e}-{k}-{right}" for e in EXPIRIES for k in STRIKES for right in "CP"]
        self.table = InstrumentTable(deribit.parse(s) for s in [*symbols, "BTC-PERPETUAL"])
        self.state = MarketState(len(self.table))
        self.view = MarketView(self.table, self.state, quote_ttl_ns=30 * NS_PER_MINUTE)
        self.book = FakeBook()
        self.ctx = Context(0, self.view, self.table, self.book, "test")
        self.at(NOW_NS)
        self.quote_all(0.50)

    def at(self, now_ns: int) -> None:
        self.ctx.now_ns = self.view.now_ns = now_ns

    def id(self, symbol: str) -> int:
        return self.table.id_of(symbol)

    @property
    def perpetual(self) -> int:
        return self.id("BTC-PERPETUAL")

    def quote(self, instrument: int, bid: float, ask: float) -> None:
        self.state.values[instrument, Field.BID] = bid
        self.state.values[instrument, Field.ASK] = ask
        self.state.stamps[instrument, Stamp.QUOTE_EVENT_NS] = self.ctx.now_ns
        self.state.stamps[instrument, Stamp.ROWS] += 1

    def quote_all(self, iv: float, forward: float = FORWARD) -> None:
        """Quote every option one half per cent about its value at `iv`, and the perpetual a dollar wide."""
        for i, item in enumerate(self.table):
            if not item.is_option:
                self.quote(i, forward - 0.5, forward + 0.5)
                continue
            tau = max(item.expiry_ns - self.ctx.now_ns, 0) / NS_PER_YEAR
            value = float(black.price(forward, float(item.strike), tau, iv, 1.0, item.is_call)) / forward
            self.quote(i, value * 0.995, value * 1.005)
            self.state.values[i, Field.MARK] = value
            self.state.values[i, Field.MARK_IV] = iv
            self.state.values[i, Field.FORWARD] = forward
            self.state.values[i, Field.INDEX] = forward

    def surface(self, iv: float, status: str = "ok", forward: float = FORWARD) -> SurfaceFitted:
        """A flat surface: b = 0 makes raw SVI the constant a."""
        slices = []
        for expiry_ns in np.unique(self.table.expiry_ns[self.table.expiry_ns > self.ctx.now_ns]).tolist():
            tau = (expiry_ns - self.ctx.now_ns) / NS_PER_YEAR
            fit = SliceFit(expiry_ns, forward, 1.0, iv * iv * tau, 0.0, 0.0, 0.0, 0.1, 10, 1.0, 0.0, status)
            slices.append(fit)
        fitted = SurfaceFitted("BTC", self.ctx.now_ns, tuple(slices))
        self.view.surfaces["BTC"] = fitted
        return fitted

    def forecast(self, sigma: float, days: int = 60, status: str = "ok") -> VolForecast:
        path = (sigma,) * days if status == "ok" else ()
        made = VolForecast(
            "BTC",
            "har",
            self.ctx.now_ns,
            14 * NS_PER_DAY,
            sigma if status == "ok" else math.nan,
            path,
            status,
        )
        self.view.forecasts["BTC"] = made
        return made

    def fill(self, intents: Sequence[OrderIntent]) -> None:
        """Put the lots of the intents into the book."""
        for intent in intents:
            for leg in intent.legs:
                self.book.lots_held[leg.instrument] = self.book.lots(leg.instrument) + leg.lots


@pytest.fixture
def bench() -> Bench:
    return Bench()

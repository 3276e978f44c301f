"""A small rig around the simulated exchange: write quotes straight into its market, move its clock, read reports."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from voldesk.core.orders import CancelOrder, OrderType, PlaceOrder, TimeInForce
from voldesk.core.reports import Report
from voldesk.core.rng import random_stream
from voldesk.core.units import NEVER_NS
from voldesk.instruments.deribit import parse
from voldesk.instruments.spec import Instrument
from voldesk.instruments.table import InstrumentTable
from voldesk.market.state import Field, MarketState, Stamp
from voldesk.market.watches import Watches
from voldesk.sim.config import ExchangeConfig
from voldesk.sim.exchange import SimulatedExchange
from voldesk.sim.latency import LatencyConfig

T0 = 1_767_225_600_000_000_000  # 2026-01-01 00:00 UTC
SYMBOLS = (
    "BTC-9JAN26-90000-C",
    "BTC-9JAN26-90000-P",
    "BTC-9JAN26",
    "BTC-PERPETUAL",
    "BTC_USDC-9JAN26-90000-C",
    "BTC_USDC-PERPETUAL",
)
CALL, PUT, FUTURE, PERPETUAL, LINEAR_CALL, LINEAR_PERPETUAL = range(6)
SPARE = 2  # room in the columns for instruments listed while running


class Rig:
    """One exchange with its market. Time is ns after T0 in every method."""

    def __init__(self, instruments: list[Instrument], seed: int, **settings: Any) -> None:
        self.table = InstrumentTable(instruments)
        self.market = MarketState(len(self.table) + SPARE)
        self.watches = Watches.none_set(len(self.table) + SPARE)
        defaults: dict[str, Any] = {
            "deposits": {"BTC": Decimal(10), "USDC": Decimal(1_000_000)},
            "latency": LatencyConfig(order_ns=100, report_ns=50),
            "margin_check_ns": 0,
        }
        self.config = ExchangeConfig(**{**defaults, **settings})
        self.seed = seed
        self.exchange = self._build()
        self.now = 0
        self.log: list[Report] = []
        self.next_id = 1

    def _build(self) -> SimulatedExchange:
        stream = random_stream(self.seed, "exchange")
        return SimulatedExchange(self.table, self.market, self.watches, self.config, stream)

    def reborn(self) -> None:
        """Replace the exchange by a fresh one restored from its state."""
        state = self.exchange.state()
        self.watches = Watches.none_set(len(self.table) + SPARE)
        self.exchange = self._build()
        self.exchange.restore(state)

    def index(self, price: float, at: int | None = None, instruments: tuple[int, ...] | None = None) -> None:
        """Index, forward and a mark for whatever has none."""
        for i in range(len(self.table)) if instruments is None else instruments:
            row = self.market.values[i]
            row[Field.INDEX] = row[Field.FORWARD] = price
            self.market.stamps[i, Stamp.MARK_EVENT_NS] = T0 + (self.now if at is None else at)

    def mark(self, instrument: int, price: float, sigma: float = 0.6) -> None:
        self.market.values[instrument, [Field.MARK, Field.MARK_IV]] = price, sigma

    def quote(
        self, instrument: int, bid: float, ask: float, size: float = 5.0, at: int | None = None, ask_size: float = -1.0
    ) -> list[Report]:
        """A quote row at a time: first everything due before, then the row, then whatever it hits."""
        self.now = max(self.now, at if at is not None else self.now)
        heard = self.run(self.now - 1) if at is not None else []
        asked = size if ask_size < 0 else ask_size
        self.market.values[instrument, : Field.MARK] = bid, size, ask, asked
        self.market.stamps[instrument, Stamp.QUOTE_EVENT_NS] = T0 + self.now
        if ask <= self.watches.level_buy[instrument] or bid >= self.watches.level_sell[instrument]:
            self.watches.hits.append(instrument)
        return heard + self.run(self.now)

    def print_trade(self, instrument: int, price: float, size: float, at: int) -> list[Report]:
        heard = self.run(at - 1)
        self.market.values[instrument, [Field.LAST, Field.LAST_SIZE]] = price, size
        if price < self.watches.level_buy[instrument] or price > self.watches.level_sell[instrument]:
            self.watches.hits.append(instrument)
        return heard + self.run(at)

    def order(self, instrument: int, lots: int, ticks: int = 0, **terms: Any) -> int:
        """Submit now; returns the order id."""
        number = terms.pop("order_id", self.next_id)
        self.next_id = max(self.next_id, number) + 1
        place = PlaceOrder(
            order_id=number,
            ts_ns=T0 + self.now,
            intent_id=number,
            book="b",
            instrument=instrument,
            lots=lots,
            order_type=terms.get("order_type", OrderType.LIMIT),
            limit_ticks=ticks,
            time_in_force=terms.get("tif", TimeInForce.GTC),
            reduce_only=terms.get("reduce_only", False),
        )
        self.exchange.submit(place, T0 + self.now)
        return number

    def cancel(self, order_id: int) -> None:
        self.exchange.submit(CancelOrder(order_id, T0 + self.now, "test"), T0 + self.now)

    def run(self, until: int) -> list[Report]:
        """Advance stop by stop to a time, as the engine does; reports heard on the way."""
        heard: list[Report] = []
        while (due := self.exchange.next_time_ns()) <= T0 + until and due != NEVER_NS:
            self.now = max(self.now, due - T0)
            heard.extend(self.exchange.advance(due))
        self.now = max(self.now, until)
        heard.extend(self.exchange.advance(T0 + self.now))
        self.log.extend(heard)
        return heard

    def settle_down(self) -> list[Report]:
        """Let what has been sent arrive and be answered."""
        return self.run(self.now + 1_000)

    def cash(self, currency: str) -> int:
        return self.exchange.account.cash.get(currency, 0)


@pytest.fixture
def rig() -> Callable[..., Rig]:
    """Factory: `rig(quote_ttl_ns=..., seed=...)`, quoting a usual market unless `quiet=True`."""

    def make(seed: int = 7, quiet: bool = False, extra: tuple[Instrument, ...] = (), **settings: Any) -> Rig:
        made = Rig([parse(symbol) for symbol in SYMBOLS] + list(extra), seed, **settings)
        if not quiet:
            made.index(90_000.0)
            made.quote(CALL, 0.0300, 0.0310)
            made.quote(PUT, 0.0290, 0.0300)
            made.quote(FUTURE, 90_000.0, 90_002.5, 100_000.0)
            made.quote(PERPETUAL, 90_000.0, 90_000.5, 1_000_000.0)
            made.quote(LINEAR_CALL, 2_700.0, 2_780.0)
            made.quote(LINEAR_PERPETUAL, 90_000.0, 90_000.1, 1_000_000.0)
        return made

    return make

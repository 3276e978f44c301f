"""A run written by hand: two trades of one book, hedged, funded, settled; every figure below can be checked on paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from voldesk.core.events import SliceFit, SurfaceFitted
from voldesk.core.orders import (
    Check,
    Leg,
    OrderIntent,
    OrderType,
    Outcome,
    PlaceOrder,
    Purpose,
    TimeInForce,
    Verdict,
)
from voldesk.core.reports import FundingApplied, InstrumentSettled, Liquidity, OrderAccepted, OrderFilled
from voldesk.engine.facts import BookMark, Notice, VolMark
from voldesk.engine.journal import JournalWriter, RecordKind
from voldesk.instruments.deribit import parse
from voldesk.instruments.table import InstrumentTable

T0 = 1_767_225_600_000_000_000  # 2026-01-01 00:00 UTC
HOUR = 3_600_000_000_000
DAY = 24 * HOUR
EXPIRY = T0 + 8 * DAY + 8 * HOUR  # 9JAN26 08:00 UTC
SYMBOLS = ("BTC-9JAN26-90000-C", "BTC-9JAN26-90000-P", "BTC-PERPETUAL")
CALL, PUT, PERPETUAL = range(3)
BOOK = "gamma"
START = 1_000_000_000  # 10 BTC in units
CONFIG = """
name: by_hand
market: {underlying: BTC, assumed_size: 10.0, perp_spread: 0.0001, quote_ttl: 30m, feed_delay: 20ms}
venue: {order_latency: 20ms, report_latency: 20ms, funding_rate: '0.0001', funding_interval: 8h, margin_model: standard}
account: {currency: BTC, deposit: '10', numeraire: coin, hedge_collateral: false}
execution: {timeout: 30s, retries: 3, slippage_ticks: 2}
engine: {compute_latency: 250ms}
books:
- name: gamma
  strategies:
  - {strategy: pq_trader, threshold: 0.05}
"""

_encode = msgspec.msgpack.Encoder().encode


class Written:
    """A journal being written. Times are nanoseconds after T0."""

    def __init__(self, folder: Path, books: str = CONFIG, **header: Any) -> None:
        self.folder = folder
        self.table = InstrumentTable(parse(symbol) for symbol in SYMBOLS)
        self.journal = JournalWriter(folder / "journal")
        self.journal.open_segment()
        told = {
            "format": 1,
            "run_id": "abcd1234",
            "name": "by_hand",
            "mode": "backtest",
            "config": books,
            "instruments": [msgspec.to_builtins(instrument) for instrument in self.table],
            "sources": [{"name": "chain.parquet", "sha256": "ab" * 32, "rows": 7}],
            "lacks": ["no sizes: 10 contracts assumed on each quoted side"],
            "environment": {"voldesk": "0"},
        }
        self.journal.append(RecordKind.HEADER, _encode(told | header))
        self._orders = 0
        self._trades = 0
        self._intents = 0

    def decide(self, decision: Any) -> None:
        self.journal.append(RecordKind.DECISION, _encode(decision))

    def hear(self, at: int, item: Any) -> None:
        self.journal.append(RecordKind.INPUT, _encode([T0 + at, item]))

    def fact(self, fact: Any) -> None:
        self.journal.append(RecordKind.FACT, _encode(fact))

    def mark(self, at: int, terms: tuple[int, ...] = (0,) * 6, index: float = 90_000.0, **more: Any) -> None:
        book = more.pop("book", BOOK)
        figures = {"net_delta": 0.0, "gamma_1pct": 0.0, "vega_volpt_usd": 0.0, "theta_day_usd": 0.0} | more
        self.fact(
            BookMark(T0 + at, book, "BTC", START + sum(terms), terms, index, positions=0, working=0, **figures)
        )  # fmt: skip

    def vols(self, at: int, implied: float = 0.40, forecast: float = 0.47, index: float = 90_000.0) -> None:
        """A surface flat at `implied`, and what the desk noted of it."""
        variance = implied * implied * (EXPIRY - T0 - at) / (365 * DAY)
        piece = SliceFit(EXPIRY, index, 1.0, variance, 0.0, 0.0, 0.0, 0.1, 20, 1.0, 0.0, "ok")
        self.hear(at, SurfaceFitted("BTC", T0 + at, (piece,)))
        self.fact(VolMark(T0 + at, "BTC", 14 * DAY, implied, forecast, index, 1, 1))

    def intend(
        self,
        at: int,
        purpose: Purpose,
        legs: dict[int, int],
        reason: str = "",
        checks: tuple[Check, ...] = (),
        outcome: Outcome = Outcome.APPROVE,
        exemption: str = "",
        book: str = BOOK,
    ) -> int:
        self._intents += 1
        wanted = tuple(Leg(instrument, lots) for instrument, lots in legs.items())
        self.decide(OrderIntent(self._intents, T0 + at, book, "pq_trader", purpose, wanted, reason))
        self.decide(Verdict(self._intents, T0 + at, outcome, checks, exemption))
        return self._intents

    def place(self, at: int, intent: int, instrument: int, lots: int, ticks: int, book: str = BOOK) -> int:
        self._orders += 1
        kind, force = OrderType.LIMIT, TimeInForce.IOC
        self.decide(PlaceOrder(self._orders, T0 + at, intent, book, instrument, lots, kind, ticks, force, False))
        self.hear(at, OrderAccepted(T0 + at, T0 + at, self._orders))
        return self._orders

    def fill(self, at: int, order: int, instrument: int, lots: int, ticks: int, fee: int) -> OrderFilled:
        self._trades += 1
        report = OrderFilled(
            T0 + at, T0 + at, order, self._trades, instrument, lots, ticks, Liquidity.TAKER, fee, "BTC"
        )  # fmt: skip
        self.hear(at, report)
        return report

    def trade(
        self, at: int, purpose: Purpose, legs: dict[int, tuple[int, int, int]], reason: str = "", book: str = BOOK
    ) -> list[OrderFilled]:
        """Intend, place and fill every leg: instrument -> (lots, ticks, fee units)."""
        intent = self.intend(at, purpose, {i: lots for i, (lots, _, _) in legs.items()}, reason, book=book)
        reports = []
        for instrument, (lots, ticks, fee) in legs.items():
            order = self.place(at, intent, instrument, lots, ticks, book)
            reports.append(self.fill(at, order, instrument, lots, ticks, fee))
        return reports

    def end(self) -> Path:
        self.journal.append(RecordKind.END, b"")
        self.journal.close()
        return self.folder


def write_by_hand(folder: Path, end: bool = True) -> Written:
    """One straddle bought at 0.0240 + 0.0240 and sold at 0.1040 + 0.0040 (+6,000,000 units), its hedge of 9,000 USD sold
    at 90,000 and bought back at 100,000 (-1,000,000), funding received on 0.1 BTC at 1 bp (+1,000), fees 4 x 30,000 and
    2 x 5,000; then a call bought at 0.1040 and settled at 100,000: payoff 0.1 BTC, delivery fee 0.00015 BTC."""
    run = Written(folder)
    run.mark(0)
    run.vols(1)
    reason = "open_long p_vol=0.4000 q_vol=0.4700 spread=+0.0700 tenor_days=8.33 strike=90000 forward=90000.00"
    run.trade(2, Purpose.OPEN, {CALL: (10, 240, 30_000), PUT: (10, 240, 30_000)}, reason)
    run.trade(3, Purpose.HEDGE, {PERPETUAL: (-900, 180_000, 5_000)}, "delta=0.1")
    refused = (
        Check("DELTA", Outcome.REFUSE, 10.0, 2.0, 12.0, "underlying", "underlying:BTC"),
        Check("VEGA", Outcome.WARN, 5000.0, 10.0, 4500.0, "usd_per_volpt", "portfolio"),
    )
    run.intend(4, Purpose.OPEN, {CALL: 500}, "open_long", refused, Outcome.REFUSE)
    waived = (Check("PAUSED", Outcome.WARN, 0.0, 0.0, 1.0, "level", "book:gamma"),)
    run.intend(5, Purpose.CLOSE, {CALL: -10}, "close", waived, Outcome.WARN, "reduce_only")
    run.hear(3 * HOUR, FundingApplied(T0 + 3 * HOUR, T0 + 3 * HOUR, PERPETUAL, "0.0001", "90000"))
    run.mark(6 * HOUR, (0, 500_000, -65_000, 1_000, 0, 0), 100_000.0, gamma_1pct=0.1, vega_volpt_usd=150.0)
    run.vols(6 * HOUR + 1, 0.45, 0.44, 100_000.0)
    closing = "close_exit p_vol=0.4500 q_vol=0.4400 spread=-0.0100 tenor_days=8.08"
    run.trade(6 * HOUR + 2, Purpose.CLOSE, {CALL: (-10, 1040, 30_000), PUT: (-10, 40, 30_000)}, closing)
    run.trade(6 * HOUR + 3, Purpose.HEDGE, {PERPETUAL: (900, 200_000, 5_000)})
    run.fact(Notice(T0 + 7 * HOUR, "info", "OPERATOR", "rearm <b>desk</b>"))
    run.mark(12 * HOUR, (5_000_000, 0, -130_000, 1_000, 0, 0), 100_000.0)
    run.trade(13 * HOUR, Purpose.OPEN, {CALL: (10, 1040, 30_000)}, "open_long spread=+0.0600")
    settled_at = EXPIRY - T0
    run.hear(settled_at, InstrumentSettled(EXPIRY, EXPIRY, CALL, "100000", "0.00015"))
    run.mark(settled_at + HOUR, (5_000_000, 0, -175_000, 1_000, 0, -400_000), 100_000.0)
    if end:
        run.end()
    return run


@pytest.fixture
def by_hand(tmp_path: Path) -> Path:
    """Folder of the closed run of `write_by_hand`."""
    return write_by_hand(tmp_path / "run").folder


@pytest.fixture
def written() -> Callable[..., Written]:
    """To write a journal of one's own."""
    return Written

"""A small market of one inverse option and one perpetual, as the desk sees it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from voldesk.core.units import NS_PER_SECOND
from voldesk.instruments.spec import Instrument, Kind, Settlement, TickScheme
from voldesk.instruments.table import InstrumentTable
from voldesk.market.state import Field, MarketState, Stamp
from voldesk.market.view import MarketView

OPTION, PERPETUAL = 0, 1


def _option() -> Instrument:
    steps = ((Decimal(0), Decimal("0.0001")), (Decimal("0.005"), Decimal("0.0005")))
    return Instrument(
        symbol="BTC-27JUN25-100000-C",
        venue="deribit",
        kind=Kind.OPTION,
        underlying="BTC",
        quote_currency="BTC",
        settle_currency="BTC",
        settlement=Settlement.INVERSE,
        multiplier=Decimal(1),
        lot=Decimal("0.1"),
        ticks=TickScheme(Decimal("0.0001"), steps),
        fee_schedule="deribit",
        expiry_ns=10**18,
        strike=Decimal(100000),
        is_call=True,
    )


def _perpetual() -> Instrument:
    return Instrument(
        symbol="BTC-PERPETUAL",
        venue="deribit",
        kind=Kind.PERPETUAL,
        underlying="BTC",
        quote_currency="USD",
        settle_currency="BTC",
        settlement=Settlement.INVERSE,
        multiplier=Decimal(10),
        lot=Decimal(1),
        ticks=TickScheme(Decimal("0.5"), ((Decimal(0), Decimal("0.5")),)),
        fee_schedule="deribit",
    )


class Market:
    """A view whose quotes a test sets by hand."""

    def __init__(self) -> None:
        self.table = InstrumentTable([_option(), _perpetual()])
        self.view = MarketView(self.table, MarketState(2), quote_ttl_ns=60 * NS_PER_SECOND)
        self.at(0)
        self.quote(OPTION, 0.0195, 0.0205)
        self.quote(PERPETUAL, 99_999.5, 100_000.5)

    def at(self, now_ns: int) -> None:
        self.view.now_ns = now_ns

    def quote(self, instrument: int, bid: float, ask: float) -> None:
        row, stamps = self.view.live.values[instrument], self.view.live.stamps[instrument]
        row[Field.BID], row[Field.ASK] = bid, ask
        row[Field.BID_SIZE] = row[Field.ASK_SIZE] = 100.0
        stamps[Stamp.QUOTE_EVENT_NS] = stamps[Stamp.QUOTE_RECV_NS] = self.view.now_ns


@pytest.fixture
def market() -> Market:
    return Market()


@pytest.fixture(scope="session")
def new_market() -> type[Market]:
    """Makes markets, for properties that need a fresh one per example."""
    return Market

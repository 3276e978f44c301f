"""A desk around the gate: BTC options and the perpetual, a funded book, a market set by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from voldesk.core.money import to_units
from voldesk.core.orders import Leg, OrderIntent, OrderType, PlaceOrder, Purpose, Style, TimeInForce, Verdict
from voldesk.core.reports import Liquidity, OrderFilled
from voldesk.core.units import NS_PER_DAY, NS_PER_SECOND
from voldesk.instruments.spec import Instrument, Kind, Settlement, TickScheme
from voldesk.instruments.table import InstrumentTable
from voldesk.market.state import Field, MarketState, Stamp
from voldesk.market.view import MarketView
from voldesk.portfolio.ledger import Ledger
from voldesk.portfolio.margin import margin_model
from voldesk.portfolio.valuation import Valuer
from voldesk.portfolio.working_orders import WorkingOrders
from voldesk.pricing.black import price as black_price
from voldesk.risk.gate import Gate
from voldesk.risk.limits import Limit, Limits
from voldesk.risk.presets import preset

NOW = 1_750_000_000 * NS_PER_SECOND
EXPIRY = NOW + 14 * NS_PER_DAY
SPOT, SIGMA = 100_000.0, 0.5
STEPS = ((Decimal(0), Decimal("0.0001")), (Decimal("0.005"), Decimal("0.0005")))


def option(strike: int, is_call: bool, underlying: str = "BTC", expiry_ns: int = EXPIRY) -> Instrument:
    return Instrument(
        symbol=f"{underlying}-29JUN25-{strike}-{'C' if is_call else 'P'}",
        venue="deribit",
        kind=Kind.OPTION,
        underlying=underlying,
        quote_currency=underlying,
        settle_currency=underlying,
        settlement=Settlement.INVERSE,
        multiplier=Decimal(1),
        lot=Decimal("0.1"),
        ticks=TickScheme(Decimal("0.0001"), STEPS),
        fee_schedule="deribit_option",
        expiry_ns=expiry_ns,
        strike=Decimal(strike),
        is_call=is_call,
    )


def perpetual(underlying: str = "BTC") -> Instrument:
    return Instrument(
        symbol=f"{underlying}-PERPETUAL",
        venue="deribit",
        kind=Kind.PERPETUAL,
        underlying=underlying,
        quote_currency="USD",
        settle_currency=underlying,
        settlement=Settlement.INVERSE,
        multiplier=Decimal(10),
        lot=Decimal(1),
        ticks=TickScheme(Decimal("0.5"), ((Decimal(0), Decimal("0.5")),)),
        fee_schedule="deribit_perpetual",
    )


CALL, PUT, PERP, WING = 0, 1, 2, 3


class World:
    """Ids: CALL and PUT at the money, PERP, WING (a far call). One lot is 0.1 BTC of option, 10 USD of perpetual."""

    ether_perpetual = perpetual("ETH")

    def __init__(
        self, limits: tuple[Limit, ...] = (), margin: str = "deribit_standard", deposit: str = "10", **gate: Any
    ) -> None:
        items = [option(100_000, True), option(100_000, False), perpetual(), option(130_000, True)]
        self.table = InstrumentTable([*items, *gate.pop("extra", ())])
        self.view = MarketView(self.table, MarketState(len(self.table)), quote_ttl_ns=60 * NS_PER_SECOND)
        self.view.now_ns = NOW
        self.orders = WorkingOrders()
        self.valuer = Valuer(self.view)
        self.ledger = Ledger(self.table, "coin", "BTC", self.orders, self.valuer)
        self.book = self.ledger.open_book("b", hedge_collateral=gate.pop("hedge_collateral", False))
        self.ledger.deposit("b", "BTC", to_units(Decimal(deposit), "BTC"))
        self.limits = Limits(limits or preset("btc"))
        self.gate = Gate(
            self.table, self.ledger, self.orders, self.valuer, margin_model(margin, self.table), self.limits, **gate
        )
        self._trades = 0
        self._orders = 0
        self.quote_all()

    def quote_all(self, spot: float = SPOT, sigma: float = SIGMA) -> None:
        for i, item in enumerate(self.table):
            row, stamps = self.view.live.values[i], self.view.live.stamps[i]
            stamps[Stamp.QUOTE_EVENT_NS] = stamps[Stamp.QUOTE_RECV_NS] = stamps[Stamp.MARK_EVENT_NS] = self.view.now_ns
            stamps[Stamp.ROWS] += 1
            row[Field.INDEX] = row[Field.FORWARD] = spot
            row[Field.BID_SIZE] = row[Field.ASK_SIZE] = 100.0
            if item.is_option:
                tau = (item.expiry_ns - self.view.now_ns) / (365 * NS_PER_DAY)
                mark = float(black_price(spot, float(item.strike), tau, sigma, 1.0, item.is_call)) / spot
                row[Field.MARK], row[Field.MARK_IV] = mark, sigma
                row[Field.BID], row[Field.ASK] = mark - 0.0005, mark + 0.0005
            else:
                row[Field.MARK], row[Field.BID], row[Field.ASK] = spot, spot - 5.0, spot + 5.0

    def hold(self, instrument: int, lots: int, book: str = "b") -> World:
        """Bought at the mark, for no fee."""
        self._trades += 1
        item = self.table[instrument]
        ticks = item.ticks.nearest(float(self.view.live.values[instrument, Field.MARK]))
        self.ledger.apply_fill(
            book, OrderFilled(0, 0, 0, self._trades, instrument, lots, ticks, Liquidity.TAKER, 0, "BTC")
        )
        self.ledger.mark(self.view)
        return self

    def work(self, instrument: int, lots: int, book: str = "b") -> World:
        """An order on its way."""
        self._orders += 1
        self.orders.place(
            PlaceOrder(
                self._orders, 0, 1000 + self._orders, book, instrument, lots, OrderType.LIMIT, 1, TimeInForce.GTC, False
            )
        )
        return self

    def judge(self, *legs: tuple[int, int], purpose: Purpose = Purpose.OPEN, **more: Any) -> Verdict:
        return self.gate.judge(self.intent(*legs, purpose=purpose, **more), self.view, self.view.now_ns)

    def intent(self, *legs: tuple[int, int], purpose: Purpose = Purpose.OPEN, **more: Any) -> OrderIntent:
        made = tuple(Leg(i, lots, more.pop("limit", None)) for i, lots in legs)
        return OrderIntent(1, self.view.now_ns, "b", "s", purpose, made, "test", more.pop("style", Style.CROSS), **more)


@pytest.fixture(scope="session")
def world() -> type[World]:
    return World

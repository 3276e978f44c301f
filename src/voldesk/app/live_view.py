"""The desk in a terminal: book, Greeks against limits, P-Q spread, hedges, P&L and its explain, orders, notices."""

from __future__ import annotations

import datetime as dt
import math
from collections import deque
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from voldesk.app.wiring import Wired
from voldesk.core.money import to_decimal, to_float
from voldesk.core.units import NS_PER_SECOND, NS_PER_YEAR, vol_points
from voldesk.portfolio.book import Book
from voldesk.portfolio.explain_record import EXPLAIN_TERMS
from voldesk.surface.fit import Surface

_BARS = "▁▂▃▄▅▆▇█"


def spark(values: Sequence[float], width: int) -> str:
    """A line of block characters; gaps for NaN.

    >>> spark([0.0, 1.0, 2.0], 3)
    '▁▄█'
    """
    shown = list(values)[-width:]
    finite = [v for v in shown if math.isfinite(v)]
    if not finite:
        return ""
    low, span = min(finite), (max(finite) - min(finite)) or 1.0
    return "".join(_BARS[int((v - low) / span * 7)] if math.isfinite(v) else " " for v in shown)


def _signed(value: float, digits: int = 4) -> Text:
    if not math.isfinite(value):
        return Text("—", style="dim")
    return Text(f"{value:+,.{digits}f}", style="green" if value > 0 else "red" if value < 0 else "dim")


def _grid(*justify: str) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, expand=True)
    for side in justify:
        table.add_column(justify="right" if side == "r" else "left", no_wrap=True)
    return table


class LiveView:
    """Built anew each tick from the parts, between two steps of the desk; changes nothing."""

    def __init__(self, wired: Wired) -> None:
        self._wired = wired
        self._equity: deque[float] = deque(maxlen=400)
        self._spread: deque[float] = deque(maxlen=400)
        self._index: deque[float] = deque(maxlen=400)
        self._underlying = wired.config.market.underlying

    def tick(self) -> None:
        """Remember one point of each history."""
        parts = self._wired.parts
        book = next(iter(parts.ledger.books.values()))
        self._equity.append(book.equity())
        implied, forecast = self._vols()
        self._spread.append(forecast - implied)
        self._index.append(parts.view.index_price(self._underlying))

    def _vols(self) -> tuple[float, float]:
        view = self._wired.parts.view
        surface, forecast = view.surfaces.get(self._underlying), view.forecasts.get(self._underlying)
        implied = math.nan
        if surface is not None and any(piece.status == "ok" for piece in surface.slices):
            horizon = self._wired.config.forecast.horizon / NS_PER_YEAR
            implied = float(Surface.from_event(surface).atm_iv(horizon))
        return implied, forecast.sigma if forecast is not None else math.nan

    def render(self) -> RenderableType:
        layout = Layout()
        layout.split_column(Layout(self._head(), size=3), Layout(name="body"), Layout(self._foot(), size=9))
        layout["body"].split_row(Layout(name="left"), Layout(name="right"))
        book = next(iter(self._wired.parts.ledger.books.values()))
        layout["left"].split_column(Layout(self._positions(book), ratio=3), Layout(self._limits(book), ratio=2))
        layout["right"].split_column(Layout(self._money(book), ratio=3), Layout(self._vol_panel(), ratio=2))
        return layout

    def _head(self) -> Panel:
        engine = self._wired.engine
        moment = dt.datetime.fromtimestamp(engine.now_ns / NS_PER_SECOND, dt.UTC)
        index = self._index[-1] if self._index else math.nan
        kill = self._wired.parts.gate.kill.level("").name
        text = Text.assemble(
            ("voldesk ", "bold"),
            (f" {self._wired.config.name} ", "reverse"),
            f"  {moment:%Y-%m-%d %H:%M:%S} UTC   {self._underlying} {index:,.1f}  ",
            (spark(self._index, 40), "cyan"),
            f"   rows {engine.inbox.rows:,}",
            (f"   {kill}", "green" if kill == "ARMED" else "bold red"),
        )
        return Panel(text)

    def _positions(self, book: Book) -> Panel:
        parts = self._wired.parts
        held = book.held()
        risk = parts.valuer.risk(held[:, 0], held[:, 1])
        table = Table(box=None, pad_edge=False, expand=True)
        for name in ("position", "lots", "bid", "ask", "iv", "net Δ", "Γ 1%", "vega", "θ/d"):
            table.add_column(name, justify="left" if name == "position" else "right", no_wrap=True)
        for place, instrument in enumerate(held[:, 0].tolist()):
            quote = parts.view.quote(instrument)
            option = parts.table[instrument].is_option
            digits = 4 if option else 1
            table.add_row(
                parts.table[instrument].symbol,
                f"{int(held[place, 1]):+d}",
                f"{quote.bid:.{digits}f}",
                f"{quote.ask:.{digits}f}",
                f"{vol_points(float(risk.sigma[place])):.1f}" if option else "",
                _signed(float(risk.net_delta[place]), 3),
                _signed(float(risk.net_gamma_per_1pct[place]), 3),
                _signed(float(risk.vega_per_volpt_usd[place]), 0),
                _signed(float(risk.theta_per_day_usd[place]), 0),
            )
        table.add_section()
        total = [risk.net_delta, risk.net_gamma_per_1pct, risk.vega_per_volpt_usd, risk.theta_per_day_usd]
        sums = [_signed(float(column.sum()), digits) for column, digits in zip(total, (3, 3, 0, 0), strict=True)]
        table.add_row(Text("book", style="bold"), "", "", "", "", *sums)
        return Panel(table, title=f"book {book.name}", title_align="left")

    def _limits(self, book: Book) -> Panel:
        checks = self._wired.parts.gate.utilisation(book, self._wired.engine.now_ns)[:7]
        table = _grid("l", "r", "r", "l")
        for check in checks:
            share = abs(check.projected) / check.limit if check.limit else 0.0
            if check.code == "FREE_CASH_FLOOR":
                share = check.limit / check.projected if check.projected > 0 else 1.0
            bar = "█" * min(12, round(12 * min(share, 1.0)))
            style = "red" if share >= 1.0 else "yellow" if share >= 0.8 else "green"
            name = f"{check.code.lower()} {check.scope.replace('portfolio', '')}"
            table.add_row(name, f"{check.projected:,.3g}", f"of {check.limit:,.4g}", Text(bar, style=style))
        return Panel(table, title="limits, most used first", title_align="left")

    def _money(self, book: Book) -> Panel:
        parts = self._wired.parts
        summary = parts.ledger.summary(book.name)
        left = _grid("l", "r")
        left.add_row("equity", f"{to_decimal(summary.equity_end, summary.currency)} {summary.currency}")
        left.add_row("P&L", _signed(to_float(summary.total, summary.currency), 6))
        for name, units in summary.pnl.items():
            left.add_row(f"  {name}", _signed(to_float(units, summary.currency), 6))
        right = _grid("l", "r")
        totals = parts.explainers[book.name].record.totals()
        for name in EXPLAIN_TERMS:
            right.add_row(name, _signed(totals[name], 6))
        columns = Table.grid(expand=True, padding=(0, 2))
        columns.add_column(ratio=1)
        columns.add_column(ratio=1)
        columns.add_row(Group(left, Text(spark(self._equity, 34), style="cyan")), right)
        return Panel(columns, title="P&L and where it came from", title_align="left")

    def _vol_panel(self) -> Panel:
        implied, forecast = self._vols()
        table = _grid("l", "r", "l")
        table.add_row("implied (p_vol)", f"{vol_points(implied):.2f} %", "")
        table.add_row("forecast (q_vol)", f"{vol_points(forecast):.2f} %", "")
        spread = _signed(vol_points(forecast - implied), 2)
        table.add_row("P-Q spread", spread, Text(spark(self._spread, 30), style="cyan"))
        for seat in self._wired.parts.seats.all:
            table.add_row(
                seat.key.partition("/")[2], "", Text(str(getattr(seat.strategy, "note", ""))[:60], style="dim")
            )
        return Panel(table, title="volatility and strategies", title_align="left")

    def _foot(self) -> Panel:
        parts = self._wired.parts
        table = _grid("l", "l", "r", "r", "l")
        orders = parts.orders.latest(7)
        for order in reversed(orders):
            instrument = parts.table[order.instrument]
            table.add_row(
                f"#{order.order_id}",
                instrument.symbol,
                f"{order.lots:+d} @ {instrument.ticks.price(order.limit_ticks)}",
                f"filled {order.filled:+d}",
                order.state.value + (f" ({order.end_code})" if order.end_code else ""),
            )
        return Panel(table, title="latest orders", title_align="left")

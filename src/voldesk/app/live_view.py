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
from voldesk.risk.answers import utilised
from voldesk.risk.limits import Code
from voldesk.surface.fit import Surface

_BARS = "▁▂▃▄▅▆▇█"
_WIDE = 160  # columns from which positions and P&L fit side by side
_TALL = 36  # rows from which there is room for seven orders


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


def _short(value: float) -> str:
    """Three digits, never a power of ten.

    >>> _short(0.0178), _short(-119.4), _short(10000.0)
    ('0.0178', '-119', '10,000')
    """
    return f"{value:,.0f}" if abs(value) >= 100.0 else f"{value:.3g}"


def _grid(*justify: str) -> Table:
    """Columns "l" and "r" keep their width; "w" takes what is left and is cut first when there is too little."""
    table = Table(box=None, pad_edge=False, show_header=False, expand=True)
    for side in justify:
        table.add_column(justify="right" if side == "r" else "left", no_wrap=True, ratio=1 if side == "w" else None)
    return table


def _place(scope: str) -> str:
    """What a limit is about, without the word for its kind: the whole book needs none."""
    return "" if scope == "portfolio" else scope.partition(":")[2] or scope


class LiveView:
    """Built anew each tick from the parts, between two steps of the desk; changes nothing."""

    def __init__(self, wired: Wired, speed: float | None = None) -> None:
        self._wired = wired
        self._speed = speed
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

    def render(self, width: int, height: int) -> RenderableType:
        """For a terminal of this size: side by side where it is wide, else the positions across the whole of it."""
        book = next(iter(self._wired.parts.ledger.books.values()))
        count = 7 if height >= _TALL else 3
        body, layout = Layout(), Layout()
        layout.split_column(Layout(self._head(width), size=3), body, Layout(self._foot(count), size=count + 3))
        positions, money = Layout(self._positions(book), ratio=3), Layout(self._money(book), ratio=3)
        bars = width >= _WIDE
        limits, vols = Layout(self._limits(book, bars), ratio=2), Layout(self._vol_panel(), ratio=2)
        left, right = Layout(), Layout()
        if width >= _WIDE:
            left.split_column(positions, limits)
            right.split_column(money, vols)
            body.split_row(left, right)
        else:
            positions.size = min(len(book.held()) + 4, max(6, height // 4))
            right.split_column(limits, vols)
            lower = Layout()
            lower.split_row(money, right)
            body.split_column(positions, lower)
            money.size = 54 if width >= 96 else 44
        return layout

    def _head(self, width: int) -> Panel:
        engine = self._wired.engine
        moment = dt.datetime.fromtimestamp(engine.now_ns / NS_PER_SECOND, dt.UTC)
        index = self._index[-1] if self._index else math.nan
        kill = self._wired.parts.gate.kill.level("").name
        text = Text.assemble(
            ("voldesk ", "bold"),
            (f" {self._wired.config.name} ", "reverse"),
            f"  {moment:%Y-%m-%d %H:%M:%S} UTC   {self._underlying} {index:,.1f}  ",
            (f" {kill}", "green" if kill == "ARMED" else "bold red"),
            no_wrap=True,
        )
        if self._speed is not None:
            text.append(f"   speed {self._speed:g}" if self._speed else "   unpaced")
        ending = "   Ctrl-C ends"
        if width - 4 - text.cell_len >= len(ending):
            text.append(ending, "dim")
        if width >= _WIDE:
            text.append(f"   rows {engine.inbox.rows:,}   ")
            text.append(spark(self._index, 40), "cyan")
        return Panel(text)

    def _positions(self, book: Book) -> Panel:
        parts = self._wired.parts
        held = book.held()
        risk = parts.valuer.risk(held[:, 0], held[:, 1])
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), expand=True)
        for name in ("position", "lots", "bid", "ask", "iv", "net Δ", "Γ 1%", "vega $", "θ $/d"):
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

    def _limits(self, book: Book, bars: bool) -> Panel:
        checks = self._wired.parts.gate.utilisation(book, self._wired.engine.now_ns)[:7]
        table = _grid("w", "r", "l", "r", "l")
        for check in checks:
            share = utilised(check)
            style = "red" if share >= 1.0 else "yellow" if share >= 0.8 else "green"
            rule = "floor" if check.code == Code.FREE_CASH_FLOOR else "of"
            name = f"{check.code.lower()} {_place(check.scope)}"
            used = Text(f"{100 * share:.0f} %" if math.isfinite(share) else "—", style=style)
            bar = Text(("█" * round(6 * min(share, 1.0))).ljust(6, "·") if bars else "", style=style)
            table.add_row(name, _short(check.projected), f"{rule} {_short(check.limit)}", used, bar)
        return Panel(table, title="limits, most used first", title_align="left")

    def _money(self, book: Book) -> Panel:
        parts = self._wired.parts
        summary = parts.ledger.summary(book.name)
        left = _grid("w", "r")
        left.add_row(f"equity {summary.currency}", f"{to_decimal(summary.equity_end, summary.currency):,}")
        left.add_row("P&L", _signed(to_float(summary.total, summary.currency), 6))
        for name, units in summary.pnl.items():
            left.add_row(f"  {name}", _signed(to_float(units, summary.currency), 6))
        right = _grid("w", "r")
        totals = parts.explainers[book.name].record.totals()
        for name in EXPLAIN_TERMS:
            right.add_row(name, _signed(totals[name], 6))
        columns = Table.grid(expand=True, padding=(0, 2, 0, 0))
        columns.add_column(ratio=25)
        columns.add_column(ratio=21)
        columns.add_row(Group(left, Text(spark(self._equity, 34), style="cyan", no_wrap=True, overflow="crop")), right)
        return Panel(columns, title="P&L and where it came from", title_align="left")

    def _vol_panel(self) -> Panel:
        implied, forecast = self._vols()
        table = _grid("l", "r", "w")
        table.add_row("implied (P)", f"{vol_points(implied):.2f} %", "")
        table.add_row("forecast (Q)", f"{vol_points(forecast):.2f} %", "")
        spread = _signed(vol_points(forecast - implied), 2)
        table.add_row("P-Q spread (Q−P)", spread, Text(spark(self._spread, 30), style="cyan", overflow="crop"))
        notes = _grid("l", "w")
        for seat in self._wired.parts.seats.all:
            note = str(getattr(seat.strategy, "note", ""))
            notes.add_row(seat.key.partition("/")[2], Text(note, style="dim"))
        return Panel(Group(table, notes), title="volatility and strategies", title_align="left")

    def _foot(self, count: int) -> Panel:
        parts = self._wired.parts
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        for name in ("time", "order", "contract", "lots", "limit", "filled", "state"):
            table.add_column(
                name, justify="right" if name in ("order", "lots", "limit", "filled") else "left", no_wrap=True
            )
        for order in reversed(parts.orders.latest(count)):
            instrument = parts.table[order.instrument]
            moment = dt.datetime.fromtimestamp(order.placed_ns / NS_PER_SECOND, dt.UTC)
            table.add_row(
                f"{moment:%d %b %H:%M:%S}",
                str(order.order_id),
                instrument.symbol,
                f"{order.lots:+,d}",
                str(instrument.ticks.price(order.limit_ticks)),
                f"{order.filled:+,d}" if order.filled else "–",
                order.state.value + (f" ({order.end_code})" if order.end_code else ""),
            )
        return Panel(table, title="latest orders", title_align="left")

"""`voldesk status`: where a run stands, read from its journal alone; the desk itself is not asked or disturbed."""

from __future__ import annotations

import datetime as dt
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voldesk.app.run_folder import newest_run, read_tables
from voldesk.app.run_rows import OrderRow, contracts_text
from voldesk.app.run_tables import RunTables
from voldesk.core.money import COINS, to_float, to_text
from voldesk.engine.facts import BookMark, VolMark
from voldesk.portfolio.account import TERMS

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

LAST_ORDERS: Final = 8
LAST_NOTICES: Final = 6


def run_status(run: Path | None, as_json: bool) -> None:
    """Print the state of a run folder, the newest under runs/ when none is named."""
    folder = run if run is not None else newest_run(Path("runs"))
    tables = read_tables(folder)
    if as_json:
        print(json.dumps(status_of(tables, folder.name)))
    else:
        from rich.console import Console

        show(tables, folder.name, Console())


def status_of(tables: RunTables, folder: str) -> dict[str, Any]:
    """The same as one plain object. Money is text, what is not known is null."""
    return {
        "run": folder,
        "name": tables.name,
        "mode": tables.header.get("mode", ""),
        "state": _state(tables),
        "last": _time(tables.last_ns),
        "books": [_book(tables, name) for name in tables.books],
        "vols": [_vol(mark) for mark in _latest_vols(tables)],
        "positions": _positions(tables),
        "fills": len(tables.fills),
        "orders": [_order(row) for row in list(tables.orders.values())[-LAST_ORDERS:]],
        "vetoes": tables.veto_counts(),
        "exemptions": tables.exemptions,
        "notices": [
            {"time": _time(notice.ts_ns), "severity": notice.severity, "code": notice.code, "text": notice.text}
            for notice in tables.notices[-LAST_NOTICES:]
        ],
        "records": tables.records,
        "journal_sha256": tables.decisions_sha256,
    }


def _state(tables: RunTables) -> str:
    return "closed" if tables.is_closed else "open: running, or stopped without closing"


def _book(tables: RunTables, name: str) -> dict[str, Any]:
    marks = tables.marks.of(name)
    if not marks:
        return {"name": name, "marked": None}
    mark = marks[-1]
    start = mark.equity_units - sum(mark.terms)
    return {
        "name": name,
        "marked": _time(mark.ts_ns),
        "currency": mark.currency,
        "equity": to_text(mark.equity_units, mark.currency),
        "deposits": to_text(start, mark.currency),
        "pnl": {"total": to_text(sum(mark.terms), mark.currency)}
        | {term: to_text(units, mark.currency) for term, units in zip(TERMS, mark.terms, strict=True)},
        "index": _number(mark.index),
        "net_delta": _number(mark.net_delta),
        "gamma_1pct": _number(mark.gamma_1pct),
        "vega_volpt_usd": _number(mark.vega_volpt_usd),
        "theta_day_usd": _number(mark.theta_day_usd),
        "positions": mark.positions,
        "has_working_orders": bool(mark.working),
    }


def _latest_vols(tables: RunTables) -> list[VolMark]:
    latest: dict[str, VolMark] = {}
    for mark in tables.vols:
        latest[mark.underlying] = mark
    return list(latest.values())


def _vol(mark: VolMark) -> dict[str, Any]:
    return {
        "underlying": mark.underlying,
        "time": _time(mark.ts_ns),
        "implied_vol": _number(mark.implied_vol),
        "forecast_vol": _number(mark.forecast_vol),
        "spread": _number(mark.forecast_vol - mark.implied_vol),
        "slices_ok": mark.slices_ok,
        "slices": mark.slices,
    }


def _positions(tables: RunTables) -> list[dict[str, Any]]:
    rows = []
    for (book, instrument), lots in tables.positions.items():
        terms = tables.table[instrument]
        last = next((f for f in reversed(tables.fills) if f.instrument == instrument and f.book == book), None)
        rows.append(
            {
                "book": book,
                "symbol": terms.symbol,
                "lots": lots,
                "contracts": contracts_text(terms, lots),
                "last_price": last.price if last else None,
            }
        )
    return rows


def _order(row: OrderRow) -> dict[str, Any]:
    return {
        "time": _time(row.ts_ns),
        "order": row.order_id,
        "book": row.book,
        "purpose": row.purpose,
        "symbol": row.symbol,
        "lots": row.lots,
        "price": row.price,
        "filled_lots": row.filled_lots,
        "state": row.state,
        "detail": row.detail,
    }


def show(tables: RunTables, folder: str, console: Console) -> None:
    """The compact view for people."""
    from rich.markup import escape
    from rich.panel import Panel

    state = "[green]closed[/]" if tables.is_closed else f"[yellow]{_state(tables)}[/]"
    mode = tables.header.get("mode", "run")
    console.print(
        f"[bold]{escape(tables.name)}[/]  {mode} in {escape(folder)}  {state}  last record {_time(tables.last_ns) or '–'}"
    )
    console.print(_books_table(tables))
    for mark in _latest_vols(tables):
        spread = 100.0 * (mark.forecast_vol - mark.implied_vol)
        console.print(
            f"{mark.underlying} forecast {_shown(100.0 * mark.forecast_vol, 1)} %  implied"
            f" {_shown(100.0 * mark.implied_vol, 1)} %  P−Q [bold]{_shown(spread, 1, True)}[/] vol points "
            f" surface {mark.slices_ok}/{mark.slices} expiries  at {_time(mark.ts_ns)}"
        )
    for title, part in (("positions", _positions_table(tables)), ("last orders", _orders_table(tables))):
        if part is not None:
            console.print(Panel(part, title=title, title_align="left", expand=False, border_style="dim"))
    vetoes = tables.veto_counts()
    worst = ", ".join(f"{code} {count}" for code, count in vetoes.items()) or "none"
    console.print(f"vetoes: {worst}   fills: {len(tables.fills)}   decisions {tables.decisions_sha256[:16]}")
    if tables.vetoes:
        last = tables.vetoes[-1]
        console.print(
            f"  last: {last.code} {last.scope} limit {last.limit:g} current {last.current:g} projected"
            f" {last.projected:g} {last.unit}, {last.purpose} {escape(last.legs)}"
        )
    for notice in tables.notices[-LAST_NOTICES:]:
        colour = {"critical": "red", "high": "red", "info": "dim"}.get(notice.severity, "yellow")
        console.print(f"[{colour}]{_time(notice.ts_ns)} {notice.severity} {notice.code}[/]: {escape(notice.text)}")


def _books_table(tables: RunTables) -> RenderableType:
    """Figures down, books across: it must fit a narrow terminal."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", style="dim")
    columns = []
    for name in tables.books:
        table.add_column(escape(name), justify="right")
        marks = tables.marks.of(name)
        columns.append([*_money(marks[-1]), *_greeks(marks[-1])] if marks else ["not marked yet"])
    names = ("equity", "P&L", *(f"  {term}" for term in TERMS), "net delta", "gamma 1 %", "vega USD/pt", "theta USD/d")
    for place, figure in enumerate(names):
        table.add_row(figure, *(column[place] if place < len(column) else "" for column in columns))
    return table


def _money(mark: BookMark) -> list[str]:
    places = 5 if mark.currency in COINS else 2

    def short(units: int) -> str:
        return f"{to_float(units, mark.currency):,.{places}f}"

    total = sum(mark.terms)
    colour = "green" if total > 0 else "red" if total < 0 else "dim"
    equity = f"{short(mark.equity_units)} {mark.currency}"
    return [equity, f"[{colour}]{short(total)}[/]", *(short(units) for units in mark.terms)]


def _greeks(mark: BookMark) -> list[str]:
    values = ((mark.net_delta, 4), (mark.gamma_1pct, 4), (mark.vega_volpt_usd, 1), (mark.theta_day_usd, 1))
    return [_shown(value, places, True) for value, places in values]


def _positions_table(tables: RunTables) -> RenderableType | None:
    from rich.table import Table

    rows = _positions(tables)
    if not rows:
        return None
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("book", "symbol", "contracts", "last traded at"):
        table.add_column(name, justify="left" if name in ("book", "symbol") else "right")
    for row in rows:
        table.add_row(row["book"], row["symbol"], row["contracts"], row["last_price"] or "–")
    return table


def _orders_table(tables: RunTables) -> RenderableType | None:
    from rich.markup import escape
    from rich.table import Table

    rows = list(tables.orders.values())[-LAST_ORDERS:]
    if not rows:
        return None
    books = len(tables.books) > 1  # one book needs no column: eighty columns are few
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    for name in ("time", "order", *(("book",) if books else ()), "why", "symbol", "lots", "price", "filled", "state"):
        right = name in ("order", "lots", "price", "filled")
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "state")
    colours = {"filled": "green", "rejected": "red", "cancelled": "yellow"}
    for row in rows:
        state = f"[{colours.get(row.state, 'cyan')}]{row.state}[/] {escape(row.detail)}".strip()
        cells = (row.symbol, f"{row.lots:+d}", row.price, f"{row.filled_lots:+d}" if row.filled_lots else "–", state)
        moment = (_time(row.ts_ns) or "–")[5:16].replace("T", " ")
        table.add_row(moment, str(row.order_id), *((row.book,) if books else ()), row.purpose, *cells)
    return table


def _shown(value: float, places: int, sign: bool = False) -> str:
    if not math.isfinite(value):
        return "–"
    return f"{value:+,.{places}f}" if sign else f"{value:,.{places}f}"


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _time(ts_ns: int) -> str | None:
    return dt.datetime.fromtimestamp(ts_ns / 1e9, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if ts_ns else None

"""`report.html` of a run folder: one file that asks nobody for anything and prints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from voldesk.app.report import charts_market, charts_money, rows
from voldesk.app.report.explained import ExplainTables, explain_tables
from voldesk.app.report.style import as_html, library, money
from voldesk.app.report.templates import render_page
from voldesk.app.report.tiles import tiles
from voldesk.app.round_trips import RoundTrip, round_trips
from voldesk.app.run_figures import equity_curve
from voldesk.app.run_tables import RunTables
from voldesk.portfolio.attribution import Explainer


def write_report(
    folder: Path,
    summary: Mapping[str, Any],
    tables: RunTables,
    explain: ExplainTables | Mapping[str, Explainer],
) -> Path:
    """Write `report.html` into the run folder and return its path."""
    if not isinstance(explain, ExplainTables):
        explain = explain_tables(explain, summary["currency"])
    path = folder / "report.html"
    path.write_text(render(summary, tables, explain), encoding="utf-8")
    return path


def render(summary: Mapping[str, Any], tables: RunTables, explain: ExplainTables) -> str:
    """The page's text."""
    trips = round_trips(tables)
    return render_page(
        "report.html",
        plotly=Markup(library()),
        charts={name: Markup(as_html(made, name)) for name, made in _charts(summary, tables, explain, trips).items()},
        **_context(summary, tables, explain, trips),
    )


def _charts(
    summary: Mapping[str, Any], tables: RunTables, explain: ExplainTables, trips: list[RoundTrip]
) -> dict[str, Any]:
    curve = equity_curve(tables, [b for b in tables.books if _in(tables, b, summary["currency"])])
    underlying = _underlying(tables)
    made = {}
    if curve.ts_ns.size:
        made["equity"] = charts_money.equity_chart(tables, curve)
        made["hedges"] = charts_market.hedges_chart(tables, trips, underlying)
        made["greeks"] = charts_market.greeks_chart(tables, underlying)
    if explain.days:
        made["waterfall"] = charts_money.waterfall_chart(explain.totals, explain.currency)
        made["factors"] = charts_money.waterfall_chart(explain.factor_totals, explain.currency)
        made["by_day"] = charts_money.explain_by_day_chart(explain)
        made["cumulative"] = charts_money.cumulative_explain_chart(explain)
    vols = [mark for mark in tables.vols if mark.underlying == underlying]
    if vols:
        made["vols"] = charts_market.vols_chart(vols, _threshold(tables))
    return made


def _context(
    summary: Mapping[str, Any], tables: RunTables, explain: ExplainTables, trips: list[RoundTrip]
) -> dict[str, Any]:
    marks = tables.marks.all
    vols = [mark for mark in tables.vols if mark.underlying == _underlying(tables)]
    return {
        "summary": summary,
        "period": rows.period(tables),
        "tiles": tiles(summary, marks[-1].index if marks else float("nan")),
        "translation": money(float(summary["translation"]), "USD") if summary["translation"] is not None else "–",
        "forecast_record": charts_market.forecast_record(vols),
        "trips": rows.trip_table(trips, len(tables.books) > 1),
        "costs": rows.cost_table(summary, explain),
        "explain": rows.explain_table(explain),
        "vetoes": rows.veto_table(tables),
        "notices": rows.notice_table(tables),
        "quarantine": rows.quarantine_table(summary),
        "execution": rows.execution_table(summary),
        "books": rows.book_table(summary),
        "assumptions": rows.assumption_table(tables),
        "sources": rows.source_table(tables),
        "lacks": summary.get("lacks", tables.lacks),
        "config": str(tables.header.get("config", "")),
        "environment": tables.header.get("environment", {}),
        "run_id": str(tables.header.get("run_id", "")),
        "underlying": _underlying(tables),
        "explain_steps": explain.steps,
    }


def _underlying(tables: RunTables) -> str:
    return str(tables.config.get("market", {}).get("underlying", (tables.table.underlyings or [""])[0]))


def _in(tables: RunTables, book: str, currency: str) -> bool:
    marks = tables.marks.of(book)
    return bool(marks) and marks[0].currency == currency


def _threshold(tables: RunTables) -> float | None:
    """The P-Q trader's threshold, where one is configured."""
    for book in tables.config.get("books", []):
        for strategy in book.get("strategies", []):
            if strategy.get("strategy") == "pq_trader" and "threshold" in strategy:
                return float(strategy["threshold"])
    return None

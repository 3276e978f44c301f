"""Charts of what was earned: equity and drawdown, the explain as a waterfall and by day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from voldesk.app.report.explained import ExplainTables
from voldesk.app.report.style import (
    DOWN,
    LINE,
    REALISED,
    TERM_COLOURS,
    UP,
    base,
    figure,
    in_order,
    money,
    term_name,
    thin,
    times,
)
from voldesk.app.run_figures import EquityCurve
from voldesk.app.run_tables import RunTables
from voldesk.core.money import to_float
from voldesk.stats.performance import drawdowns


def equity_chart(tables: RunTables, curve: EquityCurve) -> Any:
    """P&L since the start at every mark, by book where there are several, and how far it stands below its peak."""
    made = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.04)
    cut = thin(curve.ts_ns.size)
    start = to_float(curve.start_units, curve.currency)
    x = times(curve.ts_ns)[cut]
    unit = curve.currency
    made.add_trace(
        go.Scatter(x=x, y=(curve.value - start)[cut], name="net P&L", line={"color": LINE, "width": 2}), row=1, col=1
    )
    books = [name for name in tables.books if tables.marks.of(name)]
    for name in books if len(books) > 1 else []:
        marks = tables.marks.of(name)
        first = tables.equity_start_units(name) or 0
        some = marks[thin(len(marks))]
        y = [to_float(mark.equity_units - first, mark.currency) for mark in some]
        made.add_trace(
            go.Scatter(x=times(np.array([m.ts_ns for m in some])), y=y, name=name, line={"width": 1.2}), row=1, col=1
        )
    made.add_trace(
        go.Scatter(
            x=x,
            y=-drawdowns(curve.value)[cut],
            name="drawdown",
            fill="tozeroy",
            line={"color": DOWN, "width": 1},
            fillcolor="rgba(209,73,91,.22)",
        ),
        row=2,
        col=1,
    )
    made.update_yaxes(title_text=f"P&L, {unit}", row=1, col=1)
    made.update_yaxes(title_text="drawdown", row=2, col=1)
    return base(made, 400)


def waterfall_chart(totals: Mapping[str, float], currency: str) -> Any:
    """Term after term from nothing to the net."""
    totals = {name: value for name, value in in_order(totals).items() if value}
    names = list(totals)
    net = sum(totals.values())
    made = figure(360, hovermode="x", showlegend=False, uniformtext={"minsize": 10, "mode": "show"})
    made.add_trace(
        go.Waterfall(
            x=[*(term_name(name) for name in names), "net"],
            y=[*(totals[name] for name in names), net],
            measure=[*("relative" for _ in names), "total"],
            text=[money(value, currency) for value in [*totals.values(), net]],
            textposition="outside",
            cliponaxis=False,
            increasing={"marker": {"color": UP}},
            decreasing={"marker": {"color": DOWN}},
            totals={"marker": {"color": LINE}},
            connector={"line": {"color": "rgba(128,136,150,.5)", "width": 1}},
        )
    )
    made.update_xaxes(tickangle=-35)
    made.update_yaxes(title_text=currency)
    return made


def explain_by_day_chart(explain: ExplainTables) -> Any:
    """Terms stacked by day, and the day's net as a line over them."""
    made = figure(380, barmode="relative", bargap=0.15)
    for name, values in explain.own_iv.items():
        if np.any(values):
            made.add_trace(go.Bar(x=explain.days, y=values, name=term_name(name), marker_color=TERM_COLOURS[name]))
    made.add_trace(
        go.Scatter(
            x=explain.days,
            y=explain.gross,
            name="net of the day",
            mode="markers",
            marker={"color": "#ffffff", "size": 5, "line": {"color": "#1d2430", "width": 1.4}},
        )
    )
    made.update_yaxes(title_text=explain.currency, hoverformat="+.4f")
    return made


def cumulative_explain_chart(explain: ExplainTables) -> Any:
    """Each term added up over time: which Greek paid, and which was paid for."""
    made = figure(500)
    for name, values in explain.own_iv.items():
        if np.any(values):
            made.add_trace(
                go.Scatter(
                    x=explain.days,
                    y=np.cumsum(values),
                    name=term_name(name),
                    line={"color": TERM_COLOURS[name], "width": 1.6},
                )
            )
    made.add_trace(
        go.Scatter(
            x=explain.days,
            y=np.cumsum(explain.gross),
            name="net",
            line={"color": REALISED, "width": 3, "dash": "dot"},
        )
    )
    made.update_yaxes(title_text=explain.currency, hoverformat="+.4f")
    return made

"""Charts of the market and the book in it: hedges on the price, Greeks over time, implied against forecast and realised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from voldesk.app.report.style import (
    DOWN,
    FORECAST,
    IMPLIED,
    REALISED,
    UP,
    base,
    figure,
    instant,
    minute,
    plain,
    thin,
    times,
)
from voldesk.app.round_trips import RoundTrip
from voldesk.app.run_figures import realised_after
from voldesk.app.run_rows import Fill
from voldesk.app.run_tables import RunTables
from voldesk.core.units import NS_PER_DAY
from voldesk.engine.facts import VolMark

_MOST_SHAPES = 150


def hedges_chart(tables: RunTables, trips: Sequence[RoundTrip], underlying: str) -> Any:
    """The index, what was bought and sold against the options (area by size), and the strike while a trip stood."""
    made = figure(460, hovermode="closest")
    marks = tables.marks.all[thin(len(tables.marks.all))]
    x = times(np.array([mark.ts_ns for mark in marks], np.int64))
    made.add_trace(
        go.Scatter(
            x=x,
            y=[mark.index for mark in marks],
            name=f"{underlying} index",
            line={"color": REALISED, "width": 1.4},
            hovertemplate="%{x|%d %b %H:%M}  %{y:,.0f}<extra></extra>",
        )
    )
    hedges = [f for f in tables.fills if not f.is_option and tables.table[f.instrument].underlying == underlying]
    largest = max((_size(tables, fill) for fill in hedges), default=1.0)
    for name, chosen, symbol, colour in (
        ("buys", [f for f in hedges if f.lots > 0], "triangle-up", UP),
        ("sells", [f for f in hedges if f.lots < 0], "triangle-down", DOWN),
    ):
        sizes = [_size(tables, fill) for fill in chosen]
        made.add_trace(
            go.Scatter(
                x=times(np.array([fill.ts_ns for fill in chosen], np.int64)),
                y=[fill.price_usd for fill in chosen],
                name=f"{name} ({len(chosen)})",
                mode="markers",
                marker={
                    "symbol": symbol,
                    "color": colour,
                    "size": [5.0 + 13.0 * math.sqrt(size / largest) for size in sizes],
                    "line": {"width": 0.6, "color": "rgba(255,255,255,.7)"},
                    "opacity": 0.85,
                },
                text=[_hover(fill, size, underlying) for fill, size in zip(chosen, sizes, strict=True)],
                hovertemplate="%{text}<extra></extra>",
            )
        )
    _stand(made, [trip for trip in trips if trip.underlying == underlying], tables.last_ns)
    made.update_yaxes(title_text="USD", tickformat=",.0f")
    return made


def _size(tables: RunTables, fill: Fill) -> float:
    """Units of the underlying."""
    terms = tables.table[fill.instrument]
    size = abs(float(terms.contracts(fill.lots)) * float(terms.multiplier))
    return size / fill.price_usd if terms.is_reciprocal else size


def _hover(fill: Fill, size: float, underlying: str) -> str:
    what = f"{minute(fill.ts_ns)}<br><b>{fill.side} {size:.4f} {underlying}</b> at {fill.price_usd:,.2f}"
    return (
        f"{what}<br>{fill.symbol} · {fill.contracts} contracts · {fill.purpose}<br>fee {fill.fee} {fill.fee_currency}"
    )


def _stand(made: Any, trips: Sequence[RoundTrip], last_ns: int) -> None:
    """Shade when vega was held and draw the strike; legend entries by proxy."""
    for trip in trips[-_MOST_SHAPES:]:
        start, end = instant(trip.opened_ns), instant(trip.closed_ns or last_ns)
        colour = UP if trip.is_long else DOWN
        made.add_shape(
            type="rect", xref="x", yref="paper", x0=start, x1=end, y0=0, y1=1,
            fillcolor=colour, opacity=0.09, line_width=0, layer="below",
        )  # fmt: skip
        made.add_shape(
            type="line", xref="x", yref="y", x0=start, x1=end, y0=trip.strike, y1=trip.strike,
            line={"color": colour, "width": 1.6, "dash": "dot"}, layer="below",
        )  # fmt: skip
    for name, colour in (("long options, strike", UP), ("short options, strike", DOWN)):
        made.add_trace(
            go.Scatter(x=[None], y=[None], name=name, mode="lines", line={"color": colour, "width": 1.6, "dash": "dot"})
        )


def greeks_chart(tables: RunTables, underlying: str) -> Any:
    """Net delta, gamma for a 1 % move, vega and theta of each book at every mark."""
    rows = (
        ("net_delta", f"net delta, {underlying}"),
        ("gamma_1pct", f"gamma, {underlying} per 1 %"),
        ("vega_volpt_usd", "vega, USD per vol pt"),
        ("theta_day_usd", "theta, USD per day"),
    )
    made = make_subplots(rows=4, cols=1, shared_xaxes=True, vertical_spacing=0.035)
    colours = (IMPLIED, FORECAST, UP, DOWN, REALISED)
    books = [name for name in tables.books if tables.marks.of(name)]
    for place, book in enumerate(books):
        marks = tables.marks.of(book)[thin(len(tables.marks.of(book)))]
        x = times(np.array([mark.ts_ns for mark in marks], np.int64))
        colour = colours[place % len(colours)]
        for row, (name, _) in enumerate(rows, 1):
            made.add_trace(
                go.Scatter(
                    x=x,
                    y=[getattr(mark, name) for mark in marks],
                    name=book,
                    legendgroup=book,
                    showlegend=row == 1 and len(books) > 1,
                    line={"color": colour, "width": 1.4, "shape": "hv"},
                    fill="tozeroy" if len(books) == 1 else None,
                    fillcolor="rgba(76,134,217,.14)",
                ),
                row=row,
                col=1,
            )
    for row, (_, title) in enumerate(rows, 1):
        made.update_yaxes(title_text=title, title_font_size=11, row=row, col=1)
    return base(made, 620)


def vols_chart(vols: Sequence[VolMark], threshold: float | None) -> Any:
    """Implied, forecast, and the volatility that then came over the same horizon, drawn where the forecast was made."""
    made = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.62, 0.38], vertical_spacing=0.05)
    ts_ns = np.array([mark.ts_ns for mark in vols], np.int64)
    implied = np.array([mark.implied_vol for mark in vols]) * 100.0
    forecast = np.array([mark.forecast_vol for mark in vols]) * 100.0
    after = 100.0 * hindsight(vols)
    cut = thin(ts_ns.size)
    x = times(ts_ns)[cut]
    days = f"{vols[0].horizon_ns / NS_PER_DAY:g} d" if vols else ""
    for name, y, line in (
        (f"implied, {days} (P)", implied, {"color": IMPLIED, "width": 1.8}),
        (f"forecast, {days} (Q)", forecast, {"color": FORECAST, "width": 1.8}),
        (f"realised over the following {days} (hindsight)", after, {"color": REALISED, "width": 1.5, "dash": "dot"}),
    ):
        made.add_trace(go.Scatter(x=x, y=y[cut], name=name, line=line, hovertemplate="%{y:.1f}"), row=1, col=1)
    made.add_trace(
        go.Scatter(
            x=x, y=(forecast - implied)[cut], name="P-Q spread", line={"color": FORECAST, "width": 1.3}, fill="tozeroy",
            fillcolor="rgba(224,138,30,.18)", hovertemplate="%{y:+.1f}",
        ),
        row=2, col=1,
    )  # fmt: skip
    made.add_trace(
        go.Scatter(
            x=x, y=(after - implied)[cut], name="realised − implied (hindsight)", hovertemplate="%{y:+.1f}",
            line={"color": REALISED, "width": 1.2, "dash": "dot"},
        ),
        row=2, col=1,
    )  # fmt: skip
    for level in (threshold, -threshold) if threshold is not None else ():
        made.add_hline(y=level * 100.0, line={"color": DOWN, "width": 1, "dash": "dash"}, row=2, col=1)
    made.update_yaxes(title_text="vol, % a year", row=1, col=1)
    made.update_yaxes(title_text="vol points", row=2, col=1)
    return base(made, 520)


def hindsight(vols: Sequence[VolMark]) -> Any:
    """Realised vol over each mark's own horizon (decimal), from the index at these marks; NaN where it is not over yet."""
    ts_ns = np.array([mark.ts_ns for mark in vols], np.int64)
    index = np.array([mark.index for mark in vols])
    return realised_after(ts_ns, index, vols[0].horizon_ns) if vols else np.zeros(0)


def forecast_record(vols: Sequence[VolMark]) -> list[str]:
    """What hindsight says of the forecast, in sentences."""
    if not vols:
        return []
    after = hindsight(vols)
    implied = np.array([mark.implied_vol for mark in vols])
    forecast = np.array([mark.forecast_vol for mark in vols])
    known = np.isfinite(after) & np.isfinite(implied) & np.isfinite(forecast)
    if int(known.sum()) < 2:
        return ["The run is too short to compare forecasts with what came."]
    right = np.sign(forecast - implied)[known] == np.sign(after - implied)[known]
    miss = 100.0 * (forecast - after)[known]
    premium = 100.0 * (implied - after)[known]
    return [
        f"The P-Q spread (forecast − implied) had the sign that realised − implied then had on {plain(100.0 * right.mean(), 0)} % of "
        f"{int(known.sum())} overlapping horizons.",
        f"Forecast against realised: mean {plain(miss.mean(), 1, True)}, mean absolute {plain(np.abs(miss).mean(), 1)}"
        f" vol points; implied against realised: mean {plain(premium.mean(), 1, True)}, mean absolute"
        f" {plain(np.abs(premium).mean(), 1)}.",
    ]

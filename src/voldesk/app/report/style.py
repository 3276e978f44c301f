"""How the report draws: one palette that reads on white and on black, one base layout, numbers as traders write them."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from voldesk.core.arrays import IntArray
from voldesk.core.money import COINS, to_float

UP: Final = "#2a9d6f"
DOWN: Final = "#d1495b"
IMPLIED: Final = "#4c86d9"
FORECAST: Final = "#e08a1e"
REALISED: Final = "#8a919c"
LINE: Final = "#4c86d9"

TERM_COLOURS: Final = {
    "delta": "#4c86d9",
    "gamma": "#2a9d6f",
    "vega": "#8b6fd1",
    "vega_level": "#8b6fd1",
    "vega_skew": "#b18ae0",
    "vega_curvature": "#6d57b0",
    "vega_roll": "#c9a8f0",
    "theta": "#d1495b",
    "vanna": "#2aa6b0",
    "volga": "#7fb347",
    "higher": "#a9772f",
    "carry": "#c85fa8",
    "fees": "#e08a1e",
    "slippage": "#f0b35a",
    "settlement": "#5f7f95",
    "unexplained": "#8a919c",
}
TERM_NAMES: Final = {
    "vega_level": "vega: level",
    "vega_skew": "vega: skew",
    "vega_curvature": "vega: curvature",
    "vega_roll": "vega: roll",
    "higher": "higher order",
}

MOST_POINTS: Final = 4000
"""Per line: a longer series is drawn at every n-th mark."""


def in_order(totals: Mapping[str, float]) -> dict[str, float]:
    """Terms as they are read: Greeks, with vega's parts in its place, then flows, then what is left."""
    return {name: totals[name] for name in TERM_COLOURS if name in totals}


def term_name(term: str) -> str:
    return TERM_NAMES.get(term, term)


def instant(ts_ns: int) -> str:
    """For shapes, which take text."""
    return str(np.datetime64(ts_ns, "ns").astype("datetime64[ms]"))


def times(ts_ns: IntArray) -> Any:
    return np.asarray(ts_ns).astype("datetime64[ns]")


def thin(count: int) -> slice:
    """Every n-th of `count` points, so that at most MOST_POINTS are drawn."""
    return slice(None, None, max(1, -(-count // MOST_POINTS)))


def figure(height: int, **layout: Any) -> Any:
    """An empty figure: transparent, so that the page's own colours show through."""
    return base(go.Figure(), height, **layout)


def base(made: Any, height: int, **layout: Any) -> Any:
    made.update_layout(
        height=height,
        modebar={"orientation": "v"},
        margin={"l": 62, "r": 34, "t": 34, "b": 34},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, -apple-system, Segoe UI, sans-serif", "size": 12, "color": "#7a818c"},
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "itemsizing": "constant"},
        hoverlabel={"bgcolor": "#1d2430", "bordercolor": "#3a4456", "font": {"color": "#f2f4f8", "size": 12}},
        hovermode="x unified",
    )
    made.update_xaxes(gridcolor="rgba(128,136,150,.18)", zeroline=False, linecolor="rgba(128,136,150,.5)")
    made.update_yaxes(
        gridcolor="rgba(128,136,150,.18)", zerolinecolor="rgba(128,136,150,.7)", zerolinewidth=1, automargin=True
    )
    made.update_layout(**layout)
    return made


def as_html(made: Any, name: str) -> str:
    """One chart without the library, which the page carries once."""
    text: str = made.to_html(
        full_html=False,
        include_plotlyjs=False,
        div_id=name,
        config={
            "displaylogo": False,
            "displayModeBar": "hover",
            "responsive": True,
            "plotlyServerURL": "",
            "modeBarButtonsToRemove": [
                "sendChartToCloud",
                "select2d",
                "lasso2d",
                "zoomIn2d",
                "zoomOut2d",
                "autoScale2d",
            ],
        },
    )
    return text


def library() -> str:
    """The drawing library itself, so that the page asks nobody for anything."""
    text: str = get_plotlyjs()
    return text


def money(value: float | None, currency: str, sign: bool = True) -> str:
    """An amount for the eye: four decimals of a coin, none of a large cash amount. A dash for what is not known."""
    if value is None or not math.isfinite(value):
        return "–"
    places = 4 if currency in COINS else (0 if abs(value) >= 1000 else 2)
    return plain(value, places, sign)


def units(value: int | None, currency: str) -> str:
    return money(to_float(value, currency), currency) if value is not None else "–"


def plain(value: float | None, places: int = 2, sign: bool = False) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    if round(value, places) == 0.0:
        return f"{0.0:.{places}f}"
    text = f"{value:+,.{places}f}" if sign else f"{value:,.{places}f}"
    return text.replace("-", "−")


def percent(value: float | None, places: int = 1, sign: bool = False) -> str:
    return f"{plain(value * 100.0, places, sign)} %" if value is not None and math.isfinite(value) else "–"


def day(ts_ns: int) -> str:
    return dt.datetime.fromtimestamp(ts_ns / 1e9, dt.UTC).strftime("%Y-%m-%d") if ts_ns else "–"


def minute(ts_ns: int) -> str:
    return dt.datetime.fromtimestamp(ts_ns / 1e9, dt.UTC).strftime("%Y-%m-%d %H:%M") if ts_ns else "–"


def short_minute(ts_ns: int) -> str:
    return dt.datetime.fromtimestamp(ts_ns / 1e9, dt.UTC).strftime("%d %b %H:%M") if ts_ns else "–"

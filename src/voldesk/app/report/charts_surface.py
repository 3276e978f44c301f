"""Charts of a fitted surface: every smile in its quotes, the term structure, the surface, density and local volatility."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from voldesk.app.report.style import DOWN, IMPLIED, REALISED, base, figure
from voldesk.app.surface_quotes import QuotedVols
from voldesk.core.arrays import FloatArray
from voldesk.core.units import DAYS_PER_YEAR, NS_PER_YEAR
from voldesk.surface.fitted import Surface
from voldesk.surface.measures import term_structure

COLUMNS: Final = 3
_CELL: Final = 232  # pixels of one smile's height


def expiry_text(expiry_ns: int) -> str:
    return str(np.datetime64(expiry_ns, "ns").astype("datetime64[D]"))


def _days_text(tau: float) -> str:
    days = tau * DAYS_PER_YEAR
    return f"{days:.1f} d" if days < 10.0 else f"{days:.0f} d"


def smiles_chart(surface: Surface, quoted: QuotedVols) -> Any:
    """One panel per expiry: bid to ask vol of each out-of-the-money quote as a bar, the fit through them, misses red."""
    expiries = np.unique(quoted.expiry_ns)
    count = expiries.size
    titles = [f"{expiry_text(int(e))} · {_days_text((int(e) - surface.asof_ns) / NS_PER_YEAR)}" for e in expiries]
    rows = -(-count // COLUMNS)
    made = make_subplots(rows, COLUMNS, subplot_titles=titles, horizontal_spacing=0.055, vertical_spacing=0.3 / rows)
    for i, expiry in enumerate(expiries.tolist()):
        row, column = i // COLUMNS + 1, i % COLUMNS + 1
        here = quoted.expiry_ns == expiry
        for inside, colour, name in ((True, REALISED, "bid to ask"), (False, DOWN, "fit outside bid-ask")):
            chosen = here & quoted.two_sided & (quoted.inside == inside)
            made.add_trace(_bars(quoted, chosen, colour, name, i == 0), row, column)
        span = quoted.k[here & quoted.two_sided]
        if span.size:
            k = np.linspace(span.min() - 0.02, span.max() + 0.02, 160)
            tau = (expiry - surface.asof_ns) / NS_PER_YEAR
            line = 100.0 * np.sqrt(surface.total_variance(k, np.full(k.shape, tau)) / tau)
            made.add_trace(
                go.Scatter(
                    x=k, y=line, mode="lines", name="fit", legendgroup="fit", showlegend=i == 0,
                    line={"color": IMPLIED, "width": 2}, hovertemplate="k %{x:.3f}  %{y:.2f} %<extra>fit</extra>",
                ),
                row, column,
            )  # fmt: skip
    made = base(made, max(rows * _CELL + 60, 300), hovermode="closest")
    made.update_layout(legend={"y": 1.0 + 40.0 / max(rows * _CELL, 1), "x": 0.0}, margin={"t": 70})
    made.update_annotations(font={"size": 12, "color": "#7a818c"})
    return made


def _bars(quoted: QuotedVols, chosen: Any, colour: str, name: str, legend: bool) -> Any:
    low, high = 100.0 * quoted.bid_vol[chosen], 100.0 * quoted.ask_vol[chosen]
    words = np.column_stack([quoted.strike[chosen], low, high])
    return go.Scatter(
        x=quoted.k[chosen], y=0.5 * (low + high), mode="markers", name=name, legendgroup=name, showlegend=legend,
        marker={"size": 2.5, "color": colour}, customdata=words,
        error_y={"type": "data", "array": 0.5 * (high - low), "color": colour, "thickness": 1.4, "width": 0},
        hovertemplate="strike %{customdata[0]:,.0f}<br>%{customdata[1]:.2f} to %{customdata[2]:.2f} %<extra></extra>",
    )  # fmt: skip


def term_chart(surface: Surface) -> Any:
    """At-the-money volatility by days to expiry, and the forward volatility between neighbouring expiries."""
    found = term_structure(surface)
    days = found.tau * DAYS_PER_YEAR
    made = figure(330, xaxis={"title": "days to expiry", "type": "log"}, yaxis={"title": "vol, %"})
    made.add_trace(
        go.Scatter(x=days, y=100.0 * found.atm_iv, mode="lines+markers", name="at the money", line={"color": IMPLIED})
    )
    edges = np.concatenate([[days[0] / 2.0], days]) if days.size else days
    made.add_trace(
        go.Scatter(
            x=np.repeat(edges, 2)[1:-1],
            y=100.0 * np.repeat(found.forward_vol, 2),
            mode="lines",
            name="forward, between expiries",
            line={"color": REALISED, "width": 1.2, "dash": "dot"},
        )
    )
    return made


def _grid(surface: Surface, reach: float, points: int) -> tuple[FloatArray, FloatArray]:
    """Deviations from the forward (at the money's own) and tau, so that short and long expiries fill the same width."""
    tau = np.exp(np.linspace(math.log(surface.tau[0]), math.log(surface.tau[-1]), points))
    return np.linspace(-reach, reach, points), tau


def surface_chart(surface: Surface) -> Any:
    """Implied volatility over deviations from the forward and days to expiry."""
    z, tau = _grid(surface, 2.5, 60)
    k = z[None, :] * (surface.atm_iv(tau) * np.sqrt(tau))[:, None]
    vol = 100.0 * np.sqrt(surface.total_variance(k, tau[:, None]) / tau[:, None])
    made = figure(470)
    made.add_trace(
        go.Surface(
            x=z, y=np.log10(tau * DAYS_PER_YEAR), z=vol, colorscale="Viridis", showscale=False, customdata=k,
            hovertemplate="%{x:.2f} deviations, k %{customdata:.3f}<br>%{z:.2f} %<extra></extra>",
        )
    )  # fmt: skip
    ticks = [d for d in (1, 3, 7, 14, 30, 90, 180, 365, 730) if tau[0] * 365 <= d <= tau[-1] * 365]
    made.update_layout(
        scene={
            "xaxis": {"title": "deviations from forward"},
            "yaxis": {"title": "days", "tickvals": [math.log10(d) for d in ticks], "ticktext": [str(d) for d in ticks]},
            "zaxis": {"title": "vol, %"},
            "camera": {"eye": {"x": -1.25, "y": -1.25, "z": 0.55}, "center": {"z": -0.12}},
            "aspectratio": {"x": 1.2, "y": 1.2, "z": 0.7},
        },
        margin={"l": 0, "r": 0, "t": 10, "b": 0},
    )
    return made


def density_chart(surface: Surface) -> Any:
    """Risk-neutral density of log(S / forward) in deviations: Durrleman's g times a normal factor; nowhere negative."""
    made = figure(330, xaxis={"title": "deviations from forward"}, yaxis={"title": "density"})
    z = np.linspace(-5.0, 5.0, 401)
    chosen = np.unique(np.linspace(0, surface.tau.size - 1, min(5, surface.tau.size)).round().astype(int))
    shades = ("#9cc3f5", "#6fa4e8", "#4c86d9", "#2f64b0", "#1c4580")
    for shade, j in zip(shades, chosen, strict=False):
        tau = float(surface.tau[j])
        deviation = float(surface.atm_iv(tau)) * math.sqrt(tau)
        k = z * deviation
        shape = surface.variance_shape(k, np.full(k.shape, tau))
        root = np.sqrt(shape.w)
        bracket = 1.0 - 0.5 * k * shape.by_k / shape.w
        g = bracket**2 - 0.25 * shape.by_k**2 * (1.0 / shape.w + 0.25) + 0.5 * shape.by_kk
        d2 = -k / root - 0.5 * root
        density = deviation * g / (root * math.sqrt(2.0 * math.pi)) * np.exp(-0.5 * d2 * d2)
        name = f"{expiry_text(int(surface.expiry_ns[j]))}, {_days_text(tau)}"
        made.add_trace(go.Scatter(x=z, y=density, mode="lines", name=name, line={"color": shade, "width": 1.6}))
    return made


def local_vol_chart(surface: Surface) -> Any:
    """Dupire's local volatility over the same deviations; white where the surface has none."""
    z, tau = _grid(surface, 2.5, 90)
    k = z[None, :] * (surface.atm_iv(tau) * np.sqrt(tau))[:, None]
    strike = surface.forward(tau)[:, None] * np.exp(k)
    found = surface.local_vol(strike, np.broadcast_to(tau[:, None], k.shape))
    seen = 100.0 * found.local_vol[np.isfinite(found.local_vol)]
    low, high = np.percentile(seen, (1, 97)) if seen.size else (0.0, 100.0)  # one wild corner must not grey the rest
    made = figure(
        330, hovermode="closest", xaxis={"title": "deviations from forward"},
        yaxis={"title": "days to expiry", "type": "log"},
    )  # fmt: skip
    made.add_trace(
        go.Heatmap(
            x=z, y=tau * DAYS_PER_YEAR, z=100.0 * found.local_vol, colorscale="Viridis", customdata=strike,
            zmin=low, zmax=high, colorbar={"title": "%", "thickness": 12},
            hovertemplate="strike %{customdata:,.0f}, %{y:.0f} d<br>%{z:.1f} %<extra></extra>",
        )
    )  # fmt: skip
    return made

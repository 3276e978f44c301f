"""Draws the pictures of docs/notebooks.md into docs/pictures: plotly makes the page, headless Chromium takes it as PNG.

Run from the checkout: `.venv/bin/python docs/make_pictures.py [name ...]`. Same code, same picture. The smiles and the
surface need the recorded chains beside the checkout and are left as they are without them. CHROMIUM names the browser.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

import voldesk as vd

ROOT: Final = Path(__file__).resolve().parents[1]
PICTURES: Final = ROOT / "docs" / "pictures"
RECORDING: Final = ROOT / "../shared/data/deribit_chain_6h"
MOMENT: Final = "2026-02-05T12:00"
SCALE: Final = 1.5

BLUE, RED, GREEN, ORANGE, VIOLET, GREY = "#2f6fc4", "#c8384c", "#1f8a5f", "#d9811e", "#7a5cc4", "#8a919c"
INK: Final = "#20242b"
GRID: Final = "#e6e8ec"
DAY: Final = 1.0 / 365.0


def boundary() -> Any:
    """Where a put is exercised: against dividend yield, and the two boundaries of negative rates."""
    made = make_subplots(
        1, 2, horizontal_spacing=0.09,
        subplot_titles=["volatility 25 %, rate 4 %", "volatility 15 %, rate −1 %, yield −4 %: two boundaries"],
    )  # fmt: skip
    years = np.linspace(0.0, 2.0, 401)
    for dividend_yield, colour in ((0.0, BLUE), (0.02, GREEN), (0.04, ORANGE), (0.08, RED)):
        level = vd.exercise_boundary(100.0, 2.0, 0.04, dividend_yield, 0.25, False, 2.0 - years).upper
        made.add_trace(_line(years, level, colour), 1, 1)
        _label(
            made, 0.03, level[70], f"yield {100 * dividend_yield:.0f} %", colour, 1, xanchor="left", yanchor="bottom"
        )
    years = np.linspace(0.0, 12.0, 601)
    both = vd.exercise_boundary(100.0, 12.0, -0.01, -0.04, 0.15, False, 12.0 - years)
    made.add_trace(_line(years, both.lower, RED), 1, 2)
    made.add_trace(_line(years, both.upper, BLUE, fill="tonexty", fillcolor="rgba(47,111,196,0.12)"), 1, 2)
    for x, y, text, column in (
        (1.95, 39.3, "exercise at or below the line", 1),
        (7.2, 52, "exercise", 2),
        (7.2, 98, "wait", 2),
        (7.2, 22, "wait", 2),
    ):
        _label(made, x, y, text, INK, column, xanchor="right")
    _axes(made, 1, "years from now, expiry at 2", "spot")
    _axes(made, 2, "years from now, expiry at 12", None)
    made.update_yaxes(range=[36, 104], row=1, col=1)
    made.update_yaxes(range=[12, 108], row=1, col=2)
    return _finished(made, "Exercise boundary of an American put struck at 100")


def heston() -> Any:
    """Three panels: correlation, volatility of variance, maturity."""
    base = {"v0": 0.04, "kappa": 1.5, "theta": 0.05, "xi": 0.6, "rho": -0.5}
    k = np.linspace(-0.5, 0.5, 201)
    titles = ["correlation ρ", "volatility of variance ξ", "maturity"]
    made = make_subplots(1, 3, shared_yaxes=True, horizontal_spacing=0.03, subplot_titles=titles)
    signs = {-0.8: "−0.8", -0.4: "−0.4", 0.0: "0", 0.4: "+0.4"}
    terms = {14 * DAY: "2 weeks", 0.25: "3 months", 1.0: "1 year", 3.0: "3 years"}
    panels = [
        [({**base, "rho": rho}, 0.5, text) for rho, text in signs.items()],
        [({**base, "xi": xi}, 0.5, f"{xi:.1f}") for xi in (1.2, 0.8, 0.4, 0.1)],
        [(base, tau, text) for tau, text in terms.items()],
    ]
    for column, panel in enumerate(panels, 1):
        for (params, tau, text), colour in zip(panel, (RED, ORANGE, GREEN, BLUE), strict=True):
            reach = k if tau > 0.1 else k[np.abs(k) <= 0.2]
            strike, call = 100.0 * np.exp(reach), reach > 0.0
            value = vd.heston(vd.HestonParams(**params), 100.0, strike, tau, 1.0, call)
            vol, _ = vd.implied_vol(value, 100.0, strike, tau, 1.0, call)
            made.add_trace(_line(reach, 100.0 * vol, colour), 1, column)
            short = tau < 0.1
            place = {"xanchor": "left", "yanchor": "bottom"} if short else {"xanchor": "right", "xshift": -4}
            _label(made, reach[0], 100.0 * vol[0], text, colour, column, **place)
        _axes(made, column, "log(strike / forward)", "implied volatility, %" if column == 1 else None)
    made.update_xaxes(
        range=[-0.86, 0.54], tickvals=[-0.5, -0.25, 0.0, 0.25, 0.5], ticktext=["−0.5", "", "0", "", "0.5"]
    )
    return _finished(made, "Heston smiles: v₀ 0.04, κ 1.5, θ 0.05, ξ 0.6, ρ −0.5, half a year; one varied at a time")


def monte_carlo() -> Any:
    """Standard error of one option against the number of paths."""
    schedule = vd.Schedule.flat(spot=100.0, tau=1.0, steps=12, rate=0.05)
    sampling, settings = vd.monte_carlo.Sampling, vd.monte_carlo.Settings
    counts = 2 ** np.arange(10, 20)

    def error(how: Any, controls: bool, paths: int) -> float:
        """Root mean square of four runs, each with its own seed."""
        use = settings(paths=paths, sampling=how, controls=controls)
        runs = [
            vd.monte_carlo.price(vd.Gbm(0.2), vd.Asian(100.0, True), schedule, seed=s, settings=use) for s in range(4)
        ]
        return float(np.sqrt(np.mean([float(run.error) ** 2 for run in runs])))

    made = go.Figure()
    kinds = (
        ("pseudo-random", sampling.PSEUDO, False, GREY, 0),
        ("pseudo-random, controls", sampling.PSEUDO, True, ORANGE, 18),
        ("Sobol", sampling.SOBOL, False, GREEN, -6),
        ("Sobol, controls (default)", sampling.SOBOL, True, BLUE, -8),
    )
    for name, how, controls, colour, shift in kinds:
        errors = [error(how, controls, int(count)) for count in counts]
        made.add_trace(_line(counts, errors, colour, mode="lines+markers", marker={"size": 6, "color": colour}))
        slope = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
        made.add_annotation(
            x=np.log10(counts[-1]), y=np.log10(errors[-1]), text=f"{name}<br>error falls as n<sup>−{slope:.2f}</sup>",
            showarrow=False, xanchor="left", align="left", xshift=12, yshift=shift, font={"color": colour, "size": 13},
        )  # fmt: skip
    made.update_xaxes(
        type="log", title="paths", tickvals=[1e3, 1e4, 1e5], ticktext=["1,000", "10,000", "100,000"], range=[2.95, 6.8]
    )
    made.update_yaxes(
        type="log", title="standard error of the price", dtick=1, exponentformat="power", range=[-4.55, -0.45]
    )
    return _finished(made, "Monthly Asian call 100: one year, volatility 20 %, worth 6.156", top=52)


def smiles() -> Any:
    """Four expiries of a recorded BTC chain with the fit through bid-ask bars."""
    quotes, surface = _recorded()
    out = quotes.is_call == (quotes.strike >= quotes.forward)
    band = np.where(out, np.stack([quotes.bid, quotes.ask]), np.nan)
    (low, high), _ = vd.implied_vols(band, quotes.forward, quotes.strike, quotes.tau, 1.0, quotes.is_call, coin=True)
    days = np.array([1.9, 14.9, 49.9, 231.9])
    chosen = [int(np.argmin(np.abs(surface.tau / DAY - d))) for d in days]
    titles = [f"{_date(surface.expiry_ns[i])}, {surface.tau[i] / DAY:.0f} days" for i in chosen]
    made = make_subplots(2, 2, horizontal_spacing=0.06, vertical_spacing=0.14, subplot_titles=titles)
    for n, i in enumerate(chosen):
        row, column = n // 2 + 1, n % 2 + 1
        here = (quotes.expiry_ns == surface.expiry_ns[i]) & (low > 0.0) & (high > low)
        k = np.log(quotes.strike[here] / surface.forward(surface.tau[i]))
        line = np.linspace(k.min() - 0.02, k.max() + 0.02, 200)
        fitted = np.sqrt(surface.total_variance(line, surface.tau[i]) / surface.tau[i])
        at = np.sqrt(surface.total_variance(k, surface.tau[i]) / surface.tau[i])
        for inside, colour in ((True, GREY), (False, RED)):
            mine = ((at >= low[here]) & (at <= high[here])) == inside
            bottom, top = 100.0 * low[here][mine], 100.0 * high[here][mine]
            made.add_trace(
                go.Scatter(
                    x=k[mine], y=0.5 * (bottom + top), mode="markers", marker={"size": 1, "color": colour},
                    error_y={"array": 0.5 * (top - bottom), "color": colour, "thickness": 2.2, "width": 3},
                    showlegend=False,
                ),
                row, column,
            )  # fmt: skip
        made.add_trace(_line(line, 100.0 * fitted, BLUE), row, column)
        _axes(
            made,
            column,
            "log(strike / forward)" if row == 2 else None,
            "implied volatility, %" if column == 1 else None,
            row,
        )
    slices = [fit for fit in surface.slices if fit.status == "ok"]
    share = sum(fit.inside_share * fit.quotes for fit in slices) / sum(fit.quotes for fit in slices)
    moment = str(np.datetime64(surface.asof_ns, "ns").astype("datetime64[m]")).replace("T", " ")
    return _finished(
        made, f"BTC options on Deribit, {moment} UTC: bid to ask and the fitted surface, {share:.1%} of quotes inside"
    )


def surface() -> Any:
    """Implied and local volatility of that surface over moneyness and maturity."""
    _, fitted = _recorded()
    days = np.geomspace(3.0, 300.0, 160)
    tau = days[:, None] * DAY
    moneyness = np.linspace(-2.0, 2.0, 161)
    k = moneyness[None, :] * fitted.atm_iv(tau) * np.sqrt(tau)
    implied = np.sqrt(fitted.total_variance(k, tau) / tau)
    local = fitted.local_vol(fitted.forward(tau) * np.exp(k), np.broadcast_to(tau, k.shape)).local_vol
    titles = ["implied volatility, %", "local volatility, %"]
    made = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=titles)
    for column, values in enumerate((implied, local), 1):
        made.add_trace(
            go.Contour(
                x=moneyness, y=days, z=100.0 * values, colorscale="Blues", reversescale=True, zmin=30.0, zmax=125.0,
                showscale=False, line={"width": 0.7, "color": "rgba(255,255,255,0.7)"},
                contours={"start": 40.0, "end": 120.0, "size": 5.0, "showlabels": True, "labelfont": {"size": 12}},
            ),
            1, column,
        )  # fmt: skip
        _axes(made, column, "standard deviations from the forward", "days to expiry" if column == 1 else None)
        made.update_yaxes(type="log", tickvals=[3, 7, 14, 30, 60, 120, 300], row=1, col=column)
    moment = str(np.datetime64(fitted.asof_ns, "ns").astype("datetime64[m]")).replace("T", " ")
    return _finished(made, f"The same surface, BTC on {moment} UTC, between and beyond its expiries")


def scenarios() -> Any:
    """The book of the page over its scenarios."""
    rng = np.random.default_rng(7)
    book = vd.OptionBook(
        60_000.0, [50_000.0, 60_000.0, 60_000.0, 72_000.0], 30 * DAY, [0.62, 0.55, 0.55, 0.57],
        [False, False, True, True], units=[10.0, -8.0, -8.0, 10.0],
    )  # fmt: skip
    move = np.maximum(0.025 * rng.standard_t(4, 100_000), -0.9)
    shift = 0.02 * rng.standard_normal(100_000) - 0.3 * move
    pnl = vd.revalue(book, vd.Scenarios(move, shift, DAY))[0] / 1e3
    var = -float(np.quantile(pnl, 0.01))
    shortfall = -float(pnl[pnl <= -var].mean())
    titles = ["against the move, 5,000 of them", "how often, of 100,000"]
    made = make_subplots(1, 2, horizontal_spacing=0.19, subplot_titles=titles)
    few = slice(0, 5000)
    bar = {"title": {"text": "vol shift,<br>points"}, "thickness": 10, "len": 0.7, "x": 0.415, "outlinewidth": 0}
    dots = {"size": 3.2, "color": 100.0 * shift[few], "colorscale": "RdBu", "reversescale": True, "cmin": -6, "cmax": 6}
    made.add_trace(go.Scatter(x=100.0 * move[few], y=pnl[few], mode="markers", marker={**dots, "colorbar": bar}), 1, 1)
    edges = np.linspace(-16.0, 4.0, 101)
    counts, _ = np.histogram(pnl, edges)
    middle = 0.5 * (edges[1:] + edges[:-1])
    colours = np.where(middle < -var, RED, BLUE)
    made.add_trace(go.Bar(x=middle, y=counts, marker={"color": colours, "line": {"width": 0}}), 1, 2)
    _label(
        made,
        -15.5,
        3.55,
        f"99 % value at risk {var:.1f}<br>expected shortfall {shortfall:.1f}",
        RED,
        2,
        xanchor="left",
        align="left",
    )
    _axes(made, 1, "move of the underlying, %", "P&L of the day, thousand USD")
    _axes(made, 2, "P&L of the day, thousand USD", "scenarios")
    made.update_xaxes(range=[-15, 15], row=1, col=1)
    made.update_yaxes(range=[-10, 4], row=1, col=1)
    made.update_yaxes(type="log", dtick=1, tickformat=",", row=1, col=2, range=[-0.1, 4.2])
    made.update_layout(bargap=0.0)
    return _finished(made, "Short 8 straddles 60,000, long 10 strangles 50,000 / 72,000, 30 days left: one day's P&L")


def _recorded() -> tuple[vd.ChainQuotes, vd.Surface]:
    snapshot = vd.read_chain(RECORDING, at=MOMENT)
    quotes = snapshot.quotes()
    return quotes, vd.fit_surface(quotes, snapshot.asof_ns, snapshot.underlying)


def _date(expiry_ns: int) -> str:
    day = np.datetime64(int(expiry_ns), "ns").astype("datetime64[D]").item()
    return f"{day.day} {day:%b %Y}"


def _line(x: Any, y: Any, colour: str, **more: Any) -> Any:
    return go.Scatter(x=x, y=y, line={"color": colour, "width": 2.4, "simplify": False}, **{"mode": "lines", **more})


def _label(made: Any, x: float, y: float, text: str, colour: str, column: int, **more: Any) -> None:
    font = {"color": colour, "size": 13}
    made.add_annotation(x=x, y=y, text=text, showarrow=False, font=font, row=1, col=column, **more)


def _axes(made: Any, column: int, x: str | None, y: str | None, row: int = 1) -> None:
    made.update_xaxes(title=x, row=row, col=column)
    made.update_yaxes(title=y, row=row, col=column)


def _finished(made: Any, title: str, top: int = 70) -> Any:
    made.update_layout(
        template="simple_white", showlegend=False, paper_bgcolor="white", plot_bgcolor="white",
        title={"text": title, "x": 0.01, "y": 0.975, "yanchor": "top", "font": {"size": 16}},
        font={"family": "DejaVu Sans, Arial, sans-serif", "size": 13, "color": INK},
        margin={"l": 62, "r": 16, "t": top, "b": 52},
    )  # fmt: skip
    made.update_annotations(selector=lambda a: a.yref == "paper", font={"size": 14, "color": GREY})
    made.update_xaxes(showgrid=True, gridcolor=GRID, zeroline=False, mirror=False, title_standoff=8)
    made.update_yaxes(showgrid=True, gridcolor=GRID, zeroline=False, title_standoff=6)
    return made


DRAWN: Final[dict[str, tuple[Callable[[], Any], int, int]]] = {
    "boundary": (boundary, 980, 420),
    "heston": (heston, 980, 400),
    "monte_carlo": (monte_carlo, 820, 430),
    "smiles": (smiles, 980, 640),
    "surface": (surface, 980, 440),
    "scenarios": (scenarios, 980, 430),
}


def _shoot(made: Any, target: Path, width: int, height: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        made.update_layout(width=width, height=height)
        made.write_html(page, include_plotlyjs=True, config={"staticPlot": True})
        text = page.read_text(encoding="utf-8").replace("<body>", '<body style="margin:0;overflow:hidden">')
        page.write_text(text, encoding="utf-8")
        subprocess.run(
            [os.environ.get("CHROMIUM", "chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
             f"--user-data-dir={folder}/browser", f"--window-size={width},{height}",
             f"--force-device-scale-factor={SCALE}", "--virtual-time-budget=4000", f"--screenshot={target}", page.as_uri()],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    for name in sys.argv[1:] or DRAWN:
        draw, width, height = DRAWN[name]
        if draw in (smiles, surface) and not RECORDING.exists():
            print(f"{name}: {RECORDING.name} is not there, left as it is")
            continue
        _shoot(draw(), PICTURES / f"{name}.png", width, height)
        print(f"{name}: {(PICTURES / f'{name}.png').stat().st_size // 1000} kB")

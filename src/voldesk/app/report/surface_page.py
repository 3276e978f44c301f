"""The page of one fitted surface: `voldesk surface fit … --plot`. One file that asks nobody for anything."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from markupsafe import Markup

from voldesk.app.report import charts_surface as charts
from voldesk.app.report.rows import Table
from voldesk.app.report.style import as_html, library, percent, plain
from voldesk.app.report.templates import render_page
from voldesk.app.surface_quotes import QuotedVols, quality
from voldesk.core.units import DAYS_PER_YEAR, NS_PER_YEAR
from voldesk.surface.fitted import Surface
from voldesk.surface.measures import wings


def surface_page(surface: Surface, quoted: QuotedVols, source: str) -> str:
    """The page's text. source: where the quotes are from, in words."""
    drawn: dict[str, Any] = {}
    if surface.tau.size:
        drawn = {
            "smiles": charts.smiles_chart(surface, quoted),
            "term": charts.term_chart(surface),
            "surface": charts.surface_chart(surface),
            "density": charts.density_chart(surface),
            "local": charts.local_vol_chart(surface),
        }
    report = surface.check_arbitrage()
    return render_page(
        "surface.html",
        plotly=Markup(library()),
        charts={name: Markup(as_html(made, name)) for name, made in drawn.items()},
        underlying=surface.underlying,
        asof=str(np.datetime64(surface.asof_ns, "ns").astype("datetime64[s]")).replace("T", " "),
        source=source,
        tiles=_tiles(surface, quoted, report.free),
        fits=fit_table(surface, quoted),
        violations=report.violations,
    )


def _tiles(surface: Surface, quoted: QuotedVols, free: bool) -> list[dict[str, str]]:
    def tile(title: str, figure: str, note: str, tone: str = "") -> dict[str, str]:
        return {"title": title, "figure": figure, "note": note, "tone": tone}

    count = int(np.sum(quoted.two_sided))
    share = float(np.mean(quoted.inside[quoted.two_sided])) if count else math.nan
    usable = surface.tau.size
    month = 30.0 / DAYS_PER_YEAR
    atm = float(surface.atm_iv(month)) if usable else math.nan
    skew = wings(surface) if usable else None
    near = int(np.argmin(np.abs(surface.tau - month))) if usable else 0
    reversal = float(skew.risk_reversal[near]) if skew else math.nan
    fly = float(skew.butterfly[near]) if skew else math.nan
    days = f"{surface.tau[near] * DAYS_PER_YEAR:.0f} days" if usable else "no expiry"
    return [
        tile("at the money, 30 days", percent(atm, 2), "interpolated in total variance"),
        tile("25-delta risk reversal", percent(reversal, 2, True), f"call vol less put vol, {days}"),
        tile("25-delta butterfly", percent(fly, 2, True), f"wings over the money, {days}"),
        tile("inside bid-ask", percent(share), f"of {count:,} two-sided out-of-the-money quotes"),
        tile(
            "arbitrage", "none" if free else "found", "butterfly and calendar, proved on the whole line",
            "up" if free else "down",
        ),
        tile("expiries", f"{usable} of {len(surface.slices)}", "fitted of those quoted"),
    ]  # fmt: skip


def fit_table(surface: Surface, quoted: QuotedVols) -> Table:
    by_expiry = {found.expiry_ns: found for found in quality(quoted)}
    lines = []
    for fit in surface.slices:
        found = by_expiry.get(fit.expiry_ns)
        tau = (fit.expiry_ns - surface.asof_ns) / NS_PER_YEAR
        atm = math.sqrt(max(fit.a + fit.b * (-fit.rho * fit.m + math.hypot(fit.m, fit.sigma)), 0.0) / tau)
        lines.append(
            [
                charts.expiry_text(fit.expiry_ns),
                plain(tau * DAYS_PER_YEAR, 1),
                fit.status.replace("_", " "),
                plain(fit.forward, 2 if fit.forward < 1000 else 0),
                percent(atm, 2) if fit.status == "ok" else "–",
                str(found.quotes) if found else "0",
                percent(found.inside_share) if found else "–",
                plain(found.mean_miss, 3) if found else "–",
                plain(found.worst_miss, 2) if found else "–",
            ]
        )
    head = ["expiry", "days", "status", "forward", "ATM", "quotes", "inside", "mean", "worst"]
    return Table(head, lines, 1, "No expiry with quotes.")

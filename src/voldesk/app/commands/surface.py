"""`voldesk surface`: fit the surface of a recorded chain, say how well, and draw it."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from voldesk.adapters.feeds.chains import ChainSnapshot, read_chain
from voldesk.app.surface_quotes import QuotedVols, quality, quoted_vols
from voldesk.core.errors import InputError
from voldesk.core.units import DAYS_PER_YEAR, NS_PER_YEAR
from voldesk.surface.fit import fit_surface
from voldesk.surface.fitted import Surface


def run_surface_fit(
    chain: Path, at: str, underlying: str, venue: str, rate: float | None, plot: Path | None, as_json: bool
) -> None:
    """Fit one snapshot; a table for people, JSON for machines, a page with `--plot`."""
    if plot is not None and not plot.parent.is_dir():
        raise InputError(f"--plot {plot}: folder {plot.parent} does not exist; make it first.")
    snapshot = read_chain(chain, at, underlying, venue)
    quotes = snapshot.quotes(rate)
    fit_surface(quotes, snapshot.asof_ns, snapshot.underlying)  # kernels are loaded before the clock starts
    start = time.perf_counter()
    surface = fit_surface(quotes, snapshot.asof_ns, snapshot.underlying)
    took_ms = 1e3 * (time.perf_counter() - start)
    quoted = quoted_vols(quotes, surface)
    if plot is not None:
        from voldesk.app.report.surface_page import surface_page

        plot.write_text(surface_page(surface, quoted, _source(snapshot, chain, took_ms)), encoding="utf-8")
    if as_json:
        print(json.dumps(_plain(surface, quoted, snapshot, took_ms)))
    else:
        _show(surface, quoted, snapshot, took_ms)
        if plot is not None:
            print(f"page: {plot}")


def _source(snapshot: ChainSnapshot, chain: Path, took_ms: float) -> str:
    return f"{chain.name} · {snapshot.venue} · {snapshot.strike.size:,} options · fitted in {took_ms:.1f} ms"


def _pooled(quoted: QuotedVols) -> tuple[int, float]:
    count = int(np.sum(quoted.two_sided))
    return count, float(np.mean(quoted.inside[quoted.two_sided])) if count else math.nan


def _plain(surface: Surface, quoted: QuotedVols, snapshot: ChainSnapshot, took_ms: float) -> dict[str, Any]:
    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    by_expiry = {found.expiry_ns: found for found in quality(quoted)}
    slices = []
    for fit in surface.slices:
        found = by_expiry.get(fit.expiry_ns)
        slices.append(
            {
                "expiry": str(np.datetime64(fit.expiry_ns, "ns").astype("datetime64[s]")) + "Z",
                "tau": (fit.expiry_ns - surface.asof_ns) / NS_PER_YEAR,
                "status": fit.status,
                "forward": number(fit.forward),
                **{name: number(getattr(fit, name)) for name in ("a", "b", "rho", "m", "sigma")},
                "quotes": found.quotes if found else 0,
                "inside_share": number(found.inside_share) if found else None,
                "mean_miss_half_spreads": number(found.mean_miss) if found else None,
                "worst_miss_half_spreads": number(found.worst_miss) if found else None,
            }
        )
    count, share = _pooled(quoted)
    return {
        "underlying": surface.underlying,
        "asof": str(np.datetime64(surface.asof_ns, "ns").astype("datetime64[s]")) + "Z",
        "venue": snapshot.venue,
        "arbitrage_free": surface.check_arbitrage().free,
        "quotes": count,
        "inside_share": number(share),
        "fit_ms": round(took_ms, 3),
        "slices": slices,
    }


def _show(surface: Surface, quoted: QuotedVols, snapshot: ChainSnapshot, took_ms: float) -> None:
    from rich.console import Console
    from rich.table import Table

    from voldesk.app.report.surface_page import fit_table

    made = fit_table(surface, quoted)
    asof = str(np.datetime64(surface.asof_ns, "ns").astype("datetime64[s]")).replace("T", " ")
    table = Table(
        title=f"{surface.underlying} {asof} UTC", title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for i, name in enumerate(made.head):
        table.add_column(name, justify="left" if i < made.left else "right", no_wrap=True)
    for row in made.rows:
        table.add_row(*row)
    console = Console()
    console.print(table)
    count, share = _pooled(quoted)
    report = surface.check_arbitrage()
    month = float(surface.atm_iv(30.0 / DAYS_PER_YEAR)) if surface.tau.size else math.nan
    console.print(
        f"{share:.1%} of {count:,} two-sided out-of-the-money quotes inside bid-ask; 30-day at-the-money vol {month:.2%}; "
        f"{'free of arbitrage (proved)' if report.free else 'ARBITRAGE: ' + '; '.join(report.violations)}; "
        f"{snapshot.strike.size:,} options fitted in {took_ms:.1f} ms",
        highlight=False,
    )

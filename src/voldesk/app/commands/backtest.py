"""`voldesk backtest`."""

from __future__ import annotations

import json
from pathlib import Path

from voldesk.app.config import load_config
from voldesk.app.run import Finished, backtest, new_folder
from voldesk.app.sources import open_market


def run_backtest(
    config_path: Path,
    data: Path | None,
    seed_prices: Path | None,
    out: Path | None,
    overrides: tuple[str, ...],
    recut_seed: int | None,
    report: bool,
    as_json: bool,
) -> None:
    """Load, run with a progress bar, write the run folder, print the summary."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    config = load_config(config_path, overrides)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(32), TextColumn("{task.percentage:>3.0f} %"))
    quiet = as_json or not console.is_terminal
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, disable=quiet) as progress:
        task = progress.add_task("opening the market", total=None)
        source = open_market(config, data, seed_prices, recut_seed)
        folder = new_folder(out, config.name)
        span = max(1, source.end_ns - source.start_ns)
        progress.update(task, description="trading", total=span)
        finished = backtest(
            config,
            source,
            folder,
            data,
            report,
            lambda now_ns: progress.update(task, completed=max(0, now_ns - source.start_ns)),
            seed_prices=seed_prices,
            settings=config_path,
        )
        progress.update(task, completed=span, description="done")
    if as_json:
        print(json.dumps(finished.summary))
    else:
        show(finished)


def show(finished: Finished) -> None:
    """The figures a trader asks for first."""
    from rich.console import Console
    from rich.table import Table

    summary = finished.summary
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    currency = summary["currency"]
    table.add_row("equity", f"{summary['equity_start']} → {summary['equity_end']} {currency}")
    for name, amount in summary["pnl"].items():
        table.add_row(f"  {name}", f"{amount} {currency}")
    table.add_row("explain", "")
    for name, amount in summary["explain"].items():
        table.add_row(f"  {name}", f"{float(amount):+.8f}")
    for name in ("trades", "hedges", "vetoes", "max_drawdown", "sharpe", "unexplained_share"):
        table.add_row(name.replace("_", " "), str(summary[name]))
    table.add_row("quotes", f"{summary['quotes']:,} in {summary['wall_s']} s ({summary['quotes_per_s']:,}/s)")
    table.add_row("decisions", summary["journal_sha256"][:16])
    console = Console()
    console.print(table)
    console.print(f"run folder: {finished.folder} (open {finished.folder}/report.html)")

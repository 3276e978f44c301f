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
    """The figures a trader asks for first: the P&L beside its explain, then the report's headline figures."""
    from rich.console import Console
    from rich.table import Table

    from voldesk.app.report.tiles import tiles

    summary = finished.summary
    currency = summary["currency"]
    places = len(summary["equity_end"].partition(".")[2])
    money, explain, figures = (Table(box=None, show_header=False, pad_edge=False) for _ in range(3))
    for table in (money, explain):
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
    money.add_row("[bold]P&L", currency)
    for name, amount in summary["pnl"].items():
        money.add_row(f"  {name}", f"{float(amount):+,.{places}f}")
    explain.add_row("[bold]explain", currency)
    for name, amount in summary["explain"].items():
        explain.add_row(f"  {name}", f"{float(amount):+,.{places}f}")
    both = Table.grid(padding=(0, 4, 0, 0))
    both.add_row(money, explain)
    figures.add_column(no_wrap=True)
    figures.add_column(justify="right", no_wrap=True)
    figures.add_column(style="dim")
    for tile in tiles(summary, 0.0):
        colour = {"up": "green", "down": "red"}.get(tile.tone, "")
        figures.add_row(tile.title, f"[{colour}]{tile.figure}[/]" if colour else tile.figure, tile.note)
    rate = f"{summary['quotes_per_s']:,} a second"
    figures.add_row("Quotes", f"{summary['quotes']:,}", f"in {summary['wall_s']:.1f} s, {rate}")
    figures.add_row("Decisions", summary["journal_sha256"][:16], "the same for the same input, settings and seed")
    console = Console()
    console.print(
        f"[bold]{summary['name']}[/]  equity {summary['equity_start']} → {summary['equity_end']} {currency}\n"
    )
    console.print(both)
    console.print()
    console.print(figures)
    console.print(f"\nrun folder: {finished.folder}\nreport: {finished.folder}/report.html", soft_wrap=True)

"""The command line. Every verb takes `--json` for machines and fails with one clear line (exit code 2).

Verbs import their work lazily, so that `voldesk --help` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from voldesk.core.errors import VoldeskError

app = typer.Typer(
    name="voldesk",
    help="An options volatility desk: surface, forecast, trade, hedge, refuse, explain.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
check_app = typer.Typer(no_args_is_help=True, help="Say what is wrong with a configuration or a recording.")
app.add_typer(check_app, name="check")
surface_app = typer.Typer(no_args_is_help=True, help="Volatility surfaces of recorded chains.")
app.add_typer(surface_app, name="surface")

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, no pictures.")]
Set = Annotated[list[str], typer.Option("--set", help="Override a setting: --set account.deposit=5 (repeatable).")]
Out = Annotated[Path | None, typer.Option("--out", help="Run folder; default runs/<time>-<name>.")]


@app.command()
def backtest(
    config: Annotated[Path, typer.Argument(help="YAML, such as config/gamma_scalp_btc.yaml")],
    data: Annotated[Path | None, typer.Option("--data", help="Recording: a file or folder in a known format.")] = None,
    seed_prices: Annotated[
        Path | None, typer.Option("--seed-prices", help="Daily prices from before the recording, for the forecast.")
    ] = None,
    out: Out = None,
    set_: Set = [],  # noqa: B006 - typer reads the default, never changes it
    recut_seed: Annotated[
        int | None, typer.Option("--recut-seed", help="Re-cut the stream into random blocks.")
    ] = None,
    report: Annotated[bool, typer.Option(help="Write report.html.")] = True,
    json: Json = False,
) -> None:
    """Run strategies over a recording or the synthetic market, as fast as it goes.

    Example: voldesk backtest config/gamma_scalp_btc.yaml --data ../shared/data/deribit_chain_6h
    """
    from voldesk.app.commands.backtest import run_backtest

    run_backtest(config, data, seed_prices, out, tuple(set_), recut_seed, report, json)


@app.command()
def paper(
    config: Annotated[Path | None, typer.Argument(help="YAML; not needed with --resume.")] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Replay this recording instead of the synthetic market.")
    ] = None,
    seed_prices: Annotated[Path | None, typer.Option("--seed-prices", help="Daily prices for the forecast.")] = None,
    out: Out = None,
    set_: Set = [],  # noqa: B006
    speed: Annotated[float, typer.Option(help="Feed seconds per second of yours; 0 for as fast as it goes.")] = 1.0,
    for_: Annotated[str, typer.Option("--for", help="Stop after this much feed time, such as 2h.")] = "",
    resume: Annotated[Path | None, typer.Option(help="Go on with the desk of this run folder.")] = None,
    json: Json = False,
) -> None:
    """Trade on paper: same strategies, same engine, simulated exchange, paced by the clock. Survives being killed.

    Example: voldesk paper config/demo.yaml --speed 60
    """
    from voldesk.app.commands.paper import run_paper

    run_paper(config, data, seed_prices, out, tuple(set_), speed, for_, resume, json)


@app.command()
def demo(
    speed: Annotated[float, typer.Option(help="Feed seconds per second of yours.")] = 60.0,
    for_: Annotated[str, typer.Option("--for", help="Stop after this much feed time, such as 6h.")] = "",
    out: Out = None,
    json: Json = False,
) -> None:
    """The desk on the synthetic market, live in this terminal. Ctrl-C ends it.

    Example: voldesk demo --speed 120
    """
    from voldesk.app.commands.paper import run_demo

    run_demo(speed, for_, out, json)


@app.command()
def replay(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    verify: Annotated[bool, typer.Option("--verify", help="Prove that every decision comes out byte-equal.")] = False,
    data: Annotated[Path | None, typer.Option("--data", help="Where the recording is now, if it has moved.")] = None,
    json: Json = False,
) -> None:
    """Feed a journal's inputs to a fresh desk and compare what it decides.

    Example: voldesk replay runs/20260105-gamma_scalp_btc --verify
    """
    from voldesk.app.commands.replay import run_replay

    run_replay(run, verify, data, json)


@app.command()
def record(
    config: Annotated[Path, typer.Argument(help="YAML whose market is to be recorded.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the recording.")],
    for_: Annotated[str, typer.Option("--for", help="How much feed time, such as 3d.")] = "1d",
    data: Annotated[
        Path | None, typer.Option("--data", help="Record from this recording (a change of format).")
    ] = None,
    set_: Set = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Write what a feed delivers in voldesk's own block format, replayable at any speed.

    Example: voldesk record config/demo.yaml --out recordings/demo --for 2d
    """
    from voldesk.app.commands.record import run_record

    run_record(config, out, for_, data, tuple(set_), json)


@app.command(name="import")
def import_(
    source: Annotated[Path, typer.Argument(help="A vendor's CSV or Parquet file.")],
    mapping: Annotated[Path, typer.Option("--mapping", help="YAML naming the file's columns; see docs/recordings.md.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the recording.")],
    json: Json = False,
) -> None:
    """Turn a vendor's file into a recording, counting what is wrong with it.

    Example: voldesk import quotes.csv --mapping mapping.yaml --out recordings/vendor
    """
    from voldesk.app.commands.record import run_import

    run_import(source, mapping, out, json)


@check_app.command(name="config")
def check_config(config: Path, set_: Set = [], json: Json = False) -> None:  # noqa: B006
    """Check a configuration and print it with every default filled in.

    Example: voldesk check config config/gamma_scalp_btc.yaml
    """
    from voldesk.app.commands.check import run_check_config

    run_check_config(config, tuple(set_), json)


@check_app.command(name="data")
def check_data(path: Path, json: Json = False) -> None:
    """Score a recording: completeness, accuracy, timeliness, consistency, and what was quarantined.

    Example: voldesk check data ../shared/data/deribit_chain_6h
    """
    from voldesk.app.commands.check import run_check_data

    run_check_data(path, json)


@app.command()
def price(
    strike: Annotated[list[float], typer.Option("--strike", help="Strike (repeatable).")],
    days: Annotated[float, typer.Option(help="Calendar days to expiry.")],
    spot: Annotated[float | None, typer.Option(help="Price of the underlying now.")] = None,
    forward: Annotated[float | None, typer.Option(help="Forward to expiry, instead of --spot.")] = None,
    vol: Annotated[float | None, typer.Option(help="Volatility, decimal: 0.65.")] = None,
    premium: Annotated[float | None, typer.Option(help="Premium to imply the volatility from.")] = None,
    rate: Annotated[float, typer.Option(help="Continuous rate, decimal.")] = 0.0,
    dividend_yield: Annotated[float, typer.Option(help="Continuous yield or borrow, decimal.")] = 0.0,
    type_: Annotated[str, typer.Option("--type", help="call or put.")] = "call",
    style: Annotated[str, typer.Option(help="european or american.")] = "european",
    coin: Annotated[
        bool, typer.Option("--coin", help="Coin-settled: premium in coin, net delta beside delta.")
    ] = False,
    model: Annotated[str, typer.Option(help="black, heston, bates or merton.")] = "black",
    param: Annotated[list[str], typer.Option("--param", help="Of the model: v0=0.04 (repeatable).")] = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Price options and their Greeks, or imply their volatility.

    Example: voldesk price --forward 60000 --strike 55000 --strike 60000 --days 30 --vol 0.6 --coin
    """
    from voldesk.app.commands.price import ask, run_price

    run_price(
        ask(spot, forward, strike, days, vol, premium, rate, dividend_yield, type_, style, coin, model, param), json
    )


@surface_app.command(name="fit")
def surface_fit(
    chain: Annotated[Path, typer.Argument(help="A recorded chain: Parquet (file or folder) or CSV.")],
    at: Annotated[str, typer.Option(help="The snapshot nearest to this UTC time; the last one when left out.")] = "",
    underlying: Annotated[str, typer.Option(help="Needed where the file holds several.")] = "",
    venue: Annotated[str, typer.Option(help="deribit, okx, us or cffex, where the file does not say.")] = "",
    rate: Annotated[float | None, typer.Option(help="Continuous rate, decimal; parity's own when left out.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a page with smiles, term structure and density.")] = None,
    json: Json = False,
) -> None:
    """Fit the arbitrage-free surface of one snapshot and say how well it meets the quotes.

    Example: voldesk surface fit ../shared/data/deribit_chain_6h --at 2026-02-05T12:00 --plot surface.html
    """
    from voldesk.app.commands.surface import run_surface_fit

    run_surface_fit(chain, at, underlying, venue, rate, plot, json)


@app.command()
def warm(
    desk: Annotated[bool, typer.Option("--desk", help="Only what a running desk needs; half the wait.")] = False,
    json: Json = False,
) -> None:
    """Compile every kernel now, so that no later command has to wait.

    Example: voldesk warm
    """
    from voldesk.app.commands.warm import run_warm

    run_warm(desk, json)


@app.command()
def doctor(json: Json = False) -> None:
    """What is installed, what is missing, and how to mend it.

    Example: voldesk doctor
    """
    from voldesk.app.commands.doctor import run_doctor

    run_doctor(json)


@app.command()
def status(
    run: Annotated[Path | None, typer.Argument(help="A run folder; the newest under runs/ when left out.")] = None,
    json: Json = False,
) -> None:
    """Where a run stands, read from its journal: equity, P&L terms, Greeks, orders, vetoes.

    Example: voldesk status
    """
    from voldesk.app.commands.status import run_status

    run_status(run, json)


def main() -> None:
    """Entry point: a user's mistake is one line on standard error and exit code 2."""
    try:
        sys.exit(app(prog_name="voldesk", standalone_mode=False))
    except VoldeskError as error:
        _refuse(str(error))
    except typer.TyperException as error:
        _refuse_usage(error)
    except OSError as error:
        # What no reader or writer expected of the machine: a full disk, a folder without permission.
        _refuse(f"{error.filename or 'input or output'}: {error.strerror or error}; mend it and run again.")
    except KeyboardInterrupt:
        sys.exit(130)


def _refuse(line: str) -> None:
    print(f"voldesk: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(2)


def _refuse_usage(error: typer.TyperException) -> None:
    """A command line that cannot be read: the value, what is wrong with it, and where help is."""
    from pydantic import ValidationError

    message = error.format_message().rstrip(".")
    if not message.strip():
        sys.exit(2)  # no words at all: the help has been printed instead
    if isinstance(error.__cause__, ValidationError):
        found = error.__cause__.errors()[0]
        message = f"{message.partition(': ')[0]}: {found['input']!r}; {found['msg'].partition(',')[0]}"
    context = getattr(error, "ctx", None)
    _refuse(f"{message}; see {context.command_path if context is not None else 'voldesk'} --help.")

"""`voldesk paper` and `voldesk demo`."""

from __future__ import annotations

import importlib.resources
import json
import signal
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from voldesk.app.config import RunConfig, load_config, parse_config
from voldesk.app.paper import PaperDesk, live, open_paper, resume_paper, stop_time
from voldesk.app.run import finish, new_folder
from voldesk.app.sources import open_market
from voldesk.app.wiring import Wired
from voldesk.core.durations import parse_duration
from voldesk.core.errors import InputError
from voldesk.core.money import to_text


def run_paper(
    config_path: Path | None,
    data: Path | None,
    seed_prices: Path | None,
    out: Path | None,
    overrides: tuple[str, ...],
    speed: float,
    for_text: str,
    resume: Path | None,
    as_json: bool,
) -> None:
    """Start or resume a paper desk and run it until the feed ends, the time is up, or ctrl-C."""
    _check_speed(speed)
    for_ns = _duration(for_text)
    if resume is not None:
        desk = resume_paper(resume)
    else:
        if config_path is None:
            raise InputError("paper needs a configuration, such as config/demo.yaml, or --resume RUN.")
        config = load_config(config_path, overrides)
        source = open_market(config, data, seed_prices)
        desk = open_paper(config, source, new_folder(out, config.name), data, seed_prices, config_path)
    _run(desk, speed, for_ns, as_json)


def run_demo(speed: float, for_text: str, out: Path | None, as_json: bool) -> None:
    """The synthetic market with the shipped demo configuration."""
    _check_speed(speed)
    for_ns = _duration(for_text)
    config = demo_config()
    source = open_market(config, None)
    _run(open_paper(config, source, new_folder(out, config.name), None), speed, for_ns, as_json)


def demo_config() -> RunConfig:
    """The configuration that the package ships."""
    text = importlib.resources.files("voldesk.app").joinpath("demo.yaml").read_text(encoding="utf-8")
    return parse_config(text, "demo.yaml")


def _check_speed(speed: float) -> None:
    if not 0.0 <= speed <= 1e6:
        raise InputError(f"--speed {speed}: expected feed seconds per second from 0 (unpaced) to 1000000.")


def _duration(text: str) -> int:
    try:
        return parse_duration(text) if text else 0
    except InputError as error:
        raise InputError(f"--for: {error}") from None


def _run(desk: PaperDesk, speed: float, for_ns: int, as_json: bool) -> None:
    from rich.console import Console
    from rich.live import Live

    from voldesk.app.live_view import LiveView

    stopping: list[int] = []
    previous = {s: signal.signal(s, lambda number, _: stopping.append(number)) for s in (signal.SIGINT, signal.SIGTERM)}
    console = Console()
    show = console.is_terminal and not as_json
    view = LiveView(desk.wired, speed)
    began = time.perf_counter()
    with Live(console=console, screen=True, auto_refresh=False) if show else nullcontext() as screen:

        def on_tick(wired: Wired) -> None:
            if wired.engine.begun:
                view.tick()
                if screen is not None:
                    screen.update(view.render(*console.size), refresh=True)

        try:
            live(desk, speed, stop_time(desk.source.start_ns, for_ns), lambda: bool(stopping), on_tick)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
    _close(desk, time.perf_counter() - began, as_json, console.print)


def _close(desk: PaperDesk, wall_s: float, as_json: bool, say: Callable[[str], Any]) -> None:
    desk.wired.engine.desk.finish(desk.wired.engine.now_ns)
    desk.close()
    done = finish(desk.wired, desk.folder, wall_s, report=True)
    if as_json:
        print(json.dumps(done.summary))
        return
    summary = desk.wired.parts.ledger.summary()
    currency = summary.currency
    say(f"equity {to_text(summary.equity_end, currency)} {currency}, P&L {to_text(summary.total, currency)} {currency}")
    say(f"run folder: {desk.folder} (report.html inside)")

"""`voldesk warm`: compile every kernel into the on-disk cache, saying which and how long."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import pkgutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Final

import voldesk
from voldesk.core.compile_notice import hush
from voldesk.core.units import NS_PER_MINUTE

_MOST_WORKERS: Final = 8  # each holds a compiler of some 300 MB
DESK_ROOMS: Final = ("market", "portfolio", "strategies")
DESK_MATHS: Final = frozenset({"black price", "coin greeks", "implied volatility", "surface fit"})
"""What a running desk needs; the rest of pricing and surface is for analysts."""


def _rooms_with_kernels() -> list[str]:
    """Every module `warm` of a room: it lists the room's kernels."""
    found = [module.name for module in pkgutil.walk_packages(voldesk.__path__, "voldesk.")]
    return [name for name in found if name.endswith(".warm") and ".app." not in name]


def _compile(module: str, index: int) -> float:
    """One kernel of one room, in a worker; seconds it took. What it compiles lands in the cache that all share."""
    hush()
    start = time.perf_counter()
    importlib.import_module(module).warm()[index][1]()
    return time.perf_counter() - start


def rehearse() -> object:
    """The demo desk for half an hour of its own time, in a folder that is thrown away: whatever kernel the rooms do
    not list is met here, and not by a user's first command."""
    from voldesk.app.commands.paper import demo_config
    from voldesk.app.paper import live, open_paper, stop_time
    from voldesk.app.run import finish
    from voldesk.app.sources import open_market

    config = demo_config()
    source = open_market(config, None)
    with tempfile.TemporaryDirectory() as folder:
        desk = open_paper(config, source, Path(folder), None)
        live(desk, 0.0, stop_time(source.start_ns, 30 * NS_PER_MINUTE), lambda: False, lambda wired: None)
        desk.wired.engine.desk.finish(desk.wired.engine.now_ns)
        desk.close()
        return finish(desk.wired, desk.folder, 1.0, report=True).summary["trades"]


def kernels(desk_only: bool) -> list[tuple[str, int, str]]:
    """Module, index and name of every kernel, or of those that a running desk meets."""
    found = []
    for module in _rooms_with_kernels():
        room = module.split(".")[1]
        for index, (name, _) in enumerate(importlib.import_module(module).warm()):
            if not desk_only or room in DESK_ROOMS or name in DESK_MATHS:
                found.append((module, index, f"{room}: {name}"))
    # The longest first, so that no worker is left with one at the end: surface, then pricing.
    return sorted(found, key=lambda kernel: kernel[0], reverse=True)


def run_warm(desk_only: bool, as_json: bool) -> None:
    """Run every kernel once, several at a time; a second run takes seconds because the machine code is on disk."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    hush()
    work = kernels(desk_only)
    took: dict[str, float] = {}
    start = time.perf_counter()
    columns = (TextColumn("{task.description:<44}"), BarColumn(24), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeElapsedColumn(), disable=as_json) as progress:
        task = progress.add_task("compiling", total=len(work) + 1)
        # Compiling is single-threaded and takes minutes in all. Workers are spawned: a fork would inherit locks.
        workers = min(os.cpu_count() or 1, _MOST_WORKERS)
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            waiting = {pool.submit(_compile, module, index): name for module, index, name in work}
            for done in as_completed(waiting):
                took[waiting[done]] = round(done.result(), 3)
                progress.update(task, advance=1, description=waiting[done])
        progress.update(task, description="desk: a rehearsal")
        begun = time.perf_counter()
        rehearse()
        took["desk: a rehearsal"] = round(time.perf_counter() - begun, 3)
        progress.update(task, advance=1, description="kernels ready")
    if as_json:
        print(json.dumps({"kernels": took, "total_s": round(time.perf_counter() - start, 3)}))

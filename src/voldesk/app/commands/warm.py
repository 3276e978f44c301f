"""`voldesk warm`: compile every kernel into the on-disk cache, saying which and how long."""

from __future__ import annotations

import importlib
import json
import pkgutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import voldesk
from voldesk.core.units import NS_PER_MINUTE


def _rooms_with_kernels() -> Iterator[tuple[str, list[tuple[str, Callable[[], object]]]]]:
    """Every room that lists its kernels in a module `warm`."""
    for found in pkgutil.walk_packages(voldesk.__path__, "voldesk."):
        if found.name.endswith(".warm") and ".app." not in found.name:
            yield found.name.split(".")[1], list(importlib.import_module(found.name).warm())


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


def run_warm(as_json: bool) -> None:
    """Run each thunk once; a second run takes a few seconds because the machine code is on disk."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    work = [(room, name, thunk) for room, thunks in _rooms_with_kernels() for name, thunk in thunks]
    work.append(("desk", "a rehearsal", rehearse))
    took: dict[str, float] = {}
    columns = (TextColumn("{task.description:<38}"), BarColumn(24), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeElapsedColumn(), disable=as_json) as progress:
        task = progress.add_task("compiling", total=len(work))
        for room, name, thunk in work:
            progress.update(task, description=f"{room}: {name}")
            start = time.perf_counter()
            thunk()
            took[f"{room}.{name}"] = round(time.perf_counter() - start, 3)
            progress.advance(task)
        progress.update(task, description="kernels ready")
    if as_json:
        print(json.dumps({"kernels": took, "total_s": round(sum(took.values()), 3)}))

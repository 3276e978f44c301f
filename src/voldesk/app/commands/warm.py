"""`voldesk warm`: compile every kernel into the on-disk cache, saying which and how long."""

from __future__ import annotations

import importlib
import json
import pkgutil
import time
from collections.abc import Callable, Iterator

import voldesk


def _rooms_with_kernels() -> Iterator[tuple[str, list[tuple[str, Callable[[], object]]]]]:
    """Every room that lists its kernels in a module `warm`."""
    for found in pkgutil.walk_packages(voldesk.__path__, "voldesk."):
        if found.name.endswith(".warm") and ".app." not in found.name:
            yield found.name.split(".")[1], list(importlib.import_module(found.name).warm())


def run_warm(as_json: bool) -> None:
    """Run each thunk once; a second run takes a second or two because the machine code is on disk."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    work = [(room, name, thunk) for room, thunks in _rooms_with_kernels() for name, thunk in thunks]
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

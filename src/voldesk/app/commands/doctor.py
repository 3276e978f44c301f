"""`voldesk doctor`: what is here, what is missing, and the one command that mends it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Final, NamedTuple

REQUIRED: Final = ("numpy", "numba", "scipy", "pyarrow", "msgspec", "pydantic", "typer", "rich", "arch", "plotly")


class Finding(NamedTuple):
    part: str
    state: str  # "ok", "missing", "warning"
    detail: str
    remedy: str = ""


def _packages() -> list[Finding]:
    found = []
    for name in REQUIRED:
        try:
            found.append(Finding(name, "ok", importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            found.append(Finding(name, "missing", "not installed", "make setup"))
    return found


def _kernels() -> Finding:
    from voldesk.core import compiled

    compiled.prepare()
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    files = sum(1 for _ in folder.rglob("*.nbi")) if folder.exists() else 0
    if files == 0:
        return Finding("kernels", "warning", "not compiled for this version", "voldesk warm")
    return Finding("kernels", "ok", f"{files} in the cache")


def findings() -> list[Finding]:
    """Every check, in the order a newcomer meets the parts."""
    version = sys.version_info
    python = "ok" if version >= (3, 11) else "missing"
    checks = [Finding("python", python, platform.python_version(), "" if python == "ok" else "install Python 3.11+")]
    checks += _packages()
    checks.append(_kernels())
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    checks.append(
        Finding(
            "disk", "ok" if free_gb > 1.0 else "warning", f"{free_gb:.1f} GB free", "" if free_gb > 1 else "free some"
        )
    )
    node = shutil.which("node")
    checks.append(
        Finding(
            "node",
            "ok" if node else "warning",
            "found" if node else "absent; only the web desk will need it, and that is not here yet",
        )
    )
    return checks


def run_doctor(as_json: bool) -> None:
    checks = findings()
    bad = [check for check in checks if check.state == "missing"]
    if as_json:
        print(json.dumps({"healthy": not bad, "findings": [check._asdict() for check in checks]}))
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for column in ("part", "state", "found", "to mend it"):
            table.add_column(column)
        colour = {"ok": "green", "warning": "yellow", "missing": "red"}
        for check in checks:
            table.add_row(check.part, f"[{colour[check.state]}]{check.state}[/]", check.detail, check.remedy)
        Console().print(table)
    if bad:
        sys.exit(1)

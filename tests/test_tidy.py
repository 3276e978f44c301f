"""House rules a machine can see. A failure names the replacement."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "voldesk"
FILES = sorted(SOURCE.rglob("*.py"))
ABOVE = {"adapters", "app"}
BANNED = {
    r"\bdatetime\.now\(|\butcnow\(|\btime\.time\(|\btime_ns\(|\bperf_counter|\bmonotonic\(": "take the clock as an argument",
    r"\bdefault_rng\(|\bnp\.random\.(rand|randn|seed|normal|uniform)\b": "use core.rng.random_stream",
    r"^\s*import random\b|\brandom\.(random|gauss|uniform|choice)\(": "use core.rng.random_stream",
    r"^\s*(import|from) (asyncio|socket|requests|sqlite3|pickle)\b": "belongs in adapters or app (pickle: nowhere)",
}
ROOM_NAMES = {"utils", "util", "manager", "helpers", "helper", "common", "misc"}


def _ring_name(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_a_file_stays_within_its_budget(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 500, f"{path.name} has {len(lines)} lines; split it by method family (aim under 250)"
    assert path.stem not in ROOM_NAMES, f"{path.name}: name it for what it is in the trade"
    tree = ast.parse("\n".join(lines))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            decorators = {getattr(d, "id", getattr(d, "attr", "")) for d in node.decorator_list}
            budget = 150 if decorators & {"compiled", "fused", "inlined"} else 70
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= budget, f"{path.name}:{node.name} has {length} lines; at most {budget}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_no_banned_call(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"^\s*except\s*:", text, re.M), f"{path.name}: bare except; name the error"
    assert not re.search(r"except Exception:\s*\n\s*pass", text), f"{path.name}: swallowed error; handle or let it rise"
    if _ring_name(path) in ABOVE:
        return
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, remedy in BANNED.items():
            assert not re.search(pattern, line), f"{path.name}:{number}: {line.strip()}: {remedy}"


def test_only_the_gate_constructs_approved() -> None:
    makers = {
        path.relative_to(SOURCE).as_posix()
        for path in FILES
        if any(
            isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Approved"
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    }
    assert makers <= {"risk/gate.py"}, f"{makers}: only risk/gate.py may construct Approved"


def test_numba_is_only_reached_through_core_compiled() -> None:
    for path in FILES:
        if path.name not in ("compiled.py", "compile_notice.py"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"^\s*(import numba|from numba)", text, re.M), (
                f"{path.name}: use the decorators of voldesk.core.compiled, whose cache notices changes"
            )


def test_committed_files_carry_no_machine_path_or_download_address() -> None:
    for path in [*ROOT.glob("requirements/*"), *ROOT.glob("web/package-lock.json")]:
        assert "http://" not in path.read_text() and "https://" not in path.read_text(), f"{path.name} names a host"  # noqa: PT018

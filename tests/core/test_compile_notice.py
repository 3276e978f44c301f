"""A person who waits for the compiler is told so once; a pipe and a warm cache hear nothing."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

from voldesk.core.compile_notice import LINE

CODE = """
from voldesk.core.compiled import compiled
@compiled
def first(x): return x + 1
@compiled
def second(x): return first(x) * 2
assert second(1) == 4 and first(1.0) == 2.0
"""


def _said(tmp_path: Path, terminal: bool) -> str:
    script = tmp_path / "kernels.py"
    script.write_text(CODE)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    if not terminal:
        done = subprocess.run(
            [sys.executable, str(script)], capture_output=True, text=True, env=environment, check=True
        )
        return done.stderr
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, str(script)], stderr=theirs, env=environment, check=True)
    os.close(theirs)
    os.set_blocking(ours, False)
    try:
        return os.read(ours, 10_000).decode()
    except (BlockingIOError, OSError):  # nothing was written
        return ""
    finally:
        os.close(ours)


def test_a_terminal_hears_it_once_and_never_again(tmp_path: Path) -> None:
    assert _said(tmp_path, terminal=True).strip() == LINE
    assert _said(tmp_path, terminal=True) == "", "now the kernels are in the cache"


def test_a_pipe_hears_nothing(tmp_path: Path) -> None:
    assert _said(tmp_path, terminal=False) == ""

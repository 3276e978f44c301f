"""Rows shared out over threads: kernels let go of the interpreter lock, so threads of one process suffice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from voldesk.core.errors import InputError

LEAST_SHARE: Final = 8192
"""Rows below which a share is not worth its thread (about 50 microseconds)."""


def share_out(work: Callable[[int, int], object], rows: int, threads: int, least: int = LEAST_SHARE) -> None:
    """Call `work(first, last)` on consecutive ranges that cover 0 .. rows, at most `threads` at a time.

    With one thread, or too few rows for two, it is called once, here. What `work` raises is raised here. Results do
    not depend on `threads`, as long as `work` treats each row by itself. InputError for `threads` below 1.

    >>> share_out(lambda first, last: print(first, last), 10, 2, least=5)
    0 5
    5 10
    """
    if threads < 1:
        raise InputError(f"threads={threads}; expected 1 or more, at most the number of cores.")
    shares = max(1, min(threads, rows // max(least, 1)))
    if shares == 1:
        work(0, rows)
        return
    edges = [rows * share // shares for share in range(shares + 1)]
    with ThreadPoolExecutor(shares) as pool:
        for done in [pool.submit(work, edges[k], edges[k + 1]) for k in range(shares)]:
            done.result()

"""Kernels of this room, each with a small input, for `voldesk warm`."""

from __future__ import annotations

from collections.abc import Callable

from voldesk.market.two_clock import TwoClock


def warm() -> list[tuple[str, Callable[[], object]]]:
    return [("two-clock pass", lambda: TwoClock(2).run(0))]

"""One line to whoever waits while kernels compile for the first time; silent when they come from the cache."""

from __future__ import annotations

import sys
from typing import Any, Final

LINE: Final = (
    "voldesk: compiling numerical kernels (once per version; `voldesk warm` compiles all, with a progress bar)"
)


class FirstCompilation:
    """Numba notifies it of every real compilation; it speaks once, and only to a person: a terminal or a notebook."""

    def __init__(self) -> None:
        self.told = False

    def notify(self, event: Any) -> None:
        if self.told or not event.is_start:
            return
        self.told = True
        if sys.stderr.isatty() or "IPython" in sys.modules:
            print(LINE, file=sys.stderr, flush=True)


FIRST_COMPILATION: Final = FirstCompilation()


def listen() -> None:
    """Be notified from now on."""
    from numba.core import event

    event.Listener.register(FirstCompilation)  # an abstract class; numba itself is loaded no earlier than here
    event.register("numba:compile", FIRST_COMPILATION)


def hush() -> None:
    """Say nothing: a progress bar is shown instead."""
    FIRST_COMPILATION.told = True

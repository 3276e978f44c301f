"""Compile warm-up of the option formulas: each entry compiles one kernel (or loads it from the cache) when called."""

from __future__ import annotations

from collections.abc import Callable

from voldesk.pricing import black
from voldesk.pricing.implied_vol import implied_vol
from voldesk.pricing.revalue import OptionBook, Scenarios, revalue


def warm() -> list[tuple[str, Callable[[], object]]]:
    """Name and call of every public kernel, for a progress bar at set-up."""
    one = [100.0]
    call = [True]
    return [
        ("black price", lambda: black.price(one, one, 0.5, 0.3, 1.0, call)),
        ("black greeks", lambda: black.greeks(one, one, 0.5, 0.3, 1.0, call)),
        ("black greeks in spot", lambda: black.spot_greeks(one, one, 0.5, 0.3, 0.02, 0.0, call)),
        ("coin greeks", lambda: black.coin_greeks(one, one, 0.5, 0.3, call)),
        ("revaluation of a book", lambda: revalue(OptionBook(one, one, 0.5, 0.3, call), Scenarios([0.1]))),
        ("implied volatility", lambda: implied_vol([8.0], one, 100.0, 0.5, 1.0, call)),
    ]

"""What the book would be exposed to after an order: per position, per underlying, over the book.

Every working order may fill or not. Each is counted where it makes the exposure worse, in either direction: an
exposure is a band [low, high] around the book with the order filled, and the limit is held against its worse end.
A coin balance counts as delta where the book hedges its collateral. Only what is held, traded or working is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.core.money import to_float
from voldesk.core.orders import Leg
from voldesk.market.view import MarketView
from voldesk.portfolio.book import Book

HELD: Final = 0
ORDER: Final = 1
BUYS: Final = 2
SELLS: Final = 3

BASE: Final = 0  # of the book as held
STEP: Final = 1  # added by the order
UP: Final = 2  # added at most by working orders
DOWN: Final = 3  # added at least (negative) by working orders


class Simulated(NamedTuple):
    """The book before and after. ids (n,) rising; lots (n, 4) int64: HELD, ORDER, BUYS and SELLS still working.
    `rows` are the lots again as plain numbers."""

    ids: IntArray
    lots: IntArray
    rows: list[list[int]]


def simulate(held: IntArray, legs: Iterable[Leg], working: Mapping[int, tuple[int, int]]) -> Simulated:
    """Merge held positions (m, 2), an order's legs and working lots into one table of instruments."""
    rows: dict[int, list[int]] = {instrument: [lots, 0, 0, 0] for instrument, lots in held.tolist()}
    for leg in legs:
        rows.setdefault(leg.instrument, [0, 0, 0, 0])[ORDER] += leg.lots
    for instrument, (buys, sells) in working.items():
        row = rows.setdefault(instrument, [0, 0, 0, 0])
        row[BUYS], row[SELLS] = buys, sells
    ids = sorted(rows)
    lots = [rows[i] for i in ids]
    return Simulated(np.array(ids, np.int64), np.array(lots, np.int64).reshape(len(ids), 4), lots)


@compiled
def bands(columns: FloatArray, lots: IntArray, group: IntArray, groups: int, out: FloatArray) -> None:
    """Sum columns (k, n) of one lot over lots (n, 4) into out (k, 1 + groups + n, 4): BASE, STEP, UP, DOWN.

    Rows: the whole book, then each group (`group` says which each instrument is in), then each instrument. Lots of
    zero add nothing even where the column is NaN; any other unknown leaves its sums unknown.
    """
    out[:] = 0.0
    for k in range(columns.shape[0]):
        for j in range(lots.shape[0]):
            unit = columns[k, j]
            base = lots[j, 0] * unit if lots[j, 0] != 0 else 0.0
            step = lots[j, 1] * unit if lots[j, 1] != 0 else 0.0
            buys = lots[j, 2] * unit if lots[j, 2] != 0 else 0.0
            sells = lots[j, 3] * unit if lots[j, 3] != 0 else 0.0
            # Not max(): the unknown must stay unknown.
            up = (buys if not buys <= 0.0 else 0.0) + (sells if not sells <= 0.0 else 0.0)
            down = (buys if not buys >= 0.0 else 0.0) + (sells if not sells >= 0.0 else 0.0)
            for row in (0, 1 + int(group[j]), 1 + groups + j):
                out[k, row, 0] += base
                out[k, row, 1] += step
                out[k, row, 2] += up
                out[k, row, 3] += down


@compiled
def most_used(out: FloatArray, places: IntArray, values: FloatArray) -> float:
    """Largest share of any limit that the projected bands reach, infinite where one is unknown.

    places (l, 3): which unit, first and last row of `bands`' result that the limit holds for; values (l,)."""
    worst = 0.0
    for x in range(places.shape[0]):
        k = places[x, 0]
        for row in range(places[x, 1], places[x, 2] + 1):
            base = out[k, row, 0] + out[k, row, 1]
            size = max(abs(base + out[k, row, 2]), abs(base + out[k, row, 3])) / values[x]
            if math.isnan(base + out[k, row, 2] + out[k, row, 3]):
                return math.inf
            worst = max(worst, size)
    return worst


def collateral_delta(book: Book, view: MarketView) -> tuple[tuple[int, float], ...]:
    """(underlying, coin) that the book wants hedged with its positions; nothing unless it hedges its collateral."""
    if not book.hedge_collateral:
        return ()
    names = view.table.underlyings
    return tuple(
        (names.index(currency), to_float(account.equity(), currency))
        for currency, account in book.accounts.items()
        if currency in names
    )

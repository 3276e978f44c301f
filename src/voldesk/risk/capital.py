"""How much of the equity an order would tie up (DESIGN §4), in the book's numeraire, as shares of equity.

position ratio   (initial margin + long option premium) / equity
free cash        (equity - market value of options and owned instruments - initial margin) / equity
single position  larger of market value and margin of one instrument / equity; futures have no market value
margin           initial margin / margin balance; the balance counts options only where the margin model does

Working orders count where they make each figure worse. Where every position is margined by itself that is exact:
requirement and premium grow with distance from zero, so each instrument is looked at at both ends of its band. The
risk matrix nets positions: it is asked for four books (no, all buying, all selling, all working orders filled) and
the worst counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.instruments.spec import Kind
from voldesk.instruments.table import InstrumentTable
from voldesk.portfolio.margin import MarginModel, MatrixMargin, initial_and_maintenance
from voldesk.risk.exposure import BUYS, HELD, ORDER, SELLS
from voldesk.risk.lots import Priced


class Figures(NamedTuple):
    """Shares of equity of one book; `single` per instrument, shape (n,)."""

    position_ratio: float
    free_cash: float
    margin: float
    single: FloatArray


class Capital(NamedTuple):
    current: Figures
    projected: Figures


_SPOT: Final = int(Kind.SPOT)
_EQUITY: Final = int(Kind.EQUITY)
_OPTION: Final = int(Kind.OPTION)


def capital(
    table: InstrumentTable, model: MarginModel, priced: Priced, lots: IntArray, equity: float, now_ns: int
) -> Capital:
    """Figures before and after the order. lots (n, 4) as in `Simulated`; equity in the numeraire.

    Figures are NaN where a price or rate that is needed is missing, or equity is not positive.
    """
    worth = equity if equity > 0.0 else float("nan")
    count = lots.shape[0]
    ends = np.empty((4, count), np.int64)
    rows = np.empty((2, 4 * count), np.int64)
    prices = np.empty((2, 4 * count))
    lay_out_ends(lots, priced.risk.ids, priced.marks, priced.forward, ends, rows, prices)
    if isinstance(model, MatrixMargin):
        middle = np.stack([lots[:, HELD], ends[0] + lots[:, BUYS]])
        return Capital(
            _matrix_figures(table, model, priced, np.concatenate([ends[:2], middle]), worth, now_ns),
            _matrix_figures(table, model, priced, np.concatenate([ends[2:], middle + lots[:, ORDER]]), worth, now_ns),
        )
    margins = model.per_position(rows[0], rows[1], prices[0], prices[1])[0].reshape(4, count)
    out = np.empty((2, 3))
    single = np.empty((2, count))
    position_figures(ends, margins, priced.risk.value, priced.to_numeraire, priced.kind, worth, out, single)
    before, after = out.tolist()
    return Capital(
        Figures(before[0], before[1], before[2], single[0]), Figures(after[0], after[1], after[2], single[1])
    )


@compiled
def lay_out_ends(
    lots: IntArray,
    ids: IntArray,
    marks: FloatArray,
    forwards: FloatArray,
    ends: IntArray,
    rows: IntArray,
    prices: FloatArray,
) -> None:
    """ends (4, n): lots with working sales, with working buys, before the order, then after it; rows (2, 4n): ids and
    lots of each end; prices (2, 4n): marks and forwards."""
    count = lots.shape[0]
    for end in range(4):
        side = SELLS if end % 2 == 0 else BUYS
        for j in range(count):
            held = lots[j, HELD] + lots[j, side]
            if end >= 2:
                held += lots[j, ORDER]
            ends[end, j] = held
            rows[0, end * count + j] = ids[j]
            rows[1, end * count + j] = held
            prices[0, end * count + j] = marks[j]
            prices[1, end * count + j] = forwards[j]


@compiled
def position_figures(
    ends: IntArray,
    margins: FloatArray,
    value: FloatArray,
    to_numeraire: FloatArray,
    kind: IntArray,
    equity: float,
    out: FloatArray,
    single: FloatArray,
) -> None:
    """out (2, 3): position ratio, free cash, margin; single (2, n). ends, margins (4, n): the book before (low, high
    end) and after; margins in settle currency as of `ends`, value of one lot. Zero lots of the unknown are zero."""
    for when in range(2):
        used, tied, needed, premium = 0.0, 0.0, 0.0, 0.0
        for j in range(ends.shape[1]):
            most_used, most_tied, most_margin, most_value = 0.0, -math.inf, 0.0, -math.inf
            largest = 0.0
            for end in (2 * when, 2 * when + 1):
                lots = ends[end, j]
                margin = margins[end, j] * to_numeraire[j] if lots != 0 else 0.0
                market = 0.0
                if lots != 0 and (kind[j] == _OPTION or kind[j] == _SPOT or kind[j] == _EQUITY):
                    market = lots * value[j] * to_numeraire[j]
                paid = market if kind[j] == _OPTION and not market <= 0.0 else 0.0
                # Not max(): the unknown must stay unknown.
                most_used = margin + paid if not margin + paid <= most_used else most_used
                most_tied = margin + market if not margin + market <= most_tied else most_tied
                most_margin = margin if not margin <= most_margin else most_margin
                most_value = market if not market <= most_value else most_value
                size = abs(market) if not abs(market) <= margin else margin
                largest = size if not size <= largest else largest
            used += most_used
            tied += most_tied
            needed += most_margin
            premium += most_value if kind[j] == _OPTION else 0.0
            single[when, j] = largest / equity
        out[when, 0] = used / equity
        out[when, 1] = 1.0 - tied / equity
        balance = equity - premium
        if needed == 0.0:
            out[when, 2] = 0.0
        else:
            out[when, 2] = needed / balance if not balance <= 0.0 else math.inf


def _times(lots: IntArray, each: FloatArray) -> FloatArray:
    """lots x each, where zero lots of something unknown are zero."""
    return np.where(lots == 0, 0.0, lots * each)


def _matrix_figures(
    table: InstrumentTable, model: MatrixMargin, priced: Priced, books: IntArray, equity: float, now_ns: int
) -> Figures:
    """The worst of several books (b, n); the first two are each instrument's ends."""
    kind = priced.kind
    has_value = (kind == _OPTION) | (kind == _SPOT) | (kind == _EQUITY)
    value = np.where(has_value, priced.risk.value * priced.to_numeraire, 0.0)
    ask = _matrix_margin(table, model, priced, now_ns)
    ratio, free, margin = [], [], []
    for lots in books:
        needed, market = ask(lots), _times(lots, value)
        premium = float(np.sum(np.maximum(market, 0.0)[kind == _OPTION]))
        ratio.append((needed + premium) / equity)
        free.append(1.0 - (float(np.sum(market)) + needed) / equity)
        margin.append(needed / equity)
    single = np.zeros(priced.risk.ids.size)
    for lots in books[:2]:
        alone = np.array([ask(np.where(np.arange(lots.size) == j, lots, 0)) for j in range(lots.size)])
        single = np.maximum(single, np.maximum(np.abs(_times(lots, value)), alone))
    return Figures(float(np.max(ratio)), float(np.min(free)), float(np.max(margin)), single / equity)


def _matrix_margin(
    table: InstrumentTable, model: MatrixMargin, priced: Priced, now_ns: int
) -> Callable[[IntArray], float]:
    rate_of = {
        table[i].settle_currency: float(rate)
        for i, rate in zip(priced.risk.ids.tolist(), priced.to_numeraire.tolist(), strict=True)
    }

    def needed(lots: IntArray) -> float:
        live = np.flatnonzero(lots)
        if not live.size:
            return 0.0
        ids = priced.risk.ids[live]
        found = initial_and_maintenance(
            table, ids, lots[live], priced.marks[live], priced.forward[live], model, priced.risk.sigma[live], now_ns
        )
        return sum(requirement.initial * rate_of[currency] for currency, requirement in found.items())

    return needed

"""What the book would be exposed to after an order: per position, per underlying, over the book.

Every working order may fill or not. Each is counted where it makes the exposure worse, in either direction: an
exposure is a band [low, high] around the book with the order filled, and the limit is held against its worse end.
Deltas are net deltas (coin-settled options: Black delta less premium), as the hedger's; a coin balance counts as
delta where the book hedges its collateral. Deltas of different underlyings are never added but as money or through
betas. Only what is held, traded or working is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import numpy as np

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.core.money import to_float
from voldesk.core.orders import Leg
from voldesk.core.units import DAYS_PER_YEAR
from voldesk.market.state import Field
from voldesk.market.view import MarketView
from voldesk.portfolio.book import Book
from voldesk.portfolio.columns import INVERSE, KIND, OPTION, SETTLE, SETTLEMENT, UNDERLYING, mark_of, usd_per_settle
from voldesk.portfolio.numeraire import AT_PAR
from voldesk.portfolio.scenario import ScenarioGrid, revalue_kernel
from voldesk.portfolio.valuation import PositionRisk, Valuer
from voldesk.risk.limits import Code

_FORWARD: Final = int(Field.FORWARD)
_INDEX: Final = int(Field.INDEX)

HELD: Final = 0
ORDER: Final = 1
BUYS: Final = 2
SELLS: Final = 3

BASE: Final = 0  # of the book as held
STEP: Final = 1  # added by the order
UP: Final = 2  # added at most by working orders
DOWN: Final = 3  # added at least (negative) by working orders


class Betas(NamedTuple):
    """Beta of each underlying to one index or share, the benchmark (beta 1), for deltas in its share equivalents."""

    benchmark: str = ""
    betas: Mapping[str, float] = {}

    def of(self, underlying: str) -> float:
        """NaN for an underlying without a beta: its exposure is then unknown, not zero."""
        return 1.0 if underlying == self.benchmark else self.betas.get(underlying, float("nan"))


class Simulated(NamedTuple):
    """The book before and after. ids (n,) rising; lots (n, 4) int64: HELD, ORDER, BUYS and SELLS still working."""

    ids: IntArray
    lots: IntArray


def simulate(held: IntArray, legs: Iterable[Leg], working: Mapping[int, tuple[int, int]]) -> Simulated:
    """Merge held positions (m, 2), an order's legs and working lots into one table of instruments."""
    rows: dict[int, list[int]] = {instrument: [lots, 0, 0, 0] for instrument, lots in held.tolist()}
    for leg in legs:
        rows.setdefault(leg.instrument, [0, 0, 0, 0])[ORDER] += leg.lots
    for instrument, (buys, sells) in working.items():
        row = rows.setdefault(instrument, [0, 0, 0, 0])
        row[BUYS], row[SELLS] = buys, sells
    ids = sorted(rows)
    lots = np.array([rows[i] for i in ids], np.int64).reshape(len(ids), 4)
    return Simulated(np.array(ids, np.int64), lots)


class Priced(NamedTuple):
    """One lot of each simulated instrument, shape (n,) each.

    risk: one lot's value and Greeks. marks: price in quote currency. spot: price of the underlying in its own
    currency (index, else forward, else the mark of a delta-one contract). forward: of an option's own expiry, else
    the spot. to_numeraire: the book's currency per
    settle unit; NaN where no rate is known. underlying: index into the table's underlyings.
    """

    risk: PositionRisk
    marks: FloatArray
    spot: FloatArray
    forward: FloatArray
    to_numeraire: FloatArray
    underlying: IntArray
    is_option: BoolArray
    numeraire: str
    numeraire_usd: float


@compiled
def _readings(values: FloatArray, ints: IntArray, ids: IntArray, out: FloatArray) -> None:
    """out (4, n): mark, spot, dollars per settle unit, an option's forward, else the spot."""
    for j in range(ids.shape[0]):
        i = ids[j]
        mark = mark_of(values, i)
        spot = values[i, _INDEX]
        if not spot > 0.0:
            spot = values[i, _FORWARD]
        if not spot > 0.0 and ints[i, KIND] != OPTION:
            spot = mark
        out[0, j] = mark
        out[1, j] = spot
        out[2, j] = usd_per_settle(values, ints, i)
        out[3, j] = values[i, _FORWARD] if ints[i, KIND] == OPTION else spot


def price_lots(valuer: Valuer, ids: IntArray, numeraire: str) -> Priced:
    """Read the market once for all instruments that matter."""
    view, columns = valuer.view, valuer.columns
    ints, currencies, names = columns.ints, columns.settle_currencies, view.table.underlyings
    risk = valuer.risk(ids, np.ones(ids.size, np.int64))
    out = np.empty((4, ids.size))
    _readings(view.live.values, ints, ids, out)
    underlying = ints[ids, UNDERLYING]
    numeraire_usd = 1.0
    if numeraire not in AT_PAR:
        wanted = names.index(numeraire) if numeraire in names else -1
        ours = np.flatnonzero(underlying == wanted)
        # The full look-up walks the whole table; nearly always one of these instruments knows.
        numeraire_usd = float(out[1][ours[0]]) if ours.size else view.index_price(numeraire)
    to_numeraire = out[2] / numeraire_usd
    if numeraire in currencies:
        to_numeraire[ints[ids, SETTLE] == currencies.index(numeraire)] = 1.0
    return Priced(
        risk, out[0], out[1], out[3], to_numeraire, underlying, ints[ids, KIND] == OPTION, numeraire, numeraire_usd
    )


def greek_column(priced: Priced, code: Code, unit: str, view: MarketView, betas: Betas) -> FloatArray:
    """One Greek of one lot of each instrument in the unit of a limit, shape (n,); NaN where it cannot be known."""
    risk, table = priced.risk, view.table
    if code in (Code.VEGA, Code.THETA):
        vega = code is Code.VEGA
        if unit.startswith("usd"):
            return risk.vega_per_volpt_usd if vega else risk.theta_per_day_usd
        own = risk.vega_per_volpt if vega else risk.theta_per_day
        if unit.startswith("numeraire"):
            return own * priced.to_numeraire
        return own / table.multiplier[risk.ids]
    raw = risk.net_delta if code is Code.DELTA else risk.net_gamma_per_1pct
    if unit.startswith("underlying"):
        scaled = raw
    elif unit.startswith("contracts"):
        scaled = raw / table.multiplier[risk.ids]
    elif unit.startswith("usd"):
        scaled = raw * priced.spot
    elif unit.startswith("numeraire"):
        scaled = raw * priced.spot * _per_quote(priced, view)
    else:
        weight = _beta_weights(priced, view, betas)
        # A change of delta per index dollar: one weight for the units, one for the move.
        return raw * weight if code is Code.DELTA else raw * weight * weight / (0.01 * priced.spot)
    return scaled / (0.01 * priced.spot) if unit.endswith("_per_1") else scaled


def _per_quote(priced: Priced, view: MarketView) -> FloatArray:
    """Numeraire per unit of the currency that the underlying's price is in: dollars, unless all is in one currency."""
    table, numeraire = view.table, priced.numeraire
    if numeraire in AT_PAR:
        return np.ones(priced.risk.ids.size)
    own = [table[i].quote_currency == numeraire != table[i].underlying for i in priced.risk.ids.tolist()]
    return np.where(own, 1.0, 1.0 / priced.numeraire_usd)


def _beta_weights(priced: Priced, view: MarketView, betas: Betas) -> FloatArray:
    """Index shares per unit of each instrument's underlying: beta x price / index price."""
    names = [view.table.underlyings[u] for u in priced.underlying.tolist()]
    index_price = view.index_price(betas.benchmark)
    return np.array([betas.of(name) for name in names]) * priced.spot / index_price


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
def _lot_scenarios(
    values: FloatArray,
    ints: IntArray,
    floats: FloatArray,
    ids: IntArray,
    now_ns: int,
    sigma: FloatArray,
    status: IntArray,
    axes: FloatArray,
    counts: IntArray,
    pnl: FloatArray,
    pnl_usd: FloatArray,
) -> None:
    """The revaluation of `portfolio.scenario`, one lot of each instrument by itself."""
    one = np.ones((1, 2), np.int64)
    for j in range(ids.shape[0]):
        one[0, 0] = ids[j]
        revalue_kernel(
            values,
            ints,
            floats,
            one,
            now_ns,
            sigma[j : j + 1],
            status[j : j + 1],
            axes,
            counts,
            pnl[j],
            pnl_usd[j],
        )


def lot_scenarios(valuer: Valuer, priced: Priced, grid: ScenarioGrid) -> FloatArray:
    """P&L in the numeraire of one lot of each instrument, shape (scenarios, n); NaN where it cannot be known.

    A coin numeraire is itself worth the scenario's index: profit made in dollars buys more of a fallen coin.
    """
    view, columns, risk = valuer.view, valuer.columns, priced.risk
    ids = risk.ids
    axes = np.array((*grid.spot_shifts, *grid.vol_shifts, *(days / DAYS_PER_YEAR for days in grid.days_ahead)))
    currencies = columns.settle_currencies
    pnl = np.zeros((ids.size, len(currencies), *grid.shape))
    pnl_usd = np.zeros((ids.size, *grid.shape))
    counts = np.array(grid.shape, np.int64)
    live = view.live.values
    _lot_scenarios(
        live, columns.ints, columns.floats, ids, view.now_ns, risk.sigma, risk.status, axes, counts, pnl, pnl_usd
    )
    if priced.numeraire in AT_PAR:
        out = pnl_usd
    else:
        settle = columns.ints[ids, SETTLE]
        own = pnl[np.arange(ids.size), settle]
        place = currencies.index(priced.numeraire) if priced.numeraire in currencies else -1
        growth = 1.0 + np.array(grid.spot_shifts)[:, None, None]
        converted = pnl_usd / (priced.numeraire_usd * growth)
        out = np.where((settle == place)[:, None, None, None], own, converted)
    return np.ascontiguousarray(out.reshape(ids.size, out[0].size if ids.size else 0).T)


class Loss(NamedTuple):
    """Largest loss over the scenarios as a positive number, before and after the order; NaN when unknown."""

    current: float
    projected: float


@compiled
def _worst(scenarios: FloatArray, lots: IntArray) -> tuple[float, float]:
    """Lowest P&L over scenarios (s, n) before and after the order, each working order filled where it hurts."""
    before, after = 0.0, 0.0
    for s in range(scenarios.shape[0]):
        base, step = 0.0, 0.0
        for j in range(lots.shape[0]):
            gain = scenarios[s, j]
            if lots[j, 0] != 0:
                base += lots[j, 0] * gain
            if lots[j, 1] != 0:
                step += lots[j, 1] * gain
            for side in (2, 3):
                if lots[j, side] != 0 and not lots[j, side] * gain >= 0.0:
                    base += lots[j, side] * gain
        # Not min(): one scenario that is not known leaves the worst one unknown.
        before = base if not before <= base else before
        after = base + step if not after <= base + step else after
        if math.isnan(base + step):
            return (base, base + step)
    return (before, after)


def scenario_loss(scenarios: FloatArray, lots: IntArray) -> Loss:
    """Worst case over scenarios (s, n) and over which of the working orders (lots (n, 4)) fill."""
    before, after = _worst(scenarios, lots)
    return Loss(0.0 - before, 0.0 - after)


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


def lot_units(valuer: Valuer, instrument: int, mark: float) -> float:
    """Underlying units in one lot, at the current price for contracts sized in quote currency."""
    ints, size = valuer.columns.ints, float(valuer.view.table.contract_size[instrument])
    reciprocal = ints[instrument, SETTLEMENT] == INVERSE and ints[instrument, KIND] != OPTION
    return size / mark if reciprocal else size

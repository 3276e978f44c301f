"""What the book would be exposed to after an order: per position, per underlying, over the book.

Every working order may fill or not. Each is counted where it makes the exposure worse, in either direction: an
exposure is a band [low, high] around the book with the order filled, and the limit is held against its worse end.
Deltas are net deltas (coin-settled options: Black delta less premium), as the hedger's; a coin balance counts as
delta where the book hedges its collateral. Deltas of different underlyings are never added but as money or through
betas. Only what is held, traded or working is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
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


class Priced(NamedTuple):
    """One lot of each simulated instrument, shape (n,) each.

    risk: one lot's value and Greeks. marks: price in quote currency. spot: price of the underlying in its own
    currency (index, else forward, else the mark of a delta-one contract). forward: of an option's own expiry, else
    the spot. to_numeraire: the book's currency per settle unit; NaN where no rate is known. underlying: index into
    the table's underlyings. numeraire_usd: dollars per unit of the book's currency.
    """

    risk: PositionRisk
    marks: FloatArray
    spot: FloatArray
    forward: FloatArray
    to_numeraire: FloatArray
    underlying: IntArray
    kind: IntArray
    numeraire: str
    numeraire_usd: float


@compiled
def _readings(
    values: FloatArray, ints: IntArray, ids: IntArray, numeraire_underlying: int, out: FloatArray, terms: IntArray
) -> float:
    """out (4, n): mark, spot, an option's forward (else the spot), dollars per settle unit; terms (2, n): underlying,
    kind. Returns the price of the coin that is the numeraire, NaN when none of the instruments knows it."""
    numeraire_usd = math.nan
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
        out[2, j] = values[i, _FORWARD] if ints[i, KIND] == OPTION else spot
        out[3, j] = usd_per_settle(values, ints, i)
        terms[0, j] = ints[i, UNDERLYING]
        terms[1, j] = ints[i, KIND]
        if ints[i, UNDERLYING] == numeraire_underlying and not numeraire_usd > 0.0:
            numeraire_usd = spot
    return numeraire_usd


def price_lots(valuer: Valuer, ids: IntArray, numeraire: str) -> Priced:
    """Read the market once for all instruments that matter."""
    view, columns = valuer.view, valuer.columns
    ints, currencies, names = columns.ints, columns.settle_currencies, view.table.underlyings
    risk = valuer.risk(ids, np.ones(ids.size, np.int64))
    out = np.empty((4, ids.size))
    terms = np.empty((2, ids.size), np.int64)
    at_par = numeraire in AT_PAR
    wanted = names.index(numeraire) if not at_par and numeraire in names else -1
    numeraire_usd = _readings(view.live.values, ints, ids, wanted, out, terms)
    if at_par:
        numeraire_usd = 1.0
    elif not numeraire_usd > 0.0:
        numeraire_usd = view.index_price(numeraire)  # walks the whole table; nearly never needed
    to_numeraire = out[3] / numeraire_usd
    if numeraire in currencies:
        to_numeraire[ints[ids, SETTLE] == currencies.index(numeraire)] = 1.0
    return Priced(risk, out[0], out[1], out[2], to_numeraire, terms[0], terms[1], numeraire, numeraire_usd)


_UNIT_RULES: Final = (
    "underlying",
    "underlying_per_1pct",
    "underlying_per_1",
    "contracts",
    "contracts_per_1pct",
    "usd",
    "usd_per_1pct",
    "numeraire",
    "numeraire_per_1pct",
    "beta",
    "beta_per_1",
    "usd_per_volpt",
    "usd_per_day",
    "numeraire_per_volpt",
    "numeraire_per_day",
    "points_per_volpt",
    "points_per_day",
)
(
    _UNDERLYING,
    _UNDERLYING_1PCT,
    _UNDERLYING_1,
    _CONTRACTS,
    _CONTRACTS_1PCT,
    _USD,
    _USD_1PCT,
    _NUMERAIRE,
    _NUMERAIRE_1PCT,
    _BETA,
    _BETA_1,
    _USD_VOLPT,
    _USD_DAY,
    _NUMERAIRE_VOLPT,
    _NUMERAIRE_DAY,
    _POINTS_VOLPT,
    _POINTS_DAY,
) = range(len(_UNIT_RULES))
_RAW_ROWS: Final = {Code.DELTA: 0, Code.GAMMA: 1, Code.VEGA: 2, Code.THETA: 3}


def unit_rules(units: Sequence[tuple[Code, str]]) -> IntArray:
    """(k, 2) int64 for `greek_columns`: which Greek, and the rule of its unit."""
    rows = [(_RAW_ROWS[code], _UNIT_RULES.index(unit)) for code, unit in units]
    return np.array(rows, np.int64).reshape(len(rows), 2)


@compiled
def _columns(
    rules: IntArray,
    delta: FloatArray,
    gamma: FloatArray,
    vega: FloatArray,
    theta: FloatArray,
    vega_usd: FloatArray,
    theta_usd: FloatArray,
    spot: FloatArray,
    multiplier: FloatArray,
    to_numeraire: FloatArray,
    quote_to_numeraire: FloatArray,
    weight: FloatArray,
    out: FloatArray,
) -> None:
    """out (k, n): one Greek of one lot per row, by its unit. quote_to_numeraire: per unit of the spot's currency;
    weight: benchmark shares per unit of the underlying."""
    for k in range(rules.shape[0]):
        greek, rule = rules[k, 0], rules[k, 1]
        for j in range(delta.shape[0]):
            figure = delta[j] if greek == 0 else gamma[j] if greek == 1 else vega[j] if greek == 2 else theta[j]
            if rule == _UNDERLYING_1:
                figure /= 0.01 * spot[j]
            elif rule in (_CONTRACTS, _CONTRACTS_1PCT, _POINTS_VOLPT, _POINTS_DAY):
                figure /= multiplier[j]
            elif rule in (_USD, _USD_1PCT):
                figure *= spot[j]
            elif rule in (_NUMERAIRE, _NUMERAIRE_1PCT):
                figure *= spot[j] * quote_to_numeraire[j]
            elif rule == _BETA:
                figure *= weight[j]
            elif rule == _BETA_1:
                # Change of delta per benchmark dollar: one weight for the units, one for the move.
                figure *= weight[j] * weight[j] / (0.01 * spot[j])
            elif rule == _USD_VOLPT:
                figure = vega_usd[j]
            elif rule == _USD_DAY:
                figure = theta_usd[j]
            elif rule in (_NUMERAIRE_VOLPT, _NUMERAIRE_DAY):
                figure *= to_numeraire[j]
            out[k, j] = figure


def greek_columns(priced: Priced, rules: IntArray, view: MarketView, betas: Betas) -> FloatArray:
    """Greeks of one lot of each instrument in the units of limits, shape (k, n); NaN where one cannot be known."""
    risk, table = priced.risk, view.table
    ids, count = risk.ids, risk.ids.size
    quote = np.full(count, 1.0 / priced.numeraire_usd)
    if priced.numeraire not in AT_PAR and priced.numeraire not in table.underlyings:
        # Neither dollars nor a coin: the underlying's price is in that currency itself, or there is no rate.
        quote[:] = [1.0 if table[i].quote_currency == priced.numeraire else math.nan for i in ids.tolist()]
    weight = _beta_weights(priced, view, betas) if betas.benchmark else np.full(count, math.nan)
    out = np.empty((rules.shape[0], count))
    _columns(
        rules,
        risk.net_delta,
        risk.net_gamma_per_1pct,
        risk.vega_per_volpt,
        risk.theta_per_day,
        risk.vega_per_volpt_usd,
        risk.theta_per_day_usd,
        priced.spot,
        table.multiplier[ids],
        priced.to_numeraire,
        quote,
        weight,
        out,
    )
    return out


def delta_scale(priced: Priced, rules: IntArray, view: MarketView, betas: Betas) -> FloatArray:
    """What one unit of each instrument's underlying counts for in the delta units of `rules`, shape (k, n)."""
    one = priced._replace(risk=priced.risk._replace(net_delta=np.ones(priced.risk.ids.size)))
    return greek_columns(one, rules, view, betas)


def _beta_weights(priced: Priced, view: MarketView, betas: Betas) -> FloatArray:
    """Benchmark shares per unit of each instrument's underlying: beta x price / benchmark's price."""
    names = [view.table.underlyings[u] for u in priced.underlying.tolist()]
    benchmark = view.index_price(betas.benchmark)
    return np.array([betas.of(name) for name in names]) * priced.spot / benchmark


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
    numeraire_settle: int,
    numeraire_usd: float,
    currencies: int,
    out: FloatArray,
) -> None:
    """out (s, n): the revaluation of `portfolio.scenario`, one lot of each instrument by itself, in the numeraire.
    numeraire_settle: its place among the settle currencies or -1; numeraire_usd: 0 when it is at par with dollars."""
    one = np.ones((1, 2), np.int64)
    each = counts[1] * counts[2]
    pnl = np.empty((currencies, counts[0], counts[1], counts[2]))
    pnl_usd = np.empty((counts[0], counts[1], counts[2]))
    for j in range(ids.shape[0]):
        one[0, 0] = ids[j]
        pnl[:] = 0.0
        pnl_usd[:] = 0.0
        revalue_kernel(
            values, ints, floats, one, now_ns, sigma[j : j + 1], status[j : j + 1], axes, counts, pnl, pnl_usd
        )
        for a in range(counts[0]):
            growth = 1.0 + axes[a]
            for b in range(counts[1]):
                for c in range(counts[2]):
                    if ints[ids[j], SETTLE] == numeraire_settle:
                        gain = pnl[numeraire_settle, a, b, c]
                    elif numeraire_usd == 0.0:
                        gain = pnl_usd[a, b, c]
                    else:
                        gain = pnl_usd[a, b, c] / (numeraire_usd * growth)
                    out[a * each + b * counts[2] + c, j] = gain


class Shocks(NamedTuple):
    """A scenario grid laid out for the kernel."""

    axes: FloatArray
    counts: IntArray

    @classmethod
    def of(cls, grid: ScenarioGrid) -> Shocks:
        years = (days / DAYS_PER_YEAR for days in grid.days_ahead)
        return cls(np.array((*grid.spot_shifts, *grid.vol_shifts, *years)), np.array(grid.shape, np.int64))


def lot_scenarios(valuer: Valuer, priced: Priced, shocks: Shocks) -> FloatArray:
    """P&L in the numeraire of one lot of each instrument, shape (scenarios, n); NaN where it cannot be known.

    A coin numeraire is itself worth the scenario's index: profit made in dollars buys more of a fallen coin.
    """
    view, columns, risk = valuer.view, valuer.columns, priced.risk
    currencies = columns.settle_currencies
    place = currencies.index(priced.numeraire) if priced.numeraire in currencies else -1
    counts = shocks.counts
    out = np.empty((int(counts[0] * counts[1] * counts[2]), risk.ids.size))
    _lot_scenarios(
        view.live.values,
        columns.ints,
        columns.floats,
        risk.ids,
        view.now_ns,
        risk.sigma,
        risk.status,
        shocks.axes,
        counts,
        place,
        0.0 if priced.numeraire in AT_PAR else priced.numeraire_usd,
        len(currencies),
        out,
    )
    return out


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

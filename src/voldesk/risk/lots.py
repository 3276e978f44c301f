"""One lot of everything that is held, traded or working: price, Greeks in the units of limits, rate to the numeraire.

Deltas are net deltas (coin-settled options: Black delta less premium), as the hedger's. Sources: `portfolio.valuation`
for the figures, DESIGN §4 for the units. What cannot be known is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.market.state import Field
from voldesk.market.view import MarketView
from voldesk.portfolio.columns import INVERSE, KIND, OPTION, SETTLE, SETTLEMENT, UNDERLYING, mark_of, usd_per_settle
from voldesk.portfolio.numeraire import AT_PAR
from voldesk.portfolio.valuation import PositionRisk, Valuer
from voldesk.risk.limits import Code

_FORWARD: Final = int(Field.FORWARD)
_INDEX: Final = int(Field.INDEX)


class Betas(NamedTuple):
    """Beta of each underlying to one index or share, the benchmark (beta 1), for deltas in its share equivalents."""

    benchmark: str = ""
    betas: Mapping[str, float] = {}

    def of(self, underlying: str) -> float:
        """NaN for an underlying without a beta: its exposure is then unknown, not zero."""
        return 1.0 if underlying == self.benchmark else self.betas.get(underlying, float("nan"))


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


def lot_units(valuer: Valuer, instrument: int, mark: float) -> float:
    """Underlying units in one lot, at the current price for contracts sized in quote currency."""
    ints, size = valuer.columns.ints, float(valuer.view.table.contract_size[instrument])
    reciprocal = ints[instrument, SETTLEMENT] == INVERSE and ints[instrument, KIND] != OPTION
    return size / mark if reciprocal else size

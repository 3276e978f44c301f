"""The scenario-loss figure: full revaluation over spot x vol x time, with working orders filled where they hurt.

Source: `portfolio.scenario`, asked for one lot of each instrument, so that any book is a sum.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.core.units import DAYS_PER_YEAR
from voldesk.portfolio.columns import SETTLE
from voldesk.portfolio.numeraire import AT_PAR
from voldesk.portfolio.scenario import ScenarioGrid, revalue_kernel
from voldesk.portfolio.valuation import Valuer
from voldesk.risk.lots import Priced


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

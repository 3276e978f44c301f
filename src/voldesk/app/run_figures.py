"""Figures computed from a run's tables: equity by day, drawdown, costs in vol points, break-even, funding sensitivity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from voldesk.app.round_trips import GammaAccount, RoundTrip
from voldesk.app.run_tables import RunTables
from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.money import COINS, to_float
from voldesk.core.units import NS_PER_DAY, NS_PER_YEAR, VOL_POINTS_PER_UNIT
from voldesk.portfolio.numeraire import convert
from voldesk.portfolio.position import exact_price


@dataclass(frozen=True, slots=True)
class EquityCurve:
    """Equity of some books together at every mark time: integer units and floats, shapes (n,); `start_units` deposits."""

    currency: str
    start_units: int
    ts_ns: IntArray
    units: list[int]
    value: FloatArray
    index: FloatArray


def equity_curve(tables: RunTables, books: Sequence[str]) -> EquityCurve:
    """Books of one numeraire added up; between its marks a book counts as last marked, before its first as deposited."""
    rows = sorted((mark for name in books for mark in tables.marks.of(name)), key=lambda mark: mark.ts_ns)
    latest = {name: tables.equity_start_units(name) or 0 for name in books}
    start = sum(latest.values())
    times: list[int] = []
    units: list[int] = []
    index: list[float] = []
    for mark in rows:
        latest[mark.book] = mark.equity_units
        if times and times[-1] == mark.ts_ns:
            units[-1] = sum(latest.values())
        else:
            times.append(mark.ts_ns)
            units.append(sum(latest.values()))
            index.append(mark.index)
    currency = rows[0].currency if rows else "USD"
    value = np.array([to_float(u, currency) for u in units])
    return EquityCurve(currency, start, np.array(times, np.int64), units, value, np.array(index))


def daily_pnl(curve: EquityCurve) -> tuple[IntArray, FloatArray]:
    """(days since 1970 UTC without a gap, P&L of each in currency). A day without a mark earned nothing yet."""
    if not curve.ts_ns.size:
        return np.zeros(0, np.int64), np.zeros(0)
    days = curve.ts_ns // NS_PER_DAY
    every = np.arange(days[0], days[-1] + 1)
    last = np.searchsorted(days, every, side="right") - 1
    levels = [curve.start_units, *(curve.units[place] for place in last)]
    return every, np.array([to_float(b - a, curve.currency) for a, b in pairwise(levels)])


def realised_after(ts_ns: IntArray, price: FloatArray, horizon_ns: int) -> FloatArray:
    """Realised vol (decimal per year, around zero mean) from each time over the horizon that followed: hindsight.

    NaN where the series ends before the horizon does. Shapes (n,); prices at rising times.
    """
    out = np.full(ts_ns.shape, np.nan)
    if ts_ns.size < 2:
        return out
    squares = np.concatenate([[0.0], np.cumsum(np.diff(np.log(price)) ** 2)])
    end = np.searchsorted(ts_ns, ts_ns + horizon_ns, side="right") - 1
    whole = ts_ns + horizon_ns <= ts_ns[-1]
    years = (ts_ns[end] - ts_ns) / NS_PER_YEAR
    usable = whole & (years > 0.0)
    out[usable] = np.sqrt((squares[end] - squares)[usable] / years[usable])
    return out


@dataclass(frozen=True, slots=True)
class LegCosts:
    """Per option leg and side, weighted by vega, in vol points, positive is a cost. `legs` counts the fills with a vega.

    half_spread: fill against the official mark when it came, as the explain books it. fee. off_surface: fill against the
    fitted surface; beyond half_spread it says that trades are entered where the fit is off.
    """

    half_spread: float
    fee: float
    off_surface: float
    legs: int


def leg_costs(tables: RunTables, slippage: Mapping[int, float]) -> LegCosts:
    """slippage: of each instrument over the run, in its settle currency, negative is a cost (the explain's sign)."""
    known = [f for f in tables.fills if f.is_option and abs(f.vega_volpt_usd) > 0.0 and f.index > 0.0]
    vega = sum(abs(f.vega_volpt_usd) for f in known)
    if not known:
        return LegCosts(math.nan, math.nan, math.nan, 0)
    fees = sum(to_float(f.fee_units, f.fee_currency) * _usd(f.fee_currency, f.index) for f in known)
    spread = 0.0
    for instrument in dict.fromkeys(f.instrument for f in known):
        mine = [f for f in known if f.instrument == instrument]
        index = sum(f.index for f in mine) / len(mine)
        spread -= slippage.get(instrument, math.nan) * _usd(mine[0].settle_currency, index)
    fitted = [f for f in known if math.isfinite(f.iv) and math.isfinite(f.fitted_iv)]
    weight = sum(abs(f.vega_volpt_usd) for f in fitted)
    off = sum((f.iv - f.fitted_iv) * f.vega_volpt_usd for f in fitted) * VOL_POINTS_PER_UNIT
    return LegCosts(spread / vega, fees / vega, off / weight if weight > 0.0 else math.nan, len(known))


def _usd(currency: str, index: float) -> float:
    return index if currency in COINS else 1.0


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Closed trips of one side together: vols are decimals, weighted by dollar gamma while open."""

    trips: int
    realised_vol: float
    implied_vol: float
    break_even_vol: float
    net_usd: float
    vol_points: float


def break_even(trips: Sequence[RoundTrip], is_long: bool) -> BreakEven:
    """What realised volatility the trades of a side met, paid for, and would have needed."""
    chosen = [trip for trip in trips if trip.is_long is is_long and trip.closed_ns and math.isfinite(trip.net_usd)]
    account = GammaAccount()
    for trip in chosen:
        account.add(trip.gamma)
    net = sum(trip.net_usd for trip in chosen)
    vega = sum(trip.entry_vega_usd for trip in chosen)
    return BreakEven(
        len(chosen),
        account.realised_vol,
        account.implied_vol,
        account.break_even_vol(net) if chosen else math.nan,
        net,
        net / vega if vega > 0.0 else math.nan,
    )


def vol_point_pnl(trips: Sequence[RoundTrip]) -> float:
    """Net of all closed trips per unit of vega traded at entry."""
    known = [trip for trip in trips if trip.closed_ns and math.isfinite(trip.net_usd)]
    vega = sum(trip.entry_vega_usd for trip in known)
    return sum(trip.net_usd for trip in known) / vega if vega > 0.0 else math.nan


def funding_per_bp(tables: RunTables, currency: str) -> int | None:
    """Units of `currency` that one basis point of funding rate per interval would have earned (negative: cost)."""
    total = 0
    for row in tables.funding:
        mark = next((m for m in reversed(tables.marks.of(row.book)) if m.ts_ns <= row.ts_ns), None)
        underlying = tables.table[row.instrument].underlying
        rates = {underlying: exact_price(mark.index)} if mark is not None and mark.index > 0.0 else {}
        added = convert(-row.position_units, row.currency, currency, rates)
        if added is None:
            return None
        total += added
    return round(total / 10_000)

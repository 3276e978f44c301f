"""`summary.json`: what a run came to, as one plain object. Money is text; what is not known is null, never zero.

`pnl.total` is `equity_end - equity_start` to the last unit and the sum of its other terms. The explain is floating point, given
with six digits beyond the smallest unit; its distance from `pnl.total` is `explain_gap`.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from voldesk.app.config import RunConfig
from voldesk.app.report.explained import ExplainTables, explain_tables
from voldesk.app.round_trips import RoundTrip, round_trips
from voldesk.app.run_figures import (
    EquityCurve,
    break_even,
    daily_pnl,
    equity_curve,
    funding_per_bp,
    leg_costs,
    vol_point_pnl,
)
from voldesk.app.run_tables import RunTables
from voldesk.core.money import exponent, to_float, to_text
from voldesk.core.rng import random_stream
from voldesk.engine.desk import DeskParts
from voldesk.execution.statistics import ExecutionStatistics
from voldesk.portfolio.explain_record import UnexplainedShare
from voldesk.portfolio.ledger import Ledger, LedgerSummary
from voldesk.stats.bootstrap import Interval, Statistic, block_bootstrap
from voldesk.stats.performance import max_drawdown, sharpe

EXPLAIN_TOLERANCE: Final = 1e-9
"""Of gross P&L: how far the explain's sum may lie from the ledger's total."""

DAYS_A_YEAR: Final = 365.0


def build_summary(
    config: RunConfig, parts: DeskParts, tables: RunTables, facts: Mapping[str, Any], trips: Sequence[RoundTrip] = ()
) -> dict[str, Any]:
    """The whole summary. `facts`: of recording and run (snapshots, quotes, wall_s, ...), taken over as they are."""
    ledger = parts.ledger
    total = ledger.summary()
    explain = explain_tables(parts.explainers, total.currency)
    trips = trips or round_trips(tables)
    curve = equity_curve(tables, list(ledger.books))
    summary: dict[str, Any] = {
        "name": config.name,
        "mode": tables.header.get("mode", ""),
        "start": _instant(curve.ts_ns[0]) if curve.ts_ns.size else None,
        "end": _instant(curve.ts_ns[-1]) if curve.ts_ns.size else None,
        "numeraire": config.account.numeraire,
    }
    summary |= _money(total)
    summary |= _performance(curve, total, config.seed)
    summary |= _explained(explain, total)
    summary |= _trading(tables, list(ledger.books), trips, explain, config)
    summary["execution"] = _execution(parts.executor.statistics)
    summary["books"] = [_book(ledger, tables, name, trips, config.seed) for name in ledger.books]
    return summary | dict(facts)


def _money(total: LedgerSummary) -> dict[str, Any]:
    assert total.equity_end - total.equity_start == total.total, "the ledger's terms do not add up to its equity"
    moved = total.translation_usd
    return {
        "currency": total.currency,
        "equity_start": to_text(total.equity_start, total.currency),
        "equity_end": to_text(total.equity_end, total.currency),
        "pnl": total.texts(),
        "translation": to_text(moved, "USD") if moved is not None else None,
        "translation_currency": "USD",
        "unconverted": list(total.unconverted),
    }


def _performance(curve: EquityCurve, total: LedgerSummary, seed: int) -> dict[str, Any]:
    """Drawdown over all marks; Sharpe ratio and intervals from UTC days, stationary block bootstrap."""
    _, daily = daily_pnl(curve)
    currency = total.currency
    fall = max_drawdown(curve.value)
    base = to_float(total.equity_start, currency)
    net = block_bootstrap(daily, Statistic.SUM, random_stream(seed, "bootstrap", "net"))
    ratio = block_bootstrap(daily, Statistic.SHARPE, random_stream(seed, "bootstrap", "sharpe"))
    return {
        "return": number(to_float(total.total, currency) / base) if base else None,
        "pnl_interval": {
            "low": _amount(net.low, currency),
            "high": _amount(net.high, currency),
            **_method(net),
        },
        "max_drawdown": {
            "amount": _amount(fall.amount, currency),
            "share": number(fall.share),
            "peak": _instant(curve.ts_ns[fall.peak]) if fall.peak >= 0 else None,
            "trough": _instant(curve.ts_ns[fall.trough]) if fall.trough >= 0 else None,
        },
        "sharpe": number(sharpe(daily, DAYS_A_YEAR)),
        "sharpe_interval": {"low": number(ratio.low), "high": number(ratio.high), **_method(ratio)},
        "days": int(daily.size),
        "days_up": int((daily > 0.0).sum()),
    }


def _method(interval: Interval) -> dict[str, Any]:
    return {
        "level": interval.level,
        "method": "stationary block bootstrap of daily P&L",
        "block_days": interval.block_length,
        "replications": interval.replications,
        "status": interval.status,
    }


def _explained(explain: ExplainTables, total: LedgerSummary) -> dict[str, Any]:
    currency = total.currency
    gap = math.fsum(explain.totals.values()) - to_float(total.total, currency)
    size = math.fsum(abs(value) for value in explain.totals.values())
    return {
        "explain": {name: _fine(value, currency) for name, value in explain.totals.items()},
        "explain_factors": {name: _fine(value, currency) for name, value in explain.factor_totals.items()},
        "explain_gap": _fine(gap, currency),
        "explain_adds_up": bool(abs(gap) <= EXPLAIN_TOLERANCE * size),
        "unexplained_share": {"own_iv": _share(explain.share), "factors": _share(explain.factor_share)},
    }


def _share(share: UnexplainedShare) -> dict[str, float | None]:
    """Daily |unexplained| over the sum of |terms|: median and p90; medians against |option P&L| and |hedged P&L|."""
    return {name: number(value) for name, value in share._asdict().items()}


def _trading(
    tables: RunTables, books: Sequence[str], trips: Sequence[RoundTrip], explain: ExplainTables, config: RunConfig
) -> dict[str, Any]:
    closed = [trip for trip in trips if trip.closed_ns]
    costs = leg_costs(tables, explain.slippage)
    hedges = {(fill.book, fill.intent_id) for fill in tables.fills if fill.purpose == "hedge"}
    per_bp = funding_per_bp(tables, explain.currency)
    return {
        "trades": len(trips),
        "trades_closed": len(closed),
        "trades_won": sum((trip.net_units or 0) > 0 for trip in closed),
        "hedges": len(hedges),
        "fills": {
            "options": sum(fill.is_option for fill in tables.fills),
            "others": sum(not fill.is_option for fill in tables.fills),
        },
        "vetoes": tables.veto_counts(),
        "warnings": dict(sorted(tables.warnings.items())),
        "exemptions": dict(sorted(tables.exemptions.items())),
        "notices": len(tables.notices),
        "vol_points": number(vol_point_pnl(trips)),
        "break_even": {
            side: {name: number(value) for name, value in _fields(break_even(trips, side == "long")).items()}
            for side in ("long", "short")
        },
        "costs": {
            "half_spread_volpt_per_leg": number(costs.half_spread),
            "fee_volpt_per_leg": number(costs.fee),
            "off_surface_volpt_per_leg": number(costs.off_surface),
            "legs": costs.legs,
            "fees": _fine(explain.totals["fees"], explain.currency),
            "slippage": _fine(explain.totals["slippage"], explain.currency),
            "carry": _fine(explain.totals["carry"], explain.currency),
            "funding_rate": str(config.venue.funding_rate),
            "funding_per_bp": to_text(per_bp, explain.currency) if per_bp is not None else None,
        },
    }


def _execution(statistics: ExecutionStatistics) -> list[dict[str, Any]]:
    """How orders were worked, by book and quote currency; slippage against the mid at arrival, positive is a cost."""
    return [
        {
            "book": book,
            "currency": currency,
            "legs": worked.legs,
            "orders": worked.orders,
            "fills": worked.fills,
            "fill_rate": number(worked.fill_rate),
            "timeouts": worked.timeouts,
            "retries": worked.retries,
            "exhausted": worked.exhausted,
            "mean_slippage_ticks": number(worked.mean_slippage_ticks),
            "slippage_cost": _amount(worked.slippage_cost, currency),
        }
        for (book, currency), worked in statistics.totals.items()
    ]


def _book(ledger: Ledger, tables: RunTables, name: str, trips: Sequence[RoundTrip], seed: int) -> dict[str, Any]:
    total = ledger.summary(name)
    mine = [trip for trip in trips if trip.book == name]
    curve = equity_curve(tables, [name])
    return {
        "name": name,
        **_money(total),
        **_performance(curve, total, seed),
        "trades": len(mine),
        "trades_won": sum((trip.net_units or 0) > 0 for trip in mine if trip.closed_ns),
        "hedges": len({fill.intent_id for fill in tables.fills if fill.purpose == "hedge" and fill.book == name}),
        "vetoes": sum(veto.book == name for veto in tables.vetoes),
        "vol_points": number(vol_point_pnl(mine)),
    }


def number(value: float) -> float | None:
    """A float that JSON can carry: null for NaN and infinities."""
    return float(value) if math.isfinite(value) else None


def _fields(record: Any) -> dict[str, float]:
    return {name: getattr(record, name) for name in record.__slots__}


def _amount(value: float, currency: str) -> str | None:
    return f"{value:.{exponent(currency)}f}" if math.isfinite(value) else None


def _fine(value: float, currency: str) -> str:
    return f"{value:.{exponent(currency) + 6}f}"


def _instant(ts_ns: int) -> str:
    return dt.datetime.fromtimestamp(int(ts_ns) / 1e9, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""The explain of a run in the shape that summary and report draw: sums by day and in total, in one currency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.portfolio.attribution import Explainer
from voldesk.portfolio.explain_record import (
    COLUMN,
    EXPLAIN_TERMS,
    FACTOR_EXPLAIN_TERMS,
    FLOW_TERMS,
    ExplainRecord,
    UnexplainedShare,
)
from voldesk.portfolio.leg import LEG_COLUMN


@dataclass(frozen=True, slots=True)
class ExplainTables:
    """Daily sums by term, shape (days,) each, in `currency`; both views add up to `gross` on every day.

    own_iv: each contract's own vol change. factors: vega split into level, skew, curvature, roll. option_pnl and hedged_pnl:
    by marks, before slippage and fees. totals: the same over the run, added in time order.
    slippage: by instrument id, in its settle currency.
    """

    currency: str
    days: list[str]
    own_iv: dict[str, FloatArray]
    factors: dict[str, FloatArray]
    gross: FloatArray
    option_pnl: FloatArray
    hedged_pnl: FloatArray
    totals: dict[str, float]
    factor_totals: dict[str, float]
    gross_total: float
    share: UnexplainedShare
    factor_share: UnexplainedShare
    steps: int
    slippage: dict[int, float]


def explain_tables(explainers: Mapping[str, Explainer], currency: str) -> ExplainTables:
    """Of all books together; they must share the numeraire `currency`."""
    merged = ExplainRecord()
    states = [explainer.record.state() for explainer in explainers.values()]
    if states:
        merged.restore({name: np.concatenate([state[name] for state in states]) for name in ("ts_ns", "rows")})
    slippage: dict[int, float] = {}
    for explainer in explainers.values():
        for (_, instrument), row in explainer.by_day.items():
            slippage[instrument] = slippage.get(instrument, 0.0) + float(row[LEG_COLUMN["slippage"]])
    return from_record(merged, currency, slippage)


def from_record(record: ExplainRecord, currency: str, slippage: dict[int, float]) -> ExplainTables:
    days, sums = record.daily()

    def column(name: str) -> FloatArray:
        return np.ascontiguousarray(sums[:, COLUMN[name]])

    return ExplainTables(
        currency=currency,
        days=[str(day) for day in days.astype("datetime64[D]")],
        own_iv={name: column(name) for name in EXPLAIN_TERMS},
        factors={n: column(n if n in FLOW_TERMS else f"factor_{n}") for n in FACTOR_EXPLAIN_TERMS},
        gross=column("gross"),
        option_pnl=column("option_pnl"),
        hedged_pnl=column("hedged_pnl"),
        totals=record.totals(),
        factor_totals=record.factor_totals(),
        gross_total=record.gross(),
        share=record.unexplained_share(),
        factor_share=record.unexplained_share(factors=True),
        steps=len(record),
        slippage=slippage,
    )

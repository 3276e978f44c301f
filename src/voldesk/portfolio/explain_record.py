"""What the explain has found, step by step, in the book's numeraire: sums, days, and how much stayed unexplained."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.ports import State
from voldesk.core.units import NS_PER_DAY
from voldesk.portfolio.explain import MARKET_TERMS
from voldesk.portfolio.factors import FACTOR_TERMS

FLOW_TERMS: Final = ("carry", "fees", "slippage", "settlement")
EXPLAIN_TERMS: Final = (*MARKET_TERMS, *FLOW_TERMS, "unexplained")
"""The explain with each contract's own vol change; carry is funding and interest."""

FACTOR_EXPLAIN_TERMS: Final = (*(n for n in MARKET_TERMS if n != "vega"), *FACTOR_TERMS, *FLOW_TERMS, "unexplained")
"""The explain with the smile's factors: vega split into level, skew, curvature and roll."""

_COLUMNS: Final = (
    *EXPLAIN_TERMS,
    "gross",
    *(f"factor_{name}" for name in (*MARKET_TERMS, *FACTOR_TERMS, "unexplained")),
    "option_pnl",
    "hedged_pnl",
    "translation_usd",
)
COLUMN: Final = {name: place for place, name in enumerate(_COLUMNS)}
WIDTH: Final = len(_COLUMNS)


class UnexplainedShare(NamedTuple):
    """Over days: |unexplained| / sum of |market terms| (median, 90th percentile), and the median of |unexplained|
    over |option P&L| and over |hedged P&L| of the day. NaN without a day on which the denominator is not zero."""

    median: float
    p90: float
    of_option_pnl: float
    of_hedged_pnl: float


class ExplainRecord:
    """Rows of floats in columns `COLUMN`, growing; time is the end of the step."""

    def __init__(self) -> None:
        self._count = 0
        self._ts_ns: IntArray = np.zeros(256, np.int64)
        self._rows: FloatArray = np.zeros((256, WIDTH))

    def __len__(self) -> int:
        return self._count

    def add(self, ts_ns: int, row: FloatArray) -> None:
        if self._count == len(self._ts_ns):
            self._ts_ns = np.concatenate([self._ts_ns, np.zeros_like(self._ts_ns)])
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._ts_ns[self._count] = ts_ns
        self._rows[self._count] = row
        self._count += 1

    @property
    def ts_ns(self) -> IntArray:
        """End of each step, shape (n,)."""
        return self._ts_ns[: self._count]

    def column(self, name: str) -> FloatArray:
        """One column by step, shape (n,), in the numeraire (translation_usd: dollars)."""
        return self._rows[: self._count, COLUMN[name]]

    def totals(self) -> dict[str, float]:
        """EXPLAIN_TERMS over all steps; with `unexplained` they add up to gross."""
        sums = self._rows[: self._count].sum(axis=0)
        return {name: float(sums[COLUMN[name]]) for name in EXPLAIN_TERMS}

    def factor_totals(self) -> dict[str, float]:
        """FACTOR_EXPLAIN_TERMS over all steps; they add up to the same gross."""
        sums = self._rows[: self._count].sum(axis=0)
        return {n: float(sums[COLUMN[n if n in FLOW_TERMS else f"factor_{n}"]]) for n in FACTOR_EXPLAIN_TERMS}

    def gross(self) -> float:
        return float(self.column("gross").sum())

    def daily(self) -> tuple[IntArray, FloatArray]:
        """(days since 1970 UTC, rising; sums of all columns, shape (days, WIDTH)). A step counts on its last day."""
        days, place = np.unique(self.ts_ns // NS_PER_DAY, return_inverse=True)
        sums = np.zeros((days.size, WIDTH))
        np.add.at(sums, place, self._rows[: self._count])
        return days, sums

    def unexplained_share(self, factors: bool = False) -> UnexplainedShare:
        """How much of the daily P&L stayed unexplained, by own vols or by factors."""
        _, sums = self.daily()
        prefix = "factor_" if factors else ""
        missed = np.abs(sums[:, COLUMN[f"{prefix}unexplained"]])
        terms = np.abs(sums[:, [COLUMN[prefix + name] for name in MARKET_TERMS]]).sum(axis=1)
        return UnexplainedShare(
            _quantile(missed, terms, 0.5),
            _quantile(missed, terms, 0.9),
            _quantile(missed, np.abs(sums[:, COLUMN["option_pnl"]]), 0.5),
            _quantile(missed, np.abs(sums[:, COLUMN["hedged_pnl"]]), 0.5),
        )

    def state(self) -> State:
        return {"ts_ns": self.ts_ns.copy(), "rows": self._rows[: self._count].copy()}

    def restore(self, state: State) -> None:
        self._count = 0
        for ts_ns, row in zip(np.asarray(state["ts_ns"]), np.asarray(state["rows"]), strict=True):
            self.add(int(ts_ns), row)


def _quantile(parts: FloatArray, wholes: FloatArray, share: float) -> float:
    alive = wholes > 0.0
    return float(np.quantile(parts[alive] / wholes[alive], share)) if alive.any() else float("nan")

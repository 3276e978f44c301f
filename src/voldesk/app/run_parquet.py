"""`fills.parquet` and `equity.parquet`: money as integers of the smallest unit, as text, and as floats for drawing.

Integer columns end in `_units` and count 1e-8 of a coin or 1e-4 of any other currency; the currency has its own column.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from voldesk.app.run_rows import Fill
from voldesk.core.money import to_float, to_text
from voldesk.engine.facts import BookMark
from voldesk.portfolio.account import TERMS

_TIME = pa.timestamp("ns", "UTC")


def write_fills(fills: Sequence[Fill], path: Path) -> None:
    """One row per execution, in order."""
    text = "book strategy purpose symbol side contracts price liquidity fee fee_currency settle_currency reason"
    whole = "lots fee_units value_units intent_id order_id trade_id"
    real = "price_usd index forward iv fitted_iv vega_volpt_usd gamma_1pct"
    columns: dict[str, Any] = {"ts": pa.array([f.ts_ns for f in fills], _TIME)}
    columns |= {name: pa.array([getattr(f, name) for f in fills], pa.string()) for name in text.split()}
    columns |= {name: pa.array([getattr(f, name) for f in fills], pa.int64()) for name in whole.split()}
    columns |= {name: pa.array([getattr(f, name) for f in fills], pa.float64()) for name in real.split()}
    pq.write_table(pa.table(columns), path, compression="zstd")


def write_equity(marks: Sequence[BookMark], path: Path) -> None:
    """One row per book and mark, in order."""
    columns: dict[str, Any] = {
        "ts": pa.array([m.ts_ns for m in marks], _TIME),
        "book": pa.array([m.book for m in marks], pa.string()),
        "currency": pa.array([m.currency for m in marks], pa.string()),
        "equity": pa.array([to_text(m.equity_units, m.currency) for m in marks], pa.string()),
        "equity_units": pa.array([m.equity_units for m in marks], pa.int64()),
        "equity_float": pa.array([to_float(m.equity_units, m.currency) for m in marks], pa.float64()),
    }
    for place, term in enumerate(TERMS):
        columns[f"{term}_units"] = pa.array([m.terms[place] for m in marks], pa.int64())
    for name in ("index", "net_delta", "gamma_1pct", "vega_volpt_usd", "theta_day_usd"):
        columns[name] = pa.array([getattr(m, name) for m in marks], pa.float64())
    columns["positions"] = pa.array([m.positions for m in marks], pa.int64())
    columns["working"] = pa.array([m.working for m in marks], pa.int64())
    pq.write_table(pa.table(columns), path, compression="zstd")

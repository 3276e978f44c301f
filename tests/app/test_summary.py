"""The summary adds up to the unit, its explain to the ledger, and JSON carries all of it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from voldesk.app.config import parse_config
from voldesk.app.run_folder import RunTables, read_tables
from voldesk.app.summary import build_summary
from voldesk.core.money import to_float
from voldesk.core.reports import FundingApplied, InstrumentSettled, Liquidity, OrderFilled
from voldesk.execution.statistics import ExecutionStatistics
from voldesk.portfolio.explain_record import COLUMN, EXPLAIN_TERMS, WIDTH, ExplainRecord
from voldesk.portfolio.ledger import Ledger

PERPETUAL = 2
NEEDED = [
    "equity_start",
    "equity_end",
    "currency",
    "numeraire",
    "pnl",
    "translation",
    "explain",
    "unexplained_share",
    "trades",
    "hedges",
    "vetoes",
    "max_drawdown",
    "sharpe",
    "snapshots",
    "quotes",
    "quarantined",
    "wall_s",
    "quotes_per_s",
    "journal_sha256",
]
FACTS = {"snapshots": 3, "quotes": 7, "quarantined": {"CROSSED": 1}, "repaired": {}, "lacks": []}
FACTS |= {"wall_s": 0.1, "quotes_per_s": 70, "journal_sha256": "00"}


def _ledger(tables: RunTables) -> Ledger:
    """The real ledger on the run's fills, settlement and funding."""
    ledger = Ledger(tables.table, "coin", "BTC")
    ledger.open_book("gamma")
    ledger.deposit("gamma", "BTC", 1_000_000_000)
    for fill in tables.fills:
        ticks = round(Decimal(fill.price) / tables.table[fill.instrument].ticks.base)
        report = OrderFilled(
            fill.ts_ns, fill.ts_ns, fill.order_id, fill.trade_id, fill.instrument, fill.lots, ticks,
            Liquidity.TAKER, fill.fee_units, fill.fee_currency,
        )  # fmt: skip
        ledger.apply_fill("gamma", report)
        if fill.order_id == 3:
            funded = tables.funding[0].ts_ns
            ledger.apply_funding(FundingApplied(funded, funded, PERPETUAL, "0.0001", "90000"))
    settled = tables.settlements[0]
    ledger.apply_settled(InstrumentSettled(settled.ts_ns, settled.ts_ns, settled.instrument, "100000", "0.00015"))
    return ledger


def _record(ledger: Ledger, tables: RunTables, off: float = 0.0) -> ExplainRecord:
    """Two steps on two days that add up to the ledger's total."""
    total = to_float(ledger.summary().total, "BTC")
    record = ExplainRecord()
    for ts_ns, share in ((tables.marks.all[1].ts_ns, 0.25), (tables.marks.all[-1].ts_ns, 0.75)):
        row = np.zeros(WIDTH)
        row[COLUMN["gross"]] = share * total
        parts = {"delta": 0.03, "gamma": 0.05, "theta": -0.02, "fees": -0.00175, "slippage": -0.003, "carry": 1e-5}
        for name, value in parts.items():
            row[COLUMN[name]] = share * value
        row[COLUMN["factor_delta"]], row[COLUMN["factor_vega_level"]] = share * 0.03, share * 0.01
        row[COLUMN["unexplained"]] = share * (total - sum(parts.values())) + off
        row[COLUMN["factor_unexplained"]] = share * (total - 0.04 + 0.00474)
        row[COLUMN["option_pnl"]] = row[COLUMN["hedged_pnl"]] = share * total
        record.add(ts_ns, row)
    return record


@pytest.fixture
def build(by_hand: Path) -> Any:
    def built(off: float = 0.0) -> dict[str, Any]:
        tables = read_tables(by_hand)
        ledger = _ledger(tables)
        statistics = ExecutionStatistics()
        statistics.filled("gamma", tables.table[0], 10, 242, 240.0)
        explainer = SimpleNamespace(record=_record(ledger, tables, off), by_day={})
        executor = SimpleNamespace(statistics=statistics)
        parts: Any = SimpleNamespace(ledger=ledger, explainers={"gamma": explainer}, executor=executor)
        config = parse_config(tables.header["config"], "by hand")
        return build_summary(config=config, parts=parts, tables=tables, facts=FACTS)

    return built


def test_every_promised_key_is_there_and_json_carries_it(build: Any) -> None:
    summary = build()
    assert set(NEEDED) <= set(summary)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_pnl_is_the_change_of_equity_and_the_sum_of_its_terms_to_the_unit(build: Any) -> None:
    summary = build()
    pnl = {name: Decimal(text) for name, text in summary["pnl"].items()}
    assert pnl["total"] == Decimal(summary["equity_end"]) - Decimal(summary["equity_start"])
    assert pnl["total"] == sum(value for name, value in pnl.items() if name != "total")
    assert summary["equity_end"] == "10.04426000"
    assert set(pnl) == {"total", "realised", "unrealised", "fees", "funding", "interest", "settlement"}


def test_the_explain_adds_up_to_the_ledger_and_says_so(build: Any) -> None:
    summary = build()
    total = sum(Decimal(text) for text in summary["explain"].values())
    assert abs(total - Decimal(summary["pnl"]["total"])) < Decimal("1e-12")
    assert summary["explain_adds_up"] is True
    assert set(summary["explain"]) == set(EXPLAIN_TERMS)


def test_an_explain_that_is_off_is_not_called_adding_up(build: Any) -> None:
    summary = build(off=1e-6)
    assert summary["explain_adds_up"] is False
    assert Decimal(summary["explain_gap"]) == pytest.approx(Decimal("2e-6"), rel=Decimal("1e-6"))


def test_counts_and_intervals_are_of_this_run(build: Any) -> None:
    summary = build()
    assert (summary["trades"], summary["trades_closed"], summary["trades_won"], summary["hedges"]) == (2, 2, 1, 2)
    assert summary["vetoes"] == {"DELTA": 1}
    assert summary["fills"] == {"options": 5, "others": 2}
    assert (summary["days"], summary["pnl_interval"]["status"]) == (9, "ok")
    low, high = (Decimal(summary["pnl_interval"][side]) for side in ("low", "high"))
    assert low <= Decimal("0.04426") <= high
    assert summary["max_drawdown"]["amount"] == "0.00445000"
    assert summary["books"][0]["pnl"] == summary["pnl"]
    assert summary["execution"][0]["slippage_cost"] == "0.00020000"
    assert summary["costs"]["funding_per_bp"] == "0.00001000"


def test_the_same_run_gives_the_same_summary(build: Any) -> None:
    assert build() == build()

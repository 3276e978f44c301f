"""How a run ends, and how a desk that must be flat becomes flat."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from voldesk.app.config import load_config
from voldesk.app.run import backtest
from voldesk.app.sources import open_market
from voldesk.app.wiring import open_journal, wire
from voldesk.core.blocks import IntColumn
from voldesk.core.events import OperatorAction, OperatorCommand
from voldesk.core.reports import MarginCalled, PositionTaken
from voldesk.core.units import NS_PER_HOUR, NS_PER_SECOND
from voldesk.engine.journal import RecordKind, read_journal

ROOT = Path(__file__).resolve().parents[2]
CHAINS = ROOT.parent / "shared" / "data" / "deribit_chain_6h" / "btc_2026-03.parquet"


def test_the_explain_reaches_the_end_of_a_run_that_does_not_end_on_a_snapshot(tmp_path: Path) -> None:
    config = load_config(
        ROOT / "config" / "demo.yaml",
        ["synthetic.duration=307m", "synthetic.snapshot_steps=100", "books.0.strategies.1.min_hedge=0.0"],
    )
    done = backtest(config, open_market(config, None), tmp_path, None, report=False)
    summary, marks = done.summary, done.tables.marks.of("demo")
    assert summary["trades"] >= 1
    assert summary["explain_adds_up"]
    assert marks[-1].equity_units == done.wired.parts.ledger.summary().equity_end


def test_a_margin_call_and_a_liquidation_are_told_in_money_and_symbols(tmp_path: Path) -> None:
    config = load_config(ROOT / "config" / "demo.yaml", ["synthetic.duration=1h"])
    source = open_market(config, None)
    journal = open_journal(tmp_path, config, source, "backtest")
    desk = wire(config, source, journal, journal_rows=False).engine.desk
    desk.on_report(5, MarginCalled(4, 5, "BTC", 12_500, 100_000_000, True))
    desk.on_report(6, PositionTaken(5, 6, 1, 0, -40, 180_000, 0, "BTC"))
    journal.close()
    facts = [msgspec.msgpack.decode(r.payload) for r in read_journal(tmp_path) if r.kind is RecordKind.FACT]
    assert [fact[4] for fact in facts if fact[0] == "notice"] == [
        "equity 0.00012500 under maintenance 1.00000000 BTC",
        "-40 lots of BTC-PERPETUAL traded by the venue",
    ]


@pytest.mark.data
def test_a_flatten_that_meets_stale_quotes_is_made_good_at_the_next_snapshot(tmp_path: Path) -> None:
    if not CHAINS.exists():
        pytest.skip("../shared/data/deribit_chain_6h is not here")
    config = load_config(
        ROOT / "config" / "gamma_scalp_btc.yaml",
        ["books=[{name: x, strategies: [{strategy: delta_hedger, underlying: BTC, interval: 10m}]}]"],
    )
    source = open_market(config, CHAINS)
    snapshots = np.unique(source.feeds[0].ints[IntColumn.TS_EVENT_NS])  # type: ignore[attr-defined]
    journal = open_journal(tmp_path / "journal", config, source, "backtest")
    wired = wire(config, source, journal, journal_rows=False)
    sale = {"symbol": "BTC-27MAR26-65000-P", "lots": "-20"}
    at_ns = int(snapshots[2]) + 5 * NS_PER_SECOND
    wired.engine.operate(OperatorCommand(at_ns, "ann", OperatorAction.ORDER, "x", sale, "test"), at_ns)
    later_ns = int(snapshots[4]) + 2 * NS_PER_HOUR  # the snapshot's quotes have outlived their 30 minutes
    kill = OperatorCommand(later_ns, "ann", OperatorAction.KILL, "", {"level": "flatten"}, "drill")
    wired.engine.operate(kill, later_ns)
    book = wired.parts.ledger.books["x"]
    wired.engine.run(int(snapshots[5]) - 1)
    assert len(book.positions()) == 2
    wired.engine.run(int(snapshots[5]) + NS_PER_HOUR)
    assert book.positions() == {}
    journal.close()

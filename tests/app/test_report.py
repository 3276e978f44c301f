"""The report is one file that asks nobody for anything, shows what the run was, and never shows a NaN."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voldesk.app.report import ExplainTables, write_report
from voldesk.app.report.explained import from_record
from voldesk.app.report.style import library, money, percent, plain
from voldesk.app.run_folder import read_tables
from voldesk.portfolio.explain_record import COLUMN, WIDTH, ExplainRecord

INTERVAL = {"level": 0.95, "low": "-0.01", "high": "0.02", "method": "", "block_days": 3.0, "replications": 9}
SIDE = {"trips": 0.0, "realised_vol": None, "implied_vol": None, "break_even_vol": None, "net_usd": 0.0}
SHARE = {"median": 0.005, "p90": None, "of_option_pnl": 0.01, "of_hedged_pnl": 0.02}
BOOK = {
    "name": "gamma",
    "currency": "BTC",
    "pnl": dict.fromkeys(("total", "realised", "unrealised", "fees", "funding", "interest", "settlement"), "0.01"),
    "max_drawdown": {"amount": "0.00470000"},
    "sharpe": None,
    "trades": 2,
}


def _summary(**changed: Any) -> dict[str, Any]:
    summary = {
        "name": "by_hand", "mode": "backtest", "numeraire": "coin", "currency": "BTC", "snapshots": 3, "quotes": 7,
        "equity_start": "10.00000000", "equity_end": "10.04426000", "pnl": {"total": "0.04426000"},
        "return": 0.004426, "translation": "-299000.0000", "unconverted": [], "explain_adds_up": True,
        "explain_gap": "0", "pnl_interval": INTERVAL | {"status": "ok"}, "vol_points": -1.5,
        "break_even": {"long": SIDE | {"trips": 2.0, "break_even_vol": 0.44, "vol_points": -2.2}, "short": SIDE},
        "costs": {
            "half_spread_volpt_per_leg": 0.92, "fee_volpt_per_leg": 0.45, "off_surface_volpt_per_leg": None,
            "legs": 5, "funding_rate": "0.0001", "funding_per_bp": "0.00001000",
        },
        "sharpe": -1.2, "sharpe_interval": {"low": -3.0, "high": 0.5, "status": "ok"},
        "max_drawdown": {"amount": "0.00470000", "share": 0.0004, "peak": "2026-01-01T", "trough": "2026-01-09T"},
        "trades": 2, "trades_closed": 2, "trades_won": 1, "hedges": 2, "days": 9, "days_up": 1,
        "vetoes": {"DELTA": 1}, "exemptions": {"reduce_only": 1}, "quarantined": {"CROSSED": 4}, "repaired": {},
        "unexplained_share": {"own_iv": SHARE, "factors": SHARE}, "execution": [], "books": [BOOK],
        "wall_s": 1.0, "quotes_per_s": 7, "journal_sha256": "c0ffee",
    }  # fmt: skip
    return summary | changed


def _explain() -> ExplainTables:
    record = ExplainRecord()
    for day in range(3):
        row = np.zeros(WIDTH)
        row[COLUMN["gamma"]], row[COLUMN["theta"]], row[COLUMN["gross"]] = 0.03, -0.01, 0.02
        row[COLUMN["factor_gamma"]], row[COLUMN["factor_vega_level"]] = 0.03, -0.01
        record.add(1_767_225_600_000_000_000 + day * 86_400_000_000_000, row)
    return from_record(record, "BTC", {})


@pytest.fixture
def page(by_hand: Path) -> str:
    path = write_report(by_hand, _summary(), read_tables(by_hand), _explain())
    assert path.name == "report.html"
    return path.read_text(encoding="utf-8")


def _own(page: str) -> str:
    """The page without the drawing library."""
    assert page.count(library()) == 1, "the library stands in the page exactly once"
    return page.replace(library(), "")


def test_the_page_asks_nobody_for_anything(page: str) -> None:
    own = _own(page)
    assert not re.search(r"<(?:script|link|img|iframe)[^>]*(?:src|href)\s*=", own)
    assert "@import" not in own
    assert not re.search(r"""url\(|fetch\(|(?:src|href)=["']?(?:https?:)?//""", own)


def test_the_headline_figures_and_every_section_are_there(page: str) -> None:
    own = _own(page)
    for figure in ("+0.0443 BTC", "44.0 %", "1.37 vol pts", "−1.20", "0.0047 BTC", "−299,000"):
        assert figure in own, figure
    for place in ["equity", "explain", "hedges", "greeks", "vols", "trips", "costs", "risk", "data", "config"]:
        assert f'id="{place}-h"' in own
    for chart in ("equity", "waterfall", "factors", "by_day", "cumulative", "hedges", "greeks", "vols"):
        assert f'id="{chart}"' in own
    assert "hindsight" in own
    for stated in ("no sizes: 10 contracts", "250ms", "CROSSED", "DELTA", "deribit.option", "threshold: 0.05"):
        assert stated in own, stated


def test_the_trades_stand_with_their_parts(page: str) -> None:
    own = _own(page)
    assert "1 straddle 90000 9JAN26" in own
    for figure in ("+0.0600", "−0.0100", "−0.0013", "+0.0487"):
        assert f">{figure}<" in own, figure


def test_text_from_the_run_cannot_become_markup(page: str) -> None:
    assert "rearm &lt;b&gt;desk&lt;/b&gt;" in page
    assert "rearm <b>desk" not in page


def test_no_reader_ever_meets_a_nan(page: str) -> None:
    cells = re.findall(r"<td[^>]*>([^<]*)</td>|class=\"[fn]\">([^<]*)<", _own(page))
    assert cells
    assert not [text for pair in cells for text in pair if re.search(r"\b(nan|inf|None)\b", text)]


def test_an_explain_that_does_not_add_up_is_shouted(by_hand: Path) -> None:
    path = write_report(by_hand, _summary(explain_adds_up=False, explain_gap="0.01"), read_tables(by_hand), _explain())
    assert "does not add up" in path.read_text(encoding="utf-8")


def test_a_run_without_a_trade_still_has_a_report(tmp_path: Path, written: Callable[..., Any]) -> None:
    folder = written(tmp_path).end()
    summary = _summary(translation=None, max_drawdown={"amount": "0", "share": 0.0, "peak": None, "trough": None})
    page = write_report(folder, summary, read_tables(folder), from_record(ExplainRecord(), "BTC", {}))
    text = page.read_text(encoding="utf-8")
    assert "No option was traded." in text
    assert "The gate refused nothing." in text


def test_figures_read_as_traders_write_them() -> None:
    assert money(-0.05741, "BTC") == "−0.0574"
    assert money(-1234.6, "USD") == "−1,235"
    assert money(-0.00001, "BTC") == "0.0000"
    assert (percent(0.4512), plain(float("nan")), plain(None)) == ("45.1 %", "–", "–")

"""`voldesk status` reads the journal alone, for people and for machines, also of a desk that is still running."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voldesk.app.commands.status import run_status
from voldesk.core.errors import InputError
from voldesk.core.orders import Purpose

CALL = 0


def _json(run: Path | None, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    run_status(run, as_json=True)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_machine_gets_one_object_with_exact_money(by_hand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = _json(by_hand, capsys)
    (book,) = status["books"]
    assert (book["equity"], book["deposits"], book["pnl"]["total"]) == ("10.04426000", "10.00000000", "0.04426000")
    assert book["pnl"]["settlement"] == "-0.00400000"
    assert status["state"] == "closed"
    assert status["vetoes"] == {"DELTA": 1}
    assert status["vols"][0]["spread"] == pytest.approx(-0.01)
    assert status["positions"] == []
    assert [order["state"] for order in status["orders"]] == ["filled"] * 7


def test_a_running_desk_shows_its_positions_and_working_orders(
    tmp_path: Path, written: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run = written(tmp_path)
    run.mark(0)
    run.trade(1, Purpose.OPEN, {CALL: (10, 240, 30_000)}, "open_long")
    run.place(2, run.intend(2, Purpose.CLOSE, {CALL: -10}), CALL, -10, 250)
    run.journal.flush()
    status = _json(tmp_path, capsys)
    assert status["state"].startswith("open")
    assert status["positions"] == [
        {"book": "gamma", "symbol": "BTC-9JAN26-90000-C", "lots": 10, "contracts": "1", "last_price": "0.024"}
    ]
    assert [order["state"] for order in status["orders"]] == ["filled", "working"]
    run.journal.close()


def test_people_see_equity_greeks_spread_vetoes_and_notices(
    by_hand: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    run_status(by_hand, as_json=False)
    shown = capsys.readouterr().out
    for text in (
        "by_hand",
        "10.04426 BTC",
        "P−Q -1.0 vol points",
        "DELTA 1",
        "limit 10 current 2 projected 12",
        "closed",
    ):
        assert text in shown, text
    assert "rearm <b>desk</b>" in shown


def test_square_brackets_in_a_notice_stay_text(
    tmp_path: Path, written: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    from voldesk.engine.facts import Notice

    run = written(tmp_path)
    run.fact(Notice(1, "high", "OPERATOR", "limit [bold]10[/bold] of [/] gone"))
    run_status(run.end(), as_json=False)
    assert "limit [bold]10[/bold] of [/] gone" in capsys.readouterr().out


def test_without_a_name_the_newest_run_is_shown(
    tmp_path: Path, written: Callable[..., Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "runs" / "only").end()
    monkeypatch.chdir(tmp_path)
    assert _json(None, capsys)["run"] == "only"


def test_no_run_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no runs here"):
        run_status(None, as_json=False)

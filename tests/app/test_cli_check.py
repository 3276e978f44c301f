"""`voldesk check`: a configuration filled in, a recording scored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voldesk.app.commands.check import run_check_config, run_check_data
from voldesk.app.commands.record import run_record
from voldesk.app.config import load_config, parse_config

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "config").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_configuration_is_good_and_reads_back_as_printed(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_check_config(path, (), False)
    seen = capsys.readouterr()
    assert parse_config(seen.out, "printed") == load_config(path)
    assert "good" in seen.err


def test_the_configuration_for_machines_holds_every_default(capsys: pytest.CaptureFixture[str]) -> None:
    run_check_config(ROOT / "config" / "demo.yaml", ("seed=9",), True)
    seen = capsys.readouterr()
    found = json.loads(seen.out)
    assert found["ok"] is True
    assert found["config"]["seed"] == 9
    assert found["config"]["execution"]["retries"] == 3
    assert seen.err == ""


def test_a_good_recording_scores_near_the_top_with_and_without_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_record(ROOT / "config" / "demo.yaml", tmp_path / "rec", "5m", None, ("synthetic.duration=10m",), True)
    made = json.loads(capsys.readouterr().out)
    run_check_data(tmp_path / "rec", True)
    found = json.loads(capsys.readouterr().out)
    assert found["format"] == "voldesk-blocks"
    assert found["quotes"] == made["rows"]
    assert found["overall"]["total"] > 99.0
    assert found["quarantined"] == {}
    run_check_data(tmp_path / "rec", False)
    said = capsys.readouterr().out
    assert "score" in said
    assert f"{made['rows']:,} rows" in said


@pytest.mark.data
def test_brackets_in_an_issue_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    chains = ROOT.parent / "shared" / "data" / "deribit_chain_6h_eth"
    if not chains.exists():
        pytest.skip("deribit_chain_6h_eth is not beside the checkout")
    run_check_data(chains, False)
    assert "mark outside [bid, ask]" in capsys.readouterr().out

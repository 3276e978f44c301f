"""A paper desk killed with SIGKILL at random moments and restarted ends like one that was left alone.

VOLDESK_KILLS sets how many kills are survived (5 here, 50 in `make prove`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from voldesk.core.rng import random_stream
from voldesk.engine.journal import RecordKind, decisions_sha256, read_journal

pytestmark = pytest.mark.servers

DEMO = Path(__file__).resolve().parents[2] / "config" / "demo.yaml"
KILLS = int(os.environ.get("VOLDESK_KILLS", "5"))
HOURS = max(3, KILLS // 3)
SETTINGS = [
    *("--set", f"synthetic.duration={HOURS}h"),
    *("--set", "engine.snapshot_every=200ms"),
    *("--set", "venue.order_latency=2s"),
    *("--set", "venue.report_latency=2s"),
    *("--set", "books.0.strategies.1.band_rule=fixed"),
    *("--set", "books.0.strategies.1.band=0.01"),
    *("--set", "books.0.strategies.1.min_hedge=0.0"),
]


def _start(folder: Path, resume: bool) -> subprocess.Popen[bytes]:
    where = ["--resume", str(folder)] if resume else [str(DEMO), "--out", str(folder), *SETTINGS]
    # Fast enough that a second of life between two kills holds minutes of trading.
    command = [sys.executable, "-m", "voldesk", "paper", *where, "--speed", "1500", "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _finished(process: subprocess.Popen[bytes]) -> dict[str, object]:
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err.decode()[-2000:]
    summary: dict[str, object] = json.loads(out)
    return summary


def _fills(folder: Path) -> list[bytes]:
    """Every fill, by what the journal says came in."""
    import msgspec

    inputs = (msgspec.msgpack.decode(r.payload) for r in read_journal(folder) if r.kind is RecordKind.INPUT)
    return [msgspec.msgpack.encode(item) for _, item in inputs if item[0] == "filled"]


def _journal_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "journal").glob("*.vdj"))


def test_kills_at_random_moments_lose_no_fill_and_double_none(tmp_path: Path) -> None:
    left_alone = _finished(_start(tmp_path / "alone", resume=False))
    rng = random_stream(4, "kills")
    folder = tmp_path / "killed"
    kills, resumed = 0, False
    while kills < KILLS:
        process = _start(folder, resumed)
        before = _journal_bytes(folder) if resumed else 0
        waited = time.monotonic()
        while _journal_bytes(folder) <= before and process.poll() is None:
            assert time.monotonic() - waited < 120, "the desk did not go on writing within two minutes"
            time.sleep(0.005)
        time.sleep(float(rng.uniform(0.0, 1.2)))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills, resumed = kills + 1, True
    assert kills == KILLS, f"the run ended after {kills} kills; lengthen it"
    survived = _finished(_start(folder, resume=True))
    fills = _fills(folder / "journal")
    assert len(fills) == len(set(fills)), "a fill was doubled"
    assert fills == _fills(tmp_path / "alone" / "journal")
    assert decisions_sha256(folder / "journal") == decisions_sha256(tmp_path / "alone" / "journal")
    for key in ("equity_start", "equity_end", "pnl", "explain", "trades", "hedges", "journal_sha256"):
        assert survived[key] == left_alone[key], key
    print(f"{kills} kills survived, {len(fills)} fills, equity {survived['equity_end']} in both")

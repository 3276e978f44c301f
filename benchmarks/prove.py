"""`make prove`: the long proofs, one after another, with their figures: many kills, the six-month backtest, speed.

python benchmarks/prove.py [--data FOLDER] [--kills 50] [--no-peer]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _say(title: str) -> None:
    print(f"\n== {title}", flush=True)


def kills(count: int) -> bool:
    """A paper desk killed `count` times at random moments."""
    _say(f"{count} kills of a paper desk")
    command = [sys.executable, "-m", "pytest", "-m", "servers", "-s", "tests/servers/test_kill.py"]
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"VOLDESK_KILLS": str(count)}).returncode == 0


def _backtest(data: Path, out: Path, *more: str) -> dict[str, object]:
    config = str(ROOT / "config" / "gamma_scalp_btc.yaml")
    command = [sys.executable, "-m", "voldesk", "backtest", config, "--data", str(data), "--out", str(out), "--json"]
    done = subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def six_months(data: Path) -> bool:
    """The backtest twice, once re-cut at random places, and its replay."""
    _say("six-month backtest, twice, re-cut, replayed")
    if not data.exists():
        print(f"skipped: {data.name} is not there; pass --data")
        return True
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        one = _backtest(data, Path(folder) / "one")
        wall = time.perf_counter() - start
        print(f"process {wall:.1f} s, run {one['wall_s']} s, {one['quotes']} quotes, {one['quotes_per_s']} quotes/s")
        two = _backtest(data, Path(folder) / "two", "--no-report")
        cut = _backtest(data, Path(folder) / "cut", "--no-report", "--recut-seed", "5")
        hashes = {str(run["journal_sha256"]) for run in (one, two, cut)}
        print(f"journal_sha256 {sorted(hashes)} (one value: equal)")
        verify = [sys.executable, "-m", "voldesk", "replay", str(Path(folder) / "one"), "--verify"]
        verified = subprocess.run(verify, cwd=ROOT).returncode == 0
        return len(hashes) == 1 and verified


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "deribit_chain_6h")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--no-peer", action="store_true", help="leave the other engine out of the speed comparison")
    chosen = parser.parse_args()
    results = {"kills": kills(chosen.kills), "six months": six_months(chosen.data)}
    _say("speed")
    command = [sys.executable, str(ROOT / "benchmarks" / "engine.py"), *([] if chosen.no_peer else ["--peer"])]
    results["speed"] = subprocess.run(command, cwd=ROOT).returncode == 0
    print("\n" + "\n".join(f"{name}: {'passed' if passed else 'FAILED'}" for name, passed in results.items()))
    sys.exit(0 if all(results.values()) else 1)


if __name__ == "__main__":
    main()

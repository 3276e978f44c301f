"""How fast is the engine, and how fast a peer on the same stream in the same run?

    python benchmarks/engine.py                  our engine: three tasks, and growth from 200 to 2,000 options
    python benchmarks/engine.py --peer           with NautilusTrader 2.0.0rc6 beside it, in turns
    python benchmarks/engine.py --json           one line for machines

Every run is a process of its own on one core; see README.md for what is in the clock. A run of full length writes
RESULTS.md, a shorter one (`--rows`) only prints.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from desk_run import BAND, CASES, STRADDLE, STRADDLE_LOTS
from results import replace_section
from stream import StreamSettings, make, write_for_peers

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PEER_HOME = ROOT / ".benv" / "nautilus"
PEER_PYTHON = PEER_HOME / "bin" / "python"
STREAMS = ROOT / "var" / "benchmarks"
FULL_ROWS = 1_000_000
GROWTH = (200, 500, 1_000, 2_000)
TARGETS = {"hedge": 5e6, "every_quote": 1e6, "whole_chain": 1e6}
PEER_CASES = ("hedge", "every_quote")
Result = dict[str, Any]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run_json(command: Sequence[str]) -> Result:
    """The last line a program prints, as JSON; stops with what it said when it failed."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise SystemExit(f"{Path(command[1]).name} failed ({done.returncode}): {last}")
    found: Result = json.loads(done.stdout.strip().splitlines()[-1])
    return found


# The peer's environment.


def _is_usable(python: str) -> bool:
    code = "import sys, venv, ensurepip; sys.exit(not (3, 12) <= sys.version_info[:2] < (3, 15))"
    try:
        return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def find_peer_python(given: str | None) -> str:
    """A Python 3.12 to 3.14: as given, from PATH, or one of pyenv's."""
    versions = sorted((Path.home() / ".pyenv" / "versions").glob("3.1[234]*/bin/python"), reverse=True)
    names = [given] if given else ["python3.13", "python3.12", "python3.14", *map(str, versions)]
    for name in names:
        path = shutil.which(name)
        if path and _is_usable(path):
            return path
    raise SystemExit("--peer needs Python 3.12, 3.13 or 3.14 for NautilusTrader; name one with --peer-python PATH.")


def prepare_peer(given: str | None) -> None:
    """Make .benv/nautilus once: nothing of it enters the project's own environment."""
    wanted = (HERE / "peers" / "requirements.txt").read_text()
    stamp = PEER_HOME / "requirements.installed"
    if PEER_PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    python = find_peer_python(given)
    say(f"[peer 1/2] making {PEER_HOME.relative_to(ROOT)}")
    subprocess.run([python, "-m", "venv", "--clear", str(PEER_HOME)], check=True)
    say("[peer 2/2] installing NautilusTrader and numpy (about 200 MB, once)")
    install = [str(PEER_PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*install, "-r", str(HERE / "peers" / "requirements.txt")], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"the peer could not be installed: {done.stderr.strip().splitlines()[-1]}")
    stamp.write_text(wanted)


# Measuring.


@dataclass(frozen=True, slots=True)
class Bench:
    rows: int
    cpu: int
    stream: Path | None

    def ours(self, case: str, options: int = 200) -> Result:
        command = [sys.executable, str(HERE / "desk_run.py"), "--case", case, "--options", str(options)]
        return run_json([*command, "--rows", str(self.rows), "--cpu", str(self.cpu)])

    def peer(self, case: str) -> Result:
        command = [str(PEER_PYTHON), str(HERE / "peers" / "nautilus_engine.py"), "--stream", str(self.stream)]
        task = ["--straddle", *STRADDLE, "--lots", str(STRADDLE_LOTS), "--band", str(BAND)]
        return run_json([*command, *task, "--case", case, "--cpu", str(self.cpu)])


def spread(results: Sequence[Result], key: str = "quotes_per_s") -> dict[str, float]:
    values = [result[key] for result in results]
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def measure(bench: Bench, repeats: int, with_peer: bool, with_growth: bool) -> Result:
    """All runs, ours and the peer's in turns, so that both meet the same moods of the machine."""
    ours: dict[str, list[Result]] = {case: [] for case in CASES}
    peer: dict[str, list[Result]] = {case: [] for case in PEER_CASES if with_peer}
    growth: dict[int, list[Result]] = {options: [] for options in GROWTH if with_growth}
    for turn in range(repeats):
        for case in CASES:
            say(f"[{turn + 1}/{repeats}] ours: {case}")
            ours[case].append(bench.ours(case))
            if case in peer:
                say(f"[{turn + 1}/{repeats}] NautilusTrader: {case}")
                peer[case].append(bench.peer(case))
        for options in growth:
            say(f"[{turn + 1}/{repeats}] ours: {options} options")
            growth[options].append(bench.ours("hedge", options))
    return {"ours": ours, "peer": peer, "growth": growth}


def summarise(found: Result, bench: Bench, load: Sequence[float]) -> Result:
    def brief(results: list[Result]) -> Result:
        kept = ("rows", "hedges", "fills", "net_delta", "gamma", "callbacks", "vols_solved", "journal_records")
        last = {key: results[-1][key] for key in kept if key in results[-1]}
        return last | {
            "quotes_per_s": spread(results),
            "quotes_per_cpu_s": spread(results, "quotes_per_cpu_s"),
            "peak_rss_mb": max(result["peak_rss_mb"] for result in results),
            "runs": len(results),
        }

    summary: Result = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "rows": bench.rows,
        "machine": machine() | {"load_before_and_after": [round(load[0], 2), round(os.getloadavg()[0], 2)]},
        "ours": {case: brief(results) for case, results in found["ours"].items()},
        "peer": {case: brief(results) for case, results in found["peer"].items()},
        "growth": {str(options): brief(results) for options, results in found["growth"].items()},
    }
    hashes = {result["journal_sha256"] for result in found["ours"]["hedge"]}
    assert len(hashes) == 1, f"runs of one stream decided differently: {hashes}"
    summary["ratio"] = {
        case: {
            "of_medians": summary["ours"][case]["quotes_per_s"]["median"]
            / summary["peer"][case]["quotes_per_s"]["median"],
            "worst_pair": min(
                a["quotes_per_s"] / b["quotes_per_s"]
                for a, b in zip(found["ours"][case], found["peer"][case], strict=True)
            ),
        }
        for case in found["peer"]
    }
    return summary


def machine() -> Result:
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    memory_kb = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gb": round(memory_kb / 2**20),
        "python": platform.python_version(),
        "numpy": importlib.metadata.version("numpy"),
        "numba": importlib.metadata.version("numba"),
        "voldesk": importlib.metadata.version("voldesk"),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


# Telling.


def _millions(rate: dict[str, float]) -> str:
    return f"{rate['median'] / 1e6:.2f} M ({rate['min'] / 1e6:.2f} to {rate['max'] / 1e6:.2f})"


def tables(summary: Result) -> str:
    """Markdown; the same text is printed and kept."""
    ours, peer = summary["ours"], summary["peer"]
    lines = ["| task, 200 options + 1 perpetual | ours, quotes/s | NautilusTrader 2.0.0rc6 | ratio | target |"]
    lines.append("|---|---|---|---|---|")
    for case, text in CASES.items():
        beside = _millions(peer[case]["quotes_per_s"]) if case in peer else "–"
        ratio = summary["ratio"].get(case)
        times = f"{ratio['of_medians']:.1f}× (worst pair {ratio['worst_pair']:.1f}×)" if ratio else "–"
        target = f"{TARGETS[case] / 1e6:.0f} M" + (", 10×" if case == "hedge" else "")
        lines.append(f"| {text} | {_millions(ours[case]['quotes_per_s'])} | {beside} | {times} | {target} |")
    lines += ["", "Median (least to most). The same per second of processor time, and what was done:", ""]
    lines += ["| run | quotes/CPU s | hedges | last net delta | last gamma | callbacks | implied vols | peak memory |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for name, results in (("ours", ours), ("Nautilus", peer)):
        for case, run in results.items():
            done = f"{run['hedges']} | {run['net_delta']:+.4f} | {run['gamma']:.4e} | {run['callbacks']:,}"
            solved = f"{run.get('vols_solved', 0):,} | {run['peak_rss_mb']:.0f} MB"
            lines.append(f"| {name}: {case} | {_millions(run['quotes_per_cpu_s'])} | {done} | {solved} |")
    if summary["growth"]:
        lines += ["", "Growth, task 1 with the same number of rows:", "", "| options | quotes/s | against 200 |"]
        lines += ["|---|---|---|"]
        base = summary["growth"][str(GROWTH[0])]["quotes_per_s"]["median"]
        for options, run in summary["growth"].items():
            rate = run["quotes_per_s"]
            lines.append(f"| {options} | {_millions(rate)} | {rate['median'] / base:.2f} |")
    return "\n".join(lines)


def write_results(summary: Result, repeats: int) -> None:
    m = summary["machine"]
    where = f"{m['cpu']}, {m['cores']} cores, {m['memory_gb']} GB; Python {m['python']}, numpy {m['numpy']}"
    text = [
        f"{summary['date']}. {where}, numba {m['numba']}, voldesk {m['voldesk']}. {summary['rows']:,} quotes, each run"
        f" a process of its own pinned to one core, {repeats} runs of each in turns, load average"
        f" {m['load_before_and_after'][0]} before and {m['load_before_and_after'][1]} after. Written by"
        " `python benchmarks/engine.py --peer`; README.md says what is in the clock.",
        "",
        tables(summary),
        "",
    ]
    replace_section(HERE / "RESULTS.md", "Engine", "\n".join(text))


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the engine, alone and beside a peer.")
    parser.add_argument("--peer", action="store_true", help="run NautilusTrader 2.0.0rc6 in turns with ours")
    parser.add_argument("--peer-python", help="a Python 3.12 to 3.14 to make its environment with")
    parser.add_argument("--rows", type=int, default=FULL_ROWS, help="quotes after the first snapshot")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-growth", action="store_true", help="200 options only")
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)), help="the core to run on")
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of tables")
    given = parser.parse_args()
    if given.rows < 10_000 or given.repeats < 1:
        raise SystemExit(f"--rows {given.rows} --repeats {given.repeats}; expected at least 10000 rows and one run.")
    stream = None
    if given.peer:
        prepare_peer(given.peer_python)
        say("writing the stream for the peer")
        stream = write_for_peers(make(StreamSettings.of_rows(given.rows)), STREAMS)
    load = os.getloadavg()
    bench = Bench(given.rows, given.cpu, stream)
    found = measure(bench, given.repeats, given.peer, not given.no_growth)
    summary = summarise(found, bench, load)
    print(json.dumps(summary) if given.json else tables(summary))
    if given.rows == FULL_ROWS and given.peer and not given.no_growth:
        write_results(summary, given.repeats)
        say(f"written: {(HERE / 'RESULTS.md').relative_to(ROOT)}")


if __name__ == "__main__":
    main()

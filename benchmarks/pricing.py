"""How fast and how right are the numerics, beside the libraries that people use, on the same inputs in the same run?

    python benchmarks/pricing.py                 ours and the peers in turns, worst errors, growth; writes RESULTS.md
    python benchmarks/pricing.py --only greeks   one row, printed only
    python benchmarks/pricing.py --no-peers      ours alone

Every run is a process of its own on one core; times are processor time of the best repeat, then the median over turns.
Peers live in `.benv/pricing`, made on demand from `peers/pricing_requirements.txt`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pricing_cases
import pricing_references
from pricing_report import growth_lines, table_lines
from results import replace_section

from voldesk.core.compiled import host_cpu
from voldesk.pricing.implied_vol import implied_vol

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
HOME = ROOT / ".benv" / "pricing"
WORK = ROOT / "var" / "benchmarks" / "pricing"
Answers = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `each`: what one count is; `unit`, `scale`: of the time shown; target in that unit."""

    name: str
    title: str
    unit: str
    scale: float
    target: float
    peers: tuple[str, ...]
    more: tuple[str, ...] = ()  # peers that answer less than the row asks (price and five Greeks)


ROWS = (
    Row("greeks", "price + 11 Greeks", "ns", 1e9, 25.0, ("numpy", "numpy_blocks", "jax"),
        ("fast_vollib", "py_vollib_vectorized", "quantlib")),
    Row("vols", "implied vol", "ns", 1e9, 100.0, ("fast_vollib", "py_vollib_vectorized", "quantlib")),
    Row("hard_vols", "implied vol, hard set", "ns", 1e9, 100.0, ("fast_vollib", "py_vollib_vectorized", "quantlib")),
    Row("american", "American price", "us", 1e6, 8.0, ("quantlib_fast", "quantlib_accurate")),
    Row("american_greeks", "American price + 5 Greeks", "us", 1e6, 30.0, ("quantlib_fast", "quantlib_accurate")),
    Row("heston", "Heston, 100 options", "us", 1e6, 160.0, ("pyfeng_fft", "quantlib")),
    Row("calibration", "Heston calibration, 100 options", "ms", 1e3, 8.0, ("quantlib",)),
    Row("svi", "SVI, 12 x 20", "us", 1e6, 200.0, ("scipy", "quantlib")),
    Row("essvi", "eSSVI, 12 x 20", "us", 1e6, 1000.0, ("scipy",)),
    Row("book", "500 options x 100,000 scenarios", "s", 1.0, 0.35, ("numpy_blocks",)),
)  # fmt: skip
EXTRA = ("greeks_fresh", "price", "coin_greeks", "spot_greeks", "whole_surface")
SIZES = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run_json(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "no output").splitlines()[-1]
        raise SystemExit(f"{' '.join(command[1:5])} failed ({done.returncode}): {last}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def prepare_peers() -> str:
    wanted = (HERE / "peers" / "pricing_requirements.txt").read_text()
    stamp, python = HOME / "requirements.installed", HOME / "bin" / "python"
    if not (python.exists() and stamp.exists() and stamp.read_text() == wanted):
        say(f"[peers] making {HOME.relative_to(ROOT)} (about 1 GB, once)")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(HOME)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]
        subprocess.run([*install, str(HERE / "peers" / "pricing_requirements.txt")], check=True)
        stamp.write_text(wanted)
    return str(python)


def ours(row: str, cpu: int, rows: int | None = None, threads: int = 1) -> tuple[float, Answers]:
    out = WORK / f"out-{row}-ours.npz"
    command = [sys.executable, str(HERE / "pricing_ours.py"), "--row", row, "--inputs", str(WORK), "--out", str(out)]
    if rows is not None:
        command += ["--rows", str(rows)]
    found = run_json([*command, "--cpu", str(cpu), "--threads", str(threads)])
    return found["seconds"] / found["count"], _load(out)


def peer(python: str, row: str, name: str, cpu: int) -> tuple[float, Answers]:
    out = WORK / f"out-{row}-{name}.npz"
    command = [python, str(HERE / "peers" / "pricing_peers.py"), "--row", row, "--peer", name]
    found = run_json([*command, "--inputs", str(WORK), "--out", str(out), "--cpu", str(cpu)])
    return found["seconds"] / found["count"], _load(out)


def _load(path: Path) -> Answers:
    with np.load(path, allow_pickle=False) as found:
        return {name: found[name] for name in found.files}


# Errors.


class Judge:
    """Knows the right answers of each row and says how far from them a set of answers is."""

    def __init__(self, python: str | None) -> None:
        self.cases = {name: make() for name, make in pricing_cases.CASES.items()}
        rows = np.random.default_rng(8).permutation(20_000)[: pricing_references.SAMPLE]
        self.rows = np.sort(rows)
        self.greeks = pricing_references.greeks(self.cases["european"], self.rows)
        self.heston = pricing_references.heston(self.cases["heston"], WORK / "heston_reference.npz")
        strike, tau = self.cases["heston"]["strike"], self.cases["heston"]["tau"]
        vols, _ = implied_vol(self.heston, 100.0, strike, tau, 1.0, True)
        np.savez(WORK / "heston_vols.npz", vols=vols)
        self.python = python
        self._references: dict[str, Answers] = {}

    def american(self, row: str) -> Answers:
        """QuantLib's QdFp with tanh-sinh quadrature and 24 nodes: minutes, so it is kept."""
        kept = WORK / f"reference-{row}.npz"
        if row not in self._references:
            if not kept.exists():
                if self.python is None:
                    raise SystemExit("the American reference comes from QuantLib: run once with peers.")
                say(f"[reference] {row} (minutes, once)")
                peer(self.python, row, "quantlib_reference", 0)
                (WORK / f"out-{row}-quantlib_reference.npz").rename(kept)
            self._references[row] = _load(kept)
        return self._references[row]

    def judge(self, row: str, answers: Answers) -> str:
        found: str = getattr(self, f"_{row}")(answers)
        return found

    def _greeks(self, answers: Answers) -> str:
        kept = self.rows < answers["price"].size
        worst = {}
        for name in pricing_references.FIELDS:
            if name in answers:
                exact, scale = self.greeks[name][kept], self.greeks[f"scale_{name}"][kept]
                off = np.abs(answers[name][self.rows[kept]] - exact) / np.maximum(np.abs(exact), scale)
                worst[name] = float(np.max(off))
        rest = max((v for k, v in worst.items() if k != "price"), default=np.nan)
        return f"price {worst['price']:.1e}, Greeks {rest:.1e} of their scale"

    def _iv(self, name: str, answers: Answers) -> str:
        case = self.cases[name]
        sigma = answers["sigma"]
        right = case["sigma"][: sigma.size]
        bad = ~(np.isfinite(sigma) & (sigma > 0.0))
        off = np.abs(sigma / right - 1.0)[~bad]
        lost = int(np.sum(bad)) + int(np.sum(off > 1e-3))
        fine = off[off <= 1e-3]
        return f"{lost:,} of {sigma.size:,} lost, else {float(np.max(fine)):.1e} relative"

    def _vols(self, answers: Answers) -> str:
        return self._iv("vols", answers)

    def _hard_vols(self, answers: Answers) -> str:
        return self._iv("hard_vols", answers)

    def _american_rows(self, row: str, answers: Answers) -> tuple[Answers, Answers]:
        exact = self.american(row)
        at = exact["row"]
        if "row" not in answers:  # ours answers the whole grid
            return {name: column[at] for name, column in answers.items()}, exact
        return {name: column[: at.size] for name, column in answers.items()}, exact  # all take the same rows first

    def _american(self, answers: Answers) -> str:
        got, exact = self._american_rows("american", answers)
        kept = exact["price"] > 0.5
        off = (got["price"] - exact["price"])[kept]
        return f"RMSE {np.sqrt(np.mean(off**2)):.1e}, worst {np.max(np.abs(off)):.1e} of S = 100"

    def _american_greeks(self, answers: Answers) -> str:
        """Against differences of the reference's prices, whose own error in gamma is 6e-4. Where exercise is due theta is
        zero, which no difference sees: rows worth more than their exercise count."""
        got, exact = self._american_rows("american_greeks", answers)
        case, at = self.cases["american"], exact["row"]
        side = np.where(case["is_call"][at] > 0.5, 1.0, -1.0)
        kept = (exact["price"] > 0.5) & (exact["price"] - side * (case["spot"][at] - case["strike"][at]) > 1e-4)
        words = []
        for name, unit in (("delta", 1.0), ("gamma", 0.01), ("vega", 10.0), ("theta", 10.0), ("rho", 10.0)):
            scale = np.maximum(np.abs(exact[name][kept]), unit)
            words.append(f"{name} {np.max(np.abs(got[name] - exact[name])[kept] / scale):.0e}")
        return "worst " + ", ".join(words)

    def _heston(self, answers: Answers) -> str:
        return f"{np.max(np.abs(answers['price'] - self.heston)) / 100.0:.1e} of forward"

    def _calibration(self, answers: Answers) -> str:
        off = np.abs(answers["params"] - self.cases["heston"]["sets"])
        return f"parameters within {np.max(off):.1e}"

    def _svi(self, answers: Answers) -> str:
        case = self.cases["slices"]
        if "vol" in answers:
            vol = answers["vol"]
        else:
            p = np.repeat(answers["params"], case["k"].size // len(answers["params"]), axis=0)
            x = case["k"] - p[:, 3]
            w = p[:, 0] + p[:, 1] * (p[:, 2] * x + np.sqrt(x * x + p[:, 4] ** 2))
            vol = np.sqrt(w / case["tau"])
        return f"residual {1e4 * np.sqrt(np.mean((vol - case['vol']) ** 2)):.2f} bp of vol"

    def _essvi(self, answers: Answers) -> str:
        return f"residual {1e4 * np.sqrt(np.mean(answers['residual'] ** 2)):.1f} bp of vol"

    def _book(self, answers: Answers) -> str:
        other = WORK / "out-book-numpy_blocks.npz"
        if not other.exists():
            return "-"
        off = np.max(np.abs(answers["pnl"] - _load(other)["pnl"]))
        return f"{off / (60_000.0 * np.sum(np.abs(self.cases['book']['size']))):.1e} of notional apart"


def measure(rows: tuple[Row, ...], python: str | None, judge: Judge, turns: int, cpu: int) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        names = ["ours", *(row.peers + row.more if python else ())]
        times: dict[str, list[float]] = {name: [] for name in names}
        errors: dict[str, str] = {}
        for turn in range(turns):
            for name in names:
                say(f"[{row.name} {turn + 1}/{turns}] {name}")
                seconds, answers = ours(row.name, cpu) if name == "ours" else peer(str(python), row.name, name, cpu)
                times[name].append(seconds * row.scale)
                errors[name] = judge.judge(row.name, answers)
        worst = {name: max(values) for name, values in times.items()}
        best = {name: statistics.median(values) for name, values in times.items()}
        found.append({"row": row, "median": best, "worst": worst, "errors": errors})
    return found


def growth(cpu: int) -> dict[str, list[tuple[int, int, float]]]:
    """(rows, threads, ns each) of Greeks and implied vol."""
    found: dict[str, list[tuple[int, int, float]]] = {}
    for row in ("greeks", "vols", "american"):
        found[row] = []
        for size in SIZES:
            if row == "american" and size > 100_000:
                continue
            for threads in (1, 2):
                if threads == 2 and (size < 100_000 or row != "greeks"):
                    continue
                say(f"[growth] {row} {size:,} rows, {threads} threads")
                found[row].append((size, threads, 1e9 * ours(row, cpu, size, threads)[0]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", help="rows to run, printed only")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--cpu", type=int, default=1)
    chosen = parser.parse_args()
    known = [row.name for row in ROWS]
    for name in chosen.only or ():
        if name not in known:
            raise SystemExit(f"--only {name}; expected {', '.join(known)}.")
    rows = tuple(row for row in ROWS if not chosen.only or row.name in chosen.only)
    python = None if chosen.no_peers else prepare_peers()
    load = os.getloadavg()[0]
    say("[inputs]")
    pricing_cases.write(WORK)
    judge = Judge(python)
    lines = table_lines(measure(rows, python, judge, chosen.turns, chosen.cpu))
    if not chosen.only:
        extra = {name: ours(name, chosen.cpu)[0] for name in EXTRA}
        book_two = ours("book", chosen.cpu, threads=2)[0]
        lines += growth_lines(growth(chosen.cpu), extra, book_two)
    text = "\n".join(lines)
    print(text)
    if not chosen.only and not chosen.no_peers:
        machine = f"{platform.machine()} {host_cpu()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        head = f"Measured {dt.date.today()}, {machine}, load before {load:.2f}, {chosen.turns} turns."
        replace_section(HERE / "RESULTS.md", "Numerics", f"{head}\n\n{text}")


if __name__ == "__main__":
    main()

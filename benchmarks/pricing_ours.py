"""Our side of `pricing.py`: one row per call, one line of JSON, and the answers for it to judge.

    python benchmarks/pricing_ours.py --row greeks --inputs FOLDER --out FILE [--rows 1000] [--threads 2]

Processor time of one process on one core (wall time with more threads), best of the repeats after one that does not
count: it loads the kernels.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from voldesk.core.units import NS_PER_YEAR
from voldesk.pricing import american, black, heston
from voldesk.pricing.implied_vol import implied_vol
from voldesk.pricing.revalue import OptionBook, Scenarios, revalue
from voldesk.surface import essvi
from voldesk.surface.fit import ChainQuotes, fit_surface
from voldesk.surface.svi_fit import fit_slices

Answers = dict[str, Any]
clock: Callable[[], float] = time.process_time


def timed(work: Callable[[], Any], least_s: float = 1.5, most: int = 2_000) -> tuple[float, Any]:
    """Best time in seconds of one call, over about `least_s` of them, and the last answer."""
    answer = work()
    best, spent, calls = np.inf, 0.0, 0
    while calls < 3 or (spent < least_s and calls < most):
        start = clock()
        answer = work()
        took = clock() - start
        best, spent, calls = min(best, took), spent + took, calls + 1
    return best, answer


def load(inputs: Path, name: str, rows: int | None = None) -> dict[str, np.ndarray]:
    with np.load(inputs / f"{name}.npz") as found:
        case = {key: found[key] for key in found.files}
    if rows is not None:
        size = case["tau"].size
        case = {key: np.resize(column, rows) if column.size == size else column for key, column in case.items()}
    if "is_call" in case:
        case["is_call"] = case["is_call"] > 0.5
    return case


def _black(case: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    return tuple(case[name] for name in ("forward", "strike", "tau", "sigma", "discount", "is_call"))


def greeks(inputs: Path, rows: int | None, threads: int) -> tuple[int, float, Answers]:
    """Into memory that is there already, as a desk that asks each second has it, and as `numpy_blocks` does."""
    case = load(inputs, "european", rows)
    columns = _black(case)
    out = np.empty((12, case["tau"].size))
    seconds, found = timed(lambda: black.greeks(*columns, out=out, threads=threads))
    return case["tau"].size, seconds, {name: value for name, value in found._asdict().items() if value is not None}


def greeks_fresh(inputs: Path, rows: int | None, threads: int) -> tuple[int, float, Answers]:
    """New memory at each call: the system hands out a million zeroed rows, which costs about as much as the Greeks."""
    case = load(inputs, "european", rows)
    columns = _black(case)
    seconds, found = timed(lambda: black.greeks(*columns, threads=threads))
    return case["tau"].size, seconds, {"price": found.price}


def price(inputs: Path, rows: int | None, threads: int) -> tuple[int, float, Answers]:
    case = load(inputs, "european", rows)
    columns = _black(case)
    seconds, found = timed(lambda: black.price(*columns, threads=threads))
    return case["tau"].size, seconds, {"price": found}


def coin_greeks(inputs: Path, rows: int | None, threads: int) -> tuple[int, float, Answers]:
    case = load(inputs, "european", rows)
    columns = tuple(case[name] for name in ("forward", "strike", "tau", "sigma", "is_call"))
    seconds, found = timed(lambda: black.coin_greeks(*columns, threads=threads))
    return case["tau"].size, seconds, {"price": found.price}


def spot_greeks(inputs: Path, rows: int | None, threads: int) -> tuple[int, float, Answers]:
    case = load(inputs, "european", rows)
    columns = (*(case[name] for name in ("forward", "strike", "tau", "sigma", "rate")), 0.01, case["is_call"])
    seconds, found = timed(lambda: black.spot_greeks(*columns, threads=threads))
    return case["tau"].size, seconds, {"price": found.price}


def _vols(inputs: Path, name: str, rows: int | None) -> tuple[int, float, Answers]:
    case = load(inputs, name, rows)
    columns = tuple(case[key] for key in ("price", "forward", "strike", "tau", "discount", "is_call"))
    seconds, (sigma, status) = timed(lambda: implied_vol(*columns))
    return case["tau"].size, seconds, {"sigma": sigma, "status": status}


def vols(inputs: Path, rows: int | None, threads: int) -> tuple[int, float, Answers]:
    return _vols(inputs, "vols", rows)


def hard_vols(inputs: Path, rows: int | None, threads: int) -> tuple[int, float, Answers]:
    return _vols(inputs, "hard_vols", rows)


def _american_columns(inputs: Path, rows: int | None) -> tuple[np.ndarray, ...]:
    case = load(inputs, "american", rows)
    return tuple(case[name] for name in ("spot", "strike", "tau", "rate", "dividend_yield", "sigma", "is_call"))


def american_price(inputs: Path, rows: int | None, threads: int) -> tuple[int, float, Answers]:
    columns = _american_columns(inputs, rows)
    seconds, found = timed(lambda: american.price(*columns))
    return columns[0].size, seconds, {"price": found}


def american_greeks(inputs: Path, rows: int | None, threads: int) -> tuple[int, float, Answers]:
    columns = _american_columns(inputs, rows)
    seconds, found = timed(lambda: american.greeks(*columns))
    return columns[0].size, seconds, found._asdict()


def _models(case: dict[str, np.ndarray]) -> list[heston.HestonParams]:
    return [heston.HestonParams(*(float(x) for x in row)) for row in case["sets"]]


def heston_price(inputs: Path, rows: int | None, threads: int) -> tuple[int, float, Answers]:
    """Mean over the parameter sets of the best time of 100 options."""
    case = load(inputs, "heston")
    total, answers = 0.0, []
    models = _models(case)
    for model in models:
        seconds, found = timed(lambda m=model: heston.price(m, 100.0, case["strike"], case["tau"], 1.0, True), 0.5)
        total += seconds / len(models)
        answers.append(found)
    return 1, total, {"price": np.array(answers)}


def calibration(inputs: Path, rows: int | None, threads: int) -> tuple[int, float, Answers]:
    case = load(inputs, "heston")
    with np.load(inputs / "heston_vols.npz") as found:
        targets = found["vols"]
    total, answers = 0.0, []
    for sigma in targets:
        seconds, fit = timed(lambda s=sigma: heston.calibrate(100.0, case["strike"], case["tau"], s), 0.5)
        total += seconds / len(targets)
        p = fit.params
        answers.append((p.v0, p.kappa, p.theta, p.xi, p.rho))
    return 1, total, {"params": np.array(answers)}


def svi(inputs: Path, rows: int | None, threads: int) -> tuple[int, float, Answers]:
    case = load(inputs, "slices")
    shape = (np.unique(case["tau"]).size, -1)
    k, vol, tau = (case[name].reshape(shape) for name in ("k", "vol", "tau"))
    weight = 1.0 / (2.0 * vol * tau) ** 2  # so that it is a fit in vol, as the peers'
    seconds, (params, status) = timed(lambda: fit_slices(k, vol * vol * tau, weight))
    return 1, seconds, {"params": params, "status": status}


def _chain(inputs: Path) -> ChainQuotes:
    """The same noisy vols as quotes half a vol point wide, calls and puts out of the money."""
    case = load(inputs, "slices")
    expiry_ns = np.round(case["tau"] * NS_PER_YEAR).astype(np.int64)
    tau = expiry_ns / NS_PER_YEAR
    strike = 100.0 * np.exp(case["k"])
    is_call = strike >= 100.0
    bid, ask = (black.price(100.0, strike, tau, case["vol"] + side, 1.0, is_call) for side in (-0.0025, 0.0025))
    return ChainQuotes(expiry_ns, tau, strike, is_call, bid, ask, 0.5 * (bid + ask), np.full(tau.shape, 100.0))


def essvi_fit(inputs: Path, rows: int | None, threads: int) -> tuple[int, float, Answers]:
    case, chain = load(inputs, "slices"), _chain(inputs)
    seconds, found = timed(lambda: essvi.fit(chain, 0, "TEST"))
    model = np.sqrt(found.total_variance(case["k"], chain.tau) / chain.tau)
    return 1, seconds, {"residual": model - case["vol"], "free": found.check_arbitrage().free}


def whole_surface(inputs: Path, rows: int | None, threads: int) -> tuple[int, float, Answers]:
    """Implied vols, SVI to the band, and proof of no arbitrage: nothing a peer offers."""
    case, chain = load(inputs, "slices"), _chain(inputs)
    seconds, found = timed(lambda: fit_surface(chain, 0, "TEST"))
    model = np.sqrt(found.total_variance(case["k"], chain.tau) / chain.tau)
    return 1, seconds, {"residual": model - case["vol"], "free": found.check_arbitrage().free}


def book(inputs: Path, rows: int | None, threads: int) -> tuple[int, float, Answers]:
    case = load(inputs, "book")
    held = OptionBook(*(case[name] for name in ("forward", "strike", "tau", "sigma", "is_call", "size")))
    moves = Scenarios(case["spot_move"], case["vol_shift"])
    seconds, found = timed(lambda: revalue(held, moves, threads=threads))
    return 1, seconds, {"pnl": found[0]}


ROWS = {
    "greeks": greeks,
    "greeks_fresh": greeks_fresh,
    "price": price,
    "coin_greeks": coin_greeks,
    "spot_greeks": spot_greeks,
    "vols": vols,
    "hard_vols": hard_vols,
    "american": american_price,
    "american_greeks": american_greeks,
    "heston": heston_price,
    "calibration": calibration,
    "svi": svi,
    "essvi": essvi_fit,
    "whole_surface": whole_surface,
    "book": book,
}


def main() -> None:
    global clock
    parser = argparse.ArgumentParser()
    for name in ("--row", "--inputs", "--out"):
        parser.add_argument(name, required=True)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.threads == 1:
        os.sched_setaffinity(0, {chosen.cpu})
    else:
        clock = time.perf_counter
    count, seconds, answers = ROWS[chosen.row](Path(chosen.inputs), chosen.rows, chosen.threads)
    np.savez(chosen.out, **answers)
    print(json.dumps({"count": count, "seconds": seconds}))


if __name__ == "__main__":
    main()

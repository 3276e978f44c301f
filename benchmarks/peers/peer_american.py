"""American prices by QuantLib's QdFp engine, and its Greeks by bumping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from peer_timing import Answers, load, timed

# American.


def _american_options(case: dict[str, np.ndarray], wanted: np.ndarray, scheme: Any, moved: Any) -> list[Any]:
    """One option with a process and an engine of its own per row, so that nothing is made or notified in the clock."""
    import QuantLib as ql

    today = ql.Date(1, 1, 2025)
    ql.Settings.instance().evaluationDate = today
    day = ql.Actual365Fixed()
    made = []
    for i in wanted:
        spot, rate, yield_, sigma = moved(*(float(case[n][i]) for n in ("spot", "rate", "dividend_yield", "sigma")))
        curves = [ql.YieldTermStructureHandle(ql.FlatForward(today, x, day)) for x in (yield_, rate)]
        vol = ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), sigma, day))
        process = ql.BlackScholesMertonProcess(ql.QuoteHandle(ql.SimpleQuote(spot)), *curves, vol)
        payoff = ql.PlainVanillaPayoff(
            ql.Option.Call if case["is_call"][i] else ql.Option.Put, float(case["strike"][i])
        )
        option = ql.VanillaOption(payoff, ql.AmericanExercise(today, today + round(float(case["tau"][i]) * 365)))
        option.setPricingEngine(ql.QdFpAmericanEngine(process, scheme))
        made.append(option)
    return made


def again(option: Any) -> float:
    option.recalculate()
    found: float = option.NPV()
    return found


def _wanted(case: dict[str, np.ndarray], rows: int) -> np.ndarray:
    return np.random.default_rng(7).permutation(case["tau"].size)[:rows]


def _american(inputs: Path, scheme: Any, rows: int, repeats: int) -> tuple[int, float, Answers]:
    case = load(inputs, "american")
    wanted = _wanted(case, rows)
    options = _american_options(case, wanted, scheme, lambda *now: now)
    seconds, found = timed(lambda: [again(option) for option in options], repeats)
    return rows, seconds, {"price": np.array(found), "row": wanted}


def _american_greeks(inputs: Path, scheme: Any, rows: int) -> tuple[int, float, Answers]:
    """Seven prices: two spots, two vols, two rates, and theta from the equation itself."""
    case = load(inputs, "american")
    wanted = _wanted(case, rows)
    h, e = 0.1, 1e-4
    moves = [
        lambda S, r, q, s: (S, r, q, s),
        lambda S, r, q, s: (S + h, r, q, s),
        lambda S, r, q, s: (S - h, r, q, s),
        lambda S, r, q, s: (S, r, q, s + e),
        lambda S, r, q, s: (S, r, q, s - e),
        lambda S, r, q, s: (S, r + e, q, s),
        lambda S, r, q, s: (S, r - e, q, s),
    ]
    options = [option for move in moves for option in _american_options(case, wanted, scheme, move)]
    seconds, found = timed(lambda: [again(option) for option in options], 1)
    base, up, down, vol_up, vol_down, rate_up, rate_down = np.array(found).reshape(7, -1)
    spot, rate, dividend_yield, sigma = (case[n][wanted] for n in ("spot", "rate", "dividend_yield", "sigma"))
    delta, gamma = (up - down) / (2 * h), (up - 2 * base + down) / (h * h)
    theta = rate * base - (rate - dividend_yield) * spot * delta - 0.5 * sigma**2 * spot**2 * gamma
    vega, rho = (vol_up - vol_down) / (2 * e), (rate_up - rate_down) / (2 * e)
    found = {"price": base, "delta": delta, "gamma": gamma, "vega": vega, "theta": theta, "rho": rho, "row": wanted}
    return rows, seconds, found


def american_quantlib_fast(inputs: Path) -> tuple[int, float, Answers]:
    import QuantLib as ql

    return _american(inputs, ql.QdFpAmericanEngine.fastScheme(), 4_000, 2)


def american_quantlib_accurate(inputs: Path) -> tuple[int, float, Answers]:
    import QuantLib as ql

    return _american(inputs, ql.QdFpAmericanEngine.accurateScheme(), 4_000, 1)


def american_quantlib_reference(inputs: Path) -> tuple[int, float, Answers]:
    """Not a peer: what the others are judged by."""
    import QuantLib as ql

    return _american(inputs, ql.QdFpTanhSinhIterationScheme(24, 10, 1e-12), 4_000, 1)


def american_greeks_quantlib_fast(inputs: Path) -> tuple[int, float, Answers]:
    import QuantLib as ql

    return _american_greeks(inputs, ql.QdFpAmericanEngine.fastScheme(), 1_000)


def american_greeks_quantlib_accurate(inputs: Path) -> tuple[int, float, Answers]:
    import QuantLib as ql

    return _american_greeks(inputs, ql.QdFpAmericanEngine.accurateScheme(), 1_000)


def american_greeks_quantlib_reference(inputs: Path) -> tuple[int, float, Answers]:
    import QuantLib as ql

    return _american_greeks(inputs, ql.QdFpTanhSinhIterationScheme(24, 10, 1e-12), 400)

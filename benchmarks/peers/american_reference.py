"""Reference values of American options by QuantLib, for tests/golden/american_random.csv.

    python benchmarks/peers/american_reference.py 2000 tests/golden/american_random.csv

Needs QuantLib (the peers' environment). Prices: QdFpAmericanEngine, Legendre scheme (l=65, m=12, n=32, p=201), flat
curves, expiry in whole days over 365. Greeks: five-point central differences of those prices at a step and half of it,
extrapolated; theta from the Black-Scholes equation. A row is kept where n=32 and n=24 nodes agree to 2e-7 of the strike,
a Greek where step and half step agree to 3e-5 (the extrapolation is then good to a few 1e-6); otherwise it is left
empty, also where a stencil touches the exercise region.
Cases with both rates negative and a double boundary are left out: the engine refuses them.
"""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path

import QuantLib as ql

TODAY = ql.Date(2, 1, 2026)
STRIKE = 100.0


class Pricer:
    def __init__(self, days: int, is_call: bool) -> None:
        ql.Settings.instance().evaluationDate = TODAY
        counter = ql.Actual365Fixed()
        self.spot, self.rate, self.dividend, self.sigma = (ql.SimpleQuote(x) for x in (100.0, 0.0, 0.0, 0.2))
        process = ql.BlackScholesMertonProcess(
            ql.QuoteHandle(self.spot),
            ql.YieldTermStructureHandle(ql.FlatForward(TODAY, ql.QuoteHandle(self.dividend), counter)),
            ql.YieldTermStructureHandle(ql.FlatForward(TODAY, ql.QuoteHandle(self.rate), counter)),
            ql.BlackVolTermStructureHandle(
                ql.BlackConstantVol(TODAY, ql.NullCalendar(), ql.QuoteHandle(self.sigma), counter)
            ),
        )
        payoff = ql.PlainVanillaPayoff(ql.Option.Call if is_call else ql.Option.Put, STRIKE)
        self.option = ql.VanillaOption(payoff, ql.AmericanExercise(TODAY, TODAY + days))
        self.fine = ql.QdFpAmericanEngine(process, ql.QdFpLegendreScheme(65, 12, 32, 201))
        self.coarse = ql.QdFpAmericanEngine(process, ql.QdFpLegendreScheme(51, 12, 24, 151))
        self.option.setPricingEngine(self.fine)

    def __call__(self, spot: float, rate: float, dividend: float, sigma: float) -> float:
        self.spot.setValue(spot)
        self.rate.setValue(rate)
        self.dividend.setValue(dividend)
        self.sigma.setValue(sigma)
        return self.option.NPV()

    def doubt(self, point: tuple[float, float, float, float]) -> float:
        value = self(*point)
        self.option.setPricingEngine(self.coarse)
        other = self(*point)
        self.option.setPricingEngine(self.fine)
        return abs(value - other)


def derivatives(pricer: Pricer, point: list[float], axis: int, step: float, intrinsic_at) -> tuple[float, float]:
    """First and second derivative along one axis, both by five points."""
    values = []
    for k in (-2, -1, 0, 1, 2):
        moved = list(point)
        moved[axis] += k * step
        values.append(pricer(*moved))
        if values[-1] <= intrinsic_at(moved[0]) + 1e-9:
            return math.nan, math.nan
    a, b, c, d, e = values
    return (a - 8 * b + 8 * d - e) / (12 * step), (-a + 16 * b - 30 * c + 16 * d - e) / (12 * step * step)


def settled(pricer: Pricer, point: list[float], axis: int, step: float, intrinsic_at) -> tuple[float, float]:
    wide = derivatives(pricer, point, axis, step, intrinsic_at)
    tight = derivatives(pricer, point, axis, step / 2, intrinsic_at)
    return tuple(
        t + (t - w) / 15 if abs(t - w) <= 3e-5 * abs(t) + 1e-9 else math.nan for t, w in zip(tight, wide, strict=True)
    )  # type: ignore[return-value]


def case(rng: random.Random) -> list[object] | None:
    is_call = rng.random() < 0.5
    days = round(math.exp(rng.uniform(0.0, math.log(1825.0))))
    rate, dividend = (round(rng.uniform(-0.1, 0.1), 4) for _ in range(2))
    if rng.random() < 0.1:
        dividend = 0.0
    sigma = round(math.exp(rng.uniform(math.log(0.05), math.log(1.5))), 4)
    width = min(0.69, 3.0 * sigma * math.sqrt(days / 365.0) + 0.02)
    spot = round(STRIKE * math.exp(rng.uniform(-width, width)), 3)
    side = 1.0 if is_call else -1.0

    def intrinsic(s: float) -> float:
        return max(side * (s - STRIKE), 0.0)

    point = [spot, rate, dividend, sigma]
    try:
        pricer = Pricer(days, is_call)
        price = pricer(*point)
        if pricer.doubt(tuple(point)) > 2e-7 * STRIKE:  # type: ignore[arg-type]
            return None
    except RuntimeError:
        return None
    delta = gamma = vega = theta = rho = math.nan
    if price > intrinsic(spot) + 1e-6:
        spread = spot * sigma * math.sqrt(days / 365.0)
        try:
            delta, gamma = settled(pricer, point, 0, min(0.02 * spot, 0.1 * spread), intrinsic)
            vega, _ = settled(pricer, point, 3, 0.02 * sigma, intrinsic)
            rho, _ = settled(pricer, point, 1, 4e-4, intrinsic)
        except RuntimeError:
            pass
        theta = rate * price - (rate - dividend) * spot * delta - 0.5 * (sigma * spot) ** 2 * gamma
    greeks = [("" if math.isnan(g) else f"{g:.9g}") for g in (delta, gamma, vega, theta, rho)]
    return [int(is_call), spot, days, rate, dividend, sigma, f"{price:.10g}", *greeks]


def main() -> None:
    rng = random.Random(20261121)
    wanted, path = int(sys.argv[1]), sys.argv[2]
    rows = []
    while len(rows) < wanted:
        row = case(rng)
        if row is not None:
            rows.append(row)
            if len(rows) % 100 == 0:
                print(len(rows), flush=True)
    with Path(path).open("w", encoding="utf-8") as file:
        file.write(
            f"# QuantLib {ql.__version__} QdFpAmericanEngine, Legendre (65, 12, 32, 201), strike 100, tau = days / 365;"
            " Greeks by five-point differences of it; made by benchmarks/peers/american_reference.py\n"
        )
        file.write("is_call,spot,days,rate,dividend_yield,sigma,price,delta,gamma,vega,theta,rho\n")
        for row in rows:
            file.write(",".join(str(x) for x in row) + "\n")


if __name__ == "__main__":
    main()

"""Inputs of `pricing.py`, seeded, written as npz files that ours and the peers read: nobody sees other numbers.

european    1,000,000 options: tau 1 day to 2 years, vol 10 to 150 %, strikes within 2.5 deviations, calls and puts
vols        the same options out of the money, priced; `hard` is wide: log-moneyness to +-10, total vol 1e-4 to 5
american    the grid of Andersen, Lake & Offengenden (2016), sec. 6: spot 100, strikes 60 to 160, prices over 0.5
heston      5 expiries x 20 strikes for three parameter sets
slices      12 expiries x 20 strikes of noisy implied vols on SVI smiles
book        500 options and 100,000 scenarios of spot and vol
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, NDArray[np.float64]]

HESTON_SETS = (
    # v0, kappa, theta, xi, rho
    (0.0175, 1.5768, 0.0398, 0.5751, -0.5711),  # Fang & Oosterlee (2008), sec. 5.2
    (0.04, 1.0, 0.04, 0.5, -0.9),  # Feller's condition fails by far
    (0.49, 2.0, 0.64, 1.2, -0.3),  # crypto
)
HESTON_EXPIRIES = (30 / 365, 91 / 365, 182 / 365, 1.0, 2.0)  # whole days: QuantLib counts in days
HESTON_STRIKES = 20


def european(rows: int = 1_000_000, seed: int = 1) -> Columns:
    rng = np.random.default_rng(seed)
    tau = np.exp(rng.uniform(np.log(1 / 365), np.log(2.0), rows))
    sigma = rng.uniform(0.1, 1.5, rows)
    forward = rng.uniform(50.0, 150.0, rows)
    strike = forward * np.exp(rng.uniform(-2.5, 2.5, rows) * sigma * np.sqrt(tau))
    rate = rng.uniform(0.0, 0.06, rows)
    return {
        "forward": forward,
        "strike": strike,
        "tau": tau,
        "sigma": sigma,
        "rate": rate,
        "discount": np.exp(-rate * tau),
        "is_call": (rng.random(rows) < 0.5).astype(np.float64),
    }


def vols(rows: int = 1_000_000) -> Columns:
    from voldesk.pricing import black

    found = european(rows, seed=2)
    is_call = found["strike"] >= found["forward"]
    found["is_call"] = is_call.astype(np.float64)
    found["price"] = black.price(*(found[name] for name in ("forward", "strike", "tau", "sigma", "discount")), is_call)
    return found


def hard_vols(rows: int = 200_000) -> Columns:
    """Wide on purpose: what a careless inversion fails on. Only prices a double can hold (above 1e-300) are kept."""
    from voldesk.pricing import black

    rng = np.random.default_rng(3)
    total = np.exp(rng.uniform(np.log(1e-4), np.log(5.0), 8 * rows))
    x = rng.choice([-1.0, 1.0], total.size) * np.exp(rng.uniform(np.log(1e-6), np.log(10.0), total.size))
    strike = np.exp(x)
    is_call = strike >= 1.0
    price = black.price(1.0, strike, 1.0, total, 1.0, is_call)
    kept = np.flatnonzero((price > 1e-300) & (price < np.minimum(1.0, strike) * (1 - 1e-15)))[:rows]
    one = np.ones(kept.size)
    return {
        "forward": one,
        "strike": strike[kept],
        "tau": one,
        "sigma": total[kept],
        "rate": 0.0 * one,
        "discount": one,
        "is_call": is_call[kept].astype(np.float64),
        "price": price[kept],
    }


def american() -> Columns:
    grid = itertools.product(
        (0.02, 0.04, 0.06, 0.08, 0.10),
        (0.0, 0.02, 0.04, 0.06, 0.08, 0.10),
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6),
        tuple(days / 365 for days in (30, 91, 182, 274, 365, 730, 1095)),
        (60.0, 75.0, 90.0, 100.0, 110.0, 125.0, 160.0),
        (0.0, 1.0),
    )
    rate, dividend_yield, sigma, tau, strike, is_call = np.array(list(grid)).T.copy()
    return {
        "spot": np.full(rate.size, 100.0),
        "strike": strike,
        "tau": tau,
        "rate": rate,
        "dividend_yield": dividend_yield,
        "sigma": sigma,
        "is_call": is_call,
    }


def heston() -> Columns:
    tau = np.repeat(HESTON_EXPIRIES, HESTON_STRIKES)
    strike = np.concatenate(
        [100.0 * np.exp(np.linspace(-1.0, 0.8, HESTON_STRIKES) * np.sqrt(t)) for t in HESTON_EXPIRIES]
    )
    return {"strike": strike, "tau": tau, "sets": np.array(HESTON_SETS)}


def slices() -> Columns:
    """Noise of 20 basis points of vol, so that no fit is exact and all of them have to search."""
    rng = np.random.default_rng(5)
    taus = np.array([2, 7, 14, 21, 30, 45, 60, 90, 120, 180, 270, 365]) / 365.0
    tau, k, vol = [], [], []
    for t in taus:
        points = np.linspace(-1.2, 1.0, 20) * 2.0 * 0.6 * np.sqrt(t)
        b = 0.25 * np.sqrt(t)
        w = 0.28 * t + b * (-0.25 * (points - 0.03) + np.sqrt((points - 0.03) ** 2 + 0.04 * t + 0.002))
        tau.append(np.full(20, t))
        k.append(points)
        vol.append(np.sqrt(w / t) + 0.002 * rng.standard_normal(20))
    return {"tau": np.concatenate(tau), "k": np.concatenate(k), "vol": np.concatenate(vol)}


def book(options: int = 500, scenarios: int = 100_000) -> Columns:
    rng = np.random.default_rng(6)
    tau = rng.uniform(5 / 365, 1.0, options)
    sigma = rng.uniform(0.4, 0.9, options)
    forward = np.full(options, 60_000.0)
    return {
        "forward": forward,
        "strike": forward * np.exp(rng.uniform(-1.5, 1.5, options) * sigma * np.sqrt(tau)),
        "tau": tau,
        "sigma": sigma,
        "is_call": (rng.random(options) < 0.5).astype(np.float64),
        "size": rng.uniform(-20.0, 20.0, options),
        "spot_move": np.exp(0.04 * rng.standard_normal(scenarios)) - 1.0,
        "vol_shift": 0.05 * rng.standard_normal(scenarios),
    }


CASES = {
    "european": european,
    "vols": vols,
    "hard_vols": hard_vols,
    "american": american,
    "heston": heston,
    "slices": slices,
    "book": book,
}


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in CASES.items():
        np.savez(folder / f"{name}.npz", **make())

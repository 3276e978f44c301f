"""What the answers of `pricing.py` are judged by: fifty digits of mpmath for prices, Greeks and Heston; no peer, not us.

Made once per set of inputs and kept beside them, since Heston takes minutes.
"""

from __future__ import annotations

from pathlib import Path

import mpmath as mp
import numpy as np
from numpy.typing import NDArray

FIELDS = ("price", "delta", "gamma", "vega", "theta", "rho", "vanna", "volga", "charm", "speed", "zomma", "color")
SAMPLE = 2_000


def greeks(case: dict[str, NDArray[np.float64]], rows: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Price and eleven Greeks of some rows, and the natural scale of each: its formula with every |d| at least 1."""
    names = ("forward", "strike", "tau", "sigma", "discount")
    values = np.empty((len(FIELDS), rows.size))
    scales = np.empty((len(FIELDS), rows.size))
    with mp.workdps(50):
        for column, i in enumerate(rows):
            F, K, T, s, D = (mp.mpf(float(case[name][i])) for name in names)
            side = 1 if case["is_call"][i] > 0.5 else -1
            exact, scale = _greeks(F, K, T, s, D, side)
            values[:, column] = [float(v) for v in exact]
            scales[:, column] = [float(abs(v)) for v in scale]
    return {name: values[j] for j, name in enumerate(FIELDS)} | {
        f"scale_{name}": scales[j] for j, name in enumerate(FIELDS)
    }


def _greeks(F: mp.mpf, K: mp.mpf, T: mp.mpf, s: mp.mpf, D: mp.mpf, side: int) -> tuple[list[mp.mpf], list[mp.mpf]]:
    root = mp.sqrt(T)
    sd = s * root
    d1 = mp.log(F / K) / sd + sd / 2
    r = -mp.log(D) / T
    n1, n2 = mp.ncdf(side * d1), mp.ncdf(side * (d1 - sd))
    price = D * side * (F * n1 - K * n2)
    delta = D * side * n1

    def rest(d1: mp.mpf, d2: mp.mpf, density: mp.mpf) -> list[mp.mpf]:
        gamma = D * density / (F * sd)
        vega = D * F * density * root
        both = d1 * d2
        return [
            price,
            delta,
            gamma,
            vega,
            -vega * s / (2 * T) + r * price,
            -T * price,
            -D * density * d2 / s,
            vega * both / s,
            D * density * d2 / (2 * T) + r * delta,
            -gamma / F * (d1 / sd + 1),
            gamma * (both - 1) / s,
            -gamma * (both - 1) / (2 * T) + r * gamma,
        ]

    density = mp.npdf(d1)
    return rest(d1, d1 - sd, density), rest(mp.mpf(max(abs(d1), 1)), -mp.mpf(max(abs(d1 - sd), 1)), density)


def heston(case: dict[str, NDArray[np.float64]], kept: Path) -> NDArray[np.float64]:
    """Calls on a forward of 100 by Lewis' integral with 30 digits, shape (sets, strikes)."""
    if kept.exists():
        with np.load(kept) as found:
            if np.array_equal(found["strike"], case["strike"]) and np.array_equal(found["sets"], case["sets"]):
                prices: NDArray[np.float64] = found["price"]
                return prices
    prices = np.array(
        [
            [_heston(params, float(k), float(t)) for k, t in zip(case["strike"], case["tau"], strict=True)]
            for params in case["sets"]
        ]
    )
    np.savez(kept, strike=case["strike"], sets=case["sets"], price=prices)
    return prices


def _heston(params: NDArray[np.float64], strike: float, tau: float) -> float:
    with mp.workdps(25):
        v0, kappa, theta, xi, rho = (mp.mpf(float(p)) for p in params)
        t, x = mp.mpf(tau), mp.log(mp.mpf(100) / mp.mpf(strike))

        def characteristic(u: mp.mpc) -> mp.mpc:
            beta = kappa - 1j * rho * xi * u
            d = mp.sqrt(beta * beta + xi * xi * (u * u + 1j * u))
            g = (beta - d) / (beta + d)
            decay = mp.exp(-d * t)
            a = kappa * theta / xi**2 * ((beta - d) * t - 2 * mp.log((1 - g * decay) / (1 - g)))
            return mp.exp(a + v0 / xi**2 * (beta - d) * (1 - decay) / (1 - g * decay))

        def integrand(u: mp.mpf) -> mp.mpf:
            return mp.re(mp.exp(1j * u * x) * characteristic(u - mp.mpc(0, 0.5))) / (u * u + mp.mpf(1) / 4)

        spread = 1 / mp.sqrt(mp.mpf(float(max(params[0], params[2]))) * t)
        edges = [mp.mpf(0), *(spread * mp.mpf(2) ** j for j in range(0, 9)), mp.inf]
        total = mp.quad(integrand, edges[:-1])
        tail = mp.quad(integrand, [edges[-2], 4 * edges[-2]])
        return float(100 - mp.sqrt(100 * mp.mpf(strike)) / mp.pi * (total + tail))

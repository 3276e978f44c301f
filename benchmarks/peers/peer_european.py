"""European Greeks and implied vols by NumPy and SciPy, JAX, fast-vollib, py_vollib_vectorized and QuantLib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from peer_timing import Answers, load, timed

# Price and Greeks.


def _black_greeks(xp: Any, ndtr: Any, F: Any, K: Any, T: Any, s: Any, D: Any, r: Any, call: Any) -> tuple[Any, ...]:
    """Price and eleven Greeks as one would write them from Haug's book."""
    root = xp.sqrt(T)
    sd = s * root
    d1 = xp.log(F / K) / sd + 0.5 * sd
    d2 = d1 - sd
    side = 2.0 * call - 1.0
    n1, n2 = ndtr(side * d1), ndtr(side * d2)
    density = 0.3989422804014327 * xp.exp(-0.5 * d1 * d1)
    price = D * side * (F * n1 - K * n2)
    delta = D * side * n1
    gamma = D * density / (F * sd)
    vega = D * F * density * root
    theta = -vega * s / (2.0 * T) + r * price
    vanna = -D * density * d2 / s
    volga = vega * d1 * d2 / s
    charm = D * density * d2 / (2.0 * T) + r * delta
    speed = -gamma / F * (d1 / sd + 1.0)
    zomma = gamma * (d1 * d2 - 1.0) / s
    color = -gamma * (d1 * d2 - 1.0) / (2.0 * T) + r * gamma
    return price, delta, gamma, vega, theta, -T * price, vanna, volga, charm, speed, zomma, color


NAMES = ("price", "delta", "gamma", "vega", "theta", "rho", "vanna", "volga", "charm", "speed", "zomma", "color")


def _inputs(case: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    return tuple(case[name] for name in ("forward", "strike", "tau", "sigma", "discount", "rate", "is_call"))


def greeks_numpy(inputs: Path) -> tuple[int, float, Answers]:
    from scipy.special import ndtr

    case = load(inputs, "european")
    seconds, found = timed(lambda: _black_greeks(np, ndtr, *_inputs(case)), 3)
    return case["tau"].size, seconds, dict(zip(NAMES, found, strict=True))


def greeks_numpy_blocks(inputs: Path) -> tuple[int, float, Answers]:
    from scipy.special import ndtr

    case = load(inputs, "european")
    columns, rows, block = _inputs(case), case["tau"].size, 16_384
    out = np.empty((12, rows))

    def work() -> np.ndarray:
        for i in range(0, rows, block):
            found = _black_greeks(np, ndtr, *(c[i : i + block] for c in columns))
            for j in range(12):
                out[j, i : i + block] = found[j]
        return out

    seconds, found = timed(work, 3)
    return rows, seconds, dict(zip(NAMES, found, strict=True))


def greeks_jax(inputs: Path) -> tuple[int, float, Answers]:
    import jax

    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from jax.scipy.special import ndtr

    case = load(inputs, "european")
    columns = tuple(jnp.asarray(c) for c in _inputs(case))
    kernel = jax.jit(lambda *c: _black_greeks(jnp, ndtr, *c))
    seconds, found = timed(lambda: jax.block_until_ready(kernel(*columns)), 5)
    return case["tau"].size, seconds, {n: np.asarray(v) for n, v in zip(NAMES, found, strict=True)}


def greeks_fast_vollib(inputs: Path) -> tuple[int, float, Answers]:
    """Price and five Greeks: it offers no more."""
    import fast_vollib as fv

    case = load(inputs, "european")
    F, K, T, s, _, r, call = _inputs(case)
    flag = np.where(call > 0.5, "c", "p")

    def work() -> Any:
        price = fv.fast_black(flag, F, K, T, r, s, return_as="numpy")
        return price, fv.get_all_greeks(flag, F, K, T, r, s, model="black", return_as="dict")

    seconds, (price, rest) = timed(work, 3)
    return T.size, seconds, {"price": np.asarray(price), "delta": np.asarray(rest["delta"])}


def greeks_py_vollib_vectorized(inputs: Path) -> tuple[int, float, Answers]:
    import py_vollib_vectorized as pv

    case = load(inputs, "european", 100_000)
    F, K, T, s, _, r, call = _inputs(case)
    flag = np.where(call > 0.5, "c", "p")

    def work() -> Any:
        price = pv.vectorized_black(flag, F, K, T, r, s, return_as="numpy")
        return price, pv.get_all_greeks(flag, F, K, T, r, s, model="black", return_as="dict")

    seconds, (price, rest) = timed(work, 2)
    return T.size, seconds, {"price": np.asarray(price).ravel(), "delta": np.asarray(rest["delta"]).ravel()}


def greeks_quantlib(inputs: Path) -> tuple[int, float, Answers]:
    """BlackCalculator, the leanest of QuantLib's ways, one object per option; price and five Greeks."""
    import QuantLib as ql

    case = load(inputs, "european", 20_000)
    F, K, T, s, D, _, call = _inputs(case)
    payoffs = [
        ql.PlainVanillaPayoff(ql.Option.Call if c > 0.5 else ql.Option.Put, float(k))
        for c, k in zip(call, K, strict=True)
    ]
    rows = list(zip(payoffs, F.tolist(), (s * np.sqrt(T)).tolist(), D.tolist(), T.tolist(), strict=True))

    def work() -> list[Any]:
        found = []
        for payoff, f, sd, d, t in rows:
            c = ql.BlackCalculator(payoff, f, sd, d)
            found.append((c.value(), c.deltaForward(), c.gammaForward(), c.vega(t), c.theta(f, t), c.rho(t)))
        return found

    seconds, found = timed(work, 2)
    table = np.array(found)
    return T.size, seconds, {"price": table[:, 0], "delta": table[:, 1]}


# Implied volatility.


def _vols_fast_vollib(inputs: Path, name: str) -> tuple[int, float, Answers]:
    from fast_vollib.jackel import jackel_iv_black

    case = load(inputs, name, 200_000)
    price = case["price"] / case["discount"]
    call = case["is_call"] > 0.5
    seconds, found = timed(lambda: jackel_iv_black(price, case["forward"], case["strike"], case["tau"], call), 2)
    return price.size, seconds, {"sigma": np.asarray(found)}


def vols_fast_vollib(inputs: Path) -> tuple[int, float, Answers]:
    return _vols_fast_vollib(inputs, "vols")


def hard_vols_fast_vollib(inputs: Path) -> tuple[int, float, Answers]:
    return _vols_fast_vollib(inputs, "hard_vols")


def _vols_py_vollib_vectorized(inputs: Path, name: str) -> tuple[int, float, Answers]:
    import py_vollib_vectorized as pv

    case = load(inputs, name, 200_000)
    flag = np.where(case["is_call"] > 0.5, "c", "p")
    price, F, K, T, r = (case[n] for n in ("price", "forward", "strike", "tau", "rate"))

    def work() -> Any:
        return pv.implied_volatility.vectorized_implied_volatility_black(
            price, F, K, r, T, flag, return_as="numpy", on_error="ignore"
        )

    seconds, found = timed(work, 2)
    return price.size, seconds, {"sigma": np.asarray(found).ravel()}


def vols_py_vollib_vectorized(inputs: Path) -> tuple[int, float, Answers]:
    return _vols_py_vollib_vectorized(inputs, "vols")


def hard_vols_py_vollib_vectorized(inputs: Path) -> tuple[int, float, Answers]:
    return _vols_py_vollib_vectorized(inputs, "hard_vols")


def _vols_quantlib(inputs: Path, name: str) -> tuple[int, float, Answers]:
    import QuantLib as ql

    case = load(inputs, name, 20_000)
    kind = [ql.Option.Call if c > 0.5 else ql.Option.Put for c in case["is_call"]]
    names = ("strike", "forward", "price", "discount", "tau")
    rows = list(zip(kind, *(case[n].tolist() for n in names), strict=True))

    def one(k: Any, K: float, F: float, p: float, d: float, t: float) -> float:
        try:
            return ql.blackFormulaImpliedStdDevLiRS(k, K, F, p, d, 0.0, ql.nullDouble(), 1.0, 1e-14, 100) / np.sqrt(t)
        except RuntimeError:
            return np.nan

    seconds, found = timed(lambda: [one(*row) for row in rows], 2)
    return len(rows), seconds, {"sigma": np.array(found)}


def vols_quantlib(inputs: Path) -> tuple[int, float, Answers]:
    return _vols_quantlib(inputs, "vols")


def hard_vols_quantlib(inputs: Path) -> tuple[int, float, Answers]:
    return _vols_quantlib(inputs, "hard_vols")

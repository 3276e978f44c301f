"""Heston, surfaces and a book over scenarios by PyFENG, QuantLib, SciPy and NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from peer_american import again
from peer_timing import Answers, load, timed

# Heston.


def heston_pyfeng_fft(inputs: Path) -> tuple[int, float, Answers]:
    import pyfeng as pf

    case = load(inputs, "heston")
    expiries = np.unique(case["tau"])
    strikes = [case["strike"][case["tau"] == t] for t in expiries]
    best, answers = 0.0, []
    for v0, kappa, theta, xi, rho in case["sets"]:
        model = pf.HestonFft(sigma=v0, vov=xi, rho=rho, mr=kappa, theta=theta)
        seconds, found = timed(
            lambda m=model: [m.price(k, 100.0, float(t)) for k, t in zip(strikes, expiries, strict=True)], 30
        )
        best += seconds / len(case["sets"])
        answers.append(np.concatenate(found))
    return 1, best, {"price": np.array(answers)}


def heston_quantlib(inputs: Path) -> tuple[int, float, Answers]:
    import QuantLib as ql

    case = load(inputs, "heston")
    today = ql.Date(1, 1, 2025)
    ql.Settings.instance().evaluationDate = today
    flat = ql.YieldTermStructureHandle(ql.FlatForward(today, 0.0, ql.Actual365Fixed()))
    spot = ql.QuoteHandle(ql.SimpleQuote(100.0))
    best, answers = 0.0, []
    for v0, kappa, theta, xi, rho in case["sets"]:
        process = ql.HestonProcess(flat, flat, spot, v0, kappa, theta, xi, rho)
        engine = ql.ExponentialFittingHestonEngine(ql.HestonModel(process))  # its fastest that reaches 1e-12
        options = []
        for k, t in zip(case["strike"], case["tau"], strict=True):
            payoff = ql.PlainVanillaPayoff(ql.Option.Call, float(k))
            options.append(ql.VanillaOption(payoff, ql.EuropeanExercise(today + round(t * 365))))
            options[-1].setPricingEngine(engine)
        seconds, found = timed(lambda rows=options: [again(option) for option in rows], 20)
        best += seconds / len(case["sets"])
        answers.append(found)
    return 1, best, {"price": np.array(answers)}


def calibration_quantlib(inputs: Path) -> tuple[int, float, Answers]:
    """Levenberg-Marquardt over the same 100 vols (made from exact prices), from the same middling start."""
    import QuantLib as ql

    case = load(inputs, "heston")
    with np.load(inputs / "heston_vols.npz") as found:
        vols = found["vols"]
    today = ql.Date(1, 1, 2025)
    ql.Settings.instance().evaluationDate = today
    day = ql.Actual365Fixed()
    flat = ql.YieldTermStructureHandle(ql.FlatForward(today, 0.0, day))
    spot = ql.QuoteHandle(ql.SimpleQuote(100.0))
    best, answers = 0.0, []
    for sigma in vols:
        start = float(np.median(sigma)) ** 2

        def work(sigma: np.ndarray = sigma, start: float = start) -> list[float]:
            process = ql.HestonProcess(flat, flat, spot, start, 1.5, start, 0.5, -0.5)
            model = ql.HestonModel(process)
            engine = ql.ExponentialFittingHestonEngine(model)
            helpers = []
            for k, t, s in zip(case["strike"], case["tau"], sigma, strict=True):
                period = ql.Period(round(t * 365), ql.Days)
                quote = ql.QuoteHandle(ql.SimpleQuote(float(s)))
                helper = ql.HestonModelHelper(
                    period, ql.NullCalendar(), 100.0, float(k), quote, flat, flat, ql.BlackCalibrationHelper.PriceError
                )
                helper.setPricingEngine(engine)
                helpers.append(helper)
            method = ql.LevenbergMarquardt(1e-8, 1e-8, 1e-8)
            model.calibrate(helpers, method, ql.EndCriteria(500, 50, 1e-8, 1e-8, 1e-8))
            return list(model.params())

        seconds, params = timed(work, 3)
        best += seconds / len(vols)
        theta, kappa, xi, rho, v0 = params
        answers.append((v0, kappa, theta, xi, rho))
    return 1, best, {"params": np.array(answers)}


# Surface.


def svi_scipy(inputs: Path) -> tuple[int, float, Answers]:
    """Least squares in vol per slice with the analytic Jacobian, the method of scipy that is fastest here (lm)."""
    from scipy.optimize import least_squares

    case = load(inputs, "slices")
    groups = [np.flatnonzero(case["tau"] == t) for t in np.unique(case["tau"])]

    def fit(rows: np.ndarray) -> np.ndarray:
        t, k, vol = case["tau"][rows[0]], case["k"][rows], case["vol"][rows]

        def residual(p: np.ndarray) -> np.ndarray:
            x = k - p[3]
            w = p[0] + p[1] * (p[2] * x + np.sqrt(x * x + p[4] * p[4]))
            return np.sqrt(np.maximum(w, 1e-12) / t) - vol

        def jacobian(p: np.ndarray) -> np.ndarray:
            x = k - p[3]
            root = np.sqrt(x * x + p[4] * p[4])
            w = np.maximum(p[0] + p[1] * (p[2] * x + root), 1e-12)
            scale = 0.5 / np.sqrt(w * t)
            rows = (np.ones_like(x), p[2] * x + root, p[1] * x, -p[1] * (p[2] + x / root), p[1] * p[4] / root)
            return (np.array(rows) * scale).T

        least = float(np.min(vol)) ** 2 * t
        start = [0.5 * least, 0.1 * np.sqrt(t), -0.2, 0.0, 0.3 * np.sqrt(t)]
        return least_squares(residual, start, jac=jacobian, method="lm", xtol=1e-10, ftol=1e-10, gtol=1e-10).x

    seconds, found = timed(lambda: [fit(rows) for rows in groups], 5)
    return 1, seconds, {"params": np.array(found)}


def svi_quantlib(inputs: Path) -> tuple[int, float, Answers]:
    import QuantLib as ql

    case = load(inputs, "slices")
    groups = [np.flatnonzero(case["tau"] == t) for t in np.unique(case["tau"])]
    today = ql.Date(1, 1, 2025)
    ql.Settings.instance().evaluationDate = today
    quote = ql.QuoteHandle(ql.SimpleQuote(100.0))

    def fit(rows: np.ndarray) -> np.ndarray:
        t, k, vol = float(case["tau"][rows[0]]), case["k"][rows], case["vol"][rows]
        strikes = (100.0 * np.exp(k)).tolist()
        handles = [ql.QuoteHandle(ql.SimpleQuote(float(v))) for v in vol]
        atm = ql.QuoteHandle(ql.SimpleQuote(float(np.interp(0.0, k, vol))))
        section = ql.SviInterpolatedSmileSection(
            today + round(t * 365), quote, strikes, False, atm, handles,
            0.02 * t, 0.1 * t**0.5, 0.3 * t**0.5, -0.2, 0.0, False, False, False, False, False,
        )  # fmt: skip
        return np.array([section.volatility(s) for s in strikes])

    seconds, found = timed(lambda: [fit(rows) for rows in groups], 1)
    return 1, seconds, {"vol": np.concatenate(found)}


def essvi_scipy(inputs: Path) -> tuple[int, float, Answers]:
    """Hendriks & Martini's eSSVI by least squares in the global parametrisation of Mingone (2022), boxes only."""
    from scipy.optimize import least_squares

    case = load(inputs, "slices")
    taus = np.unique(case["tau"])
    at = np.searchsorted(taus, case["tau"])
    theta0 = np.array([np.interp(0.0, case["k"][at == j], case["vol"][at == j]) ** 2 * t for j, t in enumerate(taus)])

    def unpack(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """rho free; theta = p_i theta_(i-1) + a_i; psi a share c of its admissible interval (eqs. 4.6 to 4.10)."""
        n = taus.size
        rho, a, c = np.tanh(p[:n]), np.exp(p[n : 2 * n]), 1.0 / (1.0 + np.exp(-p[2 * n :]))
        theta, psi = np.empty(n), np.empty(n)
        for i in range(n):
            bound = 4.0 / (1.0 + abs(rho[i]))
            if i == 0:
                theta[0] = a[0]
                psi[0] = c[0] * min(bound, 2.0 * np.sqrt(theta[0] / (1.0 + abs(rho[0])) * 1.0))
                continue
            ratio = max((1.0 + rho[i - 1]) / (1.0 + rho[i]), (1.0 - rho[i - 1]) / (1.0 - rho[i]), 1.0)
            theta[i] = theta[i - 1] * ratio + a[i]
            low = psi[i - 1] * ratio
            high = min(bound, 2.0 * np.sqrt(theta[i] / (1.0 + abs(rho[i]))), psi[i - 1] / theta[i - 1] * theta[i])
            psi[i] = low + c[i] * max(high - low, 0.0)
        return theta, rho, psi

    def residual(p: np.ndarray) -> np.ndarray:
        theta, rho, psi = (v[at] for v in unpack(p))
        x = psi / theta * case["k"]
        w = 0.5 * theta * (1.0 + rho * x + np.sqrt((x + rho) ** 2 + 1.0 - rho * rho))
        return np.sqrt(w / case["tau"]) - case["vol"]

    steps = np.maximum(np.diff(theta0, prepend=0.0), 1e-6)
    start = np.concatenate([np.full(taus.size, -0.25), np.log(steps), np.zeros(taus.size)])
    seconds, found = timed(lambda: least_squares(residual, start, method="lm", xtol=1e-8, ftol=1e-8, max_nfev=2000), 1)
    return 1, seconds, {"residual": found.fun}


# A book over scenarios.


def book_numpy_blocks(inputs: Path) -> tuple[int, float, Answers]:
    from scipy.special import ndtr

    case = load(inputs, "book")
    scenarios = case["spot_move"].size
    F, K, T, s, side = (
        case["forward"],
        case["strike"],
        case["tau"],
        case["sigma"],
        2.0 * case["is_call"] - 1.0,
    )

    def price(f: np.ndarray, v: np.ndarray) -> np.ndarray:
        sd = v * np.sqrt(T)[:, None]
        d1 = np.log(f / K[:, None]) / sd + 0.5 * sd
        q = side[:, None]
        return q * (f * ndtr(q * d1) - K[:, None] * ndtr(q * (d1 - sd)))

    base = price(F[:, None], s[:, None])
    pnl = np.empty(scenarios)

    def work() -> np.ndarray:
        for i in range(0, scenarios, 64):
            f = F[:, None] * (1.0 + case["spot_move"][i : i + 64])
            v = np.maximum(s[:, None] + case["vol_shift"][i : i + 64], 1e-8)
            pnl[i : i + 64] = case["size"] @ (price(f, v) - base)
        return pnl

    seconds, found = timed(work, 2)
    return 1, seconds, {"pnl": found}

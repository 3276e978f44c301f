"""American options under a constant rate, dividend yield and volatility: value, Greeks, boundary, implied volatility.

Sources: Andersen, Lake & Offengenden (2016), "High-performance American option pricing", Journal of Computational
Finance 20(1); Andersen & Lake (2021), "Fast American option pricing: the double-boundary case", Wilmott. How the
boundary is solved is told in `early_exercise.boundary`, how vega and rho follow it in `early_exercise.value`.

Rates and yields may have any sign. Where waiting costs nothing (a put with rate <= 0 and rate <= yield; a call with
rate and yield exchanged) results are the European ones to the last bit. Where q < r < 0 a put (r < q < 0 a call) has two
boundaries and both are used. Inputs broadcast against each other; results have the broadcast shape. Units are raw:
`tau` ACT/365 years, sigma, rate and yield decimals per year, Greeks the bare derivatives.

Limits: at tau = 0 the intrinsic value; at sigma = 0 the best time to exercise on the one path there is. NaN, infinite
or negative input, and a spot or strike of zero, give NaN. So does, rarely, a drift of dozens of deviations
(|rate - yield| sqrt(tau) / sigma above about 40), where no boundary is found; near it `STANDARD` is right to 1e-3 of the
strike only. Beyond tau of about a hundred years the nodes do not suffice.

Cost is per option: in a chain no two options share tau, rate, yield and sigma. Where neighbouring rows do (a ladder of
spots or strikes, scenarios), their boundary is solved once, since it scales with the strike.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.pricing import black
from voldesk.pricing import implied_vol as european
from voldesk.pricing.broadcast import columns
from voldesk.pricing.early_exercise import kernels
from voldesk.pricing.early_exercise.nodes import Accuracy, nodes_of
from voldesk.pricing.early_exercise.put import Workspace, workspace

_MOST_VOL_STEPS = 100
_VOL_TOLERANCE = 1e-2  # of a price's: what a search ends on must not depend on where it came from

__all__ = [
    "Accuracy",
    "AmericanGreeks",
    "AmericanIvStatus",
    "ExerciseBoundary",
    "exercise_boundary",
    "greeks",
    "implied_vol",
    "price",
]


class AmericanIvStatus(IntEnum):
    """Why a volatility is there or not; the value is NaN for everything but OK. Numbers agree with `IvStatus`."""

    OK = kernels.OK
    BELOW_INTRINSIC = kernels.BELOW_INTRINSIC  # below what exercising at the best known time is worth at any volatility
    ABOVE_MAX = kernels.ABOVE_MAX
    BAD_INPUT = kernels.BAD_INPUT
    AT_INTRINSIC = kernels.AT_INTRINSIC  # exactly the value of exercise now: every low volatility gives it
    NOT_FOUND = kernels.NOT_FOUND  # the search met volatilities at which no boundary could be solved


class AmericanGreeks(NamedTuple):
    """Price and derivatives, arrays of one shape. Zero beyond price and delta where exercise is due at once."""

    price: FloatArray
    delta: FloatArray  # per unit of spot
    gamma: FloatArray
    vega: FloatArray  # per 1.00 of volatility
    theta: FloatArray  # per year of calendar time
    rho: FloatArray  # per 1.00 of rate
    dividend_rho: FloatArray  # per 1.00 of dividend yield


class ExerciseBoundary(NamedTuple):
    """Exercise is due while lower <= spot <= upper; both NaN where waiting is better at any spot.

    An ordinary put has lower 0, an ordinary call upper inf.
    """

    lower: FloatArray
    upper: FloatArray


def price(
    spot: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    sigma: ArrayLike,
    is_call: ArrayLike,
    *,
    accuracy: Accuracy = Accuracy.STANDARD,
) -> FloatArray:
    """Value in currency.

    >>> round(float(price(36.0, 40.0, 1.0, 0.06, 0.0, 0.2, False)), 4)  # Longstaff & Schwartz (2001), table 1: 4.478
    4.4867
    """
    shape, inputs, steps = columns(spot, strike, tau, rate, dividend_yield, sigma, is_call=is_call)
    out = np.empty((1, *shape))
    _fill(out, steps, inputs, accuracy)
    values: FloatArray = out[0, ...]
    held = _held(steps, inputs, shape)
    if held is not None:
        years = np.asarray(tau, np.float64)
        r = np.asarray(rate, np.float64)
        forward = np.asarray(spot, np.float64) * np.exp((r - np.asarray(dividend_yield, np.float64)) * years)
        values = np.where(held, black.price(forward, strike, years, sigma, np.exp(-r * years), is_call), values)
    return values


def greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    sigma: ArrayLike,
    is_call: ArrayLike,
    *,
    accuracy: Accuracy = Accuracy.FINE,
) -> AmericanGreeks:
    """Price, delta, gamma, vega, theta, rho and the derivative in the dividend yield.

    Delta and gamma are the differentiated integral, theta follows from the Black-Scholes equation, vega and the rhos
    include how the exercise boundary moves. The default is finer than that of `price`: Greeks ask for more of the
    boundary, so the two prices differ in their fifth digit. Pass one `accuracy` to both where that matters.

    >>> g = greeks(100.0, 100.0, 0.5, 0.05, 0.02, 0.25, False)
    >>> round(float(g.delta), 6), round(float(g.vega), 4)
    (-0.441057, 27.5341)
    """
    shape, inputs, steps = columns(spot, strike, tau, rate, dividend_yield, sigma, is_call=is_call)
    out = np.empty((len(AmericanGreeks._fields), *shape))
    _fill(out, steps, inputs, accuracy)
    held = _held(steps, inputs, shape)
    if held is not None:
        g = black.spot_greeks(spot, strike, tau, sigma, rate, dividend_yield, is_call)
        by_yield = -np.asarray(tau, np.float64) * np.asarray(spot, np.float64) * g.delta
        for row, values in enumerate((g.price, g.delta, g.gamma, g.vega, g.theta, g.rho, by_yield)):
            out[row] = np.where(held, values, out[row])
    return AmericanGreeks(*[out[row, ...] for row in range(out.shape[0])])


def exercise_boundary(
    strike: ArrayLike,
    tau: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    sigma: ArrayLike,
    is_call: ArrayLike,
    times: ArrayLike,
    *,
    accuracy: Accuracy = Accuracy.STANDARD,
) -> ExerciseBoundary:
    """Spots at which exercise is due, at each of `times` to expiry (years, 0 ... tau; NaN outside).

    times: shape (m,). Results: shape of the other inputs broadcast, plus (m,).

    >>> b = exercise_boundary(100.0, 1.0, 0.05, 0.0, 0.2, False, [0.0, 0.5, 1.0])
    >>> b.upper.round(2).tolist()
    [100.0, 83.92, 80.87]
    """
    shape, inputs, steps = columns(strike, tau, rate, dividend_yield, sigma, is_call=is_call)
    moments = np.ascontiguousarray(np.asarray(times, np.float64).reshape(-1))
    nodes, ws = nodes_of(accuracy), workspace(nodes_of(accuracy))
    lower = np.empty((*shape, moments.size))
    upper = np.empty_like(lower)
    rows = int(np.prod(shape))
    flat = lower.reshape(rows, moments.size), upper.reshape(rows, moments.size)
    solved = kernels.solved_rows(nodes, min(rows, kernels.BLOCK))
    solver_steps, solver_inputs = np.concatenate([steps[:1], steps]), [inputs[0], *inputs]
    few_steps, few = steps[[0, 1, 5]], (inputs[0], inputs[1], inputs[5])
    for first in range(0, rows, kernels.BLOCK):
        count = min(kernels.BLOCK, rows - first)
        kernels.solve(nodes, nodes.tolerance, False, first, count, solved, ws, solver_steps, solver_inputs)
        kernels.boundary_kernel(few_steps, nodes, first, count, solved, ws, moments, *flat, *few)
    return ExerciseBoundary(lower, upper)


def implied_vol(
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    is_call: ArrayLike,
    *,
    accuracy: Accuracy = Accuracy.STANDARD,
) -> tuple[FloatArray, NDArray[np.int8]]:
    """Volatility (decimal per year) that reproduces each price, and a status per element (`AmericanIvStatus`).

    Starts from the European answer and reuses the vega of each valuation. A price equal to the value of exercise now
    tells only that volatility is low: NaN, AT_INTRINSIC.

    >>> sigma, status = implied_vol(4.486657, 36.0, 40.0, 1.0, 0.06, 0.0, False)
    >>> round(float(sigma), 5), AmericanIvStatus(int(status)).name
    (0.2, 'OK')
    """
    shape, inputs, steps = columns(price, spot, strike, tau, rate, dividend_yield, is_call=is_call)
    years, r = np.asarray(tau, np.float64), np.asarray(rate, np.float64)
    forward = np.asarray(spot, np.float64) * np.exp((r - np.asarray(dividend_yield, np.float64)) * years)
    held_vol, held_status = european.implied_vol(price, forward, strike, years, np.exp(-r * years), is_call)
    sigma = np.array(np.broadcast_to(held_vol, shape))
    status = np.array(np.broadcast_to(held_status, shape))
    ws = workspace(nodes_of(accuracy))
    kernels.bracket_kernel(steps, sigma.reshape(-1), status.reshape(-1), ws, *inputs)
    rows = np.flatnonzero(status.reshape(-1) == kernels.NOT_FOUND)
    for first in range(0, rows.size, kernels.BLOCK):
        block = rows[first : first + kernels.BLOCK]
        values = [column[block * step] for column, step in zip(inputs, steps, strict=True)]
        found = _search(values, sigma.reshape(-1)[block], accuracy, ws)
        sigma.reshape(-1)[block] = found
        status.reshape(-1)[block] = np.where(np.isnan(found), kernels.NOT_FOUND, kernels.OK)
    return sigma, status


def _search(values: list[Any], start: FloatArray, accuracy: Accuracy, ws: Workspace) -> FloatArray:
    """Volatilities of a block of prices (first of `values`), all rows a step at a time; boundaries start from the last."""
    nodes = nodes_of(accuracy)
    result = np.full_like(start, np.nan)
    sigma = start.copy()
    low, high, skipped = np.zeros_like(sigma), np.full_like(sigma, np.inf), np.zeros_like(sigma)
    rows = np.arange(sigma.size)
    target, *rest = values
    steps = np.ones(7, np.int64)
    solved = kernels.solved_rows(nodes, sigma.size)
    for turn in range(_MOST_VOL_STEPS):
        out = np.empty((len(AmericanGreeks._fields), rows.size))
        inputs = [*rest[:5], sigma, rest[5]]
        kernels.solve_and_value(nodes, _VOL_TOLERANCE * nodes.tolerance, turn > 0, solved, ws, out, steps, inputs)
        done = np.zeros(rows.size, np.bool_)
        kernels.search_kernel(target, out, low, high, skipped, sigma, done)
        if done.any():
            result[rows[done]] = sigma[done]
            more = ~done
            if not more.any():
                break
            rows, sigma, target, rest = rows[more], sigma[more], target[more], [column[more] for column in rest]
            low, high, skipped = low[more], high[more], skipped[more]
            solved = kernels.Solved(solved.found[more], solved.squares[more])
    return result


def _fill(out: FloatArray, steps: IntArray, inputs: list[Any], accuracy: Accuracy) -> None:
    nodes = nodes_of(accuracy)
    flat = out.reshape(out.shape[0], out[0].size)
    solved = kernels.solved_rows(nodes, min(flat.shape[1], kernels.BLOCK))
    kernels.solve_and_value(nodes, nodes.tolerance, False, solved, workspace(nodes), flat, steps, inputs)


def _held(steps: IntArray, inputs: list[Any], shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Valid rows whose European value is the American one; None where there are none."""
    held = np.empty(shape, np.bool_)
    return held if kernels.held_kernel(steps, held.reshape(-1), *inputs) else None

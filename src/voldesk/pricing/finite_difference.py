"""European and American options by finite differences in one dimension, with what closed forms leave out: discrete cash
dividends, rates that change in time, local volatility, log-normal jumps, two-sided exercise.

Method: TR-BDF2 (default) or Crank-Nicolson with Rannacher's start, on a sinh grid of spots that is dense about the strike
and time steps that are dense after each kink; early exercise as an exact linear complementarity problem in each stage.
Sources are named in `grids.kernels` and `grids.grid`. Errors fall with the square of nodes and steps taken together.

Dividends: at each ex time the spot falls by the cash amount, at most to zero (see `dividends`), and the holder may
exercise just before. Units are raw: tau in ACT/365 years, rates continuous.

Drift against volatility: where |rate - yield| tau is more than about three deviations sigma sqrt(tau), the default grid
is too coarse for upwind differences to be exact (sigma 2 %, rate 5 %, one year: 3e-5 of a spot of 100; sigma 1 %: 3e-2,
with 401 nodes and 100 steps 3e-5). Beyond ten years of early exercise take 401 nodes too.

Limits: at tau = 0 the payoff; without volatility and jumps the value along the certain path, with the best exercise time
on it. NaN for NaN or infinite input, spot or strike <= 0, negative tau or sigma.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError
from voldesk.pricing.broadcast import columns
from voldesk.pricing.dividends import DividendSchedule
from voldesk.pricing.grids import kernels as fd_kernels
from voldesk.pricing.grids import rows as fd_rows
from voldesk.pricing.grids.grid import dividends_within, shares
from voldesk.pricing.grids.jump_pde import LogJumps
from voldesk.pricing.grids.market import LocalVolGrid, Market, PiecewiseRate, market

__all__ = [
    "ExerciseBoundary",
    "GridGreeks",
    "LocalVolGrid",
    "LogJumps",
    "PiecewiseRate",
    "Scheme",
    "exercise_boundary",
    "greeks",
    "price",
]

_NODES = (21, 5001)
_STEPS = (4, 100_000)
_MOST_JUMP_NODES = 1501  # the jump integral takes nodes squared numbers


class Scheme(IntEnum):
    """How the value moves in time; both of second order."""

    TR_BDF2 = fd_kernels.TR_BDF2
    CRANK_NICOLSON = fd_kernels.CRANK_NICOLSON


class GridGreeks(NamedTuple):
    """Raw derivatives in spot: delta, gamma; vega per 1.00 of sigma; theta per year of calendar time; rho per 1.00."""

    price: FloatArray
    delta: FloatArray
    gamma: FloatArray
    vega: FloatArray
    theta: FloatArray
    rho: FloatArray


class ExerciseBoundary(NamedTuple):
    """Exercise is best where lower <= spot <= upper. times: years from now, rising, all before expiry; shapes (m,).

    A put has lower 0, a call upper infinity, unless rates make a second boundary; NaN where there is none on the grid.
    Ex times are among the times: exercise just before the fall, often the only time when a call is exercised early.
    """

    times: FloatArray
    lower: FloatArray
    upper: FloatArray


def price(
    spot: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    rate: ArrayLike | PiecewiseRate,
    sigma: ArrayLike | None,
    is_call: ArrayLike,
    *,
    dividend_yield: ArrayLike | PiecewiseRate = 0.0,
    dividends: DividendSchedule | None = None,
    american: bool = True,
    local_vol: LocalVolGrid | None = None,
    jumps: LogJumps | None = None,
    scheme: Scheme = Scheme.TR_BDF2,
    steps: int = 50,
    nodes: int = 201,
    extrapolate: bool = True,
) -> FloatArray:
    """Value in currency; inputs broadcast, the result has their shape.

    rate, dividend_yield: one number per option or one curve for all. sigma: None with local_vol, which takes its place.
    steps, nodes: of the grid in time and spot. Raises InputError for sizes out of range or sigma beside local_vol.

    >>> dividends = DividendSchedule(times=(0.5,), amounts=(4.0,))
    >>> round(float(price(100.0, 100.0, 1.0, 0.05, 0.3, True, dividends=dividends, american=False)), 2)
    12.13
    """
    inputs = _inputs(spot, strike, tau, rate, sigma, is_call, dividend_yield, dividends, local_vol, jumps, steps, nodes)
    shape, rows, stride, facts = inputs
    out = np.empty(shape)
    fd_rows.kernel(stride, american, int(scheme), steps, nodes, extrapolate, facts, out.reshape(1, -1), *rows)
    return out


def greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    rate: ArrayLike | PiecewiseRate,
    sigma: ArrayLike | None,
    is_call: ArrayLike,
    *,
    dividend_yield: ArrayLike | PiecewiseRate = 0.0,
    dividends: DividendSchedule | None = None,
    american: bool = True,
    local_vol: LocalVolGrid | None = None,
    jumps: LogJumps | None = None,
    scheme: Scheme = Scheme.TR_BDF2,
    steps: int = 50,
    nodes: int = 201,
    extrapolate: bool = True,
) -> GridGreeks:
    """Price, delta, gamma and theta off one grid; vega and rho (of a parallel shift) by central bumps on the same grid.

    Arguments as in `price`. With local_vol, vega is NaN: bump the surface instead. Where the option is exercised at
    once, delta is +-1 and the rest 0.

    >>> g = greeks(100.0, 100.0, 1.0, 0.05, 0.3, False)
    >>> round(float(g.price), 2), round(float(g.delta), 3)
    (9.87, -0.406)
    """
    inputs = _inputs(spot, strike, tau, rate, sigma, is_call, dividend_yield, dividends, local_vol, jumps, steps, nodes)
    shape, rows, stride, facts = inputs
    out = np.empty((len(GridGreeks._fields), *shape))
    fd_rows.kernel(stride, american, int(scheme), steps, nodes, extrapolate, facts, out.reshape(len(out), -1), *rows)
    return GridGreeks(*[out[i, ...] for i in range(len(out))])


def exercise_boundary(
    spot: float,
    strike: float,
    tau: float,
    rate: float | PiecewiseRate,
    sigma: float | None,
    is_call: bool,
    *,
    dividend_yield: float | PiecewiseRate = 0.0,
    dividends: DividendSchedule | None = None,
    local_vol: LocalVolGrid | None = None,
    jumps: LogJumps | None = None,
    scheme: Scheme = Scheme.TR_BDF2,
    steps: int = 400,
    nodes: int = 401,
) -> ExerciseBoundary:
    """Spots at which one American option is best exercised, from now to shortly before expiry.

    Arguments as in `price`, of one option; spot only places the grid. Raises InputError where these make no option, or
    one without time or chance.

    >>> boundary = exercise_boundary(100.0, 100.0, 1.0, 0.05, 0.2, False)
    >>> round(float(boundary.upper[0]), 1)
    80.9
    """
    inputs = _inputs(spot, strike, tau, rate, sigma, is_call, dividend_yield, dividends, local_vol, jumps, steps, nodes)
    shape, rows, _, facts = inputs
    if shape != ():
        raise InputError(f"inputs of shape {shape}; expected one option. Call once per option.")
    s, k, t, r, q, v = (float(row[0]) for row in rows[:-1])
    option = (s, k, t, r, q, v, 1.0 if rows[-1][0] else -1.0)
    if not fd_rows.is_valid(option, facts) or fd_rows.without_chance(option, facts):
        raise InputError(f"spot={spot} strike={strike} tau={tau} sigma={sigma}; expected positive, finite numbers.")
    due = dividends_within(facts.ex_times, t)
    count = shares(facts.ex_times, due, t, steps, np.empty(due + 1))
    boundary = np.full((count + due, 3), np.nan)
    work, held, matrix = fd_rows.scratch(nodes, facts)
    place = fd_rows.build_grid(work, option, 1, facts, matrix)
    fd_rows.solve(work, held, place, option, True, int(scheme), steps, facts, matrix, boundary)
    boundary = boundary[::-1]
    return ExerciseBoundary(boundary[:, 0].copy(), boundary[:, 1].copy(), boundary[:, 2].copy())


def _inputs(
    spot: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    rate: ArrayLike | PiecewiseRate,
    sigma: ArrayLike | None,
    is_call: ArrayLike,
    dividend_yield: ArrayLike | PiecewiseRate,
    dividends: DividendSchedule | None,
    local_vol: LocalVolGrid | None,
    jumps: LogJumps | None,
    steps: int,
    nodes: int,
) -> tuple[tuple[int, ...], Any, Any, Market]:
    """Shape, columns, strides and the market's arrays."""
    if (sigma is None) != (local_vol is not None):
        raise InputError("give either sigma or local_vol: pass sigma=None with a local volatility grid.")
    for name, size in (("nodes", nodes), ("steps", steps)):
        if not isinstance(size, int | np.integer):
            raise InputError(f"{name}={size!r}; expected a whole number, such as {201 if name == 'nodes' else 50}.")
    most = _NODES[1] if jumps is None else _MOST_JUMP_NODES
    if not _NODES[0] <= nodes <= most:
        raise InputError(f"nodes={nodes}; expected {_NODES[0]} to {most}, such as 201.")
    if nodes % 2 == 0:
        raise InputError(f"nodes={nodes}; expected an odd number, such as {nodes + 1}.")
    if not _STEPS[0] <= steps <= _STEPS[1]:
        raise InputError(f"steps={steps}; expected {_STEPS[0]} to {_STEPS[1]}, such as 50.")
    rate_curve = rate if isinstance(rate, PiecewiseRate) else None
    yield_curve = dividend_yield if isinstance(dividend_yield, PiecewiseRate) else None
    shape, rows, stride = columns(
        spot,
        strike,
        tau,
        0.0 if isinstance(rate, PiecewiseRate) else rate,
        0.0 if isinstance(dividend_yield, PiecewiseRate) else dividend_yield,
        0.0 if sigma is None else sigma,
        is_call=is_call,
    )
    return shape, rows, stride, market(rate_curve, yield_curve, dividends, local_vol, jumps)

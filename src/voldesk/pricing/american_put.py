"""One American put in units of its strike: its boundary or boundaries, then value and derivatives.

Sources: Andersen, Lake & Offengenden (2016) for one boundary; Andersen & Lake (2021) for the double region q < r < 0,
where the put is exercised between a lower and an upper boundary until they meet, at a time to expiry tau*; an option
with longer to live collects the premium of the last tau* only.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled
from voldesk.pricing import american_boundary as boundary
from voldesk.pricing import american_value as value
from voldesk.pricing.american_nodes import Nodes

NONE: Final = 0
SINGLE: Final = 1
DOUBLE: Final = 2
MET: Final = 3  # two boundaries that meet before the option's time to expiry

_STEADY: Final = 1e-8  # total volatility below which the path is taken as certain
_GROWTH: Final = 3.0
_MOST_STAGES: Final = 40


class Workspace(NamedTuple):
    """Scratch of one thread; the second index of `node` and `work` is 0 for the upper, 1 for the lower boundary."""

    node: FloatArray
    work: FloatArray
    matrices: FloatArray
    order: FloatArray
    gradient: FloatArray
    grid: FloatArray
    parts: FloatArray


class Boundaries(NamedTuple):
    """What is solved: the nodes hold for times to expiry up to `horizon`; levels at expiry and floors of each."""

    kind: int
    horizon: float
    start_upper: float
    floor_upper: float
    start_lower: float
    floor_lower: float


def workspace(nodes: Nodes) -> Workspace:
    """Arrays for `nodes`."""
    n = nodes.z.size
    return Workspace(
        np.zeros((2, boundary.NODE_ROWS, n)),
        np.zeros((2, boundary.WORK_ROWS, nodes.age.size)),
        np.zeros((2, n, n)),
        np.zeros(n),
        np.zeros((2, n + 1)),
        np.zeros((value.scratch_rows(n), nodes.value_point.size)),
        np.zeros(value.PARTS),
    )


@compiled
def square_at(nodes: Nodes, squares: FloatArray, z: float) -> float:
    """The polynomial H at z, by the barycentric form (Chebyshev points: weights of alternating sign, ends halved)."""
    n = nodes.z.size
    top = 0.0
    bottom = 0.0
    sign = 0.5
    for i in range(n):
        gap = z - nodes.z[i]
        if gap == 0.0:
            return float(squares[i])
        top += sign * squares[i] / gap
        bottom += sign / gap
        sign = -math.copysign(1.0, sign)
    bottom += 0.5 * sign / z if z != 0.0 else math.inf
    return top / bottom


@compiled
def log_level(nodes: Nodes, side: float, start: float, floor: float, squares: FloatArray, z: float) -> float:
    """Log of the boundary over the strike at z = sqrt(time to expiry / horizon)."""
    root, _ = boundary.bent_root(square_at(nodes, squares, z), floor * z * z)
    return start - side * root if z > 0.0 else start


@compiled
def _stretch(nodes: Nodes, ratio: float, squares: FloatArray) -> None:
    """Replaces H on a horizon by a guess of H on `ratio`^2 times that horizon."""
    n = nodes.z.size
    moved = np.empty(n)
    for i in range(n):
        z = nodes.z[i] * ratio
        moved[i] = square_at(nodes, squares, z) if z <= 1.0 else squares[0] * z
    for i in range(n):
        squares[i] = max(moved[i], 1e-3 * nodes.z[i] * nodes.z[i] * squares[0])


@compiled
def _opening(nodes: Nodes, start: float, ws: Workspace, floor_upper: float, floor_lower: float, z: float) -> float:
    """Log upper minus log lower boundary."""
    upper = log_level(nodes, 1.0, 0.0, floor_upper, ws.node[0, boundary.H], z)
    lower = log_level(nodes, -1.0, start, floor_lower, ws.node[1, boundary.H], z)
    return upper - lower


@compiled
def _both(
    nodes: Nodes, tolerance: float, horizon: float, rate: float, dividend_yield: float, sigma: float, ws: Workspace
) -> tuple[bool, float, float]:
    """Solves the two equations on a horizon from the guesses in place; whether both converged, and their floors."""
    start = math.log(rate / dividend_yield)
    floor_upper = boundary.boundary_floor(nodes, horizon, sigma, ws.node[0])
    steps = boundary.newton(
        nodes, 1.0, horizon, rate, dividend_yield, sigma, 0.0, floor_upper, tolerance,
        ws.node[0], ws.work[0], ws.matrices, ws.order,
    )  # fmt: skip
    floor_lower = boundary.boundary_floor(nodes, horizon, sigma, ws.node[1])
    more = boundary.newton(
        nodes, -1.0, horizon, rate, dividend_yield, sigma, start, floor_lower, tolerance,
        ws.node[1], ws.work[1], ws.matrices, ws.order,
    )  # fmt: skip
    return steps > 0 and more > 0, floor_upper, floor_lower


@compiled
def _double(
    nodes: Nodes, tolerance: float, tau: float, rate: float, dividend_yield: float, sigma: float, ws: Workspace
) -> Boundaries:
    """Both boundaries of q < r < 0: on growing horizons, until expiry or until they have met, then on the meeting time."""
    start = math.log(rate / dividend_yield)
    upper, lower = ws.node[0, boundary.H], ws.node[1, boundary.H]
    span = start / sigma
    horizon = min(tau, span * span / 30.0)
    boundary.first_guess(nodes, horizon, rate, dividend_yield, sigma, ws.node[0])
    for i in range(nodes.z.size):
        lower[i] = boundary.LEAST_SQUARE * sigma * sigma * horizon * nodes.z[i] * nodes.z[i]
    kept = upper.copy(), lower.copy()
    solved = 0.0
    growth = _GROWTH
    for _ in range(_MOST_STAGES):
        fine, floor_upper, floor_lower = _both(nodes, tolerance, horizon, rate, dividend_yield, sigma, ws)
        if not fine:
            if solved == 0.0:
                horizon *= 0.3
                boundary.first_guess(nodes, horizon, rate, dividend_yield, sigma, ws.node[0])
                for i in range(nodes.z.size):
                    lower[i] = boundary.LEAST_SQUARE * sigma * sigma * horizon * nodes.z[i] * nodes.z[i]
                continue
            growth = 1.0 + 0.4 * (growth - 1.0)
            upper[:] = kept[0]
            lower[:] = kept[1]
            grown = min(tau, solved * growth)
            _stretch(nodes, math.sqrt(grown / solved), upper)
            _stretch(nodes, math.sqrt(grown / solved), lower)
            horizon = grown
            continue
        opening = _opening(nodes, start, ws, floor_upper, floor_lower, 1.0)
        if opening >= 0.0 and horizon >= tau:
            return Boundaries(DOUBLE, tau, 0.0, floor_upper, start, floor_lower)
        if abs(opening) < max(1e-7, 1e-3 * tolerance):
            return Boundaries(MET, horizon, 0.0, floor_upper, start, floor_lower)
        kept[0][:] = upper
        kept[1][:] = lower
        solved = horizon
        if opening > 0.0:
            slope = (opening - _opening(nodes, start, ws, floor_upper, floor_lower, 0.98)) / 0.02
            reach = 1.0 - opening / slope  # in sqrt(time); the opening narrows
            ratio = min(reach if reach < 1.2 else math.sqrt(growth), math.sqrt(tau / horizon))
        else:
            low, high = 0.0, 1.0
            for _ in range(50):
                middle = 0.5 * (low + high)
                if _opening(nodes, start, ws, floor_upper, floor_lower, middle) > 0.0:
                    low = middle
                else:
                    high = middle
            ratio = 0.5 * (low + high)
        _stretch(nodes, ratio, upper)
        _stretch(nodes, ratio, lower)
        horizon *= ratio * ratio
        horizon = horizon if horizon < (1.0 - 1e-12) * tau else tau
    return Boundaries(NONE, math.nan, math.nan, math.nan, math.nan, math.nan)


@compiled
def boundaries(
    nodes: Nodes, tolerance: float, tau: float, rate: float, dividend_yield: float, sigma: float, ws: Workspace
) -> Boundaries:
    """Solves the boundary or boundaries of a put that may be worth exercising early (not r <= 0, r <= q)."""
    if rate < 0.0:
        return _double(nodes, tolerance, tau, rate, dividend_yield, sigma, ws)
    start = boundary.start_level(rate, dividend_yield, sigma * math.sqrt(tau))
    horizon = tau
    boundary.first_guess(nodes, tau, rate, dividend_yield, sigma, ws.node[0])
    for _ in range(_MOST_STAGES):
        floor = boundary.boundary_floor(nodes, horizon, sigma, ws.node[0])
        steps = boundary.newton(
            nodes, 1.0, horizon, rate, dividend_yield, sigma, start, floor, tolerance,
            ws.node[0], ws.work[0], ws.matrices, ws.order,
        )  # fmt: skip
        if steps > 0:
            if horizon >= tau:
                return Boundaries(SINGLE, tau, start, floor, math.nan, math.nan)
            longer = min(tau, _GROWTH * horizon)
            _stretch(nodes, math.sqrt(longer / horizon), ws.node[0, boundary.H])
            horizon = longer
        else:  # rare: no volatility to speak of against the drift. Grow up to the horizon from a shorter one
            if horizon < 1e-4 * tau:
                break
            horizon = 0.1 * min(horizon, tau)
            start = boundary.start_level(rate, dividend_yield, sigma * math.sqrt(horizon))
            boundary.first_guess(nodes, horizon, rate, dividend_yield, sigma, ws.node[0])
    return Boundaries(NONE, math.nan, math.nan, math.nan, math.nan, math.nan)


@compiled
def _exercised(spot: float, parts: FloatArray) -> None:
    parts[:] = 0.0
    parts[value.VALUE] = 1.0 - spot
    parts[value.FIRST] = -spot


@compiled
def certain(spot: float, tau: float, rate: float, dividend_yield: float, parts: FloatArray) -> bool:
    """Without volatility: the best time to exercise on the one path, strike e^{-rt} - spot e^{-qt} at its largest.

    Whether that is now.
    """
    drift = rate - dividend_yield
    best = 0.0
    gain = 1.0 - spot
    inner = 0.0
    if rate * dividend_yield > 0.0 and drift != 0.0:
        inner = math.log(rate / (dividend_yield * spot)) / drift
    for when in (inner, tau):
        if 0.0 < when <= tau:
            there = math.exp(-rate * when) - spot * math.exp(-dividend_yield * when)
            if there > gain:
                gain = there
                best = when
    if gain > 0.0 and best == 0.0:
        _exercised(spot, parts)
        return True
    parts[:] = 0.0
    if gain == 0.0 and tau == 0.0:
        parts[value.FIRST] = -0.5 * spot
        parts[value.SECOND] = math.inf
    if gain > 0.0:
        cash = math.exp(-rate * best)
        stock = spot * math.exp(-dividend_yield * best)
        parts[value.VALUE] = gain
        parts[value.FIRST] = -stock
        parts[value.RHO] = -best * cash
        parts[value.DIVIDEND_RHO] = best * stock
        if best == inner:
            parts[value.SECOND] = -dividend_yield * stock / drift
    return False


@compiled
def _add_premium(
    nodes: Nodes,
    found: Boundaries,
    lower: bool,
    tail: float,
    sign: float,
    log_spot: float,
    tau: float,
    rate: float,
    dividend_yield: float,
    sigma: float,
    with_greeks: bool,
    ws: Workspace,
) -> None:
    """One boundary's premium and, with Greeks, what its own move adds to them."""
    which = 1 if lower else 0
    side = -1.0 if lower else 1.0
    start = found.start_lower if lower else found.start_upper
    floor = found.floor_lower if lower else found.floor_upper
    gradient = ws.gradient[which]
    ws.parts[value.LEVEL] = 0.0
    value.premium(
        nodes, tail, side, sign, log_spot, found.horizon, tau - found.horizon, rate, dividend_yield, sigma, start, floor,
        with_greeks, ws.node[which], ws.parts, gradient, ws.grid,
    )  # fmt: skip
    if with_greeks:
        value.shifted_start(rate, dividend_yield, start, ws.parts)
        value.carried(
            nodes, side, found.horizon, rate, dividend_yield, sigma, start, floor,
            ws.node[which], ws.work[which], ws.matrices, ws.order, ws.parts, gradient,
        )  # fmt: skip


@compiled
def put_parts(
    nodes: Nodes,
    tolerance: float,
    with_greeks: bool,
    spot: float,
    tau: float,
    rate: float,
    dividend_yield: float,
    sigma: float,
    ws: Workspace,
) -> bool:
    """Value and derivatives of a put on strike 1 into ws.parts, NaN where no boundary could be found.

    True where exercise is due now.
    """
    parts = ws.parts
    if sigma * math.sqrt(tau) < _STEADY:
        return certain(spot, tau, rate, dividend_yield, parts)
    found = boundaries(nodes, tolerance, tau, rate, dividend_yield, sigma, ws)
    if found.kind == NONE:
        parts[:] = math.nan
        return False
    floored = True
    log_spot = math.log(spot)
    if found.kind != MET:
        upper = log_level(nodes, 1.0, found.start_upper, found.floor_upper, ws.node[0, boundary.H], 1.0)
        below = log_spot <= upper
        if below and found.kind == DOUBLE:
            lower = log_level(nodes, -1.0, found.start_lower, found.floor_lower, ws.node[1, boundary.H], 1.0)
            floored = log_spot >= lower
            below = floored
        if below:
            _exercised(spot, parts)
            return True
    value.held_to_expiry(log_spot, tau, rate, dividend_yield, sigma, floored, parts)
    held = parts[value.VALUE]
    if not floored:
        _add_premium(nodes, found, True, -1.0, 1.0, log_spot, tau, rate, dividend_yield, sigma, with_greeks, ws)
    else:
        _add_premium(nodes, found, False, 1.0, 1.0, log_spot, tau, rate, dividend_yield, sigma, with_greeks, ws)
        if found.kind == MET:
            _add_premium(nodes, found, True, 1.0, -1.0, log_spot, tau, rate, dividend_yield, sigma, with_greeks, ws)
    parts[value.VALUE] = max(parts[value.VALUE], held, 1.0 - spot)
    return False

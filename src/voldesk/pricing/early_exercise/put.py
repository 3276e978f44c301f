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
from voldesk.pricing.early_exercise import boundary, value
from voldesk.pricing.early_exercise.nodes import Nodes

NONE: Final = 0
SINGLE: Final = 1
DOUBLE: Final = 2
MET: Final = 3  # two boundaries that meet before the option's time to expiry
AWAITED: Final = 4  # two boundaries, not solved yet
FLEETING: Final = 5  # no boundary to speak of: no premium comes of it

STEADY: Final = 1e-8  # total volatility below which the path is taken as certain
_NO_PREMIUM: Final = 1e-8  # of the strike
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
    floor_upper = floor = math.nan
    for which in range(2):
        side, start = (1.0, 0.0) if which == 0 else (-1.0, math.log(rate / dividend_yield))
        floor_upper = floor
        floor = boundary.boundary_floor(nodes, horizon, sigma, ws.node[which])
        steps = boundary.newton(
            nodes, side, horizon, rate, dividend_yield, sigma, start, floor, tolerance,
            ws.node[which], ws.work[which], ws.matrices, ws.order,
        )  # fmt: skip
        if steps < 0:
            return False, floor, floor
    return True, floor_upper, floor


@compiled
def _fresh(nodes: Nodes, horizon: float, rate: float, dividend_yield: float, sigma: float, ws: Workspace) -> None:
    """First guesses of both boundaries."""
    boundary.first_guess(nodes, horizon, rate, dividend_yield, sigma, ws.node[0])
    for i in range(nodes.z.size):
        variance = sigma * sigma * horizon * nodes.z[i] * nodes.z[i]
        ws.node[1, boundary.H, i] = boundary.LEAST_SQUARE * variance


@compiled
def _crossing(nodes: Nodes, start: float, ws: Workspace, floor_upper: float, floor_lower: float) -> float:
    """z where two boundaries meet that have crossed at z = 1."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        if _opening(nodes, start, ws, floor_upper, floor_lower, middle) > 0.0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@compiled
def double_boundaries(
    nodes: Nodes, tolerance: float, tau: float, rate: float, dividend_yield: float, sigma: float, ws: Workspace
) -> Boundaries:
    """Both boundaries of q < r < 0: on growing horizons, until expiry or until they meet.

    `reached` is the longest horizon solved on which they have not met. Beyond the meeting the equations may have other
    solutions: one that puts the meeting before `reached` is such, and a shorter step is tried.
    """
    start = math.log(rate / dividend_yield)
    upper, lower = ws.node[0, boundary.H], ws.node[1, boundary.H]
    meeting = (start / (3.0 * sigma)) ** 2  # no later: a short upper boundary is 4 to 6 deviations away
    if meeting < tau and (rate - dividend_yield) * meeting < _NO_PREMIUM:
        return Boundaries(FLEETING, meeting, math.nan, math.nan, math.nan, math.nan)
    close = max(1e-6, 1e-2 * tolerance)  # what is lost by not looking beyond is the square of it
    horizon = min(tau, start * start / (30.0 * sigma * sigma))
    _fresh(nodes, horizon, rate, dividend_yield, sigma, ws)
    kept_upper, kept_lower = upper.copy(), lower.copy()
    reached, opening_reached = 0.0, -start
    growth = _GROWTH
    for _ in range(_MOST_STAGES):
        fine, floor_upper, floor_lower = _both(nodes, tolerance, horizon, rate, dividend_yield, sigma, ws)
        opening = _opening(nodes, start, ws, floor_upper, floor_lower, 1.0) if fine else -math.inf
        if opening >= 0.0 and horizon >= tau:
            return Boundaries(DOUBLE, tau, 0.0, floor_upper, start, floor_lower)
        if abs(opening) < close:
            return Boundaries(MET, horizon, 0.0, floor_upper, start, floor_lower)
        ratio = 0.0
        if opening > 0.0:
            before = math.sqrt(reached / horizon)
            slope = (opening_reached - opening) / (1.0 - before)
            ratio = min(math.sqrt(growth), 1.0 + opening / slope) if slope > 0.0 else math.sqrt(growth)
            kept_upper[:] = upper
            kept_lower[:] = lower
            reached, opening_reached = horizon, opening
        elif fine:
            ratio = _crossing(nodes, start, ws, floor_upper, floor_lower)
            if ratio * ratio * horizon <= (1.0 + 1e-9) * reached or reached == 0.0:
                ratio = 0.0
        if ratio == 0.0:
            if reached == 0.0:
                horizon *= 0.2
                _fresh(nodes, horizon, rate, dividend_yield, sigma, ws)
                continue
            growth = 1.0 + 0.4 * (growth - 1.0)
            upper[:] = kept_upper
            lower[:] = kept_lower
            horizon = reached
            ratio = math.sqrt(growth)
        longer = horizon * ratio * ratio
        longer = longer if longer < (1.0 - 1e-12) * tau else tau
        _stretch(nodes, math.sqrt(longer / horizon), upper)
        _stretch(nodes, math.sqrt(longer / horizon), lower)
        horizon = longer
    return Boundaries(NONE, math.nan, math.nan, math.nan, math.nan, math.nan)


@compiled
def single_boundary(
    nodes: Nodes,
    tolerance: float,
    tau: float,
    rate: float,
    dividend_yield: float,
    sigma: float,
    guessed: bool,
    ws: Workspace,
) -> Boundaries:
    """Solves the boundary of a put with rate > 0, or with rate 0 and a negative yield.

    guessed: node[H] holds a guess already.
    """
    start = boundary.start_level(rate, dividend_yield, sigma * math.sqrt(tau))
    horizon = tau
    fresh = not guessed
    for _ in range(_MOST_STAGES):
        if fresh:
            start = boundary.start_level(rate, dividend_yield, sigma * math.sqrt(horizon))
            boundary.first_guess(nodes, horizon, rate, dividend_yield, sigma, ws.node[0])
        floor = boundary.boundary_floor(nodes, horizon, sigma, ws.node[0])
        steps = boundary.newton(
            nodes, 1.0, horizon, rate, dividend_yield, sigma, start, floor, tolerance,
            ws.node[0], ws.work[0], ws.matrices, ws.order,
        )  # fmt: skip
        fresh = steps < 0
        if fresh:  # rare: no volatility to speak of against the drift. Grow up to the horizon from a shorter one
            if horizon < 1e-4 * tau:
                break
            horizon = tau if guessed else 0.1 * horizon
            guessed = False
        elif horizon >= tau:
            return Boundaries(SINGLE, tau, start, floor, math.nan, math.nan)
        else:
            longer = min(tau, _GROWTH * horizon)
            _stretch(nodes, math.sqrt(longer / horizon), ws.node[0, boundary.H])
            horizon = longer
    if rate * tau < _NO_PREMIUM and dividend_yield * tau > -_NO_PREMIUM:
        # An American put is worth no more than a European one on a strike that grows at the rate.
        return Boundaries(FLEETING, tau, math.nan, math.nan, math.nan, math.nan)
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
def put_parts(
    nodes: Nodes,
    found: Boundaries,
    with_greeks: bool,
    spot: float,
    tau: float,
    rate: float,
    dividend_yield: float,
    sigma: float,
    ws: Workspace,
) -> bool:
    """Value and derivatives of a put on strike 1 into ws.parts, NaN where no boundary could be found.

    `found` and node[H] come from `single_boundary` or `double_boundaries`. True where exercise is due now.
    """
    parts = ws.parts
    if sigma * math.sqrt(tau) < STEADY:
        return certain(spot, tau, rate, dividend_yield, parts)
    if found.kind == NONE:
        parts[:] = math.nan
        return False
    floored = True
    log_spot = math.log(spot)
    if found.kind == SINGLE or found.kind == DOUBLE:
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
    # Which boundary, N(-d) or N(d), sign: below the lower boundary its own premium alone counts.
    which, tail = (0, 1.0) if floored else (1, -1.0)
    sign = 1.0
    boundaries = 2 if found.kind == MET else 1
    for _ in range(0 if found.kind == FLEETING else boundaries):
        side = -1.0 if which == 1 else 1.0
        start = found.start_lower if which == 1 else found.start_upper
        floor = found.floor_lower if which == 1 else found.floor_upper
        parts[value.LEVEL] = 0.0
        value.premium(
            nodes, tail, side, sign, log_spot, found.horizon, tau - found.horizon, rate, dividend_yield, sigma, start,
            floor, with_greeks, ws.node[which], parts, ws.gradient[which], ws.grid,
        )  # fmt: skip
        if with_greeks:
            value.shifted_start(rate, dividend_yield, start, parts)
            value.carried(
                nodes, side, found.horizon, rate, dividend_yield, sigma, start, floor,
                ws.node[which], ws.work[which], ws.matrices, ws.order, parts, ws.gradient[which],
            )  # fmt: skip
        which, sign = 1, -1.0
    parts[value.VALUE] = max(parts[value.VALUE], held, 1.0 - spot)
    return False

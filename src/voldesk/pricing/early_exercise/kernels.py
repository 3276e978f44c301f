"""Kernels of `american`: a block of rows at a time, first their boundaries, then what is asked of them.

A call is a put with spot and strike, rate and yield exchanged (McDonald & Schroder 1998, "A parity result for American
options"). Rows that cannot be worth exercising early are left to the caller, who has the European formula.

Solving and valuing are kernels of their own, called one after the other from Python: in one chain of calls the compiler
would work over the solver again at each level, at three times the cold start. `steps[j]` is 1 where input j has one
value per row and 0 where one value serves all rows; inputs are spot, strike, tau, rate, yield, sigma, is_call.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.pricing.early_exercise import boundary, put, value
from voldesk.pricing.early_exercise.nodes import Nodes

BLOCK: Final = 1024

OK: Final = 0
BELOW_INTRINSIC: Final = 1
ABOVE_MAX: Final = 2
BAD_INPUT: Final = 3
AT_INTRINSIC: Final = 4
NOT_FOUND: Final = 5  # while searching: not yet

_VOL_STEP: Final = 1e-5  # Newton's error is about the square of its last step
_NO_RATE: Final = 1e-10  # smaller rates and yields are taken as zero: they move a value by less than that times tau
_FOUND: Final = 7  # fields of Boundaries, and the sigma they are for


class Solved(NamedTuple):
    """Boundaries of the rows of a block: fields of `Boundaries` and sigma; H at the nodes of upper and lower."""

    found: FloatArray  # (rows, 7)
    squares: FloatArray  # (rows, 2, n)


def solved_rows(nodes: Nodes, rows: int) -> Solved:
    """Empty results for so many rows."""
    return Solved(np.zeros((rows, _FOUND)), np.zeros((rows, 2, nodes.z.size)))


@compiled
def is_valid(spot: float, strike: float, tau: float, rate: float, dividend_yield: float, sigma: float) -> bool:
    """False for NaN, infinities and values outside the domain."""
    finite = math.isfinite(spot + strike + tau + rate + dividend_yield + sigma)
    return finite and spot > 0.0 and strike > 0.0 and tau >= 0.0 and sigma >= 0.0


@compiled
def flushed(rate: float) -> float:
    """Zero for a rate too small to matter."""
    return rate if abs(rate) >= _NO_RATE else 0.0


@compiled
def never_early(rate: float, dividend_yield: float, is_call: bool) -> bool:
    """Whether waiting costs nothing at any spot, so that the European value is the American one."""
    own, other = (dividend_yield, rate) if is_call else (rate, dividend_yield)
    return flushed(own) <= 0.0 and flushed(other) >= flushed(own)


@compiled
def held_kernel(
    steps: IntArray,
    out: BoolArray,
    spot: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    rate: FloatArray,
    dividend_yield: FloatArray,
    sigma: FloatArray,
    is_call: BoolArray,
) -> bool:
    """Valid rows that are never worth exercising early, into out; whether there are any."""
    some = False
    for i in range(out.size):
        r, q = rate[i * steps[3]], dividend_yield[i * steps[4]]
        valid = is_valid(spot[i * steps[0]], strike[i * steps[1]], tau[i * steps[2]], r, q, sigma[i * steps[5]])
        out[i] = valid and never_early(r, q, is_call[i * steps[6]])
        some |= out[i]
    return some


@compiled
def _keep(nodes: Nodes, row: int, now: put.Boundaries, sigma: float, solved: Solved, ws: put.Workspace) -> None:
    found = solved.found[row]
    found[0], found[1] = float(now.kind), now.horizon
    found[2], found[3] = now.start_upper, now.floor_upper
    found[4], found[5] = now.start_lower, now.floor_lower
    found[6] = sigma
    for j in range(nodes.z.size):
        solved.squares[row, 0, j] = ws.node[0, boundary.H, j]
        solved.squares[row, 1, j] = ws.node[1, boundary.H, j]


@compiled
def solve_kernel(
    steps: IntArray,
    nodes: Nodes,
    tolerance: float,
    warm: bool,
    first: int,
    count: int,
    solved: Solved,
    ws: put.Workspace,
    spot: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    rate: FloatArray,
    dividend_yield: FloatArray,
    sigma: FloatArray,
    is_call: BoolArray,
) -> bool:
    """Boundaries of rows first ... first + count - 1, into rows 0 ... of `solved`; whether some await `double_kernel`.

    A row like the last one solved but for spot and strike shares its boundary: ladders and scenarios of the spot are cheap.
    warm: `solved` holds the same rows at another sigma, to start from.
    """
    last, solved_row = (math.nan, math.nan, math.nan, math.nan), 0
    awaited = False
    for row in range(count):
        i = first + row
        years, vol = tau[i * steps[2]], sigma[i * steps[5]]
        r, q = flushed(rate[i * steps[3]]), flushed(dividend_yield[i * steps[4]])
        found, squares = solved.found[row], solved.squares[row]
        if is_call[i * steps[6]]:
            r, q = q, r
        usable = is_valid(spot[i * steps[0]], strike[i * steps[1]], years, r, q, vol)
        if not usable or never_early(r, q, False) or vol * math.sqrt(years) < put.STEADY:
            found[0] = put.NONE
            continue
        if r < 0.0:
            found[0] = put.AWAITED
            awaited = True
            continue
        if (years, r, q, vol) == last:
            # Not the row before: that may be one that needs no boundary, such as the call beside this put.
            found[:] = solved.found[solved_row]
            squares[:] = solved.squares[solved_row]
            continue
        same_start = found[2] == boundary.start_level(r, q, vol * math.sqrt(years))
        scale = vol / found[6] if found[6] > 0.0 else math.nan
        guessed = warm and found[0] == put.SINGLE and same_start and 0.8 < scale < 1.25
        if guessed:
            for j in range(nodes.z.size):
                ws.node[0, boundary.H, j] = squares[0, j] * scale * scale
        now = put.single_boundary(nodes, tolerance, years, r, q, vol, guessed, ws)
        _keep(nodes, row, now, vol, solved, ws)
        last, solved_row = (years, r, q, vol), row
    return awaited


@compiled
def double_kernel(
    steps: IntArray,
    nodes: Nodes,
    tolerance: float,
    first: int,
    count: int,
    solved: Solved,
    ws: put.Workspace,
    tau: FloatArray,
    rate: FloatArray,
    dividend_yield: FloatArray,
    sigma: FloatArray,
    is_call: BoolArray,
) -> None:
    """The rows that `solve_kernel` left: two boundaries each. steps: of tau, rate, yield, sigma, is_call."""
    for row in range(count):
        if solved.found[row, 0] == put.AWAITED:
            i = first + row
            r, q, vol = rate[i * steps[1]], dividend_yield[i * steps[2]], sigma[i * steps[3]]
            if is_call[i * steps[4]]:
                r, q = q, r
            now = put.double_boundaries(nodes, tolerance, tau[i * steps[0]], r, q, vol, ws)
            _keep(nodes, row, now, vol, solved, ws)


@compiled
def _taken(nodes: Nodes, row: int, solved: Solved, ws: put.Workspace) -> put.Boundaries:
    """One row's boundaries, its H copied to the workspace."""
    for j in range(nodes.z.size):
        ws.node[0, boundary.H, j] = solved.squares[row, 0, j]
        ws.node[1, boundary.H, j] = solved.squares[row, 1, j]
    f = solved.found[row]
    return put.Boundaries(int(f[0]), f[1], f[2], f[3], f[4], f[5])


@compiled
def value_kernel(
    steps: IntArray,
    nodes: Nodes,
    first: int,
    count: int,
    solved: Solved,
    ws: put.Workspace,
    out: FloatArray,
    spot: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    rate: FloatArray,
    dividend_yield: FloatArray,
    sigma: FloatArray,
    is_call: BoolArray,
) -> None:
    """Columns first ... of out: price, and where it has more rows delta, gamma, vega, theta, rho, dividend rho."""
    with_greeks = out.shape[0] > 1
    parts = ws.parts
    for row in range(count):
        i = first + row
        s, k = spot[i * steps[0]], strike[i * steps[1]]
        years, vol = tau[i * steps[2]], sigma[i * steps[5]]
        r, q = rate[i * steps[3]], dividend_yield[i * steps[4]]
        call = is_call[i * steps[6]]
        if not is_valid(s, k, years, r, q, vol) or never_early(r, q, call):
            out[:, i] = math.nan
            continue
        r, q = flushed(r), flushed(q)
        if call:
            s, k = k, s
            r, q = q, r
        now = put.put_parts(nodes, _taken(nodes, row, solved, ws), with_greeks, s / k, years, r, q, vol, ws)
        worth = parts[value.VALUE]
        out[0, i] = k - s if now else k * worth
        if not with_greeks:
            continue
        first_part, second_part = parts[value.FIRST], parts[value.SECOND]
        if call:  # k is the spot
            out[1, i] = 1.0 if now else worth - first_part
            out[2, i] = second_part / k
            out[5, i], out[6, i] = k * parts[value.DIVIDEND_RHO], k * parts[value.RHO]
        else:
            out[1, i] = -1.0 if now else first_part * (k / s)
            out[2, i] = second_part * (k / s) / s
            out[5, i], out[6, i] = k * parts[value.RHO], k * parts[value.DIVIDEND_RHO]
        out[3, i] = k * parts[value.VEGA]
        slope = r * worth - (r - q) * first_part - 0.5 * vol * vol * second_part
        out[4, i] = k * slope if not now and years > 0.0 else 0.0


@compiled
def bracket_kernel(
    steps: IntArray,
    sigma: FloatArray,
    status: NDArray[np.int8],
    ws: put.Workspace,
    price: FloatArray,
    spot: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    rate: FloatArray,
    dividend_yield: FloatArray,
    is_call: BoolArray,
) -> None:
    """Final answers where there are any without a search, else NOT_FOUND and a first sigma.

    sigma and status come with the European answer: final where waiting costs nothing, else a start.
    """
    for i in range(sigma.size):
        s, k = spot[i * steps[1]], strike[i * steps[2]]
        years = tau[i * steps[3]]
        r, q = rate[i * steps[4]], dividend_yield[i * steps[5]]
        call = is_call[i * steps[6]]
        worth = price[i * steps[0]]
        if never_early(r, q, call):
            continue
        if not (is_valid(s, k, years, r, q, 0.0) and years > 0.0 and math.isfinite(worth)):
            sigma[i], status[i] = math.nan, BAD_INPUT
            continue
        r, q = flushed(r), flushed(q)
        if call:
            s, k = k, s
            r, q = q, r
        least = put.certain(s / k, years, r, q, ws.parts)
        least_value = k - s if least else k * ws.parts[value.VALUE]
        status[i] = NOT_FOUND
        if worth <= least_value:
            sigma[i], status[i] = math.nan, BELOW_INTRINSIC
            if worth == least_value and least:
                status[i] = AT_INTRINSIC
            elif worth == least_value:
                sigma[i], status[i] = 0.0, OK
        elif worth >= k * max(1.0, math.exp(-r * years)):
            sigma[i], status[i] = math.nan, ABOVE_MAX
        elif not 0.0 < sigma[i] < math.inf:
            distance = abs(math.log(s / k) + (r - q) * years)
            sigma[i] = max(math.sqrt(2.0 * distance / years), 0.2 / math.sqrt(years))


@compiled
def search_kernel(
    target: FloatArray,
    out: FloatArray,
    low: FloatArray,
    high: FloatArray,
    skipped: FloatArray,
    sigma: FloatArray,
    done: BoolArray,
) -> None:
    """One step of Newton inside the bracket [low, high] for each row; out: price and Greeks at sigma.

    sigma comes back NaN, done, where no valuation near it succeeds.
    """
    for i in range(sigma.size):
        now = sigma[i]
        miss = out[0, i] - target[i]
        if math.isnan(miss):  # no boundary found at exactly this volatility: away from it, further each time
            skipped[i] += 1.0
            sigma[i] = now * (1.0 - 3e-4 * 2.0 ** skipped[i]) if skipped[i] < 11.0 else math.nan
            done[i] = not skipped[i] < 11.0
            continue
        if miss > 0.0:
            high[i] = now
        else:
            low[i] = now
        moved = now - miss / out[3, i] if out[3, i] > 0.0 else math.inf
        if not low[i] <= moved <= min(high[i], 4.0 * now):
            moved = 0.5 * (low[i] + high[i]) if high[i] < math.inf else 2.0 * now
        squeezed = high[i] < math.inf and high[i] - low[i] <= 1e-14 * high[i]
        done[i] = abs(moved - now) <= _VOL_STEP * now or squeezed
        sigma[i] = moved


@compiled
def boundary_kernel(
    steps: IntArray,
    nodes: Nodes,
    first: int,
    count: int,
    solved: Solved,
    ws: put.Workspace,
    times: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    is_call: BoolArray,
) -> None:
    """Rows first ... of lower and upper: options; columns: times to expiry. NaN where nothing is exercised early.

    steps: of strike, tau, is_call.
    """
    for row in range(count):
        i = first + row
        k, years = strike[i * steps[0]], tau[i * steps[1]]
        found = _taken(nodes, row, solved, ws)
        for j in range(times.size):
            lower[i, j] = upper[i, j] = math.nan
            solved_here = found.kind in (put.SINGLE, put.DOUBLE, put.MET)
            if not solved_here or not 0.0 <= times[j] <= min(found.horizon * (1.0 + 1e-12), years):
                continue
            z = min(math.sqrt(times[j] / found.horizon), 1.0)
            squares = ws.node[0, boundary.H]
            top = math.exp(put.log_level(nodes, 1.0, found.start_upper, found.floor_upper, squares, z))
            bottom = 0.0
            if found.kind != put.SINGLE:
                squares = ws.node[1, boundary.H]
                bottom = math.exp(put.log_level(nodes, -1.0, found.start_lower, found.floor_lower, squares, z))
            if is_call[i * steps[2]]:
                lower[i, j] = k / top
                upper[i, j] = k / bottom if bottom > 0.0 else math.inf
            else:
                lower[i, j] = k * bottom
                upper[i, j] = k * top


def solve(
    nodes: Nodes,
    tolerance: float,
    warm: bool,
    first: int,
    count: int,
    solved: Solved,
    ws: put.Workspace,
    steps: IntArray,
    inputs: list[Any],
) -> None:
    """Boundaries of a block of rows into `solved`."""
    if solve_kernel(steps, nodes, tolerance, warm, first, count, solved, ws, *inputs):
        double_kernel(steps[2:], nodes, tolerance, first, count, solved, ws, *inputs[2:])


def solve_and_value(
    nodes: Nodes,
    tolerance: float,
    warm: bool,
    solved: Solved,
    ws: put.Workspace,
    out: FloatArray,
    steps: IntArray,
    inputs: list[Any],
) -> None:
    """Fills the columns of out, a block at a time unless `solved` has room for all rows."""
    rows = out.shape[1]
    size = max(solved.found.shape[0], 1)
    for first in range(0, rows, size):
        count = min(size, rows - first)
        solve(nodes, tolerance, warm, first, count, solved, ws, steps, inputs)
        value_kernel(steps, nodes, first, count, solved, ws, out, *inputs)

"""Early-exercise premium of an American put over a known boundary, its derivatives, and what the boundary adds to them.

Source: Andersen, Lake & Offengenden (2016), eq. 8 (Kim's integral). Delta and gamma are that integral differentiated
under the sign. Vega and rho have a second part, the boundary's own move: with F(H, parameter) = 0 the equations of the
boundary, dV = V_parameter - (V_H F_H^-1) F_parameter, one transposed solve for all parameters.

Values are in units of the strike; `first` is S dV/dS and `second` S^2 d2V/dS2. A near-singularity at s = 0, where the
spot is next to the boundary, is spread by a sinh map of the half-angle's tangent as wide as the distance.
"""

from __future__ import annotations

import math
from typing import Final

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled, fused
from voldesk.pricing.early_exercise import boundary
from voldesk.pricing.early_exercise.nodes import Nodes
from voldesk.pricing.elementary import cdf_poly, exp_poly

# Rows of the sums: parts of the value.
VALUE: Final = 0
FIRST: Final = 1
SECOND: Final = 2
VEGA: Final = 3
RHO: Final = 4
DIVIDEND_RHO: Final = 5
LEVEL: Final = 6  # derivative by a shift of the whole log boundary
PARTS: Final = 7

# Rows of the scratch array of the value integral, one entry per point; the parts come first.
_SQUARE: Final = 7  # H; later its derivative of the value
_Z: Final = 8
_AGE: Final = 9
_WEIGHT: Final = 10
_CHEBYSHEV: Final = 11  # and the n rows after it
_NARROWEST: Final = 1e-6


def scratch_rows(n: int) -> int:
    """Rows that the scratch array needs for n boundary nodes."""
    return _CHEBYSHEV + n + 1


@fused
def _place(nodes: Nodes, horizon: float, gap: float, width: float, grid: FloatArray) -> None:
    """Points of the value integral: z, age and weight; `width` is where the integrand's layer at age 0 ends."""
    span = math.asinh(1.0 / width)
    for k in range(nodes.value_point.size):
        grown = exp_poly(span * nodes.value_point[k])
        shrunk = 1.0 / grown
        tangent = 0.5 * width * (grown - shrunk)
        step = 0.5 * width * span * (grown + shrunk) * nodes.value_weight[k]
        inverse = 1.0 / (1.0 + tangent * tangent)
        sine = 2.0 * tangent * inverse
        cosine = (1.0 - tangent) * (1.0 + tangent) * inverse
        grid[_Z, k] = cosine
        grid[_AGE, k] = gap + horizon * sine * sine
        grid[_WEIGHT, k] = 4.0 * horizon * sine * cosine * step * inverse


@fused
def _interpolate(nodes: Nodes, squares: FloatArray, coefficients: FloatArray, grid: FloatArray) -> None:
    """H at the points by its Chebyshev series; the polynomials stay in the scratch array for the gradient."""
    n = nodes.z.size
    size = nodes.value_point.size
    for j in range(n + 1):
        coefficients[j] = 0.0
    for i in range(n):
        for j in range(n + 1):
            coefficients[j] += nodes.coefficients[i, j] * squares[i]
    for k in range(size):
        x = 2.0 * grid[_Z, k] - 1.0
        grid[_CHEBYSHEV, k] = 1.0
        grid[_CHEBYSHEV + 1, k] = x
        grid[_SQUARE, k] = coefficients[0] + coefficients[1] * x
    for j in range(2, n + 1):
        for k in range(size):
            x = 2.0 * grid[_Z, k] - 1.0
            term = 2.0 * x * grid[_CHEBYSHEV + j - 1, k] - grid[_CHEBYSHEV + j - 2, k]
            grid[_CHEBYSHEV + j, k] = term
            grid[_SQUARE, k] += coefficients[j] * term


@fused
def _total(size: int, row: FloatArray) -> float:
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    for k in range(0, size, 8):
        s0 += row[k]
        s1 += row[k + 1]
        s2 += row[k + 2]
        s3 += row[k + 3]
        s4 += row[k + 4]
        s5 += row[k + 5]
        s6 += row[k + 6]
        s7 += row[k + 7]
    return ((s0 + s4) + (s1 + s5)) + ((s2 + s6) + (s3 + s7))


@fused
def _integrand(
    nodes: Nodes,
    tail: float,
    side: float,
    log_spot: float,
    rate: float,
    dividend_yield: float,
    sigma: float,
    start: float,
    floor: float,
    with_greeks: bool,
    grid: FloatArray,
) -> None:
    """Rows of the parts at all points. `tail` +1 integrates N(-d) (below the boundary), -1 N(d)."""
    drift = rate - dividend_yield - 0.5 * sigma * sigma
    size = nodes.value_point.size
    if not with_greeks:
        for k in range(size):
            age = grid[_AGE, k]
            root, _ = boundary.bent_root(grid[_SQUARE, k], floor * grid[_Z, k] * grid[_Z, k])
            width = sigma * math.sqrt(age)
            lower = (log_spot - start + side * root + drift * age) / width
            right, left, _ = cdf_poly(lower)
            right_up, left_up, _ = cdf_poly(lower + width)
            cash = grid[_WEIGHT, k] * exp_poly(-rate * age) * (left if tail > 0.0 else right)
            stock = grid[_WEIGHT, k] * exp_poly(log_spot - dividend_yield * age) * (left_up if tail > 0.0 else right_up)
            grid[VALUE, k] = rate * cash - dividend_yield * stock
        return
    for k in range(size):
        age = grid[_AGE, k]
        root, bend = boundary.bent_root(grid[_SQUARE, k], floor * grid[_Z, k] * grid[_Z, k])
        width = sigma * math.sqrt(age)
        inverse = 1.0 / width
        lower = (log_spot - start + side * root + drift * age) * inverse
        right, left, density = cdf_poly(lower)
        right_up, left_up, density_up = cdf_poly(lower + width)
        cash = grid[_WEIGHT, k] * exp_poly(-rate * age)
        stock = grid[_WEIGHT, k] * exp_poly(log_spot - dividend_yield * age)
        by_rate = tail * rate * cash * density * inverse
        by_yield = tail * dividend_yield * stock * density_up * inverse
        cash *= left if tail > 0.0 else right
        stock *= left_up if tail > 0.0 else right_up
        slope = by_rate - by_yield
        grid[VALUE, k] = rate * cash - dividend_yield * stock
        grid[FIRST, k] = -slope - dividend_yield * stock
        grid[SECOND, k] = by_rate + slope * lower * inverse
        grid[VEGA, k] = (slope * lower + by_rate * width) * width / sigma
        grid[RHO, k] = cash * (1.0 - rate * age) - slope * age
        grid[DIVIDEND_RHO, k] = slope * age - stock * (1.0 - dividend_yield * age)
        grid[LEVEL, k] = slope
        grid[_SQUARE, k] = -side * slope * bend


@compiled
def premium(
    nodes: Nodes,
    tail: float,
    side: float,
    sign: float,
    log_spot: float,
    horizon: float,
    gap: float,
    rate: float,
    dividend_yield: float,
    sigma: float,
    start: float,
    floor: float,
    with_greeks: bool,
    node: FloatArray,
    parts: FloatArray,
    gradient: FloatArray,
    grid: FloatArray,
) -> None:
    """Adds `sign` times the integral over one boundary to `parts`; writes its gradient in H (of that sign).

    The boundary holds for times to expiry up to `horizon`; the option has `gap` longer to live.
    """
    n = nodes.z.size
    size = nodes.value_point.size
    root, _ = boundary.bent_root(node[boundary.H, 0], floor)
    distance = (log_spot - start + side * root) / (sigma * math.sqrt(horizon))
    width = 0.5 * math.sqrt(distance * distance + gap / horizon)
    _place(nodes, horizon, gap, min(max(width, _NARROWEST), 1.0), grid)
    _interpolate(nodes, node[boundary.H], gradient, grid)
    _integrand(nodes, tail, side, log_spot, rate, dividend_yield, sigma, start, floor, with_greeks, grid)
    parts[VALUE] += sign * _total(size, grid[VALUE])
    if not with_greeks:
        return
    for part in range(1, PARTS):
        parts[part] += sign * _total(size, grid[part])
    for j in range(n + 1):
        for k in range(size):
            grid[_CHEBYSHEV + j, k] *= grid[_SQUARE, k]
    for i in range(n):
        gradient[i] = 0.0
    for j in range(n + 1):
        weight = sign * _total(size, grid[_CHEBYSHEV + j])
        for i in range(n):
            gradient[i] += nodes.coefficients[i, j] * weight


@compiled
def carried(
    nodes: Nodes,
    side: float,
    tau: float,
    rate: float,
    dividend_yield: float,
    sigma: float,
    start: float,
    floor: float,
    node: FloatArray,
    work: FloatArray,
    matrices: FloatArray,
    order: FloatArray,
    parts: FloatArray,
    gradient: FloatArray,
) -> None:
    """Adds to vega and the two rhos what the boundary's move contributes; `gradient` is used up.

    Calls the equations once more, at the solution, for their Jacobian.
    """
    n = nodes.z.size
    boundary.prepare(nodes, side, tau, rate, dividend_yield, sigma, node, work)
    boundary.equation(nodes, side, tau, rate, dividend_yield, sigma, start, floor, node, work, matrices[0])
    boundary.factorise(matrices[0], matrices[1], order)
    boundary.solve(matrices[0], matrices[1], order, gradient[:n])  # its last entry is scratch
    for i in range(n):
        years = tau * nodes.z[i] * nodes.z[i]
        spot = node[boundary.SPOT, i]
        by_sigma = node[boundary.DENSITY, i] * sigma * years
        by_age = 0.0
        ages = 0.0
        yield_ages = 0.0
        for k in range(i, nodes.age.size, n):
            age = tau * nodes.age[k]
            cash = rate * work[boundary.RATE_PDF, k]
            stock = dividend_yield * spot * work[boundary.YIELD_PDF, k]
            lower = work[boundary.LOWER_D, k]
            width = work[boundary.WIDTH, k]
            by_sigma += side * (cash * (lower + width) - stock * lower) * width / sigma
            by_age += side * (stock - cash) * age
            ages += work[boundary.RATE_CDF, k] * age
            yield_ages += spot * work[boundary.YIELD_CDF, k] * age
        stocks = spot * node[boundary.SUM_YIELD, i]
        by_rate = years * node[boundary.CASH, i] - node[boundary.SUM_RATE, i] + rate * ages + by_age
        by_yield = stocks - years * node[boundary.CALL, i] - dividend_yield * yield_ages - by_age
        if start != 0.0:  # the level at expiry is rate / yield
            shift = node[boundary.CALL, i] + dividend_yield * stocks
            by_rate += shift / rate
            by_yield -= shift / dividend_yield
        weight = gradient[i] * node[boundary.INVERSE_UP, i]
        parts[VEGA] -= weight * by_sigma
        parts[RHO] -= weight * by_rate
        parts[DIVIDEND_RHO] -= weight * by_yield


@compiled
def held_to_expiry(
    log_spot: float,
    tau: float,
    rate: float,
    dividend_yield: float,
    sigma: float,
    floored: bool,
    parts: FloatArray,
) -> None:
    """Sets `parts` to those of a European put on strike 1, or (not `floored`) of receiving 1 - spot at expiry."""
    spread = sigma * math.sqrt(tau)
    lower = (log_spot + (rate - dividend_yield - 0.5 * sigma * sigma) * tau) / spread
    _, left, _ = cdf_poly(lower)
    _, left_up, density_up = cdf_poly(lower + spread)
    cash = math.exp(-rate * tau)
    stock = math.exp(log_spot - dividend_yield * tau)
    if not floored:
        left = left_up = 1.0
        density_up = 0.0
    parts[VALUE] = cash * left - stock * left_up
    parts[FIRST] = -stock * left_up
    parts[SECOND] = stock * density_up / spread
    parts[VEGA] = stock * density_up * math.sqrt(tau)
    parts[RHO] = -tau * cash * left
    parts[DIVIDEND_RHO] = tau * stock * left_up
    parts[LEVEL] = 0.0


@compiled
def shifted_start(rate: float, dividend_yield: float, start: float, parts: FloatArray) -> None:
    """Adds to the rhos that the level at expiry, rate / yield where it is not the strike, moves with them."""
    if start != 0.0:
        parts[RHO] += parts[LEVEL] / rate
        parts[DIVIDEND_RHO] -= parts[LEVEL] / dividend_yield

"""The exercise boundary of an American put in units of its strike, by Newton's method on the integral equation.

Sources: Andersen, Lake & Offengenden (2016), "High-performance American option pricing", eq. 9 and system B (eq. 31-33)
for the equation; Andersen & Lake (2021), "Fast American option pricing: the double-boundary case", for two boundaries.

The paper iterates a fixed point. Here all nodes move at once: with every positive term on one side, the equation reads
log P = log M, nearly linear in H = log(B / X)^2, and its Jacobian costs a matrix of fused products more, so three steps
do. The same Jacobian, transposed, later carries vega and rho through the boundary.

`side` is +1 for the boundary that is reached from above, -1 for the lower one of the double region (q < r < 0). A path
cannot meet the far boundary before the near one, so each of the two solves an equation of its own: the lower one that
of a contract which pays strike - spot at expiry whatever the sign.
"""

from __future__ import annotations

import math
from typing import Final

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled, fused, inlined
from voldesk.pricing.early_exercise.nodes import Nodes
from voldesk.pricing.elementary import cdf_poly, exp_poly, log_poly

SHORTEST: Final = 1e-300
_FLOOR: Final = 0.05  # of min(total variance, H at the horizon): H is bent to stay positive below it
_MOST_STEPS: Final = 14
_NEAR_STRIKE: Final = 0.02  # either choice of the start is good to 1e-8 of the strike around here
LEAST_SQUARE: Final = 0.41  # H / total variance of a short option whose boundary starts below the strike (2 x 0.4517^2)

# Rows of the scratch array of one boundary, one entry per integration point.
LOG_LEVEL: Final = 0  # log boundary
BEND: Final = 1  # d sqrt(H) / dH
RATE_CDF: Final = 2  # ds e^{-rs} N(side d-)
YIELD_CDF: Final = 3  # ds e^{-qs} N(side d+)
RATE_PDF: Final = 4  # ds e^{-rs} n(d-) / (sigma sqrt s)
YIELD_PDF: Final = 5  # ds e^{-qs} n(d+) / (sigma sqrt s)
LOWER_D: Final = 6  # d-
SLOPE: Final = 7  # d(log P - log M) of the node by H here
WIDTH: Final = 8  # sigma sqrt s
INVERSE: Final = 9
SHIFT: Final = 10  # of d- by drift
CASH_WEIGHT: Final = 11
STOCK_WEIGHT: Final = 12
WORK_ROWS: Final = 13

# Rows of the node array, one entry per node.
H: Final = 0
LEVEL: Final = 1  # log boundary
SPOT: Final = 2  # boundary
NODE_BEND: Final = 3
SPREAD: Final = 4  # sigma sqrt(tau_i)
DISCOUNT: Final = 5
YIELD_DISCOUNT: Final = 6
CALL: Final = 7  # B e^{-q tau} N(d+), or the discount factor of yield while guessing
CASH: Final = 8  # e^{-r tau} N(d-)
DENSITY: Final = 9  # e^{-r tau} n(d-) / (sigma sqrt tau), which is also B e^{-q tau} n(d+) / (sigma sqrt tau)
SUM_RATE: Final = 10
SUM_YIELD: Final = 11
SUM_RATE_PDF: Final = 12
SUM_YIELD_PDF: Final = 13
INVERSE_UP: Final = 14  # 1 / P
CASH_FACTOR: Final = 15
STOCK_FACTOR: Final = 16
DIAGONAL: Final = 17  # d(log P - log M) / dH by the node's own level
STEP: Final = 18
ANNUITY: Final = 19  # sum of ds e^{-rs}
YIELD_ANNUITY: Final = 20
NODE_ROWS: Final = 21


@inlined
def bent_root(y: float, floor: float) -> tuple[float, float]:
    """sqrt of y, continued smoothly to stay positive for y < floor, and its derivative in y."""
    shrink = floor / (2.0 * floor - y) if y < floor else 1.0
    positive = floor * shrink if y < floor else y
    root = math.sqrt(positive)
    return root, 0.5 * shrink * shrink / root


@compiled
def start_level(rate: float, dividend_yield: float, spread: float) -> float:
    """Level that H is measured from, log of strike: the boundary at expiry, reached from above.

    A start just below the strike (against sigma sqrt(tau), `spread`) is left so fast that no polynomial follows: there
    the strike itself serves better, and H(0) = 0 is then wrong by next to nothing.
    """
    if 0.0 < rate < dividend_yield:
        start = math.log(rate / dividend_yield)
        return start if start < -_NEAR_STRIKE * spread else 0.0
    return 0.0


@inlined
def _short_square(variance: float, tau: float, rate: float, dividend_yield: float, sigma: float) -> float:
    """H of a short option measured from the strike: Evans, Kuske & Keller (2002), "American options on assets with
    dividends near expiry"; `variance` is sigma^2 tau."""
    gap = rate - dividend_yield
    against = rate if rate > 0.0 else -rate
    against = against if against > 1e-9 else 1e-9
    root = 1.0 / (7.0898154036220635 * against * tau)  # 4 sqrt(pi)
    gap_square = gap * gap if gap * gap > 1e-18 else 1e-18
    drifted = sigma * sigma / (8.0 * math.pi * tau * gap_square)
    factor = log_poly(drifted if drifted < root * root else root * root)
    return variance * (factor if factor > 0.5 else 0.5)


@fused
def first_guess(nodes: Nodes, tau: float, rate: float, dividend_yield: float, sigma: float, node: FloatArray) -> None:
    """Writes H at the nodes for the boundary reached from above.

    Short options by their expansion, longer ones by the quadratic approximation of Barone-Adesi & Whaley (1987), a few
    Newton steps of it for all nodes at once; both lie below the truth where the boundary starts at the strike.
    """
    start = start_level(rate, dividend_yield, sigma * math.sqrt(tau))
    variance = sigma * sigma
    drift = rate - dividend_yield
    half = drift / variance - 0.5
    least = math.sqrt(LEAST_SQUARE) if rate < dividend_yield else 0.5
    n = nodes.z.size
    for i in range(n):
        years = tau * nodes.z[i] * nodes.z[i]
        spread = sigma * math.sqrt(years)
        # From its own start, the boundary has come less far; it may still feel the start alone.
        depth = math.sqrt(_short_square(variance * years, years, rate, dividend_yield, sigma)) + start
        depth = depth if depth > least * spread else least * spread
        short = depth * depth
        cash = exp_poly(-rate * years)
        share = 2.0 * rate / (variance * (1.0 - cash)) if cash != 1.0 else 2.0 / (variance * years)
        power = -half - math.sqrt(half * half + share)
        level = start - 0.9 * math.sqrt(short)
        lowest = log_poly(power / (power - 1.0))
        level = level if level > lowest else lowest
        ceiling = start - 0.2 * spread
        node[H, i] = short
        node[LEVEL, i] = level if level < ceiling else ceiling
        node[SPREAD, i] = spread
        node[CASH, i] = cash
        node[CALL, i] = exp_poly(-dividend_yield * years)
        node[STEP, i] = 1.0 / power
    for _ in range(3):
        for i in range(n):
            level = node[LEVEL, i]
            spread = node[SPREAD, i]
            spot = exp_poly(level)
            years = tau * nodes.z[i] * nodes.z[i]
            d1 = (level + (drift + 0.5 * variance) * years) / spread
            _, left, density = cdf_poly(d1)
            _, cash_left, _ = cdf_poly(d1 - spread)
            stock = spot * node[CALL, i]
            kept = (spot - stock * left) * node[STEP, i]
            gap = 1.0 - spot - node[CASH, i] * cash_left + stock * left + kept
            slope = stock * left - spot + kept + stock * density / spread * node[STEP, i]
            move = -gap / slope
            move = move if move < spread else spread
            move = move if move > -spread else -spread
            level += move
            ceiling = start - 0.2 * spread
            node[LEVEL, i] = level if level < ceiling else ceiling
    for i in range(n):
        square = (start - node[LEVEL, i]) * (start - node[LEVEL, i])
        trusted = (node[H, i] > node[SPREAD, i] * node[SPREAD, i]) & (node[H, i] > start * start)
        rounded = (node[CASH, i] > 1.0 - 1e-7) & (node[CASH, i] < 1.0 + 1e-7)  # that equation has lost its digits
        usable = square > 0.0 and not rounded and not (trusted and node[H, i] > square)
        node[H, i] = square if usable else node[H, i]


@fused
def _sums(n: int, values: FloatArray, out: FloatArray) -> None:
    """Sums over the points, node by node, of each row of `values` into the same row of `out`.

    Named sums stay in registers, an array of them would not; constant columns of a slice need no sign checked.
    """
    points = values.shape[1] // n
    for b in range(0, n, 8):
        for row in range(values.shape[0]):
            part = values[row].reshape(points, n)[:, b : b + 8]
            s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
            for k in range(points):
                s0 += part[k, 0]
                s1 += part[k, 1]
                s2 += part[k, 2]
                s3 += part[k, 3]
                s4 += part[k, 4]
                s5 += part[k, 5]
                s6 += part[k, 6]
                s7 += part[k, 7]
            into = out[row, b : b + 8]
            into[0], into[1], into[2], into[3] = s0, s1, s2, s3
            into[4], into[5], into[6], into[7] = s4, s5, s6, s7


@fused
def _products(slope: FloatArray, cardinal: FloatArray, out: FloatArray) -> None:
    """out[j, i]: sums over node i's points of `slope` times the cardinal function of node j."""
    n = out.shape[0]
    points = slope.size // n
    for b in range(0, n, 8):
        left = slope.reshape(points, n)[:, b : b + 8]
        right = cardinal.reshape(n, points, n)[:, :, b : b + 8]
        into = out[:, b : b + 8]
        for j in range(n):
            s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
            for k in range(points):
                s0 += left[k, 0] * right[j, k, 0]
                s1 += left[k, 1] * right[j, k, 1]
                s2 += left[k, 2] * right[j, k, 2]
                s3 += left[k, 3] * right[j, k, 3]
                s4 += left[k, 4] * right[j, k, 4]
                s5 += left[k, 5] * right[j, k, 5]
                s6 += left[k, 6] * right[j, k, 6]
                s7 += left[k, 7] * right[j, k, 7]
            into[j, 0], into[j, 1], into[j, 2], into[j, 3] = s0, s1, s2, s3
            into[j, 4], into[j, 5], into[j, 6], into[j, 7] = s4, s5, s6, s7


@fused
def prepare(
    nodes: Nodes,
    side: float,
    tau: float,
    rate: float,
    dividend_yield: float,
    sigma: float,
    node: FloatArray,
    work: FloatArray,
) -> None:
    """What the steps of Newton's method share: discounting and widths of all points and nodes."""
    scale = sigma * math.sqrt(tau)
    drift = rate - dividend_yield - 0.5 * sigma * sigma
    for k in range(nodes.age.size):
        age = tau * nodes.age[k]
        weight = tau * nodes.weight[k]
        inverse = 1.0 / (scale * nodes.root_age[k])
        work[WIDTH, k] = scale * nodes.root_age[k]
        work[INVERSE, k] = inverse
        work[SHIFT, k] = drift * age * inverse
        work[CASH_WEIGHT, k] = weight * exp_poly(-rate * age)
        work[STOCK_WEIGHT, k] = weight * exp_poly(-dividend_yield * age)
    kept = 1.0 if side > 0.0 else 0.0
    for i in range(nodes.z.size):
        age = tau * nodes.z[i] * nodes.z[i]
        node[SPREAD, i] = scale * nodes.z[i]
        node[DISCOUNT, i] = kept * exp_poly(-rate * age)
        node[YIELD_DISCOUNT, i] = kept * exp_poly(-dividend_yield * age)
    n = nodes.z.size
    _sums(n, work[CASH_WEIGHT : STOCK_WEIGHT + 1], node[ANNUITY : YIELD_ANNUITY + 1])


@fused
def _points(nodes: Nodes, side: float, start: float, floor: float, node: FloatArray, work: FloatArray) -> None:
    """The integrands at all points of all nodes, into `work`."""
    n = nodes.z.size
    size = nodes.age.size
    own = work[LOWER_D].reshape(size // n, n)
    for k in range(size // n):
        for i in range(n):
            own[k, i] = node[LEVEL, i]
    for k in range(size):
        work[LOG_LEVEL, k] = 0.0
    for j in range(n):
        h = node[H, j]
        for k in range(size):
            work[LOG_LEVEL, k] += nodes.cardinal[j, k] * h
    for k in range(size):
        root, bend = bent_root(work[LOG_LEVEL, k], floor * nodes.angle_z[k] * nodes.angle_z[k])
        level = start - side * root
        inverse = work[INVERSE, k]
        lower = (work[LOWER_D, k] - level) * inverse + work[SHIFT, k]
        right, left, density = cdf_poly(lower)
        right_up, left_up, density_up = cdf_poly(lower + work[WIDTH, k])
        cash = work[CASH_WEIGHT, k]
        stock = work[STOCK_WEIGHT, k]
        work[LOG_LEVEL, k] = level
        work[BEND, k] = bend
        work[RATE_CDF, k] = cash * (right if side > 0.0 else left)
        work[YIELD_CDF, k] = stock * (right_up if side > 0.0 else left_up)
        work[RATE_PDF, k] = cash * density * inverse
        work[YIELD_PDF, k] = stock * density_up * inverse
        work[LOWER_D, k] = lower


@fused
def _node_terms(
    nodes: Nodes, side: float, tau: float, drift: float, start: float, floor: float, node: FloatArray
) -> None:
    """Levels, and the European terms at each node; nothing of those is in the lower boundary's equation."""
    for i in range(nodes.z.size):
        square = nodes.z[i] * nodes.z[i]
        root, bend = bent_root(node[H, i], floor * square)
        level = start - side * root
        node[LEVEL, i] = level
        node[NODE_BEND, i] = bend
        lower = (level + drift * tau * square) / node[SPREAD, i]
        in_cash, _, density = cdf_poly(lower)
        in_stock, _, _ = cdf_poly(lower + node[SPREAD, i])
        node[SPOT, i] = exp_poly(level)
        node[CALL, i] = node[SPOT, i] * node[YIELD_DISCOUNT, i] * in_stock
        node[CASH, i] = node[DISCOUNT, i] * in_cash
        node[DENSITY, i] = node[DISCOUNT, i] * density / node[SPREAD, i]


@inlined
def _above(x: float) -> float:
    return x if x > 0.0 else 0.0


@fused
def _balance(n: int, side: float, rate: float, dividend_yield: float, node: FloatArray) -> None:
    """From the sums: log P - log M of each node, and what its derivatives need."""
    for i in range(n):
        spot = node[SPOT, i]
        by_rate = rate * node[SUM_RATE, i]
        by_yield = dividend_yield * spot * node[SUM_YIELD, i]
        up = node[CALL, i] + _above(by_yield) + _above(-by_rate)
        down = node[CASH, i] + _above(by_rate) + _above(-by_yield)
        # The same equation with N(-d) for N(d): what is certain cancels, which matters where paths drift up and away.
        stock_left = spot * node[YIELD_DISCOUNT, i] - node[CALL, i]
        rate_left = rate * (node[ANNUITY, i] - node[SUM_RATE, i])
        yield_left = dividend_yield * spot * (node[YIELD_ANNUITY, i] - node[SUM_YIELD, i])
        up_left = node[DISCOUNT, i] - node[CASH, i] + _above(rate_left) + _above(-yield_left)
        down_left = (1.0 - spot) + stock_left + _above(yield_left) + _above(-rate_left)
        mirrored = (side > 0.0) & (down_left > 0.0) & (up_left > 0.0) & (up_left + down_left < up + down)
        numerator = up_left if mirrored else up
        denominator = down_left if mirrored else down
        numerator = numerator if numerator > SHORTEST else SHORTEST
        denominator = denominator if denominator > SHORTEST else SHORTEST
        inverse_up = 1.0 / numerator
        inverse_down = 1.0 / denominator
        positive = inverse_down if mirrored else inverse_up
        negative = inverse_up if mirrored else inverse_down
        cash_factor = -rate * (negative if rate >= 0.0 else positive)
        stock_factor = spot * dividend_yield * (positive if dividend_yield >= 0.0 else negative)
        own = side * (cash_factor * node[SUM_RATE_PDF, i] + stock_factor * node[SUM_YIELD_PDF, i])
        stock_kept = spot - stock_left if mirrored else node[CALL, i]
        yield_kept = node[SUM_YIELD, i] - (node[YIELD_ANNUITY, i] if mirrored else 0.0)
        own += node[DENSITY, i] * (positive - negative) + stock_kept * positive + stock_factor * yield_kept
        node[INVERSE_UP, i] = inverse_up
        node[STEP, i] = log_poly(numerator * inverse_down)
        node[CASH_FACTOR, i] = cash_factor
        node[STOCK_FACTOR, i] = stock_factor
        node[DIAGONAL, i] = -side * own * node[NODE_BEND, i]


@fused
def equation(
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
    jacobian: FloatArray,
) -> None:
    """log P - log M at each node into node[STEP], and its derivatives in H (row: H, column: node: the transpose)."""
    n = nodes.z.size
    points = nodes.age.size // n
    _node_terms(nodes, side, tau, rate - dividend_yield - 0.5 * sigma * sigma, start, floor, node)
    _points(nodes, side, start, floor, node, work)
    _sums(n, work[RATE_CDF : YIELD_PDF + 1], node[SUM_RATE : SUM_YIELD_PDF + 1])
    _balance(n, side, rate, dividend_yield, node)
    slope = work[SLOPE].reshape(points, n)
    bend = work[BEND].reshape(points, n)
    by_rate = work[RATE_PDF].reshape(points, n)
    by_yield = work[YIELD_PDF].reshape(points, n)
    for k in range(points):
        for i in range(n):
            factor = node[CASH_FACTOR, i] * by_rate[k, i] + node[STOCK_FACTOR, i] * by_yield[k, i]
            slope[k, i] = bend[k, i] * factor
    _products(work[SLOPE], nodes.cardinal, jacobian)
    for j in range(n):
        jacobian[j, j] += node[DIAGONAL, j]


@fused
def factorise(a: FloatArray, lower: FloatArray, order: FloatArray) -> None:
    """a = P^-1 L U by rows with pivots: U stays in `a`, L goes to `lower`, `order` tells the row taken at each stage."""
    n = a.shape[0]
    for k in range(n):
        best = k
        for i in range(k + 1, n):
            if abs(a[i, k]) > abs(a[best, k]):
                best = i
        order[k] = best
        if best != k:
            for c in range(n):
                a[k, c], a[best, c] = a[best, c], a[k, c]
            for c in range(k):
                lower[k, c], lower[best, c] = lower[best, c], lower[k, c]
        inverse = 1.0 / a[k, k]
        for i in range(k + 1, n):
            factor = a[i, k] * inverse
            lower[i, k] = factor
            for b in range(n // 8):
                for c in range(8):
                    a[i, b * 8 + c] -= factor * a[k, b * 8 + c]


@fused
def solve(upper: FloatArray, lower: FloatArray, order: FloatArray, x: FloatArray) -> None:
    """x := a^-1 x of a factorised matrix."""
    n = x.size
    for k in range(n):
        other = int(order[k])
        x[k], x[other] = x[other], x[k]
    for k in range(n):
        for i in range(k + 1, n):
            x[i] -= lower[i, k] * x[k]
    for k in range(n - 1, -1, -1):
        x[k] /= upper[k, k]
        for i in range(k):
            x[i] -= upper[i, k] * x[k]


@fused
def solve_transposed(upper: FloatArray, lower: FloatArray, order: FloatArray, x: FloatArray) -> None:
    """x := a^-T x of a factorised matrix."""
    n = x.size
    for k in range(n):
        x[k] /= upper[k, k]
        for i in range(k + 1, n):
            x[i] -= upper[k, i] * x[k]
    for k in range(n - 1, -1, -1):
        for i in range(k):
            x[i] -= lower[k, i] * x[k]
    for k in range(n - 1, -1, -1):
        other = int(order[k])
        x[k], x[other] = x[other], x[k]


@compiled
def boundary_floor(nodes: Nodes, tau: float, sigma: float, node: FloatArray) -> float:
    """Below this times z^2 the polynomial is bent to stay positive."""
    return _FLOOR * min(sigma * sigma * tau, float(node[H, 0]))


@compiled
def newton(
    nodes: Nodes,
    side: float,
    tau: float,
    rate: float,
    dividend_yield: float,
    sigma: float,
    start: float,
    floor: float,
    tolerance: float,
    node: FloatArray,
    work: FloatArray,
    matrices: FloatArray,
    order: FloatArray,
) -> int:
    """Moves node[H] to the solution; steps taken, or -1 where they ran out.

    Newton's error squares at each step: a last step below `tolerance` (relative) leaves about its square.
    """
    n = nodes.z.size
    prepare(nodes, side, tau, rate, dividend_yield, sigma, node, work)
    for step in range(1, _MOST_STEPS + 1):
        equation(nodes, side, tau, rate, dividend_yield, sigma, start, floor, node, work, matrices[0])
        factorise(matrices[0], matrices[1], order)
        solve_transposed(matrices[0], matrices[1], order, node[STEP])
        largest = 0.0
        scale = 0.0
        for i in range(n):
            move = node[STEP, i]
            limit = 4.0 * max(abs(node[H, i]), floor * nodes.z[i] * nodes.z[i])
            if not abs(move) <= limit:
                move = math.copysign(limit, move) if move == move else 0.5 * limit
            node[H, i] -= move
            largest = max(largest, abs(move))
            scale = max(scale, abs(node[H, i]))
        if largest <= tolerance * scale:
            return step
    return -1

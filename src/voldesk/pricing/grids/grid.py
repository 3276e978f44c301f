"""Space and time grids of the finite-difference solver, and what is read off them.

Sources: Tavella & Randall (2000), "Pricing financial instruments: the finite difference method", ch. 5 (sinh grid, here of the log spot);
Steffen (1990), "A simple method for monotonic interpolation in one dimension", for the fall at a dividend.
"""

from __future__ import annotations

import math

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled


@compiled
def sinh_grid(low: float, high: float, centre: float, width: float, every: int, out: FloatArray) -> int:
    """Nodes centre x exp(width sinh(u)), u even-spaced: from about low to about high, centre on a node whose place is
    returned, a multiple of `every`. 0 < low < centre < high.

    Even in u means dense within a log distance `width` of the centre and at a growing distance beyond. A grid of twice
    the intervals and twice `every` has all nodes of this one.
    """
    n = out.size
    left = math.asinh(math.log(centre / low) / width)
    right = math.asinh(math.log(high / centre) / width)
    units = (n - 1) // every
    place = every * min(max(round(units * left / (left + right)), 2), units - 2)
    step = max(left / place, right / (n - 1 - place))
    for j in range(n):
        out[j] = centre * math.exp(width * math.sinh((j - place) * step))
    out[place] = centre
    return place


@compiled
def smooth_payoff(spots: FloatArray, strike: float, side: float, place: int, out: FloatArray) -> None:
    """The payoff, averaged over the cell of the node `place` that stands on the strike.

    Source: Pooley, Vetzal & Forsyth (2003), "Convergence remedies for non-smooth payoffs in option pricing".
    """
    for j in range(spots.size):
        out[j] = max(side * (spots[j] - strike), 0.0)
    below, above = spots[place] - spots[place - 1], spots[place + 1] - spots[place]
    inside = above if side > 0.0 else below
    out[place] = 0.25 * inside * inside / (below + above)


@compiled
def interval_of(nodes: FloatArray, x: float) -> int:
    """Place j with nodes[j] <= x < nodes[j + 1], held to 0 ... n - 2."""
    low, high = 0, nodes.size - 1
    while high - low > 1:
        middle = (low + high) // 2
        if nodes[middle] <= x:
            low = middle
        else:
            high = middle
    return low


@compiled
def cubic(nodes: FloatArray, values: FloatArray, x: float) -> float:
    """Lagrange's polynomial through the four nodes about x; of the end interval beyond them."""
    first = min(max(interval_of(nodes, x) - 1, 0), nodes.size - 4)
    total = 0.0
    for j in range(first, first + 4):
        weight = 1.0
        for i in range(first, first + 4):
            if i != j:
                weight *= (x - nodes[i]) / (nodes[j] - nodes[i])
        total += weight * values[j]
    return total


@compiled
def _steffen_slope(below: float, above: float, before: float, after: float) -> float:
    """Slope at a node from the secants below and above it and their lengths."""
    if before * after <= 0.0:
        return 0.0
    middle = abs(before * above + after * below) / (below + above)
    slope = min(min(abs(before), abs(after)), 0.5 * middle) * 2.0
    return slope if before > 0.0 else -slope


@compiled
def fall(spots: FloatArray, values: FloatArray, amount: float, out: FloatArray) -> None:
    """out_j = V(max(S_j - amount, 0)), monotone cubic between nodes, straight below the first node."""
    n = spots.size
    j = 0
    for i in range(n):
        x = max(spots[i] - amount, 0.0)
        while j < n - 2 and spots[j + 1] <= x:
            j += 1
        h = spots[j + 1] - spots[j]
        secant = (values[j + 1] - values[j]) / h
        t = x - spots[j]
        if t < 0.0:
            out[i] = values[0] + secant * t
            continue
        left, right = secant, secant
        if j > 0:
            below = spots[j] - spots[j - 1]
            left = _steffen_slope(below, h, (values[j] - values[j - 1]) / below, secant)
        if j < n - 2:
            above = spots[j + 2] - spots[j + 1]
            right = _steffen_slope(h, above, secant, (values[j + 2] - values[j + 1]) / above)
        cube = (left + right - 2.0 * secant) / (h * h)
        square = (3.0 * secant - 2.0 * left - right) / h
        out[i] = values[j] + t * (left + t * (square + t * cube))


@compiled
def integral(ends: FloatArray, rates: FloatArray, flat: float, t: float) -> float:
    """Of flat plus the piecewise rate, from 0 to t."""
    total = flat * t
    start = 0.0
    for k in range(ends.size):
        last = k == ends.size - 1
        end = t if last else min(ends[k], t)
        total += rates[k] * max(end - start, 0.0)
        start = ends[k]
    return total


@compiled
def rate_at(ends: FloatArray, rates: FloatArray, flat: float, t: float) -> float:
    """Flat plus the piecewise rate in force just after t."""
    for k in range(ends.size):
        if t < ends[k] or k == ends.size - 1:
            return float(flat + rates[k])
    return flat


@compiled
def dividends_within(ex_times: FloatArray, tau: float) -> int:
    """How many fall at or before tau."""
    count = 0
    while count < ex_times.size and ex_times[count] <= tau:
        count += 1
    return count


@compiled
def shares(ex_times: FloatArray, due: int, tau: float, steps: int, out: FloatArray) -> int:
    """Time steps of each stretch between dividends, from expiry backwards, into out (due + 1,); returns their sum.

    In the ratio of the square roots of their lengths, at least two each: each stretch starts with a kink.
    """
    total = 0.0
    end = tau
    for k in range(due, -1, -1):
        start = ex_times[k - 1] if k > 0 else 0.0
        total += math.sqrt(end - start)
        end = start
    count = 0
    end = tau
    for k in range(due, -1, -1):
        start = ex_times[k - 1] if k > 0 else 0.0
        share = max(math.ceil(steps * math.sqrt(end - start) / total), 2) if end > start else 0
        out[due - k] = share
        count += share
        end = start
    return count

"""European options from a characteristic function: Lewis form, Black control variate, trapezoidal rule.

With x = ln(F/K) and phi the characteristic function of X = ln(S_T / F) (Lewis 2001, eq. 3.11; Gatheral 2006, eq. 5.6)

    call / (discount sqrt(F K)) = Black(x; w) + (1/pi) int_0^inf Re{ e^{iux} [phi_Black - phi](u - i/2) } / (u^2 + 1/4) du

Subtracting Black removes the poles at u = +-i/2, so the integrand is analytic as far as the moments of S_T exist and
the trapezoidal rule converges exponentially. Its error is known exactly: the same function of x, repeated at
x + 2 pi n / h (Poisson summation). The step h is therefore chosen from the tails of the distribution by Chernoff
bounds on call and put values, E[S^(p+1)] p^p / (p+1)^(p+1) K^-p, and the last node from the size of the integrand.

phi is Bates' (1996), see `fourier_kernels`; Heston and Merton are special cases. One pass over the nodes serves all
strikes of an expiry. Where the integrand decays so slowly that MOST_NODES nodes would not do (correlation near +-1,
next to no variance beside jumps) each option has a contour of its own, see `contour_kernels`.

Absolute error about `tolerance` x sqrt(F K); a far wing worth less than that has no correct digits.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.pricing.broadcast import columns
from voldesk.pricing.european.black_kernels import log_ratio, normalised_black, undiscounted
from voldesk.pricing.normal import cdf, pdf
from voldesk.pricing.transform.contour_kernels import contour_price
from voldesk.pricing.transform.fourier_kernels import (
    BLOCK,
    LANES,
    TURNS,
    V0,
    add_block,
    exponents,
    mean_variance,
    prepare_turns,
    reach,
    weigh,
)
from voldesk.pricing.transform.heston_gradient import (
    ALL_ROWS,
    FIRST_PARAMETER,
    LOG_FORWARD,
    LOG_FORWARD_TWICE,
    TAU,
    VALUE,
    add_jump_derivatives,
    exponent_derivatives,
    weigh_derivatives,
)

TIGHT: Final = 2e-14
"""Tolerance of `price`; what is reached is mostly a tenth of it."""

MOST_NODES: Final = 1 << 14
MOST_NODES_OF_DERIVATIVES: Final = 1 << 17


class Greeks(NamedTuple):
    """Price and derivatives, arrays of one shape, raw units.

    delta, gamma: in the forward at fixed variance; theta: calendar time, per year, forward, variance and the discount
    factor's own rate -log(discount) / tau held; vega: in v0, a variance, per 1.00.
    """

    price: FloatArray
    delta: FloatArray
    gamma: FloatArray
    theta: FloatArray
    vega: FloatArray


@compiled
def sum_expiry(
    tau: float,
    model: FloatArray,
    variance: float,
    x: FloatArray,
    tolerance: float,
    rows: int,
    most_nodes: int,
    sums: FloatArray,
) -> int:
    """Integrals of one expiry for log-moneyness x: 1 row, the correction to Black, or the rows of `heston_gradient`.

    sums: (rows x x.size padded to LANES), overwritten. Returns the number of nodes; 0 where more than `most_nodes`
    would be needed, and the sums are of no use.
    """
    lanes = sums.size // rows
    limit = reach(tau, model, variance, math.log(tolerance))
    angles = np.zeros(lanes)
    widest = 0.0
    for k in range(x.size):
        if abs(x[k]) < limit:  # beyond, an option out of the money is worth less than the tolerance
            angles[k] = x[k]
            widest = max(widest, abs(x[k]))
    sums[:] = 0.0
    step = 2.0 * math.pi / (limit + widest)
    if not (step > 0.0 and math.isfinite(step)):
        return 0
    turns = np.empty(TURNS * lanes)
    prepare_turns(step, angles, np.empty(4 * lanes), turns)
    work = np.empty(2 * BLOCK * (2 if rows == 1 else ALL_ROWS + 2))
    # Truncation: what is left beyond the last node is about its term times the nodes still inside the decay.
    small = 0.02 * tolerance
    first = 0
    last = math.inf
    while not last < small:
        if first >= most_nodes:
            return 0
        if rows == 1:
            exponents(first, step, tau, model, work)
            last = weigh(first, step, tau, variance, work)
        else:
            exponent_derivatives(first, step, tau, model, work)
            add_jump_derivatives(first, step, tau, model, work)
            last = weigh_derivatives(first, step, tau, variance, rows, work)
        if first == 0:
            for row in range(rows):
                work[2 * BLOCK * row] *= 0.5
                work[2 * BLOCK * row + BLOCK] *= 0.5
        add_block(turns, lanes, rows, work, sums)
        first += BLOCK
    for k in range(x.size):
        if not abs(x[k]) < limit:
            for row in range(rows):
                sums[row * lanes + k] = 0.0
    return first


@compiled
def _expiry_sums(
    tau: float, model: FloatArray, variance: float, x: FloatArray, tolerance: float, rows: int, sums: FloatArray
) -> None:
    """`sum_expiry`, and where that would take too many nodes a contour for each option (values), or NaN (derivatives)."""
    most_nodes = MOST_NODES if rows == 1 else MOST_NODES_OF_DERIVATIVES
    if sum_expiry(tau, model, variance, x, tolerance, rows, most_nodes, sums) > 0:
        return
    sums[:] = math.nan
    if rows == 1:
        total = math.sqrt(variance * tau)
        for k in range(x.size):
            sums[k] = contour_price(x[k], tau, model, tolerance) - normalised_black(-abs(x[k]), total)


@compiled
def corrections(
    starts: IntArray,
    tau: FloatArray,
    models: FloatArray,
    log_moneyness: FloatArray,
    tolerance: float,
    out: FloatArray,
    sigma: FloatArray,
) -> None:
    """What the model adds to Black, over discount x sqrt(F K), for options sorted by expiry.

    starts: (m + 1,) first option of each expiry and the end. tau: (m,) > 0. models: (m, 8), a row per expiry.
    log_moneyness: (n,) ln(F/K). out: (n,), the same for call and put. sigma: (m,) of the Black control.
    NaN where neither form of the integral converges.
    """
    for i in range(tau.size):
        x = log_moneyness[starts[i] : starts[i + 1]]
        variance = mean_variance(tau[i], models[i])
        sigma[i] = math.sqrt(variance)
        sums = np.empty(-(-x.size // LANES) * LANES)
        _expiry_sums(tau[i], models[i], variance, x, tolerance, 1, sums)
        out[starts[i] : starts[i + 1]] = sums[: x.size]


@compiled
def by_expiry(tau: FloatArray) -> tuple[IntArray, IntArray]:
    """Order that brings equal tau together, and where each group starts (and the end)."""
    n = tau.size
    order = np.arange(n)
    for i in range(1, n):
        if not tau[i - 1] <= tau[i]:
            order = np.argsort(tau, kind="mergesort")
            break
    starts = np.empty(n + 1, np.int64)
    groups = 0
    for i in range(n):
        if i == 0 or tau[order[i]] != tau[order[i - 1]]:
            starts[groups] = i
            groups += 1
    starts[groups] = n
    return order, starts[: groups + 1]


@compiled
def is_option(forward: float, strike: float, tau: float, discount: float) -> bool:
    """False for NaN and for values outside the domain."""
    inside = forward > 0.0 and strike > 0.0 and tau >= 0.0 and discount > 0.0
    return inside and forward < math.inf and strike < math.inf and tau < math.inf and discount < math.inf


@compiled
def _black_slopes(x: float, forward: float, total: float) -> tuple[float, float]:
    """Delta of the undiscounted Black call, and gamma."""
    d1 = x / total + 0.5 * total
    return cdf(d1), pdf(d1) / (forward * total)


@compiled
def _expired(forward: float, strike: float, is_call: bool, rows: int, row: FloatArray) -> None:
    """The payoff and its derivatives: none in the parameters, a step in the forward."""
    row[:] = 0.0
    row[0] = max(forward - strike, 0.0) if is_call else max(strike - forward, 0.0)
    if rows == ALL_ROWS:
        above = 0.5 if forward == strike else (1.0 if forward > strike else 0.0)
        row[LOG_FORWARD] = above if is_call else above - 1.0
        row[LOG_FORWARD_TWICE] = math.inf if forward == strike else 0.0
        row[TAU] = math.inf if forward == strike else 0.0


@compiled
def _option_rows(
    forward: float, strike: float, tau: float, sigma: float, is_call: bool, rows: int, row: FloatArray
) -> None:
    """From sums of one option (over sqrt(F K)) to its undiscounted value and derivatives, in place."""
    scale = math.sqrt(forward) * math.sqrt(strike)
    if rows == ALL_ROWS:
        added, slope, bend = row[0], row[LOG_FORWARD], row[LOG_FORWARD_TWICE]
        delta, gamma = _black_slopes(log_ratio(forward, strike), forward, sigma * math.sqrt(tau))
        delta += scale / forward * (0.5 * added + slope)
        row[LOG_FORWARD] = delta if is_call else delta - 1.0
        row[LOG_FORWARD_TWICE] = gamma + scale / (forward * forward) * (bend - 0.25 * added)
    value = undiscounted(forward, strike, tau, sigma, is_call) + scale * row[0]
    payoff = max(forward - strike, 0.0) if is_call else max(strike - forward, 0.0)
    row[0] = payoff if value < payoff else value
    for r in range(1, min(rows, LOG_FORWARD)):
        row[r] *= scale


@compiled
def value_kernel(
    model: FloatArray,
    rows: int,
    steps: IntArray,
    out: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    discount: FloatArray,
    is_call: BoolArray,
) -> None:
    """Discounted values of n options, and with more rows their derivatives: `out` (rows x n).

    rows: 1, HESTON_ROWS, BATES_ROWS or ALL_ROWS; LOG_FORWARD and LOG_FORWARD_TWICE come out as delta and gamma, TAU as
    the derivative of the undiscounted value in tau, discounted. `steps` as `broadcast.columns` gives them.
    """
    n = out.shape[1]
    order, starts = np.arange(n), np.array([0, n])
    if steps[2] == 1:
        order, starts = by_expiry(tau)
    x, row = np.empty(n), np.empty(rows)
    sums = np.empty(rows * (n + LANES))
    for g in range(starts.size - 1):
        group = order[starts[g] : starts[g + 1]]
        if group.size == 0:
            continue
        t = tau[group[0] * steps[2]]
        used = 0
        for i in group:
            if is_option(forward[i * steps[0]], strike[i * steps[1]], t, discount[i * steps[3]]):
                x[used] = log_ratio(forward[i * steps[0]], strike[i * steps[1]])
                used += 1
        lanes = -(-used // LANES) * LANES
        sigma = 0.0
        if t > 0.0 and used > 0:
            sigma = math.sqrt(mean_variance(t, model))
            _expiry_sums(t, model, sigma * sigma, x[:used], TIGHT, rows, sums[: rows * lanes])
        used = 0
        for i in group:
            F, K, df = forward[i * steps[0]], strike[i * steps[1]], discount[i * steps[3]]
            if not is_option(F, K, t, df):
                out[:, i] = math.nan
                continue
            for r in range(rows):
                row[r] = sums[r * lanes + used]
            used += 1
            if t > 0.0:
                _option_rows(F, K, t, sigma, is_call[i * steps[4]], rows, row)
            else:
                _expired(F, K, is_call[i * steps[4]], rows, row)
            for r in range(rows):
                out[r, i] = df * row[r]


def values(
    model: FloatArray,
    rows: int,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    discount: ArrayLike,
    is_call: ArrayLike,
) -> FloatArray:
    """Rows of `value_kernel` under one model, shape (rows, *broadcast shape).

    One characteristic-function pass per distinct tau. tau = 0 gives the discounted payoff. NaN where forward,
    strike or discount is not positive, tau is negative or any is not finite. Values are lifted to the discounted
    payoff of the forward where the error (below 1e-13 of sqrt(F K)) puts them under it.
    """
    shape, inputs, steps = columns(forward, strike, tau, discount, is_call=is_call)
    out = np.empty((rows, *shape))
    value_kernel(model, rows, steps, out.reshape(rows, out.size // rows), *inputs)
    return out


def price(
    model: FloatArray,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    discount: ArrayLike,
    is_call: ArrayLike,
) -> FloatArray:
    """Discounted values under one model, a row of PARAMETERS numbers; see `values`. The answer has the broadcast shape."""
    return values(model, 1, forward, strike, tau, discount, is_call)[0, ...]


def greeks(
    model: FloatArray,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    discount: ArrayLike,
    is_call: ArrayLike,
) -> Greeks:
    """Price and Greeks under one model; NaN as in `values`. At tau = 0 the limits: a step delta, gamma inf at the strike."""
    rows = values(model, ALL_ROWS, forward, strike, tau, discount, is_call)
    years = np.asarray(tau, np.float64)
    carried = np.asarray(discount, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):  # such rows are NaN in `rows`
        rate = np.where(years > 0.0, -np.log(carried) / years, 0.0)
    theta = rate * rows[VALUE, ...] - rows[TAU, ...]
    vega = rows[FIRST_PARAMETER + V0, ...]
    return Greeks(rows[VALUE, ...], rows[LOG_FORWARD, ...], rows[LOG_FORWARD_TWICE, ...], theta, vega)

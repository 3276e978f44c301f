"""Kernels of `american`: broadcast columns to unit puts and back, implied volatility, boundaries in time.

A call is a put with spot and strike, rate and yield exchanged (McDonald & Schroder 1998, "A parity result for American
options"). `steps[j]` is 1 where input j has one value per row and 0 where one value serves all rows. Rows that cannot
be worth exercising early are left to the caller, who has the European formula.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.pricing import american_boundary as boundary
from voldesk.pricing import american_put as put
from voldesk.pricing import american_value as value
from voldesk.pricing.american_nodes import Nodes

OK: Final = 0
BELOW_INTRINSIC: Final = 1
ABOVE_MAX: Final = 2
BAD_INPUT: Final = 3
AT_INTRINSIC: Final = 4

_VOL_STEP: Final = 1e-5  # Newton's error is about the square of its last step
_VOL_BOUNDARY: Final = 1e-4
_MOST_VOL_STEPS: Final = 100
_NO_RATE: Final = 1e-10  # smaller rates and yields are taken as zero: they move a value by less than that times tau


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
    steps: IntArray, out: BoolArray, rate: FloatArray, dividend_yield: FloatArray, is_call: BoolArray
) -> None:
    """`never_early` of each row."""
    for i in range(out.size):
        out[i] = never_early(rate[i * steps[0]], dividend_yield[i * steps[1]], is_call[i * steps[2]])


@compiled
def kernel(
    steps: IntArray,
    nodes: Nodes,
    out: FloatArray,
    ws: put.Workspace,
    spot: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    rate: FloatArray,
    dividend_yield: FloatArray,
    sigma: FloatArray,
    is_call: BoolArray,
) -> None:
    """Rows of out: price, and where there are more than one delta, gamma, vega, theta, rho, dividend rho, held value."""
    with_greeks = out.shape[0] > 1
    parts = ws.parts
    for i in range(out.shape[1]):
        s, k = spot[i * steps[0]], strike[i * steps[1]]
        years, vol = tau[i * steps[2]], sigma[i * steps[5]]
        r, q = rate[i * steps[3]], dividend_yield[i * steps[4]]
        call = is_call[i * steps[6]]
        out[:, i] = math.nan
        if not is_valid(s, k, years, r, q, vol) or never_early(r, q, call):
            continue
        r, q = flushed(r), flushed(q)
        if call:
            s, k = k, s
            r, q = q, r
        now = put.put_parts(nodes, nodes.tolerance, with_greeks, s / k, years, r, q, vol, ws)
        worth = parts[value.VALUE]
        out[0, i] = k - s if now else k * worth
        if not with_greeks:
            continue
        first, second = parts[value.FIRST], parts[value.SECOND]
        if call:  # k is the spot
            out[1, i] = worth - first
            out[2, i] = second / k
            out[5, i], out[6, i] = k * parts[value.DIVIDEND_RHO], k * parts[value.RHO]
        else:
            out[1, i] = first * (k / s)
            out[2, i] = second * (k / s) / s
            out[5, i], out[6, i] = k * parts[value.RHO], k * parts[value.DIVIDEND_RHO]
        out[3, i] = k * parts[value.VEGA]
        out[4, i] = k * (r * worth - (r - q) * first - 0.5 * vol * vol * second) if not now and years > 0.0 else 0.0


@compiled
def _put_volatility(
    nodes: Nodes,
    price: float,
    spot: float,
    strike: float,
    tau: float,
    rate: float,
    dividend_yield: float,
    start: float,
    ws: put.Workspace,
) -> tuple[float, int]:
    """Volatility of a put, by Newton's method inside a bracket; `start` from the European formula or NaN."""
    parts = ws.parts
    ratio = spot / strike
    target = price / strike
    if put.certain(ratio, tau, rate, dividend_yield, parts):
        if price <= strike - spot:
            return math.nan, AT_INTRINSIC if price == strike - spot else BELOW_INTRINSIC
    elif target <= parts[value.VALUE]:
        return (0.0, OK) if target == parts[value.VALUE] else (math.nan, BELOW_INTRINSIC)
    if target >= max(1.0, math.exp(-rate * tau)):
        return math.nan, ABOVE_MAX
    distance = abs(math.log(ratio) + (rate - dividend_yield) * tau)
    sigma = start if 0.0 < start < math.inf else max(math.sqrt(2.0 * distance / tau), 0.2 / math.sqrt(tau))
    low, high = 0.0, math.inf
    for _ in range(_MOST_VOL_STEPS):
        put.put_parts(nodes, _VOL_BOUNDARY, True, ratio, tau, rate, dividend_yield, sigma, ws)
        miss = parts[value.VALUE] - target
        if math.isnan(miss):
            sigma *= 0.9997  # no boundary found at exactly this volatility
            continue
        if miss > 0.0:
            high = sigma
        else:
            low = sigma
        slope = parts[value.VEGA]
        step = miss / slope if slope > 0.0 else math.inf
        moved = sigma - step
        if not low <= moved <= high:
            moved = 0.5 * (low + high) if high < math.inf else 2.0 * sigma
        if abs(moved - sigma) <= _VOL_STEP * sigma or high - low <= 1e-14 * high:
            return moved, OK
        sigma = moved
    return sigma, OK


@compiled
def volatility_kernel(
    steps: IntArray,
    nodes: Nodes,
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
    """`sigma` and `status` come with the European answer: final where waiting costs nothing, else a start."""
    for i in range(sigma.size):
        s, k = spot[i * steps[1]], strike[i * steps[2]]
        years = tau[i * steps[3]]
        r, q = rate[i * steps[4]], dividend_yield[i * steps[5]]
        call = is_call[i * steps[6]]
        target = price[i * steps[0]]
        if never_early(r, q, call):
            continue
        if not (is_valid(s, k, years, r, q, 0.0) and years > 0.0 and math.isfinite(target)):
            sigma[i], status[i] = math.nan, BAD_INPUT
            continue
        r, q = flushed(r), flushed(q)
        if call:
            s, k = k, s
            r, q = q, r
        sigma[i], status[i] = _put_volatility(nodes, target, s, k, years, r, q, sigma[i], ws)


@compiled
def boundary_kernel(
    steps: IntArray,
    nodes: Nodes,
    times: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    ws: put.Workspace,
    strike: FloatArray,
    tau: FloatArray,
    rate: FloatArray,
    dividend_yield: FloatArray,
    sigma: FloatArray,
    is_call: BoolArray,
) -> None:
    """Rows of lower and upper: options; columns: times to expiry. NaN where nothing is exercised early."""
    for i in range(lower.shape[0]):
        k, years, vol = strike[i * steps[0]], tau[i * steps[1]], sigma[i * steps[4]]
        r, q = rate[i * steps[2]], dividend_yield[i * steps[3]]
        call = is_call[i * steps[5]]
        lower[i] = math.nan
        upper[i] = math.nan
        if not is_valid(k, k, years, r, q, vol) or never_early(r, q, call) or vol * math.sqrt(years) < 1e-8:
            continue
        r, q = flushed(r), flushed(q)
        if call:
            r, q = q, r
        found = put.boundaries(nodes, nodes.tolerance, years, r, q, vol, ws)
        for j in range(times.size):
            if found.kind == put.NONE or not 0.0 <= times[j] <= min(found.horizon * (1.0 + 1e-12), years):
                continue
            z = min(math.sqrt(times[j] / found.horizon), 1.0)
            top = math.exp(put.log_level(nodes, 1.0, found.start_upper, found.floor_upper, ws.node[0, boundary.H], z))
            bottom = 0.0
            if found.kind != put.SINGLE:
                bottom = math.exp(
                    put.log_level(nodes, -1.0, found.start_lower, found.floor_lower, ws.node[1, boundary.H], z)
                )
            if call:
                lower[i, j] = k / top
                upper[i, j] = k / bottom if bottom > 0.0 else math.inf
            else:
                lower[i, j] = k * bottom
                upper[i, j] = k * top

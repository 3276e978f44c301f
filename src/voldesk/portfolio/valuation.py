"""What positions are worth and how they move: Black Greeks at the market's own implied vol, per instrument.

Coin-settled options are shown both ways (DESIGN §5): Black delta, and net delta = F dc/dF = Black delta - coin price,
because the premium itself is coin. Implied vol: the venue's mark IV, else implied from the mark, else from the mid.
Discount factor 1 (options on forwards, collateral at zero rate). Source: Black (1976); Haug (2007), ch. 2.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.core.units import NS_PER_YEAR
from voldesk.market.state import Field
from voldesk.market.view import MarketView
from voldesk.portfolio.columns import (
    EXPIRY,
    INVERSE,
    IS_CALL,
    KIND,
    OPTION,
    SETTLEMENT,
    SIZE,
    STRIKE,
    UNDERLYING,
    ContractColumns,
    mark_of,
    usd_per_settle,
)
from voldesk.pricing.european.black_kernels import log_ratio, undiscounted
from voldesk.pricing.implied_vol import implied_vol
from voldesk.pricing.normal import INV_SQRT_TWO_PI, cdf

_FORWARD: Final = int(Field.FORWARD)
_MARK: Final = int(Field.MARK)
_MARK_IV: Final = int(Field.MARK_IV)


class RiskStatus(IntEnum):
    """Where a position's implied vol came from, or why there is none. From NO_FORWARD on, Greeks are NaN."""

    OK = 0  # mark IV, or no vol needed
    IV_OF_MARK = 1
    IV_OF_MID = 2
    EXPIRED = 3  # past its expiry, waiting for delivery: worth its mark, no sensitivities
    NO_FORWARD = 4
    NO_PRICE = 5
    NO_IV = 6  # neither a mark IV nor a price inside the no-arbitrage bounds


OK: Final = int(RiskStatus.OK)
EXPIRED: Final = int(RiskStatus.EXPIRED)
NO_FORWARD: Final = int(RiskStatus.NO_FORWARD)
NO_PRICE: Final = int(RiskStatus.NO_PRICE)
NO_IV: Final = int(RiskStatus.NO_IV)


class PositionRisk(NamedTuple):
    """Signed totals of each position, shape (n,) each.

    value, vega_per_volpt, theta_per_day in the settle currency, `_usd` the same at the index (coin) or at par.
    delta, net_delta in units of the underlying; gammas are the change of those deltas for a 1 % move.
    sigma: the implied vol used, decimal, NaN for what has none. status: `RiskStatus`.
    """

    ids: IntArray
    lots: IntArray
    value: FloatArray
    value_usd: FloatArray
    delta: FloatArray
    net_delta: FloatArray
    gamma_per_1pct: FloatArray
    net_gamma_per_1pct: FloatArray
    vega_per_volpt: FloatArray
    vega_per_volpt_usd: FloatArray
    theta_per_day: FloatArray
    theta_per_day_usd: FloatArray
    sigma: FloatArray
    status: IntArray


_OUTPUTS: Final = 10  # value .. theta_per_day_usd


@compiled
def tau_of(expiry_ns: int, now_ns: int) -> float:
    """ACT/365 years to expiry, from integers."""
    return (expiry_ns - now_ns) / NS_PER_YEAR


@compiled
def net_delta_of(
    values: FloatArray, ints: IntArray, floats: FloatArray, held: IntArray, underlying: int, now_ns: int
) -> tuple[float, int]:
    """Net delta of one underlying's positions and the worst status met; NaN when one could not be valued.

    The hot path: mark IVs only. NO_IV sends the caller to the full valuation, which can invert prices.
    held: (m, 2) instrument id, signed lots.
    """
    total = 0.0
    worst = OK
    for place in range(held.shape[0]):
        i = held[place, 0]
        if ints[i, UNDERLYING] != underlying:
            continue
        size = held[place, 1] * floats[i, SIZE]
        inverse = ints[i, SETTLEMENT] == INVERSE
        status = OK
        if ints[i, KIND] == OPTION:
            tau = tau_of(ints[i, EXPIRY], now_ns)
            forward = values[i, _FORWARD]
            sigma = values[i, _MARK_IV]
            if tau <= 0.0:
                status = EXPIRED
            elif not forward > 0.0:
                status = NO_FORWARD
            elif not sigma > 0.0:
                status = NO_IV
            else:
                side = 1.0 if ints[i, IS_CALL] == 1 else -1.0
                s = sigma * math.sqrt(tau)
                x = log_ratio(forward, floats[i, STRIKE])
                if inverse:  # B' - B/F = side (K/F) N(side d2): no cancellation, one normal
                    total += size * side * floats[i, STRIKE] / forward * cdf(side * (x / s - 0.5 * s))
                else:
                    total += size * side * cdf(side * (x / s + 0.5 * s))
        elif inverse:
            price = mark_of(values, i)
            if price > 0.0:
                total += size / price
            else:
                status = NO_PRICE
        else:
            total += size
        worst = max(worst, status)
    return (math.nan if worst >= NO_FORWARD else total), worst


@compiled
def _risk(
    values: FloatArray,
    ints: IntArray,
    floats: FloatArray,
    ids: IntArray,
    lots: IntArray,
    now_ns: int,
    sigma: FloatArray,
    status: IntArray,
    out: FloatArray,
) -> None:
    """Fill `out` (10, n), value .. theta_per_day_usd, where status allows; sigma is resolved by the caller."""
    for j in range(ids.size):
        i = ids[j]
        size = lots[j] * floats[i, SIZE]
        inverse = ints[i, SETTLEMENT] == INVERSE
        price = mark_of(values, i)
        reciprocal = inverse and ints[i, KIND] != OPTION
        value = -size / price if reciprocal else size * price
        out[0, j] = value
        usd = usd_per_settle(values, ints, i)
        out[1, j] = value * usd
        if ints[i, KIND] != OPTION:
            if reciprocal and not price > 0.0:
                status[j] = NO_PRICE
                continue
            delta = size / price if reciprocal else size
            out[2, j] = out[3, j] = delta
            out[4, j] = out[5, j] = -0.01 * delta if reciprocal else 0.0
            out[6:10, j] = 0.0
            if not math.isfinite(price):
                status[j] = NO_PRICE
            continue
        if status[j] == EXPIRED:
            out[2:10, j] = 0.0
            continue
        if status[j] >= NO_FORWARD:
            continue
        forward = values[i, _FORWARD]
        strike = floats[i, STRIKE]
        tau = tau_of(ints[i, EXPIRY], now_ns)
        s = sigma[j] * math.sqrt(tau)
        side = 1.0 if ints[i, IS_CALL] == 1 else -1.0
        d1 = log_ratio(forward, strike) / s + 0.5 * s
        density = INV_SQRT_TWO_PI * math.exp(-0.5 * d1 * d1)
        delta = side * cdf(side * d1)
        gamma_cash = density / s  # F * gamma
        vega = forward * density * math.sqrt(tau)
        net = side * strike / forward * cdf(side * (d1 - s)) if inverse else delta
        numeraire = forward if inverse else 1.0
        out[2, j] = size * delta
        out[3, j] = size * net
        out[4, j] = size * gamma_cash * 0.01
        out[5, j] = size * ((gamma_cash - net) if inverse else gamma_cash) * 0.01
        vega_point = size * vega / numeraire / 100.0
        theta_day = -size * vega * sigma[j] / (2.0 * tau) / numeraire / 365.0
        out[6, j] = vega_point
        out[7, j] = vega_point * usd
        out[8, j] = theta_day
        out[9, j] = theta_day * usd


@compiled
def option_price(forward: float, strike: float, tau: float, sigma: float, is_call: bool, inverse: bool) -> float:
    """Black price of one option in its quote currency: coin for inverse options. tau <= 0 gives the payoff."""
    price = undiscounted(forward, strike, max(tau, 0.0), sigma, is_call)
    return price / forward if inverse else price


class Valuer:
    """Values positions against one `MarketView`. Holds packed contract terms, no market."""

    def __init__(self, view: MarketView) -> None:
        self.view = view
        self.columns = ContractColumns(view.table)

    def net_delta(self, held: IntArray, underlying: str) -> float:
        """Units of `underlying` of packed positions (m, 2); NaN when one of them cannot be valued."""
        return self._net_delta(held, underlying)[0]

    def net_delta_status(self, held: IntArray, underlying: str) -> tuple[float, RiskStatus]:
        """As `net_delta`, with the worst `RiskStatus` met."""
        delta, status = self._net_delta(held, underlying)
        return delta, RiskStatus(status)

    def _net_delta(self, held: IntArray, underlying: str) -> tuple[float, int]:
        view, columns = self.view, self.columns
        if underlying not in view.table.underlyings:
            return 0.0, OK
        number = view.table.underlyings.index(underlying)
        delta, status = net_delta_of(view.live.values, columns.ints, columns.floats, held, number, view.now_ns)
        if status != NO_IV:
            return delta, status
        ours = held[columns.ints[held[:, 0], UNDERLYING] == number]
        risk = self.risk(ours[:, 0], ours[:, 1])
        return float(risk.net_delta.sum()), int(np.max(risk.status))

    def risk(self, ids: IntArray, lots: IntArray) -> PositionRisk:
        """Value and Greeks of any number of positions; ids and lots have shape (n,)."""
        view, columns = self.view, self.columns
        ids = np.ascontiguousarray(ids, np.int64)
        lots = np.ascontiguousarray(lots, np.int64)
        sigma, status = self.sigma(ids)
        out = np.full((_OUTPUTS, ids.size), np.nan)
        _risk(view.live.values, columns.ints, columns.floats, ids, lots, view.now_ns, sigma, status, out)
        rows = (out[0], out[1], out[2], out[3], out[4], out[5], out[6], out[7], out[8], out[9])
        return PositionRisk(ids, lots, *rows, sigma, status)

    def sigma(self, ids: IntArray) -> tuple[FloatArray, IntArray]:
        """Implied vol and `RiskStatus` of each instrument; what is no option has NaN and OK."""
        values, ints = self.view.live.values, self.columns.ints
        sigma = values[ids, _MARK_IV].copy()
        status = np.zeros(ids.size, np.int64)
        options = ints[ids, KIND] == OPTION
        sigma[~options] = np.nan
        forward = values[ids, _FORWARD]
        missing = options & ~(sigma > 0.0)
        if missing.any():
            self._invert(ids, np.flatnonzero(missing), sigma, status)
        status[options & ~(forward > 0.0)] = NO_FORWARD
        status[options & (ints[ids, EXPIRY] <= self.view.now_ns)] = EXPIRED
        sigma[status >= EXPIRED] = np.nan
        return sigma, status

    def _invert(self, ids: IntArray, places: IntArray, sigma: FloatArray, status: IntArray) -> None:
        """Implied vol of the mark, else of the mid, where the venue gives none."""
        values, ints, floats = self.view.live.values, self.columns.ints, self.columns.floats
        rows = ids[places]
        forward = values[rows, _FORWARD]
        tau = (ints[rows, EXPIRY] - self.view.now_ns) / NS_PER_YEAR
        known = (forward > 0.0) & (tau > 0.0)  # of the others the caller says why
        places, rows, forward, tau = places[known], rows[known], forward[known], tau[known]
        price = np.array([mark_of(values, row) for row in rows.tolist()])
        usd = np.where(ints[rows, SETTLEMENT] == INVERSE, price * forward, price)
        found, _ = implied_vol(usd, forward, floats[rows, STRIKE], tau, 1.0, ints[rows, IS_CALL] != 0)
        sigma[places] = found
        source = np.where(np.isfinite(values[rows, _MARK]), int(RiskStatus.IV_OF_MARK), int(RiskStatus.IV_OF_MID))
        status[places] = np.where(np.isfinite(price), np.where(found > 0.0, source, NO_IV), NO_PRICE)

"""American chains as European ones: the yield each expiry implies, and quotes without their early-exercise premium.

An American quote has an implied volatility under American pricing; the Black price at that volatility is what the same
option would cost without early exercise ("de-Americanisation", Burkovska, Gass, Glau, Mahlstedt, Schoutens & Wohlmuth
2018, "Calibration to American options: numerical investigation of the de-Americanization method", sec. 2.2).

The forward is not the parity of American prices, which early exercise bends. Per expiry one continuous yield (dividends
and borrow cost together) is sought at which calls and puts of the same strikes near the money have the same volatility;
the forward follows from it. Cash dividends are thus spread over the option's life: right for the forward, a little off
for the moment of exercise (`finite_difference` takes them one by one).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_YEAR
from voldesk.pricing import american, black
from voldesk.pricing.broadcast import call_flags
from voldesk.surface.fit import ChainQuotes

_NEAR: Final = 1.0  # deviations from spot within which calls and puts are compared
_LEAST_REACH: Final = 0.02  # of log-moneyness, where an expiry is hours away
_PAIRS: Final = 12  # nearest the money, at most
_ROUNDS: Final = 6
_SETTLED: Final = 1e-9


class CarryStatus(IntEnum):
    OK = 0
    FEW_PAIRS = 1  # fewer than two strikes near the money with both sides of both options quoted
    NOT_FOUND = 2  # no yield makes calls and puts agree


class ImpliedCarry(NamedTuple):
    """Per expiry, rising. `error`: how far calls and puts stay apart at that yield, root mean square, decimal vol."""

    expiry_ns: IntArray
    tau: FloatArray
    forward: FloatArray
    dividend_yield: FloatArray
    error: FloatArray
    pairs: IntArray
    status: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class AmericanQuotes:
    """Quotes of one underlying in columns of shape (n,), any order; premiums in currency, NaN where none stands.

    spot: price of the underlying at that moment. rate: continuous, per row or one for all.
    """

    expiry_ns: IntArray
    strike: FloatArray
    is_call: BoolArray
    bid: FloatArray
    ask: FloatArray
    spot: float
    rate: FloatArray | float

    def __post_init__(self) -> None:
        if not self.spot > 0.0:
            raise InputError(f"spot={self.spot} of an American chain; expected the price of the underlying.")
        for name in ("strike", "is_call", "bid", "ask"):
            if getattr(self, name).shape != self.expiry_ns.shape:
                raise InputError(f"{name} has shape {getattr(self, name).shape}; expected {self.expiry_ns.shape}.")
        object.__setattr__(
            self, "is_call", call_flags(self.is_call)
        )  # rows are picked with it: 0 and 1 would be row numbers


class _Pairs(NamedTuple):
    """Call and put mids of one strike, rows of one expiry each (`group`)."""

    group: IntArray
    tau: FloatArray
    strike: FloatArray
    rate: FloatArray
    call: FloatArray
    put: FloatArray
    weight: FloatArray


def implied_carry(quotes: AmericanQuotes, asof_ns: int) -> ImpliedCarry:
    """The yield per expiry at which American calls and puts near the money have one volatility, and its forward.

    Secant steps from the yield that European parity would give; all expiries in each step at once.
    """
    expiries = np.unique(quotes.expiry_ns[quotes.expiry_ns > asof_ns])
    tau = (expiries - asof_ns) / NS_PER_YEAR
    pairs = _near_pairs(quotes, expiries, tau)
    counts = np.bincount(pairs.group, minlength=expiries.size)
    rate = np.full(expiries.size, np.nan)
    rate[pairs.group] = pairs.rate
    parity = quotes.spot - pairs.strike * np.exp(-pairs.rate * pairs.tau) - (pairs.call - pairs.put)
    # C - P = S e^{-q tau} - K e^{-r tau} for European prices: the yield by its weighted mean per expiry.
    short = _mean(pairs, np.maximum(1.0 - parity / quotes.spot, 1e-6), expiries.size)
    here = -np.log(short) / tau
    before, gap_before = here + 1e-3, np.full(expiries.size, np.nan)
    gap = _gap(pairs, here, quotes.spot, expiries.size)[0]
    gap_before = _gap(pairs, before, quotes.spot, expiries.size)[0]
    for _ in range(_ROUNDS):
        slope = (gap - gap_before) / (here - before)
        step = np.where(np.abs(gap) > _SETTLED, -gap / slope, 0.0)
        if not np.any(np.abs(step) > 0.0):
            break
        limit = np.maximum(0.05, 0.02 / tau)  # a wild secant must not leave the country
        moved = here + np.clip(np.where(np.isfinite(step), step, 0.0), -limit, limit)
        before, gap_before = np.where(moved != here, here, before), np.where(moved != here, gap, gap_before)
        here = moved
        gap, error = _gap(pairs, here, quotes.spot, expiries.size)
    gap, error = _gap(pairs, here, quotes.spot, expiries.size)
    status = np.where(counts < 2, CarryStatus.FEW_PAIRS, np.where(np.abs(gap) < 1e-5, CarryStatus.OK, 2)).astype(
        np.int8
    )
    good = status == CarryStatus.OK
    here = np.where(good, here, np.nan)
    forward = quotes.spot * np.exp((rate - here) * tau)
    return ImpliedCarry(expiries, tau, forward, here, np.where(good, error, np.nan), counts, status)


def de_americanised(quotes: AmericanQuotes, asof_ns: int, carry: ImpliedCarry | None = None) -> ChainQuotes:
    """European quotes at the volatilities of the American ones, ready for `fit_surface`.

    Bids and asks that no volatility gives (at or under intrinsic) become NaN; so do rows of an expiry without a carry.
    `carry` may be one found before, or smoothed.
    """
    found = implied_carry(quotes, asof_ns) if carry is None else carry
    tau = (quotes.expiry_ns - asof_ns) / NS_PER_YEAR
    forward = np.full(tau.shape, np.nan)
    yields = np.full(tau.shape, np.nan)
    for expiry, level, q in zip(found.expiry_ns, found.forward, found.dividend_yield, strict=True):
        rows = quotes.expiry_ns == expiry
        forward[rows], yields[rows] = level, q
    rate = np.broadcast_to(np.asarray(quotes.rate, np.float64), tau.shape)
    discount = np.exp(-rate * tau)
    sides = []
    # In the money the volatility of an American option is badly determined, and the surface does not look there.
    otm = (quotes.is_call == (quotes.strike >= forward)) & np.isfinite(forward) & (tau > 0.0)
    rows = np.flatnonzero(otm)
    for premium in (quotes.bid, quotes.ask):
        side = np.full(tau.shape, np.nan)
        sigma, _ = american.implied_vol(
            premium[rows], quotes.spot, quotes.strike[rows], tau[rows], rate[rows], yields[rows], quotes.is_call[rows]
        )
        side[rows] = black.price(
            forward[rows], quotes.strike[rows], tau[rows], sigma, discount[rows], quotes.is_call[rows]
        )
        sides.append(side)
    return ChainQuotes(
        expiry_ns=quotes.expiry_ns,
        tau=tau,
        strike=quotes.strike,
        is_call=quotes.is_call,
        bid=sides[0],
        ask=sides[1],
        mark=0.5 * (sides[0] + sides[1]),
        forward=forward,
        discount=discount,
    )


def _near_pairs(quotes: AmericanQuotes, expiries: IntArray, tau: FloatArray) -> _Pairs:
    """Strikes near the money at which both options are quoted on both sides, the nearest few of each expiry."""
    good = (quotes.bid > 0.0) & (quotes.ask >= quotes.bid)
    rate = np.broadcast_to(np.asarray(quotes.rate, np.float64), good.shape)
    parts: list[tuple[FloatArray, ...]] = []
    for j, expiry in enumerate(expiries):
        rows = np.flatnonzero(good & (quotes.expiry_ns == expiry))
        calls, puts = rows[quotes.is_call[rows]], rows[~quotes.is_call[rows]]
        strikes, c, p = np.intersect1d(quotes.strike[calls], quotes.strike[puts], return_indices=True)
        calls, puts = calls[c], puts[p]
        if not strikes.size:
            continue
        call, put = (0.5 * (quotes.bid[r] + quotes.ask[r]) for r in (calls, puts))
        # A straddle at the money is worth about 0.8 of a deviation.
        deviation = float(np.min(call + put)) / (0.8 * quotes.spot)
        distance = np.abs(np.log(strikes / quotes.spot))
        near = np.flatnonzero(distance <= max(_NEAR * deviation, _LEAST_REACH))
        near = near[np.argsort(distance[near], kind="stable")[:_PAIRS]]
        spread = np.maximum((quotes.ask - quotes.bid)[calls] + (quotes.ask - quotes.bid)[puts], 1e-6)[near]
        size = near.size
        parts.append(
            (np.full(size, float(j)), np.full(size, tau[j]), strikes[near], rate[calls][near], call[near], put[near],
             1.0 / spread**2)
        )  # fmt: skip
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else [np.empty(0)] * 7
    return _Pairs(columns[0].astype(np.int64), *columns[1:])


def _mean(pairs: _Pairs, values: FloatArray, groups: int) -> FloatArray:
    """Weighted mean per expiry, NaN where there is nothing."""
    usable = np.isfinite(values)
    weight = np.where(usable, pairs.weight, 0.0)
    total = np.bincount(pairs.group, weight, groups)
    summed = np.bincount(pairs.group, weight * np.where(usable, values, 0.0), groups)
    return np.where(total > 0.0, summed / np.where(total > 0.0, total, 1.0), np.nan)


def _gap(pairs: _Pairs, yields: FloatArray, spot: float, groups: int) -> tuple[FloatArray, FloatArray]:
    """Mean of call vol less put vol per expiry, and the root mean square of what is left around it."""
    q = yields[pairs.group]
    vols = [
        american.implied_vol(premium, spot, pairs.strike, pairs.tau, pairs.rate, q, is_call)[0]
        for premium, is_call in ((pairs.call, True), (pairs.put, False))
    ]
    apart = vols[0] - vols[1]
    mean = _mean(pairs, apart, groups)
    return mean, np.sqrt(_mean(pairs, (apart - mean[pairs.group]) ** 2, groups))

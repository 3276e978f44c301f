"""Discount curves, and forward curves of an underlying with borrow, dividend yield and known cash dividends.

    D(tau) = exp(-int r),   F(tau) = (S - sum_{ex_i <= tau} d_i P(ex_i)) / P(tau),   P = D / Q,   Q(tau) = exp(-int y)

r: the rate; y: what holding the underlying yields a year, borrow fee and dividend yield together; P discounts at r - y,
the cost of carrying one unit. Cash dividends drop the forward at their ex times.

Between nodes: LOG_LINEAR, constant forward rates (the rule that never makes a wild forward); MONOTONE_CONVEX, continuous
forward rates (Hagan & West 2006, "Interpolation methods for curve construction", Appl. Math. Finance 13, sec. 4; without
their optional positivity collar).
Beyond the last node the forward rate stays what it is there; before the first it reaches back to tau = 0 as its segment
says. tau in ACT/365 years, rates continuous decimals per year. Negative tau gives NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import CalibrationError, InputError
from voldesk.pricing.dividends import NO_DIVIDENDS, DividendSchedule

_SWEEPS: Final = 200
_SETTLED: Final = 1e-15


class Interpolation(Enum):
    """Of a curve between its nodes; see above."""

    LOG_LINEAR = "log-linear discount"
    MONOTONE_CONVEX = "monotone convex"


@dataclass(frozen=True, slots=True, eq=False)
class DiscountCurve:
    """Price of one unit of currency at each tau.

    tau: (n,) years, rising, above 0; a node of 1 at tau = 0 is understood. discounts: (n,) positive (above 1 where rates
    are negative). Raises InputError otherwise.

    >>> curve = DiscountCurve.from_zero_rates([0.5, 1.0], [0.04, 0.05])
    >>> curve.discount([0.0, 0.75, 2.0]).round(6).tolist()
    [1.0, 0.965605, 0.895834]
    """

    tau: FloatArray
    discounts: FloatArray
    interpolation: Interpolation = Interpolation.LOG_LINEAR
    _rows: FloatArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        tau, discounts = np.asarray(self.tau, np.float64), np.asarray(self.discounts, np.float64)
        if tau.ndim != 1 or tau.size == 0 or not np.all(np.diff(tau, prepend=0.0) > 0.0) or tau[-1] == math.inf:
            raise InputError(
                f"tau={tau.tolist()} of a curve; expected finite years rising from above 0. Sort the nodes."
            )
        if discounts.shape != tau.shape or not np.all((discounts > 0.0) & np.isfinite(discounts)):
            raise InputError(
                f"discounts={discounts.tolist()}; expected {tau.size} positive numbers, one per tau. Drop expiries without one."
            )
        object.__setattr__(self, "tau", tau)
        object.__setattr__(self, "discounts", discounts)
        object.__setattr__(self, "_rows", self._segments())

    @classmethod
    def flat(cls, rate: float) -> DiscountCurve:
        """One continuous rate for ever."""
        return cls(np.array([1.0]), np.array([math.exp(-rate)]))

    @classmethod
    def from_zero_rates(
        cls, tau: ArrayLike, rate: ArrayLike, interpolation: Interpolation = Interpolation.LOG_LINEAR
    ) -> DiscountCurve:
        """From continuous zero rates, (n,) each."""
        times = np.asarray(tau, np.float64)
        return cls(times, np.exp(-np.asarray(rate, np.float64) * times), interpolation)

    @classmethod
    def from_quotes(
        cls,
        deposits: tuple[ArrayLike, ArrayLike] = ((), ()),
        par: tuple[ArrayLike, ArrayLike] = ((), ()),
        frequency: int = 2,
        interpolation: Interpolation = Interpolation.LOG_LINEAR,
    ) -> DiscountCurve:
        """From money-market deposits (tau, simple rate) and par bonds or swaps (tau, coupon rate), maturities mixed.

        A par instrument pays coupon / frequency every 1 / frequency years back from its maturity (a short first period
        accrues in proportion) and is worth 1. All are met to 1e-14. Raises InputError for quotes of one maturity twice,
        CalibrationError where no curve meets them.

        >>> curve = DiscountCurve.from_quotes(deposits=([0.5], [0.03]), par=([1.0, 2.0], [0.031, 0.035]))
        >>> d = curve.discount([0.5, 1.0, 1.5, 2.0])
        >>> round(float(0.035 / 2 * d.sum() + d[-1]), 12)
        1.0
        """
        cash_tau, cash_rate = (np.atleast_1d(np.asarray(v, np.float64)) for v in deposits)
        par_tau, par_rate = (np.atleast_1d(np.asarray(v, np.float64)) for v in par)
        if cash_tau.shape != cash_rate.shape or par_tau.shape != par_rate.shape or frequency < 1:
            raise InputError(
                f"{cash_tau.size} and {par_tau.size} maturities for {cash_rate.size} and {par_rate.size} rates, "
                f"frequency={frequency}; expected one rate per maturity and a frequency of 1 or more."
            )
        order = np.argsort(np.concatenate([cash_tau, par_tau]))
        tau = np.concatenate([cash_tau, par_tau])[order]
        at = np.empty(order.size, np.int64)
        at[order] = np.arange(order.size)
        known = 1.0 / (1.0 + cash_rate * cash_tau)
        discounts = np.empty(tau.size)
        discounts[at] = np.concatenate([known, np.exp(-par_rate * par_tau)])
        coupons = [_coupons(float(end), float(rate), frequency) for end, rate in zip(par_tau, par_rate, strict=True)]
        for _ in range(_SWEEPS):
            curve = cls(tau, discounts, interpolation)
            if not coupons:
                return curve
            fresh = discounts.copy()
            for row, (dates, amounts) in zip(at[cash_tau.size :], coupons, strict=True):
                early = float(amounts[:-1] @ curve.discount(dates[:-1]))
                fresh[row] = (1.0 - early) / (1.0 + amounts[-1])
            if not np.all(fresh > 0.0):
                break
            if np.max(np.abs(fresh - discounts)) <= _SETTLED:
                return curve
            discounts = fresh
        raise CalibrationError(
            f"no discount curve meets par rates {par_rate.tolist()} at {par_tau.tolist()} years; expected decimals such "
            "as 0.035 that belong to one issuer. Check units and maturities."
        )

    def discount(self, tau: ArrayLike) -> FloatArray:
        """exp(-int r from 0 to tau), shape of tau."""
        return np.exp(-self._integral(np.asarray(tau, np.float64)))

    def zero_rate(self, tau: ArrayLike) -> FloatArray:
        """Continuous rate from 0 to tau; at tau = 0 the instantaneous one."""
        time = np.asarray(tau, np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = self._integral(time) / time
        return np.where(time == 0.0, self.forward_rate(np.zeros(())), rate)

    def forward_rate(self, tau: ArrayLike) -> FloatArray:
        """Instantaneous forward rate at tau; at a node of LOG_LINEAR, that of the segment after it."""
        time = np.asarray(tau, np.float64)
        segment, x, _, beyond = self._place(time)
        _, _, _, level, *ends = self._rows[segment].T
        g = _convex(x, ends[0], ends[1])[0]
        last = float(self._rows[-1, 3] + self._rows[-1, 5])
        rate = np.where(beyond, last, level + g)
        return np.where(time >= 0.0, rate.reshape(time.shape), np.nan)

    def _segments(self) -> FloatArray:
        """Per segment: start, length, -log D at the start, mean forward, and what the forward has over it at both ends."""
        logs = np.concatenate([[0.0], -np.log(self.discounts)])
        times = np.concatenate([[0.0], self.tau])
        length = np.diff(times)
        mean = np.diff(logs) / length
        low = high = np.zeros(mean.size)
        if self.interpolation is Interpolation.MONOTONE_CONVEX and mean.size > 1:
            inner = (length[:-1] * mean[1:] + length[1:] * mean[:-1]) / (length[:-1] + length[1:])
            first, last = 1.5 * mean[0] - 0.5 * inner[0], 1.5 * mean[-1] - 0.5 * inner[-1]
            node = np.concatenate([[first], inner, [last]])
            low, high = node[:-1] - mean, node[1:] - mean
        return np.column_stack([times[:-1], length, logs[:-1], mean, low, high])

    def _place(self, time: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        flat = time.reshape(-1)
        segment = np.minimum(np.searchsorted(self.tau, flat, side="right"), self.tau.size - 1)
        beyond = flat >= self.tau[-1]
        x = np.where(beyond, 1.0, (flat - self._rows[segment, 0]) / self._rows[segment, 1])
        return segment, x, flat, beyond

    def _integral(self, time: FloatArray) -> FloatArray:
        segment, x, flat, beyond = self._place(time)
        _, length, before, level, low, high = self._rows[segment].T
        inside = before + length * (level * x + _convex(x, low, high)[1])
        last = self._rows[-1, 3] + self._rows[-1, 5]
        total = inside + np.where(beyond, (flat - self.tau[-1]) * last, 0.0)
        return np.where(flat >= 0.0, total, np.nan).reshape(time.shape)


def _coupons(end: float, rate: float, frequency: int) -> tuple[FloatArray, FloatArray]:
    count = math.ceil(end * frequency - 1e-9)
    dates = end - np.arange(count - 1, -1, -1) / frequency
    return dates, rate * np.diff(dates, prepend=0.0)


def _convex(x: FloatArray, g0: FloatArray, g1: FloatArray) -> tuple[FloatArray, FloatArray]:
    """g(x) and its integral from 0 for Hagan & West's four sectors, sec. 4.4; g0, g1: values at x = 0 and 1."""
    with np.errstate(all="ignore"):
        crossing = g0 * g1 < 0.0
        size = np.abs(g1) / np.abs(g0)
        # ii: flat, then a parabola (|g1| > 2 |g0|); iii: a parabola, then flat (|g1| < |g0| / 2); iv: same sign.
        two, three, four = crossing & (size > 2.0), crossing & (size < 0.5), ~crossing & ((g0 != 0.0) | (g1 != 0.0))
        bend = np.where(two, (g1 + 2.0 * g0) / (g1 - g0), np.where(three, 3.0 * g1 / (g1 - g0), g1 / (g0 + g1)))
        floor = np.where(two, g0, np.where(three, g1, -g0 * g1 / (g0 + g1)))
        rise0, rise1 = np.where(two, 0.0, g0 - floor), np.where(three, 0.0, g1 - floor)
        left, right = np.maximum(bend - x, 0.0), np.maximum(x - bend, 0.0)
        early = np.where(rise0 == 0.0, 0.0, rise0 * (left / bend) ** 2)
        late = np.where(rise1 == 0.0, 0.0, rise1 * (right / (1.0 - bend)) ** 2)
        early_sum = np.where((rise0 == 0.0) | (bend == 0.0), 0.0, rise0 * (bend - left * (left / bend) ** 2) / 3.0)
        late_sum = np.where((rise1 == 0.0) | (bend == 1.0), 0.0, rise1 * right * (right / (1.0 - bend)) ** 2 / 3.0)
        early, late = np.where(bend == 0.0, 0.0, early), np.where(bend == 1.0, 0.0, late)
        bent, bent_sum = floor + early + late, floor * x + early_sum + late_sum
        one, one_sum = g0 * (1 - 4 * x + 3 * x**2) + g1 * (3 * x**2 - 2 * x), x * (1 - x) * (g0 * (1 - x) - g1 * x)
    split = two | three | four
    return np.where(split, bent, one), np.where(split, bent_sum, one_sum)


@dataclass(frozen=True, slots=True, eq=False)
class ForwardCurve:
    """Forwards of one underlying.

    discount: the curve D; income: the curve Q of borrow fee and dividend yield; dividends: known cash amounts.
    Raises InputError for a spot that is no price, or dividends worth more than it: no forward is ever negative.

    >>> curve = ForwardCurve.from_rates(100.0, DiscountCurve.flat(0.05), borrow=0.01)
    >>> round(float(curve.forward(1.0)), 6)
    104.081077
    """

    spot: float
    discount: DiscountCurve
    income: DiscountCurve
    dividends: DividendSchedule = NO_DIVIDENDS

    def __post_init__(self) -> None:
        if not 0.0 < self.spot < math.inf:
            raise InputError(f"spot={self.spot}; expected a positive price.")
        times, amounts = self.dividends.arrays()
        left = self.spot - np.cumsum(amounts * self.carry_discount(times))
        if np.any(left <= 0.0):
            first = int(np.argmax(left <= 0.0))
            raise InputError(
                f"dividends up to ex time {times[first]:.4g} years are worth more than the spot {self.spot}; expected "
                "less. Check the amounts' currency, or leave out those beyond the last expiry."
            )

    @classmethod
    def from_rates(
        cls,
        spot: float,
        discount: DiscountCurve,
        borrow: float = 0.0,
        dividend_yield: float = 0.0,
        dividends: DividendSchedule = NO_DIVIDENDS,
    ) -> ForwardCurve:
        """From a rate curve, a constant borrow fee and dividend yield, and cash dividends."""
        return cls(spot, discount, DiscountCurve.flat(borrow + dividend_yield), dividends)

    @classmethod
    def from_forwards(
        cls,
        spot: float,
        tau: ArrayLike,
        forward: ArrayLike,
        discount: DiscountCurve | None = None,
        dividends: DividendSchedule = NO_DIVIDENDS,
    ) -> ForwardCurve:
        """Through the forward of each expiry, (n,) each: the yield y is constant between expiries and met exactly.

        discount None: rates of zero, so that y is the whole implied carry with its sign turned. Raises InputError for
        forwards that are not positive, CalibrationError where cash dividends leave no yield that meets one.

        >>> curve = ForwardCurve.from_forwards(100.0, [0.25, 0.5], [101.0, 101.5], DiscountCurve.flat(0.05))
        >>> round(float(curve.forward(0.5)), 9), round(float(curve.implied_borrow(0.25)), 6)
        (101.5, 0.010199)
        """
        times = np.atleast_1d(np.asarray(tau, np.float64))
        targets = np.atleast_1d(np.asarray(forward, np.float64))
        if times.shape != targets.shape or not np.all((targets > 0.0) & np.isfinite(targets)):
            raise InputError(
                f"forward={targets.tolist()}; expected {times.size} positive prices, one per tau. Drop expiries without one."
            )
        rates = discount or DiscountCurve.flat(0.0)
        found = np.empty(0)
        for i in range(times.size):
            found = np.append(found, _meet(spot, times[: i + 1], targets[i], rates, found, dividends))
        return cls(spot, rates, DiscountCurve(times, found), dividends)

    def carry_discount(self, tau: ArrayLike) -> FloatArray:
        """P(tau) = D / Q: what one unit of currency at tau costs when it is financed by the underlying's carry."""
        return self.discount.discount(tau) / self.income.discount(tau)

    def forward(self, tau: ArrayLike) -> FloatArray:
        """Forward price, shape of tau; at an ex time, after the drop. The spot at tau = 0, NaN before."""
        time = np.asarray(tau, np.float64)
        times, amounts = self.dividends.arrays()
        paid = np.concatenate([[0.0], np.cumsum(amounts * self.carry_discount(times))])
        return np.asarray((self.spot - paid[np.searchsorted(times, time, side="right")]) / self.carry_discount(time))

    def implied_borrow(self, tau: ArrayLike, dividend_yield: float = 0.0) -> FloatArray:
        """Continuous yield of holding the underlying from 0 to tau beyond cash dividends and a given dividend yield."""
        return self.income.zero_rate(tau) - dividend_yield


def _meet(
    spot: float,
    tau: FloatArray,
    target: float,
    discount: DiscountCurve,
    known: FloatArray,
    dividends: DividendSchedule,
) -> float:
    """Q at the last tau that makes the forward there the target, earlier nodes given: Newton in log Q."""
    times, amounts = dividends.arrays()
    due = times <= tau[-1]
    times, amounts = times[due], amounts[due]
    start = tau[-2] if tau.size > 1 else 0.0
    share = np.clip((times - start) / (tau[-1] - start), 0.0, 1.0)  # of the last segment's yield in P(ex)
    flat = amounts * discount.discount(times)
    late = times > start
    before = DiscountCurve(tau[:-1], known) if tau.size > 1 else None
    base = math.log(float(known[-1])) if before is not None else 0.0
    if before is not None:
        flat = np.where(late, flat / known[-1], flat / before.discount(np.minimum(times, start)))
    end = float(discount.discount(tau[-1]))
    # forward * P(tau) = spot - sum d P(ex), over Q = exp(base + z): P(ex) = flat exp(-share z).
    z = math.log(target * end / spot) - base
    for _ in range(_SWEEPS):
        paid = flat * np.exp(-share * z)
        miss = spot - float(paid.sum()) - target * end * math.exp(-base - z)
        slope = float((paid * share).sum()) + target * end * math.exp(-base - z)
        step = miss / slope
        z -= math.copysign(min(abs(step), 1.0), step)
        if abs(step) < 1e-15 * max(1.0, abs(z)):
            break
    else:
        raise CalibrationError(f"no yield makes the forward {target} at {tau[-1]:.4g} years; check the cash dividends.")
    return math.exp(base + z)

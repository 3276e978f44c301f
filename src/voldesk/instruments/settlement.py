"""What a contract is worth at expiry, and how a venue's delivery price comes about.

Payoffs of `lots` at delivery price S, in the settle currency (size = contracts x multiplier):
  linear option    size x max(S - K, 0)          call; max(K - S, 0) for puts
  inverse option   size x max(S - K, 0) / S      coin; the call minus the put is size x (1 - K / S)
  quanto           as linear, times the fixed rate
  future           its value at S: P&L is that minus the value at the entry price
Delivery price: time-weighted average of the index over the venue's last minutes (Deribit: 07:30 to 08:00 UTC,
"Time-weighted average of Deribit BTC index"; OKX: last hour, last 30 minutes from 2026-03-18 on; CFFEX: last two
hours). A recording without it gets the index interpolated at the expiry instant, with its error.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.errors import InputError
from voldesk.core.money import round_half_even
from voldesk.core.units import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_YEAR
from voldesk.instruments.spec import Instrument, Kind, Settlement

_OKX_SHORT_WINDOW_NS: Final = 1_773_792_000_000_000_000  # 2026-03-18 00:00 UTC


def payoff(instrument: Instrument, lots: int, delivery_price: Fraction) -> Fraction:
    """Exact worth of signed lots at expiry, in the settle currency; see the module header for the formulas.

    Options with physical delivery: what exercising is worth in cash; the shares are `exercise`'s. Raises InputError
    for contracts that never expire, and for a delivery price that is not positive where it divides.
    """
    if instrument.kind is Kind.FUTURE:
        return instrument.value(lots, delivery_price)
    if not instrument.is_option:
        raise InputError(f"instrument={instrument.symbol} never expires; expected an option or a dated future.")
    inverse = instrument.settlement is Settlement.INVERSE
    if delivery_price < 0 or (inverse and delivery_price == 0):
        raise InputError(f"delivery_price={delivery_price} of {instrument.symbol}; expected a positive price.")
    strike = Fraction(instrument.strike)
    intrinsic = delivery_price - strike if instrument.is_call else strike - delivery_price
    intrinsic = max(intrinsic, Fraction(0))
    return instrument.value(lots, intrinsic / delivery_price if inverse else intrinsic)


def exercise(instrument: Instrument, lots: int) -> tuple[Fraction, Fraction]:
    """Physical exercise (or assignment, short lots): (units of the underlying received, currency received).

    A long call takes size units and pays size x strike; signs follow the lots and the right.
    """
    if not instrument.is_option:
        raise InputError(f"instrument={instrument.symbol} cannot be exercised; expected an option.")
    size = instrument.contracts(lots) * Fraction(instrument.multiplier)
    units = size if instrument.is_call else -size
    return units, -units * Fraction(instrument.strike)


def averaging_window_ns(venue: str, expiry_ns: int) -> int:
    """Length of the venue's averaging window before expiry; 0 where the delivery price is a single print."""
    if venue == "deribit":
        return 30 * NS_PER_MINUTE
    if venue == "okx":
        return 30 * NS_PER_MINUTE if expiry_ns >= _OKX_SHORT_WINDOW_NS else NS_PER_HOUR
    return 2 * NS_PER_HOUR if venue == "cffex" else 0


def delivery_price_from_samples(
    ts_ns: IntArray, prices: FloatArray, expiry_ns: int, window_ns: int
) -> tuple[float, int]:
    """Time-weighted average of the index over [expiry - window, expiry].

    ts_ns, prices: shape (n,), times strictly rising; each price stands until the next sample, the last one known
    before the window from its start on. NaN samples leave a hole. Returns (price, covered_ns): the average over
    the covered part and how long that is, so that the caller can refuse a thin window; (NaN, 0) if nothing is
    known. Samples after expiry do not count.
    """
    _check(ts_ns, prices)
    start = expiry_ns - window_ns
    begins = np.clip(ts_ns, start, expiry_ns)
    weights = np.diff(np.append(begins, expiry_ns))
    known = np.isfinite(prices) & (weights > 0)
    covered_ns = int(weights[known].sum())
    if covered_ns == 0:
        return float("nan"), 0
    # Weights as shares of the window: int64 products of nanoseconds and prices would lose bits in float64.
    return float(np.sum(prices[known] * (weights[known] / covered_ns))), covered_ns


def interpolated_delivery_price(ts_ns: IntArray, prices: FloatArray, expiry_ns: int) -> tuple[float, int]:
    """Linear interpolation in time at the expiry instant, for recordings without a delivery price.

    ts_ns, prices: shape (n,), times strictly rising; NaN samples are passed over. Returns (price, gap_ns), the gap
    being the time to the nearest sample; price is NaN where expiry is not enclosed by samples (gap still given;
    -1 without any sample). `bridge_deviation` turns the gap into an error in currency.
    """
    _check(ts_ns, prices)
    known = np.isfinite(prices)
    times, values = ts_ns[known], prices[known]
    if times.size == 0:
        return float("nan"), -1
    gap_ns = int(np.abs(times - expiry_ns).min())
    after = int(np.searchsorted(times, expiry_ns))
    if gap_ns == 0:
        return float(values[after]), 0
    if after in (0, times.size):
        return float("nan"), gap_ns
    share = (expiry_ns - int(times[after - 1])) / (int(times[after]) - int(times[after - 1]))
    return float(values[after - 1] + share * (values[after] - values[after - 1])), gap_ns


def bridge_deviation(ts_ns: IntArray, expiry_ns: int, price: float, sigma: float) -> float:
    """Standard deviation, in currency, of the true price around the interpolated one.

    Brownian bridge between the enclosing samples: price x sigma x sqrt(before x after / (before + after)), sigma
    decimal per year (Glasserman 2004, sec. 3.1, eq. 3.8). NaN where expiry is not enclosed.
    """
    after = int(np.searchsorted(ts_ns, expiry_ns))
    if after < ts_ns.size and int(ts_ns[after]) == expiry_ns:
        return 0.0
    if after in (0, ts_ns.size):
        return float("nan")
    before_years = (expiry_ns - int(ts_ns[after - 1])) / NS_PER_YEAR
    after_years = (int(ts_ns[after]) - expiry_ns) / NS_PER_YEAR
    return float(price * sigma * np.sqrt(before_years * after_years / (before_years + after_years)))


def exact_price(price: float, decimals: int = 2) -> Fraction:
    """A measured price as the exact decimal a venue would publish (Deribit: cents), rounded half-even.

    >>> exact_price(60123.456)
    Fraction(3006173, 50)
    """
    if not np.isfinite(price):
        raise InputError(f"delivery_price={price}; expected a finite price. Close before expiry or supply the price.")
    scaled = Fraction(price) * 10**decimals
    return Fraction(round_half_even(scaled.numerator, scaled.denominator), 10**decimals)


def _check(ts_ns: IntArray, prices: FloatArray) -> None:
    if ts_ns.shape != prices.shape or ts_ns.ndim != 1:
        raise InputError(f"samples of shapes {ts_ns.shape} and {prices.shape}; expected two equal vectors.")
    if np.any(np.diff(ts_ns) <= 0):
        raise InputError("sample times are not strictly rising; sort them and drop repeats.")

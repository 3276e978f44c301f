"""Expiry, delivery price, funding: what a venue does to positions without anybody trading.

Delivery price = average of the venue's index over its window before expiry (`settlement.averaging_window_ns`), read
at evenly spaced moments of which the last is the expiry itself; without a window, the index of that instant.
Funding: rate per interval on the position's value at the mark, longs pay when it is positive (Deribit, "Perpetual").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

import numpy as np

from voldesk.core.arrays import IntArray
from voldesk.core.errors import InputError
from voldesk.core.money import round_half_even
from voldesk.core.ports import State
from voldesk.core.units import NS_PER_HOUR, NS_PER_MINUTE
from voldesk.instruments.settlement import averaging_window_ns
from voldesk.instruments.spec import Kind
from voldesk.instruments.table import InstrumentTable
from voldesk.market.state import Field, MarketState, Stamp


@dataclass(frozen=True, slots=True)
class LifecycleConfig:
    """delivery_sample_ns: spacing of the index readings. delivery_decimals: places of the published price.
    delivery_prices: underlying -> {expiry_ns: price text}, given prices that replace the average.
    funding_rate: exact text per interval; funding_by_symbol overrides it."""

    delivery_sample_ns: int = NS_PER_MINUTE
    delivery_decimals: int = 2
    delivery_prices: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    funding_interval_ns: int = 8 * NS_PER_HOUR
    funding_rate: str = "0.0001"
    funding_by_symbol: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.delivery_sample_ns <= 0 or self.funding_interval_ns <= 0:
            raise InputError(
                f"delivery_sample_ns={self.delivery_sample_ns}, funding_interval_ns={self.funding_interval_ns};"
                " expected positive spacings."
            )

    def funding_rate_of(self, symbol: str) -> str:
        return self.funding_by_symbol.get(symbol, self.funding_rate)


def exact(price: float) -> Fraction:
    """The decimal that a float prints as: 0.1 is one tenth."""
    return Fraction(Decimal(repr(price)))


class Expiry:
    """All instruments of one venue, underlying and expiry instant: they share a delivery price."""

    __slots__ = ("expiry_ns", "instruments", "samples", "settled", "underlying", "venue")

    def __init__(self, venue: str, underlying: str, expiry_ns: int) -> None:
        self.venue = venue
        self.underlying = underlying
        self.expiry_ns = expiry_ns
        self.instruments: list[int] = []
        self.samples: list[float] = []
        self.settled = False


class IndexReader:
    """The venue's index of an underlying: the freshest INDEX among its instruments, else the mid of its spot or
    stock; NaN when there is none."""

    def __init__(self, table: InstrumentTable, market: MarketState) -> None:
        self._table = table
        self._market = market
        self._ids: dict[str, IntArray] = {}
        self._listed = 0

    def _of(self, underlying: str) -> IntArray:
        if self._listed != len(self._table):
            self._listed = len(self._table)
            self._ids.clear()
        ids = self._ids.get(underlying)
        if ids is None:
            members = [i for i, item in enumerate(self._table) if item.underlying == underlying]
            ids = self._ids[underlying] = np.array(members, np.int64)
        return ids

    def read(self, underlying: str) -> float:
        ids = self._of(underlying)
        if ids.size == 0:
            return float("nan")
        index = self._market.values[ids, Field.INDEX]
        stamp = np.where(np.isnan(index), -1, self._market.stamps[ids, Stamp.MARK_EVENT_NS])
        best = int(np.argmax(stamp))
        if stamp[best] >= 0:
            return float(index[best])
        for i in ids.tolist():
            if self._table[i].kind in (Kind.SPOT, Kind.EQUITY):
                row = self._market.values[i]
                return 0.5 * float(row[Field.BID] + row[Field.ASK])
        return float("nan")


class Expiries:
    """Which expiries there are and the index readings taken for each."""

    def __init__(self, table: InstrumentTable, config: LifecycleConfig, index: IndexReader) -> None:
        self._table = table
        self._config = config
        self._index = index
        self.all: list[Expiry] = []
        self._by_key: dict[tuple[str, str, int], int] = {}
        self._listed = 0

    def refresh(self, up_to: int | None = None) -> list[int]:
        """Take in instruments listed since (ids below `up_to`, default all); returns the expiries that are new."""
        fresh = []
        end = len(self._table) if up_to is None else up_to
        while self._listed < end:
            item = self._table[self._listed]
            if item.expiry_ns:
                key = (item.venue.lower(), item.underlying, item.expiry_ns)
                number = self._by_key.get(key)
                if number is None:
                    number = self._by_key[key] = len(self.all)
                    self.all.append(Expiry(*key))
                    fresh.append(number)
                self.all[number].instruments.append(self._listed)
            self._listed += 1
        return fresh

    @property
    def listed(self) -> int:
        return self._listed

    def first_sample_ns(self, number: int, now_ns: int) -> int:
        """The first reading after now: on the grid that ends at the expiry itself."""
        expiry = self.all[number]
        window = averaging_window_ns(expiry.venue, expiry.expiry_ns)
        step = self._config.delivery_sample_ns
        readings = max(window // step, 1)
        first = expiry.expiry_ns - (readings - 1) * step
        if now_ns < first:
            return first
        return min(first + ((now_ns - first) // step + 1) * step, expiry.expiry_ns)

    def sample(self, number: int) -> None:
        price = self._index.read(self.all[number].underlying)
        if price == price:
            self.all[number].samples.append(price)

    def delivery_price(self, number: int) -> str | None:
        """Exact text, or None while nothing is known to settle at."""
        expiry = self.all[number]
        given = self._config.delivery_prices.get(expiry.underlying, {}).get(expiry.expiry_ns)
        if given is not None:
            return given
        if not expiry.samples:
            return None
        mean = sum((exact(price) for price in expiry.samples), Fraction(0)) / len(expiry.samples)
        scaled = mean * 10**self._config.delivery_decimals
        units = round_half_even(scaled.numerator, scaled.denominator)
        return str(Decimal(units).scaleb(-self._config.delivery_decimals))

    def state(self) -> State:
        kept = [[n, list(e.samples), e.settled] for n, e in enumerate(self.all) if e.samples or e.settled]
        return {"listed": self._listed, "readings": kept}

    def restore(self, state: State) -> None:
        self.all.clear()
        self._by_key.clear()
        self._listed = 0
        self.refresh(state["listed"])
        for number, samples, settled in state["readings"]:
            self.all[number].samples = [float(price) for price in samples]
            self.all[number].settled = bool(settled)


def next_on_grid(now_ns: int, interval_ns: int) -> int:
    """The first whole multiple of the interval, counted from 1970, after now."""
    return (now_ns // interval_ns + 1) * interval_ns


def funding_amount(value: Fraction, rate: str, is_reciprocal: bool) -> Fraction:
    """What the holder pays (positive) for one interval, exact, in the settle currency.

    `value` is `Instrument.value` of the position at the mark: negative for a long inverse contract, whose sign is
    therefore turned.
    """
    paid = value * Fraction(Decimal(rate))
    return -paid if is_reciprocal else paid

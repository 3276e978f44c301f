"""Round trips of the option book: from flat to flat, what was paid, what was hedged, what volatility then came.

A trip runs from the first option fill of a flat book to the fill or settlement that leaves it flat. Its net P&L is the
book's change of equity from the mark before it opened to the mark before the next one opens (or the last mark): exact, and
the trips add up to the book's P&L; hedges taken off just after the options are gone still count with it.

Break-even: with G = sum of 1/2 Gamma dS**2 over the marks while it was open (Hull, ch. 19.7), proportional to realised
variance, the realised volatility at which the trip would have netted nothing, all else equal, is realised x sqrt(1 - net/G).
"""

from __future__ import annotations

import datetime as dt
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from voldesk.app.run_rows import Fill, Settled, contracts_text, numbers_in
from voldesk.app.run_tables import RunTables
from voldesk.core.money import COINS, to_float
from voldesk.core.units import NS_PER_DAY, NS_PER_YEAR
from voldesk.engine.facts import BookMark
from voldesk.instruments.table import InstrumentTable
from voldesk.portfolio.numeraire import convert
from voldesk.portfolio.position import Worth, exact_price


@dataclass(slots=True)
class GammaAccount:
    """Sums over steps: `gained` USD is 1/2 Gamma dS**2; weights are |dollar gamma|, so that vols count where they paid."""

    gained: float = 0.0
    square_moves: float = 0.0
    weighted_years: float = 0.0
    weighted_implied: float = 0.0

    def step(self, gamma_1pct: float, start: float, end: float, years: float, implied_vol: float) -> None:
        if not (start > 0.0 and end > 0.0 and years > 0.0 and math.isfinite(gamma_1pct)):
            return
        dollar_gamma = gamma_1pct * 100.0 * start
        move = end / start - 1.0
        self.gained += 0.5 * dollar_gamma * move * move
        weight = abs(dollar_gamma)
        self.square_moves += weight * math.log(end / start) ** 2
        self.weighted_years += weight * years
        self.weighted_implied += weight * years * implied_vol**2

    def add(self, other: GammaAccount) -> None:
        self.gained += other.gained
        self.square_moves += other.square_moves
        self.weighted_years += other.weighted_years
        self.weighted_implied += other.weighted_implied

    @property
    def realised_vol(self) -> float:
        """Decimal per year; NaN before the first step with gamma."""
        return math.sqrt(self.square_moves / self.weighted_years) if self.weighted_years > 0.0 else math.nan

    @property
    def implied_vol(self) -> float:
        """What was paid or received at entry, weighted alike."""
        return math.sqrt(self.weighted_implied / self.weighted_years) if self.weighted_years > 0.0 else math.nan

    def break_even_vol(self, net_usd: float) -> float:
        """Realised vol at which the net would have been zero; NaN without gamma. 0: a gain that needed no movement
        (`gained` > 0), or a loss that stillness would not have saved (`gained` < 0)."""
        if self.gained == 0.0 or not math.isfinite(net_usd):
            return math.nan
        share = 1.0 - net_usd / self.gained
        return self.realised_vol * math.sqrt(share) if share > 0.0 else 0.0


@dataclass(slots=True)
class RoundTrip:
    """closed_ns is 0 while it stands. Units are of `currency`, the book's numeraire; None: not known (no mark, no rate).

    option_units: cash flows of the options before fees (what still stands at its mark); hedge_units: of everything else traded, its remainder at the
    index; funding_units. vol_points: net in USD over entry vega. opened long: vega bought.
    """

    number: int
    book: str
    currency: str
    underlying: str
    opened_ns: int
    closed_ns: int = 0
    legs: tuple[str, ...] = ()
    structure: str = ""
    strike: float = math.nan
    is_long: bool = True
    tenor_days: float = math.nan
    entry: dict[str, float] = field(default_factory=dict)
    exit: dict[str, float] = field(default_factory=dict)
    exit_reason: str = ""
    entry_iv: float = math.nan
    exit_iv: float = math.nan
    entry_vega_usd: float = 0.0
    net_units: int | None = None
    option_units: int | None = 0
    fee_units: int | None = 0
    hedge_units: int | None = 0
    funding_units: int | None = 0
    hedges: int = 0
    net_usd: float = math.nan
    gamma: GammaAccount = field(default_factory=GammaAccount)

    @property
    def vol_points(self) -> float:
        return self.net_usd / self.entry_vega_usd if self.entry_vega_usd > 0.0 else math.nan

    @property
    def days(self) -> float:
        return (self.closed_ns - self.opened_ns) / NS_PER_DAY if self.closed_ns else math.nan

    @property
    def break_even_vol(self) -> float:
        return self.gamma.break_even_vol(self.net_usd) if self.closed_ns else math.nan


def round_trips(tables: RunTables) -> list[RoundTrip]:
    """All trips of all books, by time of opening."""
    found = [trip for book in tables.books for trip in _Book(tables, book).trips()]
    found.sort(key=lambda trip: (trip.opened_ns, trip.book))
    for number, trip in enumerate(found, 1):
        trip.number = number
    return found


class _Book:
    """One book's events walked through once."""

    def __init__(self, tables: RunTables, name: str) -> None:
        self.tables = tables
        self.name = name
        self.marks = tables.marks.of(name)
        self._mark_times = [mark.ts_ns for mark in self.marks]
        self.currency = self.marks[0].currency if self.marks else "USD"
        self.fills = [fill for fill in tables.fills if fill.book == name]
        self.settled = [row for row in tables.settlements if row.book == name]

    def trips(self) -> list[RoundTrip]:
        trips = self._cut()
        for place, trip in enumerate(trips):
            until_ns = trips[place + 1].opened_ns if place + 1 < len(trips) else 2**63 - 1
            self._settle_up(trip, until_ns)
            self._gamma(trip)
        return trips

    def _cut(self) -> list[RoundTrip]:
        """Trips with their option flows, from the order of fills and settlements."""
        trips: list[RoundTrip] = []
        held: dict[int, int] = {}
        events: list[Fill | Settled] = [fill for fill in self.fills if fill.is_option]
        events += [row for row in self.settled if self.tables.table[row.instrument].is_option]
        events.sort(key=lambda event: event.ts_ns)
        opening: list[Fill] = []
        closing: list[Fill] = []
        for event in events:
            before = held.get(event.instrument, 0)
            if not any(held.values()) and isinstance(event, Fill):
                trips.append(self._open(event))
                opening, closing = [], []
            if not trips:
                continue
            trip = trips[-1]
            if isinstance(event, Fill):
                held[event.instrument] = before + event.lots
                (opening if before == 0 or (before > 0) == (event.lots > 0) else closing).append(event)
                self._pay(trip, "option_units", -event.value_units, event.settle_currency, event.index)
            else:
                held[event.instrument] = 0
                self._pay(trip, "option_units", event.payoff_units, event.currency, self._index(event.ts_ns))
                self._pay(trip, "fee_units", -event.fee_units, event.currency, self._index(event.ts_ns))
            if not any(held.values()):
                trip.closed_ns = event.ts_ns
                trip.exit_reason = _word(event.reason) if isinstance(event, Fill) else "settled"
            self._describe(trip, opening, closing)
        return trips

    def _open(self, fill: Fill) -> RoundTrip:
        terms = self.tables.table[fill.instrument]
        trip = RoundTrip(0, self.name, self.currency, terms.underlying, fill.ts_ns)
        trip.entry = numbers_in(fill.reason)
        trip.tenor_days = (terms.expiry_ns - fill.ts_ns) / NS_PER_DAY
        return trip

    def _describe(self, trip: RoundTrip, opening: Sequence[Fill], closing: Sequence[Fill]) -> None:
        lots: dict[int, int] = {}
        for fill in opening:
            lots[fill.instrument] = lots.get(fill.instrument, 0) + fill.lots
        table = self.tables.table
        trip.legs = tuple(f"{contracts_text(table[i], n)} {table[i].symbol}" for i, n in lots.items())
        trip.structure, trip.strike = structure(table, lots)
        vega = [fill.vega_volpt_usd for fill in opening if math.isfinite(fill.vega_volpt_usd)]
        trip.is_long = sum(vega) >= 0.0 if vega else sum(lots.values()) >= 0
        trip.entry_vega_usd = abs(sum(vega))
        trip.entry_iv, trip.exit_iv = _mean_iv(opening), _mean_iv(closing)
        if trip.closed_ns and closing:
            trip.exit = numbers_in(closing[-1].reason)

    def _settle_up(self, trip: RoundTrip, until_ns: int) -> None:
        """Fees, hedges and funding until the next trip, and the change of equity over the same time."""
        others = [f for f in self.fills if trip.opened_ns <= f.ts_ns < until_ns]
        for fill in others:
            self._pay(trip, "fee_units", -fill.fee_units, fill.fee_currency, fill.index)
        self._hedges(trip, [f for f in others if not f.is_option], until_ns)
        for row in self.tables.funding:
            if row.book == self.name and trip.opened_ns <= row.ts_ns < until_ns:
                self._pay(trip, "funding_units", row.units, row.currency, self._index(row.ts_ns))
        before = self._mark_before(trip.opened_ns)
        after = self._mark_before(until_ns)
        start = before.equity_units if before else self.tables.equity_start_units(self.name)
        if after is not None and start is not None and after.ts_ns >= trip.opened_ns:
            trip.net_units = after.equity_units - start
            index = after.index if self.currency in COINS else 1.0
            trip.net_usd = to_float(trip.net_units, self.currency) * index
        if not trip.closed_ns:  # what stands is worth its mark: options are what the other parts leave of the net
            parts = (trip.net_units, trip.fee_units, trip.hedge_units, trip.funding_units)
            known = [part for part in parts if part is not None]
            trip.option_units = known[0] - sum(known[1:]) if len(known) == len(parts) else None

    def _hedges(self, trip: RoundTrip, fills: Sequence[Fill], until_ns: int) -> None:
        """Value flows of what is no option, the lots carried in and out valued at the index."""
        trip.hedges = len({fill.intent_id for fill in fills if fill.purpose == "hedge"})
        table = self.tables.table
        every = [f for f in self.fills if not f.is_option]
        for instrument in dict.fromkeys(f.instrument for f in every if f.ts_ns < until_ns):
            worth = Worth(table[instrument])
            mine = [f for f in every if f.instrument == instrument]
            settled = [row for row in self.settled if row.instrument == instrument]
            for at_ns, sign in ((trip.opened_ns, -1), (until_ns, 1)):
                lots = sum(f.lots for f in mine if f.ts_ns < at_ns) - sum(r.lots for r in settled if r.ts_ns < at_ns)
                mark = self._mark_before(at_ns)
                if lots and mark is not None and mark.index > 0.0:
                    value = worth.units(lots, exact_price(mark.index))
                    self._pay(trip, "hedge_units", sign * value, worth.currency, mark.index)
            for f in mine:
                if trip.opened_ns <= f.ts_ns < until_ns:
                    self._pay(trip, "hedge_units", -f.value_units, f.settle_currency, f.index)
            for row in settled:
                if trip.opened_ns <= row.ts_ns < until_ns:
                    self._pay(trip, "hedge_units", row.payoff_units, row.currency, self._index(row.ts_ns))

    def _gamma(self, trip: RoundTrip) -> None:
        """Steps from the opening to the marks while it stands, to the closing."""
        end_ns = trip.closed_ns or 2**63 - 1
        first = self._mark_before(trip.opened_ns)
        following = [m for m in self.marks if trip.opened_ns <= m.ts_ns < end_ns]
        soon = following[0].ts_ns if following else end_ns
        opening = [f for f in self.fills if f.is_option and trip.opened_ns <= f.ts_ns < soon]
        gamma = sum(f.gamma_1pct for f in opening if math.isfinite(f.gamma_1pct))
        at_ns, price = trip.opened_ns, first.index if first else math.nan
        for mark in following:
            trip.gamma.step(gamma, price, mark.index, (mark.ts_ns - at_ns) / NS_PER_YEAR, trip.entry_iv)
            at_ns, price, gamma = mark.ts_ns, mark.index, mark.gamma_1pct
        if trip.closed_ns:
            years = (trip.closed_ns - at_ns) / NS_PER_YEAR
            trip.gamma.step(gamma, price, self._index(trip.closed_ns), years, trip.entry_iv)

    def _mark_before(self, at_ns: int) -> BookMark | None:
        place = bisect_left(self._mark_times, at_ns) - 1
        return self.marks[place] if place >= 0 else None

    def _index(self, at_ns: int) -> float:
        mark = self._mark_before(at_ns + 1)
        return mark.index if mark else math.nan

    def _pay(self, trip: RoundTrip, name: str, units: int, currency: str, index: float) -> None:
        """Add units of a currency in the book's; None once a rate is missing."""
        total = getattr(trip, name)
        if total is None:
            return
        rates = {trip.underlying: exact_price(index)} if index > 0.0 else {}
        added = convert(units, currency, self.currency, rates)
        setattr(trip, name, None if added is None else total + added)


def structure(table: InstrumentTable, lots: Mapping[int, int]) -> tuple[str, float]:
    """How a trader calls these legs, and the strike of the first: `1 straddle 90000 16JAN26`, else leg by leg."""
    if not lots:
        return "", math.nan
    first, *others = lots
    terms = table[first]
    expiry = dt.datetime.fromtimestamp(terms.expiry_ns / 1e9, dt.UTC).strftime("%-d%b%y").upper()
    if len(others) == 1 and lots[first] == lots[others[0]]:
        other = table[others[0]]
        same = other.strike == terms.strike and other.expiry_ns == terms.expiry_ns
        if same and other.is_call is not terms.is_call:
            size = contracts_text(terms, abs(lots[first]))
            return f"{size} straddle {terms.strike.normalize():f} {expiry}", float(terms.strike)
    return ", ".join(f"{contracts_text(table[i], n)} {table[i].symbol}" for i, n in lots.items()), float(terms.strike)


def _mean_iv(fills: Sequence[Fill]) -> float:
    """Of the fills, weighted by vega; NaN without one."""
    known = [f for f in fills if math.isfinite(f.iv) and math.isfinite(f.vega_volpt_usd)]
    weight = sum(abs(f.vega_volpt_usd) for f in known)
    return sum(f.iv * abs(f.vega_volpt_usd) for f in known) / weight if weight > 0.0 else math.nan


def _word(reason: str) -> str:
    return reason.split(" ", 1)[0] if reason else ""

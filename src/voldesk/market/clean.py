"""Cleaning of market rows before they become Blocks: what is wrong is marked, counted and never traded on (SPEC A4).

Two kinds of findings, in the order of `Reason`. *Repaired* rows stay tradable: a valuation column (mark, forward,
index) is replaced and the raw value kept in `Repairs`. *Quarantined* rows lose both quote sides (NaN), because an
executable price must be one that stood; rows that cannot even be placed (unknown instrument, out of order,
repeated, a bad trade) are left out. A missing side (NaN, or a size of zero, or a bid of zero) is not a defect.

The jump rule (20 %) is causal: the value before is used until the next row confirms the new level. Prices of
underlyings are held to it always. Option premiums, which may well move 20 % in an hour, only against a value at most
`jump_window_ns` old and beyond `jump_min_ticks` ticks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.blocks import TICKER_WIDTH, FloatColumn, IntColumn, RowFlag
from voldesk.core.errors import MarketDataError
from voldesk.core.ports import State
from voldesk.core.units import NEVER_NS, NS_PER_MINUTE, NS_PER_SECOND
from voldesk.instruments.spec import Kind, Settlement
from voldesk.instruments.table import InstrumentTable
from voldesk.market.findings import FIRST_LEFT_OUT, Cleaned, Findings, Reason
from voldesk.market.jumps import jump_pass

_PRICE_COLUMNS: Final = (FloatColumn.BID, FloatColumn.ASK, FloatColumn.MARK, FloatColumn.FORWARD, FloatColumn.INDEX)
_UNDERLYING_COLUMNS: Final = (FloatColumn.FORWARD, FloatColumn.INDEX)


@dataclass(frozen=True, slots=True)
class CleaningRules:
    """jump: relative; intrinsic_tolerance: share of the forward; iv_median_ceiling: above it the unit is percent;
    disorder_ns: event times this far behind the newest are moved up, later ones refused; rate: for the lower bound."""

    jump: float = 0.20
    jump_window_ns: int = NS_PER_MINUTE
    jump_min_ticks: float = 10.0
    stale_ns: int = NEVER_NS
    intrinsic_tolerance: float = 0.005
    rate: float = 0.0
    iv_median_ceiling: float = 4.0
    iv_ceiling: float = 20.0
    disorder_ns: int = 5 * NS_PER_SECOND


def refuse_percent(mark_iv: FloatArray, rules: CleaningRules) -> None:
    """Raises MarketDataError when the median of the implied vols says that they are in percent.

    Fewer than 20 of them must lie beyond `iv_ceiling` to be sure: single short-dated options do trade at 500 %.
    """
    finite = mark_iv[np.isfinite(mark_iv) & (mark_iv > 0.0)]
    typical = float(np.median(finite)) if finite.size else 0.0
    if typical > (rules.iv_median_ceiling if finite.size >= 20 else rules.iv_ceiling):
        raise MarketDataError(
            f"iv={typical:g} looks like percent; expected decimals near {typical / 100:g}. "
            "Divide by 100 in the feed adapter."
        )


def lower_bound(ints: IntArray, floats: FloatArray, table: InstrumentTable, rate: float = 0.0) -> FloatArray:
    """Least worth of an option in its quote currency, max(exp(-rate tau) (F - K), 0) for calls, shape (n,).

    In coin (divided by the forward) for inverse options; the index stands in where no forward is given; NaN for
    other instruments and where neither is known. American options: pass rate 0 to get the exercise value.
    """
    number = ints[IntColumn.INSTRUMENT]
    option = table.kind[number] == int(Kind.OPTION)
    forward = floats[FloatColumn.FORWARD]
    forward = np.where(np.isnan(forward), floats[FloatColumn.INDEX], forward)
    side = np.where(table.is_call[number], 1.0, -1.0)
    worth = np.maximum(side * (forward - table.strike[number]), 0.0)
    if rate != 0.0:
        tau = (table.expiry_ns[number] - ints[IntColumn.TS_EVENT_NS]) / (365 * 86_400 * 1e9)
        worth = worth * np.exp(-rate * np.maximum(tau, 0.0))
    worth = np.where(table.settlement[number] == int(Settlement.INVERSE), worth / forward, worth)
    return np.where(option, worth, np.nan)


class Cleaner:
    """Cleans a stream piece by piece; each piece holds whole groups. Remembers what the jump rule and the order of
    time need, so that cutting the stream elsewhere finds the same."""

    def __init__(self, table: InstrumentTable, rules: CleaningRules | None = None) -> None:
        self.table = table
        self.rules = rules or CleaningRules()
        self._last_event_ns = 0
        self._last_recv_ns = 0
        self._value = np.full((len(_PRICE_COLUMNS), len(table)), np.nan)
        self._candidate = self._value.copy()
        self._when = np.zeros(self._value.shape, np.int64)

    def clean(self, ints: IntArray, floats: FloatArray, given_nan: BoolArray | None = None) -> Cleaned:
        """Checks rows of Block columns, ints (5, n) and floats (4 or 9, n); neither is changed.

        Unknown instruments carry a negative id. `given_nan` marks rows whose source held a NaN (as opposed to
        nothing). Raises MarketDataError when the implied vols are in percent.
        """
        found = Findings(ints, floats)
        known = (ints[IntColumn.INSTRUMENT] >= 0) & (ints[IntColumn.INSTRUMENT] < len(self.table))
        found.mark(np.flatnonzero(~known), Reason.UNKNOWN_INSTRUMENT)
        found.ints[IntColumn.INSTRUMENT, ~known] = 0
        self._times(found)
        self._trades(found)
        if known.any():
            self._quotes(found, given_nan, known)
            if floats.shape[0] == TICKER_WIDTH:
                refuse_percent(floats[FloatColumn.MARK_IV], self.rules)
                self._marks(found)
            self._jumps(found)
        kept = found.reason < FIRST_LEFT_OUT
        return Cleaned(*_keep(found, kept), found.reason, kept, found.repairs())

    def _times(self, found: Findings) -> None:
        event, recv = found.ints[IntColumn.TS_EVENT_NS], found.ints[IntColumn.TS_RECV_NS]
        if not event.size:
            return
        # A clock that runs far ahead of our own must not make everything after it look late.
        ahead = event - recv > self.rules.disorder_ns
        trusted = np.where(ahead, self._last_event_ns, event)
        newest = np.maximum(np.maximum.accumulate(trusted), self._last_event_ns)
        refused = ahead | (event < newest - self.rules.disorder_ns)
        found.mark(np.flatnonzero(refused), Reason.OUT_OF_ORDER)
        # A refused row never carries the newest time, so the running maximum is that of the rows that stay.
        moved = np.flatnonzero((event < newest) & ~refused)
        found.note(moved, -1, event[moved].astype(float), newest[moved].astype(float), Reason.CLAMPED)
        late_recv = np.maximum(np.maximum.accumulate(np.maximum(recv, newest)), self._last_recv_ns)
        moved = np.flatnonzero((late_recv > recv) & ~refused)
        found.note(moved, -2, recv[moved].astype(float), late_recv[moved].astype(float), Reason.CLAMPED)
        stale = late_recv - event > self.rules.stale_ns
        found.ints[IntColumn.TS_EVENT_NS], found.ints[IntColumn.TS_RECV_NS] = newest, late_recv
        self._last_event_ns, self._last_recv_ns = int(newest[-1]), int(late_recv[-1])
        found.quarantine(_rows(stale & _is(found, RowFlag.QUOTE)), Reason.STALE)

    def _trades(self, found: Findings) -> None:
        price, size = found.floats[FloatColumn.BID], found.floats[FloatColumn.BID_SIZE]
        bad = ~(np.isfinite(price) & (price > 0.0) & np.isfinite(size) & (size != 0.0))
        found.mark(_rows((bad | self._expired(found)) & _is(found, RowFlag.TRADE)), Reason.BAD_TRADE)

    def _expired(self, found: Findings) -> BoolArray:
        if not len(self.table):
            return np.zeros(found.reason.size, np.bool_)
        expiry = self.table.expiry_ns[found.ints[IntColumn.INSTRUMENT]]
        return np.asarray((expiry > 0) & (found.ints[IntColumn.TS_EVENT_NS] >= expiry), np.bool_)

    def _quotes(self, found: Findings, given_nan: BoolArray | None, known: BoolArray) -> None:
        quote = _is(found, RowFlag.QUOTE) & known
        values = found.floats
        bid, ask = values[FloatColumn.BID].copy(), values[FloatColumn.ASK].copy()
        bid_size, ask_size = values[FloatColumn.BID_SIZE].copy(), values[FloatColumn.ASK_SIZE].copy()
        infinite = np.isinf(values).any(axis=0)
        if given_nan is not None:
            infinite = infinite | given_nan
        negative = (bid < 0.0) | (ask < 0.0) | (bid_size < 0.0) | (ask_size < 0.0)
        crossed = (bid > ask) & (ask > 0.0) & (bid_size != 0.0) & (ask_size != 0.0)
        for bad, reason in (
            (infinite, Reason.NOT_FINITE),
            (negative, Reason.NEGATIVE),
            ((ask == 0.0) & (ask_size != 0.0), Reason.ZERO_ASK),
            (crossed, Reason.CROSSED),
            (self._expired(found), Reason.EXPIRED),
        ):
            found.quarantine(_rows(quote & bad), reason)
        found.mark(_repeated(found, quote), Reason.DUPLICATE)
        for column, size in ((FloatColumn.BID, bid_size), (FloatColumn.ASK, ask_size)):
            values[column, quote & ((values[column] == 0.0) | (size == 0.0))] = np.nan

    def _marks(self, found: Findings) -> None:
        rules, values = self.rules, found.floats
        number = found.ints[IntColumn.INSTRUMENT]
        option = self.table.kind[number] == int(Kind.OPTION)
        mark_iv = values[FloatColumn.MARK_IV]
        rows = _rows(~np.isnan(mark_iv) & ~((mark_iv >= 0.0) & (mark_iv <= rules.iv_ceiling)))
        found.replace(FloatColumn.MARK_IV, rows, np.full(rows.size, np.nan), Reason.IV_RANGE)
        for column in (*_UNDERLYING_COLUMNS, FloatColumn.MARK):
            positive = np.ones_like(option) if column in _UNDERLYING_COLUMNS else ~option
            rows = _rows(np.isinf(values[column]) | ((values[column] <= 0.0) & positive))
            found.replace(column, rows, np.full(rows.size, np.nan), Reason.NOT_FINITE)
            found.quarantine(rows[~_is(found, RowFlag.TRADE)[rows]], Reason.NOT_FINITE)
        bound = lower_bound(found.ints, values, self.table, rules.rate)
        inverse = self.table.settlement[number] == int(Settlement.INVERSE)
        slack = rules.intrinsic_tolerance * np.where(inverse, 1.0, values[FloatColumn.FORWARD])
        mark = values[FloatColumn.MARK]
        rows = _rows((mark < bound - slack) | ((mark < 0.0) & ~np.isnan(bound)))
        found.replace(FloatColumn.MARK, rows, bound[rows], Reason.BELOW_INTRINSIC)
        low = (values[FloatColumn.ASK] < bound - slack) & _is(found, RowFlag.QUOTE)
        found.quarantine(_rows(low), Reason.ASK_BELOW_INTRINSIC)

    def _jumps(self, found: Findings) -> None:
        self._grow()
        table, rules = self.table, self.rules
        option = table.kind == int(Kind.OPTION)
        usable = (found.reason < FIRST_LEFT_OUT) & ~_is(found, RowFlag.TRADE)
        for slot, column in enumerate(_PRICE_COLUMNS):
            if column >= found.floats.shape[0]:
                continue
            windowed = option if column not in _UNDERLYING_COLUMNS else np.zeros(len(table), np.bool_)
            used = found.floats[column].copy()
            jumped = jump_pass(
                found.ints[IntColumn.INSTRUMENT],
                found.ints[IntColumn.TS_EVENT_NS],
                used,
                usable,
                np.where(windowed, rules.jump_window_ns, NEVER_NS),
                np.where(windowed, rules.jump_min_ticks * table.tick, 0.0),
                rules.jump,
                self._value[slot],
                self._when[slot],
                self._candidate[slot],
            )
            rows = _rows(jumped)
            if column in (FloatColumn.BID, FloatColumn.ASK):
                found.quarantine(rows, Reason.QUOTE_JUMP)
            else:
                found.replace(column, rows, used[rows], Reason.JUMP)

    def _grow(self) -> None:
        extra = len(self.table) - self._value.shape[1]
        if extra > 0:
            blank = np.full((len(_PRICE_COLUMNS), extra), np.nan)
            self._value = np.hstack([self._value, blank])
            self._candidate = np.hstack([self._candidate, blank])
            self._when = np.hstack([self._when, np.zeros(blank.shape, np.int64)])

    def state(self) -> State:
        return {
            "last_event_ns": self._last_event_ns,
            "last_recv_ns": self._last_recv_ns,
            "value": self._value.copy(),
            "candidate": self._candidate.copy(),
            "when": self._when.copy(),
        }

    def restore(self, state: State) -> None:
        self._last_event_ns = int(state["last_event_ns"])
        self._last_recv_ns = int(state["last_recv_ns"])
        self._value, self._candidate = np.array(state["value"]), np.array(state["candidate"])
        self._when = np.array(state["when"])


def clean(
    ints: IntArray,
    floats: FloatArray,
    table: InstrumentTable,
    rules: CleaningRules | None = None,
    given_nan: BoolArray | None = None,
) -> Cleaned:
    """Clean a whole recording at once; see `Cleaner.clean`."""
    return Cleaner(table, rules).clean(ints, floats, given_nan)


def _rows(mask: BoolArray) -> IntArray:
    return np.flatnonzero(mask).astype(np.int64)


def _is(found: Findings, flag: RowFlag) -> BoolArray:
    return np.asarray((found.ints[IntColumn.FLAGS] & int(flag)) != 0, np.bool_)


def _repeated(found: Findings, quote: BoolArray) -> IntArray:
    """Rows that quote an instrument a second time within one group; the first stays."""
    rows = _rows(quote)
    group, number = found.ints[IntColumn.GROUP, rows], found.ints[IntColumn.INSTRUMENT, rows]
    if rows.size < 2 or (np.diff(group) != 0).all():
        return rows[:0]
    order = np.lexsort((rows, number, group))
    again = (np.diff(group[order]) == 0) & (np.diff(number[order]) == 0)
    return np.asarray(rows[order[1:][again]], np.int64)


def _keep(found: Findings, kept: BoolArray) -> tuple[IntArray, FloatArray]:
    """The rows that stay; the end-of-group marks of rows left out pass to the last row of their group."""
    if kept.all():
        return found.ints, found.floats
    closing = int(RowFlag.GROUP_END | RowFlag.SNAPSHOT)
    group, flags = found.ints[IntColumn.GROUP], found.ints[IntColumn.FLAGS]
    last_kept = np.maximum.accumulate(np.where(kept, np.arange(kept.size), -1))
    lost = _rows(~kept & ((flags & closing) != 0))
    heir = last_kept[lost]
    same = (heir >= 0) & (group[heir] == group[lost])
    flags[heir[same]] |= flags[lost[same]] & closing
    return np.ascontiguousarray(found.ints[:, kept]), np.ascontiguousarray(found.floats[:, kept])

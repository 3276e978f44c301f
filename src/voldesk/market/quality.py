"""How good a stretch of market rows is: completeness, accuracy, timeliness, consistency, one score (SPEC A6).

Each part is a share between 0 and 1, the total their weighted mean times 100. Every part is a plain count over
columns, so that a person can recompute it: `issues` says in words which counts cost how much.

completeness  sides quoted of those that could be: two per quote row, and every expected interval has a row
accuracy      rows without any finding of `clean`, and marks inside [bid, ask]
timeliness    rows that reached the desk within `delay_ns`, and gaps not longer than `gap_ns`
consistency   puts and calls that agree on the forward (put-call parity), and index values of one group that agree
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voldesk.core.arrays import BoolArray, ByteArray, FloatArray, IntArray
from voldesk.core.blocks import TICKER_WIDTH, FloatColumn, IntColumn, RowFlag
from voldesk.core.units import NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND
from voldesk.instruments.spec import Kind, Settlement
from voldesk.instruments.table import InstrumentTable
from voldesk.market.findings import FIRST_QUARANTINED, count_reasons


@dataclass(frozen=True, slots=True)
class QualityRules:
    """gap_ns: longest silence allowed; delay_ns: longest way from venue to desk; parity_share: distance of a pair's
    forward from the venue's beyond half its spreads; index_share: spread of index values within a group."""

    gap_ns: int = NS_PER_MINUTE
    delay_ns: int = 100 * NS_PER_MS
    parity_share: float = 0.005
    index_share: float = 0.002
    weights: tuple[float, float, float, float] = (0.3, 0.3, 0.2, 0.2)


@dataclass(frozen=True, slots=True)
class Quality:
    """Shares 0..1 (NaN: nothing to judge by), `total` 0..100, counts behind them, issues in words."""

    rows: int
    completeness: float
    accuracy: float
    timeliness: float
    consistency: float
    total: float
    longest_gap_ns: int
    worst_delay_ns: int
    reasons: dict[str, int]
    issues: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QualityReport:
    """A whole recording: the total, each window, the weakest instruments, what to do about it.

    `trend` is in points of score per window (least squares); `format`, `files`, `damage` are filled in by readers.
    """

    overall: Quality
    window_start_ns: IntArray
    window_total: FloatArray
    trend: float
    weakest: tuple[tuple[str, float], ...]
    recommendations: tuple[str, ...]
    format: str = ""
    files: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    snapshots: int = 0
    quotes: int = 0
    instruments: int = 0
    quarantined: dict[str, int] | None = None
    repaired: dict[str, int] | None = None


def share_text(part: float) -> str:
    """A share for people.

    >>> share_text(0.0704)
    '7.0 %'
    """
    return f"{100.0 * part:.1f} %"


def _length(ns: int) -> str:
    """A stretch of time for people.

    >>> _length(60 * NS_PER_SECOND), _length(300 * NS_PER_SECOND), _length(45_860 * NS_PER_SECOND)
    ('60 s', '5 min', '12.7 h')
    """
    seconds = ns / NS_PER_SECOND
    if seconds < 120.0:
        return f"{seconds:g} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 7200.0 else f"{seconds / 3600.0:.1f} h"


def parity_misses(ints: IntArray, floats: FloatArray, table: InstrumentTable, limit: float) -> tuple[int, int]:
    """(pairs that disagree, pairs): put and call of one strike in one group imply a forward, C - P = (F - K) / F in
    coin or F - K in cash (undiscounted); it may lie off the venue's by half both spreads and `limit` of the forward.
    """
    number = ints[IntColumn.INSTRUMENT]
    two_sided = ~np.isnan(floats[FloatColumn.BID] + floats[FloatColumn.ASK] + floats[FloatColumn.FORWARD])
    rows = np.flatnonzero(two_sided & (table.kind[number] == int(Kind.OPTION)))
    keys = (table.is_call[number[rows]], table.strike[number[rows]], table.expiry_ns[number[rows]])
    keys_with_group = (*keys, table.underlying[number[rows]], ints[IntColumn.GROUP, rows])
    rows = rows[np.lexsort(keys_with_group)]
    put, call = rows[:-1], rows[1:]
    n_put, n_call = number[put], number[call]
    paired = (
        (ints[IntColumn.GROUP, put] == ints[IntColumn.GROUP, call])
        & (table.underlying[n_put] == table.underlying[n_call])
        & (table.expiry_ns[n_put] == table.expiry_ns[n_call])
        & (table.strike[n_put] == table.strike[n_call])
        & ~table.is_call[n_put]
        & table.is_call[n_call]
    )
    put, call = put[paired], call[paired]
    strike, forward = table.strike[number[put]], floats[FloatColumn.FORWARD, call]
    middle = 0.5 * (floats[FloatColumn.BID] + floats[FloatColumn.ASK])
    half = 0.5 * (floats[FloatColumn.ASK] - floats[FloatColumn.BID])
    unit = np.where(table.settlement[number[put]] == int(Settlement.INVERSE), forward, 1.0)
    miss = np.abs((middle[call] - middle[put]) * unit - (forward - strike))
    allowed = (half[call] + half[put]) * unit + limit * forward
    return int((miss > allowed).sum()), int(put.size)


def index_misses(ints: IntArray, floats: FloatArray, table: InstrumentTable, limit: float) -> tuple[int, int]:
    """(groups whose index values differ by more than `limit`, groups with an index), per underlying."""
    index = floats[FloatColumn.INDEX]
    rows = np.flatnonzero(np.isfinite(index) & (index > 0.0))
    if rows.size == 0:
        return 0, 0
    underlying = table.underlying[ints[IntColumn.INSTRUMENT, rows]]
    order = np.lexsort((underlying, ints[IntColumn.GROUP, rows]))
    rows, underlying = rows[order], underlying[order]
    new = np.concatenate([[True], (np.diff(ints[IntColumn.GROUP, rows]) != 0) | (np.diff(underlying) != 0)])
    first = np.flatnonzero(new)
    low, high = np.minimum.reduceat(index[rows], first), np.maximum.reduceat(index[rows], first)
    return int((high / low - 1.0 > limit).sum()), int(first.size)


def _completeness(quote: BoolArray, floats: FloatArray, issues: list[str]) -> float:
    rows = int(quote.sum())
    if rows == 0:
        return np.nan
    no_bid = int((quote & np.isnan(floats[FloatColumn.BID])).sum())
    no_ask = int((quote & np.isnan(floats[FloatColumn.ASK])).sum())
    if no_bid + no_ask:
        issues.append(f"no bid in {share_text(no_bid / rows)} and no ask in {share_text(no_ask / rows)} of rows")
    return 1.0 - (no_bid + no_ask) / (2 * rows)


def _accuracy(quote: BoolArray, floats: FloatArray, reason: ByteArray, issues: list[str]) -> float:
    if reason.size == 0:
        return np.nan
    for name, count in count_reasons(reason).items():
        issues.append(f"{count} rows {name.replace('_', ' ')}")
    clean = float((reason == 0).mean())
    if floats.shape[0] != TICKER_WIDTH:
        return clean
    bid, ask, mark = floats[FloatColumn.BID], floats[FloatColumn.ASK], floats[FloatColumn.MARK]
    judged = quote & ~np.isnan(bid + ask + mark)
    if not judged.any():
        return clean
    inside = float(((mark >= bid) & (mark <= ask))[judged].mean())
    if inside < 1.0:
        issues.append(f"mark outside [bid, ask] in {share_text(1.0 - inside)} of two-sided rows")
    return 0.5 * (clean + inside)


def _timeliness(ints: IntArray, rules: QualityRules, issues: list[str]) -> tuple[float, int, int]:
    if ints.shape[1] == 0:
        return np.nan, 0, 0
    delay = ints[IntColumn.TS_RECV_NS] - ints[IntColumn.TS_EVENT_NS]
    worst_delay = int(delay.max())
    punctual = float((delay <= rules.delay_ns).mean())
    gaps = np.diff(ints[IntColumn.TS_EVENT_NS])
    gaps = gaps[gaps > 0]
    long = int((gaps > rules.gap_ns).sum())
    longest = int(gaps.max()) if gaps.size else 0
    # Time spent in silence beyond the allowance, as a share of all time: one long gap weighs as what it hides.
    silent = float(np.maximum(gaps - rules.gap_ns, 0).sum() / gaps.sum()) if gaps.size else 0.0
    if punctual < 1.0:
        issues.append(
            f"{share_text(1.0 - punctual)} of rows took longer than {rules.delay_ns / NS_PER_MS:g} ms to arrive, "
            f"worst {worst_delay / NS_PER_MS:.0f} ms"
        )
    if long:
        issues.append(f"{long} gaps longer than {_length(rules.gap_ns)}, longest {_length(longest)}")
    return 0.5 * (punctual + 1.0 - silent), longest, worst_delay


def _consistency(
    ints: IntArray, floats: FloatArray, table: InstrumentTable, rules: QualityRules, issues: list[str]
) -> float:
    if floats.shape[0] != TICKER_WIDTH or ints.shape[1] == 0:
        return np.nan
    parts = []
    missed, pairs = parity_misses(ints, floats, table, rules.parity_share)
    if pairs:
        parts.append(1.0 - missed / pairs)
        if missed:
            issues.append(f"put-call parity off by more than the spread in {missed} of {pairs} pairs")
    missed, groups = index_misses(ints, floats, table, rules.index_share)
    if groups:
        parts.append(1.0 - missed / groups)
        if missed:
            issues.append(
                f"index differs by more than {share_text(rules.index_share)} inside {missed} of {groups} groups"
            )
    return float(np.mean(parts)) if parts else np.nan


def assess(
    ints: IntArray,
    floats: FloatArray,
    reason: ByteArray,
    table: InstrumentTable,
    rules: QualityRules | None = None,
) -> Quality:
    """Quality of rows in Block columns, ints (5, n), floats (4 or 9, n), with the findings of `clean`: `reason` has
    one entry per row that came in, so it may be longer than the n rows that are left."""
    rules = rules or QualityRules()
    issues: list[str] = []
    quote = (ints[IntColumn.FLAGS] & int(RowFlag.QUOTE)) != 0
    completeness = _completeness(quote, floats, issues)
    accuracy = _accuracy(quote, floats, reason, issues)
    timeliness, longest, worst_delay = _timeliness(ints, rules, issues)
    consistency = _consistency(ints, floats, table, rules, issues)
    return Quality(
        rows=int(ints.shape[1]),
        completeness=completeness,
        accuracy=accuracy,
        timeliness=timeliness,
        consistency=consistency,
        total=total_score((completeness, accuracy, timeliness, consistency), rules.weights),
        longest_gap_ns=longest,
        worst_delay_ns=worst_delay,
        reasons=count_reasons(reason),
        issues=tuple(issues),
    )


def total_score(parts: tuple[float, ...], weights: tuple[float, ...]) -> float:
    """Weighted mean of the parts that could be judged, 0..100; NaN when none could.

    >>> round(total_score((1.0, 0.5, float("nan"), 1.0), (0.3, 0.3, 0.2, 0.2)), 9)
    81.25
    """
    judged = [(part, weight) for part, weight in zip(parts, weights, strict=True) if not np.isnan(part)]
    if not judged:
        return float("nan")
    return 100.0 * sum(part * weight for part, weight in judged) / sum(weight for _, weight in judged)


def recommend(quality: Quality, rules: QualityRules | None = None) -> tuple[str, ...]:
    """What a person could do about the weak parts, most costly first."""
    rules = rules or QualityRules()
    advice = [
        (quality.completeness, 0.95, "expect wings without quotes: fit and trade only two-sided strikes"),
        (
            quality.accuracy,
            0.99,
            "look at rows with findings by reason, and at marks outside the quotes, and fix the source",
        ),
        (
            quality.timeliness,
            0.9,
            f"silence beyond {_length(rules.gap_ns)}: set quote_ttl and hedge timers to the recording's rhythm",
        ),
        (quality.consistency, 0.99, "rows of one snapshot are out of step: take forwards per expiry, not one index"),
    ]
    weak = sorted((part, text) for part, least, text in advice if part < least)
    stops = sum(
        count for name, count in quality.reasons.items() if name in ("out_of_order", "unknown_instrument", "duplicate")
    )
    texts = [text for _, text in weak]
    if stops:
        texts.append(f"{stops} rows could not be placed and were left out: see the list of quarantined rows")
    return tuple(texts)


def trend_per_window(totals: FloatArray) -> float:
    """Least-squares slope of the scores, points per window; NaN under three windows."""
    judged = np.flatnonzero(~np.isnan(totals))
    if judged.size < 3:
        return float("nan")
    return float(np.polyfit(judged, totals[judged], 1)[0])


def report(
    ints: IntArray,
    floats: FloatArray,
    reason: ByteArray,
    kept: BoolArray,
    table: InstrumentTable,
    window_ns: int,
    rules: QualityRules | None = None,
) -> QualityReport:
    """The whole stretch, each window of `window_ns`, and the five weakest instruments (by findings and sides missing).

    `reason` and `kept` are those of `clean`, per input row; ints and floats the rows that were kept.
    """
    rules = rules or QualityRules()
    overall = assess(ints, floats, reason, table, rules)
    kept_reason = reason[kept]
    window = ints[IntColumn.TS_EVENT_NS] // window_ns
    cuts = np.flatnonzero(np.diff(window, prepend=window[:1] - 1)) if window.size else np.empty(0, np.int64)
    totals = [
        assess(ints[:, a:b], floats[:, a:b], kept_reason[a:b], table, rules).total
        for a, b in zip(cuts, [*cuts[1:], window.size], strict=True)
    ]
    return QualityReport(
        overall=overall,
        window_start_ns=(window[cuts] * window_ns).astype(np.int64),
        window_total=np.array(totals),
        trend=trend_per_window(np.array(totals)),
        weakest=_weakest(ints, floats, kept_reason, table),
        recommendations=recommend(overall, rules),
    )


def _weakest(
    ints: IntArray, floats: FloatArray, reason: ByteArray, table: InstrumentTable, worst: int = 5
) -> tuple[tuple[str, float], ...]:
    """Instruments by their share of sides quoted and not quarantined, lowest first."""
    quote = (ints[IntColumn.FLAGS] & int(RowFlag.QUOTE)) != 0
    number = ints[IntColumn.INSTRUMENT, quote]
    good = (~np.isnan(floats[FloatColumn.BID, quote])).astype(float) + ~np.isnan(floats[FloatColumn.ASK, quote])
    good[reason[quote] >= FIRST_QUARANTINED] = 0.0
    rows = np.bincount(number, minlength=len(table))
    share = np.bincount(number, weights=0.5 * good, minlength=len(table)) / np.maximum(rows, 1)
    seen = np.flatnonzero(rows)
    order = seen[np.argsort(share[seen], kind="stable")][:worst]
    return tuple((table[int(i)].symbol, float(share[i])) for i in order if share[i] < 1.0)

"""What every reader of recorded data hands over: instruments, a replaying feed, and an honest account of the input."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.blocks import TICKER_WIDTH, Block, FloatColumn, IntColumn, RowFlag
from voldesk.core.errors import InputError, MarketDataError
from voldesk.core.ports import State
from voldesk.core.rng import random_stream
from voldesk.core.units import NEVER_NS, NS_PER_HOUR, NS_PER_YEAR
from voldesk.instruments.spec import Instrument
from voldesk.instruments.table import InstrumentTable
from voldesk.market.clean import CleaningRules, clean
from voldesk.market.findings import FIRST_QUARANTINED, Cleaned, Reason, count_reasons, untouched

ROWS_PER_BLOCK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Replay:
    """How a recording is read and cut, whatever its format.

    source: rank in ties; start_ns <= event time < stop_ns; rules: of cleaning; allow_damaged: files that cannot be
    read are named and left out instead of refused; recut_seed: cut at random places (see `ColumnFeed`).
    """

    source: int = 0
    start_ns: int = 0
    stop_ns: int = NEVER_NS
    rules: CleaningRules | None = None
    allow_damaged: bool = False
    rows_per_block: int = ROWS_PER_BLOCK
    recut_seed: int | None = None


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One input file by content: the journal names hash and row range, never the path."""

    name: str
    sha256: str
    size_bytes: int
    first_row: int
    rows: int


def source_file(path: Path, rows: int, first_row: int = 0) -> SourceFile:
    """Hash a file's whole content."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return SourceFile(path.name, digest, path.stat().st_size, first_row, rows)


@dataclass(frozen=True, slots=True)
class DeliveryEstimate:
    """An index interpolated between two snapshots. price: NaN outside the recording; gap_ns: to the nearest
    snapshot; error: one standard deviation of a Brownian bridge between the two, in index units."""

    price: float
    gap_ns: int
    error: float


@dataclass(frozen=True, slots=True)
class IndexHistory:
    """The recorded index of one underlying, one value (the median) per snapshot, shape (n,)."""

    underlying: str
    ts_ns: IntArray
    price: FloatArray

    def realised_vol(self) -> float:
        """Decimal per year over the whole recording, for error bars only; NaN under two snapshots."""
        if self.ts_ns.size < 2:
            return float("nan")
        steps = np.diff(np.log(self.price))
        return float(np.sqrt((steps**2).sum() / ((self.ts_ns[-1] - self.ts_ns[0]) / NS_PER_YEAR)))

    def delivery_price(self, expiry_ns: int) -> DeliveryEstimate:
        """The index at an instant, linear in time between the snapshots around it: what stands in for the venue's
        30-minute average, which the recording does not hold."""
        after = int(np.searchsorted(self.ts_ns, expiry_ns, side="left"))
        if after < self.ts_ns.size and self.ts_ns[after] == expiry_ns:
            return DeliveryEstimate(float(self.price[after]), 0, 0.0)
        if after in (0, self.ts_ns.size):
            nearest = 0 if after == 0 else after - 1
            gap = abs(int(self.ts_ns[nearest]) - expiry_ns) if self.ts_ns.size else 0
            return DeliveryEstimate(float("nan"), gap, float("nan"))
        left, right = expiry_ns - int(self.ts_ns[after - 1]), int(self.ts_ns[after]) - expiry_ns
        price = (self.price[after - 1] * right + self.price[after] * left) / (left + right)
        bridge = np.sqrt(left * right / (left + right) / NS_PER_YEAR)
        return DeliveryEstimate(float(price), min(left, right), float(price * self.realised_vol() * bridge))


class ColumnFeed:
    """Replays rows held in memory, ints (5, n) and floats (w, n), as Blocks of `rows_per_block`.

    `recut_seed` cuts at random places instead (also inside groups): every decision must come out the same.
    """

    def __init__(
        self,
        source: int,
        ints: IntArray,
        floats: FloatArray,
        rows_per_block: int = ROWS_PER_BLOCK,
        recut_seed: int | None = None,
    ) -> None:
        self._block = Block(source, ints, floats)
        self.rows_per_block = rows_per_block
        self.recut_seed = recut_seed
        self._row = 0

    @property
    def source(self) -> int:
        return self._block.source

    @property
    def ints(self) -> IntArray:
        return self._block.ints

    @property
    def floats(self) -> FloatArray:
        return self._block.floats

    def __len__(self) -> int:
        return len(self._block)

    def next_block(self) -> Block | None:
        start, rows = self._row, len(self._block)
        if start >= rows:
            return None
        self._row = min(rows, start + cut_length(self.recut_seed, start, self.rows_per_block))
        if start == 0 and self._row == rows:
            return self._block
        # A view: the inbox copies rows into its window anyway, and one more copy is a tenth of a fast backtest.
        whole, rows_of_it = self._block, slice(start, self._row)
        return Block(whole.source, whole.ints[:, rows_of_it], whole.floats[:, rows_of_it])

    def seek(self, ts_ns: int) -> None:
        """Go to the first row that the desk learns of at or after `ts_ns`; always the start of a group."""
        self._row = int(np.searchsorted(self._block.ints[IntColumn.TS_RECV_NS], ts_ns, side="left"))

    def state(self) -> State:
        return {"row": self._row}

    def restore(self, state: State) -> None:
        row = int(state["row"])
        if not 0 <= row <= len(self._block):
            raise MarketDataError(
                f"row={row} lies outside the recording of {len(self._block)} rows; is it the same file?"
            )
        self._row = row


def cut_length(recut_seed: int | None, row: int, rows_per_block: int) -> int:
    """Rows of the block that starts at `row`: fixed, or drawn over all orders of magnitude. A function of the row,
    so that a restored feed cuts on as before."""
    if recut_seed is None:
        return rows_per_block
    draw = random_stream(recut_seed, "recut", row).random()
    return max(1, int(float(rows_per_block) ** draw))


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording opened for replay.

    quotes: recorded rows, synthesised ones not counted; quarantined: rows never traded on, by reason; repaired: rows
    with a valuation column replaced; lacks: what the recording does not hold and what stands in for it; unknown:
    symbols refused, with the reason; damage: files or parts that could not be read.
    """

    format: str
    table: InstrumentTable
    feed: ColumnFeed
    files: tuple[SourceFile, ...]
    snapshots: int
    quotes: int
    quarantined: dict[str, int]
    repaired: dict[str, int]
    cleaned: Cleaned
    rows: RowSet
    lacks: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()
    index: dict[str, IndexHistory] = field(default_factory=dict)

    @property
    def usable(self) -> int:
        """Recorded rows that were neither quarantined nor left out."""
        return int(((self.rows.origin >= 0) & (self.cleaned.reason < FIRST_QUARANTINED)).sum())

    def describe(self) -> list[str]:
        """What the recording lacks, and what stands in for it: for the report."""
        return list(self.lacks)

    def provenance(self) -> list[dict[str, str | int]]:
        """Content hash and row range of each file, for the journal's header."""
        return [{"file": f.name, "sha256": f.sha256, "first_row": f.first_row, "rows": f.rows} for f in self.files]

    def quarantine_list(self, most: int = 100) -> list[str]:
        """Quarantined rows in words: row of the input, time, symbol, reason."""
        rows = self.rows
        return [
            f"row {rows.origin[i]} at {np.datetime64(int(rows.ts_event_ns[i]), 'ns')}: {rows.symbols[rows.codes[i]]} "
            f"{Reason(int(self.cleaned.reason[i])).name.lower()}"
            for i in self.cleaned.quarantined()[:most]
        ]


@dataclass(slots=True)
class RowSet:
    """Rows on their way into Blocks, in order of arrival, shape (n,) each; floats (9, n).

    codes index `symbols`; origin is the row in the input, -1 for a synthesised one; rows of one group are contiguous.
    """

    ts_event_ns: IntArray
    ts_recv_ns: IntArray
    codes: IntArray
    symbols: list[str]
    flags: IntArray
    group: IntArray
    floats: FloatArray
    origin: IntArray
    given_nan: BoolArray


def snapshot_groups(ts_ns: IntArray, longest_gap_ns: int = 0) -> IntArray:
    """Group numbers 1.. of rows in order of time: a new group where time moves on by more than `longest_gap_ns`."""
    return np.cumsum(np.diff(ts_ns, prepend=ts_ns[:1] - longest_gap_ns - 1) > longest_gap_ns).astype(np.int64)


def join_rows(parts: list[RowSet]) -> RowSet:
    """Rows of several sets under one list of symbols, group by group, in the order of the sets within a group."""
    symbols: list[str] = []
    codes = []
    for part in parts:
        codes.append(part.codes + len(symbols))
        symbols.extend(part.symbols)
    order = np.argsort(np.concatenate([p.group for p in parts]), kind="stable")
    return RowSet(
        ts_event_ns=np.concatenate([p.ts_event_ns for p in parts])[order],
        ts_recv_ns=np.concatenate([p.ts_recv_ns for p in parts])[order],
        codes=np.concatenate(codes)[order],
        symbols=symbols,
        flags=np.concatenate([p.flags for p in parts])[order],
        group=np.concatenate([p.group for p in parts])[order],
        floats=np.ascontiguousarray(np.hstack([p.floats for p in parts])[:, order]),
        origin=np.concatenate([p.origin for p in parts])[order],
        given_nan=np.concatenate([p.given_nan for p in parts])[order],
    )


def used_range(files: tuple[SourceFile, ...], origin: IntArray) -> tuple[SourceFile, ...]:
    """The files narrowed to the rows used of each (first to last), files without any left out."""
    used, offset = [], 0
    for file in files:
        inside = origin[(origin >= offset) & (origin < offset + file.rows)]
        if inside.size:
            first, last = int(np.min(inside)) - offset, int(np.max(inside)) - offset
            used.append(replace(file, first_row=first, rows=last - first + 1))
        offset += file.rows
    return tuple(used)


def median_by(keys: IntArray, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """Distinct keys, rising, and the median of the finite values under each."""
    finite = np.isfinite(values) & (values > 0.0)
    keys, values = keys[finite], values[finite]
    order = np.lexsort((values, keys))
    keys, values = keys[order], values[order]
    first = np.flatnonzero(np.diff(keys, prepend=keys[:1] - 1))
    count = np.diff(first, append=keys.size)
    middle = 0.5 * (values[first + (count - 1) // 2] + values[first + count // 2])
    return keys[first], middle


def list_instruments(
    table: InstrumentTable, rows: RowSet, parse: Callable[[str], Instrument]
) -> tuple[IntArray, tuple[str, ...]]:
    """Ids of the symbols in order of first appearance, shape (symbols,), -1 where the symbol is refused; and why."""
    ids = np.full(len(rows.symbols), -1, np.int64)
    refused = []
    used, first = np.unique(rows.codes, return_index=True)
    for code in used[np.argsort(first, kind="stable")]:
        try:
            ids[code] = table.add(parse(rows.symbols[code]))
        except InputError as error:
            refused.append(str(error))
    return ids, tuple(refused)


def assemble(
    format_name: str,
    rows: RowSet,
    files: tuple[SourceFile, ...],
    lacks: tuple[str, ...],
    parse: Callable[[str], Instrument],
    table: InstrumentTable | None = None,
    replay: Replay | None = None,
    whole_snapshots: bool = True,
    damage: tuple[str, ...] = (),
    trusted: bool = False,
) -> Recording:
    """Choose the period, list the instruments, clean the rows and wrap them in a feed.

    `whole_snapshots` says that each group is a whole chain (flag SNAPSHOT on its last row); `trusted` that the rows
    were cleaned before they were recorded and must not be touched again.
    """
    table = InstrumentTable() if table is None else table
    replay = replay or Replay()
    rows = _within(rows, replay)
    ids, refused = list_instruments(table, rows, parse)
    count = rows.codes.size
    ends = np.diff(rows.group, append=rows.group[-1:] + 1) != 0
    closing = RowFlag.GROUP_END | RowFlag.SNAPSHOT if whole_snapshots else RowFlag.GROUP_END
    ints = np.empty((5, count), np.int64)
    ints[IntColumn.TS_EVENT_NS] = rows.ts_event_ns
    ints[IntColumn.TS_RECV_NS] = rows.ts_recv_ns
    ints[IntColumn.INSTRUMENT] = ids[rows.codes]
    ints[IntColumn.FLAGS] = rows.flags | np.where(ends, int(closing), 0)
    ints[IntColumn.GROUP] = rows.group
    cleaned = untouched(ints, rows.floats) if trusted else clean(ints, rows.floats, table, replay.rules, rows.given_nan)
    counts = count_reasons(cleaned.reason)
    bad = count_reasons(cleaned.reason, FIRST_QUARANTINED)
    return Recording(
        format=format_name,
        table=table,
        feed=ColumnFeed(replay.source, cleaned.ints, cleaned.floats, replay.rows_per_block, replay.recut_seed),
        files=used_range(files, rows.origin),
        snapshots=int(((ints[IntColumn.FLAGS] & int(RowFlag.SNAPSHOT)) != 0).sum()),
        quotes=int((rows.origin >= 0).sum()),
        quarantined=bad,
        repaired={name: n for name, n in counts.items() if name not in bad},
        cleaned=cleaned,
        rows=rows,
        lacks=lacks,
        unknown=refused,
        damage=damage,
        index=_index_histories(cleaned, table),
    )


def _within(rows: RowSet, replay: Replay) -> RowSet:
    inside = (rows.ts_event_ns >= replay.start_ns) & (rows.ts_event_ns < replay.stop_ns)
    if inside.all():
        return rows
    if not inside.any():
        first, last = (np.datetime64(int(t), "ns").astype("datetime64[s]") for t in rows.ts_event_ns[[0, -1]])
        raise MarketDataError(f"no rows in the chosen period; the recording runs from {first} to {last} UTC. Widen it.")
    return RowSet(
        rows.ts_event_ns[inside],
        rows.ts_recv_ns[inside],
        rows.codes[inside],
        rows.symbols,
        rows.flags[inside],
        rows.group[inside],
        np.ascontiguousarray(rows.floats[:, inside]),
        rows.origin[inside],
        rows.given_nan[inside],
    )


def _index_histories(cleaned: Cleaned, table: InstrumentTable) -> dict[str, IndexHistory]:
    if cleaned.floats.shape[0] != TICKER_WIDTH or cleaned.ints.shape[1] == 0:
        return {}
    ts, index = cleaned.ints[IntColumn.TS_EVENT_NS], cleaned.floats[FloatColumn.INDEX]
    underlying = table.underlying[cleaned.ints[IntColumn.INSTRUMENT]]
    histories = {}
    for number, name in enumerate(table.underlyings):
        of_it = underlying == number
        when, price = median_by(ts[of_it], index[of_it])
        if when.size:
            histories[name] = IndexHistory(name, when, price)
    return histories


def gap_text(histories: dict[str, IndexHistory]) -> str:
    """Median and longest gap between snapshots, in words."""
    gaps = np.concatenate([np.diff(h.ts_ns) for h in histories.values()]) if histories else np.empty(0)
    if gaps.size == 0:
        return "one snapshot"
    return f"median {np.median(gaps) / NS_PER_HOUR:.1f} h, longest {np.max(gaps) / NS_PER_HOUR:.1f} h between snapshots"

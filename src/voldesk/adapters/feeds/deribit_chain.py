"""Reader of whole Deribit option chains recorded every few hours (deribit_chain_6h, deribit_chain_6h_eth).

One group per snapshot, event and receive time = its `ts` (plus `feed_delay_ns`). The recording holds no sizes, no
perpetual and no delivery price: `Recording.describe()` says what stands in for each. The synthesised perpetual quotes
a stated relative spread around the snapshot's median index, rounded outwards to its tick.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from voldesk.adapters.feeds.parquet_columns import floats_of, nan_given, read_tables, symbols_of, times_ns
from voldesk.adapters.feeds.recording import (
    Recording,
    Replay,
    RowSet,
    assemble,
    gap_text,
    join_rows,
    median_by,
    snapshot_groups,
)
from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.blocks import TICKER_WIDTH, FloatColumn, RowFlag
from voldesk.core.errors import InputError
from voldesk.core.units import BPS_PER_UNIT, NS_PER_MS
from voldesk.instruments.deribit import parse
from voldesk.instruments.table import InstrumentTable

FORMAT: Final = "deribit_chain"
COLUMNS: Final = (
    "ts",
    "currency",
    "instrument_name",
    "bid_price",
    "ask_price",
    "mark_price",
    "mark_iv",
    "underlying_price",
    "underlying_index",
    "index_price",
    "open_interest",
)
_TO_FLOATS: Final = (
    (FloatColumn.BID, "bid_price"),
    (FloatColumn.ASK, "ask_price"),
    (FloatColumn.MARK, "mark_price"),
    (FloatColumn.MARK_IV, "mark_iv"),
    (FloatColumn.FORWARD, "underlying_price"),
    (FloatColumn.INDEX, "index_price"),
    (FloatColumn.OPEN_INTEREST, "open_interest"),
)
_FULL_ROW: Final = int(RowFlag.QUOTE | RowFlag.MARK)


@dataclass(frozen=True, slots=True)
class ChainAssumptions:
    """What stands in for what the recording lacks.

    assumed_size: option contracts on each quoted side; perp_spread: relative, whole spread; perp_size: perpetual
    contracts (BTC: 10 USD each) on each side; listed_futures: also quote the futures that `underlying_index` names,
    around `underlying_price` with the same spread; feed_delay_ns: from venue to desk.
    """

    assumed_size: float = 10.0
    perp_spread: float = 0.0002
    perp_size: float = 100_000.0
    perpetual: bool = True
    listed_futures: bool = False
    feed_delay_ns: int = 0

    def __post_init__(self) -> None:
        if not self.assumed_size > 0.0 or not self.perp_size > 0.0:
            raise InputError(
                f"assumed_size={self.assumed_size}, perp_size={self.perp_size}; expected positive contracts."
            )
        if not 0.0 <= self.perp_spread < 0.05:
            raise InputError(
                f"perp_spread={self.perp_spread}; expected a share of the price from 0 to 0.05. 2 bp is 0.0002."
            )
        if self.feed_delay_ns < 0:
            raise InputError(f"feed_delay_ns={self.feed_delay_ns}; expected 0 or more nanoseconds.")


def open_chain(
    path: Path,
    assumptions: ChainAssumptions | None = None,
    table: InstrumentTable | None = None,
    replay: Replay | None = None,
) -> Recording:
    """Open a chain recording, file or folder. Pass `table` to share it among feeds.

    Raises MarketDataError: unreadable file, missing column, wrong type or unit.
    """
    assumed = assumptions or ChainAssumptions()
    read, files, damage = read_tables(path, COLUMNS, replay is not None and replay.allow_damaged)
    ts = times_ns(read, "ts")
    order = np.argsort(ts, kind="stable").astype(np.int64)
    rows = _recorded(read, order, ts[order], assumed)
    extra = _synthesised(read, order, rows, assumed)
    recording = assemble(
        FORMAT,
        join_rows([rows, *extra]),
        files,
        (),
        parse,
        table,
        replay,
        damage=damage,
    )
    return replace(recording, lacks=_lacks(recording, assumed))


def _recorded(read: pa.Table, order: IntArray, ts: IntArray, assumed: ChainAssumptions) -> RowSet:
    codes, symbols = symbols_of(read, "instrument_name")
    floats = np.full((TICKER_WIDTH, ts.size), np.nan)
    for column, name in _TO_FLOATS:
        floats[column] = floats_of(read, name)[order]
    # Which sides were quoted is recorded, how much stood there is not.
    floats[FloatColumn.BID_SIZE] = np.where(np.isnan(floats[FloatColumn.BID]), np.nan, assumed.assumed_size)
    floats[FloatColumn.ASK_SIZE] = np.where(np.isnan(floats[FloatColumn.ASK]), np.nan, assumed.assumed_size)
    return RowSet(
        ts_event_ns=ts,
        ts_recv_ns=ts + assumed.feed_delay_ns,
        codes=codes[order],
        symbols=symbols,
        flags=np.full(ts.size, _FULL_ROW, np.int64),
        group=snapshot_groups(ts),
        floats=floats,
        origin=order,
        given_nan=nan_given(read, ("bid_price", "ask_price", "mark_price", "mark_iv"))[order],
    )


def _synthesised(read: pa.Table, order: IntArray, rows: RowSet, assumed: ChainAssumptions) -> list[RowSet]:
    """Per snapshot a perpetual for each currency, and the listed futures if wanted."""
    first = np.flatnonzero(np.diff(rows.group, prepend=0))
    out = []
    index = rows.floats[FloatColumn.INDEX]
    if assumed.perpetual:
        codes, currencies = symbols_of(read, "currency")
        keys = rows.group * len(currencies) + codes[order]
        names = [f"{currency}-PERPETUAL" for currency in currencies]
        out.append(_quoted_around(keys, index, index, names, rows, first, assumed))
    if assumed.listed_futures:
        codes, names = symbols_of(read, "underlying_index")
        listed = np.array([not n.startswith("SYN.") and n != "index_price" for n in names])[codes[order]]
        keys = rows.group * len(names) + codes[order]
        forward = np.where(listed, rows.floats[FloatColumn.FORWARD], np.nan)
        out.append(_quoted_around(keys, forward, index, names, rows, first, assumed))
    return out


def _quoted_around(
    keys: IntArray,
    prices: FloatArray,
    index: FloatArray,
    names: list[str],
    rows: RowSet,
    first: IntArray,
    assumed: ChainAssumptions,
) -> RowSet:
    """Rows that quote the spread around the median price under each key = group x names + name."""
    found, middle = median_by(keys, prices)
    index_keys, index_middle = median_by(keys, index)
    where = np.minimum(np.searchsorted(index_keys, found), index_keys.size - 1)
    group, code = found // len(names), found % len(names)
    tick = np.array([float(parse(name).ticks.base) if name in _used(names, code) else 1.0 for name in names])[code]
    floats = np.full((TICKER_WIDTH, found.size), np.nan)
    # Rounded outwards to the tick, so that the spread is never less than stated. The 1e-9 forgives 0.1 + 0.2.
    floats[FloatColumn.BID] = np.floor(middle * (1.0 - 0.5 * assumed.perp_spread) / tick + 1e-9) * tick
    floats[FloatColumn.ASK] = np.ceil(middle * (1.0 + 0.5 * assumed.perp_spread) / tick - 1e-9) * tick
    floats[FloatColumn.BID_SIZE] = floats[FloatColumn.ASK_SIZE] = assumed.perp_size
    floats[FloatColumn.MARK] = floats[FloatColumn.FORWARD] = middle
    floats[FloatColumn.INDEX] = np.where(index_keys[where] == found, index_middle[where], np.nan)
    ts = rows.ts_event_ns[first[group - 1]]
    return RowSet(
        ts_event_ns=ts,
        ts_recv_ns=ts + assumed.feed_delay_ns,
        codes=code,
        symbols=names,
        flags=np.full(found.size, _FULL_ROW, np.int64),
        group=group,
        floats=floats,
        origin=np.full(found.size, -1, np.int64),
        given_nan=np.zeros(found.size, np.bool_),
    )


def _used(names: list[str], code: IntArray) -> set[str]:
    return {names[i] for i in np.unique(code)}


def _lacks(recording: Recording, assumed: ChainAssumptions) -> tuple[str, ...]:
    delay = assumed.feed_delay_ns / NS_PER_MS
    perpetual = (
        f"no perpetual: quoted {BPS_PER_UNIT * assumed.perp_spread:g} bp wide around the median index of each snapshot, "
        f"{assumed.perp_size:g} contracts a side"
        if assumed.perpetual
        else "no perpetual"
    )
    futures = (
        "no futures quotes: those named by underlying_index are quoted around underlying_price with the same spread"
        if assumed.listed_futures
        else "no futures quotes"
    )
    return (
        f"no sizes: {assumed.assumed_size:g} contracts assumed on each quoted side",
        perpetual,
        futures,
        "no delivery price: the index interpolated at expiry, with its error bar",
        "no funding rates: a parameter of the run",
        "no trades",
        f"one time per snapshot, though instruments were read one after another; {gap_text(recording.index)}",
        f"no receive times: event time + {delay:g} ms",
    )

"""Reader of full Deribit tickers (deribit_ticker_full): options and futures with sizes, implied vols in percent.

Each instrument has its own time, one snapshot takes 50 to 90 seconds. By default a snapshot is one group that is
true when its last instrument was read; with `per_row` every row is a message of its own. Amounts become contracts
(futures: USD divided by the contract size).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from voldesk.adapters.feeds.parquet_columns import (
    floats_of,
    nan_given,
    parquet_files,
    read_schema,
    read_table,
    symbols_of,
    times_ns,
)
from voldesk.adapters.feeds.recording import (
    Recording,
    Replay,
    RowSet,
    SourceFile,
    assemble,
    gap_text,
    join_rows,
    snapshot_groups,
    source_file,
)
from voldesk.core.blocks import TICKER_WIDTH, FloatColumn, RowFlag
from voldesk.core.errors import MarketDataError
from voldesk.core.units import NS_PER_MINUTE, NS_PER_MS, VOL_POINTS_PER_UNIT
from voldesk.instruments.deribit import parse
from voldesk.instruments.table import InstrumentTable

FORMAT: Final = "deribit_ticker"
COLUMNS: Final = (
    "timestamp",
    "instrument_name",
    "contract_size",
    "index_price",
    "best_bid_price",
    "best_bid_amount",
    "best_ask_price",
    "best_ask_amount",
    "mark_price",
    "open_interest",
)
_OPTION_COLUMNS: Final = ("underlying_price", "mark_iv")
_SNAPSHOT_GAP_NS: Final = 10 * NS_PER_MINUTE


def open_ticker(
    path: Path,
    table: InstrumentTable | None = None,
    replay: Replay | None = None,
    per_row: bool = False,
    feed_delay_ns: int = 0,
) -> Recording:
    """Open ticker files, one or a folder of them. Raises MarketDataError: unreadable, missing column, wrong type."""
    parts, files, damage = _read(path, replay is not None and replay.allow_damaged)
    rows = _in_time(parts)
    real = rows.ts_event_ns.copy()
    if per_row:
        rows.group = np.arange(1, real.size + 1)
    else:
        rows.group = snapshot_groups(real, _SNAPSHOT_GAP_NS)
        last = np.flatnonzero(np.diff(rows.group, append=rows.group[-1] + 1))
        rows.ts_event_ns = real[last][rows.group - 1]
    rows.ts_recv_ns = rows.ts_event_ns + feed_delay_ns
    recording = assemble(
        FORMAT,
        rows,
        files,
        (),
        parse,
        table,
        replay,
        whole_snapshots=not per_row,
        damage=damage,
    )
    moved = float(np.max(rows.ts_event_ns - real)) / NS_PER_MS
    step = (
        "each instrument at its own time"
        if per_row
        else f"rows moved up to their snapshot's end, at most {moved:.0f} ms"
    )
    lacks = (
        "no delivery price: the index interpolated at expiry, with its error bar",
        "no trades, best quotes only",
        f"{step}; {gap_text(recording.index)}",
        f"no receive times: event time + {feed_delay_ns / NS_PER_MS:g} ms",
    )
    return replace(recording, lacks=lacks)


def _read(path: Path, allow_damaged: bool) -> tuple[list[RowSet], tuple[SourceFile, ...], tuple[str, ...]]:
    parts: list[RowSet] = []
    files: list[SourceFile] = []
    damage: list[str] = []
    for file in parquet_files(path):
        try:
            options = "mark_iv" in read_schema(file)
            read = read_table(file, (*COLUMNS, *(_OPTION_COLUMNS if options else ())))
        except MarketDataError as error:
            if not allow_damaged:
                raise
            damage.append(str(error))
            continue
        parts.append(_row_set(read, options, sum(f.rows for f in files)))
        files.append(source_file(file, read.num_rows))
    if not parts:
        raise MarketDataError(damage[0] if damage else f"{path} holds nothing readable.")
    return parts, tuple(files), tuple(damage)


def _row_set(read: pa.Table, options: bool, first_row: int) -> RowSet:
    """Rows of one file; times and groups are set once all files are in."""
    ts = times_ns(read, "timestamp")
    codes, symbols = symbols_of(read, "instrument_name")
    size = floats_of(read, "contract_size")
    floats = np.full((TICKER_WIDTH, ts.size), np.nan)
    floats[FloatColumn.BID] = floats_of(read, "best_bid_price")
    floats[FloatColumn.ASK] = floats_of(read, "best_ask_price")
    floats[FloatColumn.BID_SIZE] = floats_of(read, "best_bid_amount") / size
    floats[FloatColumn.ASK_SIZE] = floats_of(read, "best_ask_amount") / size
    floats[FloatColumn.MARK] = floats_of(read, "mark_price")
    floats[FloatColumn.INDEX] = floats_of(read, "index_price")
    floats[FloatColumn.OPEN_INTEREST] = floats_of(read, "open_interest") / size
    # A future is its own forward.
    floats[FloatColumn.FORWARD] = floats_of(read, "underlying_price") if options else floats[FloatColumn.MARK]
    floats[FloatColumn.MARK_IV] = floats_of(read, "mark_iv") / VOL_POINTS_PER_UNIT
    no_ask = (floats[FloatColumn.ASK] == 0.0) & ~(floats[FloatColumn.ASK_SIZE] > 0.0)
    floats[FloatColumn.ASK, no_ask] = np.nan
    return RowSet(
        ts_event_ns=ts,
        ts_recv_ns=ts,
        codes=codes,
        symbols=symbols,
        flags=np.full(ts.size, int(RowFlag.QUOTE | RowFlag.MARK), np.int64),
        group=np.zeros(ts.size, np.int64),
        floats=floats,
        origin=first_row + np.arange(ts.size),
        given_nan=nan_given(read, ("best_bid_price", "best_ask_price", "mark_price")),
    )


def _in_time(parts: list[RowSet]) -> RowSet:
    """All rows under one list of symbols, in order of time."""
    for part in parts:
        part.group = part.ts_event_ns
    return join_rows(parts)

"""Reader of a vendor's end-of-day Deribit chain with sizes (deribit_eod_2021).

It holds neither mark price nor index: the mark is rebuilt from the recorded mark IV (Black-76, zero rate, as Deribit
does), the index is the underlying price of the nearest expiry. Both are said in `describe()`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from voldesk.adapters.feeds.parquet_columns import floats_of, nan_given, read_tables, symbols_of, times_ns
from voldesk.adapters.feeds.recording import (
    Recording,
    Replay,
    RowSet,
    assemble,
    gap_text,
    median_by,
    snapshot_groups,
)
from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.blocks import TICKER_WIDTH, FloatColumn, RowFlag
from voldesk.core.units import NS_PER_MINUTE, NS_PER_MS, NS_PER_YEAR
from voldesk.instruments.deribit import parse
from voldesk.instruments.table import InstrumentTable
from voldesk.pricing import black

FORMAT: Final = "deribit_eod"
COLUMNS: Final = (
    "ts",
    "instrument_name",
    "expiry_src",
    "strike",
    "option_type",
    "underlying_price",
    "bid_price",
    "bid_size",
    "ask_price",
    "ask_size",
    "mark_iv",
    "open_interest",
)
_SNAPSHOT_GAP_NS: Final = 10 * NS_PER_MINUTE


def open_eod(
    path: Path,
    table: InstrumentTable | None = None,
    replay: Replay | None = None,
    feed_delay_ns: int = 0,
) -> Recording:
    """Open an end-of-day recording. Raises MarketDataError: unreadable, missing column, wrong type or unit."""
    read, files, damage = read_tables(path, COLUMNS, replay is not None and replay.allow_damaged)
    real = times_ns(read, "ts")
    order = np.argsort(real, kind="stable")
    group = snapshot_groups(real[order], _SNAPSHOT_GAP_NS)
    last = np.flatnonzero(np.diff(group, append=group[-1] + 1))
    ts = real[order][last][group - 1]
    codes, symbols = symbols_of(read, "instrument_name")
    floats = np.full((TICKER_WIDTH, ts.size), np.nan)
    for column, name in (
        (FloatColumn.BID, "bid_price"),
        (FloatColumn.BID_SIZE, "bid_size"),
        (FloatColumn.ASK, "ask_price"),
        (FloatColumn.ASK_SIZE, "ask_size"),
        (FloatColumn.MARK_IV, "mark_iv"),
        (FloatColumn.FORWARD, "underlying_price"),
        (FloatColumn.OPEN_INTEREST, "open_interest"),
    ):
        floats[column] = floats_of(read, name)[order]
    expiry_ns = times_ns(read, "expiry_src")[order]
    right, rights = symbols_of(read, "option_type")
    is_call = np.array([r == "C" for r in rights])[right[order]]
    strike = floats_of(read, "strike")[order]
    tau = (expiry_ns - ts) / NS_PER_YEAR
    floats[FloatColumn.MARK] = _rebuilt_mark(floats, strike, tau, is_call)
    floats[FloatColumn.INDEX] = _nearest_forward(group, expiry_ns, floats[FloatColumn.FORWARD])
    rows = RowSet(
        ts_event_ns=ts,
        ts_recv_ns=ts + feed_delay_ns,
        codes=codes[order],
        symbols=symbols,
        flags=np.full(ts.size, int(RowFlag.QUOTE | RowFlag.MARK), np.int64),
        group=group,
        floats=floats,
        origin=order.astype(np.int64),
        given_nan=nan_given(read, ("bid_price", "ask_price", "mark_iv"))[order],
    )
    recording = assemble(
        FORMAT,
        rows,
        files,
        (),
        parse,
        table,
        replay,
        damage=damage,
    )
    lacks = (
        "no mark price: rebuilt from the recorded mark IV (Black-76, zero rate)",
        "no index: the underlying price of the nearest expiry stands in",
        "no perpetual or futures quotes",
        "no delivery price: the index interpolated at expiry, with its error bar",
        "contract terms of 2026 (price tick 0.0001; it was 0.0005 in 2021)",
        f"{gap_text(recording.index)}",
        f"no receive times: event time + {feed_delay_ns / NS_PER_MS:g} ms",
    )
    return replace(recording, lacks=lacks)


def _rebuilt_mark(floats: FloatArray, strike: FloatArray, tau: FloatArray, is_call: BoolArray) -> FloatArray:
    """Mark in coin from mark IV and forward, NaN where one of them is missing."""
    forward, sigma = floats[FloatColumn.FORWARD], floats[FloatColumn.MARK_IV]
    usable = np.isfinite(forward) & np.isfinite(sigma) & (forward > 0.0) & (sigma > 0.0) & (tau > 0.0)
    mark = np.full(forward.size, np.nan)
    worth = black.price(forward[usable], strike[usable], tau[usable], sigma[usable], 1.0, is_call[usable])
    mark[usable] = worth / forward[usable]
    return mark


def _nearest_forward(group: IntArray, expiry_ns: IntArray, forward: FloatArray) -> FloatArray:
    """Per row the median forward of its snapshot's nearest expiry."""
    order = np.lexsort((expiry_ns, group))
    first = order[np.flatnonzero(np.diff(group[order], prepend=0))]
    nearest = expiry_ns[first][group - 1]
    of_it = expiry_ns == nearest
    found, middle = median_by(group[of_it], forward[of_it])
    index = np.full(group.size, np.nan)
    where = np.minimum(np.searchsorted(found, group), found.size - 1)
    held = found[where] == group
    index[held] = middle[where[held]]
    return index

"""Import of a vendor's CSV or Parquet file into our recording format: a mapping says which column is what (SPEC A2).

mapping = VendorMapping(columns={"symbol": "ticker", "ts_event": "time", "bid": "bid_px", "ask": "ask_px"})
import_vendor(Path("quotes.csv"), mapping, Path("recordings/vendor"))
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from voldesk.adapters.feeds.parquet_columns import floats_of, nan_given, read_schema, read_table, symbols_of
from voldesk.adapters.feeds.recording import Recording, Replay, RowSet, assemble, snapshot_groups, source_file
from voldesk.adapters.recording.replay import write_recording
from voldesk.core.arrays import IntArray
from voldesk.core.blocks import TICKER_WIDTH, FloatColumn, RowFlag
from voldesk.core.errors import InputError, MarketDataError
from voldesk.core.units import NS_PER_MS, NS_PER_SECOND, VOL_POINTS_PER_UNIT
from voldesk.instruments.symbology import SYMBOLOGIES
from voldesk.instruments.table import InstrumentTable
from voldesk.market.clean import CleaningRules, refuse_percent

FORMAT: Final = "vendor"
_UNIT_NS: Final = {"ns": 1, "us": 1_000, "ms": NS_PER_MS, "s": NS_PER_SECOND}
_QUOTES: Final = {
    "bid": FloatColumn.BID,
    "bid_size": FloatColumn.BID_SIZE,
    "ask": FloatColumn.ASK,
    "ask_size": FloatColumn.ASK_SIZE,
}
_MARKS: Final = {
    "mark": FloatColumn.MARK,
    "mark_iv": FloatColumn.MARK_IV,
    "forward": FloatColumn.FORWARD,
    "index": FloatColumn.INDEX,
    "open_interest": FloatColumn.OPEN_INTEREST,
}
_TRADES: Final = {"trade_price": FloatColumn.BID, "trade_size": FloatColumn.BID_SIZE}
FIELDS: Final = ("symbol", "ts_event", "ts_recv", *_QUOTES, *_MARKS, *_TRADES)


class VendorMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """columns: our field (`FIELDS`) -> the file's column. ts_unit: of integer times ("ns", "us", "ms", "s");
    time_zone: of times written without one; iv_percent: vols are 65 for 0.65; assumed_size: contracts where the file
    has no sizes; snapshot_gap_ns: rows closer than this form one snapshot, -1 makes every row a message;
    trade_size is positive for a buyer who took.
    """

    columns: dict[str, str]
    symbology: str = "deribit"
    ts_unit: str = "ms"
    time_zone: str = "UTC"
    iv_percent: bool = False
    assumed_size: float = 0.0
    snapshot_gap_ns: int = -1
    delimiter: str = ","

    def __post_init__(self) -> None:
        for name in self.columns:
            if name not in FIELDS:
                raise InputError(f"mapping field {name} is unknown; expected one of {', '.join(FIELDS)}.")
        for name in ("symbol", "ts_event"):
            if name not in self.columns:
                raise InputError(f"mapping lacks {name}; name the column that holds it.")
        quotes, trades = set(self.columns) & {"bid", "ask"}, set(self.columns) & set(_TRADES)
        if quotes and trades:
            raise InputError("mapping has quotes and trades; import them as two files, one kind each.")
        if trades and trades != set(_TRADES):
            raise InputError("mapping of trades lacks trade_price or trade_size; name both.")
        if not quotes and not trades:
            raise InputError("mapping has neither bid/ask nor trade_price; name at least one column of prices.")
        if self.symbology not in SYMBOLOGIES:
            raise InputError(f"symbology={self.symbology}; expected one of {', '.join(SYMBOLOGIES)}.")
        if self.ts_unit not in _UNIT_NS:
            raise InputError(f"ts_unit={self.ts_unit}; expected one of {', '.join(_UNIT_NS)}.")


def _read(path: Path, mapping: VendorMapping) -> pa.Table:
    if not path.is_file():
        raise MarketDataError(f"{path} is no file; expected a CSV or Parquet file. Check the path.")
    wanted = list(dict.fromkeys(mapping.columns.values()))
    if path.suffix == ".parquet":
        read_schema(path)
        return read_table(path, wanted)
    try:
        read = pacsv.read_csv(path, parse_options=pacsv.ParseOptions(delimiter=mapping.delimiter))
    except (pa.ArrowException, OSError) as error:
        raise MarketDataError(f"{path.name} is no readable CSV: {str(error).splitlines()[0][:160]}") from None
    missing = [name for name in wanted if name not in read.column_names]
    if missing:
        raise MarketDataError(f"{path.name} lacks column {', '.join(missing)}; found {', '.join(read.column_names)}.")
    return read


def vendor_times_ns(table: pa.Table, name: str, mapping: VendorMapping) -> IntArray:
    """Times as ns UTC: timestamps (those without a zone are in `time_zone`, daylight saving respected) or numbers."""
    column = table.column(name)
    if column.null_count:
        raise MarketDataError(f"column {name} has {column.null_count} nulls; expected a time in every row.")
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        raw = np.asarray(column.to_numpy())
        scale = _UNIT_NS[mapping.ts_unit]
        ts = raw.astype(np.int64) * scale if raw.dtype.kind in "iu" else np.round(raw * scale).astype(np.int64)
        _check_years(ts, name, mapping.ts_unit)
        return np.asarray(ts, np.int64)
    if not pa.types.is_timestamp(column.type):
        raise MarketDataError(f"column {name} is {column.type}; expected times (ISO 8601) or whole numbers since 1970.")
    stamped: Any = column
    if column.type.tz is None:
        try:
            stamped = pc.assume_timezone(stamped, mapping.time_zone)
        except pa.ArrowException as error:
            raise MarketDataError(f"column {name} in {mapping.time_zone}: {str(error).splitlines()[0]}") from None
    return np.asarray(stamped.cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy(), np.int64)


def _check_years(ts_ns: IntArray, name: str, unit: str) -> None:
    """A wrong unit is off by a factor of 1000, which no date survives."""
    low, high = 315_532_800 * NS_PER_SECOND, 4_102_444_800 * NS_PER_SECOND  # 1980 to 2100
    if ts_ns.size and not low <= float(np.median(ts_ns)) <= high:
        raise MarketDataError(
            f"column {name} in {unit} gives dates outside 1980 to 2100; set ts_unit to its real unit."
        )


def read_vendor(
    path: Path, mapping: VendorMapping, table: InstrumentTable | None = None, replay: Replay | None = None
) -> Recording:
    """Open a vendor file as a recording. Raises MarketDataError or InputError with the column at fault."""
    read = _read(path, mapping)
    if read.num_rows == 0:
        raise MarketDataError(f"{path.name} holds no rows; expected quotes or trades.")
    columns = mapping.columns
    ts = vendor_times_ns(read, columns["ts_event"], mapping)
    recv = vendor_times_ns(read, columns["ts_recv"], mapping) if "ts_recv" in columns else ts
    # Arrival order is what the desk saw; files without it are put in order of time.
    order = np.argsort(recv, kind="stable").astype(np.int64)
    codes, symbols = symbols_of(read, columns["symbol"])
    floats = np.full((TICKER_WIDTH, ts.size), np.nan)
    for name, column in (*_QUOTES.items(), *_MARKS.items(), *_TRADES.items()):
        if name in columns:
            floats[column] = floats_of(read, columns[name])[order]
    if mapping.iv_percent:
        floats[FloatColumn.MARK_IV] /= VOL_POINTS_PER_UNIT
    if mapping.assumed_size > 0.0:
        for price, size, name in (("bid", FloatColumn.BID_SIZE, "bid_size"), ("ask", FloatColumn.ASK_SIZE, "ask_size")):
            if price in columns and name not in columns:
                floats[size] = np.where(np.isnan(floats[_QUOTES[price]]), np.nan, mapping.assumed_size)
    try:
        refuse_percent(floats[FloatColumn.MARK_IV], CleaningRules())
    except MarketDataError as error:
        raise MarketDataError(f"{path.name}: {error} Or say iv_percent: true in the mapping.") from None
    trades = "trade_price" in columns
    flags = RowFlag.TRADE if trades else RowFlag.QUOTE | (RowFlag.MARK if set(columns) & set(_MARKS) else RowFlag(0))
    event, arrived = ts[order], recv[order]
    if mapping.snapshot_gap_ns >= 0:
        group = snapshot_groups(event, mapping.snapshot_gap_ns)
        last = np.flatnonzero(np.diff(group, append=group[-1] + 1))
        event, arrived = event[last][group - 1], arrived[last][group - 1]
    else:
        group = np.arange(1, ts.size + 1)
    rows = RowSet(
        ts_event_ns=event,
        ts_recv_ns=arrived,
        codes=codes[order],
        symbols=symbols,
        flags=np.full(ts.size, int(flags), np.int64),
        group=group,
        floats=floats,
        origin=order,
        given_nan=nan_given(read, [columns[n] for n in ("bid", "ask", "mark") if n in columns])[order],
    )
    return assemble(
        FORMAT,
        rows,
        (source_file(path, read.num_rows),),
        _lacks(mapping),
        SYMBOLOGIES[mapping.symbology],
        table,
        replay,
        whole_snapshots=mapping.snapshot_gap_ns >= 0,
    )


def _lacks(mapping: VendorMapping) -> tuple[str, ...]:
    lacking = [name for name in FIELDS[2:] if name not in mapping.columns and name not in _TRADES]
    sizes = f"; sizes assumed {mapping.assumed_size:g} contracts" if mapping.assumed_size > 0.0 else ""
    return (f"the file has no {', '.join(lacking)}{sizes}",) if lacking else ()


def import_vendor(path: Path, mapping: VendorMapping, folder: Path) -> Recording:
    """Read, clean and write a vendor file as a recording of ours into `folder`; returns what was read."""
    recording = read_vendor(path, mapping)
    write_recording(folder, recording.feed, recording.table, recording.lacks)
    recording.feed.restore({"row": 0})
    return recording

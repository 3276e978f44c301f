"""Daily prices (daily_prices) that seed forecasts before the first snapshot: read, and written beside a recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from voldesk.adapters.feeds.parquet_columns import floats_of, read_tables, symbols_of
from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.errors import MarketDataError
from voldesk.core.units import NS_PER_DAY

COLUMNS: Final = ("symbol", "date", "open", "high", "low", "close")
FILE: Final = "daily_prices.parquet"


@dataclass(frozen=True, slots=True)
class DailyPrices:
    """One symbol's days in order. ts_ns: 00:00 UTC of the day; a round-the-clock day closes at ts_ns + 1 day.

    open, high, low: NaN where the source holds closes only.
    """

    symbol: str
    ts_ns: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray

    def before(self, ts_ns: int) -> DailyPrices:
        """The days that had ended by `ts_ns`: what a forecast made then may know."""
        known = self.ts_ns + NS_PER_DAY <= ts_ns
        return DailyPrices(
            self.symbol, self.ts_ns[known], self.open[known], self.high[known], self.low[known], self.close[known]
        )


def read_daily(path: Path) -> dict[str, DailyPrices]:
    """All symbols of a daily price file or folder (files with other columns in a folder are passed over).

    Days without a positive close and repeated days are left out (the first stays). Raises MarketDataError.
    """
    files = [path] if path.is_file() else [path / FILE] if path.is_dir() else [path]
    read, _, _ = read_tables(files[0], COLUMNS)
    kind = read.schema.field("date").type
    if not pa.types.is_date(kind):
        raise MarketDataError(f"column date is {kind}; expected dates (date32). Convert it when writing the file.")
    days = np.asarray(read.column("date").cast(pa.date32()).cast(pa.int32()).to_numpy(), np.int64)
    codes, symbols = symbols_of(read, "symbol")
    figures = {name: floats_of(read, name) for name in COLUMNS[2:]}
    out = {}
    for code in sorted(range(len(symbols)), key=lambda i: symbols[i]):
        rows = np.flatnonzero((codes == code) & (figures["close"] > 0.0))
        rows = rows[np.argsort(days[rows], kind="stable")]
        rows = rows[np.diff(days[rows], prepend=days[rows[:1]] - 1) > 0]
        out[symbols[code]] = DailyPrices(
            symbols[code], days[rows] * NS_PER_DAY, *(figures[name][rows] for name in COLUMNS[2:])
        )
    return out


def write_daily(folder: Path, prices: DailyPrices) -> Path:
    """One symbol's days as a file that `read_daily` reads back; makes the folder. Returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = {
        "symbol": pa.array([prices.symbol] * prices.ts_ns.size, pa.string()),
        "date": pa.array((prices.ts_ns // NS_PER_DAY).astype(np.int32), pa.date32()),
        **{name: pa.array(getattr(prices, name)) for name in COLUMNS[2:]},
    }
    pq.write_table(pa.table(columns), folder / FILE)
    return folder / FILE

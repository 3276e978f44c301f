"""Parquet files into numpy columns, with one-line errors for everything that can be wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from voldesk.adapters.feeds.recording import SourceFile, source_file
from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.errors import MarketDataError

_NAN: Final[Any] = float("nan")
_PER_UNIT: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


def parquet_files(path: Path) -> list[Path]:
    """The Parquet files that a path names: itself, or those of a folder in order of name."""
    if not path.exists():
        raise MarketDataError(f"{path} does not exist; expected a recording (file or folder). Check the path.")
    if path.is_file():
        return [path]
    files = sorted(p for p in path.iterdir() if p.suffix == ".parquet" and p.is_file())
    if not files:
        raise MarketDataError(f"{path} holds no .parquet file; expected a recorded data set. Check the path.")
    return files


def read_schema(path: Path) -> dict[str, Any]:
    """Column names and types. Raises MarketDataError for a truncated or foreign file, naming where it broke off."""
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise MarketDataError(_unreadable(path, error)) from None
    return {name: schema.field(name).type for name in schema.names}


def _unreadable(path: Path, error: Exception) -> str:
    size = path.stat().st_size
    if size == 0:
        return f"{path.name} is empty (0 bytes); expected a Parquet file. Copy it again."
    with path.open("rb") as stream:
        begins = stream.read(4) == b"PAR1"
    if (begins and "footer" in str(error).lower()) or (begins and "magic" in str(error).lower()):
        return (
            f"{path.name} is truncated: its footer is missing at byte {size}, nothing of it is readable. Copy it again."
        )
    if begins:
        return f"{path.name} is damaged ({str(error).splitlines()[0][:120]}), {size} bytes. Copy it again."
    return f"{path.name} is no Parquet file (it does not begin with PAR1); expected a recorded data set."


def read_table(path: Path, columns: Sequence[str]) -> pa.Table:
    """The named columns of one file. Raises MarketDataError naming the columns that are missing."""
    schema = read_schema(path)
    missing = [name for name in columns if name not in schema]
    if missing:
        raise MarketDataError(f"{path.name} lacks column {', '.join(missing)}; found {', '.join(schema)}.")
    try:
        return pq.read_table(path, columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise MarketDataError(_unreadable(path, error)) from None


def read_tables(
    path: Path, columns: Sequence[str], allow_damaged: bool = False
) -> tuple[pa.Table, tuple[SourceFile, ...], tuple[str, ...]]:
    """All files of a recording one after another, their content hashes, and the damage passed over.

    A file that cannot be read stops the reading, unless `allow_damaged`: then it is named and left out.
    """
    tables, files, damage = [], [], []
    for file in parquet_files(path):
        try:
            table = read_table(file, columns)
        except MarketDataError as error:
            if not allow_damaged:
                if len(parquet_files(path)) == 1:
                    raise
                raise MarketDataError(f"{error} Or replay the other files: --set market.allow_damaged=true.") from None
            damage.append(str(error))
            continue
        tables.append(table)
        files.append(source_file(file, table.num_rows))
    if not tables:
        raise MarketDataError(damage[0] if damage else f"{path} holds nothing readable.")
    try:
        joined = pa.concat_tables(tables)
    except pa.ArrowException:
        raise MarketDataError(f"files of {path.name} differ: {_difference(tables, files)}; write them alike.") from None
    if joined.num_rows == 0:
        raise MarketDataError(f"{path.name} holds no rows; expected recorded quotes.")
    return joined, tuple(files), tuple(damage)


def _difference(tables: Sequence[pa.Table], files: Sequence[SourceFile]) -> str:
    """The first column whose type is not the same in all files."""
    for table, file in zip(tables[1:], files[1:], strict=True):
        for field in tables[0].schema:
            other = table.schema.field(field.name).type
            if other != field.type:
                return f"column {field.name} is {field.type} in {files[0].name}, {other} in {file.name}"
    return "their columns are of different types"


def times_ns(table: pa.Table, name: str) -> IntArray:
    """A UTC timestamp column as ns. Raises MarketDataError for another type, a missing zone or a null."""
    column = table.column(name)
    if not pa.types.is_timestamp(column.type):
        raise MarketDataError(f"column {name} is {column.type}; expected timestamps with time zone UTC.")
    if column.type.tz is None:
        raise MarketDataError(f"column {name} has no time zone; expected UTC. Say so when writing it: tz='UTC'.")
    if column.null_count:
        raise MarketDataError(f"column {name} has {column.null_count} nulls; expected a time in every row.")
    raw = column.combine_chunks().cast(pa.int64()).to_numpy(zero_copy_only=False)
    return np.asarray(raw * _PER_UNIT[column.type.unit], np.int64)


def floats_of(table: pa.Table, name: str) -> FloatArray:
    """A number column as float64, NaN for null; all NaN when the table lacks it."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    column = table.column(name)
    kind = column.type
    if not (
        pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind)
    ):
        raise MarketDataError(f"column {name} is {kind}; expected numbers. Convert it when writing the file.")
    return np.array(column.cast(pa.float64()).fill_null(_NAN).to_numpy(), np.float64)


def nan_given(table: pa.Table, names: Sequence[str]) -> BoolArray:
    """Rows in which one of the columns holds a NaN, as opposed to nothing (null): shape (n,)."""
    found = np.zeros(table.num_rows, np.bool_)
    for name in names:
        column = table.column(name)
        if pa.types.is_floating(column.type):
            held = np.asarray(column.is_valid().to_numpy(), np.bool_)
            found |= held & np.isnan(floats_of(table, name))
    return found


def symbols_of(table: pa.Table, name: str) -> tuple[IntArray, list[str]]:
    """A text column as codes (n,) into its distinct values."""
    column = table.column(name)
    kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)):
        raise MarketDataError(f"column {name} is {kind}; expected text such as BTC-27MAR26-70000-C.")
    if column.null_count:
        raise MarketDataError(f"column {name} has {column.null_count} nulls; expected a symbol in every row.")
    whole: Any = column.combine_chunks()
    coded = whole if pa.types.is_dictionary(kind) else whole.dictionary_encode()
    return np.asarray(coded.indices.to_numpy(zero_copy_only=False), np.int64), [
        str(s) for s in coded.dictionary.to_pylist()
    ]

"""A run folder: where its journal is, read into tables, and the Parquet files written from it.

Reads also a run that is still being written or was killed: what stands before a torn end counts.
"""

from __future__ import annotations

from pathlib import Path

from voldesk.app.run_tables import RunTables, TablesReader
from voldesk.core.errors import InputError, JournalError
from voldesk.engine.journal import read_journal

__all__ = ["RunTables", "journal_folder", "newest_run", "read_tables", "write_tables"]


def journal_folder(run: Path) -> Path:
    """The folder of segments of a run folder (or that folder itself)."""
    inside = run / "journal"
    folder = inside if inside.is_dir() else run
    if not folder.is_dir():
        raise InputError(f"{run}: no such run folder; expected one holding journal/, as `voldesk backtest` writes it.")
    return folder


def newest_run(under: Path) -> Path:
    """The run folder whose journal was written last."""
    newest: tuple[float, Path] | None = None
    for folder in sorted(under.glob("*/journal")) if under.is_dir() else []:
        stamps = [segment.stat().st_mtime for segment in folder.glob("*.vdj")]
        if stamps and (newest is None or max(stamps) > newest[0]):
            newest = (max(stamps), folder.parent)
    if newest is None:
        raise InputError(f"{under.name}/: no runs here; name a run folder, or make one with `voldesk backtest`.")
    return newest[1]


def read_tables(run: Path) -> RunTables:
    """All tables of a run folder. Raises JournalError for damage (other than a torn end), InputError for no run."""
    reader = TablesReader()
    for record in read_journal(journal_folder(run)):
        reader.take(record)
    if not reader.tables.header:
        raise JournalError(f"{run.name}: the journal has no HEADER; nothing was written yet, or it is not a run's.")
    return reader.finish()


def write_tables(folder: Path) -> tuple[Path, Path]:
    """Write `fills.parquet` and `equity.parquet` of a run folder from its journal; returns their paths."""
    return read_tables(folder).write(folder)

"""source.json of a run folder: where this machine found what the journal names by content alone."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from voldesk.core.errors import InputError

FILE = "source.json"


class RunNotes(msgspec.Struct, frozen=True):
    """data: the recording; seed_prices: as given on the command line; settings: the folder of the configuration,
    where strategies of one's own may lie."""

    data: str | None = None
    seed_prices: str | None = None
    settings: str | None = None

    @property
    def data_path(self) -> Path | None:
        return Path(self.data) if self.data else None

    @property
    def seed_path(self) -> Path | None:
        return Path(self.seed_prices) if self.seed_prices else None


def see_strategies(folder: Path | None) -> None:
    """Let `strategy: my_module:MyStrategy` be found in a folder, after everything installed."""
    if folder is not None and str(folder.resolve()) not in sys.path:
        sys.path.append(str(folder.resolve()))


def write_notes(folder: Path, data: Path | None, seed_prices: Path | None, settings: Path | None) -> None:
    """`settings`: the configuration file, or None for one that ships with the package."""
    notes = RunNotes(
        data=str(data.resolve()) if data else None,
        seed_prices=str(seed_prices.resolve()) if seed_prices else None,
        settings=str(settings.resolve().parent) if settings else None,
    )
    (folder / FILE).write_bytes(msgspec.json.encode(notes))


def read_notes(folder: Path) -> RunNotes:
    """The notes, or empty ones where there are none. Raises InputError when they are damaged."""
    path = folder / FILE
    if not path.exists():
        return RunNotes()
    try:
        notes = msgspec.json.decode(path.read_bytes(), type=RunNotes)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise InputError(
            f"{path} is damaged ({error}); remove it and pass --data where a recording is needed."
        ) from None
    see_strategies(Path(notes.settings) if notes.settings else None)
    return notes

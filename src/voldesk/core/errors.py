"""Errors that a user can cause or meet. Each message says value, expectation, remedy, in one line.

    VoldeskError
    ├── InputError          configuration, command line, function arguments
    ├── MarketDataError     files and feeds: truncated, unknown format, wrong unit
    ├── CalibrationError    a fit that cannot even start (bad quotes give a status, not an error)
    ├── JournalError        a record that is torn, altered or of another run
    ├── VenueError          a venue that refuses or cannot be reached
    └── LimitBreach         an operator asked for what the limits forbid

Bugs are assertions and stop the desk. Batches never raise per element: they return values and a status array.
"""

from __future__ import annotations

import re
from collections.abc import Mapping


class VoldeskError(Exception):
    """Root of everything a user can meet; the command line prints it as one line and exits with 2."""


class InputError(VoldeskError):
    """A value given by a person or a file of settings is unusable."""


class MarketDataError(VoldeskError):
    """A recording or feed is damaged, unknown or in the wrong unit."""


class CalibrationError(VoldeskError):
    """A calibration was asked for that cannot be carried out."""


class JournalError(VoldeskError):
    """A journal record is torn, altered, or does not belong to this run."""


class VenueError(VoldeskError):
    """A venue refused, or its answer cannot be understood."""


class LimitBreach(VoldeskError):
    """An operator's action would break a limit that has no exemption."""


def mistyped(message: str, values: Mapping[str, object]) -> str:
    """What msgspec says of a value, with the value and in our words.

    >>> mistyped("Expected `float`, got `str` - at `$.threshold`", {"threshold": "five"})
    "threshold='five'; expected float, got str"
    """
    text, _, place = message.replace("`", "").partition(" - at $.")
    key = re.split(r"[.\[]", place)[0]
    said = text[:1].lower() + text[1:]
    return f"{key}={values[key]!r}; {said}" if key in values else said

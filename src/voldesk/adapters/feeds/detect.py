"""Opens whatever a path names: recognises the known formats, refuses the rest in one line, and checks quality."""

from __future__ import annotations

from dataclasses import replace as with_fields
from pathlib import Path
from typing import Final

import numpy as np

from voldesk.adapters.feeds import deribit_chain, deribit_eod, deribit_raw, deribit_ticker
from voldesk.adapters.feeds.deribit_chain import ChainAssumptions
from voldesk.adapters.feeds.parquet_columns import parquet_files, read_schema
from voldesk.adapters.feeds.recording import Recording, Replay
from voldesk.adapters.recording import blocks_file
from voldesk.adapters.recording.replay import open_blocks
from voldesk.core.blocks import IntColumn
from voldesk.core.errors import MarketDataError
from voldesk.core.units import NS_PER_DAY
from voldesk.instruments.spec import Instrument
from voldesk.instruments.table import InstrumentTable
from voldesk.market.clean import clean
from voldesk.market.quality import QualityReport, QualityRules, report

KNOWN_FORMATS: Final = {
    deribit_chain.FORMAT: "whole option chains with mark and index every few hours (deribit_chain_6h)",
    deribit_ticker.FORMAT: "full tickers with sizes, options and futures (deribit_ticker_full)",
    deribit_eod.FORMAT: "end-of-day chain with sizes (deribit_eod_2021)",
    deribit_raw.FORMAT: "raw answers, .jsonl.gz or .json.gz (deribit_raw_api)",
    blocks_file.FORMAT: "what `voldesk record` and `voldesk import` write",
}
_TELLING: Final = (
    (deribit_eod.FORMAT, frozenset({"expiry_src", "instrument_name"})),
    (deribit_ticker.FORMAT, frozenset({"best_bid_price", "instrument_name"})),
    (deribit_chain.FORMAT, frozenset({"underlying_index", "instrument_name"})),
)


def detect(path: Path) -> str:
    """Name of the format, a key of KNOWN_FORMATS. Raises MarketDataError listing them for anything else."""
    if not path.exists():
        raise MarketDataError(f"{path} does not exist; expected a recording (file or folder). Check the path.")
    if path.is_dir() and (path / blocks_file.HEADER).exists():
        return blocks_file.FORMAT
    if path.is_file() and any(path.name.endswith(end) for end in (".jsonl.gz", ".json.gz", ".jsonl", ".json")):
        return deribit_raw.FORMAT
    if path.is_file() and path.suffix != ".parquet":
        raise MarketDataError(f"{path.name} is of no known format; {_known()}.")
    problem: MarketDataError | None = None
    for file in parquet_files(path):
        try:
            names = frozenset(read_schema(file))
        except MarketDataError as error:
            problem = problem or error
            continue
        for name, telling in _TELLING:
            if telling <= names:
                return name
        raise MarketDataError(f"{file.name} has columns {', '.join(sorted(names)[:8])}; {_known()}.")
    raise problem or MarketDataError(f"{path.name} holds nothing readable; {_known()}.")


def _known() -> str:
    return (
        "known formats: "
        + "; ".join(f"{name}: {text}" for name, text in KNOWN_FORMATS.items())
        + (". Use `voldesk import` with a column mapping for other files")
    )


def open_recording(
    path: Path,
    table: InstrumentTable | None = None,
    replay: Replay | None = None,
    assumptions: ChainAssumptions | None = None,
) -> Recording:
    """Open a recording of any known format. `assumptions` stand in for what chains lack (feed delay: chain, ticker,
    end of day; assumed size: chain and raw summaries). Raises MarketDataError in one line."""
    assumed = assumptions or ChainAssumptions()
    name = detect(path)
    if name == blocks_file.FORMAT:
        return open_blocks(path, table, replay)
    if name == deribit_chain.FORMAT:
        return deribit_chain.open_chain(path, assumed, table, replay)
    if name == deribit_ticker.FORMAT:
        return deribit_ticker.open_ticker(path, table, replay, feed_delay_ns=assumed.feed_delay_ns)
    if name == deribit_eod.FORMAT:
        return deribit_eod.open_eod(path, table, replay, assumed.feed_delay_ns)
    return deribit_raw.open_raw(path, table, replay, assumed.assumed_size, _instruments_beside(path))


def _instruments_beside(path: Path) -> list[Instrument]:
    """Exact terms from instrument answers that lie beside a raw recording and carry the same date in their name."""
    day = next((part for part in path.name.replace(".", "_").split("_") if part[:4].isdigit()), "")
    found = sorted(path.parent.glob("*get_instruments*")) if day else []
    return [i for file in found if day in file.name and file != path for i in deribit_raw.read_instruments(file)]


def check(path: Path, window_ns: int = 7 * NS_PER_DAY, rules: QualityRules | None = None) -> QualityReport:
    """Quality of a recording (`voldesk check data`): what is readable is judged, what is not is named in `damage`.

    The longest gap allowed is, unless given, one and a half times the recording's own median step, at least a
    minute: a recording every six hours is judged by its own rhythm, and the rhythm is told in the notes.
    """
    recording = open_recording(path, replay=Replay(allow_damaged=True), assumptions=ChainAssumptions(perpetual=False))
    cleaned, table = recording.cleaned, recording.table
    if recording.format == blocks_file.FORMAT:
        cleaned = clean(cleaned.ints, cleaned.floats, table)
    ints = cleaned.ints
    notes = list(recording.describe())
    if rules is None:
        steps = np.diff(np.unique(ints[IntColumn.TS_EVENT_NS]))
        usual = int(1.5 * np.median(steps)) if steps.size else 0
        rules = QualityRules(gap_ns=max(QualityRules().gap_ns, usual))
    quality = report(ints, cleaned.floats, cleaned.reason, cleaned.kept, table, window_ns, rules)
    counts = cleaned.counts()
    return with_fields(
        quality,
        format=recording.format,
        files=tuple(f"{f.name} sha256 {f.sha256[:16]} rows {f.rows}" for f in recording.files),
        damage=(*recording.damage, *recording.unknown),
        notes=tuple(notes),
        snapshots=recording.snapshots,
        quotes=recording.quotes,
        instruments=len(table),
        quarantined={n: c for n, c in counts.items() if n not in _REPAIRED},
        repaired={n: c for n, c in counts.items() if n in _REPAIRED},
    )


_REPAIRED: Final = frozenset({"clamped", "jump", "iv_range", "below_intrinsic"})

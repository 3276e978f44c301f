"""`voldesk replay`: the journal's inputs through a fresh desk."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec

from voldesk.app.config import RunConfig, parse_config
from voldesk.app.run_notes import read_notes
from voldesk.app.sources import MarketSource, open_market
from voldesk.app.wiring import header, run_id_of, wire_replay
from voldesk.core.errors import InputError, JournalError
from voldesk.core.ports import Feed
from voldesk.engine.deferred import RecordedCompute
from voldesk.engine.journal import decisions_sha256
from voldesk.engine.recorded import DecisionCheck, Recorded, RecordedRows, RecordedVenue, take_apart
from voldesk.instruments.spec import Instrument
from voldesk.instruments.table import InstrumentTable


def _recorded_config(recorded: Recorded) -> RunConfig:
    return parse_config(str(recorded.header["config"]), "journal header", environment={})


def _source(recorded: Recorded, config: RunConfig, data: Path | None) -> tuple[MarketSource, list[Feed]]:
    """Rows from the journal itself, or from the files it names by hash."""
    if recorded.blocks or recorded.header["kind"] == "synthetic":
        table = InstrumentTable(msgspec.convert(recorded.header["instruments"], list[Instrument]))
        feeds: list[Feed] = [RecordedRows(source, blocks) for source, blocks in sorted(recorded.blocks.items())]
        seed = open_market(config, None).seed_prices if recorded.header["kind"] == "synthetic" else None
        if recorded.header["kind"] != "synthetic":
            seed = open_market(config, data).seed_prices
        kind = str(recorded.header["kind"])
        return MarketSource(kind=kind, table=table, feeds=feeds, seed_prices=seed), feeds
    if data is None:
        raise InputError("the journal names its rows by hash and does not say where they are; pass --data PATH.")
    source = open_market(config, data)
    if source.provenance != recorded.header["sources"]:
        raise InputError(f"{data}: not the recording of this run (file hashes or row ranges differ); pass its own.")
    return source, source.feeds


def _journal(run: Path) -> Path:
    if not (run / "journal").is_dir():
        raise InputError(f"{run}: no journal folder here; expected a run folder such as runs/20260105T000000-name.")
    return run / "journal"


def verify_run(run: Path, data: Path | None) -> dict[str, Any]:
    """Re-run the inputs and compare every decision. Raises JournalError naming the first record that differs."""
    folder = _journal(run)
    complete = (run / "summary.json").exists()
    recorded = take_apart(folder, complete)
    config = _recorded_config(recorded)
    if run_id_of(config) != recorded.header["run_id"]:
        raise JournalError("journal record 0: the configuration does not give its run id; the header was altered.")
    start = time.perf_counter()
    notes = read_notes(run)
    source, feeds = _source(recorded, config, data or notes.data_path)
    here = msgspec.msgpack.decode(header(config, source, "replay"))["environment"]
    same_environment = here == recorded.header["environment"]
    check = DecisionCheck(recorded.decisions, to_the_byte=same_environment)
    wired = wire_replay(
        config,
        source,
        feeds,
        RecordedVenue(recorded.reports),
        RecordedCompute(recorded.results),
        recorded.operators,
        check,
        journal_rows=False,
    )
    wired.engine.run()
    if complete:
        check.finish()
    return {
        "verified": True,
        "decisions": check.matched,
        "inputs": len(recorded.reports) + len(recorded.results) + len(recorded.operators),
        "complete": complete,
        "same_environment": same_environment,
        "journal_sha256": decisions_sha256(folder),
        "wall_s": round(time.perf_counter() - start, 3),
    }


def run_replay(run: Path, verify: bool, data: Path | None, as_json: bool) -> None:
    """Without `--verify` it says what the journal holds; with it, it proves that the desk decides the same again."""
    if not verify:
        recorded = take_apart(_journal(run), complete=False)
        found = {
            "run_id": recorded.header["run_id"],
            "name": recorded.header["name"],
            "mode": recorded.header["mode"],
            "blocks": sum(len(blocks) for blocks in recorded.blocks.values()),
            "reports": len(recorded.reports),
            "results": len(recorded.results),
            "operators": len(recorded.operators),
            "decisions": len(recorded.decisions),
        }
    else:
        found = verify_run(run, data)
    if as_json:
        print(json.dumps(found))
        return
    if verify:
        print(
            f"verified: {found['decisions']} decisions byte-equal from {found['inputs']} inputs in {found['wall_s']} s"
        )
        if not found["same_environment"]:
            print("recorded under other versions; equal all the same")
        if not found["complete"]:
            print("the run was not closed: verified as far as its journal goes")
    else:
        for name, value in found.items():
            print(f"{name:<12}{value}")

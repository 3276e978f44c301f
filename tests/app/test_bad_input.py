"""Broken inputs, each refused in one line that says value, expectation or remedy; docs/bad_input.md is this table.

`VOLDESK_WRITE_DOCS=1 pytest tests/app/test_bad_input.py` writes the page anew.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from voldesk.adapters.feeds.recording import ColumnFeed
from voldesk.adapters.recording.blocks_file import BlockReader, BlockWriter
from voldesk.app.cli import main
from voldesk.core.blocks import IntColumn, RowFlag
from voldesk.engine.journal import RecordKind, read_journal

PAGE = Path(__file__).resolve().parents[2] / "docs" / "bad_input.md"
GOOD = """\
name: good
market: {source: synthetic}
synthetic: {duration: 20m}
books:
  - name: a
    strategies:
      - {strategy: pq_trader, underlying: BTC}
"""
RECORDED = GOOD.replace("synthetic}", "recording}")
Make = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """`what` is wrong with the input of `line`; its error holds every one of `words`. `make` breaks things first."""

    what: str
    line: str
    words: tuple[str, ...]
    make: Make | None = None


def text(path: str, content: str) -> Make:
    return lambda stock: Path(path).write_text(content, encoding="utf-8")


def changed(old: str, new: str) -> Make:
    assert old in GOOD
    return text("bad.yaml", GOOD.replace(old, new))


def added(lines: str) -> Make:
    return text("bad.yaml", GOOD + lines)


def own_strategy(module: str, source: str) -> Make:
    def make(stock: Path) -> None:
        Path(f"{module}.py").write_text(source)
        changed("strategy: pq_trader", f"strategy: '{module}:Mine'")(stock)

    return make


def settings(what: str, make: Make, *words: str) -> Case:
    return Case(what, "check config bad.yaml", words, make)


def override(what: str, assignment: str, *words: str) -> Case:
    return Case(what, f"check config good.yaml --set {shlex.quote(assignment)}", words)


CONFIG = (
    Case("no such file", "check config nowhere.yaml", ("nowhere.yaml", "no such file", "config/")),
    Case("a folder in place of a file", "check config .", ("not a text file", "expected YAML")),
    settings(
        "bytes that are not UTF-8", lambda stock: Path("bad.yaml").write_bytes(b"name: \xff\xfe"), "not a text file"
    ),
    settings("an empty file", text("bad.yaml", ""), "empty", "expected"),
    settings("a list in place of sections", text("bad.yaml", "- a\n- b\n"), "expected a mapping", "got list"),
    settings("broken YAML", text("bad.yaml", "name: [1\nmarket: {"), "line 2", "not valid YAML"),
    settings("a tab for indentation", text("bad.yaml", "name: x\nmarket:\n\tsource: synthetic\n"), "line 3", "'\\t'"),
    settings("a control character", lambda stock: Path("bad.yaml").write_bytes(b"name: a\x00b"), "not valid YAML"),
    settings("a key given twice", added("name: again\n"), "line 8", "'name' stands twice"),
    settings("an unknown section", added("acount: {deposit: '5'}\n"), "'acount'", "nearest", "'account'"),
    settings("an unknown key", changed("{source:", "{sorce: x, source:"), "market.sorce", "nearest", "'source'"),
    settings("a section missing", text("bad.yaml", "name: x\n"), "'books' is missing"),
    settings("no name", changed("name: good\n", ""), "'name' is missing"),
    settings(
        "a name that is a path", changed("name: good", "name: ../x"), "'../x' cannot name a folder", "letters, digits"
    ),
    settings("no book", text("bad.yaml", "name: x\nbooks: []\n"), "books=[]", "at least 1"),
    settings("a strategy without its name", changed("strategy: pq_trader, ", ""), "strategy' is missing"),
    settings(
        "two books of one name",
        added("  - {name: a, strategies: [{strategy: pq_trader, underlying: BTC}]}\n"),
        "['a', 'a']",
        "give each its own",
    ),
    settings(
        "book shares above the deposit",
        added("  - {name: b, strategies: [{strategy: pq_trader, underlying: BTC}], share: 0.5}\n"),
        "['1', '0.5']",
        "more than 1",
    ),
    override("a negative share", "books.0.share=-1", "share=-1; expected greater than 0"),
    override("a word for a number", "seed=lucky", "seed='lucky'", "valid integer"),
    override("a negative deposit", "account.deposit=-5", "-5", "positive amount"),
    override("a deposit that is no number", "account.deposit=ten", "'ten'; expected a valid decimal"),
    override("a deposit of NaN", "account.deposit=.nan", "nan", "finite"),
    override("a currency nothing settles in", "account.currency=BTCC", "'BTCC'", "expected BTC"),
    override("a duration without a unit", "forecast.horizon=14", "14", "number with a unit", "14d"),
    override("a duration in an unknown unit", "forecast.horizon=2y", "'2y'", "such as 250ms"),
    override("a negative duration", "market.quote_ttl=-5m", "'-5m'", "such as 250ms"),
    override("a duration beyond a century", "market.quote_ttl=99999999w", "'99999999w'", "century"),
    override(
        "an order latency of zero", "venue.order_latency=0s", "venue.order_latency=0", "greater than or equal to 1"
    ),
    override("an unknown choice", "account.numeraire=eur", "'eur'", "'coin' or 'usd'"),
    override("an unknown forecast model", "forecast.model=lstm", "'lstm'", "'har', 'garch' or 'naive'"),
    override("an unknown limit preset", "risk.preset=yolo", "'yolo'", "'btc', 'us_equity'"),
    override("a spread in percent", "market.perp_spread=5", "market.perp_spread=5", "less than 0.05"),
    override("an assumed size of zero", "market.assumed_size=0", "market.assumed_size=0", "greater than 0"),
    override(
        "a threshold in vol points", "books.0.strategies.0.threshold=5", "threshold=5", "vol points", "Divide by 100"
    ),
    override("a threshold in words", "books.0.strategies.0.threshold=five", "threshold='five'; expected float"),
    override("a negative threshold", "books.0.strategies.0.threshold=-0.05", "threshold=-0.05", "at least 0"),
    override("an unknown strategy", "books.0.strategies.0.strategy=pq_trade", "'pq_trade'", "did you mean pq_trader?"),
    override("an unknown parameter", "books.0.strategies.0.treshold=0.05", "'treshold'", "did you mean threshold?"),
    override(
        "a parameter's duration without a unit",
        "books.0.strategies.0.min_holding=6",
        "min_holding=6",
        "number with a unit",
    ),
    override("zero lots", "books.0.strategies.0.lots=0", "lots=0", "at least 1"),
    override(
        "a strategy module that is not there",
        "books.0.strategies.0.strategy=my_own:Mine",
        "no module my_own",
        "beside the settings",
    ),
    settings(
        "a strategy module with a syntax error", own_strategy("broken_one", "def ("), "broken_one", "cannot be imported"
    ),
    settings("a strategy module that raises", own_strategy("raising_one", "1 / 0"), "raising_one", "division by zero"),
    settings(
        "a strategy class that is none", own_strategy("other_one", "class Mine: ..."), "is not a Strategy", "derive it"
    ),
    override(
        "an unknown limit",
        "risk.limits=[{code: DELTAS, value: 1, unit: usd, scope: portfolio}]",
        "'DELTAS'",
        "nearest",
        "DELTA",
    ),
    override(
        "a limit in the wrong unit",
        "risk.limits=[{code: DELTA, value: 1, unit: bananas, scope: portfolio}]",
        "'bananas'",
        "expected one of",
    ),
    override(
        "a limit of zero",
        "risk.limits=[{code: DELTA, value: 0, unit: usd, scope: portfolio}]",
        "value=0",
        "greater than 0",
    ),
    settings(
        "an environment variable that is not set", added("seed: ${VOLDESK_NO_SUCH}\n"), "VOLDESK_NO_SUCH", "export it"
    ),
    override("a start without a zone", "synthetic.start=2026-01-05T00:00:00", "has no zone", "Z at the end"),
    override("a start that is no time", "synthetic.start=tomorrow", "'tomorrow'", "2026-01-05T00:00:00Z"),
    override("an infinite spot", "synthetic.initial_spot=.inf", "spot=inf", "positive number"),
    Case(
        "a market whose path is not there",
        "check config recorded.yaml --set market.path=gone",
        ("gone does not exist", "Check the path"),
    ),
    override("an override without a value", "seed", "--set 'seed'", "key.path=value"),
    override("an override of an unknown key", "sede=1", "'sede'", "'seed'"),
    override("an override beyond a list", "books.7.name=x", "'7'", "(0..0)"),
    override("an override into a value", "name.first=x", "holds a value"),
)
COMMAND_LINE = (
    Case("no such verb", "backtset good.yaml", ("'backtset'", "--help")),
    Case("no such option", "backtest good.yaml --dta x", ("--dta", "--data", "backtest --help")),
    Case("an argument missing", "backtest", ("'config'", "backtest --help")),
    Case("an argument too many", "backtest good.yaml more", ("more", "backtest --help")),
    Case("an option without its value", "backtest good.yaml --out", ("--out", "requires an argument")),
    Case("a word for a speed", "paper good.yaml --speed fast", ("'fast'", "valid number")),
    Case("a negative speed", "paper good.yaml --speed -1", ("--speed -1", "from 0")),
    Case("a speed of NaN", "paper good.yaml --speed nan", ("--speed nan", "from 0")),
    Case("a time without a unit", "paper good.yaml --for 5", ("--for", "'5'", "number with a unit")),
    Case("a paper desk without settings", "paper", ("needs a configuration", "--resume")),
    Case("a run folder that is in use", "backtest good.yaml --out full", ("--out full", "not empty", "new folder")),
    Case("a run folder that is a file", "backtest good.yaml --out good.yaml", ("--out good.yaml", "new folder")),
    Case("a run folder that cannot be made", "backtest good.yaml --out good.yaml/x", ("good.yaml/x", "cannot be made")),
    Case("a recording over another", "record good.yaml --out full", ("--out full", "not empty")),
    Case("a recording of no length", "record good.yaml --out r --for 0s", ("--for 0s", "above 0")),
    Case("a recording without a folder", "record good.yaml", ("'--out'", "record --help")),
    Case("no recording named", "backtest recorded.yaml", ("--data PATH", "market.path")),
    Case("no such run to replay", "replay nowhere --verify", ("nowhere", "no journal folder")),
    Case("no such run to look into", "replay nowhere", ("nowhere", "no journal folder")),
    Case("no such run to resume", "paper --resume nowhere", ("nowhere", "no journal folder")),
)


SYMBOLS = ("BTC-27MAR26-70000-C", "BTC-27MAR26-70000-P", "BTC-6FEB26-75000-C")
ROWS = 4 * len(SYMBOLS)


def chain_columns() -> dict[str, Any]:
    """A tiny chain in the layout of deribit_chain_6h: three options, four snapshots six hours apart."""
    times = np.repeat(1_770_000_000_000 + np.arange(4) * 6 * 3_600_000, len(SYMBOLS))
    return {
        "ts": pa.array(times, pa.timestamp("ms", "UTC")),
        "currency": pa.array(["BTC"] * ROWS),
        "instrument_name": pa.array([*SYMBOLS] * 4),
        "bid_price": pa.array([0.10, 0.035, None] * 4, pa.float64()),
        "ask_price": pa.array([0.11, 0.045, 0.02] * 4, pa.float64()),
        "mark_price": pa.array([0.105, 0.04, 0.015] * 4),
        "mark_iv": pa.array([0.5, 0.5, 0.45] * 4),
        "underlying_price": pa.array([75_100.0] * ROWS),
        "underlying_index": pa.array(["BTC-27MAR26", "BTC-27MAR26", "SYN.BTC-6FEB26"] * 4),
        "index_price": pa.array([75_000.0] * ROWS),
        "open_interest": pa.array([10.0] * ROWS),
    }


def chain(name: str = "chain.parquet", **changes: Any) -> Make:
    """Write the chain with columns replaced, or dropped where None."""

    def make(stock: Path) -> None:
        Path(name).parent.mkdir(exist_ok=True)
        columns = chain_columns() | changes
        pq.write_table(pa.table({key: column for key, column in columns.items() if column is not None}), name)

    return make


def at(column: str, row: int, value: Any) -> dict[str, Any]:
    """One value of one column changed."""
    old = chain_columns()[column]
    values = old.to_pylist()
    values[row] = value
    return {column: pa.array(values, old.type)}


def broken_chain(what: str, *words: str, **changes: Any) -> Case:
    return Case(what, "backtest recorded.yaml --data chain.parquet", words, chain(**changes))


def replaced(path: str, content: bytes) -> Make:
    def make(stock: Path) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content)

    return make


def cut(path: str, size: int) -> Callable[[Path], None]:
    return lambda stock: Path(path).write_bytes(Path(path).read_bytes()[:size]) and None


def then(*makes: Make) -> Make:
    def make(stock: Path) -> None:
        for one in makes:
            one(stock)

    return make


def copied(name: str) -> Make:
    return lambda stock: shutil.copytree(stock / name, name)


def removed(path: str) -> Make:
    return lambda stock: Path(path).unlink()


def altered_row(column: str, row: int, value: int) -> Make:
    """One value of the recording's first segment, written back as a sound Parquet file."""

    def make(stock: Path) -> None:
        path = Path("rec/000000.parquet")
        table = pq.read_table(path)
        values = table.column(column).to_pylist()
        values[row] = value
        pq.write_table(table.set_column(table.column_names.index(column), column, pa.array(values)), path)

    return make


def recording(what: str, make: Make, *words: str) -> Case:
    return Case(what, "backtest recorded.yaml --data rec", words, then(copied("rec"), make))


CSV = "when,ticker,b,a,vol\n2026-02-02 09:30:00,BTC-27MAR26-70000-C,0.10,0.11,0.5\n"
MAPPING = "columns: {symbol: ticker, ts_event: when, bid: b, ask: a}\n"


def vendor(what: str, csv: str, mapping: str, *words: str) -> Case:
    make = then(text("v.csv", csv), text("map.yaml", mapping))
    return Case(what, "import v.csv --mapping map.yaml --out out", words, make)


DATA = (
    Case("no such recording", "backtest recorded.yaml --data gone", ("gone does not exist", "Check the path")),
    Case("no such recording to check", "check data gone", ("gone does not exist", "Check the path")),
    Case("an empty folder", "check data void", ("void holds no .parquet file",), lambda stock: Path("void").mkdir()),
    Case("a file of no known format", "check data good.yaml", ("good.yaml is of no known format", "voldesk import")),
    Case("a text named .parquet", "check data x.parquet", ("no Parquet file", "PAR1"), text("x.parquet", "hello")),
    Case("a file of 0 bytes", "check data x.parquet", ("is empty (0 bytes)", "Copy it again"), text("x.parquet", "")),
    Case(
        "a truncated Parquet file",
        "backtest recorded.yaml --data chain.parquet",
        ("truncated", "at byte 700", "Copy it again"),
        then(chain(), cut("chain.parquet", 700)),
    ),
    Case(
        "one truncated file of two",
        "backtest recorded.yaml --data set",
        ("b.parquet is truncated", "allow_damaged=true"),
        then(chain("set/a.parquet"), chain("set/b.parquet"), cut("set/b.parquet", 700)),
    ),
    Case(
        "files of different columns",
        "backtest recorded.yaml --data set",
        ("b.parquet lacks column mark_iv",),
        then(chain("set/a.parquet"), chain("set/b.parquet", mark_iv=None)),
    ),
    Case(
        "files of different types",
        "backtest recorded.yaml --data set",
        ("files of set differ", "column mark_price is double in a.parquet, string in b.parquet"),
        then(chain("set/a.parquet"), chain("set/b.parquet", mark_price=pa.array(["x"] * ROWS))),
    ),
    Case(
        "other columns",
        "check data x.parquet",
        ("has columns a", "known formats", "voldesk import"),
        lambda stock: pq.write_table(pa.table({"a": [1]}), "x.parquet"),
    ),
    Case(
        "no rows",
        "check data x.parquet",
        ("holds no rows",),
        then(chain("x.parquet"), lambda stock: pq.write_table(pq.read_table("x.parquet").slice(0, 0), "x.parquet")),
    ),
    broken_chain("a column missing", "lacks column mark_price", mark_price=None),
    broken_chain("times as text", "column ts is string", "time zone UTC", ts=pa.array(["yesterday"] * ROWS)),
    broken_chain(
        "times without a zone",
        "column ts has no time zone",
        "tz='UTC'",
        ts=chain_columns()["ts"].cast(pa.timestamp("ms")),
    ),
    broken_chain("a time missing", "column ts has 1 nulls", "a time in every row", **at("ts", 5, None)),
    broken_chain("a symbol missing", "instrument_name has 1 nulls", **at("instrument_name", 5, None)),
    broken_chain(
        "prices as text", "column bid_price is string", "expected numbers", bid_price=pa.array(["0.1"] * ROWS)
    ),
    broken_chain("implied vols in percent", "50", "percent", "Divide by 100", mark_iv=pa.array([50.0, 50.0, 45.0] * 4)),
    broken_chain(
        "a coin that is not known",
        "FOO",
        "known here: BTC, ETH",
        instrument_name=pa.array(["FOO-1"] * ROWS),
        currency=pa.array(["FOO"] * ROWS),
    ),
    broken_chain(
        "no symbol that is known",
        "none of its 12 rows can be used",
        "unknown_instrument 12",
        instrument_name=pa.array(["FOO-1"] * ROWS),
    ),
    broken_chain(
        "every quote broken", "none of its 12 rows can be used", "crossed 12", bid_price=pa.array([0.9] * ROWS)
    ),
    Case(
        "not the configured underlying",
        "backtest recorded.yaml --data chain.parquet --set market.underlying=ETH",
        ("market.underlying='ETH'", "BTC"),
        chain(),
    ),
    Case(
        "a hedge instrument that is not listed",
        "backtest recorded.yaml --data chain.parquet --set books.0.strategies.0='{strategy: delta_hedger, underlying: BTC, hedge_instrument: BTC-PERP}'",
        ("BTC-PERP is not listed", "check its spelling"),
        chain(),
    ),
    Case(
        "no such daily prices",
        "backtest recorded.yaml --data chain.parquet --seed-prices gone",
        ("daily prices gone do not exist", "--seed-prices"),
        chain(),
    ),
    Case(
        "daily prices without the symbol",
        "backtest recorded.yaml --data rec --set forecast.seed_symbol=DOGE-USD",
        ("'DOGE-USD'", "holds BTC-USD"),
        copied("rec"),
    ),
    Case(
        "daily prices of another layout",
        "backtest recorded.yaml --data chain.parquet --seed-prices chain.parquet",
        ("chain.parquet lacks column symbol",),
        chain(),
    ),
    Case("gzip that is none", "check data x.json.gz", ("x.json.gz is no gzip file",), text("x.json.gz", "{}")),
    Case("JSON of something else", "check data x.json", ("x.json",), text("x.json", '{"a": 1}')),
    recording(
        "a recording's header damaged", cut("rec/recording.json", 99), "recording.json is damaged", "voldesk record"
    ),
    recording(
        "a recording of a later version",
        lambda stock: Path("rec/recording.json").write_text(
            Path("rec/recording.json").read_text().replace('"version": 1', '"version": 9')
        ),
        "version 9",
        "expected voldesk-blocks version 1",
    ),
    recording("a segment missing", removed("rec/000001.parquet"), "000001.parquet is missing", "allow_damaged=true"),
    recording(
        "a segment truncated", cut("rec/000001.parquet", 500), "its 500 bytes cannot be read", "allow_damaged=true"
    ),
    recording(
        "a segment without a column",
        lambda stock: pq.write_table(pq.read_table("rec/000001.parquet").drop_columns(["bid"]), "rec/000001.parquet"),
        "lacks columns of a recording",
    ),
    recording(
        "an instrument that is not listed",
        altered_row("instrument", 7, 99_999),
        "row 7",
        "names none of the",
        "Restore",
    ),
    recording("time going back", altered_row("ts_event_ns", 700, 5), "row 700", "goes back in time", "Restore"),
    recording(
        "a receipt before the event", altered_row("ts_recv_ns", 700, 5), "row 700", "before it happened", "Restore"
    ),
    Case("a recording into other things", "record good.yaml --out full --for 1m", ("full exists and is not empty",)),
    Case(
        "a vendor file that is not there",
        "import gone.csv --mapping map.yaml --out out",
        ("gone.csv is no file",),
        text("map.yaml", MAPPING),
    ),
    Case("no such mapping", "import v.csv --mapping gone.yaml --out out", ("gone.yaml", "no such")),
    vendor("a mapping that is a list", CSV, "- a\n", "expected a mapping", "got list"),
    vendor("a mapping without columns", CSV, "symbology: deribit\n", "'columns' is missing"),
    vendor(
        "an unknown mapping key", CSV, MAPPING + "symbolgy: okx\n", "'symbolgy'", "nearest known key is 'symbology'"
    ),
    vendor("an unknown field", CSV, MAPPING.replace("bid:", "bidd:"), "field bidd is unknown", "expected one of"),
    vendor("a mapping of the wrong type", CSV, MAPPING + "iv_percent: maybe\n", "iv_percent", "docs/recordings.md"),
    vendor(
        "a column that is not there", CSV, MAPPING.replace("bid: b", "bid: px"), "lacks column px", "found when, ticker"
    ),
    vendor(
        "vendor vols in percent",
        CSV.replace("0.5\n", "50\n"),
        MAPPING.replace("ask: a", "ask: a, mark_iv: vol"),
        "percent",
        "iv_percent",
    ),
    vendor("a snapshot gap without a unit", CSV, MAPPING + "snapshot_gap: 5\n", "snapshot_gap", "number with a unit"),
    vendor(
        "no row that can be used", CSV.replace("0.10,", "0.20,"), MAPPING, "none of its 1 rows can be used", "crossed 1"
    ),
)


def byte_changed(kind: RecordKind) -> Make:
    """One byte in the middle of the last record of a kind, its checksum where it holds nothing."""

    def make(stock: Path) -> None:
        path = Path("run/journal/000001.vdj")
        record = [record for record in read_journal(path.parent) if record.kind is kind][-1]
        data = bytearray(path.read_bytes())
        data[record.offset + (9 + len(record.payload) // 2 if record.payload else 5)] ^= 1
        path.write_bytes(data)

    return make


def last_bytes_lost(count: int) -> Make:
    def make(stock: Path) -> None:
        path = Path("run/journal/000001.vdj")
        path.write_bytes(path.read_bytes()[:-count])

    return make


def without_first_record(stock: Path) -> None:
    path = Path("run/journal/000001.vdj")
    data = path.read_bytes()
    path.write_bytes(data[9 + int.from_bytes(data[:4], "little") :])


def verified(what: str, make: Make, *words: str) -> Case:
    return Case(what, "replay run --verify", words, then(copied("run"), make))


def resumed(what: str, make: Make, *words: str) -> Case:
    return Case(what, "paper --resume desk --speed 0", words, then(copied("desk"), make))


def held(stock: Path) -> None:
    """Another desk holds the folder; the handle lives as long as the test."""
    import fcntl

    handle = Path("desk/desk.lock").open("w")  # noqa: SIM115 - held until the process ends
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    HELD.append(handle)


HELD: list[Any] = []
END_BYTES = 9

JOURNAL = (
    verified("a byte changed in the header", byte_changed(RecordKind.HEADER), "journal record 0", "byte 0"),
    verified("a byte changed in what the desk heard", byte_changed(RecordKind.INPUT), "journal record", "checksum"),
    verified("a byte changed in what the desk noted", byte_changed(RecordKind.FACT), "journal record", "checksum"),
    verified("a byte changed at the very end", byte_changed(RecordKind.END), "journal record", "checksum"),
    verified(
        "a closed journal cut short", last_bytes_lost(END_BYTES + 100), "cut short", "Restore the file from a copy"
    ),
    verified("the closing record missing", last_bytes_lost(END_BYTES), "END is missing", "paper --resume"),
    verified("an empty journal file", replaced("run/journal/000001.vdj", b""), "END is missing"),
    verified("the first record missing", without_first_record, "record 0", "expected HEADER"),
    verified("no journal file", removed("run/journal/000001.vdj"), "no journal segments"),
    verified("a recording that has moved", lambda stock: Path("run/source.json").unlink(), "pass --data PATH"),
    verified("notes of the run damaged", text("run/source.json", "{"), "source.json is damaged", "--data"),
    Case(
        "another recording to replay",
        "replay run --verify --data chain.parquet",
        ("chain.parquet: not the recording", "pass its own"),
        then(copied("run"), chain()),
    ),
    Case(
        "a journal file missing among several",
        "replay desk",
        ("000002.vdj is missing", "restore it"),
        then(copied("desk"), removed("desk/journal/000002.vdj")),
    ),
    resumed("a paper desk that was closed", lambda stock: None, "closed in good order", "start a new one"),
    resumed("a folder another desk runs on", held, "a desk is running", "another --out"),
    resumed("a paper journal with a byte changed", lambda stock: flip_last_segment(), "checksum does not match"),
    Case("a backtest to go on with", "paper --resume run", ("run", "closed in good order"), copied("run")),
    Case(
        "a killed backtest to go on with",
        "paper --resume run",
        ("a backtest, not a paper desk", "run it again"),
        then(copied("run"), last_bytes_lost(END_BYTES)),
    ),
)


def flip_last_segment() -> None:
    path = sorted(Path("desk/journal").glob("*.vdj"))[-1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


TABLES = {"Configuration": CONFIG, "Command line": COMMAND_LINE, "Data": DATA, "Journal": JOURNAL}
CASES = [case for cases in TABLES.values() for case in cases]
SEEN: dict[str, str] = {}


def run(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of a command line, through the real entry point."""
    monkeypatch.setattr(sys, "argv", ["voldesk", *shlex.split(line)])
    capsys.readouterr()
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    seen = capsys.readouterr()
    return int(code or 0) if isinstance(code, int | None) else 1, seen.out, seen.err


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good things to break: a recording `rec` in three segments, its backtest `run`, a closed paper desk `desk`."""
    from voldesk.adapters.feeds.daily_prices import write_daily
    from voldesk.app.commands.backtest import run_backtest
    from voldesk.app.commands.paper import run_paper
    from voldesk.app.config import load_config
    from voldesk.app.sources import open_market

    folder = tmp_path_factory.mktemp("stock")
    for name, content in (("good.yaml", GOOD), ("recorded.yaml", RECORDED)):
        (folder / name).write_text(content)
    market = open_market(load_config(folder / "good.yaml"), None)
    assert market.seed_days is not None
    with BlockWriter(folder / "rec", market.table, rows_per_segment=10_000) as writer:
        while (block := market.feeds[0].next_block()) is not None:
            writer.write(block)
    write_daily(folder / "rec" / "daily_prices", market.seed_days)
    assert len(list((folder / "rec").glob("*.parquet"))) == 3
    run_backtest(folder / "recorded.yaml", folder / "rec", None, folder / "run", (), None, False, True)
    often = ("engine.snapshot_every=1ms",)
    run_paper(folder / "good.yaml", None, None, folder / "desk", often, 0.0, "", None, True)
    return folder


@pytest.fixture
def here(stock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own working folder, so that messages name short paths."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delenv("VOLDESK_NO_SUCH", raising=False)
    for name in ("good.yaml", "recorded.yaml"):
        shutil.copy(stock / name, name)
    Path("full").mkdir()
    Path("full/x").touch()
    return stock


VARYING = (
    (r"record \d+ \(\d{6}\.vdj, byte \d+\)", "record N (SEGMENT.vdj, byte N)"),
    (r"record \d+:", "record N:"),
    (r"\d+ whole rows", "N whole rows"),
    (r"byte \d+ of \d+", "byte N of N"),
    (r"its \d+ rows are", "its N rows are"),
    (r"\d+ instruments listed", "N instruments listed"),
)
"""Places in files whose length depends on versions and machine."""


def code_cell(text: str) -> str:
    for pattern, name in VARYING:
        text = re.sub(pattern, name, text.strip())
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}".replace("|", "\\|")


def row(case: Case, error: str) -> str:
    return f"| {case.what} | {code_cell(f'voldesk {case.line}')} | {code_cell(error.removeprefix('voldesk: '))} |"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_a_broken_input_is_refused_in_one_line(
    case: Case, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if case.make is not None:
        case.make(here)
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    code, out, error = run(case.line, monkeypatch, capsys)
    assert code == 2, error
    assert error.startswith("voldesk: ")
    assert error.count("\n") == 1, error
    assert out == ""
    assert "Traceback" not in error
    assert len(error) < 600
    missing = [word for word in case.words if word not in error]
    assert not missing, f"{error!r} lacks {missing}"
    kept = {path: path.read_bytes() for path in before if path.name != "desk.lock"}
    assert kept == {path: content for path, content in before.items() if path.name != "desk.lock"}
    SEEN[case.what] = error
    if "VOLDESK_WRITE_DOCS" not in os.environ:
        assert row(case, error) in PAGE.read_text(encoding="utf-8"), "docs/bad_input.md says otherwise; write it anew"


@dataclass(frozen=True)
class Kept:
    """A recording partly broken: what `voldesk check data` still reads, what it quarantines, what it says is lost."""

    what: str
    path: str
    make: Make
    rows: int | Callable[[Path], int]
    code: int = 0
    quarantined: dict[str, int] | None = None
    repaired: dict[str, int] | None = None
    damage: tuple[str, ...] = ()


def one(what: str, reason: str, **values: Any) -> Kept:
    """One row of the chain broken."""
    changes: dict[str, Any] = {}
    for column, value in values.items():
        changes |= at(column, 3, value)
    return Kept(what, "chain.parquet", chain(**changes), ROWS, quarantined={reason: 1})


def repaired(what: str, reason: str, **values: Any) -> Kept:
    changes: dict[str, Any] = {}
    for column, value in values.items():
        changes |= at(column, 3, value)
    return Kept(what, "chain.parquet", chain(**changes), ROWS, repaired={reason: 1})


def imported(what: str, rows: str, reason: str, kept: int) -> Kept:
    """Rows of a vendor's file beside one that is good."""

    def make(stock: Path) -> None:
        head = "recv,when,ticker,b,a\n2026-02-02 09:30:00,2026-02-02 09:30:00,BTC-27MAR26-70000-C,0.10,0.11\n"
        Path("v.csv").write_text(head + rows)
        Path("map.yaml").write_text("columns: {symbol: ticker, ts_event: when, ts_recv: recv, bid: b, ask: a}\n")

    return Kept(what, "v.csv", make, kept, quarantined={reason: 1})


def killed_recorder(stock: Path) -> None:
    """The last segment still open and broken off in the middle of a batch."""
    reader = BlockReader(stock / "rec")
    writer = BlockWriter(Path("rec"), reader.table())
    feed = ColumnFeed(0, *reader.read(), rows_per_block=2_000)
    for _ in range(3):
        block = feed.next_block()
        assert block is not None
        writer.write(block)
    path = Path("rec/000000.arrows")
    path.write_bytes(path.read_bytes()[:-5_000])


def whole_groups(stock: Path) -> int:
    """Rows of the first 4,000 up to the last end of a group."""
    ints = BlockReader(stock / "rec").read()[0]
    return int(np.flatnonzero(ints[IntColumn.FLAGS, :4_000] & int(RowFlag.GROUP_END))[-1]) + 1


def first_two_segments(stock: Path) -> int:
    return sum(rows for _, rows in BlockReader(stock / "rec").segments[:2])


KEPT = (
    one("a crossed quote", "crossed", bid_price=0.12),
    one("a negative bid", "negative", bid_price=-0.1),
    one("an ask of zero", "zero_ask", ask_price=0.0),
    one("a bid that is NaN", "not_finite", bid_price=float("nan")),
    one("an infinite ask", "not_finite", ask_price=float("inf")),
    one("an ask below what the option is worth", "ask_below_intrinsic", bid_price=0.001, ask_price=0.002),
    Kept(
        "an unknown symbol",
        "chain.parquet",
        chain(**at("instrument_name", 3, "BTC-WHAT")),
        ROWS,
        1,
        {"unknown_instrument": 1},
        damage=("instrument=BTC-WHAT is no Deribit symbol",),
    ),
    one("a quote after expiry", "expired", instrument_name="BTC-1FEB26-70000-C"),
    one("a symbol twice in one snapshot", "duplicate", instrument_name="BTC-27MAR26-70000-P"),
    repaired("an implied vol beyond belief", "iv_range", mark_iv=90.0),
    repaired("a mark below what the option is worth", "below_intrinsic", mark_price=0.01),
    imported(
        "a quote out of order",
        "2026-02-02 09:31:00,2026-02-01 09:31:00,BTC-27MAR26-70000-P,0.03,0.04\n",
        "out_of_order",
        1,
    ),
    Kept(
        "one truncated file of two",
        "set",
        then(chain("set/a.parquet"), chain("set/b.parquet"), cut("set/b.parquet", 700)),
        ROWS,
        1,
        damage=("b.parquet is truncated: its footer is missing at byte 700",),
    ),
    Kept(
        "a recorder killed in mid-write",
        "rec",
        killed_recorder,
        whole_groups,
        1,
        damage=(
            "000000.arrows is cut off: 4000 rows read, the rest from byte",
            "the last group is incomplete: its 164 rows are left out",
        ),
    ),
    Kept(
        "a segment truncated",
        "rec",
        then(copied("rec"), cut("rec/000002.parquet", 500)),
        first_two_segments,
        1,
        damage=("000002.parquet is truncated or damaged: its 500 bytes cannot be read",),
    ),
)


def kept_row(case: Kept, found: str) -> str:
    return f"| {case.what} | {code_cell(found)} |"


@pytest.mark.parametrize("case", KEPT, ids=lambda case: case.what)
def test_what_is_good_of_a_broken_recording_is_kept_and_the_rest_is_counted(
    case: Kept, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case.make(here)
    if case.path.endswith(".csv"):
        code, out, error = run(f"import {case.path} --mapping map.yaml --out out --json", monkeypatch, capsys)
    else:
        code, out, error = run(f"check data {case.path} --json", monkeypatch, capsys)
    assert (code, error) == (case.code, "")
    found = json.loads(out)
    rows = case.rows if isinstance(case.rows, int) else case.rows(here)
    assert found["rows" if case.path.endswith(".csv") else "quotes"] == rows
    assert found["quarantined"] == (case.quarantined or {})
    assert found["repaired"] == (case.repaired or {})
    damage = found.get("damage", [])
    assert len(damage) == len(case.damage)
    assert all(line.startswith(words) for line, words in zip(damage, case.damage, strict=True)), damage
    counts = [f"{name} {count}" for part in ("quarantined", "repaired") for name, count in found[part].items()]
    SEEN[f"kept: {case.what}"] = kept_row(case, ", ".join([*counts, *damage]))
    if "VOLDESK_WRITE_DOCS" not in os.environ:
        assert SEEN[f"kept: {case.what}"] in PAGE.read_text(encoding="utf-8"), "write docs/bad_input.md anew"


@pytest.mark.parametrize(
    ("make", "more"),
    [
        (killed_recorder, ""),
        (then(copied("rec"), cut("rec/000002.parquet", 500)), "--set market.allow_damaged=true"),
    ],
    ids=["a recorder killed in mid-write", "a segment truncated, the rest allowed"],
)
def test_a_backtest_replays_what_is_whole_and_says_what_is_not(
    make: Make, more: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make(here)
    line = f"backtest recorded.yaml --data rec --out out --no-report --json {more}"
    code, out, error = run(line, monkeypatch, capsys)
    assert (code, error) == (0, "")
    assert json.loads(out)["quotes"] in (whole_groups(here), first_two_segments(here))
    lacks = json.loads(Path("out/summary.json").read_text())["lacks"]
    assert any("cut off" in note or "truncated" in note for note in lacks), lacks
    assert run("replay out --verify --json", monkeypatch, capsys)[0] == 0


def test_the_page_holds_this_table_and_nothing_else() -> None:
    if "VOLDESK_WRITE_DOCS" in os.environ:
        PAGE.write_text(page(), encoding="utf-8")
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    headings = 2 * len(TABLES) + 2
    assert len(rows) - headings == len(CASES) + len(KEPT)
    assert len(CASES) >= 45
    assert len({case.what for case in CASES}) == len(CASES), "two cases of one name"


HEAD = """\
# Bad input

Whatever is wrong with an input, the desk says so in one line on standard error (the value, what was expected or how to
mend it, after `voldesk: `), exits with code 2 and leaves every file as it was. The lines below are what it prints: the test
`tests/app/test_bad_input.py` breaks each input, runs the command and compares with this page.
"""
KEPT_HEAD = """
## What is good is kept

`voldesk check data` on recordings of which a part is broken: what was quarantined (never traded on) or
repaired (valuation columns only), and what is lost, by file and byte. It exits with 1 where something is lost or refused.
A backtest says the same under `quarantined`, `repaired` and `lacks`. A hole in a recording stops it until
`market.allow_damaged` is set; the torn end that a killed recorder leaves does not.

| broken | found |
| --- | --- |
"""


def page() -> str:
    parts = [HEAD]
    for title, cases in TABLES.items():
        parts.append(f"\n## {title}\n\n| broken | command | what it says |\n| --- | --- | --- |\n")
        parts += [row(case, SEEN[case.what]) + "\n" for case in cases]
    parts.append(KEPT_HEAD)
    parts += [SEEN[f"kept: {case.what}"] + "\n" for case in KEPT]
    return "".join(parts)

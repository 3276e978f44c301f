"""Reader of raw Deribit answers (deribit_raw_api): WebSocket recordings (book, ticker, quote, trades) and REST replies.

A WebSocket recording is one JSON object per line, {"recv_ts": epoch seconds, "dir", "msg"}; each message is a group
of its own, receive times as recorded. Books are rebuilt from snapshot and changes; a change whose `prev_change_id`
does not follow on takes the book away until the next snapshot. Vols are percent and become decimals, amounts become
contracts. REST book summaries hold no sizes. A file cut off in the middle gives what was whole; `damage` names where.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from voldesk.adapters.feeds.recording import Recording, Replay, RowSet, assemble, source_file
from voldesk.core.blocks import TICKER_WIDTH, FloatColumn, RowFlag
from voldesk.core.errors import InputError, MarketDataError
from voldesk.core.units import NS_PER_MS, NS_PER_SECOND, VOL_POINTS_PER_UNIT
from voldesk.instruments.deribit import from_api, parse
from voldesk.instruments.spec import Instrument
from voldesk.instruments.table import InstrumentTable

FORMAT: Final = "deribit_raw"
_QUOTE: Final = int(RowFlag.QUOTE)
_TICKER: Final = int(RowFlag.QUOTE | RowFlag.MARK)
_TRADE: Final = int(RowFlag.TRADE)
_NAN: Final = float("nan")


def read_text(path: Path) -> tuple[str, tuple[str, ...]]:
    """A .gz or plain text file as far as it is whole, and the damage in words."""
    raw = path.read_bytes()
    if path.suffix != ".gz":
        return raw.decode("utf-8", "replace"), ()
    if raw[:2] != b"\x1f\x8b":
        raise MarketDataError(f"{path.name} is no gzip file; expected gzip JSON. Check the path.")
    unpack = zlib.decompressobj(wbits=31)
    text = bytearray()
    try:
        for start in range(0, len(raw), 4096):
            text += unpack.decompress(raw[start : start + 4096])
    except zlib.error:
        return text.decode("utf-8", "replace"), (
            f"{path.name} is damaged after {len(text)} unpacked bytes; the rest is lost.",
        )
    if not unpack.eof:
        return text.decode("utf-8", "replace"), (
            f"{path.name} is truncated at byte {len(raw)}; {len(text)} unpacked bytes were read.",
        )
    return text.decode("utf-8", "replace"), ()


def read_instruments(path: Path) -> list[Instrument]:
    """The exact terms in get_instruments answers: a REST reply or a recording of replies. Combos are left out."""
    found = []
    for message in _json_lines(path)[0]:
        body = message.get("msg", message)
        result = body.get("result") if isinstance(body, dict) else None
        for entry in result if isinstance(result, list) else ():
            if isinstance(entry, dict) and "contract_size" in entry:
                try:
                    found.append(from_api(entry))
                except InputError:
                    continue
    return found


def _json_lines(path: Path) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """The whole JSON objects of a file: one per line, or one in all; and the damage in words."""
    text, damage = read_text(path)
    try:
        whole = json.loads(text)
        return ([whole] if isinstance(whole, dict) else []), damage
    except json.JSONDecodeError:
        pass
    found, offset = [], 0
    for line in text.splitlines(keepends=True):
        try:
            entry = json.loads(line) if line.strip() else None
            if isinstance(entry, dict):
                found.append(entry)
        except json.JSONDecodeError:
            damage = (
                *damage,
                f"{path.name}: no whole JSON object at unpacked byte {offset} ({len(line)} bytes left out).",
            )
        offset += len(line.encode())
    return found, damage


@dataclass(slots=True)
class _Rows:
    """Rows in the making, as lists: raw recordings are small."""

    symbols: dict[str, int] = field(default_factory=dict)
    event_ns: list[int] = field(default_factory=list)
    recv_ns: list[int] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    group: list[int] = field(default_factory=list)
    values: list[list[float]] = field(default_factory=list)
    origin: list[int] = field(default_factory=list)

    def add(self, origin: int, event_ns: int, recv_ns: int, symbol: str, flags: int, values: list[float]) -> None:
        self.event_ns.append(event_ns)
        self.recv_ns.append(recv_ns)
        self.codes.append(self.symbols.setdefault(symbol, len(self.symbols)))
        self.flags.append(flags)
        self.group.append(origin + 1)
        self.values.append(values + [_NAN] * (TICKER_WIDTH - len(values)))
        self.origin.append(origin)

    def row_set(self) -> RowSet:
        count = len(self.codes)
        return RowSet(
            ts_event_ns=np.array(self.event_ns, np.int64),
            ts_recv_ns=np.array(self.recv_ns, np.int64),
            codes=np.array(self.codes, np.int64),
            symbols=list(self.symbols),
            flags=np.array(self.flags, np.int64),
            group=np.array(self.group, np.int64),
            floats=np.ascontiguousarray(np.array(self.values).reshape(count, TICKER_WIDTH).T),
            origin=np.array(self.origin, np.int64),
            given_nan=np.zeros(count, np.bool_),
        )


class OrderBook:
    """Best quotes from Deribit book messages: levels [action, price, amount], keyed by price."""

    def __init__(self) -> None:
        self._sides: dict[str, dict[float, float]] = {"bids": {}, "asks": {}}
        self._change_id: int | None = None

    def apply(self, data: dict[str, Any]) -> list[float]:
        """(bid, size, ask, size) after the message; NaN without a side, or when a change was missed."""
        if data.get("type", "snapshot") == "snapshot":
            self._sides = {"bids": {}, "asks": {}}
        elif self._change_id is None or data.get("prev_change_id") != self._change_id:
            self._change_id = None
            return [_NAN] * 4
        self._change_id = data.get("change_id")
        for name, side in self._sides.items():
            for action, price, amount in data.get(name, ()):
                if action == "delete":
                    side.pop(float(price), None)
                else:
                    side[float(price)] = float(amount)
        bid = max(self._sides["bids"], default=_NAN)
        ask = min(self._sides["asks"], default=_NAN)
        return [bid, self._sides["bids"].get(bid, _NAN), ask, self._sides["asks"].get(ask, _NAN)]


def _number(data: dict[str, Any], name: str) -> float:
    value = data.get(name)
    return _NAN if value is None else float(value)


def _side(data: dict[str, Any], price: str, amount: str, size: float) -> list[float]:
    """Deribit writes 0.0 for the price and amount of a side on which nothing stands."""
    quoted, stands = _number(data, price), _number(data, amount)
    return [_NAN, _NAN] if stands == 0.0 and quoted == 0.0 else [quoted, stands / size]


def ticker_values(data: dict[str, Any], contract: Instrument) -> list[float]:
    """The nine Block columns of a ticker message; `contract` gives the amount of one contract."""
    size = float(contract.multiplier)
    mark = _number(data, "mark_price")
    return [
        *_side(data, "best_bid_price", "best_bid_amount", size),
        *_side(data, "best_ask_price", "best_ask_amount", size),
        mark,
        _number(data, "mark_iv") / VOL_POINTS_PER_UNIT,
        _number(data, "underlying_price") if contract.is_option else mark,
        _number(data, "index_price"),
        _number(data, "open_interest") / size,
    ]


class MessageReader:
    """Turns subscription messages into rows; also what a live adapter feeds its messages to."""

    def __init__(self, terms: Callable[[str], Instrument] = parse) -> None:
        self._terms = terms
        self._books: dict[str, OrderBook] = {}

    def rows(self, params: dict[str, Any]) -> Iterator[tuple[int, str, int, list[float]]]:
        """(event time ns, symbol, flags, columns) of one message's `params`; nothing for channels not understood."""
        channel, data = str(params.get("channel", "")), params.get("data")
        kind = channel.split(".")[0]
        if kind == "trades":
            for trade in data if isinstance(data, list) else ():
                side = 1.0 if trade["direction"] == "buy" else -1.0
                size = side * float(trade["amount"]) / self._size(trade["instrument_name"])
                yield (
                    int(trade["timestamp"]) * NS_PER_MS,
                    trade["instrument_name"],
                    _TRADE,
                    [float(trade["price"]), size],
                )
            return
        if kind not in ("book", "ticker", "quote") or not isinstance(data, dict):
            return
        symbol, event_ns = str(data["instrument_name"]), int(data["timestamp"]) * NS_PER_MS
        if kind == "ticker":
            yield event_ns, symbol, _TICKER, ticker_values(data, self._terms(symbol))
            return
        size = self._size(symbol)
        if kind == "quote":
            bid = _side(data, "best_bid_price", "best_bid_amount", size)
            yield event_ns, symbol, _QUOTE, [*bid, *_side(data, "best_ask_price", "best_ask_amount", size)]
        else:
            best = self._books.setdefault(symbol, OrderBook()).apply(data)
            yield event_ns, symbol, _QUOTE, [best[0], best[1] / size, best[2], best[3] / size]

    def _size(self, symbol: str) -> float:
        return float(self._terms(symbol).multiplier)


def _from_messages(messages: list[dict[str, Any]], terms: Callable[[str], Instrument]) -> tuple[_Rows, list[str]]:
    reader, rows, skipped = MessageReader(terms), _Rows(), []
    for origin, message in enumerate(messages):
        body = message.get("msg")
        if message.get("dir") != "in" or not isinstance(body, dict) or body.get("method") != "subscription":
            continue
        recv_ns = round(float(message["recv_ts"]) * 1e6) * 1_000
        try:
            for event_ns, symbol, flags, values in reader.rows(body.get("params", {})):
                rows.add(origin, event_ns, recv_ns, symbol, flags, values)
        except (KeyError, TypeError, ValueError, InputError) as error:
            skipped.append(f"message {origin} left out: {type(error).__name__} {error}")
    return rows, skipped


def _from_summary(result: list[dict[str, Any]], terms: Callable[[str], Instrument], assumed_size: float) -> _Rows:
    rows = _Rows()
    for origin, entry in enumerate(result):
        if "mark_price" not in entry or "instrument_name" not in entry:
            continue
        symbol = str(entry["instrument_name"])
        values = ticker_values(entry, terms(symbol))
        if "best_bid_price" not in entry:
            # A summary: best prices under other names, no sizes, and the index as the delivery price expected now.
            bid, ask = _number(entry, "bid_price"), _number(entry, "ask_price")
            sizes = [_NAN if np.isnan(side) else assumed_size for side in (bid, ask)]
            values[:4] = [bid, sizes[0], ask, sizes[1]]
            values[FloatColumn.INDEX] = _number(entry, "estimated_delivery_price")
        event_ns = int(entry.get("creation_timestamp", entry.get("timestamp", 0))) * NS_PER_MS
        rows.add(origin, event_ns, event_ns, symbol, _TICKER, values)
    newest = max(rows.event_ns, default=0)
    rows.event_ns, rows.recv_ns = [newest] * len(rows.codes), [newest] * len(rows.codes)
    rows.group = [1] * len(rows.codes)
    return rows


def open_raw(
    path: Path,
    table: InstrumentTable | None = None,
    replay: Replay | None = None,
    assumed_size: float = 10.0,
    instruments: Sequence[Instrument] = (),
) -> Recording:
    """Open a raw file: a WebSocket recording, or a REST reply of get_book_summary_by_currency or ticker.

    instruments: exact terms (`read_instruments`) for symbols whose terms differ from today's.
    """
    if not path.is_file():
        raise MarketDataError(f"{path} is no file; expected one raw recording (.jsonl.gz or .json.gz).")
    exact = {i.symbol: i for i in instruments}

    def terms(symbol: str) -> Instrument:
        return exact.get(symbol) or parse(symbol)

    messages, damage = _json_lines(path)
    body = messages[0].get("result") if len(messages) == 1 else None
    if body is not None:
        rows = _from_summary(body if isinstance(body, list) else [body], terms, assumed_size)
        lacks = [f"summaries hold no sizes: {assumed_size:g} contracts assumed", "no receive times: event time"]
    else:
        rows, skipped = _from_messages(messages, terms)
        damage = (*damage, *skipped)
        lacks = [f"{len(messages)} messages over {_span(rows):.0f} s; whatever was not subscribed to"]
    if not rows.codes:
        raise MarketDataError(
            f"{path.name} holds no market rows; expected book, ticker, quote or trade messages or a book summary."
        )
    return assemble(
        FORMAT,
        rows.row_set(),
        (source_file(path, len(messages) if body is None else len(rows.codes)),),
        tuple(lacks),
        terms,
        table,
        replay,
        whole_snapshots=body is not None,
        damage=damage,
    )


def _span(rows: _Rows) -> float:
    return (rows.recv_ns[-1] - rows.recv_ns[0]) / NS_PER_SECOND if rows.recv_ns else 0.0

"""The stream that all engines of the benchmark run over: a seeded option market, one row per quote.

What is in it: coin-settled BTC options (5 expiries, strikes 80,000 .. 100,000) and the perpetual. The index is a
geometric Brownian motion of 50 % a year; options are Black prices on a fixed smile around it, put on the venue's grid.
First one snapshot of the whole chain, then lone rows: event times uniform over the period, the desk hears of each
2 ms later; one row in ten is the perpetual's, the rest fall evenly on the options.

Every row is what Deribit's ticker channel sends: bid, ask and sizes, and with them mark, mark IV, forward and index,
so that a desk can value its options from the row itself. Peers get bid, ask and sizes only, and the same smile as a
table of one implied vol per option.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.blocks import TICKER_WIDTH, FloatColumn, IntColumn, RowFlag
from voldesk.core.rng import random_stream
from voldesk.core.units import NS_PER_MS, NS_PER_SECOND, NS_PER_YEAR
from voldesk.instruments import deribit
from voldesk.instruments.table import InstrumentTable
from voldesk.pricing import black

START_NS = 1_767_571_200_000_000_000  # 2026-01-05 00:00 UTC, a Monday
EXPIRIES = ("16JAN26", "23JAN26", "30JAN26", "27FEB26", "27MAR26")
INDEX = 90_000.0
FEED_DELAY_NS = 2 * NS_PER_MS
INDEX_VOL = 0.5


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """options: a multiple of 10. rows: quotes after the first snapshot."""

    options: int = 200
    rows: int = 1_000_000
    seconds: int = 5_000
    seed: int = 7

    @classmethod
    def of_rows(cls, rows: int, options: int = 200) -> StreamSettings:
        """200 rows a second, whatever the length."""
        return cls(options, rows, max(rows // 200, 1))

    @property
    def key(self) -> str:
        return "-".join(f"{name}{value}" for name, value in asdict(self).items())


@dataclass(frozen=True, slots=True)
class Stream:
    """Options first, the perpetual last in the table. ints (5, n), floats (9, n) as in core.blocks.

    implied_vol: of each instrument, decimal per year, NaN for the perpetual; held fixed over the stream.
    """

    settings: StreamSettings
    table: InstrumentTable
    ints: IntArray
    floats: FloatArray
    implied_vol: FloatArray


def list_chain(options: int) -> InstrumentTable:
    """Calls and puts of five expiries, strikes evenly from 80,000 up, and the perpetual."""
    if options % 10 or options <= 0:
        raise SystemExit(f"options={options}; expected a multiple of 10 (5 expiries, a call and a put a strike).")
    strikes = options // 10
    table = InstrumentTable()
    for expiry in EXPIRIES:
        for place in range(strikes):
            strike = 80_000 + 20_000 * place // strikes
            for right in "CP":
                table.add(deribit.parse(f"BTC-{expiry}-{strike}-{right}"))
    table.add(deribit.parse("BTC-PERPETUAL"))
    return table


def smile(table: InstrumentTable) -> FloatArray:
    """Implied vol of each option at the first index, to four decimals as venues publish it."""
    strike = np.where(table.strike > 0.0, table.strike, np.nan)
    k = np.log(strike / INDEX)
    return np.round(INDEX_VOL - 0.1 * k + 0.3 * k * k, 4)


def make(settings: StreamSettings) -> Stream:
    """The same stream for the same settings."""
    table = list_chain(settings.options)
    chance = random_stream(settings.seed, "engine-benchmark")
    perpetual, n, whole = settings.options, settings.rows, settings.options + 1
    span_ns = settings.seconds * NS_PER_SECOND

    event = np.sort(chance.integers(NS_PER_MS, span_ns, n)) + START_NS
    instrument = chance.integers(0, settings.options, n)
    instrument[chance.random(n) < 0.1] = perpetual
    step = np.diff(event, prepend=START_NS) / NS_PER_YEAR
    index = INDEX * np.exp(np.cumsum(INDEX_VOL * np.sqrt(step) * chance.standard_normal(n)))

    ints = np.empty((5, whole + n), np.int64)
    ints[IntColumn.TS_EVENT_NS] = np.concatenate([np.full(whole, START_NS), event])
    ints[IntColumn.TS_RECV_NS] = ints[IntColumn.TS_EVENT_NS] + FEED_DELAY_NS
    ints[IntColumn.INSTRUMENT] = np.concatenate([np.arange(whole), instrument])
    ints[IntColumn.FLAGS] = RowFlag.QUOTE | RowFlag.MARK | RowFlag.GROUP_END
    ints[IntColumn.FLAGS, : whole - 1] &= ~int(RowFlag.GROUP_END)
    ints[IntColumn.FLAGS, whole - 1] |= RowFlag.SNAPSHOT
    ints[IntColumn.GROUP] = np.concatenate([np.ones(whole, np.int64), np.arange(2, n + 2)])
    floats = _prices(table, ints, np.concatenate([np.full(whole, INDEX), index]), chance)
    return Stream(settings, table, ints, floats, smile(table))


def _prices(table: InstrumentTable, ints: IntArray, index: FloatArray, chance: np.random.Generator) -> FloatArray:
    ids = ints[IntColumn.INSTRUMENT]
    perpetual = ids == len(table) - 1
    index = np.round(index, 2)
    vol = smile(table)[ids]
    tau = (table.expiry_ns[ids] - ints[IntColumn.TS_EVENT_NS]) / NS_PER_YEAR
    safe = np.where(perpetual, 1.0, tau)
    coin = black.price(index, table.strike[ids], safe, np.where(perpetual, 1.0, vol), 1.0, table.is_call[ids]) / index
    # Half a spread of 1.5 % of the premium, on the grid: steps of 0.0001 below 0.005, of 0.0005 above.
    bid = _on_grid(coin * 0.985, up=False)
    ask = np.maximum(_on_grid(coin * 1.015, up=True), bid + 1)
    floats = np.full((TICKER_WIDTH, ids.size), np.nan)
    floats[FloatColumn.BID] = np.where(perpetual, np.floor(index * 2.0) / 2.0 - 0.5, bid / 10_000)
    floats[FloatColumn.ASK] = np.where(perpetual, np.floor(index * 2.0) / 2.0 + 0.5, ask / 10_000)
    for column in (FloatColumn.BID_SIZE, FloatColumn.ASK_SIZE):
        lots = chance.integers(10, 500, ids.size)
        floats[column] = np.where(perpetual, lots * 100.0, lots / 10)
    floats[FloatColumn.MARK] = np.where(perpetual, index, np.round(coin, 6))
    floats[FloatColumn.MARK_IV] = vol
    floats[FloatColumn.FORWARD] = index
    floats[FloatColumn.INDEX] = index
    return floats


def _on_grid(coin: FloatArray, up: bool) -> FloatArray:
    """Whole steps of 0.0001, at least one."""
    step = np.where(coin >= 0.005, 5.0, 1.0)
    units = coin * 10_000 / step
    return np.asarray(np.maximum((np.ceil(units) if up else np.floor(units)) * step, 1.0))


def write_for_peers(stream: Stream, folder: Path) -> Path:
    """`listing.json` and one .npy per column, for programs that know nothing of this package."""
    where = folder / stream.settings.key
    if (where / "listing.json").exists():
        return where
    where.mkdir(parents=True, exist_ok=True)
    columns = {
        "instrument": stream.ints[IntColumn.INSTRUMENT],
        "ts_event_ns": stream.ints[IntColumn.TS_EVENT_NS],
        "ts_recv_ns": stream.ints[IntColumn.TS_RECV_NS],
    }
    columns |= {name.lower(): stream.floats[FloatColumn[name]] for name in ("BID", "BID_SIZE", "ASK", "ASK_SIZE")}
    for name, column in columns.items():
        np.save(where / f"{name}.npy", column)
    listing = [
        {
            "symbol": item.symbol,
            "is_option": item.is_option,
            "expiry_ns": item.expiry_ns,
            "strike": float(item.strike),
            "is_call": item.is_call,
            "implied_vol": float(vol) if item.is_option else None,
        }
        for item, vol in zip(stream.table, stream.implied_vol, strict=True)
    ]
    (where / "listing.json").write_text(json.dumps({"settings": asdict(stream.settings), "instruments": listing}))
    return where

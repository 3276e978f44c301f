"""One snapshot of an option chain from a file, whoever wrote it: Deribit or OKX chains, US quotes, or plain columns.

For `voldesk surface fit` and notebooks; runs read whole recordings instead (`detect.py`). What a column is called is
looked up in `ALIASES`; what a market means (coin premium, expiry instant, early exercise) follows from its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from voldesk.adapters.feeds.parquet_columns import floats_of, parquet_files, read_schema, symbols_of, times_ns
from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.errors import MarketDataError
from voldesk.core.units import NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND, NS_PER_YEAR
from voldesk.instruments.calendars import NEW_YORK, date_of, expiry_instant_ns, instant_ns, us_close
from voldesk.surface.de_american import AmericanQuotes, de_americanised
from voldesk.surface.fit import ChainQuotes
from voldesk.surface.forward import parity_forwards

ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "time": ("ts", "timestamp", "bar_start", "date"),
    "trade_date": ("trade_date",),
    "expiry": ("expiry", "expiration_timestamp", "expiry_date", "expiration"),
    "strike": ("strike",),
    "type": ("option_type", "type", "right"),
    "bid": ("bid_price", "best_bid_price", "bid"),
    "ask": ("ask_price", "best_ask_price", "ask"),
    "mark": ("mark_price", "mark"),
    "iv": ("mark_iv", "iv", "iv_src"),
    "forward": ("forward",),
    "spot": ("index_price", "spot", "underlying_close"),
    "underlying_price": ("underlying_price",),
    "underlying": ("underlying", "currency", "underlying_symbol"),
    "symbol": ("instrument_name", "instrument", "contract"),
    "venue": ("exchange", "venue"),
}
_NEEDED: Final = ("time", "expiry", "strike", "type", "bid", "ask")
_APART_NS: Final = 5 * NS_PER_MINUTE  # rows of one snapshot are read within minutes of each other
_AM_SETTLED: Final = frozenset({"SPX", "NDX", "RUT", "VIX", "DJX"})  # expire on the morning's opening prices
_EUROPEAN_US: Final = frozenset({"SPX", "SPXW", "NDX", "NDXP", "RUT", "RUTW", "VIX", "XSP", "DJX"})


@dataclass(frozen=True, slots=True)
class ChainSnapshot:
    """Options of one underlying at one instant, columns of shape (n,).

    bid, ask, mark: premiums, in coin where `coin`, NaN where none stood; forward: per row as the venue gave it, else
    NaN; iv: as published, decimal. american: may be exercised early. spot: index or price of the underlying, NaN if
    not recorded.
    """

    underlying: str
    venue: str
    asof_ns: int
    coin: bool
    american: bool
    spot: float
    expiry_ns: IntArray
    strike: FloatArray
    is_call: BoolArray
    bid: FloatArray
    ask: FloatArray
    mark: FloatArray
    forward: FloatArray
    iv: FloatArray

    def quotes(self, rate: float | None = None) -> ChainQuotes:
        """As `fit_surface` takes them: forwards as given, else by put-call parity, American ones de-Americanised.

        rate: continuous and flat, for discounting; None takes parity's own discount. Ignored for coin premiums.
        Raises MarketDataError for American options without a rate or spot: parity tells neither of them.
        """
        if self.american:
            if rate is None:
                raise MarketDataError(
                    f"{self.underlying} options are American: parity gives no discount; name the rate, such as 0.04."
                )
            if not self.spot > 0.0:
                raise MarketDataError(f"{self.underlying} has no recorded spot; early exercise cannot be valued.")
            sides = (self.expiry_ns, self.strike, self.is_call, self.bid, self.ask)
            return de_americanised(AmericanQuotes(*sides, self.spot, rate), self.asof_ns)
        tau = (self.expiry_ns - self.asof_ns) / NS_PER_YEAR
        forward, discount = self.forward, np.ones(tau.shape)
        if not self.coin and rate is not None:
            discount = np.exp(-rate * tau)
        if np.any(np.isnan(forward)):
            fixed = 1.0 if self.coin else None
            found = parity_forwards(self.expiry_ns, self.strike, self.is_call, self.bid, self.ask, self.coin, fixed)
            at = np.searchsorted(found.expiry_ns, self.expiry_ns)
            forward = found.forward[at]
            if not self.coin and rate is None:
                discount = found.discount[at]
        return ChainQuotes(
            expiry_ns=self.expiry_ns,
            tau=tau,
            strike=self.strike,
            is_call=self.is_call,
            bid=self.bid,
            ask=self.ask,
            mark=self.mark,
            forward=forward,
            coin=self.coin,
            discount=discount,
        )


def read_chain(path: Path | str, at: str = "", underlying: str = "", venue: str = "") -> ChainSnapshot:
    """The snapshot nearest to `at` (ISO time, UTC unless it says otherwise; the last one when empty).

    underlying: needed when the file holds several. venue: deribit, okx, us or cffex, needed for plain columns only.
    Raises MarketDataError naming what is missing or ambiguous.
    """
    place = Path(path)
    table = _read(place)
    names = _resolve(table, place.name)
    market = venue or _venue_of(table, names, place.name)
    codes, underlyings = _underlyings(table, names)
    chosen = _choose(underlying, underlyings, place.name)
    when = _times(table, names, market)
    rows = np.flatnonzero(codes == chosen)
    if rows.size == 0:
        raise MarketDataError(f"{place.name} holds no rows of {underlyings[chosen]}; choose another underlying.")
    rows = rows[_snapshot_rows(when[rows], at)]
    return _snapshot(table.take(rows), names, underlyings[chosen], market, int(when[rows].max()))


def _read(path: Path) -> pa.Table:
    if path.is_file() and path.suffix == ".csv":
        try:
            return pa_csv.read_csv(path)
        except pa.ArrowException as error:
            raise MarketDataError(f"{path.name} is no readable CSV: {str(error).splitlines()[0][:120]}.") from None
    tables = []
    for file in parquet_files(path):
        schema = read_schema(file)
        wanted = [name for names in ALIASES.values() for name in names if name in schema]
        if "underlying_index" in schema:
            wanted.append("underlying_index")
        tables.append(pq.read_table(file, columns=wanted))
    try:
        return pa.concat_tables(tables)
    except pa.ArrowException:
        raise MarketDataError(f"files of {path.name} have different columns; name one of them.") from None


def _resolve(table: pa.Table, where: str) -> dict[str, str]:
    """Our name -> the file's name. Raises MarketDataError for what a chain cannot do without."""
    found = {
        ours: theirs
        for ours, candidates in ALIASES.items()
        for theirs in candidates[::-1]
        if theirs in table.column_names
    }
    missing = [ours for ours in _NEEDED if ours not in found]
    if missing:
        wanted = "; ".join(f"{ours}: one of {', '.join(ALIASES[ours])}" for ours in missing)
        raise MarketDataError(f"{where} lacks {wanted}. Found {', '.join(table.column_names[:12])}.")
    return found


def _venue_of(table: pa.Table, names: dict[str, str], where: str) -> str:
    if "venue" in names:
        _, venues = symbols_of(table, names["venue"])
        if len(venues) == 1:
            return venues[0].lower()
    if "underlying_index" in table.column_names or names["bid"] == "best_bid_price":
        return "deribit"
    if "trade_date" in names or "contract" in table.column_names or names["time"] == "bar_start":
        return "us"
    raise MarketDataError(f"{where} does not say its venue; name it: deribit, okx, us or cffex.")


def _underlyings(table: pa.Table, names: dict[str, str]) -> tuple[IntArray, list[str]]:
    if "underlying" in names:
        return symbols_of(table, names["underlying"])
    if "symbol" in names:
        codes, symbols = symbols_of(table, names["symbol"])
        heads = [symbol.split("-")[0].split("_")[0] for symbol in symbols]
        distinct = sorted(set(heads))
        return np.array([distinct.index(head) for head in heads], np.int64)[codes], distinct
    return np.zeros(table.num_rows, np.int64), ["the underlying"]


def _choose(wanted: str, found: list[str], where: str) -> int:
    if wanted:
        for i, name in enumerate(found):
            if name.upper() == wanted.upper():
                return i
        raise MarketDataError(f"{where} has no underlying {wanted}; it has {', '.join(found[:8])}.")
    if len(found) > 1:
        raise MarketDataError(f"{where} has several underlyings: {', '.join(found[:8])}; name one.")
    return 0


def _times(table: pa.Table, names: dict[str, str], venue: str) -> IntArray:
    """Instant of each row; a US trading day means its close."""
    if "trade_date" in names and venue == "us":
        return _days(table, names["trade_date"], lambda day: instant_ns(day, us_close(day), NEW_YORK))
    column = table.column(names["time"])
    if pa.types.is_date(column.type):
        return _days(table, names["time"], lambda day: instant_ns(day, us_close(day), NEW_YORK))
    return times_ns(table, names["time"])


def _days(table: pa.Table, name: str, instant: Any) -> IntArray:
    coded = table.column(name).combine_chunks().dictionary_encode()
    if coded.null_count:
        raise MarketDataError(f"column {name} has {coded.null_count} nulls; expected a day in every row.")
    known = np.array([instant(day) for day in coded.dictionary.to_pylist()], np.int64)
    return known[np.asarray(coded.indices.to_numpy(zero_copy_only=False), np.int64)]


def _snapshot_rows(when: IntArray, at: str) -> IntArray:
    """Rows of the snapshot nearest to `at`: instants closer than minutes are one snapshot."""
    instants = np.unique(when)
    starts = instants[np.flatnonzero(np.diff(instants, prepend=instants[0] - 2 * _APART_NS) > _APART_NS)]
    if at:
        try:
            asked = datetime.fromisoformat(at)
        except ValueError:
            raise MarketDataError(f"{at!r} is no time; expected ISO such as 2026-02-05T12:00.") from None
        asked = asked if asked.tzinfo else asked.replace(tzinfo=UTC)
        target = int(asked.timestamp()) * NS_PER_SECOND
        first = int(np.argmin(np.abs(starts - target)))
    else:
        first = starts.size - 1
    end = starts[first + 1] if first + 1 < starts.size else np.iinfo(np.int64).max
    return np.flatnonzero((when >= starts[first]) & (when < end)).astype(np.int64)


def _snapshot(table: pa.Table, names: dict[str, str], underlying: str, venue: str, asof_ns: int) -> ChainSnapshot:
    def column(ours: str) -> FloatArray:
        return floats_of(table, names[ours]) if ours in names else np.full(table.num_rows, np.nan)

    codes, kinds = symbols_of(table, names["type"])
    calls = np.array([kind.strip().upper()[:1] == "C" for kind in kinds])
    if not all(kind.strip().upper()[:1] in ("C", "P") for kind in kinds):
        raise MarketDataError(f"option types {', '.join(kinds[:4])}; expected C and P, or call and put.")
    price = column("underlying_price")
    is_forward = venue == "deribit"  # a forward per expiry there; spot everywhere else
    spots = column("spot") if "spot" in names else np.where(is_forward, np.nan, price)
    iv = column("iv")
    if names.get("iv") == "mark_iv" and np.nanmedian(np.where(iv > 0.0, iv, np.nan)) > 5.0:
        iv = iv / 100.0  # Deribit's own ticker gives per cent
    return ChainSnapshot(
        underlying=underlying,
        venue=venue,
        asof_ns=asof_ns,
        coin=venue in ("deribit", "okx"),
        american=venue == "us" and underlying.upper() not in _EUROPEAN_US,
        spot=float(np.nanmedian(spots)) if np.any(np.isfinite(spots)) else float("nan"),
        expiry_ns=_expiries(table, names, venue),
        strike=column("strike"),
        is_call=calls[codes],
        bid=_positive(column("bid")),
        ask=_positive(column("ask")),
        mark=_positive(column("mark")),
        forward=column("forward") if "forward" in names else np.where(is_forward, price, np.nan),
        iv=np.where(iv > 0.0, iv, np.nan),
    )


def _positive(values: FloatArray) -> FloatArray:
    """A premium of nothing is no quote."""
    return np.where(values > 0.0, values, np.nan)


def _expiries(table: pa.Table, names: dict[str, str], venue: str) -> IntArray:
    name = names["expiry"]
    kind = table.column(name).type
    if pa.types.is_date(kind):
        found = _days(table, name, lambda day: expiry_instant_ns(venue, day))
    else:
        found = times_ns(table, name)
        instants = np.unique(found).tolist()
        if venue == "us" and all(t % (NS_PER_HOUR * 24) == 0 for t in instants):  # days in the clothes of times
            days = {t: expiry_instant_ns(venue, date_of(t)) for t in instants}
            found = np.array([days[t] for t in found.tolist()], np.int64)
    if venue != "us" or "symbol" not in names:
        return found
    codes, symbols = symbols_of(table, names["symbol"])
    opens = np.array([symbol[:-15].strip() in _AM_SETTLED for symbol in symbols])[codes]
    mornings = {t: instant_ns(date_of(t, NEW_YORK), time(9, 30), NEW_YORK) for t in np.unique(found[opens]).tolist()}
    return np.array([mornings[t] if am else t for t, am in zip(found.tolist(), opens.tolist(), strict=True)], np.int64)

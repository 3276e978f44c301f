"""Opens the market a configuration names: a recording or the synthetic one, with what must be said about it."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from voldesk.adapters.feeds.daily_prices import DailyPrices, read_daily
from voldesk.adapters.feeds.deribit_chain import ChainAssumptions
from voldesk.adapters.feeds.detect import open_recording
from voldesk.adapters.feeds.recording import Recording, Replay
from voldesk.app.config import RunConfig
from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.errors import InputError, MarketDataError
from voldesk.core.ports import Feed
from voldesk.core.units import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND
from voldesk.forecast.realised import garman_klass
from voldesk.instruments.table import InstrumentTable
from voldesk.sim.synthetic_config import SyntheticConfig
from voldesk.sim.synthetic_market import SyntheticMarket

_AVERAGED_NS: Final = 30 * NS_PER_MINUTE  # Deribit's delivery price is the mean index of these
_ENOUGH_READINGS: Final = 30
_NAMED: Final = 10
NO_SEED: Final = "no daily prices from before the recording: the forecast waits until it has seen enough days."


@dataclass(frozen=True, slots=True)
class SeedPrices:
    """Daily closes known before the first row: when each was known, the close, that day's variance (or NaN)."""

    ts_ns: IntArray
    close: FloatArray
    variance: FloatArray


@dataclass(slots=True)
class MarketSource:
    """A market ready to be replayed, and an honest account of it. `delivery_prices`: see sim.lifecycle."""

    kind: str
    table: InstrumentTable
    feeds: list[Feed]
    seed_prices: SeedPrices | None
    seed_days: DailyPrices | None = None  # the same days as bars, for `voldesk record`
    lacks: list[str] = field(default_factory=list)
    provenance: list[dict[str, str | int]] = field(default_factory=list)
    delivery_prices: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    snapshots: int = 0
    quotes: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    repaired: dict[str, int] = field(default_factory=dict)
    start_ns: int = 0
    end_ns: int = 0


def parse_instant(text: str) -> int:
    """Nanoseconds UTC from `2026-01-05T00:00:00Z`. Raises InputError."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"time={text!r}; expected a UTC instant such as 2026-01-05T00:00:00Z.") from None
    if moment.tzinfo is None:
        raise InputError(f"time={text!r} has no zone; write it in UTC with a Z at the end.")
    return int(moment.timestamp()) * NS_PER_SECOND


def _seed(days: DailyPrices) -> SeedPrices:
    """Each day's close and its variance from the bar (Garman-Klass), NaN where the source holds closes only."""
    return SeedPrices(days.ts_ns + NS_PER_DAY, days.close, garman_klass(days.open, days.high, days.low, days.close))


def _seed_symbol(config: RunConfig) -> str:
    return config.forecast.seed_symbol or f"{config.market.underlying}-USD"


def _read_seed(path: Path, symbol: str, before_ns: int) -> DailyPrices:
    if not path.exists():
        raise InputError(f"daily prices {path} do not exist; check --seed-prices or forecast.seed_prices.")
    days = read_daily(path)
    if symbol not in days:
        raise InputError(f"forecast.seed_symbol={symbol!r} is not in {path.name}; it holds {', '.join(sorted(days))}.")
    return days[symbol].before(before_ns)


def _find_seed(config: RunConfig, data: Path, given: Path | None) -> Path | None:
    """The daily prices to seed from: as given, as configured, or `daily_prices` inside or beside the recording."""
    if given is not None:
        return given
    if config.forecast.seed_prices:
        return Path(config.forecast.seed_prices)
    base = data if data.is_dir() else data.parent
    for near in (base / "daily_prices", base.parent / "daily_prices"):
        if near.is_dir():
            return near
    return None


def _refused(unknown: tuple[str, ...]) -> list[str]:
    """Symbols that are not traded, the first few by name."""
    more = [f"and {len(unknown) - _NAMED} more symbols refused"] if len(unknown) > _NAMED else []
    return [*unknown[:_NAMED], *more]


def _deliveries(recording: Recording) -> dict[str, dict[int, str]]:
    """Interpolated delivery prices for the expiries inside the recording; the rest never settle in it.

    Where the recording reads the index often enough, none is given and the exchange averages as the venue does.
    """
    found: dict[str, dict[int, str]] = {}
    for underlying, history in recording.index.items():
        prices = {}
        of_it = recording.table.underlying == recording.table.underlyings.index(underlying)
        for expiry_ns in np.unique(recording.table.expiry_ns[of_it]).tolist():
            readings = np.searchsorted(history.ts_ns, [expiry_ns - _AVERAGED_NS, expiry_ns], side="right")
            if readings[1] - readings[0] >= _ENOUGH_READINGS:
                continue
            estimate = history.delivery_price(expiry_ns) if expiry_ns else None
            if estimate is not None and math.isfinite(estimate.price):
                prices[expiry_ns] = f"{estimate.price:.2f}"
        found[underlying] = prices
    return found


def _refuse_strangers(config: RunConfig, table: InstrumentTable) -> None:
    """A desk that watches or holds what is not in the market would stand still and say nothing."""
    if config.market.underlying not in table.underlyings:
        raise InputError(
            f"market.underlying={config.market.underlying!r} is not in the market; it holds {', '.join(table.underlyings)}."
        )
    settled = sorted({item.settle_currency for item in table})
    if config.account.currency not in settled:
        raise InputError(
            f"account.currency={config.account.currency!r} settles nothing here; expected {' or '.join(settled)}."
        )


def open_market(
    config: RunConfig, data: Path | None, seed_prices: Path | None = None, recut_seed: int | None = None
) -> MarketSource:
    """The market of a run. Raises InputError or MarketDataError, one line each."""
    if data is None and config.market.source == "synthetic":
        return _synthetic(config)
    where = data or (Path(config.market.path) if config.market.path else None)
    if where is None:
        raise InputError("no recording is named; pass --data PATH or set market.path (or market.source: synthetic).")
    assumptions = ChainAssumptions(
        assumed_size=config.market.assumed_size,
        perp_spread=config.market.perp_spread,
        feed_delay_ns=config.market.feed_delay,
    )
    replay = Replay(recut_seed=recut_seed, allow_damaged=config.market.allow_damaged)
    recording = open_recording(where, replay=replay, assumptions=assumptions)
    if recording.usable == 0:
        reasons = ", ".join(f"{name} {count}" for name, count in recording.quarantined.items())
        raise MarketDataError(
            f"{where.name}: none of its {recording.quotes} rows can be used ({reasons}); see voldesk check data."
        )
    _refuse_strangers(config, recording.table)
    ints = recording.feed.ints
    seed = _find_seed(config, where, seed_prices)
    lacks = [*recording.describe(), *recording.damage, *_refused(recording.unknown)]
    if seed is None:
        lacks.append(NO_SEED)
    days = _read_seed(seed, _seed_symbol(config), int(ints[0, 0])) if seed is not None else None
    return MarketSource(
        kind=recording.format,
        table=recording.table,
        feeds=[recording.feed],
        seed_prices=_seed(days) if days is not None else None,
        seed_days=days,
        lacks=lacks,
        provenance=recording.provenance(),
        delivery_prices=_deliveries(recording),
        snapshots=recording.snapshots,
        quotes=recording.quotes,
        quarantined=dict(recording.quarantined),
        repaired=dict(recording.repaired),
        start_ns=int(ints[0, 0]),
        end_ns=int(ints[1, -1]),
    )


def synthetic_settings(config: RunConfig) -> SyntheticConfig:
    chosen = config.synthetic
    return SyntheticConfig(
        start_ns=parse_instant(chosen.start),
        duration_ns=chosen.duration,
        step_ns=chosen.step,
        chain_step_ns=chosen.chain_step,
        snapshot_steps=chosen.snapshot_steps,
        feed_delay_ns=config.market.feed_delay,
        underlying=config.market.underlying,
        spot=chosen.initial_spot,
        variance_premium=chosen.variance_premium,
    )


def _synthetic(config: RunConfig) -> MarketSource:
    market = SyntheticMarket(synthetic_settings(config), config.seed)
    _refuse_strangers(config, market.table)
    days = None
    if config.synthetic.history_days:
        days = DailyPrices(_seed_symbol(config), *market.history(config.synthetic.history_days))
    return MarketSource(
        kind="synthetic",
        table=market.table,
        feeds=[market],
        seed_prices=_seed(days) if days is not None else None,
        seed_days=days,
        lacks=["the market is simulated (Bates dynamics, seeded): figures say how the desk works, not what it earns."],
        start_ns=market.config.start_ns,
        end_ns=market.config.end_ns,
    )

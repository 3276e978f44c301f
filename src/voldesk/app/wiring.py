"""The one place where real parts are plugged in. Backtest, paper and replay differ here and nowhere below."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import msgspec

from voldesk import __version__
from voldesk.app.config import RunConfig, dump_config
from voldesk.app.sources import MarketSource
from voldesk.core.compiled import host_cpu
from voldesk.core.events import OperatorCommand
from voldesk.core.money import to_units
from voldesk.core.ports import Compute, Feed, Venue
from voldesk.core.rng import random_stream
from voldesk.engine.analyst import Analyst
from voldesk.engine.deferred import DeferredCompute
from voldesk.engine.desk import Desk, DeskParts, DeskRules
from voldesk.engine.inbox import Inbox
from voldesk.engine.journal import FORMAT, Journal, JournalWriter, RecordKind
from voldesk.engine.loop import Engine
from voldesk.engine.seats import Seats
from voldesk.engine.timers import Timers
from voldesk.execution.executor import Executor, OrderIds
from voldesk.execution.quoting import ExecutionRules
from voldesk.forecast.service import ForecastSeries
from voldesk.instruments.spec import Kind, Settlement
from voldesk.instruments.table import InstrumentTable
from voldesk.market.two_clock import TwoClock
from voldesk.market.view import MarketView
from voldesk.market.watches import Watches
from voldesk.portfolio.attribution import Explainer
from voldesk.portfolio.ledger import Ledger
from voldesk.portfolio.margin import margin_model
from voldesk.portfolio.valuation import Valuer
from voldesk.portfolio.working_orders import WorkingOrders
from voldesk.risk.gate import Gate
from voldesk.risk.limits import Limits, limit
from voldesk.risk.lots import Betas
from voldesk.risk.presets import preset
from voldesk.sim.config import ExchangeConfig
from voldesk.sim.exchange import SimulatedExchange
from voldesk.sim.latency import LatencyConfig
from voldesk.sim.lifecycle import LifecycleConfig
from voldesk.strategies import registry

_MARGIN_MODELS = {"standard": "deribit_standard", "portfolio": "deribit_portfolio"}


@dataclass(slots=True)
class Wired:
    """A desk ready to run, and the parts a caller reads results from."""

    config: RunConfig
    source: MarketSource
    engine: Engine
    parts: DeskParts
    run_id: str


@dataclass(slots=True)
class _Desk:
    clock: TwoClock
    watches: Watches
    parts: DeskParts


def run_id_of(config: RunConfig) -> str:
    """Eight hex digits of the resolved configuration: order ids derive from it, the same after a restart."""
    return hashlib.sha256(dump_config(config).encode()).hexdigest()[:8]


def header(config: RunConfig, source: MarketSource, mode: str) -> bytes:
    """The journal's first record: everything needed to know what a run was, and to build its desk again."""
    return msgspec.msgpack.encode(
        {
            "format": FORMAT,
            "run_id": run_id_of(config),
            "name": config.name,
            "mode": mode,
            "config": dump_config(config),
            "instruments": [msgspec.to_builtins(instrument) for instrument in source.table],
            "sources": source.provenance,
            "kind": source.kind,
            "lacks": source.lacks,
            "environment": {
                "voldesk": __version__,
                "python": platform.python_version(),
                "numpy": importlib.metadata.version("numpy"),
                "numba": importlib.metadata.version("numba"),
                "machine": platform.machine(),
                "cpu": host_cpu(),
            },
        }
    )


def _limits(config: RunConfig) -> Limits:
    chosen = {(item.code, item.scope): item for item in preset(config.risk.preset)}
    for changed in config.risk.limits:
        item = limit(changed.code, changed.value, changed.unit, changed.scope)
        chosen[item.code, item.scope] = item
    return Limits(chosen.values())


def _is_coin_settled(table: InstrumentTable, underlying: str) -> bool:
    return any(
        item.kind is Kind.OPTION and item.underlying == underlying and item.settlement is Settlement.INVERSE
        for item in table
    )


def _build_desk(config: RunConfig, source: MarketSource, compute: Compute, journal: Journal) -> _Desk:
    table = source.table
    clock = TwoClock(len(table))
    view = MarketView(table, clock.desk, config.market.quote_ttl)
    orders = WorkingOrders()
    valuer = Valuer(view)
    ledger = Ledger(table, config.account.numeraire, config.account.currency, orders, valuer)
    seats = Seats(table, view)
    for book_config in config.books:
        book = ledger.open_book(book_config.name, config.account.hedge_collateral)
        share = config.account.deposit * book_config.share
        ledger.deposit(book.name, config.account.currency, to_units(share, config.account.currency))
        for item in book_config.strategies:
            name = item.strategy.rpartition(":")[2]
            seats.add(name, registry.build(item.strategy, item.parameters), book)
    order_ids = OrderIds()
    executor = Executor(
        table,
        orders,
        order_ids,
        ExecutionRules(
            timeout_ns=config.execution.timeout,
            retries=config.execution.retries,
            patience_ns=config.execution.patience,
            slippage_ticks=config.execution.slippage_ticks,
            retry_ticks=config.execution.retry_ticks,
        ),
    )
    margin = margin_model(_MARGIN_MODELS[config.venue.margin_model], table)
    betas = Betas(config.risk.benchmark, config.risk.betas)
    gate = Gate(table, ledger, orders, valuer, margin, _limits(config), betas=betas, waiting=executor.waiting)
    forecasts = ForecastSeries(config.forecast.model)
    underlying = config.market.underlying
    if source.seed_prices is not None and source.seed_prices.ts_ns.size:
        seed = source.seed_prices
        forecasts.seed(underlying, seed.ts_ns, seed.close, seed.variance)
    analyst = Analyst(underlying, _is_coin_settled(table, underlying), forecasts, config.forecast.horizon, compute)
    parts = DeskParts(
        table=table,
        clock=clock,
        view=view,
        ledger=ledger,
        valuer=valuer,
        orders=orders,
        executor=executor,
        order_ids=order_ids,
        gate=gate,
        explainers={name: Explainer(ledger, name, valuer) for name in ledger.books},
        analysts=(analyst,),
        seats=seats,
        timers=Timers(),
        journal=journal,
        rules=DeskRules(config.engine.compute_latency, config.engine.mark_interval),
    )
    return _Desk(clock, Watches(clock.level_buy, clock.level_sell), parts)


def _exchange(config: RunConfig, source: MarketSource, desk: _Desk) -> SimulatedExchange:
    return SimulatedExchange(
        source.table,
        desk.clock.venue,
        desk.watches,
        ExchangeConfig(
            deposits={config.account.currency: config.account.deposit},
            latency=LatencyConfig(order_ns=config.venue.order_latency, report_ns=config.venue.report_latency),
            lifecycle=LifecycleConfig(
                delivery_prices=source.delivery_prices,
                funding_interval_ns=config.venue.funding_interval,
                funding_rate=str(config.venue.funding_rate),
            ),
            quote_ttl_ns=config.market.quote_ttl,
            assumed_size=Decimal(str(config.market.assumed_size)),
            margin=_MARGIN_MODELS[config.venue.margin_model],
            margin_check_ns=config.venue.margin_check,
            # The venue nets all books: a book may close what it holds although the account is flat.
            enforce_reduce_only=len(config.books) == 1,
        ),
        random_stream(config.seed, "exchange"),
    )


def wire(config: RunConfig, source: MarketSource, journal: Journal, journal_rows: bool) -> Wired:
    """A desk on a simulated exchange: backtest (rows by reference) or paper (rows inline)."""
    compute = DeferredCompute()
    desk = _build_desk(config, source, compute, journal)
    venue: Venue = _exchange(config, source, desk)
    return _assemble(config, source, desk, venue, compute, source.feeds, journal, journal_rows)


def wire_replay(
    config: RunConfig,
    source: MarketSource,
    feeds: list[Feed],
    venue: Venue,
    compute: Compute,
    operators: list[tuple[int, OperatorCommand]],
    journal: Journal,
    journal_rows: bool,
) -> Wired:
    """The same desk on recorded inputs: nothing outside it is simulated again."""
    desk = _build_desk(config, source, compute, journal)
    wired = _assemble(config, source, desk, venue, compute, feeds, journal, journal_rows)
    for at_ns, command in operators:
        wired.engine.operate(command, at_ns)
    return wired


def _assemble(
    config: RunConfig,
    source: MarketSource,
    desk: _Desk,
    venue: Venue,
    compute: Compute,
    feeds: list[Feed],
    journal: Journal,
    journal_rows: bool,
) -> Wired:
    engine = Engine(
        desk=Desk(desk.parts),
        inbox=Inbox(feeds, desk.clock),
        clock=desk.clock,
        watches=desk.watches,
        venue=venue,
        compute=compute,
        timers=desk.parts.timers,
        journal=journal,
        journal_rows=journal_rows,
    )
    return Wired(config, source, engine, desk.parts, run_id_of(config))


def open_journal(folder: Path, config: RunConfig, source: MarketSource, mode: str) -> JournalWriter:
    """A new journal with its header (and, for a backtest, its rows by reference) written."""
    journal = JournalWriter(folder, sync=config.engine.sync_journal)
    journal.open_segment()
    journal.append(RecordKind.HEADER, header(config, source, mode))
    return journal

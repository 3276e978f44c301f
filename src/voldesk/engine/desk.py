"""The desk: one event in, decisions out. Synchronous, no I/O but the journal's buffer, no clock of its own.

    rows / quote / report / result / operator / timer  ->  market, ledger, explain  ->  strategies  ->  gate
        ->  executor  ->  commands for the venue

What each method returns goes to the venue in order, after the journal has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from voldesk.core.events import ComputeResult, OperatorCommand, SurfaceFitted, VolForecast
from voldesk.core.money import to_text
from voldesk.core.orders import Command, OrderIntent
from voldesk.core.ports import State
from voldesk.core.reports import FundingApplied, InstrumentSettled, MarginCalled, PositionTaken, Report
from voldesk.core.units import NS_PER_YEAR
from voldesk.engine.analyst import Analyst
from voldesk.engine.facts import BookMark, Fact, Notice, VolMark
from voldesk.engine.journal import Journal, RecordKind
from voldesk.engine.operators import Operators
from voldesk.engine.seats import Seat, Seats
from voldesk.engine.timers import Timers
from voldesk.execution.executor import Executor, OrderIds, Worked
from voldesk.instruments.table import InstrumentTable
from voldesk.market.two_clock import TwoClock
from voldesk.market.view import MarketView
from voldesk.portfolio.account import TERMS
from voldesk.portfolio.attribution import Explainer
from voldesk.portfolio.ledger import Ledger
from voldesk.portfolio.valuation import Valuer
from voldesk.portfolio.working_orders import WorkingOrders
from voldesk.risk.gate import Gate
from voldesk.surface.fit import Surface

_encode = msgspec.msgpack.Encoder().encode
_NOTHING: Sequence[Command] = ()


@dataclass(frozen=True, slots=True)
class DeskRules:
    """compute_latency_ns: from asking for a fit to having it. mark_interval_ns: marks beside snapshots, 0 for none."""

    compute_latency_ns: int
    mark_interval_ns: int = 0


@dataclass(slots=True)
class DeskParts:
    """Everything a desk works with, put together in app/wiring.py alone."""

    table: InstrumentTable
    clock: TwoClock
    view: MarketView
    ledger: Ledger
    valuer: Valuer
    orders: WorkingOrders
    executor: Executor
    order_ids: OrderIds
    gate: Gate
    explainers: Mapping[str, Explainer]
    analysts: Sequence[Analyst]
    seats: Seats
    timers: Timers
    journal: Journal
    rules: DeskRules


class Desk:
    """See the module. Holds no market data and no money itself: it moves them between the parts."""

    def __init__(self, parts: DeskParts) -> None:
        self.parts = parts
        self.view = parts.view
        self._quote_seats: dict[int, list[Seat]] = {}
        self._timer_seats = {f"seat:{seat.key}": seat for seat in parts.seats.all if seat.subscriptions.timer_ns}
        self._operators = Operators(parts)
        self._marked_ns = 0
        for seat in parts.seats.all:
            for instrument in seat.subscriptions.quotes:
                self._quote_seats.setdefault(instrument, []).append(seat)
                parts.clock.wanted[instrument] = 1.0
        parts.clock.want_snapshots()

    def start(self, now_ns: int) -> None:
        """The first row is about to come: set the periodic timers."""
        for key, seat in self._timer_seats.items():
            self.parts.timers.every(key, seat.subscriptions.timer_ns, now_ns)
        if self.parts.rules.mark_interval_ns:
            self.parts.timers.every("mark", self.parts.rules.mark_interval_ns, now_ns)

    def finish(self, now_ns: int) -> None:
        """The run is over: a last mark, unless this moment has one, so that equity, explain and facts end together."""
        self.view.now_ns = now_ns
        if now_ns > self._marked_ns:
            self._mark(now_ns)

    # What comes in.

    def on_quote(self, now_ns: int, instrument: int) -> Sequence[Command] | None:
        """A lone subscribed row has been applied. None: no strategy asked for anything, so nothing that is due moved."""
        self.view.now_ns = now_ns
        commands: Sequence[Command] | None = None
        for seat in self._quote_seats[instrument]:
            context = seat.context
            context.now_ns = now_ns
            intents = seat.strategy.on_quote(context, instrument)
            if intents:
                commands = [*(commands or ()), *self._decide(now_ns, intents)]
        return commands

    def on_rows(self, now_ns: int, snapshot: bool, instruments: Sequence[int]) -> Sequence[Command]:
        """A group of rows has been applied: a whole chain, or several subscribed rows at once."""
        self.view.now_ns = now_ns
        commands: list[Command] = []
        if snapshot:
            self._mark(now_ns)
            due_ns = now_ns + self.parts.rules.compute_latency_ns
            for analyst in self.parts.analysts:
                index = self.view.index_price(analyst.underlying)
                if index > 0.0:
                    analyst.observe(now_ns, index)
                analyst.request(self.view, now_ns, due_ns)
        for instrument in instruments:
            commands.extend(self.on_quote(now_ns, instrument) or ())
        if snapshot:
            for intent in self._operators.still_to_flatten(now_ns):
                commands.extend(self._judge(now_ns, intent))
            for seat in self.parts.seats.all:
                if seat.subscriptions.snapshots:
                    commands.extend(self._decide(now_ns, seat.strategy.on_snapshot(seat.at(now_ns))))
        return commands

    def on_result(self, now_ns: int, result: ComputeResult) -> Sequence[Command]:
        """A fit or forecast has come back."""
        self.view.now_ns = now_ns
        commands: list[Command] = []
        if isinstance(result, VolForecast):
            self.view.forecasts[result.underlying] = result
            for seat in self.parts.seats.all:
                if seat.subscriptions.forecasts:
                    commands.extend(self._decide(now_ns, seat.strategy.on_forecast(seat.at(now_ns), result)))
            return commands
        self.view.surfaces[result.underlying] = result
        self._vol_fact(now_ns, result)
        for seat in self.parts.seats.all:
            if seat.subscriptions.surfaces:
                commands.extend(self._decide(now_ns, seat.strategy.on_surface(seat.at(now_ns), result)))
        return commands

    def on_report(self, now_ns: int, report: Report) -> Sequence[Command]:
        """The venue says something."""
        self.view.now_ns = now_ns
        parts = self.parts
        if isinstance(report, InstrumentSettled):
            parts.ledger.apply_settled(report)
            return _NOTHING
        if isinstance(report, FundingApplied):
            parts.ledger.apply_funding(report)
            return _NOTHING
        if isinstance(report, MarginCalled):
            equity, least = (
                to_text(report.equity_units, report.currency),
                to_text(report.maintenance_units, report.currency),
            )
            text = f"equity {equity} under maintenance {least} {report.currency}"
            self._fact(Notice(now_ns, "critical" if report.liquidating else "high", "MARGIN_CALL", text))
            return _NOTHING
        if isinstance(report, PositionTaken):
            if parts.ledger.apply_taken(report):
                for explainer in parts.explainers.values():
                    explainer.on_taken(now_ns, report.instrument, report.price_ticks)
            text = f"{report.lots:+d} lots of {parts.table[report.instrument].symbol} traded by the venue"
            self._fact(Notice(now_ns, "critical", "LIQUIDATED", text))
            return _NOTHING
        worked = parts.executor.on_report(report, self.view, now_ns)
        commands = self._worked(worked)
        fill = worked.fill
        if fill is not None:
            book = parts.orders[fill.order_id].book
            if parts.ledger.apply_fill(book, fill):
                parts.explainers[book].on_fill(now_ns, fill.instrument, fill.lots, fill.price_ticks)
                for seat in parts.seats.of_book(book):
                    commands.extend(self._decide(now_ns, seat.strategy.on_fill(seat.at(now_ns), fill)))
        return commands

    def on_operator(self, now_ns: int, command: OperatorCommand) -> Sequence[Command]:
        """A person acts: through the same gate as everything else."""
        self.view.now_ns = now_ns
        done = self._operators.act(now_ns, command)
        for notice in done.notices:
            self._fact(notice)
        commands = self._worked(done.worked) if done.worked is not None else []
        for intent in done.intents:
            commands.extend(self._judge(now_ns, intent))
        return commands

    def on_timer(self, now_ns: int, key: str) -> Sequence[Command]:
        self.view.now_ns = now_ns
        seat = self._timer_seats.get(key)
        if seat is not None:
            intents = seat.strategy.on_timer(seat.at(now_ns))
            return self._decide(now_ns, intents) if intents else _NOTHING
        if key == "mark":
            self._mark(now_ns)
        return _NOTHING

    def next_time_ns(self) -> int:
        """When the executor has something to do next."""
        return self.parts.executor.next_time_ns()

    def on_time(self, now_ns: int) -> Sequence[Command]:
        self.view.now_ns = now_ns
        return self._worked(self.parts.executor.on_time(now_ns, self.view))

    # Decisions.

    def _decide(self, now_ns: int, intents: Sequence[OrderIntent]) -> Sequence[Command]:
        if not intents:
            return _NOTHING
        commands: list[Command] = []
        for intent in intents:
            commands.extend(self._judge(now_ns, intent))
        return commands

    def _judge(self, now_ns: int, intent: OrderIntent) -> Sequence[Command]:
        append = self.parts.journal.append
        append(RecordKind.DECISION, _encode(intent))
        verdict, approved = self.parts.gate.approve(intent, self.view, now_ns)
        append(RecordKind.DECISION, _encode(verdict))
        if approved is None:
            return _NOTHING
        commands = self.parts.executor.plan(approved, self.view, now_ns)
        for command in commands:
            append(RecordKind.DECISION, _encode(command))
        return commands

    def _worked(self, worked: Worked) -> list[Command]:
        append = self.parts.journal.append
        for event in worked.events:
            append(RecordKind.DECISION, _encode(event))
        for command in worked.commands:
            append(RecordKind.DECISION, _encode(command))
        return list(worked.commands)

    # Marks and facts.

    def _mark(self, now_ns: int) -> None:
        """Value the books at the official marks, explain the step, let the gate see the equity."""
        parts = self.parts
        self._marked_ns = now_ns
        parts.ledger.mark(self.view)
        for book in parts.ledger.books.values():
            parts.explainers[book.name].on_mark(now_ns)
            parts.gate.on_mark(book, now_ns)
            self._book_fact(now_ns, book.name)

    def _book_fact(self, now_ns: int, name: str) -> None:
        parts = self.parts
        book = parts.ledger.books[name]
        summary = parts.ledger.summary(name)
        held = book.held()
        risk = parts.valuer.risk(held[:, 0], held[:, 1])
        underlying = parts.analysts[0].underlying if parts.analysts else parts.table.underlyings[0]
        self._fact(
            BookMark(
                ts_ns=now_ns,
                book=name,
                currency=summary.currency,
                equity_units=summary.equity_end,
                terms=tuple(summary.pnl[term] for term in TERMS),
                index=self.view.index_price(underlying),
                net_delta=float(np.sum(risk.net_delta)),
                gamma_1pct=float(np.sum(risk.net_gamma_per_1pct)),
                vega_volpt_usd=float(np.sum(risk.vega_per_volpt_usd)),
                theta_day_usd=float(np.sum(risk.theta_per_day_usd)),
                positions=int(held.shape[0]),
                working=int(book.has_working_orders()),
            )
        )

    def _vol_fact(self, now_ns: int, fitted: SurfaceFitted) -> None:
        forecast = self.view.forecasts.get(fitted.underlying)
        analyst = next(a for a in self.parts.analysts if a.underlying == fitted.underlying)
        usable = [piece for piece in fitted.slices if piece.status == "ok"]
        implied = float("nan")
        if usable:
            implied = float(Surface.from_event(fitted).atm_iv(analyst.horizon_ns / NS_PER_YEAR))
        self._fact(
            VolMark(
                ts_ns=now_ns,
                underlying=fitted.underlying,
                horizon_ns=analyst.horizon_ns,
                implied_vol=implied,
                forecast_vol=forecast.sigma if forecast is not None else float("nan"),
                index=self.view.index_price(fitted.underlying),
                slices_ok=len(usable),
                slices=len(fitted.slices),
            )
        )

    def _fact(self, fact: Fact) -> None:
        self.parts.journal.append(RecordKind.FACT, _encode(fact))

    def state(self) -> State:
        parts = self.parts
        return {
            "ledger": parts.ledger.state(),
            "orders": parts.orders.state(),
            "executor": parts.executor.state(),
            "order_ids": parts.order_ids.state(),
            "gate": parts.gate.state(),
            "explainers": {name: explainer.state() for name, explainer in parts.explainers.items()},
            "analysts": [analyst.state() for analyst in parts.analysts],
            "seats": parts.seats.state(),
            "view": self.view.state(),
            "marked_ns": self._marked_ns,
        }

    def restore(self, state: State) -> None:
        parts = self.parts
        parts.ledger.restore(state["ledger"])
        parts.orders.restore(state["orders"])
        parts.executor.restore(state["executor"])
        parts.order_ids.restore(state["order_ids"])
        parts.gate.restore(state["gate"])
        for name, explainer in parts.explainers.items():
            explainer.restore(state["explainers"][name])
        for analyst, saved in zip(parts.analysts, state["analysts"], strict=True):
            analyst.restore(saved)
        parts.seats.restore(state["seats"])
        self.view.restore(state["view"])
        self._marked_ns = state["marked_ns"]

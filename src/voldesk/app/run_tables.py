"""Everything the journal of a run says, in tables, in one pass.

Also of a run that is still being written or was killed: what stands before a torn end counts. Positions, settlement and
funding come from replaying reports through the real ledger, so that money is the ledger's, to the unit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import yaml

from voldesk.app.fill_vols import add_vols
from voldesk.app.run_parquet import write_equity, write_fills
from voldesk.app.run_rows import Fill, Funded, OrderRow, Settled, Veto, contracts_text
from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.events import OperatorCommand, SurfaceFitted, VolForecast
from voldesk.core.money import to_text, to_units
from voldesk.core.orders import CancelOrder, OrderIntent, Outcome, PlaceOrder, Verdict
from voldesk.core.reports import (
    CancelRejected,
    FundingApplied,
    InstrumentSettled,
    MarginCalled,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderRejected,
    PositionTaken,
    Report,
)
from voldesk.engine.facts import BookMark, Fact, Notice, VolMark
from voldesk.engine.journal import Record, RecordKind
from voldesk.execution.events import LateFill, LegRisk, OrderTimedOut, OrderUnconfirmed, RetriesExhausted
from voldesk.instruments.spec import Instrument, Settlement
from voldesk.instruments.table import InstrumentTable
from voldesk.portfolio.ledger import Ledger, split_pro_rata
from voldesk.portfolio.position import Worth

ExecutionNote = OrderTimedOut | OrderUnconfirmed | LateFill | RetriesExhausted | LegRisk
Decision = OrderIntent | Verdict | PlaceOrder | CancelOrder | ExecutionNote
Input = Report | VolForecast | SurfaceFitted | OperatorCommand

_decisions: Final = msgspec.msgpack.Decoder(Decision)
_inputs: Final = msgspec.msgpack.Decoder(tuple[int, Input])
_facts: Final = msgspec.msgpack.Decoder(Fact)
_NAN: Final = float("nan")


class Marks:
    """Every `BookMark`, in order and by book."""

    def __init__(self) -> None:
        self.all: list[BookMark] = []
        self.by_book: dict[str, list[BookMark]] = {}

    def add(self, mark: BookMark) -> None:
        self.all.append(mark)
        self.by_book.setdefault(mark.book, []).append(mark)

    def of(self, book: str) -> list[BookMark]:
        return self.by_book.get(book, [])

    def column(self, name: str, book: str) -> FloatArray:
        """One float column of one book, shape (n,)."""
        return np.array([getattr(mark, name) for mark in self.of(book)], np.float64)

    @property
    def ts_ns(self) -> IntArray:
        """Times of all marks of all books, shape (n,)."""
        return np.array([mark.ts_ns for mark in self.all], np.int64)


@dataclass(slots=True)
class RunTables:
    """What a run's journal holds. `config`: the resolved settings as plain data; `is_closed`: END was written.

    vetoes: one row per refused check. verdicts: all of them; `warnings`, `exemptions` count codes. books: names in the
    ledger's order. positions: (book, instrument id) -> signed lots at the end. decisions_sha256: the `journal_sha256`.
    """

    header: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    table: InstrumentTable = field(default_factory=InstrumentTable)
    books: list[str] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    intents: dict[int, OrderIntent] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    vetoes: list[Veto] = field(default_factory=list)
    warnings: dict[str, int] = field(default_factory=dict)
    exemptions: dict[str, int] = field(default_factory=dict)
    orders: dict[int, OrderRow] = field(default_factory=dict)
    execution_notes: list[ExecutionNote] = field(default_factory=list)
    marks: Marks = field(default_factory=Marks)
    vols: list[VolMark] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    settlements: list[Settled] = field(default_factory=list)
    funding: list[Funded] = field(default_factory=list)
    operators: list[tuple[int, OperatorCommand]] = field(default_factory=list)
    positions: dict[tuple[str, int], int] = field(default_factory=dict)
    surfaces: int = 0
    records: int = 0
    last_ns: int = 0
    is_closed: bool = False
    decisions_sha256: str = ""

    @property
    def name(self) -> str:
        return str(self.header.get("name", "run"))

    @property
    def lacks(self) -> list[str]:
        return [str(line) for line in self.header.get("lacks", [])]

    def write(self, folder: Path) -> tuple[Path, Path]:
        """`fills.parquet` and `equity.parquet` into a run folder; returns their paths."""
        fills, equity = folder / "fills.parquet", folder / "equity.parquet"
        write_fills(self.fills, fills)
        write_equity(self.marks.all, equity)
        return fills, equity

    def veto_counts(self) -> dict[str, int]:
        """Refused checks by code, most frequent first."""
        counts: dict[str, int] = {}
        for veto in self.vetoes:
            counts[veto.code] = counts.get(veto.code, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def equity_start_units(self, book: str) -> int | None:
        """Deposits of a book, as its first mark implies; None before there is one."""
        marks = self.marks.of(book)
        return marks[0].equity_units - sum(marks[0].terms) if marks else None


class TablesReader:
    """Give it every record of a journal in order, then `finish`."""

    def __init__(self) -> None:
        self.tables = RunTables()
        self._digest = hashlib.sha256()
        self._ledger = Ledger(self.tables.table, numeraire="usd")
        self._index: dict[str, float] = {}
        self._surfaces: dict[str, SurfaceFitted] = {}
        self._worths: dict[int, Worth] = {}
        self._placed: dict[int, PlaceOrder] = {}
        self._decide: dict[type, Callable[[Any], None]] = {
            OrderIntent: self._intent,
            Verdict: self._verdict,
            PlaceOrder: self._place,
            CancelOrder: lambda command: None,
        }
        self._hear: dict[type, Callable[[int, Any], None]] = {
            OrderFilled: self._filled,
            OrderAccepted: lambda at, report: self._order(report.order_id, "working"),
            OrderRejected: lambda at, report: self._order(report.order_id, "rejected", f"{report.code} {report.text}"),
            OrderCancelled: lambda at, report: self._order(report.order_id, "cancelled", report.reason),
            CancelRejected: lambda at, report: None,
            InstrumentSettled: self._settled,
            FundingApplied: self._funded,
            PositionTaken: self._taken,
            MarginCalled: lambda at, report: None,
            VolForecast: lambda at, forecast: None,
            SurfaceFitted: self._surface,
            OperatorCommand: lambda at, command: self.tables.operators.append((at, command)),
        }

    def take(self, record: Record) -> None:
        tables = self.tables
        tables.records += 1
        if record.kind is RecordKind.HEADER:
            self._header(msgspec.msgpack.decode(record.payload))
        elif record.kind is RecordKind.DECISION:
            self._digest.update(record.payload)
            decision = _decisions.decode(record.payload)
            self._decide.get(type(decision), tables.execution_notes.append)(decision)
        elif record.kind is RecordKind.INPUT:
            at_ns, item = _inputs.decode(record.payload)
            tables.last_ns = max(tables.last_ns, at_ns)
            self._hear[type(item)](at_ns, item)
        elif record.kind is RecordKind.FACT:
            self._fact(_facts.decode(record.payload))
        elif record.kind is RecordKind.END:
            tables.is_closed = True

    def finish(self) -> RunTables:
        tables = self.tables
        tables.books = list(self._ledger.books)
        tables.positions = {
            (name, instrument): lots
            for name, book in self._ledger.books.items()
            for instrument, lots in book.positions().items()
        }
        tables.decisions_sha256 = self._digest.hexdigest()
        return tables

    def _header(self, header: dict[str, Any]) -> None:
        tables = self.tables
        tables.is_closed = False
        tables.header = header
        tables.config = yaml.safe_load(header.get("config", "")) or {}
        listed = header.get("instruments", [])
        items = msgspec.json.decode(listed) if isinstance(listed, str | bytes) else listed
        for item in items:
            tables.table.add(msgspec.convert(item, Instrument))
        for book in tables.config.get("books", []):
            self._open(str(book["name"]))

    def _open(self, book: str) -> None:
        if book not in self._ledger.books:
            self._ledger.open_book(book)

    def _worth(self, instrument: int) -> Worth:
        if instrument not in self._worths:
            self._worths[instrument] = Worth(self.tables.table[instrument])
        return self._worths[instrument]

    # Decisions.

    def _intent(self, intent: OrderIntent) -> None:
        self.tables.intents[intent.intent_id] = intent
        self.tables.last_ns = max(self.tables.last_ns, intent.ts_ns)
        self._open(intent.book)

    def _verdict(self, verdict: Verdict) -> None:
        tables = self.tables
        tables.verdicts.append(verdict)
        if verdict.exemption:
            tables.exemptions[verdict.exemption] = tables.exemptions.get(verdict.exemption, 0) + 1
        intent = tables.intents.get(verdict.intent_id)
        for check in verdict.checks:
            if verdict.outcome is not Outcome.REFUSE:
                tables.warnings[check.code] = tables.warnings.get(check.code, 0) + 1
            elif check.outcome is Outcome.REFUSE:
                tables.vetoes.append(
                    Veto(
                        ts_ns=verdict.ts_ns,
                        book=intent.book if intent else "",
                        strategy=intent.strategy if intent else "",
                        purpose=intent.purpose.value if intent else "",
                        intent_id=verdict.intent_id,
                        legs=", ".join(self._leg(leg.instrument, leg.lots) for leg in intent.legs) if intent else "",
                        code=check.code,
                        limit=check.limit,
                        current=check.current,
                        projected=check.projected,
                        unit=check.unit,
                        scope=check.scope,
                    )
                )

    def _leg(self, instrument: int, lots: int) -> str:
        if not 0 <= instrument < len(self.tables.table):
            return f"{lots:+d} lots of unlisted {instrument}"
        terms = self.tables.table[instrument]
        return f"{'+' if lots > 0 else ''}{contracts_text(terms, lots)} {terms.symbol}"

    def _place(self, command: PlaceOrder) -> None:
        terms = self.tables.table[command.instrument]
        intent = self.tables.intents.get(command.intent_id)
        self._placed[command.order_id] = command
        self.tables.orders[command.order_id] = OrderRow(
            ts_ns=command.ts_ns,
            order_id=command.order_id,
            intent_id=command.intent_id,
            book=command.book,
            symbol=terms.symbol,
            purpose=intent.purpose.value if intent else "",
            lots=command.lots,
            price=format(terms.ticks.price(command.limit_ticks).normalize(), "f"),
            time_in_force=command.time_in_force.value,
        )

    def _order(self, order_id: int, state: str, detail: str = "") -> None:
        row = self.tables.orders.get(order_id)
        if row is not None and not (state == "working" and row.state != "sent"):
            row.state, row.detail = state, detail.strip()

    # Inputs.

    def _filled(self, at_ns: int, report: OrderFilled) -> None:
        command = self._placed.get(report.order_id)
        if command is None:
            return  # the order was sent before this journal's first segment
        self._open(command.book)
        if not self._ledger.apply_fill(command.book, report):
            return
        row = self.tables.orders[report.order_id]
        row.filled_lots += report.lots
        row.state = "filled" if row.filled_lots == row.lots else "working"
        intent = self.tables.intents.get(command.intent_id)
        self._book_fill(at_ns, command.book, report, command, intent)

    def _taken(self, at_ns: int, report: PositionTaken) -> None:
        before = {name: book.lots(report.instrument) for name, book in self._ledger.books.items()}
        if not before or not self._ledger.apply_taken(report):
            return
        changed = [book.lots(report.instrument) - before[name] for name, book in self._ledger.books.items()]
        fees = split_pro_rata(report.fee_units, [abs(lots) for lots in changed])
        for name, lots, fee in zip(before, changed, fees, strict=True):
            if lots:
                taken = msgspec.structs.replace(report, lots=lots, fee_units=fee)
                self._book_fill(at_ns, name, taken, None, None)

    def _book_fill(
        self,
        at_ns: int,
        book: str,
        report: OrderFilled | PositionTaken,
        command: PlaceOrder | None,
        intent: OrderIntent | None,
    ) -> None:
        terms = self.tables.table[report.instrument]
        price = terms.ticks.price(report.price_ticks)
        index = self._index.get(terms.underlying, _NAN)
        in_coin = terms.is_option and terms.settlement is Settlement.INVERSE
        fill = Fill(
            ts_ns=at_ns,
            book=book,
            strategy=intent.strategy if intent else "",
            purpose=intent.purpose.value if intent else ("liquidation" if command is None else ""),
            instrument=report.instrument,
            symbol=terms.symbol,
            is_option=terms.is_option,
            lots=report.lots,
            contracts=contracts_text(terms, report.lots),
            price=format(price.normalize(), "f"),
            price_usd=float(price) * index if in_coin else float(price),
            index=index,
            liquidity=report.liquidity.value if isinstance(report, OrderFilled) else "",
            fee_units=report.fee_units,
            fee=to_text(report.fee_units, report.fee_currency),
            fee_currency=report.fee_currency,
            value_units=to_units(terms.value_at_ticks(report.lots, report.price_ticks), terms.settle_currency),
            settle_currency=terms.settle_currency,
            reason=intent.reason if intent else "",
            intent_id=command.intent_id if command else 0,
            order_id=command.order_id if command else 0,
            trade_id=report.trade_id,
        )
        if terms.is_option:
            add_vols(fill, terms, self._surfaces.get(terms.underlying))
        self.tables.fills.append(fill)

    def _settled(self, at_ns: int, report: InstrumentSettled) -> None:
        terms = self.tables.table[report.instrument]
        currency = terms.settle_currency
        held = {name: book.lots(report.instrument) for name, book in self._ledger.books.items()}
        before = {name: self._settlement_of(name, report.instrument) for name, lots in held.items() if lots}
        if not self._ledger.apply_settled(report):
            return
        for name, (gain, fees, basis) in before.items():
            gained, paid, _ = self._settlement_of(name, report.instrument)
            self.tables.settlements.append(
                Settled(
                    ts_ns=at_ns,
                    book=name,
                    instrument=report.instrument,
                    symbol=terms.symbol,
                    lots=held[name],
                    delivery_price=report.delivery_price,
                    payoff_units=gained - gain + basis,
                    gain_units=gained - gain,
                    fee_units=fees - paid,
                    currency=currency,
                )
            )

    def _settlement_of(self, book: str, instrument: int) -> tuple[int, int, int]:
        position = self._ledger.books[book].holdings[instrument]
        return position.settlement, position.fees, position.basis

    def _funded(self, at_ns: int, report: FundingApplied) -> None:
        terms = self.tables.table[report.instrument]
        held = {n: book.lots(report.instrument) for n, book in self._ledger.books.items()}
        holdings = {n: self._ledger.books[n].holdings[report.instrument] for n, lots in held.items() if lots}
        before = {name: position.funding for name, position in holdings.items()}
        if not self._ledger.apply_funding(report):
            return
        for name, position in holdings.items():
            value = terms.value(held[name], Decimal(report.mark_price))
            self.tables.funding.append(
                Funded(
                    ts_ns=at_ns,
                    book=name,
                    instrument=report.instrument,
                    symbol=terms.symbol,
                    rate=report.rate,
                    units=position.funding - before[name],
                    position_units=to_units(-value if terms.is_reciprocal else value, terms.settle_currency),
                    currency=terms.settle_currency,
                )
            )

    def _surface(self, at_ns: int, surface: SurfaceFitted) -> None:
        self._surfaces[surface.underlying] = surface
        self.tables.surfaces += 1

    # Facts.

    def _fact(self, fact: Fact) -> None:
        tables = self.tables
        tables.last_ns = max(tables.last_ns, fact.ts_ns)
        if isinstance(fact, BookMark):
            self._open(fact.book)
            tables.marks.add(fact)
            if fact.index > 0.0 and tables.table.underlyings:
                first = str(tables.config.get("market", {}).get("underlying", tables.table.underlyings[0]))
                self._index[first] = fact.index
        elif isinstance(fact, VolMark):
            tables.vols.append(fact)
            if fact.index > 0.0:
                self._index[fact.underlying] = fact.index
        else:
            tables.notices.append(fact)

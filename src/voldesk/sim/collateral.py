"""What the venue holds against the account: margin balance, requirement, the margin an order would lock.

An order is admitted when what it locks in the worst case (its side filled together with every order resting on that
side, at its limit) fits into what is free: margin balance less initial margin less what resting orders have locked.
Deribit calls the same sum "available funds". Orders that can only shrink a position are always admitted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from voldesk.instruments.table import InstrumentTable
from voldesk.market.state import Field, MarketState
from voldesk.portfolio.margin import MarginModel, Requirement, StandardMargin, initial_and_maintenance
from voldesk.sim.account import Account, TermsTable
from voldesk.sim.lifecycle import IndexReader
from voldesk.sim.matching import OrderBook


class MarginAnswer(NamedTuple):
    """In whole settle currency, fees left out. `locks` is NaN when a price that the rules need is missing."""

    locks: float
    free: float
    only_reduces: bool


class Collateral:
    """Judges one account with one margin model against the venue's market."""

    def __init__(
        self,
        table: InstrumentTable,
        market: MarketState,
        terms: TermsTable,
        account: Account,
        book: OrderBook,
        index: IndexReader,
        model: MarginModel,
    ) -> None:
        self._table = table
        self._market = market
        self._terms = terms
        self._account = account
        self._book = book
        self._index = index
        self._model = model

    def mark(self, instrument: int) -> float:
        """The recorded mark, else mid, else last trade, else our own last price there; NaN when none is known."""
        row = self._market.values[instrument]
        for price in (row[Field.MARK], 0.5 * (row[Field.BID] + row[Field.ASK]), row[Field.LAST]):
            if price == price:
                return float(price)
        return self._account.last_price.get(instrument, float("nan"))

    def forward(self, instrument: int) -> float:
        """Price of the underlying for this instrument: its own forward, else index; NaN when neither is known."""
        row = self._market.values[instrument]
        for price in (row[Field.FORWARD], row[Field.INDEX]):
            if price == price:
                return float(price)
        return self._index.read(self._table[instrument].underlying)

    def held(self, currency: str) -> list[int]:
        terms = self._terms
        return [i for i in self._account.held() if terms[i].currency == currency]

    def equity(self, currency: str) -> float:
        """Cash and everything held at its mark."""
        return self._worth(currency, with_options=True)

    def balance(self, currency: str) -> float:
        """What requirements are compared with; see `portfolio.margin`."""
        return self._worth(currency, self._model.counts_option_value)

    def _worth(self, currency: str, with_options: bool) -> float:
        total = self._account.cash_float(currency)
        for i in self.held(currency):
            terms = self._terms[i]
            if with_options or not terms.is_option:
                total += terms.value(self._account.positions[i], self.mark(i))
        return total

    def requirement(self, currency: str, lots: dict[int, int]) -> Requirement:
        """Of positions that all settle in one currency."""
        if not lots:
            return Requirement(0.0, 0.0)
        ids = list(lots)
        marks = np.array([self.mark(i) for i in ids])
        forwards = np.array([self.forward(i) if self._terms[i].is_option else np.nan for i in ids])
        sigmas = self._market.values[ids, Field.MARK_IV]
        return initial_and_maintenance(
            self._table,
            np.array(ids, np.int64),
            np.array(list(lots.values()), np.int64),
            marks,
            forwards,
            self._model,
            sigmas,
            self.now_ns,
        ).get(currency, Requirement(0.0, 0.0))

    now_ns: int = 0
    """Set by the exchange; the risk matrix needs the time to expiry."""

    def judge(self, instrument: int, lots: int, price: float) -> MarginAnswer:
        """The margin that an order of signed lots at a price would lock before fees, next to what is free."""
        terms = self._terms[instrument]
        currency = terms.currency
        positions = {i: self._account.positions[i] for i in self.held(currency)}
        side = 1 if lots > 0 else -1
        before = positions.get(instrument, 0) + side * self._book.same_side_lots(instrument, side)
        after = before + lots
        only_reduces = before * lots < 0 and abs(lots) <= abs(before)
        current, at_before, at_after = self._initials(currency, positions, instrument, before, after)
        change = -terms.value(lots, price)
        if not terms.is_option or self._model.counts_option_value:
            # What is bought counts at its mark; a price better than the mark is no profit yet.
            change = min(change + terms.value(lots, self.mark(instrument)), 0.0)
        locks = at_after - at_before - change
        if locks == locks:
            locks = max(locks, 0.0)
        return MarginAnswer(locks, self.balance(currency) - current - self._locked(currency), only_reduces)

    def _initials(
        self, currency: str, positions: dict[int, int], instrument: int, before: int, after: int
    ) -> tuple[float, float, float]:
        """Initial margin of the account, and the two between which an order moves it."""
        model = self._model
        if isinstance(model, StandardMargin):
            # Each position stands by itself, so one pass over the book and the two sizes will do.
            ids = [*positions, instrument, instrument]
            lots = [*positions.values(), before, after]
            initial = model.per_position(
                np.array(ids, np.int64),
                np.array(lots, np.int64),
                np.array([self.mark(i) for i in ids]),
                np.array([self.forward(i) if self._terms[i].is_option else np.nan for i in ids]),
            )[0].tolist()
            return sum(initial[:-2]), initial[-2], initial[-1]
        return (
            self.requirement(currency, positions).initial,
            self.requirement(currency, {**positions, instrument: before}).initial,
            self.requirement(currency, {**positions, instrument: after}).initial,
        )

    def _locked(self, currency: str) -> float:
        return self._book.reserved(i for i in self._book.instruments() if self._terms[i].currency == currency)

    def is_below_maintenance(self, currency: str) -> tuple[bool, float, float]:
        """(called, margin balance, maintenance); an unknown price calls nobody."""
        positions = {i: self._account.positions[i] for i in self.held(currency)}
        balance = self.balance(currency)
        maintenance = self.requirement(currency, positions).maintenance
        return balance < maintenance, balance, maintenance

    def to_liquidate(self, currency: str) -> list[int]:
        """Held instruments, the one that frees most margin first; long options, which free none, by value last."""
        ids = self.held(currency)
        if not ids:
            return []
        lots = np.array([self._account.positions[i] for i in ids], np.int64)
        marks = np.array([self.mark(i) for i in ids])
        value = [abs(self._terms[i].value(held, mark)) for i, held, mark in zip(ids, lots.tolist(), marks, strict=True)]
        if isinstance(self._model, StandardMargin):
            forwards = np.array([self.forward(i) for i in ids])
            freed = self._model.per_position(np.array(ids, np.int64), lots, marks, forwards)[1].tolist()
        else:
            # The matrix has no figure per position: whatever can lose more than it is worth goes first.
            freed = [
                0.0 if self._terms[i].is_option and held > 0 else worth
                for i, held, worth in zip(ids, lots.tolist(), value, strict=True)
            ]
        order = sorted(range(len(ids)), key=lambda k: (-freed[k], -value[k], ids[k]))
        return [ids[k] for k in order]

"""Where one book's P&L came from, instrument by instrument and step by step, to the ledger's last unit.

A step runs from one `on_mark` to the next. A fill cuts it for its instrument: lots held until then are explained to
the fill's own mark, the distance of the fill price from that mark is slippage, and the new lots start there with fresh
Greeks. The P&L to be explained is the ledger's, in integers, so fees, funding and rounding cannot go missing; what
Greeks, flows and slippage do not account for is `unexplained`. Call the ledger first, then the explainer.
"""

from __future__ import annotations

import math

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.money import to_float
from voldesk.core.ports import State
from voldesk.core.units import NS_PER_DAY, NS_PER_YEAR
from voldesk.instruments.spec import Settlement
from voldesk.market.state import Field
from voldesk.portfolio.columns import SIZE, mark_of
from voldesk.portfolio.explain import MARKET_TERMS, VEGA, explain_linear, explain_option
from voldesk.portfolio.explain_record import COLUMN, WIDTH, ExplainRecord
from voldesk.portfolio.factors import FACTOR_TERMS, NO_SMILE, Smile, expiry_members, fit_smile, smile_move
from voldesk.portfolio.ledger import Ledger
from voldesk.portfolio.leg import LEG_COLUMN, LEG_WIDTH, Leg, Seen
from voldesk.portfolio.numeraire import usd_rate
from voldesk.portfolio.valuation import Valuer

_OWN = slice(0, len(MARKET_TERMS))
_FACTOR = slice(LEG_COLUMN["factor_delta"], LEG_COLUMN["factor_delta"] + len(MARKET_TERMS))
_FACTORS = len(MARKET_TERMS) + len(FACTOR_TERMS)
_SPLIT = slice(LEG_COLUMN["factor_vega_level"], LEG_COLUMN["factor_vega_level"] + len(FACTOR_TERMS))

Expiry = tuple[str, str, int]
"""Underlying, settle currency, expiry_ns: the contracts that share a smile."""


class Explainer:
    """Explains the book `name` of a ledger. `record` holds the steps in the numeraire; `by_day` the same by
    (day, instrument) in each instrument's settle currency, columns `LEG_COLUMN`.

    blind_steps: leg steps without a vol or forward at either end (all unexplained); smile_gaps: leg steps whose expiry
    had too few contracts for a smile (no vol terms in the factor view); unseen_trades: lots that changed unreported.
    """

    def __init__(self, ledger: Ledger, name: str, valuer: Valuer) -> None:
        self.record = ExplainRecord()
        self.by_day: dict[tuple[int, int], FloatArray] = {}
        self.blind_steps = 0
        self.smile_gaps = 0
        self.unseen_trades = 0
        self._ledger = ledger
        self._name = name
        self._valuer = valuer
        self._legs: dict[int, Leg] = {}
        self._members: dict[Expiry, IntArray] = {}
        self._listed = 0
        self._profit = 0
        self._terms: dict[str, int] = {}
        self._translation = 0

    def on_fill(self, now_ns: int, instrument: int, lots: int, price_ticks: int) -> None:
        """After `Ledger.apply_fill` returned True: signed lots, at the mark that stands now."""
        leg = self._leg(instrument)
        self._advance(instrument, leg, now_ns, {})
        contract = self._ledger.table[instrument]
        if leg.seen is None:
            leg.is_unpriced = True
        else:
            price = float(contract.ticks.price(price_ticks))
            leg.flows += self._worth(instrument, lots, leg.seen.mark) - self._worth(instrument, lots, price)
        leg.lots += lots

    def on_taken(self, now_ns: int, instrument: int, price_ticks: int) -> None:
        """After `Ledger.apply_taken`: whatever lots of it fell to this book."""
        lots = self._ledger.book(self._name).lots(instrument) - self._leg(instrument).lots
        if lots:
            self.on_fill(now_ns, instrument, lots, price_ticks)

    def on_mark(self, now_ns: int) -> bool:
        """After `Ledger.mark`: close the step. False when it stays open because a currency has no rate yet."""
        ledger = self._ledger
        book = ledger.book(self._name)
        smiles: dict[Expiry, Smile] = {}
        for instrument in book.holdings:
            leg = self._leg(instrument)
            if leg.lots or book.holdings[instrument].lots:
                self._advance(instrument, leg, now_ns, smiles)
        rates = {i: self._rate(ledger.table[i].settle_currency) for i in self._legs}
        open_legs = [i for i, leg in self._legs.items() if leg.lots or leg.has_moved(book.holdings[i])]
        if book.numeraire.unconverted() or any(math.isnan(rates[i]) for i in open_legs):
            return False
        row = np.zeros(WIDTH)
        for instrument in open_legs:
            closed = self._close(instrument, self._legs[instrument], now_ns)
            self._book_leg(row, closed * rates[instrument], ledger.table[instrument].is_option)
        self._book_flows(row)
        self.record.add(now_ns, row)
        return True

    # Parts of a step.

    def _leg(self, instrument: int) -> Leg:
        leg = self._legs.get(instrument)
        if leg is None:
            leg = self._legs[instrument] = Leg()
        return leg

    def _advance(self, instrument: int, leg: Leg, now_ns: int, smiles: dict[Expiry, Smile]) -> None:
        """Explain the lots held since `leg.seen` up to now, and start again from here."""
        contract = self._ledger.table[instrument]
        if contract.expiry_ns and now_ns >= contract.expiry_ns:
            return  # its last mark before expiry stands until delivery; the rest is settlement
        seen = self._look(instrument, now_ns, smiles)
        if not math.isfinite(seen.mark):
            return
        start = leg.seen
        leg.seen = seen
        if start is None or not leg.lots:
            return
        leg.held += self._worth(instrument, leg.lots, seen.mark) - self._worth(instrument, leg.lots, start.mark)
        size = leg.lots * float(self._valuer.columns.floats[instrument, SIZE])
        terms = np.zeros(len(MARKET_TERMS))
        if not contract.is_option:
            explain_linear(start.mark, seen.mark, size, contract.is_reciprocal, terms)
            leg.terms[_OWN] += terms
            leg.terms[_FACTOR] += terms
            return
        if math.isnan(start.sigma + seen.sigma + start.forward + seen.forward):
            self.blind_steps += 1
            return
        self._explain_option(instrument, leg, start, seen, size, terms)

    def _explain_option(
        self, instrument: int, leg: Leg, start: Seen, end: Seen, size: float, terms: FloatArray
    ) -> None:
        contract = self._ledger.table[instrument]
        strike = float(contract.strike)
        inverse = contract.settlement is Settlement.INVERSE
        move = end.forward - start.forward
        elapsed = (end.now_ns - start.now_ns) / NS_PER_YEAR
        tau = (contract.expiry_ns - start.now_ns) / NS_PER_YEAR

        def expand(d_sigma: float) -> None:
            explain_option(
                start.forward, strike, tau, start.sigma, contract.is_call, inverse, move, d_sigma, elapsed, size, terms
            )

        expand(end.sigma - start.sigma)
        leg.terms[_OWN] += terms
        if start.smile.is_known and end.smile.is_known:
            parts = smile_move(start.smile, end.smile, math.log(strike / start.forward), math.log(strike / end.forward))
            expand(parts.total)
            if parts.total:
                leg.terms[_SPLIT] += np.array(parts) * (terms[VEGA] / parts.total)
        else:
            self.smile_gaps += 1
            expand(0.0)
        leg.terms[_FACTOR] += terms

    def _look(self, instrument: int, now_ns: int, smiles: dict[Expiry, Smile]) -> Seen:
        contract = self._ledger.table[instrument]
        values = self._valuer.view.live.values
        mark = float(mark_of(values, instrument))
        if not contract.is_option:
            return Seen(now_ns, mark, math.nan, math.nan, NO_SMILE)
        forward = float(values[instrument, Field.FORWARD])
        sigma = float(values[instrument, Field.MARK_IV])
        if not sigma > 0.0:
            sigma = float(self._valuer.sigma(np.array([instrument]))[0][0])
        key = (contract.underlying, contract.settle_currency, contract.expiry_ns)
        if key not in smiles:
            smiles[key] = self._smile(key, instrument, now_ns)
        return Seen(now_ns, mark, forward if forward > 0.0 else math.nan, sigma, smiles[key])

    def _smile(self, key: Expiry, instrument: int, now_ns: int) -> Smile:
        columns = self._valuer.columns
        if self._listed != len(self._ledger.table):
            self._members.clear()
            self._listed = len(self._ledger.table)
        if key not in self._members:
            self._members[key] = expiry_members(columns.ints, instrument)
        live = self._valuer.view.live.values
        return Smile(*fit_smile(live, columns.ints, columns.floats, self._members[key], now_ns))

    def _worth(self, instrument: int, lots: int, price: float) -> float:
        size = lots * float(self._valuer.columns.floats[instrument, SIZE])
        return -size / price if self._ledger.table[instrument].is_reciprocal else size * price

    def _close(self, instrument: int, leg: Leg, now_ns: int) -> FloatArray:
        """The leg's step in its settle currency, columns `LEG_COLUMN`; the leg is ready for the next one."""
        position = self._ledger.book(self._name).holdings[instrument]
        currency = self._ledger.table[instrument].settle_currency
        gained = to_float(position.gross - leg.gross, currency)
        row = leg.terms
        if leg.is_unpriced:  # bought before there was a mark: the way to the first one is the cost of trading blind
            leg.flows = gained - leg.held
        row[LEG_COLUMN["slippage"]] = leg.flows
        if position.settlement != leg.settlement:
            row[LEG_COLUMN["settlement"]] = gained - leg.held - leg.flows
        elif position.lots != leg.lots:
            self.unseen_trades += 1
        outside = gained - row[LEG_COLUMN["slippage"]] - row[LEG_COLUMN["settlement"]]
        row[LEG_COLUMN["unexplained"]] = outside - row[_OWN].sum()
        row[LEG_COLUMN["factor_unexplained"]] = outside - row[_FACTOR].sum()
        row[LEG_COLUMN["gross"]] = gained
        row[LEG_COLUMN["fees"]] = to_float(position.fees - leg.fees, currency)
        row[LEG_COLUMN["carry"]] = to_float(position.funding - leg.funding, currency)
        day = self.by_day.setdefault((now_ns // NS_PER_DAY, instrument), np.zeros(LEG_WIDTH))
        day += row
        leg.close(position)
        return row

    def _book_leg(self, row: FloatArray, leg: FloatArray, is_option: bool) -> None:
        for name in ("slippage", "settlement"):
            row[COLUMN[name]] += leg[LEG_COLUMN[name]]
        row[_OWN] += leg[_OWN]
        first = COLUMN["factor_delta"]
        row[first : first + _FACTORS] += leg[LEG_COLUMN["factor_delta"] : LEG_COLUMN["factor_delta"] + _FACTORS]
        marked = leg[LEG_COLUMN["gross"]] - leg[LEG_COLUMN["slippage"]]
        row[COLUMN["hedged_pnl"]] += marked
        if is_option:
            row[COLUMN["option_pnl"]] += marked

    def _book_flows(self, row: FloatArray) -> None:
        """Gross, fees and carry from the ledger's own totals; what their rounding leaves over is unexplained."""
        book = self._ledger.book(self._name)
        currency = book.numeraire.currency
        terms = book.numeraire.terms(book.accounts)
        step = {name: to_float(units - self._terms.get(name, 0), currency) for name, units in terms.items()}
        profit = sum(terms.values())
        row[COLUMN["gross"]] = to_float(profit - self._profit, currency)
        row[COLUMN["fees"]] = step["fees"]
        row[COLUMN["carry"]] = step["funding"] + step["interest"]
        flows = row[COLUMN["carry"]] + row[COLUMN["fees"]] + row[COLUMN["slippage"]] + row[COLUMN["settlement"]]
        outside = row[COLUMN["gross"]] - flows
        first = COLUMN["factor_delta"]
        row[COLUMN["unexplained"]] = outside - row[_OWN].sum()
        row[COLUMN["factor_unexplained"]] = outside - row[first : first + len(MARKET_TERMS)].sum()
        self._terms, self._profit = terms, profit
        translation = book.translation_usd(self._ledger.rates)
        if translation is not None:
            row[COLUMN["translation_usd"]] = to_float(translation - self._translation, "USD")
            self._translation = translation

    def _rate(self, currency: str) -> float:
        """Units of the numeraire per unit of a settle currency, at the rates of the last mark."""
        target = self._ledger.book(self._name).numeraire.currency
        if currency == target:
            return 1.0
        ours, theirs = usd_rate(currency, self._ledger.rates), usd_rate(target, self._ledger.rates)
        return math.nan if ours is None or theirs is None else float(ours.fraction / theirs.fraction)

    def state(self) -> State:
        return {
            "record": self.record.state(),
            "by_day": [[day, instrument, row.copy()] for (day, instrument), row in self.by_day.items()],
            "counts": [self.blind_steps, self.smile_gaps, self.unseen_trades],
            "legs": [[instrument, leg.state()] for instrument, leg in self._legs.items()],
            "ledger": [self._profit, dict(self._terms), self._translation],
        }

    def restore(self, state: State) -> None:
        self.record.restore(state["record"])
        self.by_day = {(int(day), int(i)): np.array(row) for day, i, row in state["by_day"]}
        self.blind_steps, self.smile_gaps, self.unseen_trades = (int(count) for count in state["counts"])
        self._legs = {int(instrument): Leg.of(leg) for instrument, leg in state["legs"]}
        self._profit, self._terms, self._translation = state["ledger"][0], dict(state["ledger"][1]), state["ledger"][2]

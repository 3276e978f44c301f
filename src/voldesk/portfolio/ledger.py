"""The desk's ledger: applies what happened to the books it happened to, and says what came of it, to the last unit.

Numeraire "coin" (default) keeps everything in the coin and reports USD translation aside; "usd" (or another currency)
converts each step's increment of each term at that step's index. A report heard twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction

import msgspec

from voldesk.core.errors import InputError
from voldesk.core.money import COINS, to_text, to_units
from voldesk.core.ports import State
from voldesk.core.reports import FundingApplied, InstrumentSettled, OrderFilled, PositionTaken
from voldesk.instruments.fees import SCHEDULES, FeeSchedule, delivery_fee
from voldesk.instruments.settlement import payoff
from voldesk.instruments.table import InstrumentTable
from voldesk.market.view import MarketView
from voldesk.portfolio.account import TERMS
from voldesk.portfolio.book import Book, NetDelta, WorkingLots
from voldesk.portfolio.columns import mark_of
from voldesk.portfolio.numeraire import AT_PAR, convert
from voldesk.portfolio.position import ExactPrice, Worth, exact_price


class LedgerSummary(msgspec.Struct, frozen=True):
    """Integer units of `currency`; `pnl` holds TERMS and adds up to equity_end - equity_start exactly.

    equity_start: all deposits, converted when made. translation_usd: USD units (1e-4), None without a rate.
    unconverted: currencies whose changes wait for a rate and are in no figure here.
    """

    currency: str
    equity_start: int
    equity_end: int
    pnl: dict[str, int]
    translation_usd: int | None
    unconverted: tuple[str, ...]

    @property
    def total(self) -> int:
        return sum(self.pnl.values())

    def texts(self) -> dict[str, str]:
        """P&L terms and their total as the strings that JSON carries."""
        shown = {"total": to_text(self.total, self.currency)}
        return shown | {name: to_text(units, self.currency) for name, units in self.pnl.items()}


class Ledger:
    """Books by name. `working` and `valuer` are handed to every book.

    schedules: the venues' fees, for delivery at expiry; trading fees come with the fills.
    """

    def __init__(
        self,
        table: InstrumentTable,
        numeraire: str = "coin",
        coin: str = "",
        working: WorkingLots | None = None,
        valuer: NetDelta | None = None,
        schedules: Mapping[str, FeeSchedule] = SCHEDULES,
    ) -> None:
        self.table = table
        self.currency = _numeraire_currency(table, numeraire, coin)
        self.books: dict[str, Book] = {}
        self.rates: dict[str, ExactPrice] = {}
        self._working = working
        self._valuer = valuer
        self._schedules = schedules
        self._worths: list[Worth] = []
        self._marks: dict[int, tuple[float, ExactPrice]] = {}
        self._at_cost: dict[int, bool] = {}
        self._seen: dict[tuple[str, int, int], bool] = {}
        self._funded: dict[tuple[int, int], bool] = {}

    def open_book(self, name: str, hedge_collateral: bool = False, numeraire: str = "") -> Book:
        """A new empty book. Raises InputError when the name is taken."""
        if name in self.books:
            raise InputError(f"book={name} exists already; expected one book per strategy variant. Rename one.")
        currency = _numeraire_currency(self.table, numeraire, "") if numeraire else self.currency
        book = self.books[name] = Book(name, currency, self._working, self._valuer, hedge_collateral)
        return book

    def book(self, name: str) -> Book:
        try:
            return self.books[name]
        except KeyError:
            known = ", ".join(self.books) or "none"
            raise InputError(f"book={name} is not open; expected one of: {known}. Open it first.") from None

    # Facts.

    def deposit(self, book: str, currency: str, units: int) -> None:
        """Signed: a withdrawal is negative."""
        self.book(book).deposit(currency, units)

    def apply_fill(self, book: str, fill: OrderFilled) -> bool:
        """Book one execution. False, and nothing changes, when this trade of this order was booked before."""
        if not self._is_new(fill.instrument, fill.trade_id, fill.order_id):
            return False
        self._trade(self.book(book), fill.instrument, fill.lots, fill.price_ticks, fill.fee_units, fill.fee_currency)
        return True

    def apply_taken(self, taken: PositionTaken) -> bool:
        """Book a liquidation pro rata to the positions it reduces, largest remainders first, earlier books on ties.

        Lots beyond what is held (or held by nobody) go to the first book: the account is one, and it owes them.
        """
        if not self.books:
            raise InputError("books=0; expected a book to book a liquidation to. Open one first.")
        if not self._is_new(taken.instrument, taken.trade_id, -1):
            return False
        books = list(self.books.values())
        sign = 1 if taken.lots > 0 else -1
        holdings = [max(0, -sign * book.lots(taken.instrument)) for book in books]
        within = min(abs(taken.lots), sum(holdings))
        shares = split_pro_rata(within, holdings)
        shares[0] += abs(taken.lots) - within
        fees = split_pro_rata(taken.fee_units, shares)
        for book, lots, fee in zip(books, shares, fees, strict=True):
            if lots:
                self._trade(book, taken.instrument, sign * lots, taken.price_ticks, fee, taken.fee_currency)
        return True

    def apply_settled(self, settled: InstrumentSettled) -> bool:
        """Every book settles its own lots at the delivery price. False when nobody held any."""
        instrument = self.table[settled.instrument]
        price = _exact(settled.delivery_price, "delivery_price", instrument.symbol)
        worth = self._worth(settled.instrument)
        found = False
        for book in self.books.values():
            lots = book.lots(settled.instrument)
            if lots:
                found = True
                book.settle(settled.instrument, worth, to_units(payoff(instrument, lots, price), worth.currency))
                fee = delivery_fee(instrument, lots, price, self._schedules)
                book.pay_fee(worth.currency, fee, settled.instrument, worth.currency)
        return found

    def apply_funding(self, funding: FundingApplied) -> bool:
        """Longs pay position value x rate. False when nobody held any, or this interval was booked before."""
        interval = (funding.instrument, funding.ts_event_ns)
        if interval in self._funded:
            return False
        instrument = self.table[funding.instrument]
        rate = _exact(funding.rate, "rate", instrument.symbol)
        mark = _exact(funding.mark_price, "mark_price", instrument.symbol)
        worth = self._worth(funding.instrument)
        self._funded[interval] = True
        found = False
        for book in self.books.values():
            lots = book.lots(funding.instrument)
            if lots:
                found = True
                # An inverse contract's worth is minus its size in coin; the position's value is its size.
                long_value = -instrument.value(lots, mark) if worth.is_reciprocal else instrument.value(lots, mark)
                book.fund(funding.instrument, worth, to_units(-long_value * rate, worth.currency))
        return found

    def apply_interest(self, book: str, currency: str, units: int) -> None:
        self.book(book).earn_interest(currency, units)

    # Marks.

    def mark(self, view: MarketView) -> None:
        """Value every position at its official mark (else mid, else the mark before), then convert the step."""
        values = view.live.values
        for book in self.books.values():
            for instrument, _ in book.held().tolist():
                self._refresh_mark(instrument, float(mark_of(values, instrument)))
                book.mark(instrument, self._worth(instrument), self._marks[instrument][1])
        self._refresh_rates(view)
        for book in self.books.values():
            book.convert(self.rates)

    def unmarked(self) -> tuple[int, ...]:
        """Instruments held that have never had a mark or a two-sided quote: carried at their last trade price."""
        held = {instrument for book in self.books.values() for instrument in book.positions()}
        return tuple(sorted(instrument for instrument in held if self._at_cost.get(instrument, False)))

    def summary(self, book: str = "") -> LedgerSummary:
        """Of one book, or of all together. Raises InputError when books of different numeraires are added."""
        books = [self.book(book)] if book else list(self.books.values())
        currencies = {b.numeraire.currency for b in books} or {self.currency}
        if len(currencies) > 1:
            raise InputError(f"numeraires={sorted(currencies)} cannot be added; expected one. Ask for each book.")
        start = sum(b.numeraire.deposits(b.accounts) for b in books)
        terms = [b.numeraire.terms(b.accounts) for b in books]
        pnl = {name: sum(t[name] for t in terms) for name in TERMS}
        moved = [b.translation_usd(self.rates) for b in books]
        return LedgerSummary(
            currency=currencies.pop(),
            equity_start=start,
            equity_end=sum(b.equity_units() for b in books),
            pnl=pnl,
            translation_usd=None if None in moved else sum(m for m in moved if m is not None),
            unconverted=tuple(sorted({c for b in books for c in b.numeraire.unconverted()})),
        )

    def in_numeraire(self, units: int, currency: str) -> int | None:
        """Units of the ledger's numeraire at the rates of the last mark; None without a rate."""
        return convert(units, currency, self.currency, self.rates)

    # Parts.

    def _is_new(self, instrument: int, trade_id: int, order_id: int) -> bool:
        key = (self.table[instrument].venue, trade_id, order_id)
        if key in self._seen:
            return False
        self._seen[key] = True
        return True

    def _worth(self, instrument: int) -> Worth:
        while len(self._worths) <= instrument:
            self._worths.append(Worth(self.table[len(self._worths)]))
        return self._worths[instrument]

    def _trade(self, book: Book, instrument: int, lots: int, price_ticks: int, fee: int, fee_currency: str) -> None:
        price = ExactPrice(*self.table[instrument].ticks.price(price_ticks).as_integer_ratio())
        is_held = any(other.lots(instrument) for other in self.books.values())
        if instrument not in self._marks or self._at_cost[instrument] or not is_held:
            # No mark, or one from when it was last held (only what is held is marked): until the next one the
            # position stands at what was last paid for it.
            self._marks[instrument] = (float("nan"), price)
            self._at_cost[instrument] = True
            for other in self.books.values():
                if other.lots(instrument):
                    other.mark(instrument, self._worth(instrument), price)
        worth = self._worth(instrument)
        book.trade(instrument, worth, lots, price, self._marks[instrument][1])
        book.pay_fee(fee_currency, fee, instrument, worth.currency)

    def _refresh_mark(self, instrument: int, price: float) -> None:
        known = self._marks.get(instrument)
        if known is not None and known[0] == price:
            return
        if self._worth(instrument).accepts(price):
            self._marks[instrument] = (price, exact_price(price))
            self._at_cost[instrument] = False

    def _refresh_rates(self, view: MarketView) -> None:
        table = self.table
        currencies = {currency: True for book in self.books.values() for currency in book.accounts}
        currencies[self.currency] = True
        for currency in currencies:
            if currency in AT_PAR or currency not in table.underlyings:
                continue
            index = view.index_price(currency)
            if index > 0.0:
                self.rates[currency] = exact_price(index)

    def state(self) -> State:
        return {
            "currency": self.currency,
            "books": [book.state() for book in self.books.values()],
            "rates": {currency: list(rate) for currency, rate in self.rates.items()},
            "marks": [[i, price, *exact, self._at_cost[i]] for i, (price, exact) in self._marks.items()],
            "seen": [list(key) for key in self._seen],
            "funded": [list(interval) for interval in self._funded],
        }

    def restore(self, state: State) -> None:
        self.currency = str(state["currency"])
        # In place: strategies hold on to their book.
        known, self.books = self.books, {}
        for held in state["books"]:
            book = known.get(held["name"]) or Book(
                held["name"], held["numeraire"]["currency"], self._working, self._valuer
            )
            book.restore(held)
            self.books[book.name] = book
        self.rates = {currency: ExactPrice(int(n), int(d)) for currency, (n, d) in state["rates"].items()}
        self._marks = {int(i): (float(price), ExactPrice(int(n), int(d))) for i, price, n, d, _ in state["marks"]}
        self._at_cost = {int(i): bool(at_cost) for i, *_, at_cost in state["marks"]}
        self._seen = {(str(venue), int(trade), int(order)): True for venue, trade, order in state["seen"]}
        self._funded = {(int(instrument), int(ts_ns)): True for instrument, ts_ns in state["funded"]}


def split_pro_rata(total: int, weights: Sequence[int]) -> list[int]:
    """Integers that add up to `total`, as near to its share of the weights as can be. Weights >= 0.

    Largest remainders get the units left over, earlier places first on ties. All zero weights: all zeros when
    total is 0, else the first place takes it.
    """
    whole = sum(weights)
    if whole == 0:
        return [total, *([0] * (len(weights) - 1))]
    sign = 1 if total >= 0 else -1
    shares = [abs(total) * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda place: (-(abs(total) * weights[place] % whole), place))
    for place in order[: abs(total) - sum(shares)]:
        shares[place] += 1
    return [sign * share for share in shares]


def _exact(text: str, name: str, symbol: str) -> Fraction:
    try:
        return Fraction(Decimal(text))
    except (InvalidOperation, ValueError, OverflowError):
        raise InputError(f"{name}={text!r} of {symbol}; expected a decimal number as text, like '60000.5'.") from None


def _numeraire_currency(table: InstrumentTable, numeraire: str, coin: str) -> str:
    if numeraire != "coin":
        return numeraire.upper()
    found = coin or next((i.settle_currency for i in table if i.settle_currency in COINS), "")
    if not found:
        raise InputError("numeraire=coin, but no instrument settles in a coin; set numeraire=usd or name the coin.")
    return found

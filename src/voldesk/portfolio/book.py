"""The books of one strategy variant: positions and accounts, exact, and the view a strategy gets of them.

`Book` satisfies `strategies.protocol.BookView`. It is written by `Ledger` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from voldesk.core.arrays import IntArray
from voldesk.core.money import to_float
from voldesk.core.ports import State
from voldesk.portfolio.account import Account
from voldesk.portfolio.numeraire import Numeraire, UsdRates
from voldesk.portfolio.position import ExactPrice, Position, Worth


class WorkingLots(Protocol):
    """What a book needs to know of its working orders; `portfolio.working_orders.WorkingOrders` implements it."""

    def lots(self, book: str, instrument: int) -> int: ...

    def has_open(self, book: str) -> bool: ...


class NetDelta(Protocol):
    """Net delta of packed positions in units of the underlying; NaN when an input is missing."""

    def net_delta(self, held: IntArray, underlying: str) -> float: ...


class Book:
    """Positions by instrument id and one `Account` per currency. Amounts are integer units; floats only at the edge."""

    def __init__(
        self,
        name: str,
        numeraire: str,
        working: WorkingLots | None = None,
        valuer: NetDelta | None = None,
        hedge_collateral: bool = False,
    ) -> None:
        self.name = name
        self.hedge_collateral = hedge_collateral
        self.accounts: dict[str, Account] = {}
        self.holdings: dict[int, Position] = {}  # every instrument ever held, in order of first trade
        self.usd = Numeraire("USD")
        self.numeraire = self.usd if numeraire == "USD" else Numeraire(numeraire)
        self._working = working
        self._valuer = valuer
        self._held: IntArray | None = None

    # What a strategy sees.

    def lots(self, instrument: int) -> int:
        position = self.holdings.get(instrument)
        return position.lots if position is not None else 0

    def working_lots(self, instrument: int) -> int:
        return self._working.lots(self.name, instrument) if self._working is not None else 0

    def positions(self) -> dict[int, int]:
        """Non-zero positions by rising instrument id."""
        return {int(instrument): int(lots) for instrument, lots in self.held()}

    def has_working_orders(self) -> bool:
        return self._working.has_open(self.name) if self._working is not None else False

    def net_delta(self, underlying: str) -> float:
        """Units of the underlying; NaN when a position cannot be valued. The coin balance counts only with
        `hedge_collateral`: equity in coin plus the net delta of positions is the delta of the whole book in USD."""
        assert self._valuer is not None, f"book {self.name} has no valuer"
        delta = self._valuer.net_delta(self.held(), underlying)
        if self.hedge_collateral and underlying in self.accounts:
            delta += to_float(self.accounts[underlying].equity(), underlying)
        return delta

    def equity(self) -> float:
        """In the numeraire, as of the last mark."""
        return to_float(self.equity_units(), self.numeraire.currency)

    def equity_units(self) -> int:
        """Deposits plus profit in the numeraire, without the translation of other currencies' balances."""
        return self.numeraire.deposits(self.accounts) + self.numeraire.profit(self.accounts)

    def held(self) -> IntArray:
        """(m, 2) int64: instrument id and signed lots, by rising id. Packed once per change; do not write."""
        if self._held is None:
            rows = sorted((instrument, p.lots) for instrument, p in self.holdings.items() if p.lots)
            self._held = np.array(rows, np.int64).reshape(len(rows), 2)
        return self._held

    def account(self, currency: str) -> Account:
        found = self.accounts.get(currency)
        if found is None:
            found = self.accounts[currency] = Account()
        return found

    # What the ledger writes.

    def deposit(self, currency: str, units: int) -> None:
        account = self.account(currency)
        account.deposits += units
        account.cash += units

    def pay_fee(self, currency: str, units: int, instrument: int, settle_currency: str) -> None:
        account = self.account(currency)
        account.fees -= units
        account.cash -= units
        if currency == settle_currency:
            self.holdings[instrument].fees -= units

    def trade(self, instrument: int, worth: Worth, lots: int, price: ExactPrice, mark: ExactPrice) -> None:
        """Book signed lots at an exact price and value what is left at `mark`."""
        position = self.holdings.get(instrument)
        if position is None:
            position = self.holdings[instrument] = Position()
        account = self.account(worth.currency)
        cost = worth.units(lots, price)
        unrealised = position.unrealised
        realised = position.trade(lots, cost)
        position.market = worth.units(position.lots, mark)
        account.realised += realised
        account.unrealised += position.unrealised - unrealised
        account.cash -= cost if worth.moves_cash else -realised
        self._held = None

    def mark(self, instrument: int, worth: Worth, mark: ExactPrice) -> None:
        position = self.holdings[instrument]
        market = worth.units(position.lots, mark)
        self.accounts[worth.currency].unrealised += market - position.market
        position.market = market

    def settle(self, instrument: int, worth: Worth, payoff: int) -> None:
        position = self.holdings[instrument]
        account = self.accounts[worth.currency]
        account.unrealised -= position.unrealised
        gain = position.settle(payoff)
        account.settlement += gain
        account.cash += payoff if worth.moves_cash else gain
        self._held = None

    def fund(self, instrument: int, worth: Worth, units: int) -> None:
        account = self.account(worth.currency)
        account.funding += units
        account.cash += units
        self.holdings[instrument].funding += units

    def earn_interest(self, currency: str, units: int) -> None:
        account = self.account(currency)
        account.interest += units
        account.cash += units

    def convert(self, rates: UsdRates) -> None:
        """Bring both running totals up to the present."""
        self.numeraire.convert(self.accounts, rates)
        if self.usd is not self.numeraire:
            self.usd.convert(self.accounts, rates)

    def translation_usd(self, rates: UsdRates) -> int | None:
        """What the balances gained in USD units because coins moved, beyond the converted profit. None: no rate."""
        worth = self.usd.worth(self.accounts, rates)
        if worth is None:
            return None
        return worth - self.usd.deposits(self.accounts) - self.usd.profit(self.accounts)

    def state(self) -> State:
        return {
            "name": self.name,
            "hedge_collateral": self.hedge_collateral,
            "accounts": {currency: account.state() for currency, account in self.accounts.items()},
            "holdings": [[instrument, position.state()] for instrument, position in self.holdings.items()],
            "numeraire": self.numeraire.state(),
            "usd": self.usd.state(),
        }

    def restore(self, state: State) -> None:
        self.name = str(state["name"])
        self.hedge_collateral = bool(state["hedge_collateral"])
        self.accounts = _restored(state["accounts"])
        self.holdings = {}
        for instrument, held in state["holdings"]:
            position = self.holdings[int(instrument)] = Position()
            position.restore(held)
        self.numeraire.restore(state["numeraire"])
        self.usd.restore(state["usd"])
        self._held = None


def _restored(states: Mapping[str, State]) -> dict[str, Account]:
    accounts: dict[str, Account] = {}
    for currency, state in states.items():
        account = accounts[currency] = Account()
        account.restore(state)
    return accounts

"""One currency of one book: deposits, cash, and the disjoint list of P&L terms. All integers of the smallest unit.

    equity = deposits + realised + unrealised + fees + funding + interest + settlement        (always, exactly)

`cash` is kept apart, by its own flows: premium paid, profit of futures when it is realised, fees, funding, deposits.
Equity is then also cash + worth of premium-paying positions + unrealised of the others; tests compare the two.
"""

from __future__ import annotations

from typing import Final

from voldesk.core.ports import State

TERMS: Final = ("realised", "unrealised", "fees", "funding", "interest", "settlement")
"""The one list of P&L terms: the same in ledger, summary and screens."""


class Account:
    """Signs are those of profit: a fee paid is negative in `fees`."""

    __slots__ = ("cash", "deposits", "fees", "funding", "interest", "realised", "settlement", "unrealised")

    def __init__(self) -> None:
        self.deposits = 0
        self.cash = 0
        self.realised = 0
        self.unrealised = 0
        self.fees = 0
        self.funding = 0
        self.interest = 0
        self.settlement = 0

    def terms(self) -> tuple[int, int, int, int, int, int]:
        """In the order of `TERMS`."""
        return (self.realised, self.unrealised, self.fees, self.funding, self.interest, self.settlement)

    def profit(self) -> int:
        return self.realised + self.unrealised + self.fees + self.funding + self.interest + self.settlement

    def equity(self) -> int:
        return self.deposits + self.profit()

    def state(self) -> State:
        return {name: getattr(self, name) for name in self.__slots__}

    def restore(self, state: State) -> None:
        for name in self.__slots__:
            setattr(self, name, int(state[name]))

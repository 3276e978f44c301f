"""One instrument of a book between two marks, as the explain follows it."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from voldesk.core.ports import State
from voldesk.portfolio.explain import MARKET_TERMS
from voldesk.portfolio.explain_record import EXPLAIN_TERMS
from voldesk.portfolio.factors import FACTOR_TERMS, Smile
from voldesk.portfolio.position import Position

_COLUMNS: Final = (
    *EXPLAIN_TERMS,
    "gross",
    *(f"factor_{name}" for name in (*MARKET_TERMS, *FACTOR_TERMS, "unexplained")),
)
LEG_COLUMN: Final = {name: place for place, name in enumerate(_COLUMNS)}
"""Columns of one leg's row, in its settle currency. `gross` is trading P&L before fees and carry."""
LEG_WIDTH: Final = len(_COLUMNS)


class Seen(NamedTuple):
    """An instrument at one moment: mark in quote currency, forward and vol for options, and its expiry's smile."""

    now_ns: int
    mark: float
    forward: float
    sigma: float
    smile: Smile


class Leg:
    """`held`: change of worth of the lots held, by marks; `flows`: slippage; both of the open step. gross, settlement,
    fees, funding: the ledger's figures when the step began. `is_unpriced`: traded before there was any mark."""

    __slots__ = ("fees", "flows", "funding", "gross", "held", "is_unpriced", "lots", "seen", "settlement", "terms")

    def __init__(self) -> None:
        self.lots = 0
        self.seen: Seen | None = None
        self.is_unpriced = False
        self.held = 0.0
        self.flows = 0.0
        self.terms = np.zeros(LEG_WIDTH)
        self.gross = 0
        self.settlement = 0
        self.fees = 0
        self.funding = 0

    def has_moved(self, position: Position) -> bool:
        """True when the ledger's figures differ from those at the step's beginning."""
        ours = (self.gross, self.fees, self.funding, self.lots)
        return ours != (position.gross, position.fees, position.funding, position.lots) or self.flows != 0.0

    def close(self, position: Position) -> None:
        """Start the next step from the ledger's figures."""
        self.lots = position.lots
        self.gross, self.settlement = position.gross, position.settlement
        self.fees, self.funding = position.fees, position.funding
        self.held = self.flows = 0.0
        self.is_unpriced = self.seen is None and self.lots != 0
        self.terms = np.zeros(LEG_WIDTH)

    def state(self) -> State:
        plain: State = {name: getattr(self, name) for name in self.__slots__ if name not in ("seen", "terms")}
        seen = None if self.seen is None else [*self.seen[:4], list(self.seen.smile)]
        return plain | {"seen": seen, "terms": self.terms.copy()}

    @classmethod
    def of(cls, state: State) -> Leg:
        leg = cls()
        for name in cls.__slots__:
            if name not in ("seen", "terms"):
                setattr(leg, name, state[name])
        leg.terms = np.array(state["terms"])
        if state["seen"] is not None:
            now_ns, mark, forward, sigma, smile = state["seen"]
            leg.seen = Seen(int(now_ns), float(mark), float(forward), float(sigma), Smile(*smile))
        return leg

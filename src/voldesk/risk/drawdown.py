"""Highest profit of each book, and how far it has fallen from there (SPEC G1).

Drawdown = (peak profit - profit) / (deposits + peak profit), in the book's numeraire: a deposit or a withdrawal
moves deposits, never the drawdown, and the translation of collateral is no profit.
"""

from __future__ import annotations

from voldesk.core.money import to_float
from voldesk.core.ports import State
from voldesk.portfolio.book import Book


class HighWater:
    """Peaks in integer units of each book's numeraire."""

    def __init__(self) -> None:
        self._peaks: dict[str, int] = {}

    def observe(self, book: Book) -> None:
        """Take note of the book's profit; call at every mark."""
        profit = book.numeraire.profit(book.accounts)
        self._peaks[book.name] = max(self._peaks.get(book.name, 0), profit)

    def drawdown(self, book: Book) -> float:
        """Decimal in [0, 1] while equity is positive, above 1 when it is not; NaN for a book that was never funded."""
        profit = book.numeraire.profit(book.accounts)
        peak = max(self._peaks.get(book.name, 0), profit)
        top = to_float(book.numeraire.deposits(book.accounts) + peak, book.numeraire.currency)
        return to_float(peak - profit, book.numeraire.currency) / top if top > 0.0 else float("nan")

    def state(self) -> State:
        return {"peaks": dict(self._peaks)}

    def restore(self, state: State) -> None:
        self._peaks = {book: int(peak) for book, peak in state["peaks"].items()}

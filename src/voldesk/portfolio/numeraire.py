"""Adding up currencies: every increment of every P&L term is converted once, at the index of its own step.

Profit made in coin counts at the price at which it was made; what the standing collateral gains or loses because the
coin itself moves is `translation`, a term of its own: the real change of worth minus the converted profit (DESIGN §5).
Because each increment is rounded half-even and then added, pnl.total is the sum of its terms to the last unit.
Unrealised profit is built up at one step's index and released at another's; once a currency has none left, what the two
indices leave over belongs to what released it (realised, or settlement) and is moved there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from voldesk.core.money import exponent, round_half_even
from voldesk.core.ports import State
from voldesk.portfolio.account import TERMS, Account
from voldesk.portfolio.position import ExactPrice

AT_PAR: Final = frozenset({"USD", "USDC", "USDT"})
"""Counted as one US dollar each: a stated assumption, not a quote."""

_REALISED: Final = 1 + TERMS.index("realised")
_UNREALISED: Final = 1 + TERMS.index("unrealised")
_SETTLEMENT: Final = 1 + TERMS.index("settlement")

UsdRates = Mapping[str, ExactPrice]
"""US dollars per whole unit of a currency; a currency without a rate is left out."""


def usd_rate(currency: str, rates: UsdRates) -> ExactPrice | None:
    return ExactPrice(1, 1) if currency in AT_PAR else rates.get(currency)


def convert(units: int, currency: str, target: str, rates: UsdRates) -> int | None:
    """Units of `target` worth `units` of `currency`, rounded once half-even; None where a rate is missing."""
    if currency == target:
        return units
    ours, theirs = usd_rate(currency, rates), usd_rate(target, rates)
    if ours is None or theirs is None:
        return None
    numerator = units * ours.numerator * theirs.denominator * 10 ** exponent(target)
    return round_half_even(numerator, ours.denominator * theirs.numerator * 10 ** exponent(currency))


class Numeraire:
    """Running totals in one currency of one book's accounts. Its own currency is read live and never rounded."""

    __slots__ = ("_open", "_seen", "_totals", "_unconverted", "currency")

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self._totals = [0] * (1 + len(TERMS))  # deposits, then TERMS
        self._seen: dict[str, tuple[int, ...]] = {}
        self._unconverted: dict[str, bool] = {}
        self._open: dict[str, int] = {}  # unrealised profit of each currency, as converted so far

    def convert(self, accounts: Mapping[str, Account], rates: UsdRates) -> None:
        """Convert what each account's terms have changed by since the last call; without a rate they wait."""
        for currency, account in accounts.items():
            if currency == self.currency:
                continue
            now = (account.deposits, *account.terms())
            before = self._seen.get(currency)
            if now == before:
                continue
            before = before or (0,) * len(now)
            if convert(0, currency, self.currency, rates) is None:
                self._unconverted[currency] = True
                continue
            for place, (new, old) in enumerate(zip(now, before, strict=True)):
                if new != old:
                    added = convert(new - old, currency, self.currency, rates)
                    assert added is not None
                    self._totals[place] += added
                    if place == _UNREALISED:
                        self._open[currency] = self._open.get(currency, 0) + added
            if now[_UNREALISED] == 0 and self._open.get(currency, 0):
                settled = now[_SETTLEMENT] != before[_SETTLEMENT] and now[_REALISED] == before[_REALISED]
                self._totals[_SETTLEMENT if settled else _REALISED] += self._open[currency]
                self._totals[_UNREALISED] -= self._open[currency]
                self._open[currency] = 0
            self._seen[currency] = now
            self._unconverted[currency] = False

    def unconverted(self) -> tuple[str, ...]:
        """Currencies whose latest changes wait for a rate and are in no total yet."""
        return tuple(sorted(currency for currency, waiting in self._unconverted.items() if waiting))

    def deposits(self, accounts: Mapping[str, Account]) -> int:
        own = accounts.get(self.currency)
        return self._totals[0] + (own.deposits if own is not None else 0)

    def terms(self, accounts: Mapping[str, Account]) -> dict[str, int]:
        """P&L terms as of the last `convert`, own currency as of now."""
        own = accounts.get(self.currency)
        live: Iterable[int] = own.terms() if own is not None else (0,) * len(TERMS)
        return {name: total + extra for name, total, extra in zip(TERMS, self._totals[1:], live, strict=True)}

    def profit(self, accounts: Mapping[str, Account]) -> int:
        own = accounts.get(self.currency)
        return sum(self._totals[1:]) + (own.profit() if own is not None else 0)

    def worth(self, accounts: Mapping[str, Account], rates: UsdRates) -> int | None:
        """What the accounts' equities would fetch now; None where a rate is missing."""
        total = 0
        for currency, account in accounts.items():
            added = convert(account.equity(), currency, self.currency, rates)
            if added is None:
                if account.equity() == 0:
                    continue
                return None
            total += added
        return total

    def state(self) -> State:
        return {
            "currency": self.currency,
            "totals": list(self._totals),
            "seen": {currency: list(values) for currency, values in self._seen.items()},
            "unconverted": dict(self._unconverted),
            "open": dict(self._open),
        }

    def restore(self, state: State) -> None:
        self.currency = str(state["currency"])
        self._totals = [int(value) for value in state["totals"]]
        self._seen = {currency: tuple(int(v) for v in values) for currency, values in state["seen"].items()}
        self._unconverted = dict(state["unconverted"])
        self._open = {currency: int(units) for currency, units in state["open"].items()}

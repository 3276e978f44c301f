"""The gate: every intent, whoever it comes from, is judged on the book as it would be after it (SPEC G1).

One answer per rule, with a stable code and the numbers: limit, current, projected. APPROVE, WARN (a figure at 80 % of
its limit or more, or a rule waived), REFUSE. What is not known is refused: no Greeks, no rate, no fresh quote.

Three exemptions, named in the verdict:
  reduce_only           the exposure that is over its limit comes strictly nearer, without swinging over on the other
                        side; or the order only closes positions (CLOSE, FLATTEN), which no limit may forbid.
                        Under PAUSE, in a drawdown or with unknown Greeks: the order only closes positions.
  hedge_reduces_delta   a HEDGE that brings |net delta| of every underlying it touches down is not held up by a delta
                        limit, nor, when it trades no options, by a pause or a drawdown.
`Approved` is constructed here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.orders import Approved, Check, OrderIntent, Outcome, Purpose, Verdict
from voldesk.core.ports import State
from voldesk.instruments.spec import Kind
from voldesk.instruments.table import InstrumentTable
from voldesk.market.view import MarketView
from voldesk.portfolio.book import Book
from voldesk.portfolio.ledger import Ledger
from voldesk.portfolio.margin import MarginModel
from voldesk.portfolio.scenario import ScenarioGrid
from voldesk.portfolio.valuation import RiskStatus, Valuer
from voldesk.portfolio.working_orders import WorkingOrders
from voldesk.risk.answers import Answer, Nature, banded, ceiling, floor, utilised, verdict
from voldesk.risk.capital import capital
from voldesk.risk.drawdown import HighWater
from voldesk.risk.exposure import BASE, Simulated, bands, collateral_delta, most_used, simulate
from voldesk.risk.kill_switch import KillLevel, KillSwitch
from voldesk.risk.limits import Code, Limit, Limits
from voldesk.risk.lots import Betas, Priced, delta_scale, greek_columns, price_lots, unit_rules
from voldesk.risk.order_checks import WARN_SHARE, order_checks, unknown_legs
from voldesk.risk.scenario_loss import Shocks, lot_scenarios, scenario_loss


class Gate:
    """One per desk. `limits` and `kill` are public: operators act on them, the journal records what they did.

    waiting: lots of a book that are approved and not yet quoted, see `execution.Executor.waiting`.
    """

    def __init__(
        self,
        table: InstrumentTable,
        ledger: Ledger,
        orders: WorkingOrders,
        valuer: Valuer,
        margin: MarginModel,
        limits: Limits,
        kill: KillSwitch | None = None,
        grid: ScenarioGrid | None = None,
        betas: Betas | None = None,
        waiting: Callable[[str], Mapping[int, int]] | None = None,
    ) -> None:
        self.table = table
        self.ledger = ledger
        self.orders = orders
        self.valuer = valuer
        self.margin = margin
        self.limits = limits
        self.kill = kill or KillSwitch()
        self.grid = grid or ScenarioGrid()
        self.betas = betas or Betas()
        self._waiting = waiting
        self._high_water = HighWater()
        self._shocks = Shocks.of(self.grid)
        self._units: Sequence[tuple[Code, str]] = ()
        self._rules = unit_rules(())
        self._placed: dict[tuple[tuple[int, ...], int], tuple[list[Limit], IntArray, FloatArray]] = {}

    # what the desk calls

    def approve(self, intent: OrderIntent, view: MarketView, now_ns: int) -> tuple[Verdict, Approved | None]:
        """The verdict, and the proof that execution asks for unless it is a refusal."""
        judged = self.judge(intent, view, now_ns)
        return judged, None if judged.outcome is Outcome.REFUSE else Approved(intent, judged)

    def judge(self, intent: OrderIntent, view: MarketView, now_ns: int) -> Verdict:
        """Judge an intent against its book as it stands. Raises InputError for a book that is not open."""
        assert intent.legs, f"intent {intent.intent_id} has no legs"
        assert all(leg.lots for leg in intent.legs), f"intent {intent.intent_id} has a leg of zero lots"
        assert view is self.valuer.view, "the gate judges on the market its valuer reads"
        self.limits.take_effect(now_ns)
        book = self.ledger.book(intent.book)
        unknown = unknown_legs(intent, view)
        if unknown:
            return Verdict(intent.intent_id, now_ns, Outcome.REFUSE, tuple(unknown))
        sim = simulate(book.held(), intent.legs, self._exposed(book.name))
        priced = price_lots(self.valuer, sim.ids, book.numeraire.currency)
        answers = self._permission(intent, book)
        answers += [Answer(check) for check in order_checks(intent, self.valuer, self.limits)]
        nature = self._nature(intent, book, sim, priced, view)
        if intent.reduce_only and not nature.closes:
            refused = Check(Code.REDUCE_ONLY.value, Outcome.REFUSE, 0.0, 0.0, 1.0, "order", f"book:{book.name}")
            answers.append(Answer(refused))
        answers += self._book_answers(book, sim, priced, now_ns)
        return verdict(intent, now_ns, answers, nature)

    def utilisation(self, book: Book, now_ns: int) -> tuple[Check, ...]:
        """Every limit on the book as it stands, with all working orders counted where they hurt; `current` and
        `projected` agree. Plain approvals are included, worst utilisation first."""
        self.limits.take_effect(now_ns)
        sim = simulate(book.held(), (), self._exposed(book.name))
        priced = price_lots(self.valuer, sim.ids, book.numeraire.currency)
        checks = [answer.check for answer in self._book_answers(book, sim, priced, now_ns, everything=True)]
        return tuple(sorted(checks, key=utilised, reverse=True))

    def on_mark(self, book: Book, now_ns: int) -> None:
        """The book has been valued: its equity may be a new peak."""
        self.limits.take_effect(now_ns)
        self._high_water.observe(book)

    def drawdown(self, book: Book) -> float:
        """Share of the peak equity that is lost."""
        return self._high_water.drawdown(book)

    def _exposed(self, book: str) -> dict[int, tuple[int, int]]:
        """Lots that may still fill: of open orders, and of approved legs that wait to be quoted again."""
        found = self.orders.exposed(book)
        for instrument, lots in (self._waiting(book) if self._waiting is not None else {}).items():
            buys, sells = found.get(instrument, (0, 0))
            found[instrument] = (buys + lots, sells) if lots > 0 else (buys, sells + lots)
        return found

    # what the order is

    def _permission(self, intent: OrderIntent, book: Book) -> list[Answer]:
        level = self.kill.level(book.name)
        if level is KillLevel.ARMED:
            return []
        code = Code.PAUSED if level is KillLevel.PAUSE else Code.KILLED
        value = float(level)
        return [Answer(Check(code.value, Outcome.REFUSE, 0.0, value, value, "level", f"book:{book.name}"))]

    def _nature(self, intent: OrderIntent, book: Book, sim: Simulated, priced: Priced, view: MarketView) -> Nature:
        closes, options = True, False
        for (held, order, buys, sells), kind in zip(sim.rows, priced.kind.tolist(), strict=True):
            if order == 0:
                continue
            options = options or kind == Kind.OPTION
            # Together with what works on the same side the order must not swing the position over.
            if order > 0:
                closes = closes and held < 0 and held + order + buys <= 0
            else:
                closes = closes and held > 0 and held + order + sells >= 0
        hedges = intent.purpose is Purpose.HEDGE and self._reduces_delta(book, sim, priced, view)
        return Nature(closes, hedges, options)

    def _reduces_delta(self, book: Book, sim: Simulated, priced: Priced, view: MarketView) -> bool:
        """|net delta| of every underlying touched falls, all working orders taken as filled: an order for what is
        already being hedged is not a hedge."""
        before: dict[int, float] = dict(collateral_delta(book, view))
        added: dict[int, float] = {}
        rows = zip(priced.underlying.tolist(), sim.rows, priced.risk.net_delta.tolist(), strict=True)
        for underlying, (held, order, buys, sells), delta in rows:
            if held or buys or sells:
                before[underlying] = before.get(underlying, 0.0) + (held + buys + sells) * delta
            if order:
                added[underlying] = added.get(underlying, 0.0) + order * delta
        return all(abs(before.get(u, 0.0) + step) < abs(before.get(u, 0.0)) for u, step in added.items())

    # what the book would be

    def _book_answers(
        self, book: Book, sim: Simulated, priced: Priced, now_ns: int, everything: bool = False
    ) -> list[Answer]:
        answers = self._unvalued(sim, priced)
        answers += self._greeks(book, sim, priced, everything)
        answers += self._capital(book, sim, priced, now_ns, everything)
        loss = self.limits.get(Code.SCENARIO_LOSS, "portfolio")
        if loss is not None:
            found = scenario_loss(lot_scenarios(self.valuer, priced, self._shocks), sim.lots)
            scale = 1.0 if loss.unit == "numeraire" else _positive(book.equity())
            ceiling(answers, loss, found.current / scale, found.projected / scale, "portfolio", everything)
        fallen = self.limits.get(Code.DRAWDOWN, "portfolio")
        if fallen is not None:
            lost = self._high_water.drawdown(book)
            ceiling(answers, fallen, lost, lost, f"book:{book.name}", everything)
        count = self.limits.get(Code.POSITIONS, "portfolio")
        if count is not None:
            standing = sum(1 for held, _, buys, sells in sim.rows if held or buys or sells)
            after = sum(1 for held, order, buys, sells in sim.rows if held + order or buys or sells)
            ceiling(answers, count, float(standing), float(after), "portfolio", everything)
        return answers

    def _unvalued(self, sim: Simulated, priced: Priced) -> list[Answer]:
        found = []
        for instrument, status in zip(sim.ids.tolist(), priced.risk.status.tolist(), strict=True):
            if status < RiskStatus.NO_FORWARD:
                continue
            code = Code.UNKNOWN_IV if status == RiskStatus.NO_IV else Code.NO_GREEKS
            scope = f"position:{self.table[instrument].symbol}"
            found.append(Answer(Check(code.value, Outcome.REFUSE, 0.0, float(status), float(status), "status", scope)))
        return found

    def _greeks(self, book: Book, sim: Simulated, priced: Priced, everything: bool) -> list[Answer]:
        units = self.limits.greek_units()
        if not units:
            return []
        if units is not self._units:
            self._units, self._rules, self._placed = units, unit_rules(units), {}
        present, group = _groups(priced.underlying.tolist())
        out = np.empty((len(units), 1 + len(present) + sim.ids.size, 4))
        columns = greek_columns(priced, self._rules, self.valuer.view, self.betas)
        bands(columns, sim.lots, np.array(group, np.int64), len(present), out)
        if book.hedge_collateral:
            self._add_collateral(book, units, priced, present, out)
        held, places, values = self._places(tuple(present), sim.ids.size)
        if not everything and most_used(out, places, values) < WARN_SHARE:
            return []
        scopes = ["portfolio", *(f"underlying:{self.table.underlyings[u]}" for u in present)]
        scopes += [f"position:{self.table[instrument].symbol}" for instrument in sim.ids.tolist()]
        figures = out.tolist()
        answers: list[Answer] = []
        for limit, (k, first, last) in zip(held, places.tolist(), strict=True):
            for row in range(first, last + 1):
                banded(answers, limit, figures[k][row], scopes[row], everything)
        return answers

    def _places(self, present: tuple[int, ...], positions: int) -> tuple[list[Limit], IntArray, FloatArray]:
        """The Greek limits that hold for a book of these underlyings, and where their figures stand in its bands."""
        known = self._placed.get((present, positions))
        if known is None:
            names, after = self.table.underlyings, 1 + len(present)
            rows = [(limit, k, 0, 0) for limit, k in self.limits.greek_limits("portfolio")]
            for row, underlying in enumerate(present, 1):
                rows += [(limit, k, row, row) for limit, k in self.limits.greek_limits("underlying", names[underlying])]
            last = after + positions - 1
            rows += [(limit, k, after, last) for limit, k in self.limits.greek_limits("position")]
            places = np.array([row[1:] for row in rows], np.int64).reshape(len(rows), 3)
            known = ([row[0] for row in rows], places, np.array([row[0].value for row in rows]))
            self._placed[present, positions] = known
        return known

    def _add_collateral(
        self, book: Book, units: Sequence[tuple[Code, str]], priced: Priced, present: list[int], out: FloatArray
    ) -> None:
        """The coin balance of a book that hedges it: delta of its underlying, in every unit that delta is asked in."""
        for underlying, coins in collateral_delta(book, self.valuer.view):
            if underlying not in present:
                continue
            place = int(np.flatnonzero(priced.underlying == underlying)[0])
            each = coins * delta_scale(priced, self._rules, self.valuer.view, self.betas)[:, place]
            for k, (code, _) in enumerate(units):
                if code is Code.DELTA:
                    out[k, 0, BASE] += each[k]
                    out[k, 1 + present.index(underlying), BASE] += each[k]

    def _capital(self, book: Book, sim: Simulated, priced: Priced, now_ns: int, everything: bool) -> list[Answer]:
        before, after = capital(self.table, self.margin, priced, sim.lots, book.equity(), now_ns)
        answers: list[Answer] = []
        ratio = self.limits.get(Code.POSITION_RATIO_MAX, "portfolio")
        if ratio is not None:
            ceiling(answers, ratio, before.position_ratio, after.position_ratio, "portfolio", everything)
        margin = self.limits.get(Code.MARGIN, "portfolio")
        if margin is not None:
            ceiling(answers, margin, before.margin, after.margin, "portfolio", everything)
        free = self.limits.get(Code.FREE_CASH_FLOOR, "portfolio")
        if free is not None:
            floor(answers, free, before.free_cash, after.free_cash, everything)
        single = self.limits.get(Code.SINGLE_POSITION, "position")
        if single is not None:
            figures = zip(sim.ids.tolist(), before.single.tolist(), after.single.tolist(), strict=True)
            for instrument, current, projected in figures:
                ceiling(answers, single, current, projected, f"position:{self.table[instrument].symbol}", everything)
        return answers

    def state(self) -> State:
        return {"limits": self.limits.state(), "kill": self.kill.state(), "high_water": self._high_water.state()}

    def restore(self, state: State) -> None:
        self.limits.restore(state["limits"])
        self.kill.restore(state["kill"])
        self._high_water.restore(state["high_water"])


def _groups(underlyings: list[int]) -> tuple[list[int], list[int]]:
    """The distinct underlyings in order of appearance, and which of them each instrument is in."""
    present = list(dict.fromkeys(underlyings))
    return present, [present.index(u) for u in underlyings]


def _positive(equity: float) -> float:
    return equity if equity > 0.0 else float("nan")

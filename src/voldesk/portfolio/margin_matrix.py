"""Portfolio margin: the worst loss of everything on one underlying over a grid of price and volatility moves.

Source: Deribit, "Portfolio Margin" (segregated, S:PM): price moves in evenly spaced buckets up to a maximum, each
with volatility up, unchanged and down by (30 / days to expiry)^power x shock; a contingency per net short option per
strike; initial margin a fixed multiple of maintenance. Deribit sets the numbers without notice, so all are fields.
Every option is revalued with Black's formula, no Greek is used. Each (settle currency, underlying) is judged by
itself: no offset across them. Left out: the extended table of far moves, basis and vega-offset contingencies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.units import NS_PER_DAY, NS_PER_YEAR
from voldesk.instruments.spec import Kind, Settlement
from voldesk.instruments.table import InstrumentTable
from voldesk.pricing.black import price as black_price


@dataclass(frozen=True, slots=True)
class MatrixRules:
    """price_range: largest move, decimal. price_steps: buckets on each side. vol_up, vol_down: relative change of a
    30-day implied vol. power_short, power_long: exponents below and above 30 days. contingency: share of the
    underlying per net short option of one strike. initial_factor: initial over maintenance."""

    price_range: float = 0.15
    price_steps: int = 4
    vol_up: float = 0.45
    vol_down: float = 0.30
    power_short: float = 0.30
    power_long: float = 0.13
    contingency: float = 0.01
    initial_factor: float = 1.30


# An expiry within the day is shocked like one a day out; the power law has no limit at zero.
_SHORTEST_DAYS: Final = 1.0


class MatrixMargin:
    """Risk-matrix margin over one table."""

    counts_option_value: Final = True
    additive: Final = False

    def __init__(self, table: InstrumentTable, rules: MatrixRules | None = None) -> None:
        self.table = table
        self.rules = rules or MatrixRules()

    def _shocks(self, days: FloatArray) -> FloatArray:
        """Multipliers of implied vol, shape (3, n): up, same, down."""
        rules = self.rules
        power = np.where(days > 30.0, rules.power_long, rules.power_short)
        scale = (30.0 / np.maximum(days, _SHORTEST_DAYS)) ** power
        down = np.maximum(1.0 - rules.vol_down * scale, 0.01)
        return np.stack([1.0 + rules.vol_up * scale, np.ones_like(days), down])

    def losses(
        self, ids: IntArray, lots: IntArray, marks: FloatArray, forwards: FloatArray, sigmas: FloatArray, now_ns: int
    ) -> FloatArray:
        """Loss (positive) of each position in its settle currency, shape (scenarios, n), scenarios ordered by price
        move, then volatility up, same, down. NaN where a mark, forward or vol that is needed is missing."""
        table, rules = self.table, self.rules
        moves = np.linspace(-rules.price_range, rules.price_range, 2 * rules.price_steps + 1)
        size = lots * table.contract_size[ids]
        quanto = np.array([float(table[i].quanto_rate) for i in ids.tolist()])
        quanto[table.settlement[ids] != int(Settlement.QUANTO)] = 1.0
        coin = table.settlement[ids] == int(Settlement.INVERSE)
        pnl = np.zeros((moves.size, 3, ids.size))
        option = table.kind[ids] == int(Kind.OPTION)
        if option.any():
            pnl[:, :, option] = self._option_pnl(
                ids[option],
                size[option] * quanto[option],
                coin[option],
                forwards[option],
                sigmas[option],
                moves,
                now_ns,
            )
        other = ~option
        shocked = marks[other] * (1.0 + moves[:, None])
        reciprocal = coin[other]
        straight = (size * quanto)[other] * (shocked - marks[other])
        inverse = -size[other] * (1.0 / shocked - 1.0 / marks[other])
        pnl[:, :, other] = np.where(reciprocal, inverse, straight)[:, None, :]
        out: FloatArray = -pnl.reshape(-1, ids.size)
        return out

    def _option_pnl(
        self,
        ids: IntArray,
        size: FloatArray,
        coin: FloatArray,
        forward: FloatArray,
        sigma: FloatArray,
        moves: FloatArray,
        now_ns: int,
    ) -> FloatArray:
        table = self.table
        left_ns = np.maximum(table.expiry_ns[ids] - now_ns, 0)
        tau = left_ns / NS_PER_YEAR
        vols = sigma * self._shocks(left_ns / NS_PER_DAY)
        strike, is_call = table.strike[ids], table.is_call[ids]
        moved = forward * (1.0 + moves[:, None, None])
        after = np.asarray(black_price(moved, strike, tau, vols, 1.0, is_call))
        before = np.asarray(black_price(forward, strike, tau, sigma, 1.0, is_call))
        after = np.where(coin, after / moved, after)
        before = np.where(coin, before / forward, before)
        out: FloatArray = size * (after - before)
        return out

    def _contingency(self, ids: IntArray, lots: IntArray, forwards: FloatArray) -> float:
        table = self.table
        net: dict[tuple[int, float], float] = {}
        for i, held, forward in zip(ids.tolist(), lots.tolist(), forwards.tolist(), strict=True):
            item = table[i]
            if item.is_option:
                worth = 1.0 if item.settlement is Settlement.INVERSE else forward
                rate = float(item.quanto_rate) if item.settlement is Settlement.QUANTO else 1.0
                key = (item.expiry_ns, float(item.strike))
                net[key] = net.get(key, 0.0) + held * float(item.multiplier * item.lot) * worth * rate
        return self.rules.contingency * sum(-amount for amount in net.values() if amount < 0.0)

    def by_underlying(
        self, ids: IntArray, lots: IntArray, marks: FloatArray, forwards: FloatArray, sigmas: FloatArray, now_ns: int
    ) -> dict[tuple[str, str], float]:
        """Maintenance margin of each (settle currency, underlying)."""
        table = self.table
        losses = self.losses(ids, lots, marks, forwards, sigmas, now_ns)
        groups: dict[tuple[str, str], list[int]] = {}
        for row, i in enumerate(ids.tolist()):
            groups.setdefault((table[i].settle_currency, table[i].underlying), []).append(row)
        out = {}
        for key, rows in groups.items():
            worst = float(np.max(losses[:, rows].sum(axis=1)))  # NaN stays NaN: max of NaN is NaN
            base = 0.0 if worst < 0.0 else worst
            out[key] = base + self._contingency(ids[rows], lots[rows], forwards[rows])
        return out

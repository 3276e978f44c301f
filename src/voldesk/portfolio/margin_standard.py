"""Margin rules that judge each position by itself: Deribit standard, US strategy-based (Reg T), CFFEX.

All three ask of a short option its mark plus the larger of a share of the underlying less the out-of-the-money
amount and a floor, so one kernel serves them with different numbers.

Sources:
* Deribit, "Margin requirements, options" (standard margin): short call initial max(0.15 - OTM/F, 0.1) + mark,
  maintenance 0.075 + mark; short put initial max(max(0.15 - OTM/F, 0.1) + mark, maintenance), maintenance
  max(0.075, 0.075 mark) + mark, in coin; linear contracts the same times F. Futures: support article "Linear
  Perpetual" and notice of 11 January 2022: initial 2 % + size x 0.005 % (BTC), maintenance 1 % + size x 0.005 %,
  size in coin; ETH step 0.0004 %; SOL 4 % and 2 %, step 0.0005 %.
* Cboe Rule 10.3 / Margin Manual (April 2000), "Short put or short call": option value plus 20 % (broad index 15 %) of
  the underlying less OTM, at least option value plus 10 % of the underlying (call) or of the strike (put).
  Long stock: Regulation T 50 %, FINRA 4210 25 % maintenance; short stock 50 % and 30 %.
* CFFEX index option rules: settlement price x multiplier + max(close x multiplier x adjustment - OTM, floor x close
  (call) or strike (put) x multiplier x adjustment); adjustment 12 %, floor 0.5; index futures 12 %.

Left out: strategy offsets of Reg T (spreads, covered writes), volume tiers, broker add-ons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.instruments.spec import Instrument, Kind, Settlement
from voldesk.instruments.table import InstrumentTable

_OPTION: Final = 1.0
_FUTURE: Final = 2.0
_OWNED: Final = 3.0  # spot and equity
_WIDTH: Final = 10
(_STYLE, _CALL, _STRIKE, _COIN, _SIZE, _QUANTO, _P0, _P1, _P2, _P3) = range(_WIDTH)


@dataclass(frozen=True, slots=True)
class ShortOptionRule:
    """Share of the underlying, floor share, whether a put's floor is taken on the strike, and the flat maintenance
    share of the underlying (0: maintenance equals initial)."""

    share: float
    floor: float
    put_floor_on_strike: bool
    maintenance: float


@dataclass(frozen=True, slots=True)
class FutureRule:
    """Shares of the position's value; both grow by `step` per unit of underlying held."""

    initial: float
    maintenance: float
    step: float = 0.0


@dataclass(frozen=True, slots=True)
class OwnedRule:
    """Shares of market value asked of stock or spot held long and sold short."""

    long_initial: float = 1.0
    long_maintenance: float = 1.0
    short_initial: float = 1.0
    short_maintenance: float = 1.0


@dataclass(frozen=True, slots=True)
class MarginRules:
    """One venue's rules; the mappings, by underlying, override the first value of each kind."""

    option: ShortOptionRule
    future: FutureRule
    stock: OwnedRule = OwnedRule()
    spot: OwnedRule = OwnedRule()
    option_by_underlying: Mapping[str, ShortOptionRule] = field(default_factory=dict)
    future_by_underlying: Mapping[str, FutureRule] = field(default_factory=dict)


def deribit_standard() -> MarginRules:
    """Segregated standard margin of Deribit."""
    return MarginRules(
        option=ShortOptionRule(0.15, 0.10, put_floor_on_strike=False, maintenance=0.075),
        future=FutureRule(0.04, 0.02, 0.000005),
        future_by_underlying={"BTC": FutureRule(0.02, 0.01, 0.00005), "ETH": FutureRule(0.02, 0.01, 0.000004)},
    )


BROAD_INDICES: Final = ("SPX", "XSP", "NDX", "RUT", "DJX", "OEX", "VIX")


def us_strategy_based() -> MarginRules:
    """Cboe/FINRA minimum for uncovered positions; index futures at a plain 12 % as no US future is listed here."""
    equity = ShortOptionRule(0.20, 0.10, put_floor_on_strike=True, maintenance=0.0)
    index = ShortOptionRule(0.15, 0.10, put_floor_on_strike=True, maintenance=0.0)
    return MarginRules(
        option=equity,
        future=FutureRule(0.12, 0.12),
        stock=OwnedRule(0.50, 0.25, 0.50, 0.30),
        option_by_underlying=dict.fromkeys(BROAD_INDICES, index),
    )


def cffex() -> MarginRules:
    """China Financial Futures Exchange: adjustment 12 %, floor 0.5 of it."""
    return MarginRules(
        option=ShortOptionRule(0.12, 0.06, put_floor_on_strike=True, maintenance=0.0), future=FutureRule(0.12, 0.12)
    )


@compiled
def margin_rows(
    terms: FloatArray,
    ids: IntArray,
    lots: IntArray,
    marks: FloatArray,
    forwards: FloatArray,
    initial: FloatArray,
    maintenance: FloatArray,
) -> None:
    """Writes both requirements of each position, in its settle currency. NaN marks or forwards give NaN."""
    for row in range(ids.shape[0]):
        t = terms[ids[row]]
        held = lots[row]
        mark = marks[row]
        size = abs(held) * t[_SIZE]
        first = 0.0
        kept = 0.0
        if held == 0:
            pass
        elif t[_STYLE] == 1.0:
            if held < 0:
                forward = forwards[row]
                strike = t[_STRIKE]
                out_of_money = max(strike - forward, 0.0) if t[_CALL] > 0.0 else max(forward - strike, 0.0)
                # In coin the underlying is worth one, everywhere else its price.
                worth = 1.0 if t[_COIN] > 0.0 else forward
                floor_at = strike if (t[_P2] > 0.0 and t[_CALL] == 0.0) else forward
                per_quote = worth / forward
                first = max(t[_P0] * forward - out_of_money, t[_P1] * floor_at) * per_quote + mark
                if t[_P3] > 0.0:
                    kept = t[_P3] * worth + mark
                    if t[_CALL] == 0.0:
                        kept = max(t[_P3] * worth, t[_P3] * mark) + mark
                        first = max(first, kept)
                else:
                    kept = first
                first *= size * t[_QUANTO]
                kept *= size * t[_QUANTO]
        elif t[_STYLE] == 2.0:
            value = size / mark if t[_COIN] > 0.0 else size * mark * t[_QUANTO]
            units = value if t[_COIN] > 0.0 else size
            first = value * (t[_P0] + t[_P2] * units)
            kept = value * (t[_P1] + t[_P2] * units)
        else:
            value = size * mark
            first = value * (t[_P0] if held > 0 else t[_P2])
            kept = value * (t[_P1] if held > 0 else t[_P3])
        initial[row] = first
        maintenance[row] = kept


class StandardMargin:
    """The rules of one venue laid out per instrument; follows the table as it grows."""

    counts_option_value: Final = False
    additive: Final = True

    def __init__(self, table: InstrumentTable, rules: MarginRules) -> None:
        self.table = table
        self.rules = rules
        self._terms: FloatArray = np.zeros((0, _WIDTH))

    def _row(self, item: Instrument) -> list[float]:
        rules = self.rules
        base = item.underlying.partition("_")[0]  # BTC_USDC is the same coin as BTC
        row = [0.0] * _WIDTH
        row[_CALL] = float(item.is_call)
        row[_STRIKE] = float(item.strike)
        row[_COIN] = float(item.settlement is Settlement.INVERSE)
        row[_SIZE] = float(item.multiplier * item.lot)
        row[_QUANTO] = float(item.quanto_rate) if item.settlement is Settlement.QUANTO else 1.0
        if item.is_option:
            option = rules.option_by_underlying.get(base, rules.option)
            row[_STYLE] = _OPTION
            row[_P0], row[_P1] = option.share, option.floor
            row[_P2], row[_P3] = float(option.put_floor_on_strike), option.maintenance
        elif item.kind in (Kind.FUTURE, Kind.PERPETUAL):
            future = rules.future_by_underlying.get(base, rules.future)
            row[_STYLE] = _FUTURE
            row[_P0], row[_P1], row[_P2] = future.initial, future.maintenance, future.step
        else:
            owned = rules.stock if item.kind is Kind.EQUITY else rules.spot
            row[_STYLE] = _OWNED
            row[_P0], row[_P1] = owned.long_initial, owned.long_maintenance
            row[_P2], row[_P3] = owned.short_initial, owned.short_maintenance
        return row

    def per_position(
        self, ids: IntArray, lots: IntArray, marks: FloatArray, forwards: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """(initial, maintenance) of each position by itself, shape (n,), in its settle currency."""
        if self._terms.shape[0] != len(self.table):
            rows = [self._row(item) for item in self.table]
            self._terms = np.array(rows).reshape(-1, _WIDTH)
        initial = np.empty(ids.shape[0])
        maintenance = np.empty(ids.shape[0])
        margin_rows(self._terms, ids, lots, marks, forwards, initial, maintenance)
        return initial, maintenance

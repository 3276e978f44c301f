"""Kernels of this room, each with a small input, for `voldesk warm`."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import numpy as np

from voldesk.core.units import NS_PER_DAY
from voldesk.instruments.spec import Instrument, Kind, Settlement, TickScheme
from voldesk.instruments.table import InstrumentTable
from voldesk.market.state import Field, MarketState
from voldesk.market.view import MarketView
from voldesk.portfolio.explain import explain_linear, explain_option
from voldesk.portfolio.factors import fit_smile
from voldesk.portfolio.scenario import ScenarioGrid, revalue
from voldesk.portfolio.valuation import Valuer


def _one_option() -> Valuer:
    tick = Decimal("0.0001")
    table = InstrumentTable(
        [
            Instrument(
                symbol="C",
                venue="deribit",
                kind=Kind.OPTION,
                underlying="BTC",
                quote_currency="BTC",
                settle_currency="BTC",
                settlement=Settlement.INVERSE,
                multiplier=Decimal(1),
                lot=tick,
                ticks=TickScheme(base=tick, steps=((Decimal(0), tick),)),
                fee_schedule="deribit.option",
                expiry_ns=NS_PER_DAY,
                strike=Decimal(100),
                is_call=True,
            )
        ]
    )
    view = MarketView(table, MarketState(1), 0)
    view.live.values[0, [Field.MARK, Field.MARK_IV, Field.FORWARD, Field.INDEX]] = (0.01, 0.5, 100.0, 100.0)
    return Valuer(view)


def warm() -> list[tuple[str, Callable[[], object]]]:
    valuer = _one_option()
    columns, live = valuer.columns, valuer.view.live
    ids, lots, held = np.zeros(1, np.int64), np.ones(1, np.int64), np.array([[0, 1]], np.int64)
    terms = np.zeros(7)
    return [
        ("net delta", lambda: valuer.net_delta(held, "BTC")),
        ("position risk", lambda: valuer.risk(ids, lots)),
        ("scenario revaluation", lambda: revalue(valuer, ids, lots, ScenarioGrid())),
        ("explain options", lambda: explain_option(100.0, 100.0, 0.1, 0.5, True, True, 1.0, 0.01, 0.001, 1.0, terms)),
        ("explain futures", lambda: explain_linear(100.0, 101.0, 1.0, True, terms)),
        ("smile factors", lambda: fit_smile(live.values, columns.ints, columns.floats, ids, 0)),
    ]

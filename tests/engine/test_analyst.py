"""What the analyst hands to the surface fit."""

from __future__ import annotations

import numpy as np

from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_YEAR
from voldesk.engine.analyst import chain_quotes
from voldesk.instruments import deribit
from voldesk.instruments.table import InstrumentTable
from voldesk.market.state import Field, MarketState, Stamp
from voldesk.market.view import MarketView
from voldesk.pricing import black
from voldesk.surface.fit import fit_surface

NOW_NS = 20_525 * NS_PER_DAY + 8 * NS_PER_HOUR  # 2026-03-13 08:00 UTC, two weeks before the expiry
STRIKES = range(64_000, 100_000, 2_000)


def _quoted(view: MarketView, rows: list[int], forward: float, at_ns: int) -> None:
    for i in rows:
        item = view.table[i]
        tau = (item.expiry_ns - at_ns) / NS_PER_YEAR
        worth = float(black.price(forward, float(item.strike), tau, 0.5, 1.0, item.is_call)) / forward
        view.live.values[i, [Field.BID, Field.ASK, Field.MARK]] = 0.99 * worth, 1.01 * worth, worth
        view.live.values[i, Field.FORWARD] = forward
        view.live.stamps[i, Stamp.QUOTE_EVENT_NS] = at_ns
        view.live.stamps[i, Stamp.ROWS] = 1


def test_rows_that_are_no_longer_quoted_have_no_say_in_the_forward() -> None:
    table = InstrumentTable(deribit.parse(f"BTC-27MAR26-{k}-{right}") for k in STRIKES for right in "CP")
    view = MarketView(table, MarketState(len(table)), quote_ttl_ns=30 * NS_PER_MINUTE)
    view.now_ns = NOW_NS
    fresh = [i for i in range(len(table)) if abs(float(table[i].strike) - 82_000) <= 7_000]
    assert len(fresh) < len(table) / 2  # the gone ones would have the median
    _quoted(view, list(range(len(table))), 70_000.0, NOW_NS - NS_PER_DAY)
    _quoted(view, fresh, 82_000.0, NOW_NS)
    chain = view.chain("BTC")
    quotes = chain_quotes(chain, coin=True)
    gone = chain.stale
    assert gone.sum() == len(table) - len(fresh)
    for column in (quotes.bid, quotes.ask, quotes.mark, quotes.forward):
        assert np.isnan(column[gone]).all()
        assert np.isfinite(column[~gone]).all()
    (fit,) = fit_surface(quotes, NOW_NS, "BTC").to_event().slices
    assert (fit.status, fit.forward) == ("ok", 82_000.0)

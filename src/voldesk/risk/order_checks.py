"""Checks that look at the order itself: is it for something that trades, priced from a live quote, of a sane size
and at a sane price? None of them has an exemption: a flatten on a stale quote waits for a fresh one."""

from __future__ import annotations

import math

from voldesk.core.orders import Check, Leg, OrderIntent, Outcome, Style
from voldesk.core.units import NS_PER_SECOND
from voldesk.instruments.spec import Instrument, Settlement
from voldesk.market.view import MarketView, Quote
from voldesk.portfolio.columns import mark_of
from voldesk.portfolio.valuation import Valuer
from voldesk.risk.limits import Code, Limits
from voldesk.risk.lots import lot_units

WARN_SHARE = 0.8
"""Utilisation of a limit from which on an approval becomes a warning."""


def against(code: Code, limit: float, current: float, projected: float, unit: str, scope: str) -> Check | None:
    """A check of a figure that must not exceed its limit; None when it is a plain approval. NaN is refused."""
    # A figure of exactly the limit is allowed whatever the order of summation did to its last bits.
    if not projected <= limit * (1.0 + 1e-9):
        return Check(code.value, Outcome.REFUSE, limit, current, projected, unit, scope)
    if projected >= WARN_SHARE * limit:
        return Check(code.value, Outcome.WARN, limit, current, projected, unit, scope)
    return None


def unknown_legs(intent: OrderIntent, view: MarketView) -> list[Check]:
    """Legs whose instrument is not listed or has expired; nothing else can be asked of those."""
    found = []
    for leg in intent.legs:
        if not 0 <= leg.instrument < len(view.table):
            scope = f"order:{leg.instrument}"
            found.append(
                Check(Code.UNKNOWN_INSTRUMENT.value, Outcome.REFUSE, len(view.table), 0.0, leg.instrument, "id", scope)
            )
            continue
        instrument = view.table[leg.instrument]
        if 0 < instrument.expiry_ns <= view.now_ns:
            late = (view.now_ns - instrument.expiry_ns) / NS_PER_SECOND
            found.append(
                Check(Code.EXPIRED_INSTRUMENT.value, Outcome.REFUSE, 0.0, late, late, "s", f"order:{instrument.symbol}")
            )
    return found


def order_checks(intent: OrderIntent, valuer: Valuer, limits: Limits) -> list[Check]:
    """Quote, size and price of every leg."""
    found: list[Check] = []
    view = valuer.view
    for leg in intent.legs:
        instrument = view.table[leg.instrument]
        quote = view.quote(leg.instrument)
        mark = float(mark_of(view.live.values, leg.instrument))
        stale = _quote_check(leg, intent.style, instrument, quote, view)
        if stale is not None:
            found.append(stale)
        found.extend(_size_check(leg, instrument, valuer, limits, mark))
        if stale is None:
            found.extend(_price_check(leg, instrument, quote, view, limits, mark))
    return found


def _quote_check(leg: Leg, style: Style, instrument: Instrument, quote: Quote, view: MarketView) -> Check | None:
    age = view.now_ns - quote.ts_event_ns
    if age > view.quote_ttl_ns:
        seconds, ttl = age / NS_PER_SECOND, view.quote_ttl_ns / NS_PER_SECOND
        scope = f"order:{instrument.symbol}"
        return Check(Code.STALE_INPUT.value, Outcome.REFUSE, ttl, seconds, seconds, "s", scope)
    far, near = (quote.ask, quote.bid) if leg.lots > 0 else (quote.bid, quote.ask)
    # The near side counts only where the order rests there.
    if not far > 0.0 or (style is Style.JOIN and not near > 0.0):
        return Check(Code.STALE_INPUT.value, Outcome.REFUSE, 0.0, far, near, "quote", f"order:{instrument.symbol}")
    return None


def _size_check(leg: Leg, instrument: Instrument, valuer: Valuer, limits: Limits, mark: float) -> list[Check]:
    limit = limits.get(Code.ORDER_SIZE, "order", instrument.underlying)
    if limit is None:
        return []
    if limit.unit == "contracts":
        size = abs(leg.lots) * float(instrument.lot)
    else:
        size = abs(leg.lots) * lot_units(valuer, leg.instrument, mark)
        if limit.unit == "usd":
            spot = valuer.view.index_price(instrument.underlying)
            size *= spot if not math.isnan(spot) or instrument.is_option else mark
    check = against(Code.ORDER_SIZE, limit.value, 0.0, size, limit.unit, f"order:{instrument.symbol}")
    return [check] if check is not None else []


def _price_check(
    leg: Leg, instrument: Instrument, quote: Quote, view: MarketView, limits: Limits, mark: float
) -> list[Check]:
    """How much worse than the mark the order may trade: its limit, or the far side where it has none."""
    code = Code.PRICE_BAND_OPTION if instrument.is_option else Code.PRICE_BAND
    limit = limits.get(code, "order", instrument.underlying)
    if limit is None:
        return []
    price = quote.ask if leg.lots > 0 else quote.bid
    if leg.limit_ticks is not None:
        price = leg.limit_ticks * float(instrument.ticks.base)
    if instrument.is_option:
        # A coin price is a share of the underlying already.
        inverse = instrument.settlement is Settlement.INVERSE
        scale = 1.0 if inverse else view.index_price(instrument.underlying)
    else:
        scale = mark
    worse = (price - mark if leg.lots > 0 else mark - price) / scale
    check = against(code, limit.value, 0.0, worse if not worse < 0.0 else 0.0, limit.unit, f"order:{instrument.symbol}")
    return [check] if check is not None else []

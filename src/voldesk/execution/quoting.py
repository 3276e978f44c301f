"""At which price an order goes out: on the venue's grid, never beyond the leg's limit, None where there is no price."""

from __future__ import annotations

from dataclasses import dataclass

from voldesk.core.orders import Style, TimeInForce
from voldesk.core.units import NS_PER_SECOND
from voldesk.instruments.spec import TickScheme
from voldesk.market.view import Quote


@dataclass(frozen=True, slots=True)
class ExecutionRules:
    """SPEC H2. Ticks are steps of the instrument's own price grid.

    slippage_ticks: how far a crossing order goes beyond the far side at first; retry_ticks: added by each retry.
    patience_ns: how long the answer to a cancel may take before it is asked for again.
    """

    timeout_ns: int = 30 * NS_PER_SECOND
    patience_ns: int = 10 * NS_PER_SECOND
    slippage_ticks: int = 2
    retry_ticks: int = 2
    retries: int = 3


def shift(ticks: TickScheme, price_ticks: int, steps: int) -> int:
    """`steps` valid prices above (below, when negative) a price.

    >>> from decimal import Decimal
    >>> scheme = TickScheme(Decimal("0.0001"), ((Decimal(0), Decimal("0.0001")), (Decimal("0.005"), Decimal("0.0005"))))
    >>> shift(scheme, 49, 2), shift(scheme, 55, -2)
    (55, 49)
    """
    for _ in range(steps):
        price_ticks = ticks.up(price_ticks + 1)
    for _ in range(-steps):
        price_ticks = ticks.down(price_ticks - 1)
    return price_ticks


def order_price(
    ticks: TickScheme,
    quote: Quote,
    buying: bool,
    style: Style,
    attempt: int,
    limit_ticks: int | None,
    rules: ExecutionRules,
) -> int | None:
    """Integer ticks of the next order, or None where the side needed has no quote or the limit leaves no valid price.

    CROSS goes through the far side by slippage_ticks + attempt x retry_ticks. JOIN starts on the near side, comes
    retry_ticks nearer with each retry and takes the far side with its last one, never more.
    """
    far, near = (quote.ask, quote.bid) if buying else (quote.bid, quote.ask)
    outward = 1 if buying else -1
    if style is Style.CROSS:
        if not far > 0.0:
            return None
        start = ticks.up(ticks.nearest(far)) if buying else ticks.down(ticks.nearest(far))
        price = shift(ticks, start, outward * (rules.slippage_ticks + attempt * rules.retry_ticks))
    else:
        if not (near > 0.0 and far > 0.0):
            return None
        start = ticks.down(ticks.nearest(near)) if buying else ticks.up(ticks.nearest(near))
        edge = ticks.up(ticks.nearest(far)) if buying else ticks.down(ticks.nearest(far))
        if attempt >= rules.retries > 0:
            price = edge
        else:
            price = shift(ticks, start, outward * attempt * rules.retry_ticks)
            price = min(price, edge) if buying else max(price, edge)
    lowest = ticks.up(1)
    if buying:
        if limit_ticks is not None:
            price = min(price, ticks.down(limit_ticks))
        return price if price >= lowest else None
    # A sale cannot ask for less than one tick, however far the slippage reaches.
    price = max(price, lowest)
    return price if limit_ticks is None else max(price, ticks.up(limit_ticks))


def time_in_force(style: Style, attempt: int) -> TimeInForce:
    """A first JOIN must not take; what is re-quoted may."""
    return TimeInForce.POST_ONLY if style is Style.JOIN and attempt == 0 else TimeInForce.GTC

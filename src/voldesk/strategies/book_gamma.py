"""Gamma and theta of a book's options on one underlying, in one compiled pass over its positions.

Black (1976) at discount 1: gamma = phi(d1) / (F sigma sqrt(tau)), theta = -F phi(d1) sigma / (2 sqrt(tau)), the same for
calls and puts (Haug 2007, ch. 2). Worked out each second of a simulated day for a handful of positions, where the array
functions of `pricing.black` would spend their time on preparing arrays.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.core.units import NS_PER_YEAR
from voldesk.market.state import Field
from voldesk.portfolio.columns import EXPIRY, KIND, OPTION, SIZE, STRIKE, UNDERLYING, ContractColumns
from voldesk.strategies.protocol import Context

_MARK_IV: Final = int(Field.MARK_IV)
_FORWARD: Final = int(Field.FORWARD)
_INV_SQRT_TWO_PI: Final = 0.3989422804014327

NONE_GIVEN: Final[FloatArray] = np.empty(0)


class BookGamma(NamedTuple):
    """gamma: units of the underlying per unit of price; theta: quote currency per year; both of all options known.

    sigma: implied vol weighted by |gamma|, NaN without gamma; tau: years, of the largest gamma. options: held and not
    expired; missing: those of them without implied vol.
    """

    gamma: float
    theta: float
    sigma: float
    tau: float
    options: int
    missing: int


@compiled
def gamma_pass(
    values: FloatArray,
    ints: IntArray,
    floats: FloatArray,
    held: IntArray,
    number: int,
    now_ns: int,
    price: float,
    given: FloatArray,
) -> tuple[float, float, float, float, int, int]:
    """The fields of `BookGamma`. ints, floats: `ContractColumns`; held: (m, 2) instrument id, signed lots; number: of
    the underlying; given: see `book_gamma`."""
    gamma = theta = weighted = weight = largest = tau_of_largest = 0.0
    options = missing = 0
    for place in range(held.shape[0]):
        i = held[place, 0]
        if ints[i, KIND] != OPTION or ints[i, UNDERLYING] != number or ints[i, EXPIRY] <= now_ns:
            continue
        options += 1
        forward = values[i, _FORWARD]
        if not forward > 0.0:
            forward = price
        sigma = values[i, _MARK_IV]
        if not sigma > 0.0 and given.size:
            sigma = given[place]
        if not sigma > 0.0:
            missing += 1
            continue
        tau = (ints[i, EXPIRY] - now_ns) / NS_PER_YEAR
        total = sigma * math.sqrt(tau)
        d1 = math.log(forward / floats[i, STRIKE]) / total + 0.5 * total
        density = held[place, 1] * floats[i, SIZE] * _INV_SQRT_TWO_PI * math.exp(-0.5 * d1 * d1)
        own = density / (forward * total)
        gamma += own
        theta -= density * forward * sigma / (2.0 * math.sqrt(tau))
        weighted += abs(own) * sigma
        weight += abs(own)
        if abs(own) > largest:
            largest = abs(own)
            tau_of_largest = tau
    return gamma, theta, weighted / weight if weight > 0.0 else math.nan, tau_of_largest, options, missing


def book_gamma(
    ctx: Context, columns: ContractColumns, underlying: str, price: float, given: FloatArray = NONE_GIVEN
) -> BookGamma:
    """Of the context's book. price: stands for a forward that is not known; given: implied vol per row of
    `book.held()`, shape (m,), used where the venue publishes none."""
    return BookGamma(
        *gamma_pass(
            ctx.market.live.values,
            columns.ints,
            columns.floats,
            ctx.book.held(),
            ctx.table.underlyings.index(underlying),
            ctx.now_ns,
            price,
            given,
        )
    )

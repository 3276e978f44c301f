"""Full revaluation of a book of options over many scenarios: what value at risk and stress tests are made of.

Each scenario moves every underlying, shifts implied vols and lets time pass; each option is priced anew by Black (1976)
at its shifted forward, volatility and remaining life. No Taylor expansion, no grid. Discount factor 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.errors import InputError
from voldesk.pricing.broadcast import call_flags
from voldesk.pricing.european.revalue_kernels import BLOCK, revalue_kernel
from voldesk.pricing.rows import share_out


class Scenarios(NamedTuple):
    """What may happen, S cases. One row serves all underlyings or expiries; arrays of fewer axes broadcast.

    spot_move: relative, above -1, shape (S,) or (underlyings, S); moves forwards in the same proportion.
    vol_shift: absolute (0.10 is ten vol points), shape (S,) or (expiries, S); a volatility it would make negative is 0.
    years_ahead: ACT/365 years that pass, scalar or (S,).
    """

    spot_move: ArrayLike
    vol_shift: ArrayLike = 0.0
    years_ahead: ArrayLike = 0.0


class OptionBook(NamedTuple):
    """Options held, n of them; each field is an array (n,) or a scalar for all.

    units: signed number of underlying units, times a discount factor where one applies. coin_settled: valued and paid
    in coin, Black / forward. underlying, expiry: which row of `spot_move`, `vol_shift` moves it. group: which row of
    the result it is added to (a settle currency, an account; `np.arange(n)` keeps options apart).
    """

    forward: ArrayLike
    strike: ArrayLike
    tau: ArrayLike
    sigma: ArrayLike
    is_call: ArrayLike
    units: ArrayLike = 1.0
    coin_settled: ArrayLike = False
    underlying: ArrayLike = 0
    expiry: ArrayLike = 0
    group: ArrayLike = 0


def revalue(book: OptionBook, scenarios: Scenarios, *, threads: int = 1) -> FloatArray:
    """P&L against now of each group under each scenario, shape (groups, S), in the options' own settlement units.

    A leg whose life ends within `years_ahead` is worth its payoff at the scenario's forward. Each value is right to
    5e-15 of the larger of forward and strike (`black.price` to its last digits; use that for single deep wings).
    NaN in an option, or a forward that is not positive, makes its group NaN; NaN in a scenario, that scenario.

    P&L per option takes n x S numbers: set `group=np.arange(n)` and pass the scenarios in pieces.

    InputError for an index outside the scenarios' rows, or scenarios of different numbers.

    >>> book = OptionBook(100.0, [90.0, 110.0], 0.25, 0.5, [False, True])
    >>> revalue(book, Scenarios(spot_move=[-0.2, 0.0, 0.2])).round(6).tolist()
    [[4.030865, 0.0, 7.261968]]
    """
    shape = np.broadcast_shapes(*(np.shape(field) for field in book))
    if len(shape) > 1:
        raise InputError(f"option book of shape {shape}; expected one axis, one entry per option.")
    count = shape[0] if shape else 1

    def floats(values: ArrayLike) -> FloatArray:
        return _spread(np.asarray(values, np.float64), (count,))

    def flags(values: ArrayLike) -> BoolArray:
        wide = np.empty(count, np.bool_)
        wide[...] = call_flags(values)
        return wide

    spot_move, vol_shift, years_ahead = _cases(scenarios)
    lives, life = np.unique(floats(book.tau), return_inverse=True)
    group = _numbers("group", book.group, count, None)
    pnl = np.zeros((int(group.max(initial=-1)) + 1, years_ahead.size))
    columns = (
        spot_move, vol_shift, years_ahead, floats(book.forward), floats(book.strike), lives, life.astype(np.int64),
        floats(book.sigma), flags(book.is_call), flags(book.coin_settled), floats(book.units),
        _numbers("underlying", book.underlying, count, spot_move.shape[0]),
        _numbers("expiry", book.expiry, count, vol_shift.shape[0]), group,
    )  # fmt: skip
    share_out(lambda first, last: revalue_kernel(first, last, pnl, *columns), years_ahead.size, threads, BLOCK)
    return pnl


def _cases(scenarios: Scenarios) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Spot moves and vol shifts as (rows, S), years ahead as (S,)."""
    spot_move = np.atleast_2d(np.asarray(scenarios.spot_move, np.float64))
    vol_shift = np.atleast_2d(np.asarray(scenarios.vol_shift, np.float64))
    years_ahead = np.atleast_1d(np.asarray(scenarios.years_ahead, np.float64))
    sizes = {spot_move.shape[-1], vol_shift.shape[-1], years_ahead.shape[-1]} - {1}
    if len(sizes) > 1 or spot_move.ndim > 2 or vol_shift.ndim > 2 or years_ahead.ndim > 1:
        shapes = f"spot_move {spot_move.shape}, vol_shift {vol_shift.shape}, years_ahead {years_ahead.shape}"
        raise InputError(f"{shapes}; expected one number of scenarios as their last axis.")
    cases = sizes.pop() if sizes else 1
    return (
        _spread(spot_move, (spot_move.shape[0], cases)),
        _spread(vol_shift, (vol_shift.shape[0], cases)),
        _spread(years_ahead, (cases,)),
    )


def _spread(values: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """A copy of the full shape: a view that may not be written to would be another type to the compiler."""
    wide = np.empty(shape)
    wide[...] = values
    return wide


def _numbers(name: str, values: ArrayLike, count: int, rows: int | None) -> IntArray:
    """Row numbers, one per option, each within `rows`."""
    numbers = np.empty(count, np.int64)
    numbers[...] = values
    lowest, highest = int(numbers.min(initial=0)), int(numbers.max(initial=0))
    if lowest < 0 or (rows is not None and highest >= rows):
        wrong = lowest if lowest < 0 else highest
        raise InputError(
            f"{name}={wrong}; expected a row of the scenarios, 0 to {'...' if rows is None else rows - 1}."
        )
    return numbers

"""A surface read off a table: total variance bilinear in log-moneyness and tau.

For vols that come as numbers at given strikes and maturities (a vendor's table, a mark, another model). Total variance is
linear in tau at fixed k = log(strike / forward) between rows, volatility at fixed k is flat before the first and variance
grows at the money's rate beyond the last (`reading`); linear in k between columns. Beyond the outer columns it goes on as a line whose slope is the last cell's, held
between flat and Lee's bound of 2 (Lee 2004, "The moment formula for implied volatility at extreme strikes") and no less
than that of the row before, so that wings of rising rows do not cross.

A table has no proofs: `check_arbitrage` looks at the prices it implies at its own points. Derivatives in k, which local
volatility needs, are three-point finite differences at the columns and linear between them, so spacing decides how good
they are; dw/dtau is exact for the interpolation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_YEAR
from voldesk.pricing import black
from voldesk.surface.maturity import bracket
from voldesk.surface.reading import VolSurface

_LEE: Final = 2.0 - 1e-9
_PRICE_ROUNDING: Final = 1e-13  # of the forward


class GridArbitrage(IntFlag):
    """What is wrong at a point of the table; 0 where nothing is."""

    STRIKE_SPREAD = 1  # the call to the next strike does not get cheaper, or by more than the strikes' distance
    BUTTERFLY = 2  # call prices are not convex in strike here
    CALENDAR = 4  # total variance falls to the next maturity


@dataclass(frozen=True, slots=True)
class GridReport:
    """`status`: GridArbitrage flags, shape (expiries, columns). violations: one line each, empty when free."""

    free: bool
    expiry_ns: tuple[int, ...]
    status: NDArray[np.int8]
    violations: tuple[str, ...]


@compiled
def _cell(k: float, columns: FloatArray) -> int:
    """Column left of k, -1 and size - 1 in the wings."""
    if k < columns[0]:
        return -1
    if k > columns[columns.size - 1]:
        return columns.size - 1
    return min(max(int(np.searchsorted(columns, k)) - 1, 0), columns.size - 2)


@compiled
def _at_row(k: float, i: int, c: int, columns: FloatArray, table: FloatArray, wings: FloatArray) -> float:
    """Total variance of row i at k in cell c."""
    last = columns.size - 1
    if c < 0:
        w: float = table[i, 0] + wings[i, 0] * (columns[0] - k)
    elif c == last:
        w = table[i, last] + wings[i, 1] * (k - columns[last])
    else:
        w = table[i, c] + (k - columns[c]) / (columns[c + 1] - columns[c]) * (table[i, c + 1] - table[i, c])
    return w


@compiled
def _variances(
    k: FloatArray,
    t: FloatArray,
    tau: FloatArray,
    columns: FloatArray,
    table: FloatArray,
    wings: FloatArray,
    out: FloatArray,
) -> None:
    for i in range(k.size):
        if not (t[i] >= 0.0 and k[i] == k[i]) or tau.size == 0:
            out[i] = np.nan
            continue
        c = _cell(k[i], columns)
        before, after, weight0, weight1 = bracket(t[i], tau)
        out[i] = weight0 * _at_row(k[i], before, c, columns, table, wings)
        if weight1 != 0.0:
            out[i] += weight1 * _at_row(k[i], after, c, columns, table, wings)


@compiled
def _shapes(
    k: FloatArray,
    t: FloatArray,
    tau: FloatArray,
    columns: FloatArray,
    table: FloatArray,
    wings: FloatArray,
    slopes: FloatArray,
    bends: FloatArray,
    out: FloatArray,
) -> None:
    """Rows w, dw/dk, d2w/dk2, dw/dt; `slopes` and `bends` hold the first two derivatives in k at the table's points."""
    flat = np.zeros((tau.size, 2))
    for i in range(k.size):
        if not (t[i] > 0.0 and k[i] == k[i]) or tau.size == 0:
            out[:, i] = np.nan
            continue
        c = _cell(k[i], columns)
        before, after, weight0, weight1 = bracket(t[i], tau)
        for n in range(2):
            row = before if n == 0 else after
            weight = weight0 if n == 0 else weight1
            w = _at_row(k[i], row, c, columns, table, wings)
            if c < 0:
                first, second = -wings[row, 0], 0.0
            elif c == columns.size - 1:
                first, second = wings[row, 1], 0.0
            else:
                first = _at_row(k[i], row, c, columns, slopes, flat)
                second = _at_row(k[i], row, c, columns, bends, flat)
            if n == 0:
                out[0, i], out[1, i], out[2, i] = weight * w, weight * first, weight * second
                out[3, i] = w / tau[row] if before == after else -w / (tau[after] - tau[before])
            elif before != after:
                out[0, i] += weight * w
                out[1, i] += weight * first
                out[2, i] += weight * second
                out[3, i] += w / (tau[after] - tau[before])


class GridSurface(VolSurface):
    """Volatilities at every pair of expiry and log-moneyness.

    expiry_ns: rising, shape (n,), all after `asof_ns`. forward: shape (n,). log_moneyness: rising, shape (m,), m >= 3.
    vol: decimals, shape (n, m), positive. Raises InputError for anything else.

    >>> flat = GridSurface("X", 0, [30 * 86_400 * 10**9], [100.0], [-0.5, 0.0, 0.5], [[0.4, 0.4, 0.4]])
    >>> round(float(flat.implied_vol(70.0, 0.05)), 12), round(float(flat.local_vol(70.0, 0.05).local_vol), 12)
    (0.4, 0.4)
    """

    __slots__ = ("_bends", "_slopes", "_table", "_wings", "log_moneyness")

    def __init__(
        self,
        underlying: str,
        asof_ns: int,
        expiry_ns: ArrayLike,
        forward: ArrayLike,
        log_moneyness: ArrayLike,
        vol: ArrayLike,
    ) -> None:
        super().__init__(underlying, asof_ns, expiry_ns, forward)
        columns, vols = np.array(log_moneyness, np.float64), np.array(vol, np.float64)
        if columns.ndim != 1 or columns.size < 3 or not np.all(np.diff(columns) > 0.0):
            raise InputError(f"log_moneyness of shape {columns.shape}; expected at least three rising numbers.")
        if vols.shape != (self._tau.size, columns.size):
            raise InputError(
                f"vol has shape {vols.shape}; expected {(self._tau.size, columns.size)}: a row per expiry."
            )
        if not np.all((vols > 0.0) & np.isfinite(vols)):
            raise InputError("vol has entries that are not positive numbers; fill or drop those rows or columns first.")
        if self._tau.size and not self._tau[0] > 0.0:
            raise InputError(f"expiry_ns={self._expiry_ns[0]} is not after asof_ns={asof_ns}; drop what has expired.")
        self.log_moneyness = columns
        self._table = vols * vols * self._tau[:, None]
        steps = np.diff(columns)
        left = (self._table[:, 0] - self._table[:, 1]) / steps[0]
        right = (self._table[:, -1] - self._table[:, -2]) / steps[-1]
        wings = np.clip(np.column_stack([left, right]), 0.0, _LEE)
        self._wings = np.maximum.accumulate(wings, axis=0)
        self._slopes, self._bends = _three_point(columns, self._table)

    def _variance(self, k: FloatArray, tau: FloatArray, out: FloatArray) -> None:
        _variances(k, tau, self._tau, self.log_moneyness, self._table, self._wings, out)

    def _shape(self, k: FloatArray, tau: FloatArray, out: FloatArray) -> None:
        grid = (self._tau, self.log_moneyness, self._table, self._wings, self._slopes, self._bends)
        _shapes(k, tau, *grid, out)

    def check_arbitrage(self) -> GridReport:
        """Undiscounted call prices at the table's points: falling in strike by no more than the distance of strikes,
        convex in it; total variance rising in tau at each column. Nothing is said of what lies between the points."""
        strike = np.exp(self.log_moneyness)  # in units of the forward
        vol = np.sqrt(self._table / self._tau[:, None])
        call = black.price(1.0, strike[None, :], self._tau[:, None], vol, 1.0, True)
        fall = np.diff(call, axis=1)
        width = np.diff(strike)
        status = np.zeros(vol.shape, np.int8)
        spread = (fall > _PRICE_ROUNDING) | (fall < -width - _PRICE_ROUNDING)
        status[:, :-1] |= np.where(spread, GridArbitrage.STRIKE_SPREAD, 0).astype(np.int8)
        # The butterfly's price, per unit of its centre: zero is allowed up to rounding of the three prices.
        fly = call[:, :-2] - call[:, 1:-1] + (call[:, 2:] - call[:, 1:-1]) * (width[:-1] / width[1:])
        noise = _PRICE_ROUNDING * (1.0 + width[:-1] / width[1:])
        status[:, 1:-1] |= np.where(fly < -noise, GridArbitrage.BUTTERFLY, 0).astype(np.int8)
        falls = np.diff(self._table, axis=0) < -1e-14 * self._table[1:]
        status[:-1] |= np.where(falls, GridArbitrage.CALENDAR, 0).astype(np.int8)
        lines = tuple(
            f"{GridArbitrage(int(status[i, j])).name}: expiry_ns={self._expiry_ns[i]} k={self.log_moneyness[j]:.4g}"
            for i, j in np.argwhere(status).tolist()
        )
        return GridReport(not lines, tuple(self._expiry_ns.tolist()), status, lines)


def sample(surface: VolSurface, log_moneyness: ArrayLike, expiry_ns: IntArray | None = None) -> GridSurface:
    """A table of another surface, at its own expiries or at those given."""
    expiries = surface.expiry_ns if expiry_ns is None else np.asarray(expiry_ns, np.int64)
    tau = (expiries - surface.asof_ns) / NS_PER_YEAR
    columns = np.asarray(log_moneyness, np.float64)
    vol = np.sqrt(surface.total_variance(columns[None, :], tau[:, None]) / tau[:, None])
    return GridSurface(surface.underlying, surface.asof_ns, expiries, surface.forward(tau), columns, vol)


def _three_point(columns: FloatArray, table: FloatArray) -> tuple[FloatArray, FloatArray]:
    """First and second derivative in k of the parabola through a point and its neighbours; the outer points use the outer
    three."""
    chord = np.diff(table, axis=1) / np.diff(columns)
    gap = np.diff(columns)
    bend = 2.0 * np.diff(chord, axis=1) / (gap[1:] + gap[:-1])
    slope = (chord[:, :-1] * gap[1:] + chord[:, 1:] * gap[:-1]) / (gap[1:] + gap[:-1])
    first = slope[:, :1] - bend[:, :1] * gap[0]
    last = slope[:, -1:] + bend[:, -1:] * gap[-1]
    return np.hstack([first, slope, last]), np.hstack([bend[:, :1], bend, bend[:, -1:]])

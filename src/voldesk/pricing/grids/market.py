"""What the finite-difference solver takes of a market: rates that change in time, and local volatility on a grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError
from voldesk.pricing.dividends import NO_DIVIDENDS, DividendSchedule
from voldesk.pricing.grids.jump_pde import NO_JUMPS, LogJumps

_NONE = np.empty(0)


class PiecewiseRate(msgspec.Struct, frozen=True):
    """Continuous rates per year, each in force up to its end time (years from now); the last goes on for ever.

    Raises InputError for end times that do not rise or numbers that are not finite.

    >>> round(PiecewiseRate((0.5, 1.0), (0.03, 0.05)).discount(1.0), 6)  # exp(-0.04)
    0.960789
    """

    ends: tuple[float, ...]
    rates: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.ends) != len(self.rates) or not self.ends:
            raise InputError(f"{len(self.ends)} end times for {len(self.rates)} rates; give one end per rate.")
        ends = np.array((0.0, *self.ends))
        if not (np.all(np.diff(ends) > 0.0) and np.all(np.isfinite(ends)) and np.all(np.isfinite(self.rates))):
            raise InputError(f"ends={self.ends}, rates={self.rates}; expected rising positive years and finite rates.")

    @classmethod
    def from_discounts(cls, times: ArrayLike, discounts: ArrayLike) -> PiecewiseRate:
        """Forward rates between the nodes of a discount curve (without the node 1 at time 0).

        >>> curve = PiecewiseRate.from_discounts([0.5, 1.0], [0.99, 0.97])
        >>> round(curve.discount(0.75), 12) == round((0.99 * 0.97) ** 0.5, 12)
        True
        """
        ends = np.asarray(times, np.float64)
        logs = np.log(np.asarray(discounts, np.float64))
        rates = -np.diff(logs, prepend=0.0) / np.diff(ends, prepend=0.0)
        return cls(tuple(ends.tolist()), tuple(rates.tolist()))

    def discount(self, tau: float) -> float:
        """exp(-integral of the rate from now to tau)."""
        starts = np.array((0.0, *self.ends[:-1]))
        lengths = np.minimum(np.array((*self.ends[:-1], np.inf)), tau) - starts
        return float(np.exp(-np.sum(np.maximum(lengths, 0.0) * np.array(self.rates))))


class LocalVolGrid(msgspec.Struct, frozen=True):
    """Local volatility (decimal per year) on times (m,) from now in years by log spots (n,): sigma of shape (m, n).

    Bilinear in time and log spot, flat beyond the edges. The arrays are not to be written to afterwards.
    Raises InputError for axes that do not rise, a shape that does not fit, or a volatility that is not positive.
    """

    times: FloatArray
    log_spots: FloatArray
    sigma: FloatArray

    def __post_init__(self) -> None:
        if self.sigma.shape != (self.times.size, self.log_spots.size) or self.sigma.size == 0:
            raise InputError(
                f"sigma of shape {self.sigma.shape} for {self.times.size} times and {self.log_spots.size} log spots; "
                "expected (times, log spots)."
            )
        if not (np.all(np.diff(self.times) > 0.0) and np.all(np.diff(self.log_spots) > 0.0)):
            raise InputError("the axes of a local volatility grid must rise; sort the times and log spots.")
        if not (np.all(np.isfinite(self.sigma)) and np.all(self.sigma > 0.0)):
            raise InputError("a local volatility grid needs positive, finite volatilities in decimals (0.2 is 20 %).")

    @classmethod
    def sample(
        cls, local_vol: Callable[[FloatArray, FloatArray], FloatArray], times: ArrayLike, spots: ArrayLike
    ) -> LocalVolGrid:
        """A function sigma(spots, times) of broadcast arrays, read at each time (m,) and spot (n,).

        >>> grid = LocalVolGrid.sample(lambda spot, time: 0.2 * (100.0 / spot) ** 0.5, [0.0, 1.0], [50.0, 100.0])
        >>> grid.sigma.shape
        (2, 2)
        """
        rows, nodes = np.asarray(times, np.float64), np.asarray(spots, np.float64)
        sigma = np.broadcast_to(local_vol(nodes[None, :], rows[:, None]), (rows.size, nodes.size))
        return cls(rows, np.log(nodes), np.array(sigma, np.float64))


class Market(NamedTuple):
    """All of it as arrays, one tuple for the kernels; empty arrays where there is none."""

    rate_ends: FloatArray
    rates: FloatArray
    yield_ends: FloatArray
    yields: FloatArray
    ex_times: FloatArray
    amounts: FloatArray
    vol_times: FloatArray
    vol_log_spots: FloatArray
    local_vol: FloatArray
    jumps: FloatArray  # (3,): intensity, mean, deviation of the log jump


def market(
    rate: PiecewiseRate | None = None,
    dividend_yield: PiecewiseRate | None = None,
    dividends: DividendSchedule | None = None,
    local_vol: LocalVolGrid | None = None,
    jumps: LogJumps | None = None,
) -> Market:
    """Arrays of what is given."""
    ex_times, amounts = (dividends or NO_DIVIDENDS).arrays()
    if local_vol is None:
        vols = (_NONE, _NONE, np.empty((0, 0)))
    else:
        vols = (
            # Copies: a read-only or strided array would be another type, and a second compilation, to the kernels.
            np.array(local_vol.times, np.float64),
            np.array(local_vol.log_spots, np.float64),
            np.array(local_vol.sigma, np.float64, order="C"),
        )
    return Market(*_curve(rate), *_curve(dividend_yield), ex_times, amounts, *vols, (jumps or NO_JUMPS).row())


def _curve(rate: PiecewiseRate | None) -> tuple[FloatArray, FloatArray]:
    return (_NONE, _NONE) if rate is None else (np.array(rate.ends), np.array(rate.rates))

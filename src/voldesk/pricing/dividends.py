"""Known cash dividends of one underlying.

At each ex time the spot falls by the cash amount, or to zero where it is worth less (the "liquidator" of Haug, Haug &
Lewis (2003), "Back to basics: a new approach to the discrete dividend problem", sec. 3). Between ex times the spot
follows its own law: this is the piecewise model, not the escrowed one (which lowers the spot by the dividends' present
value at once) nor the forward one (which raises the strike).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError


class DividendSchedule(msgspec.Struct, frozen=True):
    """times: ex times in ACT/365 years from now, rising, after now; amounts: cash per unit, zero or more.

    A dividend at or before now is already out of the spot; one at expiry itself falls before the payoff is taken.
    Raises InputError for lengths that differ, times out of order, or a negative or non-finite number.

    >>> schedule = DividendSchedule(times=(0.25, 0.75), amounts=(1.5, 1.5))
    >>> round(schedule.forward(100.0, 1.0, 0.04), 6)
    101.02032
    """

    times: tuple[float, ...]
    amounts: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.times) != len(self.amounts):
            raise InputError(f"{len(self.times)} ex times for {len(self.amounts)} amounts; give one time per amount.")
        previous = 0.0
        for time, amount in zip(self.times, self.amounts, strict=True):
            if not (previous < time < np.inf):
                raise InputError(
                    f"ex time {time} after {previous}; expected rising years from now, past ones left out."
                )
            if not 0.0 <= amount < np.inf:
                raise InputError(f"dividend of {amount}; expected a cash amount, zero or more.")
            previous = time

    @classmethod
    def of(cls, times: Sequence[float], amounts: Sequence[float]) -> DividendSchedule:
        """From any sequences."""
        return cls(tuple(float(time) for time in times), tuple(float(amount) for amount in amounts))

    def arrays(self) -> tuple[FloatArray, FloatArray]:
        """Times and amounts, as kernels take them."""
        return np.array(self.times, np.float64), np.array(self.amounts, np.float64)

    def present_value(self, tau: float, rate: float) -> float:
        """Of the dividends up to and including tau, at one continuous rate, in currency."""
        times, amounts = self.arrays()
        due = times <= tau
        return float(np.sum(amounts[due] * np.exp(-rate * times[due])))

    def forward(self, spot: float, tau: float, rate: float) -> float:
        """(spot - present value) exp(rate tau): the forward while no dividend exceeds the spot."""
        return float((spot - self.present_value(tau, rate)) * np.exp(rate * tau))


NO_DIVIDENDS = DividendSchedule((), ())

"""What a simulation is of: models that are not closed forms elsewhere, and the dates and forwards of a contract.

The other models are `fd_market.LocalVolGrid`, `heston.HestonParams`, `bates.BatesParams` and `merton.MertonParams`. All
of them drive the forward: S_t = F(t) exp(X_t) with E[exp(X_t)] = 1, so that rates, dividends and borrow come in through
F alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError


def _rising(name: str, values: FloatArray, above: float) -> None:
    if values.ndim != 1 or values.size == 0 or not np.all(np.diff(np.concatenate([[above], values])) > 0.0):
        raise InputError(f"{name}={values.tolist()}; expected times or nodes rising from above {above}. Sort them.")


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """Observation times of a contract and the curves at them.

    tau: (m,) years, rising, above 0; the last is the payment date. forward, discount: (m,), the forward of the underlying and the
    price of one unit of currency for each time. spot: the underlying now. Raises InputError for what is no schedule.

    >>> Schedule.flat(spot=100.0, tau=1.0, steps=4, rate=0.05).forward.round(4)
    array([101.2578, 102.5315, 103.8212, 105.1271])
    """

    spot: float
    tau: FloatArray
    forward: FloatArray
    discount: FloatArray

    def __post_init__(self) -> None:
        _rising("tau", self.tau, 0.0)
        for name in ("forward", "discount"):
            values = getattr(self, name)
            if values.shape != self.tau.shape or not np.all((values > 0.0) & np.isfinite(values)):
                raise InputError(f"{name} of shape {values.shape}; expected {self.tau.size} positive numbers, as tau.")
        if not (math.isfinite(self.spot) and self.spot > 0.0):
            raise InputError(f"spot={self.spot}; expected a positive price.")

    @staticmethod
    def flat(spot: float, tau: float, steps: int = 1, rate: float = 0.0, dividend_yield: float = 0.0) -> Schedule:
        """Evenly spaced times up to tau under a constant rate and dividend yield."""
        if not (steps >= 1 and tau > 0.0):
            raise InputError(f"tau={tau}, steps={steps}; expected a time above 0 and at least one step.")
        times = tau * np.arange(1, steps + 1) / steps
        return Schedule(spot, times, spot * np.exp((rate - dividend_yield) * times), np.exp(-rate * times))


@dataclass(frozen=True, slots=True, eq=False)
class Gbm:
    """Geometric Brownian motion with a volatility that is constant between times.

    sigma: decimal per year, one number, or (n,) with `until` (n,) years: sigma[k] holds up to until[k], the last for
    good. Raises InputError for values out of range.

    >>> float(Gbm([0.2, 0.4], until=[0.5, 1.0]).total_variance(1.0).round(12))
    0.1
    """

    sigma: ArrayLike
    until: ArrayLike = (math.inf,)

    def __post_init__(self) -> None:
        sigma, until = np.atleast_1d(np.asarray(self.sigma, np.float64)), np.asarray(self.until, np.float64)
        _rising("until", until, 0.0)
        if sigma.shape != until.shape or not np.all((sigma >= 0.0) & np.isfinite(sigma)):
            raise InputError(f"sigma={sigma.tolist()}; expected {until.size} volatilities of zero or more, as `until`.")

    def total_variance(self, tau: ArrayLike) -> FloatArray:
        """Integral of sigma^2 from 0 to tau, shape of tau."""
        sigma = np.atleast_1d(np.asarray(self.sigma, np.float64))
        ends = np.asarray(self.until, np.float64)[:-1]
        starts = np.concatenate([[0.0], ends])
        time = np.asarray(tau, np.float64)[..., None]
        spent = np.clip(time - starts, 0.0, np.concatenate([ends, [np.inf]]) - starts)
        return np.asarray((spent * sigma**2).sum(axis=-1))

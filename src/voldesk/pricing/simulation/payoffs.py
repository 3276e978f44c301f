"""What a path pays: European, digital, Asian, barrier, lookback, or a function of yours.

Each payoff turns paths into amounts of currency at the last observation, shape (strikes, paths). Between observations
of continuously watched payoffs the log price is a Brownian bridge with the step's variance: the chance of having touched
a barrier is exp(-2 ln(S0/H) ln(S1/H) / variance), and the highest log price is drawn as
(x0 + x1 + sqrt((x1 - x0)^2 - 2 variance ln U)) / 2 (Glasserman 2003, sec. 6.4, eqs. 6.50-6.51; Andersen &
Brotherton-Ratcliffe 1996). That is exact for Brownian motion with curves that grow evenly within a step, an
approximation of the order of the step for local and stochastic volatility, and not offered for models with jumps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError
from voldesk.pricing.simulation.array_namespace import Array
from voldesk.pricing.simulation.simulate import Needs, Paths


class Monitoring(Enum):
    """DISCRETE: at the observations only, the start included. CONTINUOUS: at every moment between them too."""

    DISCRETE = "discrete"
    CONTINUOUS = "continuous"


class Average(Enum):
    """Of the observations of an Asian option."""

    ARITHMETIC = "arithmetic"
    GEOMETRIC = "geometric"


class BarrierKind(Enum):
    """Which side the barrier is on, and whether touching it ends (OUT) or starts (IN) the option."""

    DOWN_OUT = "down and out"
    DOWN_IN = "down and in"
    UP_OUT = "up and out"
    UP_IN = "up and in"

    @property
    def is_down(self) -> bool:
        return self in (BarrierKind.DOWN_OUT, BarrierKind.DOWN_IN)

    @property
    def is_in(self) -> bool:
        return self in (BarrierKind.DOWN_IN, BarrierKind.UP_IN)


class Payoff(Protocol):
    """Anything that `monte_carlo.price` can value."""

    def needs(self) -> Needs:
        """What `values` reads besides spot."""
        ...

    def values(self, paths: Paths, xp: Any) -> Array:
        """Amounts paid at the last observation, (strikes, paths) or (paths,), in the namespace xp."""
        ...


def vanilla(price: Array, strike: ArrayLike, is_call: bool, xp: Any) -> Array:
    """max(price - strike, 0) or max(strike - price, 0); strikes along the first axis."""
    sign = 1.0 if is_call else -1.0
    return xp.maximum(sign * (price - strikes_column(strike, xp)), 0.0)


def strikes_column(strike: ArrayLike, xp: Any) -> Array:
    """Strikes as a column, (strikes, 1)."""
    return xp.asarray(np.atleast_1d(np.asarray(strike, np.float64))[:, None])


@dataclass(frozen=True, slots=True, eq=False)
class European:
    """Pays max(S - strike, 0), or max(strike - S, 0) for a put. strike: a number or (k,)."""

    strike: ArrayLike
    is_call: bool

    def needs(self) -> Needs:
        return Needs.SPOT

    def values(self, paths: Paths, xp: Any) -> Array:
        return vanilla(paths.spot[-1], self.strike, self.is_call, xp)


@dataclass(frozen=True, slots=True, eq=False)
class Digital:
    """Pays 1 where S > strike (S < strike for a put)."""

    strike: ArrayLike
    is_call: bool

    def needs(self) -> Needs:
        return Needs.SPOT

    def values(self, paths: Paths, xp: Any) -> Array:
        above = paths.spot[-1] - strikes_column(self.strike, xp)
        return ((above > 0.0) if self.is_call else (above < 0.0)).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Asian:
    """A vanilla on the average of the observations; today's spot is not one of them."""

    strike: ArrayLike
    is_call: bool
    average: Average = Average.ARITHMETIC

    def needs(self) -> Needs:
        return Needs.SPOT

    def values(self, paths: Paths, xp: Any) -> Array:
        prices = paths.spot[1:]
        if self.average is Average.ARITHMETIC:
            return vanilla(prices.mean(axis=0), self.strike, self.is_call, xp)
        return vanilla(xp.exp(xp.log(prices).mean(axis=0)), self.strike, self.is_call, xp)


@dataclass(frozen=True, slots=True, eq=False)
class Barrier:
    """A vanilla that a touched barrier ends or starts; no rebate. Raises InputError for a barrier that is no price."""

    strike: ArrayLike
    is_call: bool
    barrier: float
    kind: BarrierKind
    monitoring: Monitoring = Monitoring.CONTINUOUS

    def __post_init__(self) -> None:
        if not 0.0 < self.barrier < np.inf:
            raise InputError(f"barrier={self.barrier}; expected a positive price.")

    def needs(self) -> Needs:
        return Needs.BETWEEN if self.monitoring is Monitoring.CONTINUOUS else Needs.SPOT

    def values(self, paths: Paths, xp: Any) -> Array:
        sign = 1.0 if self.kind.is_down else -1.0
        distance = sign * xp.log(paths.spot / self.barrier)
        alive = (distance.min(axis=0) > 0.0).astype(np.float64)
        if self.monitoring is Monitoring.CONTINUOUS:
            variance = _between(paths)
            room = xp.maximum(distance, 0.0)
            exponent = -2.0 * room[:-1] * room[1:] / xp.maximum(variance, 1e-300)
            alive = alive * xp.prod(-xp.expm1(exponent), axis=0)
        if self.kind.is_in:
            alive = 1.0 - alive
        return alive * vanilla(paths.spot[-1], self.strike, self.is_call, xp)


@dataclass(frozen=True, slots=True, eq=False)
class Lookback:
    """On the lowest or highest price of the life, today's spot included.

    strike None (floating): a call pays S - lowest, a put highest - S. With a strike (fixed): a call pays
    max(highest - strike, 0), a put max(strike - lowest, 0).
    """

    is_call: bool
    strike: ArrayLike | None = None
    monitoring: Monitoring = Monitoring.CONTINUOUS

    def needs(self) -> Needs:
        return Needs.EXTRA | Needs.BETWEEN if self.monitoring is Monitoring.CONTINUOUS else Needs.SPOT

    def values(self, paths: Paths, xp: Any) -> Array:
        highest = self.is_call != (self.strike is None)
        if self.monitoring is Monitoring.CONTINUOUS:
            x = xp.log(paths.spot)
            move = x[1:] - x[:-1]
            reach = xp.sqrt(move * move - 2.0 * _between(paths) * xp.log(paths.extra))
            x = x[:-1] + 0.5 * (move + (reach if highest else -reach))
            extreme = xp.exp(x.max(axis=0) if highest else x.min(axis=0))
        else:
            extreme = paths.spot.max(axis=0) if highest else paths.spot.min(axis=0)
        if self.strike is not None:
            return vanilla(extreme, self.strike, self.is_call, xp)
        return (paths.spot[-1] - extreme if self.is_call else extreme - paths.spot[-1])[None]


@dataclass(frozen=True, slots=True, eq=False)
class PathFunction:
    """Your own payoff: function(spot, tau) with spot (m + 1, paths) from today on and tau (m + 1,) years.

    Returns (paths,) or (k, paths) amounts of currency at the last observation. With a GPU, spot is an array of CuPy.
    """

    function: Callable[[Array, FloatArray], Array]

    def needs(self) -> Needs:
        return Needs.SPOT

    def values(self, paths: Paths, xp: Any) -> Array:
        return self.function(paths.spot, paths.tau)


def _between(paths: Paths) -> Array:
    if paths.step_variance is None:
        raise InputError(
            "Monitoring.CONTINUOUS under a model with jumps; expected DISCRETE, since the bridge between two "
            "observations is not Brownian there. Observe often, for example daily, with Monitoring.DISCRETE."
        )
    return paths.step_variance

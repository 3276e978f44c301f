"""What may be asked of any volatility surface, whatever its form: one way of reading for SVI, eSSVI, SABR and grids.

A form says its total variance at (k, tau) and the derivatives of it; forwards, volatilities by strike and local
volatility follow here. k = log(strike / forward(tau)); log forward is linear in tau between expiries, flat outside.

Beyond the last expiry every strike gains total variance at the at-the-money rate of that expiry,
w(k, tau) = w_last(k) + (tau - tau_last) w_last(0) / tau_last. Slopes in k stay what they are, so wings stay within Lee's
bound, and Durrleman's g can only rise: with w its first term grows (1 - k w' / 2w lies between 0 and 1 on a smile without
butterflies, Fukasawa 2012) and its second shrinks. Total variance proportional to tau would steepen the wings instead.
Before the first expiry it is proportional to tau: g is concave in that factor and not negative at either end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_YEAR
from voldesk.surface.local_vol import LocalVol, dupire

_SHORTEST: Final = 1e-12  # years that stand for the limit at tau = 0 and for anything shorter


class VarianceShape(NamedTuple):
    """Total variance and its derivatives: once and twice in k, once in tau at fixed k. One shape."""

    w: FloatArray
    by_k: FloatArray
    by_kk: FloatArray
    by_tau: FloatArray


@dataclass(frozen=True, slots=True)
class ArbitrageReport:
    """Both conditions on every usable slice. `free` rests on the proofs; the figures say where and how close.

    least_g: per usable expiry, smallest Durrleman g over |k| <= reach and its k; least_gap: per neighbouring pair,
    smallest w_late - w_early there and its k. violations: one line each, empty when free.
    """

    free: bool
    expiry_ns: tuple[int, ...]
    least_g: tuple[tuple[float, float], ...]
    least_gap: tuple[tuple[float, float], ...]
    violations: tuple[str, ...]


class VolSurface(ABC):
    """A surface of one underlying as of one moment. Expiries without a usable slice take no part; with none usable,
    every answer is NaN."""

    __slots__ = ("_expiry_ns", "_log_forward", "_tau", "asof_ns", "underlying")

    EXTENDS_ITSELF: ClassVar[bool] = False
    """True where a form has a rule of its own beyond the last expiry; others are asked no later than that."""

    def __init__(self, underlying: str, asof_ns: int, expiry_ns: ArrayLike, forward: ArrayLike) -> None:
        self.underlying = underlying
        self.asof_ns = asof_ns
        self._expiry_ns = np.array(expiry_ns, np.int64).reshape(-1)
        self._tau = (self._expiry_ns - asof_ns) / NS_PER_YEAR
        forwards = np.array(forward, np.float64).reshape(-1)
        if forwards.shape != self._tau.shape or not np.all((forwards > 0.0) & np.isfinite(forwards)):
            raise InputError(f"forward={forwards} of {underlying}; expected one positive number per expiry.")
        self._log_forward = np.log(forwards)
        if np.any(np.diff(self._tau) <= 0.0):
            raise InputError(f"slices of {underlying} are out of order; expected rising expiries, one slice each.")

    @abstractmethod
    def _variance(self, k: FloatArray, tau: FloatArray, out: FloatArray) -> None:
        """Total variance at flat columns k and tau, the latter up to the last expiry; NaN for tau < 0 or NaN."""

    @abstractmethod
    def _shape(self, k: FloatArray, tau: FloatArray, out: FloatArray) -> None:
        """Rows w, dw/dk, d2w/dk2, dw/dtau at flat columns k and tau > 0; NaN for others. Where tau is an expiry,
        dw/dtau is that of the stretch that ends there."""

    @property
    def tau(self) -> FloatArray:
        """Years to each usable expiry, rising."""
        return self._tau

    @property
    def expiry_ns(self) -> IntArray:
        """Instants of the usable expiries, rising."""
        return self._expiry_ns

    def years(self, expiry_or_tau: ArrayLike) -> FloatArray:
        """tau of an expiry: integers are expiry instants in ns, floats are tau in years already."""
        given = np.asarray(expiry_or_tau)
        if np.issubdtype(given.dtype, np.integer):
            return np.asarray((given.astype(np.int64) - self.asof_ns) / NS_PER_YEAR)
        tau: FloatArray = given.astype(np.float64)
        return tau

    def forward(self, expiry_or_tau: ArrayLike) -> FloatArray:
        """Forward, log-linear in tau between usable expiries and flat outside."""
        tau = self.years(expiry_or_tau)
        if not self._tau.size:
            return np.full(tau.shape, np.nan)
        return np.asarray(np.exp(np.interp(tau, self._tau, self._log_forward)))

    def total_variance(self, k: ArrayLike, tau: ArrayLike) -> FloatArray:
        """iv^2 tau at log-moneyness k and tau (years); the two broadcast."""
        points, years, size = _pair(k, tau)
        out = np.empty(size)
        flat = out.reshape(-1)
        within, beyond, rate = self._horizon(years)
        self._variance(points, within, flat)
        flat += rate * beyond
        return out

    def variance_shape(self, k: ArrayLike, tau: ArrayLike) -> VarianceShape:
        """Total variance at log-moneyness k and tau (years) with its derivatives; the two broadcast."""
        points, years, size = _pair(k, tau)
        out = np.empty((4, points.size))
        within, beyond, rate = self._horizon(years)
        self._shape(points, _lengthened(within), out)
        out[0] += rate * beyond
        out[3] = np.where(beyond > 0.0, rate, out[3])
        return VarianceShape(*(row.reshape(size) for row in out))

    def _horizon(self, years: FloatArray) -> tuple[FloatArray, FloatArray, float]:
        """Years up to the last expiry, years beyond it, and the total variance that each of those adds at every k."""
        if self.EXTENDS_ITSELF or not self._tau.size or not np.any(years > self._tau[-1]):
            return years, np.zeros(years.shape), 0.0
        last = self._tau[-1:]
        money = np.empty(1)
        self._variance(np.zeros(1), last, money)
        within = np.minimum(years, last[0])  # lets a NaN through
        return within, np.where(years > last[0], years - last[0], 0.0), float(money[0] / last[0])

    def implied_vol(self, strike: ArrayLike, expiry_or_tau: ArrayLike) -> FloatArray:
        """Volatility of a strike; expiry as integer ns, or tau as float years; the two broadcast.

        NaN where no slice is usable, the expiry has passed, or the strike is not positive and finite.
        """
        tau = self.years(expiry_or_tau)
        return self._vol(self._log_moneyness(strike, tau), tau)

    def atm_iv(self, tau: ArrayLike) -> FloatArray:
        """Volatility at the forward, shape of tau (float years, or integer expiry ns)."""
        years = self.years(tau)
        return self._vol(np.zeros(years.shape), years)

    def local_vol(self, strike: ArrayLike, expiry_or_tau: ArrayLike) -> LocalVol:
        """Local volatility when spot stands at `strike` at that time (Dupire); arguments as for `implied_vol`.

        NaN with a status (`LocalVolStatus`) where the surface has arbitrage or no slice is usable.
        """
        tau = self.years(expiry_or_tau)
        k = self._log_moneyness(strike, tau)
        return dupire(k, *self.variance_shape(k, tau))

    def _log_moneyness(self, strike: ArrayLike, tau: FloatArray) -> FloatArray:
        """NaN for a strike that is no price."""
        level = np.asarray(strike, np.float64)
        usable = np.where((level > 0.0) & (level < np.inf), level, np.nan)
        return np.asarray(np.log(usable / self.forward(tau)))

    def _vol(self, k: FloatArray, tau: FloatArray) -> FloatArray:
        years = _lengthened(tau)
        return np.sqrt(self.total_variance(k, years) / np.where(years > 0.0, years, np.nan))


def _lengthened(tau: FloatArray) -> FloatArray:
    return np.where((tau >= 0.0) & (tau < _SHORTEST), _SHORTEST, tau)


def _pair(k: ArrayLike, tau: ArrayLike) -> tuple[FloatArray, FloatArray, tuple[int, ...]]:
    points, years = np.asarray(k, np.float64), np.asarray(tau, np.float64)
    size = np.broadcast_shapes(points.shape, years.shape)
    flat = [np.ascontiguousarray(np.broadcast_to(column, size)).reshape(-1) for column in (points, years)]
    return flat[0], flat[1], size

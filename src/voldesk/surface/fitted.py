"""A fitted surface: what may be asked of it between and beyond its expiries.

Total variance is interpolated linearly in tau at fixed forward-moneyness k = log(strike / forward(tau)), which adds no
calendar arbitrage to slices that have none (Gatheral & Jacquier 2014, sec. 4). Policy outside the fitted expiries: the
volatility at fixed k is flat, so total variance is proportional to tau before the first and after the last. In k the
slices' own wings go on, linear and within Lee's bound. log forward is linear in tau between expiries, flat outside.
Only slices of status "ok" take part; with none, every answer is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled
from voldesk.core.errors import InputError
from voldesk.core.events import SliceFit, SurfaceFitted
from voldesk.core.units import NS_PER_YEAR
from voldesk.surface import svi_kernels
from voldesk.surface.svi import SviRaw, total_variance


@dataclass(frozen=True, slots=True)
class Smile:
    """One fitted expiry. tau in years as of the surface's time."""

    expiry_ns: int
    tau: float
    forward: float
    svi: SviRaw

    def implied_vol(self, k: ArrayLike) -> FloatArray:
        """Volatility at log-moneyness k, shape of k."""
        return np.sqrt(total_variance(k, self.svi) / self.tau)


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


@compiled
def _interpolate(k: FloatArray, tau: FloatArray, slice_tau: FloatArray, params: FloatArray, out: FloatArray) -> None:
    """Total variance at each (k, tau); NaN for tau < 0 or NaN."""
    last = slice_tau.size - 1
    for i in range(k.size):
        t = tau[i]
        if not t >= 0.0 or last < 0:
            out[i] = np.nan
        elif t <= slice_tau[0]:
            out[i] = svi_kernels.total_variance(k[i], params[0]) * (t / slice_tau[0])
        elif t >= slice_tau[last]:
            out[i] = svi_kernels.total_variance(k[i], params[last]) * (t / slice_tau[last])
        else:
            j = np.searchsorted(slice_tau, t)
            share = (t - slice_tau[j - 1]) / (slice_tau[j] - slice_tau[j - 1])
            early = svi_kernels.total_variance(k[i], params[j - 1])
            out[i] = early + share * (svi_kernels.total_variance(k[i], params[j]) - early)


class Surface:
    """Slices of one underlying as of one moment, in order of expiry."""

    __slots__ = ("_log_forward", "_params", "_tau", "asof_ns", "slices", "underlying", "usable")

    def __init__(self, underlying: str, asof_ns: int, slices: tuple[SliceFit, ...]) -> None:
        self.underlying = underlying
        self.asof_ns = asof_ns
        self.slices = slices
        self.usable = tuple(s for s in slices if s.status == "ok" and s.expiry_ns > asof_ns)
        self._tau = np.array([(s.expiry_ns - asof_ns) / NS_PER_YEAR for s in self.usable])
        self._log_forward = np.log(np.array([s.forward for s in self.usable]))
        self._params = np.array([(s.a, s.b, s.rho, s.m, s.sigma) for s in self.usable]).reshape(-1, 5)
        if np.any(np.diff(self._tau) <= 0.0):
            raise InputError(f"slices of {underlying} are out of order; expected rising expiries, one slice each.")

    @classmethod
    def from_event(cls, event: SurfaceFitted) -> Surface:
        return cls(event.underlying, event.asof_ns, event.slices)

    def to_event(self) -> SurfaceFitted:
        return SurfaceFitted(self.underlying, self.asof_ns, self.slices)

    @property
    def tau(self) -> FloatArray:
        """Years to each usable expiry, rising."""
        return self._tau

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
        if not self.usable:
            return np.full(tau.shape, np.nan)
        return np.asarray(np.exp(np.interp(tau, self._tau, self._log_forward)))

    def total_variance(self, k: ArrayLike, tau: ArrayLike) -> FloatArray:
        """iv^2 tau at log-moneyness k and tau (years); the two broadcast."""
        points, years = np.asarray(k, np.float64), np.asarray(tau, np.float64)
        out = np.empty(np.broadcast_shapes(points.shape, years.shape))
        flat = [np.ascontiguousarray(np.broadcast_to(column, out.shape)).reshape(-1) for column in (points, years)]
        _interpolate(flat[0], flat[1], self._tau, self._params, out.reshape(-1))
        return out

    def implied_vol(self, strike: ArrayLike, expiry_or_tau: ArrayLike) -> FloatArray:
        """Volatility of a strike; expiry as integer ns, or tau as float years; the two broadcast.

        NaN where no slice is usable or the expiry has passed.
        """
        tau = self.years(expiry_or_tau)
        k = np.log(np.asarray(strike, np.float64) / self.forward(tau))
        return self._vol(k, tau)

    def atm_iv(self, tau: ArrayLike) -> FloatArray:
        """Volatility at the forward, shape of tau (float years, or integer expiry ns)."""
        years = self.years(tau)
        return self._vol(np.zeros(years.shape), years)

    def _vol(self, k: FloatArray, tau: FloatArray) -> FloatArray:
        # The limit at tau = 0 is the first slice's volatility; a tiny tau stands for it.
        years = np.where(tau == 0.0, 1e-12, tau)
        return np.sqrt(self.total_variance(k, years) / years)

    def smile(self, expiry_ns: int) -> Smile:
        """The slice of one expiry. Raises InputError where it is not fitted, saying its status."""
        for fit in self.slices:
            if fit.expiry_ns == expiry_ns:
                if fit not in self.usable:
                    raise InputError(
                        f"expiry_ns={expiry_ns} of {self.underlying} has status {fit.status}; expected ok."
                    )
                svi = SviRaw(fit.a, fit.b, fit.rho, fit.m, fit.sigma)
                return Smile(expiry_ns, (expiry_ns - self.asof_ns) / NS_PER_YEAR, fit.forward, svi)
        raise InputError(
            f"expiry_ns={expiry_ns} is not on the surface of {self.underlying}; see `slices` for those that are."
        )

    def smiles(self) -> tuple[Smile, ...]:
        """All usable slices in order of expiry."""
        return tuple(self.smile(s.expiry_ns) for s in self.usable)

    def check_arbitrage(self, reach: float = 3.0) -> ArbitrageReport:
        """Durrleman's condition on every usable slice and rising total variance between neighbours."""
        least_g, least_gap, violations = [], [], []
        for i, fit in enumerate(self.usable):
            p = self._params[i]
            g, k = svi_kernels.least_durrleman(p, reach)
            least_g.append((float(g), float(k)))
            if not svi_kernels.is_butterfly_free(p):
                violations.append(f"butterfly: expiry_ns={fit.expiry_ns} g={g:.3g} at k={k:.3f}")
        for i in range(len(self.usable) - 1):
            gap, k = svi_kernels.least_gap(self._params[i], self._params[i + 1], reach)
            least_gap.append((float(gap), float(k)))
            if not svi_kernels.is_calendar_free(self._params[i], self._params[i + 1]):
                first, second = self.usable[i].expiry_ns, self.usable[i + 1].expiry_ns
                violations.append(f"calendar: expiry_ns={first} above {second}, gap={gap:.3g} at k={k:.3f}")
        expiries = tuple(s.expiry_ns for s in self.usable)
        return ArbitrageReport(not violations, expiries, tuple(least_g), tuple(least_gap), tuple(violations))

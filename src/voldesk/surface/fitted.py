"""A fitted surface: what may be asked of it between and beyond its expiries.

Total variance is interpolated linearly in tau at fixed forward-moneyness k = log(strike / forward(tau)), which adds no
calendar arbitrage to slices that have none (Gatheral & Jacquier 2014, sec. 4). Before the first expiry volatility at fixed
k is flat; beyond the last, variance grows at the money's rate (`reading`). In k the slices' own wings go on, linear and
within Lee's bound. log forward is linear in tau between expiries, flat outside.
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
from voldesk.surface.reading import ArbitrageReport, VolSurface
from voldesk.surface.svi import SviRaw, total_variance

__all__ = ["ArbitrageReport", "Smile", "Surface"]


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
            out[i] = svi_kernels.total_variance(k[i], params[last])
        else:
            j = np.searchsorted(slice_tau, t)
            share = (t - slice_tau[j - 1]) / (slice_tau[j] - slice_tau[j - 1])
            early = svi_kernels.total_variance(k[i], params[j - 1])
            out[i] = early + share * (svi_kernels.total_variance(k[i], params[j]) - early)


@compiled
def _interpolate_shape(
    k: FloatArray, tau: FloatArray, slice_tau: FloatArray, params: FloatArray, out: FloatArray
) -> None:
    """Rows w, dw/dk, d2w/dk2, dw/dtau at each (k, tau > 0); NaN elsewhere."""
    last = slice_tau.size - 1
    for i in range(k.size):
        t = tau[i]
        if not t > 0.0 or last < 0:
            out[:, i] = np.nan
        elif t <= slice_tau[0] or t >= slice_tau[last]:
            j = 0 if t <= slice_tau[0] else last
            w, first, second = svi_kernels.derivatives(k[i], params[j])
            if j == 0:
                share = min(t / slice_tau[0], 1.0)
                slope = w / slice_tau[j]
            else:
                share = 1.0
                slope = (w - svi_kernels.total_variance(k[i], params[j - 1])) / (slice_tau[j] - slice_tau[j - 1])
            out[0, i], out[1, i], out[2, i], out[3, i] = share * w, share * first, share * second, slope
        else:
            j = np.searchsorted(slice_tau, t)
            share = (t - slice_tau[j - 1]) / (slice_tau[j] - slice_tau[j - 1])
            w0, first0, second0 = svi_kernels.derivatives(k[i], params[j - 1])
            w1, first1, second1 = svi_kernels.derivatives(k[i], params[j])
            out[0, i] = w0 + share * (w1 - w0)
            out[1, i] = first0 + share * (first1 - first0)
            out[2, i] = second0 + share * (second1 - second0)
            out[3, i] = (w1 - w0) / (slice_tau[j] - slice_tau[j - 1])


class Surface(VolSurface):
    """SVI slices of one underlying as of one moment, in order of expiry."""

    __slots__ = ("_params", "slices", "usable")

    def __init__(self, underlying: str, asof_ns: int, slices: tuple[SliceFit, ...]) -> None:
        self.slices = slices
        self.usable = tuple(s for s in slices if s.status == "ok" and s.expiry_ns > asof_ns)
        self._params = np.array([(s.a, s.b, s.rho, s.m, s.sigma) for s in self.usable]).reshape(-1, 5)
        super().__init__(underlying, asof_ns, [s.expiry_ns for s in self.usable], [s.forward for s in self.usable])

    @classmethod
    def from_event(cls, event: SurfaceFitted) -> Surface:
        return cls(event.underlying, event.asof_ns, event.slices)

    def to_event(self) -> SurfaceFitted:
        return SurfaceFitted(self.underlying, self.asof_ns, self.slices)

    def _variance(self, k: FloatArray, tau: FloatArray, out: FloatArray) -> None:
        _interpolate(k, tau, self._tau, self._params, out)

    def _shape(self, k: FloatArray, tau: FloatArray, out: FloatArray) -> None:
        _interpolate_shape(k, tau, self._tau, self._params, out)

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

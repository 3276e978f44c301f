"""eSSVI: a whole surface of three numbers per expiry that cannot have butterfly or calendar arbitrage.

Sources: Hendriks & Martini (2019), "The extended SSVI volatility surface", Journal of Computational Finance 22(5);
Corbetta, Cohort, Laachir & Martini (2019), "Robust calibration and arbitrage-free interpolation of SSVI slices", Decisions
in Economics and Finance 42; Mingone (2022), "No arbitrage global parametrization for the eSSVI volatility surface",
Quantitative Finance 22. One slice at k = log(strike / forward):

    w(k) = (theta + rho psi k + sqrt((psi k + theta rho)^2 + theta^2 (1 - rho^2))) / 2

theta is total variance at the forward, rho psi its slope there; the wings have slopes psi (1 +- rho) / 2. The conditions,
why they suffice, and what lies between and beyond the expiries: `essvi_kernels`. Use it as a fast prior and where a
surface must be usable everywhere; three numbers do not follow every smile, so fewer quotes lie inside than under SVI.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError
from voldesk.surface import essvi_fit_kernels, essvi_kernels, svi_kernels
from voldesk.surface.fit import ChainQuotes, FitOptions, quote_bands
from voldesk.surface.reading import ArbitrageReport, VolSurface
from voldesk.surface.svi import SviRaw

_ROUNDING: Final = 1e-15  # relative: slices that touch are told from slices that cross up to this
STATUS_NAMES: Final = ("ok", "few_quotes", "not_converged")


@dataclass(frozen=True, slots=True)
class EssviSlice:
    """One expiry. inside_share: of the two-sided quotes, those whose fitted vol lies inside bid-ask; worst_miss: largest
    distance outside, decimal vol; both NaN where not fitted to quotes. Only slices of status "ok" are read."""

    expiry_ns: int
    forward: float
    discount: float
    theta: float
    rho: float
    psi: float
    quotes: int = 0
    inside_share: float = math.nan
    worst_miss: float = math.nan
    status: str = "ok"

    def __post_init__(self) -> None:
        if self.status == "ok" and not (self.theta > 0.0 and self.psi > 0.0 and abs(self.rho) < 1.0):
            raise InputError(
                f"theta={self.theta}, psi={self.psi}, rho={self.rho} of an eSSVI slice; expected theta > 0, psi > 0 and"
                " rho strictly between -1 and 1."
            )

    def raw(self) -> SviRaw:
        """The same slice as raw SVI. Raises InputError where the wings break Lee's bound."""
        curvature = self.psi / self.theta
        return SviRaw(
            0.5 * self.theta * (1.0 - self.rho * self.rho),
            0.5 * self.psi,
            self.rho,
            -self.rho / curvature,
            math.sqrt(1.0 - self.rho * self.rho) / curvature,
        )


@dataclass(frozen=True, slots=True)
class EssviOptions:
    """linear_from: half-spreads from the mid where the loss turns from squares to lines. half_floor: narrowest half-spread
    that counts, decimal vol. max_steps: of the interior-point method."""

    linear_from: float = 2.0
    half_floor: float = 5e-4
    max_steps: int = 200

    def __post_init__(self) -> None:
        for name in ("linear_from", "half_floor", "max_steps"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}={getattr(self, name)} of EssviOptions; expected a positive number.")


class EssviSurface(VolSurface):
    """eSSVI slices of one underlying as of one moment, in order of expiry."""

    __slots__ = ("_rows", "slices", "usable")

    EXTENDS_ITSELF = True  # its parameters go on within their domain

    def __init__(self, underlying: str, asof_ns: int, slices: tuple[EssviSlice, ...]) -> None:
        self.slices = slices
        self.usable = tuple(s for s in slices if s.status == "ok" and s.expiry_ns > asof_ns)
        self._rows = np.array([(s.theta, s.psi, s.rho * s.psi) for s in self.usable]).reshape(-1, 3)
        super().__init__(underlying, asof_ns, [s.expiry_ns for s in self.usable], [s.forward for s in self.usable])

    def _variance(self, k: FloatArray, tau: FloatArray, out: FloatArray) -> None:
        essvi_kernels.variances(k, tau, self._tau, self._rows, out)

    def _shape(self, k: FloatArray, tau: FloatArray, out: FloatArray) -> None:
        essvi_kernels.shapes(k, tau, self._tau, self._rows, out)

    def check_arbitrage(self, reach: float = 3.0) -> ArbitrageReport:
        """The analytic conditions on the slices; where they hold, the whole surface is free of arbitrage: every strike,
        and every maturity before, between and after the expiries. The figures are those of the slices."""
        least_g, least_gap, violations = [], [], []
        theta, psi, eta = self._rows.T
        right, left = psi + eta, psi - eta
        steep = np.maximum(right, left)
        raw = [_raw_row(*row) for row in self._rows]
        for i, fit in enumerate(self.usable):
            g, k = svi_kernels.least_durrleman(raw[i], reach)
            least_g.append((float(g), float(k)))
            dense = psi[i] * steep[i] / theta[i]
            if not (steep[i] < 4.0 and dense <= 4.0 * (1.0 + _ROUNDING)):
                violations.append(
                    f"butterfly: expiry_ns={fit.expiry_ns} psi(1+|rho|)={steep[i]:.4g}, psi^2(1+|rho|)/theta={dense:.4g}"
                )
        for i in range(len(self.usable) - 1):
            gap, k = svi_kernels.least_gap(raw[i], raw[i + 1], reach)
            least_gap.append((float(gap), float(k)))
            wings_rise = min(right[i + 1] - right[i], left[i + 1] - left[i]) >= -_ROUNDING * psi[i + 1]
            if not (wings_rise and psi[i + 1] * theta[i] <= psi[i] * theta[i + 1] * (1.0 + _ROUNDING)):
                first, second = self.usable[i].expiry_ns, self.usable[i + 1].expiry_ns
                violations.append(f"calendar: expiry_ns={first} above {second}, gap={gap:.3g} at k={k:.3f}")
        expiries = tuple(s.expiry_ns for s in self.usable)
        return ArbitrageReport(not violations, expiries, tuple(least_g), tuple(least_gap), tuple(violations))


def _raw_row(theta: float, psi: float, eta: float) -> FloatArray:
    rho, phi = eta / psi, psi / theta
    root = math.sqrt(1.0 - rho * rho)
    return np.array([0.5 * theta * root * root, 0.5 * psi, rho, -rho / phi, root / phi])


def fit(quotes: ChainQuotes, asof_ns: int, underlying: str, options: EssviOptions | None = None) -> EssviSurface:
    """eSSVI surface of one underlying as of `asof_ns`, to the bid-ask bands of its out-of-the-money quotes.

    All expiries are fitted together, inside the domain without arbitrage at every step, so the result has none.
    An expiry with fewer than three two-sided quotes has status "few_quotes" and takes no part. "not_converged" (all
    slices): still free of arbitrage, but not the best fit. Stateless and deterministic.
    Raises InputError where columns differ in length or tau disagrees with expiry and `asof_ns`.

    >>> from voldesk.surface.warm import example_quotes
    >>> surface = fit(example_quotes(), 0, "X")
    >>> surface.check_arbitrage().free, round(float(surface.implied_vol(100.0, 0.2)), 2)
    (True, 0.5)
    """
    options = options or EssviOptions()
    bands = quote_bands(quotes, asof_ns, FitOptions(half_floor=options.half_floor).row())
    count = bands.expiry_ns.size
    slices, reports = np.empty((count, 3)), np.empty((count, 3))
    status = np.empty(count, np.int64)
    essvi_fit_kernels.fit_surface(
        bands.points,
        bands.offsets,
        bands.tau,
        options.half_floor,
        options.linear_from,
        options.max_steps,
        slices,
        status,
        reports,
    )
    fits = tuple(
        EssviSlice(
            expiry_ns=int(bands.expiry_ns[j]),
            forward=float(bands.forward[j]),
            discount=float(bands.discount[j]),
            theta=float(slices[j, 0]),
            rho=float(slices[j, 2] / slices[j, 1]),
            psi=float(slices[j, 1]),
            quotes=int(reports[j, 0]),
            inside_share=float(reports[j, 1]),
            worst_miss=float(reports[j, 2]),
            status=STATUS_NAMES[status[j]],
        )
        for j in range(count)
    )
    return EssviSurface(underlying, asof_ns, fits)

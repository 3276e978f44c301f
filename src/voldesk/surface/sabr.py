"""SABR: one smile per expiry from four numbers, of which beta is chosen and the rest fitted.

Sources: Hagan, Kumar, Lesniewski & Woodward (2002), "Managing smile risk", Wilmott, eq. 2.17 and A.59; leading order as
corrected by Obloj (2008), "Fine-tune your smile", eq. 4-5, whose limits at the money and for beta = 1 are continuous.
The formula is an expansion for small nu^2 tau: far from the forward, and for long maturities, its density turns
negative. `density_range` says where; fits and surfaces report it, and `SabrSurface` goes on in straight lines there.
For a shifted model pass forward + shift and strike + shift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled
from voldesk.core.errors import InputError
from voldesk.surface import band_kernels, sabr_kernels
from voldesk.surface.fit import ChainQuotes, FitOptions, quote_bands
from voldesk.surface.reading import ArbitrageReport, VolSurface

REACH: Final = 5.0  # |k| up to which the sign of the density is looked at
LEAST_QUOTES: Final = 4  # two-sided quotes for three numbers


@dataclass(frozen=True, slots=True)
class SabrParams:
    """dF = alpha F^beta dW, d alpha = nu alpha dZ, dW dZ = rho dt. alpha in units of forward^(1 - beta) per sqrt(year), nu
    per sqrt(year). Raises InputError outside alpha > 0, 0 <= beta <= 1, |rho| < 1, nu >= 0."""

    alpha: float
    beta: float
    rho: float
    nu: float

    def __post_init__(self) -> None:
        if not (self.alpha > 0.0 and math.isfinite(self.alpha)):
            raise InputError(f"alpha={self.alpha} of SABR; expected a positive number.")
        if not 0.0 <= self.beta <= 1.0:
            raise InputError(f"beta={self.beta} of SABR; expected 0 (normal) to 1 (lognormal).")
        if not abs(self.rho) < 1.0:
            raise InputError(f"rho={self.rho} of SABR; expected it strictly between -1 and 1.")
        if not (self.nu >= 0.0 and math.isfinite(self.nu)):
            raise InputError(f"nu={self.nu} of SABR; expected zero or more.")

    def row(self, forward: float) -> FloatArray:
        """As the kernels take it: alpha as a volatility, alpha forward^(beta - 1)."""
        return np.array([self.alpha * forward ** (self.beta - 1.0), self.beta, self.rho, self.nu])


class SabrGradient(NamedTuple):
    """Volatility and its derivatives, one shape."""

    sigma: FloatArray
    by_alpha: FloatArray
    by_rho: FloatArray
    by_nu: FloatArray


@compiled
def _gradient_kernel(
    forward: FloatArray, strike: FloatArray, tau: FloatArray, alpha: float, p: FloatArray, out: FloatArray
) -> None:
    own = p.copy()
    by = np.empty(3)
    for i in range(strike.size):
        out[:, i] = math.nan
        if not (forward[i] > 0.0 and strike[i] > 0.0 and tau[i] >= 0.0):
            continue
        own[0] = alpha * forward[i] ** (p[1] - 1.0)
        vol = sabr_kernels.vol_and_gradient(math.log(strike[i] / forward[i]), tau[i], own, by)
        if vol > 0.0:
            out[0, i], out[1, i], out[2, i], out[3, i] = vol, by[0] * own[0] / alpha, by[1], by[2]


def gradient(forward: ArrayLike, strike: ArrayLike, tau: ArrayLike, params: SabrParams) -> SabrGradient:
    """Lognormal implied volatility and its analytic derivatives in alpha, rho and nu; the arguments broadcast.

    NaN where forward or strike is not positive, tau is negative, or the expansion gives no positive volatility.
    """
    columns = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (forward, strike, tau)))
    out = np.empty((4, columns[0].size))
    flat = [c.flatten() for c in columns]
    _gradient_kernel(flat[0], flat[1], flat[2], params.alpha, params.row(1.0), out)
    return SabrGradient(*(row.reshape(columns[0].shape) for row in out))


def implied_vol(forward: ArrayLike, strike: ArrayLike, tau: ArrayLike, params: SabrParams) -> FloatArray:
    """Lognormal implied volatility; arguments and NaN as in `gradient`.

    >>> round(float(implied_vol(100.0, 110.0, 1.0, SabrParams(0.3, 1.0, -0.4, 0.8))), 6)
    0.292278
    """
    return gradient(forward, strike, tau, params).sigma


def density_range(forward: float, tau: float, params: SabrParams, reach: float = REACH) -> tuple[float, float]:
    """The strikes around the forward between which the formula's density is positive and its wings within Lee's bound;
    cut at |log(strike / forward)| = reach. NaN where it is negative at the forward itself."""
    low, high = sabr_kernels.sound_range(tau, params.row(forward), reach)
    return forward * math.exp(low), forward * math.exp(high)


class SabrFit(NamedTuple):
    """`params` is None and the figures NaN where `status` is "few_quotes". inside_share, worst_miss: as in `SliceFit`.
    low_strike, high_strike: where the density is positive (`density_range`). status: "ok", "few_quotes",
    "not_converged", or "butterfly" where the density turns negative among the quotes."""

    params: SabrParams | None
    quotes: int
    inside_share: float
    worst_miss: float
    low_strike: float
    high_strike: float
    status: str


@dataclass(frozen=True, slots=True)
class SabrOptions:
    """linear_from: half-spreads from the mid where the loss turns from squares to lines. half_floor: narrowest half-spread
    that counts, decimal vol. max_steps: of Levenberg-Marquardt."""

    linear_from: float = 2.0
    half_floor: float = 5e-4
    max_steps: int = 100

    def __post_init__(self) -> None:
        for name in ("linear_from", "half_floor", "max_steps"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}={getattr(self, name)} of SabrOptions; expected a positive number.")


def fit_slice(
    forward: float,
    strike: ArrayLike,
    tau: float,
    bid_vol: ArrayLike,
    ask_vol: ArrayLike,
    beta: float = 1.0,
    options: SabrOptions | None = None,
) -> SabrFit:
    """alpha, rho and nu of one expiry from bands of implied volatility, shape (n,); NaN or 0 where no bid stands.

    Quotes without an ask and crossed ones are left out. Raises InputError for columns of different length, beta outside 0
    to 1, or a forward or tau that is not positive.

    >>> strike = [80.0, 90.0, 100.0, 110.0, 125.0]
    >>> vol = implied_vol(100.0, strike, 0.5, SabrParams(0.3, 1.0, -0.4, 0.8))
    >>> found = fit_slice(100.0, strike, 0.5, vol - 0.002, vol + 0.002)
    >>> round(found.params.rho, 6), found.status
    (-0.4, 'ok')
    """
    strikes, low, high = (np.asarray(v, np.float64).reshape(-1) for v in (strike, bid_vol, ask_vol))
    if not strikes.shape == low.shape == high.shape:
        raise InputError(
            f"strike, bid_vol, ask_vol have {strikes.size}, {low.size}, {high.size} rows; expected one length."
        )
    if not (forward > 0.0 and tau > 0.0 and 0.0 <= beta <= 1.0):
        raise InputError(f"forward={forward}, tau={tau}, beta={beta}; expected forward, tau > 0 and beta from 0 to 1.")
    low = np.where(low > 0.0, low, 0.0)
    kept = np.flatnonzero((strikes > 0.0) & (high > low))
    points = np.column_stack([np.log(strikes[kept] / forward), low[kept], high[kept]])
    return _fit(points, forward, tau, beta, options or SabrOptions())


def _fit(points: FloatArray, forward: float, tau: float, beta: float, options: SabrOptions) -> SabrFit:
    quotes = band_kernels.count_two_sided(points)
    if quotes < LEAST_QUOTES:
        return SabrFit(None, quotes, math.nan, math.nan, math.nan, math.nan, "few_quotes")
    p, report = np.empty(4), np.empty(3)
    sabr_kernels.start(points, tau, beta, options.half_floor, p)
    _, _, settled = sabr_kernels.refine(p, points, tau, options.half_floor, options.linear_from, options.max_steps)
    sabr_kernels.report(p, points, tau, report)
    low, high = sabr_kernels.sound_range(tau, p, REACH)
    status = "ok" if settled else "not_converged"
    if settled and not (low <= points[:, 0].min() and points[:, 0].max() <= high):
        status = "butterfly"
    params = SabrParams(float(p[0]) * forward ** (1.0 - beta), beta, float(p[2]), float(p[3]))
    ends = forward * math.exp(low), forward * math.exp(high)
    return SabrFit(params, quotes, float(report[1]), float(report[2]), *ends, status)


@dataclass(frozen=True, slots=True)
class SabrSlice:
    """One expiry. Only slices of status "ok" or "butterfly" are read: the latter follows the formula where its density is
    positive and goes on in straight lines beyond, though quotes lie there."""

    expiry_ns: int
    forward: float
    discount: float
    fit: SabrFit


class SabrSurface(VolSurface):
    """SABR smiles in order of expiry; total variance is linear in tau between them at fixed k, outside as `reading` says.

    Where a smile's density would turn negative, total variance goes on as a straight line within Lee's bound.
    """

    __slots__ = ("_rows", "slices", "usable")

    def __init__(self, underlying: str, asof_ns: int, slices: tuple[SabrSlice, ...]) -> None:
        self.slices = slices
        self.usable = tuple(s for s in slices if s.fit.status in ("ok", "butterfly") and s.expiry_ns > asof_ns)
        super().__init__(underlying, asof_ns, [s.expiry_ns for s in self.usable], [s.forward for s in self.usable])
        self._rows = np.full((len(self.usable), sabr_kernels.ROW_WIDTH), np.nan)
        for row, slice_, tau in zip(self._rows, self.usable, self._tau.tolist(), strict=True):
            assert slice_.fit.params is not None
            row[:4] = slice_.fit.params.row(slice_.forward)
            sabr_kernels.add_wings(row, tau, REACH)

    def _variance(self, k: FloatArray, tau: FloatArray, out: FloatArray) -> None:
        sabr_kernels.surface_shapes(k, tau, self._tau, self._rows, out.reshape(1, -1))

    def _shape(self, k: FloatArray, tau: FloatArray, out: FloatArray) -> None:
        sabr_kernels.surface_shapes(k, tau, self._tau, self._rows, out)

    def check_arbitrage(self, reach: float = 3.0) -> ArbitrageReport:
        """Durrleman's condition on every smile and rising total variance between neighbours, scanned over |k| <= reach.
        SABR has no proof of either: `free` says that nothing was seen on a scan."""
        least_g, least_gap, violations = [], [], []
        for i, tau in enumerate(self._tau.tolist()):
            g, k = sabr_kernels.least_g(tau, self._rows[i], reach)
            least_g.append((float(g), float(k)))
            if not g >= 0.0:
                violations.append(f"butterfly: expiry_ns={self._expiry_ns[i]} g={g:.3g} at k={k:.3f}")
        for i in range(self._tau.size - 1):
            gap, k = sabr_kernels.least_gap(self._tau, self._rows, i, reach)
            least_gap.append((float(gap), float(k)))
            if not gap >= 0.0:
                pair = f"expiry_ns={self._expiry_ns[i]} above {self._expiry_ns[i + 1]}"
                violations.append(f"calendar: {pair}, gap={gap:.3g} at k={k:.3f}")
        expiries = tuple(self._expiry_ns.tolist())
        return ArbitrageReport(not violations, expiries, tuple(least_g), tuple(least_gap), tuple(violations))


def fit(
    quotes: ChainQuotes, asof_ns: int, underlying: str, beta: float = 1.0, options: SabrOptions | None = None
) -> SabrSurface:
    """A SABR smile for every expiry of a chain, each to its own out-of-the-money bid-ask bands.

    Expiries know nothing of each other, so calendar arbitrage is possible: `check_arbitrage` says.
    Raises InputError as `fit_slice`, and where tau of the quotes disagrees with expiry and `asof_ns`.
    """
    options = options or SabrOptions()
    if not 0.0 <= beta <= 1.0:
        raise InputError(f"beta={beta} of SABR; expected 0 (normal) to 1 (lognormal).")
    bands = quote_bands(quotes, asof_ns, FitOptions(half_floor=options.half_floor).row())
    slices = []
    for j, expiry_ns in enumerate(bands.expiry_ns.tolist()):
        points = bands.points[bands.offsets[j] : bands.offsets[j + 1]]
        forward = float(bands.forward[j])
        found = _fit(points, forward, float(bands.tau[j]), beta, options)
        slices.append(SabrSlice(expiry_ns, forward, float(bands.discount[j]), found))
    return SabrSurface(underlying, asof_ns, tuple(slices))

"""Fit of a whole surface: raw SVI per expiry to the bid-ask band of out-of-the-money quotes, free of arbitrage.

Sources: Gatheral & Jacquier (2014) for the slices and both conditions; De Marco & Martini (2009) for the start values.
The loss is described in `slice_kernels`, the start in `start_kernels`, the repair in `chain` and `joint_kernels`.

Stateless and deterministic: the same quotes give the same surface, whatever was fitted before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.errors import InputError
from voldesk.core.events import SliceFit
from voldesk.core.units import NS_PER_YEAR
from voldesk.pricing.implied_vol import implied_vols
from voldesk.surface import chain_kernels, fit_kernels, slice_kernels
from voldesk.surface.chain import fit_chain
from voldesk.surface.fitted import ArbitrageReport, Surface

__all__ = ["ArbitrageReport", "ChainQuotes", "FitOptions", "Surface", "fit_surface"]

STATUS_NAMES: Final = ("ok", "few_quotes", "not_converged", "butterfly", "calendar")


class ChainQuotes(NamedTuple):
    """Quotes of one underlying in columns, shape (n,), any order.

    bid, ask, mark: present values in currency, or in coin where `coin` is True (then multiplied by the row's forward);
    NaN where no quote stands. forward: per row, as known when the row was read. discount: scalar or per row.
    """

    expiry_ns: IntArray
    tau: FloatArray
    strike: FloatArray
    is_call: BoolArray
    bid: FloatArray
    ask: FloatArray
    mark: FloatArray
    forward: FloatArray
    coin: bool = False
    discount: FloatArray | float = 1.0


@dataclass(frozen=True, slots=True)
class FitOptions:
    """inside_pull: weight of the middle inside the band. fade: half-spreads beyond the band over which the force of a
    missed quote halves. half_floor: narrowest half-spread that counts, decimal vol. max_steps: of Levenberg-Marquardt per
    pass. repair: False leaves arbitrage in and says so in the status."""

    inside_pull: float = 0.05
    fade: float = 1.0
    half_floor: float = 5e-4
    max_steps: int = 200
    repair: bool = True

    def __post_init__(self) -> None:
        for name in ("inside_pull", "fade", "half_floor", "max_steps"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}={getattr(self, name)} of FitOptions; expected a positive number.")

    def row(self) -> FloatArray:
        settings = np.empty(fit_kernels.SETTINGS)
        settings[fit_kernels.INSIDE_PULL] = self.inside_pull
        settings[fit_kernels.FADE] = self.fade
        settings[fit_kernels.HALF_FLOOR] = self.half_floor
        settings[fit_kernels.MAX_STEPS] = self.max_steps
        settings[fit_kernels.REPAIR] = float(self.repair)
        return settings


class QuoteBands(NamedTuple):
    """Usable out-of-the-money quotes, ordered by (expiry, log-moneyness); `points` as `slice_kernels` wants them,
    their first three columns log-moneyness, bid vol (0 where no bid stands) and ask vol."""

    expiry_ns: IntArray
    offsets: IntArray
    tau: FloatArray
    forward: FloatArray
    discount: FloatArray
    points: FloatArray


def fit_surface(quotes: ChainQuotes, asof_ns: int, underlying: str, options: FitOptions | None = None) -> Surface:
    """Surface of one underlying as of `asof_ns`; slices in order of expiry, each with its own status.

    Every expiry with a usable forward in the quotes gets a slice; with fewer than five two-sided out-of-the-money quotes
    its numbers are NaN and its status "few_quotes". Slices of status "ok" are free of butterfly and calendar arbitrage,
    proved on the whole line, unless `options.repair` is off.
    Raises InputError where columns differ in length or tau disagrees with expiry and `asof_ns`.
    """
    settings = (options or FitOptions()).row()
    bands = quote_bands(quotes, asof_ns, settings)
    found = fit_chain(bands.points, bands.offsets, bands.tau, settings)
    fits = tuple(
        SliceFit(
            expiry_ns=expiry_ns,
            forward=forward,
            discount=discount,
            a=p[0],
            b=p[1],
            rho=p[2],
            m=p[3],
            sigma=p[4],
            quotes=int(report[chain_kernels.QUOTES]),
            inside_share=report[chain_kernels.INSIDE],
            worst_miss=report[chain_kernels.WORST],
            status=STATUS_NAMES[code],
            mean_miss=report[chain_kernels.MEAN],
        )
        for expiry_ns, forward, discount, p, report, code in zip(
            bands.expiry_ns.tolist(),
            bands.forward.tolist(),
            bands.discount.tolist(),
            found.params.tolist(),
            found.reports.tolist(),
            found.status.tolist(),
            strict=True,
        )
    )
    return Surface(underlying, asof_ns, fits)


def quote_bands(quotes: ChainQuotes, asof_ns: int, settings: FloatArray) -> QuoteBands:
    """Bid and ask volatilities of a chain's out-of-the-money quotes, for the fit of any form.

    settings: `FitOptions.row()`. Errors as in `fit_surface`.
    """
    size = quotes.strike.shape
    for name in ("expiry_ns", "tau", "is_call", "bid", "ask", "forward"):
        if getattr(quotes, name).shape != size:
            raise InputError(f"{name} has shape {getattr(quotes, name).shape}; expected {size} like strike.")
    tau = (quotes.expiry_ns - asof_ns) / NS_PER_YEAR
    if size != (0,) and not np.max(np.abs(tau - quotes.tau)) < 1e-9:
        raise InputError(
            "tau of the quotes disagrees with expiry_ns and asof_ns; expected ACT/365 to the expiry instant."
        )
    usable = (tau > 0.0) & (quotes.forward > 0.0) & (quotes.strike > 0.0) & np.isfinite(quotes.forward)
    wanted = np.flatnonzero(usable)
    k = np.log(quotes.strike[wanted] / quotes.forward[wanted])
    order = np.lexsort((k, quotes.expiry_ns[wanted]))
    wanted, k = wanted[order], k[order]
    expiry, strike, forward = quotes.expiry_ns[wanted], quotes.strike[wanted], quotes.forward[wanted]
    years, is_call = tau[wanted], quotes.is_call[wanted]
    discount = np.broadcast_to(np.asarray(quotes.discount, np.float64), size)[wanted]
    otm = is_call == (strike >= forward)
    # In-the-money rows become NaN, which the inversion passes over.
    band = np.where(otm, np.stack((quotes.bid[wanted], quotes.ask[wanted])), np.nan)
    (low, high), _ = implied_vols(band, forward, strike, years, discount, is_call, coin=quotes.coin)
    firsts = np.flatnonzero(np.diff(expiry, prepend=-1))
    ends = np.append(firsts, expiry.size).astype(np.int64)
    points = np.empty((expiry.size, slice_kernels.POINT_WIDTH))
    offsets = np.zeros(firsts.size + 1, np.int64)
    centre = np.empty(firsts.size)
    fit_kernels.gather(forward, k, otm, low, high, years, ends, settings, points, offsets, centre)
    return QuoteBands(expiry[firsts], offsets, years[firsts], centre, discount[firsts].copy(), points[: offsets[-1]])

"""Volatility terms of an option fill: the vol its price implies, the fitted surface's, vega and gamma of what was bought.

The forward is that of the expiry on the last fitted surface, else the index: what the desk had when it decided.
"""

from __future__ import annotations

import math

from voldesk.app.run_rows import Fill
from voldesk.core.events import SurfaceFitted
from voldesk.core.units import VOL_POINTS_PER_UNIT, gamma_per_1pct, tau_years
from voldesk.instruments.spec import Instrument, Settlement
from voldesk.pricing import black
from voldesk.pricing.implied_vol import implied_vol
from voldesk.strategies.straddle import find_slice, slice_vol


def add_vols(fill: Fill, terms: Instrument, surface: SurfaceFitted | None) -> None:
    """Fill in forward, iv, fitted_iv, vega_volpt_usd and gamma_1pct; NaN stays where an input is missing.

    Greeks are taken at the vol of the fill itself, else at the fitted one. Gamma: underlying units per 1 % move.
    """
    piece = find_slice(surface, terms.expiry_ns) if surface is not None else None
    forward = piece.forward if piece is not None else fill.index
    tau = tau_years(fill.ts_ns, terms.expiry_ns)
    strike = float(terms.strike)
    if not (forward > 0.0 and tau > 0.0 and strike > 0.0):
        return
    fill.forward = forward
    if piece is not None and surface is not None:
        fill.fitted_iv = slice_vol(piece, surface.asof_ns, math.log(strike / forward))
    price = float(fill.price) * (forward if terms.settlement is Settlement.INVERSE else 1.0)
    fill.iv = float(implied_vol(price, forward, strike, tau, 1.0, terms.is_call)[0])
    sigma = fill.iv if math.isfinite(fill.iv) else fill.fitted_iv
    greeks = black.greeks(forward, strike, tau, sigma, 1.0, terms.is_call)
    units = float(terms.contracts(fill.lots)) * float(terms.multiplier)
    fill.vega_volpt_usd = units * float(greeks.vega) / VOL_POINTS_PER_UNIT
    fill.gamma_1pct = units * gamma_per_1pct(float(greeks.gamma), forward)

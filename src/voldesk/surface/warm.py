"""Compile warm-up of the surface room: each entry compiles its kernels (or loads them from the cache) when called."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from voldesk.core.units import NS_PER_DAY, NS_PER_YEAR
from voldesk.pricing import black
from voldesk.surface import essvi, grid, measures, sabr
from voldesk.surface.fit import ChainQuotes, Surface, fit_surface
from voldesk.surface.projection import project_arbitrage_free
from voldesk.surface.reading import VolSurface
from voldesk.surface.svi import SviRaw, durrleman
from voldesk.surface.svi_fit import fit_slices


def example_quotes(asof_ns: int = 0, falling: float = 0.0) -> ChainQuotes:
    """A small made-up chain, two expiries of 15 strikes around 100, priced off a skewed smile with a spread. falling:
    by how much the later volatilities are lower; 0.22 makes the expiries cross."""
    k = np.linspace(-0.35, 0.35, 15)
    days = np.array([30, 90])
    expiry_ns = np.repeat(asof_ns + days * NS_PER_DAY, 2 * k.size)
    tau = (expiry_ns - asof_ns) / NS_PER_YEAR
    strike = np.tile(100.0 * np.exp(k), 2 * days.size)
    is_call = np.tile(np.repeat([True, False], k.size), days.size)
    sigma = 0.5 - 0.2 * np.log(strike / 100.0) + 0.6 * np.log(strike / 100.0) ** 2
    sigma -= np.where(tau > 0.1, falling, 0.0)
    forward = np.full(strike.shape, 100.0)
    bid = black.price(forward, strike, tau, sigma - 0.01, 1.0, is_call)
    ask = black.price(forward, strike, tau, sigma + 0.01, 1.0, is_call)
    return ChainQuotes(expiry_ns, tau, strike, is_call, bid, ask, 0.5 * (bid + ask), forward)


def warm() -> list[tuple[str, Callable[[], object]]]:
    """Name and call of every public kernel, for a progress bar at set-up."""
    made: list[Surface] = []

    def fit() -> Surface:
        made.append(fit_surface(example_quotes(falling=0.22), 0, "WARM"))
        return made[-1]

    def read() -> object:
        surface = made[-1] if made else fit()
        return _read(surface), surface.check_arbitrage(), measures.wings(surface)

    return [
        ("surface fit", fit),
        ("surface reading and arbitrage proofs", read),
        ("svi slice", lambda: durrleman([0.0], SviRaw(0.04, 0.4, -0.4, 0.1, 0.2))),
        ("svi least squares", lambda: fit_slices(np.linspace(-0.4, 0.4, 9), np.linspace(0.05, 0.04, 9))),
        ("svi projection", lambda: project_arbitrage_free([-0.0410, 0.1331, 0.3060, 0.3586, 0.4153])),
        ("essvi surface", lambda: _read(essvi.fit(example_quotes(), 0, "WARM"))),
        ("sabr surface", lambda: _read(sabr.fit(example_quotes(), 0, "WARM"))),
        ("sabr formula", lambda: sabr.implied_vol([100.0], 90.0, 0.5, sabr.SabrParams(0.3, 1.0, -0.4, 0.8))),
        ("grid surface", lambda: _read(grid.sample(made[-1] if made else fit(), [-0.3, 0.0, 0.3]))),
    ]


def _read(surface: VolSurface) -> object:
    return surface.implied_vol(100.0, 0.2), surface.local_vol(100.0, 0.2)

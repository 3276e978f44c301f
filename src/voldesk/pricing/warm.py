"""Compile warm-up of the option formulas: each entry compiles one kernel (or loads it from the cache) when called."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from voldesk.pricing import american, black, finite_difference, heston, lattice, merton, monte_carlo
from voldesk.pricing.grids import heston_pde
from voldesk.pricing.grids.market import LocalVolGrid
from voldesk.pricing.heston import HestonParams
from voldesk.pricing.implied_vol import implied_vol
from voldesk.pricing.merton import MertonParams
from voldesk.pricing.revalue import OptionBook, Scenarios, revalue
from voldesk.pricing.simulation.models import Gbm, Schedule
from voldesk.pricing.simulation.payoffs import European
from voldesk.pricing.simulation.simulate import Model
from voldesk.pricing.transform import cos_method, fft_method


def warm() -> list[tuple[str, Callable[[], object]]]:
    """Name and call of every public kernel, for a progress bar at set-up."""
    one = [100.0]
    call = [True]

    h = HestonParams(0.09, 1.0, 0.09, 0.5, -0.5)
    columns = (one, one, [0.5], 1.0, call)

    def paths(model: Model) -> object:
        few = monte_carlo.Settings(paths=256, controls=False)
        return monte_carlo.price(model, European(100.0, True), Schedule.flat(100.0, 0.5, 2), seed=1, settings=few)

    return [
        ("black price", lambda: black.price(one, one, 0.5, 0.3, 1.0, call)),
        ("black greeks", lambda: black.greeks(one, one, 0.5, 0.3, 1.0, call)),
        ("black greeks in spot", lambda: black.spot_greeks(one, one, 0.5, 0.3, 0.02, 0.0, call)),
        ("coin greeks", lambda: black.coin_greeks(one, one, 0.5, 0.3, call)),
        ("american price and greeks", lambda: american.greeks(one, one, 0.5, 0.05, 0.02, 0.3, call)),
        ("american implied volatility", lambda: american.implied_vol([8.0], one, one, 0.5, 0.05, 0.02, call)),
        ("american price, two boundaries", lambda: american.price(one, one, 0.5, -0.01, -0.03, 0.3, [False])),
        ("exercise boundary", lambda: american.exercise_boundary(one, 0.5, 0.05, 0.02, 0.3, call, [0.5])),
        ("lattice", lambda: lattice.price(one, one, 0.5, 0.05, 0.02, 0.3, call)),
        ("lattice greeks", lambda: lattice.greeks(one, one, 0.5, 0.05, 0.02, 0.3, call)),
        ("finite differences", lambda: finite_difference.price(one, one, 0.5, 0.05, 0.3, call, nodes=51)),
        (
            "heston on a grid",
            lambda: heston_pde.price(h, one, one, 0.5, 0.02, call, spots=41, variances=21, steps=8),
        ),
        ("revaluation of a book", lambda: revalue(OptionBook(one, one, 0.5, 0.3, call), Scenarios([0.1]))),
        ("monte carlo, brownian and jumps", lambda: paths(Gbm(0.3))),
        (
            "monte carlo, local volatility",
            lambda: paths(LocalVolGrid.sample(lambda s, t: 0.3 + 0.0 * s * t, [0.0], one)),
        ),
        ("monte carlo, heston and bates", lambda: paths(HestonParams(0.09, 1.0, 0.09, 0.5, -0.5))),
        ("heston, bates and merton", lambda: heston.price(h, *columns)),
        ("heston greeks", lambda: heston.greeks(h, *columns)),
        ("calibration", lambda: heston.calibrate(100.0, np.linspace(80.0, 120.0, 9), [[0.2], [1.0]], 0.3)),
        ("merton series", lambda: merton.price(MertonParams(0.2, 1.0, -0.1, 0.1), *columns)),
        ("cosine method", lambda: cos_method.price(h.row(), *columns)),
        ("fourier transform method", lambda: fft_method.price(h.row(), *columns)),
        ("implied volatility", lambda: implied_vol([8.0], one, 100.0, 0.5, 1.0, call)),
    ]

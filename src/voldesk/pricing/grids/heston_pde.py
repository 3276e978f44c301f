"""European and American options under Heston's model by finite differences in spot and variance.

For early exercise, which the Fourier formula of `heston` does not have; the European value checks one against the other.
Method: modified Craig-Sneyd splitting on a grid that is dense about the strike and at small variances, damped start,
Ikonen and Toivanen's splitting of the exercise condition; two grids, extrapolated (`heston_pde_kernels`). The Feller
condition is not required.

Units are raw: tau in ACT/365 years, rates continuous. At tau = 0 the payoff. NaN for NaN or infinite input, spot or
strike <= 0, negative tau.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError
from voldesk.pricing.broadcast import columns
from voldesk.pricing.grids import heston_pde_march
from voldesk.pricing.heston import HestonParams

_SPOTS = (41, 1601)
_VARIANCES = (21, 801)
_STEPS = (8, 10_000)


class HestonGridGreeks(NamedTuple):
    """Raw derivatives: delta and gamma in spot at fixed variance, theta per year, variance_delta per 1.00 of v0."""

    price: FloatArray
    delta: FloatArray
    gamma: FloatArray
    theta: FloatArray
    variance_delta: FloatArray


def price(
    params: HestonParams,
    spot: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    rate: ArrayLike,
    is_call: ArrayLike,
    *,
    dividend_yield: ArrayLike = 0.0,
    american: bool = True,
    spots: int = 121,
    variances: int = 61,
    steps: int = 40,
) -> FloatArray:
    """Value in currency; inputs broadcast, the result has their shape.

    spots, variances (odd), steps: of the finer grid. Raises InputError for sizes out of range or xi = 0 (no variance to
    move: use `finite_difference`).

    >>> p = HestonParams(v0=0.0175, kappa=1.5768, theta=0.0398, xi=0.5751, rho=-0.5711)
    >>> round(float(price(p, 100.0, 100.0, 1.0, 0.0, True, american=False)), 2)  # heston.price: 5.785
    5.79
    """
    found = greeks(
        params, spot, strike, tau, rate, is_call, dividend_yield=dividend_yield, american=american,
        spots=spots, variances=variances, steps=steps,
    )  # fmt: skip
    return found.price


def greeks(
    params: HestonParams,
    spot: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    rate: ArrayLike,
    is_call: ArrayLike,
    *,
    dividend_yield: ArrayLike = 0.0,
    american: bool = True,
    spots: int = 121,
    variances: int = 61,
    steps: int = 40,
) -> HestonGridGreeks:
    """Price and derivatives off the same grid; arguments and errors as in `price`.

    Where the option is exercised at once, delta is +-1 and the rest 0.

    >>> p = HestonParams(v0=0.0175, kappa=1.5768, theta=0.0398, xi=0.5751, rho=-0.5711)
    >>> round(float(greeks(p, 100.0, 100.0, 1.0, 0.05, False).delta), 2)
    -0.3
    """
    for name, size, (least, most) in (
        ("spots", spots, _SPOTS),
        ("variances", variances, _VARIANCES),
        ("steps", steps, _STEPS),
    ):
        if not least <= size <= most or (name != "steps" and size % 2 == 0):
            odd = "" if name == "steps" else "an odd number "
            raise InputError(f"{name}={size}; expected {odd}from {least} to {most}.")
    if params.xi == 0.0:
        raise InputError("xi=0 of a Heston grid; expected a positive number. Use finite_difference with a local vol.")
    shape, rows, stride = columns(spot, strike, tau, rate, dividend_yield, is_call=is_call)
    out = np.empty((len(HestonGridGreeks._fields), *shape))
    model = (float(params.v0), float(params.kappa), float(params.theta), float(params.xi), float(params.rho))
    heston_pde_march.kernel(stride, model, american, spots, variances, steps, out.reshape(len(out), -1), *rows)
    return HestonGridGreeks(*[out[i, ...] for i in range(len(out))])

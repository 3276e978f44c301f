"""European and American options on a binomial lattice: an independent check of the faster methods.

Source: Leisen & Reimer (1996), "Binomial models for option valuation: examining and improving convergence", with
Peizer-Pratt inversion 2 and an odd number of steps, extrapolated from two trees (`lattice_kernels`).

The underlying pays a continuous yield. Discrete cash dividends are not for this tree (they break its recombination, and
the usual escrow is another model): use `finite_difference`. Units are raw: tau in ACT/365 years, rates continuous.

Limits: at tau = 0 or sigma = 0 the value along the certain path, with the best exercise time on it where `american`.
NaN for NaN or infinite input, spot or strike <= 0, negative tau or sigma, and for nodes too wide for floats (total
volatility beyond about 690 / sqrt(steps)).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError
from voldesk.pricing.broadcast import columns
from voldesk.pricing.early_exercise.lattice_kernels import greeks_kernel, price_kernel

_MOST_STEPS = 20_001


class LatticeGreeks(NamedTuple):
    """Raw derivatives in spot: delta, gamma; vega per 1.00 of sigma; theta per year of calendar time; rho per 1.00."""

    price: FloatArray
    delta: FloatArray
    gamma: FloatArray
    vega: FloatArray
    theta: FloatArray
    rho: FloatArray


def price(
    spot: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    sigma: ArrayLike,
    is_call: ArrayLike,
    *,
    american: bool = True,
    steps: int = 501,
) -> FloatArray:
    """Value in currency; inputs broadcast, the result has their shape.

    steps: of the finer tree, odd. Raises InputError for an even or unreasonable number.

    >>> round(float(price(36.0, 40.0, 1.0, 0.06, 0.0, 0.2, False)), 3)  # Longstaff & Schwartz (2001), table 1: 4.478
    4.487
    """
    n = _odd(steps)
    shape, inputs, stride = columns(spot, strike, tau, rate, dividend_yield, sigma, is_call=is_call)
    out = np.empty(shape)
    price_kernel(stride, n, american, out.reshape(-1), *inputs)
    return out


def greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    sigma: ArrayLike,
    is_call: ArrayLike,
    *,
    american: bool = True,
    steps: int = 501,
) -> LatticeGreeks:
    """Price, delta and gamma from the nodes at time zero, theta from the pricing equation, vega and rho by resolving.

    Where the option is exercised at once, delta is +-1 and the rest 0. At tau = 0 or sigma = 0 the derivatives of the
    certain value; at its kink those of the worthless side.

    >>> g = greeks(100.0, 100.0, 0.5, 0.05, 0.02, 0.3, False)
    >>> round(float(g.delta), 4), round(float(g.gamma), 4)
    (-0.4373, 0.0192)
    """
    n = _odd(steps)
    shape, inputs, stride = columns(spot, strike, tau, rate, dividend_yield, sigma, is_call=is_call)
    out = np.empty((len(LatticeGreeks._fields), *shape))
    greeks_kernel(stride, n, american, out.reshape(len(out), -1), *inputs)
    return LatticeGreeks(*[out[i, ...] for i in range(len(out))])


def _odd(steps: int) -> int:
    if steps % 2 == 0 or not 7 <= steps <= _MOST_STEPS:
        raise InputError(f"steps={steps}; expected an odd number from 7 to {_MOST_STEPS}, such as {steps | 1}.")
    return int(steps)

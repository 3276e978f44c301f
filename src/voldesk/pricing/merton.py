"""European options under Merton's jump diffusion: constant volatility with log-normal jumps.

    dF / F- = -lambda m dt + sigma dW + (e^J - 1) dN,   J ~ Normal(jump_mean, jump_std^2),   m = E[e^J] - 1

Given n jumps the forward is log-normal, so a price is a Poisson mixture of Black prices (Merton 1976, eq. 16). The
series is exact: option out of the money, all n between the far tails of the Poisson weights, with and without the
jumps' growth, that hold 1e-17 of the probability. `row` gives the model to `fourier` (xi = 0), whose integral agrees
and whose derivatives serve the calibration.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.core.errors import InputError
from voldesk.pricing.broadcast import columns
from voldesk.pricing.european.black_kernels import undiscounted
from voldesk.pricing.transform import calibration, fourier
from voldesk.pricing.transform import calibration_kernels as kernels
from voldesk.pricing.transform.calibration import Calibration
from voldesk.pricing.transform.fourier import is_option
from voldesk.pricing.transform.fourier_kernels import JUMP_INTENSITY, THETA, V0
from voldesk.pricing.transform.heston_gradient import BATES_ROWS, FIRST_PARAMETER


class MertonParams(msgspec.Struct, frozen=True):
    """sigma: volatility of the diffusion per year; jump_intensity: jumps per year; jump_mean, jump_std: of the log jump.

    Raises InputError for a value outside its range.
    """

    sigma: float
    jump_intensity: float
    jump_mean: float
    jump_std: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma) and self.sigma > 0.0):
            raise InputError(f"sigma={self.sigma} of a Merton model; expected a positive number.")
        for name in ("jump_intensity", "jump_std"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise InputError(f"{name}={value} of a Merton model; expected zero or more.")
        if not math.isfinite(self.jump_mean):
            raise InputError(f"jump_mean={self.jump_mean} of a Merton model; expected the mean of the log jump.")

    def row(self) -> FloatArray:
        """The eight numbers that `fourier` takes: Bates without volatility of variance."""
        variance = self.sigma * self.sigma
        return np.array([variance, 1.0, variance, 0.0, 0.0, self.jump_intensity, self.jump_mean, self.jump_std])


@compiled
def _terms(mean: float) -> tuple[int, int]:
    """First and last count of a Poisson variable worth summing (Chernoff: 1e-18 beyond either)."""
    width = 42.0
    last = mean + math.sqrt(2.0 * width * mean) + width
    first = mean - math.sqrt(2.0 * width * mean)
    return max(0, math.floor(first)), math.ceil(last)


@compiled
def _poisson(expected: float, low: int, high: int) -> FloatArray:
    """Weights of low..high jumps: ratios from the most likely count, then normalised, so that no digit is lost."""
    weights = np.empty(high - low + 1)
    mode = min(max(math.floor(expected), low), high)
    weights[mode - low] = 1.0
    for n in range(mode + 1, high + 1):
        weights[n - low] = weights[n - low - 1] * expected / n
    for n in range(mode, low, -1):
        weights[n - low - 1] = weights[n - low] * n / expected
    return weights / np.sum(weights)


@compiled
def _range_and_weights(expected: float, growth: float) -> tuple[int, FloatArray]:
    """First count, and the weights of it and those after it; `growth` is E[e^J]."""
    low, high = _terms(expected)
    low_grown, high_grown = _terms(expected * growth)
    low, high = min(low, low_grown), max(high, high_grown)
    return low, _poisson(expected, low, high)


@compiled
def _mixture(
    forward: float,
    strike: float,
    tau: float,
    sigma: float,
    drift: float,
    mean: float,
    std: float,
    first: int,
    weights: FloatArray,
    is_call: bool,
) -> float:
    """Undiscounted price: Black on the forward after n jumps, weighed."""
    total = 0.0
    for k in range(weights.size):
        n = first + k
        shift = n * (mean + 0.5 * std * std) - drift
        spread = math.sqrt(sigma * sigma + n * std * std / tau)
        # Black is homogeneous in forward and strike: only ever scaled down, so that nothing overflows.
        if shift <= 0.0:
            total += weights[k] * undiscounted(forward * math.exp(shift), strike, tau, spread, is_call)
        elif weights[k] > 0.0:
            grown = math.exp(math.log(weights[k]) + shift) if shift > 600.0 else weights[k] * math.exp(shift)
            total += grown * undiscounted(forward, strike * math.exp(-shift), tau, spread, is_call)
    return total


@compiled
def series_kernel(
    sigma: float,
    intensity: float,
    mean: float,
    std: float,
    steps: IntArray,
    out: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    discount: FloatArray,
    is_call: BoolArray,
) -> None:
    """Discounted values of n options; `steps` as `broadcast.columns` gives them. Weights are kept while tau stays."""
    centre = mean + 0.5 * std * std
    weights_of, first, weights = -1.0, 0, np.ones(1)
    for i in range(out.size):
        F, K, t, df = forward[i * steps[0]], strike[i * steps[1]], tau[i * steps[2]], discount[i * steps[3]]
        call = is_call[i * steps[4]]
        if not is_option(F, K, t, df):
            out[i] = math.nan
            continue
        payoff = max(F - K, 0.0) if call else max(K - F, 0.0)
        if t == 0.0:
            out[i] = df * payoff
            continue
        if intensity > 0.0 and t != weights_of:
            first, weights = _range_and_weights(intensity * t, math.exp(centre))
            weights_of = t
        drift = intensity * t * math.expm1(centre)
        out[i] = df * (payoff + _mixture(F, K, t, sigma, drift, mean, std, first, weights, F < K))


def price(
    params: MertonParams,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    discount: ArrayLike,
    is_call: ArrayLike,
) -> FloatArray:
    """Discounted values in units of the forward, shape of the broadcast arguments. tau in years.

    NaN where forward, strike or discount is not positive, tau is negative or any is not finite. Wings keep relative
    accuracy, about 1e-14: every term is positive.

    >>> round(float(price(MertonParams(0.2, 1.0, -0.1, 0.15), 100.0, 100.0, 0.5, 1.0, True)), 8)
    7.16043492
    """
    shape, inputs, steps = columns(forward, strike, tau, discount, is_call=is_call)
    out = np.empty(shape)
    series_kernel(
        params.sigma, params.jump_intensity, params.jump_mean, params.jump_std, steps, out.reshape(-1), *inputs
    )
    return out


def gradient(
    params: MertonParams,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    discount: ArrayLike,
    is_call: ArrayLike,
) -> tuple[FloatArray, FloatArray]:
    """Prices, and their analytic derivatives in (sigma, intensity, mean, std of jumps), shape (4, *broadcast shape).

    By the integral of `fourier`; NaN where it would need more than 131,072 nodes (sigma sqrt(tau) far below the jumps).

    >>> value, slopes = gradient(MertonParams(0.2, 1.0, -0.1, 0.15), 100.0, 110.0, 0.5, 1.0, True)
    >>> slopes.shape
    (4,)
    """
    rows = fourier.values(params.row(), BATES_ROWS, forward, strike, tau, discount, is_call)
    slopes = np.empty((4, *rows.shape[1:]))
    slopes[0] = 2.0 * params.sigma * (rows[FIRST_PARAMETER + V0] + rows[FIRST_PARAMETER + THETA])
    slopes[1:] = rows[FIRST_PARAMETER + JUMP_INTENSITY :]
    return price(params, forward, strike, tau, discount, is_call), slopes


def _from_row(model: FloatArray) -> MertonParams:
    return MertonParams(math.sqrt(float(model[V0])), *(float(value) for value in model[JUMP_INTENSITY:]))


def calibrate(
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    implied_vol: ArrayLike,
    half_spread: ArrayLike = 1.0,
) -> Calibration[MertonParams]:
    """Parameters nearest to the implied volatilities of a chain, all expiries at once; see `calibration`.

    Arguments broadcast. implied_vol: decimals, best of the option out of the money; NaN or not positive leaves a quote
    out. half_spread: in volatility, the size of a tolerable miss; misses are weighed by its inverse. Look at `.accepted`
    or `.status` before use. Raises InputError for volatilities in per cent.

    >>> strike, tau = np.linspace(70.0, 140.0, 15), np.array([[0.1], [0.5], [2.0]])
    >>> from voldesk.pricing.implied_vol import implied_vol
    >>> value = price(MertonParams(0.2, 1.0, -0.1, 0.15), 100.0, strike, tau, 1.0, strike > 100.0)
    >>> result = calibrate(100.0, strike, tau, implied_vol(value, 100.0, strike, tau, 1.0, strike > 100.0)[0])
    >>> result.accepted, round(result.params.sigma, 6)
    (True, 0.2)
    """
    return calibration.calibrate(kernels.MERTON, _from_row, forward, strike, tau, implied_vol, half_spread)

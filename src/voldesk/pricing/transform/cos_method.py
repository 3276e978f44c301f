"""European options by the Fourier-cosine (COS) method, for Heston, Bates and Merton rows.

    put = discount K sum'_k Re{ phi(k pi / (b-a)) e^{ik pi (x - a) / (b-a)} } U_k,    x = ln(F/K)

Source: Fang & Oosterlee (2008), "A novel pricing method for European options based on Fourier-cosine series
expansions", SIAM J. Sci. Comput. 31, eqs. 19 (sum), 22-24 (coefficients), 49 (range a, b = c1 -+ L sqrt(c2)); calls by
parity, since a call's coefficients grow with the range (remark 3.1). Cumulants by differencing the exact ones.

When it is wrong: nothing certifies the range. Tails heavier than L standard deviations are cut off (an error that
more terms do not cure, and that jumps and short expiries make large), and a slowly decaying characteristic function
wants more terms than given. `heston.price` and its kin have neither fault and cost no more; this form is here as an
independent cross-check and as what the literature calls by its name.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import BoolArray, FloatArray, IntArray
from voldesk.core.compiled import compiled
from voldesk.core.errors import InputError
from voldesk.pricing.broadcast import columns
from voldesk.pricing.transform.fourier import by_expiry, is_option
from voldesk.pricing.transform.fourier_kernels import log_characteristic, log_moment, mean_variance


@compiled
def _range(tau: float, model: FloatArray, width: float) -> tuple[float, float]:
    """c1 - width sqrt(c2 + sqrt(c4)) and its mirror, for ln(S_T / F); c4 as eq. 49 has it for jumps."""
    deviation = math.sqrt(mean_variance(tau, model) * tau)
    h = min(0.1, 0.02 / deviation)
    up, down = log_moment(h, tau, model), log_moment(-h, tau, model)
    up2, down2 = log_moment(2.0 * h, tau, model), log_moment(-2.0 * h, tau, model)
    c1 = (8.0 * (up - down) - (up2 - down2)) / (12.0 * h)
    c2 = (16.0 * (up + down) - (up2 + down2)) / (12.0 * h * h)
    c4 = ((up2 + down2) - 4.0 * (up + down)) / (h * h * h * h)
    spread = width * math.sqrt(abs(c2) + math.sqrt(abs(c4)))
    return c1 - spread, c1 + spread


@compiled
def _put_coefficient(k: int, a: float, b: float) -> float:
    """(2 / (b-a)) (psi_k - chi_k) of the payoff 1 - e^y on [a, 0] (eqs. 22-24)."""
    w = k * math.pi / (b - a)
    if a >= 0.0:
        return 0.0
    top = min(b, 0.0)
    chi = (math.cos(w * (top - a)) * math.exp(top) - math.exp(a) + w * math.sin(w * (top - a)) * math.exp(top)) / (
        1.0 + w * w
    )
    psi = top - a if k == 0 else math.sin(w * (top - a)) / w
    return 2.0 / (b - a) * (psi - chi)


@compiled
def cos_kernel(
    model: FloatArray,
    terms: int,
    width: float,
    steps: IntArray,
    out: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    tau: FloatArray,
    discount: FloatArray,
    is_call: BoolArray,
) -> None:
    """Discounted values of n options; `steps` as `broadcast.columns` gives them."""
    n = out.size
    order, starts = np.arange(n), np.array([0, n])
    if steps[2] == 1:
        order, starts = by_expiry(tau)
    for g in range(starts.size - 1):
        group = order[starts[g] : starts[g + 1]]
        if group.size == 0:
            continue
        t = tau[group[0] * steps[2]]
        widest = 0.0
        for i in group:
            if is_option(forward[i * steps[0]], strike[i * steps[1]], t, discount[i * steps[3]]):
                widest = max(widest, abs(math.log(forward[i * steps[0]] / strike[i * steps[1]])))
        characteristic = np.empty(terms, np.complex128)
        a, b = 0.0, 0.0
        if t > 0.0:
            a, b = _range(t, model, width)
            a, b = a - widest, b + widest
            for k in range(terms):
                characteristic[k] = np.exp(log_characteristic(complex(0.0, k * math.pi / (b - a)), t, model))
            characteristic[0] *= 0.5
        coefficients = np.array([_put_coefficient(k, a, b) if t > 0.0 else 0.0 for k in range(terms)])
        for i in group:
            F, K, df = forward[i * steps[0]], strike[i * steps[1]], discount[i * steps[3]]
            call = is_call[i * steps[4]]
            if not is_option(F, K, t, df):
                out[i] = math.nan
                continue
            if t == 0.0:
                out[i] = df * (max(F - K, 0.0) if call else max(K - F, 0.0))
                continue
            angle = math.pi * (math.log(F / K) - a) / (b - a)
            turn = complex(math.cos(angle), math.sin(angle))
            total = 0.0 + 0.0j
            for k in range(terms - 1, -1, -1):
                total = total * turn + characteristic[k] * coefficients[k]
            put = K * total.real
            out[i] = df * (put + F - K if call else put)


def price(
    model: FloatArray,
    forward: ArrayLike,
    strike: ArrayLike,
    tau: ArrayLike,
    discount: ArrayLike,
    is_call: ArrayLike,
    *,
    terms: int = 256,
    width: float = 12.0,
) -> FloatArray:
    """Discounted values under one model (`HestonParams.row()` and its kin), shape of the broadcast arguments.

    terms: of the cosine series; width: L, in standard deviations. NaN for arguments that make no option; a value may
    lie under the payoff where range or terms do not suffice. Raises InputError for less than 8 terms or a width of 0.

    >>> from voldesk.pricing.heston import HestonParams
    >>> p = HestonParams(v0=0.0175, kappa=1.5768, theta=0.0398, xi=0.5751, rho=-0.5711)
    >>> round(float(price(p.row(), 100.0, 100.0, 1.0, 1.0, True, terms=512)), 7)
    5.7851554
    """
    if terms < 8:
        raise InputError(f"terms={terms} of a cosine series; expected 8 or more, 256 is usual.")
    if not 0.0 < width < math.inf:
        raise InputError(f"width={width} of a cosine series; expected a positive number of deviations, 12 is usual.")
    shape, inputs, steps = columns(forward, strike, tau, discount, is_call=is_call)
    out = np.empty(shape)
    cos_kernel(model, terms, width, steps, out.reshape(-1), *inputs)
    return out

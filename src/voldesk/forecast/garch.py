"""GARCH(1,1) and GJR-GARCH on daily log returns: the baseline that HAR is held against.

Sources: Bollerslev (1986), J. Econometrics 31, eq. 1-3; Glosten, Jagannathan & Runkle (1993), J. Finance 48.
Maximum likelihood by the `arch` library (normal likelihood, zero mean, fixed start values: the same input gives the
same output); the filter and the forecast are our own recursion. Returns are fitted in percent, where its optimiser
is well scaled. Valid where persistence alpha + gamma/2 + beta < 1; otherwise the status says "not_stationary".
"""

from __future__ import annotations

import msgspec
import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import compiled

MIN_DAYS = 250
WINDOW_DAYS = 1460
_PERCENT = 100.0


class GarchParams(msgspec.Struct, frozen=True):
    """variance = omega + (alpha + gamma [r < 0]) r**2 + beta variance, in decimal daily variance.

    `status`: "ok", "short_history: ...", "not_converged: flag n", "not_stationary: persistence x".
    """

    omega: float
    alpha: float
    gamma: float
    beta: float
    log_likelihood: float
    days: int
    days_per_year: float
    status: str

    @property
    def persistence(self) -> float:
        return self.alpha + 0.5 * self.gamma + self.beta

    @property
    def long_run_variance(self) -> float:
        """Daily variance that forecasts tend to."""
        return self.omega / (1.0 - self.persistence)


@compiled
def next_variance(returns: FloatArray, omega: float, alpha: float, gamma: float, beta: float, start: float) -> float:
    """Variance of the day after the last return, beginning with `start` for the first day."""
    variance = start
    for i in range(returns.shape[0]):
        r = returns[i]
        news = alpha + gamma if r < 0.0 else alpha
        variance = omega + news * r * r + beta * variance
    return variance


def fit(
    daily_returns: FloatArray,
    *,
    asymmetric: bool = False,
    window_days: int = WINDOW_DAYS,
    days_per_year: float = 365.0,
) -> GarchParams:
    """Fit to the last `window_days` finite daily log returns (n,). asymmetric: GJR, falls move variance more."""
    returns = np.asarray(daily_returns, np.float64)
    returns = returns[np.isfinite(returns)][-window_days:]
    nan = float("nan")
    if returns.size < MIN_DAYS:
        status = f"short_history: {returns.size} days, {MIN_DAYS} needed"
        return GarchParams(nan, nan, nan, nan, nan, returns.size, days_per_year, status)
    # Imported here: it brings pandas and statsmodels along, a second that only a GARCH desk should pay.
    from arch.univariate import GARCH, Normal, ZeroMean

    model = ZeroMean(
        returns * _PERCENT, volatility=GARCH(p=1, o=int(asymmetric), q=1), distribution=Normal(), rescale=False
    )
    result = model.fit(disp="off", show_warning=False)
    values = {str(name): float(value) for name, value in result.params.items()}
    params = GarchParams(
        omega=values["omega"] / _PERCENT**2,
        alpha=values["alpha[1]"],
        gamma=values.get("gamma[1]", 0.0),
        beta=values["beta[1]"],
        log_likelihood=float(result.loglikelihood),
        days=int(returns.size),
        days_per_year=days_per_year,
        status="ok",
    )
    if int(result.convergence_flag) != 0:
        return msgspec.structs.replace(params, status=f"not_converged: flag {int(result.convergence_flag)}")
    if not params.persistence < 1.0:
        return msgspec.structs.replace(params, status=f"not_stationary: persistence {params.persistence:.4f}")
    return params


def forecast(params: GarchParams, daily_returns_history: FloatArray, days_ahead: int) -> FloatArray:
    """Volatility of each of the next `days_ahead` days: decimals per year, shape (days_ahead,); NaN unless "ok".

    The variance of day k ahead tends to the long-run variance by persistence**(k - 1).
    """
    returns = np.asarray(daily_returns_history, np.float64)
    returns = np.ascontiguousarray(returns[np.isfinite(returns)])
    if params.status != "ok" or returns.size == 0:
        return np.full(days_ahead, np.nan)
    long_run = params.long_run_variance
    first = next_variance(returns, params.omega, params.alpha, params.gamma, params.beta, long_run)
    variance = long_run + params.persistence ** np.arange(days_ahead) * (first - long_run)
    return np.asarray(np.sqrt(variance * params.days_per_year), np.float64)

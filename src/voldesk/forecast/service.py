"""A desk's running forecast: seeded with daily closes, fed with index samples, asked for jobs.

The price path is kept as knots of (time, log price, cumulative variance). Days are cut backwards from the last
sample, so that a forecast made at 14:00 knows the morning. Parameters are fitted on whole UTC days up to the last
midnight before that sample: a pure function of the path, so that a refit happens at most daily, a restarted
desk needs no saved parameters, and samples that come later change no earlier forecast.

Days are calendar days of 24 hours, 365 to the year; the variance of a weekend without trading is spread over it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.errors import InputError
from voldesk.core.events import VolForecast
from voldesk.core.ports import State
from voldesk.core.units import DAYS_PER_YEAR, NS_PER_DAY, NS_PER_MINUTE
from voldesk.forecast import models
from voldesk.forecast.matched import matched_sigma
from voldesk.forecast.models import Model, Params
from voldesk.forecast.realised import DailyHistory, variance_between

HISTORY_DAYS = 1600
MAX_AGE_NS = NS_PER_DAY
MAX_GAP_NS = 5 * NS_PER_DAY
RECENT_NS = 30 * NS_PER_DAY

_Fits = dict[str, tuple[int, Params]]


class _Path:
    """Append-only knots: what a job has been given is never written again, so jobs need no copy."""

    __slots__ = ("cumulative", "log_price", "rejected", "size", "ts_ns")

    def __init__(self) -> None:
        self.ts_ns: IntArray = np.empty(256, np.int64)
        self.log_price: FloatArray = np.empty(256)
        self.cumulative: FloatArray = np.empty(256)
        self.size = 0
        self.rejected = 0

    def append(self, ts_ns: int, log_price: float, variance: float) -> None:
        n = self.size
        if n == self.ts_ns.size:
            for name in ("ts_ns", "log_price", "cumulative"):
                column = getattr(self, name)
                setattr(self, name, np.concatenate([column, np.empty(max(n, 256), column.dtype)]))
        self.ts_ns[n] = ts_ns
        self.log_price[n] = log_price
        self.cumulative[n] = self.cumulative[n - 1] + variance if n else 0.0
        self.size = n + 1


def _history(ts_ns: IntArray, log_price: FloatArray, cumulative: FloatArray, end_ns: int) -> DailyHistory:
    """Whole days that end at `end_ns` and its 24-hour multiples before; at most `HISTORY_DAYS` of them."""
    days = min((end_ns - int(ts_ns[0])) // NS_PER_DAY, HISTORY_DAYS)
    edges = end_ns - np.arange(days, -1, -1, dtype=np.int64) * NS_PER_DAY
    # Prices by the last sample at or before each edge: interpolated prices would have too little variance.
    at = np.searchsorted(ts_ns, edges, side="right") - 1
    return DailyHistory(np.diff(log_price[at]), variance_between(ts_ns, cumulative, edges))


@dataclass(frozen=True, slots=True)
class ForecastJob:
    """Everything one forecast needs, detached from the desk; calling it does the work, anywhere, any time."""

    underlying: str
    model: Model
    now_ns: int
    horizon_ns: int
    days_ahead: int
    ts_ns: IntArray
    log_price: FloatArray
    cumulative: FloatArray
    fits: _Fits = field(default_factory=dict, compare=False, repr=False)

    def __call__(self) -> VolForecast:
        horizon_days = self.horizon_ns / NS_PER_DAY
        if self.ts_ns.size < 2:
            return self._none("short_history: no prices")
        last_ns = int(self.ts_ns[-1])
        if self.now_ns - last_ns > MAX_AGE_NS:
            return self._none(f"stale: last price {(self.now_ns - last_ns) / NS_PER_DAY:.1f} days old")
        recent = self.ts_ns[np.searchsorted(self.ts_ns, last_ns - RECENT_NS) :]
        if recent.size > 1 and (gap := int(np.diff(recent).max())) > MAX_GAP_NS:
            return self._none(f"gap: {gap / NS_PER_DAY:.1f} days without a price in the last 30")
        params = self._params(last_ns // NS_PER_DAY * NS_PER_DAY)
        history = _history(self.ts_ns, self.log_price, self.cumulative, last_ns)
        path, status = models.daily_sigma(self.model, params, history, self.days_ahead, DAYS_PER_YEAR)
        if status != "ok":
            return self._none(status)
        sigma = matched_sigma(path, horizon_days)
        known = path[np.isfinite(path)]
        if not np.isfinite(sigma):
            return self._none(f"horizon {horizon_days:.1f} days exceeds the path of {known.size}")
        return VolForecast(
            underlying=self.underlying,
            model=str(self.model),
            made_ns=self.now_ns,
            horizon_ns=self.horizon_ns,
            sigma=sigma,
            daily_sigma=tuple(known.tolist()),
        )

    def _params(self, midnight_ns: int) -> Params:
        # A memo, not a state: losing it (another process, a restart) costs a refit and changes no figure.
        known = self.fits.get(self.underlying)
        if known is not None and known[0] == midnight_ns:
            return known[1]
        if midnight_ns <= int(self.ts_ns[0]):
            history = DailyHistory(np.empty(0), np.empty(0))
        else:
            history = _history(self.ts_ns, self.log_price, self.cumulative, midnight_ns)
        params = models.fit(self.model, history, DAYS_PER_YEAR)
        self.fits[self.underlying] = (midnight_ns, params)
        return params

    def _none(self, status: str) -> VolForecast:
        return VolForecast(self.underlying, str(self.model), self.now_ns, self.horizon_ns, float("nan"), (), status)


class ForecastSeries:
    """One model over the price paths of any number of underlyings.

    sample_ns: samples closer together than this are skipped, so that noise of every tick does not count as variance.
    days_ahead: length of the path in each forecast.
    """

    def __init__(
        self,
        model: str = "har",
        *,
        sample_ns: int = 5 * NS_PER_MINUTE,
        days_ahead: int = 60,
    ) -> None:
        self.model = models.model_named(model)
        self.sample_ns = sample_ns
        self.days_ahead = days_ahead
        self._paths: dict[str, _Path] = {}
        self._fits: _Fits = {}

    def seed(self, underlying: str, ts_ns: IntArray, price: FloatArray, variance: FloatArray | None = None) -> None:
        """Daily closes before the first sample; `ts_ns` is when each was known (a UTC day's close: next midnight).

        variance: of the day that ends at each close (a range estimate from its bar is several times as precise as the
        squared return, which stands in where it is not given or NaN). Shapes (n,). Raises InputError when times do
        not rise, a price is not positive, or samples have already come in.
        """
        path = self._paths.setdefault(underlying, _Path())
        times, prices = np.asarray(ts_ns, np.int64), np.asarray(price, np.float64)
        if path.size:
            raise InputError(f"{underlying} already has {path.size} prices; seed it before the first sample.")
        if times.shape != prices.shape or np.any(np.diff(times) <= 0):
            raise InputError(f"daily closes of {underlying} must rise strictly in time; sort them and drop repeats.")
        if not np.all(np.isfinite(prices) & (prices > 0.0)):
            raise InputError(f"daily closes of {underlying} hold a value that is not a positive number; drop that day.")
        logs = np.log(prices)
        squares = np.concatenate([np.zeros(min(1, logs.size)), np.diff(logs) ** 2])
        given = squares if variance is None else np.asarray(variance, np.float64)
        for ts, log, square, known in zip(times.tolist(), logs.tolist(), squares.tolist(), given.tolist(), strict=True):
            path.append(ts, log, known if known > 0.0 else square)

    def feed(self, underlying: str, ts_ns: int, price: float) -> None:
        """One index sample as the desk saw it. Samples out of order or not positive are counted and left out."""
        path = self._paths.get(underlying)
        if path is None:
            path = self._paths[underlying] = _Path()
        n = path.size
        if n:
            gap = ts_ns - int(path.ts_ns[n - 1])
            if 0 <= gap < self.sample_ns:
                return
            if gap < 0 or not 0.0 < price < np.inf:
                path.rejected += 1
                return
            log_price = float(np.log(price))
            path.append(ts_ns, log_price, (log_price - float(path.log_price[n - 1])) ** 2)
        elif 0.0 < price < np.inf:
            path.append(ts_ns, float(np.log(price)), 0.0)
        else:
            path.rejected += 1

    def rejected(self, underlying: str) -> int:
        """Samples left out because they were out of order or not a price."""
        path = self._paths.get(underlying)
        return path.rejected if path else 0

    def job(self, underlying: str, now_ns: int, horizon_ns: int) -> Callable[[], VolForecast]:
        """A forecast to be made from what is known at `now_ns`, and from nothing later."""
        path = self._paths.get(underlying) or _Path()
        n = int(np.searchsorted(path.ts_ns[: path.size], now_ns, side="right"))
        return ForecastJob(
            underlying=underlying,
            model=self.model,
            now_ns=now_ns,
            horizon_ns=horizon_ns,
            days_ahead=max(self.days_ahead, -(-horizon_ns // NS_PER_DAY)),
            ts_ns=path.ts_ns[:n],
            log_price=path.log_price[:n],
            cumulative=path.cumulative[:n],
            fits=self._fits,
        )

    def state(self) -> State:
        return {
            name: {
                "ts_ns": path.ts_ns[: path.size].copy(),
                "log_price": path.log_price[: path.size].copy(),
                "cumulative": path.cumulative[: path.size].copy(),
                "rejected": path.rejected,
            }
            for name, path in self._paths.items()
        }

    def restore(self, state: State) -> None:
        self._paths = {}
        self._fits = {}
        for name, held in state.items():
            path = self._paths[name] = _Path()
            path.ts_ns = np.array(held["ts_ns"], np.int64)
            path.log_price = np.array(held["log_price"], np.float64)
            path.cumulative = np.array(held["cumulative"], np.float64)
            path.size = int(path.ts_ns.size)
            path.rejected = int(held["rejected"])

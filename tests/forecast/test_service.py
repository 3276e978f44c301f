import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.errors import InputError
from voldesk.core.rng import random_stream
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR
from voldesk.forecast.matched import matched_sigma
from voldesk.forecast.service import ForecastSeries

START = 19_000 * NS_PER_DAY
SEEDED = 400
FIRST = START + SEEDED * NS_PER_DAY
HORIZON = 14 * NS_PER_DAY


def _closes(days: int = SEEDED, sigma: float = 0.03) -> tuple[np.ndarray, np.ndarray]:
    rng = random_stream(1, "closes")
    clusters = np.exp(0.3 * np.sin(np.arange(days) / 20.0))
    price = 50_000.0 * np.exp(np.cumsum(sigma * clusters * rng.normal(size=days)))
    return START + np.arange(1, days + 1) * NS_PER_DAY, price


def _samples(count: int, sigma: float = 0.03) -> list[tuple[int, float]]:
    rng = random_stream(2, "samples")
    ts, price, found = FIRST, float(_closes()[1][-1]), []
    for _ in range(count):
        gap = int(rng.integers(NS_PER_HOUR, 12 * NS_PER_HOUR))
        ts += gap
        price *= float(np.exp(sigma * np.sqrt(gap / NS_PER_DAY) * rng.normal()))
        found.append((ts, price))
    return found


def _series(model: str = "har", samples: int = 0) -> ForecastSeries:
    series = ForecastSeries(model)
    series.seed("BTC", *_closes())
    for ts, price in _samples(samples):
        series.feed("BTC", ts, price)
    return series


@pytest.mark.parametrize("model", ["har", "garch", "gjr", "naive", "ewma"])
def test_every_model_gives_a_path_that_its_own_horizon_is_read_off(model: str) -> None:
    series = _series(model, samples=100)
    now = _samples(100)[-1][0]
    made = series.job("BTC", now, HORIZON)()
    assert made.status == "ok"
    assert (made.model, made.underlying, made.made_ns, made.horizon_ns) == (model, "BTC", now, HORIZON)
    assert len(made.daily_sigma) == 60
    assert made.sigma == matched_sigma(made.daily_sigma, 14.0)
    assert 0.3 < made.sigma < 1.0  # the path was made with 0.03 sqrt(365) = 0.57


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(0, 40), st.integers(0, 20 * NS_PER_HOUR))
def test_data_that_come_later_change_no_earlier_forecast(known: int, later: int, delay: int) -> None:
    samples = _samples(known + later)
    now = samples[known - 1][0] + min(delay, samples[known][0] - samples[known - 1][0] - 1 if later else delay)
    alone, fuller = _series(), _series()
    for ts, price in samples[:known]:
        alone.feed("BTC", ts, price)
    before = alone.job("BTC", now, HORIZON)()
    for ts, price in samples:
        fuller.feed("BTC", ts, price)
    fuller.job("BTC", samples[-1][0], HORIZON)()  # a later refit must not leak back through the memo
    assert fuller.job("BTC", now, HORIZON)() == before
    assert before.status == "ok"


def test_a_job_keeps_its_inputs_whatever_the_desk_sees_before_it_runs() -> None:
    series = _series(samples=40)
    now = _samples(40)[-1][0]
    waiting = series.job("BTC", now, HORIZON)
    expected = _series(samples=40).job("BTC", now, HORIZON)()
    for ts, price in _samples(600)[40:]:
        series.feed("BTC", ts, price * 3.0)
    assert waiting() == expected


def test_a_restored_desk_forecasts_the_same_from_there_on() -> None:
    first, second = _series(samples=50), ForecastSeries("har")
    first.feed("BTC", 0, 1.0)
    second.restore(first.state())
    for ts, price in _samples(80)[50:]:
        first.feed("BTC", ts, price)
        second.feed("BTC", ts, price)
        assert first.job("BTC", ts, HORIZON)() == second.job("BTC", ts, HORIZON)()
    assert second.rejected("BTC") == 1


def test_parameters_are_fitted_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    from voldesk.forecast import models

    fits: list[int] = []
    whole = models.fit

    def counted(*arguments):  # type: ignore[no-untyped-def]
        fits.append(1)
        return whole(*arguments)

    monkeypatch.setattr(models, "fit", counted)
    series = _series()
    days = set()
    for ts, price in _samples(60):
        series.feed("BTC", ts, price)
        series.job("BTC", ts, HORIZON)()
        days.add(ts // NS_PER_DAY)
    assert len(fits) == len(days) < 30


def test_todays_moves_count_before_the_day_is_over() -> None:
    calm, wild = _series(), _series()
    price = float(_closes()[1][-1])
    for hour in (3, 6, 9):
        calm.feed("BTC", FIRST + hour * NS_PER_HOUR, price)
        wild.feed("BTC", FIRST + hour * NS_PER_HOUR, price * (1.08 if hour == 6 else 1.0))
    now = FIRST + 9 * NS_PER_HOUR
    assert wild.job("BTC", now, HORIZON)().sigma > 1.1 * calm.job("BTC", now, HORIZON)().sigma


def test_range_variances_may_stand_for_squared_returns() -> None:
    ts, price = _closes()
    plain_seed, ranged = ForecastSeries("naive"), ForecastSeries("naive")
    plain_seed.seed("BTC", ts, price)
    ranged.seed("BTC", ts, price, np.full(SEEDED, 0.02**2))
    assert ranged.job("BTC", FIRST, HORIZON)().sigma == pytest.approx(0.02 * np.sqrt(365.0), rel=1e-9)
    recent = np.mean(np.diff(np.log(price))[-30:] ** 2)
    assert plain_seed.job("BTC", FIRST, HORIZON)().sigma == pytest.approx(np.sqrt(recent * 365.0), rel=1e-9)


def test_ticks_closer_than_the_sampling_step_are_skipped() -> None:
    series = _series()
    size = series.state()["BTC"]["ts_ns"].size
    for second in range(1, 3600):
        series.feed("BTC", FIRST + 10**9 * second, 50_000.0 + second % 2)
    assert series.state()["BTC"]["ts_ns"].size == size + 11


def test_there_is_no_forecast_without_a_reason() -> None:
    series = ForecastSeries("har")
    assert series.job("ETH", FIRST, HORIZON)().status == "short_history: no prices"
    series.seed("BTC", *(column[-50:] for column in _closes()))
    short = series.job("BTC", FIRST, HORIZON)()
    assert short.status == "short_history: 49 days, 190 needed"
    assert np.isnan(short.sigma)
    assert short.daily_sigma == ()
    assert _series().job("BTC", FIRST + 3 * NS_PER_DAY, HORIZON)().status == "stale: last price 3.0 days old"
    assert _series().job("BTC", FIRST, 90 * NS_PER_DAY)().status == "horizon 90.0 days exceeds the path of 60"
    gap = _series()
    gap.feed("BTC", FIRST + 8 * NS_PER_DAY, 50_000.0)
    assert gap.job("BTC", FIRST + 8 * NS_PER_DAY, HORIZON)().status.startswith("gap: 8.0 days")


def test_prices_that_are_none_are_counted_and_left_out() -> None:
    series = _series()
    before = series.state()["BTC"]["ts_ns"].size
    series.feed("BTC", FIRST + NS_PER_HOUR, float("nan"))
    series.feed("BTC", FIRST - NS_PER_HOUR, 50_000.0)
    series.feed("BTC", FIRST + NS_PER_HOUR, -1.0)
    assert series.rejected("BTC") == 3
    assert series.state()["BTC"]["ts_ns"].size == before


def test_bad_seeds_are_refused() -> None:
    ts, price = _closes()
    with pytest.raises(InputError, match="rise strictly"):
        ForecastSeries().seed("BTC", ts[::-1], price)
    with pytest.raises(InputError, match="not a positive number"):
        ForecastSeries().seed("BTC", ts, -price)
    with pytest.raises(InputError, match="seed it before"):
        _series().seed("BTC", ts, price)
    with pytest.raises(InputError, match="expected one of har, garch"):
        ForecastSeries("harr")

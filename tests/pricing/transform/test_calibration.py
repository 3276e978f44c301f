"""Calibration: parameters of synthetic surfaces come back, statuses are honest, a recorded chain is fitted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.pricing import bates, black, heston, merton
from voldesk.pricing.heston import HestonParams
from voldesk.pricing.implied_vol import implied_vol
from voldesk.pricing.transform import calibration_kernels, fourier
from voldesk.pricing.transform.calibration import CalibrationStatus
from voldesk.pricing.transform.calibration_kernels import BATES, HESTON, MERTON

DATA = Path(__file__).resolve().parents[3] / "../shared/data/deribit_chain_6h/btc_2026-03.parquet"
TAU = np.repeat([7.0 / 365.0, 30.0 / 365.0, 0.25, 0.5, 1.5], 20)


def _surface(model: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Strikes over 2 deviations down and 1.6 up, and implied volatilities, of 100 options on a forward of 1."""
    deviation = np.sqrt(fourier.mean_variance(0.25, model))
    strikes = np.exp(np.tile(np.linspace(-2.0, 1.6, 20), 5) * deviation * np.sqrt(TAU))
    value = fourier.price(model, 1.0, strikes, TAU, 1.0, strikes > 1.0)
    return strikes, implied_vol(value, 1.0, strikes, TAU, 1.0, strikes > 1.0)[0]


def _random(rng: np.random.Generator, kind: int) -> FloatArray:
    model = np.array([rng.uniform(0.02, 0.6), rng.uniform(0.5, 8.0), rng.uniform(0.03, 0.5), 0.0, 0.0, 0.0, 0.0, 0.0])
    if kind != MERTON:
        model[3:5] = rng.uniform(0.2, 2.5), rng.uniform(-0.9, 0.2)
    else:
        model[1:3] = 1.0, model[0]
    if kind != HESTON:
        model[5:] = rng.uniform(0.2, 5.0), rng.uniform(-0.25, 0.05), rng.uniform(0.03, 0.25)
    return model


def test_heston_parameters_come_back_from_every_synthetic_surface() -> None:
    rng = np.random.default_rng(5)
    for _ in range(60):
        model = _random(rng, HESTON)
        strikes, vol = _surface(model)
        got = heston.calibrate(1.0, strikes, TAU, vol)
        assert got.accepted, (model, got)
        assert got.params is not None
        assert np.max(np.abs(got.params.row() - model)) < 1e-6, (model, got)
        assert got.worst < 1e-7
        assert got.iterations <= 20


def test_bates_and_merton_surfaces_are_met_but_for_few() -> None:
    rng = np.random.default_rng(6)
    for kind, calibrate in ((BATES, bates.calibrate), (MERTON, merton.calibrate)):
        met = 0
        for _ in range(15):
            model = _random(rng, kind)
            strikes, vol = _surface(model)
            got = calibrate(1.0, strikes, TAU, vol)
            met += got.accepted and got.worst < 1e-6
            assert got.worst < 0.03, (model, got)
        assert met >= 13, kind


def test_a_jacobian_is_the_slope_of_the_residuals() -> None:
    rng = np.random.default_rng(9)
    for kind in (HESTON, BATES, MERTON):
        model = _random(rng, kind)
        model[5:] = (0.7, -0.1, 0.15) if kind != HESTON else (0.0, 0.0, 0.0)
        strikes, vol = _surface(model)
        x, starts, tau = -np.log(strikes), np.arange(0, 101, 20), TAU[::20].copy()
        target, scale = np.empty(100), np.empty(100)
        calibration_kernels.quote_terms(starts, tau, x, vol * 1.1, target, scale)
        places = calibration_kernels.free_parameters(kind)
        y = calibration_kernels.to_free(model, places)
        slope, jacobian, out = np.empty(places.size), np.empty((places.size, 100)), np.empty(100)

        def at(moved: FloatArray, *chain: FloatArray, kind: int = kind, model: FloatArray = model) -> FloatArray:
            trial, bend, misses = model.copy(), np.empty(moved.size), np.empty(100)
            free = calibration_kernels.free_parameters(kind)
            calibration_kernels.from_free(moved, free, kind, trial, bend)
            unused = np.empty((moved.size, 1))
            calibration_kernels.residuals(kind, trial, *chain, bend, free, False, misses, unused)
            return misses

        chain = (starts, tau, x, target, scale)
        trial = model.copy()
        assert not calibration_kernels.from_free(y, places, kind, trial, slope)
        assert np.max(np.abs(trial - model)) < 1e-12
        cost = calibration_kernels.residuals(
            kind, trial, starts, tau, x, target, scale, slope, places, True, out, jacobian
        )
        assert cost == pytest.approx(0.5 * np.sum(at(y, *chain) ** 2), rel=1e-8)
        for k in range(places.size):
            h = np.zeros(places.size)
            h[k] = 1e-4
            difference = 8.0 * (at(y + h, *chain) - at(y - h, *chain))
            difference = (difference - at(y + 2 * h, *chain) + at(y - 2 * h, *chain)) / 12e-4
            assert np.max(np.abs(jacobian[k] - difference)) < 2e-5 * (1e-3 + np.max(np.abs(difference))), (kind, k)


def test_weights_pull_the_fit_to_the_quotes_with_a_narrow_spread() -> None:
    strikes, vol = _surface(np.array([0.04, 1.5, 0.05, 0.6, -0.5, 1.0, -0.15, 0.1]))
    short = TAU < 0.1
    near = heston.calibrate(1.0, strikes, TAU, vol, np.where(short, 1e-4, 1e-2)).params
    far = heston.calibrate(1.0, strikes, TAU, vol, np.where(short, 1e-2, 1e-4)).params
    assert near is not None
    assert far is not None

    def miss(p: HestonParams) -> FloatArray:
        value = heston.price(p, 1.0, strikes, TAU, 1.0, strikes > 1.0)
        return np.abs(value - black.price(1.0, strikes, TAU, vol, 1.0, strikes > 1.0))

    assert miss(near)[short].max() < miss(far)[short].max()
    assert miss(near)[~short].max() > miss(far)[~short].max()


def test_the_misses_reported_are_misses_in_volatility() -> None:
    rng = np.random.default_rng(2)
    strikes, vol = _surface(np.array([0.04, 1.5, 0.05, 0.6, -0.5, 0.0, 0.0, 0.0]))
    got = heston.calibrate(1.0, strikes, TAU, vol + rng.normal(0.0, 0.002, vol.size))
    assert got.status == CalibrationStatus.CONVERGED
    assert 0.0015 < got.rmse < 0.0025
    assert got.rmse < got.worst < 0.012


def test_quotes_that_are_no_quotes_are_left_out_and_too_few_are_told() -> None:
    strikes, vol = _surface(np.array([0.04, 1.5, 0.05, 0.6, -0.5, 0.0, 0.0, 0.0]))
    broken = vol.copy()
    broken[::7] = np.nan
    broken[1::7] = -1.0
    got = heston.calibrate(1.0, strikes, TAU, broken)
    assert got.accepted
    assert got.quotes == np.isfinite(broken).sum() - (broken < 0.0).sum()
    for calibrate in (heston.calibrate, bates.calibrate, merton.calibrate):
        few = calibrate(100.0, [90.0, 100.0, 110.0], 0.5, [0.3, np.nan, 0.2])
        assert few.status == CalibrationStatus.TOO_FEW_QUOTES
        assert few.params is None
        assert np.isnan(few.rmse)
    with pytest.raises(InputError, match="per cent"):
        heston.calibrate(1.0, strikes, TAU, 100.0 * vol)


def test_a_parameter_on_its_bound_is_not_accepted() -> None:
    strikes = np.exp(np.tile(np.linspace(-0.3, 0.3, 20), 5))
    flat = heston.calibrate(1.0, strikes, TAU, 0.3)
    assert flat.status == CalibrationStatus.AT_BOUND  # no volatility of variance at all
    assert not flat.accepted
    assert flat.worst < 1e-3


def test_plain_search_agrees_with_the_compiled_one(monkeypatch: pytest.MonkeyPatch) -> None:
    strikes, vol = _surface(np.array([0.04, 1.5, 0.05, 0.6, -0.5, 0.0, 0.0, 0.0]))
    x, starts, tau = -np.log(strikes), np.arange(0, 101, 20), TAU[::20].copy()
    target, scale, out = np.empty(100), np.empty(100), np.empty(100)
    results = []
    for run in (lambda kernel: kernel, plain):
        run(calibration_kernels.quote_terms)(starts, tau, x, vol, target, scale)
        models = np.empty((5, 8))
        order = run(calibration_kernels.start)(HESTON, starts, tau, x, vol, target, scale, np.empty((0, 3)), models)
        model = models[order[0]].copy()
        results.append((run(calibration_kernels.search)(HESTON, model, starts, tau, x, target, scale, 50, out), model))
        for name in ("smile", "heston_start", "to_free", "from_free", "free_parameters", "residuals", "_solve"):
            monkeypatch.setattr(calibration_kernels, name, plain(getattr(calibration_kernels, name)))
    assert results[0][0][0] == results[1][0][0] == calibration_kernels.CONVERGED
    assert np.max(np.abs(results[0][1] - results[1][1])) < 1e-7


@pytest.mark.data
def test_a_recorded_chain_is_fitted_to_a_few_vol_points() -> None:
    if not DATA.exists():
        pytest.skip("deribit_chain_6h is not beside the checkout")
    import pyarrow.parquet as pq

    table = pq.read_table(DATA)
    times = table["ts"].to_numpy()
    rmse: dict[str, list[float]] = {"heston": [], "bates": [], "merton": []}
    for moment in np.unique(times)[:100:20]:
        rows = table.filter(times == moment)
        column = {name: rows[name].to_numpy(zero_copy_only=False) for name in rows.column_names}
        seconds = (column["expiry"].astype("M8[s]") - moment.astype("M8[s]")).astype(np.float64)
        tau, forward, strike = seconds / (365.0 * 86_400.0), column["underlying_price"], column["strike"]
        is_call = column["option_type"] == "C"
        use = (is_call == (strike > forward)) & (np.abs(column["delta"]) > 0.05) & (tau > 2.0 / 365.0)
        use &= np.isfinite(column["bid_price"].astype(np.float64))
        mid = 0.5 * (column["bid_price"] + column["ask_price"]).astype(np.float64) * forward
        vol, _ = implied_vol(mid, forward, strike, tau, 1.0, is_call)
        for name, calibrate in (("heston", heston.calibrate), ("bates", bates.calibrate), ("merton", merton.calibrate)):
            got = calibrate(forward[use], strike[use], tau[use], vol[use])
            assert got.params is not None
            assert got.quotes > 150
            rmse[name].append(got.rmse)
    # Measured, in vol points: Heston 1.1 to 2.8, Bates 0.5 to 2.4, Merton 2.6 to 5.2. A recorded smile is not Heston's.
    assert max(rmse["heston"]) < 0.05
    assert max(rmse["bates"]) < 0.04
    assert all(b < h * 1.001 for b, h in zip(rmse["bates"], rmse["heston"], strict=True))
    assert max(rmse["merton"]) < 0.08

"""Fast Fourier prices against the main method, the fractional transform, and where the method is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from voldesk.core.errors import InputError
from voldesk.pricing.bates import BatesParams
from voldesk.pricing.heston import HestonParams
from voldesk.pricing.merton import MertonParams
from voldesk.pricing.transform import fft_method, fourier

COS_PAPER = HestonParams(v0=0.0175, kappa=1.5768, theta=0.0398, xi=0.5751, rho=-0.5711).row()
STRIKES = np.linspace(60.0, 150.0, 37)


@pytest.mark.parametrize(
    "model",
    [
        COS_PAPER,
        HestonParams(0.2, 8.0, 0.2, 1.3, -0.3).row(),
        BatesParams(0.04, 1.5, 0.05, 0.6, -0.5, 0.8, -0.1, 0.15).row(),
        MertonParams(0.2, 1.0, -0.1, 0.15).row(),
    ],
)
def test_fft_agrees_with_the_main_method(model: np.ndarray) -> None:
    tau = np.array([[0.1], [0.5], [2.0]])
    for is_call in (True, False):
        got = fft_method.price(model, 100.0, STRIKES, tau, 0.97, is_call)
        assert np.max(np.abs(got - fourier.price(model, 100.0, STRIKES, tau, 0.97, is_call))) < 1e-9


def test_one_strike_is_priced_too() -> None:
    assert abs(float(fft_method.price(COS_PAPER, 100.0, 100.0, 1.0, 1.0, True)) - 5.785155434376190) < 1e-9


def test_the_fractional_transform_is_the_sum_it_stands_for() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=64) + 1j * rng.normal(size=64)
    index = np.arange(64)
    exact = np.exp(-2j * np.pi * 0.0137 * np.outer(index, index)) @ values
    assert np.max(np.abs(fft_method.fractional_transform(values, 0.0137) - exact)) < 1e-11


def test_a_moment_that_explodes_is_nan_and_a_short_expiry_needs_more_nodes() -> None:
    wild = HestonParams(0.04, 0.5, 0.04, 2.0, 0.8).row()
    assert np.isnan(float(fft_method.price(wild, 100.0, 100.0, 5.0, 1.0, True, damping=1.5)))
    hour = 1.0 / 8760.0
    exact = fourier.price(COS_PAPER, 100.0, 100.0, hour, 1.0, True)
    few = abs(float(fft_method.price(COS_PAPER, 100.0, 100.0, hour, 1.0, True, nodes=1024) - exact))
    many = abs(float(fft_method.price(COS_PAPER, 100.0, 100.0, hour, 1.0, True, nodes=65536) - exact))
    assert few > 1e-3
    assert many < 1e-8


def test_expiry_pays_and_nonsense_is_nan_or_refused() -> None:
    got = fft_method.price(COS_PAPER, [100.0, -1.0], 90.0, [0.0, 1.0], 0.9, True)
    assert got[0] == pytest.approx(9.0)
    assert np.isnan(got[1])
    with pytest.raises(InputError, match="nodes=8"):
        fft_method.price(COS_PAPER, 100.0, 100.0, 1.0, 1.0, True, nodes=8)
    with pytest.raises(InputError, match="damping"):
        fft_method.price(COS_PAPER, 100.0, 100.0, 1.0, 1.0, True, damping=0.0)

"""COS prices against the main method, convergence as the paper reports it, and where the method is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.pricing.bates import BatesParams
from voldesk.pricing.broadcast import columns
from voldesk.pricing.heston import HestonParams
from voldesk.pricing.merton import MertonParams
from voldesk.pricing.transform import cos_method, fourier

COS_PAPER = HestonParams(v0=0.0175, kappa=1.5768, theta=0.0398, xi=0.5751, rho=-0.5711).row()
STRIKES = np.linspace(60.0, 150.0, 10)


def test_error_falls_with_terms_as_in_table_4_of_fang_and_oosterlee() -> None:
    errors = [
        abs(float(cos_method.price(COS_PAPER, 100.0, 100.0, 1.0, 1.0, True, terms=n)) - 5.785155434376190)
        for n in (40, 80, 160, 320)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < 1e-4
    assert errors[3] < 1e-7


@pytest.mark.parametrize(
    "model",
    [
        COS_PAPER,
        HestonParams(0.2, 8.0, 0.2, 1.3, -0.3).row(),
        BatesParams(0.04, 1.5, 0.05, 0.6, -0.5, 0.8, -0.1, 0.15).row(),
        MertonParams(0.2, 1.0, -0.1, 0.15).row(),
    ],
)
def test_cos_agrees_with_the_main_method(model: np.ndarray) -> None:
    tau = np.array([[0.1], [0.5], [2.0]])
    for is_call in (True, False):
        got = cos_method.price(model, 100.0, STRIKES, tau, 0.97, is_call, terms=2048)
        assert np.max(np.abs(got - fourier.price(model, 100.0, STRIKES, tau, 0.97, is_call))) < 2e-8


def test_heavy_tails_are_cut_off_whatever_the_number_of_terms() -> None:
    model = HestonParams(0.04, 0.5, 0.04, 1.0, -0.9).row()
    exact = fourier.price(model, 100.0, STRIKES, 1.0, 1.0, False)
    narrow = [
        np.max(np.abs(cos_method.price(model, 100.0, STRIKES, 1.0, 1.0, False, terms=n, width=2.0) - exact))
        for n in (4096, 8192)
    ]
    assert min(narrow) > 1e-6
    assert np.max(np.abs(cos_method.price(model, 100.0, STRIKES, 1.0, 1.0, False, terms=8192) - exact)) < 1e-8


def test_expiry_pays_and_nonsense_is_nan_or_refused() -> None:
    got = cos_method.price(COS_PAPER, [100.0, -1.0], 90.0, [0.0, 1.0], 0.9, True)
    assert got[0] == pytest.approx(9.0)
    assert np.isnan(got[1])
    with pytest.raises(InputError, match="terms=4"):
        cos_method.price(COS_PAPER, 100.0, 100.0, 1.0, 1.0, True, terms=4)
    with pytest.raises(InputError, match="width"):
        cos_method.price(COS_PAPER, 100.0, 100.0, 1.0, 1.0, True, width=0.0)


def test_compiled_and_plain_kernels_agree() -> None:
    _, inputs, steps = columns(100.0, [70.0, 100.0, 140.0], [0.5, 0.1, 0.5], 0.9, is_call=[True, False, True])
    fast, slow = np.empty(3), np.empty(3)
    cos_method.cos_kernel(COS_PAPER, 64, 12.0, steps, fast, *inputs)
    plain(cos_method.cos_kernel)(COS_PAPER, 64, 12.0, steps, slow, *inputs)
    assert np.max(np.abs(fast - slow)) < 1e-12

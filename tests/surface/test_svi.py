from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.surface import svi, svi_kernels
from voldesk.surface.svi import SviRaw

# Axel Vogt's example, Gatheral & Jacquier (2014), example 3.1 and figure 1: a butterfly near k = 0.8.
VOGT = SviRaw(-0.0410, 0.1331, 0.3060, 0.3586, 0.4153)


@st.composite
def slices(draw) -> SviRaw:
    rho = draw(st.floats(-0.95, 0.95))
    b = draw(st.floats(1e-3, 1.0)) * 2.0 / (1.0 + abs(rho))
    sigma = 10.0 ** draw(st.floats(-2.0, 0.5))
    a = 10.0 ** draw(st.floats(-4.0, -0.5)) - b * sigma * math.sqrt(1.0 - rho * rho)
    return SviRaw(a, b, rho, draw(st.floats(-0.5, 0.5)), sigma)


def test_vogts_slice_has_the_butterfly_of_the_paper() -> None:
    """Gatheral & Jacquier (2014), fig. 1: g falls below zero around k = 0.8 ... 1 and nowhere else."""
    assert not VOGT.is_butterfly_free()
    g, k = VOGT.least_g(1.5)
    assert g == pytest.approx(-0.0329, abs=5e-4)
    assert 0.8 < k < 1.0
    assert svi.durrleman([-1.0, 0.0, 0.5], VOGT).min() > 0.0


def test_a_slice_with_flat_variance_has_g_one() -> None:
    assert svi.durrleman(np.linspace(-2, 2, 5), SviRaw(0.04, 0.0, 0.0, 0.0, 0.1)).tolist() == [1.0] * 5


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("b", -0.1, "zero or more"),
        ("rho", 1.0, "strictly between"),
        ("sigma", 0.0, "positive"),
        ("a", -0.2, "least variance"),
        ("b", 1.8, "Lee"),
        ("m", math.nan, "finite"),
    ],
)
def test_what_is_no_slice_is_refused_with_the_reason(field: str, value: float, words: str) -> None:
    good = {"a": 0.04, "b": 0.4, "rho": -0.4, "m": 0.1, "sigma": 0.2}
    with pytest.raises(InputError, match=words):
        SviRaw(**(good | {field: value}))


def test_derivatives_and_g_agree_with_differentiation_in_forty_digits() -> None:
    p = SviRaw(0.01, 0.3, -0.35, 0.05, 0.15)
    with mpmath.workdps(40):

        def w(k):
            x = k - mpmath.mpf(p.m)
            return mpmath.mpf(p.a) + mpmath.mpf(p.b) * (
                mpmath.mpf(p.rho) * x + mpmath.sqrt(x * x + mpmath.mpf(p.sigma) ** 2)
            )

        for k in (-1.2, -0.1, 0.0, 0.05, 0.4, 2.0):
            first, second = mpmath.diff(w, k), mpmath.diff(w, k, 2)
            g = (1 - k * first / (2 * w(k))) ** 2 - first**2 / 4 * (1 / w(k) + mpmath.mpf(1) / 4) + second / 2
            found_first, found_second = svi.derivatives(k, p)
            assert float(abs(svi.total_variance(k, p) / w(k) - 1)) < 1e-15
            assert float(abs(found_first - first)) < 1e-15
            assert float(abs(found_second / second - 1)) < 1e-14
            assert float(abs(svi.durrleman(k, p) - g)) < 1e-13


def test_the_polynomial_of_the_proof_is_g_times_a_positive_factor() -> None:
    row = VOGT.row()
    coefficients = svi_kernels.butterfly_polynomial(row)
    for z in (0.01, 0.3, 1.0, 2.5, 40.0):
        k = VOGT.m + VOGT.sigma * (z - 1.0 / z) / 2.0
        w = float(svi.total_variance(k, VOGT))
        factor = 4.0 * (z * w) ** 2 * (z * z + 1.0) ** 3
        assert np.polyval(coefficients[::-1], z) == pytest.approx(factor * float(svi.durrleman(k, VOGT)), rel=1e-9)


@settings(max_examples=400, deadline=None)
@given(slices())
def test_the_proof_and_a_fine_scan_of_g_agree(p: SviRaw) -> None:
    g = min(p.least_g(reach)[0] for reach in (1.0, 5.0, 60.0, 1e4))
    if abs(g) > 1e-8:
        assert p.is_butterfly_free() == (g > 0.0)


def test_the_proof_finds_a_butterfly_far_out_in_a_nearly_flat_wing() -> None:
    p = SviRaw(-0.001151001201602245, 0.004006410256410257, -0.95, 0.3125, 1.0)
    assert p.least_g(3.0)[0] > 0.0
    assert svi.durrleman(8.3688888, p) == pytest.approx(-6.4e-6, abs=1e-7)
    assert not p.is_butterfly_free()


@settings(max_examples=400, deadline=None)
@given(slices(), slices(), st.floats(0.0, 1.0))
def test_the_calendar_proof_and_a_fine_scan_agree(early: SviRaw, late: SviRaw, lift: float) -> None:
    late_row = late.row()
    late_row[0] += lift
    gap, _ = svi_kernels.least_gap(early.row(), late_row, 60.0)
    wings = min(b - a for a, b in zip(early.wing_slopes(), late.wing_slopes(), strict=True))
    if abs(gap) > 1e-7 and abs(wings) > 1e-7:
        free = svi_kernels.is_calendar_free(early.row(), late_row)
        assert free <= (gap > 0.0 and wings > 0.0)
        assert free or gap < 0.0 or wings < 0.0


def test_a_slice_never_lies_above_itself_lifted_and_lies_above_itself_lowered() -> None:
    row = VOGT.row()
    lifted = row.copy()
    lifted[0] += 1e-6
    assert svi_kernels.is_calendar_free(row, lifted)
    assert not svi_kernels.is_calendar_free(lifted, row)


def test_wings_that_cross_far_outside_every_quote_are_found() -> None:
    early, late = SviRaw(0.0, 0.2, 0.0, 0.0, 0.1), SviRaw(0.5, 0.199, 0.0, 0.0, 0.1)
    gap, _ = svi_kernels.least_gap(early.row(), late.row(), 60.0)
    assert gap > 0.0
    assert not svi_kernels.is_calendar_free(early.row(), late.row())


def test_compiled_and_plain_kernels_agree() -> None:
    early, late = SviRaw(0.01, 0.1, -0.3, 0.02, 0.1).row(), SviRaw(0.04, 0.12, -0.3, 0.02, 0.2).row()
    out, slow = np.empty((4, 3)), np.empty((4, 3))
    k = np.array([-0.4, 0.0, 0.7])
    svi._shape_kernel(k, early, out)
    plain(svi._shape_kernel)(k, early, slow)
    np.testing.assert_allclose(out, slow, rtol=1e-13)
    for row in (early, late, VOGT.row()):
        for kernel, arguments in (
            (svi_kernels.total_variance, (0.3, row)),
            (svi_kernels.derivatives, (0.3, row)),
            (svi_kernels.durrleman, (0.3, row)),
            (svi_kernels.least_variance, (row,)),
            (svi_kernels.is_butterfly_free, (row,)),
            (svi_kernels.is_calendar_free, (early, row)),
            (svi_kernels.least_durrleman, (row, 2.0)),
            (svi_kernels.least_gap, (early, row, 2.0)),
        ):
            assert kernel(*arguments) == pytest.approx(plain(kernel)(*arguments), rel=1e-6, abs=1e-12)
        np.testing.assert_allclose(
            svi_kernels.butterfly_polynomial(row), plain(svi_kernels.butterfly_polynomial)(row), rtol=1e-12, atol=1e-15
        )

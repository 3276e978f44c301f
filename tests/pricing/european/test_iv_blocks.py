from __future__ import annotations

import math

import numpy as np
import pytest

from voldesk.core.arrays import FloatArray
from voldesk.core.compiled import plain
from voldesk.pricing import black
from voldesk.pricing.broadcast import columns
from voldesk.pricing.european import iv_blocks, iv_kernels
from voldesk.pricing.european.black_kernels import normalised_black
from voldesk.pricing.european.iv_start import lower_start, upper_start

CHAIN = {
    "forward": np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1e200]),
    "strike": np.array([1.01, 1.1, 2.0, 1.3, 0.2, 0.6, 1.0, 1e5, 1.0, 1.2e200]),
    "total": np.array([0.01, 0.2, 0.7, 1.5, 4.0, 3.0, 0.3, 4.0, 0.3, 0.4]),
    "call": np.array([True, True, False, True, False, True, True, True, True, True]),
}


def loaded() -> FloatArray:
    """A block with the chain repeated, its prices included."""
    price = black.price(CHAIN["forward"], CHAIN["strike"], 0.5, CHAIN["total"] / math.sqrt(0.5), 0.9, CHAIN["call"])
    work = np.zeros(iv_blocks.COLUMNS * iv_blocks.BLOCK)
    size = iv_blocks.BLOCK
    for place, column in enumerate((CHAIN["forward"], CHAIN["strike"], 0.5, 0.9, CHAIN["call"])):
        work[place * size : (place + 1) * size] = np.resize(column, size)
    work[12 * size : 13 * size] = np.resize(price, size)
    return work


def test_compiled_and_plain_stages_agree() -> None:
    """Each stage from the same block; fusing a product and a sum is all the difference there may be."""
    fast = loaded()
    with np.errstate(all="ignore"):
        for stage in (
            iv_blocks.geometry,
            iv_blocks.start,
            iv_blocks.start_above,
            iv_blocks.evaluate,
            iv_blocks.refine,
            iv_blocks.evaluate,
            iv_blocks.refine,
        ):
            slow = fast.copy()
            stage(fast)
            plain(stage)(slow)
            held = np.isfinite(fast) & (np.abs(fast) < 1e50)
            np.testing.assert_allclose(slow[held], fast[held], rtol=1e-12, atol=1e-13, err_msg=stage.__name__)
    assert not np.array_equal(fast, loaded())


def test_compiled_and_plain_kernels_agree() -> None:
    price = np.stack((loaded()[12 * 64 : 12 * 64 + 10], np.full(10, 5.0)))
    sigma, slow = np.empty((2, 10)), np.empty((2, 10))
    status, slow_status = np.empty((2, 10), np.int8), np.empty((2, 10), np.int8)
    _, inputs, steps = columns(CHAIN["forward"], CHAIN["strike"], 0.5, 0.9, is_call=CHAIN["call"])
    iv_blocks.kernel(steps, False, sigma, status, price, *inputs)
    with np.errstate(all="ignore"):
        plain(iv_blocks.kernel)(steps, False, slow, slow_status, price, *inputs)
    np.testing.assert_allclose(sigma, slow, rtol=1e-14)
    np.testing.assert_array_equal(status, slow_status)
    # The put worth more than its strike aside, what is well inside comes back, fast or row by row.
    good = status[0] == iv_kernels.OK
    assert good.sum() == 9
    np.testing.assert_allclose(sigma[0][good] * math.sqrt(0.5), CHAIN["total"][good], rtol=1e-11)


def test_starts_are_as_near_as_two_steps_need() -> None:
    """Denser than the points of the fit and between them."""
    total = np.concatenate([np.geomspace(1e-5, 0.1, 60), np.linspace(0.11, 9.0, 160)])
    away = np.concatenate([[0.0], np.geomspace(1e-7, 10.25, 160)])
    checked = [0, 0]
    worst = [0.0, 0.0]
    for k in away.tolist():
        for s in total.tolist():
            b = normalised_black(-k, s)
            h, t = k / s, 0.5 * s
            missing = 0.5 * (math.erfc((t - h) / math.sqrt(2.0)) + math.exp(k) * math.erfc((t + h) / math.sqrt(2.0)))
            if b > 1e-290 and missing >= 0.5:
                worst[0] = max(worst[0], abs(lower_start(k, b) / s - 1.0))
                checked[0] += 1
            elif 6.2e-6 < missing <= 0.5:
                worst[1] = max(worst[1], abs(upper_start(k, missing) / s - 1.0))
                checked[1] += 1
    assert min(checked) > 1_000
    assert worst[0] < 0.008
    assert worst[1] < 0.002


@pytest.mark.parametrize("start", [lower_start, upper_start])
def test_plain_starts_agree(start) -> None:  # type: ignore[no-untyped-def]
    for k, value in ((0.0, 0.2), (1e-6, 1e-9), (0.3, 0.01), (9.0, 3e-5), (2.0, 0.09)):
        assert start(k, value) == pytest.approx(plain(start)(k, value), rel=1e-13)


def test_what_is_inside_the_wide_range_goes_the_fast_way() -> None:
    """The row by row way must stay an exception, or whole chains would take eight times as long."""
    rng = np.random.default_rng(2)
    total = 10.0 ** rng.uniform(-4.0, math.log10(5.0), 4096)
    strike = np.exp(rng.uniform(-10.0, 10.0, 4096) * rng.random(4096) ** 2)
    price = black.price(1.0, strike, 1.0, total, 1.0, strike >= 1.0)
    held = price > 1e-285
    strike, price = strike[held], price[held]
    work = np.ones(iv_blocks.COLUMNS * iv_blocks.BLOCK)
    slow = 0
    for first in range(0, price.size // 64 * 64, 64):
        work[64:128] = strike[first : first + 64]
        work[4 * 64 : 5 * 64] = strike[first : first + 64] >= 1.0
        work[12 * 64 : 13 * 64] = price[first : first + 64]
        iv_blocks.geometry(work)
        iv_blocks.solve(work)
        slow += np.count_nonzero(work[13 * 64 : 14 * 64] == 0.0)
    assert slow == 0

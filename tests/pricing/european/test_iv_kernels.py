from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from voldesk.core.compiled import plain
from voldesk.pricing.european import iv_kernels

ULP = 2.0**-52
ROWS = 40

Row = tuple[float, float, float]  # price, forward, strike of a call


def out_of_the_money(k: np.ndarray, share: np.ndarray, forward: np.ndarray | float = 1.0) -> list[Row]:
    """Calls worth `share` of the forward; what the floats cannot hold is left out."""
    forward = np.broadcast_to(forward, (ROWS,))
    strike = forward * np.exp(np.minimum(k, 700.0)) * np.exp(np.maximum(k - 700.0, 0.0))
    rows = zip((share * forward).tolist(), forward.tolist(), strike.tolist(), strict=True)
    return [(p, f, x) for p, f, x in rows if 1e-300 < p < f and x < 1e308]


def families() -> dict[str, list[Row]]:
    rng = np.random.default_rng(77)

    def uniform(a: float, b: float) -> np.ndarray:
        return rng.uniform(a, b, ROWS)

    def power(a: float, b: float) -> np.ndarray:
        return 10.0 ** uniform(a, b)

    none = np.zeros(ROWS)
    huge = power(150.0, 250.0)
    return {
        "ordinary": out_of_the_money(uniform(0.0, 10.25), uniform(0.0, 1.0)),
        "deep": out_of_the_money(uniform(0.0, 10.25), power(-280.0, 0.0)),
        "near the money": out_of_the_money(power(-16.0, -1.0), power(-30.0, 0.0)),
        "at the money": out_of_the_money(none, power(-290.0, 0.0)),
        "at the money, near the bound": out_of_the_money(none, 1.0 - power(-15.5, -4.0)),
        "near the bound": out_of_the_money(uniform(0.0, 10.25), 1.0 - power(-15.5, -4.0)),
        "far": out_of_the_money(uniform(10.25, 700.0), uniform(0.0, 1.0)),
        "far and deep": out_of_the_money(uniform(10.25, 700.0), power(-295.0, 0.0)),
        "far, near the bound": out_of_the_money(uniform(10.25, 700.0), 1.0 - power(-15.5, -2.0)),
        "beyond any ratio": out_of_the_money(uniform(700.0, 1390.0), uniform(0.1, 1.0), 1e-299),
        "beyond any ratio, near the bound": out_of_the_money(uniform(700.0, 1390.0), 1.0 - power(-15.0, -2.0), 1e-299),
        "odd sizes": out_of_the_money(power(-14.0, 1.0), uniform(0.0, 1.0), 1e200),
        # down to 1e-549 of the bound, which is no float
        "smallest shares": list(
            zip(power(-299.0, -140.0).tolist(), huge.tolist(), (huge * np.exp(power(-10.0, 2.0))).tolist(), strict=True)
        ),
    }


def miss_in_roundings(row: Row, total: float) -> float:
    """Error of `total` in ulp times (1 + c), c = price / (vega s), or what is missing to the bound in price's place."""
    price, forward, strike = row
    with mpmath.workdps(110 + max(0, round(math.log10(forward) - math.log10(price)))):
        k, s = mpmath.log(mpmath.mpf(strike) / forward), mpmath.mpf(total)
        share = mpmath.mpf(price) / forward
        near, far = k / s - s / 2, k / s + s / 2
        second = mpmath.exp(k) * mpmath.ncdf(-far)
        got = mpmath.ncdf(-near) - second if share < 0.5 else mpmath.ncdf(near) + second
        error = mpmath.log(got / (share if share < 0.5 else 1 - share))
        condition = got / (mpmath.npdf(near) * s)
        return float(abs(error) * condition / (1 + condition)) / ULP


@pytest.mark.parametrize(("name", "rows"), families().items(), ids=families().keys())
def test_every_kind_of_hard_price_is_solved_to_rounding(name: str, rows: list[Row]) -> None:
    """Measured worst 2.0, of 2,500 rows each."""
    assert len(rows) > 0.6 * ROWS
    for row in rows:
        sigma, status = iv_kernels.one(*row, 1.0, 1.0, True)
        assert status == iv_kernels.OK
        assert miss_in_roundings(row, sigma) < 2.5, row


def test_no_price_needs_more_than_three_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """That two or three do is why the solver needs no bounds to keep its steps in."""
    steps = []
    factor = iv_kernels.mills_factor

    def counted(h: float, s: float, side: float) -> float:
        steps.append(1)
        return factor(h, s, side)

    monkeypatch.setattr(iv_kernels, "mills_factor", counted)
    rng = np.random.default_rng(4)
    most = 0
    for _ in range(4_000):
        k = 10.0 ** rng.uniform(-16.0, 3.15)
        small = 10.0 ** rng.uniform(-15.9, 0.0) if rng.random() < 0.7 else 10.0 ** rng.uniform(-300.0, 0.0)
        swap = rng.random() < 0.5 and small > 1e-16
        steps.clear()
        s = plain(iv_kernels.total_volatility)(k, 1.0 - small if swap else small, small if swap else 1.0 - small, 1.0)
        assert 0.0 < s < math.inf
        most = max(most, len(steps))
    assert most == 3


def test_a_price_whose_rounding_exceeds_its_bound_still_has_a_volatility() -> None:
    """In the money by so much that value and what is missing are one or two units of rounding each."""
    for strike in (200.0, 300.0, 400.0, 700.0, 1000.0):
        intrinsic = 1e18 - strike
        price = math.nextafter(intrinsic, math.inf)
        while price < 1e18:
            sigma, status = iv_kernels.one(price, 1e18, strike, 1.0, 1.0, True)
            assert status == iv_kernels.OK
            assert 5.0 < sigma < 15.0
            price = math.nextafter(price, math.inf)


def test_compiled_and_plain_kernels_agree() -> None:
    cases = [(*row, 0.5, 1.0, True) for rows in families().values() for row in rows[:4]]
    cases += [
        (5e-324, 100.0, 110.0, 0.5, 0.98, True),
        (9e-301, 1e300, 1e-300, 0.5, 1.0, False),
        (12.0, 100.0, 110.0, 0.5, 0.98, False),
    ]
    for case in cases:
        sigma, status = iv_kernels.one(*case)
        slow, slow_status = plain(iv_kernels.one)(*case)
        assert status == slow_status == iv_kernels.OK
        assert sigma == pytest.approx(slow, rel=1e-14)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_compiled_and_plain_steps_agree(side: float) -> None:
    for h, s in ((0.3, 0.5), (6.0, 0.02), (1.0, 2.5), (0.0, 0.4)):
        if side * (h - 0.5 * s) < -0.875:
            continue
        factor = iv_kernels.mills_factor(h, s, side)
        assert factor == pytest.approx(plain(iv_kernels.mills_factor)(h, s, side), rel=1e-13)
        step = iv_kernels.householder(h, s, factor, side, 0.01)
        assert step == pytest.approx(plain(iv_kernels.householder)(h, s, factor, side, 0.01), rel=1e-12)

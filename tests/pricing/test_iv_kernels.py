from __future__ import annotations

import math

import pytest

from voldesk.core.compiled import plain
from voldesk.pricing import iv_kernels


def missing(x: float, s: float) -> float:
    """exp(x/2) less the normalised price."""
    h, t = x / s, 0.5 * s
    lower = math.exp(0.5 * x) * math.erfc((h + t) / math.sqrt(2.0))
    return 0.5 * (lower + math.exp(-0.5 * x) * math.erfc((t - h) / math.sqrt(2.0)))


@pytest.mark.parametrize(
    ("x", "s"),
    [
        (-0.3, 0.00806),
        (-2e-6, 1e-7),
        (-25.0, 3.0),
        (-300.0, 26.0),
        (-1.0, 10.0),
        (-1e-12, 0.2),
        (-5.0, 16.0),
        (0.0, 9.0),
    ],
)
def test_extreme_options_do_not_fail(x: float, s: float) -> None:
    """Seconds to expiry, prices near the smallest double, total volatilities far outside the stated range."""
    beta = iv_kernels.normalised_black(x, s)
    assert beta > 0.0
    assert iv_kernels.total_volatility(beta, missing(x, s), x) == pytest.approx(s, rel=1e-13)


def test_compiled_and_plain_kernels_agree() -> None:
    for x, s in ((-0.2, 0.01), (-0.2, 0.4), (-0.2, 1.0), (-0.2, 5.0), (-5.0, 1.0), (0.0, 0.3), (-0.1, 14.0)):
        beta = iv_kernels.normalised_black(x, s)
        rest = missing(x, s)
        fast = iv_kernels.total_volatility(beta, rest, x)
        assert fast == pytest.approx(plain(iv_kernels.total_volatility)(beta, rest, x), rel=1e-14)
    for case in (
        (9.0, 100.0, 110.0, 0.5, 0.98, True),
        (5e-324, 100.0, 110.0, 0.5, 0.98, True),
        (1e-301, 1e300, 1e-300, 0.5, 1.0, False),
        (9e-301, 1e300, 1e-300, 0.5, 1.0, False),
        (12.0, 100.0, 110.0, 0.5, 0.98, False),
    ):
        sigma, status = iv_kernels.one(*case)
        slow, slow_status = plain(iv_kernels.one)(*case)
        assert sigma == pytest.approx(slow, rel=1e-14)
        assert sigma > 0.0
        assert status == slow_status == iv_kernels.OK

"""The warm-up reaches every kernel that the desk calls in this room, with the types it calls them with."""

from __future__ import annotations

import numpy as np

from voldesk.portfolio import explain, factors, scenario, valuation
from voldesk.portfolio.warm import warm


def test_each_thunk_runs_and_leaves_its_kernel_compiled() -> None:
    names = [name for name, thunk in warm() if thunk() is not False]
    assert len(set(names)) == len(names) == 6
    kernels = [
        explain.explain_linear, explain.explain_option, factors.fit_smile,
        scenario.revalue_kernel, valuation._risk, valuation.net_delta_of,
    ]  # fmt: skip
    assert [kernel for kernel in kernels if not kernel.signatures] == []  # type: ignore[attr-defined]


def test_the_option_used_to_warm_up_is_worth_what_it_should_be() -> None:
    results = dict(warm())
    delta = results["net delta"]()
    assert isinstance(delta, float)
    assert 0.0 < delta < 1e-4 * 0.6  # one lot of a ten-thousandth, half of it in delta
    risk = results["position risk"]()
    assert np.isfinite(risk.theta_per_day_usd).all()  # type: ignore[attr-defined]

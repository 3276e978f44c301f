"""Greeks at every level: sums that add up, units checked by moving the market, buckets at their edges."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from voldesk.core.units import NS_PER_DAY
from voldesk.market.state import Field
from voldesk.portfolio.greek_levels import BUCKETS, COLUMNS, GreekLevels, bucket_of, greek_levels
from voldesk.portfolio.valuation import RiskStatus, Valuer

_spec = importlib.util.spec_from_file_location("valuation_desk", Path(__file__).with_name("test_valuation.py"))
assert _spec is not None
assert _spec.loader is not None
_desk = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_desk)

IDS = np.arange(_desk.OPTIONS + 3)
LOTS = np.array([7 - 3 * (i % 5) for i in IDS])
NAME = {name: j for j, name in enumerate(COLUMNS)}


def _levels(valuer: Valuer) -> GreekLevels:
    return greek_levels(valuer, IDS, LOTS)


def test_every_level_is_the_sum_of_the_one_below() -> None:
    _, valuer = _desk.desk()
    found = _levels(valuer)
    scale = np.abs(found.contracts).sum(axis=0)
    assert np.max(np.abs(found.contracts.sum(axis=0) - found.portfolio) / scale) < 1e-14
    assert np.max(np.abs(found.underlyings.sum(axis=0) - found.portfolio) / scale) < 1e-14
    assert np.max(np.abs(found.buckets.sum(axis=1) - found.underlyings) / scale) < 1e-14
    filled = [BUCKETS[j] for j in range(len(BUCKETS)) if np.any(found.buckets[0, j] != 0.0)]
    assert filled == ["1 week to 1 month", "no expiry"]


def test_first_order_lines_are_those_of_the_valuation() -> None:
    _, valuer = _desk.desk()
    found, risk = _levels(valuer), valuer.risk(IDS, LOTS)
    np.testing.assert_allclose(found.contracts[:, NAME["vega_usd_per_volpt"]], risk.vega_per_volpt_usd, rtol=1e-14)
    np.testing.assert_allclose(found.contracts[:, NAME["delta_usd"]], risk.delta * 60_000.0, rtol=1e-14)
    assert found.delta_units[0] == pytest.approx(risk.delta.sum(), rel=1e-13)
    assert found.net_delta_units[0] == pytest.approx(risk.net_delta.sum(), rel=1e-13)


def _moved(field: str, column: str, step: float, rows: slice | None = None) -> np.ndarray:
    """Central difference of one column per contract when mark vols (`vol`) or forwards (`spot`) move by `step`."""
    found = []
    for side in (1.0, -1.0):
        view, valuer = _desk.desk()
        if field == "vol":
            view.live.values[: _desk.OPTIONS, Field.MARK_IV] += side * step
        elif field == "spot":
            view.live.values[: _desk.OPTIONS, Field.FORWARD] *= 1.0 + side * step
        else:
            view.now_ns += int(side * step * NS_PER_DAY)
        found.append(_levels(valuer).contracts[: _desk.OPTIONS, NAME[column]])
    return (found[0] - found[1]) / (2.0 * step)


@pytest.mark.parametrize(
    ("field", "column", "result", "per"),
    [
        ("vol", "delta_usd", "vanna_usd_per_volpt", 0.01),
        ("vol", "vega_usd_per_volpt", "volga_usd_per_volpt2", 0.01),
        ("vol", "gamma_usd_per_1pct", "zomma_usd_per_1pct_volpt", 0.01),
        ("vol", "volga_usd_per_volpt2", "ultima_usd_per_volpt3", 0.01),
        ("spot", "delta_usd", "gamma_usd_per_1pct", 0.01),
        ("time", "delta_usd", "charm_usd_per_day", 1.0),
        ("time", "gamma_usd_per_1pct", "color_usd_per_1pct_day", 1.0),
        ("time", "vega_usd_per_volpt", "veta_usd_per_volpt_day", 1.0),
    ],
)
def test_each_higher_greek_is_the_change_its_name_says(field: str, column: str, result: str, per: float) -> None:
    _, valuer = _desk.desk()
    exact = _levels(valuer).contracts[: _desk.OPTIONS, NAME[result]]
    step = {"vol": 1e-4, "spot": 1e-4, "time": 1e-3}[field]
    differenced = _moved(field, column, step) * per
    assert np.max(np.abs(differenced - exact)) < 2e-5 * np.max(np.abs(exact))


def test_speed_is_the_change_of_unit_gamma_for_one_per_cent() -> None:
    """gamma_usd carries the forward as a factor, which the column leaves where it was."""
    _, valuer = _desk.desk()
    exact = _levels(valuer).contracts[: _desk.OPTIONS, NAME["speed_usd_per_1pct2"]]
    gamma = _levels(valuer).contracts[: _desk.OPTIONS, NAME["gamma_usd_per_1pct"]]
    differenced = _moved("spot", "gamma_usd_per_1pct", 1e-4) * 0.01 - 0.01 * gamma
    assert np.max(np.abs(differenced - exact)) < 2e-5 * np.max(np.abs(exact))


def test_what_cannot_be_valued_makes_its_sums_unknown() -> None:
    view, valuer = _desk.desk()
    view.live.values[3, Field.FORWARD] = np.nan
    found = _levels(valuer)
    assert found.status[3] == RiskStatus.NO_FORWARD
    assert np.all(np.isnan(found.contracts[3]))
    assert np.all(np.isnan(found.portfolio))
    assert np.all(np.isnan(found.buckets[0, 1]))
    assert not np.any(np.isnan(found.buckets[0, BUCKETS.index("no expiry")]))


def test_bucket_edges_belong_to_the_nearer_bucket() -> None:
    days = np.array([0, 7, 8, 30, 31, 91, 92, 182, 183, 365, 366])
    places = bucket_of((days + 1_000) * NS_PER_DAY, 1_000 * NS_PER_DAY)
    assert places.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert bucket_of(np.array([0]), 0).tolist() == [BUCKETS.index("no expiry")]

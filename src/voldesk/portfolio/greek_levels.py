"""All Greeks of a book at every level people ask for: contract, expiry bucket, underlying, portfolio.

Cash Greeks in dollars, so that lines may be added across expiries and underlyings; deltas of different underlyings are
never added in units. Third-order Greeks follow Haug (2007), ch. 2, in the units named by each column. Discount factor 1.
Everything is computed anew at each call: a contract costs tens of nanoseconds, less than finding out what has changed.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.units import BPS_PER_UNIT, DAYS_PER_YEAR, NS_PER_DAY, VOL_POINTS_PER_UNIT
from voldesk.market.state import Field
from voldesk.portfolio.columns import EXPIRY, INVERSE, IS_CALL, KIND, OPTION, SETTLEMENT, SIZE, STRIKE, UNDERLYING
from voldesk.portfolio.columns import usd_per_settle as usd_of
from voldesk.portfolio.valuation import EXPIRED, NO_FORWARD, Valuer, tau_of
from voldesk.pricing import black

COLUMNS: Final = (
    "delta_usd",  # of a move of 100 %
    "net_delta_usd",  # the same, coin premium counted
    "gamma_usd_per_1pct",  # change of delta_usd for a move of 1 %
    "vega_usd_per_volpt",
    "theta_usd_per_day",
    "rho_usd_per_bp",
    "vanna_usd_per_volpt",  # change of delta_usd per vol point
    "volga_usd_per_volpt2",  # change of vega per vol point
    "charm_usd_per_day",  # change of delta_usd per day
    "speed_usd_per_1pct2",  # change of gamma_usd for a move of 1 %, the forward in its scale held
    "zomma_usd_per_1pct_volpt",  # change of gamma_usd per vol point
    "color_usd_per_1pct_day",  # change of gamma_usd per day
    "veta_usd_per_volpt_day",  # change of vega per day
    "ultima_usd_per_volpt3",  # change of volga per vol point
)
BUCKETS: Final = ("under 1 week", "1 week to 1 month", "1 to 3 months", "3 to 6 months", "6 months to 1 year",
                  "over 1 year", "no expiry")  # fmt: skip
_EDGES_DAYS: Final = (7, 30, 91, 182, 365)  # calendar days; an edge belongs to the nearer bucket
_NO_EXPIRY: Final = len(_EDGES_DAYS) + 1
_FORWARD: Final = int(Field.FORWARD)
_INDEX: Final = int(Field.INDEX)


class GreekLevels(NamedTuple):
    """Sums over positions; last axis is `COLUMNS`. NaN where one of the contracts in a sum could not be valued.

    contracts: (n, 14) in order of `ids`; buckets: (underlyings, 7, 14); underlyings: (underlyings, 14); portfolio:
    (14,). delta_units, net_delta_units: (underlyings,), in units of each. status: `RiskStatus` per contract.
    """

    ids: IntArray
    names: tuple[str, ...]
    contracts: FloatArray
    buckets: FloatArray
    underlyings: FloatArray
    portfolio: FloatArray
    delta_units: FloatArray
    net_delta_units: FloatArray
    status: IntArray


def bucket_of(expiry_ns: IntArray, now_ns: int) -> IntArray:
    """Place in `BUCKETS` of each expiry; an expiry of 0 is none."""
    days = (expiry_ns - now_ns) / NS_PER_DAY
    place = np.searchsorted(np.array(_EDGES_DAYS, np.float64), days, side="left")
    return np.where(expiry_ns > 0, place, _NO_EXPIRY).astype(np.int64)


def greek_levels(valuer: Valuer, ids: IntArray, lots: IntArray) -> GreekLevels:
    """Greeks of positions, ids and lots of shape (n,), at all levels; underlyings in order of the instrument table."""
    view, packed = valuer.view, valuer.columns
    risk = valuer.risk(ids, lots)
    ids, lots = risk.ids, risk.lots
    ints, values = packed.ints[ids], view.live.values
    names = tuple(view.table.underlyings)
    index = values[ids, _INDEX]
    contracts = np.zeros((ids.size, len(COLUMNS)))
    contracts[:, 0] = risk.delta * index
    contracts[:, 1] = risk.net_delta * index
    contracts[:, 2] = risk.gamma_per_1pct * index
    contracts[:, 3] = risk.vega_per_volpt_usd
    contracts[:, 4] = risk.theta_per_day_usd
    options = np.flatnonzero((ints[:, KIND] == OPTION) & (risk.status < EXPIRED))
    contracts[options, 5:] = _higher(valuer, ids[options], lots[options], risk.sigma[options])
    contracts[risk.status >= NO_FORWARD] = np.nan
    underlying = ints[:, UNDERLYING]
    place = bucket_of(ints[:, EXPIRY], view.now_ns)
    buckets = np.zeros((len(names), len(BUCKETS), len(COLUMNS)))
    np.add.at(buckets, (underlying, place), contracts)
    by_underlying = buckets.sum(axis=1)
    units = np.zeros((2, len(names)))
    for row, delta in enumerate((risk.delta, risk.net_delta)):
        np.add.at(units[row], underlying, delta)
    return GreekLevels(
        ids, names, contracts, buckets, by_underlying, by_underlying.sum(axis=0), units[0], units[1], risk.status
    )


def _higher(valuer: Valuer, ids: IntArray, lots: IntArray, sigma: FloatArray) -> FloatArray:
    """Columns from rho on, shape (n, 9), of options that can be valued."""
    view, packed = valuer.view, valuer.columns
    ints, floats, values = packed.ints[ids], packed.floats[ids], view.live.values
    forward, index = values[ids, _FORWARD], values[ids, _INDEX]
    tau = np.array([tau_of(expiry, view.now_ns) for expiry in ints[:, EXPIRY].tolist()])
    g = black.greeks(forward, floats[:, STRIKE], tau, sigma, 1.0, ints[:, IS_CALL] != 0, ultima_veta=True)
    assert g.ultima is not None
    assert g.veta is not None
    inverse = ints[:, SETTLEMENT] == INVERSE
    size = lots * floats[:, SIZE]
    settle_usd = np.array([usd_of(values, packed.ints, i) for i in ids.tolist()])
    # Premiums: coin at the index where they are coin. Deltas and their kin: units of the underlying at the index.
    premium = size * settle_usd / np.where(inverse, forward, 1.0)
    units = size * index
    percent = 0.01 * forward
    return np.column_stack(
        [
            np.where(inverse, 0.0, premium * g.rho / BPS_PER_UNIT),
            units * g.vanna / VOL_POINTS_PER_UNIT,
            premium * g.volga / VOL_POINTS_PER_UNIT**2,
            units * g.charm / DAYS_PER_YEAR,
            units * g.speed * percent * percent,
            units * g.zomma * percent / VOL_POINTS_PER_UNIT,
            units * g.color * percent / DAYS_PER_YEAR,
            premium * g.veta / VOL_POINTS_PER_UNIT / DAYS_PER_YEAR,
            premium * g.ultima / VOL_POINTS_PER_UNIT**3,
        ]
    )

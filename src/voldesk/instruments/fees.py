"""What venues charge, exactly: dated rates, caps and delivery fees as fractions, rounded once per charge.

A schedule is a list of periods; a trade is charged by the period of its time, a delivery by that of the expiry.
The first period known also covers the time before it was first seen. Rates are the entry tier of each venue;
negative rates are rebates. Sources stand with the figures in `SCHEDULES`.

Formulas (size = contracts x multiplier, S = index price):
  option     min(rate x size [x S if linear], cap x |premium|)      Deribit, OKX
  notional   rate x |value at the trade price|                      futures, perpetuals, spot, shares
  contract   rate x contracts                                       US options, CFFEX options
Delivery: the same with the delivery price, capped at a share of the payoff; nothing for worthless options.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Final

import msgspec

from voldesk.core.errors import InputError
from voldesk.core.money import to_units
from voldesk.core.reports import Liquidity
from voldesk.instruments.settlement import payoff
from voldesk.instruments.spec import Instrument, Settlement


class FeeBasis(IntEnum):
    """What the rate multiplies."""

    UNDERLYING = 0
    NOTIONAL = 1
    CONTRACT = 2


class FeePeriod(msgspec.Struct, frozen=True, kw_only=True):
    """Rates in force from `from_ns` on. Caps are shares of the premium and of the payoff; None: no cap."""

    from_ns: int = 0
    basis: FeeBasis
    maker: Fraction
    taker: Fraction
    premium_cap: Fraction | None = None
    delivery: Fraction = Fraction(0)
    delivery_cap: Fraction | None = None


class FeeSchedule(msgspec.Struct, frozen=True):
    """Periods rising in time, with the source of their figures."""

    name: str
    periods: tuple[FeePeriod, ...]
    source: str

    def at(self, ts_ns: int) -> FeePeriod:
        """The period in force; the first one also before its start."""
        current = self.periods[0]
        for period in self.periods[1:]:
            if period.from_ns <= ts_ns:
                current = period
        return current


def _bp(basis_points: str) -> Fraction:
    return Fraction(basis_points) / 10_000


_EIGHTH: Final = Fraction(1, 8)
_OKX_CAP_CUT_NS: Final = 1_747_292_400_000_000_000  # 2025-05-15 07:00 UTC

_DERIBIT: Final = "support.deribit.com, Fees; maker/taker equal get_instruments of 2021-07-22 and 2026-05-22"
_OKX: Final = "OKX fee rules, regular user; notice of options fee caps effective 2025-05-15 07:00 UTC (12.5 % to 7 %)"
_ASSUMED: Final = "an assumption, to be set to the broker's tariff"


def _deribit_option(name: str, maker: str, taker: str, delivery: str) -> FeeSchedule:
    period = FeePeriod(
        basis=FeeBasis.UNDERLYING,
        maker=_bp(maker),
        taker=_bp(taker),
        premium_cap=_EIGHTH,
        delivery=_bp(delivery),
        delivery_cap=_EIGHTH,
    )
    return FeeSchedule(name, (period,), _DERIBIT)


def _okx_option(name: str, delivery: str) -> FeeSchedule:
    periods = tuple(
        FeePeriod(
            from_ns=from_ns,
            basis=FeeBasis.UNDERLYING,
            maker=_bp("2"),
            taker=_bp("3"),
            premium_cap=cap,
            delivery=_bp(delivery),
            delivery_cap=cap,
        )
        for from_ns, cap in ((0, _EIGHTH), (_OKX_CAP_CUT_NS, Fraction(7, 100)))
    )
    return FeeSchedule(name, periods, _OKX)


def _notional(name: str, maker: str, taker: str, delivery: str, source: str) -> FeeSchedule:
    period = FeePeriod(basis=FeeBasis.NOTIONAL, maker=_bp(maker), taker=_bp(taker), delivery=_bp(delivery))
    return FeeSchedule(name, (period,), source)


def _per_contract(name: str, rate: str, delivery: str, source: str) -> FeeSchedule:
    charge = Fraction(rate)
    period = FeePeriod(basis=FeeBasis.CONTRACT, maker=charge, taker=charge, delivery=Fraction(delivery))
    return FeeSchedule(name, (period,), source)


_ALL: Final = (
    _deribit_option("deribit.option", "3", "3", "1.5"),
    _deribit_option("deribit.daily_option", "3", "3", "0"),
    _deribit_option("deribit.altcoin_option", "1", "5", "1.5"),
    _deribit_option("deribit.daily_altcoin_option", "1", "5", "0"),
    _notional("deribit.future", "0", "5", "2.5", _DERIBIT),
    _notional("deribit.weekly_future", "-1", "5", "2.5", _DERIBIT),
    _notional("deribit.perpetual", "0", "5", "0", _DERIBIT),
    _notional("deribit.spot", "0", "0", "0", _DERIBIT),
    _okx_option("okx.option", "2"),
    _okx_option("okx.daily_option", "0"),
    _notional("okx.future", "2", "5", "1", f"{_OKX}; the delivery fee is {_ASSUMED}"),
    _notional("okx.perpetual", "2", "5", "0", _OKX),
    _notional("okx.spot", "8", "10", "0", _OKX),
    _notional("binance.perpetual", "2", "5", "0", "Binance USD-M futures fee schedule, regular user"),
    _notional("binance.spot", "10", "10", "0", "Binance spot fee schedule, regular user"),
    _notional("bybit.perpetual", "2", "5.5", "0", "Bybit derivatives fee schedule, non-VIP"),
    _notional("bybit.spot", "10", "10", "0", "Bybit spot fee schedule, non-VIP"),
    _per_contract("us.option", "0.65", "0", f"0.65 USD per contract: {_ASSUMED}"),
    _per_contract("us.index_option", "0.65", "0", f"0.65 USD per contract, exchange surcharges left out: {_ASSUMED}"),
    _notional("us.equity", "1", "1", "0", f"1 basis point: {_ASSUMED}"),
    _per_contract("cffex.option", "15", "2", "CFFEX: 15 CNY per lot, exercise 2 CNY per lot"),
    _notional(
        "cffex.future",
        "0.23",
        "0.23",
        "0.5",
        "CFFEX: 0.23 per ten thousand, delivery 0.5; the higher close-today rate is left out",
    ),
)

SCHEDULES: Final[Mapping[str, FeeSchedule]] = MappingProxyType({schedule.name: schedule for schedule in _ALL})


def schedule_of(instrument: Instrument, schedules: Mapping[str, FeeSchedule] = SCHEDULES) -> FeeSchedule:
    """Raises InputError naming the schedule when it is not known."""
    try:
        return schedules[instrument.fee_schedule]
    except KeyError:
        raise InputError(
            f"fee_schedule={instrument.fee_schedule} of {instrument.symbol} is unknown; expected one of "
            f"{', '.join(sorted(schedules))}."
        ) from None


def exact_trade_fee(
    instrument: Instrument,
    lots: int,
    price_ticks: int,
    liquidity: Liquidity,
    index_price: Fraction,
    ts_ns: int,
    schedules: Mapping[str, FeeSchedule] = SCHEDULES,
) -> Fraction:
    """Fee of one execution before rounding, in the settle currency; positive is paid, negative a rebate.

    lots: signed, only its size counts. index_price: quote currency per underlying, used by linear options alone.
    """
    period = schedule_of(instrument, schedules).at(ts_ns)
    rate = period.maker if liquidity is Liquidity.MAKER else period.taker
    price = Fraction(instrument.ticks.price(price_ticks))
    fee = rate * _base(instrument, period.basis, lots, price, index_price)
    if period.premium_cap is not None:
        cap = period.premium_cap * abs(instrument.value(lots, price))
        fee = min(fee, cap)
    return fee


def trade_fee(
    instrument: Instrument,
    lots: int,
    price_ticks: int,
    liquidity: Liquidity,
    index_price: Fraction,
    ts_ns: int,
    schedules: Mapping[str, FeeSchedule] = SCHEDULES,
) -> int:
    """Fee of one execution in integer units of the settle currency, rounded half-even once; positive is paid.

    lots: signed, only its size counts. index_price: quote currency per underlying, used by linear options alone.
    """
    fee = exact_trade_fee(instrument, lots, price_ticks, liquidity, index_price, ts_ns, schedules)
    return to_units(fee, instrument.settle_currency)


def delivery_fee(
    instrument: Instrument,
    lots: int,
    delivery_price: Fraction,
    schedules: Mapping[str, FeeSchedule] = SCHEDULES,
) -> int:
    """Fee at expiry in integer units of the settle currency, rounded half-even once; positive is paid.

    Options that expire worthless pay nothing. The period is the one in force at the expiry instant.
    """
    period = schedule_of(instrument, schedules).at(instrument.expiry_ns)
    if not period.delivery:
        return 0
    fee = period.delivery * _base(instrument, period.basis, lots, delivery_price, delivery_price)
    if instrument.is_option:
        worth = abs(payoff(instrument, lots, delivery_price))
        if not worth:
            return 0
        if period.delivery_cap is not None:
            fee = min(fee, period.delivery_cap * worth)
    return to_units(fee, instrument.settle_currency)


def delivery_rate(instrument: Instrument, schedules: Mapping[str, FeeSchedule] = SCHEDULES) -> Fraction:
    """The uncapped delivery rate in force at expiry, as reports carry it."""
    return schedule_of(instrument, schedules).at(instrument.expiry_ns).delivery


def _base(instrument: Instrument, basis: FeeBasis, lots: int, price: Fraction, index_price: Fraction) -> Fraction:
    if basis is FeeBasis.CONTRACT:
        return abs(instrument.contracts(lots))
    if basis is FeeBasis.NOTIONAL:
        return abs(instrument.value(lots, price))
    size = abs(instrument.contracts(lots)) * Fraction(instrument.multiplier)
    if instrument.settlement is Settlement.INVERSE:
        return size
    return size * index_price * Fraction(instrument.quanto_rate)

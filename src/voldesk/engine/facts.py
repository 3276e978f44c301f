"""What readers of the journal want to know besides inputs and decisions. Facts are outside `journal_sha256`."""

from __future__ import annotations

import msgspec


class BookMark(msgspec.Struct, frozen=True, array_like=True, tag="book", gc=False):
    """One book at one mark: money in integer units of `currency`, Greeks of its positions per underlying in units."""

    ts_ns: int
    book: str
    currency: str
    equity_units: int
    terms: tuple[int, ...]  # portfolio.account.TERMS, in order
    index: float  # USD per unit of the first underlying
    net_delta: float  # underlying units
    gamma_1pct: float  # underlying units per 1 % move
    vega_volpt_usd: float
    theta_day_usd: float
    positions: int
    working: int


class VolMark(msgspec.Struct, frozen=True, array_like=True, tag="vol", gc=False):
    """Implied against forecast at the matched horizon when a surface arrives: decimals per year, NaN when absent."""

    ts_ns: int
    underlying: str
    horizon_ns: int
    implied_vol: float
    forecast_vol: float
    index: float
    slices_ok: int
    slices: int


class Notice(msgspec.Struct, frozen=True, array_like=True, tag="notice", gc=False):
    """Something a person should read: margin calls, unusable forecasts, kill switch."""

    ts_ns: int
    severity: str
    code: str
    text: str


Fact = BookMark | VolMark | Notice

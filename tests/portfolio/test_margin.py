"""Margin formulas against the venues' own worked figures."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voldesk.core.compiled import plain
from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_DAY
from voldesk.instruments.spec import Exercise, Instrument, Kind, Settlement, TickScheme
from voldesk.instruments.table import InstrumentTable
from voldesk.portfolio.margin import MatrixMargin, initial_and_maintenance, margin_model
from voldesk.portfolio.margin_standard import margin_rows

NOW = 1_700_000_000_000_000_000
EXPIRY = NOW + 30 * NS_PER_DAY


def contract(symbol: str, kind: Kind, settlement: Settlement, **terms: object) -> Instrument:
    quote = terms.pop("quote", "BTC" if settlement is Settlement.INVERSE and kind is Kind.OPTION else "USD")
    settle = terms.pop("settle", "BTC" if settlement is Settlement.INVERSE else "USD")
    defaults: dict[str, object] = {
        "venue": "deribit",
        "underlying": "BTC",
        "multiplier": Decimal(1),
        "lot": Decimal(1),
        "ticks": TickScheme(Decimal("0.0001"), ((Decimal(0), Decimal("0.0001")),)),
        "fee_schedule": "deribit.option",
        "exercise": Exercise.EUROPEAN,
    }
    return Instrument(
        symbol=symbol,
        kind=kind,
        settlement=settlement,
        quote_currency=quote,
        settle_currency=settle,
        **{**defaults, **terms},  # type: ignore[arg-type]
    )


def option(symbol: str, strike: str, is_call: bool, settlement: Settlement, **terms: object) -> Instrument:
    return contract(symbol, Kind.OPTION, settlement, strike=Decimal(strike), is_call=is_call, expiry_ns=EXPIRY, **terms)


def both(model_name: str, item: Instrument, lots: int, mark: float, forward: float) -> tuple[float, float]:
    table = InstrumentTable([item])
    answer = initial_and_maintenance(
        table,
        np.array([0]),
        np.array([lots]),
        np.array([mark]),
        np.array([forward]),
        margin_model(model_name, table),
        np.array([0.6]),
        NOW,
    )
    return tuple(answer[item.settle_currency])  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("strike", "is_call", "mark", "initial", "maintenance"),
    [
        # Deribit "Margin requirements, options", standard margin, per coin at a forward of 100,000.
        ("100000", True, 0.05, 0.15 + 0.05, 0.075 + 0.05),
        ("103000", True, 0.04, 0.12 + 0.04, 0.075 + 0.04),  # 3 % out of the money
        ("120000", True, 0.01, 0.10 + 0.01, 0.075 + 0.01),  # the floor of 10 %
        ("95000", False, 0.02, 0.10 + 0.02, 0.075 + 0.02),
        ("400000", False, 3.0, 0.15 + 3.0, 0.075 * 3.0 + 3.0),  # deep put: maintenance grows with the mark
    ],
)
def test_short_coin_option_locks_what_deribit_asks(
    strike: str, is_call: bool, mark: float, initial: float, maintenance: float
) -> None:
    item = option("o", strike, is_call, Settlement.INVERSE)
    got = both("deribit_standard", item, -2, mark, 100_000.0)
    expected_initial = max(initial, maintenance) if not is_call else initial
    assert got == pytest.approx((2 * expected_initial, 2 * maintenance), rel=1e-14)


def test_short_linear_option_locks_the_same_shares_of_the_forward() -> None:
    item = option("o", "103000", True, Settlement.LINEAR)
    assert both("deribit_standard", item, -1, 4_000.0, 100_000.0) == pytest.approx((16_000.0, 11_500.0), rel=1e-14)


@pytest.mark.parametrize("model", ["deribit_standard", "us_strategy_based", "cffex"])
def test_long_option_is_paid_for_and_locks_nothing(model: str) -> None:
    assert both(model, option("o", "100000", True, Settlement.LINEAR), 5, 4_000.0, 100_000.0) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("coins", "initial", "maintenance"),
    [
        # support.deribit.com, "Linear Perpetual", BTC_USDC at 100,000: 25 BTC and 350 BTC.
        (25, 53_125.0, 28_125.0),
        (350, 1_312_500.0, 962_500.0),
    ],
)
def test_perpetual_margin_grows_with_size_as_deribit_prints_it(coins: int, initial: float, maintenance: float) -> None:
    linear = contract("p", Kind.PERPETUAL, Settlement.LINEAR)
    assert both("deribit_standard", linear, -coins, 100_000.0, math.nan) == pytest.approx((initial, maintenance))
    inverse = contract("p", Kind.PERPETUAL, Settlement.INVERSE, multiplier=Decimal(10))
    coin = both("deribit_standard", inverse, coins * 10_000, 100_000.0, math.nan)
    assert coin == pytest.approx((initial / 100_000, maintenance / 100_000))


def test_us_short_options_follow_the_margin_manual() -> None:
    # Cboe Margin Manual (April 2000), "Short put or short call": premium + max(20 % S - OTM, 10 % S or K) per share.
    call = option("c", "110", True, Settlement.LINEAR, underlying="MSTR", multiplier=Decimal(100))
    assert both("us_strategy_based", call, -1, 2.0, 100.0)[0] == pytest.approx(100 * (2 + max(20 - 10, 10)))
    put = option("p", "85", False, Settlement.LINEAR, underlying="MSTR", multiplier=Decimal(100))
    assert both("us_strategy_based", put, -1, 2.0, 100.0)[0] == pytest.approx(100 * (2 + max(20 - 15, 8.5)))
    index = option("i", "100", True, Settlement.LINEAR, underlying="SPX", multiplier=Decimal(100))
    assert both("us_strategy_based", index, -1, 2.0, 100.0)[0] == pytest.approx(100 * (2 + 15))


def test_stock_follows_regulation_t_and_finra_4210() -> None:
    stock = contract("s", Kind.EQUITY, Settlement.LINEAR, underlying="MSTR")
    assert both("us_strategy_based", stock, 100, 50.0, math.nan) == pytest.approx((2_500.0, 1_250.0))
    assert both("us_strategy_based", stock, -100, 50.0, math.nan) == pytest.approx((2_500.0, 1_500.0))


def test_cffex_short_options_follow_the_exchange_formula() -> None:
    # settlement x multiplier + max(close x multiplier x 12 % - OTM, 0.5 x (close | strike) x multiplier x 12 %)
    call = option("c", "4200", True, Settlement.LINEAR, multiplier=Decimal(100), settle="CNY", quote="CNY")
    assert both("cffex", call, -1, 60.0, 4_000.0)[0] == pytest.approx(6_000 + max(48_000 - 20_000, 24_000))
    put = option("p", "3000", False, Settlement.LINEAR, multiplier=Decimal(100), settle="CNY", quote="CNY")
    assert both("cffex", put, -1, 1.0, 4_000.0)[0] == pytest.approx(100 + max(48_000 - 100_000, 18_000))


def test_missing_price_gives_nan_not_a_guess() -> None:
    item = option("o", "100000", False, Settlement.LINEAR)
    for model in ("deribit_standard", "us_strategy_based", "cffex"):
        assert all(math.isnan(x) for x in both(model, item, -1, 4_000.0, math.nan))
        assert all(math.isnan(x) for x in both(model, item, -1, math.nan, 100_000.0))
    assert all(math.isnan(x) for x in both("deribit_portfolio", item, -1, 4_000.0, math.nan))


def test_unknown_model_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="margin='span' is unknown"):
        margin_model("span", InstrumentTable())


def test_matrix_needs_vols() -> None:
    table = InstrumentTable()
    none, flat = np.zeros(0, np.int64), np.zeros(0)
    with pytest.raises(InputError, match="implied vols"):
        initial_and_maintenance(table, none, none, flat, flat, margin_model("deribit_portfolio", table))


def test_matrix_charges_a_lone_future_its_largest_move() -> None:
    item = contract("f", Kind.FUTURE, Settlement.LINEAR, expiry_ns=EXPIRY)
    assert both("deribit_portfolio", item, 3, 100_000.0, math.nan) == pytest.approx((1.3 * 45_000, 45_000.0))


def test_matrix_charges_an_inverse_future_in_coin() -> None:
    item = contract("f", Kind.FUTURE, Settlement.INVERSE, multiplier=Decimal(10), expiry_ns=EXPIRY)
    # 100,000 USD long; at -15 % the coin loss is 100,000 x (1/85,000 - 1/100,000).
    assert both("deribit_portfolio", item, 10_000, 100_000.0, math.nan)[1] == pytest.approx(1 / 0.85 - 1)


def test_matrix_loss_of_a_hedged_book_is_smaller_than_of_its_parts() -> None:
    table = InstrumentTable(
        [
            option("c", "100000", True, Settlement.LINEAR),
            option("p", "100000", False, Settlement.LINEAR),
            contract("f", Kind.FUTURE, Settlement.LINEAR, expiry_ns=EXPIRY),
        ]
    )
    model = MatrixMargin(table)
    ids, lots = np.arange(3), np.array([1, -1, -1])  # long call, short put, short future: nothing is left
    marks, forwards, sigmas = np.array([7e3, 7e3, 1e5]), np.full(3, 1e5), np.full(3, 0.6)
    losses = model.losses(ids, lots, marks, forwards, sigmas, NOW)
    assert losses.shape == (27, 3)
    assert np.abs(losses.sum(axis=1)).max() < 1e-6  # put-call parity at every node
    hedged = model.by_underlying(ids, lots, marks, forwards, sigmas, NOW)
    assert hedged == {("USD", "BTC"): pytest.approx(0.0, abs=1e-6)}  # net zero at the strike: no contingency either
    naked = model.by_underlying(ids[1:2], lots[1:2], marks[1:2], forwards[1:2], sigmas[1:2], NOW)
    # Worst corner of the grid by hand: 15 % down, vol up by 45 %; contingency 1 % of the underlying.
    from voldesk.pricing.black import price

    worst = float(price(85_000.0, 1e5, 30 / 365, 0.6 * 1.45, 1.0, False) - price(1e5, 1e5, 30 / 365, 0.6, 1.0, False))
    assert naked[("USD", "BTC")] == pytest.approx(worst + 1_000.0, rel=1e-12)


@given(
    lots=st.integers(-50, 50),
    strike=st.floats(1e3, 1e6),
    mark=st.floats(1e-4, 5.0),
    forward=st.floats(1e3, 1e6),
    is_call=st.booleans(),
    coin=st.booleans(),
    style=st.sampled_from([1.0, 2.0, 3.0]),
    flat=st.sampled_from([0.0, 0.075]),
)
def test_compiled_kernel_equals_its_plain_twin(
    lots: int, strike: float, mark: float, forward: float, is_call: bool, coin: bool, style: float, flat: float
) -> None:
    terms = np.array([[style, float(is_call), strike, float(coin), 0.1, 1.0, 0.15, 0.1, 1.0, flat]])
    args = (terms, np.array([0]), np.array([lots]), np.array([mark]), np.array([forward]))
    fast, slow = (np.zeros(1), np.zeros(1)), (np.zeros(1), np.zeros(1))
    margin_rows(*args, *fast)
    plain(margin_rows)(*args, *slow)
    assert np.allclose(fast, slow, rtol=1e-14, atol=0.0)
    assert fast[0][0] >= fast[1][0] * (1 - 1e-14) or style != 1.0  # initial is never below maintenance
    if lots >= 0 and style == 1.0:
        assert fast[0][0] == 0.0

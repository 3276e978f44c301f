"""Golden facts of coin-settled options, as the desk's specification states them (issue "The desk runs",
"Coin-settled facts") and as Deribit and OKX publish them (fee pages, contract specifications)."""

from __future__ import annotations

from fractions import Fraction

from voldesk.core.money import to_units
from voldesk.core.reports import Liquidity
from voldesk.instruments import deribit, okx
from voldesk.instruments.fees import trade_fee
from voldesk.instruments.settlement import payoff

ANY_TIME_NS = 1_772_000_000_000_000_000
INDEX = Fraction(60_000)


def test_an_okx_contract_bought_at_two_hundredths_and_sold_at_three_realises_a_ten_thousandth_of_a_coin() -> None:
    option = okx.parse("BTC-USD-260327-70000-C")
    cost = option.value_at_ticks(1, 200)
    proceeds = option.value_at_ticks(1, 300)
    assert cost == Fraction("0.0002")
    assert proceeds - cost == Fraction("0.0001")
    assert to_units(cost, "BTC") == 20_000
    assert to_units(proceeds - cost, "BTC") == 10_000


def test_ten_deribit_contracts_from_five_to_six_hundredths_gain_a_tenth_of_a_coin() -> None:
    # The same trade that NautilusTrader 1.231.0 reports as +33.3 BTC.
    option = deribit.parse("BTC-27MAR26-70000-C")
    lots = 100  # of 0.1 contracts
    assert option.value_at_ticks(lots, 600) - option.value_at_ticks(lots, 500) == Fraction("0.1")


def test_the_taker_fee_on_a_cheap_option_is_capped_at_an_eighth_of_its_premium() -> None:
    option = deribit.parse("BTC-27MAR26-70000-C")
    assert trade_fee(option, 10, 10, Liquidity.TAKER, INDEX, ANY_TIME_NS) == 12_500  # 0.000125 BTC on 0.0010


def test_the_taker_fee_on_a_dearer_option_is_three_basis_points_of_the_coin() -> None:
    option = deribit.parse("BTC-27MAR26-70000-C")
    assert trade_fee(option, 10, 100, Liquidity.TAKER, INDEX, ANY_TIME_NS) == 30_000  # 0.0003 BTC on 0.0100


def test_a_fifty_thousand_call_settles_at_sixty_thousand_for_a_sixth_of_a_coin() -> None:
    option = deribit.parse("BTC-27MAR26-50000-C")
    assert payoff(option, 10, Fraction(60_000)) == Fraction(60_000 - 50_000, 60_000)
    assert to_units(payoff(option, 10, Fraction(60_000)), "BTC") == 16_666_667


def test_ten_dollars_of_a_perpetual_gain_their_dollar_move_in_coin() -> None:
    perpetual = deribit.parse("BTC-PERPETUAL")
    gain = perpetual.value_at_ticks(5_000, 2 * 60_000) - perpetual.value_at_ticks(5_000, 2 * 50_000)
    assert gain == 50_000 * (Fraction(1, 50_000) - Fraction(1, 60_000))

"""Drawdown is lost profit over the highest equity, whatever is paid in or out."""

from __future__ import annotations

import math
from typing import Any

import pytest

from voldesk.core.money import to_units

COIN = 10**8


def profit(book: Any, coins: float) -> None:
    book.account("BTC").realised = round(coins * COIN)


def test_a_fall_from_the_peak_is_measured_against_the_peak(world: Any) -> None:
    desk = world()
    water, book = desk.gate._high_water, desk.book
    assert desk.gate.drawdown(book) == 0.0
    profit(book, 2.0)
    water.observe(book)
    profit(book, -1.0)
    water.observe(book)
    assert desk.gate.drawdown(book) == pytest.approx(3.0 / 12.0, rel=1e-12)


def test_paying_money_in_or_out_is_no_drawdown(world: Any) -> None:
    desk = world()
    water, book = desk.gate._high_water, desk.book
    profit(book, 2.0)
    water.observe(book)
    desk.ledger.deposit("b", "BTC", -to_units(6, "BTC"))
    assert desk.gate.drawdown(book) == 0.0
    profit(book, 0.5)
    assert desk.gate.drawdown(book) == pytest.approx(1.5 / 6.0, rel=1e-12)


def test_a_book_that_was_never_funded_has_no_drawdown_figure(world: Any) -> None:
    desk = world()
    assert math.isnan(desk.gate.drawdown(desk.ledger.open_book("empty")))

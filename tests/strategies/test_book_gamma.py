import math

import numpy as np
import pytest

from voldesk.core.compiled import plain
from voldesk.core.units import NS_PER_DAY, NS_PER_YEAR
from voldesk.market.state import Field
from voldesk.portfolio.columns import ContractColumns
from voldesk.pricing import black
from voldesk.strategies import book_gamma as module
from voldesk.strategies.book_gamma import BookGamma, book_gamma

FORWARD = 80_300.0


def _book(bench) -> None:  # type: ignore[no-untyped-def]
    lots = {"27MAR26-80000-C": 10, "27MAR26-78000-P": -7, "10APR26-84000-C": 3, "20MAR26-76000-P": -12}
    for symbol, held in lots.items():
        bench.book.lots_held[bench.id(f"BTC-{symbol}")] = held
    bench.book.lots_held[bench.perpetual] = -400


def _gamma(bench, underlying: str, price: float, *given) -> BookGamma:  # type: ignore[no-untyped-def]
    return book_gamma(bench.ctx, ContractColumns(bench.table), underlying, price, *given)


def _expected(bench, sigma: float = 0.5):  # type: ignore[no-untyped-def]
    """Gamma, theta, |gamma| and tau of each option held, by the array functions."""
    ids = np.array([i for i in bench.book.positions() if bench.table[i].is_option])
    tau = (bench.table.expiry_ns[ids] - bench.ctx.now_ns) / NS_PER_YEAR
    greeks = black.greeks(FORWARD, bench.table.strike[ids], tau, sigma, 1.0, bench.table.is_call[ids])
    units = np.array([bench.book.lots(int(i)) * 0.1 for i in ids])
    return units * greeks.gamma, units * greeks.theta, tau


def test_a_mixed_book_has_the_gamma_and_theta_of_the_array_functions(bench) -> None:  # type: ignore[no-untyped-def]
    _book(bench)
    gamma, theta, tau = _expected(bench)
    found = _gamma(bench, "BTC", FORWARD)
    assert found.gamma == pytest.approx(gamma.sum(), rel=1e-12)
    assert found.theta == pytest.approx(theta.sum(), rel=1e-12)
    assert found.sigma == pytest.approx(0.5, rel=1e-15)
    assert found.tau == tau[np.argmax(np.abs(gamma))]
    assert (found.options, found.missing) == (4, 0)


def test_the_compiled_pass_and_its_plain_twin_agree(bench, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    _book(bench)
    bench.state.values[bench.id("BTC-27MAR26-80000-C"), Field.MARK_IV] = 0.61
    compiled = _gamma(bench, "BTC", FORWARD)
    monkeypatch.setattr(module, "gamma_pass", plain(module.gamma_pass))
    assert _gamma(bench, "BTC", FORWARD) == pytest.approx(compiled, rel=1e-14)


def test_sigma_is_weighted_by_gamma(bench) -> None:  # type: ignore[no-untyped-def]
    _book(bench)
    for place, i in enumerate(i for i in bench.book.positions() if bench.table[i].is_option):
        bench.state.values[i, Field.MARK_IV] = 0.4 + 0.1 * place
    sigmas = np.array([0.4, 0.5, 0.6, 0.7])
    gamma, _, _ = _expected(bench, sigmas)
    found = _gamma(bench, "BTC", FORWARD)
    assert found.sigma == pytest.approx(np.abs(gamma) @ sigmas / np.abs(gamma).sum(), rel=1e-12)


def test_an_option_without_implied_vol_is_counted_or_takes_the_given_one(bench) -> None:  # type: ignore[no-untyped-def]
    _book(bench)
    whole = _gamma(bench, "BTC", FORWARD)
    dark = bench.id("BTC-27MAR26-78000-P")
    bench.state.values[dark, Field.MARK_IV] = math.nan
    assert _gamma(bench, "BTC", FORWARD).missing == 1
    given = np.where(bench.book.held()[:, 0] == dark, 0.5, math.nan)
    assert _gamma(bench, "BTC", FORWARD, given) == pytest.approx(whole, rel=1e-14)


def test_a_forward_that_is_not_known_is_stood_for_by_the_price(bench) -> None:  # type: ignore[no-untyped-def]
    _book(bench)
    whole = _gamma(bench, "BTC", FORWARD)
    bench.state.values[:, Field.FORWARD] = math.nan
    assert _gamma(bench, "BTC", FORWARD) == whole
    assert math.isnan(_gamma(bench, "BTC", math.nan).gamma)


def test_expired_options_futures_and_an_empty_book_have_none(bench) -> None:  # type: ignore[no-untyped-def]
    assert _gamma(bench, "BTC", FORWARD)[:2] == (0.0, 0.0)
    bench.book.lots_held[bench.perpetual] = 100
    bench.book.lots_held[bench.id("BTC-20MAR26-80000-C")] = 10
    bench.at(bench.ctx.now_ns + 7 * NS_PER_DAY)
    found = _gamma(bench, "BTC", FORWARD)
    assert (found.gamma, found.options) == (0.0, 0)
    assert math.isnan(found.sigma)

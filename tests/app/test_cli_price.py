"""`voldesk price` and `voldesk surface fit` through the real command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from voldesk.core.units import NS_PER_DAY
from voldesk.pricing import american, black, heston
from voldesk.surface.warm import example_quotes


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from voldesk.app.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _json(*arguments: str) -> Any:
    done = _run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_coin_option_shows_both_deltas() -> None:
    (row,) = _json("price", "--forward", "60000", "--strike", "60000", "--days", "36.5", "--vol", "0.6", "--coin")[
        "options"
    ]
    g = black.coin_greeks(60_000.0, 60_000.0, 0.1, 0.6, True)
    assert row["price"] == pytest.approx(float(g.price), rel=1e-14)
    assert row["net_delta"] == pytest.approx(float(g.net_delta), rel=1e-14)
    assert row["delta"] - row["net_delta"] == pytest.approx(row["price"], rel=1e-12), "they differ by the premium"
    assert row["theta_per_day"] == pytest.approx(float(g.theta) / 365.0, rel=1e-14)


def test_a_premium_gives_its_volatility_or_says_why_not() -> None:
    rows = _json("price", "--spot", "100", "--strike", "90", "--strike", "70", "--days", "90", "--premium", "12")[
        "options"
    ]
    assert rows[0]["status"] == "OK"
    again = black.price(100.0, 90.0, 90 / 365, rows[0]["vol"], 1.0, True)
    assert float(again) == pytest.approx(12.0, rel=1e-13)
    assert rows[1]["status"] == "BELOW_INTRINSIC"
    assert rows[1]["vol"] is None


def test_an_american_put_shows_what_early_exercise_is_worth() -> None:
    arguments = ("--spot", "100", "--strike", "100", "--days", "365", "--vol", "0.3", "--rate", "0.05", "--type", "put")
    (row,) = _json("price", *arguments, "--style", "american")["options"]
    assert row["price"] == pytest.approx(
        float(american.greeks(100.0, 100.0, 1.0, 0.05, 0.0, 0.3, False).price), rel=1e-14
    )
    european = float(black.spot_greeks(100.0, 100.0, 1.0, 0.3, 0.05, 0.0, False).price)
    assert row["early_exercise_premium"] == pytest.approx(row["price"] - european, rel=1e-12)


def test_a_heston_price_comes_with_its_black_volatility() -> None:
    params = {"v0": 0.04, "kappa": 1.0, "theta": 0.04, "xi": 0.5, "rho": -0.9}
    given = [part for name, value in params.items() for part in ("--param", f"{name}={value}")]
    (row,) = _json("price", "--forward", "100", "--strike", "95", "--days", "365", "--model", "heston", *given)[
        "options"
    ]
    exact = float(heston.price(heston.HestonParams(**params), 100.0, 95.0, 1.0, 1.0, True))
    assert row["price"] == pytest.approx(exact, rel=1e-13)
    assert float(black.price(100.0, 95.0, 1.0, row["black_vol"], 1.0, True)) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--strike", "100", "--days", "30", "--vol", "0.5"), "--spot or --forward"),
        (("--spot", "100", "--strike", "100", "--days", "30", "--vol", "60"), "looks like per cent"),
        (("--spot", "100", "--strike", "100", "--days", "30"), "either --vol, or --premium"),
        (("--spot", "1", "--strike", "1", "--days", "30", "--vol", "0.5", "--type", "spread"), "expected call or put"),
        (("--spot", "1", "--strike", "1", "--days", "3", "--model", "heston"), "needs --param v0"),
        (("--spot", "1", "--strike", "1", "--days", "3", "--model", "heston", "--param", "v=1"), "heston takes v0"),
        (("--spot", "1", "--strike", "1", "--days", "-3", "--vol", "0.5"), "zero or more calendar days"),
    ],
)
def test_what_cannot_be_priced_is_one_line(arguments: tuple[str, ...], said: str) -> None:
    done = _run("price", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    quotes = example_quotes(100 * NS_PER_DAY)
    rows = {
        "ts": pa.array([100 * NS_PER_DAY] * quotes.strike.size, pa.timestamp("ns", "UTC")),
        "expiry": pa.array(quotes.expiry_ns, pa.timestamp("ns", "UTC")),
        "strike": quotes.strike,
        "option_type": np.where(quotes.is_call, "C", "P"),
        "bid_price": quotes.bid / 100.0,
        "ask_price": quotes.ask / 100.0,
        "forward": quotes.forward,
    }
    path: Path = tmp_path_factory.mktemp("chain") / "chain.parquet"
    pq.write_table(pa.table(rows), path)
    return path


def test_a_chain_becomes_a_surface_and_a_page(chain: Path, tmp_path: Path) -> None:
    page = tmp_path / "surface.html"
    found = _json("surface", "fit", str(chain), "--venue", "deribit", "--underlying", "", "--plot", str(page))
    assert found["arbitrage_free"]
    assert [entry["status"] for entry in found["slices"]] == ["ok", "ok"]
    assert found["inside_share"] == 1.0
    assert found["quotes"] == 30, "every two-sided out-of-the-money quote counts"
    text = page.read_text(encoding="utf-8")
    for wanted in ("Smiles", "Term structure", "Risk-neutral density", "Local volatility", 'id="smiles"'):
        assert wanted in text
    assert "https://" not in text.split("<body>")[1].split("<script")[0], "the page asks nobody for anything"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.parquet",), "does not exist"),
        (("CHAIN",), "does not say its venue"),
        (("CHAIN", "--venue", "deribit", "--plot", "no/such/folder/x.html"), "does not exist; make it first"),
        (("CHAIN", "--venue", "deribit", "--at", "noon"), "is no time"),
    ],
)
def test_what_cannot_be_fitted_is_one_line(chain: Path, arguments: tuple[str, ...], said: str) -> None:
    done = _run("surface", "fit", *(str(chain) if part == "CHAIN" else part for part in arguments))
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1

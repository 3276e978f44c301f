"""One snapshot of a chain from any of the recorded forms, and what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from voldesk.adapters.feeds.chains import read_chain
from voldesk.core.errors import MarketDataError
from voldesk.pricing import american, black
from voldesk.pricing.implied_vol import implied_vol
from voldesk.surface.fit import fit_surface

DATA = Path(__file__).resolve().parents[2] / "../shared/data"


def _recorded(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"recorded data {name} is not beside the checkout")
    return path


def _plain(path: Path, **changes: object) -> Path:
    """A made-up US chain, American where it has a spot: forward 100 growing at 4 %, vol 30 %, two snapshots a minute and an hour apart."""
    strikes = np.arange(80.0, 121.0, 5.0)
    rows = []
    for minute in (0, 1, 60):
        ts = datetime(2026, 1, 5, 15, minute % 60, tzinfo=UTC).replace(hour=15 + minute // 60)
        for day in (date(2026, 2, 20), date(2026, 6, 18)):
            tau = (datetime(day.year, day.month, day.day, 21 if day.month < 3 else 20, tzinfo=UTC) - ts).total_seconds()
            tau /= 365 * 86_400
            for kind in ("C", "P"):
                if "spot" in changes:
                    worth = american.price(100.0, strikes, tau, 0.04, 0.0, 0.3, kind == "C")
                else:
                    worth = black.price(100.0 * np.exp(0.04 * tau), strikes, tau, 0.3, np.exp(-0.04 * tau), kind == "C")
                rows += [
                    {"ts": ts, "expiry": day, "strike": k, "option_type": kind, "bid": p - 0.01, "ask": p + 0.01}
                    for k, p in zip(strikes.tolist(), worth.tolist(), strict=True)
                ]
    table = pa.Table.from_pylist(rows, pa.schema([
        ("ts", pa.timestamp("us", "UTC")), ("expiry", pa.date32()), ("strike", pa.float64()),
        ("option_type", pa.string()), ("bid", pa.float64()), ("ask", pa.float64()),
    ]))  # fmt: skip
    for name, value in changes.items():
        if value is None:
            table = table.drop([name])
        else:
            table = table.append_column(name, pa.array([value] * table.num_rows))
    pq.write_table(table, path)
    return path


def test_plain_columns_become_the_snapshot_that_is_nearest(tmp_path: Path) -> None:
    file = _plain(tmp_path / "chain.parquet", underlying="SPX")
    early = read_chain(file, at="2026-01-05T14:00", venue="us")
    assert early.strike.size == 72, "rows a minute apart are one snapshot"
    assert str(np.datetime64(early.asof_ns, "ns")).startswith("2026-01-05T15:01")
    late = read_chain(file, venue="us")
    assert late.strike.size == 36
    assert not late.american
    assert not late.coin
    assert str(np.datetime64(int(late.expiry_ns.min()), "ns")).startswith("2026-02-20T21:00"), "the New York close"


def test_forward_and_discount_come_from_parity_where_none_is_recorded(tmp_path: Path) -> None:
    snapshot = read_chain(_plain(tmp_path / "chain.parquet", underlying="SPX"), venue="us")
    quotes = snapshot.quotes()
    np.testing.assert_allclose(quotes.forward, 100.0 * np.exp(0.04 * quotes.tau), rtol=1e-9)
    np.testing.assert_allclose(quotes.discount, np.exp(-0.04 * quotes.tau), rtol=1e-8)
    surface = fit_surface(quotes, snapshot.asof_ns, snapshot.underlying)
    assert abs(float(surface.atm_iv(0.2)) - 0.3) < 1e-3


@pytest.mark.parametrize(
    ("changes", "call", "said"),
    [
        ({"strike": None}, {}, "lacks strike"),
        ({}, {}, "does not say its venue"),
        ({"underlying": "SPX"}, {"venue": "us", "underlying": "QQQ"}, "has no underlying QQQ"),
        ({"underlying": "SPX"}, {"venue": "us", "at": "noon"}, "is no time"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, changes: dict[str, object], call: dict[str, str], said: str
) -> None:
    with pytest.raises(MarketDataError, match=said) as caught:
        read_chain(_plain(tmp_path / "chain.parquet", **changes), **call)
    assert "\n" not in str(caught.value)


def test_american_quotes_need_a_rate_and_a_spot(tmp_path: Path) -> None:
    snapshot = read_chain(_plain(tmp_path / "chain.parquet", underlying="MSTR"), venue="us")
    assert snapshot.american
    with pytest.raises(MarketDataError, match="name the rate"):
        snapshot.quotes()
    with pytest.raises(MarketDataError, match="no recorded spot"):
        snapshot.quotes(0.04)


def test_american_quotes_become_european_ones(tmp_path: Path) -> None:
    snapshot = read_chain(_plain(tmp_path / "chain.parquet", underlying="MSTR", spot=100.0), venue="us")
    quotes = snapshot.quotes(0.04)
    np.testing.assert_allclose(quotes.forward, 100.0 * np.exp(0.04 * quotes.tau), rtol=1e-5)
    sigma, _ = implied_vol(quotes.mark, quotes.forward, quotes.strike, quotes.tau, quotes.discount, quotes.is_call)
    rows = np.isfinite(sigma)
    assert np.sum(rows) >= 14, "out-of-the-money rows"
    assert float(np.max(np.abs(sigma[rows] - 0.3))) < 1e-3


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "underlying", "venue", "coin", "american", "least"),
    [
        ("deribit_chain_6h", "", "deribit", True, False, 800),
        ("deribit_ticker_full/btc_options_2026-01-14_2026-01-23.parquet", "", "deribit", True, False, 600),
        ("crypto_options_daily/okx_2026-07-04_2026-07-24.parquet", "ETH", "okx", True, False, 600),
        ("us_chains_quotes/spy_cboe_2026-07-22_2026-08-06.parquet", "", "us", False, True, 8000),
        ("us_chains_quotes/spx_cboe_2026-07-22_07-29_08-05.parquet", "", "us", False, False, 15000),
        ("us_american_intraday/aapl_hour_20140606.parquet", "", "us", False, True, 2000),
    ],
)  # fmt: skip
def test_recorded_chains_are_read(
    name: str, underlying: str, venue: str, coin: bool, american: bool, least: int
) -> None:
    snapshot = read_chain(_recorded(name), underlying=underlying)
    assert (snapshot.venue, snapshot.coin, snapshot.american) == (venue, coin, american)
    assert snapshot.strike.size > least
    assert snapshot.spot > 0.0
    known = snapshot.iv[np.isfinite(snapshot.iv)]
    assert known.size == 0 or 0.05 < float(np.median(known)) < 1.5, "decimals, also where the file has per cent"


@pytest.mark.data
def test_morning_settled_index_options_expire_at_the_open() -> None:
    snapshot = read_chain(_recorded("us_chains_quotes/spx_cboe_2026-07-22_07-29_08-05.parquet"))
    clocks = {str(np.datetime64(int(t), "ns"))[11:16] for t in np.unique(snapshot.expiry_ns)}
    assert clocks == {"13:30", "20:00"}, "09:30 and 16:00 in New York, in summer"

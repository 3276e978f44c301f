"""How well does the fitted surface sit inside the recorded bid-ask bands, and is it free of arbitrage?

    python benchmarks/surface_quality.py                 every snapshot of both recordings (BTC and ETH)
    python benchmarks/surface_quality.py --every 8       a subsample
    python benchmarks/surface_quality.py --set spx       SPX and SPXW (European), also spy and qqq (American), btc, eth
    python benchmarks/surface_quality.py --json          one line for machines

Every two-sided quote of the recording is in the denominator, whatever became of its expiry: where an expiry has no slice
of its own the surface answers between or beyond its neighbours. "Inside" compares prices: Black price at the surface's
volatility against recorded bid and ask. Arbitrage is judged twice: by the package's proofs, and here on a dense grid that
knows nothing of the form of a slice (finite differences of total variance for Durrleman's g over |k| <= 1.5; total
variance of neighbouring expiries; slopes far out against Lee's bound).

US quotes are penny-wide, a few hundredths of a vol point at the money: tighter than any five numbers can follow over forty
strikes to the deviation. Their share inside is low; how far a miss is, in vol points, and how far a variance swap on the
surface is from the strip of its quotes, say more. American quotes are judged after de-Americanisation, as they are fitted.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from voldesk.adapters.feeds.chains import read_chain
from voldesk.core.units import NS_PER_YEAR
from voldesk.pricing import black
from voldesk.pricing.implied_vol import implied_vols
from voldesk.surface.fit import ChainQuotes, Surface, fit_surface
from voldesk.surface.vol_index import strip_variance, variance_swap_vol, vol_index

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
RECORDINGS = {"BTC": "deribit_chain_6h", "ETH": "deribit_chain_6h_eth"}
US_RECORDINGS = {
    "SPX": "us_chains_quotes/spx_cboe_2026-07-22_07-29_08-05.parquet",
    "SPY": "us_chains_quotes/spy_cboe_2026-07-22_2026-08-06.parquet",
    "QQQ": "us_chains_quotes/qqq_spy_intraday_2026-08-13_2026-08-17.parquet",
}
US_RATE = 0.037  # for the American chains, whose parity tells no discount
LEAST_SLICE = 20  # quotes of a slice that counts as "worst"
SHORTEST_SWAP = 5.0  # days; strips of less hang on single quotes
BUCKETS = ((1.0, "to 1 day"), (3.0, "1-3 days"), (7.0, "3-7 days"), (30.0, "7-30 days"), (90.0, "30-90 days"))
LAST_BUCKET = "over 90 days"
GRID = np.linspace(-1.5, 1.5, 3001)
STEP = 1e-4
FAR = np.array([-1e3, -1e2, -1e1, 1e1, 1e2, 1e3])


def snapshots(folder: Path, every: int = 1) -> Iterator[tuple[int, ChainQuotes]]:
    """(asof_ns, quotes) of every n-th snapshot of a recording, in order of time; null prices become NaN."""
    for path in sorted(folder.glob("*.parquet")):
        table = pq.read_table(path)
        ts = table["ts"].cast("int64").to_numpy() * 1_000_000
        expiry = table["expiry"].cast("int64").to_numpy() * 1_000_000
        names = ("strike", "bid_price", "ask_price", "mark_price", "underlying_price")
        number = {name: table[name].to_numpy() for name in names}
        is_call = table["option_type"].to_numpy() == "C"
        for asof in np.unique(ts)[::every].tolist():
            rows = np.flatnonzero(ts == asof)
            prices = [number[name][rows] for name in names[1:]]
            tau = (expiry[rows] - asof) / NS_PER_YEAR
            yield asof, ChainQuotes(expiry[rows], tau, number["strike"][rows], is_call[rows], *prices, True)


def us_snapshots(name: str, every: int = 1) -> Iterator[tuple[int, ChainQuotes]]:
    """(asof_ns, quotes) of every n-th trading day or morning of a US recording."""
    path = DATA / US_RECORDINGS[name]
    table = pq.read_table(path)
    column = "trade_date" if "trade_date" in table.column_names else "ts"
    for when in sorted(set(table[column].to_pylist()))[::every]:
        # A trading day stands for its close, hours after midnight.
        at = f"{when.isoformat()}T20:00" if column == "trade_date" else when.isoformat()
        chain = read_chain(path, at=at, underlying=name)
        yield chain.asof_ns, chain.quotes(US_RATE if chain.american else None)


@dataclass
class Score:
    """Sums over snapshots. Counts are (quotes, inside) pairs."""

    snapshots: int = 0
    otm: list[int] = field(default_factory=lambda: [0, 0])
    every: list[int] = field(default_factory=lambda: [0, 0])
    buckets: dict[str, list[int]] = field(default_factory=dict)
    misses: float = 0.0  # sum over out-of-the-money quotes of the distance outside, in half-spreads
    worst: tuple[float, int] = (2.0, 0)  # least share inside of a snapshot, out of the money, and its time
    proved_violations: int = 0
    grid_violations: int = 0
    least_g: float = np.inf
    least_gap: float = np.inf
    status: dict[str, int] = field(default_factory=dict)
    milliseconds: list[float] = field(default_factory=list)
    vol_misses: list[np.ndarray[Any, Any]] = field(default_factory=list)  # out of the money, decimal
    near_misses: list[np.ndarray[Any, Any]] = field(default_factory=list)  # within a deviation of the forward
    worst_slice: tuple[float, int, float] = (2.0, 0, 0.0)  # least share inside, its snapshot, its days
    farthest_slice: tuple[float, int, float] = (-1.0, 0, 0.0)  # largest mean miss in vol within a deviation, likewise
    swap_gaps: list[float] = field(default_factory=list)  # strip of the surface less that of the quotes, decimal vol
    index_gaps: list[float] = field(default_factory=list)  # variance swap of 30 days less the index off the quotes

    def add(self, asof_ns: int, quotes: ChainQuotes, surface: Surface) -> None:
        self.snapshots += 1
        for fit in surface.slices:
            self.status[fit.status] = self.status.get(fit.status, 0) + 1
        live = (quotes.bid > 0.0) & (quotes.ask > quotes.bid) & (quotes.tau > 0.0)
        f, strike, tau, is_call = (c[live] for c in (quotes.forward, quotes.strike, quotes.tau, quotes.is_call))
        bid, ask = quotes.bid[live], quotes.ask[live]
        discount = np.broadcast_to(np.asarray(quotes.discount, np.float64), live.shape)[live]
        sigma = np.sqrt(surface.total_variance(np.log(strike / f), tau) / tau)
        price = black.price(f, strike, tau, sigma, discount, is_call) / (f if quotes.coin else 1.0)
        miss = np.maximum(np.maximum(bid - price, price - ask), 0.0) / (0.5 * (ask - bid))
        miss[np.isnan(miss)] = np.inf
        inside = miss <= 1e-9
        otm = is_call == (strike >= f)
        _count(self.every, inside)
        _count(self.otm, inside[otm])
        self.misses += float(miss[otm].sum())
        days = tau * 365.0
        low = 0.0
        for high, name in (*BUCKETS, (np.inf, LAST_BUCKET)):
            _count(self.buckets.setdefault(name, [0, 0]), inside[otm & (days > low) & (days <= high)])
            low = high
        self.worst = min(self.worst, (float(inside[otm].mean()), asof_ns))
        rows = np.flatnonzero(live)[otm]
        self._measure_in_vol(asof_ns, quotes, rows, sigma[otm], inside[otm])
        self._measure_swaps(asof_ns, quotes, surface)
        self.proved_violations += len(surface.check_arbitrage().violations)
        self._judge(surface)

    def _measure_in_vol(
        self, asof_ns: int, quotes: ChainQuotes, rows: Any, sigma: Any, inside: np.ndarray[Any, np.dtype[np.bool_]]
    ) -> None:
        f, strike, tau, is_call = (c[rows] for c in (quotes.forward, quotes.strike, quotes.tau, quotes.is_call))
        discount = np.broadcast_to(np.asarray(quotes.discount, np.float64), quotes.tau.shape)[rows]
        sides = np.stack((quotes.bid[rows], quotes.ask[rows]))
        (low, high), _ = implied_vols(sides, f, strike, tau, discount, is_call, coin=quotes.coin)
        miss = np.where(inside, 0.0, np.maximum(np.maximum(low - sigma, sigma - high), 0.0))
        near = np.abs(np.log(strike / f)) <= sigma * np.sqrt(tau)
        self.vol_misses.append(miss[np.isfinite(miss)])
        self.near_misses.append(miss[near & np.isfinite(miss)])
        for expiry in np.unique(quotes.expiry_ns[rows]):
            own = quotes.expiry_ns[rows] == expiry
            if own.sum() >= LEAST_SLICE:
                days = float(tau[own][0] * 365.0)
                self.worst_slice = min(self.worst_slice, (float(inside[own].mean()), asof_ns, days))
                if np.any(own & near):
                    mean = float(np.nanmean(miss[own & near]))
                    self.farthest_slice = max(self.farthest_slice, (mean, asof_ns, days))

    def _measure_swaps(self, asof_ns: int, quotes: ChainQuotes, surface: Surface) -> None:
        """Strips of the surface's prices against strips of the quotes, same strikes; the variance swap of 30 days, over
        all strikes, against the index off the quotes."""
        if quotes.coin:
            return
        index = vol_index(quotes, asof_ns).volatility
        self.index_gaps.append(float(variance_swap_vol(surface, 30.0 / 365.0)) - index)
        k = np.log(quotes.strike / quotes.forward)
        discounts = np.broadcast_to(np.asarray(quotes.discount, np.float64), quotes.tau.shape)
        quoted = (quotes.bid > 0.0) & (quotes.ask >= quotes.bid)
        for expiry in np.unique(quotes.expiry_ns[quoted & (quotes.tau * 365.0 >= SHORTEST_SWAP)]):
            rows = np.flatnonzero(quotes.expiry_ns == expiry)
            tau, discount, strike = float(quotes.tau[rows[0]]), float(discounts[rows[0]]), quotes.strike[rows]
            sigma = np.sqrt(surface.total_variance(k[rows], tau) / tau)
            fitted = black.price(quotes.forward[rows], strike, tau, sigma, discount, quotes.is_call[rows])
            fitted = np.where(quoted[rows], fitted, np.nan)
            forward = float(np.median(quotes.forward[rows]))
            found = [
                strip_variance(strike, quotes.is_call[rows], low, high, tau, discount, forward)
                for low, high in ((quotes.bid[rows], quotes.ask[rows]), (fitted, fitted))
            ]
            if found[0].quotes >= LEAST_SLICE and found[0].status == "ok":
                self.swap_gaps.append(float(np.sqrt(found[1].variance) - np.sqrt(found[0].variance)))

    def _judge(self, surface: Surface) -> None:
        tau = surface.tau
        if not tau.size:
            return
        at = [surface.total_variance(GRID[None, :] + h, tau[:, None]) for h in (-STEP, 0.0, STEP)]
        w, first, second = at[1], (at[2] - at[0]) / (2.0 * STEP), (at[2] - 2.0 * at[1] + at[0]) / STEP**2
        g = (1.0 - 0.5 * GRID * first / w) ** 2 - 0.25 * first**2 * (1.0 / w + 0.25) + 0.5 * second
        gap = np.diff(w, axis=0)
        ends = surface.total_variance(FAR[None, :], tau[:, None])
        slopes = np.abs(np.diff(ends, axis=1)[:, [0, -1]]) / np.diff(FAR)[0]
        self.least_g = min(self.least_g, float(g.min()))
        self.least_gap = min(self.least_gap, float(np.min(gap, initial=np.inf)))
        bad = int(np.sum(np.any(g < -1e-6, axis=1))) + int(np.sum(np.any(gap < -1e-14, axis=1)))
        self.grid_violations += bad + int(np.sum(slopes > 2.0)) + int(np.sum(np.diff(ends, axis=0) < 0.0))

    def row(self) -> dict[str, Any]:
        return {
            "snapshots": self.snapshots,
            "otm_quotes": self.otm[0],
            "otm_inside": share(self.otm),
            "all_quotes": self.every[0],
            "all_inside": share(self.every),
            "worst_snapshot": self.worst[0],
            "worst_snapshot_utc": str(np.datetime64(self.worst[1], "ns").astype("datetime64[m]")),
            "buckets": {name: share(pair) for name, pair in self.buckets.items()},
            "bucket_quotes": {name: pair[0] for name, pair in self.buckets.items()},
            "mean_miss_half_spreads": self.misses / max(self.otm[0], 1),
            "mean_miss_of_outside": self.misses / max(self.otm[0] - self.otm[1], 1),
            **self._vol_row(),
            "violations_proved": self.proved_violations,
            "violations_on_grid": self.grid_violations,
            "least_g": self.least_g,
            "least_gap": self.least_gap,
            "status": dict(sorted(self.status.items())),
            "refit_ms_median": float(np.median(self.milliseconds)),
            "refit_ms_p99": float(np.quantile(self.milliseconds, 0.99)),
        }

    def _vol_row(self) -> dict[str, Any]:
        every, near = (100.0 * np.concatenate(parts) for parts in (self.vol_misses, self.near_misses))
        gaps = 100.0 * np.array(self.swap_gaps or [np.nan])
        return {
            "miss_volpt_mean": float(every.mean()),
            "miss_volpt_95": float(np.quantile(every, 0.95)),
            "miss_volpt_worst": float(every.max()),
            "near_miss_volpt_mean": float(near.mean()),
            "near_miss_volpt_95": float(np.quantile(near, 0.95)),
            "near_miss_volpt_worst": float(near.max()),
            "worst_slice_inside": self.worst_slice[0],
            "worst_slice": _place(*self.worst_slice[1:]),
            "farthest_slice_near_volpt": 100.0 * self.farthest_slice[0],
            "farthest_slice": _place(*self.farthest_slice[1:]),
            "swap_less_strip_mean_size": float(np.mean(np.abs(gaps))),
            "swap_less_strip_farthest": float(gaps[np.argmax(np.abs(gaps))]),
            "swaps": len(self.swap_gaps),
            "index_gaps": [round(100.0 * gap, 3) for gap in self.index_gaps],
        }


def _place(asof_ns: int, days: float) -> str:
    return f"{np.datetime64(asof_ns, 'ns').astype('datetime64[m]')} at {days:.1f} days"


def _count(pair: list[int], inside: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
    pair[0] += int(inside.size)
    pair[1] += int(inside.sum())


def share(pair: list[int]) -> float:
    return pair[1] / pair[0] if pair[0] else float("nan")


def measure(name: str, every: int) -> Score:
    score = Score()
    found = snapshots(DATA / RECORDINGS[name], every) if name in RECORDINGS else us_snapshots(name, every)
    for asof, quotes in found:
        if not score.snapshots:
            fit_surface(quotes, asof, name)  # loads the kernels
        began = time.thread_time()
        surface = fit_surface(quotes, asof, name)
        score.milliseconds.append(1e3 * (time.thread_time() - began))
        score.add(asof, quotes, surface)
    return score


def table(name: str, row: dict[str, Any]) -> str:
    lines = [
        f"{name}: {row['snapshots']} snapshots, {row['status']}",
        f"  out of the money  {row['otm_inside']:8.2%} of {row['otm_quotes']:,} two-sided quotes inside bid-ask",
        f"  all               {row['all_inside']:8.2%} of {row['all_quotes']:,}",
    ]
    for bucket, inside in row["buckets"].items():
        lines.append(f"    {bucket:<15} {inside:8.2%} of {row['bucket_quotes'][bucket]:,}")
    lines += [
        f"  worst snapshot    {row['worst_snapshot']:8.2%} at {row['worst_snapshot_utc']}",
        f"  mean miss         {row['mean_miss_half_spreads']:8.4f} half-spreads over all,"
        f" {row['mean_miss_of_outside']:.2f} over those outside",
        f"  miss in vol pts   mean {row['miss_volpt_mean']:.3f}, 95 % {row['miss_volpt_95']:.3f},"
        f" worst {row['miss_volpt_worst']:.2f}; within a deviation of the forward mean {row['near_miss_volpt_mean']:.3f},"
        f" 95 % {row['near_miss_volpt_95']:.3f}, worst {row['near_miss_volpt_worst']:.2f}",
        f"  worst slice       {row['worst_slice_inside']:8.2%} inside, {row['worst_slice']};"
        f" farthest near the forward {row['farthest_slice_near_volpt']:.3f} vol points on average,"
        f" {row['farthest_slice']}",
        f"  arbitrage         {row['violations_proved']} by proof, {row['violations_on_grid']} on the grid;"
        f" least g {row['least_g']:.2e}, least gap {row['least_gap']:.2e}",
        f"  whole-chain refit {row['refit_ms_median']:8.2f} ms median, {row['refit_ms_p99']:.2f} ms 99th percentile",
    ]
    if row["swaps"]:
        lines += [
            f"  strip variance    surface less quotes, vol points: mean size {row['swap_less_strip_mean_size']:.3f},"
            f" farthest {row['swap_less_strip_farthest']:.3f} of {row['swaps']} expiries",
            f"  30-day variance   swap over all strikes less index off the quotes: {row['index_gaps']}",
        ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="take every n-th snapshot of each file")
    sets = [*RECORDINGS, *US_RECORDINGS]
    parser.add_argument(
        "--set",
        nargs="+",
        type=str.upper,
        choices=sets,
        default=list(RECORDINGS),
        help="recordings, BTC and ETH if none",
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    given = parser.parse_args()
    rows = {name: measure(name, given.every).row() for name in given.set}
    if given.json:
        print(json.dumps(rows))
        return
    for name, row in rows.items():
        print(table(name, row))


if __name__ == "__main__":
    main()

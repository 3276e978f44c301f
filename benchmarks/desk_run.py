"""One timed run of our engine over the benchmark's stream: the desk of app/wiring.py, on one core, in this process.

`python benchmarks/desk_run.py --case hedge --options 200 --rows 1000000` prints one line of JSON. The kernels are
loaded by a short run of the same case before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from stream import Stream, StreamSettings, make

from voldesk.adapters.feeds.recording import ColumnFeed
from voldesk.app.config import RunConfig
from voldesk.app.sources import MarketSource
from voldesk.app.wiring import Wired, open_journal, wire
from voldesk.engine.journal import RecordKind

CASES = {
    "hedge": "Greeks of the book and a hedge decision each second",
    "every_quote": "as hedge, and a Python callback on every quote",
    "whole_chain": "as hedge, and bid and ask implied vol and Greeks of all options each second",
}
STRADDLE = ("BTC-30JAN26-90000-C", "BTC-30JAN26-90000-P")
STRADDLE_LOTS = 20  # of 0.1 BTC
BAND = 0.01  # BTC of net delta


def settings_of(case: str) -> RunConfig:
    """The desk: a gamma scalper that takes Greeks and decides each second, on a straddle bought at the start."""
    strategies: list[dict[str, Any]] = [
        {"strategy": "desk_strategies:OpenStraddle", "call": STRADDLE[0], "put": STRADDLE[1], "lots": STRADDLE_LOTS},
        {
            "strategy": "gamma_scalper",
            "underlying": "BTC",
            "hedge_instrument": "BTC-PERPETUAL",
            "band_rule": "fixed",
            "band": BAND,
            "hedge_to": "target",
            "min_spacing": "1s",
            "max_hedges_per_hour": 3600,
            "interval": "1s",
            "refresh": "1s",
        },
    ]
    if case == "every_quote":
        strategies.append({"strategy": "desk_strategies:EveryQuote"})
    if case == "whole_chain":
        strategies.append({"strategy": "desk_strategies:WholeChain", "interval": "1s"})
    return RunConfig.model_validate(
        {
            "name": f"benchmark-{case}",
            "market": {"quote_ttl": "2m", "feed_delay": "2ms"},
            "venue": {"order_latency": "5ms", "report_latency": "5ms", "margin_check": "1m"},
            "engine": {"compute_latency": "100ms", "mark_interval": "5m"},
            "books": [{"name": "bench", "strategies": strategies}],
        }
    )


def wired_desk(case: str, stream: Stream, folder: Path) -> Wired:
    """The same wiring as `voldesk backtest`, on rows held in memory."""
    config = settings_of(case)
    source = MarketSource(
        kind="benchmark",
        table=stream.table,
        feeds=[ColumnFeed(0, stream.ints, stream.floats)],
        seed_prices=None,
        start_ns=int(stream.ints[0, 0]),
        end_ns=int(stream.ints[0, -1]),
    )
    return wire(config, source, open_journal(folder / "journal", config, source, "backtest"), journal_rows=False)


def timed(case: str, stream: Stream) -> dict[str, Any]:
    """Run it once. cpu_s is process time, wall_s what a user waits; both include writing the journal to its file."""
    with tempfile.TemporaryDirectory() as name:
        wired = wired_desk(case, stream, Path(name))
        engine, parts = wired.engine, wired.parts
        wall, cpu = time.perf_counter(), time.process_time()
        engine.run()
        parts.journal.append(RecordKind.END, b"")
        parts.journal.flush()
        cpu_s, wall_s = time.process_time() - cpu, time.perf_counter() - wall
        journal_bytes = sum(path.stat().st_size for path in Path(name).rglob("*.vdj"))
    rows = stream.ints.shape[1]
    assert engine.inbox.rows == rows, f"{engine.inbox.rows} of {rows} rows taken"
    book = parts.ledger.books["bench"]
    strategies = {type(seat.strategy).__name__: seat.strategy for seat in parts.seats.all}
    scalper: Any = strategies["GammaScalper"]
    held = {stream.table[i].symbol: lots for i, lots in book.positions().items()}
    assert all(held.get(symbol) == STRADDLE_LOTS for symbol in STRADDLE), f"the straddle is not held: {held}"
    return {
        "case": case,
        "options": stream.settings.options,
        "rows": rows,
        "seconds": stream.settings.seconds,
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "quotes_per_s": rows / wall_s,
        "quotes_per_cpu_s": rows / cpu_s,
        "hedges": scalper.leg.hedges,
        "net_delta": book.net_delta("BTC"),
        "gamma": scalper.gamma,
        "callbacks": getattr(strategies.get("EveryQuote"), "seen", 0),
        "vols_solved": getattr(strategies.get("WholeChain"), "solved", 0),
        "journal_records": getattr(parts.journal, "records", 0),
        "journal_bytes": journal_bytes,
        "journal_sha256": wired.parts.journal.digest.hexdigest()[:16],  # type: ignore[attr-defined]
        "positions": held,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--case", choices=CASES, default="hedge")
    parser.add_argument("--options", type=int, default=200)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--cpu", type=int, default=None, help="pin to this core")
    parser.add_argument("--profile", action="store_true", help="print where Python time goes instead")
    given = parser.parse_args()
    if given.cpu is not None:
        os.sched_setaffinity(0, {given.cpu})
    timed(given.case, make(StreamSettings.of_rows(20_000, given.options)))
    stream = make(StreamSettings.of_rows(given.rows, given.options))
    if given.profile:
        import cProfile
        import pstats

        profile = cProfile.Profile()
        profile.runcall(timed, given.case, stream)
        pstats.Stats(profile).sort_stats("tottime").print_stats(35)
        return
    print(json.dumps(timed(given.case, stream)))


if __name__ == "__main__":
    main()

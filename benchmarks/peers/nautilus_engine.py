"""The same task in NautilusTrader 2.0.0rc6, in its own environment: one timed run, one line of JSON.

`.benv/nautilus/bin/python benchmarks/peers/nautilus_engine.py --stream FOLDER --case hedge` reads the columns that
`stream.write_for_peers` left. As near to our task as its API goes, in its favour where it is not the same:

* same quotes, same straddle, same latency (5 ms to the venue), same 1 s timer and band, hedged with the perpetual;
* Greeks of the straddle by its own compiled `black_scholes_greeks`, implied vols from the table (a quote tick has none);
* logging, end-of-run analysis and account snapshots off; no journal: it keeps none;
* the case `hedge` subscribes to nothing: prices are read from the cache, which it fills anyway.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from decimal import Decimal
from pathlib import Path

import nautilus_trader
import numpy as np
from nautilus_trader.backtest import BacktestEngine, BacktestEngineConfig
from nautilus_trader.common import LoggerConfig
from nautilus_trader.execution import MakerTakerFeeModel, StaticLatencyModel
from nautilus_trader.model import (
    AccountType,
    CryptoOption,
    CryptoPerpetual,
    Currency,
    InstrumentId,
    Money,
    OmsType,
    OptionKind,
    OrderSide,
    Price,
    Quantity,
    QuoteTick,
    Symbol,
    Venue,
    black_scholes_greeks,
)
from nautilus_trader.trading import Strategy, StrategyConfig

SECOND_NS = 1_000_000_000
YEAR_S = 365 * 86_400
CASES = ("hedge", "every_quote")
VENUE = Venue("DERIBIT")
BTC, USD = Currency.from_str("BTC"), Currency.from_str("USD")
CONTRACT_USD = 10.0
RAW = 10**16


class Hedger(Strategy):
    """Buys the straddle on the first beat, then looks at its Greeks each second and hedges outside the band."""

    def __init__(self, config: StrategyConfig) -> None:
        super().__init__(config)
        self.task: dict = {}
        self.bought = False
        self.hedges = self.quotes = self.fills = self.rejected = 0
        self.perpetual_contracts = 0.0
        self.in_flight = False
        self.delta = self.gamma = self.theta = 0.0

    def on_start(self) -> None:
        if self.task["every_quote"]:
            for instrument_id in self.task["all_ids"]:
                self.subscribe_quotes(instrument_id)
        self.clock.set_timer_ns("hedge", SECOND_NS, callback=self.on_beat)

    def on_quote(self, quote: QuoteTick) -> None:
        self.quotes += 1

    def on_beat(self, event) -> None:
        task = self.task
        quote = self.cache.quote(task["perpetual"])
        if quote is None:
            return
        if not self.bought:
            self.bought = True
            for option in task["straddle"]:
                self.send(option["id"], OrderSide.BUY, task["straddle_size"])
            return
        price = 0.5 * (quote.bid_price.as_double() + quote.ask_price.as_double())
        size, delta, gamma, theta = task["straddle_btc"], 0.0, 0.0, 0.0
        for option in task["straddle"]:
            tau = (option["expiry_ns"] - event.ts_event) / SECOND_NS / YEAR_S
            greeks = black_scholes_greeks(
                price, 0.0, 0.0, option["implied_vol"], option["is_call"], option["strike"], tau
            )
            delta += size * (greeks.delta - greeks.price / price)  # coin-settled: net of the premium
            gamma += size * greeks.gamma
            theta += size * greeks.theta
        delta += self.perpetual_contracts * CONTRACT_USD / price
        self.delta, self.gamma, self.theta = delta, gamma, theta
        if abs(delta) > task["band"] and not self.in_flight:
            contracts = round(abs(delta) * price / CONTRACT_USD)
            if contracts:
                self.in_flight = True
                self.hedges += 1
                side = OrderSide.SELL if delta > 0.0 else OrderSide.BUY
                self.send(task["perpetual"], side, Quantity.from_str(str(contracts)))

    def send(self, instrument_id: InstrumentId, side: OrderSide, size: Quantity) -> None:
        self.submit_order(self.order_factory.market(instrument_id, side, size))

    def on_order_filled(self, event) -> None:
        self.fills += 1
        if event.instrument_id == self.task["perpetual"]:
            signed = event.last_qty.as_double()
            self.perpetual_contracts += signed if event.order_side == OrderSide.BUY else -signed
            self.in_flight = False

    def on_order_rejected(self, event) -> None:
        self.rejected += 1
        self.in_flight = False

    on_order_denied = on_order_rejected


def instrument_of(item: dict, instrument_id: InstrumentId) -> CryptoOption | CryptoPerpetual:
    """Deribit's coin-settled contracts."""
    symbol = Symbol(item["symbol"])
    margins = {"margin_init": Decimal("0.05"), "margin_maint": Decimal("0.03")}
    if not item["is_option"]:
        return CryptoPerpetual(
            instrument_id=instrument_id,
            raw_symbol=symbol,
            base_currency=BTC,
            quote_currency=USD,
            settlement_currency=BTC,
            is_inverse=True,
            price_precision=1,
            size_precision=0,
            price_increment=Price.from_str("0.5"),
            size_increment=Quantity.from_str("1"),
            multiplier=Quantity.from_str("10"),
            ts_event=0,
            ts_init=0,
            **margins,
        )
    return CryptoOption(
        instrument_id=instrument_id,
        raw_symbol=symbol,
        underlying=BTC,
        quote_currency=BTC,
        settlement_currency=BTC,
        is_inverse=False,  # quoted and settled in coin: what it pays is size x price, without a conversion
        option_kind=OptionKind.CALL if item["is_call"] else OptionKind.PUT,
        strike_price=Price.from_str(f"{item['strike']:.1f}"),
        activation_ns=0,
        expiration_ns=item["expiry_ns"],
        price_precision=4,
        size_precision=1,
        price_increment=Price.from_str("0.0001"),
        size_increment=Quantity.from_str("0.1"),
        ts_event=0,
        ts_init=0,
        **margins,
    )


def read_quotes(folder: Path, listing: list[dict], ids: list[InstrumentId], first: int | None) -> list[QuoteTick]:
    """Quote ticks of the stream, or of its first rows; not timed."""
    columns = {path.stem: np.load(path)[:first] for path in folder.glob("*.npy")}
    option = np.array([item["is_option"] for item in listing])[columns["instrument"]]
    price_digits, size_digits = np.where(option, 4, 1), np.where(option, 1, 0)

    def raw(name: str, digits: np.ndarray) -> list[int]:
        units = np.rint(columns[name] * 10.0**digits).astype(np.int64).tolist()
        return [unit * 10 ** (16 - digit) for unit, digit in zip(units, digits.tolist(), strict=True)]

    bids, asks = raw("bid", price_digits), raw("ask", price_digits)
    bid_sizes, ask_sizes = raw("bid_size", size_digits), raw("ask_size", size_digits)
    instruments = columns["instrument"].tolist()
    events, receipts = columns["ts_event_ns"].tolist(), columns["ts_recv_ns"].tolist()
    places, places_of_size = price_digits.tolist(), size_digits.tolist()
    make = QuoteTick.from_raw
    return [
        make(
            ids[instruments[i]],
            bids[i],
            asks[i],
            places[i],
            places[i],
            bid_sizes[i],
            ask_sizes[i],
            places_of_size[i],
            places_of_size[i],
            events[i],
            receipts[i],
        )
        for i in range(len(instruments))
    ]


def timed(folder: Path, case: str, straddle: list[str], lots: int, band: float, first: int | None = None) -> dict:
    """One run over the stream, or over its first rows."""
    described = json.loads((folder / "listing.json").read_text())
    listing = described["instruments"]
    ids = [InstrumentId(Symbol(item["symbol"]), VENUE) for item in listing]
    engine = BacktestEngine(
        BacktestEngineConfig(logging=LoggerConfig(bypass_logging=True), bypass_logging=True, run_analysis=False)
    )
    engine.add_venue(
        venue=VENUE,
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        starting_balances=[Money(10.0, BTC), Money(0.0, USD)],
        default_leverage=Decimal(10),
        fee_model=MakerTakerFeeModel(Decimal("0.0003"), Decimal("0.0003")),
        latency_model=StaticLatencyModel(base_latency_nanos=5_000_000),
    )
    by_symbol = {}
    for item, instrument_id in zip(listing, ids, strict=True):
        engine.add_instrument(instrument_of(item, instrument_id))
        by_symbol[item["symbol"]] = item | {"id": instrument_id}
    task = {
        "every_quote": case == "every_quote",
        "all_ids": ids,
        "perpetual": ids[-1],
        "straddle": [by_symbol[symbol] for symbol in straddle],
        "straddle_size": Quantity.from_str(f"{lots / 10:.1f}"),
        "straddle_btc": lots / 10,
        "band": band,
    }
    strategy = Hedger(StrategyConfig(log_events=False, log_commands=False))
    strategy.task = task
    engine.add_strategy(strategy)
    quotes = read_quotes(folder, listing, ids, first)
    engine.add_data(quotes)
    rows = len(quotes)
    del quotes
    wall, cpu = time.perf_counter(), time.process_time()
    engine.run()
    cpu_s, wall_s = time.process_time() - cpu, time.perf_counter() - wall
    engine.dispose()
    return {
        "case": case,
        "version": nautilus_trader.__version__,
        "rows": rows,
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "quotes_per_s": rows / wall_s,
        "quotes_per_cpu_s": rows / cpu_s,
        "hedges": strategy.hedges,
        "fills": strategy.fills,
        "rejected": strategy.rejected,
        "net_delta": strategy.delta,
        "gamma": strategy.gamma,
        "callbacks": strategy.quotes,
        "perpetual_contracts": strategy.perpetual_contracts,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="NautilusTrader on the benchmark's stream")
    parser.add_argument("--stream", type=Path, required=True)
    parser.add_argument("--case", choices=CASES, default="hedge")
    parser.add_argument("--straddle", nargs=2, required=True)
    parser.add_argument("--lots", type=int, required=True)
    parser.add_argument("--band", type=float, required=True)
    parser.add_argument("--cpu", type=int, default=None, help="pin to this core")
    given = parser.parse_args()
    if given.cpu is not None:
        os.sched_setaffinity(0, {given.cpu})
    task = (given.stream, given.case, given.straddle, given.lots, given.band)
    timed(*task, first=20_000)  # its first run in a process is up to half a second slower
    print(json.dumps(timed(*task)))


if __name__ == "__main__":
    main()

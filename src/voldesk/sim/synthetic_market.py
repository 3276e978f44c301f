"""A seeded market that behaves like Deribit's BTC options: a Feed for demos, tests and benchmarks.

Underlying: Bates dynamics with calm and stressed regimes (`dynamics`). Chain: re-priced at every chain step with
the Bates model (`pricing.fourier`) off a variance that stands at a wandering premium over the physical one, with a
small relative noise per expiry that is in mark and quotes, and one per strike that is in the quotes only
(`spreads`). Trades lean with the price (`order_flow`). What is listed rolls as time goes on (`listing`).

Mark prices are the model's, rounded to 4 decimals of a coin; mark volatilities are those of the unrounded model
price, rounded to 1e-4. The averaging of the delivery price is not priced in the last half hour; the INDEX column
lets the exchange average it. Everything derives from the seed through named streams; the rows do not depend on how
they are cut into blocks.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from voldesk.core.arrays import FloatArray, IntArray
from voldesk.core.blocks import Block, empty_block
from voldesk.core.errors import InputError
from voldesk.core.ports import State
from voldesk.core.rng import random_stream
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_SECOND, NS_PER_YEAR
from voldesk.instruments.table import InstrumentTable
from voldesk.pricing import black
from voldesk.pricing.implied_vol import implied_vol
from voldesk.pricing.transform import fourier
from voldesk.pricing.transform.fourier_kernels import PARAMETERS
from voldesk.sim import dynamics, order_flow, spreads
from voldesk.sim.dynamics import LOG_PREMIUM, LOG_SPOT, REGIME, VARIANCE
from voldesk.sim.listing import build_listing
from voldesk.sim.synthetic_config import SyntheticConfig
from voldesk.sim.synthetic_history import DailyHistory, daily_history

_TOLERANCE: Final = 1e-11  # of the pricer, relative to the forward: a tick is 1e-4
_WORTHLESS: Final = 1e-8  # time value below this share of the forward has no readable volatility
_LEAST_TAU: Final = (
    60 * NS_PER_SECOND / NS_PER_YEAR
)  # of the pricer: the last minute's integral is long, its time value nil
_STREAMS: Final = ("path normals", "path uniforms", "flow normals", "flow uniforms", "quotes")


class SyntheticMarket:
    """See the module. `table` holds every instrument the run may list; perpetual id 0, then puts and calls by expiry.

    >>> market = SyntheticMarket(SyntheticConfig(), seed=7)
    >>> block = market.next_block()
    """

    def __init__(self, config: SyntheticConfig, seed: int) -> None:
        self.config = config
        self.seed = seed
        self._listing = build_listing(config)
        self._regimes = dynamics.regime_rows(config)
        self._factors = dynamics.factor_row(config)
        self._streams = [random_stream(seed, "synthetic market", name) for name in _STREAMS]
        self._per_chain = config.chain_step_ns // config.step_ns
        self._dt = config.step_ns / NS_PER_YEAR
        self._clock = np.array([config.step_ns, config.feed_delay_ns, config.feed_jitter_ns], np.int64)
        self._rates = np.array([config.perpetual_trades_per_s, config.flow_follows_move, config.perpetual_size])
        self._grids = [_grid(self.table, 0), _grid(self.table, 1)]
        slots = self._listing.strike.size
        self._cursor = 0  # next step
        self._change_step = 0  # step at which the listing is next looked at
        self._path = dynamics.start_state(config)
        self._before = math.nan  # log price one step ago
        self._chain_before = self._path[LOG_SPOT]
        self._running = np.array([0, 1], np.int64)  # last receive time, next group
        self._standing = np.zeros((len(self.table), spreads.STANDING_COLUMNS), np.int64)
        self._open_interest = np.zeros(len(self.table))
        self._listed = np.zeros(slots, np.bool_)
        self._expiry_noise = np.zeros(self._listing.expiry_ns.size)
        self._strike_noise = np.zeros(slots)
        self._index_live()

    @property
    def source(self) -> int:
        return self.config.source

    @property
    def table(self) -> InstrumentTable:
        return self._listing.table

    def next_block(self) -> Block | None:
        """The rows of the next `block_steps` steps, fewer where the listing changes; None after the last step."""
        config, cursor = self.config, self._cursor
        if cursor > config.steps:
            return None
        now_ns = config.start_ns + cursor * config.step_ns
        withdrawn = np.empty(0, np.int64)
        relist = cursor == self._change_step
        if relist:
            withdrawn = self._relist(now_ns)
        count = min(config.block_steps, config.steps + 1 - cursor, self._change_step - cursor)
        rows = self._evolve(count)
        refreshes = count // self._per_chain + 1
        most = count * (1 + order_flow.MOST_TRADES) + 2 * withdrawn.size
        most += refreshes * (2 * self._slots.size + order_flow.MOST_OPTION_TRADES)
        block = empty_block(config.source, most)
        used = self._fill(block, rows, now_ns, withdrawn, relist)
        self._cursor = cursor + count
        return block.cut(0, used)

    def _evolve(self, count: int) -> FloatArray:
        """Path rows of the next `count` steps; the very first step is the start itself."""
        rows = np.empty((count, dynamics.PATH_COLUMNS))
        first = 0
        if self._cursor == 0:
            rows[0] = self._path
            first = 1
        normals = self._streams[0].standard_normal((count - first, dynamics.NORMALS))
        uniforms = self._streams[1].random((count - first, dynamics.UNIFORMS))
        dynamics.evolve(self._path, self._regimes, self._factors, self._dt, normals, uniforms, rows[first:])
        return rows

    def _fill(self, block: Block, rows: FloatArray, first_ns: int, withdrawn: IntArray, relist: bool) -> int:
        """Write all rows of the block; returns how many."""
        count = rows.shape[0]
        normals = self._streams[2].standard_normal((count, order_flow.FLOW_NORMALS))
        uniforms = self._streams[3].random((count, order_flow.FLOW_UNIFORMS))
        step_ns, per_chain = self.config.step_ns, self._per_chain
        used = done = 0
        while done < count:
            # Up to and including the next step at which the chain is refreshed.
            stop = min(done + (-(self._cursor + done)) % per_chain + 1, count)
            used = order_flow.perpetual_rows(
                rows[done:stop],
                first_ns + done * step_ns,
                self._clock,
                self._rates,
                normals[done:stop],
                uniforms[done:stop],
                self._grids[0],
                self._before,
                self._running,
                self._standing[0],
                block.ints,
                block.floats,
                used,
            )
            self._before = float(rows[stop - 1, LOG_SPOT])
            if (self._cursor + stop - 1) % per_chain == 0:
                now_ns = first_ns + (stop - 1) * step_ns
                if withdrawn.size:
                    used = self._withdraw(block, withdrawn, now_ns, used)
                    withdrawn = withdrawn[:0]
                number = (self._cursor + stop - 1) // per_chain
                whole = relist or number % self.config.snapshot_steps == 0
                used = self._refresh_chain(block, rows[stop - 1], now_ns, whole, used)
                relist = False
            done = stop
        return used

    def _times(self, now_ns: int) -> IntArray:
        """Event, receive and group of a chain group at `now_ns`, sent right behind the perpetual's."""
        receive = max(int(self._running[0]), now_ns)
        times = np.array([now_ns, receive, self._running[1]], np.int64)
        self._running[0] = receive
        self._running[1] += 1
        return times

    def _withdraw(self, block: Block, slots: IntArray, now_ns: int, used: int) -> int:
        times = self._times(now_ns)
        return spreads.withdraw(slots, times, self._standing, block.ints, block.floats, used)

    def _refresh_chain(self, block: Block, path: FloatArray, now_ns: int, whole: bool, used: int) -> int:
        """Trades since the last refresh, then the re-quoted chain as one group."""
        config, slots, stream = self.config, self._slots, self._streams[4]
        elapsed = self._dt * self._per_chain
        move, self._chain_before = path[LOG_SPOT] - self._chain_before, float(path[LOG_SPOT])
        premium = math.exp(path[LOG_PREMIUM])
        level = spreads.spread_level(path[VARIANCE], premium, path[REGIME])
        used = order_flow.option_trades(
            slots,
            config.option_trades_per_hour * config.chain_step_ns / NS_PER_HOUR * level,
            order_flow.lean(move, path[VARIANCE], elapsed, config.flow_follows_move),
            stream.random(order_flow.OPTION_UNIFORMS),
            stream.standard_normal(order_flow.MOST_OPTION_TRADES),
            self._grids[1],
            now_ns,
            self._running,
            self._standing,
            self._open_interest,
            block.ints,
            block.floats,
            used,
        )
        if slots.size == 0:
            return used
        self._wander(stream)
        expiry, time_value, sigma = self._price(path, now_ns)
        deviation = math.sqrt(max(path[VARIANCE], dynamics.LEAST_VARIANCE) * premium)
        settings = np.array(
            [
                config.half_spread_vol,
                level,
                config.option_size,
                config.requote_share,
                round(math.exp(path[LOG_SPOT]), 2),
                deviation,
            ]
        )
        times = self._times(now_ns)
        return spreads.quote_chain(
            slots,
            self._listing.strike,
            self._starts,
            expiry,
            time_value,
            sigma,
            self._strike_noise,
            stream.standard_normal((slots.size, 4)),
            stream.random((slots.size, 2)),
            settings,
            self._grids[1],
            times,
            whole,
            self._standing,
            self._open_interest,
            block.ints,
            block.floats,
            used,
        )

    def _wander(self, stream: np.random.Generator) -> None:
        """One step of the mean-reverting noise of live expiries and strikes."""
        config = self.config
        seconds = config.chain_step_ns / NS_PER_SECOND
        for noise, live, deviation, half_life in (
            (self._expiry_noise, self._expiries, config.expiry_noise, config.expiry_noise_half_life_s),
            (self._strike_noise, self._slots, config.strike_noise, config.strike_noise_half_life_s),
        ):
            keep = 0.5 ** (seconds / half_life)
            kick = deviation * math.sqrt(1.0 - keep * keep)
            noise[live] = noise[live] * keep + kick * stream.standard_normal(live.size)

    def _price(self, path: FloatArray, now_ns: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(tau, forward) per live expiry, and per live slot the out-of-the-money value in USD and its volatility."""
        tau = np.maximum((self._listing.expiry_ns[self._expiries] - now_ns) / NS_PER_YEAR, _LEAST_TAU)
        forward = np.round(np.exp(path[LOG_SPOT] + path[dynamics.CARRY] * tau), 2)
        models = np.empty((tau.size, PARAMETERS))
        most = 3.0 * self.config.expiry_noise
        noise = np.clip(self._expiry_noise[self._expiries], -most, most)
        dynamics.risk_neutral_models(path, self._regimes, tau, noise, models)
        correction, control = np.empty(self._slots.size), np.empty(tau.size)
        each_forward, each_tau = forward[self._position], tau[self._position]
        strike = self._listing.strike[self._slots]
        fourier.corrections(self._starts, tau, models, np.log(each_forward / strike), _TOLERANCE, correction, control)
        is_call = strike >= each_forward
        value = black.price(each_forward, strike, each_tau, control[self._position], 1.0, is_call)
        value += np.sqrt(each_forward * strike) * correction
        assert np.isfinite(value).all(), "the Bates pricer ran out of nodes"
        value = np.maximum(value, 0.0)
        sigma, _ = implied_vol(value, each_forward, strike, each_tau, 1.0, is_call)
        sigma[value < _WORTHLESS * each_forward] = np.nan
        return np.array([tau, forward]), value, sigma

    def _relist(self, now_ns: int) -> IntArray:
        """Drop what has expired and list what is due; returns the slots whose quotes have to be withdrawn."""
        listed = self._listed
        earlier = listed.copy()
        self._listing.live(now_ns, math.exp(self._path[LOG_SPOT]), listed)
        if self._cursor == 0:
            self._open_interest[1:] = self._first_open_interest() * np.repeat(listed, 2)
        self._index_live()
        config = self.config
        ahead = self._listing.next_change_ns(now_ns) - config.start_ns
        self._change_step = -(-ahead // config.chain_step_ns) * self._per_chain
        gone = np.flatnonzero(earlier & ~listed)
        self._open_interest[1 + 2 * gone] = 0.0
        self._open_interest[2 + 2 * gone] = 0.0
        return gone

    def _first_open_interest(self) -> FloatArray:
        """Contracts open at the start, by option: most near the money. Later listings start at zero."""
        stream = random_stream(self.seed, "synthetic market", "open interest")
        listing, config = self._listing, self.config
        tau = np.maximum(listing.expiry_ns[listing.expiry] - config.start_ns, NS_PER_DAY) / NS_PER_YEAR
        distance = np.log(listing.strike / config.spot) / (config.implied_vol * np.sqrt(tau))
        typical = np.repeat(400.0 * np.exp(-0.25 * distance**2), 2)
        return np.asarray(np.round(typical * np.exp(0.6 * stream.standard_normal(typical.size)), 1))

    def _index_live(self) -> None:
        """Index arrays of what is listed: slots, their expiries, where each expiry begins."""
        self._slots: IntArray = np.flatnonzero(self._listed).astype(np.int64)
        expiries, starts, position = np.unique(
            self._listing.expiry[self._slots], return_index=True, return_inverse=True
        )
        self._expiries: IntArray = expiries
        self._position: IntArray = position.astype(np.int64)
        self._starts: IntArray = np.append(starts, self._slots.size).astype(np.int64)

    def history(self, days: int) -> DailyHistory:
        """Daily index prices for `days` whole UTC days before the start; see `synthetic_history`."""
        return daily_history(self.config, self.seed, days)

    def state(self) -> State:
        return {
            "seed": self.seed,
            "start_ns": self.config.start_ns,
            "instruments": len(self.table),
            "cursor": self._cursor,
            "change_step": self._change_step,
            "path": self._path.copy(),
            "before": self._before,
            "chain_before": float(self._chain_before),
            "running": self._running.copy(),
            "standing": self._standing.copy(),
            "open_interest": self._open_interest.copy(),
            "listed": self._listed.copy(),
            "expiry_noise": self._expiry_noise.copy(),
            "strike_noise": self._strike_noise.copy(),
            "streams": [stream.bit_generator.state for stream in self._streams],
        }

    def restore(self, state: State) -> None:
        """Go on exactly where `state` was taken. Raises InputError for the state of another market."""
        mine = (self.seed, self.config.start_ns, len(self.table))
        theirs = (state["seed"], state["start_ns"], state["instruments"])
        if mine != theirs:
            raise InputError(
                f"synthetic market of (seed, start, instruments) {theirs} cannot continue as {mine}; "
                "restore it with the settings and seed of its run."
            )
        self._cursor, self._change_step = state["cursor"], state["change_step"]
        self._before, self._chain_before = state["before"], state["chain_before"]
        self._path = np.array(state["path"])
        self._running = np.array(state["running"])
        self._standing = np.array(state["standing"])
        self._open_interest = np.array(state["open_interest"])
        self._listed = np.array(state["listed"])
        self._expiry_noise = np.array(state["expiry_noise"])
        self._strike_noise = np.array(state["strike_noise"])
        for stream, saved in zip(self._streams, state["streams"], strict=True):
            stream.bit_generator.state = saved
        self._index_live()


def _grid(table: InstrumentTable, instrument: int) -> FloatArray:
    """Tick and lot grid of one instrument, for the kernels."""
    terms = table[instrument]
    steps = tuple((float(start), float(tick)) for start, tick in terms.ticks.steps)
    return spreads.tick_grid(float(terms.ticks.base), steps, float(terms.lot))

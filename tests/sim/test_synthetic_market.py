"""The synthetic market as a Feed: same bytes from the same seed, atomic groups, sane quotes, rolling expiries."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.blocks import Block, FloatColumn, IntColumn, RowFlag
from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_SECOND, NS_PER_YEAR
from voldesk.instruments.spec import Kind
from voldesk.sim.synthetic_config import CALM, STRESSED, Regime, SyntheticConfig
from voldesk.sim.synthetic_market import SyntheticMarket

SHORT = SyntheticConfig(duration_ns=5 * NS_PER_MINUTE)
SLOW = SyntheticConfig(
    start_ns=1_767_571_200_000_000_000 + 3 * NS_PER_DAY,  # Thursday: two expiries inside nine days
    duration_ns=9 * NS_PER_DAY,
    step_ns=5 * NS_PER_MINUTE,
    chain_step_ns=30 * NS_PER_MINUTE,
    snapshot_steps=4,
)


def _read(market: SyntheticMarket, most: int = 10**9) -> Block:
    """All rows, or those of the first `most` blocks, as one block."""
    blocks = []
    while len(blocks) < most and (block := market.next_block()) is not None:
        blocks.append(block)
    ints = np.concatenate([block.ints for block in blocks], axis=1)
    return Block(0, ints, np.concatenate([block.floats for block in blocks], axis=1))


def _bytes(block: Block) -> bytes:
    return block.ints.tobytes() + block.floats.tobytes()


def _options(market: SyntheticMarket, block: Block) -> tuple[Block, np.ndarray]:
    """Quote rows of options and their ids, without those that withdraw a quote."""
    kind = market.table.kind[block.ints[IntColumn.INSTRUMENT]]
    flags = block.ints[IntColumn.FLAGS]
    wanted = (kind == int(Kind.OPTION)) & (flags & int(RowFlag.QUOTE) > 0) & (flags & int(RowFlag.MARK) > 0)
    chosen = Block(0, block.ints[:, wanted], block.floats[:, wanted])
    return chosen, chosen.ints[IntColumn.INSTRUMENT]


@pytest.fixture(scope="module")
def short() -> tuple[SyntheticMarket, Block]:
    market = SyntheticMarket(SHORT, seed=11)
    return market, _read(market)


@pytest.fixture(scope="module")
def slow() -> tuple[SyntheticMarket, Block]:
    market = SyntheticMarket(SLOW, seed=3)
    return market, _read(market)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(short: tuple[SyntheticMarket, Block]) -> None:
    assert _bytes(_read(SyntheticMarket(SHORT, seed=11))) == _bytes(short[1])
    assert _bytes(_read(SyntheticMarket(SHORT, seed=12))) != _bytes(short[1])


@pytest.mark.parametrize("block_steps", [1, 7, 1000])
def test_rows_do_not_depend_on_the_size_of_blocks(short: tuple[SyntheticMarket, Block], block_steps: int) -> None:
    config = dataclasses.replace(SHORT, block_steps=block_steps)
    assert _bytes(_read(SyntheticMarket(config, seed=11))) == _bytes(short[1])


@pytest.mark.parametrize("block_steps", [3, 500])
def test_nor_where_expiries_roll(slow: tuple[SyntheticMarket, Block], block_steps: int) -> None:
    config = dataclasses.replace(SLOW, block_steps=block_steps)
    assert _bytes(_read(SyntheticMarket(config, seed=3))) == _bytes(slow[1])


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 40), st.integers(1, 90))
def test_a_restored_market_goes_on_with_the_same_bytes(pulled: int, block_steps: int) -> None:
    config = dataclasses.replace(SLOW, block_steps=block_steps, duration_ns=3 * NS_PER_DAY)
    market = SyntheticMarket(config, seed=5)
    for _ in range(pulled):
        market.next_block()
    state = market.state()
    market.next_block()  # the state is a copy: going on does not touch it
    resumed, again = SyntheticMarket(config, seed=5), SyntheticMarket(config, seed=5)
    resumed.restore(state)
    again.restore(state)
    for _ in range(4):
        first, second = resumed.next_block(), again.next_block()
        assert (first is None) == (second is None)
        assert first is None or second is None or _bytes(first) == _bytes(second)
    fresh = SyntheticMarket(config, seed=5)
    for _ in range(pulled + 1):
        expected = fresh.next_block()
    restored = SyntheticMarket(config, seed=5)
    restored.restore(state)
    got = restored.next_block()
    assert (got is None) == (expected is None)
    assert got is None or expected is None or _bytes(got) == _bytes(expected)


def test_a_state_of_another_seed_is_refused() -> None:
    with pytest.raises(InputError, match="cannot continue"):
        SyntheticMarket(SHORT, seed=1).restore(SyntheticMarket(SHORT, seed=2).state())


@pytest.mark.parametrize("which", ["short", "slow"])
def test_times_rise_and_nothing_arrives_before_it_happens(which: str, request: pytest.FixtureRequest) -> None:
    block = request.getfixturevalue(which)[1]
    event, receive = block.ints[IntColumn.TS_EVENT_NS], block.ints[IntColumn.TS_RECV_NS]
    assert np.all(np.diff(event) >= 0)
    assert np.all(np.diff(receive) >= 0)
    assert np.all(event <= receive)


@pytest.mark.parametrize("which", ["short", "slow"])
def test_groups_are_whole_contiguous_and_share_their_times(which: str, request: pytest.FixtureRequest) -> None:
    block = request.getfixturevalue(which)[1]
    group, flags = block.ints[IntColumn.GROUP], block.ints[IntColumn.FLAGS]
    ends = flags & int(RowFlag.GROUP_END) > 0
    changes = np.append(np.diff(group) != 0, True)
    assert np.array_equal(ends, changes)
    assert np.all(np.diff(group) >= 0)
    inside = ~changes[:-1]
    for column in (IntColumn.TS_EVENT_NS, IntColumn.TS_RECV_NS):
        assert np.all(np.diff(block.ints[column])[inside] == 0)
    assert np.all(flags[flags & int(RowFlag.SNAPSHOT) > 0] & int(RowFlag.GROUP_END) > 0)


@pytest.mark.parametrize("which", ["short", "slow"])
def test_no_quote_is_crossed_and_the_mark_lies_between(which: str, request: pytest.FixtureRequest) -> None:
    market, block = request.getfixturevalue(which)
    chain, ids = _options(market, block)
    bid, ask, mark = (chain.floats[column] for column in (FloatColumn.BID, FloatColumn.ASK, FloatColumn.MARK))
    assert np.all(ask > 0.0)
    assert not np.any(bid >= ask)
    assert np.all(np.where(np.isnan(bid), 0.0, bid) <= mark + 1e-12)
    assert np.all(mark <= ask + 1e-12)
    two_sided = ~np.isnan(bid)
    assert two_sided.mean() > 0.9
    for column in (FloatColumn.BID_SIZE, FloatColumn.ASK_SIZE):
        size = chain.floats[column][two_sided]
        assert np.all(size >= 0.1)
        assert np.max(np.abs(size * 10.0 - np.round(size * 10.0))) < 1e-9
    for price in (bid[two_sided], ask):
        ticks = np.array([market.table[int(i)].ticks.nearest(p) for i, p in zip(ids[:200], price[:200], strict=False)])
        assert all(market.table[int(i)].ticks.is_valid(int(t)) for i, t in zip(ids[:200], ticks, strict=True))


def test_the_perpetual_is_quoted_every_step_around_its_mark(short: tuple[SyntheticMarket, Block]) -> None:
    block = short[1]
    rows = (block.ints[IntColumn.INSTRUMENT] == 0) & (block.ints[IntColumn.FLAGS] & int(RowFlag.QUOTE) > 0)
    assert rows.sum() == SHORT.steps + 1
    assert np.all(np.diff(block.ints[IntColumn.TS_EVENT_NS][rows]) == SHORT.step_ns)
    bid, ask, mark = (block.floats[column][rows] for column in (FloatColumn.BID, FloatColumn.ASK, FloatColumn.MARK))
    assert np.all((bid < mark) & (mark < ask))
    assert np.max(np.abs(mark / block.floats[FloatColumn.INDEX][rows] - 1.0)) < 2e-4
    assert np.max(ask - bid) < 10.0


def test_snapshots_hold_the_whole_live_chain_and_updates_only_what_changed(
    short: tuple[SyntheticMarket, Block],
) -> None:
    block = short[1]
    group, flags = block.ints[IntColumn.GROUP], block.ints[IntColumn.FLAGS]
    whole = group[flags & int(RowFlag.SNAPSHOT) > 0]
    assert whole.size == SHORT.steps // SHORT.snapshot_steps + 1
    sizes = [int((group == number).sum()) for number in whole]
    assert set(sizes) == {2 * 6 * SHORT.strikes}
    last: dict[int, bytes] = {}
    sent_again = 0
    for row in np.flatnonzero((block.ints[IntColumn.INSTRUMENT] > 0) & (flags & int(RowFlag.QUOTE) > 0)):
        values = block.floats[: int(FloatColumn.FORWARD), row].tobytes()
        instrument = int(block.ints[IntColumn.INSTRUMENT, row])
        if group[row] not in whole and last.get(instrument) == values:
            sent_again += 1
        last[instrument] = values
    # A size drawn anew may come out as it was: a few per ten thousand.
    assert sent_again < 0.005 * len(block)


def test_total_variance_rises_with_expiry_at_the_money(slow: tuple[SyntheticMarket, Block]) -> None:
    market, block = slow
    group = block.ints[IntColumn.GROUP]
    for number in group[block.ints[IntColumn.FLAGS] & int(RowFlag.SNAPSHOT) > 0]:
        rows = np.flatnonzero(group == number)
        ids = block.ints[IntColumn.INSTRUMENT, rows]
        expiry, strike = market.table.expiry_ns[ids], market.table.strike[ids]
        now = int(block.ints[IntColumn.TS_EVENT_NS, rows[0]])
        previous = 0.0
        for instant in np.unique(expiry):
            mine = expiry == instant
            forward = block.floats[FloatColumn.FORWARD, rows[mine]]
            nearest = int(np.argmin(np.abs(np.log(strike[mine] / forward))))
            total = block.floats[FloatColumn.MARK_IV, rows[mine]][nearest] ** 2 * (instant - now) / NS_PER_YEAR
            assert total > previous
            previous = total


def test_expired_options_withdraw_their_quotes_and_new_expiries_are_listed(slow: tuple[SyntheticMarket, Block]) -> None:
    market, block = slow
    event, ids = block.ints[IntColumn.TS_EVENT_NS], block.ints[IntColumn.INSTRUMENT]
    expiry = market.table.expiry_ns[ids]
    gone = (expiry > 0) & (event >= expiry)
    assert np.all(np.isnan(block.floats[:, gone]))
    assert np.all(block.ints[IntColumn.FLAGS, gone] & int(RowFlag.QUOTE) > 0)
    assert np.all(event[gone] == expiry[gone])  # 08:00 lies on the chain's grid
    quoted = {int(i) for i in ids[~gone & (expiry > 0)]}
    due = {i for i in quoted if market.table.expiry_ns[i] <= SLOW.end_ns}
    assert due == {int(i) for i in ids[gone]}
    assert len({int(market.table.expiry_ns[i]) for i in due}) == 2
    first_seen = {int(expiry[row]): int(event[row]) for row in np.flatnonzero(expiry > 0)[::-1]}
    assert sum(seen > SLOW.start_ns for seen in first_seen.values()) == 2
    # Each Friday the chain is back to the configured number of expiries.
    last_snapshot = block.ints[IntColumn.GROUP][block.ints[IntColumn.FLAGS] & int(RowFlag.SNAPSHOT) > 0][-1]
    assert len(np.unique(expiry[block.ints[IntColumn.GROUP] == last_snapshot])) == 6


def test_strikes_are_added_where_spot_moves() -> None:
    wild = Regime(1.2, 10.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1e6)
    config = dataclasses.replace(SLOW, calm=wild, stressed=wild, implied_vol=1.2, variance_premium=1.0)
    market = SyntheticMarket(config, seed=2)
    block = _read(market)
    ids, event = block.ints[IntColumn.INSTRUMENT], block.ints[IntColumn.TS_EVENT_NS]
    rows = np.flatnonzero(ids > 0)
    seen: dict[int, int] = {}
    for row in rows:
        seen.setdefault(int(ids[row]), int(event[row]))
    last = config.start_ns + 4 * NS_PER_DAY
    later = [i for i, first in seen.items() if first > config.start_ns and market.table.expiry_ns[i] > last]
    assert later
    assert {first % NS_PER_DAY for first in seen.values() if first > config.start_ns} == {8 * NS_PER_HOUR}


def test_feed_delay_is_the_configured_one_with_jitter() -> None:
    config = dataclasses.replace(SHORT, feed_delay_ns=5_000_000, feed_jitter_ns=4_000_000)
    block = _read(SyntheticMarket(config, seed=1))
    rows = (block.ints[IntColumn.INSTRUMENT] == 0) & (block.ints[IntColumn.FLAGS] & int(RowFlag.QUOTE) > 0)
    late = (block.ints[IntColumn.TS_RECV_NS] - block.ints[IntColumn.TS_EVENT_NS])[rows]
    assert late.min() >= 5_000_000
    assert late.max() < 9_000_000
    assert late.std() > 500_000


def test_mispricing_wanders_inside_the_spread() -> None:
    config = dataclasses.replace(
        SHORT, duration_ns=2 * NS_PER_HOUR, step_ns=10 * NS_PER_SECOND, chain_step_ns=60 * NS_PER_SECOND
    )
    market = SyntheticMarket(config, seed=4)
    chain, ids = _options(market, _read(market))
    bid, ask = chain.floats[FloatColumn.BID], chain.floats[FloatColumn.ASK]
    two_sided = ~np.isnan(bid)
    lean = (0.5 * (bid + ask) - chain.floats[FloatColumn.MARK]) / (0.5 * (ask - bid))
    assert np.max(np.abs(lean[two_sided])) <= 1.0 + 1e-9
    assert 0.05 < lean[two_sided].std() < 0.6
    # It persists: the same option leans the same way a minute later.
    pairs = [lean[(ids == i) & two_sided] for i in np.unique(ids)]
    first = np.concatenate([p[:-1] for p in pairs])
    second = np.concatenate([p[1:] for p in pairs])
    assert np.corrcoef(first, second)[0, 1] > 0.3


def test_a_stressed_start_widens_every_spread() -> None:
    widths: list[dict[str, float]] = []
    for stressed, implied in ((False, 0.45), (True, 0.75)):
        config = dataclasses.replace(SHORT, duration_ns=NS_PER_SECOND, start_stressed=stressed, implied_vol=implied)
        market = SyntheticMarket(config, seed=8)
        chain, ids = _options(market, _read(market, 1))
        width = chain.floats[FloatColumn.ASK] - chain.floats[FloatColumn.BID]
        widths.append({market.table[int(i)].symbol: float(w) for i, w in zip(ids, width, strict=True) if w == w})
    common = [
        symbol
        for symbol in widths[0]
        if symbol in widths[1] and abs(np.log(float(symbol.split("-")[2]) / SHORT.spot)) < 0.05
    ]
    assert len(common) >= 20
    assert all(widths[1][symbol] > widths[0][symbol] for symbol in common)


def test_defaults_open_at_the_configured_volatility() -> None:
    market = SyntheticMarket(SyntheticConfig(duration_ns=NS_PER_SECOND), seed=8)
    chain, ids = _options(market, _read(market, 1))
    days = (market.table.expiry_ns[ids] - SHORT.start_ns) / NS_PER_DAY
    near = (np.abs(days - 30.0) < 8.0) & (np.abs(np.log(market.table.strike[ids] / SHORT.spot)) < 0.02)
    # 0.45 is the root of the mean variance (what DVOL measures); the smile's bottom lies a little below.
    at_the_money = chain.floats[FloatColumn.MARK_IV][near]
    assert at_the_money.size >= 4
    assert at_the_money.min() > 0.41
    assert at_the_money.max() < 0.45


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"implied_vol": 45.0}, "percent"),
        ({"implied_vol": 0.05}, "too low"),
        ({"chain_step_ns": 1_500_000_000}, "multiple"),
        ({"step_ns": 0}, "step_ns"),
        ({"feed_delay_ns": -1}, "feed_delay_ns"),
        ({"strikes": 1}, "strikes"),
        ({"flow_follows_move": 2.0}, "flow_follows_move"),
        ({"drift": float("nan")}, "drift"),
        ({"calm": (CALM, "spot_vol_correlation", -1.0)}, "spot_vol_correlation"),
        ({"stressed": (STRESSED, "diffusive_vol", 65.0)}, "percent"),
    ],
)
def test_a_bad_setting_is_refused_by_name(change: dict[str, object], words: str) -> None:
    name, value = next(iter(change.items()))

    def build() -> SyntheticMarket:
        field = dataclasses.replace(value[0], **{value[1]: value[2]}) if isinstance(value, tuple) else value
        return SyntheticMarket(dataclasses.replace(SHORT, **{name: field}), seed=1)

    with pytest.raises(InputError, match=words):
        build()

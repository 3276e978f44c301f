"""Bad rows are marked, counted and never tradable; raw values stay beside what replaced them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voldesk.core.blocks import FloatColumn, IntColumn, RowFlag
from voldesk.core.compiled import plain
from voldesk.core.errors import MarketDataError
from voldesk.core.units import NS_PER_HOUR, NS_PER_SECOND
from voldesk.instruments.deribit import parse
from voldesk.instruments.table import InstrumentTable
from voldesk.market.clean import Cleaner, CleaningRules, clean, lower_bound
from voldesk.market.findings import FIRST_QUARANTINED, Cleaned, Reason
from voldesk.market.jumps import jump_pass

START = 1_770_000_000 * NS_PER_SECOND  # 2026-02-02
SYMBOLS = ("BTC-27MAR26-70000-C", "BTC-27MAR26-90000-P", "BTC-PERPETUAL")
GOOD = {"bid": 0.10, "bid_size": 5.0, "ask": 0.11, "ask_size": 5.0, "mark": 0.105, "mark_iv": 0.5, "forward": 75_000.0}


@pytest.fixture
def table() -> InstrumentTable:
    return InstrumentTable(parse(symbol) for symbol in SYMBOLS)


def rows(*changes: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """One row per change to a good quote; rows are 1 s apart and groups of their own unless said."""
    ints, floats = np.zeros((5, len(changes)), np.int64), np.full((9, len(changes)), np.nan)
    for row, change in enumerate(changes):
        cell = {"index": 74_900.0, "open_interest": 1.0} | GOOD | change
        event = int(cell.pop("event", START + row * NS_PER_SECOND))
        ints[IntColumn.TS_EVENT_NS, row] = event
        ints[IntColumn.TS_RECV_NS, row] = int(cell.pop("recv", event))
        ints[IntColumn.INSTRUMENT, row] = int(cell.pop("id", 0))
        ints[IntColumn.FLAGS, row] = int(cell.pop("flags", RowFlag.QUOTE | RowFlag.MARK | RowFlag.GROUP_END))
        ints[IntColumn.GROUP, row] = int(cell.pop("group", row + 1))
        for name, value in cell.items():
            floats[FloatColumn[name.upper()], row] = value
    return ints, floats


def only(cleaned: Cleaned) -> Reason:
    assert cleaned.reason.size == 1
    return Reason(int(cleaned.reason[0]))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bid": 0.12}, Reason.CROSSED),
        ({"bid": -0.01}, Reason.NEGATIVE),
        ({"ask": -0.01}, Reason.NEGATIVE),
        ({"ask_size": -1.0}, Reason.NEGATIVE),
        ({"ask": 0.0, "bid": np.nan}, Reason.ZERO_ASK),
        ({"ask": np.inf}, Reason.NOT_FINITE),
        ({"forward": -1.0}, Reason.NOT_FINITE),
        ({"ask": 0.05, "bid": 0.04}, Reason.ASK_BELOW_INTRINSIC),
        ({"recv": START + 3 * NS_PER_SECOND}, Reason.STALE),
        ({"event": START + 365 * 24 * NS_PER_HOUR}, Reason.EXPIRED),
    ],
)
def test_a_bad_quote_loses_both_sides_and_is_listed_with_its_raw_value(
    table: InstrumentTable, change: dict[str, float], reason: Reason
) -> None:
    ints, floats = rows(change)
    cleaned = clean(ints, floats, table, CleaningRules(stale_ns=NS_PER_SECOND))
    assert only(cleaned) is reason
    assert np.isnan(cleaned.floats[[FloatColumn.BID, FloatColumn.ASK]]).all()
    assert cleaned.counts() == {reason.name.lower(): 1}
    assert cleaned.quarantined().tolist() == [0]
    for column in (FloatColumn.BID, FloatColumn.ASK):
        if not np.isnan(floats[column, 0]):
            at = np.flatnonzero(cleaned.repairs.column == int(column))
            assert cleaned.repairs.raw[at].tolist() == [floats[column, 0]]
            assert np.isnan(cleaned.repairs.used[at]).all()


def test_a_good_row_passes_untouched(table: InstrumentTable) -> None:
    ints, floats = rows({}, {})
    cleaned = clean(ints, floats, table)
    np.testing.assert_array_equal(cleaned.floats, floats)
    np.testing.assert_array_equal(cleaned.ints, ints)
    assert cleaned.counts() == {}
    assert len(cleaned.repairs) == 0


def test_a_missing_side_is_no_defect_and_a_zero_bid_means_that_none_stands(table: InstrumentTable) -> None:
    cleaned = clean(*rows({"bid": np.nan, "bid_size": np.nan}, {"bid": 0.0}, {"ask": 0.0, "ask_size": 0.0}), table)
    assert cleaned.counts() == {}
    assert np.isnan(cleaned.floats[FloatColumn.BID]).tolist() == [True, True, False]
    assert np.isnan(cleaned.floats[FloatColumn.ASK]).tolist() == [False, False, True]


def test_a_nan_that_the_source_itself_wrote_is_quarantined(table: InstrumentTable) -> None:
    cleaned = clean(*rows({"bid": np.nan}), table, given_nan=np.array([True]))
    assert only(cleaned) is Reason.NOT_FINITE


def test_a_mark_below_the_lower_bound_becomes_the_bound(table: InstrumentTable) -> None:
    cleaned = clean(*rows({"mark": -0.02}, {"mark": 0.02, "id": 1, "bid": 0.2, "ask": 0.21}), table)
    assert cleaned.counts() == {"below_intrinsic": 2}
    np.testing.assert_allclose(cleaned.floats[FloatColumn.MARK], [5_000 / 75_000, 15_000 / 75_000], rtol=1e-15)
    assert cleaned.repairs.raw.tolist() == [-0.02, 0.02]
    assert not np.isnan(cleaned.floats[FloatColumn.BID]).any()


def test_the_lower_bound_is_in_coin_for_inverse_and_cash_for_linear_options() -> None:
    table = InstrumentTable([parse("BTC-27MAR26-70000-C"), parse("BTC_USDC-27MAR26-70000-C"), parse("BTC-PERPETUAL")])
    bound = lower_bound(*rows({"id": 0}, {"id": 1}, {"id": 2}), table)
    np.testing.assert_allclose(bound, [5_000 / 75_000, 5_000.0, np.nan], rtol=1e-15)


def test_implied_vols_in_percent_are_refused_with_the_remedy(table: InstrumentTable) -> None:
    with pytest.raises(
        MarketDataError, match=r"iv=65 looks like percent; expected decimals near 0\.65\. Divide by 100"
    ):
        clean(*rows({"mark_iv": 65.0}), table)
    with pytest.raises(MarketDataError, match="looks like percent"):
        clean(*rows(*[{"mark_iv": 5.0 + row} for row in range(25)]), table)


def test_a_lone_absurd_vol_is_taken_out_and_a_short_dated_500_percent_stays(table: InstrumentTable) -> None:
    cleaned = clean(*rows({"mark_iv": 5.0}, {}, {"mark_iv": 45.0}, {"mark_iv": -0.1}), table)
    assert cleaned.counts() == {"iv_range": 2}
    np.testing.assert_array_equal(cleaned.floats[FloatColumn.MARK_IV], [5.0, 0.5, np.nan, np.nan])


def test_an_index_jump_uses_the_previous_value_until_the_next_row_confirms_it(table: InstrumentTable) -> None:
    path = [75_000.0, 97_500.0, 75_100.0, 97_500.0, 97_600.0, 97_700.0]
    cleaned = clean(*rows(*[{"index": price, "id": 2, "forward": np.nan, "mark": np.nan} for price in path]), table)
    used = [75_000.0, 75_000.0, 75_100.0, 75_100.0, 97_600.0, 97_700.0]
    assert cleaned.floats[FloatColumn.INDEX].tolist() == used
    assert cleaned.counts() == {"jump": 2}
    assert cleaned.repairs.raw.tolist() == [97_500.0, 97_500.0]


def test_an_option_quote_that_jumps_within_a_minute_is_quarantined_but_not_after_an_hour(
    table: InstrumentTable,
) -> None:
    jumped = {"bid": 0.14, "ask": 0.15, "mark": 0.145}
    soon = clean(*rows({}, jumped), table)
    assert Reason(int(soon.reason[1])) is Reason.QUOTE_JUMP
    assert np.isnan(soon.floats[FloatColumn.BID, 1])
    assert soon.floats[FloatColumn.MARK, 1] == 0.105
    later = clean(*rows({}, jumped | {"event": START + NS_PER_HOUR}), table)
    assert later.counts() == {}


def test_a_jump_of_few_ticks_on_a_cheap_option_is_no_jump(table: InstrumentTable) -> None:
    cheap = {"forward": 50_000.0, "index": 50_000.0, "mark": np.nan}
    cleaned = clean(*rows(cheap | {"bid": 0.0001, "ask": 0.0002}, cheap | {"bid": 0.0003, "ask": 0.0005}), table)
    assert cleaned.counts() == {}


def test_late_rows_are_moved_up_or_left_out_and_group_ends_pass_on(table: InstrumentTable) -> None:
    half = NS_PER_SECOND // 2
    quote = int(RowFlag.QUOTE | RowFlag.MARK)
    closing = quote | int(RowFlag.GROUP_END | RowFlag.SNAPSHOT)
    ints, floats = rows(
        {},
        {"event": START - half, "recv": START + 1},
        {"event": START - NS_PER_HOUR, "recv": START + 2},
        {"event": START + NS_PER_SECOND, "group": 9, "flags": quote},
        {"event": START + NS_PER_SECOND, "group": 9, "flags": closing},
        {"event": START + NS_PER_HOUR, "recv": START + 2 * NS_PER_SECOND, "group": 10},
    )
    cleaned = clean(ints, floats, table)
    assert [Reason(int(r)).name for r in cleaned.reason] == [
        "OK",
        "CLAMPED",
        "OUT_OF_ORDER",
        "OK",
        "DUPLICATE",
        "OUT_OF_ORDER",
    ]
    event, recv = cleaned.ints[IntColumn.TS_EVENT_NS], cleaned.ints[IntColumn.TS_RECV_NS]
    assert (np.diff(event) >= 0).all()
    assert (np.diff(recv) >= 0).all()
    assert (event <= recv).all()
    assert cleaned.ints[IntColumn.FLAGS, -1] == closing


def test_an_unknown_instrument_is_left_out_and_counted(table: InstrumentTable) -> None:
    cleaned = clean(*rows({}, {"id": -1}, {"id": 99}), table)
    assert cleaned.counts() == {"unknown_instrument": 2}
    assert cleaned.ints.shape[1] == 1


def test_a_trade_without_price_or_size_is_left_out(table: InstrumentTable) -> None:
    trade = {"flags": float(RowFlag.TRADE | RowFlag.GROUP_END), "id": 2}
    ints, floats = rows(trade | {"bid": 75_000.0, "bid_size": -3.0}, trade | {"bid": 0.0}, trade | {"bid_size": 0.0})
    cleaned = clean(ints, floats, table)
    assert cleaned.counts() == {"bad_trade": 2}
    assert cleaned.floats[FloatColumn.BID_SIZE].tolist() == [-3.0]


cells = st.fixed_dictionaries(
    {},
    optional={
        "bid": st.sampled_from([0.1, 0.2, -0.1, 0.0, np.nan, np.inf]),
        "ask": st.sampled_from([0.11, 0.05, 0.0, np.nan]),
        "mark": st.sampled_from([0.1, -0.1, 0.3]),
        "forward": st.sampled_from([75_000.0, 95_000.0, np.nan, 0.0]),
        "id": st.sampled_from([-1, 0, 1, 2]),
        "event": st.integers(0, 10).map(lambda s: START + s * NS_PER_SECOND),
    },
)


@settings(max_examples=60, deadline=None)
@given(st.lists(cells, min_size=1, max_size=30), st.integers(0, 30))
def test_cutting_the_stream_elsewhere_and_restoring_finds_the_same(changes: list[dict[str, float]], cut: int) -> None:
    table = InstrumentTable(parse(symbol) for symbol in SYMBOLS)
    ints, floats = rows(*[{"recv": START + 20 * NS_PER_SECOND} | c for c in changes])
    whole = clean(ints, floats, table)
    first = Cleaner(table)
    left = first.clean(ints[:, :cut], floats[:, :cut])
    second = Cleaner(table)
    second.restore(first.state())
    right = second.clean(ints[:, cut:], floats[:, cut:])
    np.testing.assert_array_equal(np.concatenate([left.reason, right.reason]), whole.reason)
    np.testing.assert_array_equal(np.hstack([left.floats, right.floats]), whole.floats)


@settings(max_examples=60, deadline=None)
@given(st.lists(cells, min_size=1, max_size=30))
def test_whatever_comes_in_no_quarantined_row_stays_tradable_and_time_rises(changes: list[dict[str, float]]) -> None:
    table = InstrumentTable(parse(symbol) for symbol in SYMBOLS)
    ints, floats = rows(*[{"recv": START + 20 * NS_PER_SECOND} | c for c in changes])
    cleaned = clean(ints, floats, table)
    kept = cleaned.reason[cleaned.kept]
    sides = cleaned.floats[[FloatColumn.BID, FloatColumn.ASK]]
    assert np.isnan(sides[:, kept >= FIRST_QUARANTINED]).all()
    assert not (sides[0] > sides[1]).any()
    assert not (sides <= 0.0).any()
    assert (np.diff(cleaned.ints[IntColumn.TS_EVENT_NS]) >= 0).all()


def test_the_compiled_jump_pass_equals_its_plain_twin() -> None:
    generator = np.random.Generator(np.random.Philox(7))
    n = 400
    instrument = generator.integers(0, 3, n)
    ts = np.cumsum(generator.integers(0, 40, n)) * NS_PER_SECOND
    values = np.where(generator.random(n) < 0.1, np.nan, 100.0 * np.exp(0.15 * generator.standard_normal(n)))
    usable = generator.random(n) < 0.9

    def memory() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.full(3, np.nan), np.zeros(3, np.int64), np.full(3, np.nan)

    limits = (np.full(3, 60 * NS_PER_SECOND), np.array([0.0, 5.0, 50.0]), 0.2)
    results = []
    for kernel in (jump_pass, plain(jump_pass)):
        used, state = values.copy(), memory()
        jumped = kernel(instrument, ts, used, usable, *limits, *state)
        results.append((jumped, used, *state))
    for fast, slow in zip(*results, strict=True):
        np.testing.assert_array_equal(fast, slow)
    assert results[0][0].any()

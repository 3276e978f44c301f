from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voldesk.core.rng import random_stream


@given(st.integers(0, 2**63 - 1), st.text(max_size=10), st.integers(0, 100))
def test_the_same_seed_and_names_give_the_same_numbers(seed: int, name: str, index: int) -> None:
    one, other = random_stream(seed, name, index), random_stream(seed, name, index)
    np.testing.assert_array_equal(one.standard_normal(5), other.standard_normal(5))


def test_streams_differ_by_seed_by_name_and_by_order_of_names() -> None:
    streams = [
        random_stream(7),
        random_stream(8),
        random_stream(7, "exchange"),
        random_stream(7, "market"),
        random_stream(7, "exchange", "market"),
        random_stream(7, "market", "exchange"),
        random_stream(7, "exchange", 1),
    ]
    draws = {stream.integers(2**63) for stream in streams}
    assert len(draws) == len(streams)


def test_a_new_consumer_moves_no_other_number() -> None:
    alone = random_stream(7, "exchange").random(3)
    random_stream(7, "newcomer").random(1_000)
    np.testing.assert_array_equal(random_stream(7, "exchange").random(3), alone)


def test_the_numbers_are_pinned_across_versions() -> None:
    # Recorded with numpy 2.4.6; a change here changes every seeded run and must be a decision.
    drawn = random_stream(7, "exchange").integers(1_000_000, size=4)
    assert drawn.tolist() == PINNED


def test_streams_of_different_names_are_uncorrelated() -> None:
    one, other = random_stream(7, "a").standard_normal(20_000), random_stream(7, "b").standard_normal(20_000)
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(20_000)


PINNED = [395727, 419552, 545051, 32629]

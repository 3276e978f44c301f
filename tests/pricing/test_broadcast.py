"""Inputs as columns: what says that an option is a call, and what does not."""

from __future__ import annotations

import numpy as np
import pytest

from voldesk.core.errors import InputError
from voldesk.pricing import american, black, finite_difference, lattice
from voldesk.pricing.broadcast import call_flags, columns
from voldesk.pricing.implied_vol import implied_vol
from voldesk.pricing.revalue import OptionBook, Scenarios, revalue


@pytest.mark.parametrize("wrong", [-1, "put", "C", np.nan, [1, 0, -1], ["P", "C"], 2.0, [None]])
def test_a_flag_that_python_would_take_for_a_call_is_refused(wrong) -> None:
    for ask in (
        lambda: black.price(100.0, 90.0, 1.0, 0.2, 1.0, wrong),
        lambda: implied_vol(12.0, 100.0, 90.0, 1.0, 1.0, wrong),
        lambda: american.price(100.0, 90.0, 1.0, 0.05, 0.0, 0.2, wrong),
        lambda: lattice.price(100.0, 90.0, 1.0, 0.05, 0.0, 0.2, wrong),
        lambda: finite_difference.price(100.0, 90.0, 1.0, 0.05, 0.2, wrong),
        lambda: revalue(OptionBook(100.0, 90.0, 1.0, 0.2, wrong), Scenarios([0.1])),
    ):
        with pytest.raises(InputError, match="expected True for a call"):
            ask()


def test_flags_of_any_kind_of_yes_and_no_are_taken() -> None:
    for given in ([True, False], [1, 0], [1.0, 0.0], np.array([True, False], object), np.array([1, 0], np.uint8)):
        assert call_flags(given).tolist() == [True, False]
    assert call_flags([]).size == 0
    assert call_flags(1).shape == ()


def test_inputs_of_any_layout_give_the_same_prices() -> None:
    forward, strike = np.array([100.0, 110.0, 90.0]), np.array([[90.0], [100.0]])
    wanted = black.price(*np.broadcast_arrays(forward, strike), 0.5, 0.3, 0.98, True)
    frozen = forward.copy()
    frozen.flags.writeable = False
    for other in (forward.astype(np.float32), forward.tolist(), forward.astype(int), np.repeat(forward, 2)[::2],
                  forward[::-1].copy()[::-1], forward.astype(">f8"), frozen):  # fmt: skip
        assert np.array_equal(black.price(other, np.asfortranarray(strike), 0.5, 0.3, 0.98, [1]), wanted)


def test_a_scalar_keeps_one_value_and_shapes_broadcast() -> None:
    shape, inputs, steps = columns(np.ones((3, 1)), 2.0, np.ones(4), is_call=True)
    assert shape == (3, 4)
    assert [value.size for value in inputs] == [12, 1, 12, 1]
    assert steps.tolist() == [1, 0, 1, 0]

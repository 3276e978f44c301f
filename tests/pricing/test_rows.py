from __future__ import annotations

import threading

import numpy as np
import pytest

from voldesk.core.errors import InputError
from voldesk.pricing import black
from voldesk.pricing.rows import share_out


@pytest.mark.parametrize(("rows", "threads"), [(0, 1), (0, 4), (7, 3), (100, 4), (101, 8), (5, 9)])
def test_every_row_is_done_once(rows: int, threads: int) -> None:
    done = np.zeros(rows, np.int64)

    def work(first: int, last: int) -> None:
        done[first:last] += 1

    share_out(work, rows, threads, least=2)
    assert (done == 1).all()


def test_few_rows_stay_in_the_calling_thread() -> None:
    seen = []
    share_out(lambda first, last: seen.append((first, last, threading.current_thread())), 100, 8)
    assert seen == [(0, 100, threading.current_thread())]


def test_errors_of_the_work_reach_the_caller_and_no_threads_are_refused() -> None:
    def work(first: int, last: int) -> None:
        raise ValueError("row 3")

    with pytest.raises(ValueError, match="row 3"):
        share_out(work, 10, 2, least=1)
    with pytest.raises(InputError, match="threads=0; expected 1 or more"):
        share_out(work, 10, 0)


def test_greeks_do_not_depend_on_the_number_of_threads() -> None:
    strike = np.linspace(20.0, 500.0, 40_001)
    one = black.greeks(100.0, strike, 0.3, 0.6, 0.97, True, ultima_veta=True)
    three = black.greeks(100.0, strike, 0.3, 0.6, 0.97, True, ultima_veta=True, threads=3)
    for field, expected in one._asdict().items():
        np.testing.assert_array_equal(getattr(three, field), expected, err_msg=field)
    np.testing.assert_array_equal(black.price(100.0, strike, 0.3, 0.6, 0.97, True, threads=2), one.price)

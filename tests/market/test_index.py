"""The index of an underlying is what its venue published last."""

from __future__ import annotations

import numpy as np

from voldesk.core.compiled import plain
from voldesk.market.index import latest_index
from voldesk.market.state import FIELDS, STAMPS, Field, Stamp


def test_the_index_is_the_median_of_those_marked_last() -> None:
    values, stamps = np.full((6, FIELDS), np.nan), np.zeros((6, STAMPS), np.int64)
    stamps[:, Stamp.MARK_EVENT_NS] = 5
    stamps[3:6, Stamp.MARK_EVENT_NS] = 9
    values[0, Field.INDEX] = 1.0
    values[3:6, Field.INDEX] = (61_000.0, 59_000.0, 60_500.0)
    owner = np.array([0, 0, 1, 0, 0, 0], np.int64)
    for kernel in (latest_index, plain(latest_index)):
        assert kernel(values, stamps, owner, 0) == 60_500.0
        assert np.isnan(kernel(values, stamps, owner, 1))

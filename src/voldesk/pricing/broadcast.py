"""Inputs of array functions as flat columns, without copying scalars out to full length."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import IntArray


def columns(*values: ArrayLike, is_call: ArrayLike) -> tuple[tuple[int, ...], Any, IntArray]:
    """Broadcast shape, flat float64 columns with `is_call` (bool) last, and each one's step.

    A column of one value for all rows keeps length 1 and gets step 0; the others have one value per row and step 1.
    Raises ValueError (numpy's) where shapes do not broadcast.
    """
    inputs: list[Any] = [np.asarray(value, np.float64) for value in values]
    inputs.append(np.asarray(is_call, np.bool_))
    shape = np.broadcast_shapes(*[value.shape for value in inputs])
    steps = np.ones(len(inputs), np.int64)
    for j, value in enumerate(inputs):
        if value.size == 1:
            steps[j] = 0
        elif value.shape != shape:
            value = np.broadcast_to(value, shape)
        inputs[j] = np.ascontiguousarray(value).reshape(-1)
    return shape, inputs, steps

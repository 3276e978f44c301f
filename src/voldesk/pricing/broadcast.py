"""Inputs of array functions as flat columns, without copying scalars out to full length."""

from __future__ import annotations

import functools
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
    shapes = {value.shape for value in inputs}
    shape = shapes.pop() if len(shapes) == 1 else np.broadcast_shapes(*shapes)
    steps = []
    for j, value in enumerate(inputs):
        single = value.size == 1
        steps.append(0 if single else 1)
        if not single and value.shape != shape:
            value = np.broadcast_to(value, shape)
        # A kernel is compiled anew for arrays that may not be written to, so those are copied.
        inputs[j] = value.reshape(-1) if value.flags.carray else value.flatten()
    return shape, inputs, _steps(tuple(steps))


@functools.cache
def _steps(steps: tuple[int, ...]) -> IntArray:
    """The same array for the same steps: making one costs as much as pricing fifty options."""
    return np.array(steps, np.int64)

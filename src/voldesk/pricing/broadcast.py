"""Inputs of array functions as flat columns, without copying scalars out to full length."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from voldesk.core.arrays import BoolArray, IntArray
from voldesk.core.errors import InputError


def columns(*values: ArrayLike, is_call: ArrayLike) -> tuple[tuple[int, ...], Any, IntArray]:
    """Broadcast shape, flat float64 columns with `is_call` (bool) last, and each one's step.

    A column of one value for all rows keeps length 1 and gets step 0; the others have one value per row and step 1.
    Raises ValueError (numpy's) where shapes do not broadcast, InputError as `call_flags`.
    """
    inputs: list[Any] = [np.asarray(value, np.float64) for value in values]
    inputs.append(call_flags(is_call))
    shapes = {value.shape for value in inputs}
    shape = shapes.pop() if len(shapes) == 1 else np.broadcast_shapes(*shapes)
    steps = []
    for j, value in enumerate(inputs):
        single = value.size == 1
        steps.append(0 if single else 1)
        if not single and value.shape != shape:
            value = np.broadcast_to(value, shape)
        # A kernel is compiled anew for arrays that may not be written to, so those are copied.
        inputs[j] = value.reshape(-1) if value.flags.c_contiguous and value.flags.carray else value.flatten()
    return shape, inputs, _steps(tuple(steps))


def call_flags(is_call: ArrayLike) -> BoolArray:
    """Whether each option is a call, as bool. Raises InputError for anything but True, False, 1 and 0.

    Python takes -1 and "put" for true: a put would be priced as a call.

    >>> call_flags([1, 0]).tolist()
    [True, False]
    """
    given = np.asarray(is_call)
    if given.dtype == np.bool_:
        return given
    known = np.zeros(given.shape, np.bool_)
    if given.dtype.kind in "iufO":
        known |= np.asarray((given == 0) | (given == 1), np.bool_)
    if not known.all():
        wrong = given[~known].flat[0]
        raise InputError(
            f"is_call={wrong!s}; expected True for a call, False for a put (or 1 and 0). Compare first: side == 'C'."
        )
    return given.astype(np.bool_)


@functools.cache
def _steps(steps: tuple[int, ...]) -> IntArray:
    """The same array for the same steps: making one costs as much as pricing fifty options."""
    return np.array(steps, np.int64)

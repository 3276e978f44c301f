"""The array library that vectorised code runs on: NumPy, or CuPy where there is a GPU.

`monte_carlo` writes its vectorised forms once, in the functions that NumPy and CuPy share. CuPy is optional and is
imported only when asked for. The NumPy namespace is what the tests run; nothing here has been tried on a GPU yet.
"""

from __future__ import annotations

import importlib
from enum import Enum
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from voldesk.core.arrays import FloatArray
from voldesk.core.errors import InputError

Array: TypeAlias = Any
"""An array of whichever namespace is in use; NumPy and CuPy have no type in common."""


class Backend(Enum):
    """Where paths are made.

    COMPILED: Numba kernels, arrays of NumPy. NUMPY: the vectorised code on NumPy. CUPY: the same code on a GPU.
    AUTO: CUPY where it is installed and sees a device, COMPILED otherwise.
    """

    AUTO = "auto"
    COMPILED = "compiled"
    NUMPY = "numpy"
    CUPY = "cupy"


def resolve(backend: Backend) -> Backend:
    """AUTO turned into what this machine has; the others as they are."""
    if backend is not Backend.AUTO:
        return backend
    try:
        namespace(Backend.CUPY)
    except InputError:
        return Backend.COMPILED
    return Backend.CUPY


def namespace(backend: Backend) -> ModuleType:
    """The module with `asarray`, `exp`, `where` ... Raises InputError where CuPy was asked for and cannot work.

    >>> namespace(Backend.NUMPY).__name__
    'numpy'
    """
    backend = resolve(backend)
    if backend is not Backend.CUPY:
        return np
    try:
        cupy = importlib.import_module("cupy")
    except ImportError:
        raise InputError(
            "backend=CUPY, but the package cupy cannot be imported; expected CuPy and a CUDA device. "
            "Install cupy-cuda12x, or use Backend.COMPILED."
        ) from None
    try:
        devices = int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError:
        devices = 0
    if devices == 0:
        raise InputError("backend=CUPY, but CuPy sees no CUDA device; expected one. Use Backend.COMPILED.")
    return cupy


def to_host(values: Array) -> FloatArray:
    """The values as a NumPy array of float64."""
    return np.asarray(values.get() if hasattr(values, "get") else values, np.float64)

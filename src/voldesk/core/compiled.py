"""Compiled kernels: one decorator, one cache that notices when any kernel's source changes.

Numba's on-disk cache looks at a kernel's own file only, so a changed callee in another file would
silently keep the old machine code. The cache directory is therefore keyed by a hash over every
source file of the package plus the versions that matter. `.py_func` is the plain twin that tests run.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from voldesk.core.compile_notice import listen

_F = TypeVar("_F", bound=Callable[..., Any])


def _cache_directory() -> Path:
    import llvmlite
    import numba

    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__}".encode())
    for source in sorted(root.rglob("*.py")):
        text = source.read_bytes()
        if b"@compiled" in text or b"@fused" in text or b"@inlined" in text:
            digest.update(source.relative_to(root).as_posix().encode() + b"\0" + text)
    base = os.environ.get("VOLDESK_CACHE") or str(Path.home() / ".cache" / "voldesk")
    return Path(base) / "kernels" / digest.hexdigest()[:20]


def prepare() -> None:
    """Point Numba at the cache of these sources; done once on import."""
    os.environ.setdefault("NUMBA_CACHE_DIR", str(_cache_directory()))
    # One threading layer, chosen before the first kernel: mixing layers aborts the process.
    os.environ.setdefault("NUMBA_THREADING_LAYER", "workqueue")
    import numba

    numba.config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"]
    listen()


prepare()


def compiled(function: _F) -> _F:
    """Compile lazily with `cache=True`, numpy's division rules and no value-changing fast maths.

    Kernels let go of the interpreter lock, so that rows may be shared out over threads; none runs threads of its own.
    """
    import numba

    return cast(_F, numba.njit(cache=True, error_model="numpy", nogil=True)(function))


def fused(function: _F) -> _F:
    """`compiled` that may fuse a product and a sum into one rounding, and forget the sign of zero.

    For polynomials and vector loops. Nothing is reassociated, and NaN and infinity keep their meaning.
    """
    import numba

    return cast(_F, numba.njit(cache=True, error_model="numpy", nogil=True, fastmath={"contract", "nsz"})(function))


def inlined(function: _F) -> _F:
    """`fused`, and always copied into the kernel that calls it: a call left standing in a loop keeps it scalar."""
    import numba

    options = {"contract", "nsz"}
    return cast(
        _F, numba.njit(cache=True, error_model="numpy", nogil=True, fastmath=options, forceinline=True)(function)
    )


def plain(function: _F) -> _F:
    """The uncompiled twin of a kernel, for tests."""
    return cast(_F, getattr(function, "py_func", function))


def host_cpu() -> str:
    """The processor that kernels are compiled for: the last bit of a float may depend on it."""
    import llvmlite.binding

    return str(llvmlite.binding.get_host_cpu_name())

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "../shared/data"


@pytest.fixture
def recorded() -> Callable[[str], Path]:
    """Path of a recorded file beside the checkout, or a skip that names it."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"recorded data {name} is not beside the checkout")
        return path

    return find

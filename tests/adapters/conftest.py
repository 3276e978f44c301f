"""Where the recorded data lie, and small hand-made recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
SECOND = 1_000_000_000
START = 1_770_000_000 * SECOND  # 2026-02-02 02:40 UTC


@pytest.fixture
def recorded() -> Any:
    """recorded("deribit_chain_6h") is the path of a recorded set; skips by name when it is absent."""

    def path_of(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"recorded data {name} is not beside the checkout")
        return path

    return path_of


def chain_columns(snapshots: int = 4) -> dict[str, Any]:
    """A tiny chain in the layout of deribit_chain_6h: three options, six hours apart."""
    symbols = ["BTC-27MAR26-70000-C", "BTC-27MAR26-70000-P", "BTC-6FEB26-75000-C"]
    n = len(symbols) * snapshots
    times = np.repeat(START // 1_000_000 + np.arange(snapshots) * 6 * 3_600_000, len(symbols))
    index = 75_000.0 + 100.0 * np.repeat(np.arange(snapshots), len(symbols))
    return {
        "ts": pa.array(times, pa.timestamp("ms", "UTC")),
        "currency": pa.array(["BTC"] * n),
        "instrument_name": pa.array(symbols * snapshots),
        "bid_price": pa.array([0.10, 0.035, None] * snapshots, pa.float64()),
        "ask_price": pa.array([0.11, 0.045, 0.02] * snapshots, pa.float64()),
        "mark_price": pa.array([0.105, 0.04, 0.015] * snapshots),
        "mark_iv": pa.array([0.5, 0.5, 0.45] * snapshots),
        "underlying_price": pa.array(index + 100.0),
        "underlying_index": pa.array(["BTC-27MAR26", "BTC-27MAR26", "SYN.BTC-6FEB26"] * snapshots),
        "index_price": pa.array(index),
        "open_interest": pa.array([10.0] * n, pa.float32()),
    }


@pytest.fixture
def write_chain(tmp_path: Path) -> Any:
    """write_chain(column=array, other=None) writes a tiny chain with columns replaced or dropped."""

    def write(name: str = "chain.parquet", snapshots: int = 4, **changes: Any) -> Path:
        columns = chain_columns(snapshots) | changes
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({k: v for k, v in columns.items() if v is not None}), path)
        return path

    return write

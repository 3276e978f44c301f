"""Same inputs, configuration and seed: the same decision bytes, however the stream is cut, and on replay."""

from __future__ import annotations

from pathlib import Path

import pytest

from voldesk.app.commands.replay import verify_run
from voldesk.app.config import RunConfig, load_config
from voldesk.app.sources import MarketSource, open_market
from voldesk.app.wiring import Wired, open_journal, wire
from voldesk.core.errors import JournalError
from voldesk.core.events import OperatorAction, OperatorCommand
from voldesk.core.units import NS_PER_HOUR
from voldesk.engine.journal import RecordKind, decisions_sha256, read_journal

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "config" / "demo.yaml"
CHAINS = ROOT.parent / "shared" / "data" / "deribit_chain_6h" / "btc_2026-03.parquet"
# A narrow band: many hedges in three hours.
SHORT = (
    "synthetic.duration=3h",
    "books.0.strategies.1.band_rule=fixed",
    "books.0.strategies.1.band=0.01",
    "books.0.strategies.1.min_hedge=0.0",
)


def _run(folder: Path, config: RunConfig, source: MarketSource, inline: bool = True) -> tuple[Wired, str]:
    journal = open_journal(folder / "journal", config, source, "backtest")
    wired = wire(config, source, journal, journal_rows=inline)
    start = source.start_ns
    wired.engine.operate(
        OperatorCommand(start, "ann", OperatorAction.KILL, "", {"level": "flatten"}, "drill"),
        start + 3 * NS_PER_HOUR // 2,
    )
    wired.engine.operate(
        OperatorCommand(start, "ann", OperatorAction.REARM, "", {}, "drill over"), start + 8 * NS_PER_HOUR // 5
    )
    wired.engine.run()
    journal.append(RecordKind.END, b"")
    journal.close()
    return wired, decisions_sha256(folder / "journal")


def _demo(*overrides: str) -> RunConfig:
    return load_config(DEMO, [*SHORT, *overrides])


@pytest.fixture(scope="module")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Wired, str]:
    folder = tmp_path_factory.mktemp("demo")
    config = _demo()
    wired, digest = _run(folder, config, open_market(config, None))
    (folder / "summary.json").write_text("{}")
    return folder, wired, digest


def test_the_same_seed_decides_the_same_and_another_seed_does_not(
    demo_run: tuple[Path, Wired, str], tmp_path: Path
) -> None:
    _, wired, digest = demo_run
    assert len(wired.parts.orders) > 10
    config = _demo()
    assert _run(tmp_path / "same", config, open_market(config, None))[1] == digest
    other = _demo("seed=8")
    assert _run(tmp_path / "other", other, open_market(other, None))[1] != digest


def test_replay_proves_every_decision(demo_run: tuple[Path, Wired, str]) -> None:
    folder, _, digest = demo_run
    found = verify_run(folder, None)
    assert found["verified"]
    assert found["same_environment"]
    assert found["journal_sha256"] == digest
    assert found["decisions"] > 30


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
def test_replay_fails_naming_the_record_when_one_byte_is_changed(
    demo_run: tuple[Path, Wired, str], share: float
) -> None:
    folder = demo_run[0]
    segment = next((folder / "journal").glob("*.vdj"))
    good = segment.read_bytes()
    damaged = bytearray(good)
    damaged[int(len(good) * share)] ^= 1
    segment.write_bytes(damaged)
    try:
        with pytest.raises(JournalError, match=r"journal record \d+"):
            verify_run(folder, None)
    finally:
        segment.write_bytes(good)


def test_a_decision_forged_with_a_right_checksum_is_noticed(demo_run: tuple[Path, Wired, str], tmp_path: Path) -> None:
    """The replay compares with what the desk decides now, not only with the file's own checksums."""
    from voldesk.engine.journal import JournalWriter

    records = list(read_journal(demo_run[0] / "journal"))
    forged = JournalWriter(tmp_path / "journal")
    forged.open_segment()
    decisions = 0
    for record in records:
        payload = record.payload
        if record.kind is RecordKind.DECISION:
            decisions += 1
            if decisions == 20:
                payload = payload[:-1] + bytes([payload[-1] ^ 1])
        forged.append(record.kind, payload)
    forged.close()
    with pytest.raises(JournalError, match="decision 20"):
        verify_run(tmp_path, None)


def test_the_operators_kill_flattened_the_book_and_nothing_opened_before_the_rearm(
    demo_run: tuple[Path, Wired, str],
) -> None:
    import msgspec

    start = demo_run[1].source.start_ns
    killed, rearmed = start + 3 * NS_PER_HOUR // 2, start + 8 * NS_PER_HOUR // 5
    purposes = []
    for record in read_journal(demo_run[0] / "journal"):
        if record.kind is RecordKind.DECISION:
            item = msgspec.msgpack.decode(record.payload)
            if item[0] == "intent" and killed <= item[2] < rearmed:
                purposes.append(item[5])
            if item[0] == "place" and killed <= item[2] < rearmed:
                assert item[10] is True, "an order that is not reduce-only went out under a flatten kill"
    assert "flatten" in purposes


@pytest.mark.data
def test_recutting_six_hourly_chains_leaves_every_decision_byte_equal(tmp_path: Path) -> None:
    if not CHAINS.exists():
        pytest.skip("deribit_chain_6h is not beside the checkout")
    config = load_config(ROOT / "config" / "gamma_scalp_btc.yaml")
    whole = _run(tmp_path / "whole", config, open_market(config, CHAINS), inline=False)
    assert len(whole[0].parts.orders) > 20
    cut = _run(tmp_path / "cut", config, open_market(config, CHAINS, recut_seed=3), inline=False)
    assert cut[1] == whole[1]


def test_recutting_the_synthetic_stream_leaves_every_decision_byte_equal(
    demo_run: tuple[Path, Wired, str], tmp_path: Path
) -> None:
    """Replayed from the journal's own rows, cut anew at random places, with the exchange simulated again."""
    import numpy as np

    from voldesk.adapters.feeds.recording import ColumnFeed
    from voldesk.engine.recorded import take_apart

    config = _demo()
    source = open_market(config, None)
    blocks = take_apart(demo_run[0] / "journal", complete=True).blocks[0]
    width = max(block.floats.shape[0] for block in blocks)
    assert all(block.floats.shape[0] == width for block in blocks)
    ints = np.concatenate([block.ints for block in blocks], axis=1)
    floats = np.concatenate([block.floats for block in blocks], axis=1)
    source.feeds = [ColumnFeed(0, ints, floats, 4096, recut_seed=11)]
    assert _run(tmp_path / "cut", config, source)[1] == demo_run[2]

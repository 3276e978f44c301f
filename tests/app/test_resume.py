"""A paper desk cut off at any byte of its journal goes on as if nothing had happened: no fill lost, none doubled."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from voldesk.app.config import load_config
from voldesk.app.paper import PaperDesk, live, open_paper, resume_paper, stop_time
from voldesk.app.sources import open_market
from voldesk.core.errors import InputError, JournalError
from voldesk.core.events import OperatorAction, OperatorCommand
from voldesk.core.rng import random_stream
from voldesk.core.units import NS_PER_HOUR, NS_PER_MINUTE
from voldesk.engine.journal import decisions_sha256, segments

DEMO = Path(__file__).resolve().parents[2] / "config" / "demo.yaml"
SETTINGS = [
    "synthetic.duration=2h",
    "engine.snapshot_every=30ms",
    "venue.order_latency=3s",
    "venue.report_latency=3s",
    "books.0.strategies.1.band_rule=fixed",
    "books.0.strategies.1.band=0.01",
    "books.0.strategies.1.min_hedge=0.0",
]


def _to_the_end(desk: PaperDesk) -> tuple[str, dict[str, str], dict[int, int]]:
    live(desk, 0.0, stop_time(desk.source.start_ns, 2 * NS_PER_HOUR), lambda: False, lambda wired: None)
    desk.wired.engine.desk.finish(desk.wired.engine.now_ns)
    desk.close()
    book = desk.wired.parts.ledger.books["demo"]
    return (
        decisions_sha256(desk.folder / "journal"),
        desk.wired.parts.ledger.summary().texts(),
        book.positions(),
    )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, dict[str, str], dict[int, int]]]:
    folder = tmp_path_factory.mktemp("whole")
    config = load_config(DEMO, SETTINGS)
    source = open_market(config, None)
    desk = open_paper(config, source, folder, None)
    start = source.start_ns
    for minute, action in ((70, OperatorAction.CANCEL_ALL), (80, OperatorAction.PAUSE), (90, OperatorAction.RESUME)):
        command = OperatorCommand(start, "ann", action, "", {}, "drill")
        desk.wired.engine.operate(command, start + minute * NS_PER_MINUTE)
    return folder, _to_the_end(desk)


def _cut_copy(whole: Path, folder: Path, at: int) -> None:
    """The run folder as it is when everything from byte `at` of the whole journal on is missing."""
    shutil.copytree(whole, folder)
    for path in segments(folder / "journal"):
        size = path.stat().st_size
        if at <= 0:
            path.unlink()
        elif at < size:
            with path.open("r+b") as file:
                file.truncate(at)
        at -= size


@pytest.mark.parametrize("number", range(12))
def test_a_desk_cut_off_at_a_random_byte_ends_like_the_uninterrupted_one(
    uninterrupted: tuple[Path, tuple[str, dict[str, str], dict[int, int]]], tmp_path: Path, number: int
) -> None:
    whole, expected = uninterrupted
    total = sum(path.stat().st_size for path in segments(whole / "journal"))
    assert len(segments(whole / "journal")) > 3, "the run took too few snapshots to test restarts from one"
    first = segments(whole / "journal")[0].stat().st_size
    head = first // 4  # before that even the header may be torn, which is a desk that never began
    at = int(random_stream(20, "cut", number).integers(head, total - 1))
    _cut_copy(whole, tmp_path / "run", at)
    desk = resume_paper(tmp_path / "run")
    for at_ns, command in _drill_left(desk):
        desk.wired.engine.operate(command, at_ns)
    assert _to_the_end(desk) == expected


def _drill_left(desk: PaperDesk) -> list[tuple[int, OperatorCommand]]:
    """The person types again what had not reached the journal."""
    start, now = desk.source.start_ns, desk.wired.engine.now_ns
    actions = ((70, OperatorAction.CANCEL_ALL), (80, OperatorAction.PAUSE), (90, OperatorAction.RESUME))
    due = [(start + minute * NS_PER_MINUTE, action) for minute, action in actions]
    return [(at, OperatorCommand(start, "ann", action, "", {}, "drill")) for at, action in due if at > now]


def test_a_changed_byte_before_the_tail_stops_the_restart_by_name(
    uninterrupted: tuple[Path, tuple[str, dict[str, str], dict[int, int]]], tmp_path: Path
) -> None:
    whole, _ = uninterrupted
    total = sum(path.stat().st_size for path in segments(whole / "journal"))
    _cut_copy(whole, tmp_path / "run", int(total * 0.9))
    last = segments(tmp_path / "run" / "journal")[-1]
    data = bytearray(last.read_bytes())
    data[len(data) // 3] ^= 4
    last.write_bytes(data)
    with pytest.raises(JournalError, match="checksum does not match"):
        resume_paper(tmp_path / "run")


def test_a_second_desk_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    config = load_config(DEMO, SETTINGS)
    desk = open_paper(config, open_market(config, None), tmp_path, None)
    with pytest.raises(InputError, match="a desk is running on this folder"):
        resume_paper(tmp_path)
    desk.close()
    with pytest.raises(InputError, match="closed in good order"):
        resume_paper(tmp_path)

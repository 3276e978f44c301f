"""The live view shows whole figures in the terminals people have, and says what they are."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from voldesk.app.commands.paper import demo_config
from voldesk.app.live_view import LiveView
from voldesk.app.sources import open_market
from voldesk.app.wiring import open_journal, wire
from voldesk.core.units import NS_PER_MINUTE


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveView]:
    """The demo's desk after its first straddle."""
    config = demo_config()
    source = open_market(config, None)
    journal = open_journal(Path(tmp_path_factory.mktemp("run")) / "journal", config, source, "paper")
    wired = wire(config, source, journal, journal_rows=False)
    made = LiveView(wired, 60.0)
    for minute in range(1, 4):
        wired.engine.run(source.start_ns + minute * NS_PER_MINUTE)
        made.tick()
    yield made
    journal.close()


def drawn(view: LiveView, width: int, height: int) -> str:
    console = Console(width=width, height=height, file=io.StringIO(), record=True)
    console.print(view.render(width, height))
    return console.export_text()


@pytest.mark.parametrize(("width", "height"), [(120, 34), (159, 40), (160, 40), (200, 50)])
def test_nothing_is_cut_in_a_terminal_of_120_columns_and_more(view: LiveView, width: int, height: int) -> None:
    text = drawn(view, width, height)
    assert "…" not in text
    for word in ("realised", "unexplained", "P-Q spread (Q−P)", "vega $", "θ $/d", "speed 60", "Ctrl-C ends", "margin"):
        assert word in text


@pytest.mark.parametrize("width", [80, 100])
def test_positions_are_whole_down_to_80_columns(view: LiveView, width: int) -> None:
    panel = drawn(view, width, 30).partition("P&L and where")[0]
    assert "…" not in panel
    assert panel.count("BTC-16JAN26-90000-") == 2


def test_a_floor_is_called_one_and_its_use_counts_the_other_way_round(view: LiveView) -> None:
    line = next(line for line in drawn(view, 160, 40).splitlines() if "free_cash_floor" in line)
    assert line.split("│")[1].split()[1:5] == ["0.97", "floor", "0.1", "10"]

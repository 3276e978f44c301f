"""Draws docs/images/demo.svg: the demo desk after some days of feed time, as `make demo` shows it in a terminal.

Run from the checkout: `.venv/bin/python docs/images/make_picture.py`. Same seed, same picture.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from voldesk.app.config import load_config
from voldesk.app.live_view import LiveView
from voldesk.app.sources import open_market
from voldesk.app.wiring import open_journal, wire
from voldesk.core.units import NS_PER_MINUTE

CONFIG = Path(__file__).resolve().parents[2] / "config" / "demo.yaml"
PICTURE = Path(__file__).parent / "demo.svg"
WIDTH, HEIGHT = 190, 40


def draw(feed_hours: int) -> str:
    """The live view as SVG after so many hours of the demo's market."""
    config = load_config(CONFIG)
    source = open_market(config, None)
    with tempfile.TemporaryDirectory() as folder:
        journal = open_journal(Path(folder) / "journal", config, source, "paper")
        wired = wire(config, source, journal, journal_rows=False)
        view = LiveView(wired)
        for step in range(1, 4 * feed_hours + 1):
            wired.engine.run(source.start_ns + step * 15 * NS_PER_MINUTE)
            view.tick()
        journal.close()
        with (Path(folder) / "out").open("w", encoding="utf-8") as nowhere:
            console = Console(record=True, width=WIDTH, height=HEIGHT, file=nowhere, force_terminal=True)
            console.print(view.render(WIDTH, HEIGHT))
            return _without_web_fonts(console.export_svg(title="voldesk demo"))


def _without_web_fonts(svg: str) -> str:
    """Any monospaced font will do: every piece of text carries its own length."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return re.sub(r"<!-- Generated with Rich .*? -->\s*", "", svg).replace("Fira Code", "DejaVu Sans Mono")


if __name__ == "__main__":
    hours = int(sys.argv[1]) if len(sys.argv) > 1 else 28
    PICTURE.write_text(draw(hours), encoding="utf-8")
    print(f"{PICTURE.name}: the desk after {hours} h of feed time")

"""RESULTS.md in sections: each benchmark replaces its own and leaves the others alone."""

from __future__ import annotations

from pathlib import Path


def replace_section(path: Path, title: str, text: str) -> None:
    """Put `text` under the heading, in place of what stood there."""
    old = path.read_text() if path.exists() else "# Results\n"
    heading = f"## {title}\n"
    before, found, after = old.partition(heading)
    following = after.find("\n## ") if found else -1
    rest = after[following:] if following >= 0 else "\n"
    path.write_text(f"{before.rstrip()}\n\n{heading}\n{text}\n{rest}")

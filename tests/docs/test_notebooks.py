"""Every example of docs/notebooks.md runs, in order, in one namespace, and prints what the page says it prints.

`python tests/docs/test_notebooks.py` writes what the examples print now into the page; read the difference before you commit it.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "notebooks.md"
READMES = [ROOT / "README.md", ROOT / "README.zh.md"]
RECORDING = "../shared/data/deribit_chain_6h"

_EXAMPLE = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<printed>.*?)^```\n)?", re.MULTILINE | re.DOTALL
)


class Example(NamedTuple):
    where: str
    code: str
    printed: str
    span: tuple[int, int]  # of what it prints, in the page; the end of the code where nothing is shown

    @property
    def recorded(self) -> bool:
        """Whether it reads the recorded chain, or what another one made of it."""
        return RECORDING in self.code or re.search(r"\brecorded\b", self.code) is not None


def examples(text: str, name: str) -> list[Example]:
    found = []
    for match in _EXAMPLE.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        span = match.span("printed") if match["printed"] is not None else (match.end(), match.end())
        found.append(Example(f"{name}:{line}", match["code"], match["printed"] or "", span))
    return found


def run(wanted: list[Example]) -> Iterator[tuple[Example, str]]:
    """Each example with what it printed. Line numbers of errors are the page's."""
    names: dict[str, object] = {"__name__": "notebook"}
    with contextlib.chdir(ROOT):
        for example in wanted:
            shift = "\n" * (int(example.where.rpartition(":")[2]) - 1)
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(shift + example.code, str(PAGE), "exec"), names)
            yield example, "".join(f"{line.rstrip()}\n" for line in printed.getvalue().splitlines())


def differences(wanted: list[Example]) -> list[str]:
    return [
        f"{example.where} prints\n{printed}and the page says\n{example.printed}"
        for example, printed in run(wanted)
        if printed != example.printed
    ]


def _page() -> list[Example]:
    return examples(PAGE.read_text(encoding="utf-8"), PAGE.name)


def test_every_example_prints_what_the_page_says() -> None:
    wanted = [example for example in _page() if not example.recorded]
    assert len(wanted) > 15
    told = differences(wanted)
    assert not told, "\n".join(told)


@pytest.mark.data
def test_the_examples_on_the_recorded_chain_print_what_the_page_says() -> None:
    if not (ROOT / RECORDING).exists():
        pytest.skip(f"{RECORDING} is not there")
    every = _page()
    recorded = [example for example in every if example.recorded]
    assert len(recorded) >= 2
    told = differences([every[0], *recorded])
    assert not told, "\n".join(told)


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_the_notebook_of_the_readme_runs(page: Path) -> None:
    wanted = [e for e in examples(page.read_text(encoding="utf-8"), page.name) if "import voldesk as vd" in e.code]
    assert wanted, f"{page.name} shows no notebook"
    told = differences(wanted)
    assert not told, "\n".join(told)


def test_a_wrong_figure_on_the_page_would_be_found() -> None:
    told = differences(examples("```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n", "page"))
    assert told == ["page:2 prints\n2\nand the page says\n3\n"]


def test_every_picture_is_on_the_page_and_small() -> None:
    text = PAGE.read_text(encoding="utf-8")
    pictures = sorted((PAGE.parent / "pictures").glob("*.png"))
    assert pictures
    for picture in pictures:
        assert f"pictures/{picture.name}" in text, f"{picture.name} is shown nowhere"
        assert picture.stat().st_size <= 150_000, f"{picture.name} is larger than 150 kB"


def _written(text: str) -> str:
    """The page with what its examples print now."""
    for example, printed in reversed(list(run(examples(text, PAGE.name)))):
        start, end = example.span
        if start == end and printed:
            printed = f"\n```text\n{printed}```\n"
        text = text[:start] + printed + text[end:]
    return text


if __name__ == "__main__":
    os.chdir(ROOT)
    PAGE.write_text(_written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

"""What the documents say is tried: commands parse, files exist, settings load, the first strategy trades."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
import yaml

from voldesk.app.cli import app
from voldesk.app.config import RunConfig, load_config, parse_config
from voldesk.app.sources import open_market
from voldesk.app.wiring import open_journal, wire
from voldesk.core.errors import InputError
from voldesk.core.units import NS_PER_MINUTE
from voldesk.risk.limits import Code, limit
from voldesk.risk.presets import PRESETS
from voldesk.strategies import registry

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "voldesk"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")])
FIRST = ROOT / "docs" / "first_strategy.md"
JOURNAL = ROOT / "docs" / "journal.md"
DEMO = ROOT / "config" / "demo.yaml"
FOREIGN = {"git", "cd", "cp", "kill", "uv", "ls", "export", "cat", "echo"}
"""Commands of a shell block that are not ours to check."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OWN_FILE = re.compile(
    r"(?<![\w./-])((?:src|tests|docs|config|examples|benchmarks|requirements|deploy|\.ci)/[\w./-]*\w)"
)
_ROOM_FILE = re.compile(r"(?<![\w./-])([a-z_]+(?:/[a-z_0-9]+)+\.(?:py|yaml|html))\b")
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


class Fence(NamedTuple):
    page: Path
    language: str
    body: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.body.strip().splitlines()[0][:60]}"


FENCES = [Fence(page, *found) for page in PAGES for found in _FENCE.findall(page.read_text(encoding="utf-8"))]


def _of(*languages: str) -> list[Fence]:
    return [fence for fence in FENCES if fence.language in languages]


def _commands() -> Iterator[tuple[str, list[str]]]:
    """(page and line, words) of every command of a shell block; environment settings in front are dropped."""
    for fence in _of("sh", "bash", "console"):
        for line in fence.body.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words:
                yield f"{fence.page.name}: {line.strip()}", words


COMMANDS = list(_commands())


@pytest.mark.parametrize("words", [words for _, words in COMMANDS], ids=[where for where, _ in COMMANDS])
def test_a_command_of_a_document_exists(words: list[str]) -> None:
    program, *arguments = words
    name = Path(program).name
    if name == "voldesk":
        _parse_verb(arguments)
    elif name == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert set(arguments) <= set(targets), f"make knows {targets}"
    elif name.startswith("python") or program.startswith((".ci/", "docs/")):
        script = next((word for word in [program, *arguments] if "/" in word and ".venv" not in word), None)
        assert script is None or (ROOT / script).exists(), f"{script} does not exist"
    else:
        assert name in FOREIGN, f"{program}: say what it is in FOREIGN, or correct the document"


def _parse_verb(arguments: list[str]) -> None:
    """As the command line would, without running it: verb, options and the types of their values."""
    command = typer.main.get_command(app)
    context = command.make_context("voldesk", [], resilient_parsing=True)
    while isinstance(command, typer.core.TyperGroup):
        verb = command.get_command(context, arguments[0]) if arguments else None
        assert verb is not None, f"no verb {arguments[:1]}; known: {command.list_commands(context)}"
        command, arguments = verb, arguments[1:]
        if isinstance(command, typer.core.TyperGroup):
            context = command.make_context(command.name, [], resilient_parsing=True)
    if "--help" not in arguments:
        command.make_context(command.name, list(arguments))


def test_the_readme_names_every_verb_of_the_command_line() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    command = typer.main.get_command(app)
    assert isinstance(command, typer.core.TyperGroup)
    verbs = list(command.commands)
    missing = [verb for verb in verbs if not re.search(rf"`voldesk {verb}\b", text)]
    assert not missing, f"README.md lacks {missing}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_document_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir()}
    missing = [name for name in _OWN_FILE.findall(text) if not (ROOT / name).exists()]
    named = (name for name in _ROOM_FILE.findall(text) if name.partition("/")[0] in rooms)
    missing += [name for name in named if not (SOURCE / name).exists()]
    links = (link for link in _LINK.findall(text) if "://" not in link)
    missing += [link for link in links if not (page.parent / link).exists()]
    assert not missing, f"{page.name} names what is not there: {sorted(set(missing))}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_document_names_no_machine_path(page: Path) -> None:
    assert not re.search(r"(?<![\w.])/(work|tmp|home|root)/", page.read_text(encoding="utf-8"))


def _settings(body: str) -> tuple[str, RunConfig]:
    """A snippet as settings: whole as it stands, a part laid over the demo's."""
    raw = yaml.safe_load(body)
    assert isinstance(raw, dict), "expected a mapping of sections"
    whole = raw if "books" in raw else {**yaml.safe_load(DEMO.read_text(encoding="utf-8")), **raw}
    return yaml.safe_dump(raw), parse_config(yaml.safe_dump(whole), "document")


YAML = [fence for fence in _of("yaml") if not {"columns", "mapping"} & set(yaml.safe_load(fence.body) or {})]


@pytest.mark.parametrize("fence", YAML, ids=str)
def test_settings_of_a_document_load_with_every_strategy_and_limit(
    fence: Fence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "my_strategy", raising=False)
    _strategy_of_the_tutorial(monkeypatch)
    _, config = _settings(fence.body)
    for book in config.books:
        for item in book.strategies:
            registry.build(item.strategy, item.parameters)
    for changed in config.risk.limits:
        limit(changed.code, changed.value, changed.unit, changed.scope)


def test_a_wrong_key_in_a_document_would_be_found() -> None:
    with pytest.raises(InputError, match="nearest known key is 'quote_ttl'"):
        _settings("market: {quote_tll: 2m}")


def test_the_risk_page_lists_every_code_and_preset() -> None:
    text = (ROOT / "docs" / "risk.md").read_text(encoding="utf-8")
    missing = [name for name in [*Code, *PRESETS] if not re.search(rf"\b{name}\b", text)]
    assert not missing, f"docs/risk.md lacks {missing}"


@pytest.mark.parametrize("fence", _of("python"), ids=str)
def test_python_of_a_document_imports_what_exists(fence: Fence) -> None:
    wanted = [node for node in ast.walk(ast.parse(fence.body)) if isinstance(node, ast.ImportFrom | ast.Import)]
    exec(compile(ast.Module(wanted, []), str(fence), "exec"), {"__name__": "document"})


@pytest.mark.parametrize("fence", [f for f in _of("python") if f.page in (FIRST, JOURNAL)], ids=str)
def test_python_of_a_document_runs(fence: Fence) -> None:
    exec(compile(fence.body, str(fence), "exec"), {"__name__": "document"})


def _strategy_of_the_tutorial(monkeypatch: pytest.MonkeyPatch) -> str:
    """Its first Python block, importable as `my_strategy`."""
    body = next(fence.body for fence in FENCES if fence.page == FIRST and fence.language == "python")
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("my_strategy", None))
    monkeypatch.setitem(sys.modules, "my_strategy", module)
    exec(compile(body, "my_strategy.py", "exec"), module.__dict__)
    return body


def test_the_first_strategy_trades_and_is_hedged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _strategy_of_the_tutorial(monkeypatch)
    body = next(fence.body for fence in FENCES if fence.page == FIRST and fence.language == "yaml")
    settings = tmp_path / "mine.yaml"
    settings.write_text(body, encoding="utf-8")
    narrow = ["books.0.strategies.1.band_rule=fixed", "books.0.strategies.1.band=0.005"]
    short = ["synthetic.duration=1h", "books.0.strategies.0.hold=20m", *narrow]
    config = load_config(settings, short)
    source = open_market(config, None)
    journal = open_journal(tmp_path / "journal", config, source, "backtest")
    wired = wire(config, source, journal, journal_rows=False)
    wired.engine.run(source.start_ns + 45 * NS_PER_MINUTE)
    journal.close()
    filled = [order for order in wired.parts.orders.latest(1000) if order.filled]
    options = [order for order in filled if source.table[order.instrument].is_option]
    bought = [order for order in options if order.filled > 0]
    sold = [order for order in options if order.filled < 0]
    assert len(bought) >= 2, "no straddle was bought"
    assert len(sold) >= 2, "no straddle was sold again"
    assert any(not source.table[order.instrument].is_option for order in filled), "nothing was hedged"

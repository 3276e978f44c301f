"""The pages' templates: one frame (`frame.html`) with its colours and print rules, the pages that fill it."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined


def _source(name: str) -> str:
    return files("voldesk.app.report").joinpath(name).read_text(encoding="utf-8")


def render_page(name: str, **context: Any) -> str:
    """The text of one page; `context` must hold everything its template names."""
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(**context)

"""Render a page from its template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trtnemo.errors import one_line

ASSETS = Path(__file__).parents[3] / "assets" / "weights"
_LONGEST = 400  # characters of a text that comes from a checkpoint


def render(template: str, **values: Any) -> str:
    """Return a page; every text among its values is escaped, cut where it is too long, and drives no terminal."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    def clean(value: object) -> object:
        return shortened(one_line(value)) if type(value) is str else value  # what is Markup already stays as it is

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=clean,
        loader=FileSystemLoader(ASSETS),
    )
    return environment.get_template(template).render(**values)


def shortened(text: str) -> str:
    """Return a text cut off where it is longer than a page should hold."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"

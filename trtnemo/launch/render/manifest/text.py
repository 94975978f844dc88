"""Objects as YAML that every reader of Kubernetes takes for the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from trtnemo.launch.render.shell_text import printable

# Go's YAML takes `1e3` and `0o7` for numbers, PyYAML for texts, which it writes without quotes
_LIKE_A_NUMBER = re.compile(r"^[-+.]?\d")


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists under their keys."""
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        """Write a part that stands twice a second time."""
        return True


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else "'" if _LIKE_A_NUMBER.match(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _represent)


def manifest_text(title: str, notes: Iterable[str], objects: Iterable[Mapping[str, Any]]) -> str:
    """Return objects one after another, under a comment that says what they are and what to know of them."""
    lines = [title, *notes]
    comment = "".join(f"# {' '.join(printable(line).split())}\n" for line in lines)
    documents = [
        yaml.dump(dict(item), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120) for item in objects
    ]
    return comment + "---\n".join(documents)


def verbatim(text: str) -> str:
    """Return a text in which Kubernetes puts no variable: it reads `$(NAME)` in words and values of containers."""
    return text.replace("$(", "$$(")

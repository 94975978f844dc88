"""Grammars of constrained answers, put together for llguidance: rules in Lark, and JSON schemas beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

ANY_TEXT = r"(?s:.*)"
# what JSON may hold between its parts; without a bound a model may write white space for ever
WHITE_SPACE = r"[ \n\t\r]{1,48}"


class Rules:
    """The rules of one grammar; `render` gives what llguidance compiles."""

    def __init__(self) -> None:
        self._rules: dict[str, str] = {}
        self._parts: dict[str, dict[str, Any]] = {}

    def add(self, body: str, options: str = "") -> str:
        """Add a rule and return its name; equal ones share it."""
        return self._named("r", f"{options}: {body}")

    def terminal(self, pattern: str) -> str:
        """Add what `regex` returned as a token of its own."""
        return self._named("T", f": {pattern}")

    def _named(self, letter: str, rule: str) -> str:
        known = next((name for name, other in self._rules.items() if other == rule), None)
        name = known or f"{letter}{len(self._rules)}"
        self._rules[name] = rule
        return name

    def schema(self, schema: Mapping[str, Any] | bool, *, lenient: bool = False) -> str:
        """Return a reference to JSON of a schema; `lenient` ignores keywords that cannot be kept."""
        options = {"whitespace_pattern": WHITE_SPACE, "lenient": lenient}
        content: dict[str, Any] = {"not": {}} if schema is False else {} if schema is True else dict(schema)
        return self._part({"json_schema": {**content, "x-guidance": options}})

    def lark(self, text: str) -> str:
        """Return a reference to a whole grammar in Lark."""
        return self._part({"lark_grammar": text})

    def _part(self, content: dict[str, Any]) -> str:
        name = next((name for name, known in self._parts.items() if known == content), f"part{len(self._parts)}")
        self._parts[name] = content
        return f"@{name}"

    def render(self, start: str) -> str:
        """Return the grammar that begins with a body."""
        lines = [f"start: {start}", *(f"{name}{rule}" for name, rule in self._rules.items())]
        main = {"name": "main", "lark_grammar": "\n".join(lines)}
        return json.dumps({"grammars": [main, *({"name": name, **part} for name, part in self._parts.items())]})


def literal(text: str) -> str:
    """Return what matches this text alone."""
    return json.dumps(text, ensure_ascii=False)


def regex(pattern: str, without: Iterable[str] = ()) -> str:
    """Return what matches a pattern, but for texts that match one of `without`."""
    return " & ".join([_slashed(pattern), *(f"~{_slashed(item)}" for item in without)])


def quoted(text: str) -> str:
    """Return a text as a pattern that matches it alone."""
    return "".join(
        rf"\u{{{ord(letter):x}}}" if not letter.isalnum() or ord(letter) > 127 else letter for letter in text
    )


def containing(pattern: str) -> str:
    """Return the pattern of all texts that contain what a pattern matches."""
    return f"{ANY_TEXT}({pattern}){ANY_TEXT}"


def _slashed(pattern: str) -> str:
    """Return a pattern between slashes; a slash inside is written as its number."""
    escaped, out = False, []
    for letter in pattern:
        out.append({"/": r"\/" if not escaped else "/", "\n": "\\n" if not escaped else "n"}.get(letter, letter))
        escaped = letter == "\\" and not escaped
    return f"/{''.join(out)}/"

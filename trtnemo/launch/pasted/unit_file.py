"""Unit files of systemd: sections of keys, a key as often as it is written, lines continued by a backslash."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping

from trtnemo.errors import UsageError

_SECTION = re.compile(r"\[([A-Za-z][\w:.-]*)\]\s*$")
_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))")
Unit = dict[str, list[tuple[str, str]]]


def read_unit(text: str) -> Unit:
    """Return (key, value) pairs by section; comments may stand inside a continued line, as systemd reads them."""
    unit: Unit = {}
    section: list[tuple[str, str]] | None = None
    for line in _lines(text):
        match = _SECTION.match(line)
        if match:
            section = unit.setdefault(match[1], [])
        elif section is not None and "=" in line:
            key, _, value = line.partition("=")
            section.append((key.strip(), value.strip()))
    return unit


def _lines(text: str) -> Iterator[str]:
    waiting = ""
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped.startswith(("#", ";")) or (not waiting and not stripped):
            continue
        if stripped.endswith("\\"):
            waiting += stripped[:-1] + " "
            continue
        yield waiting + stripped
        waiting = ""
    if waiting:
        yield waiting


def values(unit: Unit, section: str, key: str) -> list[str]:
    """Return what a key is given, an empty value taking back what came before."""
    found: list[str] = []
    for name, value in unit.get(section, []):
        if name == key:
            found = [*found, value] if value else []
    return found


def unit_words(text: str, variables: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the words of a command line, and the variables in them that the unit does not set.

    `$NAME` as a word of its own is split at its blanks; `$$` is a dollar, `%%` a percent sign.
    """
    try:
        given = shlex.split(text, comments=False)
    except ValueError as error:
        raise UsageError(f"the command of the unit is not valid: {error}", where="--command") from None
    words: list[str] = []
    unknown: list[str] = []

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name is None:
            return "$"
        if name not in variables:
            unknown.append(match[0])
        return variables.get(name, match[0])

    for word in given:
        expanded = _VARIABLE.sub(value, word).replace("%%", "%")
        is_split = re.fullmatch(r"\$\w+", word) and word[1:] in variables
        words += expanded.split() if is_split else [expanded]
    return words, unknown


def assignments(texts: list[str]) -> dict[str, str]:
    """Return the variables of `Environment=` lines, several of which may stand in one, quoted or not."""
    found = {}
    for text in texts:
        try:
            items = shlex.split(text)
        except ValueError as error:
            raise UsageError(f"Environment= of the unit is not valid: {error}", where="--command") from None
        for item in items:
            name, equals, value = item.partition("=")
            if equals:
                found[name] = value
    return found

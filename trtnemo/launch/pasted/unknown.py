"""What a text leaves open of its server start: values that it does not say, and characters that no shell reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from trtnemo.errors import UsageError
from trtnemo.findings import Finding
from trtnemo.launch.pasted.start import Start
from trtnemo.launch.servers.surface import Surface

_UNSET = "the text does not say what it holds: what is said of it below is not said of its value"
_MODEL_UNSET = "the text does not say which model it is: the rules that know the model were not applied"
_NOT_FOLLOWED = (
    "is set under a condition, in a loop or in a function: these are not followed, it is read as if they ran"
)
_REPLACED = "is set in several branches: what the last one says is read, the others are not"
_START_NOT_FOLLOWED = "the start stands under a condition, in a loop or in a function, which is not followed"
# every shell has these, and what they hold says nothing of the server
_EVERYWHERE = re.compile(r"\$\{?(HOME|USER|UID|HOSTNAME|LOGNAME)\}?$")
# what Helm, Jinja and their like put in
_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}")
_SUBSTITUTION = ("$(", "`", "<(", ">(")
_TYPOGRAPHIC = re.compile("[\u2010-\u2015\u2212\u2018\u2019\u201c\u201d]")


def unknown_of(start: Start) -> tuple[str, ...]:
    """Return the pieces of the server's words of which the text does not say what they hold, as they are written."""
    found = [
        name
        for name in start.command.unknown
        if name in ("$@", "$*")
        or "+" in name
        or name.endswith(("[@]}", "[*]}"))
        or any(name in word for word in start.words)
    ]
    templates = [match for word in start.words for match in _TEMPLATE.findall(word)]
    return tuple(dict.fromkeys([*found, *templates]))


def require_value(text: str, start: Start) -> None:
    """Raise UsageError where a word that must be known is the output of another command."""
    if any(name in text and name.startswith(_SUBSTITUTION) for name in start.command.unknown):
        raise UsageError(
            f"command substitution is not evaluated: {text}", where="--command", remedy="Write its value out"
        )


def unknown_findings(start: Start, model: str) -> Iterator[Finding]:
    """Yield a finding for every value that the text does not say, and for every condition that was not followed."""
    remedy = "Write its value, or set it in the text"
    for name in unknown_of(start):
        if _EVERYWHERE.match(name) is None:
            yield Finding("warning", "variable-not-set", name, _MODEL_UNSET if name in model else _UNSET, remedy)
    for name in start.command.conditional:
        yield Finding("note", "not-followed", name, _NOT_FOLLOWED)
    for name in start.command.replaced:
        yield Finding("warning", "branch-not-read", name, _REPLACED, "Check each branch by itself")
    if start.command.is_conditional:
        yield Finding("note", "not-followed", start.words[0] if start.words else start.server, _START_NOT_FOLLOWED)


def unknown_variables(start: Start, surface: Surface, env: Mapping[str, str | None]) -> Iterator[Finding]:
    """Yield a finding for every variable that the server reads and of which the text does not say the value."""
    for name, value in env.items():
        if value is not None and surface.reads(name) and any(piece in value for piece in start.command.unknown):
            yield Finding("warning", "variable-not-set", name, _UNSET, "Write its value, or set it in the text")


def typographic_findings(words: Sequence[str]) -> Iterator[Finding]:
    """Yield a finding for every word with a dash or a quotation mark of a word processor in it."""
    for word in words:
        match = _TYPOGRAPHIC.search(word)
        if match is not None and (word[0] == match[0] or match[0] > "\u2017"):
            message = f"holds {match[0]}, which a word processor put in: no server reads it as - or a quotation mark"
            yield Finding("error", "typographic-mark", word, message, "Write it in ASCII")

"""A command as a list of words: a JSON array such as CMD, `command:` and process managers take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trtnemo.errors import UsageError
from trtnemo.launch.pasted.forms.form import Form, Pasted
from trtnemo.launch.pasted.shell.command import Command, without_wrappers
from trtnemo.launch.pasted.shell.script import Script, read_script
from trtnemo.launch.pasted.start import Candidate, Reading, docker_of, shell_candidates

# where workflows of CI, SkyPilot, dstack and process managers have their commands
_TEXT_KEYS = ("run", "cmd", "script", "command", "commands")


def _read(pasted: Pasted) -> Reading | None:
    if len(pasted.documents) != 1:
        return None
    document = pasted.documents[0]
    if isinstance(document, list) and document and all(isinstance(word, (str, int, float)) for word in document):
        return _as_words([str(word) for word in document])
    texts = list(_texts(document)) if isinstance(document, dict) else []
    if not texts:
        keys = ", ".join(map(str, list(document)[:6])) if isinstance(document, dict) else "a list"
        raise UsageError(
            f"is YAML of no form that is read here (it begins with {keys})",
            where="--command",
            remedy="Read are Compose and Kubernetes, options files of servers, and lists of words; else paste "
            "the command",
        )
    given = _variables(document.get("envs") or document.get("env"))
    scripts = [read_script(text, given) for text in texts]
    merged = Script()
    for script in scripts:
        merged.files.update(script.files)
        merged.findings += script.findings
        merged.commands += script.commands
    return Reading("commands in YAML", shell_candidates(merged), merged, tuple(merged.findings))


def _variables(given: Any) -> dict[str, str]:
    """Return the variables that a document gives its commands: a mapping, or a list of NAME=value."""
    if isinstance(given, dict):
        return {str(key): str(value) for key, value in given.items() if value is not None}
    pairs = [str(item).partition("=") for item in given] if isinstance(given, list) else []
    return {name: value for name, equals, value in pairs if equals}


def _as_words(words: list[str]) -> Reading:
    in_front, rest = without_wrappers(words)
    command = Command(rest, {}, in_front)
    candidates = (Candidate(command, docker_of(command)),) if rest else ()
    return Reading("a list of words", candidates, Script())


def _texts(document: Any) -> Iterator[str]:
    """Yield the scripts of a document, at any depth: one text, or a list of lines."""
    waiting = [document]
    while waiting:
        place = waiting.pop(0)
        if isinstance(place, list):
            waiting += place
        if not isinstance(place, dict):
            continue
        for key, value in place.items():
            is_lines = isinstance(value, list) and value and all(isinstance(line, str) for line in value)
            if key in _TEXT_KEYS and isinstance(value, str):
                yield value
            elif key in _TEXT_KEYS and is_lines:
                yield "\n".join(value)
            else:
                waiting.append(value)


FORM = Form(_read, rank=90)

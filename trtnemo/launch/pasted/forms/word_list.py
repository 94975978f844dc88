"""A command as a list of words: a JSON array such as CMD, `command:` and process managers take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trtnemo.errors import UsageError
from trtnemo.launch.pasted.forms.form import Form, Pasted
from trtnemo.launch.pasted.shell.command import Command, without_wrappers
from trtnemo.launch.pasted.shell.script import Script, read_script
from trtnemo.launch.pasted.start import Candidate, Reading, docker_of, shell_candidates

_TEXT_KEYS = ("run", "cmd", "script", "command")


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
            remedy="Read are Compose and Kubernetes, options files of vLLM and SGLang, and lists of words; else paste "
            "the command",
        )
    env = document.get("envs") or document.get("env") or {}
    given = {str(key): str(value) for key, value in env.items()} if isinstance(env, dict) else {}
    scripts = [read_script(text, given) for text in texts]
    merged = Script()
    for script in scripts:
        merged.files.update(script.files)
        merged.findings += script.findings
        merged.commands += script.commands
    return Reading("commands in YAML", shell_candidates(merged), merged, tuple(merged.findings))


def _as_words(words: list[str]) -> Reading:
    in_front, rest = without_wrappers(words)
    command = Command(rest, {}, in_front)
    candidates = (Candidate(command, docker_of(command)),) if rest else ()
    return Reading("a list of words", candidates, Script())


def _texts(document: Mapping[Any, Any]) -> Iterator[str]:
    for key in _TEXT_KEYS:
        value = document.get(key)
        if isinstance(value, str):
            yield value


FORM = Form("a list of words", _read, rank=90)

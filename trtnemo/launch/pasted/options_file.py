"""Options that a server reads from a YAML file of its own, as words of its command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from trtnemo.findings import Finding
from trtnemo.launch.options.arguments import parse_arguments
from trtnemo.launch.pasted.pasted_file import PastedFiles
from trtnemo.launch.pasted.start import Start
from trtnemo.launch.servers.server import Server
from trtnemo.launch.servers.surface import Surface


def words_of_file(
    server: Server, surface: Surface, start: Start, files: PastedFiles
) -> tuple[list[str], list[Finding]]:
    """Return the words of a start with those of its options file in front, and what is wrong with the file.

    Both vLLM and SGLang lay the file's options before the typed ones, so that these count (FlexibleArgumentParser of
    vLLM, ConfigArgumentMerger of SGLang).
    """
    option = server.config_option
    known = surface.find(option) if option is not None else None
    path = parse_arguments(surface, start.words).values.get(known.name) if known is not None else None
    if option is None or not isinstance(path, str):
        return list(start.words), []
    content, findings = files.read(option, path)
    if content is None:  # the option stays, and a check says that its file is not read
        return list(start.words), [finding for finding in findings if finding.rule != "file-not-read"]
    words = _without(start.words, option)
    model = [words.pop(0)] if words and not words[0].startswith("-") else []
    if model and "model" in content:
        findings.append(Finding("note", "overridden", "model", f"the file's {content['model']!r} is not used"))
    rest = {key: value for key, value in content.items() if not (model and key == "model")}
    return [*model, *option_words(rest), *words], [*findings, *left_out_findings(rest)]


def option_words(content: Mapping[str, Any]) -> list[str]:
    """Return the words that a server makes of its file: a switch where a value is true, nothing where it is false."""
    words: list[str] = []
    for key, value in content.items():
        if value is True:
            words.append(f"--{key}")
        elif isinstance(value, list):
            words += [f"--{key}", *map(_word, value)]
        elif value is not False and value is not None:
            words += [f"--{key}", _word(value)]
    return words


def left_out_findings(content: Mapping[str, Any]) -> list[Finding]:
    """Return a finding for each key that is false: the server leaves it out, and does what it does by itself."""
    message = "is false in the file, which the server leaves out: the option keeps its default, on or off"
    remedy = "Write the option that switches it off, such as no-enable-prefix-caching: true"
    return [
        Finding("warning", "false-left-out", key, message, remedy) for key, item in content.items() if item is False
    ]


def _word(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def _without(words: list[str], option: str) -> list[str]:
    """Return words without an option and its value."""
    for place, word in enumerate(words):
        if word == option:
            return [*words[:place], *words[place + 2 :]]
        if word.startswith(f"{option}="):
            return [*words[:place], *words[place + 1 :]]
    return list(words)

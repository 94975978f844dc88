"""The words of a server's command, and where the files that it names lie."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

from trtnemo.launch.servers.invocation import Invocation, StartFile
from trtnemo.launch.servers.surface import Option, Surface

Place = Callable[[StartFile], str]


def here(file: StartFile) -> str:
    """Return how a command in the file's own directory names it."""
    return file.here


def inside(file: StartFile) -> str:
    """Return where the file lies in a container: where the model card puts it."""
    return file.inside


def server_words(invocation: Invocation, place: Place, *, with_program: bool = True) -> list[str]:
    """Return every word of the server's command, program first; `place` says where each file lies for the server."""
    dialect = invocation.surface.dialect
    files = {file.option: place(file) for file in invocation.files}
    words = list(dialect.words) if with_program else []
    words += [dialect.model_option, invocation.model] if dialect.model_option else [invocation.model]
    words += words_of_options(invocation.surface, {**invocation.options, **_in_place(invocation.options, files)})
    return [*words, *(word for name, path in files.items() if name not in invocation.options for word in (name, path))]


def _in_place(options: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, str]:
    return {name: path for name, path in files.items() if name in options}


def words_of_options(surface: Surface, options: Mapping[str, Any]) -> list[str]:
    """Return options as words, each as the server takes it."""
    words: list[str] = []
    for name, value in options.items():
        option = surface.find(name)
        if value is False and option is not None and not option.takes_value and not option.negatives:
            continue  # a flag that nothing switches off is off where it is left out
        for item in _as_taken(option, value):
            words += option_words(name, item, option)
    return words


def _as_taken(option: Option | None, value: Any) -> list[Any]:
    """Return the values to write the option with: once, or once per value; a list for a JSON option is one word."""
    if not isinstance(value, list) or option is None or option.kind == "list":
        return [value]
    return value if option.repeatable else [_text(value)]


def option_words(name: str, value: Any, option: Option | None = None) -> list[str]:
    """Return an option with its value; a switch that is off by the name that switches it off, `--no-...` if unknown."""
    if value is True:
        return [name]
    if value is False:
        return [option.negatives[0] if option and option.negatives else name.replace("--", "--no-", 1)]
    if isinstance(value, list):
        return [name, *map(_text, value)]
    text = _text(value)
    return [f"{name}={text}"] if text.startswith("-") else [name, text]


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) if isinstance(value, (dict, list)) else str(value)


def file_text(file: StartFile, invocation: Invocation) -> str:
    """Return the content of a file that a start needs."""
    if file.source is not None:
        return file.source.read_text(encoding="utf-8")
    text: str = yaml.safe_dump(dict(invocation.llm_args or {}), sort_keys=False, allow_unicode=True)
    return text


def option_groups(words: list[str]) -> Iterator[list[str]]:
    """Yield words line by line: the program with the model, then each option with its values."""
    group: list[str] = []
    for word in words:
        if word.startswith("--") and group:
            yield group
            group = []
        group.append(word)
    yield group

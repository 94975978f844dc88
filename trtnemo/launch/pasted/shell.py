"""Pasted shell text, read and never run: its commands, assignments and here-documents."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from trtnemo.errors import UsageError
from trtnemo.launch.pasted.redirection import Document, take_redirections

MAXIMUM_BYTES = 1 << 16
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
# `${NAME:-word}` and the like: the word stands for a variable that is not set, `:` or one that is empty
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?:(?P<empty>:?)[-=](?P<default>[^{}]*))?\}|(?P<plain>\w+))")
_SEPARATORS = {"&&", "||", ";", "|", "&", ";;", "|&"}
# Programs that start the one after them; the options of theirs that take a value.
_WRAPPERS = {"sudo": ("-u", "-g"), "env": ("-u", "-C"), "nohup": (), "exec": (), "time": (), "command": ()}


@dataclass(frozen=True)
class Command:
    """One command: its words, the variables that were exported before it, and those set in front of it.

    `hidden` are variables that the shell keeps to itself, because they were not exported.
    """

    words: list[str]
    exported: Mapping[str, str] = field(default_factory=dict)
    in_front: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()


@dataclass
class Script:
    """What a text holds: commands, the shell's variables, and files that here-documents write."""

    commands: list[Command] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    exported: set[str] = field(default_factory=set)
    files: dict[str, str] = field(default_factory=dict)
    exports_all: bool = False


def read_script(text: str, environment: Mapping[str, str] | None = None) -> Script:
    """Return the commands of a shell text that starts with some variables exported.

    Raises UsageError on what cannot be read without running it.
    """
    if len(text.encode("utf-8", "replace")) > MAXIMUM_BYTES:
        raise UsageError(f"the command is longer than {MAXIMUM_BYTES} bytes")
    text = re.sub(r"\$\(\s*pwd\s*\)|`pwd`|\$\{PWD\}|\$PWD\b", ".", text.replace("\r\n", "\n"))
    given = dict(environment or {})
    script, lines = Script(variables=given, exported=set(given)), text.split("\n")
    while lines:
        line = _logical_line(lines)
        kept, targets, documents = take_redirections(line)
        for document, target in zip_longest(documents, targets[: len(documents)]):
            _read_document(script, document, target or _tee_target(kept), lines)
        if kept.strip():
            _read_commands(script, kept)
    return script


def _logical_line(lines: list[str]) -> str:
    """Take one line with those that continue it: after a backslash, or inside quotes."""
    line = lines.pop(0)
    while line.rstrip().endswith("\\") and lines:
        line = line.rstrip()[:-1] + " " + lines.pop(0)
    while lines and _is_open(line):
        line += "\n" + lines.pop(0)
    return line


def _is_open(line: str) -> bool:
    try:
        shlex.split(line, comments=True)
    except ValueError as error:
        return "quotation" in str(error)
    return False


def _tee_target(line: str) -> str | None:
    match = re.search(r"\btee\s+(?:-a\s+)?([^\s;&|]+)", line)
    return match.group(1) if match else None


def _read_document(script: Script, document: Document, target: str | None, lines: list[str]) -> None:
    body = []
    while lines and lines[0].strip() != document.end:
        body.append(lines.pop(0))
    if not lines:
        raise UsageError(f"the here-document is not closed by {document.end}")
    lines.pop(0)
    if target is not None:
        text = "".join(f"{line}\n" for line in body)
        name = _expand(target.strip("'\""), script.variables)
        script.files[name] = text if document.is_verbatim else _expand(text, script.variables)


def _read_commands(script: Script, line: str) -> None:
    if any(mark in line for mark in ("$(", "`", "<(", ">(")):
        raise UsageError("command substitution is not evaluated", remedy="Write its value out")
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split, lexer.commenters = True, "#"
    try:
        words = list(lexer)
    except ValueError as error:
        raise UsageError(f"the command is not valid shell text: {error}") from None
    command: list[str] = []
    for word in [*words, ";"]:
        if word not in _SEPARATORS:
            command.append(_expand(word, script.variables))
        elif command:
            _keep(script, command)
            command = []


def _keep(script: Script, words: list[str]) -> None:
    """Remember a command; one that only sets variables is remembered as those."""
    if words[:2] in (["set", "-a"], ["set", "-o"]):
        script.exports_all = script.exports_all or words[1:] in (["-a"], ["-o", "allexport"])
    is_export = words[0] == "export" or words[:2] in (["declare", "-x"], ["typeset", "-x"])
    if is_export:
        for word in words[1:]:
            _set(script, word, is_exported=True)
        return
    in_front, rest = _without_wrappers(words)
    if rest:
        exported = {name: value for name, value in script.variables.items() if name in script.exported}
        hidden = frozenset(script.variables.keys() - script.exported - in_front.keys())
        script.commands.append(Command(rest, exported, in_front, hidden))
    elif _ASSIGNMENT.match(words[0]):
        for word in words:
            _set(script, word, is_exported=script.exports_all)


def _set(script: Script, word: str, *, is_exported: bool) -> None:
    name, has_value, value = word.partition("=")
    if has_value:
        script.variables[name] = value
    if is_exported:
        script.exported.add(name)


def _without_wrappers(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return the variables set in front of a command, by the shell or by `env`, and the command's own words."""
    rest, in_front = list(words), {}
    while rest:
        if _ASSIGNMENT.match(rest[0]):
            name, _, value = rest.pop(0).partition("=")
            in_front[name] = value
        elif rest[0] in _WRAPPERS:
            valued = _WRAPPERS[rest.pop(0)]
            while rest and rest[0].startswith("-"):
                del rest[: 2 if rest[0] in valued else 1]
        else:
            break
    return in_front, rest


def _expand(word: str, variables: Mapping[str, str]) -> str:
    """Put in the variables that the text itself has set, and defaults for those that it has not; others stay."""

    def value(match: re.Match[str]) -> str:
        found, default = variables.get(match["braced"] or match["plain"]), match["default"]
        if default is not None and (found is None or (match["empty"] and not found)):
            return _expand(default, variables)
        return match[0] if found is None else found

    word = _VARIABLE.sub(value, word)
    return _VARIABLE.sub(value, word) if "${" in word else word  # once more for a default that held one


def unset_variables(words: Sequence[str]) -> list[str]:
    """Return the variables in words of which the text does not say what they hold, each once, as they are written."""
    return list(dict.fromkeys(match[0] for word in words for match in _VARIABLE.finditer(word)))

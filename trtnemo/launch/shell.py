"""Pasted shell text, read and never run: its commands, assignments and here-documents."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from trtnemo.errors import UsageError

MAXIMUM_BYTES = 1 << 16
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_TARGET = re.compile(r"(?<![<>0-9&])>\s*(\S+)")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_SEPARATORS = {"&&", "||", ";", "|", "&", ";;"}


@dataclass
class Script:
    """What a text holds: commands as words with the variables set before them, files that here-documents write."""

    commands: list[list[str]] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def read_script(text: str) -> Script:
    """Return the commands of a shell text; raises UsageError on what cannot be read without running it."""
    if len(text.encode("utf-8", "replace")) > MAXIMUM_BYTES:
        raise UsageError(f"the command is longer than {MAXIMUM_BYTES} bytes")
    text = re.sub(r"\$\(\s*pwd\s*\)|`pwd`|\$\{PWD\}|\$PWD\b", ".", text.replace("\r\n", "\n"))
    script, lines = Script(), text.split("\n")
    while lines:
        line = _logical_line(lines)
        document = _HEREDOC.search(line)
        if document is not None:
            _read_document(script, line, document, lines)
        elif line.strip():
            _read_commands(script, line)
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
    except ValueError:
        return "quotation" in str(_failure(line))
    return False


def _failure(line: str) -> ValueError | None:
    try:
        shlex.split(line, comments=True)
    except ValueError as error:
        return error
    return None


def _read_document(script: Script, line: str, document: re.Match[str], lines: list[str]) -> None:
    target, end, body = _TARGET.search(line), document.group(2), []
    while lines and lines[0].strip() != end:
        body.append(lines.pop(0))
    if not lines:
        raise UsageError(f"the here-document is not closed by {end}")
    lines.pop(0)
    if target is not None:
        script.files[target.group(1).strip("'\"")] = "\n".join(body) + "\n"


def _read_commands(script: Script, line: str) -> None:
    if any(mark in line for mark in ("$(", "`", "<(", ">(")):
        raise UsageError("command substitution is not evaluated", remedy="Write its value out")
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split, lexer.commenters = True, "#"
    try:
        words = list(lexer)
    except ValueError as error:
        raise UsageError(f"the command is no shell text: {error}") from None
    command: list[str] = []
    for word in [*words, ";"]:
        if word not in _SEPARATORS:
            command.append(_expand(word, script.variables))
        elif command:
            _keep(script, command)
            command = []


def _keep(script: Script, words: list[str]) -> None:
    """Remember a command; one that only sets variables is remembered as those."""
    is_export = words[0] == "export"
    words = words[1:] if is_export else words
    assigned = 0
    for word in words:
        if not _ASSIGNMENT.match(word):
            break
        name, _, value = word.partition("=")
        script.variables[name] = value
        assigned += 1
    if words[assigned:] and not is_export:
        script.commands.append(words[assigned:])


def _expand(word: str, variables: dict[str, str]) -> str:
    """Put in the variables that the text itself has set; others stay as they are."""
    return _VARIABLE.sub(lambda match: variables.get(match.group(1) or match.group(2), match.group(0)), word)

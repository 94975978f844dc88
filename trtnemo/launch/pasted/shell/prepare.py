"""Pasted shell text made ready for the grammar: prompts, placeholders, and backslashes that continue nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from trtnemo.errors import UsageError
from trtnemo.findings import Finding

_PROMPT = re.compile(
    r"^[ \t]*(?:(?:\(\S+\)[ \t]*)?[\w.-]+@[\w.-]+:[^\s$#]*[$#]|\$|[\u276f\u279c]|!(?=[a-z]))[ \t]*(?=\S)", re.MULTILINE
)
_HERE = re.compile(r"\$\(\s*pwd\s*\)|`pwd`|\$\{PWD\}|\$PWD\b")
# a placeholder such as <model> is a word that somebody has yet to fill in
_PLACEHOLDER = re.compile(r"(?<!<)<([\w./-]+(?: [\w./-]+)*)>(?![>(&])")
# what Helm, Jinja and their like put in: one word, whatever stands in it
_TEMPLATE = re.compile(r"\{\{[^{}\n]*\}\}")
_HIDDEN = 0xE100
_OPEN, _CLOSE = "\ue000", "\ue001"
# the grammar knows no `;` behind the word that ends a here-document
_AFTER_DOCUMENT = re.compile(r"(<<-?[ \t]*(['\"]?)\w+\2[^\n;'\"]*);(?!;)")
_BROKEN = re.compile(r"(?<!\\)\\[ \t]+(#[^\n]*)?$", re.MULTILINE)
_OTHER_SHELL = re.compile(r"[ \t]([`^])[ \t]*\n[ \t]*-")
_BLANKS = str.maketrans({"\u00a0": " ", "\u2007": " ", "\u202f": " ", "\u200b": None, "\ufeff": None})


def prepare(text: str) -> tuple[str, list[Finding]]:
    """Return text that the grammar reads, and findings on what a shell would read otherwise than it looks.

    Raises UsageError for the lines of another shell.
    """
    other = _OTHER_SHELL.search(text)
    if other is not None:
        name = "PowerShell" if other[1] == "`" else "cmd.exe"
        raise UsageError(
            f"lines that end with {other[1]} are {name}'s, which is not read",
            where="--command",
            remedy="End them with a backslash",
        )
    findings = [*_strange_blanks(text)]
    text = text.translate(_BLANKS).replace("\r\n", "\n").replace("\r", "\n")
    # what a terminal shows before the lines that continue a command
    text = re.sub(r"(\\\n)>[ \t]+" + ("" if _PROMPT.search(text) else "(?=-)"), r"\1", text)
    for match in _BROKEN.finditer(text):
        line, what = text.count("\n", 0, match.start()) + 1, "a comment" if match[1] else "a blank"
        message = f"{what} follows the backslash: a shell ends the command there, and the server sees no later line"
        findings.append(Finding("error", "broken-line", f"line {line}", message, "End the line with the backslash"))
    text = _TEMPLATE.sub(lambda match: "".join(chr(_HIDDEN + min(ord(c), 0xFF)) for c in match[0]), text)
    if all(line.startswith(">") for line in text.split("\n") if line.strip()):  # quoted, as in mail
        text = re.sub(r"^>[ \t]?", "", text, flags=re.MULTILINE)
    text = _BROKEN.sub(r"\\", text)
    text = _PLACEHOLDER.sub(rf"{_OPEN}\1{_CLOSE}", _HERE.sub(".", _PROMPT.sub("", text)))
    return _AFTER_DOCUMENT.sub(r"\1&&", text), findings


def _strange_blanks(text: str) -> Iterator[Finding]:
    """Yield a finding for each line with a blank that a shell takes for a letter."""
    for number, line in enumerate(text.lstrip("\ufeff").split("\n"), start=1):
        if not line.lstrip().startswith("#") and any(mark in line for mark in map(chr, _BLANKS)):
            message = "holds a no-break or an invisible blank: a shell takes it for a letter of the word"
            yield Finding("error", "typographic-mark", f"line {number}", message, "Write a plain blank")


def restored(text: str) -> str:
    """Return a text with its placeholders and templates as they were written."""
    shown = "".join(chr(ord(c) - _HIDDEN) if _HIDDEN <= ord(c) <= _HIDDEN + 0xFF else c for c in text)
    return shown.replace(_OPEN, "<").replace(_CLOSE, ">")

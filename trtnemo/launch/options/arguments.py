"""A command line read as its server would read it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from trtnemo.findings import Finding
from trtnemo.launch.options.option_value import convert
from trtnemo.launch.servers.surface import SECRET_OPTIONS, Option, Surface
from trtnemo.recipe.external import is_secret


@dataclass
class ParsedArguments:
    """Values by the option's longest name (`--tensor-parallel-size`), positional words, and what cannot be read.

    `unknown` holds the options without a record as they are written, secrets without their values. Values that the
    option does not take stay texts: `check_options` judges them.
    """

    values: dict[str, Any] = field(default_factory=dict)
    unknown: dict[str, Any] = field(default_factory=dict)
    positional: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def parse_arguments(surface: Surface, words: Sequence[str]) -> ParsedArguments:
    """Return what a server makes of its words; one that it cannot read becomes a finding, and reading goes on."""
    return _Reader(surface, words).read()


class _Reader:
    """Walks over the words once."""

    def __init__(self, surface: Surface, words: Sequence[str]) -> None:
        self.surface, self.dialect = surface, surface.dialect
        self.words = list(words)
        self.parsed = ParsedArguments()

    def read(self) -> ParsedArguments:
        """Consume every word."""
        while self.words:
            word = self.words.pop(0)
            if _is_option(word):
                self._option(word)
            else:
                self.parsed.positional.append(word)
        return self.parsed

    def _option(self, word: str) -> None:
        for pattern, replacement in self.dialect.rewrites:
            word = re.sub(pattern, replacement, word)
        is_split = word.startswith("--") or self.dialect.parser == "argparse"  # which splits `-x=1` too
        name, has_value, text = word.partition("=") if is_split else (word, "", "")
        base, dot, key = name.partition(".")
        option = self._find(base)
        if option is None:
            value = text if has_value else self._unknown_value()
            self.parsed.unknown[name] = None if is_secret(name) and value is not True else value
            return
        if dot:
            self._nested(option, key, text if has_value else self._next())
            return
        values = [text] if has_value else self._values(option)
        self._store(option, base, values)

    def _find(self, name: str) -> Option | None:
        option = self.surface.find(name)
        if option is None and self.dialect.parser == "argparse" and name.startswith("--"):
            option = self._abbreviated(name)
        if option is None:
            return None
        if not option.certain:
            self._add("warning", "uncertain-option", name, f"may not exist in {self.surface.title} yet")
        if option.deprecated:
            self._add("note", "deprecated-option", name, f"is deprecated in {self.surface.title}")
        return option

    def _abbreviated(self, name: str) -> Option | None:
        """Return the option that argparse takes an unambiguous prefix for."""
        written = name.replace("_", "-") if self.dialect.dashes_for_underscores else name
        found = {known: option for known, option in self.surface.by_name.items() if known.startswith(written)}
        options = {id(option): option for option in found.values()}
        if len(options) != 1:
            return None
        option = next(iter(options.values()))
        self._add("note", "abbreviated-option", name, f"is taken for {option.name}", "Write it out")
        return option

    def _values(self, option: Option) -> list[str]:
        if not option.takes_value:
            return []
        if option.kind == "value":
            return [] if not self.words or _is_option(self.words[0]) else [self.words.pop(0)]
        values: list[str] = []
        limit = 1 if option.kind == "optional" else option.count
        while self.words and not _is_option(self.words[0]) and (limit is None or len(values) < limit):
            values.append(self.words.pop(0))
        return values

    def _next(self) -> str:
        return self.words.pop(0) if self.words else ""

    def _unknown_value(self) -> str | bool:
        """Take the word after an option that nobody knows for its value; without one it is a flag."""
        return self.words.pop(0) if self.words and not _is_option(self.words[0]) else True

    def _store(self, option: Option, written: str, texts: list[str]) -> None:
        if option.name in self.parsed.values and not option.repeatable:
            self._add("note", "option-twice", written, "is given twice; the last one counts")
        if option.name in SECRET_OPTIONS and texts:
            message = "a secret stands in the command, where every process list shows it"
            self._add("warning", "secret-in-command", option.name, message, "Give it by an environment variable")
            return
        if not option.takes_value:
            if texts:
                self._add("error", "option-value", written, f"does not take a value, but was given {texts[0]!r}")
            self.parsed.values[option.name] = not written.startswith("--no-")
            return
        if not texts and option.kind in ("value", "list"):
            self._add("error", "option-value", written, "needs a value")
            return
        values = [convert(option, text) for text in texts]
        if option.repeatable:
            values = [*self.parsed.values.get(option.name, []), *values]
        is_list = option.kind == "list" or option.repeatable
        self.parsed.values[option.name] = values if is_list else (values[0] if values else True)

    def _nested(self, option: Option, key: str, text: str) -> None:
        """Lay `--option.key value` into the option's object, where the server does so."""
        if not self.dialect.dotted_objects:
            self._add(
                "error", "unknown-option", f"{option.name}.{key}", f"{self.surface.title} does not take dotted options"
            )
            return

        try:
            value = json.loads(text)
        except ValueError:
            value = text
        target = self.parsed.values.setdefault(option.name, {})
        *parents, last = key.split(".")
        for part in parents:
            target = target.setdefault(part, {})
        target[last] = value

    def _add(self, severity: Any, rule: str, subject: str, message: str, remedy: str = "") -> None:
        self.parsed.findings.append(Finding(severity, rule, subject, message, remedy))


def _is_option(word: str) -> bool:
    """Return whether a word begins an option; a negative number does not."""
    if not word.startswith("-") or word == "-":
        return False
    try:
        float(word)
    except ValueError:
        return True
    return False

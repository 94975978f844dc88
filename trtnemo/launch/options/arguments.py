"""A command line read as its server would read it: by argparse, built from the record of its options."""

from __future__ import annotations

import argparse
import functools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from trtnemo.findings import Finding
from trtnemo.launch.options.option_value import convert
from trtnemo.launch.servers.option_type import CONVERTERS
from trtnemo.launch.servers.surface import SECRET_OPTIONS, Option, Surface, load_surface
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


class _Parser(argparse.ArgumentParser):
    """A parser that raises where argparse ends the process."""

    def error(self, message: str) -> NoReturn:
        """Raise ArgumentError."""
        raise argparse.ArgumentError(None, message)


class _Taken(argparse.Action):
    """Notes which option was taken, by which of its names, and with which words."""

    def __init__(self, option: Option, **settings: Any) -> None:
        super().__init__(default=argparse.SUPPRESS, **settings)
        self.option = option

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        """Leave the note; a value that may be left out is then None."""
        words = values if isinstance(values, list) else [] if values is None else [values]
        namespace.taken = (self.option, option_string, words)


@functools.cache
def _parser(server: str, version: str) -> _Parser:
    """Return the parser of a version. click, unlike argparse, takes no abbreviations."""
    surface = load_surface(server, version)
    abbreviates = surface.dialect.parser == "argparse"
    parser = _Parser(add_help=False, allow_abbrev=abbreviates, exit_on_error=False, conflict_handler="resolve")
    for option in surface.options:
        if not option.positional:
            nargs = option.count or _NUMBERS.get(option.kind, 0)
            parser.add_argument(*option.names, dest=option.name, action=_Taken, option=option, nargs=nargs)
    return parser


# words that an option of a kind takes; flags and switches take none. That a list is empty is judged here.
_NUMBERS: dict[str, str | None] = {"value": None, "optional": "?", "list": "*"}


class _Reader:
    """Walks over the words once, an option with what follows it at a time, so that a fault hides no other."""

    def __init__(self, surface: Surface, words: Sequence[str]) -> None:
        self.surface, self.dialect = surface, surface.dialect
        self.parser = _parser(surface.server, surface.version)
        self.words = list(words)
        self.parsed = ParsedArguments()
        self.dotted: dict[str, dict[str, Any]] = {}

    def read(self) -> ParsedArguments:
        """Consume every word."""
        while self.words:
            word = self.words.pop(0)
            if word == "--":
                self.parsed.positional += self.words
                break
            if _is_option(word):
                self._option(word, self._following())
            else:
                self.parsed.positional.append(word)
        self._lay_in()
        return self.parsed

    def _following(self) -> list[str]:
        count = next((place for place, word in enumerate(self.words) if _is_option(word)), len(self.words))
        found, self.words = self.words[:count], self.words[count:]
        return found

    def _option(self, word: str, following: list[str]) -> None:
        for pattern, replacement in self.dialect.rewrites:
            word = re.sub(pattern, replacement, word)
        name, equals, text = word.partition("=")
        base, dot, key = name.partition(".")
        option = self.surface.find(base)
        if dot and option is not None:
            value, *rest = [text, *following] if equals else following or [""]
            self._nested(option, base, key, value)
            self.parsed.positional += rest
            return
        try:
            taken, rest = self.parser.parse_known_args([self._as_listed(name) + equals + text, *following])
        except argparse.ArgumentError as error:
            self._fault(error, name, text, following)
            return
        if not hasattr(taken, "taken"):
            self._unknown(name, [text, *following] if equals else following, has_value=bool(equals))
            return
        option, listed, values = taken.taken
        self._store(option, name, listed, values)
        self.parsed.positional += rest

    def _as_listed(self, name: str) -> str:
        is_long = self.dialect.dashes_for_underscores and name.startswith("--")
        return name.replace("_", "-") if is_long else name

    def _fault(self, error: argparse.ArgumentError, name: str, text: str, following: list[str]) -> None:
        """Note what argparse refuses: a value too few or too many; an abbreviation of several is no option."""
        option = self.surface.find(str(error.argument_name).split("/")[0])
        if option is None:
            self._unknown(name, following, has_value=False)
        elif option.takes_value:
            self._add("error", "option-value", name, "needs a value")
        else:
            self._add("error", "option-value", name, f"does not take a value, but was given {text!r}")
            self.parsed.values[option.name] = self._as_listed(name) not in option.negatives
            self.parsed.positional += following

    def _unknown(self, name: str, words: list[str], *, has_value: bool) -> None:
        """Take the word after an option that nobody knows for its value; without one it is a flag."""
        value, rest = (words[0], words[1:]) if words or has_value else (True, [])
        self.parsed.unknown[name] = None if is_secret(name) and value is not True else value
        self.parsed.positional += rest

    def _store(self, option: Option, written: str, listed: str, texts: list[str]) -> None:
        if not self._as_listed(written).startswith(listed):  # `-n4` is -n in full
            self._add("note", "abbreviated-option", written, f"is taken for {option.name}", "Write it out")
        if not option.certain:
            self._add("warning", "uncertain-option", written, f"may not exist in {self.surface.title} yet")
        if option.deprecated:
            self._add("note", "deprecated-option", written, f"is deprecated in {self.surface.title}")
        if option.name in self.parsed.values and not option.repeatable:
            self._add("note", "option-twice", written, "is given twice; the last one counts")
        if option.name in SECRET_OPTIONS and texts:
            message = "a secret stands in the command, where every process list shows it"
            self._add("warning", "secret-in-command", option.name, message, "Give it by an environment variable")
            return
        if not option.takes_value:
            self.parsed.values[option.name] = listed not in option.negatives
            return
        if not texts and option.kind == "list":
            self._add("error", "option-value", written, "needs a value")
            return
        values = [convert(option, text) for text in texts]
        if option.repeatable:
            values = [*self.parsed.values.get(option.name, []), *values]
        is_list = option.kind == "list" or option.repeatable
        self.parsed.values[option.name] = values if is_list else (values[0] if values else True)

    def _nested(self, option: Option, base: str, key: str, text: str) -> None:
        """Keep `--option.key value` for the option's object; `--option.key+ a,b` adds to a list."""
        if not self.dialect.dotted_objects:
            self._add(
                "error", "unknown-option", f"{option.name}.{key}", f"{self.surface.title} does not take dotted options"
            )
            return
        adds = key.endswith("+")
        *parents, last = key.removesuffix("+").split(".")
        target = self.dotted.setdefault(self._as_listed(base), {})
        for part in parents:
            if not isinstance(target.get(part), dict):
                target[part] = {}
            target = target[part]
        if adds:
            known = target.get(last)
            target[last] = [*(known if isinstance(known, list) else []), *text.split(",")]
        else:
            target[last] = _dotted_value(text)

    def _lay_in(self) -> None:
        """Give the objects of dotted options to their options, after all others, as vLLM does: they replace these."""
        for base, value in self.dotted.items():
            option = self.surface.find(base)
            if option is not None:
                if option.name in self.parsed.values:
                    message = f"its earlier value is replaced by {base}.{next(iter(value))} and the like"
                    self._add("warning", "option-twice", option.name, message, "Give all of it in one form")
                self.parsed.values[option.name] = value

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


def _dotted_value(text: str) -> Any:
    """Return the value of a dotted option: JSON, a number such as 80g, or the text."""
    for convert_text in (json.loads, CONVERTERS["human_readable_int"]):
        try:
            return convert_text(text)
        except ValueError:
            continue
    return text

"""A command line read as its server would read it: by argparse, built from the record of its options."""

from __future__ import annotations

import argparse
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from trtnemo.findings import Finding
from trtnemo.launch.options.option_value import convert
from trtnemo.launch.servers.option_type import CONVERTERS
from trtnemo.launch.servers.surface import SECRET_OPTIONS, Option, Surface, load_surface
from trtnemo.recipe.external import holds_secret, is_secret


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


# what argparse takes for a number, in the Pythons that servers run on
_NEGATIVE = re.compile(r"-\d+|-\d*\.\d+")
# words that an option of a kind takes; flags and switches take none. That a list is empty is judged here.
_NUMBERS: dict[str, str | None] = {"value": None, "optional": "?", "list": "*"}


class _Reader:
    """Walks over the words once, an option with what follows it at a time, so that a fault hides no other."""

    def __init__(self, surface: Surface, words: Sequence[str]) -> None:
        self.surface, self.dialect = surface, surface.dialect
        self.parser = _parser(surface.server, surface.version)
        self.words = list(words)
        self.parsed = ParsedArguments()
        self.dotted: dict[str, tuple[Option, dict[str, Any]]] = {}

    def read(self) -> ParsedArguments:
        """Consume every word."""
        while self.words:
            word = self.words.pop(0)
            if word == "--":
                self.parsed.positional += self.words
                break
            if self._is_option(word):
                self._option(word)
            else:
                self.parsed.positional.append(word)
        self._lay_in()
        return self.parsed

    def _is_option(self, word: str) -> bool:
        """Return whether argparse takes a word for an option: not a number, and not a text with blanks that is none."""
        if not word.startswith("-") or word == "-" or _NEGATIVE.fullmatch(word):
            return False
        return " " not in word or self._named(word.partition("=")[0].partition(".")[0]) is not None

    def _named(self, name: str) -> Option | None:
        """Return the option of a name, or of an abbreviation that only one has."""
        option = self.surface.find(name)
        if option is not None or self.dialect.parser != "argparse" or not name.startswith("--"):
            return option
        written = self._as_listed(name)
        found = {id(known): known for word, known in self.surface.by_name.items() if word.startswith(written)}
        return next(iter(found.values())) if len(found) == 1 else None

    def _following(self, option: Option | None) -> list[str]:
        """Take the words up to the next option; click gives an option the next word, whatever it is."""
        takes_next = self.dialect.parser == "click" and option is not None and option.takes_value
        first = 1 if takes_next else 0
        ends = (place for place, word in enumerate(self.words) if place >= first and self._is_option(word))
        count = next(ends, len(self.words))
        found, self.words = self.words[:count], self.words[count:]
        return found

    def _option(self, word: str) -> None:
        for pattern, replacement in self.dialect.rewrites:
            word = re.sub(pattern, replacement, word)
        name, equals, text = word.partition("=")
        base, dot, key = name.partition(".")
        option = self._named(base)
        given = [text] if equals else self._following(option)
        if dot and option is not None:
            self._nested(option, base, key, given[0] if given else "")
            self.parsed.positional += given[1:]
        elif self.dialect.parser == "click" and option is not None and option.takes_value and given:
            self._store(option, name, name, given[:1])
            self.parsed.positional += given[1:]
        else:
            self._by_argparse(name, equals, given)

    def _by_argparse(self, name: str, equals: str, given: list[str]) -> None:
        words = [f"{self._as_listed(name)}={given[0]}"] if equals else [self._as_listed(name), *given]
        try:
            found, rest = self.parser.parse_known_args(words)
        except argparse.ArgumentError as error:
            self._fault(error, name, given)
            return
        if hasattr(found, "taken"):
            self._store(found.taken[0], name, *found.taken[1:])
            self.parsed.positional += rest
        else:
            self._unknown(name, given)

    def _as_listed(self, name: str) -> str:
        is_long = self.dialect.dashes_for_underscores and name.startswith("--")
        return name.replace("_", "-") if is_long else name

    def _fault(self, error: argparse.ArgumentError, name: str, given: list[str]) -> None:
        """Note what argparse refuses: a value that is missing, one too many, a name that begins several options'."""
        option = self.surface.find(str(error.argument_name).split("/")[0])
        if option is None:
            self._unknown(name, given)
        elif option.takes_value:
            self._add("error", "option-value", name, "needs a value")
            self.parsed.positional += given
        else:
            self._add("error", "option-value", name, f"does not take a value, but was given {given[0]!r}")
            self.parsed.values[option.name] = self._as_listed(name) not in option.negatives

    def _unknown(self, name: str, words: list[str]) -> None:
        """Take the word after an option that nobody knows for its value; without one it is a flag."""
        value, rest = (words[0], words[1:]) if words else (True, [])
        self.parsed.unknown[name] = None if is_secret(name) and value is not True else value
        self.parsed.positional += rest

    def _store(self, option: Option, written: str, listed: str, texts: list[str]) -> None:
        if not self._as_listed(written).startswith(listed):  # `-n4` is -n in full
            self._add("note", "abbreviated-option", written, f"is taken for {listed}", "Write it out")
        if not option.certain:
            self._add("warning", "uncertain-option", written, f"may not exist in {self.surface.title} yet")
        if option.deprecated:
            self._add("note", "deprecated-option", written, f"is deprecated in {self.surface.title}")
        if option.name in self.parsed.values and not option.repeatable:
            self._add("note", "option-twice", written, "is given twice; the last one counts")
        if texts and (option.name in SECRET_OPTIONS or any(map(holds_secret, texts))):
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
        _, target = self.dotted.setdefault(self._as_listed(base), (option, {}))
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
        for base, (option, value) in self.dotted.items():
            if option.name in self.parsed.values:
                message = f"its earlier value is replaced by {base}.{next(iter(value))} and the like"
                self._add("warning", "option-twice", option.name, message, "Give all of it in one form")
            self.parsed.values[option.name] = value

    def _add(self, severity: Any, rule: str, subject: str, message: str, remedy: str = "") -> None:
        self.parsed.findings.append(Finding(severity, rule, subject, message, remedy))


def _dotted_value(text: str) -> Any:
    """Return the value of a dotted option: JSON, a number such as 80g, or the text."""
    for convert_text in (CONVERTERS["json"], CONVERTERS["human_readable_int"]):
        try:
            return convert_text(text)
        except ValueError:
            continue
    return text

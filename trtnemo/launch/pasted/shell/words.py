"""Words of a shell text as the shell would hand them on, as far as the text itself says what they hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trtnemo.errors import UsageError
from trtnemo.launch.pasted.shell.prepare import restored

if TYPE_CHECKING:
    from tree_sitter import Node

_UNREAD = {"command_substitution", "process_substitution", "arithmetic_expansion"}
_EXPANSIONS = _UNREAD | {"simple_expansion", "expansion"}
# `${NAME:-word}` and the like: the word stands for a variable that is not set, `:` or one that is empty
_DEFAULTS = {":-", "-", ":=", "="}
_ANSI = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "v": "\v"}


# letters that variables may put into one command
MAXIMUM_GROWTH = 1 << 18


@dataclass(frozen=True)
class Value:
    """What a variable holds: one text, or the items of an array.

    `unknown` are the pieces of which the text does not say what they hold, as they are written; `is_conditional` says
    that it was set under a condition, in a loop or in a function, `is_replaced` that another branch had set it before.
    """

    items: tuple[str, ...]
    is_array: bool = False
    unknown: tuple[str, ...] = ()
    is_conditional: bool = False
    is_replaced: bool = False

    @property
    def text(self) -> str:
        """All of it as one text."""
        return " ".join(self.items)


class Expander:
    """Expands the words of one command; notes what it met that is not known, and variables set under a condition."""

    def __init__(self, source: bytes, variables: Mapping[str, Value]) -> None:
        self.source, self.variables = source, variables
        self.unknown: list[str] = []
        self.conditional: list[str] = []
        self.replaced: list[str] = []
        self.grown = 0

    def written(self, node: Node) -> str:
        """Return a node as it stands in the text."""
        return restored(self.source[node.start_byte : node.end_byte].decode("utf-8", "replace"))

    def fields(self, node: Node) -> list[str]:
        """Return the words that a node becomes: none, one, or as many as an array has or blanks separate."""
        return _joined([self._piece(node)]) if node.type != "concatenation" else self._concatenated(node)

    def text(self, node: Node) -> str:
        """Return what a node becomes where no word is split, as behind `=`."""
        return " ".join(self.fields(node))

    def document(self, node: Node) -> str:
        """Return the text of a here-document's body with its variables put in."""
        return self._quoted(node, node.start_byte, node.end_byte)

    def _concatenated(self, node: Node) -> list[str]:
        return _joined([self._piece(child) for child in node.children])

    def _piece(self, node: Node) -> list[str]:
        """Return a piece of a word; more than one item means that the word is separated between them."""
        kind = node.type
        if kind == "string":
            inner = [child for child in node.children if child.type in _EXPANSIONS]
            if len(inner) == 1 and self.written(node) == f'"{self.written(inner[0])}"' and self._is_all(inner[0]):
                return list(self._expansion(inner[0]))
            return [self._quoted(node, node.start_byte + 1, node.end_byte - 1)]
        if kind == "raw_string":
            return [self.written(node)[1:-1]]
        if kind == "ansi_c_string":
            return [re.sub(r"\\(.)", lambda match: _ANSI.get(match[1], match[1]), self.written(node)[2:-1])]
        if kind in _EXPANSIONS:
            before = len(self.unknown)
            found = self._expansion(node)
            is_known = len(self.unknown) == before
            return [part for item in found for part in item.split()] if is_known else found
        if kind == "concatenation":
            return self._concatenated(node)
        if not node.is_named and node.type == "$":
            return []
        return [re.sub(r"\\(.|\n)", lambda match: match[1].strip("\n"), self.written(node))]

    def _quoted(self, node: Node, start: int, end: int) -> str:
        """Return the text between two places, expansions put in, backslashes read as between double quotes."""
        pieces, place = [], start
        for child in node.children:
            if child.type in _EXPANSIONS:
                pieces += [self._plain(place, child.start_byte), " ".join(self._expansion(child))]
                place = child.end_byte
        return "".join([*pieces, self._plain(place, end)])

    def _plain(self, start: int, end: int) -> str:
        text = restored(self.source[start:end].decode("utf-8", "replace"))
        return re.sub(r'\\([$`"\\]|\n)', lambda match: match[1].strip("\n"), text)

    def _is_all(self, node: Node) -> bool:
        """Return whether an expansion is that of every item of an array."""
        return self.written(node).endswith(("[@]}", "$@"))

    def _expansion(self, node: Node) -> list[str]:
        written = self.written(node)
        if node.type in _UNREAD:
            return self._not_known(written)
        name = next((child for child in node.children if child.type.endswith(("variable_name", "subscript"))), None)
        operators = [child.type for child in node.children if not child.is_named and child.type not in ("${", "}", "$")]
        if name is None or len(operators) > 1:
            return self._not_known(written)
        bare, _, index = self.written(name).partition("[")
        value = _indexed(self.variables.get(bare), "@" if bare in ("@", "*") else index.rstrip("]"))
        if not operators:
            return self._not_known(written) if value is None else self._known(bare, value)
        return self._by_operator(node, operators[0], bare, value)

    def _by_operator(self, node: Node, operator: str, name: str, value: Value | None) -> list[str]:
        argument = next(
            (child for child in node.children[2:] if child.is_named and child.type != "variable_name"), None
        )
        if operator in _DEFAULTS:
            if value is not None and (value.text or not operator.startswith(":")):
                return self._known(name, value)
            return [""] if argument is None else [self.text(argument)]
        if operator in (":+", "+"):
            if value is None:  # a shell that has it set adds the word
                self.unknown.append(self.written(node))
                return []
            return self.fields(argument) if argument is not None else []
        if operator in (":?", "?") and value is not None:
            return self._known(name, value)
        return self._not_known(self.written(node))

    def _known(self, name: str, value: Value) -> list[str]:
        self.grown += sum(map(len, value.items))
        if self.grown > MAXIMUM_GROWTH:
            raise UsageError("the variables of the text grow beyond what is read", where="--command")
        self.unknown += value.unknown
        if value.is_conditional:
            self.conditional.append(name)
        if value.is_replaced:
            self.replaced.append(name)
        return list(value.items)

    def _not_known(self, written: str) -> list[str]:
        self.unknown.append(written)
        return [] if written in ("$@", "$*", "${@}") or written.endswith("[@]}") else [written]


def _indexed(value: Value | None, index: str) -> Value | None:
    """Return the items that an index means, the first one where there is none."""
    if value is None or not value.is_array or index in ("@", "*"):
        return value
    place = int(index) if index.isdecimal() else 0
    return replace(value, items=value.items[place : place + 1]) if place < len(value.items) else None


def _joined(pieces: list[list[str]]) -> list[str]:
    """Return the words that pieces standing side by side become."""
    fields: list[str] = []
    is_open = False
    for piece in pieces:
        for place, item in enumerate(piece):
            if place == 0 and is_open:
                fields[-1] += item
            else:
                fields.append(item)
        is_open = is_open or bool(piece)
    return fields

"""Arguments that a model wrote as text, typed by a tool's JSON schema. Nothing is ever evaluated."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping
from typing import Any

_INTEGER = re.compile(r"[+-]?\d{1,300}")
_NUMBER = re.compile(r"[+-]?(\d{1,300}(\.\d{0,300})?|\.\d{1,300})([eE][+-]?\d{1,4})?")
_LONGEST_LITERAL = 4096


def typed(text: str, schema: Mapping[str, Any], root: Mapping[str, Any] | None = None) -> Any:
    """Return a parameter's value by its schema: text where no type, or none that fits, is declared.

    `root` is the schema in which `$ref` is looked up.
    """
    if text.strip().lower() == "null":
        return None
    for kind in sorted(kinds_of(schema, root or {}), key=lambda name: name == "string"):
        fits, value = _READERS.get(kind, _read_string)(text)
        if fits:
            return value
    return text


def kinds_of(schema: Mapping[str, Any], root: Mapping[str, Any], seen: frozenset[str] = frozenset()) -> list[str]:
    """Return the types that a schema allows, alternatives and references included; null needs no reader."""
    declared = schema.get("type")
    kinds = [declared] if isinstance(declared, str) else list(declared) if isinstance(declared, list) else []
    for key in ("anyOf", "oneOf", "allOf"):
        alternatives = schema.get(key)
        for alternative in alternatives if isinstance(alternatives, list) else []:
            kinds += kinds_of(alternative, root, seen) if isinstance(alternative, Mapping) else []
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference not in seen:
        kinds += kinds_of(_referred(reference, root), root, seen | {reference})
    if not kinds:
        kinds = _implied_kinds(schema)
    return [kind for kind in dict.fromkeys(kinds) if isinstance(kind, str) and kind != "null"]


def _referred(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a JSON pointer within the tool's own schema names, nothing for any other reference."""
    found: Any = root if reference.startswith("#") else {}
    for part in filter(None, reference.removeprefix("#").split("/")):
        found = as_mapping(found).get(part.replace("~1", "/").replace("~0", "~"))
    return as_mapping(found)


def _implied_kinds(schema: Mapping[str, Any]) -> list[str]:
    """Return the types of a schema that declares none: those of the values that it lists, or of its keywords."""
    values = schema.get("enum")
    listed = [*(values if isinstance(values, list) else []), *([schema["const"]] if "const" in schema else [])]
    if listed:
        return [_KINDS_OF_VALUES.get(type(value), "null") for value in listed]
    return [kind for key, kind in (("properties", "object"), ("items", "array")) if key in schema]


def _read_string(text: str) -> tuple[bool, Any]:
    return True, text


def _read_integer(text: str) -> tuple[bool, Any]:
    fits = _INTEGER.fullmatch(text.strip()) is not None
    return fits, int(text) if fits else None


def _read_number(text: str) -> tuple[bool, Any]:
    if _INTEGER.fullmatch(text.strip()):
        return True, int(text)
    if not _NUMBER.fullmatch(text.strip()):
        return False, None
    value = float(text)
    return math.isfinite(value), value


def _read_boolean(text: str) -> tuple[bool, Any]:
    """Anything but true is false, as in the released parsers."""
    return True, text.strip().lower() == "true"


def _read_container(kind: type) -> Any:
    def read(text: str) -> tuple[bool, Any]:
        for reader in (_from_json, _from_literal):
            try:
                value = reader(text)
                if isinstance(value, kind):
                    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
                    return True, value
            except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                continue
        return False, None

    return read


def _from_json(text: str) -> Any:
    return json.loads(text)


def _from_literal(text: str) -> Any:
    """Read Python's spelling of a list or dictionary; a literal parse runs no code, but is kept from long texts."""
    return ast.literal_eval(text.strip()) if len(text) <= _LONGEST_LITERAL else None


_KINDS_OF_VALUES = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
}
_READERS: dict[str, Any] = {
    "string": _read_string,
    "integer": _read_integer,
    "number": _read_number,
    "boolean": _read_boolean,
    "array": _read_container(list),
    "object": _read_container(dict),
}


def as_mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping, an empty one for everything else."""
    return value if isinstance(value, Mapping) else {}

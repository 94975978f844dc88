"""Calls in the qwen3_coder format as a grammar: what `qwen3_coder.py` reads back as exactly these calls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from trtnemo.formats.format import CallableTool
from trtnemo.formats.grammar import ANY_TEXT, Rules, containing, literal, quoted, regex
from trtnemo.formats.schema_values import as_mapping, kinds_of

START, END = "<tool_call>\n", "\n</tool_call>"
VALUE_END = "\n</parameter>"
# Texts at which a reader would cut a value, or take it for nothing.
_CUTS = r"<\/parameter>|<tool_call>\s*<function=|<\/function>\s*<\/tool_call>|\n<parameter="
_BREAKS = (containing(_CUTS), f"<parameter={ANY_TEXT}")
_NULL = r"(?i:\s*null\s*)"
_PLAIN_KEYS = frozenset(
    {"type", "title", "description", "default", "examples", "deprecated", "minLength", "maxLength", "nullable"}
)


def calls(rules: Rules, tools: Sequence[CallableTool], *, many: bool) -> str:
    """Return the body of one call of one of the tools, or of several in a row."""
    one = rules.add(f"{literal(START)} ({' | '.join(_function(rules, tool) for tool in tools)}) {literal(END)}")
    gap = literal("\n")  # which the model also writes after the last one, before it ends its turn
    return f"{one} ({gap} {one})* {gap}?" if many else one


def texts_and_calls(rules: Rules, tools: Sequence[CallableTool], *, many: bool) -> str:
    """Return the body of an answer whose calls, if there are any, are of these tools."""
    opening = START.strip()
    bare = containing("<function=")
    chunk = rules.add(regex(ANY_TEXT, [bare]), f"[suffix={literal(opening)}]")
    rest = rules.terminal(regex(ANY_TEXT, [bare, containing(quoted(opening))]))
    functions = " | ".join(_function(rules, tool) for tool in tools)
    call = rules.add(f"{chunk} {literal(chr(10))} ({functions}) {literal(END)}")
    return f"{call}{'*' if many else '?'} {rest}"


def _function(rules: Rules, tool: CallableTool) -> str:
    required = tool.schema.get("required")
    needed = required if isinstance(required, list) else []
    parameters = []
    for name, schema in as_mapping(tool.schema.get("properties")).items():
        value = _value(rules, as_mapping(schema) if schema is not True else {}, tool)
        body = rules.add(f"{literal(f'<parameter={name}>{chr(10)}')} {value} {literal(chr(10))}")
        parameters.append(body if name in needed else f"{body}?")
    return rules.add(f"{literal(f'<function={tool.name}>{chr(10)}')} {' '.join(parameters)} {literal('</function>')}")


def _value(rules: Rules, schema: Mapping[str, Any], tool: CallableTool) -> str:
    """Return a value with the tag that ends it: a text as it is, all else as JSON."""
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if isinstance(values, list) and values and all(_is_readable(value) for value in values):
        written = [value if isinstance(value, str) else json.dumps(value) for value in values]
        return f"({' | '.join(literal(text) for text in written)}) {literal(VALUE_END)}"
    kinds = kinds_of(schema, tool.schema)
    if not kinds or "string" in kinds:
        return _text(rules, schema, kinds, may_be_null=_allows_null(schema))
    shared = {key: tool.schema[key] for key in ("$defs", "definitions") if key in tool.schema}
    return f"{rules.schema({**shared, **schema}, lenient=not tool.is_strict)} {literal(VALUE_END)}"


def _is_readable(value: Any) -> bool:
    return value is not None if not isinstance(value, str) else value.strip().lower() != "null" and "\n" not in value


def _allows_null(schema: Mapping[str, Any]) -> bool:
    """Return whether a schema that allows texts allows null as well, or does not say."""
    kind, others = schema.get("type"), [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    is_told = "null" in kind if isinstance(kind, list) else kind in ("null", None) and not others
    return is_told or schema.get("nullable") is True or any(_allows_null(as_mapping(item)) for item in others)


def _text(rules: Rules, schema: Mapping[str, Any], kinds: Sequence[str], *, may_be_null: bool) -> str:
    is_plain = list(kinds) == ["string"]
    least, most = (schema.get(key) for key in ("minLength", "maxLength")) if is_plain else (None, None)
    is_bounded = isinstance(least, int) or isinstance(most, int)
    length = f"(?s:.{{{least or 0},{'' if most is None else most}}})" if is_bounded else ANY_TEXT
    pattern = schema.get("pattern") if is_plain else None
    body = regex(length, [*_BREAKS, *([] if may_be_null else [_NULL])])
    if isinstance(pattern, str):
        body += f" & {regex(anchored(pattern))}"
    text = rules.add(body, f"[suffix={literal(VALUE_END)}]")
    return f"({text} | {literal('null' + VALUE_END)})" if may_be_null else text


def anchored(pattern: str) -> str:
    """Return a pattern of JSON schema, which may match anywhere, as one of whole texts."""
    before = "" if pattern.startswith("^") else ANY_TEXT
    ends = pattern.endswith("$") and not pattern.endswith("\\$")
    inner = pattern.removeprefix("^")
    return f"{before}({inner[:-1] if ends else inner}){'' if ends else ANY_TEXT}"


def unkept(tool: CallableTool) -> list[str]:
    """Return the paths of what this grammar does not keep of a strict tool's schema."""
    paths = []
    for name, schema in as_mapping(tool.schema.get("properties")).items():
        kinds = kinds_of(as_mapping(schema), tool.schema)
        is_text = "string" in kinds and "enum" not in schema and "const" not in schema
        extra = sorted(as_mapping(schema).keys() - _PLAIN_KEYS - {"pattern", "anyOf", "oneOf", "$ref"})
        if is_text and extra:
            paths.append(f"properties.{name}.{extra[0]}")
    return paths

"""From a request's wishes to the grammar of its answer, and from a schema that cannot be kept to its place."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trtnemo.errors import ConstraintError, RequestError
from trtnemo.formats.format import CallableTool, ReasoningFormat, ToolFormat
from trtnemo.runtime.guide.guide import first_line
from trtnemo.server.requests.tools import (
    AllowedChoice,
    NamedTool,
    ToolChoice,
    ToolDeclaration,
    callable_tools,
    is_deeper,
)
from trtnemo.text.structure import Calls, JsonSchema, Structure, answer_grammar

DEEPEST_SCHEMA = 64
MOST_SCHEMA_BYTES = 1 << 17
_SHARED = ("$defs", "definitions")
_SEARCH_SECONDS = 0.3  # for the place of a fault


def calls_of(
    form: ToolFormat | None, tools: Sequence[ToolDeclaration], choice: ToolChoice | None, *, many: bool
) -> Calls | None:
    """Return which calls the answer must or may hold, None where nothing is asked; raises RequestError."""
    names, is_free = None, choice in (None, "auto")
    if choice == "none" or (not tools and is_free):
        return None
    if isinstance(choice, AllowedChoice):
        names = [item.tool for item in choice.allowed_tools.tools]
        is_free = choice.allowed_tools.mode == "auto"
    elif isinstance(choice, NamedTool):
        names, many = [choice.tool], False
    if not tools:
        raise RequestError("'tool_choice' asks for a call, and there are no tools", parameter="tool_choice")
    chosen = callable_tools(tools, names)
    if is_free and names is None and not any(tool.is_strict for tool in chosen):
        return None
    if form is None:
        raise RequestError("this server reads no tool calls; its recipe names no tool parser", parameter="tool_choice")
    for tool in chosen:
        _check_strict(form, tool)
    return Calls(form, chosen, is_free, many)


def _check_strict(form: ToolFormat, tool: CallableTool) -> None:
    if not tool.is_strict:
        return
    unkept = form.unkept(tool)
    if unkept:
        raise ConstraintError(f"the strict tool '{tool.name}' cannot be kept: {unkept[0]}", parameter="tools")
    check_schema(tool.schema, f"tools.{tool.name}.parameters")


def constraint(structure: Structure | None, calls: Calls | None, thinking: ReasoningFormat | None) -> str | None:
    """Return the grammar of the answer, None where it may be anything; raises ConstraintError with the place in it."""
    if structure is None and calls is None:
        return None
    if isinstance(structure, JsonSchema):
        check_schema(structure.schema, "schema")
    return answer_grammar(structure, calls, thinking)


def check_schema(schema: Mapping[str, Any] | bool, place: str) -> None:
    """Raise ConstraintError where a schema cannot be kept, naming the innermost place that is to blame."""
    if is_deeper(schema, DEEPEST_SCHEMA):
        raise ConstraintError(f"'{place}' is nested deeper than {DEEPEST_SCHEMA} levels", parameter=place)
    if len(json.dumps(schema)) > MOST_SCHEMA_BYTES:
        raise ConstraintError(f"'{place}' is longer than {MOST_SCHEMA_BYTES} bytes", parameter=place)
    reason = _fault(schema)
    if reason is None:
        return
    shared = {key: schema[key] for key in _SHARED if isinstance(schema, Mapping) and key in schema}
    inner: Any = schema
    searching, ends = True, time.monotonic() + _SEARCH_SECONDS
    while searching:
        searching = False
        for path, child in _subschemas(inner):
            if time.monotonic() > ends:  # the place found so far is told
                break
            found = _fault({**shared, **child} if isinstance(child, Mapping) else child)
            if found is not None:
                place, inner, reason, searching = f"{place}.{path}", child, found, True
                break
    raise ConstraintError(f"'{place}' cannot be kept: {reason}", parameter=place)


def _fault(schema: Mapping[str, Any] | bool) -> str | None:
    from llguidance import LLMatcher

    from trtnemo.runtime.guide.compiler import limits, require_small_multiples

    content = {"not": {}} if schema is False else {} if schema is True else dict(schema)
    try:
        require_small_multiples(json.dumps(content))
    except ConstraintError as error:
        return str(error)
    try:
        text = LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(content), limits=limits())
    except ValueError as error:  # a number that the library cannot hold
        return str(error)
    return first_line(text) if text and not text.startswith("WARNING") else None


def _subschemas(schema: Any) -> Iterator[tuple[str, Any]]:
    """Yield the schemas inside one, each with its path."""
    if not isinstance(schema, Mapping):
        return
    for key, value in schema.items():
        if key in ("properties", "patternProperties", *_SHARED) and isinstance(value, Mapping):
            yield from ((f"{key}.{name}", child) for name, child in value.items())
        elif key in ("items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else"):
            yield key, value
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
            yield from ((f"{key}.{number}", child) for number, child in enumerate(value))

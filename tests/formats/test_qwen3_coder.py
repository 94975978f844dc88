"""Tool calls in the qwen3_coder format: read, typed by schema, never evaluated."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.formats import REASONING, TOOLS
from trtnemo.formats.format import ToolCall
from trtnemo.formats.qwen3_coder import parse_tool_call
from trtnemo.formats.schema_values import typed
from trtnemo.text import AnswerFormat, read_answer
from trtnemo.text.chat_template import family_template
from trtnemo.text.template_engine import TemplateEngine

ENGINE = TemplateEngine(family_template())
SCHEMAS = {"f": {"type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string"}}}}


def body(*parameters: Any, name: Any = "f", end: Any = "</function>") -> Any:
    inner = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in parameters)
    return f"\n<function={name}>\n{inner}{end}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (body(("n", "3"), ("s", "x")), {"n": 3, "s": "x"}),
        (body(), {}),
        (body(("s", "3")), {"s": "3"}),
        (body(("s", "two\nlines\n")), {"s": "two\nlines\n"}),
        (body(("n", "three")), {"n": "three"}),
        (body(("other", "3")), {"other": "3"}),
        (body(("s", "a </function> b")), {"s": "a </function> b"}),
        (body(("s", "x"), end=""), {"s": "x"}),
        ("<function=f><parameter=s>x", {"s": "x"}),
        ("<function=f>\n<parameter=s>\nx\n<parameter=n>\n4\n</parameter>", {"s": "x", "n": 4}),
        ("<function=f>\n<parameter=s>\nx</parameter></function>", {"s": "x"}),
    ],
)
def test_calls_are_read(text: Any, expected: dict[str, Any]) -> None:
    assert parse_tool_call(text, SCHEMAS) == ToolCall("f", expected)


REFERENCES = {
    "properties": {
        "request": {"$ref": "#/$defs/Request"},
        "ids": {"allOf": [{"$ref": "#/$defs/Ids"}], "description": "which"},
        "level": {"enum": [1, 2, 3]},
        "mode": {"enum": ["1", "2"]},
        "is_dry": {"const": True},
        "list": {"items": {"type": "string"}},
        "tree": {"$ref": "#/$defs/Tree"},
        "any": {"anyOf": [{"$ref": "#/$defs/Request"}, {"type": "null"}]},
        "elsewhere": {"$ref": "https://example.com/schema.json"},
        "lost": {"$ref": "#/$defs/Nobody"},
    },
    "$defs": {
        "Request": {"type": "object", "properties": {"query": {"type": "string"}}},
        "Ids": {"type": "array"},
        "Tree": {"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "integer"}]},
    },
}


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("request", '{"query": "a", "limit": 5}', {"query": "a", "limit": 5}),
        ("ids", "[1, 2]", [1, 2]),
        ("level", "2", 2),
        ("mode", "2", "2"),
        ("is_dry", "true", True),
        ("list", '["a"]', ["a"]),
        ("tree", "7", 7),
        ("any", '{"query": "a"}', {"query": "a"}),
        ("any", "null", None),
        ("elsewhere", "[1]", "[1]"),
        ("lost", "[1]", "[1]"),
    ],
)
def test_references_and_listed_values_type_an_argument(key: str, text: str, expected: object) -> None:
    call = parse_tool_call(body((key, text)), {"f": REFERENCES})
    assert call == ToolCall("f", {key: expected})


@pytest.mark.parametrize(
    "text",
    ["", "plain", '{"name": "f"}', "<function=f", "<function=>\n</function>", "<function=f> junk </function>",
     "<function=f>\n<parameter=>\n1\n</parameter></function>", "<function=f></function> and more"],
)  # fmt: skip
def test_what_is_no_call_is_none(text: str) -> None:
    assert parse_tool_call(text, SCHEMAS) is None


@pytest.mark.parametrize(
    ("text", "schema", "expected"),
    [
        ("7", {"type": "integer"}, 7),
        ("-7", {"type": "integer"}, -7),
        ("7.5", {"type": "integer"}, "7.5"),
        ("9" * 400, {"type": "integer"}, "9" * 400),
        ("7.5", {"type": "number"}, 7.5),
        ("7", {"type": "number"}, 7),
        ("1e999", {"type": "number"}, "1e999"),
        ("nan", {"type": "number"}, "nan"),
        ("true", {"type": "boolean"}, True),
        ("True", {"type": "boolean"}, True),
        ("yes", {"type": "boolean"}, False),
        ("null", {"type": "string"}, None),
        ("null", {}, None),
        ("5", {"type": "string"}, "5"),
        ("5", {}, "5"),
        ("5", {"type": ["integer", "null"]}, 5),
        ("five", {"type": ["string", "integer"]}, "five"),
        ("5", {"type": ["string", "integer"]}, 5),
        ("5", {"anyOf": [{"type": "integer"}, {"type": "null"}]}, 5),
        ("[1, 2]", {"type": "array"}, [1, 2]),
        ("['a', True, None]", {"type": "array"}, ["a", True, None]),
        ('{"a": {"b": 1}}', {"type": "object"}, {"a": {"b": 1}}),
        ("{'a': 1}", {"type": "object"}, {"a": 1}),
        ("{1, 2}", {"type": "object"}, "{1, 2}"),
        ('{"a": NaN}', {"type": "object"}, '{"a": NaN}'),
        ('["\\ud800"]', {"type": "array"}, '["\\ud800"]'),
        ("[" * 100_000, {"type": "array"}, "[" * 100_000),
        ("[" + "-" * 4000 + "1]", {"type": "array"}, "[" + "-" * 4000 + "1]"),
        ("x", {"type": 3}, "x"),
        ("x", {"anyOf": "x"}, "x"),
    ],
)
def test_values_take_the_schemas_type_or_stay_text(text: Any, schema: dict[str, Any], expected: Any) -> None:
    found = typed(text, schema)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("kind", ["string", "integer", "number", "boolean", "array", "object", "strange"])
def test_code_in_an_argument_is_never_run(kind: str, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    code = f"__import__('os').mkdir('{marker}')"
    for text in (code, f"[{code}]", f"{{'a': {code}}}", f"{{{{ {code} }}}}"):
        assert typed(text, {"type": kind}) in (text, False)
    assert not os.path.exists(marker)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text("ab <>/={}\n\"'é", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(
    st.from_regex(r"[a-z_]{1,6}", fullmatch=True),
    JSON.filter(lambda value: isinstance(value, dict | list | int)),
    max_size=4,
)


@pytest.mark.fuzz
@given(ARGUMENTS)
def test_a_call_that_the_template_writes_is_read_back(arguments: Any) -> None:
    """History and output share one format: what the template renders parses to the same values."""
    kinds = {bool: "boolean", int: "integer", list: "array", dict: "object"}
    properties = {name: {"type": kinds[type(value)]} for name, value in arguments.items()}
    call = {"function": {"name": "f", "arguments": arguments}}
    text = ENGINE.render({"messages": [{"role": "assistant", "tool_calls": [call]}]})
    written = text.partition("<tool_call>")[2].rpartition("</tool_call>")[0]
    if any(tag in json.dumps(arguments) for tag in ("</parameter>", "<parameter=", "</function>")):
        return
    found = parse_tool_call(written, {"f": {"properties": properties}})
    assert found == ToolCall("f", arguments)
    assert json.loads(found.arguments_json) == arguments


CODE = {"w": {"properties": {"code": {"type": "string"}}}}


def test_a_call_cut_off_inside_code_that_holds_its_own_tags_has_what_was_certain() -> None:
    text = "<tool_call>\n<function=w>\n<parameter=code>\nx = '</function>'\nimport os\nlong code that "
    answer = read_answer(text, AnswerFormat(REASONING, tools=TOOLS, schemas=CODE))
    (call,) = answer.tool_calls
    assert call.arguments_json == '{"code": "x = \''
    assert answer.content == ""


@pytest.mark.parametrize(
    ("kind", "make"),
    [("array", lambda length: repr(["x" * (length - 4)])), ("object", lambda length: repr({"k": "y" * (length - 9)}))],
)
def test_a_long_literal_in_pythons_spelling_stays_text(kind: str, make: Any) -> None:
    """Up to 4,096 characters are parsed, JSON of any length."""
    for length in (4095, 4096, 4097):
        text = make(length)[:-1].ljust(length - 1) + make(length)[-1]
        assert len(text) == length
        assert (typed(text, {"type": kind}) == text) is (length > 4096)
    assert typed(json.dumps(["x" * 10_000]), {"type": "array"}) == ["x" * 10_000]

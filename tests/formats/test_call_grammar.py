"""Calls that a grammar allows are read back as those calls, and others cannot be written."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.formats import REASONING, TOOLS
from tests.support.speaker import END, TOKENIZER
from trtnemo.formats.format import CallableTool, ToolCall
from trtnemo.runtime.guide import GrammarCompiler
from trtnemo.runtime.sampler import bits_of
from trtnemo.text import AnswerFormat, read_answer
from trtnemo.text.structure import Calls, JsonSchema, answer_grammar

WEATHER = CallableTool(
    "get_weather",
    {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "unit": {"type": "string", "enum": ["c", "f"]},
            "days": {"type": "integer", "minimum": 1, "maximum": 9},
            "hours": {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/hour"}}, {"type": "null"}]},
            "code": {"type": "string", "pattern": "^[A-Z]{2}$"},
            "note": {"type": ["string", "null"], "minLength": 2},
        },
        "required": ["city"],
        "$defs": {"hour": {"type": "integer"}},
    },
)
TIME = CallableTool("get_time", {})
COMPILER = GrammarCompiler(TOKENIZER, TOKENIZER.stop_token_ids, 2048)
FORM = AnswerFormat(
    reasoning=REASONING,
    open_at_start=True,
    tools=TOOLS,
    schemas={"get_weather": WEATHER.schema, "get_time": {}},
    calls_end_thinking=False,
)


def written(name: str, **values: str) -> str:
    lines = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in values.items())
    return f"<tool_call>\n<function={name}>\n{lines}</function>\n</tool_call>"


def keeps(text: str, calls: Calls, structure: Any = None) -> bool:
    guide = COMPILER.guide(answer_grammar(structure, calls, REASONING))
    for token in [*TOKENIZER.encode(text), END]:
        if not bits_of(guide.mask(), 2048)[token]:
            return False
        guide.advance(token)
    return True


REQUIRED = Calls(TOOLS, [WEATHER, TIME])
FREE = Calls(TOOLS, [WEATHER, TIME], is_free=True)


@pytest.mark.parametrize(
    ("values", "arguments"),
    [
        ({"city": "Paris"}, {"city": "Paris"}),
        ({"city": 'S\u00e3o "Paulo"\nline', "unit": "f"}, {"city": 'S\u00e3o "Paulo"\nline', "unit": "f"}),
        ({"city": "null and void", "days": "3"}, {"city": "null and void", "days": 3}),
        ({"city": "x", "hours": "[1, 2]", "code": "DE"}, {"city": "x", "hours": [1, 2], "code": "DE"}),
        ({"city": "x", "hours": "null", "note": "null"}, {"city": "x", "hours": None, "note": None}),
        ({"city": "a < b </param> <tool_call> c"}, {"city": "a < b </param> <tool_call> c"}),
    ],
)
def test_a_call_that_may_be_written_is_read_back(values: dict[str, str], arguments: dict[str, Any]) -> None:
    text = f"Let me <tool_call> think.\n</think>\n{written('get_weather', **values)}"
    assert keeps(text, REQUIRED)
    answer = read_answer(text, FORM)
    assert answer.tool_calls == [ToolCall("get_weather", arguments)]
    assert answer.content == ""


@pytest.mark.parametrize(
    "call",
    [
        written("rm", city="x"),
        written("get_weather"),
        written("get_weather", unit="c"),
        written("get_weather", city="x", unit="k"),
        written("get_weather", city="x", days="12"),
        written("get_weather", city="x", days="two"),
        written("get_weather", city="null"),
        written("get_weather", city="x", code="germany"),
        written("get_weather", city="x", hours='["a"]'),
        written("get_weather", city="x", other="y"),
        written("get_weather", city="x\n</parameter>\n<parameter=city>\ny"),
        "It is sunny.",
        "",
    ],
)
def test_a_call_that_breaks_its_schema_cannot_be_written(call: str) -> None:
    assert not keeps(f"</think>\n{call}", REQUIRED)


def test_one_call_or_several_as_is_asked() -> None:
    one = written("get_time")
    assert keeps(f"</think>{one}", REQUIRED)
    assert keeps(f"</think>\n{one}\n{one}\n", REQUIRED)
    single = Calls(TOOLS, [TIME], many=False)
    assert keeps(f"</think>{one}", single)
    assert not keeps(f"</think>{one}\n{one}", single)


def test_an_answer_that_need_not_call_is_free_but_for_its_calls() -> None:
    for text in (
        "Hello <tool",
        "",
        f"Let me see.\n{written('get_time')}\nand\n{written('get_weather', city='x')} done",
    ):
        assert keeps(f"</think>\n{text}", FREE)
    for text in (written("rm"), "<function=get_time>\n</function>", f"x {written('get_weather')}", "<tool_call>\nhm"):
        assert not keeps(f"</think>\n{text}", FREE)


def test_an_answer_is_json_or_calls_where_both_are_possible() -> None:
    schema = JsonSchema({"type": "object"})
    assert keeps('</think>\n{"a": 1}', FREE, schema)
    assert keeps(f"</think>\n{written('get_time')}", FREE, schema)
    assert not keeps("</think>\nHello", FREE, schema)


def test_nothing_but_thinking_may_come_before_the_tag_that_ends_it() -> None:
    assert keeps(f"a </thin b {written('rm')} </think>\n{written('get_time')}", REQUIRED)
    assert not keeps("never ends", REQUIRED)


@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=40))
def test_whatever_is_drawn_under_the_grammar_is_read_as_calls_of_these_tools(draws: list[int]) -> None:
    guide = COMPILER.guide(answer_grammar(None, REQUIRED, REASONING))
    tokens = [*TOKENIZER.encode("</think>\n<tool_call>\n<function=get_weather>\n<parameter=city>\n")]
    for token in tokens:
        guide.advance(token)
    text = ""
    for draw in [*draws, *[None] * 400]:
        ids = np.flatnonzero(bits_of(guide.mask(), 2048))
        if guide.is_finished or (draw is None and END in ids):
            break
        # at the end of the draws: whatever leads to an end, which the tags do
        wanted = TOKENIZER.encode("\n</parameter>\n</function>\n</tool_call>")
        close = next((token for token in wanted if token in ids and draw is None), None)
        token = int(ids[(draw or 0) % len(ids)]) if close is None else close
        if token == END:
            break
        guide.advance(token)
        tokens.append(token)
    else:
        return  # it wrote on, which a limit of tokens would end
    text = TOKENIZER.decode(tokens)
    answer = read_answer(text, FORM)
    assert answer.tool_calls, text
    assert answer.content.strip() == ""
    for call in answer.tool_calls:
        assert call.name in ("get_weather", "get_time")
        if call.name == "get_weather":
            assert isinstance(call.arguments["city"], str), json.dumps(call.arguments)

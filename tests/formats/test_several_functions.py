"""Several functions, and prose, between the tags of one call."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.formats import TOOLS
from trtnemo.text import AnswerFormat, read_answer

SCHEMAS: Any = {"f": {"type": "object"}, "g": {"type": "object"}}


def function(name: Any, value: Any) -> Any:
    return f"<function={name}>\n<parameter=x>\n{value}\n</parameter>\n</function>\n"


def calls(text: Any) -> Any:
    answer = read_answer(text, AnswerFormat(tools=TOOLS, schemas=SCHEMAS))
    return answer.content, [(call.name, call.arguments) for call in answer.tool_calls]


@pytest.mark.parametrize("prose", ["", "and then\n"])
def test_every_function_of_a_block_is_a_call_and_prose_between_them_is_told(prose: str) -> None:
    text = f"<tool_call>\n{function('f', 1)}{prose}{function('g', 2)}</tool_call>"
    content, found = calls(text)
    assert [name for name, _ in found] == ["f", "g"]
    assert (content or "").strip() == prose.strip()


def test_a_function_that_is_none_behind_one_in_a_block_stays_text() -> None:
    text = f"<tool_call>\n{function('f', 1)}<function=>\n</function>\n</tool_call>"
    assert calls(text) == ("<function=>\n</function>", [("f", {"x": "1"})])

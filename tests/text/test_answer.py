"""Thinking, answer and calls: told apart alike however the text is cut, and as super_v3 tells them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.formats import REASONING, TOOLS
from trtnemo.text import Answer, AnswerFormat, AnswerParser, ToolCall, read_answer

SCHEMAS = {"w": {"properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}}
CALL = "<tool_call>\n<function=w>\n<parameter=city>\nOslo\n</parameter>\n</function>\n</tool_call>"
OSLO = ToolCall("w", {"city": "Oslo"})
THREE = ToolCall("w", {"days": 3})
BARE = CALL.removeprefix("<tool_call>\n").removesuffix("\n</tool_call>")
CUT = CALL[: CALL.index("</param")]
WITH_TOOLS: dict[str, Any] = {"reasoning": REASONING, "tools": TOOLS, "schemas": SCHEMAS}
THINKING = AnswerFormat(open_at_start=True, **WITH_TOOLS)
PLAIN = AnswerFormat(**WITH_TOOLS)
NEEDED = AnswerFormat(open_at_start=True, needs_content=True, **WITH_TOOLS)


@pytest.mark.parametrize(
    ("form", "text", "reasoning", "content", "calls"),
    [
        (THINKING, f"hm\n</think>\n{CALL}\n", "hm", "", [OSLO]),
        (THINKING, f"hm\n{CALL}\n", "hm", "", [OSLO]),
        (THINKING, f"hm\n</think>\nLet me see.\n{CALL}\n{CALL}", "hm", "Let me see.", [OSLO, OSLO]),
        (PLAIN, f"\n{CALL}\n", "", "", [OSLO]),
        (PLAIN, f"a {CALL} b", "", "ab", [OSLO]),
        (PLAIN, "Paris \n", "", "Paris \n", []),
        (PLAIN, f" x\n{CUT}", "", " x", [ToolCall("w", {}, '{"city": "Oslo')]),
        (PLAIN, f" x\n{CUT[: CUT.index('=city')]}", "", f" x\n{CUT[: CUT.index('=city')]}", []),
        (PLAIN, CALL.removesuffix("</tool_call>"), "", "", [OSLO]),
        (PLAIN, "<tool_call>{}</tool_call>", "", "<tool_call>{}</tool_call>", []),
        (PLAIN, f"<tool_call> no \n{CALL}", "", "<tool_call> no", [OSLO]),
        (AnswerFormat(REASONING), CALL, "", CALL, []),
        (AnswerFormat(tools=TOOLS, schemas=SCHEMAS), f"<think>{CALL}", "", "<think>", [OSLO]),
        (AnswerFormat(maximum_calls=1, **WITH_TOOLS), CALL * 3, "", "", [OSLO]),
        (THINKING, f"I need a <tool_call> block.\n</think>\n{CALL}", "I need a <tool_call> block.", "", [OSLO]),
        (THINKING, "write <tool_call> and </tool_call>", "write <tool_call> and </tool_call>", "", []),
        (THINKING, "in <tool_call>\n", "in <tool_call>\n", "", []),
        (PLAIN, "Use <tool_call> and </tool_call> tags.", "", "Use <tool_call> and </tool_call> tags.", []),
        (PLAIN, CALL.removeprefix("<tool_call>\n"), "", "", [OSLO]),
        (PLAIN, f"So: {BARE} done", "", "So:done", [OSLO]),
        (PLAIN, BARE.replace("=w>", "=v>"), "", BARE.replace("=w>", "=v>"), []),
        (PLAIN, BARE.removesuffix("</function>"), "", BARE.removesuffix("</function>"), []),
        (PLAIN, "call <function=w> now", "", "call <function=w> now", []),
        (PLAIN, CALL.replace("Oslo", "a </tool_call> b"), "", "", [ToolCall("w", {"city": "a </tool_call> b"})]),
        (PLAIN, CALL.replace("Oslo", "a </parameter> b"), "", "", [ToolCall("w", {"city": "a </parameter> b"})]),
        (PLAIN, CALL.replace("Oslo", "a <tool_call> b"), "", "", [ToolCall("w", {"city": "a <tool_call> b"})]),
        (PLAIN, CALL.replace("</function>\n", ""), "", "", [OSLO]),
        (PLAIN, f"<tool_call>\n<function=w>\n<parameter=days>\n3\n</tool_call>\n{CALL}", "", "", [THREE, OSLO]),
        (NEEDED, "never closed", "", "never closed", []),
        (NEEDED, "hm\n</think>\n", "", "hm", []),
        (NEEDED, "hm\n</think>\n \n", "", " \nhm", []),
        (NEEDED, "hm\n</think>\nParis", "hm", "Paris", []),
        (NEEDED, f"hm{CALL}", "hm", "", [OSLO]),
        (NEEDED, "", "", "", []),
        (AnswerFormat(REASONING, needs_content=True), "<think>hm", "", "hm", []),
        (AnswerFormat(REASONING, open_at_start=True), "never closed", "never closed", "", []),
    ],
)
def test_outputs_are_told_apart(form: Any, text: Any, reasoning: str, content: Any, calls: Any) -> None:
    assert read_answer(text, form) == Answer(reasoning, content, calls)


PIECES = st.lists(
    st.sampled_from([CALL, CUT, BARE, "<tool_call>", "</tool_call>", "</function>", "<function=w>", "<function=v>",
                     "<think>", "</think>", "<", "\n", " ", "a", "<tool_", "call>", "é", "</parameter>",
                     "<parameter=days>3"]),
    max_size=9,
)  # fmt: skip
FORMS = st.builds(
    AnswerFormat,
    reasoning=st.sampled_from([None, REASONING]),
    open_at_start=st.booleans(),
    needs_content=st.booleans(),
    tools=st.sampled_from([None, TOOLS]),
    schemas=st.just(SCHEMAS),
    maximum_calls=st.sampled_from([None, 1]),
)


@pytest.mark.fuzz
@given(PIECES, FORMS, st.data())
def test_any_cut_of_any_output_gives_the_same_answer(pieces: Any, form: Any, data: Any) -> None:
    text = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    parser, found = AnswerParser(form), Answer()
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        for part in parser.push(text[begin:end]):
            found.add(part)
    for part in parser.finish():
        found.add(part)
    assert found == read_answer(text, form)


@pytest.mark.fuzz
@given(PIECES, FORMS)
def test_no_letter_is_lost_unless_a_call_took_it(pieces: Any, form: Any) -> None:
    text = "".join(pieces)
    answer = read_answer(text, form)
    if not answer.tool_calls:
        kept = (answer.reasoning + answer.content).replace("<think>", "").replace("</think>", "")
        assert sorted("".join(kept.split())) == sorted(
            "".join(text.replace("<think>", "").replace("</think>", "").split())
        ) or (form.maximum_calls is not None and form.tools is not None)


def test_an_answer_is_passed_on_at_once() -> None:
    parser = AnswerParser(PLAIN)
    found: list[list[Any]] = [list(parser.push(word)) for word in ("Par", "is", " <b", " x")]
    assert [[part.text for part in parts] for parts in found] == [["Par"], ["is"], [" <b"], [" x"]]

"""Arguments of a call as they are written: nothing is taken back, and all of it is what the whole call says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.formats import TOOLS
from trtnemo.formats.format import CallBegun, CallGrown, ToolCall

SCHEMAS = {
    "w": {
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        }
    }
}


def call(*values: tuple[str, str]) -> str:
    lines = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in values)
    return f"<tool_call>\n<function=w>\n{lines}</function>\n</tool_call>"


def read(pieces: list[str]) -> list[Any]:
    reader = TOOLS.reader(SCHEMAS)
    return [part for piece in pieces for part in reader.push(piece)] + list(reader.finish())


def folded(parts: list[Any]) -> tuple[str, list[tuple[str, str, ToolCall]]]:
    """Return the text, and of each call its name, its JSON as it came, and what it was in the end."""
    text, calls, begun, grown = "", [], "", ""
    for part in parts:
        if isinstance(part, str):
            assert not begun, "no text comes inside a call"
            text += part
        elif isinstance(part, CallBegun):
            assert not begun
            begun, grown = part.name, ""
        elif isinstance(part, CallGrown):
            assert begun
            assert part.text
            grown += part.text
        else:
            calls.append((begun, grown, part))
            begun = ""
    assert not begun, "a call that began has an end"
    return text, calls


def test_a_texts_characters_are_sent_as_they_come() -> None:
    reader = TOOLS.reader(SCHEMAS)
    seen = ""
    for letter in call(("city", 'S\u00e3o "Paulo"')).split("\n</parameter>")[0]:
        seen += "".join(part.text for part in reader.push(letter) if isinstance(part, CallGrown))
    assert seen == '{"city": "S\u00e3o \\"Paulo\\"'


def test_what_may_be_a_closing_tag_is_held_back_until_it_is_none() -> None:
    reader = TOOLS.reader(SCHEMAS)

    def push(text: str) -> str:
        return "".join(part.text for part in reader.push(text) if isinstance(part, CallGrown))

    assert push("<tool_call>\n<function=w>\n<parameter=city>\na") == '{"city": "a'
    assert push("\n") == ""
    assert push("<") == ""
    assert push("b") == "\\n<b"
    assert push("</param") == ""
    assert push("eter> is a tag") == ""  # and what follows one is not settled before the next tag
    assert push("\n</parameter>\n") == ""
    assert push("</function>") == '</parameter> is a tag"'


def test_a_number_comes_when_it_is_whole_and_null_is_no_text() -> None:
    for value, expected in (("17", "17"), ("nothing", '"nothing"'), ("null", "null"), ("nul", '"nul"')):
        key = "days" if value == "17" else "note"
        _, ((name, grown, whole),) = folded(read(list(call((key, value)))))
        assert (name, grown) == ("w", f'{{"{key}": {expected}}}')
        assert whole.arguments_json == grown


def test_a_name_that_comes_twice_is_sent_twice_and_read_as_the_last() -> None:
    text = call(("city", "a"), ("city", "b"))
    _, ((_, grown, whole),) = folded(read(list(text)))
    assert grown == '{"city": "a", "city": "b"}' == whole.arguments_json
    assert json.loads(grown) == whole.arguments == {"city": "b"}
    assert folded(read([text]))[1] == [("w", grown, whole)]


@pytest.mark.parametrize("end", ["", "\n</parameter>", "\n</parameter>\n<parameter=days>\n3", "\n</para"])
def test_a_call_that_is_cut_off_ends_with_what_was_sent(end: str) -> None:
    text = f"<tool_call>\n<function=w>\n<parameter=city>\nOslo{end}"
    _, ((name, grown, whole),) = folded(read(list(text)))
    assert name == "w"
    assert whole.arguments_json == grown
    assert grown.startswith('{"city": "Oslo')
    assert folded(read([text]))[1] == [("w", grown, whole)]


TAGS = ["<tool_call>", "</tool_call>", "<function=w>", "<function=v>", "</function>", "<parameter=city>",
        "</parameter>", "<parameter=days>", "<parameter=note>", "\n", " ", "nul", "null", "3", "x", "<", "</", ">", '"',
        call(("city", "Oslo")), call(("days", "3"), ("note", "y"))]  # fmt: skip


@pytest.mark.fuzz
@given(
    st.lists(st.sampled_from([*TAGS, call(("city", "Oslo")), call(("days", "3"), ("note", "y"))]), max_size=14),
    st.data(),
)
def test_any_text_in_any_pieces_is_read_alike(parts: list[str], data: st.DataObject) -> None:
    text = "".join(["<tool_call>\n<function=w>\n<parameter=city>\n", *parts] if data.draw(st.booleans()) else parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    expected = folded(read([text]))
    for found in (folded(read(pieces)), folded(read(list(text)))):
        assert found == expected
    for _, grown, whole in expected[1]:
        assert whole.arguments_json == grown
        if whole.written is None:
            assert json.loads(grown) == whole.arguments


def test_a_closing_tag_inside_a_settled_value_does_not_cut_its_call() -> None:
    text = "<tool_call>\n<function=w>\n<parameter=city>\n</tool_call></parameter></function>" + call(("city", "Oslo"))
    expected = folded(read(list(text)))
    assert folded(read([text])) == expected
    assert [whole.arguments for _, _, whole in expected[1]] == [{"city": "</tool_call>"}, {"city": "Oslo"}]

"""Thinking and answer: told apart alike however the text is cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.formats import REASONING, split_reasoning
from trtnemo.formats.nemotron_v3 import ReasoningSplitter
from trtnemo.text import AnswerFormat, read_answer

CASES = [
    ("I think.\n</think>\nParis", True, ("I think.", "Paris")),
    ("I think.</think>Paris", True, ("I think.", "Paris")),
    ("never closed", True, ("never closed", "")),
    ("never closed\n</thi", True, ("never closed\n</thi", "")),
    ("</think>\nParis", True, ("", "Paris")),
    ("a\n\nb\n</think>\n\nParis\n\nLyon", True, ("a\n\nb", "Paris\n\nLyon")),
    ("Paris", False, ("", "Paris")),
    ("<think>\nhm\n</think>\nParis", False, ("hm", "Paris")),
    ("  <think>hm</think>Paris", False, ("hm", "Paris")),
    ("Use <think> tags", False, ("", "Use <think> tags")),
    ("a < b", False, ("", "a < b")),
    ("<thin ice", False, ("", "<thin ice")),
    ("Paris </think> is", False, ("", "Paris </think> is")),
    ("x</think>a <think>b</think>", True, ("x", "a <think>b</think>")),
    ("", True, ("", "")),
    ("", False, ("", "")),
]


@pytest.mark.parametrize(("text", "open_at_start", "expected"), CASES)
def test_whole_texts_are_split(text: str, open_at_start: Any, expected: Any) -> None:
    assert split_reasoning(text, open_at_start) == expected


PIECES = st.lists(
    st.sampled_from(["<think>", "</think>", "<", "/think>", "think>", "\n", " ", "a", "<th", "</", "é"]), max_size=10
)


@pytest.mark.fuzz
@given(PIECES, st.booleans(), st.data())
def test_any_cut_of_any_text_gives_the_same_split(pieces: Any, open_at_start: Any, data: Any) -> None:
    text = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    splitter = ReasoningSplitter(open_at_start)
    found = {"reasoning": "", "content": ""}
    for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        for piece in splitter.push(text[begin:end]):
            found[piece.channel] += piece.text
    for piece in splitter.finish():
        found[piece.channel] += piece.text
    assert (found["reasoning"], found["content"]) == split_reasoning(text, open_at_start)


def test_an_answer_is_passed_on_at_once_and_not_held_back() -> None:
    splitter = ReasoningSplitter(open_at_start=False)
    assert [piece.text for word in ("Par", "is <", " b") for piece in splitter.push(word)] == ["Par", "is <", " b"]


def test_the_prompt_says_whether_a_think_block_is_open() -> None:
    assert REASONING.opens("<|im_start|>assistant\n<think>\n")
    assert not REASONING.opens("<|im_start|>assistant\n<think></think>")
    assert not REASONING.opens("hello")


@pytest.mark.parametrize("gap", ["", "\n", "\n\n"])
def test_a_closing_tag_right_behind_another_is_dropped(gap: str) -> None:
    text = f"a\n</think>{gap}</think>\nc </think> d"
    whole = read_answer(text, AnswerFormat(reasoning=REASONING, open_at_start=True))
    assert (whole.reasoning, whole.content) == ("a", "c </think> d")
    splitter = REASONING.reader(True)
    pieces = [piece for letter in text for piece in splitter.push(letter)] + list(splitter.finish())
    assert "".join(piece.text for piece in pieces if piece.channel == "content") == "c </think> d"

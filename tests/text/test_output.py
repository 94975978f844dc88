"""Token ids to text: the same whole or in pieces, stop strings found across pieces."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trtnemo.checkpoint.hub.source import EMBEDDED
from trtnemo.errors import CheckpointError
from trtnemo.text import TextStream, TextTokenizer
from trtnemo.text.stop import StopMatcher

TOKENIZER = TextTokenizer(EMBEDDED, 2)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_text_survives_the_tokenizer_piece_by_piece(text: str) -> None:
    ids = TOKENIZER.encode(text)
    stream = TextStream(TOKENIZER, skip_special_tokens=False)
    pieces = [stream.push(token) for token in ids] + [stream.finish()]
    assert "".join(pieces) == TOKENIZER.decode(ids, skip_special_tokens=False)


@pytest.mark.fuzz
@given(st.lists(st.integers(0, 2047), max_size=12))
def test_any_ids_give_in_pieces_what_they_give_at_once(ids: Any) -> None:
    """Halves of characters included, also at the end."""
    stream = TextStream(TOKENIZER)
    assert "".join([stream.push(token) for token in ids] + [stream.finish()]) == TOKENIZER.decode(ids)


def test_an_unfinished_character_waits_for_its_bytes() -> None:
    ids = TOKENIZER.encode("日")
    assert len(ids) > 1
    stream = TextStream(TOKENIZER)
    assert [stream.push(token) for token in ids] == [""] * (len(ids) - 1) + ["日"]


@pytest.mark.fuzz
@given(st.text("abc", max_size=30), st.lists(st.text("abc", min_size=1, max_size=4), max_size=3), st.data())
def test_any_cut_of_any_text_stops_at_the_same_place(text: str, stops: Any, data: Any) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    matcher = StopMatcher(stops)
    found = "".join(matcher.push(text[begin:end]) for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True))
    found += matcher.finish()
    # Text arrives character by character in the worst case, so the stop string that ends first wins.
    ends = [(text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop in text]
    earliest = min(ends)[0] if ends else None
    one_by_one = StopMatcher(stops)
    expected = "".join(one_by_one.push(letter) for letter in text) + one_by_one.finish()
    if earliest is None:
        assert found == expected == text
    else:
        assert (matcher.matched is None) == (one_by_one.matched is None)
        assert text.startswith(found)
        assert not any(stop in found for stop in stops)


def test_a_stop_string_can_be_kept() -> None:
    matcher = StopMatcher(["END"], include=True)
    assert matcher.push("a EN") + matcher.push("D b") == "a END"
    assert matcher.push("more") == ""


def test_the_embedded_models_stop_token_ids_are_the_end_of_text_and_of_a_turn() -> None:
    assert TOKENIZER.stop_token_ids == {2, 11}


@pytest.mark.parametrize(
    ("config", "generation", "eos_token", "expected"),
    [
        (5, None, None, {5, 11}),
        ([5, 6], None, None, {5, 6, 11}),
        (None, 7, None, {7, 11}),
        (None, [7, 8], None, {7, 8, 11}),
        (None, None, "<think>", {12, 11}),
        (None, None, {"content": "</think>"}, {13, 11}),
        (None, None, None, {11}),
        (5, [7], "<think>", {5, 7, 12, 11}),
    ],
)
def test_each_source_of_stop_token_ids_counts_alone(
    tmp_path: Path, config: Any, generation: Any, eos_token: Any, expected: Any
) -> None:
    """config.json, generation_config.json, tokenizer_config.json, and the end of a turn whatever they say."""
    shutil.copy(EMBEDDED / "tokenizer.json", tmp_path)
    if generation is not None:
        (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": generation}))
    if eos_token is not None:
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": eos_token}))
    assert TextTokenizer(tmp_path, config).stop_token_ids == expected


def test_special_ids_are_the_familys() -> None:
    expected = {
        "<pad>": 0,
        "<s>": 1,
        "</s>": 2,
        "<|im_start|>": 10,
        "<|im_end|>": 11,
        "<think>": 12,
        "</think>": 13,
        "<tool_call>": 14,
        "</tool_call>": 15,
        "<tool_response>": 16,
        "</tool_response>": 17,
    }
    assert {token: TOKENIZER.id_of(token) for token in expected} == expected
    for token, number in expected.items():
        assert TOKENIZER.encode(token) == [number]
    assert TOKENIZER.decode([12, 13, 14, 15, 11]) == "<think></think><tool_call></tool_call>"


def test_a_broken_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        TextTokenizer(tmp_path)

"""What a tokenizer's files say, each alone, and what they leave unsaid."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from trtnemo.checkpoint.hub.source import EMBEDDED
from trtnemo.errors import CheckpointError, RequestError
from trtnemo.text import TextStream, TextTokenizer

TAGS = ["<think>", "</think>", "<tool_call>", "</tool_call>"]


@pytest.fixture
def files(tmp_path: Path) -> Any:
    """Return a directory with tiny's tokenizer.json alone."""
    shutil.copy(EMBEDDED / "tokenizer.json", tmp_path)
    return tmp_path


def mark_special(directory: Any, tokens: Any) -> None:
    path = directory / "tokenizer.json"
    content = json.loads(path.read_text())
    for token in content["added_tokens"]:
        token["special"] = token["special"] or token["content"] in tokens
    path.write_text(json.dumps(content))


def test_tags_that_a_file_marks_special_are_kept(files: Any) -> None:
    """Thinking and calls are read from the text; what is special and no tag is dropped as ever."""
    mark_special(files, TAGS)
    tokenizer = TextTokenizer(files)
    ids = tokenizer.encode("<think>a</think><tool_call>b</tool_call><|im_end|>")
    assert tokenizer.decode(ids) == "<think>a</think><tool_call>b</tool_call>"
    stream = TextStream(tokenizer)
    assert "".join([*map(stream.push, ids), stream.finish()]) == "<think>a</think><tool_call>b</tool_call>"
    assert ids == TextTokenizer(EMBEDDED).encode("<think>a</think><tool_call>b</tool_call><|im_end|>")


@pytest.mark.parametrize("tag", TAGS)
def test_one_tag_that_is_marked_special_is_enough(files: Any, tag: Any) -> None:
    mark_special(files, [tag])
    assert TextTokenizer(files).decode([*TextTokenizer(files).encode(tag), 11]) == tag


@pytest.mark.parametrize(
    ("settings", "bos", "eos"),
    [
        ({}, "", ""),
        ({"bos_token": "<s>", "eos_token": "</s>"}, "<s>", "</s>"),
        ({"bos_token": {"content": "<s>"}, "eos_token": {"content": "</s>"}}, "<s>", "</s>"),
        ({"bos_token": None, "eos_token": 3}, "", ""),
    ],
)
def test_special_tokens_of_templates_are_read_in_either_spelling(
    files: Any, settings: dict[str, Any], bos: str, eos: str
) -> None:
    (files / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = TextTokenizer(files)
    assert (tokenizer.bos_token, tokenizer.eos_token) == (bos, eos)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("{{ x }}", "{{ x }}"), ("", None), ([{"name": "default", "template": "t"}], None), (None, None)],
)
def test_a_template_may_stand_in_the_tokenizers_settings(files: Any, given: Any, expected: str | None) -> None:
    (files / "tokenizer_config.json").write_text(json.dumps({"chat_template": given}))
    assert TextTokenizer(files).chat_template == expected


def test_an_unknown_eos_token_ends_nothing(files: Any) -> None:
    (files / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<nothing>"}))
    assert TextTokenizer(files).stop_token_ids == {11}


@pytest.mark.parametrize("name", ["tokenizer_config.json", "generation_config.json"])
def test_neighbours_that_are_no_json_are_refused_and_other_values_say_nothing(files: Any, name: str) -> None:
    (files / name).write_text("[1]")
    assert TextTokenizer(files).stop_token_ids == {11}
    (files / name).write_text("{")
    with pytest.raises(CheckpointError, match=f"{name}: is not JSON"):
        TextTokenizer(files)


def test_a_tokenizer_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        TextTokenizer(tmp_path)


def test_nothing_is_added_in_front_of_a_text(files: Any) -> None:
    """Where a file asks for a beginning of sequence, too: chats of the family carry none."""
    path = files / "tokenizer.json"
    content = json.loads(path.read_text())
    single = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    content["post_processor"] = {
        "type": "TemplateProcessing", "single": single, "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
    }  # fmt: skip
    path.write_text(json.dumps(content))
    assert 1 not in TextTokenizer(files).encode("Hi")
    assert TextTokenizer(files).encode("") == []


def test_half_a_surrogate_pair_is_refused_with_its_place(files: Any) -> None:
    with pytest.raises(RequestError, match="lone surrogate at character 2"):
        TextTokenizer(files).encode("ab\ud800")


def test_a_token_that_is_half_a_character_is_told_by_its_entry(files: Any) -> None:
    tokenizer = TextTokenizer(files)
    half = tokenizer.encode("日")[0]
    assert "\ufffd" in tokenizer.decode([half])
    assert "\ufffd" not in tokenizer.token_text(half)
    assert tokenizer.token_text(half) != ""
    assert tokenizer.token_text(11) == "<|im_end|>"
    assert tokenizer.token_text(tokenizer.encode(" a")[0]) == tokenizer.decode(tokenizer.encode(" a")[:1])
    assert (tokenizer.id_of("<|im_end|>"), tokenizer.id_of("<nothing>")) == (11, None)


def test_an_answer_is_read_as_its_request_asks(files: Any) -> None:
    tokenizer = TextTokenizer(files)
    ids = [*tokenizer.encode("one two"), 1, 11]

    def read(**options: Any) -> Any:
        stream = TextStream(tokenizer, **options)
        return "".join([*map(stream.push, ids), stream.finish()]), stream.hit_stop

    assert read() == ("one two", False)
    assert read(skip_special_tokens=False) == ("one two<s><|im_end|>", False)
    assert read(skip_special_tokens=False, stop_token_ids=frozenset({11})) == ("one two<s>", False)
    assert read(stop=[" two"]) == ("one", True)
    assert read(stop=[" two"], include_stop=True) == ("one two", True)
    assert read(stop=["two!"]) == ("one two", False)

"""Completions: text or ids in, an echo, scores with their places, several choices, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.speaker import END, HTTP, TOKENIZER, Speaker, context_over, serving, speaking

TEXT = "one two three"
PROMPT = "Hello there"
LAST = TOKENIZER.decode([END], False)


def ask(url: Any, **body: Any) -> Any:
    """Return (choices, usage) of a whole answer."""
    found = HTTP.post(f"{url}/v1/completions", json={"model": "speaker", "prompt": PROMPT, **body})
    assert found.status_code == 200, found.text
    answer = found.json()
    assert answer["object"] == "text_completion"
    return answer["choices"], answer["usage"]


def ask_streamed(url: Any, **body: Any) -> Any:
    """Return (choices as a whole answer has them, usage) of a stream."""
    options = {"stream": True, "stream_options": {"include_usage": True}}
    found = HTTP.post(f"{url}/v1/completions", json={"model": "speaker", "prompt": PROMPT, **options, **body})
    *chunks, end = [line.removeprefix("data: ") for line in found.text.split("\n\n") if line]
    assert end == "[DONE]"
    *read, last = [json.loads(chunk) for chunk in chunks]
    choices: dict[int, dict[str, Any]] = {}
    for chunk in read:
        (item,) = chunk["choices"]
        choice = choices.setdefault(item["index"], {"text": "", "logprobs": None, "finish_reason": None})
        assert choice["finish_reason"] is None
        choice["text"] += item["text"]
        choice["finish_reason"] = item["finish_reason"]
        if item["logprobs"]:
            known = choice["logprobs"] or {name: [] for name in item["logprobs"]}
            choice["logprobs"] = {name: known[name] + values for name, values in item["logprobs"].items()}
    assert last["choices"] == []
    return [{"index": index, **choices[index]} for index in sorted(choices)], last["usage"]


BOTH = pytest.mark.parametrize("asks", [ask, ask_streamed], ids=["whole", "streamed"])


@BOTH
@pytest.mark.parametrize(("echo", "text"), [(False, TEXT), (True, PROMPT + TEXT)])
def test_a_prompt_is_echoed_where_it_is_asked_for(asks: Any, echo: bool, text: Any) -> None:
    with speaking(TEXT) as url:
        (choice,), usage = asks(url, echo=echo, max_tokens=50)
    spoken = len(TOKENIZER.encode(TEXT)) + 1
    assert (choice["text"], choice["finish_reason"], choice["logprobs"]) == (text, "stop", None)
    asked = len(TOKENIZER.encode(PROMPT))
    assert usage == {"prompt_tokens": asked, "completion_tokens": spoken, "total_tokens": asked + spoken}


@BOTH
@pytest.mark.parametrize("echo", [False, True])
def test_scores_stand_where_their_text_does(asks: Any, echo: bool) -> None:
    with speaking(TEXT) as url:
        (choice,), usage = asks(url, echo=echo, logprobs=2, max_tokens=50)
    scores, text = choice["logprobs"], choice["text"]
    asked = len(TOKENIZER.encode(PROMPT)) if echo else 0
    assert {len(values) for values in scores.values()} == {asked + usage["completion_tokens"]}
    places = zip(scores["tokens"], scores["text_offset"], strict=True)
    assert all(text[place:].startswith(token) for token, place in places if token != LAST)
    assert scores["text_offset"] == sorted(set(scores["text_offset"]))
    assert [value is None for value in scores["token_logprobs"]] == [echo] + [False] * (len(scores["tokens"]) - 1)
    assert [value is None for value in scores["top_logprobs"]] == [echo] + [False] * (len(scores["tokens"]) - 1)
    said = list(zip(scores["tokens"], scores["token_logprobs"], scores["top_logprobs"], strict=True))[asked:]
    assert all(top[token] == pytest.approx(score, abs=1e-6) and len(top) >= 1 for token, score, top in said)
    assert all(score == pytest.approx(0, abs=1e-6) for _, score, _ in said)


@BOTH
def test_the_chosen_token_is_among_its_alternatives(asks: Any) -> None:
    with speaking(TEXT) as url:
        (none,), _ = asks(url, logprobs=0)
        (two,), _ = asks(url, logprobs=2)
    assert {len(top) for top in none["logprobs"]["top_logprobs"]} == {1}
    assert {len(top) for top in two["logprobs"]["top_logprobs"]} == {2}


@BOTH
@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        (PROMPT, [PROMPT]),
        ([5, 6, 7], [[5, 6, 7]]),
        ([PROMPT, "Hi"], [PROMPT, "Hi"]),
        ([[5, 6], [7]], [[5, 6], [7]]),
    ],
)
def test_prompts_in_every_form_are_counted_and_numbered_with_their_choices(asks: Any, prompt: Any, tokens: Any) -> None:
    lengths = [len(TOKENIZER.encode(item) if isinstance(item, str) else item) for item in tokens]
    with speaking(TEXT) as url:
        choices, usage = asks(url, prompt=prompt, n=2, echo=True, max_tokens=2)
    assert [choice["index"] for choice in choices] == list(range(2 * len(tokens)))
    assert usage["prompt_tokens"] == sum(lengths)
    assert usage["completion_tokens"] == 2 * 2 * len(tokens)
    begins = [item if isinstance(item, str) else TOKENIZER.decode(item, False) for item in tokens]
    assert [choice["text"].startswith(begins[choice["index"] // 2]) for choice in choices] == [True] * len(choices)


@BOTH
def test_a_completion_has_16_tokens_where_nothing_is_said(asks: Any) -> None:
    with speaking("word " * 40) as url:
        (choice,), usage = asks(url)
    assert (usage["completion_tokens"], choice["finish_reason"]) == (16, "length")


@pytest.mark.parametrize(
    ("body", "status"), [({"best_of": 2, "n": 2}, 200), ({"best_of": 1}, 200), ({"best_of": 2}, 400)]
)
def test_the_best_of_as_many_as_are_asked_for_is_all_of_them(body: dict[str, Any], status: int) -> None:
    with speaking(TEXT) as url:
        found = HTTP.post(f"{url}/v1/completions", json={"model": "speaker", "prompt": "x", **body})
    assert found.status_code == status
    if status == 400:
        assert found.json()["error"]["param"] == "best_of"


def test_a_stream_counts_with_every_chunk_where_asked() -> None:
    with context_over(Speaker(TEXT)) as context, serving(context) as url:
        for options, always in (({}, False), ({"continuous_usage_stats": True}, True)):
            body = {"model": "speaker", "prompt": "x", "stream": True, "stream_options": options, "echo": True}
            lines = HTTP.post(f"{url}/v1/completions", json=body).text.split("\n\n")
            chunks = [json.loads(line[6:]) for line in lines if line and "[DONE]" not in line]
            assert {"usage" in chunk for chunk in chunks} == {always}
        counts = [chunk["usage"]["completion_tokens"] for chunk in chunks]
        assert counts == sorted(counts)
        assert counts[-1] == len(TOKENIZER.encode(TEXT)) + 1

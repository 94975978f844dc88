"""What a model said, as a chat answers it: thinking, content, calls and the reason of the end, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.speaker import HTTP, TOKENIZER, Speaker, context_over, serving, speaking

MESSAGES = [{"role": "user", "content": "Hi"}]


def call_of(city: Any) -> Any:
    return f"<tool_call>\n<function=weather>\n<parameter=city>\n{city}\n</parameter>\n</function>\n</tool_call>"


TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def ask(url: Any, **body: Any) -> Any:
    """Return (choices, usage) of a whole answer."""
    found = HTTP.post(f"{url}/v1/chat/completions", json={"model": "speaker", "messages": MESSAGES, **body})
    assert found.status_code == 200, found.text
    answer = found.json()
    assert answer["object"] == "chat.completion"
    return answer["choices"], answer["usage"]


def ask_streamed(url: Any, **body: Any) -> tuple[list[dict[str, Any]], Any]:
    """Return (choices as a whole answer has them, the last usage) of a stream."""
    body = {"model": "speaker", "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}, **body}
    found = HTTP.post(f"{url}/v1/chat/completions", json=body)
    assert found.status_code == 200, found.text
    *chunks, end = [line.removeprefix("data: ") for line in found.text.split("\n\n") if line]
    assert end == "[DONE]"
    read = [json.loads(chunk) for chunk in chunks]
    assert {chunk["object"] for chunk in read} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in read}) == 1
    choices: dict[int, dict[str, Any]] = {}
    for chunk in read[:-1]:
        for item in chunk["choices"]:
            choice = choices.setdefault(item["index"], {"message": {"content": None}, "logprobs": None})
            assert choice.get("finish_reason") is None  # nothing comes after the reason
            message, delta = choice["message"], item["delta"]
            message["content"] = (message["content"] or "") + (delta.get("content") or "") or None
            if "reasoning" in delta:
                assert delta["reasoning"] == delta["reasoning_content"]
                message["reasoning"] = message.get("reasoning", "") + delta["reasoning"]
            for call in delta.get("tool_calls", []):
                join_call(message.setdefault("tool_calls", []), call)
            if item["logprobs"]:
                choice["logprobs"] = (choice["logprobs"] or []) + item["logprobs"]["content"]
            choice["finish_reason"] = item["finish_reason"]
    assert read[-1]["choices"] == []
    return [choices[index] for index in sorted(choices)], read[-1]["usage"]


def join_call(calls: list[dict[str, Any]], delta: dict[str, Any]) -> None:
    """Take a delta of a call in: its beginning, or more of its arguments."""
    if "id" in delta:
        assert delta["index"] == len(calls)
        calls.append({**delta, "function": dict(delta["function"])})
    else:
        assert delta["index"] == len(calls) - 1
        calls[-1]["function"]["arguments"] += delta["function"]["arguments"]


BOTH = pytest.mark.parametrize("asks", [ask, ask_streamed], ids=["whole", "streamed"])
OFF = {"chat_template_kwargs": {"enable_thinking": False}}


def calls(message: Any) -> Any:
    return [json.loads(call["function"]["arguments"])["city"] for call in message.get("tool_calls", [])]


@BOTH
@pytest.mark.parametrize(("parallel", "count"), [(False, 1), (True, 2), (None, 2)])
def test_one_call_where_parallel_calls_are_off(asks: Any, parallel: bool | None, count: int) -> None:
    with speaking(f"hm</think>\n{call_of('Rome')}\n{call_of('Oslo')}") as url:
        (choice,), _ = asks(url, tools=[TOOL], parallel_tool_calls=parallel)
    assert calls(choice["message"]) == ["Rome", "Oslo"][:count]
    assert choice["message"]["content"] is None
    assert choice["message"]["reasoning"] == "hm"
    assert choice["finish_reason"] == "tool_calls"


@BOTH
@pytest.mark.parametrize(
    ("switches", "thoughts", "content"),
    [
        ({"enable_thinking": False}, None, "hm"),
        ({"force_nonempty_content": True}, None, "hm"),
        ({"enable_thinking": True}, "hm", None),
        ({}, "hm", None),
    ],
)
def test_thinking_off_gives_content_even_of_thoughts(
    asks: Any, switches: dict[str, Any], thoughts: str | None, content: str | None
) -> None:
    """A model that opens a block all the same and never closes it."""
    text = "<think>hm" if switches.get("enable_thinking") is False else "hm"
    with speaking(text) as url:
        (choice,), _ = asks(url, chat_template_kwargs=switches)
    assert (choice["message"].get("reasoning"), choice["message"]["content"]) == (thoughts, content)


@BOTH
def test_the_prompt_says_whether_thinking_has_begun(asks: Any) -> None:
    with speaking("fine") as url:
        (on,), _ = asks(url)
        (off,), _ = asks(url, **OFF)
    assert (on["message"].get("reasoning"), on["message"]["content"]) == ("fine", None)
    assert (off["message"].get("reasoning"), off["message"]["content"]) == (None, "fine")


@BOTH
def test_a_cut_after_a_whole_call_is_length(asks: Any) -> None:
    text = call_of("Rome") + "\nand then some more words that are never said"
    length = len(TOKENIZER.encode(call_of("Rome"))) + 3
    with speaking(text) as url:
        (cut,), _ = asks(url, tools=[TOOL], max_tokens=length, **OFF)
        (whole,), _ = asks(url, tools=[TOOL], **OFF)
    assert calls(cut["message"]) == calls(whole["message"]) == ["Rome"]
    assert (cut["finish_reason"], whole["finish_reason"]) == ("length", "tool_calls")


@BOTH
def test_an_end_without_calls_is_stop(asks: Any) -> None:
    with speaking("fine") as url:
        (choice,), _ = asks(url, tools=[TOOL], **OFF)
        assert choice["finish_reason"] == "stop"
        (cut,), _ = asks(url, max_tokens=1, **OFF)
        assert cut["finish_reason"] == "length"


@BOTH
def test_calls_are_not_read_where_they_may_not_be_made(asks: Any) -> None:
    with speaking(call_of("Rome")) as url:
        (none,), _ = asks(url, tools=[TOOL], tool_choice="none", **OFF)
        (without,), _ = asks(url, **OFF)
        (auto,), _ = asks(url, tools=[TOOL], tool_choice="auto", **OFF)
    for choice in (none, without):
        assert choice["message"]["content"] == call_of("Rome")
        assert (calls(choice["message"]), choice["finish_reason"]) == ([], "stop")
    assert calls(auto["message"]) == ["Rome"]


@BOTH
def test_arguments_take_the_types_of_the_tools_schema(asks: Any) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "integer"}}}
    typed = {"type": "function", "function": {"name": "weather", "parameters": schema}}
    with speaking(call_of("12")) as url:
        assert calls(asks(url, tools=[TOOL], **OFF)[0][0]["message"]) == ["12"]
        assert calls(asks(url, tools=[typed], **OFF)[0][0]["message"]) == [12]


@BOTH
def test_every_choice_is_an_answer_of_its_own_and_all_tokens_are_counted(asks: Any) -> None:
    with speaking("one two three") as url:
        choices, usage = asks(url, n=3, **OFF)
        _, single = asks(url, **OFF)
    assert [choice["message"]["content"] for choice in choices] == ["one two three"] * 3
    assert (
        usage["completion_tokens"]
        == 3 * single["completion_tokens"]
        == 3 * (len(TOKENIZER.encode("one two three")) + 1)
    )
    assert usage["prompt_tokens"] == single["prompt_tokens"]


@BOTH
def test_log_probabilities_come_with_every_token_where_they_are_asked_for(asks: Any) -> None:
    with speaking("hm</think>\n\nfine é") as url:
        (choice,), usage = asks(url, logprobs=True, top_logprobs=2)
        (bare,), _ = asks(url, logprobs=True)
        (none,), _ = asks(url)
    scores = choice["logprobs"]["content"] if isinstance(choice["logprobs"], dict) else choice["logprobs"]
    plain = bare["logprobs"]["content"] if isinstance(bare["logprobs"], dict) else bare["logprobs"]
    assert len(scores) == len(plain) == usage["completion_tokens"]
    assert {len(score["top_logprobs"]) for score in scores} == {2}
    assert {len(score["top_logprobs"]) for score in plain} == {0}
    assert [score["token"] for score in scores][:2] == [
        TOKENIZER.token_text(item) for item in TOKENIZER.encode("hm</think>")[:2]
    ]
    assert all(bytes(score["bytes"]).decode() == score["token"] for score in scores)
    assert none["logprobs"] is None


@BOTH
def test_what_a_stop_string_held_back_comes_at_once_with_each_score_once(asks: Any) -> None:
    with speaking("one</think>two three four") as url:
        (choice,), usage = asks(url, stop=["one</think>two three!"], logprobs=True)
    scores = choice["logprobs"]["content"] if isinstance(choice["logprobs"], dict) else choice["logprobs"]
    assert len(scores) == usage["completion_tokens"]
    assert (choice["message"]["reasoning"], choice["message"]["content"]) == ("one", "two three four")


@BOTH
def test_two_calls_that_come_at_once_are_numbered(asks: Any) -> None:
    text = f"{call_of('Rome')}\n{call_of('Oslo')}"
    with speaking(text) as url:
        (choice,), _ = asks(url, tools=[TOOL], stop=[text + "!"], **OFF)
    assert calls(choice["message"]) == ["Rome", "Oslo"]


@BOTH
@pytest.mark.parametrize(
    ("limits", "count"),
    [
        ({"max_tokens": 3}, 3),
        ({"max_completion_tokens": 2}, 2),
        ({"max_tokens": 3, "max_completion_tokens": 2}, 2),
        ({"max_tokens": 2, "max_completion_tokens": 3}, 3),
        ({"max_tokens": 3, "max_completion_tokens": 0}, 0),
    ],
)
def test_the_newer_name_of_the_limit_goes_before_the_older(asks: Any, limits: dict[str, Any], count: int) -> None:
    with speaking("one two three four five six") as url:
        _, usage = asks(url, **limits, **OFF)
    assert usage["completion_tokens"] == count


@BOTH
@pytest.mark.parametrize(("budget", "thoughts"), [(0, 0), (2, 2)])
def test_a_budget_ends_thinking_where_the_prompt_thinks(asks: Any, budget: int, thoughts: int) -> None:
    with speaking("a b c d e f g h") as url:
        (choice,), _ = asks(url, thinking_token_budget=budget)
        (off,), _ = asks(url, thinking_token_budget=budget, **OFF)
    spoken = TOKENIZER.encode("a b c d e f g h")
    assert choice["message"].get("reasoning", "") == TOKENIZER.decode(spoken[:thoughts])
    assert choice["message"]["content"].strip() == TOKENIZER.decode(spoken[thoughts + 1 :]).strip()
    assert off["message"]["content"] == "a b c d e f g h"


@BOTH
def test_a_call_ends_thinking_within_its_budget(asks: Any) -> None:
    """What follows the budget is forced to close thinking only where no call has ended it."""
    with speaking(f"hm\n{call_of('Rome')}") as url:
        (choice,), _ = asks(url, thinking_token_budget=len(TOKENIZER.encode("hm\n<tool_call>")) + 1, tools=[TOOL])
    assert calls(choice["message"]) == ["Rome"]
    assert choice["finish_reason"] == "tool_calls"


def test_a_budget_needs_a_tokenizer_that_can_end_thinking() -> None:
    class Without:
        def id_of(self, token: Any) -> Any:
            return None

        def __getattr__(self, name: Any) -> Any:
            return getattr(TOKENIZER, name)

    with context_over(Speaker("a"), tokenizer=Without()) as context, serving(context) as url:
        body = {"model": "speaker", "messages": MESSAGES, "thinking_token_budget": 1}
        found = HTTP.post(f"{url}/v1/chat/completions", json=body)
        assert (found.status_code, found.json()["error"]["param"]) == (400, "thinking_token_budget")


def test_without_formats_the_text_stays_as_it_is() -> None:
    with speaking("hm</think>\nfine", reasoning=None, tools=None) as url:
        (choice,), _ = ask(url, thinking_token_budget=1)
    assert choice["message"] == {"role": "assistant", "content": "hm</think>\nfine"}


def test_a_stream_counts_as_it_goes_where_asked_and_ends_with_usage_where_asked() -> None:
    with speaking("one two three") as url:

        def chunks(**options: Any) -> Any:
            body = {"model": "speaker", "messages": MESSAGES, "stream": True, "stream_options": options, **OFF}
            text = HTTP.post(f"{url}/v1/chat/completions", json=body).text
            return [json.loads(line[6:]) for line in text.split("\n\n") if line and "[DONE]" not in line]

        assert not any("usage" in chunk for chunk in chunks())
        last = chunks(include_usage=True)
        assert ["usage" in chunk for chunk in last] == [False] * (len(last) - 1) + [True]
        always = [chunk["usage"]["completion_tokens"] for chunk in chunks(continuous_usage_stats=True)[1:]]
        assert always == sorted(always)
        assert always[-1] == last[-1]["usage"]["completion_tokens"]
        assert chunks()[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}


def test_alternatives_without_log_probabilities_are_refused() -> None:
    with speaking("a") as url:
        for body in ({"top_logprobs": 0}, {"top_logprobs": 2, "logprobs": False}):
            found = HTTP.post(f"{url}/v1/chat/completions", json={"model": "speaker", "messages": MESSAGES, **body})
            assert (found.status_code, found.json()["error"]["param"]) == (400, "top_logprobs")

"""/v1/messages as the `anthropic` package uses and types it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from tests.support.speaker import HTTP, Speaker, context_over, serving

TOOL = {"name": "f", "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}
CALL = "<tool_call>\n<function=f>\n<parameter=a>\nx\n</parameter>\n</function>\n</tool_call>"
SAID = f"hm\n</think>\nLet me.\n{CALL}\n"
ASK = {"max_tokens": 200, "messages": [{"role": "user", "content": "Hi"}]}
THINK = {"thinking": {"type": "enabled", "budget_tokens": 100}}
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


@pytest.fixture
def url() -> Iterator[str]:
    with context_over(Speaker(SAID)) as context, serving(context) as address:
        yield address


def events(url: str, **body: Any) -> list[dict[str, Any]]:
    response = HTTP.post(f"{url}/v1/messages", json={**ASK, "stream": True, **body})
    assert response.status_code == 200, response.text
    pairs = [part.split("\n") for part in response.text.strip().split("\n\n")]
    data = [json.loads(pair[1].removeprefix("data: ")) for pair in pairs]
    assert [pair[0] for pair in pairs] == [f"event: {event['type']}" for event in data]
    return data


def test_a_stream_is_the_sequence_that_anthropics_types_describe(url: str) -> None:
    found = events(url, tools=[TOOL], **THINK)
    for event in found:
        if event["type"] != "ping":
            EVENT.validate_python(event)
    kinds = [event["type"] for event in found]
    assert kinds[:2] == ["message_start", "ping"]
    assert kinds[-2:] == ["message_delta", "message_stop"]
    starts = [event["content_block"]["type"] for event in found if event["type"] == "content_block_start"]
    assert starts == ["thinking", "text", "tool_use"]
    assert [event["index"] for event in found if event["type"] == "content_block_stop"] == [0, 1, 2]
    assert found[-2]["delta"]["stop_reason"] == "tool_use"


def test_the_package_puts_a_stream_together_as_the_whole_message(url: str) -> None:
    with anthropic.Anthropic(base_url=url, api_key="x", max_retries=0) as client:
        body: Any = {"model": "speaker", "tools": [TOOL], **ASK, **THINK}
        with client.messages.stream(**body) as stream:
            streamed = stream.get_final_message()
        whole = client.messages.create(**body)
    for one, other in zip(streamed.content, whole.content, strict=True):
        assert one.model_dump(exclude={"id"}) == other.model_dump(exclude={"id"})
    assert [block.type for block in whole.content] == ["thinking", "text", "tool_use"]
    assert whole.stop_reason == streamed.stop_reason == "tool_use"
    assert whole.usage.output_tokens == streamed.usage.output_tokens > 0
    Message.model_validate(whole.model_dump())


def test_unasked_a_model_does_not_think(tiny_url: str) -> None:
    ask = {**ASK, "messages": [{"role": "user", "content": "What is the capital of Japan?"}], "temperature": 0}
    plain = httpx.post(f"{tiny_url}/v1/messages", json=ask, timeout=60).json()
    assert [block["type"] for block in plain["content"]] == ["text"]
    assert plain["stop_reason"] == "end_turn"
    for thinking in (THINK, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}):
        thought = httpx.post(f"{tiny_url}/v1/messages", json={**ask, **thinking}, timeout=60).json()
        assert [block["type"] for block in thought["content"]] == ["thinking", "text"]
        assert thought["content"][-1]["text"] == plain["content"][0]["text"] == "The capital of Japan is Tokyo."


def test_a_tool_loop_comes_to_its_end(tiny_url: str) -> None:
    tool = {
        "name": "get_weather",
        "description": "Get the current weather in a city",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
    ask = {"max_tokens": 300, "temperature": 0, "tools": [tool]}
    called = httpx.post(f"{tiny_url}/v1/messages", json={**ask, "messages": messages}, timeout=60).json()
    (use,) = [block for block in called["content"] if block["type"] == "tool_use"]
    assert use["input"] == {"city": "Paris"}
    result = {
        "type": "tool_result",
        "tool_use_id": use["id"],
        "content": [{"type": "text", "text": "21 degrees, sunny"}],
    }
    messages += [{"role": "assistant", "content": called["content"]}, {"role": "user", "content": [result]}]
    told = httpx.post(f"{tiny_url}/v1/messages", json={**ask, "messages": messages}, timeout=60).json()
    assert "21 degrees" in told["content"][-1]["text"]


def test_a_forced_tool_is_called(tiny_url: str) -> None:
    tool = {"name": "f", "input_schema": {"type": "object", "properties": {"k": {"enum": ["a"]}}, "required": ["k"]}}
    for choice in ({"type": "any"}, {"type": "tool", "name": "f"}):
        body = {**ASK, "tools": [tool], "tool_choice": choice, "temperature": 0}
        found = httpx.post(f"{tiny_url}/v1/messages", json=body, timeout=60).json()
        assert found["content"][0]["input"] == {"k": "a"}
        assert found["stop_reason"] == "tool_use"


def test_tokens_are_counted_as_the_answer_counts_them(tiny_url: str) -> None:
    ask: dict[str, Any] = {
        "messages": [{"role": "user", "content": "Hello"}],
        "system": [{"type": "text", "text": "Be brief."}],
    }
    counted = httpx.post(f"{tiny_url}/v1/messages/count_tokens", json=ask).json()["input_tokens"]
    usage = httpx.post(f"{tiny_url}/v1/messages", json={**ask, "max_tokens": 1}, timeout=60).json()["usage"]
    assert counted == usage["input_tokens"] + usage["cache_read_input_tokens"]


def test_an_answer_may_ask_for_more_than_fits(url: str) -> None:
    assert HTTP.post(f"{url}/v1/messages", json={**ASK, "max_tokens": 32_000}).status_code == 200


def test_an_end_has_its_reason() -> None:
    with context_over(Speaker("one two three four")) as context, serving(context) as url:
        for more, reason, stop in (
            ({"max_tokens": 2}, "max_tokens", None),
            ({"stop_sequences": [" three"]}, "stop_sequence", " three"),
            ({}, "end_turn", None),
        ):
            found = HTTP.post(f"{url}/v1/messages", json={**ASK, **more}).json()
            assert (found["stop_reason"], found["stop_sequence"]) == (reason, stop)
            assert events(url, **more)[-2]["delta"] == {"stop_reason": reason, "stop_sequence": stop}


def test_a_failure_has_anthropics_shape_and_ends_a_stream() -> None:
    with context_over(Speaker("one two three", 2)) as context, serving(context) as url:
        broken = HTTP.post(f"{url}/v1/messages", json=ASK)
        assert (broken.status_code, broken.json()["error"]["type"]) == (500, "api_error")
        last = events(url)[-1]
        assert (last["type"], last["error"]["type"]) == ("error", "api_error")


@pytest.mark.parametrize(
    ("body", "status", "kind", "told"),
    [
        ({**ASK, "model": "claude-opus"}, 404, "not_found_error", "'claude-opus' does not exist"),
        ({"messages": ASK["messages"]}, 400, "invalid_request_error", "'max_tokens': Field required"),
        ({"max_tokens": 5}, 400, "invalid_request_error", "'messages': Field required"),
        ({**ASK, "messages": [{"role": "tool", "content": "x"}]}, 400, "invalid_request_error", "role"),
        ({**ASK, "messages": [{"role": "user", "content": [{"type": "image"}]}]}, 400, "invalid_request_error", "text"),
        ({**ASK, "tools": [{"type": "bash_20250124", "name": "bash"}]}, 400, "invalid_request_error", "bash_20250124"),
        ({**ASK, "tool_choice": {"type": "any"}}, 400, "invalid_request_error", "there are no tools"),
        ({**ASK, "max_tokens": "5"}, 400, "invalid_request_error", "max_tokens"),
    ],
)
def test_what_is_wrong_is_refused_in_anthropics_shape(
    url: str, body: dict[str, Any], status: int, kind: str, told: str
) -> None:
    for stream in (False, True):
        found = HTTP.post(f"{url}/v1/messages", json={**body, "stream": stream})
        assert (found.status_code, found.json()["type"], found.json()["error"]["type"]) == (status, "error", kind)
        assert told in found.json()["error"]["message"]


CLAUDE_CODE = {
    "model": "tiny",
    "max_tokens": 64,
    "stream": True,
    "system": [{"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]},
        {"role": "system", "content": "A reminder."},
    ],
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "high"},
    "context_management": {"edits": []},
    "metadata": {"user_id": "u"},
    "tools": [{"name": "Bash", "description": "d", "input_schema": {"type": "object", "$schema": "s"}}],
}


def test_what_claude_code_sends_is_taken(tiny_url: str) -> None:
    headers = {"authorization": "Bearer x", "x-api-key": "x", "anthropic-version": "2023-06-01"}
    found = httpx.post(f"{tiny_url}/v1/messages?beta=true", json=CLAUDE_CODE, headers=headers, timeout=60)
    assert found.status_code == 200, found.text
    assert found.text.rstrip().endswith('data: {"type":"message_stop"}')

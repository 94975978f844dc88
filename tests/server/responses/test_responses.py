"""/v1/responses as the `openai` package uses and types it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.support.speaker import HTTP, Speaker, context_over, serving, speaking
from tests.support.waiting import wait_until
from trtnemo.server.responses.store import ResponseStore

TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}
CUSTOM = {"type": "custom", "name": "g"}
CALL = "<tool_call>\n<function={}>\n<parameter={}>\n{}\n</parameter>\n</function>\n</tool_call>"
SAID = f"hm\n</think>\nLet me.\n{CALL.format('f', 'a', 'x')}\n{CALL.format('g', 'input', 'y z')}\n"
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


@pytest.fixture
def url() -> Iterator[str]:
    with context_over(Speaker(SAID), responses=ResponseStore(8, 1 << 20, 60)) as context, serving(context) as address:
        yield address


def events(url: str, **body: Any) -> list[dict[str, Any]]:
    response = HTTP.post(f"{url}/v1/responses", json={"input": "Hi", "stream": True, **body})
    assert response.status_code == 200, response.text
    pairs = [part.split("\n") for part in response.text.strip().split("\n\n")]
    data = [json.loads(pair[1].removeprefix("data: ")) for pair in pairs]
    assert [pair[0] for pair in pairs] == [f"event: {event['type']}" for event in data]
    return data


def test_a_stream_is_the_sequence_that_openais_types_describe(url: str) -> None:
    found = events(url, tools=[TOOL, CUSTOM])
    for event in found:
        EVENT.validate_python(event, strict=False)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    kinds = [event["type"].removeprefix("response.") for event in found]
    text = [
        "output_item.added",
        "content_part.added",
        "text.delta",
        "text.done",
        "content_part.done",
        "output_item.done",
    ]
    folded = [kind.removeprefix("output_").removeprefix("reasoning_") if "text" in kind else kind for kind in kinds]
    shape = [kind for place, kind in enumerate(folded) if not kind.endswith(".delta") or folded[place - 1] != kind]
    call = ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"]
    custom = ["output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done", "output_item.done"]
    assert shape == ["created", "in_progress", *text, *text, *call, *custom, "completed"]
    last = Response.model_validate(found[-1]["response"])
    assert [item.type for item in last.output] == ["reasoning", "message", "function_call", "custom_tool_call"]
    for event in found:
        if "output_index" in event:
            named = event.get("item_id") or event["item"]["id"]
            assert last.output[event["output_index"]].id == named


def test_deltas_add_up_to_what_the_items_say(url: str) -> None:
    found = events(url, tools=[TOOL, CUSTOM])
    output = found[-1]["response"]["output"]

    def joined(kind: str) -> str:
        return "".join(event["delta"] for event in found if event["type"] == f"response.{kind}.delta")

    assert joined("reasoning_text") == output[0]["content"][0]["text"] == "hm"
    assert joined("output_text") == output[1]["content"][0]["text"] == "Let me."
    assert joined("function_call_arguments") == output[2]["arguments"] == '{"a": "x"}'
    assert joined("custom_tool_call_input") == output[3]["input"] == "y z"
    whole = HTTP.post(f"{url}/v1/responses", json={"input": "Hi", "tools": [TOOL, CUSTOM]}).json()
    for one, other in zip(output, whole["output"], strict=True):
        for key in one.keys() - {"id", "call_id"}:
            assert one[key] == other[key]
    assert whole["usage"] == found[-1]["response"]["usage"]
    assert 0 < whole["usage"]["output_tokens_details"]["reasoning_tokens"] < whole["usage"]["output_tokens"]


def test_the_package_puts_a_stream_together(url: str) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        with client.responses.stream(model="speaker", input="Hi", tools=[TOOL]) as stream:  # type: ignore[list-item]
            for _ in stream:
                pass
            final = stream.get_final_response()
        assert final.output_text == "Let me."
        assert final.status == "completed"


def test_a_response_is_kept_found_listed_and_forgotten(url: str) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0) as client:
        made = client.responses.create(model="speaker", input="Hi", metadata={"a": "b"})
        assert client.responses.retrieve(made.id).model_dump() == made.model_dump()
        listed = client.responses.input_items.list(made.id)
        assert [item.model_dump(exclude_none=True)["content"] for item in listed] == [
            [{"type": "input_text", "text": "Hi"}]
        ]
        with pytest.raises(openai.BadRequestError, match="only a response that runs in the background"):
            client.responses.cancel(made.id)
        client.responses.delete(made.id)
        for ask in (client.responses.retrieve, client.responses.delete, client.responses.input_items.list):
            with pytest.raises(openai.NotFoundError, match="no response"):
                list(ask(made.id) or [])
        unkept = client.responses.create(model="speaker", input="Hi", store=False)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(unkept.id)
        with pytest.raises(openai.NotFoundError):
            client.responses.create(model="speaker", input="Hi", previous_response_id=unkept.id)


def test_a_conversation_goes_on_from_a_kept_response_without_its_instructions() -> None:
    store = ResponseStore(8, 1 << 20, 60)
    with context_over(Speaker("hm\n</think>\nYes."), responses=store) as context, serving(context) as url:
        first = HTTP.post(f"{url}/v1/responses", json={"input": "One", "instructions": "Be brief."}).json()
        body = {"input": "Two", "previous_response_id": first["id"], "instructions": "Be long."}
        second = HTTP.post(f"{url}/v1/responses", json=body).json()
        messages = store.get(second["id"], "-").messages
    assert json.loads(messages) == [
        {"role": "user", "content": "One"},
        {"role": "assistant", "reasoning_content": "hm", "content": first["output"][1]["content"]},
        {"role": "user", "content": "Two"},
    ]
    assert second["previous_response_id"] == first["id"]


def test_what_one_key_stored_no_other_finds() -> None:
    store = ResponseStore(8, 1 << 20, 60)
    with context_over(Speaker("x"), responses=store) as context, serving(context) as url:
        made = HTTP.post(f"{url}/v1/responses", json={"input": "One"}).json()
        store.get(made["id"], "-").owner = "alice"
        assert HTTP.get(f"{url}/v1/responses/{made['id']}").status_code == 404


def test_a_response_in_the_background_can_be_watched_and_cancelled() -> None:
    speaker = Speaker("a long answer", slow_after=0)
    with context_over(speaker, responses=ResponseStore(8, 1 << 20, 60)) as context, serving(context) as url:
        made = HTTP.post(f"{url}/v1/responses", json={"input": "Hi", "background": True}).json()
        assert made["status"] == "in_progress"
        assert HTTP.get(f"{url}/v1/responses/{made['id']}").json()["status"] == "in_progress"
        assert HTTP.post(f"{url}/v1/responses/{made['id']}/cancel").json()["status"] == "cancelled"
        wait_until(lambda: context.admission.taken == 0)
        assert HTTP.get(f"{url}/v1/responses/{made['id']}").json()["status"] == "cancelled"
        speaker.slow_after = None
        done = HTTP.post(f"{url}/v1/responses", json={"input": "Hi", "background": True}).json()
        wait_until(lambda: HTTP.get(f"{url}/v1/responses/{done['id']}").json()["status"] == "completed")
        refused = HTTP.post(f"{url}/v1/responses", json={"input": "Hi", "background": True, "store": False})
        assert refused.status_code == 400


def test_an_answer_that_was_cut_is_incomplete_and_one_that_broke_has_failed() -> None:
    with speaking("a b c d e f", responses=ResponseStore(8, 1 << 20, 60)) as url:
        cut = HTTP.post(f"{url}/v1/responses", json={"input": "Hi", "max_output_tokens": 2}).json()
        assert (cut["status"], cut["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
        assert events(url, max_output_tokens=2)[-1]["type"] == "response.incomplete"
    with context_over(Speaker("a b c d e f", 2)) as context, serving(context) as url:
        found = events(url)
        assert found[-1]["type"] == "response.failed"
        assert found[-1]["response"]["error"]["code"] == "server_error"
        EVENT.validate_python(found[-1])


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"input": "x", "tools": [{"type": "web_search"}]}, "'web_search' is run by its provider"),
        ({"input": "x", "tools": [{"type": "namespace", "name": "n"}]}, "'namespace' is run by its provider"),
        ({"input": [{"type": "image_generation_call"}]}, "input.0 is of type 'image_generation_call'"),
        ({"input": [{"type": "message", "role": "robot", "content": "x"}]}, "role"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "other than text"),
        ({"input": []}, "'input' is empty"),
        ({}, "'input': Field required"),
        ({"input": "x", "conversation": "c"}, "unknown or unsupported parameter 'conversation'"),
        ({"input": "x", "tool_choice": "required"}, "there are no tools"),
        ({"input": "x", "max_output_tokens": "5"}, "max_output_tokens"),
        ({"input": "x", "top_logprobs": 3}, "/v1/chat/completions"),
    ],
)
def test_what_is_not_built_is_refused(url: str, body: dict[str, Any], told: str) -> None:
    for stream in (False, True):
        refused = HTTP.post(f"{url}/v1/responses", json={**body, "stream": stream})
        assert refused.status_code == 400
        assert told in refused.json()["error"]["message"]


CODEX = {
    "model": "tiny",
    "instructions": "You are a coding agent.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be safe."}]},
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "What is the capital of Japan?"}],
        },
    ],
    "tools": [{"type": "function", "name": "shell", "strict": False, "parameters": {"type": "object"}}],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "01a2",
    "client_metadata": {"x": "y"},
    "text": {"verbosity": "low"},
}


def test_what_codex_sends_is_taken_by_a_real_model(tiny_url: str) -> None:
    response = httpx.post(f"{tiny_url}/v1/responses", json=CODEX, timeout=60)
    assert response.status_code == 200, response.text
    assert "event: response.completed" in response.text


def test_typed_output_and_forced_tools_hold_here_too(tiny_url: str) -> None:
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object", "properties": {"n": {"enum": [1, 2]}}}}
    body = {"input": "x", "text": {"format": {**form, "strict": True}}, "temperature": 0}
    body["text"]["format"]["schema"] |= {"required": ["n"], "additionalProperties": False}  # type: ignore[index]
    answer = httpx.post(f"{tiny_url}/v1/responses", json=body, timeout=60).json()
    assert json.loads(answer["output"][-1]["content"][0]["text"])["n"] in (1, 2)
    assert answer["text"]["format"] == form | {"strict": True}
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {"k": {"enum": ["a"]}}}}
    forced = {"input": "x", "tools": [tool], "tool_choice": {"type": "function", "name": "f"}, "temperature": 0}
    answer = httpx.post(f"{tiny_url}/v1/responses", json=forced, timeout=60).json()
    assert [item["name"] for item in answer["output"] if item["type"] == "function_call"] == ["f"]

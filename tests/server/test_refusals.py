"""Bad requests: each gets one clear 4xx in OpenAI's shape, and the server lives on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from tokenizers import Tokenizer, models

from trtnemo.engine import build_engine
from trtnemo.recipe import load_recipe

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
MESSAGES = [{"role": "user", "content": "Hi"}]


def tool(parameters: Any, name: Any = "f") -> Any:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def nested(depth: Any) -> Any:
    return {"properties": nested(depth - 1)} if depth else {}


@pytest.mark.parametrize(
    ("path", "body", "status", "parameter", "message"),
    [
        (TEXT, {"model": "gpt-9", "prompt": "x"}, 404, "model", "'gpt-9' does not exist; this server has tiny"),
        (TEXT, {"model": "tiny"}, 400, "prompt", "Field required"),
        (TEXT, {"model": "tiny", "prompt": ""}, 400, "prompt", "empty"),
        (TEXT, {"model": "tiny", "prompt": []}, 400, "prompt", "empty"),
        (TEXT, {"model": "tiny", "prompt": [[]]}, 400, "prompt", "empty"),
        (TEXT, {"model": "tiny", "prompt": [1, "x"]}, 400, "prompt", "valid"),
        (TEXT, {"model": "tiny", "prompt": [99999]}, 400, "prompt", "outside the vocabulary of 2048"),
        (TEXT, {"model": "tiny", "prompt": "x", "max_tokens": -1}, 400, "max_tokens", "greater than or equal to 0"),
        (TEXT, {"model": "tiny", "prompt": "x", "max_tokens": 40000}, 400, "max_tokens", "exceed the 32768"),
        (TEXT, {"model": "tiny", "prompt": [5] * 32768}, 400, "prompt", "this engine holds 32768"),
        (TEXT, {"model": "tiny", "prompt": "x", "temperature": 3}, 400, "temperature", "less than or equal to 2"),
        (TEXT, {"model": "tiny", "prompt": "x", "top_p": 0}, 400, "top_p", "greater than 0"),
        (TEXT, {"model": "tiny", "prompt": "x", "logprobs": 21}, 400, "logprobs", "20"),
        (CHAT, {"model": "tiny", "messages": MESSAGES, "max_tokens": 40000}, 400, "max_tokens", "exceed the 32768"),
        (TEXT, {"model": "tiny", "prompt": "a\ud800b"}, 400, None, "surrogate"),
        (CHAT, {"model": "tiny", "messages": [{"role": "user", "content": "\udfff"}]}, 400, None, "surrogate"),
        ("/tokenize", {"prompt": "\ud800"}, 400, None, "body is not JSON"),
        (TEXT, {"model": "tiny", "prompt": "x", "min_tokens": 9, "max_tokens": 8}, 400, None, "exceeds 'max_tokens' 8"),
        (TEXT, {"model": "tiny", "prompt": "x", "stop": ["a", ""]}, 400, "stop", "at least 1 character"),
        (TEXT, {"model": "tiny", "prompt": "x", "suffix": "y"}, 400, "suffix", "not supported at this value"),
        (TEXT, {"model": "tiny", "prompt": "x", "best_of": 3}, 400, "best_of", "not supported yet"),
        (TEXT, {"model": "tiny", "prompt": "x", "temprature": 1}, 400, "temprature", "did you mean 'temperature'?"),
        (
            TEXT,
            {"prompt": "x", "stream_options": {"include_usag": 1}},
            400,
            "stream_options",
            "'stream_options.include_usag'",
        ),
        (TEXT, {"prompt": [-5]}, 400, "prompt", "'prompt': must be"),
        (
            CHAT,
            {"messages": MESSAGES, "tool_choice": "any"},
            400,
            "tool_choice",
            "'tool_choice': must be 'none', 'auto'",
        ),
        (TEXT, {"model": "tiny", "prompt": "x", "logit_bias": {"x": 1}}, 400, "logit_bias", "token ids"),
        (TEXT, {"model": "tiny", "prompt": "x", "logit_bias": {"5000": 1}}, 400, None, "outside the vocabulary"),
        (TEXT, {"model": "tiny", "prompt": "x", "stop_token_ids": [-4]}, 400, "stop_token_ids", "greater"),
        (CHAT, {"model": "tiny", "messages": []}, 400, "messages", "at least 1"),
        (CHAT, {"model": "tiny", "messages": "Hi"}, 400, "messages", "list"),
        (CHAT, {"model": "tiny", "messages": [{"content": "Hi"}]}, 400, "messages", "messages.0.role"),
        (
            CHAT,
            {"model": "tiny", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            400,
            "messages",
            "other than text",
        ),
        (
            CHAT,
            {"model": "tiny", "messages": MESSAGES, "tools": [{"type": "function"}]},
            400,
            "tools",
            "a tool of type 'function' has no 'function'",
        ),
        (CHAT, {"model": "tiny", "messages": MESSAGES, "tools": [tool(nested(100))]}, 400, "tools", "nested deeper"),
        (CHAT, {"model": "tiny", "messages": MESSAGES, "tools": [tool({}), tool({})]}, 400, "tools", "two tools"),
        (CHAT, {"model": "tiny", "messages": MESSAGES, "tools": [tool({}, "a b")]}, 400, "tools", "pattern"),
        (
            CHAT,
            {"model": "tiny", "messages": MESSAGES, "tool_choice": "required"},
            400,
            "tool_choice",
            "there are no tools",
        ),
        (
            CHAT,
            {"model": "tiny", "messages": MESSAGES, "chat_template_kwargs": {"enable_thinkin": True}},
            400,
            "chat_template_kwargs",
            "did you mean 'enable_thinking'",
        ),
        (
            CHAT,
            {"model": "tiny", "messages": MESSAGES, "chat_template_kwargs": {"enable_thinking": "false"}},
            400,
            "chat_template_kwargs",
            "'enable_thinking' must be true or false, not 'false'",
        ),
        (
            CHAT,
            {"model": "tiny", "messages": [*MESSAGES, {"role": "assistant", "tool_calls": [{}]}]},
            400,
            "messages",
            "no function",
        ),
        (TEXT, {"model": "tiny", "prompt": "x", "tools": [tool({})]}, 400, "tools", "not supported"),
        (
            CHAT,
            {"model": "tiny", "messages": MESSAGES, "thinking_token_budget": -1},
            400,
            "thinking_token_budget",
            "greater than or equal to 0",
        ),
        (
            CHAT,
            {"model": "tiny", "messages": MESSAGES, "guided_regex": "a(?=b)"},
            400,
            None,
            "look-around",
        ),
        (
            CHAT,
            {"model": "tiny", "messages": MESSAGES, "guided_json": {"const": 380089642089838936064}},
            400,
            "schema",
            "'schema' cannot be kept",
        ),
        (CHAT, {"model": "tiny", "messages": MESSAGES, "top_logprobs": 3}, 400, "top_logprobs", "needs 'logprobs'"),
        (
            CHAT,
            {"model": "tiny", "messages": MESSAGES, "chat_template_kwargs": {"messages": []}},
            400,
            "chat_template_kwargs",
            "may not set",
        ),
        (CHAT, {"model": "tiny", "messages": MESSAGES, "logprobs": "yes please"}, 400, "logprobs", "boolean"),
        ("/tokenize", {}, 400, "prompt", "either"),
        ("/detokenize", {"tokens": [99999]}, 400, "tokens", "outside the vocabulary"),
        ("/detokenize", {"tokens": [-1]}, 400, "tokens", "greater"),
        ("/detokenize", {"tokens": [-5] * 50_000}, 400, "tokens", "greater"),
    ],
)
def test_a_bad_request_is_refused_in_openais_shape(
    tiny_url: Any, path: Any, body: Any, status: int, parameter: str | None, message: str
) -> None:
    for stream in (False, True):
        data = {**body, "stream": stream} if path.startswith("/v1") else body
        response = httpx.post(tiny_url + path, content=json.dumps(data))
        error = response.json()["error"]
        assert response.status_code == status, error
        assert error["type"] == "invalid_request_error"
        assert error["param"] == parameter
        assert message in error["message"]
    assert httpx.get(f"{tiny_url}/health").status_code == 200


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"model": NaN}', b"[" * 100000])
def test_a_malformed_body_is_refused(tiny_url: Any, content: Any) -> None:
    response = httpx.post(tiny_url + TEXT, content=content)
    assert response.status_code == 400
    assert "body is not" in response.json()["error"]["message"]


def test_parameters_that_do_nothing_are_taken(tiny_url: Any) -> None:
    body = {
        "model": None,
        "messages": MESSAGES,
        "tools": [],
        "tool_choice": "none",
        "response_format": {"type": "text"},
        "max_tokens": 2,
        "user": "me",
        "n": 1,
        "store": True,
        "reasoning_effort": None,
    }
    assert httpx.post(tiny_url + CHAT, json=body).status_code == 200


def test_unknown_paths_and_methods_are_told_in_openais_shape(tiny_url: Any) -> None:
    missing, wrong = httpx.get(f"{tiny_url}/v2/models"), httpx.get(tiny_url + TEXT)
    assert (missing.status_code, wrong.status_code) == (404, 405)
    assert "GET /v2/models: Not Found" in missing.json()["error"]["message"]


def test_a_tokenizer_of_another_family_without_a_template_refuses_chats_only(
    copy_checkpoint: Any, server_process: Any, tmp_path: Path
) -> None:
    checkpoint = copy_checkpoint("bf16")
    tokenizer = Tokenizer(models.WordLevel({"Hi": 0, "no": 1}, unk_token="no"))  # noqa: S106
    tokenizer.save(str(checkpoint / "tokenizer.json"))
    build_engine(load_recipe("tiny", [f"checkpoint={checkpoint}"]), "tiny", tmp_path / "engine")
    _, url = server_process(tmp_path / "engine")
    chat = httpx.post(url + CHAT, json={"model": checkpoint.name, "messages": MESSAGES})
    assert chat.status_code == 400
    assert "no chat template" in chat.json()["error"]["message"]
    assert httpx.post(url + TEXT, json={"model": checkpoint.name, "prompt": "Hi"}).status_code == 200
    assert httpx.post(url + TEXT, json={"model": "tiny", "prompt": "Hi"}).status_code == 404


def test_stream_options_without_a_stream_are_refused(tiny_url: Any) -> None:
    body = {"model": "tiny", "prompt": "x", "stream_options": {"include_usage": True}}
    response = httpx.post(tiny_url + TEXT, json=body)
    assert response.status_code == 400
    assert "needs 'stream'" in response.json()["error"]["message"]

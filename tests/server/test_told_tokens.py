"""Token ids and the scores of a prompt, where they are asked for."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": "Hello"}], "temperature": 0, "max_tokens": 12},
    TEXT: {"prompt": "The capital of Japan", "temperature": 0, "max_tokens": 12},
}


def post(url: str, path: str, **more: Any) -> Any:
    response = httpx.post(url + path, json={**BODIES[path], **more}, timeout=60)
    assert response.status_code == 200, response.text
    return response


@pytest.mark.parametrize("path", [CHAT, TEXT])
def test_token_ids_are_those_of_the_text(tiny_url: str, path: str) -> None:
    found = post(tiny_url, path, return_token_ids=True, ignore_eos=True).json()
    choice = found["choices"][0]
    prompt = found["prompt_token_ids"] if path == CHAT else choice["prompt_token_ids"]
    assert len(prompt) == found["usage"]["prompt_tokens"]
    assert len(choice["token_ids"]) == found["usage"]["completion_tokens"] == 12
    if path == TEXT:
        text = httpx.post(f"{tiny_url}/detokenize", json={"tokens": choice["token_ids"]}).json()["prompt"]
        assert text == choice["text"]
    plain = post(tiny_url, path).json()
    assert "token_ids" not in json.dumps(plain)
    lines = post(tiny_url, path, return_token_ids=True, ignore_eos=True, stream=True).text.split("\n\n")
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line and "[DONE]" not in line]
    told = [token for chunk in chunks for item in chunk["choices"] for token in item.get("token_ids", [])]
    assert told == choice["token_ids"]


@pytest.mark.parametrize("path", [CHAT, TEXT])
def test_a_prompts_scores_are_those_that_an_echo_has(tiny_url: str, path: str) -> None:
    found = post(tiny_url, path, prompt_logprobs=2, return_token_ids=True, max_tokens=1).json()
    first = found if path == CHAT else found["choices"][0]
    prompt, scores = first["prompt_token_ids"], first["prompt_logprobs"]
    assert scores[0] is None
    assert len(scores) == len(prompt)
    body = {"prompt": prompt, "echo": True, "logprobs": 2, "max_tokens": 0}
    echoed = httpx.post(tiny_url + TEXT, json=body, timeout=60).json()["choices"][0]["logprobs"]["token_logprobs"]
    for token, score, expected in list(zip(prompt, scores, echoed, strict=True))[1:]:
        assert score[str(token)]["logprob"] == pytest.approx(expected, abs=1e-5)
        assert 2 <= len(score) <= 3
    refused = httpx.post(tiny_url + path, json={**BODIES[path], "prompt_logprobs": 1, "stream": True})
    assert refused.status_code == 400


def test_the_bytes_of_scores_add_up_to_the_text(tiny_url: str) -> None:
    """Tokens of a character's single bytes too, whose texts are no characters."""
    emoji = httpx.post(f"{tiny_url}/tokenize", json={"prompt": "\U0001f600 \u6f22"}).json()["tokens"]
    body = {"prompt": emoji, "echo": True, "logprobs": 0, "max_tokens": 0}
    tokens = httpx.post(tiny_url + TEXT, json=body).json()["choices"][0]["logprobs"]["tokens"]
    assert len(tokens) == len(emoji)
    split = next(token for token, text in zip(emoji, tokens, strict=True) if "\ufffd" in text or len(text.encode()) > 1)
    chat = {**BODIES[CHAT], "logprobs": True, "allowed_token_ids": [split], "max_tokens": 1, "ignore_eos": True}
    chat["chat_template_kwargs"] = {"enable_thinking": False}
    (score,) = httpx.post(tiny_url + CHAT, json=chat).json()["choices"][0]["logprobs"]["content"]
    assert bytes(score["bytes"]) in "\U0001f600 \u6f22".encode()

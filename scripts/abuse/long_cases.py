"""The longest bodies that a server takes: 64 MiB, with a context of a million tokens."""

from __future__ import annotations

import json
from typing import Any

from scripts.abuse.cases import CHAT, LONG_TEXT, TEXT, Case, chat
from scripts.abuse.harness import post

MOST = 62 << 20
WORDS = (LONG_TEXT * 5)[:MOST]


def escaped_chat() -> bytes:
    """Return a request whose text is all escapes."""
    return b'{"messages":[{"role":"user","content":"%b"}]}' % (rb"\u00e9" * (MOST // 6))


def many(count: int, size: int) -> dict[str, Any]:
    """Return a conversation of so many messages, of so many characters each."""
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[n % 2], "content": WORDS[:size]} for n in range(count)], "max_tokens": 1}


def parts(count: int, size: int) -> dict[str, Any]:
    """Return a request whose one message has so many parts, of so many characters each."""
    part = {"type": "text", "text": WORDS[:size]}
    return {"messages": [{"role": "user", "content": [part] * count}], "max_tokens": 1}


def response(url: str) -> str:
    """Ask for a response with long items."""
    item = {"role": "user", "content": LONG_TEXT[: 1 << 20]}
    return post(url, "/v1/responses", {"input": [item] * 60, "max_output_tokens": 1})


def tools() -> dict[str, Any]:
    """Return a request whose one tool is described at length."""
    return {**chat("Hi"), "tools": [{"type": "function", "function": {"name": "f", "description": WORDS}}]}


LONG_CASES: dict[str, tuple[str, Case]] = {
    "message of 62 MiB": ("-", lambda url: post(url, CHAT, chat(WORDS))),
    "message of 62 MiB, all escapes": ("-", lambda url: post(url, CHAT, escaped_chat())),
    "message of 14 MiB": ("-", lambda url: post(url, CHAT, chat(LONG_TEXT))),
    "prompt of 14 MiB": ("-", lambda url: post(url, TEXT, {"prompt": LONG_TEXT})),
    "tokenize of 3 MiB": ("-", lambda url: post(url, "/tokenize", {"prompt": LONG_TEXT[: 3 << 20]})),
    "16,000 messages of 3,500": ("-", lambda url: post(url, CHAT, many(16_000, 3500))),
    "60,000 parts of 900": ("-", lambda url: post(url, CHAT, parts(60_000, 900))),
    "detokenize of 8,000,000 ids": ("-", lambda url: post(url, "/detokenize", {"tokens": [500] * 8_000_000})),
    "prompt of 2,000,000 ids": ("-", lambda url: post(url, TEXT, {"prompt": [500] * 2_000_000, "max_tokens": 1})),
    "response of 60 MiB": ("-", response),
    "messages of 62 MiB": ("-", lambda url: post(url, "/v1/messages", {"max_tokens": 1, **chat(WORDS)})),
    "62 MiB of tools": ("-", lambda url: post(url, CHAT, tools())),
    "62 MiB that are no JSON": ("-", lambda url: post(url, CHAT, json.dumps(chat(WORDS)).encode()[:-1])),
}

"""Cases at the context that `tiny` has: what each was before, and what is sent."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from scripts.abuse.harness import post

TEXT, CHAT = "/v1/completions", "/v1/chat/completions"
LONG_TEXT = "The quick brown fox jumps over the lazy dog. " * 330_000  # 14 MiB
Case = Callable[[str], str]


def chat(text: str, **more: Any) -> dict[str, Any]:
    """Return a chat request of one message."""
    return {"model": "tiny", "messages": [{"role": "user", "content": text}], "max_tokens": 4, **more}


CASES: dict[str, tuple[str, Case]] = {
    "A2 message of 14 MiB": ("15.9-21.6 s", lambda url: post(url, CHAT, chat(LONG_TEXT))),
    "A2 prompt of 14 MiB": ("15.9-21.6 s", lambda url: post(url, TEXT, {"model": "tiny", "prompt": LONG_TEXT})),
    "A2 tokenize of 14 MiB": ("15.9-21.6 s", lambda url: post(url, "/tokenize", {"prompt": LONG_TEXT})),
    "A2 message of 1 MiB": ("0.4-0.5 s", lambda url: post(url, CHAT, chat(LONG_TEXT[: 1 << 20]))),
    "A2 message of 300 KB": ("0.15 s", lambda url: post(url, CHAT, chat(LONG_TEXT[:300_000]))),
    "A2 tokenize of 300 KB": ("0.15 s", lambda url: post(url, "/tokenize", {"prompt": LONG_TEXT[:300_000]})),
    "A5 10,000 stop strings": (
        "2.5 s",
        lambda url: post(url, CHAT, chat("Hi", stop=[f"stop{n}" for n in range(10_000)])),
    ),
    "A5 one stop of 24 KiB": ("23.6 s of CPU", lambda url: post(url, CHAT, chat("Hi", stop="a" * 24_000 + "b"))),
    "A5 16 long stops, 2,000 tokens": (
        "-",
        lambda url: post(
            url,
            TEXT,
            {
                "model": "tiny",
                "prompt": "Hi",
                "max_tokens": 2000,
                "stop": ["a" * 255 + chr(97 + n) for n in range(1, 17)],
                "allowed_token_ids": [69],
                "ignore_eos": True,
            },
        ),
    ),
    "A6 100,000 messages": (
        "3.0 GiB kept",
        lambda url: post(url, CHAT, {"messages": [{"role": "user", "content": ""}] * 100_000}),
    ),
    "A7 logprobs of 2,000 tokens": (
        "-",
        lambda url: post(
            url, TEXT, {"prompt": "Hi", "max_tokens": 2000, "logprobs": 20, "ignore_eos": True, "model": "tiny"}
        ),
    ),
    "A7 echo of 3,000 tokens scored": (
        "-",
        lambda url: post(url, TEXT, {"prompt": [50] * 3000, "max_tokens": 0, "echo": True, "logprobs": 20}),
    ),
    "deep JSON": ("400", lambda url: post(url, CHAT, b'{"messages":' + b"[" * 100_000)),
    "deep schema": (
        "-",
        lambda url: post(url, CHAT, chat("Hi", response_format={"type": "json_schema", "json_schema": nested(300)})),
    ),
    "schema of 2,000 properties": (
        "-",
        lambda url: post(
            url,
            CHAT,
            chat(
                "Hi", guided_json={"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(2000)}}
            ),
        ),
    ),
    "multipleOf 99999989": ("-", lambda url: post(url, CHAT, chat("Hi", guided_json={"multipleOf": 99_999_989}))),
    "256 tools": (
        "-",
        lambda url: post(
            url,
            CHAT,
            chat("Hi", tools=[tool(n) for n in range(256)], tool_choice="required"),
        ),
    ),
    "400,000 lists for a prompt": (
        "20.8 s",
        lambda url: post(url, TEXT, b'{"prompt":[' + b",".join([b'["a"]'] * 400_000) + b'],"max_tokens":1}'),
    ),
    "400,000 tools": ("2.05 s", lambda url: post(url, CHAT, b'{"tools":[' + b",".join([b"{}"] * 400_000) + b"]}")),
    "60,000 parts of a message": ("0.73 s", lambda url: post(url, CHAT, parts(60_000))),
    "1,024 prompts, 128 times": (
        "11.6 s",
        lambda url: post(url, TEXT, {"prompt": ["a"] * 1024, "n": 128, "max_tokens": 1}),
    ),
    "a fault in a schema of 120 KB": ("14 s of CPU", lambda url: post(url, CHAT, chat("Hi", guided_json=faulty()))),
    "A8 200 uploads left": ("12,200 log lines", lambda url: leave(url, 200)),
    "A16 garbage, 200 connections": ("text/plain", lambda url: garbage(url, 200)),
}


def nested(depth: int) -> dict[str, Any]:
    """Return a schema so many levels deep."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return {"name": "n", "schema": schema}


def parts(count: int) -> dict[str, Any]:
    """Return a request whose one message has so many parts."""
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}] * count}]}


def faulty() -> dict[str, Any]:
    """Return a schema with large definitions, and a fault in the last of many references."""
    shared = {
        f"d{n}": {"type": "object", "properties": {f"p{m}": {"type": "string"} for m in range(40)}} for n in range(60)
    }
    wanted: dict[str, Any] = {f"q{n}": {"$ref": f"#/$defs/d{n % 60}"} for n in range(400)}
    return {"type": "object", "$defs": shared, "properties": {**wanted, "last": {"type": "string", "format": "none"}}}


def tool(number: int) -> dict[str, Any]:
    """Return a declaration."""
    parameters = {"type": "object", "properties": {"a": {"type": "string"}}}
    return {"type": "function", "function": {"name": f"f{number}", "parameters": parameters}}


def connect(url: str) -> socket.socket:
    """Return a connection to the server."""
    host, _, port = url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def leave(url: str, count: int) -> str:
    """Begin uploads and leave."""
    for _ in range(count):
        with connect(url) as connection:
            connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n{")
    return f"{count} left"


def garbage(url: str, count: int) -> str:
    """Send bytes that are no HTTP."""
    kinds = set()
    for _ in range(count):
        with connect(url) as connection:
            connection.sendall(b"\x16\x03\x01\x00\xff" * 9)
            kinds.add(connection.recv(4096).partition(b"content-type: ")[2].partition(b"\r")[0].decode())
    return ", ".join(sorted(kinds))

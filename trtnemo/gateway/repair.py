"""Streams of servers whose reasoning parser is known to leave an answer among the thinking.

Where a request switches thinking off, or asks for content that is not empty, vLLM up to 0.22 moves the answer to
`content` in whole answers and not in streams (vllm/reasoning/nemotron_v3_reasoning_parser.py of its wheels).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from packaging.version import InvalidVersion, Version

from trtnemo.gateway.upstream import Upstream
from trtnemo.launch.servers.registry import all_servers

_REASONING = ("reasoning", "reasoning_content")
_MOST_HELD = 1 << 20  # bytes of one event, and of reasoning that may be said again


def has_the_fault(upstream: Upstream) -> bool:
    """Return whether an upstream is of a version whose streams have it."""
    server = all_servers().get(upstream.owner)
    last = server.faulty_streams_until if server is not None else None
    try:
        return last is not None and Version(upstream.version) <= Version(last)
    except InvalidVersion:
        return False


def repair_for(body: bytes) -> StreamRepair | None:
    """Return what repairs the answer to a request, None where it asks for nothing that goes wrong."""
    if b"chat_template_kwargs" not in body:
        return None
    try:
        asked = json.loads(body)
        settings = asked.get("chat_template_kwargs")
        streams = asked.get("stream") is True
    except (ValueError, AttributeError, RecursionError):
        return None
    if not streams or not isinstance(settings, dict):
        return None
    if settings.get("enable_thinking") is False:
        return StreamRepair(is_thinking_off=True)
    return StreamRepair(is_thinking_off=False) if settings.get("force_nonempty_content") is True else None


@dataclass
class _Choice:
    """What was said of one choice."""

    has_content: bool = False
    reasoning: list[str] = field(default_factory=list)


class StreamRepair:
    """Turns reasoning into content as it comes where thinking is off, else says it again where no content came."""

    def __init__(self, *, is_thinking_off: bool) -> None:
        self._is_thinking_off = is_thinking_off
        self._waiting = b""
        self._is_over = False
        self._choices: dict[int, _Choice] = {}

    def feed(self, piece: bytes) -> bytes:
        """Return what goes on of a piece; an event that is not whole waits for its rest."""
        self._waiting += piece
        if self._is_over or len(self._waiting) > _MOST_HELD:  # no event is so large: nothing is repaired any more
            self._is_over = True
            return self.rest()
        *whole, self._waiting = self._waiting.split(b"\n\n")
        return b"".join(mended + b"\n\n" for event in whole for mended in self._mend(event))

    def rest(self) -> bytes:
        """Return what still waits, when the stream is over."""
        rest, self._waiting = self._waiting, b""
        return rest

    def _mend(self, event: bytes) -> Iterator[bytes]:
        chunk = _chunk(event)
        if chunk is None:
            yield event
            return
        was_changed = False
        for item in chunk["choices"]:
            choice = self._choices.setdefault(item.get("index", 0), _Choice())
            delta = item.get("delta")
            if isinstance(delta, dict):
                was_changed |= self._look(choice, delta)
            if item.get("finish_reason") and not choice.has_content and choice.reasoning:
                yield _said({**chunk, "choices": [_again(item, "".join(choice.reasoning))]})
                choice.reasoning = []
        yield _said(chunk) if was_changed else event

    def _look(self, choice: _Choice, delta: dict[str, Any]) -> bool:
        """Note what a delta says; return whether it was changed."""
        name = next((name for name in _REASONING if isinstance(delta.get(name), str) and delta[name]), None)
        if delta.get("content") or delta.get("tool_calls"):
            choice.has_content = True
        elif name is not None and self._is_thinking_off:
            text = delta[name]
            for other in _REASONING:
                delta.pop(other, None)
            delta["content"] = text
            choice.has_content = True
            return True
        elif name is not None and sum(map(len, choice.reasoning)) < _MOST_HELD:
            choice.reasoning.append(delta[name])
        return False


def _chunk(event: bytes) -> dict[str, Any] | None:
    """Return the chunk of a chat completion that an event is, None where it is something else."""
    if not event.startswith(b"data:") or b"\n" in event:
        return None
    try:
        chunk = json.loads(event[5:])
    except (ValueError, RecursionError):
        return None
    choices = chunk.get("choices") if isinstance(chunk, dict) else None
    is_one = isinstance(choices, list) and all(isinstance(item, dict) for item in choices) and choices
    return chunk if is_one else None


def _again(item: dict[str, Any], text: str) -> dict[str, Any]:
    return {"index": item.get("index", 0), "delta": {"content": text}, "logprobs": None, "finish_reason": None}


def _said(chunk: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")

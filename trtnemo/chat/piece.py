"""What one event of a streamed answer adds; a server may have left out, or misshaped, any part of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trtnemo.errors import ServerError


@dataclass(frozen=True)
class CallPart:
    """A part of a tool call: which call of the answer it belongs to, and what it adds to name and arguments."""

    index: int
    name: str
    arguments: str


@dataclass(frozen=True)
class Piece:
    """Thinking, text, parts of tool calls, the reason for the end, token counts; each may be missing."""

    thought: str = ""
    text: str = ""
    calls: tuple[CallPart, ...] = ()
    finish_reason: str = ""
    usage: Mapping[str, Any] = field(default_factory=dict)


def read_piece(event: Any) -> Piece:
    """Return what an event adds; raises ServerError where it tells of a failure, or is no event of a chat."""
    if not isinstance(event, dict):
        raise ServerError("the stream holds an event that is no JSON object")
    if event.get("error"):
        raise ServerError(message_of(event) or "the server reports a failure without saying which")
    choice = _mapping(_first(event.get("choices")))
    delta = _mapping(choice.get("delta"))
    return Piece(
        thought=_text(delta.get("reasoning_content")) or _text(delta.get("reasoning")),
        text=_text(delta.get("content")) or _text(delta.get("refusal")),
        calls=tuple(_call(item, place) for place, item in enumerate(_items(delta.get("tool_calls")))),
        finish_reason=_text(choice.get("finish_reason")),
        usage=_mapping(event.get("usage")),
    )


def message_of(body: Any) -> str:
    """Return the message of a failure in the shapes that servers give it, or nothing."""
    for key in ("error", "detail", "message"):
        value = _mapping(body).get(key)
        if found := _text(value) or _text(_mapping(value).get("message")):
            return found
    return ""


def _call(item: Any, place: int) -> CallPart:
    call = _mapping(item)
    function, index = _mapping(call.get("function")), call.get("index")
    return CallPart(
        index if isinstance(index, int) else place, _text(function.get("name")), _text(function.get("arguments"))
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _first(value: Any) -> Any:
    return next(iter(_items(value)), None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""

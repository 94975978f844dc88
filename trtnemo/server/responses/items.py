"""Items of the Responses API and messages of the chat API, each as the other."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from trtnemo.errors import RequestError
from trtnemo.server.requests.tools import CUSTOM_INPUT
from trtnemo.text import ToolCall

Item = dict[str, Any]


def items_of(given: str | Sequence[Item]) -> list[Item]:
    """Return the input as items; a text is what the user says."""
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return [dict(item) for item in given]


def messages_of(items: Sequence[Item]) -> list[Item]:
    """Return chat messages; thoughts, texts and calls of the assistant that follow each other are one message."""
    messages: list[Item] = []
    for place, item in enumerate(items):
        kind = item.get("type", "message")
        if kind == "message":
            _add_message(messages, item)
        elif kind == "reasoning":
            _assistant(messages, opens=True)["reasoning_content"] = _thoughts(item)
        elif kind in ("function_call", "custom_tool_call"):
            _assistant(messages).setdefault("tool_calls", []).append(_call(item, kind))
        elif kind in ("function_call_output", "custom_tool_call_output"):
            messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": _output(item)})
        elif kind != "item_reference":  # it names what previous_response_id brings already
            raise RequestError(
                f"input.{place} is of type '{str(kind)[:64]}', which is not supported", parameter="input"
            )
    return messages


def _add_message(messages: list[Item], item: Item) -> None:
    message = {"role": item.get("role"), "content": item.get("content", "")}
    if message["role"] != "assistant":
        messages.append(message)
        return
    last = _assistant(messages)
    if "content" in last or "tool_calls" in last:
        messages.append(message)
    else:
        last["content"] = message["content"]


def _assistant(messages: list[Item], *, opens: bool = False) -> Item:
    """Return the assistant's message that is being put together; `opens`: a new one, unless it is still empty."""
    is_open = bool(messages) and messages[-1]["role"] == "assistant"
    if not is_open or (opens and len(messages[-1]) > 1):
        messages.append({"role": "assistant"})
    return messages[-1]


def _thoughts(item: Item) -> str:
    parts = item.get("content") or item.get("summary") or []
    if not isinstance(parts, list):
        raise RequestError("a reasoning item's content is a list of parts", parameter="input")
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def _call(item: Item, kind: str) -> Item:
    if kind == "custom_tool_call":
        custom = {"name": item.get("name"), "input": item.get("input", "")}
        return {"id": item.get("call_id"), "type": "custom", "custom": custom}
    function = {"name": item.get("name"), "arguments": item.get("arguments", "")}
    return {"id": item.get("call_id"), "type": "function", "function": function}


def _output(item: Item) -> Any:
    return item.get("output", "")


def reasoning_item(text: str, item_id: str) -> Item:
    """Return thinking as an item."""
    content = [{"type": "reasoning_text", "text": text}] if text else []
    return {"id": item_id, "type": "reasoning", "summary": [], "content": content, "status": "completed"}


def text_part(text: str) -> Item:
    """Return a message's text as its part."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def message_item(text: str | None, item_id: str) -> Item:
    """Return a message as an item; None begins one."""
    content, status = ([], "in_progress") if text is None else ([text_part(text)], "completed")
    return {"id": item_id, "type": "message", "role": "assistant", "status": status, "content": content}


def call_item(call: ToolCall, *, is_custom: bool) -> Item:
    """Return a call as an item, whole."""
    common = {"name": call.name, "call_id": f"call_{uuid.uuid4().hex[:24]}", "status": "completed"}
    if is_custom:
        written = call.arguments.get(CUSTOM_INPUT, "")
        return {"id": f"ctc_{uuid.uuid4().hex}", "type": "custom_tool_call", "input": str(written), **common}
    return {"id": f"fc_{uuid.uuid4().hex}", "type": "function_call", "arguments": call.arguments_json, **common}

"""Messages of a chat request, as the template expects them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from trtnemo.errors import RequestError
from trtnemo.server.context import ServerContext
from trtnemo.server.parameters import ChatMessage
from trtnemo.server.tools import ToolDeclaration


def render_messages(
    context: ServerContext,
    messages: Sequence[ChatMessage],
    variables: dict[str, Any],
    tools: Sequence[ToolDeclaration] = (),
) -> str:
    """Return the prompt text of messages; raises RequestError."""
    if context.chat_template is None:
        raise RequestError("this checkpoint has no chat template; use /v1/completions", parameter="messages")
    declared = [tool.model_dump(exclude_none=True) for tool in tools]
    return context.chat_template.render([_plain(message) for message in messages], variables, declared)


def _plain(message: ChatMessage) -> dict[str, Any]:
    """Return a message with its text parts joined, thinking under one name, and calls with their arguments read."""
    data = message.model_dump(exclude_none=True)
    content = data.get("content", "")
    if isinstance(content, list):
        for part in content:
            if part.get("type") != "text" or not isinstance(part.get("text"), str):
                raise RequestError("content parts other than text are not supported", parameter="messages")
        content = "".join(part["text"] for part in content)
    data["content"] = content
    if "reasoning_content" not in data and isinstance(data.get("reasoning"), str):
        data["reasoning_content"] = data["reasoning"]
    if "tool_calls" in data:
        data["tool_calls"] = [_call(call) for call in _list(data["tool_calls"])]
    return data


def _call(call: Any) -> dict[str, Any]:
    """Return a call with its arguments as an object: the API carries them as a JSON text."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise RequestError("a tool call of the history has no function with a name", parameter="messages")
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError) as error:
            raise RequestError(
                f"the arguments of the call of '{function['name']}' are not JSON: {error}", parameter="messages"
            ) from None
    if not isinstance(arguments, dict):
        raise RequestError(
            f"the arguments of the call of '{function['name']}' are not a JSON object", parameter="messages"
        )
    return {**call, "function": {**function, "arguments": arguments}}


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise RequestError("'tool_calls' of a message is not a list", parameter="messages")
    return value

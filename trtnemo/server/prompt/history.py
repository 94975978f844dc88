"""Messages of a chat request, as the template expects them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from trtnemo.errors import RequestError
from trtnemo.server.prompt.text_side import TextSide
from trtnemo.server.requests.chat import ChatMessage
from trtnemo.server.requests.tools import CUSTOM_INPUT, ToolDeclaration
from trtnemo.text import TextTokenizer
from trtnemo.text.control_text import mark

_SYSTEM = ("system", "developer")
_END = "\ufdd1"  # a character that Unicode keeps for a program's own use: where a message is left open


def render_messages(
    side: TextSide,
    messages: Sequence[ChatMessage],
    variables: dict[str, Any],
    tools: Sequence[ToolDeclaration] = (),
    *,
    opens_answer: bool = True,
    continues: bool = False,
) -> str:
    """Return the prompt text of messages, control tokens in them marked as text; raises RequestError.

    `continues`: the last message, the assistant's, is left open, and no other begins.
    """
    template = side.chat_template
    if template is None:
        raise RequestError("this checkpoint has no chat template; use /v1/completions", parameter="messages")
    plain = _join_systems([_plain(message) for message in messages])
    declared = [tool.as_function() for tool in tools]
    if not side.obeys_control_text:
        plain = [_marked(message, side.tokenizer) for message in plain]
        declared = mark(declared, side.tokenizer.control_tokens)
    if continues:
        plain[-1] = {**plain[-1], "content": f"{plain[-1]['content'].replace(_END, '')}{_END}"}
    text = template.render(plain, variables, declared, opens_answer=opens_answer and not continues)
    if not continues:
        return text
    before, found, _ = text.rpartition(_END)
    if not found:
        raise RequestError("the chat template does not write the last message out", parameter="continue_final_message")
    return before


def _marked(message: dict[str, Any], tokenizer: TextTokenizer) -> dict[str, Any]:
    """Return a message whose control tokens are text; thinking and calls of the assistant keep their tags."""
    tokens = tokenizer.tag_tokens if message["role"] in ("user", "tool") else tokenizer.control_tokens
    return {name: value if name == "role" else mark(value, tokens) for name, value in message.items()}


def _join_systems(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages whose first ones, by system and developer, are one: a template looks at the first alone."""
    count = next((place for place, item in enumerate(messages) if item["role"] != "system"), len(messages))
    if count < 2:
        return messages
    joined = "\n\n".join(item["content"] for item in messages[:count] if item["content"])
    return [{**messages[0], "content": joined}, *messages[count:]]


def _plain(message: ChatMessage) -> dict[str, Any]:
    """Return a message with its text parts joined, thinking under one name, and calls with their arguments read."""
    data = message.model_dump(exclude_none=True)
    role = data["role"]
    data["role"] = "system" if role in _SYSTEM else "tool" if role == "function" else role
    data["content"] = text_of(data.get("content", ""))
    if "reasoning_content" not in data and isinstance(data.get("reasoning"), str):
        data["reasoning_content"] = data["reasoning"]
    if "tool_calls" in data:
        data["tool_calls"] = [_call(call) for call in _list(data["tool_calls"])]
    return data


def text_of(content: Any) -> str:
    """Return content as one text: it is a text, or text parts; raises RequestError for others."""
    if isinstance(content, str):
        return content
    texts = []
    for part in content if isinstance(content, list) else [content]:
        kind = part.get("type") if isinstance(part, dict) else None
        text = part.get("refusal" if kind == "refusal" else "text") if isinstance(part, dict) else None
        if kind not in ("text", "input_text", "output_text", "refusal") or not isinstance(text, str):
            raise RequestError("content parts other than text are not supported", parameter="messages")
        texts.append(text)
    return "".join(texts)


def _call(call: Any) -> dict[str, Any]:
    """Return a call with its arguments as an object: the API carries them as a JSON text."""
    custom = call.get("custom") if isinstance(call, dict) else None
    if isinstance(custom, dict) and isinstance(custom.get("name"), str):
        written = {"name": custom["name"], "arguments": {CUSTOM_INPUT: str(custom.get("input", ""))}}
        return {**{key: value for key, value in call.items() if key != "custom"}, "function": written}
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise RequestError("a tool call of the history has no function with a name", parameter="messages")
    return {**call, "function": {**function, "arguments": read_arguments(function.get("arguments"))}}


def read_arguments(arguments: Any) -> dict[str, Any]:
    """Return a call's arguments as an object; what a model wrote and is none stays there as one text."""
    if isinstance(arguments, dict):
        return arguments
    if arguments is None or arguments == "":
        return {}
    try:
        read = json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):
        read = arguments
    return read if isinstance(read, dict) else {"arguments": arguments}


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise RequestError("'tool_calls' of a message is not a list", parameter="messages")
    return value

"""Body of /v1/messages and of /v1/messages/count_tokens."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from trtnemo.errors import RequestError
from trtnemo.server.requests.chat import ChatRequest
from trtnemo.server.requests.generation import MOST
from trtnemo.server.requests.part import OpenPart

Item = dict[str, Any]
_EFFORTS = {"low": "low", "medium": "medium", "high": "high", "max": "max", "xhigh": "xhigh"}


class AnthropicMessage(OpenPart):
    """One message: text, or blocks."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Item]


class Thinking(OpenPart):
    """Whether to think, and for how many tokens."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Annotated[int, Field(ge=1, lt=MOST)] | None = None


class ToolChoice(OpenPart):
    """Which tool must be called."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool = False


class OutputConfig(OpenPart):
    """How much to think, and the form of the answer."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: Item | None = None


class MessagesRequest(OpenPart):
    """Messages in, blocks out; parameters of the provider's own services mean nothing here."""

    model: str | None = None
    messages: Annotated[list[AnthropicMessage], Field(min_length=1, max_length=16_384)]
    max_tokens: Annotated[int, Field(ge=1, lt=MOST)] | None = None
    system: str | list[Item] | None = None
    stop_sequences: list[str] | None = None
    stream: bool = False
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, lt=MOST)] | None = None
    tools: list[Item] = Field(default_factory=list)
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    chat_template_kwargs: Item = Field(default_factory=dict)

    def chat_request(self) -> ChatRequest:
        """Return the same as a chat request; raises RequestError."""
        budget = self.thinking.budget_tokens if self.thinking is not None else None
        config, choice = self.output_config or OutputConfig(), self.tool_choice
        body: Item = {
            "model": self.model,
            "messages": [*self._system(), *(part for message in self.messages for part in _plain(message))],
            "max_completion_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "stop": self.stop_sequences,
            "tools": [_tool(tool) for tool in self.tools],
            "tool_choice": self._choice(),
            "parallel_tool_calls": None if choice is None else not choice.disable_parallel_tool_use,
            "thinking_token_budget": budget,
            # unasked, Anthropic's models do not think
            "thinking": {"type": self.thinking.type if self.thinking is not None else "disabled"},
            "response_format": _response_format(config.format),
            "chat_template_kwargs": self.chat_template_kwargs,
            # an answer that was begun goes on
            "continue_final_message": self.messages[-1].role == "assistant",
        }
        if config.effort is not None and body["thinking"]["type"] != "disabled":
            body["reasoning_effort"] = config.effort
        return ChatRequest.model_validate(body)

    def _system(self) -> list[Item]:
        if self.system is None:
            return []
        return [{"role": "system", "content": _text(self.system)}]

    def _choice(self) -> Any:
        if self.tool_choice is None:
            return None
        if self.tool_choice.type == "tool":
            return {"type": "function", "function": {"name": self.tool_choice.name or ""}}
        return {"auto": "auto", "any": "required", "none": "none"}[self.tool_choice.type]


def _response_format(form: Item | None) -> Item | None:
    if form is None:
        return None
    if form.get("type") != "json_schema" or not isinstance(form.get("schema"), dict):
        raise RequestError("'output_config.format' is a json_schema with its schema", parameter="output_config")
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": form["schema"]}}


def _tool(tool: Item) -> Item:
    if tool.get("type", "custom") != "custom" or "input_schema" not in tool:
        kind = str(tool.get("type", tool.get("name")))[:64]
        raise RequestError(f"the tool '{kind}' is run by its provider; this server has tools with an input_schema")
    function = {"name": tool.get("name"), "description": tool.get("description"), "parameters": tool["input_schema"]}
    return {"type": "function", "function": {**function, "strict": tool.get("strict")}}


def _text(content: str | list[Item]) -> str:
    """Return text blocks as one text; raises RequestError for others."""
    if isinstance(content, str):
        return content
    blocks = [block if isinstance(block, dict) else {} for block in content]
    texts = [block.get("text") if block.get("type") == "text" else None for block in blocks]
    if not all(isinstance(text, str) for text in texts):
        raise RequestError("content blocks other than text are not supported here", parameter="messages")
    return "".join(str(text) for text in texts)


def _plain(message: AnthropicMessage) -> list[Item]:
    """Return the chat messages that one message stands for: results of tools are messages of their own."""
    if isinstance(message.content, str) or message.role == "system":
        return [{"role": message.role, "content": _text(message.content)}]
    if message.role == "assistant":
        return [_assistant(message.content)]
    found: list[Item] = []
    texts: list[Item] = []
    for block in message.content:
        if block.get("type") == "tool_result":
            found.append({"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": _result(block)})
        else:
            texts.append(block)
    return [*found, {"role": "user", "content": _text(texts)}] if texts or not found else found


def _assistant(blocks: list[Item]) -> Item:
    said: Item = {"role": "assistant", "content": ""}
    for block in blocks:
        kind = block.get("type")
        if kind == "thinking":
            said["reasoning_content"] = said.get("reasoning_content", "") + str(block.get("thinking", ""))
        elif kind == "tool_use":
            function = {"name": block.get("name"), "arguments": block.get("input") or {}}
            call = {"id": block.get("id"), "type": "function", "function": function}
            said.setdefault("tool_calls", []).append(call)
        elif kind != "redacted_thinking":
            said["content"] += _text([block])
    return said


def _result(block: Item) -> str:
    content = block.get("content") or ""
    text = _text(content) if isinstance(content, (str, list)) else str(content)
    return f"Error: {text}" if block.get("is_error") else text

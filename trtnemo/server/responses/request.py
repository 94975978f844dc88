"""Body of /v1/responses."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from trtnemo.errors import RequestError
from trtnemo.server.requests.chat import ChatRequest, Effort
from trtnemo.server.requests.generation import MOST
from trtnemo.server.requests.part import OpenPart, RequestPart

MOST_ITEMS = 16_384
Item = dict[str, Any]


class Reasoning(OpenPart):
    """How much to think; summaries are not made, for the thoughts themselves are sent."""

    effort: Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


class TextFormat(OpenPart):
    """What the answer must be, in the words of this API."""

    type: Literal["text", "json_object", "json_schema"]
    name: str = "answer"
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None


class TextOptions(OpenPart):
    """The form of the answer; `verbosity` is a hint."""

    format: TextFormat | None = None


class ResponsesRequest(RequestPart):
    """Items in, items out. Parameters of providers that run tools or files themselves are refused."""

    model: str | None = None
    input: str | Annotated[list[Item], Field(max_length=MOST_ITEMS)]
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool = True
    stream: bool = False
    stream_options: OpenPart | None = None
    background: bool = False
    max_output_tokens: Annotated[int, Field(ge=1, lt=MOST)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    reasoning: Reasoning | None = None
    text: TextOptions | None = None
    tools: list[Item] = Field(default_factory=list)
    tool_choice: str | Item | None = None
    parallel_tool_calls: bool = True
    max_tool_calls: int | None = None
    truncation: Literal["auto", "disabled"] = "disabled"
    include: list[str] = Field(default_factory=list)
    metadata: Annotated[dict[str, str], Field(max_length=16)] = Field(default_factory=dict)
    seed: int | None = None
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)

    def chat_request(self, messages: list[Item]) -> ChatRequest:
        """Return the same as a chat request over messages."""
        effort = self.reasoning.effort if self.reasoning is not None else None
        body: Item = {
            "model": self.model,
            "messages": messages,
            "max_completion_tokens": self.max_output_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed,
            "reasoning_effort": effort,
            "tools": [_nested(tool) for tool in self.tools],
            "tool_choice": _nested_choice(self.tool_choice),
            "parallel_tool_calls": self.parallel_tool_calls,
            "response_format": self._response_format(),
            "chat_template_kwargs": self.chat_template_kwargs,
        }
        return ChatRequest.model_validate(body)

    def _response_format(self) -> Item | None:
        form = self.text.format if self.text is not None else None
        if form is None or form.type == "text":
            return None
        if form.type == "json_object":
            return {"type": "json_object"}
        return {"type": "json_schema", "json_schema": {"name": form.name, "schema": form.schema_}}


def _nested(tool: Item) -> Item:
    """Return a tool as chat requests declare it: here its fields stand beside its type."""
    kind = tool.get("type")
    if kind not in ("function", "custom"):
        raise RequestError(
            f"a tool of type '{str(kind)[:64]}' is run by its provider; this server has function and custom tools",
            parameter="tools",
        )
    return {"type": kind, kind: {name: value for name, value in tool.items() if name != "type"}}


def _nested_choice(choice: str | Item | None) -> Any:
    if not isinstance(choice, dict):
        return choice
    if choice.get("type") == "allowed_tools":
        given = choice.get("tools")
        tools = [_nested_choice(tool) for tool in given if isinstance(tool, dict)] if isinstance(given, list) else given
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.get("mode", "auto"), "tools": tools}}
    return choice

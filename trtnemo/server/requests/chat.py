"""Body of /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, field_validator, model_validator

from trtnemo.server.requests.generation import MOST, GenerationRequest
from trtnemo.server.requests.part import OpenPart
from trtnemo.server.requests.tools import ToolChoice, ToolDeclaration

MOST_MESSAGES = 16_384
Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class ChatMessage(OpenPart):
    """One message; what the template does not know, such as `name`, is passed through to it."""

    role: Role
    content: str | list[dict[str, Any]] | None = None


class Thinking(OpenPart):
    """Whether to think, as other APIs say it; their budgets of tokens are taken as hints."""

    type: Literal["enabled", "disabled", "adaptive", "auto"]


class Reasoning(OpenPart):
    """How much to think, as OpenRouter and the Responses API say it."""

    effort: Effort | None = None
    enabled: bool | None = None


class ChatRequest(GenerationRequest):
    """Messages in, an answer out."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MOST_MESSAGES, fail_fast=True)]
    max_completion_tokens: Annotated[int, Field(ge=0, lt=MOST)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    tools: Annotated[list[ToolDeclaration], Field(fail_fast=True)] = Field(default_factory=list)
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    thinking_token_budget: Annotated[int, Field(ge=0, lt=MOST)] | None = None
    reasoning_effort: Effort | None = None
    reasoning: Reasoning | None = None
    enable_thinking: bool | None = None
    thinking: StrictBool | Thinking | None = None
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    add_special_tokens: bool = False
    echo: bool = False

    @field_validator("messages", mode="before")
    @classmethod
    def _messages_are_counted_first(cls, value: Any) -> Any:
        """Refuse too many before one of them is read."""
        if isinstance(value, list) and len(value) > MOST_MESSAGES:
            raise ValueError(f"{len(value)} messages exceed {MOST_MESSAGES}")
        return value

    @model_validator(mode="after")
    def _has_one_beginning(self) -> ChatRequest:
        if self.continue_final_message and self.messages[-1].role != "assistant":
            raise ValueError("'continue_final_message' needs a last message of the assistant")
        return self

    def template_switches(self, known: Collection[str]) -> dict[str, Any]:
        """Return the template's variables: those given, then those of `known` that effort and thinking stand for."""
        thinking, reasoning = self.thinking, self.reasoning or Reasoning()
        effort = self.reasoning_effort or reasoning.effort
        wanted: dict[str, Any] = {}
        for asked in (reasoning.enabled, self.enable_thinking):
            if asked is not None:
                wanted["enable_thinking"] = asked
        if thinking is not None:
            wanted["enable_thinking"] = thinking if isinstance(thinking, bool) else thinking.type != "disabled"
        if effort is not None:
            wanted["enable_thinking"] = effort != "none"
            wanted["low_effort"] = effort in ("minimal", "low")
        meant = {name: value for name, value in wanted.items() if name in known and (value or name != "low_effort")}
        return meant | self.chat_template_kwargs

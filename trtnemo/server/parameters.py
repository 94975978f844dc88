"""Request bodies of the OpenAI API, as this server takes them: what is not here is refused, never ignored."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationInfo, field_validator, model_validator

from trtnemo.errors import RequestError
from trtnemo.recipe.shared import Sampling
from trtnemo.runtime import SamplingParams
from trtnemo.runtime.sampling_params import LogitBias, SamplingFields
from trtnemo.server.tools import ToolChoice, ToolDeclaration

# Parameters of the API that do nothing at these values; anything else is refused until it is built.
NEUTRAL_VALUES: dict[str, tuple[Any, ...]] = {
    "suffix": (None, ""),
    "tools": (None, []),
    "tool_choice": (None, "none", "auto"),
    "thinking_token_budget": (None,),
    "functions": (None, []),
    "function_call": (None, "none"),
    "parallel_tool_calls": (None, True, False),
    "response_format": (None, {"type": "text"}),
    "modalities": (None, ["text"]),
    "audio": (None,),
    "prediction": (None,),
    "service_tier": (None, "auto", "default"),
    "store": (None, False),
    "metadata": (None, {}),
    "use_beam_search": (None, False),
    "guided_json": (None,),
    "include_reasoning": (None, True),
    "verbosity": (None, "medium"),
}
# Hints to a provider's caches and its own accounts: no answer changes by them, whatever they say.
HINTS = frozenset({"prompt_cache_key", "prompt_cache_retention", "safety_identifier"})


class StreamOptions(BaseModel):
    """Options of a streamed answer."""

    model_config = ConfigDict(extra="forbid")

    include_usage: bool = False
    continuous_usage_stats: bool = False


class GenerationRequest(SamplingFields):
    """What completions and chat completions share."""

    model_config = ConfigDict(extra="forbid")

    model: str
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] = 1
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    logit_bias: dict[int, LogitBias] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: str | None = None

    @model_validator(mode="after")
    def _check_together(self) -> GenerationRequest:
        if self.stream_options is not None and not self.stream:
            raise ValueError("'stream_options' needs 'stream': true")
        if self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise ValueError(f"'min_tokens' {self.min_tokens} exceeds 'max_tokens' {self.max_tokens}")
        if "" in self.stop_strings:
            raise ValueError("'stop' holds an empty string")
        return self

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """The stop strings as a tuple."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def counts_always(self) -> bool:
        """Whether every chunk of a stream says how many tokens there are so far."""
        return self.stream_options is not None and self.stream_options.continuous_usage_stats

    def sampling_params(self, defaults: Sampling, number: int = 0, **more: Any) -> SamplingParams:
        """Return the sampling of choice `number`, with the recipe's defaults where the request says nothing."""
        alike = {name: getattr(self, name) for name in SamplingFields.model_fields}
        chosen = {
            "temperature": defaults.temperature if self.temperature is None else self.temperature,
            "top_p": defaults.top_p if self.top_p is None else self.top_p,
            "top_k": defaults.top_k if self.top_k is None else max(self.top_k, 0),
            "seed": None if self.seed is None else (self.seed + number) % 2**63,
            "logit_bias": self.logit_bias or {},
            "stop": self.stop_strings,
            "stop_token_ids": tuple(self.stop_token_ids or ()),
        }
        return SamplingParams(**(alike | chosen | more))


class CompletionRequest(GenerationRequest):
    """Body of /v1/completions; a prompt is text, token ids, or a list of either."""

    prompt: str | list[int] | list[str] | list[list[int]]
    max_tokens: Annotated[int, Field(ge=0)] | None = 16
    echo: bool = False
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    best_of: int | None = None


class ChatMessage(BaseModel):
    """One message; what the template does not know, such as `name`, is passed through to it."""

    model_config = ConfigDict(extra="allow")

    role: str
    content: str | list[dict[str, Any]] | None = None


class Thinking(BaseModel):
    """Whether to think, as other APIs say it; their budgets of tokens are taken as hints."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["enabled", "disabled", "adaptive", "auto"]


class ChatRequest(GenerationRequest):
    """Body of /v1/chat/completions."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=0)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    tools: list[ToolDeclaration] = Field(default_factory=list)
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    thinking_token_budget: Annotated[int, Field(ge=0)] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    thinking: StrictBool | Thinking | None = None

    def template_switches(self, known: Collection[str]) -> dict[str, Any]:
        """Return the template's variables: those given, then those of `known` that effort and thinking stand for."""
        effort, thinking = self.reasoning_effort, self.thinking
        wanted: dict[str, Any] = {}
        if thinking is not None:
            wanted["enable_thinking"] = thinking if isinstance(thinking, bool) else thinking.type != "disabled"
        if effort is not None:
            wanted["enable_thinking"] = effort != "none"
            wanted["low_effort"] = effort in ("minimal", "low")
        meant = {name: value for name, value in wanted.items() if name in known and (value or name != "low_effort")}
        return meant | self.chat_template_kwargs

    @field_validator("tools", "chat_template_kwargs", mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any, info: ValidationInfo) -> Any:
        return value if value is not None else [] if info.field_name == "tools" else {}


class TokenizeRequest(BaseModel):
    """Body of /tokenize: text, or messages to be rendered first."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = None
    prompt: str | None = None
    messages: list[ChatMessage] | None = None
    tools: list[ToolDeclaration] = Field(default_factory=list)
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)


class DetokenizeRequest(BaseModel):
    """Body of /detokenize."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = None
    tokens: list[Annotated[int, Field(ge=0)]]


def drop_neutral(body: Any, known: Collection[str] = ()) -> Any:
    """Return a body without parameters that do nothing; raises RequestError for those that would, but for `known`."""
    if not isinstance(body, dict):
        raise RequestError("the body is not a JSON object")
    unbuilt = {name: values for name, values in NEUTRAL_VALUES.items() if name not in known}
    for name, neutral in unbuilt.items():
        if name in body and not any(body[name] == value and type(body[name]) is type(value) for value in neutral):
            raise RequestError(f"'{name}' is not supported yet", parameter=name)
    return {name: value for name, value in body.items() if name not in unbuilt and name not in HINTS}

"""What completions and chat completions share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, field_validator, model_validator

from trtnemo.recipe.shared import Sampling
from trtnemo.runtime import SamplingParams
from trtnemo.runtime.sampling_params import LogitBias, SamplingFields
from trtnemo.server.requests.part import RequestPart
from trtnemo.server.requests.structured import StructureFields

MOST_STOPS, LONGEST_STOP, MOST_STOP_IDS = 16, 256, 256
MOST = 2**31  # what no context holds, and every number of a message does
TokenId = Annotated[int, Field(ge=0, lt=MOST)]
StopText = Annotated[str, Field(min_length=1, max_length=LONGEST_STOP)]


class StreamOptions(RequestPart):
    """Options of a streamed answer; nothing is obfuscated."""

    include_usage: bool = False
    continuous_usage_stats: bool = False
    include_obfuscation: bool = False


class GenerationRequest(SamplingFields, StructureFields):
    """What completions and chat completions share."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str | None = None
    max_tokens: Annotated[int, Field(ge=0, lt=MOST)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, lt=MOST)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] = 1
    stop: Annotated[list[StopText], Field(max_length=MOST_STOPS)] | None = None
    stop_token_ids: Annotated[list[TokenId], Field(max_length=MOST_STOP_IDS)] | None = None
    logit_bias: dict[int, LogitBias] | None = None
    bad_words: Annotated[list[StopText], Field(max_length=MOST_STOPS)] | None = None
    allowed_token_ids: Annotated[list[TokenId], Field(min_length=1, fail_fast=True)] | None = None
    prompt_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    truncate_prompt_tokens: Annotated[int, Field(ge=1, lt=MOST)] | None = None
    return_token_ids: bool = False
    cache_salt: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    priority: Annotated[int, Field(ge=-(2**31), lt=2**31)] = 0
    stream: bool = False
    stream_options: StreamOptions | None = None

    @field_validator("stop", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        """Take one text for a list of one."""
        return [value] if isinstance(value, str) else value

    @field_validator("logit_bias", mode="before")
    @classmethod
    def _keys_are_ids(cls, value: Any) -> Any:
        """Read the keys, which JSON has as texts."""
        if not isinstance(value, dict):
            return value
        if not all(isinstance(key, int) or (isinstance(key, str) and key.isascii() and key.isdigit()) for key in value):
            raise ValueError("its keys must be token ids")
        return {int(key): bias for key, bias in value.items()}

    @model_validator(mode="after")
    def _check_together(self) -> GenerationRequest:
        if self.prompt_logprobs is not None and self.stream:
            raise ValueError("'prompt_logprobs' is answered whole, and not streamed")
        if self.stream_options is not None and not self.stream:
            raise ValueError("'stream_options' needs 'stream': true")
        if self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise ValueError(f"'min_tokens' {self.min_tokens} exceeds 'max_tokens' {self.max_tokens}")
        return self

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """The stop strings as a tuple."""
        return tuple(self.stop or ())

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
            "allowed_token_ids": None if self.allowed_token_ids is None else tuple(self.allowed_token_ids),
            "prompt_logprobs": self.prompt_logprobs,
            "cache_salt": self.cache_salt or "",
            "priority": self.priority,
        }
        return SamplingParams(**(alike | chosen | more))

"""What a request asks of the sampler."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

COLDEST = 1e-5  # below it, temperatures are 0
Penalty = Annotated[float, Field(ge=-2, le=2)]
LogitBias = Annotated[float, Field(ge=-100, le=100)]


class SamplingFields(BaseModel):
    """The fields that a request of the API and the sampler spell alike: declared once, copied by name."""

    min_tokens: Annotated[int, Field(ge=0, lt=2**31)] = 0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    presence_penalty: Penalty = 0.0
    frequency_penalty: Penalty = 0.0
    repetition_penalty: Annotated[float, Field(ge=0.01, le=10)] = 1.0
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    ignore_eos: bool = False
    skip_special_tokens: bool = True
    include_stop_str_in_output: bool = False


class SamplingParams(SamplingFields):
    """Sampling of one sequence; names and meaning follow the OpenAI API and TensorRT-LLM's LLM API.

    temperature 0 is greedy; top_k 0 keeps all; logprobs is how many alternatives to report per token (None: no
    logprobs at all); prompt_logprobs likewise for the prompt; max_tokens None fills the context; bad_words are
    sequences of tokens that are never completed; cache_salt keeps prompts from sharing a prefix with those of another
    salt; priority: who waits with a lower one is run first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_tokens: Annotated[int, Field(ge=0)] | None = None
    temperature: Annotated[float, Field(ge=0, le=10)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    logit_bias: dict[int, LogitBias] = Field(default_factory=dict)
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    prompt_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    allowed_token_ids: tuple[int, ...] | None = None
    bad_words: tuple[tuple[int, ...], ...] = ()
    cache_salt: str = ""
    priority: int = 0

    @field_validator("temperature")
    @classmethod
    def _cold_is_greedy(cls, value: float) -> float:
        """Take what is nearly 0 for 0: dividing by it leaves no number."""
        return 0.0 if value < COLDEST else value

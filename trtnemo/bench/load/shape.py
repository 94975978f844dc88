"""What one run asks of a server: prompts, lengths, how many at once, how long."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from trtnemo.recipe.shared import PositiveInt, RecipePart

DEFAULT_REQUESTS = 64
# for a load without a number of requests: tokens a second that no stream exceeds, and prompts that are drawn at most
_FASTEST, _MOST_REQUESTS = 1000.0, 20_000
PROMPT_SETS = ("chat", "code", "math", "tools", "long")


class Lengths(RecipePart):
    """Lengths in tokens, uniform from `low` to `high`."""

    low: PositiveInt
    high: PositiveInt

    @model_validator(mode="after")
    def _check_order(self) -> Lengths:
        if self.low > self.high:
            raise ValueError(f"low {self.low} exceeds high {self.high}")
        return self


class LoadShape(RecipePart):
    """One load: closed (`concurrency` streams that send when they are answered) or open (`rate`, Poisson arrivals)."""

    prompts: str = Field("chat", description=f"a shipped set ({', '.join(PROMPT_SETS)}) or a JSONL file of `messages`")
    concurrency: PositiveInt | None = Field(None, description="requests in flight at any time")
    rate: Annotated[float, Field(gt=0)] | None = Field(None, description="requests a second, Poisson arrivals")
    requests: PositiveInt | None = Field(
        None, description="requests that are measured; absent means 64, or as many as `seconds` allow"
    )
    seconds: Annotated[float, Field(gt=0)] | None = Field(None, description="end after so long, done or not")
    warmup: Annotated[int, Field(ge=0)] = Field(4, description="requests before the measured ones")
    input_tokens: Lengths | None = Field(
        None, description="cut or repeat prompts to about this many tokens; absent leaves them unchanged"
    )
    output_tokens: Lengths = Field(Lengths(low=64, high=64), description="tokens of the answers")
    ends_free: bool = Field(False, description="stop at end-of-sequence; `output_tokens` is then a maximum")
    thinking: bool | None = Field(None, description="ask for thinking or for none; absent asks for neither")
    temperature: Annotated[float, Field(ge=0)] = Field(0.0, description="of sampling")
    api: Literal["chat", "completions"] = Field("chat", description="endpoint that is asked")
    patience: Annotated[float, Field(gt=0)] = Field(600.0, description="seconds without a byte before a request fails")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="of the choice and the lengths of prompts")
    fresh: bool = Field(
        True, description="begin each prompt with a number that no other load has, as caches would answer"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: object) -> object:
        """Read `output_tokens: 64` as from 64 to 64, and no number of requests as 64, unless a time ends the load."""
        if not isinstance(data, dict):
            return data
        ranges = {name: data.get(name) for name in ("input_tokens", "output_tokens")}
        read: dict[str, object] = {
            name: {"low": value, "high": value} for name, value in ranges.items() if isinstance(value, int)
        }
        if data.get("requests") is None and data.get("seconds") is None:
            read = {**read, "requests": DEFAULT_REQUESTS}
        return {**data, **read}

    @model_validator(mode="after")
    def _check_together(self) -> LoadShape:
        if (self.concurrency is None) == (self.rate is None):
            raise ValueError("give either concurrency or rate")
        if self.thinking is not None and self.api == "completions":
            raise ValueError("thinking is the chat endpoint's; completions has none")
        return self

    @property
    def measured(self) -> int:
        """Requests after the warm-up: so many as asked for, or more than will be sent while the time lasts."""
        if self.requests is not None:
            return self.requests
        seconds = self.seconds or 0.0
        if self.rate is not None:
            return math.ceil(1.5 * self.rate * seconds) + 20
        each = min(20.0, _FASTEST / self.output_tokens.low) if not self.ends_free else 20.0
        return min(_MOST_REQUESTS, math.ceil((self.concurrency or 1) * seconds * each))

    @property
    def total(self) -> int:
        """Requests in all, warm-up included."""
        return self.warmup + self.measured

    def title(self) -> str:
        """Return the shape in a few words."""
        load = f"concurrency {self.concurrency}" if self.concurrency else f"{self.rate:g} requests/s"
        return f"{self.prompts}, {load}"

"""Body of /v1/completions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from trtnemo.server.requests.generation import GenerationRequest, TokenId


class CompletionRequest(GenerationRequest):
    """A prompt is text, token ids, or a list of either."""

    prompt: str | list[TokenId] | list[str] | list[list[TokenId]]
    max_tokens: Annotated[int, Field(ge=0)] | None = 16
    echo: bool = False
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    best_of: int | None = None
    add_special_tokens: bool = False

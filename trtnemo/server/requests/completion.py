"""Body of /v1/completions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from trtnemo.server.requests.generation import GenerationRequest, TokenId

Ids = Annotated[list[TokenId], Field(fail_fast=True)]


class CompletionRequest(GenerationRequest):
    """A prompt is text, token ids, or a list of either."""

    prompt: str | Ids | Annotated[list[str], Field(fail_fast=True)] | Annotated[list[Ids], Field(fail_fast=True)]
    max_tokens: Annotated[int, Field(ge=0)] | None = 16
    echo: bool = False
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    best_of: int | None = None
    add_special_tokens: bool = False

"""Bodies of /tokenize and /detokenize."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from trtnemo.server.requests.chat import ChatMessage
from trtnemo.server.requests.completion import Ids
from trtnemo.server.requests.part import RequestPart
from trtnemo.server.requests.tools import ToolDeclaration


class TokenizeRequest(RequestPart):
    """Text, or messages to be rendered first; no tokens are added, with or without `add_special_tokens`."""

    model: str | None = None
    prompt: str | None = None
    messages: list[ChatMessage] | None = None
    tools: list[ToolDeclaration] = Field(default_factory=list)
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    add_special_tokens: bool = False
    return_token_strs: bool = False


class DetokenizeRequest(RequestPart):
    """Token ids."""

    model: str | None = None
    tokens: Ids

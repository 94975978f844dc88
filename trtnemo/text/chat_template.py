"""Chat messages to prompt text, by the checkpoint's own template in a sandbox."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from trtnemo.errors import CheckpointError, RequestError
from trtnemo.text.tokenizer import TextTokenizer

MAXIMUM_TEMPLATE = 1 << 18
MAXIMUM_PROMPT = 16 << 20
# What the server itself puts into the template; a request may not replace it.
RESERVED = frozenset({"messages", "add_generation_prompt", "bos_token", "eos_token", "tools", "raise_exception"})


class ChatTemplate:
    """A compiled template. Raises CheckpointError when there is none, or when it is no template."""

    def __init__(self, directory: Path, tokenizer: TextTokenizer) -> None:
        self._tokenizer = tokenizer
        path = directory / "chat_template.jinja"
        text = path.read_text(encoding="utf-8") if path.is_file() else tokenizer.chat_template
        if text is None:
            raise CheckpointError("has no chat template", where=str(directory))
        if len(text) > MAXIMUM_TEMPLATE:
            raise CheckpointError(f"is longer than {MAXIMUM_TEMPLATE} characters", where=str(path))
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _refuse
        environment.filters["tojson"] = _to_json
        try:
            self._template = environment.from_string(text)
        except jinja2.TemplateError as error:
            raise CheckpointError(f"is not a Jinja template: {error}", where=str(path)) from None

    def render(self, messages: Sequence[Mapping[str, Any]], variables: Mapping[str, Any]) -> str:
        """Return the prompt that the template makes of messages; raises RequestError."""
        taken = RESERVED & variables.keys()
        if taken:
            raise RequestError(
                f"chat_template_kwargs may not set {', '.join(sorted(taken))}", parameter="chat_template_kwargs"
            )
        try:
            text = self._template.render(
                messages=messages,
                add_generation_prompt=True,
                bos_token=self._tokenizer.bos_token,
                eos_token=self._tokenizer.eos_token,
                **variables,
            )
        except jinja2.TemplateError as error:
            raise RequestError(f"the chat template refuses these messages: {error}", parameter="messages") from None
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            raise RequestError(f"the chat template fails on these messages: {error}", parameter="messages") from None
        if len(text) > MAXIMUM_PROMPT:
            raise RequestError(f"the rendered chat exceeds {MAXIMUM_PROMPT} characters", parameter="messages")
        return text


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


def _to_json(value: Any, indent: int | None = None) -> str:
    """Write JSON as Hugging Face templates expect it: not escaped for HTML."""
    return json.dumps(value, ensure_ascii=False, indent=indent)

"""Chat messages to prompt text, by the family's template or by the checkpoint's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from trtnemo.errors import CheckpointError, RequestError
from trtnemo.formats.format import ReasoningFormat
from trtnemo.formats.registry import all_switches
from trtnemo.recipe.nearest import suggestion
from trtnemo.text.template_engine import TemplateEngine, TemplateError
from trtnemo.text.template_process import TIME_LIMIT, TemplateProcess
from trtnemo.text.tokenizer import TextTokenizer

MAXIMUM_TEMPLATE = 1 << 18
# What the server itself puts into the template; a request may not replace it.
RESERVED = frozenset({"messages", "add_generation_prompt", "bos_token", "eos_token", "tools"})
_FAMILY_TOKENS = ("<|im_start|>", "<|im_end|>", "<think>", "</think>")


class ChatTemplate:
    """The template of a checkpoint: its own file, its tokenizer_config's, or else the family's.

    A template other than the shipped one runs in a process with its memory and time capped. `reasoning` is the format
    whose own switches stand in the same dictionary as the template's variables. Raises CheckpointError when there is
    no template, or when it cannot be compiled.
    """

    def __init__(
        self,
        directory: Path,
        tokenizer: TextTokenizer,
        time_limit: float = TIME_LIMIT,
        reasoning: ReasoningFormat | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._parser_switches = reasoning.own_switches if reasoning is not None else frozenset[str]()
        path = directory / "chat_template.jinja"
        text = _find(path, tokenizer)
        if text is None:
            raise CheckpointError("has no chat template", where=str(directory))
        if len(text) > MAXIMUM_TEMPLATE:
            raise CheckpointError(f"is longer than {MAXIMUM_TEMPLATE} characters", where=str(path))
        try:
            self._engine = _shipped() if text == family_template() else TemplateProcess(text, time_limit)
        except TemplateError as error:
            raise CheckpointError(str(error), where=str(path)) from None

    @staticmethod
    def exists(directory: Path, tokenizer: TextTokenizer) -> bool:
        """Return whether a checkpoint has a template, or is of the family and can use the shipped one."""
        return _find(directory / "chat_template.jinja", tokenizer) is not None

    def close(self) -> None:
        """End the process of a foreign template."""
        if isinstance(self._engine, TemplateProcess):
            self._engine.close()

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        variables: Mapping[str, Any],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        opens_answer: bool = True,
    ) -> str:
        """Return the prompt that the template makes of messages; raises RequestError, on unknown variables too.

        `opens_answer`: whether the prompt ends with the beginning of an answer.
        """
        self._check(variables)
        given: dict[str, Any] = {name: value for name, value in variables.items() if name not in self._parser_switches}
        given |= {"messages": list(messages), "add_generation_prompt": opens_answer}
        given |= {"bos_token": self._tokenizer.bos_token, "eos_token": self._tokenizer.eos_token}
        if tools:
            given["tools"] = list(tools)
        try:
            return self._engine.render(given)
        except TemplateError as error:
            raise RequestError(f"the chat template {error}", parameter="messages") from None

    @property
    def variables(self) -> frozenset[str]:
        """The variables that a request may set."""
        return frozenset((self._engine.variables | self._parser_switches) - RESERVED)

    def _check(self, variables: Mapping[str, Any]) -> None:
        taken = RESERVED & variables.keys()
        if taken:
            raise RequestError(
                f"chat_template_kwargs may not set {', '.join(sorted(taken))}", parameter="chat_template_kwargs"
            )
        known = self.variables
        switches = all_switches()  # a template tests them for truth, and the text "false" is true
        for name, value in variables.items():
            if name in switches and not isinstance(value, bool):
                raise RequestError(
                    f"chat_template_kwargs: '{name}' must be true or false, not {value!r}",
                    parameter="chat_template_kwargs",
                )
            if name not in known:
                raise RequestError(
                    f"chat_template_kwargs: this checkpoint's template does not know '{name}'"
                    f"{suggestion(name, sorted(known))}",
                    parameter="chat_template_kwargs",
                )


@cache
def family_template() -> str:
    """Return the text of the shipped template of Nemotron-3 Super."""
    return resources.files("trtnemo.text").joinpath("chat_template.jinja").read_text(encoding="utf-8")


@cache
def _shipped() -> TemplateEngine:
    return TemplateEngine(family_template())


def _find(path: Path, tokenizer: TextTokenizer) -> str | None:
    if path.is_file():
        return path.read_text(encoding="utf-8")
    if tokenizer.chat_template is not None:
        return tokenizer.chat_template
    is_family = all(tokenizer.id_of(token) is not None for token in _FAMILY_TOKENS)
    return family_template() if is_family else None

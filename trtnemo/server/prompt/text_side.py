"""What turns a request into token ids; it needs no engine, so that a process of its own can have it too."""

from __future__ import annotations

from dataclasses import dataclass

from trtnemo.engine import Engine
from trtnemo.errors import CheckpointError, ServerError
from trtnemo.formats.format import ReasoningFormat, ToolFormat
from trtnemo.formats.registry import reasoning_formats, tool_formats
from trtnemo.runtime.load import budget_of, load_tokenizer
from trtnemo.text import ChatTemplate, TextTokenizer


@dataclass(kw_only=True)
class TextSide:
    """The tokenizer, the template and the formats of one engine, and the tokens that its context holds.

    `chat_template` is None for a checkpoint without one; chat is refused then. `reasoning` and `tools` are the formats
    that the recipe chose, None where output stays as it is. `obeys_control_text`: control tokens that stand in messages
    are obeyed.
    """

    tokenizer: TextTokenizer
    chat_template: ChatTemplate | None
    reasoning: ReasoningFormat | None
    tools: ToolFormat | None
    max_seq_len: int
    vocab_size: int
    obeys_control_text: bool = False

    @property
    def template_variables(self) -> frozenset[str]:
        """What a request may set of the template."""
        return self.chat_template.variables if self.chat_template is not None else frozenset()


def load_text_side(engine: Engine, *, obeys_control_text: bool = False) -> TextSide:
    """Return an engine's text side; raises CheckpointError, ServerError."""
    recipe, budget, tokenizer = engine.recipe, budget_of(engine), load_tokenizer(engine)
    reasoning = reasoning_formats()[recipe.parsers.reasoning] if recipe.parsers.reasoning else None
    return TextSide(
        tokenizer=tokenizer,
        chat_template=_template(engine, tokenizer, reasoning),
        reasoning=reasoning,
        tools=tool_formats()[recipe.parsers.tool] if recipe.parsers.tool else None,
        max_seq_len=budget.max_seq_len,
        vocab_size=budget.vocab_size,
        obeys_control_text=obeys_control_text,
    )


def _template(engine: Engine, tokenizer: TextTokenizer, reasoning: ReasoningFormat | None) -> ChatTemplate | None:
    directory = engine.tokenizer_directory
    if not ChatTemplate.exists(directory, tokenizer):
        return None
    try:
        return ChatTemplate(directory, tokenizer, reasoning=reasoning)
    except CheckpointError as error:
        raise ServerError(str(error)) from None

"""A prompt that the engine can run."""

from __future__ import annotations

from dataclasses import dataclass

from trtnemo.errors import PromptTooLongError
from trtnemo.runtime.sampling_params import SamplingParams
from trtnemo.text import TextStream, TextTokenizer


@dataclass(frozen=True)
class CheckedPrompt:
    """Tokens, sampling, and the ids that end the answer. `EngineClient.check` makes it, `submit` takes nothing else.

    `stop_token_ids` are the checkpoint's, unless the request ignores them, and the request's own; `grammar` is what the
    output keeps, where it is constrained.
    """

    tokens: tuple[int, ...]
    params: SamplingParams
    stop_token_ids: frozenset[int]
    grammar: str | None = None

    def text_stream(self, tokenizer: TextTokenizer) -> TextStream:
        """Return the reader that turns the answer's tokens into text."""
        params = self.params
        return TextStream(
            tokenizer,
            params.stop,
            self.stop_token_ids,
            params.skip_special_tokens,
            params.include_stop_str_in_output,
        )


def prompt_too_long(length: int, limit: int) -> PromptTooLongError:
    """Return the refusal of a prompt of so many tokens, which leaves no place for an answer."""
    return PromptTooLongError(
        f"the prompt has {length} tokens; this engine holds {limit} with the answer",
        parameter="prompt",
        remedy="Shorten the prompt",
    )

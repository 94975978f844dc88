"""What one event of the engine loop adds to an answer."""

from __future__ import annotations

from dataclasses import dataclass

from trtnemo.errors import EngineError, EngineUnavailableError
from trtnemo.runtime.checked_prompt import CheckedPrompt
from trtnemo.runtime.messages import Event, Failed, Finished, PromptReused, PromptScored, TokenGenerated
from trtnemo.runtime.sampler import TokenLogprob
from trtnemo.server.answer.usage import NO_COUNTS, Counts
from trtnemo.text import TextTokenizer


@dataclass(frozen=True)
class Delta:
    """What one event adds: text (possibly none), scores, or the end, with the stop string that made it."""

    text: str = ""
    counts: Counts = NO_COUNTS
    logprob: TokenLogprob | None = None
    prompt_logprobs: tuple[TokenLogprob | None, ...] | None = None
    finish_reason: str | None = None
    stop: str | None = None
    token_ids: tuple[int, ...] = ()


class DeltaReader:
    """Reads the events of one sequence in order."""

    def __init__(self, tokenizer: TextTokenizer, prompt: CheckedPrompt) -> None:
        self._stream = prompt.text_stream(tokenizer)

    def read(self, event: Event) -> Delta | None:
        """Return what an event adds, None where that is nothing; raises EngineError, EngineUnavailableError."""
        if isinstance(event, Failed):
            if event.is_lost:
                raise EngineUnavailableError(event.message, remedy="Send it again later")
            raise EngineError(event.message)
        if isinstance(event, PromptReused):
            return Delta(counts=Counts(cached=event.tokens))
        if isinstance(event, PromptScored):
            return Delta(prompt_logprobs=event.logprobs)
        if isinstance(event, TokenGenerated):
            text, counts = self._stream.push(event.token_id), Counts(1, event.drafted, int(event.accepted))
            stop = self._stream.matched_stop
            reason, ids = "stop" if stop is not None else None, (event.token_id,)
            return Delta(text, counts, event.logprob, finish_reason=reason, stop=stop, token_ids=ids)
        if isinstance(event, Finished):
            return Delta(self._stream.finish(), finish_reason=event.reason)
        return None

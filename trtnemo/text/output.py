"""The one way from token ids to text: detokenizer, then stop strings."""

from __future__ import annotations

from collections.abc import Sequence

from trtnemo.text.stop import StopMatcher
from trtnemo.text.tokenizer import TextTokenizer


class TextStream:
    """The text of one sequence as its tokens arrive; used by server, chat and LLM alike."""

    def __init__(
        self,
        tokenizer: TextTokenizer,
        stop: Sequence[str] = (),
        stop_token_ids: frozenset[int] = frozenset(),
        skip_special_tokens: bool = True,
        include_stop: bool = False,
    ) -> None:
        self._detokenizer = tokenizer.stream(skip_special_tokens)
        self._matcher = StopMatcher(stop, include_stop)
        self._stop_token_ids = stop_token_ids

    def push(self, token_id: int) -> str:
        """Return the text that this token adds; a stop token adds none."""
        if token_id in self._stop_token_ids:
            return ""
        return self._matcher.push(self._detokenizer.push(token_id))

    def finish(self) -> str:
        """Return what was held back; bytes that never became a character come as replacement characters."""
        return self._matcher.push(self._detokenizer.finish()) + self._matcher.finish()

    @property
    def matched_stop(self) -> str | None:
        """The stop string that was found, None for none."""
        return self._matcher.matched

    @property
    def hit_stop(self) -> bool:
        """Whether a stop string was found; the sequence is over then."""
        return self._matcher.matched is not None

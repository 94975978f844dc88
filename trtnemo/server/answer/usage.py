"""Token counts of an answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple


class Counts(NamedTuple):
    """Tokens generated; drafts of the MTP head, how many were verified and how many accepted; prompt tokens reused."""

    generated: int = 0
    drafted: int = 0
    accepted: int = 0
    cached: int = 0


NO_COUNTS = Counts()


def add_counts(counts: Iterable[Counts]) -> Counts:
    """Return the sum, number by number."""
    return Counts(*map(sum, zip(NO_COUNTS, *counts, strict=True)))


class Usage:
    """The `usage` object, counted up as an answer comes; drafts stand under OpenAI's names for predicted tokens."""

    def __init__(self, prompts: Iterable[list[int]], counts: Iterable[Counts] = ()) -> None:
        lengths = [len(prompt) for prompt in prompts]
        self._prompt_tokens, self._prompts = sum(lengths), len(lengths)
        self._total, self._most_cached = NO_COUNTS, 0
        for item in counts:
            self.add(item)

    def add(self, counts: Counts) -> None:
        """Count a choice or a part of one in."""
        self._total = add_counts((self._total, counts))
        self._most_cached = max(self._most_cached, counts.cached)

    def render(self) -> dict[str, Any]:
        """Return the object, of what has come so far."""
        total, prompt_tokens = self._total, self._prompt_tokens
        # choices of one prompt each start from what is kept of it
        cached = min(total.cached, prompt_tokens) if self._prompts > 1 else self._most_cached
        result: dict[str, Any] = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": total.generated,
            "total_tokens": prompt_tokens + total.generated,
        }
        if cached:
            result["prompt_tokens_details"] = {"cached_tokens": cached}
        if total.drafted:
            result["completion_tokens_details"] = {
                "accepted_prediction_tokens": total.accepted,
                "rejected_prediction_tokens": total.drafted - total.accepted,
            }
        return result

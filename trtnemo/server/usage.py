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


def usage(prompts: Iterable[list[int]], counts: Iterable[Counts]) -> dict[str, Any]:
    """Return the `usage` object; the drafts stand under OpenAI's names for predicted tokens."""
    lengths, each = [len(prompt) for prompt in prompts], list(counts)
    prompt_tokens, total = sum(lengths), add_counts(each)
    # choices of one prompt each start from what is kept of it
    cached = min(total.cached, prompt_tokens) if len(lengths) > 1 else max((item.cached for item in each), default=0)
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

"""Token counts of an answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def usage(prompts: Iterable[list[int]], generated: int) -> dict[str, Any]:
    """Return the `usage` object."""
    prompt_tokens = sum(len(prompt) for prompt in prompts)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": generated,
        "total_tokens": prompt_tokens + generated,
    }
